//! What our server makes of bad input: one line a case, each over bytes, and the connection lives.

mod ours;

use mcp_testing::{RawPeer, soon};
use ours::{ByHand, ERAS, Era, Held, SECRET, server, text};
use serde_json::{Value, json};

/// What a line is answered with.
#[derive(Debug, Clone, Copy)]
enum Reply {
    /// An error of that code under the id that this JSON stands for, or without one.
    Error(i64, Option<&'static str>),
    /// The echo of this text.
    Echo(&'static str),
    Nothing,
}

use Reply::{Echo, Nothing};

/// An error under the id 7.
const fn error(code: i64) -> Reply {
    Reply::Error(code, Some("7"))
}

/// An error that belongs to no request.
const fn nameless(code: i64) -> Reply {
    Reply::Error(code, None)
}

/// What it is, the line without its end, and what becomes of it.
type Case = (&'static str, &'static [u8], Reply);

/// Sends lines that are the same in both eras, and expects the reply and a connection that lives.
async fn check(cases: &[Case]) {
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        for (what, line, reply) in cases {
            println!("{era:?}: {what}");
            let line = [*line, b"\n"].concat();
            let sent = soon(by_hand.peer.send_bytes(&line)).await;
            sent.expect("the connection should live");
            expect(&mut by_hand, *reply).await;
            by_hand.lives().await;
        }
        by_hand.close().await;
    }
}

async fn expect(by_hand: &mut ByHand, reply: Reply) {
    match reply {
        Reply::Error(code, id) => {
            let answer = by_hand.next().await;
            assert_error(&answer, code, id);
        }
        Echo(expected) => {
            let answer = by_hand.next().await;
            assert_eq!(text(&answer), expected);
        }
        // Whatever came of it would come before the next answer, which is looked at.
        Nothing => {}
    }
}

fn assert_error(answer: &Value, code: i64, id: Option<&str>) {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    assert_eq!(answer["error"]["code"], code, "{answer}");
    let message = answer["error"]["message"].as_str();
    assert!(message.is_some_and(|text| !text.is_empty()), "{answer}");
    // Absent, not null (REQ-ID-07).
    let id = id.map(|id| serde_json::from_str(id).expect("the table holds JSON"));
    assert_eq!(answer.get("id"), id.as_ref(), "{answer}");
    assert_eq!(answer.get("result"), None, "{answer}");
}

#[tokio::test]
async fn lines_that_are_no_json() {
    // REQ-ERR-01, REQ-ERR-07, REQ-JRPC-02
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("not JSON", b"hello", nameless(-32700)),
        ("half a word", b"tru", nameless(-32700)),
        ("two messages run together", br#"{"jsonrpc":"2.0","id":7,"method":"ping"}{"jsonrpc":"2.0","id":8,"method":"ping"}"#, nameless(-32700)),
        ("truncated before the id", br#"{"jsonrpc":"2.0","method":"tools/ca"#, nameless(-32700)),
        ("truncated within the id", br#"{"jsonrpc":"2.0","id":7"#, nameless(-32700)),
        ("truncated behind the id", br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"na"#, error(-32700)),
        ("a bad escape", b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\\x\"}", error(-32700)),
        ("single quotes", b"{'jsonrpc':'2.0'}", nameless(-32700)),
        ("NaN", br#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":NaN}}"#, error(-32700)),
        ("invalid UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xff\"}", error(-32700)),
        ("invalid UTF-8 in place of JSON", b"\xc3\x28", nameless(-32700)),
        ("a NUL", b"\0", nameless(-32700)),
    ];
    check(cases).await;
}

#[tokio::test]
async fn json_that_is_no_message() {
    // REQ-JRPC-01, REQ-JRPC-03, REQ-JRPC-06, REQ-ID-01, REQ-ID-07
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("a number", b"7", nameless(-32600)),
        ("a string", br#""ping""#, nameless(-32600)),
        ("null", b"null", nameless(-32600)),
        ("an empty object", b"{}", nameless(-32600)),
        ("an empty array", b"[]", nameless(-32600)),
        ("a batch", br#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#, nameless(-32600)),
        ("a batch of nothing good", b"[1,2]", nameless(-32600)),
        ("no jsonrpc", br#"{"id":7,"method":"ping"}"#, error(-32600)),
        ("jsonrpc 1.0", br#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, error(-32600)),
        ("jsonrpc a number", br#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, error(-32600)),
        ("a string id comes back as one", br#"{"jsonrpc":"1.0","id":"7","method":"ping"}"#, Reply::Error(-32600, Some("\"7\""))),
        ("method a number", br#"{"jsonrpc":"2.0","id":7,"method":5}"#, error(-32600)),
        ("method null", br#"{"jsonrpc":"2.0","id":7,"method":null}"#, error(-32600)),
        ("neither method nor answer", br#"{"jsonrpc":"2.0","id":7}"#, error(-32600)),
        ("params an array", br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#, error(-32600)),
        ("params null", br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":null}"#, error(-32600)),
        ("params a string", br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":"a"}"#, error(-32600)),
        ("id null", br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, nameless(-32600)),
        ("id a fraction", br#"{"jsonrpc":"2.0","id":7.5,"method":"ping"}"#, nameless(-32600)),
        ("id an object", br#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, nameless(-32600)),
        ("id a list", br#"{"jsonrpc":"2.0","id":[7],"method":"ping"}"#, nameless(-32600)),
        ("id true", br#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, nameless(-32600)),
        ("id beyond 64 bits", br#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#, nameless(-32600)),
        ("method and result", br#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#, error(-32600)),
        ("method and error", br#"{"jsonrpc":"2.0","id":7,"method":"ping","error":{}}"#, error(-32600)),
    ];
    check(cases).await;
}

#[tokio::test]
async fn what_wants_no_answer_gets_none() {
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("a result nobody asked for", br#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Nothing),
        ("an error nobody asked for", br#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"m"}}"#, Nothing),
        ("an error without id", br#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#, Nothing),
        ("a result that is no object", br#"{"jsonrpc":"2.0","id":7,"result":5}"#, Nothing),
        ("a result and an error", br#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":-1,"message":"m"}}"#, Nothing),
        ("a result without id", br#"{"jsonrpc":"2.0","result":{}}"#, Nothing),
        ("an unknown notification", br#"{"jsonrpc":"2.0","method":"notifications/nope"}"#, Nothing),
        ("a notification of somebody's own", br#"{"jsonrpc":"2.0","method":"a.b","params":{"c":1}}"#, Nothing),
        ("a notification with bad params", br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[]}"#, Nothing),
        ("a notification of the wrong version", br#"{"jsonrpc":"1.0","method":"notifications/cancelled"}"#, Nothing),
        ("a known method as a notification", br#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}"#, Nothing),
        ("initialize as a notification", br#"{"jsonrpc":"2.0","method":"initialize"}"#, Nothing),
        ("a cancellation of nothing", br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#, Nothing),
        ("a cancellation without params", br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, Nothing),
        ("a cancellation of no id", br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#, Nothing),
        ("progress of nothing", br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#, Nothing),
        ("an empty line", b"", Nothing),
        ("an empty line of the other kind", b"\r", Nothing),
        ("white space", b" \t ", Nothing),
        ("a byte order mark alone", b"\xef\xbb\xbf", Nothing),
    ];
    check(cases).await;
}

#[tokio::test]
async fn lines_that_are_unusual_and_good() {
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        let params = json!({"name": "echo", "arguments": {"text": "é𝄞"}});
        let good = by_hand.request(7, "tools/call", params).to_string();
        let escaped = good.replace("tools/call", "tools\\/\\u0063all");
        let spaced = good.replace(':', " : ").replace(',', "\t, ");
        let twice = good.replacen('{', "{\"id\":8,\"method\":\"nope\",", 1);
        let more = good.replacen('{', "{\"more\":[{\"id\":8}],", 1);
        for (what, line) in [
            ("CRLF", format!("{good}\r\n")),
            ("a byte order mark", format!("\u{feff}{good}\n")),
            ("white space around it", format!("  \t{good}  \n")),
            ("white space within", format!("{spaced}\n")),
            ("escapes in names", format!("{escaped}\n")),
            ("members that stand twice", format!("{twice}\n")),
            ("members that nobody knows", format!("{more}\n")),
        ] {
            println!("{era:?}: {what}");
            soon(by_hand.peer.send_bytes(line.as_bytes()))
                .await
                .expect("sends");
            expect(&mut by_hand, Echo("é𝄞")).await;
            by_hand.lives().await;
        }
        by_hand.close().await;
    }
}

/// Requests that are well formed, with what is owed for them in the legacy and in the modern era.
#[tokio::test]
async fn requests_that_cannot_be_served() {
    // REQ-JRPC-13, REQ-TOOL-03, REQ-PAG-02, TRAP-16
    #[rustfmt::skip]
    let cases = [
        ("unknown method", "tools/nope", json!({}), -32601, -32601),
        ("unknown method of somebody's own", "nope", json!({}), -32601, -32601),
        ("empty method", "", json!({}), -32601, -32601),
        ("method in other letters", "Tools/List", json!({}), -32601, -32601),
        ("method of what is not offered", "prompts/list", json!({}), -32601, -32601),
        ("method of the other side", "sampling/createMessage", json!({}), -32601, -32601),
        ("notification as a request", "notifications/initialized", json!({}), -32601, -32601),
        ("call of nothing", "tools/call", json!({}), -32602, -32602),
        ("tool name a number", "tools/call", json!({"name": 5}), -32602, -32602),
        ("tool name null", "tools/call", json!({"name": null}), -32602, -32602),
        ("arguments an array", "tools/call", json!({"name": "echo", "arguments": []}), -32602, -32602),
        ("arguments a string", "tools/call", json!({"name": "echo", "arguments": "text"}), -32602, -32602),
        ("unknown tool", "tools/call", json!({"name": "nope"}), -32602, -32602),
        ("tool name in other letters", "tools/call", json!({"name": "Echo"}), -32602, -32602),
        ("token an array", "tools/call", json!({"name": "echo", "_meta": {"progressToken": []}}), -32602, -32602),
        ("token a fraction", "tools/call", json!({"name": "echo", "_meta": {"progressToken": 1.5}}), -32602, -32602),
        ("token null", "tools/call", json!({"name": "echo", "_meta": {"progressToken": null}}), -32602, -32602),
        ("token an array, in a list", "tools/list", json!({"_meta": {"progressToken": []}}), -32602, -32602),
        ("cursor a number", "tools/list", json!({"cursor": 5}), -32602, -32602),
        ("cursor never given out", "tools/list", json!({"cursor": "nope"}), -32602, -32602),
        ("empty cursor", "tools/list", json!({"cursor": ""}), -32602, -32602),
        ("level that is none", "logging/setLevel", json!({"level": "loud"}), -32602, -32601),
        ("level a number", "logging/setLevel", json!({"level": 3}), -32602, -32601),
        ("no level", "logging/setLevel", json!({}), -32602, -32601),
        ("second initialize without anything", "initialize", json!({}), -32602, -32601),
    ];
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        for (what, method, params, legacy, modern) in &cases {
            println!("{era:?}: {what}");
            let code = if era == Era::Legacy { *legacy } else { *modern };
            let answer = by_hand.ask(7, method, params.clone()).await;
            assert_error(&answer, code, Some("7"));
            by_hand.lives().await;
        }
        by_hand.close().await;
    }
}

#[tokio::test]
async fn params_with_bad_metadata_in_a_legacy_session() {
    let mut by_hand = ByHand::connect(server().0, Era::Legacy, 64 * 1024).await;
    for method in ["tools/call", "tools/list"] {
        for meta in [json!(5), json!([]), json!("a")] {
            let params = json!({"name": "echo", "arguments": {"text": "a"}, "_meta": meta});
            let answer = by_hand.ask(7, method, params).await;
            assert_error(&answer, -32602, Some("7"));
            by_hand.lives().await;
        }
    }
    by_hand.close().await;
}

/// Before any era is settled.
#[tokio::test]
async fn requests_of_no_era() {
    let mut by_hand = ByHand::connect(server().0, Era::Modern, 64 * 1024).await;
    let info = json!({"name": "raw", "version": "1"});
    #[rustfmt::skip]
    let cases = [
        ("a list", "tools/list", json!({})),
        ("a call", "tools/call", json!({"name": "echo", "arguments": {"text": "a"}})),
        ("unknown method", "nope", json!({})),
        ("discover without metadata", "server/discover", json!({})),
        ("capabilities alone", "tools/list", json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}})),
        ("initialize without anything", "initialize", json!({})),
        ("initialize without version", "initialize", json!({"capabilities": {}, "clientInfo": info})),
        ("initialize, version a number", "initialize", json!({"protocolVersion": 1, "capabilities": {}, "clientInfo": info})),
        ("initialize without capabilities", "initialize", json!({"protocolVersion": "2025-11-25", "clientInfo": info})),
        ("initialize, capabilities an array", "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": [], "clientInfo": info})),
        ("initialize without a name", "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}})),
    ];
    for (what, method, params) in cases {
        println!("{what}");
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        by_hand.send(&request).await;
        let answer = by_hand.next().await;
        assert_error(&answer, -32602, Some("7"));
        by_hand.lives().await;
    }
    // None of that has spoilt the handshake.
    by_hand.initialize("2025-06-18").await;
    by_hand.era = Era::Legacy;
    by_hand.lives().await;
    by_hand.close().await;
}

/// The metadata by which a request says that it is modern.
#[tokio::test]
async fn modern_metadata_that_is_bad() {
    const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    const LEVEL: &str = "io.modelcontextprotocol/logLevel";
    #[rustfmt::skip]
    let cases = [
        ("version a number", json!({VERSION: 5, CAPABILITIES: {}}), -32602),
        ("version null", json!({VERSION: null, CAPABILITIES: {}}), -32602),
        ("version unknown", json!({VERSION: "2099-01-01", CAPABILITIES: {}}), -32022),
        ("version legacy", json!({VERSION: "2025-11-25", CAPABILITIES: {}}), -32022),
        ("no capabilities", json!({VERSION: "2026-07-28"}), -32602),
        ("capabilities an array", json!({VERSION: "2026-07-28", CAPABILITIES: []}), -32602),
        ("capabilities of the wrong shape", json!({VERSION: "2026-07-28", CAPABILITIES: {"sampling": 5}}), -32602),
        ("level that is none", json!({VERSION: "2026-07-28", CAPABILITIES: {}, LEVEL: "loud"}), -32602),
    ];
    // In a legacy session as well: the era is that of the request.
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        for (what, meta, code) in &cases {
            println!("{era:?}: {what}");
            let params = json!({"name": "echo", "arguments": {"text": "a"}, "_meta": meta});
            let request =
                json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
            by_hand.send(&request).await;
            let answer = by_hand.next().await;
            assert_error(&answer, *code, Some("7"));
            if *code == -32022 {
                assert_eq!(answer["error"]["data"]["requested"], meta[VERSION]);
                assert_eq!(answer["error"]["data"]["supported"], json!(["2026-07-28"]));
            }
            by_hand.lives().await;
        }
        by_hand.close().await;
    }
}

#[tokio::test]
async fn answers_to_questions_that_nobody_asked() {
    let mut by_hand = ByHand::connect(server().0, Era::Modern, 64 * 1024).await;
    #[rustfmt::skip]
    let cases = [
        ("state never given out", json!({"requestState": "nope"})),
        ("state a number", json!({"requestState": 5})),
        ("answers an array", json!({"inputResponses": []})),
        ("answers an array, with a state", json!({"requestState": "nope", "inputResponses": []})),
    ];
    for (what, retry) in cases {
        println!("{what}");
        let mut params = json!({"name": "echo", "arguments": {"text": "a"}});
        for (key, value) in retry.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        let answer = by_hand.ask(7, "tools/call", params).await;
        assert_error(&answer, -32602, Some("7"));
        by_hand.lives().await;
    }
    by_hand.close().await;
}

/// The model made the mistake, so the model reads about it: a result, not an error of the protocol.
#[tokio::test]
async fn bad_arguments_are_named_in_a_result() {
    // REQ-TOOL-04, REQ-TOOL-11
    #[rustfmt::skip]
    let cases = [
        ("missing", "echo", json!({}), "text"),
        ("null", "echo", json!({"text": null}), "`text`"),
        ("of the wrong type", "echo", json!({"text": 5}), "`text`"),
        ("nested, missing", "order", json!({"customer": {}, "lines": []}), "`customer`: missing field `name`"),
        ("nested, of the wrong type", "order", json!({"customer": {"name": []}, "lines": []}), "`customer.name`"),
        ("in a list", "order", json!({"customer": {"name": "a"}, "lines": [{"amount": 1}, {"amount": -1}]}), "`lines[1].amount`"),
        ("in place of a list", "order", json!({"customer": {"name": "a"}, "lines": {}}), "`lines`"),
    ];
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        for (what, tool, arguments, named) in &cases {
            println!("{era:?}: {what}");
            let answer = by_hand.call(7, tool, arguments.clone()).await;
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            assert!(text(&answer).contains(named), "{answer}");
            // The model does not see the text that a position would be in.
            assert!(!text(&answer).contains("column"), "{answer}");
            by_hand.lives().await;
        }
        // No arguments at all are an empty object.
        let answer = by_hand.ask(7, "tools/call", json!({"name": "echo"})).await;
        assert!(text(&answer).contains("text"), "{answer}");
        by_hand.close().await;
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error() {
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        for tool in ["panic_before", "panic_at_once", "panic_later"] {
            for _ in 0..2 {
                let answer = by_hand.call(7, tool, json!({})).await;
                assert_error(&answer, -32603, Some("7"));
                assert!(!answer.to_string().contains("meant to"), "{answer}");
                by_hand.lives().await;
            }
        }
        by_hand.close().await;
    }
}

/// The handler is that of the round before, and its answer is that of this one.
#[tokio::test]
async fn a_handler_that_panics_after_an_input_round_is_an_internal_error() {
    let mut by_hand = ByHand::connect(server().0, Era::Modern, 64 * 1024).await;
    let capabilities = json!({"io.modelcontextprotocol/clientCapabilities": {"sampling": {}}});
    let mut params = json!({"name": "panic_after_asking", "_meta": capabilities});
    let asked = by_hand.ask(7, "tools/call", params.clone()).await;
    let asked = &asked["result"];
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    params["requestState"] = asked["requestState"].clone();
    for key in asked["inputRequests"].as_object().into_iter().flatten() {
        let content = json!({"type": "text", "text": "yes"});
        params["inputResponses"][key.0] =
            json!({"model": "stub", "role": "assistant", "content": content});
    }
    let answer = by_hand.ask(8, "tools/call", params.clone()).await;
    assert_error(&answer, -32603, Some("8"));
    by_hand.lives().await;
    // It is gone: nothing waits under that state any more.
    let answer = by_hand.ask(9, "tools/call", params).await;
    assert_error(&answer, -32602, Some("9"));
    by_hand.lives().await;
    by_hand.close().await;
}

#[tokio::test]
async fn a_handlers_error_is_told_if_it_is_meant_to_be() {
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        let answer = by_hand.call(7, "fail", json!({})).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert_eq!(text(&answer), "it fails");

        let answer = by_hand.call(7, "private", json!({})).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(!answer.to_string().contains(SECRET), "{answer}");
        assert!(!text(&answer).is_empty(), "{answer}");
        by_hand.lives().await;
        by_hand.close().await;
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_is_skipped() {
    const LIMIT: usize = 4096;
    for era in ERAS {
        // Shorter than the line and longer than it.
        for capacity in [64, 64 * 1024] {
            let (left, right) = tokio::io::duplex(capacity);
            let codec = mcp_codec::LineCodec::new().with_max_length(LIMIT);
            let transport = mcp_codec::framed_with(right, codec);
            let serving = tokio::spawn(server().0.serve(transport));
            let peer = RawPeer::new(left);
            let mut by_hand = ByHand { peer, serving, era };
            if era == Era::Legacy {
                by_hand.initialize("2025-11-25").await;
            }
            let long = "x".repeat(3 * LIMIT);
            let early = json!({"name": "echo", "arguments": {"text": long}});
            let early = by_hand.request(7, "tools/call", early).to_string();
            let late = format!("{{\"params\":{{\"a\":\"{long}\"}},\"id\":7}}");
            let (head, tail) = early.split_at(early.len() - 1);
            assert_eq!(tail, "}");
            for (what, line, id) in [
                ("no JSON", long.clone(), None),
                ("a request whose id can be seen", early.clone(), Some("7")),
                ("a request whose id is out of sight", late, None),
                (
                    "a request that is not even whole",
                    head.to_owned(),
                    Some("7"),
                ),
            ] {
                println!("{era:?}, {capacity}: {what}");
                soon(by_hand.peer.send_text(&line)).await.expect("sends");
                let answer = by_hand.next().await;
                assert_error(&answer, -32600, id);
                by_hand.lives().await;
            }
            by_hand.close().await;
        }
    }
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_the_first_request_runs_on() {
    for era in ERAS {
        let (server, watch) = server();
        let mut by_hand = ByHand::connect(server, era, 64 * 1024).await;
        let hold = by_hand.request(7, "tools/call", json!({"name": "hold"}));
        by_hand.send(&hold).await;
        soon(watch.held.find(|held| *held == Held::Started)).await;

        let answer = by_hand.call(7, "echo", json!({"text": "a"})).await;
        assert_error(&answer, -32600, Some("7"));
        by_hand.lives().await;
        // The same number as a string is another id.
        let answer = by_hand.call("7", "echo", json!({"text": "a"})).await;
        assert_eq!(text(&answer), "a");
        assert_eq!(watch.held.entries(), [Held::Started]);

        // It is the first that a cancellation hits; then the id is free.
        by_hand.send(&cancelled(7)).await;
        soon(watch.held.find(|held| *held == Held::Dropped)).await;
        let answer = by_hand.call(7, "echo", json!({"text": "a"})).await;
        assert_eq!(text(&answer), "a");
        by_hand.close().await;
    }
}

fn cancelled(id: i64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_the_others_live() {
    // REQ-ERR-03: no new code, an internal error that says so.
    const LIMIT: i64 = 1024;
    for era in ERAS {
        let (server, watch) = server();
        let mut by_hand = ByHand::connect(server, era, 64 * 1024).await;
        let hold = json!({"name": "hold"});
        for id in 0..LIMIT {
            let request = by_hand.request(id, "tools/call", hold.clone());
            by_hand.send(&request).await;
        }
        for (id, tool) in [(LIMIT, "hold"), (LIMIT + 1, "echo")] {
            let answer = by_hand.call(id, tool, json!({"text": "a"})).await;
            assert_error(&answer, -32603, Some(&id.to_string()));
            let message = answer["error"]["message"].to_string();
            assert!(message.contains("1024"), "it should say why: {message}");
        }
        let started = soon(watch.held.find_many(1024, |held| *held == Held::Started)).await;
        assert_eq!(started, watch.held.entries(), "none of them is dropped");

        by_hand.send(&cancelled(500)).await;
        soon(watch.held.find(|held| *held == Held::Dropped)).await;
        by_hand.lives().await;
        for id in (0..LIMIT).filter(|id| *id != 500) {
            by_hand.send(&cancelled(id)).await;
        }
        soon(watch.held.find_many(1024, |held| *held == Held::Dropped)).await;
        by_hand.close().await;
    }
}

/// Byte by byte, and through pipes that hold next to nothing: what is made of it does not depend on how it comes in.
#[tokio::test]
async fn bad_lines_in_pieces() {
    for (era, capacity) in ERAS
        .into_iter()
        .flat_map(|era| [1, 2, 7, 100].map(|c| (era, c)))
    {
        let mut by_hand = ByHand::connect(server().0, era, capacity).await;
        let unknown = by_hand.request(2, "nope", json!({}));
        let input = format!("hello\n\n\r\n{{\"jsonrpc\":\"1.0\",\"id\":1}}\n[]\n{unknown}\n");
        for byte in input.as_bytes() {
            let sent = soon(by_hand.peer.send_bytes(&[*byte])).await;
            sent.expect("the connection should live");
            tokio::task::yield_now().await;
        }
        for (code, id) in [
            (-32700, None),
            (-32600, Some("1")),
            (-32600, None),
            (-32601, Some("2")),
        ] {
            assert_error(&by_hand.next().await, code, id);
        }
        by_hand.lives().await;
        by_hand.close().await;
    }
}
