//! What our client makes of a server that misbehaves, over bytes: every call ends, and the connection lives.

mod ours;

use std::future::IntoFuture;

use mcp_client::types::{CallToolResult, CreateMessageResult, ErrorObject, MalformedKind};
use mcp_client::{Client, ClientBuilder, ConnectError, EraChoice, RequestError};
use mcp_peer::session::PeerMisbehaved;
use mcp_testing::{Journal, RawPeer, soon};
use ours::{ERAS, Era};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::Instant;

type Outcome = Result<CallToolResult, RequestError>;
/// What it is, the lines that the server answers a call with, and what the caller should get.
type Case = (&'static str, &'static [&'static str], fn(&Outcome) -> bool);

const LIVES: &str = "the connection should live";

/// A server that is played by hand.
struct Server {
    peer: RawPeer<DuplexStream>,
}

impl Server {
    async fn next(&mut self) -> Value {
        soon(self.peer.next()).await.expect(LIVES).expect(LIVES)
    }

    async fn send(&mut self, message: &Value) {
        soon(self.peer.send(message)).await.expect(LIVES);
    }

    async fn send_line(&mut self, line: &str) {
        soon(self.peer.send_text(line)).await.expect(LIVES);
    }

    /// The next message, which must be a call.
    async fn next_call(&mut self) -> Value {
        let call = self.next().await;
        assert_eq!(call["method"], "tools/call", "{call}");
        call
    }

    /// Answers the next message, which must be a request for that method.
    async fn answer(&mut self, method: &str, result: Value) -> Value {
        let request = self.next().await;
        assert_eq!(request["method"], method);
        let id = &request["id"];
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
            .await;
        request
    }

    async fn accept(&mut self, era: Era) {
        if era == Era::Modern {
            self.answer("server/discover", discovered()).await;
        } else {
            self.answer("initialize", initialized("2025-11-25")).await;
            let initialized = self.next().await;
            assert_eq!(initialized["method"], "notifications/initialized");
        }
    }
}

fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "logging": {}},
        "ttlMs": 0,
        "cacheScope": "private",
    })
}

fn initialized(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "raw", "version": "1"},
    })
}

fn builder(era: Era) -> ClientBuilder {
    Client::builder("tester", "1").era(match era {
        Era::Legacy => EraChoice::Legacy,
        Era::Modern => EraChoice::Modern,
    })
}

async fn connect(builder: ClientBuilder, era: Era) -> (Client, Server) {
    let (left, right) = tokio::io::duplex(64 * 1024);
    let peer = RawPeer::new(right);
    let mut server = Server { peer };
    let connecting = builder.connect(mcp_codec::framed(left));
    let (client, ()) = soon(async { tokio::join!(connecting, server.accept(era)) }).await;
    (client.expect("the handshake is a good one"), server)
}

/// Connects to a server that answers as `script` says.
async fn opening<F: AsyncFnOnce(&mut Server)>(
    choice: EraChoice,
    script: F,
) -> (Result<Client, ConnectError>, Server) {
    let (left, right) = tokio::io::duplex(64 * 1024);
    let peer = RawPeer::new(right);
    let mut server = Server { peer };
    let builder = Client::builder("tester", "1").era(choice);
    let connecting = builder.connect(mcp_codec::framed(left));
    let (client, ()) = soon(async { tokio::join!(connecting, script(&mut server)) }).await;
    (client, server)
}

/// A call is answered; nothing else is on its way to the server.
async fn lives(client: &Client, server: &mut Server) {
    let answering = async {
        let call = server.next_call().await;
        server.send_line(&filled(GOOD, &call["id"])).await;
    };
    let calling = client.call_tool("a", json!({})).into_future();
    let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
    assert!(good(&outcome), "{outcome:?}");
}

/// `$ID` stands for the id of the request, which is also its progress token.
fn filled(line: &str, id: &Value) -> String {
    line.replace("$ID", &id.to_string())
}

const GOOD: &str =
    r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"good"}]}}"#;

