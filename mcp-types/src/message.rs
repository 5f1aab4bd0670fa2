//! The JSON-RPC envelope: what a transport carries.

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::error::{ErrorCode, ErrorObject};
use crate::id::RequestId;
use crate::method::MethodName;
use crate::raw::RawJson;
use crate::scan;

/// One JSON-RPC message; parameters and results stay raw until the method's owner decodes them.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Asks for an answer.
    Request(RequestMessage),
    /// Is never answered (REQ-JRPC-05).
    Notification(NotificationMessage),
    /// Answers a request.
    Response(ResponseMessage),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestMessage {
    /// What the answer will be known by.
    pub id: RequestId,
    /// What is asked for.
    pub method: MethodName,
    /// A JSON object, or absent.
    pub params: Option<RawJson>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationMessage {
    /// What happened.
    pub method: MethodName,
    /// A JSON object, or absent.
    pub params: Option<RawJson>,
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseMessage {
    /// The request's id; absent only in an error about a request whose id could not be read (REQ-ID-07).
    pub id: Option<RequestId>,
    /// A JSON object, or the error.
    pub outcome: Result<RawJson, ErrorObject>,
}

/// What a transport yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// A message.
    Message(Message),
    /// A JSON array of messages: legal only in a 2025-03-26 session, which the engine judges (REQ-BATCH-01).
    Batch(Vec<Result<Message, Malformed>>),
    /// Something that is not a message. The connection goes on (REQ-ERR-07).
    Malformed(Malformed),
}

/// What a transport accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    /// The message.
    pub message: Message,
    /// The peer's request on whose behalf it goes out; transports with one stream a request route by it.
    pub related_to: Option<RequestId>,
}

/// Input that is not a message, with what could be saved of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub kind: MalformedKind,
    /// The request's id, if it could be read.
    pub id: Option<RequestId>,
    /// Where, in bytes from the start of the frame.
    pub offset: usize,
    /// What stands there, printable and at most 64 characters of it; of a request that is lost, why.
    pub excerpt: String,
}

/// How input fails to be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedKind {
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    NotUtf8,
    /// Not JSON.
    #[error("invalid JSON")]
    NotJson,
    /// The stream ended within the message.
    #[error("truncated message")]
    Truncated,
    /// Longer than the limit.
    #[error("message longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Nested deeper than the limit.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// JSON, but no object (and no array of objects).
    #[error("not a JSON-RPC message")]
    NotAMessage,
    /// An array without members (REQ-BATCH-07).
    #[error("empty batch")]
    EmptyBatch,
    /// An object with a method and an id that is not a valid request, or that has neither method nor answer.
    #[error("invalid request: {0}")]
    Request(EnvelopeFault),
    /// An object with a method and no id that is not a valid notification; never answered (TRAP-22).
    #[error("invalid notification: {0}")]
    Notification(EnvelopeFault),
    /// An object with a result or an error that is not a valid response; never answered.
    #[error("invalid response: {0}")]
    Response(EnvelopeFault),
    /// Nothing at all, and no answer any more to the request of that id, though the connection goes on; never answered
    /// (REQ-HTTPM-13).
    #[error("request lost")]
    Lost,
}

/// Which member of the envelope is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeFault {
    /// `jsonrpc` is not `"2.0"`.
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    /// `id` is neither a string nor an integer.
    #[error("`id` must be a string or an integer")]
    Id,
    /// `method` is missing or not a string.
    #[error("`method` must be a string")]
    Method,
    /// `params` is not an object.
    #[error("`params` must be an object")]
    Params,
    /// `result` is not an object.
    #[error("`result` must be an object")]
    Result,
    /// `error` is not an object with an integer `code` and a string `message`.
    #[error("`error` must have `code` and `message`")]
    Error,
    /// Both a request and a response, or both a result and an error.
    #[error("`method`, `result` and `error` exclude each other")]
    Ambiguous,
}

impl Message {
    /// How deep parameters and results may be nested, in levels: the message around them is one more.
    pub const BODY_DEPTH: usize = scan::MAX_DEPTH - 1;

