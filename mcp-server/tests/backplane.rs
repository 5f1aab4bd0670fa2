//! Rooms that reach over two nodes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use mcp_server::types::ProtocolVersion;
use mcp_server::{
    Backplane, Cx, Node, NotPublished, Notification, Post, Publishing, Server, ServerConnection,
    ToolError, tool,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::Hand;

const LEGACY: ProtocolVersion = ProtocolVersion::V2025_06_18;

#[derive(Serialize, Deserialize)]
struct Said {
    n: u32,
}

impl Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Self;
}

/// Carries posts between the nodes of one process, one at a time, as long as it is not broken.
#[derive(Clone, Default)]
struct Bus {
    nodes: Arc<Mutex<Vec<Node>>>,
    order: Arc<tokio::sync::Mutex<()>>,
    broken: Arc<Mutex<bool>>,
}

impl Backplane for Bus {
    fn attach(&self, node: Node) {
        self.nodes.lock().unwrap().push(node);
    }

    fn publish(&self, post: Post) -> Publishing<'_> {
        Box::pin(async move {
            let _one_at_a_time = self.order.lock().await;
            if *self.broken.lock().unwrap() {
                return Err("no bus".into());
            }
            let nodes = self.nodes.lock().unwrap().clone();
            for node in nodes {
                node.deliver(&post).await;
            }
            Ok(())
        })
    }
}

async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

fn node(bus: &Bus) -> ServerConnection {
    Server::new("node", "1.0.0")
        .with_notifications()
        .backplane(bus.clone())
        .tool(tool("join", join))
        .start()
}

async fn heard(hand: &mut Hand) -> Vec<Value> {
    hand.call("tools/list", json!({})).await.unwrap();
    let seen = std::mem::take(&mut hand.seen);
    seen.iter()
        .map(|said| said["params"]["n"].clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_on_one_node_is_heard_on_every_node_in_one_order() {
    let bus = Bus::default();
    let nodes = [node(&bus), node(&bus)];
    let mut hands = Vec::new();
    for node in &nodes {
        let mut hand = Hand::connect(node, LEGACY).await;
        hand.call("tools/call", json!({ "name": "join" }))
            .await
            .unwrap();
        hands.push(hand);
    }
    let mut outside = Hand::connect(&nodes[1], LEGACY).await;
    for n in 0..10 {
        let lobby = nodes[n as usize % 2].hub().room("lobby");
        lobby.send::<Said>(&Said { n }).await.unwrap();
    }
    nodes[0]
        .hub()
        .room("elsewhere")
        .send::<Said>(&Said { n: 99 })
        .await
        .unwrap();
    nodes[0]
        .hub()
        .broadcast::<Said>(&Said { n: 10 })
        .await
        .unwrap();
    for hand in &mut hands {
        assert_eq!(heard(hand).await, (0..=10).collect::<Vec<_>>());
    }
    assert_eq!(heard(&mut outside).await, [10]);

    *bus.broken.lock().unwrap() = true;
    let lobby = nodes[0].hub().room("lobby");
    let failed = lobby.send::<Said>(&Said { n: 11 }).await;
    assert!(
        matches!(failed, Err(NotPublished::Backplane(_))),
        "{failed:?}"
    );
    *bus.broken.lock().unwrap() = false;
    let busy = bus.order.lock().await;
    let failed = lobby.try_send::<Said>(&Said { n: 12 });
    assert!(matches!(failed, Err(NotPublished::Full)), "{failed:?}");
    drop(busy);
    for hand in &mut hands {
        assert_eq!(heard(hand).await, [0; 0]);
    }
    // A node that is gone takes nothing, and is no reason to fail.
    let [first, second] = nodes;
    drop((second, outside));
    hands.truncate(1);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    first
        .hub()
        .room("lobby")
        .send::<Said>(&Said { n: 13 })
        .await
        .unwrap();
    assert_eq!(heard(&mut hands[0]).await, [13]);
}
