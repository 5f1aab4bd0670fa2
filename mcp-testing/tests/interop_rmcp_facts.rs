//! What rmcp does with a peer that is not rmcp: the facts in `interop/NOTES.md` that our server and client have to live with,
//! so that a new version of rmcp tells us which of them have changed.

#![expect(
    deprecated,
    reason = "rmcp deprecates logging and sampling with revision 2026-07-28, and they are what we test"
)]

mod interop;

use interop::rmcp::{Era, RmcpClient, Seen, Serving, rmcp_client, rmcp_server};
use mcp_testing::{Direction, Log, RawPeer, Wire, soon};
use rmcp::ServiceError;
use rmcp::model::LoggingLevel;
use rmcp::service::ClientInitializeError;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

const MISSING: &str = "request _meta is missing or has malformed required fields: \
    io.modelcontextprotocol/protocolVersion, io.modelcontextprotocol/clientCapabilities";

// ---- a raw client against rmcp's server ----

struct RawClient {
    peer: RawPeer<DuplexStream>,
    server: Serving,
    wire: Log,
}

impl RawClient {
    fn new() -> Self {
        let (left, right, wire) = Wire::tap(64 * 1024);
        Self {
            peer: RawPeer::new(left),
            server: rmcp_server().serve(right),
            wire,
        }
    }

    async fn say(&mut self, line: impl ToString) {
        let sent = soon(self.peer.send_text(&line.to_string())).await;
        sent.expect("the server reads on");
    }

    /// The next message has to contain all of `expected`.
    async fn hear(&mut self, expected: Value) {
        let message = soon(self.peer.next()).await.expect("reads");
        let message = message.expect("the server goes on");
        assert!(
            contains(&message, &expected),
            "{message} lacks some of {expected}"
        );
    }

    async fn ask(&mut self, line: impl ToString, expected: Value) {
        self.say(line).await;
        self.hear(expected).await;
    }
}

fn contains(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected.iter().all(|(key, value)| {
            let found = actual.get(key).unwrap_or(&Value::Null);
            contains(found, value)
        }),
        _ => actual == expected,
    }
}

fn legacy(id: i32, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn modern_of(version: &str, id: i32, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
    });
    legacy(id, method, params)
}

fn modern(id: i32, method: &str, params: Value) -> Value {
    modern_of("2026-07-28", id, method, params)
}

fn initialize(id: i32, version: &str) -> Value {
    let info = json!({"name": "raw", "version": "1"});
    let capabilities = json!({"sampling": {}});
    let params =
        json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": info});
    legacy(id, "initialize", params)
}

fn echo() -> Value {
    json!({"name": "echo", "arguments": {"text": "x"}})
}

fn error(id: i32, code: i32) -> Value {
    json!({"id": id, "error": {"code": code}})
}

#[tokio::test]
async fn the_opening_stays_open_until_a_request_chooses_the_era() {
    let mut client = RawClient::new();
    let refused = json!({"id": 1, "error": {"code": -32602, "message": MISSING}});
    client
        .ask(legacy(1, "tools/list", json!({})), refused)
        .await;
    client
        .ask(
            legacy(2, "ping", json!({})),
            json!({"id": 2, "result": {"resultType": null}}),
        )
        .await;
    let all = [
        "2024-11-05",
        "2025-03-26",
        "2025-06-18",
        "2025-11-25",
        "2026-07-28",
    ];
    client
        .ask(
            modern_of("2099-01-01", 3, "server/discover", json!({})),
            json!({"id": 3, "error": {"code": -32022, "data": {"requested": "2099-01-01", "supported": all}}}),
        )
        .await;
    client
        .ask(
            modern(4, "server/discover", json!({})),
            json!({"id": 4, "result": {"supportedVersions": all, "ttlMs": 0, "cacheScope": "private"}}),
        )
        .await;
    // Neither is an error: what `initialize` cannot be answered with becomes the newest revision it can.
    client
        .ask(
            initialize(5, "2026-07-28"),
            json!({"id": 5, "result": {"protocolVersion": "2025-11-25"}}),
        )
        .await;
}