    /// A request.
    pub fn request(
        id: impl Into<RequestId>,
        method: impl Into<MethodName>,
        params: Option<RawJson>,
    ) -> Self {
        Self::Request(RequestMessage {
            id: id.into(),
            method: method.into(),
            params,
        })
    }

    /// A notification.
    pub fn notification(method: impl Into<MethodName>, params: Option<RawJson>) -> Self {
        Self::Notification(NotificationMessage {
            method: method.into(),
            params,
        })
    }

    /// A successful response.
    pub fn result(id: impl Into<RequestId>, result: RawJson) -> Self {
        Self::Response(ResponseMessage {
            id: Some(id.into()),
            outcome: Ok(result),
        })
    }

    /// An error response; without an id where the request's could not be read.
    pub fn error(id: Option<RequestId>, error: ErrorObject) -> Self {
        Self::Response(ResponseMessage {
            id,
            outcome: Err(error),
        })
    }

    /// The method of a request or a notification.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request(m) => Some(&m.method),
            Self::Notification(m) => Some(&m.method),
            Self::Response(_) => None,
        }
    }

    /// The id of a request or a response.
    pub fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Request(m) => Some(&m.id),
            Self::Notification(_) => None,
            Self::Response(m) => m.id.as_ref(),
        }
    }

    /// The parameters of a request or a notification, the result of a response.
    pub fn body(&self) -> Option<&RawJson> {
        match self {
            Self::Request(m) => m.params.as_ref(),
            Self::Notification(m) => m.params.as_ref(),
            Self::Response(m) => m.outcome.as_ref().ok(),
        }
    }

    /// Whether it is nested deeper than anybody reads.
    pub fn is_too_deep(&self) -> bool {
        match self {
            Self::Response(ResponseMessage {
                outcome: Err(error),
                ..
            }) => {
                (error.data.as_ref()).is_some_and(|data| data.is_deeper_than(Self::BODY_DEPTH - 1))
            }
            _ => (self.body()).is_some_and(|body| body.is_deeper_than(Self::BODY_DEPTH)),
        }
    }

    /// Appends the message to `out` as compact JSON on one line, without a line end.
    ///
    /// Line breaks in raw parts, where they can only be white space, are written as spaces (REQ-STDIO-01).
    pub fn write(&self, out: &mut BytesMut) {
        let apart = self.write_apart(usize::MAX, out);
        debug_assert!(apart.is_none(), "no body is that long");
    }

    /// The same, with line breaks as they are: for framings to which they mean nothing.
    pub fn write_lines(&self, out: &mut BytesMut) {
        if let Some(body) = self.write_head(out) {
            out.put_slice(body.as_bytes());
        }
        out.put_u8(b'}');
    }

    /// The same, but for a body of `long` bytes or more: then what stands before the body is appended, and the body returned.
    /// Behind it belongs a `}`.
    ///
    /// For writers that need not copy it. One with line breaks is never returned.
    pub fn write_apart(&self, long: usize, out: &mut BytesMut) -> Option<&RawJson> {
        if let Some(body) = self.write_head(out) {
            let text = body.as_bytes();
            if text.len() >= long && line_break(text).is_none() {
                return Some(body);
            }
            write_raw(out, text);
        }
        out.put_u8(b'}');
        None
    }

    /// Writes what stands before the body.
    fn write_head(&self, out: &mut BytesMut) -> Option<&RawJson> {
        out.put_slice(b"{\"jsonrpc\":\"2.0\"");
        let mut name: &[u8] = b",\"params\":";
        match self {
            Self::Request(m) => {
                write_id(out, &m.id);
                write_method(out, &m.method);
            }
            Self::Notification(m) => write_method(out, &m.method),
            Self::Response(m) => {
                name = b",\"result\":";
                if let Some(id) = &m.id {
                    write_id(out, id);
                }
                if let Err(error) = &m.outcome {
                    out.put_slice(b",\"error\":{\"code\":");
                    write_json(out, &error.code);
                    out.put_slice(b",\"message\":");
                    write_json(out, &error.message);
                    if let Some(data) = &error.data {
                        out.put_slice(b",\"data\":");
                        write_raw(out, data.as_bytes());
                    }
                    out.put_u8(b'}');
                }
            }
        }
        let body = self.body()?;
        out.put_slice(name);
        Some(body)
    }
}

