//! `mcp shell`: a server, talked to line by line.

mod completion;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use mcp_client::Subscription;
use mcp_client::types::{ReadResource, ReadResourceParams, SubscriptionFilter};
use rustyline::error::ReadlineError;
use rustyline::{Config, Editor};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::{call, prompt, texts};
use crate::arguments;
use crate::connect::{self, Connect, Session, interrupted, print};
use crate::exit::Failure;
use crate::keyboard;
use crate::render::{Contents, Saving, Screen, Stdout, table, tell};

use completion::{Completion, Offers};

const HELP: &str = "\
Lines:
  TOOL [KEY=VALUE]...           call a tool; `call TOOL` does so, too, whatever its name
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
    /// An address (unix:/path, tcp://, ws://, http://), or a server of the configuration file
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
            |builder| connect::others(connect::logs(builder, &screen), &screen),
            async |session| {
                let mut shell = Running {
                    session,
                    screen: screen.clone(),
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
        let offers = tokio::select! {
            offers = Offers::of(&self.session.client) => offers,
            () = interrupted() => return Err(Failure::Interrupted),
        };
        let completion = Completion {
            offers,
            client: self.session.client.clone(),
            runtime: Handle::current(),
        };
        // It waits for keys, which a task must not.
        std::thread::spawn(move || match interactive {
            true => edit(completion, &send),
            false => read(&send),
        });
        loop {
            let next = tokio::select! {
                next = lines.recv() => next,
                () = interrupted() => return Err(Failure::Interrupted),
            };
            let Some((line, done)) = next else {
                return Ok(());
            };
            let outcome = tokio::select! {
                outcome = self.line(&line) => outcome,
                () = interrupted() => Err(Failure::Interrupted),
            };
            self.screen.end();
            match outcome {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) if !interactive => return Err(failure),
                Err(Failure::Tool(_)) => {}
                Err(failure) => tell(&failure.to_string()),
            }
            if Stdout::ended().is_some() {
                return Ok(());
            }
            if self.session.client.peer().is_closed() {
                return Err(Failure::Protocol("the connection is gone".to_owned()));
            }
            // The editor may be gone.
            let _ = done.send(());
        }
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
            ("call", [tool, arguments @ ..]) => self.call(tool, arguments).await?,
            (tool, arguments) => self.call(tool, arguments).await?,
        }
        Ok(true)
    }

    async fn call(&self, tool: &str, arguments: &[String]) -> Result<(), Failure> {
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
        .await
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
        match keyboard::line(|| editor.readline("mcp> ")) {
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
