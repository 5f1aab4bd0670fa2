//! The task that stays with a child process until it is gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::stderr::LastLines;

/// How long a child is given to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    /// From the order to end, behind which what is queued is written and its stdin closed, to SIGTERM.
    pub(crate) exit: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) terminate: Duration,
}

/// How long the end of stderr is waited for when the process is gone; others may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the transport wants; when it is dropped, that is the order to kill.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    /// The child's stdin is closed or about to be: it shall end.
    pub(crate) closing: bool,
    /// The child's stdout has ended: nobody waits for what its children might add.
    pub(crate) ended: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    status: Option<ExitStatus>,
    /// Its last words are in, too.
    done: bool,
}

/// What becomes of a child process, for those who do not hold its transport.
#[derive(Debug, Clone)]
pub struct ChildMonitor {
    program: String,
    id: u32,
    state: watch::Receiver<State>,
    lines: LastLines,
}

impl ChildMonitor {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How the process ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.state.borrow().status
    }

    /// The last lines of its stderr so far, if they are captured.
    pub fn stderr_lines(&self) -> Vec<String> {
        self.lines.to_vec()
    }

    /// Waits until the process has ended and its stderr has been read; `None` if the runtime ends first.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&mut self) -> Option<ExitStatus> {
        // An error says that the task is gone; then the state stays as it is.
        let _ = self.state.wait_for(|state| state.done).await;
        self.exit_status()
    }

    pub(crate) fn exited(&self) -> io::Error {
        let exited = Exited {
            program: self.program.clone(),
            status: self.exit_status(),
            stderr: self.stderr_lines(),
        };
        io::Error::new(io::ErrorKind::UnexpectedEof, exited)
    }

    /// Resolves when all is known about the end, or after a time.
    pub(crate) fn end_within(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut monitor = self.clone();
        Box::pin(async move {
            // What is known then is asked for elsewhere.
            let _ = timeout(time, monitor.wait()).await;
        })
    }

    /// Resolves when all is known about the end, and a time has passed since.
    pub(crate) fn end_and(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut monitor = self.clone();
        Box::pin(async move {
            monitor.wait().await;
            sleep(time).await;
        })
    }
}

/// A child process that went away without being asked; found in an [`io::Error`] by [`Exited::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// What was started.
    pub program: String,
    /// How it ended; `None` if it closed its stdout and runs on.
    pub status: Option<ExitStatus>,
    /// The last lines of its stderr, if they were captured.
    pub stderr: Vec<String>,
}

impl Exited {
    /// The exit that an error of a [`ChildTransport`](crate::ChildTransport) tells of, if it does.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl std::error::Error for Exited {}

impl std::fmt::Display for Exited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Some(status) => write!(f, "`{}` ended by itself, {status}", self.program)?,
            None => write!(f, "`{}` closed its stdout and runs on", self.program)?,
        }
        if !self.stderr.is_empty() {
            write!(f, "; it said: {}", self.stderr.join("\n"))?;
        }
        Ok(())
    }
}

/// A child process with what belongs to it.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) program: String,
    pub(crate) group: Group,
    pub(crate) child: Child,
    /// The task that reads stderr into `lines`.
    pub(crate) stderr: Option<JoinHandle<()>>,
    pub(crate) lines: LastLines,
    /// The process that kills the child if we are killed.
    pub(crate) watchdog: Option<Child>,
    pub(crate) grace: Grace,
}

impl Supervised {
    /// Starts the task.
    pub(crate) fn start(self) -> (watch::Sender<Orders>, ChildMonitor) {
        let (orders, ordered) = watch::channel(Orders::default());
        let (state, seen) = watch::channel(State::default());
        let monitor = ChildMonitor {
            program: self.program.clone(),
            id: self.group.0,
            state: seen,
            lines: self.lines.clone(),
        };
        tokio::spawn(self.run(ordered, state));
        (orders, monitor)
    }

