//! What all commands that talk to a server have in common: how it is reached, what is told meanwhile, how it ends.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use mcp_client::types::{LogLevel, ObjectBuf, Progress, RawJson, Request, Root};
use mcp_client::{CallOptions, Client, ClientBuilder, Limits, RequestError};
use mcp_codec::LineCodec;
use mcp_peer::tap;
use mcp_transport_stdio::{ChildMonitor, shutdown_signal};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::answer::{Answering, Answers};
use crate::cli::{Era, Wire, log_level, seconds};
use crate::exit::{Failure, INTERRUPTED};
use crate::render::{Event, Human, Json, Lines, Screen, Stdout, writing, written};
use crate::target::{Boxed, Broken, Command, OnStderr, Opened, Target};
use crate::wire::Observer;

/// Which server, and in what surroundings it runs if it is started.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Reach {
    /// The configuration file that names servers, in the format of MCP hosts: {"mcpServers": {…}}
    ///
    /// Unless told otherwise MCP_CONFIG says where it is, or it is .mcp.json in this directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set a variable of the server's environment, of which it sees only PATH, HOME and the like
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,

    /// Give the server all of this environment
    #[arg(long)]
    inherit_env: bool,

    /// The server's working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Send this along to a server of the web, as in 'Authorization: Bearer …'
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Show what the server writes to its stderr (not for `doctor`); without it the last lines are shown if the server fails
    #[arg(long)]
    pub(crate) stderr: bool,

    /// Start this server and speak to it over stdin and stdout
    #[arg(last = true, value_name = "COMMAND", help_heading = "Arguments")]
    command: Vec<OsString>,
}

/// How a server is reached and talked to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) reach: Reach,

    /// The era to connect in; `auto` finds out what the server speaks
    #[arg(long, value_enum, default_value_t = Era::Auto)]
    pub(crate) era: Era,

    /// How long to wait for an answer without hearing of progress
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Which log messages are wanted: those of this level and worse
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level())]
    pub(crate) log_level: LogLevel,

    /// A directory, or its file:// URI, that the server may ask for as a root
    #[arg(long, value_name = "DIR", value_parser = root)]
    pub(crate) root: Vec<Root>,

    /// Show every message: → sent, ← received, with the time since the start
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "short")]
    pub(crate) wire: Option<Wire>,

    /// Print the result as JSON; what happens meanwhile goes to stderr, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) answers: Answers,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Reach {
    /// What to talk to: the command behind `--`, or else the first of the words, which it takes.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there is neither, or the word is no target.
    pub(crate) fn target(&self, words: &mut Vec<String>) -> Result<Target, Failure> {
        if let [program, args @ ..] = &*self.command {
            return Ok(self.adjusted(Target::Command(Command {
                program: program.clone(),
                args: args.to_vec(),
                ..Command::default()
            })));
        }
        if words.is_empty() {
            let usage = "what to talk to is missing: an address (unix:/path, tcp://host:port, ws://…, http://…), a server of a \
                         configuration file, or `-- COMMAND` to start one";
            return Err(Failure::Usage(usage.to_owned()));
        }
        let mut target = Target::parse(&words.remove(0), self.config.as_deref())?;
        if let Target::Ws(url) | Target::Http(url) = &mut target {
            for header in &self.header {
                let wrong = |reason: &str| Failure::Usage(format!("--header {reason}"));
                let (name, value) = header
                    .split_once(':')
                    .ok_or_else(|| wrong("is of the form 'Name: value'"))?;
                url.header(name, value).map_err(|e| wrong(&e))?;
            }
        }
        Ok(self.adjusted(target))
    }

    fn adjusted(&self, mut target: Target) -> Target {
        if let Target::Command(command) = &mut target {
            command.env.extend(self.env.iter().cloned());
            command.inherit_env |= self.inherit_env;
            command.cwd = self.cwd.clone().or(command.cwd.take());
        }
        target
    }

    /// What is done with what the server writes to its stderr.
    pub(crate) fn on_stderr(&self, screen: &Screen) -> Option<OnStderr> {
        let screen = screen.clone();
        self.stderr
            .then(|| Arc::new(move |line: &str| screen.show(&Event::Stderr { line })) as OnStderr)
    }
}

