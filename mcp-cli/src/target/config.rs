//! Servers by name, from the configuration file that hosts keep: `{"mcpServers": {"name": {"command": …, "args": […]}}}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Command, Target};
use crate::exit::Failure;

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "MCP_CONFIG";

/// The file of a project, as some hosts look for it.
const PROJECT: &str = ".mcp.json";

#[derive(Deserialize)]
struct Config {
    /// Some hosts call it `servers`.
    #[serde(rename = "mcpServers", alias = "servers")]
    servers: BTreeMap<String, Server>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// A server by its name.
///
/// # Errors
/// [`Failure::Usage`]: there is no such file, it cannot be read, or it has no such server.
pub(crate) fn find(name: &str, config: Option<&Path>) -> Result<Target, Failure> {
    let Some(path) = file(config) else {
        return Err(Failure::Usage(format!(
            "`{name}` is no address (unix:/path, tcp://host:port, ws://…, http://…), and there is no configuration file to look it up in: \
             --config, {VARIABLE}, or {PROJECT}; a program is started by `-- COMMAND`"
        )));
    };
    let shown = path.display();
    let text =
        std::fs::read_to_string(&path).map_err(|e| Failure::Usage(format!("{shown}: {e}")))?;
    let config: Config =
        serde_json::from_str(&text).map_err(|e| Failure::Usage(format!("{shown}: {e}")))?;
    let Some(server) = config.servers.get(name) else {
        let names: Vec<_> = config.servers.keys().map(String::as_str).collect();
        return Err(Failure::Usage(format!(
            "{shown} has no server `{name}`; it has {}",
            match &*names {
                [] => "none".to_owned(),
                names => names.join(", "),
            }
        )));
    };
    server
        .target(|variable| std::env::var(variable).ok())
        .map_err(|reason| Failure::Usage(format!("{shown}: server `{name}`: {reason}")))
}

fn file(config: Option<&Path>) -> Option<PathBuf> {
    let named = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    let project = || Path::new(PROJECT).exists().then(|| PROJECT.into());
    config
        .map(Path::to_owned)
        .or_else(|| named().map(PathBuf::from))
        .or_else(project)
}

impl Server {
    fn target(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Target, String> {
        let expand = |text: &str| expanded(text, &variable);
        match (&self.command, &self.url) {
            (Some(command), _) => {
                let args: Result<_, _> = self.args.iter().map(|arg| expand(arg)).collect();
                let args: Vec<String> = args?;
                let env = self.env.iter();
                let env: Result<_, _> = env
                    .map(|(key, value)| Ok((key.clone(), expand(value)?)))
                    .collect();
                Ok(Target::Command(Command {
                    program: expand(command)?.into(),
                    args: args.into_iter().map(Into::into).collect(),
                    env: env.map_err(|e: String| e)?,
                    cwd: self.cwd.as_deref().map(expand).transpose()?.map(Into::into),
                    inherit_env: false,
                }))
            }
            (None, Some(url)) => {
                let url = expand(url)?;
                let target = Target::address(&url).map_err(|failure| failure.to_string())?;
                let mut target = target.ok_or_else(|| format!("`{url}` is no address"))?;
                if let Target::Ws(url) | Target::Http(url) = &mut target {
                    for (name, value) in &self.headers {
                        url.header(name, &expand(value)?)?;
                    }
                }
                Ok(target)
            }
            _ => Err("it has neither a command nor a url".to_owned()),
        }
    }
}

/// A text with `${NAME}` and `${NAME:-otherwise}` replaced by what the environment says.
fn expanded(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, after)) = after.split_once('}') else {
            break;
        };
        let (name, otherwise) = match inside.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
            None => (inside, None),
        };
        let value = variable(name).filter(|value| !value.is_empty());
        out.push_str(before);
        out.push_str(
            &value
                .or(otherwise)
                .ok_or_else(|| format!("the variable {name} is not set"))?,
        );
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_hosts_read_them() {
        let text = r#"{"mcpServers": {
            "files": {"type": "stdio", "command": "${BIN:-srv}", "args": ["--root", "${HOME}"], "env": {"K": "${KEY}"}, "disabled": false},
            "near": {"url": "unix:/run/s"},
            "far": {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${KEY}"}},
            "odd": {}
        }}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        let variable = |name: &str| match name {
            "HOME" => Some("/home/x".to_owned()),
            "KEY" => Some("secret".to_owned()),
            _ => None,
        };
        let files = config.servers["files"].target(variable).unwrap();
        let Target::Command(command) = files else {
            panic!("{files:?}")
        };
        assert_eq!(
            (command.program, command.args),
            ("srv".into(), vec!["--root".into(), "/home/x".into()])
        );
        assert_eq!(command.env, [("K".to_owned(), "secret".to_owned())]);
        let unset = config.servers["files"].target(|_| None);
        assert!(unset.unwrap_err().contains("HOME"));
        let near = config.servers["near"].target(|_| None);
        assert_eq!(near, Ok(Target::Unix("/run/s".into())));
        let far = config.servers["far"].target(variable);
        let Ok(Target::Http(far)) = far else {
            panic!("{far:?}")
        };
        assert_eq!(far.headers[0].1, "Bearer secret");
        assert!(!format!("{far:?}").contains("secret"));
        assert!(config.servers["odd"].target(|_| None).is_err());
    }

    #[test]
    fn what_looks_like_a_variable_and_is_none_stays() {
        let none = |_: &str| None;
        assert_eq!(expanded("a $b ${c", none), Ok("a $b ${c".to_owned()));
        assert_eq!(expanded("${a:-b}${c:-}", none), Ok("b".to_owned()));
    }
}
