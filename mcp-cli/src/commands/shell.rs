//! `mcp shell`: a server, talked to line by line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mcp_client::types::{
    Complete, CompleteParams, CompletionRef, ReadResource, ReadResourceParams, SubscriptionFilter,
};
use mcp_client::{Client, Subscription};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::{call, prompt, texts};
use crate::arguments;
use crate::connect::{Connect, Session, interrupted, print};
use crate::exit::Failure;
use crate::render::{Contents, Saving, Screen, printable, table};

const HELP: &str = "\
Lines:
  TOOL [KEY=VALUE]...           call a tool
  read URI                      read a resource
  prompt NAME [KEY=VALUE]...    get a prompt
  list                          what there is
  watch URI, unwatch URI        hear of its changes
  help, exit

Words are quoted as in a shell. Tab completes names and arguments, those of prompts and templates by what the server
suggests. Ctrl-C cancels a call, Ctrl-D ends it all. Where stdin is no terminal its lines are run one after the other,
and the first that fails ends it with its exit code.";

/// Talks to a server line by line, with completion
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp shell [OPTIONS] TARGET\n       mcp shell [OPTIONS] -- COMMAND [ARG]...")]
pub(crate) struct Shell {
    /// An address (unix:/path, tcp://host:port), or a server of the configuration file
    #[arg(value_name = "TARGET", num_args = 0..)]
    words: Vec<String>,

    /// Where images and other files are saved
    #[arg(long, value_name = "DIR", default_value = ".")]
    save: PathBuf,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Shell) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    super::no_more(&args.words)?;
    let screen = connect.screen();
    connect
        .with_ctrl_c(
            &target,
            screen.clone(),
            |builder| builder,
            async |session| {
                let mut shell = Running {
                    session,
                    screen,
                    json: connect.json,
                    save: args.save.clone(),
                    watched: BTreeMap::new(),
                };
                shell.run().await
            },
        )
        .await
}

struct Running<'a> {
    session: &'a Session,
    screen: Screen,
    json: bool,
    save: PathBuf,
    watched: BTreeMap<String, Subscription>,
}

/// A line, and the wish to know when it has been dealt with.
type Line = (String, oneshot::Sender<()>);

impl Running<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let interactive = crate::connect::interactive();
        let (send, mut lines) = mpsc::channel::<Line>(1);
        let completion = Completion {
            offers: Offers::of(&self.session.client).await,
            client: self.session.client.clone(),
            runtime: Handle::current(),
        };
        // It waits for keys, which a task must not.
        std::thread::spawn(move || match interactive {
            true => edit(completion, &send),
            false => read(&send),
        });
        while let Some((line, done)) = lines.recv().await {
            let outcome = tokio::select! {
                outcome = self.line(&line) => outcome,
                () = interrupted(), if interactive => Err(Failure::Interrupted),
            };
            self.screen.end();
            match outcome {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) if !interactive => return Err(failure),
                Err(Failure::Tool(_)) => {}
                Err(failure) => eprintln!("{failure}"),
            }
            if self.session.client.peer().is_closed() {
                return Err(Failure::Protocol("the connection is gone".to_owned()));
            }
            // The editor may be gone.
            let _ = done.send(());
        }
        Ok(())
    }

    /// Does what a line says; `false` if that is the end.
    async fn line(&mut self, line: &str) -> Result<bool, Failure> {
        let words = shell_words::split(line).map_err(|e| Failure::Usage(e.to_string()))?;
        let Some((first, rest)) = words.split_first() else {
            return Ok(true);
        };
        match (first.as_str(), rest) {
            ("exit" | "quit", []) => return Ok(false),
            ("help", []) => print(&format!("{HELP}\n")),
            ("list", []) => self.list().await,
            ("read", [uri]) => self.read(uri).await?,
            ("prompt", [name, arguments @ ..]) => {
                let (given, saving) = (texts(arguments)?, Saving::new(&self.save, name));
                prompt::show(self.session, &self.screen, name, given, self.json, saving).await?;
            }
            ("watch", [uri]) => {
                let filter = SubscriptionFilter::new().resource(uri);
                let subscription = self.session.client.subscribe(filter).await?;
                self.watched.insert(uri.clone(), subscription);
            }
            ("unwatch", [uri]) => match self.watched.remove(uri) {
                Some(subscription) => subscription.end().await?,
                None => return Err(Failure::Usage(format!("{uri} is not watched"))),
            },
            (tool, arguments) => {
                let words = arguments::words(arguments)?;
                let arguments = call::by_schema(self.session, &self.screen, tool, words).await?;
                let saving = Saving::new(&self.save, tool);
                call::call(
                    self.session,
                    &self.screen,
                    tool,
                    arguments,
                    self.json,
                    saving,
                )
                .await?;
            }
        }
        Ok(true)
    }

    async fn list(&self) {
        let offers = Offers::of(&self.session.client).await;
        let rows = |kind: &str, names: Vec<&String>| -> Vec<[String; 2]> {
            names
                .into_iter()
                .map(|name| [kind.to_owned(), name.clone()])
                .collect()
        };
        let mut all = rows("tool", offers.tools.keys().collect());
        all.extend(rows("prompt", offers.prompts.keys().collect()));
        all.extend(rows("resource", offers.resources.iter().collect()));
        all.extend(rows("template", offers.templates.iter().collect()));
        print(&table(&all, None));
    }

    async fn read(&self, uri: &str) -> Result<(), Failure> {
        let params = ReadResourceParams::new(uri);
        let (raw, result) = self.session.request::<ReadResource>(&params).await?;
        if self.json {
            print(&call::one_line(&raw));
            return Ok(());
        }
        let stem = uri.rsplit('/').next().unwrap_or(uri);
        let mut contents = Contents::stdout(Saving::new(&self.save, stem));
        for resource in &result.contents {
            print(&contents.resource(resource));
        }
        Ok(())
    }
}

