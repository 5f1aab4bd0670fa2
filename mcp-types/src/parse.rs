//! From a frame to messages: one pass over the envelope, bodies left raw.

use std::ops::Range;

use bytes::Bytes;

use crate::error::ErrorObject;
use crate::id::RequestId;
use crate::message::{
    EnvelopeFault, Inbound, Malformed, MalformedKind, Message, NotificationMessage, RequestMessage,
    ResponseMessage,
};
use crate::method::MethodName;
use crate::raw::RawJson;
use crate::scan::{self, Members, ScanError, ScanErrorKind, space};

/// What a frame may be at most; frames over the length limit are the framing's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// Nesting of the whole message, in levels; more than 127 counts as 127, as deep as serde_json decodes.
    pub depth: usize,
    /// Members of a batch.
    pub batch: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self {
            depth: scan::MAX_DEPTH,
            batch: 1024,
        }
    }
}

impl Inbound {
    /// Parses one frame: a message, a batch, or something malformed; it cannot fail and never panics.
    ///
    /// `params` and `result` of the messages are slices of `frame`, or copies where they are a small part of a long one, so that
    /// whoever keeps them keeps little more than what they are. White space around the message and a byte order
    /// mark before it are tolerated; of a member that stands twice, the last one counts.
    ///
    /// ```
    /// use mcp_types::{Inbound, Message, ParseLimits, RequestId};
    ///
    /// let frame = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    /// let Inbound::Message(Message::Request(ping)) = Inbound::parse(frame.into(), ParseLimits::default()) else {
    ///     panic!("that is a request");
    /// };
    /// assert_eq!((ping.id, ping.method.as_str()), (RequestId::Number(1), "ping"));
    /// ```
    pub fn parse(frame: Bytes, limits: ParseLimits) -> Self {
        match parse(&frame, limits) {
            Ok(inbound) => inbound,
            Err(malformed) => Self::Malformed(malformed),
        }
    }
}

fn parse(frame: &Bytes, limits: ParseLimits) -> Result<Inbound, Malformed> {
    let limits = ParseLimits {
        depth: limits.depth.min(scan::MAX_DEPTH),
        ..limits
    };
    let text = std::str::from_utf8(frame).map_err(|e| {
        let id = salvage_id(frame, 0);
        Malformed::new(MalformedKind::NotUtf8, id, e.valid_up_to(), frame)
    })?;
    let marked = frame.starts_with("\u{feff}".as_bytes());
    let start = space(frame, if marked { 3 } else { 0 });
    let (inbound, end) = match frame.get(start) {
        Some(b'{') => {
            let (message, end) = message(frame, text, start, limits.depth)?;
            (Inbound::Message(message), end)
        }
        Some(b'[') => batch(frame, text, start, limits)?,
        _ => {
            let end = scan::value(frame, start, limits.depth)
                .map_err(|e| broken(e, frame, start, limits.depth))?;
            expect_end(frame, end)?;
            return Err(Malformed::new(
                MalformedKind::NotAMessage,
                None,
                start,
                frame,
            ));
        }
    };
    expect_end(frame, end)?;
    Ok(inbound)
}

fn expect_end(frame: &[u8], end: usize) -> Result<(), Malformed> {
    let end = space(frame, end);
    if end == frame.len() {
        return Ok(());
    }
    // Two messages run together: which of them an answer would be for is a guess.
    Err(Malformed::new(MalformedKind::NotJson, None, end, frame))
}

fn broken(e: ScanError, frame: &[u8], start: usize, depth: usize) -> Malformed {
    let kind = match e.kind {
        ScanErrorKind::Depth => MalformedKind::TooDeep { limit: depth },
        _ => MalformedKind::NotJson,
    };
    Malformed::new(kind, salvage_id(frame, start), e.offset, frame)
}