#[tokio::test]
async fn after_initialize_each_request_has_its_own_era() {
    let mut client = RawClient::new();
    client
        .ask(
            initialize(1, "1999-01-01"),
            json!({"id": 1, "result": {"protocolVersion": "2025-11-25"}}),
        )
        .await;
    // Without `notifications/initialized`, which rmcp does not wait for.
    client
        .ask(
            modern(2, "tools/call", echo()),
            json!({"id": 2, "result": {"resultType": "complete"}}),
        )
        .await;
    client
        .ask(
            legacy(3, "tools/call", echo()),
            json!({"id": 3, "result": {"resultType": null, "isError": false}}),
        )
        .await;
    client
        .ask(modern(4, "ping", json!({})), error(4, -32601))
        .await;
    client
        .ask(legacy(5, "ping", json!({})), json!({"id": 5, "result": {}}))
        .await;
}

#[tokio::test]
async fn from_modern_there_is_no_way_back() {
    let mut client = RawClient::new();
    client
        .ask(modern(1, "tools/call", echo()), json!({"id": 1}))
        .await;
    // Answered as if it meant something, and then no legacy request is served.
    client
        .ask(
            initialize(2, "2025-11-25"),
            json!({"id": 2, "result": {"protocolVersion": "2025-11-25"}}),
        )
        .await;
    client
        .ask(legacy(3, "tools/list", json!({})), error(3, -32602))
        .await;
    client
        .ask(modern(4, "tools/call", echo()), json!({"id": 4}))
        .await;
}

#[tokio::test]
async fn anything_but_a_request_ends_the_opening() {
    for first in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
    ] {
        let mut client = RawClient::new();
        client.say(first).await;
        let nothing = soon(client.peer.next()).await.expect("reads");
        assert_eq!(nothing, None, "rmcp hangs up without a word");
        soon(client.server.ended()).await.expect_err("gave up");
    }
}

#[tokio::test]
async fn bad_lines_and_bad_parameters() {
    let mut client = RawClient::new();
    client
        .ask(initialize(1, "2025-11-25"), json!({"id": 1}))
        .await;
    for silent in ["not json", "{\"jsonrpc\":\"2.0\",", ""] {
        client.say(silent).await;
    }
    for bad in [
        json!({"jsonrpc": "2.0", "id": 2}),
        json!({"jsonrpc": "1.0", "id": 2, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 2.5, "method": "ping"}),
        json!([{"jsonrpc": "2.0", "id": 2, "method": "ping"}]),
    ] {
        // Also the first answer after the silent lines. `id` is left out, not null, whatever the message carried.
        client
            .ask(bad, json!({"id": null, "error": {"code": -32600}}))
            .await;
    }
    client
        .ask(legacy(3, "no/such", json!({})), error(3, -32601))
        .await;
    // Not -32602: parameters that do not fit make it a custom request, which nobody handles.
    client
        .ask(legacy(4, "tools/call", json!({})), error(4, -32601))
        .await;
    let loud = json!({"level": "loud"});
    client
        .ask(legacy(5, "logging/setLevel", loud), error(5, -32601))
        .await;
    let float_id = r#"{"jsonrpc":"2.0","id":6.0,"method":"ping"}"#;
    client.ask(float_id, json!({"id": 6, "result": {}})).await;
}

#[tokio::test]
async fn a_cancelled_call_is_never_answered() {
    let mut client = RawClient::new();
    client
        .ask(initialize(1, "2025-11-25"), json!({"id": 1}))
        .await;
    let mut batch = json!({"name": "batch", "arguments": {"file_ids": ["a"]}});
    batch["_meta"] = json!({"progressToken": "text"});
    let log = json!({"method": "notifications/message"});
    client.ask(legacy(2, "tools/call", batch), log).await;
    let token = json!({"progressToken": "text"});
    client
        .hear(json!({"method": "notifications/progress", "params": token}))
        .await;
    client
        .hear(json!({"id": 0, "method": "sampling/createMessage"}))
        .await;
    let cancelled = json!({"requestId": 2, "reason": "enough"});
    client
        .say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}))
        .await;
    let answer =
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "late"}});
    client
        .say(json!({"jsonrpc": "2.0", "id": 0, "result": answer}))
        .await;
    client
        .ask(legacy(3, "ping", json!({})), json!({"id": 3}))
        .await;
    drop(client.peer);
    soon(client.server.ended()).await.expect("a clean end");
    let answers = client.wire.messages(Direction::RightToLeft);
    assert!(!answers.iter().any(|message| message["id"] == 2));
}

