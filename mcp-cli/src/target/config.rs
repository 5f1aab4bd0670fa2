//! Servers by name, from the configuration file that hosts keep: `{"mcpServers": {"name": {"command": …, "args": […]}}}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mcp_client::types::RawJson;
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
    servers: BTreeMap<String, RawJson>,
}

/// One of them; what is `null` is not there.
#[derive(Deserialize)]
struct Server {
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, RawJson>>,
    cwd: Option<String>,
    url: Option<String>,
    headers: Option<BTreeMap<String, RawJson>>,
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
    let wrong = |reason| Failure::Usage(format!("{shown}: server `{name}`: {reason}"));
    // The others are not looked at, whatever they are.
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
    let server: Server = server.decode().map_err(|e| wrong(e.to_string()))?;
    server
        .target(|variable| std::env::var(variable).ok())
        .map_err(wrong)
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
        let texts = |members: &Option<BTreeMap<String, RawJson>>| {
            let members = members.iter().flatten();
            let members = members.filter(|(_, value)| !value.is_null());
            let texts = members.map(|(key, value)| Ok((key.clone(), expand(&text(key, value)?)?)));
            texts.collect::<Result<Vec<_>, String>>()
        };
        match (&self.command, &self.url) {
            (Some(command), _) => {
                let args = self.args.iter().flatten();
                let args: Result<Vec<_>, _> = args.map(|arg| expand(arg)).collect();
                Ok(Target::Command(Command {
                    program: expand(command)?.into(),
                    args: args?.into_iter().map(Into::into).collect(),
                    env: texts(&self.env)?,
                    cwd: self.cwd.as_deref().map(expand).transpose()?.map(Into::into),
                    inherit_env: false,
                }))
            }
            (None, Some(url)) => {
                let url = expand(url)?;
                let target = Target::address(&url).map_err(|failure| failure.to_string())?;
                let mut target = target.ok_or_else(|| format!("`{url}` is no address"))?;
                if let Target::Ws(url) | Target::Http(url) = &mut target {
                    for (name, value) in texts(&self.headers)? {
                        url.header(&name, &value)?;
                    }
                }
                Ok(target)
            }
            _ => Err("it has neither a command nor a url".to_owned()),
        }
    }
}

/// A variable or a header as a text; people write numbers, too.
fn text(name: &str, value: &RawJson) -> Result<String, String> {
    match value.text() {
        Some(text) => Ok(text.into_owned()),
        None if value.as_str().starts_with(['{', '[']) => Err(format!("`{name}` is no text")),
        None => Ok(value.to_string()),
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
        let server = |name: &str| config.servers[name].decode::<Server>().unwrap();
        let variable = |name: &str| match name {
            "HOME" => Some("/home/x".to_owned()),
            "KEY" => Some("secret".to_owned()),
            _ => None,
        };
        let files = server("files").target(variable).unwrap();
        let Target::Command(command) = files else {
            panic!("{files:?}")
        };
        assert_eq!(
            (command.program, command.args),
            ("srv".into(), vec!["--root".into(), "/home/x".into()])
        );
        assert_eq!(command.env, [("K".to_owned(), "secret".to_owned())]);
        let unset = server("files").target(|_| None);
        assert!(unset.unwrap_err().contains("HOME"));
        let near = server("near").target(|_| None);
        assert_eq!(near, Ok(Target::Unix("/run/s".into())));
        let far = server("far").target(variable);
        let Ok(Target::Http(far)) = far else {
            panic!("{far:?}")
        };
        assert_eq!(far.headers[0].1, "Bearer secret");
        assert!(!format!("{far:?}").contains("secret"));
        assert!(server("odd").target(|_| None).is_err());
    }

    #[test]
    fn an_odd_server_is_in_nobodys_way() {
        let text = r#"{"mcpServers": {
            "odd": {"command": ["srv"]}, "none": null, "list": {"command": "srv", "env": {"A": []}},
            "files": {"command": "srv", "args": null, "env": {"PORT": 8080, "N": 1.50, "ON": true, "NO": null}, "url": null}
        }}"#;
        let path = std::env::temp_dir().join(format!("mcp-config-{}.json", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let found = |name| find(name, Some(&path));
        let Ok(Target::Command(command)) = found("files") else {
            panic!("{:?}", found("files"))
        };
        let env = [("N", "1.50"), ("ON", "true"), ("PORT", "8080")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((command.args.len(), command.env), (0, env.to_vec()));
        for (name, reason) in [
            ("odd", "server `odd`: "),
            ("none", "server `none`: "),
            ("list", "server `list`: `A` is no text"),
        ] {
            let failure = found(name).unwrap_err().to_string();
            assert!(failure.contains(reason), "{failure}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_looks_like_a_variable_and_is_none_stays() {
        let none = |_: &str| None;
        assert_eq!(expanded("a $b ${c", none), Ok("a $b ${c".to_owned()));
        assert_eq!(expanded("${a:-b}${c:-}", none), Ok("b".to_owned()));
    }
}
