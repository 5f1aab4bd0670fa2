//! Modern requests: each is a connection of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderMap;
use mcp_server::types::{Principal, ProtocolVersion};
use mcp_server::{Cx, Server, ToolError, tool, with};
use mcp_transport_http::{HttpOptions, HttpService, ListenerOptions, PeerAddr};
use support::{Running, initialize, modern, serve, serve_with, soon};
use tokio::sync::Notify;

/// What a test and a handler tell each other.
#[derive(Default)]
struct Signals {
    alive: AtomicUsize,
    started: Notify,
    ended: Notify,
    go_on: Notify,
}

/// A handler that is there.
struct Alive(Arc<Signals>);

impl Alive {
    fn begin(signals: Arc<Signals>) -> Self {
        signals.alive.fetch_add(1, Ordering::SeqCst);
        signals.started.notify_one();
        Self(signals)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_one();
    }
}

async fn wait(signals: Arc<Signals>) -> &'static str {
    let alive = Alive::begin(signals);
    alive.0.go_on.notified().await;
    "Done."
}

async fn progress(cx: Cx) -> &'static str {
    let progress = cx.progress();
    for _ in 0..3 {
        progress.step("step").await;
    }
    "Done."
}

/// Sends more than any buffer holds.
async fn flood(signals: Arc<Signals>, cx: Cx) -> &'static str {
    let _alive = Alive::begin(signals);
    let progress = cx.progress();
    loop {
        if progress.step("x".repeat(10_000)).await != mcp_server::Delivery::Sent {
            return "Nobody listens.";
        }
    }
}

async fn facts(cx: Cx) -> String {
    let headers = cx.extension::<HeaderMap>();
    let own = headers.and_then(|headers| headers.get("x-own").cloned());
    let peer = cx.extension::<PeerAddr>().map(|peer| peer.0.ip());
    let principal = cx.extension::<Principal>();
    format!(
        "{:?} {:?} {:?}",
        own.unwrap(),
        peer.unwrap(),
        principal.unwrap()
    )
}

async fn capital(cx: Cx) -> Result<String, ToolError> {
    let ask = mcp_server::Sampling::user("The capital?").max_tokens(10);
    Ok(cx.named("q").sample(ask).await?.to_text())
}

fn service(signals: &Arc<Signals>) -> HttpService {
    let server = Server::new("modern", "1.0.0")
        .tool(tool("hello", || "Hello."))
        .tool(tool("progress", progress))
        .tool(tool("wait", with(Arc::clone(signals), wait)))
        .tool(tool("flood", with(Arc::clone(signals), flood)))
        .tool(tool("facts", facts))
        .tool(tool("capital", capital))
        .with_notifications()
        .start();
    HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
}

async fn server() -> (Running, Arc<Signals>) {
    let signals = Arc::new(Signals::default());
    (serve(service(&signals)).await, signals)
}

