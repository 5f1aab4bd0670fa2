//! What must hold for any bytes: the bodies of the fuzz targets, which a unit test runs over the committed seeds.
//!
//! Each takes the bytes a fuzzer has made up and panics if a promise is broken.

use bytes::{Bytes, BytesMut};
use mcp_types::{
    ErrorObject, Inbound, Malformed, MalformedKind, Message, ParseLimits, RawJson, RequestId,
};
use serde_json::Value;

use crate::{LineCodec, Lines};

/// Any bytes are a message or something malformed, and what is said of the malformed is true.
pub fn decode(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let tight = ParseLimits { depth: 3, batch: 2 };
    for limits in [ParseLimits::default(), tight] {
        match Inbound::parse(frame.clone(), limits) {
            Inbound::Message(message) => {
                sound(&message, data);
                if let Message::Request(request) = &message {
                    broken_off(&request.id, &frame);
                }
            }
            Inbound::Batch(members) => {
                assert!((1..=limits.batch).contains(&members.len()));
                for member in members {
                    match member {
                        Ok(message) => sound(&message, data),
                        Err(malformed) => true_of(&malformed, data),
                    }
                }
            }
            Inbound::Malformed(malformed) => true_of(&malformed, data),
        }
    }
}

/// The bodies of a message are parts of the frame and JSON objects.
fn sound(message: &Message, frame: &[u8]) {
    let body = match message {
        Message::Request(m) => m.params.as_ref(),
        Message::Notification(m) => m.params.as_ref(),
        Message::Response(m) => m.outcome.as_ref().ok(),
    };
    if let Some(body) = body {
        assert!(body.is_object() && body.len() <= frame.len());
        assert!(RawJson::parse(body.as_str().to_owned()).is_ok());
    }
}

/// Of a request that breaks off, either its own id is known or none.
fn broken_off(id: &RequestId, frame: &Bytes) {
    let hidden = frame.contains(&b'\\');
    if hidden || memchr::memmem::find_iter(frame, b"\"id\"").count() != 1 {
        // Of two ids the last one counts, and it may be missing.
        return;
    }
    for end in (0..frame.len()).rev().take(256) {
        if let Inbound::Malformed(malformed) =
            Inbound::parse(frame.slice(..end), ParseLimits::default())
        {
            assert!(malformed.id.is_none_or(|found| found == *id), "{end}");
        }
    }
}

fn true_of(malformed: &Malformed, frame: &[u8]) {
    assert!(malformed.offset <= frame.len());
    assert!(malformed.excerpt.chars().count() <= Malformed::EXCERPT);
    assert!(!malformed.excerpt.contains(char::is_control));
    // An error that is owed can be sent, and is itself a message.
    if let Some(reply) = malformed.reply() {
        assert_eq!(parse(&write(&reply)), Inbound::Message(reply));
    }
}

/// However the bytes come in, the same messages come out: `[limit, n, size 1 … size n, bytes …]`.
pub fn chunks(data: &[u8]) {
    let [limit, n, rest @ ..] = data else { return };
    let Some((sizes, input)) = rest.split_at_checked(usize::from(n % 16)) else {
        return;
    };
    let limit = usize::from(*limit) * 2;
    let whole = by_lines(limit, [input]);
    assert_eq!(by_lines(limit, input.chunks(1)), whole);
    let mut pieces = Vec::new();
    let mut left = input;
    for size in sizes {
        let (piece, rest) = left.split_at(left.len().min(usize::from(*size)));
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    assert_eq!(by_lines(limit, pieces.iter().copied()), whole);
    assert_eq!(by_codec(limit, pieces), whole);
}

fn by_lines<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Inbound> {
    let mut lines = Lines::from(LineCodec::new().with_max_length(limit));
    let mut items = Vec::new();
    for piece in pieces {
        lines.push(piece);
        items.extend(&mut lines);
    }
    items.extend(std::iter::from_fn(|| lines.finish()));
    items
}

/// Like a runtime: one item at a time, and into the room there is.
fn by_codec<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Inbound> {
    let mut codec = LineCodec::new().with_max_length(limit);
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            buffer.reserve(1);
            let room = (buffer.capacity() - buffer.len()).min(piece.len());
            buffer.extend_from_slice(&piece[..room]);
            piece = &piece[room..];
            items.extend(std::iter::from_fn(|| codec.read(&mut buffer)));
        }
    }
    items.extend(std::iter::from_fn(|| codec.read_end(&mut buffer)));
    assert!(buffer.is_empty());
    items
}

