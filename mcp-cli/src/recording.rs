//! A session's messages in a file: one JSON object a line, `{"ms", "connection", "from", "message"}`.

use std::fs::{File, OpenOptions};
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
    file: Arc<Mutex<File>>,
    started: Instant,
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
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            started: Instant::now(),
        })
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
        // Nobody writes half a line, and a full disk is no reason to stop those who talk.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = file.write_all(lines.as_bytes()) {
            tell(&format!("mcp: not recorded: {e}"));
        }
    }
}

/// Reads the messages of a connection; what was no message is left out.
///
/// # Errors
/// [`Failure::Usage`]: the file cannot be read, or is no recording.
pub(crate) fn read(path: &Path, connection: u64) -> Result<Vec<Recorded>, Failure> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::Usage(format!("{shown}: {e}")))?;
    let mut messages = Vec::new();
    for (at, text) in text
        .lines()
        .enumerate()
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let wrong = |reason: String| Failure::Usage(format!("{shown}, line {}: {reason}", at + 1));
        let line: Line<'_> = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
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
