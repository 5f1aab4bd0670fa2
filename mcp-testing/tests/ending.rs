//! What our server does when its client has closed its end: it finishes what is queued, and waits for nothing else.
//!
//! The clock is paused. It moves only when nothing else can happen, to the next timer: where no time has passed, nothing
//! has waited for one.

mod ours;

use std::sync::Arc;
use std::time::Duration;

use mcp_server::{Cx, Sampling, Server, ToolError, tool};
use mcp_testing::{RawPeer, soon};
use ours::{ByHand, ERAS, Era, Held, serve, server, text};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

const LIVES: &str = "the connection should live";

/// Ends what the client sends, reads what still comes, and expects the server to end well.
async fn finish(mut by_hand: ByHand) -> Vec<Value> {
    soon(by_hand.peer.finish()).await.expect(LIVES);
    rest(by_hand).await
}

async fn rest(mut by_hand: ByHand) -> Vec<Value> {
    let mut rest = Vec::new();
    while let Some(message) = soon(by_hand.peer.next()).await.expect(LIVES) {
        rest.push(message);
    }
    let served = soon(by_hand.serving).await.expect("no panic");
    served.expect("a clean end");
    rest
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_do_it_ends_at_once() {
    // REQ-STDIO-05
    let start = Instant::now();
    for era in ERAS {
        let by_hand = ByHand::connect(server().0, era, 64).await;
        assert_eq!(finish(by_hand).await, Vec::<Value>::new());

        let mut by_hand = ByHand::connect(server().0, era, 64).await;
        by_hand.lives().await;
        assert_eq!(finish(by_hand).await, Vec::<Value>::new());
    }
    // Without a word said, and gone altogether.
    let (left, right) = tokio::io::duplex(64);
    let serving = serve(server().0, right);
    drop(left);
    soon(serving).await.expect("no panic").expect("a clean end");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_sent() {
    const CALLS: i64 = 500;
    for era in ERAS {
        // Far less room than the answers take, in the pipe and in the transport: they wait in the server when the end comes.
        let long = "x".repeat(1_000);
        let mut by_hand = ByHand::connect(server().0, era, 64).await;
        let start = Instant::now();
        for id in 0..CALLS {
            let params = json!({"name": "echo", "arguments": {"text": format!("{id} {long}")}});
            let call = by_hand.request(id, "tools/call", params);
            by_hand.send(&call).await;
        }
        let answers = finish(by_hand).await;
        assert_eq!(answers.len(), 500);
        for (id, answer) in (0..CALLS).zip(&answers) {
            assert_eq!(answer["id"], id);
            assert_eq!(text(answer), format!("{id} {long}"));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

/// A tool that logs, waits until it is let go, and logs again.
fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let wait = move |cx: Cx| {
        let opens = Arc::clone(&opens);
        async move {
            cx.log().warning("before").await;
            let _permit = opens.acquire().await;
            cx.log().warning("after").await;
            "waited"
        }
    };
    (Server::new("gated", "1").tool(tool("wait", wait)), gate)
}

async fn call_wait(by_hand: &mut ByHand) {
    let meta = json!({"io.modelcontextprotocol/logLevel": "info"});
    let call = by_hand.request(7, "tools/call", json!({"name": "wait", "_meta": meta}));
    by_hand.send(&call).await;
    assert_eq!(by_hand.next().await["params"]["data"], "before");
}

#[tokio::test(start_paused = true)]
async fn a_handler_at_work_may_finish() {
    for era in ERAS {
        let (server, gate) = gated();
        let mut by_hand = ByHand::connect(server, era, 64).await;
        call_wait(&mut by_hand).await;
        let start = Instant::now();
        soon(by_hand.peer.finish()).await.expect(LIVES);
        tokio::time::sleep(Duration::from_secs(4)).await;
        gate.add_permits(1);
        let rest = rest(by_hand).await;
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert_eq!(rest[0]["params"]["data"], "after");
        assert_eq!(text(&rest[1]), "waited");
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_finish_is_dropped_when_its_time_is_over() {
    for era in ERAS {
        let (server, watch) = server();
        let mut by_hand = ByHand::connect(server, era, 64 * 1024).await;
        let start = Instant::now();
        let hold = by_hand.request(7, "tools/call", json!({"name": "hold"}));
        by_hand.send(&hold).await;
        by_hand.lives().await;
        assert_eq!(finish(by_hand).await, Vec::<Value>::new());
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(watch.held.entries(), [Held::Started, Held::Dropped]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_line_needs_no_end() {
    for era in ERAS {
        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        let params = json!({"name": "echo", "arguments": {"text": "a"}});
        let call = by_hand.request(7, "tools/call", params).to_string();
        soon(by_hand.peer.send_bytes(call.as_bytes()))
            .await
            .expect(LIVES);
        let answers = finish(by_hand).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(text(&answers[0]), "a");

        let mut by_hand = ByHand::connect(server().0, era, 64 * 1024).await;
        let cut = &call.as_bytes()[..call.len() - 1];
        soon(by_hand.peer.send_bytes(cut)).await.expect(LIVES);
        let answers = finish(by_hand).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0]["error"]["code"], -32700);
    }
}

/// The answer to its question will never come: the handler learns that at once, and its own answer still goes out.
#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_the_client_is_told() {
    async fn ask(cx: Cx) -> Result<String, ToolError> {
        Ok(match cx.sample(Sampling::user("?")).await {
            Ok(answer) => answer.to_text(),
            Err(error) => format!("no answer: {error}"),
        })
    }
    let (left, right) = tokio::io::duplex(64 * 1024);
    let serving = serve(Server::new("asking", "1").tool(tool("ask", ask)), right);
    let (peer, era) = (RawPeer::new(left), Era::Legacy);
    let mut by_hand = ByHand { peer, serving, era };
    let start = Instant::now();
    let info = json!({"name": "raw", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}, "clientInfo": info});
    by_hand.ask(1, "initialize", params).await;
    let call = by_hand.request(2, "tools/call", json!({"name": "ask"}));
    by_hand.send(&call).await;
    assert_eq!(by_hand.next().await["method"], "sampling/createMessage");
    let rest = finish(by_hand).await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(text(&rest[0]).contains("connection lost"), "{rest:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// The client of a modern handler that asks may never come back with the answer; nobody waits for it.
#[tokio::test(start_paused = true)]
async fn a_parked_handler_holds_up_nothing() {
    let (server, _watch) = server();
    let mut by_hand = ByHand::connect(server, Era::Modern, 64 * 1024).await;
    let start = Instant::now();
    let capabilities = json!({"io.modelcontextprotocol/clientCapabilities": {"sampling": {}}});
    let arguments = json!({"file_ids": ["a"]});
    let params = json!({"name": "batch", "arguments": arguments, "_meta": capabilities});
    let answer = by_hand.ask(7, "tools/call", params).await;
    assert_eq!(answer["result"]["resultType"], "input_required");
    assert_eq!(finish(by_hand).await, Vec::<Value>::new());
    assert_eq!(start.elapsed(), Duration::ZERO);
}
