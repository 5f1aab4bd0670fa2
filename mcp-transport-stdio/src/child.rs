//! Child processes as transports.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio as Pipe};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use mcp_codec::{Joined, LineCodec, framed_split_with};
use mcp_types::{Inbound, Outbound};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use crate::close::Closing;
use crate::stderr::{LastLines, OnLine};
use crate::supervise::{ChildMonitor, Grace, Group, Orders, Supervised, kill_group};

/// How to start a child process that speaks the protocol on its stdin and stdout.
///
/// ```no_run
/// use mcp_transport_stdio::{ChildProcess, Stderr};
///
/// # async fn run() -> Result<(), mcp_transport_stdio::SpawnError> {
/// let transport = ChildProcess::new("npx")
///     .args(["-y", "@modelcontextprotocol/server-everything"])
///     .stderr(Stderr::Capture(20))
///     .spawn()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ChildProcess {
    program: OsString,
    args: Vec<OsString>,
    /// In order; `None` takes a variable away.
    env: Vec<(OsString, Option<OsString>)>,
    inherit_env: bool,
    cwd: Option<PathBuf>,
    stderr: Stderr,
    on_stderr: Option<OnLine>,
    grace: Grace,
    max_length: usize,
    /// The shell that watches over the child, if one is to.
    watchdog: Option<&'static str>,
}

/// What becomes of a child's stderr; none of it ever makes the child wait but a stderr of ours that nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stderr {
    /// It goes where ours goes.
    #[default]
    Inherit,
    /// It is dropped.
    Null,
    /// So many of its last lines are kept, 4 KiB of each at most; all of them go to `tracing` at the level of debugging.
    Capture(usize),
}

