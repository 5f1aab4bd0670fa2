//! The doubles against each other: what holds here is not theirs to blame when it fails against our server or our client.

#![expect(
    deprecated,
    reason = "rmcp deprecates logging and sampling with revision 2026-07-28, and they are what we test"
)]

mod interop;

use interop::rmcp::{
    Era, Received, RmcpClient, Seen, Serving, question, rmcp_client, rmcp_client_with, rmcp_server,
};
use mcp_testing::{Direction, Line, Log, RawPeer, Wire, soon};
use rmcp::ServiceError;
use rmcp::model::{
    CallToolResponse, ClientCapabilities, ContentBlock, ErrorCode, LoggingLevel, ProtocolVersion,
};
use serde_json::{Value, json};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

struct Pair {
    client: RmcpClient,
    server: Serving,
    wire: Log,
}

async fn connect(era: Era) -> Pair {
    let sampling = ClientCapabilities::builder().enable_sampling().build();
    connect_with(sampling, era).await
}

async fn connect_with(capabilities: ClientCapabilities, era: Era) -> Pair {
    let (left, right, wire) = Wire::tap(64 * 1024);
    let server = rmcp_server().serve(right);
    let client = soon(rmcp_client_with(capabilities, left, era)).await;
    Pair {
        client: client.expect("the doubles should agree"),
        server,
        wire,
    }
}

impl Pair {
    /// Closes the client's end; the server has to notice.
    async fn close(self) {
        soon(self.client.close()).await;
        soon(self.server.ended()).await.expect("a clean end");
    }
}

/// The direction and method of each message, responses as `result` or `error`.
fn outline(wire: &Log) -> Vec<String> {
    let kind = |line: &Line| {
        let message = line.json();
        let kind = match &message {
            _ if message["method"].is_string() => message["method"].as_str(),
            _ if message["result"]["resultType"] == "input_required" => Some("input_required"),
            _ if message["result"].is_object() => Some("result"),
            _ if message["error"].is_object() => Some("error"),
            _ => None,
        };
        format!("{} {}", line.direction, kind.unwrap_or("?"))
    };
    wire.lines().iter().map(kind).collect()
}

fn with_method(wire: &Log, direction: Direction, method: &str) -> Vec<Value> {
    let mut messages = wire.messages(direction);
    messages.retain(|message| message["method"] == method);
    messages
}

fn files() -> Value {
    json!({"file_ids": ["a", "b", "c"]})
}

fn is_log(seen: &Seen) -> bool {
    matches!(seen, Seen::Log { .. })
}

fn is_progress(seen: &Seen) -> bool {
    matches!(seen, Seen::Progress { .. })
}

fn texts(content: &[ContentBlock]) -> Vec<&str> {
    let texts = content.iter().filter_map(|block| block.as_text());
    texts.map(|text| text.text.as_str()).collect()
}

/// What a client sees of `batch` is the same in both eras.
async fn lists_and_calls(pair: &mut Pair) {
    let tools = soon(pair.client.list_tools()).await.expect("tools");
    assert_eq!(tools, ["batch", "fail", "echo"]);

    let set = soon(pair.client.set_log_level(LoggingLevel::Info)).await;
    set.expect("a level is accepted");
    let result = soon(pair.client.call("batch", files())).await;
    let result = result.expect("batch should succeed");
    let summary = format!("stub: {}", question(3));
    assert_eq!(
        result.structured_content,
        Some(json!({"count": 3, "summary": summary}))
    );
    assert_eq!(texts(&result.content), [summary]);
    assert_ne!(result.is_error, Some(true));

    let logs = soon(pair.client.seen().find_many(3, is_log)).await;
    let log = |id| Seen::Log {
        level: LoggingLevel::Info,
        logger: Some("files".to_owned()),
        data: json!(format!("processed {id}")),
    };
    assert_eq!(logs, ["a", "b", "c"].map(log));

    let progress = soon(pair.client.seen().find_many(3, is_progress)).await;
    let calls = with_method(&pair.wire, Direction::LeftToRight, "tools/call");
    let token = &calls[0]["params"]["_meta"]["progressToken"];
    let step = |(done, id)| Seen::Progress {
        token: token.clone(),
        progress: done,
        total: Some(3.0),
        message: Some(format!("processed {id}")),
    };
    assert_eq!(progress, [(1.0, "a"), (2.0, "b"), (3.0, "c")].map(step));

    let sampled = Seen::Sampled {
        question: question(3),
    };
    let mut asked = pair.client.seen().entries();
    asked.retain(|seen| *seen == sampled);
    assert_eq!(asked.len(), 1, "asked once");
}

