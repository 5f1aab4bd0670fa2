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
#[derive(Debug)]
pub struct Batch {
    /// The lines.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
}

/// The calls of a task, with ids that count up from `first`.
pub fn batch(task: Task, first: usize) -> Batch {
    let text = task.text();
    let calls = if task.tool.is_flood() { 1 } else { task.count };
    let mut batch = Batch {
        bytes: Vec::new(),
        ends: Vec::new(),
    };
    for id in first..first + calls {
        let arguments = match task.tool {
            Tool::Echo => format!("{{\"text\":\"{text}\"}}"),
            Tool::Sum => format!("{{\"a\":{id},\"b\":1}}"),
            Tool::Flood | Tool::Progress => format!("{{\"n\":{}}}", task.count),
        };
        let meta = [
            (task.era == Era::Modern).then(|| MODERN.to_owned()),
            (task.era == Era::Modern && task.tool == Tool::Flood).then(|| LOG_LEVEL.to_owned()),
            (task.tool == Tool::Progress).then(|| format!("\"progressToken\":{id}")),
        ];
        let meta: Vec<String> = meta.into_iter().flatten().collect();
        let meta = match meta.join(",") {
            meta if meta.is_empty() => meta,
            meta => format!(",\"_meta\":{{{meta}}}"),
        };
        let name = task.tool.name();
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{name}\",\"arguments\":{arguments}{meta}}}}}\n"
        );
        batch.bytes.extend_from_slice(line.as_bytes());
        batch.ends.push(batch.bytes.len());
    }
    batch
}