/// Why a child process did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program, or none in the child's `PATH`.
    #[error("no program `{program}`")]
    NoProgram {
        /// What was to be started.
        program: String,
    },
    /// There is no such working directory.
    #[error("no directory `{}`", .path.display())]
    NoDirectory {
        /// What was to be the working directory.
        path: PathBuf,
    },
    /// The process that was to watch over the child ([`ChildProcess::die_with_parent`]) did not start, so the child was ended
    /// again; on systems other than Unix there is none.
    #[error("cannot start what watches over `{program}`")]
    NoWatchdog {
        /// What was to be started.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Called outside of a tokio runtime.
    #[error("a child process needs a tokio runtime")]
    NoRuntime,
    /// The system refused.
    #[error("cannot start `{program}`")]
    Refused {
        /// What was to be started.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// What a child may see of our environment unless told otherwise: nothing that could be a secret.
#[cfg(not(windows))]
const INHERITED: &[&str] = &["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];
#[cfg(windows)]
const INHERITED: &[&str] = &[
    "APPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATH",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "USERNAME",
    "USERPROFILE",
];

impl ChildProcess {
    /// A program, by its path or by its name in the child's `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            inherit_env: false,
            cwd: None,
            stderr: Stderr::default(),
            on_stderr: None,
            grace: Grace {
                exit: Duration::from_secs(2),
                terminate: Duration::from_secs(2),
            },
            max_length: LineCodec::MAX_LENGTH,
            watchdog: None,
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().to_owned();
        self.env.push((key.as_ref().to_owned(), Some(value)));
        self
    }

    /// Sets variables of the child's environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        vars.into_iter()
            .fold(self, |this, (key, value)| this.env(key, value))
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), None));
        self
    }

    /// Gives the child all of our environment, not just the variables without which programs do not work.
    pub fn inherit_env(mut self) -> Self {
        self.inherit_env = true;
        self
    }

    /// The child's working directory; ours unless told otherwise.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> Self {
        self.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// What becomes of its stderr.
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Calls back for each line of a captured stderr ([`Stderr::Capture`]), cut at 4 KiB.
    ///
    /// The callback runs within the runtime and should return quickly. If it panics, that is logged, and nothing is lost.
    pub fn on_stderr(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_stderr = Some(Arc::new(callback));
        self
    }

    /// How long the child is given to end: from the closing of the sink, with which it is to read what is queued and then the
    /// end of its stdin, to SIGTERM, and from there to SIGKILL; 2 s each unless told otherwise. Where there is no SIGTERM, both
    /// together.
    pub fn grace(mut self, exit: Duration, terminate: Duration) -> Self {
        self.grace = Grace { exit, terminate };
        self
    }

    /// The longest line that is read, in bytes; 16 MiB unless told otherwise.
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }

    /// Kills the child and its group also if this process is killed, so that it cannot do so itself (Unix only).
    ///
    /// For servers that do not end with their stdin. It takes a second process, a `/bin/sh` that reads from us until we end,
    /// kills the group, and ends with it. The system's own means, a parent-death signal, would not do: it is set up in the child
    /// by unsafe code (or by a program such as `setpriv` in between), comes already when the *thread* ends that started the
    /// child, and spares what the child itself has started.
    pub fn die_with_parent(mut self) -> Self {
        self.watchdog = Some("/bin/sh");
        self
    }

    /// Starts the process, and a task that stays with it until it is gone.
    ///
    /// On Unix the child leads a process group of its own.
    ///
    /// # Errors
    /// [`SpawnError`], by what is missing.
    ///
    /// # Panics
    /// In a tokio runtime without I/O; one without time panics when the child is to end.
    pub fn spawn(&self) -> Result<ChildTransport, SpawnError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(SpawnError::NoRuntime);
        }
        let mut command = self.command();
        command
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .stderr(match self.stderr {
                Stderr::Inherit => Pipe::inherit(),
                Stderr::Null => Pipe::null(),
                Stderr::Capture(_) => Pipe::piped(),
            });
        let mut child = command.spawn().map_err(|e| self.refused(e))?;
        let (Some(id), Some(stdin), Some(stdout)) =
            (child.id(), child.stdin.take(), child.stdout.take())
        else {
            return Err(self.refused(io::ErrorKind::BrokenPipe.into()));
        };
        let group = Group(id);
        let watchdog = match self.watchdog {
            Some(shell) => Some(watchdog(shell, id).map_err(|source| {
                let program = self.program.to_string_lossy().into_owned();
                SpawnError::NoWatchdog { program, source }
            })?),
            None => None,
        };
        let lines = LastLines::default();
        let stderr = match (self.stderr, child.stderr.take()) {
            (Stderr::Capture(keep), Some(stderr)) => Some(tokio::spawn(lines.clone().read(
                stderr,
                keep,
                self.on_stderr.clone(),
            ))),
            _ => None,
        };
        let (orders, monitor) = Supervised {
            program: self.program.to_string_lossy().into_owned(),
            group,
            child,
            stderr,
            lines,
            watchdog,
            grace: self.grace,
        }
        .start();
        let codec = LineCodec::new().with_max_length(self.max_length);
        Ok(ChildTransport {
            io: framed_split_with(stdout, Closing::new(stdin), codec),
            reading: Reading::Open {
                outlived: monitor.end_and(self.grace.exit),
            },
            held: VecDeque::new(),
            held_weight: 0,
            broken: None,
            closed: None,
            closing: false,
            reader: None,
            closer: None,
            orders,
            monitor,
            grace: self.grace,
        })
    }

    /// The process as [`spawn`](Self::spawn) would start it, for whoever wants its bytes and not its messages: with its
    /// environment, its working directory and a group of its own, killed when it is dropped. Its pipes are not set up.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).kill_on_drop(true);
        if !self.inherit_env {
            command.env_clear();
            for key in INHERITED {
                // An exported shell function is code, not a setting.
                if let Some(value) = std::env::var_os(key)
                    && !value.as_encoded_bytes().starts_with(b"()")
                {
                    command.env(key, value);
                }
            }
        }
        for (key, value) in &self.env {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    fn refused(&self, source: io::Error) -> SpawnError {
        let program = self.program.to_string_lossy().into_owned();
        match &self.cwd {
            Some(path) if !path.is_dir() => SpawnError::NoDirectory { path: path.clone() },
            _ if source.kind() == io::ErrorKind::NotFound => SpawnError::NoProgram { program },
            _ => SpawnError::Refused { program, source },
        }
    }
}

impl fmt::Debug for ChildProcess {
    /// Without the values of variables: they hold keys and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.env.iter().map(|(key, _)| key).collect();
        f.debug_struct("ChildProcess")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &keys)
            .field("inherit_env", &self.inherit_env)
            .field("cwd", &self.cwd)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

