//! Layers of tower around a server.

#![cfg(feature = "tower")]

mod support;

use std::time::Duration;

use mcp_server::types::ProtocolVersion;
use mcp_server::{Server, tool};
use serde_json::json;
use support::{Hand, code, text};
use tower::ServiceBuilder;

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

#[tokio::test(start_paused = true)]
async fn layers_wrap_the_handlers() {
    let server = Server::new("layered", "1.0.0")
        .layer(
            ServiceBuilder::new()
                .load_shed()
                .concurrency_limit(2)
                .timeout(Duration::from_secs(10)),
        )
        .tool(tool("sleep", async || {
            tokio::time::sleep(Duration::from_secs(5)).await;
            "slept"
        }))
        .tool(tool("for_ever", async || {
            std::future::pending::<&str>().await
        }))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let sleep = json!({ "name": "sleep" });
    let result = hand.call("tools/call", sleep.clone()).await.unwrap();
    assert_eq!(text(&result), "slept");
    let late = hand.call("tools/call", json!({ "name": "for_ever" })).await;
    assert_eq!(code(late), -32603);
    // Two at a time, and the third is turned away at once.
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Hand::connect(&server, MODERN).await;
        let id = other.request("tools/call", sleep.clone()).await;
        others.push((other, id));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(code(hand.call("tools/call", sleep.clone()).await), -32603);
    for (mut other, id) in others {
        assert_eq!(text(&other.outcome(id).await.unwrap()), "slept");
    }
    let result = hand.call("tools/call", sleep).await.unwrap();
    assert_eq!(text(&result), "slept");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_cloned_goes_behind_a_buffer() {
    let second = Duration::from_secs(1);
    let server = Server::new("layered", "1.0.0")
        .layer(ServiceBuilder::new().buffer(16).rate_limit(1, second))
        .tool(tool("hello", || "Hello."))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let result = hand.call("tools/call", json!({ "name": "hello" })).await;
        assert_eq!(text(&result.unwrap()), "Hello.");
    }
    assert!(began.elapsed() >= 2 * second);
}
