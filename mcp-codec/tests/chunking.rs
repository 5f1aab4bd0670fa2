//! However the bytes come in, the same messages come out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use mcp_codec::{LineCodec, Lines};
use mcp_types::{
    EnvelopeFault, ErrorObject, Inbound, Malformed, MalformedKind, Message, ParseLimits, RawJson,
    RequestId,
};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

const LIMIT: usize = 128;

/// What an item is, in short.
#[derive(Debug, PartialEq)]
enum Item {
    Is(Message),
    Batch(usize),
    Bad(MalformedKind, Option<i64>, usize),
}

impl From<&Inbound> for Item {
    fn from(inbound: &Inbound) -> Self {
        match inbound {
            Inbound::Message(message) => Item::Is(message.clone()),
            Inbound::Batch(members) => Item::Batch(members.len()),
            Inbound::Malformed(Malformed {
                kind, id, offset, ..
            }) => {
                let id = id.as_ref().map(|id| match id {
                    RequestId::Number(n) => *n,
                    RequestId::String(s) => panic!("{s}"),
                });
                Item::Bad(*kind, id, *offset)
            }
        }
    }
}

fn codec() -> LineCodec {
    LineCodec::new()
        .with_max_length(LIMIT)
        .with_parse_limits(ParseLimits {
            depth: 8,
            ..ParseLimits::default()
        })
}

/// All items of an input that comes in such pieces, and the end.
fn by_lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Inbound> {
    let mut lines = Lines::from(codec());
    let mut items = Vec::new();
    for piece in pieces {
        lines.push(piece);
        items.extend(&mut lines);
    }
    items.extend(std::iter::from_fn(|| lines.finish()));
    items
}

fn by_decoder<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Inbound> {
    let (mut codec, mut buffer) = (codec(), BytesMut::new());
    let mut items = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(item) = codec.decode(&mut buffer).unwrap() {
            items.push(item);
        }
    }
    while let Some(item) = codec.decode_eof(&mut buffer).unwrap() {
        items.push(item);
    }
    assert!(buffer.is_empty());
    items
}

fn ping(id: i64) -> Item {
    Item::Is(Message::request(id, "ping", None))
}