    async fn run(mut self, mut orders: watch::Receiver<Orders>, state: watch::Sender<State>) {
        let status = self.end(&mut orders).await;
        // At once, as below: only who has left others behind keeps its group's id.
        let group = self.group.left();
        if let Err(error) = &status {
            tracing::warn!(program = self.program, %error, "cannot wait for a child process");
        }
        // At once: the id may be given to another process now.
        if let Some(mut watchdog) = self.watchdog.take() {
            // It fails only if the watchdog is gone.
            let _ = watchdog.kill().await;
        }
        state.send_modify(|state| state.status = status.ok());
        let Self {
            mut stderr, grace, ..
        } = self;
        let last_words = async {
            if let Some(stderr) = &mut stderr {
                let _ = timeout(LAST_WORDS, stderr).await;
            }
            state.send_modify(|state| state.done = true);
        };
        // At once if nobody waits for it: with the last of the group its id is free for another.
        let left_behind = async move {
            if let Some(group) = group {
                let _ = timeout(grace.exit, orders.wait_for(|orders| orders.ended)).await;
                drop(group);
            }
        };
        tokio::join!(left_behind, last_words);
        if let Some(stderr) = stderr {
            stderr.abort();
        }
    }

    /// Waits for the child, and makes it end when that is ordered (REQ-STDIO-04).
    async fn end(&mut self, orders: &mut watch::Receiver<Orders>) -> io::Result<ExitStatus> {
        let ordered = tokio::select! {
            biased;
            status = self.child.wait() => return status,
            ordered = orders.wait_for(|orders| orders.closing) => ordered.is_ok(),
        };
        if ordered {
            for (time, terminate) in [(self.grace.exit, true), (self.grace.terminate, false)] {
                tokio::select! {
                    biased;
                    status = self.child.wait() => return status,
                    () = sleep(time) => {}
                    // Only when the sender is dropped.
                    _ = orders.wait_for(|_| false) => break,
                }
                if terminate {
                    tracing::debug!(program = self.program, "does not end by itself");
                    terminate_group(self.group.0);
                }
            }
        }
        kill_group(self.group.0);
        // On systems without groups this is what kills it, elsewhere it fails if the child is gone.
        let _ = self.child.start_kill();
        self.child.wait().await
    }
}

/// A child's process group, by its id: what is left of it ends with this, also if the runtime ends first.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) u32);

impl Group {
    /// The group, if somebody is left in it. If not, its id is free for another, and nothing must end with this.
    fn left(self) -> Option<Self> {
        #[cfg(unix)]
        if group(self.0).is_none_or(|id| rustix::process::test_kill_process_group(id).is_err()) {
            std::mem::forget(self);
            return None;
        }
        Some(self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(self.0);
    }
}

/// Asks a child and its children to end.
fn terminate_group(id: u32) {
    #[cfg(unix)]
    signal_group(id, rustix::process::Signal::TERM);
    #[cfg(not(unix))]
    let _ = id;
}

/// Ends a child and its children.
pub(crate) fn kill_group(id: u32) {
    #[cfg(unix)]
    signal_group(id, rustix::process::Signal::KILL);
    #[cfg(not(unix))]
    let _ = id;
}

#[cfg(unix)]
fn signal_group(id: u32, signal: rustix::process::Signal) {
    if let Some(group) = group(id) {
        // It fails if nobody is left in the group, which is as well.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(unix)]
fn group(id: u32) -> Option<rustix::process::Pid> {
    i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_in_which_nobody_is_left_ends_nothing() {
        for (script, left) in [("exit 0", false), ("sleep 1000 & exit 0", true)] {
            let mut command = Command::new("/bin/sh");
            let mut child = command
                .args(["-c", script])
                .process_group(0)
                .spawn()
                .unwrap();
            child.wait().unwrap();
            assert_eq!(Group(child.id()).left().is_some(), left);
        }
    }
}
