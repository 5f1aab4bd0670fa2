//! A session's messages in a file: one JSON object a line, `{"ms", "connection", "from", "message"}`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mcp_client::types::{Inbound, Message, ParseLimits};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exit::Failure;
use crate::relay::Side;
use crate::render::tell;

/// A file that grows by a line with each message.
#[derive(Clone)]
pub(crate) struct Recording {
    lines: Arc<Mutex<Lines>>,
    started: Instant,
}

struct Lines {
    file: Box<dyn Write + Send>,
    /// Whether the last one may be cut off, as it could not be written.
    cut: bool,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    /// Since the start, in milliseconds.
    ms: f64,
    /// Counted from 1; a bridge has several.
    connection: u64,
    from: Side,
    /// What was sent, exactly, but for white space between its values.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    /// What was sent and was no message, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    malformed: Option<String>,
}

/// A message of a recording.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) from: Side,
    pub(crate) message: Message,
    /// The line of the file, counted from 1.
    pub(crate) line: usize,
}

impl Recording {
    /// Begins a new file; only this user can read it, as there may be secrets in what is said.
    ///
    /// # Errors
    /// [`Failure::Usage`]: it cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |e| Failure::Usage(format!("{}: {e}", path.display()));
        let file = options.open(path).map_err(failed)?;
        // One that was there before has the permissions that it had; what is no file is everybody's.
        #[cfg(unix)]
        if file.metadata().map_err(failed)?.is_file() {
            let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            file.set_permissions(own).map_err(failed)?;
        }
        Ok(Self::new(file))
    }

    fn new(file: impl Write + Send + 'static) -> Self {
        let file = Box::new(file);
        Self {
            lines: Arc::new(Mutex::new(Lines { file, cut: false })),
            started: Instant::now(),
        }
    }

    /// Adds what was sent.
    pub(crate) fn add(&self, connection: u64, from: Side, item: &Inbound) {
        let ms = (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let mut lines = String::new();
        let mut add = |message: Option<&Message>, malformed: Option<String>| {
            let text = message.map(Message::to_string);
            // A message is JSON, and what is not JSON is not recorded as if it were.
            let message = text
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok());
            let line = Line {
                ms,
                connection,
                from,
                message,
                malformed,
            };
            lines.push_str(&serde_json::to_string(&line).unwrap_or_default());
            lines.push('\n');
        };
        match item {
            Inbound::Message(message) => add(Some(message), None),
            Inbound::Malformed(malformed) => add(None, Some(malformed.to_string())),
            Inbound::Batch(members) => {
                for member in members {
                    match member {
                        Ok(message) => add(Some(message), None),
                        Err(malformed) => add(None, Some(malformed.to_string())),
                    }
                }
            }
        }
        let mut to = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if to.cut {
            lines.insert(0, '\n');
        }
        // A full disk is no reason to stop those who talk.
        let written = to.file.write_all(lines.as_bytes());
        to.cut = written.is_err();
        if let Err(e) = written {
            tell(&format!("mcp: not recorded: {e}"));
        }
    }
}

/// Reads the messages of a connection; what was no message is left out, and so is a line that is cut off, which is told.
///
/// # Errors
/// [`Failure::Usage`]: the file cannot be read, or is no recording.
pub(crate) fn read(path: &Path, connection: u64) -> Result<Vec<Recorded>, Failure> {
    let shown = path.display();
    // As bytes: what is cut off may be so within a character.
    let text = std::fs::read(path).map_err(|e| Failure::Usage(format!("{shown}: {e}")))?;
    let mut messages = Vec::new();
    for (at, text) in text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, text)| !text.trim_ascii().is_empty())
    {
        let wrong = |reason: String| Failure::Usage(format!("{shown}, line {}: {reason}", at + 1));
        let line: Line<'_> = match serde_json::from_slice(text) {
            Err(e) if e.is_eof() => {
                tell(&format!("mcp: {shown}, line {} is cut off", at + 1));
                continue;
            }
            line => line.map_err(|e| wrong(e.to_string()))?,
        };
        let Some(message) = line.message.filter(|_| line.connection == connection) else {
            continue;
        };
        let bytes = bytes::Bytes::copy_from_slice(message.get().as_bytes());
        match Inbound::parse(bytes, ParseLimits::default()) {
            Inbound::Message(message) => messages.push(Recorded {
                from: line.from,
                message,
                line: at + 1,
            }),
            _ => return Err(wrong("not a JSON-RPC message".to_owned())),
        }
    }
    if messages.is_empty() {
        return Err(Failure::Usage(format!(
            "{shown}: nothing was recorded of connection {connection}"
        )));
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs::File;
    use std::io::ErrorKind;

    use mcp_client::types::RequestId;

    use super::*;

    /// A file on a disk that is full for a while: how many bytes there is room for, each time.
    struct Full(File, VecDeque<usize>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.1.pop_front() {
                Some(0) => Err(ErrorKind::StorageFull.into()),
                Some(room) => self.0.write(&bytes[..room.min(bytes.len())]),
                None => self.0.write(bytes),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }

    #[test]
    fn what_is_cut_off_takes_no_other_line_with_it() {
        let path = std::env::temp_dir().join(format!("mcp-recording-{}", std::process::id()));
        // There is room for a part of the second line, and for nothing of the fourth.
        let rooms = [usize::MAX, 50, 0, usize::MAX, 0];
        let recording = Recording::new(Full(File::create(&path).unwrap(), rooms.into()));
        for id in 1..=6 {
            let message = Message::request(id, "a/ä", None);
            recording.add(1, Side::Client, &Inbound::Message(message));
        }
        // And the last one is cut off within a character.
        let mut file = std::fs::read(&path).unwrap();
        file.truncate(file.iter().rposition(|byte| *byte == 0xa4).unwrap());
        std::fs::write(&path, file).unwrap();
        let read = read(&path, 1);
        std::fs::remove_file(&path).unwrap();
        let ids = read.unwrap().into_iter().map(|r| r.message.id().cloned());
        let ids: Option<Vec<RequestId>> = ids.collect();
        assert_eq!(ids, Some([1, 3, 5].map(RequestId::from).into()));
    }
}