impl Connect {
    /// What to talk to: see [`Reach::target`].
    ///
    /// # Errors
    /// [`Failure::Usage`]
    pub(crate) fn target(&self, words: &mut Vec<String>) -> Result<Target, Failure> {
        self.reach.target(words)
    }

    /// Where events are told while a result is waited for: on stderr, as stdout is for results.
    pub(crate) fn screen(&self) -> Screen {
        let wire = self.wire.unwrap_or(Wire::Short);
        match self.json {
            true => Screen::new(Json::new(std::io::stderr())),
            false => Screen::new(Human::stderr(wire)),
        }
    }

    /// Where events are told that are themselves the result.
    pub(crate) fn screen_of_results(&self) -> Screen {
        let wire = self.wire.unwrap_or(Wire::Short);
        match self.json {
            true => Screen::new(Json::new(Stdout::new())),
            false => Screen::new(Human::stdout(wire)),
        }
    }

    /// Connects, does something, and closes; Ctrl-C cancels what is under way, then closes.
    ///
    /// # Errors
    /// [`Failure`], with its exit code.
    pub(crate) async fn with<T>(
        &self,
        target: &Target,
        screen: Screen,
        work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let interruptible = async |session: &Session| {
            tokio::select! {
                outcome = work(session) => outcome,
                // The work is dropped, which cancels its request on the wire.
                () = interrupted() => Err(Failure::Interrupted),
            }
        };
        let prepare = |builder| others(logs(builder, &screen), &screen);
        self.with_ctrl_c(target, screen.clone(), prepare, interruptible)
            .await
    }

    /// The same, where Ctrl-C is the work's own matter once there is a connection, and so is what the server says by itself.
    ///
    /// # Errors
    /// [`Failure`], with its exit code.
    pub(crate) async fn with_ctrl_c<T>(
        &self,
        target: &Target,
        screen: Screen,
        prepare: impl FnOnce(ClientBuilder) -> ClientBuilder,
        work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let opening = async {
            let opened = target
                .open(self.reach.on_stderr(&screen), LineCodec::MAX_LENGTH)
                .await?;
            self.session(opened, screen.clone(), prepare).await
        };
        let session = tokio::select! {
            session = opening => session.inspect_err(|failure| {
                if let Some(text) = path_hint(target, failure) {
                    screen.show(&Event::Note { text });
                }
            })?,
            () = interrupted() => return Err(Failure::Interrupted),
        };
        let outcome = work(&session).await;
        screen.end();
        if let Err(Failure::Protocol(said) | Failure::Tool(said)) = &outcome {
            let hints = self.hints(said);
            hints.for_each(|text| screen.show(&Event::Note { text }));
        }
        session.close().await;
        outcome
    }

