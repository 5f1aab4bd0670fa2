//! The floor: the same work on the wire with tokio and serde_json, and no SDK.
//!
//! Each line is parsed once, into structs that borrow from it; answers are serialised straight into the buffer that is
//! written, and written together.

use std::borrow::Cow;
use std::io;

use memchr::memchr;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Failure;

mod client;
mod web;

pub use client::{call, line_number};
pub use web::serve_web_socket;

/// What is read, and what is collected before it is written, in bytes.
const PIECE: usize = 64 << 10;

// ---- what comes in ----

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The union of the parameters of all methods, so that one pass does.
#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Arguments<'a>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Meta<'a>,
    #[serde(borrow)]
    level: Option<Text<'a>>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    n: Option<u64>,
    a: Option<i64>,
    b: Option<i64>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Text<'a>>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<IgnoredAny>,
    #[serde(borrow, rename = "io.modelcontextprotocol/logLevel")]
    log_level: Option<Text<'a>>,
    #[serde(borrow, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
}

// ---- what goes out ----

#[derive(Serialize)]
struct Answer<'a, T> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: T,
}

#[derive(Serialize)]
struct Refusal<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: i32,
    message: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    content: [Block<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Total>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "_meta")]
    meta: Option<ResultMeta>,
}

#[derive(Serialize)]
struct Block<'a> {
    r#type: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct Total {
    sum: i64,
}

#[derive(Serialize)]
struct ResultMeta {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server: Info,
}

#[derive(Serialize)]
struct Info {
    name: &'static str,
    version: &'static str,
}

const INFO: Info = Info {
    name: "bench",
    version: "1.0.0",
};

#[derive(Serialize)]
struct Notification<T> {
    jsonrpc: &'static str,
    method: &'static str,
    params: T,
}

#[derive(Serialize)]
struct LogLine {
    level: &'static str,
    logger: &'static str,
    data: Line,
}

struct Line(u64);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("line {}", self.0))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress<'a> {
    progress_token: &'a RawValue,
    progress: u64,
    total: u64,
}

// ---- the server ----