#[tokio::test]
async fn legacy_samples_by_a_request_of_the_server() {
    let mut pair = connect(Era::LEGACY).await;
    assert_eq!(pair.client.era(), Era::LEGACY);
    lists_and_calls(&mut pair).await;
    assert_eq!(
        outline(&pair.wire),
        [
            "-> initialize",
            "<- result",
            "-> notifications/initialized",
            "-> tools/list",
            "<- result",
            "-> logging/setLevel",
            "<- result",
            "-> tools/call",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- sampling/createMessage",
            "-> result",
            "<- result",
        ]
    );
    for message in pair.wire.messages(Direction::LeftToRight) {
        assert_eq!(message["params"]["_meta"][VERSION], Value::Null);
    }
    for message in pair.wire.messages(Direction::RightToLeft) {
        assert_eq!(message["result"]["resultType"], Value::Null);
    }
    pair.close().await;
}

#[tokio::test]
async fn modern_samples_by_input_required_and_a_retry() {
    let mut pair = connect(Era::Modern).await;
    assert_eq!(pair.client.era(), Era::Modern);
    lists_and_calls(&mut pair).await;
    assert_eq!(
        outline(&pair.wire),
        [
            "-> server/discover",
            "<- result",
            "-> tools/list",
            "<- result",
            "-> tools/call",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- input_required",
            "-> tools/call",
            "<- result",
        ]
    );
    for message in pair.wire.messages(Direction::LeftToRight) {
        let meta = &message["params"]["_meta"];
        assert_eq!(meta[VERSION], "2026-07-28");
        assert_eq!(meta[CAPABILITIES], json!({"sampling": {}}));
    }

    let calls = with_method(&pair.wire, Direction::LeftToRight, "tools/call");
    let [call, retry] = calls.as_slice() else {
        panic!("called twice, not {} times", calls.len());
    };
    let mut responses = pair.wire.messages(Direction::RightToLeft);
    responses.retain(|message| message["result"]["resultType"] == "input_required");
    let input_required = &responses[0];
    assert_eq!(input_required["id"], call["id"]);
    assert_eq!(
        input_required["result"]["inputRequests"]["summary"]["method"],
        "sampling/createMessage"
    );

    assert_ne!(retry["id"], call["id"]);
    let (call, retry) = (&call["params"], &retry["params"]);
    assert_eq!(retry["name"], call["name"]);
    assert_eq!(retry["arguments"], call["arguments"]);
    let state = &input_required["result"]["requestState"];
    assert!(state.is_string());
    assert_eq!(&retry["requestState"], state);
    assert_eq!(retry["inputResponses"]["summary"]["model"], "stub");
    assert_eq!(call["requestState"], Value::Null);
    assert_ne!(
        retry["_meta"]["progressToken"],
        call["_meta"]["progressToken"]
    );
    assert_eq!(retry["_meta"][LOG_LEVEL], "info");
    pair.close().await;
}

#[tokio::test]
async fn every_legacy_revision_is_negotiated() {
    for version in ProtocolVersion::KNOWN_VERSIONS {
        if !version.has_initialize() {
            continue;
        }
        let mut pair = connect(Era::Legacy(version.clone())).await;
        assert_eq!(pair.client.era(), Era::Legacy(version.clone()));
        lists_and_calls(&mut pair).await;
        let initialized = |received: &Received| *received == Received::Initialized;
        soon(pair.server.received().find(initialized)).await;
        pair.close().await;
    }
}

#[tokio::test]
async fn auto_is_modern_with_a_dual_server() {
    let mut pair = connect(Era::Auto).await;
    assert_eq!(pair.client.era(), Era::Modern);
    lists_and_calls(&mut pair).await;
    pair.close().await;
}

#[tokio::test]
async fn auto_falls_back_on_the_same_connection() {
    let (left, right, _wire) = Wire::tap(64 * 1024);
    let mut server = RawPeer::new(right);
    let legacy_server = async {
        let discover = server.next().await.expect("reads").expect("a probe");
        assert_eq!(discover["method"], "server/discover");
        let refusal = json!({"code": -32601, "message": "Method not found"});
        let refusal = json!({"jsonrpc": "2.0", "id": discover["id"], "error": refusal});
        server.send(&refusal).await.expect("writes");
        let initialize = server.next().await.expect("reads").expect("a handshake");
        assert_eq!(initialize["method"], "initialize");
        assert_eq!(initialize["params"]["protocolVersion"], "2025-11-25");
        let info = json!({"name": "raw", "version": "1"});
        let result =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info});
        let result = json!({"jsonrpc": "2.0", "id": initialize["id"], "result": result});
        server.send(&result).await.expect("writes");
        server.next().await.expect("reads").expect("initialized")
    };
    let (client, initialized) =
        soon(async { tokio::join!(rmcp_client(left, Era::Auto), legacy_server) }).await;
    assert_eq!(initialized["method"], "notifications/initialized");
    let client = client.expect("falls back");
    assert_eq!(client.era(), Era::LEGACY);
    soon(client.close()).await;
}