/// The id of a request that breaks off or goes wrong later on, if it stands before that place.
pub(crate) fn salvage_id(frame: &[u8], start: usize) -> Option<RequestId> {
    let start = space(frame, start);
    if frame.get(start) != Some(&b'{') {
        return None;
    }
    let mut members = Members::new(frame, start, scan::MAX_DEPTH);
    while let Ok(Some(member)) = members.next() {
        if member.is(frame, "id") {
            // Where the text breaks off behind a number, more digits may be missing.
            let next = space(frame, member.value.end);
            return match frame.get(next) {
                Some(b',' | b'}') => serde_json::from_slice(&frame[member.value]).ok(),
                _ => None,
            };
        }
    }
    None
}

fn batch(
    frame: &Bytes,
    text: &str,
    start: usize,
    limits: ParseLimits,
) -> Result<(Inbound, usize), Malformed> {
    let mut members = Vec::new();
    let depth = limits.depth.saturating_sub(1);
    let mut pos = space(frame, start + 1);
    if frame.get(pos) == Some(&b']') {
        expect_end(frame, pos + 1)?;
        return Err(Malformed::new(
            MalformedKind::EmptyBatch,
            None,
            start,
            frame,
        ));
    }
    loop {
        let end = scan::value(frame, pos, depth).map_err(|e| Malformed {
            id: None,
            ..broken(e, frame, pos, limits.depth)
        })?;
        members.push(match frame[pos] {
            b'{' => message(frame, text, pos, depth).map(|(message, _)| message),
            _ => Err(Malformed::new(MalformedKind::NotAMessage, None, pos, frame)),
        });
        if members.len() > limits.batch {
            let kind = MalformedKind::TooLong {
                limit: limits.batch,
            };
            return Err(Malformed::new(kind, None, pos, frame));
        }
        let next = space(frame, end);
        match frame.get(next) {
            Some(b',') => pos = space(frame, next + 1),
            Some(b']') => return Ok((Inbound::Batch(members), next + 1)),
            _ => return Err(Malformed::new(MalformedKind::NotJson, None, next, frame)),
        }
    }
}

/// The members of an envelope, wherever they stand.
#[derive(Default)]
struct Envelope {
    jsonrpc: Option<Range<usize>>,
    id: Option<Range<usize>>,
    method: Option<Range<usize>>,
    params: Option<Range<usize>>,
    result: Option<Range<usize>>,
    error: Option<Range<usize>>,
}

/// Of a longer frame, in bytes, a body that is less than half of it is copied out.
const SHARED: usize = 16 << 10;

/// How most messages begin.
const BEGINNING: &[u8] = b"{\"jsonrpc\":\"2.0\",";

/// The message that begins at `start`; `text` is all of the frame.
fn message(
    frame: &Bytes,
    text: &str,
    start: usize,
    depth: usize,
) -> Result<(Message, usize), Malformed> {
    let mut envelope = Envelope::default();
    let mut members = if frame[start..].starts_with(BEGINNING) {
        envelope.jsonrpc = Some(start + 11..start + 16);
        Members::behind_first(frame, start + 16, depth)
    } else {
        Members::new(frame, start, depth)
    };
    while let Some(member) = members.next().map_err(|e| broken(e, frame, start, depth))? {
        let slot = match member.key(frame) {
            b"jsonrpc" => &mut envelope.jsonrpc,
            b"id" => &mut envelope.id,
            b"method" => &mut envelope.method,
            b"params" => &mut envelope.params,
            b"result" => &mut envelope.result,
            b"error" => &mut envelope.error,
            key if scan::escaped(key) => {
                match ["jsonrpc", "id", "method", "params", "result", "error"]
                    .iter()
                    .position(|name| member.is(frame, name))
                {
                    Some(0) => &mut envelope.jsonrpc,
                    Some(1) => &mut envelope.id,
                    Some(2) => &mut envelope.method,
                    Some(3) => &mut envelope.params,
                    Some(4) => &mut envelope.result,
                    Some(5) => &mut envelope.error,
                    _ => continue,
                }
            }
            _ => continue,
        };
        *slot = Some(member.value);
    }
    let end = members.end();
    let message = envelope.judge(frame, text, start)?;
    // Whoever keeps the body counts the body, and would keep all of the frame.
    let small = frame.len() > SHARED && message.weight() < frame.len() / 2;
    Ok((if small { message.compact() } else { message }, end))
}

