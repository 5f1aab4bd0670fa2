//! What is told to those who watch, and what is not.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod stage;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mcp_peer::session::RequestError;
use mcp_peer::{NoHandler, Options};
use serde_json::json;
use stage::{call, client, ok, serve, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down what it is told up to a level.
struct Notes {
    level: LevelFilter,
    lines: Arc<Mutex<Vec<String>>>,
    spans: AtomicU64,
    /// By id, less one.
    names: Mutex<Vec<String>>,
    entered: Mutex<Vec<u64>>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Times are the only thing that is not the same each time.
        if field.name() != "duration" {
            let _ = write!(self.0, " {}={value:?}", field.name());
        } else {
            self.0.push_str(" duration");
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mcp_peer") && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        self.names.lock().unwrap().push(fields.0);
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        self.names.lock().unwrap()[span.into_u64() as usize - 1] += &fields.0;
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        let entered = self.entered.lock().unwrap().last().copied();
        let span = event.parent().map(Id::into_u64).or(entered);
        if let Some(span) = span {
            let names = self.names.lock().unwrap();
            let _ = write!(fields.0, " in {}", names[span as usize - 1]);
        }
        self.lines.lock().unwrap().push(fields.0);
    }

    fn enter(&self, span: &Id) {
        self.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, _span: &Id) {
        self.entered.lock().unwrap().pop();
    }
}

/// What is told while some requests are served and made whose contents all say "secret".
async fn told(level: LevelFilter) -> Vec<String> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Notes {
        level,
        lines: Arc::clone(&lines),
        spans: AtomicU64::new(0),
        names: Mutex::default(),
        entered: Mutex::default(),
    };
    let _watching = tracing::subscriber::set_default(notes);

    let (_driving, _peer, mut stage) = server(serve(|request| async move {
        match request.method.as_str() {
            "x/waits" => std::future::pending().await,
            "x/slow" => tokio::task::yield_now().await,
            "x/fails" => panic!("on purpose"),
            _ => {}
        }
        tracing::info!(target: "mcp_peer::handler", "at work");
        ok()
    }))
    .await;
    for (id, method) in [
        (1, "x/quick"),
        (2, "x/slow"),
        (3, "x/fails"),
        (4, "x/waits"),
    ] {
        let params = json!({ "text": "secret" });
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        if method != "x/waits" {
            assert_eq!(stage.next().await.unwrap()["id"], id);
        }
    }
    let params = json!({ "requestId": 4, "reason": "secret" });
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 5, "method": "ping" }))
        .await;
    stage.next().await.unwrap();
    drop(stage);

    // A batch of what are no messages.
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let (config, transport) = (stage::server_config(), mcp_codec::framed(ours));
    let serving = mcp_peer::server(transport, config, Arc::new(NoHandler), Options::default());
    tokio::spawn(serving.driver);
    let params = json!({
        "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
    });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let batch = ["1"; 100].join(",");
    let said = format!("{hello}\n[{batch}]\n");
    theirs.write_all(said.as_bytes()).await.unwrap();
    theirs.shutdown().await.unwrap();
    theirs.read_to_end(&mut Vec::new()).await.unwrap();

    let (peer, mut stage) = client(NoHandler).await;
    for outcome in [
        json!({ "result": { "text": "secret" } }),
        json!({ "error": { "code": -32000, "message": "secret" } }),
    ] {
        let answering = async {
            let request = stage.expect("x/call").await;
            let mut answer = outcome.clone();
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = request["id"].clone();
            stage.send(answer).await;
        };
        let (called, ()) = tokio::join!(call(&peer), answering);
        assert!(matches!(called, Ok(_) | Err(RequestError::Refused(_))));
    }
    let mut dropped = Box::pin(call(&peer));
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    // No answer to anything.
    stage
        .send(json!({ "jsonrpc": "2.0", "id": "secret", "result": {} }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 5, "method": "ping" }))
        .await;
    while stage.next().await.unwrap()["id"] != 5 {}
    let lines = lines.lock().unwrap();
    lines.clone()
}

/// One test, for what is enabled is a matter of the whole process.
#[tokio::test(start_paused = true)]
async fn requests_have_a_span_and_a_line_and_contents_are_for_trace_only() {
    let lines = told(LevelFilter::DEBUG).await;
    let served = |line: &str| line.replace("SPAN", "in request method=");
    let expected = [
        r#"INFO message=at work SPANx/quick id=1 era="legacy""#,
        r#"DEBUG message=served duration outcome="result" SPANx/quick id=1 era="legacy""#,
        r#"DEBUG message=served duration outcome="result" SPANx/slow id=2 era="legacy""#,
        r#"DEBUG message=served duration outcome="error" code=-32603 SPANx/fails id=3 era="legacy""#,
        r#"DEBUG message=served duration outcome="cancelled" SPANx/waits id=4 era="legacy""#,
        r#"DEBUG message=called duration outcome="result" in call method="x/call" call=0 era="legacy" id=2"#,
        r#"DEBUG message=called duration outcome="error" code=-32000 in call method="x/call" call=1 era="legacy" id=3"#,
        r#"DEBUG message=called duration outcome="cancelled" in call method="x/call" call=2 era="legacy""#,
        r#"DEBUG message=the peer misbehaved what="unknown response""#,
    ];
    for line in expected {
        let line = served(line);
        let count = lines.iter().filter(|l| **l == line).count();
        assert_eq!(count, 1, "{line}\n{lines:#?}");
    }
    let warnings = lines.iter().filter(|line| line.starts_with("WARN"));
    assert_eq!(warnings.count(), 1, "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.contains("secret")),
        "{lines:#?}"
    );

    // Below that, handlers are heard as before, without a span around them.
    let lines = told(LevelFilter::INFO).await;
    assert!(
        lines.contains(&"INFO message=at work".to_owned()),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("served")));

    let lines = told(LevelFilter::TRACE).await;
    // REQ-CANC-12
    let cancelled = r#"TRACE message=request cancelled by the peer reason="secret""#.to_owned();
    assert!(lines.contains(&cancelled), "{lines:#?}");
}