/// Sends the lines of stdin.
fn read(send: &mpsc::Sender<Line>) {
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        if !pass(line, send) {
            return;
        }
    }
}

/// Sends the lines that a person types.
fn edit(completion: Completion, send: &mpsc::Sender<Line>) {
    let config = Config::builder()
        .completion_type(rustyline::CompletionType::List)
        .build();
    let Ok(mut editor) = Editor::<Completion, _>::with_config(config) else {
        return;
    };
    editor.set_helper(Some(completion));
    loop {
        match editor.readline("mcp> ") {
            Ok(line) => {
                // A line that is not kept can be typed again.
                let _ = editor.add_history_entry(line.as_str());
                if !pass(line, send) {
                    return;
                }
            }
            // What was typed is thrown away, as in a shell.
            Err(ReadlineError::Interrupted) => {}
            Err(_) => return,
        }
    }
}

/// Hands a line over and waits until it has been dealt with; `false` if nobody does any more.
fn pass(line: String, send: &mpsc::Sender<Line>) -> bool {
    let (done, wait) = oneshot::channel();
    send.blocking_send((line, done)).is_ok() && wait.blocking_recv().is_ok()
}

/// What can be completed.
#[derive(Debug, Default)]
struct Offers {
    /// Names of tools, with those of their arguments and the values these may have.
    tools: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    prompts: BTreeMap<String, Vec<String>>,
    resources: Vec<String>,
    templates: Vec<String>,
}

impl Offers {
    /// What a server has; a list that cannot be had is empty.
    async fn of(client: &Client) -> Self {
        let server = client.server();
        let has = &server.capabilities;
        let mut offers = Self::default();
        if has.tools.is_some() {
            let tools = client.list_tools().await.unwrap_or_default();
            for tool in tools {
                let schema: Value = tool.input_schema.decode().unwrap_or_default();
                let names = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flat_map(|p| p.keys());
                let arguments =
                    names.map(|name| (name.clone(), values(arguments::property(&schema, name))));
                offers.tools.insert(tool.name, arguments.collect());
            }
        }
        if has.prompts.is_some() {
            let prompts = client.list_prompts().await.unwrap_or_default();
            for prompt in prompts {
                let arguments = prompt.arguments.unwrap_or_default();
                offers
                    .prompts
                    .insert(prompt.name, arguments.into_iter().map(|a| a.name).collect());
            }
        }
        if has.resources.is_some() {
            let resources = client.list_resources().await.unwrap_or_default();
            offers.resources = resources.into_iter().map(|resource| resource.uri).collect();
            let templates = client.list_resource_templates().await.unwrap_or_default();
            offers.templates = templates
                .into_iter()
                .map(|template| template.uri_template)
                .collect();
        }
        offers
    }