/// How many bytes a message takes on the wire at most, but for escapes in its names.
impl Message {
    /// The length in bytes of the parts that can be long, as a measure for queues and buffers.
    pub fn weight(&self) -> usize {
        64 + id_len(self.id())
            + match self {
                Self::Request(m) => m.method.len() + m.params.as_ref().map_or(0, RawJson::len),
                Self::Notification(m) => m.method.len() + m.params.as_ref().map_or(0, RawJson::len),
                Self::Response(m) => match &m.outcome {
                    Ok(result) => result.len(),
                    Err(e) => e.message.len() + e.data.as_ref().map_or(0, RawJson::len),
                },
            }
    }

    /// The same message, for keeping: it lets go of the buffer it arrived in, and its [`weight`](Self::weight) is what it takes.
    #[must_use]
    pub fn compact(mut self) -> Self {
        let raw = match &mut self {
            Self::Request(RequestMessage { params, .. })
            | Self::Notification(NotificationMessage { params, .. }) => params.as_mut(),
            Self::Response(m) => match &mut m.outcome {
                Ok(result) => Some(result),
                Err(e) => e.data.as_mut(),
            },
        };
        if let Some(raw) = raw {
            *raw = raw.compact();
        }
        self
    }
}

impl Inbound {
    /// The length in bytes of what it holds, as a measure for queues.
    pub fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.weight(),
            Self::Batch(members) => members
                .iter()
                .map(|m| m.as_ref().map_or_else(Malformed::weight, Message::weight))
                .sum(),
            Self::Malformed(malformed) => malformed.weight(),
        }
    }

    /// The same, for keeping: it lets go of the buffer it arrived in, most of which may be nothing that weighs.
    #[must_use]
    pub fn compact(self) -> Self {
        match self {
            Self::Message(message) => Self::Message(message.compact()),
            Self::Batch(members) => Self::Batch(
                members
                    .into_iter()
                    .map(|m| m.map(Message::compact))
                    .collect(),
            ),
            malformed @ Self::Malformed(_) => malformed,
        }
    }
}

impl Malformed {
    /// The length in bytes of what was saved, as a measure for queues and buffers.
    pub fn weight(&self) -> usize {
        128 + id_len(self.id.as_ref()) + self.excerpt.len()
    }
}