impl Envelope {
    /// Presence of `id` decides between request and notification (TRAP-04); then each member must have its form.
    fn judge(self, frame: &Bytes, text: &str, start: usize) -> Result<Message, Malformed> {
        let raw = |range: &Range<usize>| RawJson::from_valid(frame.slice(range.clone()));
        let is_object = |range: &Range<usize>| frame[range.start] == b'{';
        let is_null = |range: &Range<usize>| &frame[range.clone()] == b"null";

        let id: Option<Result<RequestId, ()>> = self
            .id
            .as_ref()
            .map(|range| request_id(&frame[range.clone()]));
        let readable_id = id.clone().and_then(Result::ok);
        let as_kind: fn(EnvelopeFault) -> MalformedKind = if self.method.is_some() && id.is_none() {
            MalformedKind::Notification
        } else if self.method.is_none() && (self.result.is_some() || self.error.is_some()) {
            MalformedKind::Response
        } else {
            MalformedKind::Request
        };
        let fault = |fault, at: Option<&Range<usize>>| {
            let offset = at.map_or(start, |range| range.start);
            Malformed::new(as_kind(fault), readable_id.clone(), offset, frame)
        };

        if !self
            .jsonrpc
            .as_ref()
            .is_some_and(|range| is_version(text, range))
        {
            return Err(fault(EnvelopeFault::Version, self.jsonrpc.as_ref()));
        }
        if let Some(method) = &self.method {
            if let Some(range) = self.result.as_ref().or(self.error.as_ref()) {
                return Err(fault(EnvelopeFault::Ambiguous, Some(range)));
            }
            let name = scan::unquoted(&text[method.clone()])
                .ok_or_else(|| fault(EnvelopeFault::Method, Some(method)))?;
            let params = match &self.params {
                Some(range) if !is_object(range) => {
                    return Err(fault(EnvelopeFault::Params, Some(range)));
                }
                params => params.as_ref().map(raw),
            };
            let method = MethodName::from(&*name);
            return match id {
                None => Ok(Message::Notification(NotificationMessage {
                    method,
                    params,
                })),
                Some(Ok(id)) => Ok(Message::Request(RequestMessage { id, method, params })),
                Some(Err(())) => Err(fault(EnvelopeFault::Id, self.id.as_ref())),
            };
        }
        let outcome = match (&self.result, &self.error) {
            (Some(range), None) if is_object(range) => Ok(raw(range)),
            (Some(range), None) => return Err(fault(EnvelopeFault::Result, Some(range))),
            (None, Some(range)) => {
                Err(error(&raw(range)).ok_or_else(|| fault(EnvelopeFault::Error, Some(range)))?)
            }
            (Some(_), Some(range)) => return Err(fault(EnvelopeFault::Ambiguous, Some(range))),
            (None, None) => return Err(fault(EnvelopeFault::Method, None)),
        };
        let id = match id {
            Some(Ok(id)) => Some(id),
            // Only an error may lack an id, or have null for one (REQ-ID-09).
            None if outcome.is_err() => None,
            Some(Err(())) if outcome.is_err() && self.id.as_ref().is_some_and(is_null) => None,
            _ => return Err(fault(EnvelopeFault::Id, self.id.as_ref())),
        };
        Ok(Message::Response(ResponseMessage { id, outcome }))
    }
}

/// The error object in `raw`, read as the envelope is: of a member that stands twice, the last one counts.
fn error(raw: &RawJson) -> Option<ErrorObject> {
    let [code, message, data] = raw.members(["code", "message", "data"]);
    Some(ErrorObject {
        code: code?.decode().ok()?,
        message: message?.decode().ok()?,
        data,
    })
}