/// A message survives the wire: one made up from the bytes, and one read from them.
pub fn roundtrip(data: &[u8]) {
    let made = Maker(data).message();
    assert_eq!(survives(&made), made, "made up");
    let read = match Inbound::parse(Bytes::copy_from_slice(data), ParseLimits::default()) {
        Inbound::Message(message) => vec![message],
        Inbound::Batch(members) => members.into_iter().flatten().collect(),
        Inbound::Malformed(_) => return,
    };
    for message in read {
        let again = survives(&message);
        // White space between lines becomes white space within one: after that, nothing changes any more.
        assert_eq!(write(&survives(&again)), write(&again));
        assert_eq!(write(&again), write(&message));
        if !data.contains(&b'\n') && !data.contains(&b'\r') {
            assert_eq!(again, message, "read");
        }
    }
}

/// What a message is after it has been written to a line and read back.
fn survives(message: &Message) -> Message {
    let mut line = BytesMut::new();
    LineCodec::new().write(message, &mut line);
    assert_eq!(
        memchr::memchr(b'\n', &line),
        Some(line.len() - 1),
        "one line"
    );
    match &by_lines(usize::MAX, [&line[..]])[..] {
        [Inbound::Message(again)] => again.clone(),
        other => panic!("{} is {other:?}", line.escape_ascii()),
    }
}

fn write(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    message.write(&mut out);
    out
}

fn parse(text: &[u8]) -> Inbound {
    Inbound::parse(Bytes::copy_from_slice(text), ParseLimits::default())
}

/// Makes messages of bytes.
struct Maker<'a>(&'a [u8]);

