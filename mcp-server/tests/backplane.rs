//! Rooms and subscriptions that reach over two nodes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_server::types::{NotificationMessage, ProtocolVersion, RawJson};
use mcp_server::{
    Audience, Backplane, Cx, Node, NotPublished, Notification, Post, Publishing, Server,
    ServerConnection, TaskOwner, TaskSupport, ToolError, resource, tool,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::Hand;

const LEGACY: ProtocolVersion = ProtocolVersion::V2025_06_18;
const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

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
    panics: Arc<Mutex<bool>>,
    carried: Arc<Mutex<Vec<Post>>>,
}

impl Backplane for Bus {
    fn attach(&self, node: Node) {
        self.nodes.lock().unwrap().push(node);
    }

    fn publish(&self, post: Post) -> Publishing<'_> {
        Box::pin(async move {
            let _one_at_a_time = self.order.lock().await;
            if std::mem::take(&mut *self.panics.lock().unwrap()) {
                panic!("a backplane");
            }
            if *self.broken.lock().unwrap() {
                return Err("no bus".into());
            }
            self.carried.lock().unwrap().push(post.clone());
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

async fn nap() -> &'static str {
    tokio::time::sleep(Duration::from_secs(10)).await;
    "slept"
}

fn node(bus: &Bus) -> ServerConnection {
    Server::new("node", "1.0.0")
        .with_notifications()
        .backplane(bus.clone())
        .with_subscriptions()
        .tool(tool("join", join))
        .tool(tool("nap", nap).task(TaskSupport::Optional))
        .resource(resource("test://a", || "a"))
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
    tokio::time::sleep(Duration::from_secs(10)).await;
    first
        .hub()
        .room("lobby")
        .send::<Said>(&Said { n: 13 })
        .await
        .unwrap();
    assert_eq!(heard(&mut hands[0]).await, [13]);
}

/// A client of a node who has subscribed to everything.
async fn subscriber(node: &ServerConnection, version: ProtocolVersion) -> Hand {
    let mut hand = Hand::connect(node, version).await;
    if version == MODERN {
        let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://a"] });
        let wanted = json!({ "notifications": wanted });
        hand.request("subscriptions/listen", wanted).await;
        hand.next().await;
    } else {
        let uri = json!({ "uri": "test://a" });
        hand.call("resources/subscribe", uri).await.unwrap();
    }
    hand
}

/// What a client is told, of lists and resources.
async fn told(hand: &mut Hand) -> Vec<String> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    hand.call("tools/list", json!({})).await.unwrap();
    let seen = std::mem::take(&mut hand.seen);
    let method = |told: &Value| told["method"].as_str().unwrap().to_owned();
    seen.iter().map(method).collect()
}

const TOOLS: &str = "notifications/tools/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

#[tokio::test(start_paused = true)]
async fn what_changes_on_one_node_is_told_to_the_subscribers_of_every_node() {
    let bus = Bus::default();
    let nodes = [node(&bus), node(&bus)];
    assert_eq!(
        *bus.carried.lock().unwrap(),
        [],
        "who is being built tells nobody"
    );
    // There is nobody on the node where it happens.
    nodes[0].hub().tools_changed();
    let mut hands = [
        subscriber(&nodes[1], LEGACY).await,
        subscriber(&nodes[1], MODERN).await,
        subscriber(&nodes[0], LEGACY).await,
    ];
    for hand in &mut hands {
        assert_eq!(told(hand).await, [TOOLS]);
    }
    for node in &nodes {
        node.catalog().add(tool("late", || "late")).unwrap();
        for hand in &mut hands {
            assert_eq!(told(hand).await, [TOOLS]);
        }
        node.hub().resource_updated("test://a");
        node.hub().resource_updated("test://other");
        for hand in &mut hands {
            assert_eq!(told(hand).await, [UPDATED]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn news_wait_for_a_slow_backplane_each_once_and_stay_here_without_one() {
    let bus = Bus::default();
    let nodes = [node(&bus), node(&bus)];
    let mut here = subscriber(&nodes[0], LEGACY).await;
    let mut there = subscriber(&nodes[1], LEGACY).await;
    let hub = nodes[0].hub();

    let busy = bus.order.clone().lock_owned().await;
    for _ in 0..100 {
        hub.resource_updated("test://a");
        hub.resource_updated("test://other");
    }
    assert_eq!(told(&mut there).await, [""; 0]);
    drop(busy);
    assert_eq!(told(&mut there).await, [UPDATED]);
    assert_eq!(told(&mut here).await, [UPDATED]);
    // The one that was under way, and what changed after it.
    let carried = std::mem::take(&mut *bus.carried.lock().unwrap());
    assert_eq!(carried.len(), 3);
    assert!(carried.iter().all(|post| post.to == Audience::Subscribers));

    let busy = bus.order.clone().lock_owned().await;
    for n in 0..5000 {
        hub.resource_updated(format!("test://a/{n}"));
    }
    // Those for which there is no room are told here.
    let first = told(&mut here).await.len();
    drop(busy);
    let rest = told(&mut here).await.len();
    assert_eq!((first, rest), (900, 4100));
    assert_eq!(told(&mut there).await.len(), 4100);

    *bus.broken.lock().unwrap() = true;
    hub.resource_updated("test://a");
    assert_eq!(told(&mut here).await, [UPDATED]);
    assert_eq!(told(&mut there).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn news_go_on_after_the_backplane_has_panicked() {
    let bus = Bus::default();
    let node = node(&bus);
    let mut hand = subscriber(&node, LEGACY).await;
    let hub = node.hub();

    *bus.panics.lock().unwrap() = true;
    let updated = || hub.resource_updated("test://a");
    catch_unwind(AssertUnwindSafe(updated)).unwrap_err();
    assert_eq!(told(&mut hand).await, [UPDATED], "it is told here");
    hub.resource_updated("test://a");
    assert_eq!(told(&mut hand).await, [UPDATED]);

    // In a task, with more behind it.
    let busy = bus.order.clone().lock_owned().await;
    hub.resource_updated("test://a");
    hub.resource_updated("test://a/below");
    *bus.panics.lock().unwrap() = true;
    drop(busy);
    assert_eq!(told(&mut hand).await, [UPDATED; 2]);
    hub.resource_updated("test://a");
    assert_eq!(told(&mut hand).await, [UPDATED]);

    *bus.panics.lock().unwrap() = true;
    hub.tools_changed();
    hub.resources_changed();
    assert_eq!(told(&mut hand).await, [TOOLS, RESOURCES]);
    hub.tools_changed();
    assert_eq!(told(&mut hand).await, [TOOLS]);
}

#[tokio::test(start_paused = true)]
async fn news_go_on_after_the_runtime_that_carried_them_has_ended() {
    let bus = Bus::default();
    let node = node(&bus);
    let mut hand = subscriber(&node, LEGACY).await;
    let hub = node.hub();
    let busy = bus.order.clone().lock_owned().await;
    let elsewhere = hub.clone();
    let ended = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            elsewhere.resource_updated("test://a");
            elsewhere.tools_changed();
        });
    });
    ended.join().unwrap();
    drop(busy);
    // One task is dropped before the other, in whatever order.
    let mut here = told(&mut hand).await;
    here.sort();
    assert_eq!(here, [UPDATED, TOOLS]);
    hub.resource_updated("test://a");
    hub.tools_changed();
    assert_eq!(told(&mut hand).await, [UPDATED, TOOLS]);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_followed_from_another_node() {
    let bus = Bus::default();
    let nodes = [node(&bus), node(&bus)];
    let declared = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let mut here = Hand::connect_as(&nodes[0], MODERN, declared.clone()).await;
    let mut there = Hand::connect_as(&nodes[1], MODERN, declared).await;
    let nap = json!({ "name": "nap", "arguments": {} });
    let task = here.once("tools/call", nap).await.unwrap();
    let filter = json!({ "notifications": { "taskIds": [task["taskId"]] } });
    there.request("subscriptions/listen", filter).await;
    there.next().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(told(&mut there).await, ["notifications/tasks"]);

    // Thousands of others, while no driver runs, take no room from it.
    let node = bus.nodes.lock().unwrap()[1].clone();
    let others = (0..5000).map(|n| json!(format!("{n}")));
    for id in others.chain([task["taskId"].clone()]) {
        let params = Some(RawJson::encode(&json!({ "taskId": id })).unwrap());
        let method = "notifications/tasks".to_owned().into();
        let message = NotificationMessage { method, params };
        let to = Audience::Followers(TaskOwner::Bearer);
        node.deliver(&Post { to, message }).await;
    }
    assert_eq!(told(&mut there).await, ["notifications/tasks"]);
}