fn call(tool: &str, more: &str) -> String {
    let name = format!(r#""name":"{tool}"{more}"#);
    modern("tools/call", Some(tool), &name)
}

/// Adds a progress token to a request.
fn with_progress(request: String) -> String {
    let with = request.replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#);
    let more = with.len() - request.len();
    let length = request.split("Content-Length: ").nth(1).unwrap();
    let length: usize = length.split('\r').next().unwrap().parse().unwrap();
    with.replace(
        &format!("Content-Length: {length}"),
        &format!("Content-Length: {}", length + more),
    )
}

#[tokio::test]
async fn a_server_need_not_speak_every_version() {
    // REQ-VER-01, REQ-VER-06
    let speaking = async |version| {
        let server = Server::new("one", "1.0.0").versions([version]);
        let server = server.tool(tool("hello", || "Hello.")).start();
        serve(HttpService::renewing(move |c| {
            server.serve_with(c.transport, c.extensions)
        }))
        .await
    };
    let (call, initialize) = (call("hello", ""), initialize("2025-11-25"));
    let old = speaking(ProtocolVersion::V2025_06_18).await;
    let refused = old.ask(call.as_bytes()).await;
    assert_eq!(refused.status, 400);
    let supported = r#"{"supported":["2025-06-18"],"requested":"2026-07-28"}"#;
    assert!(refused.body.contains(supported), "{refused:?}");
    let opened = old.ask(initialize.as_bytes()).await;
    let agreed = r#""protocolVersion":"2025-06-18""#;
    assert!(opened.body.contains(agreed), "{opened:?}");
    let new = speaking(ProtocolVersion::V2026_07_28).await;
    assert_eq!(new.ask(call.as_bytes()).await.status, 200);
    let refused = new.ask(initialize.as_bytes()).await;
    assert_eq!(refused.header("mcp-session-id"), None);
    let supported = r#"{"supported":["2026-07-28"],"requested":"2025-11-25"}"#;
    assert!(refused.body.contains(supported), "{refused:?}");
}

#[tokio::test]
async fn an_answer_alone_is_json_and_what_comes_before_it_makes_a_stream() {
    // REQ-HTTPM-04, REQ-HTTPM-10, REQ-HTTPM-11, REQ-HTTPM-12
    let (server, _) = server().await;
    let mut wire = server.connect().await;
    wire.send(call("hello", "").as_bytes()).await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("mcp-session-id"), None);
    assert!(
        reply
            .body
            .starts_with(r#"{"jsonrpc":"2.0","id":1,"result":{"#)
    );

    // On the same connection.
    wire.send(with_progress(call("progress", "")).as_bytes())
        .await;
    let reply = wire.reply().await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    let events: Vec<_> = reply.body.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4, "{events:?}");
    for (at, event) in events[..3].iter().enumerate() {
        assert!(event.starts_with("event: message\ndata: {"), "{event}");
        assert!(
            event.contains(&format!(r#""progress":{}"#, at + 1)),
            "{event}"
        );
    }
    assert!(events[3].contains(r#""result":{"#));
}

#[tokio::test]
async fn a_client_that_goes_away_cancels() {
    let (server, signals) = server().await;
    let mut wire = server.connect().await;
    wire.send(call("wait", "").as_bytes()).await;
    soon(signals.started.notified()).await;
    drop(wire);
    soon(signals.ended.notified()).await;

    // As well when a stream has begun.
    let mut options = HttpOptions::default();
    options.patience = std::time::Duration::from_millis(1);
    let server = serve(service(&signals).options(options)).await;
    let mut wire = server.connect().await;
    wire.send(call("wait", "").as_bytes()).await;
    let head = wire.head().await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    drop(wire);
    soon(signals.ended.notified()).await;
    assert_eq!(signals.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_is_one_too_many_comes_back() {
    let server = Server::new("server", "1.0.0")
        .max_connections(1)
        .tool(tool("hello", || "Hello."))
        .start();
    let (_one, transport) = mcp_server::duplex(1);
    let other = tokio::spawn(server.serve(transport));
    tokio::task::yield_now().await;
    let service = HttpService::new(move |c| server.serve_with(c.transport, c.extensions));
    let server = serve(service).await;
    let call = modern("tools/call", Some("hello"), r#""name":"hello""#);
    let reply = server.ask(call.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    other.abort();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let signals = Arc::new(Signals::default());
    let mut options = ListenerOptions::default();
    options.write_time = std::time::Duration::from_millis(200);
    let server = serve_with(service(&signals), options).await;
    let mut wire = server.connect().await;
    wire.send(with_progress(call("flood", "")).as_bytes()).await;
    soon(signals.started.notified()).await;
    soon(signals.ended.notified()).await;
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    // REQ-HTTPM-11
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.patience = std::time::Duration::from_millis(1);
    options.keep_alive = std::time::Duration::from_millis(1);
    let server = serve(service(&signals).options(options)).await;
    let mut wire = server.connect().await;
    wire.send(call("wait", "").as_bytes()).await;
    wire.head().await;
    assert_eq!(wire.chunk().await.unwrap(), ": keep-alive\n\n");
    assert_eq!(wire.chunk().await.unwrap(), ": keep-alive\n\n");
    signals.go_on.notify_one();
    assert!(wire.event().await.unwrap().contains("Done."));
    assert_eq!(wire.event().await, None);
}

#[tokio::test]
async fn the_end_waits_for_requests_and_refuses_new_ones() {
    let (server, signals) = server().await;
    let mut wire = server.connect().await;
    wire.send(call("wait", "").as_bytes()).await;
    soon(signals.started.notified()).await;
    let ending = tokio::spawn(server.end());
    signals.go_on.notify_one();
    let reply = wire.reply().await;
    assert!(reply.body.contains("Done."), "{reply:?}");
    soon(ending).await.unwrap();
}

#[tokio::test]
async fn a_listen_stream_ends_with_its_result() {
    // REQ-SUB-02, REQ-SUB-07
    let (server, _) = server().await;
    let mut wire = server.connect().await;
    let filter = r#""notifications":{"toolsListChanged":true}"#;
    wire.send(modern("subscriptions/listen", None, filter).as_bytes())
        .await;
    assert_eq!(wire.head().await.status, 200);
    let first = wire.event().await.unwrap();
    assert!(
        first.contains("notifications/subscriptions/acknowledged"),
        "{first}"
    );
    assert!(
        first.contains(r#""io.modelcontextprotocol/subscriptionId":1"#),
        "{first}"
    );
    let ending = tokio::spawn(server.end());
    let last = wire.event().await.unwrap();
    assert!(last.contains(r#""id":1,"result":{"#), "{last}");
    assert_eq!(wire.event().await, None);
    soon(ending).await.unwrap();
}

#[tokio::test]
async fn one_request_too_many_is_refused() {
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.requests = 2;
    let server = serve(service(&signals).options(options)).await;
    let mut wires = Vec::new();
    for _ in 0..2 {
        let mut wire = server.connect().await;
        wire.send(call("wait", "").as_bytes()).await;
        soon(signals.started.notified()).await;
        wires.push(wire);
    }
    let reply = server.ask(call("hello", "").as_bytes()).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(
        reply.body,
        r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"too many requests at a time"}}"#
    );
    signals.go_on.notify_waiters();
    for mut wire in wires {
        assert_eq!(wire.reply().await.status, 200);
    }
    assert_eq!(server.ask(call("hello", "").as_bytes()).await.status, 200);
}

#[tokio::test]
async fn handlers_know_what_http_knows() {
    let signals = Arc::new(Signals::default());
    let service = service(&signals).authenticate(|_| async { Ok(Some(Principal::new("alice"))) });
    let server = serve(service).await;
    let request = call("facts", "").replace("Host:", "X-Own: 1\r\nHost:");
    let reply = server.ask(request.as_bytes()).await;
    let expected = r#"\"1\" 127.0.0.1 Principal(\"alice\")"#;
    assert!(reply.body.contains(expected), "{reply:?}");
}

/// A question goes out as the answer of one request, and its answer comes with another, on another connection.
#[tokio::test]
async fn an_input_round_is_two_requests() {
    let (server, _) = server().await;
    let reply = server.ask(call("capital", "").as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.body.contains(r#""resultType":"input_required""#),
        "{reply:?}"
    );
    let state = reply.body.split(r#""requestState":""#).nth(1).unwrap();
    let state = state.split('"').next().unwrap();
    let more = format!(
        r#","requestState":"{state}","inputResponses":{{"q":{{"role":"assistant","model":"m","content":{{"type":"text","text":"Paris"}}}}}}"#
    );
    let reply = server.ask(call("capital", &more).as_bytes()).await;
    assert!(reply.body.contains("Paris"), "{reply:?}");
    // REQ-MRTR-11
    let reply = server.ask(call("capital", &more).as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("-32602"), "{reply:?}");
}