#[tokio::test]
async fn the_double_holds_a_retry_to_what_it_gave() {
    let mut client = RawClient::new();
    let files = |ids: Value| json!({"name": "batch", "arguments": {"file_ids": ids}});
    let asked = |id| json!({"id": id, "result": {"resultType": "input_required"}});
    client
        .ask(modern(1, "tools/call", files(json!([]))), asked(1))
        .await;
    let given = client.wire.messages(Direction::RightToLeft);
    let state = given[0]["result"]["requestState"].clone();

    let mut retry = files(json!([]));
    retry["requestState"] = state;
    client
        .ask(modern(2, "tools/call", retry.clone()), asked(2))
        .await;
    let mut other_arguments = retry.clone();
    other_arguments["arguments"]["file_ids"] = json!(["a"]);
    client
        .ask(modern(3, "tools/call", other_arguments), error(3, -32602))
        .await;
    retry["inputResponses"] = json!({"summary": {"no": "answer"}});
    client
        .ask(modern(4, "tools/call", retry.clone()), error(4, -32602))
        .await;
    let text = json!({"type": "text", "text": "ok"});
    retry["inputResponses"] =
        json!({"summary": {"role": "assistant", "model": "m", "content": text}});
    let done = json!({"count": 0, "summary": "ok"});
    client
        .ask(
            modern(5, "tools/call", retry),
            json!({"id": 5, "result": {"structuredContent": done}}),
        )
        .await;
}

// ---- rmcp's client against a raw server ----

/// Answers the requests it gets with the replies given, in order; each reply is one or more messages, in which the id `"SAME"`
/// stands for that of the request.
fn scripted(right: DuplexStream, replies: Vec<Value>) {
    tokio::spawn(async move {
        let mut peer = RawPeer::new(right);
        let mut replies = replies.into_iter();
        while let Ok(Some(message)) = peer.next().await {
            if message["method"].is_null() || message["id"].is_null() {
                continue;
            }
            let reply = replies.next().unwrap_or(Value::Array(Vec::new()));
            let reply = match reply {
                Value::Array(messages) => messages,
                message => vec![message],
            };
            for mut answer in reply {
                answer["jsonrpc"] = json!("2.0");
                if answer["id"] == "SAME" {
                    answer["id"] = message["id"].clone();
                }
                peer.send(&answer).await.expect("the client reads on");
            }
        }
    });
}

async fn opened(era: Era, replies: Vec<Value>) -> (Result<RmcpClient, ClientInitializeError>, Log) {
    let (left, right, wire) = Wire::tap(64 * 1024);
    scripted(right, replies);
    (soon(rmcp_client(left, era)).await, wire)
}

fn result(result: Value) -> Value {
    json!({"id": "SAME", "result": result})
}

fn initialized() -> Value {
    let info = json!({"name": "raw", "version": "1"});
    result(json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}))
}

fn discovered() -> Value {
    let mut discovered = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"]});
    discovered["capabilities"] = json!({});
    discovered["ttlMs"] = json!(0);
    discovered["cacheScope"] = json!("private");
    result(discovered)
}

fn no_tools() -> Value {
    result(json!({"tools": []}))
}