impl Maker<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn text(&mut self) -> String {
        let len = usize::from(self.byte()).min(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn id(&mut self) -> RequestId {
        match self.byte() % 3 {
            0 => RequestId::from(self.text()),
            1 => RequestId::Number(i64::from(self.byte()) - 128),
            _ => RequestId::Number(i64::MIN.wrapping_add(i64::from(self.byte()) - 128)),
        }
    }

    fn object(&mut self) -> RawJson {
        let members =
            std::iter::from_fn(|| (!self.0.is_empty()).then(|| (self.text(), self.value())));
        let object = members.take(8).collect::<serde_json::Map<_, _>>();
        RawJson::from(Value::from(object))
    }

    fn value(&mut self) -> Value {
        match self.byte() % 6 {
            0 => Value::Null,
            1 => Value::from(self.text()),
            2 => Value::from(self.byte()),
            3 => Value::from(f64::from(self.byte()) / 7.0),
            4 => Value::from(vec![self.text(), self.text()]),
            _ => serde_json::json!({ self.text(): self.text() }),
        }
    }

    fn message(&mut self) -> Message {
        let kind = self.byte();
        let body = kind & 8 == 0;
        match kind % 4 {
            0 => Message::request(self.id(), self.text(), body.then(|| self.object())),
            1 => Message::notification(self.text(), body.then(|| self.object())),
            2 => Message::result(self.id(), self.object()),
            _ => {
                let error = ErrorObject {
                    data: body.then(|| RawJson::from(self.value())),
                    ..ErrorObject::new(i64::from(self.byte()) - 32_768, self.text())
                };
                Message::error((kind & 16 == 0).then(|| self.id()), error)
            }
        }
    }
}

/// Our envelope says what one gets by reading the text into a [`Value`] and looking at its members.
pub fn differential(data: &[u8]) {
    let ours = parse(data);
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(matches!(ours, Inbound::Malformed(m) if m.kind == MalformedKind::NotUtf8));
        return;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(members)) if members.is_empty() => {
            assert!(matches!(ours, Inbound::Malformed(m) if m.kind == MalformedKind::EmptyBatch));
        }
        Ok(Value::Array(members)) if members.len() > ParseLimits::default().batch => {
            assert!(
                matches!(ours, Inbound::Malformed(m) if matches!(m.kind, MalformedKind::TooLong { .. }))
            );
        }
        Ok(Value::Array(members)) => {
            let Inbound::Batch(ours) = ours else {
                panic!("{ours:?} is a batch");
            };
            assert_eq!(ours.len(), members.len());
            for (ours, theirs) in ours.iter().zip(&members) {
                assert_eq!(Seen::of(ours.as_ref()), Seen::in_value(theirs));
            }
        }
        Ok(value) => {
            let ours = match &ours {
                Inbound::Message(message) => Ok(message),
                Inbound::Malformed(malformed) => Err(malformed),
                Inbound::Batch(_) => panic!("no batch"),
            };
            assert_eq!(Seen::of(ours), Seen::in_value(&value), "{text}");
        }
        Err(e) => {
            let reason = e.to_string();
            // A value is decoded, a body is not: these faults in a body are for its reader to find.
            let decoded = ["surrogate", "hex escape", "number out of range"];
            if decoded.iter().any(|fault| reason.contains(fault)) {
                return;
            }
            assert!(matches!(ours, Inbound::Malformed(_)), "{reason}: {ours:?}");
        }
    }
}

/// What a message is, by either way of reading.
#[derive(Debug, PartialEq)]
enum Seen {
    Request(Id, String, Option<Value>),
    Notification(String, Option<Value>),
    Result(Id, Value),
    Error(Option<Id>, i64, String, Option<Value>),
    /// What it was meant to be, and its id if that can be read.
    Bad(&'static str, Option<Id>),
}

#[derive(Debug, PartialEq)]
enum Id {
    Number(i64),
    String(String),
}

impl From<&RequestId> for Id {
    fn from(id: &RequestId) -> Self {
        match id {
            RequestId::Number(n) => Self::Number(*n),
            RequestId::String(s) => Self::String(s.to_string()),
        }
    }
}

impl Id {
    fn in_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(s) => Some(Self::String(s.clone())),
            Value::Number(n) => {
                let exact = |n: &f64| n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0;
                let whole = || n.as_f64().filter(|_| n.is_f64()).filter(exact);
                n.as_i64()
                    .or_else(|| whole().map(|n| n as i64))
                    .map(Self::Number)
            }
            _ => None,
        }
    }
}

impl Seen {
    fn of(ours: Result<&Message, &Malformed>) -> Self {
        let decode = |raw: &RawJson| raw.decode::<Value>().expect("the whole has been decoded");
        match ours {
            Ok(Message::Request(m)) => Self::Request(
                (&m.id).into(),
                m.method.to_string(),
                m.params.as_ref().map(decode),
            ),
            Ok(Message::Notification(m)) => {
                Self::Notification(m.method.to_string(), m.params.as_ref().map(decode))
            }
            Ok(Message::Response(m)) => match &m.outcome {
                Ok(result) => {
                    let id = m.id.as_ref().expect("a result has an id");
                    Self::Result(id.into(), decode(result))
                }
                Err(e) => {
                    let data = e.data.as_ref().map(decode);
                    Self::Error(
                        m.id.as_ref().map(Id::from),
                        e.code.0,
                        e.message.clone(),
                        data,
                    )
                }
            },
            Err(malformed) => {
                let meant = match malformed.kind {
                    MalformedKind::Request(_) => "request",
                    MalformedKind::Notification(_) => "notification",
                    MalformedKind::Response(_) => "response",
                    MalformedKind::NotAMessage => "nothing",
                    other => panic!("{other} in what is JSON"),
                };
                Self::Bad(meant, malformed.id.as_ref().map(Id::from))
            }
        }
    }

