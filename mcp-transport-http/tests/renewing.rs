//! Modern requests that are served one after another by the same driver have nothing else in common.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use mcp_server::{Cx, Delivery, Server, ServerConnection, ToolError, tool, with};
use mcp_transport_http::HttpService;
use support::{Reply, Running, modern, serve, soon};
use tokio::sync::Notify;

#[derive(Default)]
struct Seen {
    kept: Mutex<Vec<Cx>>,
    started: Notify,
    go_on: Notify,
}

fn own(cx: &Cx) -> String {
    let headers = cx.extension::<HeaderMap>().unwrap();
    headers["x-own"].to_str().unwrap().to_owned()
}

async fn who(cx: Cx) -> String {
    own(&cx)
}

async fn keep(seen: Arc<Seen>, cx: Cx) -> String {
    seen.kept.lock().unwrap().push(cx.clone());
    own(&cx)
}

async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

async fn wait(seen: Arc<Seen>, cx: Cx) -> String {
    seen.started.notify_one();
    seen.go_on.notified().await;
    own(&cx)
}

struct Stage {
    running: Running,
    server: ServerConnection,
    /// Drivers that were begun from the start.
    begun: Arc<AtomicUsize>,
    seen: Arc<Seen>,
}

impl Stage {
    async fn new(change: impl FnOnce(Server) -> Server) -> Self {
        let seen = Arc::new(Seen::default());
        let server = Server::new("renewing", "1.0.0")
            .tool(tool("who", who))
            .tool(tool("long", || "x".repeat(100_000)))
            .tool(tool("keep", with(Arc::clone(&seen), keep)))
            .tool(tool("join", join))
            .tool(tool("wait", with(Arc::clone(&seen), wait)))
            .with_notifications();
        let server = change(server).start();
        let begun = Arc::new(AtomicUsize::new(0));
        let (serving, count) = (server.clone(), Arc::clone(&begun));
        let service = HttpService::renewing(move |c| {
            count.fetch_add(1, Ordering::SeqCst);
            serving.serve_with(c.transport, c.extensions)
        });
        let running = serve(service).await;
        Self {
            running,
            server,
            begun,
            seen,
        }
    }

    fn request(tool: &str, own: &str) -> String {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.mcp-stack/notifications":{}}}}"#;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}",{meta}}}}}"#
        );
        let headers = format!(
            "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: {tool}\nX-Own: {own}"
        );
        support::request("POST", &headers, &body)
    }

    async fn ask(&self, tool: &str, own: &str) -> Reply {
        self.running.ask(Self::request(tool, own).as_bytes()).await
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn each_has_what_is_known_about_itself() {
    let stage = Stage::new(|server| server).await;
    for own in ["a", "b", "c"] {
        let reply = stage.ask("who", own).await;
        assert!(
            reply.body.contains(&format!("\"text\":\"{own}\"")),
            "{reply:?}"
        );
        assert_eq!(stage.server.hub().connections(), 0);
        assert_eq!(stage.ask("long", own).await.status, 200);
    }
    assert_eq!(stage.begun(), 1, "the others were renewed");
}

#[tokio::test]
async fn what_a_handler_has_kept_stays_what_it_was() {
    let stage = Stage::new(|server| server).await;
    stage.ask("keep", "a").await;
    for own in ["b", "c"] {
        stage.ask("who", own).await;
    }
    assert_eq!(
        stage.begun(),
        2,
        "what somebody has a handle of is not renewed"
    );
    let kept = stage.seen.kept.lock().unwrap().pop().unwrap();
    assert_eq!(own(&kept), "a");
    let sent = soon(kept.progress().step("late")).await;
    assert_ne!(sent, Delivery::Sent);
}

#[tokio::test]
async fn none_can_join_a_room_for_it_would_hear_nothing() {
    let stage = Stage::new(|server| server).await;
    for own in ["a", "b"] {
        let reply = stage.ask("join", own).await;
        let says = "the connection ends with its request";
        assert!(reply.body.contains(says), "{reply:?}");
    }
    assert_eq!(stage.begun(), 1);
    assert!(stage.server.hub().room("lobby").members().is_empty());
}

#[tokio::test]
async fn what_is_offered_now_is_declared_now() {
    let stage = Stage::new(|server| server).await;
    let discover = modern("server/discover", None, "");
    let reply = stage.running.ask(discover.as_bytes()).await;
    assert!(!reply.body.contains("\"prompts\""), "{reply:?}");
    let prompt = mcp_server::prompt("hello", || async { "Hello." });
    stage.server.catalog().add(prompt).unwrap();
    let reply = stage.running.ask(discover.as_bytes()).await;
    assert!(reply.body.contains("\"prompts\""), "{reply:?}");
    assert_eq!(stage.begun(), 2);
}

/// For these, `renewing` would be wrong: what has served one would serve the other, too.
#[tokio::test]
async fn a_service_that_does_not_renew_asks_for_each() {
    let servers = ["a", "b"].map(|own| {
        Server::new("own", "1.0.0")
            .tool(tool("who", move || own))
            .start()
    });
    let service = HttpService::new(move |c| {
        let second = c
            .extensions
            .get::<HeaderMap>()
            .is_some_and(|headers| headers["x-own"] == "b");
        servers[usize::from(second)].serve_with(c.transport, c.extensions)
    });
    let running = serve(service).await;
    for own in ["a", "b", "a", "b"] {
        let reply = running.ask(Stage::request("who", own).as_bytes()).await;
        assert!(
            reply.body.contains(&format!("\"text\":\"{own}\"")),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn one_that_rests_takes_no_place() {
    let stage = Stage::new(|server| server.max_connections(1)).await;
    assert_eq!(stage.ask("who", "a").await.status, 200);
    let mut waiting = stage.running.connect().await;
    waiting.send(Stage::request("wait", "b").as_bytes()).await;
    soon(stage.seen.started.notified()).await;
    let refused = stage.ask("who", "c").await;
    assert_eq!(refused.status, 503);
    // REQ-ID-07
    assert!(refused.body.contains("\"id\":1"), "{refused:?}");
    stage.seen.go_on.notify_one();
    let reply = soon(waiting.reply()).await;
    assert!(reply.body.contains("\"text\":\"b\""), "{reply:?}");
    assert_eq!(stage.ask("who", "d").await.status, 200);
    assert_eq!(
        stage
            .server
            .shutdown(std::time::Duration::from_secs(5))
            .await,
        0
    );
    assert_eq!(stage.ask("who", "e").await.status, 503);
}
