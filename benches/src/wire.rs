//! Requests as a client of either era writes them, one line each.

use std::fmt;

use crate::task::{Task, Tool};

/// How a request says which revision it is made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// By the handshake before it, of 2025-11-25.
    Legacy,
    /// By itself, in `_meta`, as of 2026-07-28.
    Modern,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        })
    }
}

/// What a legacy client sends before its first call; the first and the last of them are answered.
pub const OPENING: [&str; 3] = [
    "{\"jsonrpc\":\"2.0\",\"id\":\"open\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"load\",\"version\":\"1.0.0\"}}}\n",
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":\"level\",\"method\":\"logging/setLevel\",\"params\":{\"level\":\"info\"}}\n",
];

const MODERN: &str = "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{},\"io.modelcontextprotocol/clientInfo\":{\"name\":\"load\",\"version\":\"1.0.0\"}";
const LOG_LEVEL: &str = "\"io.modelcontextprotocol/logLevel\":\"info\"";

/// Requests, ready to be written.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines, or frames.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
}

impl Batch {
    /// One more.
    pub fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    /// Each of them, in its turn.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

/// The calls of a task, with ids that count up from `first`.
pub fn batch(task: Task, first: usize) -> Batch {
    let text = task.text();
    let mut batch = Batch::default();
    for (id, (tool, count)) in (first..).zip(task.calls()) {
        let arguments = match tool {
            Tool::Sum => format!("{{\"a\":{id},\"b\":1}}"),
            Tool::Flood | Tool::Progress => format!("{{\"n\":{count}}}"),
            Tool::Echo | Tool::Mixed => format!("{{\"text\":\"{text}\"}}"),
        };
        let meta = [
            (task.era == Era::Modern).then(|| MODERN.to_owned()),
            (task.era == Era::Modern && tool == Tool::Flood).then(|| LOG_LEVEL.to_owned()),
            (tool == Tool::Progress).then(|| format!("\"progressToken\":{id}")),
        ];
        let meta: Vec<String> = meta.into_iter().flatten().collect();
        let meta = match meta.join(",") {
            meta if meta.is_empty() => meta,
            meta => format!(",\"_meta\":{{{meta}}}"),
        };
        let name = tool.name();
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{name}\",\"arguments\":{arguments}{meta}}}}}\n"
        );
        batch.push(line.as_bytes());
    }
    batch
}