fn good(outcome: &Outcome) -> bool {
    outcome
        .as_ref()
        .is_ok_and(|result| result.to_text() == "good" && !result.is_error)
}

fn refused(outcome: &Outcome, code: i64) -> bool {
    matches!(outcome, Err(RequestError::Refused(error)) if error.code.0 == code)
}

fn no_response(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Err(RequestError::Misbehaved(PeerMisbehaved::MalformedResponse(
            _
        )))
    )
}

fn unreadable(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Err(RequestError::Misbehaved(
            PeerMisbehaved::UnreadableResponse(_)
        ))
    )
}

fn wrong_shape(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Err(RequestError::Misbehaved(PeerMisbehaved::ResultShape { method, .. }))
            if *method == "tools/call"
    )
}

fn bad_round(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Err(RequestError::Misbehaved(PeerMisbehaved::InputRound(_)))
    )
}

async fn check(eras: &[Era], cases: &[Case]) {
    for era in eras {
        let (client, mut server) = connect(builder(*era), *era).await;
        for (what, lines, expected) in cases {
            println!("{era:?}: {what}");
            let answering = async {
                let call = server.next_call().await;
                for line in *lines {
                    server.send_line(&filled(line, &call["id"])).await;
                }
            };
            let calling = client
                .call_tool("a", json!({}))
                .on_progress(|_| ())
                .into_future();
            let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
            assert!(expected(&outcome), "{outcome:?}");
            lives(&client, &mut server).await;
        }
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    // REQ-ID-10, REQ-JRPC-06
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("an error", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32603,"message":"m"}}"#], |o| refused(o, -32603)),
        ("an error of a code nobody knows", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":1234,"message":"","data":[1]}}"#], |o| refused(o, 1234)),
        ("result a number", &[r#"{"jsonrpc":"2.0","id":$ID,"result":5}"#], no_response),
        ("result null", &[r#"{"jsonrpc":"2.0","id":$ID,"result":null}"#], no_response),
        ("result an array", &[r#"{"jsonrpc":"2.0","id":$ID,"result":[]}"#], no_response),
        ("result and error", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{},"error":{"code":1,"message":"m"}}"#], no_response),
        ("error a string", &[r#"{"jsonrpc":"2.0","id":$ID,"error":"m"}"#], no_response),
        ("an error, its code with a point and a zero", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32601.0,"message":"m"}}"#], |o| refused(o, -32601)),
        ("an error, its code a fraction", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-1.5,"message":"m"}}"#], no_response),
        ("error without code", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"message":"m"}}"#], no_response),
        ("error, code a string", &[r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":"1","message":"m"}}"#], no_response),
        ("no jsonrpc", &[r#"{"id":$ID,"result":{"content":[]}}"#], no_response),
        ("neither result nor error", &[r#"{"jsonrpc":"2.0","id":$ID}"#], unreadable),
        ("cut off", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":["#], unreadable),
        ("of another shape", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":5}}"#], wrong_shape),
        ("of another method", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":{"tools":[]}}}"#], wrong_shape),
        ("with a block of the wrong shape", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":5}]}}"#], wrong_shape),
        ("with a block that is none", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":["text"]}}"#], wrong_shape),
        ("with a flag that is none", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[],"isError":"yes"}}"#], wrong_shape),
    ];
    check(&ERAS, cases).await;
}

#[tokio::test]
async fn noise_around_a_good_answer() {
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("what a server prints by mistake", &["hello", "", "\r", "  ", "Listening on stdio", "[]", "[1]", "5", "{}", "\u{1b}[31mred\u{1b}[0m", GOOD], good),
        ("the start of a message", &["{\"jsonrpc\":\"2.0\",", GOOD], good),
        ("a batch", &[r#"[{"jsonrpc":"2.0","id":$ID,"result":{"content":[]}}]"#, GOOD], good),
        ("an answer to nothing", &[r#"{"jsonrpc":"2.0","id":999,"result":{"content":[]}}"#, GOOD], good),
        ("an error about nothing", &[r#"{"jsonrpc":"2.0","id":999,"error":{"code":1,"message":"m"}}"#, GOOD], good),
        ("the id as a string", &[r#"{"jsonrpc":"2.0","id":"$ID","result":{"content":[]}}"#, GOOD], good),
        ("the id as a fraction", &[r#"{"jsonrpc":"2.0","id":$ID.5,"result":{"content":[]}}"#, GOOD], good),
        ("id null", &[r#"{"jsonrpc":"2.0","id":null,"result":{"content":[]}}"#, GOOD], good),
        ("an error without id", &[r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#, GOOD], good),
        ("an error with id null", &[r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#, GOOD], good),
        ("a second answer", &[GOOD, r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[]}}"#], good),
        ("an error after the answer", &[GOOD, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":1,"message":"m"}}"#], good),
        ("a broken answer after the answer", &[GOOD, r#"{"jsonrpc":"2.0","id":$ID,"result":5}"#], good),
        ("progress for nobody", &[r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":999,"progress":1}}"#, GOOD], good),
        ("progress after the answer", &[GOOD, r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$ID,"progress":1}}"#], good),
        ("progress that is none", &[r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$ID,"progress":"1"}}"#, GOOD], good),
        ("progress without params", &[r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, GOOD], good),
        ("a log of an unknown level", &[r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"loud","data":1}}"#, GOOD], good),
        ("a log without data", &[r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#, GOOD], good),
        ("an unknown notification", &[r#"{"jsonrpc":"2.0","method":"notifications/nope","params":{"a":1}}"#, GOOD], good),
        ("a notification that is none", &[r#"{"jsonrpc":"2.0","method":"notifications/message","params":[]}"#, GOOD], good),
        ("a cancellation of what the server never asked", &[r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":$ID}}"#, GOOD], good),
        ("members that nobody knows", &[r#"{"more":{},"jsonrpc":"2.0","id":$ID,"result":{"more":1,"content":[{"type":"text","text":"good","more":1}]}}"#], good),
        ("a byte order mark and CRLF", &["\u{feff}{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"good\"}]}}\r"], good),
        ("the id with a point and a zero", &[r#"{"jsonrpc":"2.0","id":$ID.0,"result":{"content":[{"type":"text","text":"good"}]}}"#], good),
    ];
    check(&ERAS, cases).await;
}

#[tokio::test]
async fn result_types_and_input_rounds() {
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("no result type", &[GOOD], good),
        ("unknown result type", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"nope","content":[]}}"#], |o| matches!(o, Err(RequestError::Misbehaved(PeerMisbehaved::UnknownResultType(name))) if name == "nope")),
        ("result type a number", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":5,"content":[]}}"#], |o| matches!(o, Err(RequestError::Misbehaved(PeerMisbehaved::UnknownResultType(_))))),
        ("neither questions nor state", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required"}}"#], bad_round),
        ("questions an array", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":[]}}"#], bad_round),
        ("a question that is none", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":{"a":5}}}"#], bad_round),
        ("a question of another method", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"tools/call","params":{}}}}}"#], bad_round),
        ("a question that was not offered to be answered", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage","params":{"maxTokens":1,"messages":[]}}}}}"#], bad_round),
        ("state a number", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","requestState":5}}"#], bad_round),
    ];
    check(&[Era::Modern], cases).await;

    // Legacy knows none of that: what counts is the shape.
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("unknown result type", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"nope","content":[{"type":"text","text":"good"}]}}"#], good),
        ("input required", &[r#"{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","content":5}}"#], wrong_shape),
    ];
    check(&[Era::Legacy], cases).await;
}

#[tokio::test]
async fn an_answer_that_is_not_utf8() {
    for era in ERAS {
        let (client, mut server) = connect(builder(era), era).await;
        let answering = async {
            let id = server.next_call().await["id"].to_string();
            let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"a\":\"");
            let line = [head.as_bytes(), b"\xff\"}}\n"].concat();
            soon(server.peer.send_bytes(&line)).await.expect(LIVES);
        };
        let calling = client.call_tool("a", json!({})).into_future();
        let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
        let unreadable = PeerMisbehaved::UnreadableResponse(MalformedKind::NotUtf8);
        assert_eq!(outcome, Err(RequestError::Misbehaved(unreadable)));
        lives(&client, &mut server).await;
    }
}

#[tokio::test]
async fn ten_rounds_are_enough() {
    let (client, mut server) = connect(builder(Era::Modern), Era::Modern).await;
    let answering = async {
        let mut ids = Vec::new();
        let mut state = Value::Null;
        for round in 0..11 {
            let call = server.next_call().await;
            assert_eq!(call["params"]["requestState"], state);
            assert!(!ids.contains(&call["id"]), "{call} uses an id again");
            ids.push(call["id"].clone());
            state = json!(format!("\"{round}\\ \u{1}é"));
            let result = json!({"resultType": "input_required", "requestState": state});
            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": result});
            server.send(&answer).await;
        }
    };
    let calling = client.call_tool("a", json!({})).into_future();
    let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
    let too_many = PeerMisbehaved::TooManyRounds(10);
    assert_eq!(outcome, Err(RequestError::Misbehaved(too_many)));
    lives(&client, &mut server).await;
}

#[tokio::test]
async fn progress_counts_if_it_increases() {
    for era in ERAS {
        let (client, mut server) = connect(builder(era), era).await;
        let answering = async {
            let call = server.next_call().await;
            let token = &call["params"]["_meta"]["progressToken"];
            for progress in ["1", "1", "0.5", "null", "1e999", "-1", "2.5", "2", "3"] {
                let params = format!("{{\"progressToken\":{token},\"progress\":{progress}}}");
                let method = "notifications/progress";
                let line = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
                server.send_line(&line).await;
            }
            server.send_line(&filled(GOOD, &call["id"])).await;
        };
        let mut seen = Vec::new();
        let calling = client.call_tool("a", json!({}));
        let calling = calling
            .on_progress(|update| seen.push(update.progress))
            .into_future();
        let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
        assert!(good(&outcome), "{outcome:?}");
        assert_eq!(seen, [1.0, 2.5, 3.0]);
        lives(&client, &mut server).await;
    }
}

/// What a server asks, the code that a legacy client answers with, `None` for a result.
#[tokio::test]
async fn requests_of_the_server() {
    #[rustfmt::skip]
    let cases = [
        ("ping", r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#, None),
        ("unknown method", r#"{"jsonrpc":"2.0","id":5,"method":"nope"}"#, Some(-32601)),
        ("method of the other side", r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#, Some(-32601)),
        ("what was not offered", r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#, Some(-32601)),
        ("sampling without params", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"}"#, Some(-32602)),
        ("sampling of nothing", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":5}}"#, Some(-32602)),
        ("sampling with tools, not offered", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"tools":[]}}"#, Some(-32602)),
        ("method a number", r#"{"jsonrpc":"2.0","id":5,"method":7}"#, Some(-32600)),
        ("params an array", r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":[]}"#, Some(-32600)),
        ("a handler that panics", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":13}}"#, Some(-32603)),
        ("a handler that refuses", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#, Some(-1)),
        ("a handler that answers", r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":2}}"#, None),
    ];
    for era in ERAS {
        let builder = builder(era).on_sampling(async |params| match params.max_tokens {
            13 => panic!("the handler panics, as it is meant to"),
            1 => Err(ErrorObject::new(-1, "no")),
            _ => Ok(CreateMessageResult::text("stub", "yes")),
        });
        let (client, mut server) = connect(builder, era).await;
        for (what, line, code) in cases {
            println!("{era:?}: {what}");
            server.send_line(line).await;
            // A modern client answers nothing at all (REQ-JRPC-12): the next thing it says is its call.
            if era == Era::Legacy {
                let answer = server.next().await;
                assert_eq!(answer["id"], 5, "{answer}");
                assert_eq!(answer["error"]["code"].as_i64(), code, "{answer}");
                assert_eq!(answer["result"].is_object(), code.is_none(), "{answer}");
            }
            lives(&client, &mut server).await;
        }
        soon(client.close()).await;
    }
}

/// In an input round there is no form for a failure: the call fails, and nothing goes to the server.
#[tokio::test]
async fn a_question_that_cannot_be_answered_fails_the_call() {
    let builder = builder(Era::Modern).on_sampling(async |params| match params.max_tokens {
        13 => panic!("the handler panics, as it is meant to"),
        _ => Err(ErrorObject::new(-1, "no")),
    });
    let (client, mut server) = connect(builder, Era::Modern).await;
    for (params, code) in [
        (json!({"messages": [], "maxTokens": 13}), -32603),
        (json!({"messages": [], "maxTokens": 1}), -1),
        (json!({"messages": 5}), -32602),
    ] {
        let answering = async {
            let id = server.next_call().await["id"].clone();
            let question = json!({"method": "sampling/createMessage", "params": params});
            let result = json!({"resultType": "input_required", "inputRequests": {"a": question}});
            server
                .send(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
                .await;
        };
        let calling = client.call_tool("a", json!({})).into_future();
        let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
        match outcome {
            Err(RequestError::InputFailed { error, .. }) => assert_eq!(error.code.0, code),
            other => panic!("{other:?}"),
        }
        lives(&client, &mut server).await;
    }
}

#[tokio::test]
async fn noise_before_the_handshake() {
    for (choice, method) in [
        (EraChoice::Auto, "server/discover"),
        (EraChoice::Modern, "server/discover"),
        (EraChoice::Legacy, "initialize"),
    ] {
        let (client, mut server) = opening(choice, async |server: &mut Server| {
            for line in ["Welcome!", "", "{", "[]", "null"] {
                server.send_line(line).await;
            }
            let result = match method {
                "initialize" => initialized("2025-06-18"),
                _ => discovered(),
            };
            server.answer(method, result).await;
            if method == "initialize" {
                server.next().await;
            }
        })
        .await;
        lives(&client.expect(LIVES), &mut server).await;
    }
}

#[tokio::test]
async fn whoever_answers_the_probe_badly_is_legacy() {
    #[rustfmt::skip]
    let answers = [
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32601,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32602,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":0,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"result":{"supportedVersions":5}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"result":5}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"error":5}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"result":{"#,
    ];
    for answer in answers {
        println!("{answer}");
        let (client, mut server) = opening(EraChoice::Auto, async |server: &mut Server| {
            let probe = server.next().await;
            assert_eq!(probe["method"], "server/discover");
            server.send_line(&filled(answer, &probe["id"])).await;
            server.accept(Era::Legacy).await;
        })
        .await;
        lives(&client.expect("it falls back"), &mut server).await;
    }
}

#[tokio::test]
async fn handshakes_that_fail() {
    type Expected = fn(&ConnectError) -> bool;
    let misbehaved: Expected = |error| matches!(error, ConnectError::Misbehaved(_));
    #[rustfmt::skip]
    let cases: &[(_, _, Expected)] = &[
        ("refused", r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32603,"message":"m"}}"#, |e| matches!(e, ConnectError::Refused(error) if error.code.0 == -32603)),
        ("a version nobody knows", r#"{"jsonrpc":"2.0","id":$ID,"result":{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"a","version":"1"}}}"#, |e| matches!(e, ConnectError::NoCommonVersion { .. })),
        ("a modern version", r#"{"jsonrpc":"2.0","id":$ID,"result":{"protocolVersion":"2026-07-28","capabilities":{},"serverInfo":{"name":"a","version":"1"}}}"#, |e| matches!(e, ConnectError::NoCommonVersion { .. })),
        ("an empty result", r#"{"jsonrpc":"2.0","id":$ID,"result":{}}"#, misbehaved),
        ("result a number", r#"{"jsonrpc":"2.0","id":$ID,"result":5}"#, misbehaved),
        ("cut off", r#"{"jsonrpc":"2.0","id":$ID,"result":{"#, misbehaved),
    ];
    for (what, answer, expected) in cases {
        println!("{what}");
        let (client, _server) = opening(EraChoice::Legacy, async |server: &mut Server| {
            let id = server.next().await["id"].clone();
            server.send_line(&filled(answer, &id)).await;
        })
        .await;
        let error = client.expect_err("it cannot be opened");
        assert!(expected(&error), "{error:?}");
    }
}

/// Nothing is waited for: the clock, which moves only when nothing else can, stands still.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_during_the_handshake() {
    for choice in [EraChoice::Auto, EraChoice::Legacy, EraChoice::Modern] {
        for answered in [false, true] {
            let start = Instant::now();
            let (left, right) = tokio::io::duplex(64 * 1024);
            let mut server = RawPeer::new(right);
            let connecting = Client::builder("tester", "1").era(choice);
            let connecting = connecting.connect(mcp_codec::framed(left));
            let losing = async {
                if answered {
                    server.next().await.expect("a first message");
                }
                drop(server);
            };
            let (client, ()) = soon(async { tokio::join!(connecting, losing) }).await;
            let error = client.expect_err("there is nobody");
            let lost = match choice {
                EraChoice::Legacy => matches!(error, ConnectError::ConnectionLost(_)),
                _ => matches!(error, ConnectError::ProbeLost(_)),
            };
            assert!(lost, "{error:?}");
            assert_eq!(start.elapsed().as_nanos(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_ends_every_call_at_once() {
    for era in ERAS {
        // The server closes what it sends, or is gone altogether.
        for gone in [false, true] {
            let (client, mut server) = connect(builder(era), era).await;
            let start = Instant::now();
            let calls = (0..10).map(|_| client.call_tool("a", json!({})).into_future());
            let calls = futures::future::join_all(calls);
            let losing = async {
                for _ in 0..10 {
                    server.next_call().await;
                }
                if gone {
                    drop(server);
                    None
                } else {
                    soon(server.peer.finish()).await.expect(LIVES);
                    Some(server)
                }
            };
            let (outcomes, server) = soon(async { tokio::join!(calls, losing) }).await;
            assert_eq!(outcomes.len(), 10);
            for outcome in outcomes {
                assert!(
                    matches!(outcome, Err(RequestError::ConnectionLost(_))),
                    "{outcome:?}"
                );
            }
            let late = soon(client.call_tool("a", json!({})).into_future()).await;
            assert!(
                matches!(late, Err(RequestError::ConnectionLost(_))),
                "{late:?}"
            );
            assert_eq!(start.elapsed().as_nanos(), 0);
            drop(server);
        }
    }
}

/// The client's own handlers may go on for a while; nobody has to wait for that.
#[tokio::test(start_paused = true)]
async fn a_handler_at_work_holds_up_no_caller_when_the_connection_is_lost() {
    let started = Journal::new();
    let starts = started.clone();
    let builder = builder(Era::Legacy).on_sampling(move |_| {
        starts.push(());
        std::future::pending()
    });
    let (client, mut server) = connect(builder, Era::Legacy).await;
    let start = Instant::now();
    let losing = async {
        server.next_call().await;
        let params = json!({"messages": [], "maxTokens": 1});
        let ask = json!({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": params});
        server.send(&ask).await;
        soon(started.find(|()| true)).await;
        soon(server.peer.finish()).await.expect(LIVES);
    };
    let calling = client.call_tool("a", json!({})).into_future();
    let (outcome, ()) = soon(async { tokio::join!(calling, losing) }).await;
    assert!(
        matches!(outcome, Err(RequestError::ConnectionLost(_))),
        "{outcome:?}"
    );
    let late = soon(client.call_tool("a", json!({})).into_future()).await;
    assert!(
        matches!(late, Err(RequestError::ConnectionLost(_))),
        "{late:?}"
    );
    assert_eq!(start.elapsed().as_nanos(), 0);
}