fn id_len(id: Option<&RequestId>) -> usize {
    match id {
        Some(RequestId::String(id)) => id.len(),
        _ => 0,
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = BytesMut::with_capacity(self.weight() + 64);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    serde_json::to_writer(out.writer(), value)
        .expect("names and numbers serialise, and a buffer takes them");
}

fn write_id(out: &mut BytesMut, id: &RequestId) {
    out.put_slice(b",\"id\":");
    write_json(out, id);
}

fn write_method(out: &mut BytesMut, method: &str) {
    out.put_slice(b",\"method\":");
    scan::write_string(out, method);
}

fn write_raw(out: &mut BytesMut, mut text: &[u8]) {
    while let Some(at) = line_break(text) {
        out.put_slice(&text[..at]);
        out.put_u8(b' ');
        text = &text[at + 1..];
    }
    out.put_slice(text);
}

fn line_break(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', b'\r', text)
}

impl Malformed {
    /// The longest excerpt, in characters.
    pub const EXCERPT: usize = 64;

    /// What went wrong at `offset` of `frame`.
    pub fn new(kind: MalformedKind, id: Option<RequestId>, offset: usize, frame: &[u8]) -> Self {
        let at = offset.min(frame.len());
        // A little of what stands before the place, so that a person finds it.
        let start = at.saturating_sub(16);
        let near = &frame[start..frame.len().min(start + 4 * Self::EXCERPT)];
        let excerpt = String::from_utf8_lossy(near)
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .take(Self::EXCERPT)
            .collect();
        Self {
            kind,
            id,
            offset,
            excerpt,
        }
    }

    /// What a transport yields when a request of its own side's gets no answer any more, and the connection goes on.
    pub fn lost(id: RequestId, why: impl Into<String>) -> Self {
        Self {
            kind: MalformedKind::Lost,
            id: Some(id),
            offset: 0,
            excerpt: why.into(),
        }
    }

    /// The error that is owed for it, if any: notifications and responses are never answered.
    pub fn reply(&self) -> Option<Message> {
        let code = match self.kind {
            MalformedKind::NotUtf8 | MalformedKind::NotJson | MalformedKind::Truncated => {
                ErrorCode::PARSE_ERROR
            }
            MalformedKind::TooLong { .. }
            | MalformedKind::TooDeep { .. }
            | MalformedKind::NotAMessage
            | MalformedKind::EmptyBatch
            | MalformedKind::Request(_) => ErrorCode::INVALID_REQUEST,
            MalformedKind::Notification(_) | MalformedKind::Response(_) | MalformedKind::Lost => {
                return None;
            }
        };
        let error = ErrorObject::new(code, self.kind.to_string());
        Some(Message::error(self.id.clone(), error))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            offset,
            excerpt,
            ..
        } = self;
        match kind {
            MalformedKind::Lost => write!(f, "{kind}: {excerpt}"),
            _ => write!(f, "{kind} at byte {offset}: {excerpt}"),
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Message> for Outbound {
    fn from(message: Message) -> Self {
        Self {
            message,
            related_to: None,
        }
    }
}

impl From<Outbound> for Inbound {
    fn from(outbound: Outbound) -> Self {
        Self::Message(outbound.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_go_where_they_would_end_a_message() {
        let params = crate::RawJson::parse("{\"a\":\n1,\r\n\"b\":2}").unwrap();
        let message = Message::notification("x", Some(params));
        let (mut line, mut lines) = (BytesMut::new(), BytesMut::new());
        message.write(&mut line);
        message.write_lines(&mut lines);
        let head = r#"{"jsonrpc":"2.0","method":"x","params":"#;
        assert_eq!(line, format!("{head}{{\"a\": 1,  \"b\":2}}}}"));
        assert_eq!(lines, format!("{head}{{\"a\":\n1,\r\n\"b\":2}}}}"));
    }

    #[test]
    fn names_are_written_as_json_strings_are() {
        for name in [
            "",
            "ping",
            "a\"b",
            "a\\b",
            "a\nb",
            "a\u{1f}b",
            "a\u{7f}b",
            "ü/\u{2028}",
        ] {
            let message = Message::notification(name, None);
            let expected = serde_json::to_string(name).unwrap();
            assert_eq!(
                message.to_string(),
                format!(r#"{{"jsonrpc":"2.0","method":{expected}}}"#)
            );
        }
    }

    #[test]
    fn what_is_compact_keeps_no_frame() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{},"x":"beside"}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":{},"x":"beside"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"x":"beside"}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","data":{}},"x":"beside"}"#,
        ] {
            let frame = bytes::Bytes::from(text.to_owned());
            let Inbound::Message(message) = Inbound::parse(frame.clone(), Default::default())
            else {
                panic!("{text}");
            };
            assert_eq!(message.clone().compact(), message);
            let message = message.compact();
            assert!(frame.is_unique(), "{text}");
            drop(message);
        }
    }

    #[test]
    fn an_id_has_its_weight() {
        let id = "x".repeat(1000);
        let ping = |id: RequestId| Message::request(id, "ping", None).weight();
        assert_eq!(ping(id.as_str().into()) - ping(1.into()), 1000);
        let text = format!(r#"{{"id":"{id}","method":5}}"#);
        match Inbound::parse(text.into(), Default::default()) {
            Inbound::Malformed(malformed) => assert!(malformed.weight() > 1000),
            other => panic!("{other:?}"),
        }
    }
}