    /// What could stand in the place of the last word, and what is to be asked of the server besides.
    fn candidates(&self, words: &[&str], last: &str) -> (Vec<String>, Option<Question>) {
        let starting = |names: Vec<String>| {
            names
                .into_iter()
                .filter(|name| name.starts_with(last))
                .collect()
        };
        match (words, last.split_once('=')) {
            ([], _) => {
                let builtin = [
                    "read ", "prompt ", "list", "watch ", "unwatch ", "help", "exit",
                ];
                let tools = self.tools.keys().map(|name| format!("{name} "));
                (
                    starting(tools.chain(builtin.map(str::to_owned)).collect()),
                    None,
                )
            }
            (["read" | "watch" | "unwatch"], _) => {
                let uris = self.resources.iter().cloned();
                let starts = self
                    .templates
                    .iter()
                    .filter_map(|template| template.split('{').next());
                (
                    starting(uris.chain(starts.map(str::to_owned)).collect()),
                    None,
                )
            }
            (["prompt"], _) => (
                starting(self.prompts.keys().map(|name| format!("{name} ")).collect()),
                None,
            ),
            (["prompt", name, given @ ..], None) => {
                let names = self.prompts.get(*name).into_iter().flatten();
                (
                    starting(
                        names
                            .filter(|name| fresh(name, given))
                            .map(|name| format!("{name}="))
                            .collect(),
                    ),
                    None,
                )
            }
            (["prompt", name, given @ ..], Some((argument, prefix))) => {
                let params = CompleteParams::new(CompletionRef::prompt(*name), argument, prefix);
                let others = given.iter().filter_map(|word| word.split_once('='));
                let params = others.fold(params, |params, (key, value)| params.context(key, value));
                (
                    Vec::new(),
                    Some(Question {
                        argument: argument.to_owned(),
                        params,
                    }),
                )
            }
            ([tool, given @ ..], None) => {
                let names = self
                    .tools
                    .get(*tool)
                    .into_iter()
                    .flat_map(|arguments| arguments.keys());
                (
                    starting(
                        names
                            .filter(|name| fresh(name, given))
                            .map(|name| format!("{name}="))
                            .collect(),
                    ),
                    None,
                )
            }
            ([tool, ..], Some((argument, _))) => {
                let values = self
                    .tools
                    .get(*tool)
                    .and_then(|arguments| arguments.get(argument));
                let values = values.into_iter().flatten();
                (
                    starting(values.map(|value| format!("{argument}={value} ")).collect()),
                    None,
                )
            }
        }
    }
}

/// The values that a schema names.
fn values(schema: &Value) -> Vec<String> {
    if schema["type"] == "boolean" {
        return vec!["true".to_owned(), "false".to_owned()];
    }
    let values = schema["enum"].as_array().into_iter().flatten();
    values
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect()
}

fn fresh(name: &str, given: &[&str]) -> bool {
    !given
        .iter()
        .any(|word| word.split('=').next() == Some(name))
}

/// What the server is asked for when an argument is to be completed.
struct Question {
    argument: String,
    params: CompleteParams,
}

/// How long a person waits for a suggestion.
const PATIENCE: Duration = Duration::from_secs(3);

/// Completes, and does nothing else that an editor could do.
struct Completion {
    offers: Offers,
    client: Client,
    runtime: Handle,
}

impl Completion {
    /// Asks the server; without an answer in time there is none.
    fn suggested(&self, question: Question) -> Vec<String> {
        let client = self.client.clone();
        let Question { argument, params } = question;
        let (send, receive) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let asked = client.request::<Complete>(&params).timeout(PATIENCE).await;
            // The editor has given up by now, or it has not.
            let _ = send.send(
                asked
                    .map(|result| result.completion.values)
                    .unwrap_or_default(),
            );
        });
        let values = receive.recv_timeout(PATIENCE).unwrap_or_default();
        let values = values
            .iter()
            .map(|value| shell_words::quote(value).into_owned());
        values
            .map(|value| format!("{argument}={} ", printable(&value)))
            .collect()
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Validator for Completion {}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..pos];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let words: Vec<&str> = before[..start].split_whitespace().collect();
        let (mut candidates, question) = self.offers.candidates(&words, &before[start..]);
        if let Some(question) = question {
            candidates = self.suggested(question);
        }
        let pairs = candidates.into_iter().map(|candidate| Pair {
            display: printable(candidate.trim_end()),
            replacement: candidate,
        });
        Ok((start, pairs.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arguments_are_completed() {
        let mut offers = Offers::default();
        let arguments = [
            (
                "unit".to_owned(),
                vec!["metre".to_owned(), "mile".to_owned()],
            ),
            ("n".to_owned(), vec![]),
        ];
        offers.tools.insert("measure".to_owned(), arguments.into());
        offers.tools.insert("mend".to_owned(), BTreeMap::new());
        offers
            .prompts
            .insert("poem".to_owned(), vec!["about".to_owned()]);
        offers.resources.push("file:///a".to_owned());
        offers.templates.push("db:///{id}/x".to_owned());
        for (words, last, expected) in [
            (&[][..], "me", &["measure ", "mend "][..]),
            (&[], "re", &["read "]),
            (&["measure"], "", &["n=", "unit="]),
            (&["measure", "n=1"], "", &["unit="]),
            (&["measure"], "unit=m", &["unit=metre ", "unit=mile "]),
            (&["measure"], "unit=mi", &["unit=mile "]),
            (&["read"], "", &["file:///a", "db:///"]),
            (&["prompt"], "", &["poem "]),
            (&["prompt", "poem"], "a", &["about="]),
            (&["unknown"], "a", &[]),
        ] {
            let (found, question) = offers.candidates(words, last);
            assert_eq!(found, expected, "{words:?} {last}");
            assert!(question.is_none());
        }
        let (_, question) = offers.candidates(&["prompt", "poem", "x=y"], "about=se");
        let params = serde_json::to_value(question.unwrap().params).unwrap();
        assert_eq!(
            params["argument"],
            serde_json::json!({ "name": "about", "value": "se" })
        );
        assert_eq!(params["context"]["arguments"]["x"], "y");
    }
}