#[tokio::test]
async fn a_discover_result_has_to_be_whole() {
    for key in [
        "resultType",
        "supportedVersions",
        "capabilities",
        "ttlMs",
        "cacheScope",
    ] {
        let mut part = discovered();
        let fields = part["result"].as_object_mut().expect("written as one");
        fields.remove(key);
        for era in [Era::Modern, Era::Auto] {
            let (client, _wire) = opened(era, vec![part.clone(), initialized()]).await;
            let refused = client.expect_err("rmcp does without none of them");
            assert!(
                matches!(refused, ClientInitializeError::ExpectedInitResult(_)),
                "{key}: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn auto_falls_back_on_errors_that_say_nothing_of_modern() {
    let refusal = |code: i32, data: Value| json!({"id": "SAME", "error": {"code": code, "message": "no", "data": data}});
    let without_id = json!({"error": {"code": -32700, "message": "no"}});
    for error in [
        refusal(-32601, Value::Null),
        refusal(-32602, Value::Null),
        without_id,
    ] {
        let (client, _wire) = opened(Era::Auto, vec![error, initialized()]).await;
        assert_eq!(client.expect("falls back").era(), Era::LEGACY);
    }
    // Even a server that names only legacy revisions is not spoken to in one of them.
    let only_legacy = json!({"supported": ["2025-11-25"], "requested": "2026-07-28"});
    for error in [
        refusal(-32020, Value::Null),
        refusal(-32021, Value::Null),
        refusal(-32022, only_legacy),
    ] {
        let (client, wire) = opened(Era::Auto, vec![error, initialized()]).await;
        client.expect_err("does not fall back");
        assert_eq!(wire.messages(Direction::LeftToRight).len(), 1);
    }
}

#[tokio::test]
async fn any_version_is_accepted_from_a_legacy_server() {
    let mut unknown = initialized();
    unknown["result"]["protocolVersion"] = json!("1999-01-01");
    let (client, wire) = opened(Era::LEGACY, vec![unknown]).await;
    client.expect("rmcp does not mind");
    let initialized =
        |line: &mcp_testing::Line| line.method().as_deref() == Some("notifications/initialized");
    soon(wire.find(initialized)).await;
}

#[tokio::test]
async fn an_empty_result_has_to_be_empty() {
    for (empty, accepted) in [
        (json!({}), true),
        (json!({"_meta": {}}), false),
        (json!({"resultType": "complete"}), false),
    ] {
        let (client, _wire) = opened(Era::LEGACY, vec![initialized(), result(empty)]).await;
        let mut client = client.expect("opens");
        let set = soon(client.set_log_level(LoggingLevel::Info)).await;
        assert_eq!(set.is_ok(), accepted, "{set:?}");
    }
}

#[tokio::test]
async fn results_are_told_apart_by_their_fields() {
    for (tool_result, accepted) in [
        (json!({"content": []}), true),
        (json!({"structuredContent": {"a": 1}}), true),
        (json!({"resultType": "complete", "_meta": {"a": 1}}), true),
        // Without content, one unknown field makes it the result of something else.
        (json!({"resultType": "complete", "x": 1}), false),
        (json!({"content": [], "x": 1}), true),
        (json!({"content": [], "resultType": "other"}), false),
        (json!({"content": [{"type": "other"}]}), false),
        // A list of tools, to rmcp, whatever was asked for.
        (json!({"content": [], "tools": []}), false),
    ] {
        let (client, _wire) = opened(Era::Modern, vec![discovered(), result(tool_result)]).await;
        let call = soon(client.expect("opens").call("tool", json!({}))).await;
        assert_eq!(call.is_ok(), accepted, "{call:?}");
    }
    let tool_without_schema = result(json!({"tools": [{"name": "tool"}]}));
    let (client, _wire) = opened(Era::LEGACY, vec![initialized(), tool_without_schema]).await;
    let list = soon(client.expect("opens").list_tools()).await;
    assert!(
        matches!(list, Err(ServiceError::UnexpectedResponse)),
        "{list:?}"
    );
}

#[tokio::test]
async fn ids_of_responses() {
    let as_text = json!({"id": "1", "result": {"tools": []}});
    let (client, _wire) = opened(Era::LEGACY, vec![initialized(), as_text]).await;
    soon(client.expect("opens").list_tools())
        .await
        .expect("matched");

    // An error without an id belongs to nobody: the call waits on.
    let without = json!({"error": {"code": -32603, "message": "no"}});
    let with_null = json!({"id": null, "error": {"code": -32603, "message": "no"}});
    let then_answered = json!([without, with_null, no_tools()]);
    let (client, _wire) = opened(Era::LEGACY, vec![initialized(), then_answered]).await;
    soon(client.expect("opens").list_tools())
        .await
        .expect("answered");
}

#[tokio::test]
async fn lists_are_kept_for_as_long_as_the_server_says() {
    let kept = result(json!({"tools": [], "ttlMs": 60_000, "cacheScope": "private"}));
    for (list, requests) in [(kept, 1), (no_tools(), 2)] {
        let replies = vec![discovered(), list.clone(), list];
        let (client, wire) = opened(Era::Modern, replies).await;
        let client = client.expect("opens");
        for _ in 0..2 {
            soon(client.list_tools()).await.expect("lists");
        }
        let mut sent = wire.messages(Direction::LeftToRight);
        sent.retain(|message| message["method"] == "tools/list");
        assert_eq!(sent.len(), requests);
    }
}

#[tokio::test]
async fn requests_of_a_modern_server_are_answered_while_a_call_is_in_flight() {
    let text = json!({"type": "text", "text": "q"});
    let params = json!({"messages": [{"role": "user", "content": text}], "maxTokens": 1});
    let question = json!({"id": "q", "method": "sampling/createMessage", "params": params});
    let ping = json!({"id": "p", "method": "ping"});
    let answer_to = |id: &'static str| {
        move |line: &mcp_testing::Line| {
            line.direction == Direction::LeftToRight && line.json()["id"] == id
        }
    };

    let (client, wire) = opened(
        Era::Modern,
        vec![discovered(), json!([question, ping, no_tools()])],
    )
    .await;
    let client = client.expect("opens");
    soon(client.list_tools()).await.expect("lists");
    let answer = soon(wire.find(answer_to("q"))).await.json();
    assert_eq!(answer["result"]["model"], "stub");
    let answer = soon(wire.find(answer_to("p"))).await.json();
    assert_eq!(answer["result"], json!({}));

    let (client, wire) = opened(
        Era::Modern,
        vec![discovered(), json!([no_tools(), question])],
    )
    .await;
    let client = client.expect("opens");
    soon(client.list_tools()).await.expect("lists");
    let answer = soon(wire.find(answer_to("q"))).await.json();
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn undeclared_capabilities_are_answered_all_the_same() {
    let schema = json!({"type": "object", "properties": {}});
    let form = json!({"message": "m", "requestedSchema": schema});
    let elicit = json!({"id": "e", "method": "elicitation/create", "params": form});
    let roots = json!({"id": "r", "method": "roots/list"});
    let replies = vec![initialized(), json!([elicit, roots, no_tools()])];
    let (client, wire) = opened(Era::LEGACY, replies).await;
    let client = client.expect("opens");
    soon(client.list_tools()).await.expect("lists");
    for (id, expected) in [
        ("e", json!({"action": "decline"})),
        ("r", json!({"roots": []})),
    ] {
        let answer = |line: &mcp_testing::Line| {
            line.direction == Direction::LeftToRight && line.json()["id"] == id
        };
        let answer = soon(wire.find(answer)).await.json();
        assert_eq!(answer["result"], expected);
    }
}

#[tokio::test]
async fn notifications_are_taken_as_they_come() {
    // A token nobody gave, a level there is none of, and a method of no protocol: the first is progress, the others custom.
    let progress = json!({"method": "notifications/progress", "params": {"progressToken": "stray", "progress": 1}});
    let log = json!({"method": "notifications/message", "params": {"level": "loud", "data": 1}});
    let custom = json!({"method": "$/custom"});
    let replies = vec![initialized(), json!([progress, log, custom, no_tools()])];
    let (client, _wire) = opened(Era::LEGACY, replies).await;
    let client = client.expect("opens");
    soon(client.list_tools()).await.expect("lists");
    let seen = soon(client.seen().find_many(3, |_| true)).await;
    let is_stray = |seen: &Seen| matches!(seen, Seen::Progress { token, .. } if token == "stray");
    assert!(seen.iter().any(is_stray));
    let mut methods = Vec::new();
    for seen in seen {
        if let Seen::Custom { method, .. } = seen {
            methods.push(method);
        }
    }
    methods.sort();
    assert_eq!(methods, ["$/custom", "notifications/message"]);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled() {
    let (client, wire) = opened(Era::LEGACY, vec![initialized()]).await;
    let client = client.expect("opens");
    let sent = |method: &'static str| {
        move |line: &mcp_testing::Line| line.method().as_deref() == Some(method)
    };
    soon(async {
        tokio::select! {
            never = client.call("tool", json!({})) => panic!("nobody answered, but {never:?}"),
            _ = wire.find(sent("tools/call")) => {}
        }
    })
    .await;
    let cancelled = soon(wire.find(sent("notifications/cancelled"))).await;
    assert_eq!(cancelled.json()["params"]["requestId"], 1);
}
