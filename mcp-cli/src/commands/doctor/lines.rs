//! Messages as lines: a process, a socket.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::process::Child;
use tokio::time::timeout;

use super::report::{Fault, Report, Verdict};
use crate::exit::Failure;
use crate::target::Target;

/// A connection whose messages are lines.
pub(super) struct Lines {
    reader: Box<dyn AsyncBufRead + Send + Unpin>,
    writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    child: Option<Child>,
}

/// The longest line that is read, in bytes.
const LONGEST: u64 = 16 << 20;

impl Lines {
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::Connect(format!("{target}: {e}"));
        Ok(match target {
            Target::Command(command) => {
                let mut command = command.process().command();
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null());
                let mut child = command.spawn().map_err(failed)?;
                let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
                    return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
                };
                Self::new(stdout, stdin, Some(child))
            }
            Target::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address)
                    .await
                    .map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                let (reader, writer) = stream.into_split();
                Self::new(reader, writer, None)
            }
            #[cfg(unix)]
            Target::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(failed)?;
                let (reader, writer) = stream.into_split();
                Self::new(reader, writer, None)
            }
            Target::Ws(_) | Target::Http(_) => {
                // Never: they have no lines, and are opened elsewhere.
                return Err(failed(std::io::ErrorKind::Unsupported.into()));
            }
            #[cfg(not(unix))]
            Target::Unix(_) => return Err(failed(std::io::ErrorKind::Unsupported.into())),
        })
    }

    pub(super) fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        child: Option<Child>,
    ) -> Self {
        Self {
            reader: Box::new(BufReader::new(reader)),
            writer: Some(Box::new(writer)),
            child,
        }
    }

    /// Sends a line as it is.
    pub(super) async fn say(&mut self, text: &str) -> Verdict {
        let Some(writer) = &mut self.writer else {
            return Err(Fault::silent("the connection is closed"));
        };
        let line = format!("{text}\n");
        let writing = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        let unread = |e: std::io::Error| Fault::silent(format!("it cannot be written to: {e}"));
        writing.await.map_err(unread)
    }

    /// Reads the next line.
    pub(super) async fn hear(&mut self) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        let mut reader = (&mut self.reader).take(LONGEST);
        match reader.read_until(b'\n', &mut bytes).await {
            Err(e) => Err(Fault::silent(format!("the connection broke: {e}"))),
            Ok(0) => Err(Fault::silent("it has closed the connection")),
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(text.trim_end_matches(['\n', '\r']).to_owned())
            }
        }
    }

    /// Closes its stdin and waits for its end; returns what it has said meanwhile.
    pub(super) async fn finish(mut self, time: Duration, report: &mut Report) -> Vec<String> {
        self.writer = None;
        let mut rest = Vec::new();
        // It may go on for ever; that it does not end is found out below.
        let _ = timeout(
            time,
            (&mut self.reader).take(LONGEST).read_to_end(&mut rest),
        )
        .await;
        let rest = String::from_utf8_lossy(&rest).into_owned();
        if let Some(child) = &mut self.child {
            let what = "it exits when its stdin ends";
            let id = child.id();
            let verdict = match timeout(time, child.wait()).await {
                Ok(Ok(status)) if status.success() => Ok(()),
                Ok(Ok(status)) => Err(Fault::silent(format!("it exits with {status}"))),
                Ok(Err(e)) => Err(Fault::silent(e.to_string())),
                Err(_) => Err(Fault::silent(format!("it still runs after {time:?}"))),
            };
            report.should("REQ-STDIO-05", what, verdict);
            // It leads its group, and may have left others behind.
            kill_group(id);
        }
        let said = rest.lines().filter(|line| !line.trim().is_empty());
        said.map(str::to_owned).collect()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        kill_group(self.child.as_ref().and_then(Child::id));
    }
}

/// Ends a process that leads a group, and all in that group.
fn kill_group(id: Option<u32>) {
    #[cfg(unix)]
    if let Some(group) = id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
        // It fails if nobody is left, which is as well.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = id;
}