    /// What to do where a server says that it may not ask something: what nobody can answer is not declared.
    fn hints(&self, said: &str) -> impl Iterator<Item = &'static str> {
        let (answers, said, interactive) = (&self.answers, said.to_lowercase(), interactive());
        let lacks = said.contains("capabilit") || said.contains("support");
        let model = answers.llm_url.is_some() || answers.llm_command.is_some();
        [
            (
                "elicitation",
                interactive || !answers.answer.is_empty(),
                "a server's questions to the user are answered on a terminal, or by --answer KEY=VALUE",
            ),
            (
                "sampling",
                interactive || model,
                "a server's questions to a model are answered on a terminal, or by --llm-url or --llm-command with --yes",
            ),
            (
                "roots",
                !self.root.is_empty(),
                "a server is told of directories by --root DIR",
            ),
        ]
        .into_iter()
        .filter(move |(word, declared, _)| lacks && !declared && said.contains(word))
        .map(|(_, _, hint)| hint)
    }

    async fn session(
        &self,
        opened: Opened,
        screen: Screen,
        prepare: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Session, Failure> {
        let Opened { transport, child } = opened;
        let mut limits = Limits::default();
        limits.request_timeout = self.timeout;
        limits.handshake_timeout = limits.handshake_timeout.min(self.timeout);
        limits.probe_timeout = limits.probe_timeout.min(self.timeout);
        let progress = screen.clone();
        let builder = Client::builder("mcp-cli", env!("CARGO_PKG_VERSION"))
            .era(self.era)
            .limits(limits)
            .log_level(self.log_level)
            // Whatever a server says of its own is shown.
            .with_notifications()
            .on_notification::<Progress>(move |params| progress.show(&Event::from(&params)));
        let builder = match &*self.root {
            [] => builder,
            roots => builder.roots(roots.iter().cloned()),
        };
        let answering = Answering::new(self.answers.clone(), screen.clone())?;
        let builder = prepare(answering.declare(builder));
        let client = match self.wire {
            None => builder.connect(transport).await?,
            Some(_) => builder.connect(shown(transport, screen)).await?,
        };
        Ok(Session {
            client,
            child,
            timeout: self.timeout,
        })
    }
}

/// What to do where a web server has nothing at an address: it may be that of the machine alone.
fn path_hint(target: &Target, failure: &Failure) -> Option<&'static str> {
    let (Target::Http(url) | Target::Ws(url), Failure::Connect(said)) = (target, failure) else {
        return None;
    };
    let (_, place) = url.url.split_once("://")?;
    let bare = !place.trim_end_matches('/').contains(['/', '?']);
    // It is there, and wants nothing of this.
    let refused = ["refused: ", "the server refused with "];
    (bare && refused.iter().any(|start| said.starts_with(start)))
        .then_some("an address has a path, too: most often /mcp, or /sse where a server is old")
}

/// Shows what the server logs.
pub(crate) fn logs(builder: ClientBuilder, screen: &Screen) -> ClientBuilder {
    let screen = screen.clone();
    builder.on_log(move |params| screen.show(&Event::Log(&params)))
}

/// Shows notifications that nothing else is registered for.
pub(crate) fn others(builder: ClientBuilder, screen: &Screen) -> ClientBuilder {
    let screen = screen.clone();
    builder.on_other_notification(move |notification| {
        screen.show(&Event::Notification {
            method: &notification.method,
            params: notification.params.clone().unwrap_or(RawJson::NULL),
        });
    })
}

/// The transport with its messages shown.
fn shown(transport: Boxed, screen: Screen) -> impl mcp_peer::Transport<TransportError = Broken> {
    let observer = Mutex::new(Observer::default());
    tap(transport, move |direction, message| {
        let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &observer.see(direction, message);
        screen.show(&Event::Wire {
            direction,
            name,
            message,
        });
    })
}

/// A directory as a root; what is a URI stays as it is, and has to be that of a file (REQ-ROOT-01).
fn root(dir: &str) -> Result<Root, String> {
    if dir.contains("://") {
        let root = Root::new(dir);
        let wrong = "a root is a directory, or its file:// URI";
        return root.is_file().then_some(root).ok_or(wrong.to_owned());
    }
    let path = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
    let path = path.to_string_lossy().replace('\\', "/");
    let lead = if path.starts_with('/') { "" } else { "/" };
    let escaped = path
        .replace('%', "%25")
        .replace(' ', "%20")
        .replace('#', "%23")
        .replace('?', "%3F");
    Ok(Root::new(format!("file://{lead}{escaped}")))
}

/// An open connection.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) child: Option<ChildMonitor>,
    timeout: Duration,
}