/// Serves one connection until its input ends.
///
/// # Errors
/// The connection breaks, or something comes that is no message.
pub async fn serve(
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Failure> {
    let mut lines = Lines::default();
    let mut out = Vec::new();
    let mut legacy_level = None;
    loop {
        while let Some(line) = lines.next() {
            let message: Incoming<'_> = serde_json::from_slice(line)?;
            handle(message, &mut legacy_level, &mut out, &mut output).await?;
            if out.len() >= PIECE {
                flush(&mut out, &mut output).await?;
            }
        }
        flush(&mut out, &mut output).await?;
        if lines.read(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Answers one message by itself; nothing is the answer to a notification.
///
/// # Errors
/// It is no message.
pub async fn reply(message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let message: Incoming<'_> = serde_json::from_slice(message)?;
    handle(message, &mut None, &mut out, &mut tokio::io::sink()).await?;
    Ok(out)
}

async fn flush(out: &mut Vec<u8>, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    output.write_all(out).await?;
    out.clear();
    Ok(())
}

fn write<T: Serialize>(out: &mut Vec<u8>, message: &T) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, message)?;
    out.push(b'\n');
    Ok(())
}

fn severity(level: &str) -> Option<usize> {
    let levels = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];
    levels.iter().position(|l| *l == level)
}

async fn handle(
    message: Incoming<'_>,
    legacy_level: &mut Option<usize>,
    out: &mut Vec<u8>,
    output: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Failure> {
    let Incoming { id, method, params } = message;
    let (Some(id), Some(method)) = (id, method) else {
        return Ok(());
    };
    let modern = params.meta.version.is_some();
    if modern && params.meta.capabilities.is_none() {
        return refuse(out, id, -32602, "no capabilities");
    }
    if let Some(version) = &params.meta.version
        && version.0 != "2026-07-28"
    {
        return refuse(out, id, -32022, "unsupported version");
    }
    match &*method.0 {
        "initialize" => {
            let version = params.version.as_ref().map_or("2025-11-25", |v| &v.0);
            let result = serde_json::json!({
                "protocolVersion": version,
                "capabilities": { "logging": {}, "tools": {} },
                "serverInfo": INFO,
            });
            *legacy_level = severity("info");
            answer(out, id, result)
        }
        "server/discover" => {
            let result = serde_json::json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": { "logging": {}, "tools": {} },
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": { "io.modelcontextprotocol/serverInfo": INFO },
            });
            answer(out, id, result)
        }
        "ping" => answer(out, id, serde_json::json!({})),
        "logging/setLevel" => {
            *legacy_level = params.level.and_then(|level| severity(&level.0));
            answer(out, id, serde_json::json!({}))
        }
        "tools/call" => {
            let level = if modern {
                params.meta.log_level.as_ref().and_then(|l| severity(&l.0))
            } else {
                *legacy_level
            };
            let arguments = params.arguments;
            let (text, sum) = match params.name.as_ref().map(|name| &*name.0) {
                Some("echo") => (arguments.text.map_or(Cow::Borrowed(""), |t| t.0), None),
                Some("sum") => {
                    let (Some(a), Some(b)) = (arguments.a, arguments.b) else {
                        return refuse(out, id, -32602, "a and b");
                    };
                    let sum = a.wrapping_add(b);
                    let text = serde_json::to_string(&Total { sum })?;
                    (Cow::Owned(text), Some(Total { sum }))
                }
                Some("flood") => {
                    let wanted = level.is_some_and(|level| severity("info") >= Some(level));
                    for i in 0..arguments.n.filter(|_| wanted).unwrap_or(0) {
                        let line = Notification {
                            jsonrpc: "2.0",
                            method: "notifications/message",
                            params: LogLine {
                                level: "info",
                                logger: "flood",
                                data: Line(i),
                            },
                        };
                        write(out, &line)?;
                        if out.len() >= PIECE {
                            flush(out, output).await?;
                        }
                    }
                    (Cow::Borrowed("done"), None)
                }
                Some("progress") => {
                    let total = arguments.n.unwrap_or(0);
                    if let Some(progress_token) = params.meta.progress_token {
                        for i in 1..=total {
                            let line = Notification {
                                jsonrpc: "2.0",
                                method: "notifications/progress",
                                params: Progress {
                                    progress_token,
                                    progress: i,
                                    total,
                                },
                            };
                            write(out, &line)?;
                            if out.len() >= PIECE {
                                flush(out, output).await?;
                            }
                        }
                    }
                    (Cow::Borrowed("done"), None)
                }
                _ => return refuse(out, id, -32602, "unknown tool"),
            };
            let result = CallResult {
                content: [Block {
                    r#type: "text",
                    text: &text,
                }],
                structured_content: sum,
                result_type: modern.then_some("complete"),
                meta: modern.then_some(ResultMeta { server: INFO }),
            };
            answer(out, id, result)
        }
        _ => refuse(out, id, -32601, "no such method"),
    }
}

fn answer<T: Serialize>(out: &mut Vec<u8>, id: &RawValue, result: T) -> Result<(), Failure> {
    write(
        out,
        &Answer {
            jsonrpc: "2.0",
            id,
            result,
        },
    )
}

fn refuse(
    out: &mut Vec<u8>,
    id: &RawValue,
    code: i32,
    message: &'static str,
) -> Result<(), Failure> {
    let error = Reason { code, message };
    write(
        out,
        &Refusal {
            jsonrpc: "2.0",
            id,
            error,
        },
    )
}

/// The lines of what was read.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here they have been taken.
    taken: usize,
    /// Up to here there is no line end that has not been taken.
    searched: usize,
}

impl Lines {
    async fn read(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.buffer.drain(..self.taken);
        self.searched -= std::mem::take(&mut self.taken);
        self.buffer.reserve(PIECE);
        input.read_buf(&mut self.buffer).await
    }

    fn next(&mut self) -> Option<&[u8]> {
        match memchr(b'\n', &self.buffer[self.searched..]) {
            Some(at) => {
                let end = self.searched + at;
                let line = &self.buffer[self.taken..end];
                self.taken = end + 1;
                self.searched = end + 1;
                Some(line)
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }
}