/// Whether a string is `2.0`, which is nearly always written as it is.
fn is_version(text: &str, range: &Range<usize>) -> bool {
    let text = &text[range.clone()];
    text == "\"2.0\"" || scan::unquoted(text).is_some_and(|s| s == "2.0")
}

/// An id, which is most often a number of few digits.
fn request_id(text: &[u8]) -> Result<RequestId, ()> {
    match scan::few_digits(text) {
        Some(number) => Ok(RequestId::Number(number)),
        None => serde_json::from_slice(text).map_err(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Inbound {
        Inbound::parse(
            Bytes::copy_from_slice(text.as_bytes()),
            ParseLimits::default(),
        )
    }

    fn malformed(text: &str) -> Malformed {
        match parse(text) {
            Inbound::Malformed(m) => m,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn a_small_part_of_a_long_frame_does_not_keep_it() {
        let beside = " ".repeat(1 << 20);
        let body = format!(r#"{{"a":"{beside}"}}"#);
        let small = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}"#;
        for (text, kept) in [
            (format!("{small},{beside}\"x\":0}}"), false),
            (format!("{small},\"x\":{body}}}"), false),
            (format!("[{small}}},{beside}{small}}}]"), false),
            (
                format!(
                    r#"{{"jsonrpc":"2.0","error":{{"code":1,"message":"m","data":{{}}}},"x":{body}}}"#
                ),
                false,
            ),
            (
                format!(r#"{{"jsonrpc":"2.0","method":"m","params":{body}}}"#),
                true,
            ),
            (format!("{small},\"x\":0}}"), true),
        ] {
            let frame = Bytes::from(text);
            let inbound = Inbound::parse(frame.clone(), ParseLimits::default());
            assert!(!matches!(inbound, Inbound::Malformed(_)));
            let len = frame.len();
            assert_eq!(!frame.is_unique(), kept, "{len}");
        }
    }

    #[test]
    fn messages_are_told_apart_by_their_members() {
        let id = RequestId::Number(1);
        assert_eq!(
            parse(r#"{"params":{"a":[1]},"method":"m","id":1,"jsonrpc":"2.0","x":{}}"#),
            Inbound::Message(Message::request(
                1,
                "m",
                RawJson::parse(r#"{"a":[1]}"#).ok()
            ))
        );
        assert_eq!(
            parse("\u{feff} {\"jsonrpc\":\"2.0\",\"method\":\"m\"} \r"),
            Inbound::Message(Message::notification("m", None))
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Inbound::Message(Message::result(id.clone(), RawJson::EMPTY_OBJECT))
        );
        for null in ["", r#""id":null,"#] {
            assert_eq!(
                parse(&format!(
                    r#"{{"jsonrpc":"2.0",{null}"error":{{"code":1,"message":"m"}}}}"#
                )),
                Inbound::Message(Message::error(None, ErrorObject::new(1, "m"))),
            );
        }
        let twice =
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"a","code":2,"data":null}}"#;
        let error = ErrorObject {
            data: Some(RawJson::NULL),
            ..ErrorObject::new(2, "a")
        };
        assert_eq!(
            parse(twice),
            Inbound::Message(Message::error(Some(id.clone()), error))
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","\u0069d":1,"meth\u006fd":"pi\u006eg"}"#),
            Inbound::Message(Message::request(id, "ping", None))
        );
    }

    /// What is wrong, whether the id was saved, and the code of the answer that is owed.
    #[test]
    fn whatever_is_wrong_is_named_and_answered_as_it_should_be() {
        use EnvelopeFault as F;
        use MalformedKind as K;
        let cases = [
            ("nonsense", K::NotJson, None, Some(-32700)),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m""#,
                K::NotJson,
                Some(7),
                Some(-32700),
            ),
            ("{} {}", K::Request(F::Version), None, Some(-32600)),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m"} x"#,
                K::NotJson,
                None,
                Some(-32700),
            ),
            ("1", K::NotAMessage, None, Some(-32600)),
            ("[]", K::EmptyBatch, None, Some(-32600)),
            (
                r#"{"jsonrpc":"1.0","id":7,"method":"m"}"#,
                K::Request(F::Version),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"id":7,"method":"m"}"#,
                K::Request(F::Version),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7}"#,
                K::Request(F::Method),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":1}"#,
                K::Request(F::Method),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}"#,
                K::Request(F::Params),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m","params":null}"#,
                K::Request(F::Params),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
                K::Request(F::Id),
                None,
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#,
                K::Request(F::Id),
                None,
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m","result":{}}"#,
                K::Request(F::Ambiguous),
                Some(7),
                Some(-32600),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"m","params":1}"#,
                K::Notification(F::Params),
                None,
                None,
            ),
            (r#"{"method":"m"}"#, K::Notification(F::Version), None, None),
            (
                r#"{"jsonrpc":"2.0","id":7,"result":[]}"#,
                K::Response(F::Result),
                Some(7),
                None,
            ),
            (
                r#"{"jsonrpc":"2.0","result":{}}"#,
                K::Response(F::Id),
                None,
                None,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":"x"}}"#,
                K::Response(F::Error),
                Some(7),
                None,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""},"result":{}}"#,
                K::Response(F::Ambiguous),
                Some(7),
                None,
            ),
        ];
        for (text, kind, id, code) in cases {
            if text == "{} {}" {
                // The first object is judged before the second is seen.
                assert_eq!(malformed(text).kind, kind);
                continue;
            }
            let malformed = malformed(text);
            assert_eq!(malformed.kind, kind, "{text}");
            assert_eq!(malformed.id, id.map(RequestId::Number), "{text}");
            let reply = malformed.reply().map(|m| match m {
                Message::Response(ResponseMessage {
                    id,
                    outcome: Err(e),
                }) => (id, e.code.0),
                other => panic!("{other:?}"),
            });
            assert_eq!(reply, code.map(|c| (malformed.id, c)), "{text}");
        }
    }

    #[test]
    fn a_batch_is_judged_member_by_member() {
        let Inbound::Batch(members) = parse(r#"[{"jsonrpc":"2.0","method":"a"}, 1, {"id":2}]"#)
        else {
            panic!()
        };
        assert_eq!(members[0], Ok(Message::notification("a", None)));
        assert_eq!(
            members[1].as_ref().unwrap_err().kind,
            MalformedKind::NotAMessage
        );
        assert_eq!(
            members[2].as_ref().unwrap_err().id,
            Some(RequestId::Number(2))
        );
        assert_eq!(malformed("[{}").kind, MalformedKind::NotJson);
    }

    #[test]
    fn depth_has_a_limit() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"m","params":{{"a":{}{}}}}}"#,
            "[".repeat(126),
            "]".repeat(126)
        );
        let malformed = malformed(&deep);
        assert_eq!(malformed.kind, MalformedKind::TooDeep { limit: 127 });
        assert_eq!(malformed.id, Some(RequestId::Number(7)));
        // However low it is.
        let limits = ParseLimits {
            depth: 0,
            ..ParseLimits::default()
        };
        let batch = r#"[{"jsonrpc":"2.0","method":"m"}]"#;
        let Inbound::Malformed(malformed) = Inbound::parse(batch.into(), limits) else {
            panic!("it is a batch");
        };
        assert_eq!(malformed.kind, MalformedKind::TooDeep { limit: 0 });
    }

    #[test]
    fn invalid_utf8_is_named_with_its_place() {
        let mut frame = br#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":"#.to_vec();
        frame.extend_from_slice(b"\"\xff\"}}");
        let at = frame.len() - 4;
        match Inbound::parse(frame.into(), ParseLimits::default()) {
            Inbound::Malformed(m) => {
                assert_eq!((m.kind, m.offset), (MalformedKind::NotUtf8, at));
                assert_eq!(m.id, Some(RequestId::Number(7)));
            }
            other => panic!("{other:?}"),
        }
    }
}
