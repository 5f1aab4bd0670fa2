//! What a server tells of unasked: changes of its lists and resources, and a program's own news, in every revision.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use mcp_server::types::ProtocolVersion;
use mcp_server::{Notification, Offer, Server, ServerConnection, prompt, resource, tool};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{ALL, Hand, everything};

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;
const ID: &str = "io.modelcontextprotocol/subscriptionId";

#[derive(Serialize, Deserialize)]
struct News {
    headline: String,
}

impl Notification for News {
    const METHOD: &'static str = "news.flash";
    type Params = Self;
}

fn server() -> ServerConnection {
    Server::new("hub", "1.0.0")
        .tool(tool("first", || "first"))
        .resource(resource("test://a", || "a"))
        .will_offer(Offer::Prompts)
        .with_subscriptions()
        .with_notifications()
        .start()
}

/// A client that declares the extension for a program's own notifications.
async fn connect(server: &ServerConnection, version: ProtocolVersion) -> Hand {
    let mut capabilities = everything();
    if version == MODERN {
        capabilities["extensions"] = json!({ "io.mcp-stack/notifications": {} });
    }
    Hand::connect_as(server, version, capabilities).await
}

/// Opens a stream and returns its id and what was granted.
async fn listen(hand: &mut Hand, filter: Value) -> (u64, Value) {
    let id = hand
        .request("subscriptions/listen", json!({ "notifications": filter }))
        .await;
    let acknowledged = hand.next().await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(acknowledged["params"]["_meta"][ID], id);
    (id, acknowledged["params"]["notifications"].clone())
}