#[tokio::test]
async fn results_errors_and_unknown_tools() {
    for era in [Era::LEGACY, Era::Modern] {
        let pair = connect(era).await;
        let echo = soon(pair.client.call("echo", json!({"text": "é\n\""}))).await;
        assert_eq!(texts(&echo.expect("echoes").content), ["é\n\""]);

        let fail = soon(pair.client.call("fail", Value::Null)).await;
        assert_eq!(fail.expect("a result").is_error, Some(true));

        let unknown = soon(pair.client.call("unknown", Value::Null)).await;
        let Err(ServiceError::McpError(error)) = unknown else {
            panic!("an unknown tool is an error of the protocol, not {unknown:?}");
        };
        assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
        pair.close().await;
    }
}

#[tokio::test]
async fn logs_below_the_level_are_not_sent() {
    for era in [Era::LEGACY, Era::Modern] {
        let mut pair = connect(era).await;
        let set = soon(pair.client.set_log_level(LoggingLevel::Notice)).await;
        set.expect("a level is accepted");
        let result = soon(pair.client.call("batch", files())).await;
        result.expect("batch should succeed");
        let logs = with_method(&pair.wire, Direction::RightToLeft, "notifications/message");
        assert_eq!(logs, Vec::<Value>::new());
        pair.close().await;
    }
}

#[tokio::test]
async fn without_a_level_legacy_logs_and_modern_is_silent() {
    for (era, expected) in [(Era::LEGACY, 3), (Era::Modern, 0)] {
        let pair = connect(era).await;
        let result = soon(pair.client.call("batch", files())).await;
        result.expect("batch should succeed");
        let logs = with_method(&pair.wire, Direction::RightToLeft, "notifications/message");
        assert_eq!(logs.len(), expected);
        pair.close().await;
    }
}

#[tokio::test]
async fn custom_notifications_pass_both_ways() {
    for era in [Era::LEGACY, Era::Modern] {
        let mut pair = connect(era).await;
        // The era is settled on the server's side only now: `server/discover` alone leaves it open.
        soon(pair.client.list_tools()).await.expect("tools");
        let (method, params) = ("chat.message_received", json!({"room": "a", "text": "hi"}));
        let sent = soon(pair.server.notify(method, params.clone())).await;
        sent.expect("the server may");
        let seen = |seen: &Seen| matches!(seen, Seen::Custom { .. });
        let custom = Seen::Custom {
            method: method.to_owned(),
            params: params.clone(),
        };
        assert_eq!(soon(pair.client.seen().find(seen)).await, custom);

        let sent = soon(pair.client.notify(method, params.clone())).await;
        sent.expect("the client may");
        let received = |received: &Received| matches!(received, Received::Custom { .. });
        let custom = Received::Custom {
            method: method.to_owned(),
            params,
        };
        assert_eq!(soon(pair.server.received().find(received)).await, custom);
        pair.close().await;
    }
}

#[tokio::test]
async fn a_client_that_cannot_sample_is_not_asked() {
    let nothing = ClientCapabilities::default();
    let legacy = connect_with(nothing.clone(), Era::LEGACY).await;
    let result = soon(legacy.client.call("batch", files())).await;
    assert_eq!(result.expect("a result").is_error, Some(true));
    assert!(!outline(&legacy.wire).contains(&"<- sampling/createMessage".to_owned()));
    legacy.close().await;

    let modern = connect_with(nothing, Era::Modern).await;
    let result = soon(modern.client.call("batch", files())).await;
    let Err(ServiceError::McpError(error)) = result else {
        panic!("a missing capability is an error of the protocol, not {result:?}");
    };
    assert_eq!(error.code.0, -32021);
    assert_eq!(
        error.data,
        Some(json!({"requiredCapabilities": {"sampling": {}}}))
    );
    modern.close().await;
}

#[tokio::test]
async fn one_round_shows_what_is_asked() {
    let pair = connect(Era::Modern).await;
    let response = soon(pair.client.call_once("batch", files())).await;
    let Ok(CallToolResponse::InputRequired(asked)) = response else {
        panic!("the first round should ask, not {response:?}");
    };
    assert_eq!(asked.input_requests.map(|requests| requests.len()), Some(1));
    assert!(asked.request_state.is_some());
    let called = pair.server.received().entries();
    let first_round = Received::Called {
        tool: "batch".to_owned(),
        retry: false,
    };
    assert_eq!(called, [first_round]);
    pair.close().await;
}