#[test]
fn cases() {
    // REQ-STDIO-01, REQ-STDIO-11, REQ-ERR-07
    use EnvelopeFault as F;
    use Item::{Bad, Batch, Is};
    use MalformedKind as K;
    const P1: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    const P2: &str = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let too_long = K::TooLong { limit: LIMIT };
    let bulk = "x".repeat(3 * LIMIT);
    let cases: Vec<(String, Vec<Item>)> = vec![
        (String::new(), vec![]),
        ("\n\r\n \t \n\u{feff}\n".into(), vec![]),
        (format!("{P1}\n{P2}\n"), vec![ping(1), ping(2)]),
        (format!("{P1}\r\n\r\n{P2}\r\n"), vec![ping(1), ping(2)]),
        (format!("\u{feff}{P1}\n  {P2}  \n"), vec![ping(1), ping(2)]),
        // Only \n ends a line; a \r within one is white space.
        (
            format!("{P1}\r{P2}\n{P1}\n"),
            vec![Bad(K::NotJson, None, P1.len() + 1), ping(1)],
        ),
        // The end of the input ends a line too, if that makes it a message.
        (format!("{P1}\n{P2}"), vec![ping(1), ping(2)]),
        (
            format!("{P1}\n{}", &P2[..30]),
            vec![ping(1), Bad(K::Truncated, Some(2), 30)],
        ),
        ("\"\u{e9}".into(), vec![Bad(K::Truncated, None, 3)]),
        ("1".into(), vec![Bad(K::NotAMessage, None, 0)]),
        (format!("{P1}\n \r"), vec![ping(1)]),
        // Noise between messages costs an item and nothing else.
        (
            format!("Listening on port 80\n{P1}\n{{\"id\":3}}\n{P2}\n"),
            vec![
                Bad(K::NotJson, None, 0),
                ping(1),
                Bad(K::Request(F::Version), Some(3), 0),
                ping(2),
            ],
        ),
        (
            format!("[{P1},{P2}]\n[]\n"),
            vec![Batch(2), Bad(K::EmptyBatch, None, 0)],
        ),
        (
            format!(
                "{{\"id\":4,\"params\":{}{}}}\n{P1}\n",
                "[".repeat(9),
                "]".repeat(9)
            ),
            vec![Bad(K::TooDeep { limit: 8 }, Some(4), 24), ping(1)],
        ),
        // One byte more than the limit.
        (
            format!("{P1}{}\n{P2}\n", " ".repeat(LIMIT - P1.len())),
            vec![ping(1), ping(2)],
        ),
        (
            format!("{P1}{}\n{P2}\n", " ".repeat(LIMIT - P1.len() + 1)),
            vec![Bad(too_long, Some(1), LIMIT), ping(2)],
        ),
        (
            format!("{{\"id\":5,\"params\":\"{bulk}\"}}\n{P2}\n"),
            vec![Bad(too_long, Some(5), LIMIT), ping(2)],
        ),
        (
            format!("{bulk}\n{bulk}\n{P2}\n{bulk}"),
            vec![
                Bad(too_long, None, LIMIT),
                Bad(too_long, None, LIMIT),
                ping(2),
                Bad(too_long, None, LIMIT),
            ],
        ),
        // The id breaks off at the limit: half of it is not the id.
        (
            format!(
                "{{\"m\":\"{}\",\"id\":1234567890}}\n",
                "x".repeat(LIMIT - 18)
            ),
            vec![Bad(too_long, None, LIMIT)],
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":12".into(),
            vec![Bad(K::Truncated, None, 36)],
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"a\":1}}\n".into(),
            vec![Is(Message::notification(
                "log",
                RawJson::parse("{\"a\":1}").ok(),
            ))],
        ),
    ];
    for (input, expected) in cases {
        let input = input.as_bytes();
        for items in [
            by_lines([input]),
            by_lines(input.chunks(1)),
            by_lines(input.chunks(7)),
            by_decoder([input]),
            by_decoder(input.chunks(1)),
            by_decoder(input.chunks(13)),
        ] {
            let items: Vec<_> = items.iter().map(Item::from).collect();
            assert_eq!(items, expected, "{}", input.escape_ascii());
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_cost_one_line() {
    // REQ-JRPC-02
    let input = b"{\"id\":1,\"method\":\"\xff\"}\n\x00\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";
    let items: Vec<_> = by_lines([&input[..]]).iter().map(Item::from).collect();
    assert_eq!(
        items,
        [
            Item::Bad(MalformedKind::NotUtf8, Some(1), 18),
            Item::Bad(MalformedKind::NotJson, None, 0),
            ping(2)
        ]
    );
}

#[test]
fn bodies_are_slices_of_the_input() {
    let (mut codec, mut buffer) = (LineCodec::new(), BytesMut::new());
    buffer.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"a\":1}}\n");
    let input = buffer.as_ptr_range();
    let Some(Inbound::Message(Message::Response(response))) = codec.read(&mut buffer) else {
        panic!()
    };
    assert!(input.contains(&response.outcome.unwrap().as_bytes().as_ptr()));
}

#[test]
fn line_ends_in_raw_json_never_reach_the_wire() {
    // REQ-STDIO-01
    let pretty = "{\r\n  \"text\": \"a\\nb\",\n  \"list\": [\n    1\n  ]\n}";
    let raw = RawJson::parse(pretty).unwrap();
    let error = ErrorObject {
        data: Some(raw.clone()),
        ..ErrorObject::new(1, "two\nlines")
    };
    for message in [
        Message::request("i\nd", "m\n", Some(raw.clone())),
        Message::notification("m\r\n", Some(raw.clone())),
        Message::result(1, raw.clone()),
        Message::error(Some(1.into()), error),
    ] {
        let mut out = BytesMut::new();
        LineCodec::new().write(&message, &mut out);
        assert_eq!(out.iter().position(|b| *b == b'\n'), Some(out.len() - 1));
        assert!(!out.contains(&b'\r'));
        let items = by_decoder_default(&out);
        let [Inbound::Message(read)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!((read.id(), read.method()), (message.id(), message.method()));
        assert_eq!(value(read), value(&message));
    }
}

fn by_decoder_default(input: &[u8]) -> Vec<Inbound> {
    let mut lines = Lines::new();
    lines.push(input);
    lines.collect()
}

/// The message as plain JSON, where white space is nothing.
fn value(message: &Message) -> serde_json::Value {
    serde_json::from_str(&message.to_string()).unwrap()
}

#[tokio::test]
async fn halves_join_to_a_transport() {
    // REQ-STDIO-10, REQ-CUST-01, REQ-CUST-02
    let (near, far) = tokio::io::duplex(64);
    let (read, write) = tokio::io::split(near);
    let mut near = mcp_codec::framed_split(read, write);
    let mut far = mcp_codec::framed(far);
    let text = serde_json::json!({ "text": "x".repeat(10_000) });
    let sent = Message::request(1, "echo", Some(RawJson::from(text)));
    let echo = async {
        while let Some(item) = far.next().await {
            let Inbound::Message(message) = item.unwrap() else {
                panic!()
            };
            far.send(message.into()).await.unwrap();
        }
        far.close().await.unwrap();
    };
    let talk = async {
        for _ in 0..3 {
            near.send(sent.clone().into()).await.unwrap();
            let item = near.next().await.unwrap().unwrap();
            assert_eq!(item, Inbound::Message(sent.clone()));
        }
        near.close().await.unwrap();
        assert!(near.next().await.is_none());
    };
    futures::join!(echo, talk);
}

#[tokio::test]
async fn a_stream_reports_a_broken_last_line_and_ends() {
    let input: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n{\"jsonrpc\"";
    let mut transport = mcp_codec::framed_split(input, tokio::io::sink());
    let items: Vec<_> = (&mut transport)
        .map(|item| Item::from(&item.unwrap()))
        .collect()
        .await;
    assert_eq!(
        items,
        [ping(1), Item::Bad(MalformedKind::Truncated, None, 10)]
    );
    assert!(transport.next().await.is_none());
}

/// Lines of all kinds, so that cuts hit something.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"é":"\u00e9"}}"#
                .as_bytes()
                .to_vec()
        ),
        Just(br#"[{"jsonrpc":"2.0","method":"a"},{"id":2}]"#.to_vec()),
        (0..3 * LIMIT)
            .prop_map(|n| [br#"{"id":7,"x":""#, vec![b'y'; n].as_slice(), b"\"}"].concat()),
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ \r\t{}\\[\\]\",:0-9]{0,20}".prop_map(String::into_bytes),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n"), Just("")];
    proptest::collection::vec((line, end), 0..12).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line, end.into()].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn any_cut_decodes_as_the_whole_does(
        input in text(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([input.len()]) {
            pieces.push(&input[start..cut]);
            start = cut;
        }
        let whole = by_lines([&input[..]]);
        prop_assert_eq!(&by_lines(pieces.iter().copied()), &whole);
        prop_assert_eq!(&by_lines(input.chunks(1)), &whole);
        prop_assert_eq!(&by_decoder(pieces), &whole);
    }
}