impl Session {
    /// Makes a request, with progress; what comes back is both as it was sent and decoded.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn request<M: Request>(
        &self,
        params: &(impl Serialize + ?Sized),
    ) -> Result<(RawJson, M::Result), RequestError> {
        let params: ObjectBuf = mcp_peer::encode_params(M::METHOD, params)?;
        let mut options = CallOptions::default();
        // What comes is shown by the callback of the connection, in its place among the logs.
        options.progress = true;
        options.reset_on_progress = true;
        options.timeout = Some(self.timeout);
        let peer = self.client.peer();
        let raw = peer
            .request_raw(M::METHOD.into(), params, options, drop)
            .await?;
        let result = mcp_peer::decode_result(M::METHOD, &raw)?;
        Ok((raw, result))
    }

    /// Closes gracefully; a second Ctrl-C does not wait for that.
    async fn close(self) {
        let closing = async {
            self.client.close().await;
            if let Some(mut child) = self.child {
                child.wait().await;
            }
        };
        tokio::select! {
            () = closing => {}
            () = interrupted() => {}
        }
    }
}

/// Prints a result to stdout; that it could not is told when all else has ended.
pub(crate) fn print(text: &str) {
    Lines::new(Stdout::new()).write(text);
}

/// Whether a person can be asked: there is somebody at both ends.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Waits for Ctrl-C; for ever where the system has no such thing. One that came when nobody waited, and that nobody has heard
/// of, counts.
pub(crate) async fn interrupted() {
    static SIGNALS: LazyLock<watch::Receiver<u64>> = LazyLock::new(signals);
    static HEARD: AtomicU64 = AtomicU64::new(0);
    let heard = HEARD.load(Ordering::Relaxed);
    match SIGNALS.clone().wait_for(|came| *came > heard).await {
        Ok(came) => drop(HEARD.fetch_max(*came, Ordering::Relaxed)),
        // Nobody listens, so that they end the program by themselves.
        Err(_) => std::future::pending().await,
    }
}

/// Counts the signals that ask the program to end, from now on.
fn signals() -> watch::Receiver<u64> {
    let (came, signals) = watch::channel(0);
    let (ready, listening) = std::sync::mpsc::channel();
    // It fails if there are no more threads, and then the other end of `listening` is gone.
    let _ = std::thread::Builder::new().spawn(move || listen(&came, &ready));
    let _ = listening.recv();
    signals
}

/// How long what is being written may take once the program is to end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Listens in a thread of its own: the one that runs all else may wait for a reader that reads nothing, and then this is what
/// ends the program.
fn listen(
    came: &watch::Sender<u64>,
    ready: &std::sync::mpsc::Sender<()>,
) -> Result<(), std::io::Error> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(async {
        loop {
            // In this order: it listens from the first poll on.
            let (asked, _) = tokio::join!(biased; shutdown_signal(), async { ready.send(()) });
            asked?;
            came.send_modify(|came| *came += 1);
            tokio::spawn(async {
                if stuck().await {
                    std::process::exit(INTERRUPTED.into());
                }
            });
        }
    })
}

/// Whether a write does not end: a program that writes one thing after the other has heard of the signal, and may have reasons
/// to go on.
async fn stuck() -> bool {
    let before = written();
    sleep(LAST_WORDS).await;
    writing() && written() == before
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::pin::pin;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use futures::FutureExt;

    use super::*;

    /// Who reads when told to.
    struct Slow {
        begun: Sender<()>,
        read: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // The test may have failed.
            let _ = self.begun.send(());
            let _ = self.read.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_one_thing_after_the_other_is_not_stuck() {
        let ((begun, begins), (reads, read)) = (channel(), channel());
        let writing_both = std::thread::spawn(|| {
            let mut lines = Lines::new(Slow { begun, read });
            lines.write("one");
            lines.write("other");
        });
        begins.recv().unwrap();
        let mut stuck = pin!(stuck());
        assert!((&mut stuck).now_or_never().is_none());
        reads.send(()).unwrap();
        begins.recv().unwrap();
        assert!(writing() && !stuck.await);
        reads.send(()).unwrap();
        writing_both.join().unwrap();
    }
}