/// Everything that has come and is coming at once: an answer to this is behind it.
async fn heard(hand: &mut Hand) -> Vec<String> {
    let seen = hand.seen.len();
    hand.call("tools/list", json!({})).await.unwrap();
    let method = |message: &Value| {
        let uri = message["params"]["uri"].as_str().unwrap_or_default();
        format!("{} {uri}", message["method"].as_str().unwrap())
    };
    let heard: Vec<_> = hand.seen[seen..].iter().map(method).collect();
    heard
        .into_iter()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn changes_of_lists_are_told_together_to_whoever_asked() {
    // REQ-TOOL-06, REQ-SUB-01, REQ-SUB-13
    let server = server();
    let catalog = server.catalog();
    for version in ALL {
        let mut hand = connect(&server, version).await;
        for kind in ["tools", "resources", "prompts"] {
            assert_eq!(
                hand.offered[kind]["listChanged"], true,
                "{version:?} {kind}"
            );
        }
        if version == MODERN {
            let filter = json!({ "toolsListChanged": true, "promptsListChanged": true });
            let (_, granted) = listen(&mut hand, filter.clone()).await;
            assert_eq!(granted, filter);
        }
        for i in 0..100 {
            catalog.add(tool(format!("t{i}"), || "")).unwrap();
        }
        catalog.add(prompt("p", || "p")).unwrap();
        catalog.add(resource("test://b", || "b")).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut expected = vec![
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
        ];
        if version == MODERN {
            // Nobody asked for the resources.
            expected.pop();
        }
        assert_eq!(heard(&mut hand).await, expected, "{version:?}");
        for i in 0..100 {
            assert!(catalog.remove_tool(&format!("t{i}")));
        }
        assert!(catalog.remove_prompt("p"));
        assert!(catalog.remove_resource("test://b"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(heard(&mut hand).await, expected, "{version:?}");
        assert_eq!(heard(&mut hand).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_changes_is_told_of_to_its_subscribers() {
    // REQ-RES-06
    let server = server();
    let hub = server.hub();
    for version in ALL {
        let mut hand = connect(&server, version).await;
        assert_eq!(hand.offered["resources"]["subscribe"], true);
        hub.resource_updated("test://a");
        assert_eq!(heard(&mut hand).await, [""; 0], "nobody has subscribed");
        let subscribed = if version == MODERN {
            let filter = json!({ "resourceSubscriptions": ["test://a"] });
            Some(listen(&mut hand, filter).await.0)
        } else {
            let uri = json!({ "uri": "test://a" });
            hand.call("resources/subscribe", uri).await.unwrap();
            None
        };
        hub.resource_updated("test://a");
        hub.resource_updated("test://other");
        hub.resource_updated("test://a");
        hub.resource_updated("test://a/below");
        let updated = |uri| format!("notifications/resources/updated {uri}");
        let expected = [updated("test://a"), updated("test://a/below")];
        assert_eq!(heard(&mut hand).await, expected, "each change once");
        if let Some(id) = subscribed {
            assert!(
                hand.seen
                    .iter()
                    .all(|update| update["params"]["_meta"][ID] == id)
            );
            hand.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }))
                .await;
        } else {
            let uri = json!({ "uri": "test://a" });
            hand.call("resources/unsubscribe", uri).await.unwrap();
        }
        assert_eq!(heard(&mut hand).await, [""; 0]);
        hub.resource_updated("test://a");
        assert_eq!(
            heard(&mut hand).await,
            [""; 0],
            "nobody is subscribed any more"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_declared_cannot_be_subscribed_to() {
    let server = Server::new("hub", "1.0.0")
        .resource(resource("test://a", || "a"))
        .start();
    for version in ALL {
        let mut hand = connect(&server, version).await;
        assert_eq!(hand.offered["resources"].get("subscribe"), None);
        if version == MODERN {
            let filter = json!({ "resourceSubscriptions": ["test://a"], "io.mcp-stack/notifications": ["news.flash"] });
            let (_, granted) = listen(&mut hand, filter).await;
            assert_eq!(granted, json!({}));
        } else {
            let uri = json!({ "uri": "test://a" });
            let refused = hand.call("resources/subscribe", uri).await;
            assert_eq!(support::code(refused), -32601);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_everyone_who_takes_it() {
    let server = server();
    let hub = server.hub();
    let mut hands = Vec::new();
    for version in ALL {
        let mut hand = connect(&server, version).await;
        if version == MODERN {
            listen(
                &mut hand,
                json!({ "io.mcp-stack/notifications": ["news.flash"] }),
            )
            .await;
        }
        hands.push(hand);
    }
    // One that did not ask for it, and one that could not.
    let mut deaf = connect(&server, MODERN).await;
    listen(
        &mut deaf,
        json!({ "io.mcp-stack/notifications": ["other"] }),
    )
    .await;
    let mut unable = Hand::connect(&server, MODERN).await;
    assert_eq!(hub.connections(), 7);
    for headline in ["one", "two"] {
        let headline = headline.to_owned();
        hub.broadcast::<News>(&News { headline }).await.unwrap();
    }
    for hand in &mut hands {
        assert_eq!(heard(hand).await, ["news.flash", "news.flash"]);
        let headlines: Vec<_> = hand.seen.iter().map(|m| &m["params"]["headline"]).collect();
        assert_eq!(headlines, ["one", "two"]);
    }
    assert_eq!(heard(&mut deaf).await, [""; 0]);
    assert_eq!(heard(&mut unable).await, [""; 0]);
    drop((hands, deaf));
    // Their drivers end when they get to it.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(hub.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_cuts_off_only_who_wants_and_does_not_read_them() {
    const BURST: usize = 5000;
    let server = server();
    let hub = server.hub();
    for version in ALL {
        let mut idle = connect(&server, version).await;
        let mut others = connect(&server, version).await;
        let mut all = connect(&server, version).await;
        for (hand, uri) in [(&mut others, "test://b"), (&mut all, "test://a")] {
            if version == MODERN {
                listen(hand, json!({ "resourceSubscriptions": [uri] })).await;
            } else {
                let uri = json!({ "uri": uri });
                hand.call("resources/subscribe", uri).await.unwrap();
            }
        }
        // No driver runs meanwhile.
        for n in 0..BURST {
            hub.resource_updated(format!("test://a/{n}"));
        }
        hub.resource_updated("test://b");
        assert_eq!(heard(&mut idle).await, [""; 0], "{version:?}");
        let expected = ["notifications/resources/updated test://b"];
        assert_eq!(heard(&mut others).await, expected, "{version:?}");
        drop((idle, others));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(hub.connections(), 0, "{version:?}: one was cut off");
        drop(all);
    }
}