    fn in_value(value: &Value) -> Self {
        let Value::Object(members) = value else {
            return Self::Bad("nothing", None);
        };
        let get = |name: &str| members.get(name);
        let object = |name: &str| get(name).filter(|value| value.is_object());
        let id = get("id").and_then(Id::in_value);
        let (method, result, error) = (get("method"), get("result"), get("error"));
        let meant = match (method, get("id"), result.or(error)) {
            (Some(_), None, _) => "notification",
            (None, _, Some(_)) => "response",
            _ => "request",
        };
        let two = get("jsonrpc") == Some(&Value::from("2.0"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let params_fit = get("params").is_none_or(Value::is_object);
        let seen = match (
            method.and_then(text),
            object("result"),
            error.and_then(error_in),
            get("id"),
        ) {
            _ if !two || [method, result, error].iter().flatten().count() != 1 => None,
            (Some(method), ..) if params_fit => {
                let params = get("params").cloned();
                match (get("id"), id) {
                    (None, _) => return Self::Notification(method, params),
                    (_, Some(id)) => return Self::Request(id, method, params),
                    (Some(_), None) => None,
                }
            }
            (None, Some(result), None, Some(id)) => {
                Id::in_value(id).map(|id| Self::Result(id, result.clone()))
            }
            (None, None, Some((code, message, data)), None | Some(Value::Null)) => {
                Some(Self::Error(None, code, message, data))
            }
            (None, None, Some((code, message, data)), Some(id)) => {
                Id::in_value(id).map(|id| Self::Error(Some(id), code, message, data))
            }
            _ => None,
        };
        seen.unwrap_or_else(|| Self::Bad(meant, get("id").and_then(Id::in_value)))
    }
}

fn error_in(value: &Value) -> Option<(i64, String, Option<Value>)> {
    let members = value.as_object()?;
    let code = members.get("code")?.as_i64()?;
    let message = members.get("message")?.as_str()?.to_owned();
    Some((code, message, members.get("data").cloned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    type Body = fn(&[u8]);
    const TARGETS: [(&str, Body); 4] = [
        ("decode", decode),
        ("chunks", chunks),
        ("roundtrip", roundtrip),
        ("differential", differential),
    ];

    #[test]
    fn seeds() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        if !seeds.exists() {
            eprintln!("skipped: no fuzz/seeds beside this crate");
            return;
        }
        let mut count = 0;
        for (target, body) in TARGETS {
            for seed in std::fs::read_dir(seeds.join(target)).unwrap() {
                let path = seed.unwrap().path();
                eprintln!("{}", path.display());
                body(&std::fs::read(path).unwrap());
                count += 1;
            }
        }
        assert!(count >= 20, "{count} seeds");
    }

    proptest! {
        #[test]
        fn whatever_comes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            TARGETS.iter().for_each(|(_, body)| body(&data));
        }

        #[test]
        fn whatever_looks_like_a_message(parts in proptest::collection::vec(
            prop::sample::select(&[
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "\u{feff}", "\"jsonrpc\":\"2.0\"", "\"id\":", "1",
                "\"a\"", "null", "1.0", "1e400", "\\ud800", "\"method\":", "\"params\":{}", "\"result\":{}",
                "\"error\":{\"code\":1,\"message\":\"m\"}", "\"code\":1", "\"message\":\"\"", "\"data\":null",
            ][..]),
            0..24,
        )) {
            let data = parts.concat().into_bytes();
            TARGETS.iter().for_each(|(_, body)| body(&data));
        }
    }
}