/// A process that kills the group of the child when our end of its stdin closes, which it does however we end.
#[cfg(unix)]
fn watchdog(shell: &str, id: u32) -> io::Result<Child> {
    Command::new(shell)
        .args(["-c", "read -r _; kill -s KILL -- \"-$1\"", "mcp-watchdog"])
        .arg(id.to_string())
        .env_clear()
        .stdin(Pipe::piped())
        .stdout(Pipe::null())
        .stderr(Pipe::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

#[cfg(not(unix))]
fn watchdog(_: &str, _: u32) -> io::Result<Child> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A child process as a transport: what it writes to stdout comes in, what goes out it reads from stdin.
///
/// If the child goes away without being asked to, stream and sink report an error that tells how ([`Exited`]); then the
/// stream ends. The exit status is known by then.
///
/// Closing the sink writes what is queued, closes the child's stdin and waits for it to end; if it does not, it gets SIGTERM
/// and then SIGKILL (REQ-STDIO-04, [`ChildProcess::grace`]), and what it has not read by then is lost. What the child still
/// says meanwhile is kept for the stream, up to a bound: a child that says much more than that is not to be closed without
/// reading it at the same time.
///
/// When the transport is dropped, the child and its group are killed; nothing is left behind, no zombie either if the runtime
/// goes on.
///
/// [`Exited`]: crate::Exited
pub struct ChildTransport {
    io: Joined<ChildStdout, Closing<ChildStdin>>,
    reading: Reading,
    /// What came in while the sink was being closed.
    held: VecDeque<Inbound>,
    held_weight: usize,
    broken: Option<Broken>,
    /// Waits for the end of the child, in `poll_close`.
    closed: Option<Wait>,
    closing: bool,
    /// Who waits in the stream and who for the close, if they do. These may be two tasks, and one may have gone elsewhere meanwhile.
    reader: Option<Waker>,
    closer: Option<Waker>,
    orders: watch::Sender<Orders>,
    monitor: ChildMonitor,
    grace: Grace,
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What of a child's words is kept while it is being closed, in bytes.
const HELD: usize = 4 << 20;

enum Reading {
    Open {
        /// Resolves when the child is gone and others still hold its stdout open.
        outlived: Wait,
    },
    /// stdout has ended; the child's exit is waited for.
    Ended(Wait),
    Done,
}

/// A child that does not read any more has most likely ended, and how tells more than a broken pipe.
struct Broken {
    exit: Option<Wait>,
}

impl ChildTransport {
    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.monitor.id()
    }

    /// How the child ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.monitor.exit_status()
    }

    /// The last lines of its stderr, if they are captured.
    pub fn stderr_lines(&self) -> Vec<String> {
        self.monitor.stderr_lines()
    }

    /// A view of what becomes of the child, to keep when the transport is handed on.
    pub fn monitor(&self) -> ChildMonitor {
        self.monitor.clone()
    }

    /// Reads, for who waits in the stream and who for the close: what both wait for takes one waker.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Inbound>>> {
        match (&self.reader, &self.closer) {
            (Some(reader), Some(closer)) if !reader.will_wake(closer) => {
                let both = Arc::new(Both(reader.clone(), closer.clone())).into();
                self.poll_reading(&mut Context::from_waker(&both))
            }
            _ => self.poll_reading(cx),
        }
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Inbound>>> {
        loop {
            match &mut self.reading {
                Reading::Open { outlived } => match Pin::new(&mut self.io).poll_next(cx) {
                    Poll::Ready(Some(Ok(item))) => return Poll::Ready(Some(Ok(item))),
                    Poll::Ready(Some(Err(e))) => {
                        self.reading = Reading::Done;
                        return Poll::Ready(Some(Err(e)));
                    }
                    Poll::Ready(None) => {
                        self.orders.send_modify(|orders| orders.ended = true);
                        let terminate = match self.closing {
                            true => self.grace.terminate,
                            false => Duration::ZERO,
                        };
                        let time = self.grace.exit.saturating_add(terminate);
                        self.reading = Reading::Ended(self.monitor.end_within(time));
                    }
                    Poll::Pending => {
                        ready!(outlived.as_mut().poll(cx));
                        return self.ended();
                    }
                },
                Reading::Ended(exit) => {
                    ready!(exit.as_mut().poll(cx));
                    return self.ended();
                }
                Reading::Done => return Poll::Ready(None),
            }
        }
    }

    fn ended(&mut self) -> Poll<Option<io::Result<Inbound>>> {
        self.reading = Reading::Done;
        Poll::Ready((!self.closing).then(|| Err(self.monitor.exited())))
    }

    /// What comes of a write, with the child's exit for a reason if that is one.
    fn explain(
        &mut self,
        done: Poll<io::Result<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match done {
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe && !self.closing => {
                self.broken = Some(Broken {
                    exit: Some(self.monitor.end_within(self.grace.exit)),
                });
                self.poll_broken(cx)
            }
            done => done,
        }
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(broken) = &mut self.broken else {
            return Poll::Ready(Ok(()));
        };
        if let Some(exit) = &mut broken.exit {
            ready!(exit.as_mut().poll(cx));
            broken.exit = None;
        }
        Poll::Ready(Err(match self.monitor.exit_status() {
            Some(_) => self.monitor.exited(),
            None => io::ErrorKind::BrokenPipe.into(),
        }))
    }
}

struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

/// Remembers who waits.
fn remember(waiting: &mut Option<Waker>, cx: &Context<'_>) {
    match waiting {
        Some(waiting) => waiting.clone_from(cx.waker()),
        None => *waiting = Some(cx.waker().clone()),
    }
}

impl Stream for ChildTransport {
    type Item = io::Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = self.held.pop_front() {
            self.held_weight -= item.weight();
            return Poll::Ready(Some(Ok(item)));
        }
        remember(&mut self.reader, cx);
        self.poll_item(cx)
    }
}

impl Sink<Outbound> for ChildTransport {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_broken(cx))?;
        let done = Pin::new(&mut self.io).poll_ready(cx);
        self.explain(done, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> io::Result<()> {
        if self.closing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Pin::new(&mut self.io).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_broken(cx))?;
        let done = Pin::new(&mut self.io).poll_flush(cx);
        self.explain(done, cx)
    }

    /// Resolves when the child has ended; that it ended badly is no error here.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.closing {
            this.closing = true;
            // Before what is queued has been written: it may never be.
            this.orders.send_modify(|orders| orders.closing = true);
        }
        if let Poll::Ready(Err(_)) = Pin::new(&mut this.io).poll_close(cx) {
            this.io.writer_mut().close();
        }
        remember(&mut this.closer, cx);
        // A child that cannot get rid of its last words does not end.
        while this.held_weight < HELD {
            match this.poll_item(cx) {
                Poll::Ready(Some(Ok(item))) => {
                    let item = item.compact();
                    this.held_weight += item.weight();
                    this.held.push_back(item);
                }
                _ => break,
            }
        }
        let closed = this
            .closed
            .get_or_insert_with(|| this.monitor.end_within(Duration::MAX));
        ready!(closed.as_mut().poll(cx));
        this.closed = None;
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChildTransport {
    fn drop(&mut self) {
        // The task would do it too, but the runtime may be ending with us.
        if self.monitor.exit_status().is_none() {
            kill_group(self.monitor.id());
        }
    }
}

impl fmt::Debug for ChildTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildTransport")
            .field("id", &self.id())
            .field("exit_status", &self.exit_status())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use futures::SinkExt;
    use mcp_types::{Malformed, RequestId};

    use super::*;

    #[tokio::test]
    async fn of_last_words_so_much_is_kept_however_they_are_said() {
        let line = r#"{\"id\":\"$x\",\"method\":5}"#;
        let script = format!(
            "x=$(head -c 1048576 /dev/zero | tr '\\0' x); read -r _; for i in 1 2 3 4 5 6 7 8; do echo \"{line}\"; done"
        );
        let child = ChildProcess::new("/bin/sh").args(["-c", &script]);
        let mut child = child.spawn().unwrap();
        child.close().await.unwrap();
        let kept = child.held.iter().map(|item| match item {
            Inbound::Malformed(Malformed {
                id: Some(RequestId::String(id)),
                ..
            }) => id.len(),
            other => panic!("{other:?}"),
        });
        assert!(kept.sum::<usize>() <= HELD + (1 << 20));
    }

    #[tokio::test]
    async fn a_child_that_nobody_can_watch_over_is_not_left_alone() {
        let file = std::env::temp_dir().join(format!("mcp-unwatched-{}", std::process::id()));
        let script = format!(
            "echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000",
            file.display()
        );
        let mut child = ChildProcess::new("/bin/sh").args(["-c", &script]);
        child.watchdog = Some("/no/such/shell");
        let error = child.spawn().unwrap_err();
        assert!(matches!(error, SpawnError::NoWatchdog { .. }), "{error}");
        // It may not have come as far as to say who it is; if it has, it is gone by now, or soon.
        if let Ok(pid) = std::fs::read_to_string(&file) {
            let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
            while rustix::process::test_kill_process(pid).is_ok() {
                tokio::task::yield_now().await;
            }
        }
        let _ = std::fs::remove_file(&file);
    }
}
