//! The chat over a real WebSocket, without a browser: both eras in one room.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use chat::{Joined, MemberChanged, Message, MessageReceived, Said, Store, Summary, router, server};
use mcp_client::types::{CallToolResult, CreateMessageResult};
use mcp_client::{Client, EraChoice};
use mcp_testing::soon;
use mcp_transport_ws::{AcceptOptions, connect};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

async fn serve(store: Store) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/mcp", listener.local_addr().unwrap());
    let router = router(server(store).start(), AcceptOptions::new());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

struct Person {
    client: Client,
    heard: Arc<Mutex<Vec<Message>>>,
    changes: Arc<Mutex<Vec<MemberChanged>>>,
}

async fn person(url: &str, era: EraChoice, answer: &'static str) -> Person {
    let heard = Arc::<Mutex<Vec<_>>>::default();
    let changes = Arc::<Mutex<Vec<_>>>::default();
    let (hear, change) = (Arc::clone(&heard), Arc::clone(&changes));
    let client = Client::builder("person", "1")
        .era(era)
        .on_notification::<MessageReceived>(move |message| hear.lock().unwrap().push(message))
        .on_notification::<MemberChanged>(move |changed| change.lock().unwrap().push(changed))
        .on_sampling(move |_| async move { Ok(CreateMessageResult::text("model", answer)) })
        .connect(connect(url).await.unwrap())
        .await
        .unwrap();
    Person {
        client,
        heard,
        changes,
    }
}

impl Person {
    async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        soon(self.client.call_tool(tool, arguments)).await.unwrap()
    }

    async fn ask<T: DeserializeOwned>(&self, tool: &str, arguments: Value) -> T {
        let result = self.call(tool, arguments).await;
        assert!(!result.is_error, "{}", result.to_text());
        result.structured_content.unwrap().decode().unwrap()
    }

    async fn join(&self, room: &str, name: &str) -> Joined {
        self.ask("join", json!({ "room": room, "name": name }))
            .await
    }

    async fn say(&self, room: &str, text: &str, key: &str) -> u64 {
        let say = json!({ "room": room, "text": text, "key": key });
        self.ask::<Said>("say", say).await.id
    }

    async fn hears(&self, count: usize) -> Vec<Message> {
        soon(async {
            while self.heard.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn both_eras_hear_the_same_in_the_same_order() {
    let url = serve(Store::in_memory().unwrap()).await;
    let alice = person(&url, EraChoice::Legacy, "").await;
    let bob = person(&url, EraChoice::Modern, "").await;
    assert_eq!(alice.join("room", "alice").await.members, ["alice"]);
    assert_eq!(bob.join("room", "bob").await.members, ["alice", "bob"]);
    let speaks = async |person: &Person, name: &str| {
        for i in 0..50 {
            person
                .say("room", &format!("{name} {i}"), &format!("{name}-{i}"))
                .await;
        }
    };
    tokio::join!(speaks(&alice, "alice"), speaks(&bob, "bob"));
    let heard = alice.hears(100).await;
    assert_eq!(heard, bob.hears(100).await);
    let ids: Vec<_> = heard.iter().map(|message| message.id).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());

    bob.client.close().await;
    soon(async {
        while alice
            .changes
            .lock()
            .unwrap()
            .last()
            .is_none_or(|last| last.present)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let changes = alice.changes.lock().unwrap();
    let last = changes.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.members[..]),
        ("bob", &["alice".to_owned()][..])
    );
}

#[tokio::test]
async fn what_is_said_twice_with_one_key_is_said_once() {
    let url = serve(Store::in_memory().unwrap()).await;
    let alice = person(&url, EraChoice::Auto, "").await;
    alice.join("room", "alice").await;
    let first = alice.say("room", "hello", "a").await;
    assert_eq!(alice.say("room", "hello", "a").await, first);
    assert_eq!(alice.say("room", "hello", "b").await, first + 1);
    assert_eq!(alice.hears(2).await.len(), 2);
}

#[tokio::test]
async fn what_was_said_survives_a_restart() {
    let dir = std::env::temp_dir().join(format!("chat-test-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path: &Path = &dir.join("db");
    let url = serve(Store::open(path).unwrap()).await;
    let alice = person(&url, EraChoice::Auto, "").await;
    alice.join("room", "alice").await;
    for i in 0..3 {
        alice.say("room", &format!("{i}"), &format!("{i}")).await;
    }
    let url = serve(Store::open(path).unwrap()).await;
    let bob = person(&url, EraChoice::Auto, "").await;
    let missed: Joined = bob
        .ask("join", json!({ "room": "room", "name": "bob", "since": 1 }))
        .await;
    let texts: Vec<_> = missed
        .messages
        .iter()
        .map(|message| &*message.text)
        .collect();
    assert_eq!((&texts[..], missed.more), (&["1", "2"][..], false));
    let history = bob
        .client
        .read_resource("chat://rooms/room?since=2")
        .await
        .unwrap();
    assert!(
        format!("{history:?}").contains("\\\"id\\\":3"),
        "{history:?}"
    );
    let rooms = bob.client.read_resource("chat://rooms").await.unwrap();
    assert!(
        format!("{rooms:?}").contains("\\\"messages\\\":3"),
        "{rooms:?}"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn the_asking_members_model_is_asked() {
    let url = serve(Store::in_memory().unwrap()).await;
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let alice = person(&url, era, "by alice's model").await;
        let bob = person(&url, era, "by bob's model").await;
        alice.join("room", "alice").await;
        bob.join("room", "bob").await;
        alice.say("room", "hello", "a").await;
        for (person, by) in [(&alice, "by alice's model"), (&bob, "by bob's model")] {
            let summary: Summary = person.ask("summarise", json!({ "room": "room" })).await;
            assert_eq!(summary.summary, by);
        }
    }
}

#[tokio::test]
async fn two_who_wait_meet_and_one_who_has_given_up_is_not_met() {
    let url = serve(Store::in_memory().unwrap()).await;
    let gone = person(&url, EraChoice::Auto, "").await;
    let waits = gone.client.call_tool("match", json!({ "name": "gone" }));
    let none = tokio::time::timeout(std::time::Duration::from_millis(50), waits).await;
    assert!(none.is_err());
    gone.client.close().await;
    let alice = person(&url, EraChoice::Legacy, "").await;
    let bob = person(&url, EraChoice::Modern, "").await;
    let (met, other): (Value, Value) = tokio::join!(
        alice.ask("match", json!({ "name": "alice" })),
        bob.ask("match", json!({ "name": "bob" })),
    );
    assert_eq!(met, other);
    let room = met["room"].as_str().unwrap();
    alice.say(room, "hello", "a").await;
    assert_eq!(bob.hears(1).await[0].text, "hello");
}

#[tokio::test]
async fn what_makes_no_sense_is_told_so() {
    let url = serve(Store::in_memory().unwrap()).await;
    let alice = person(&url, EraChoice::Auto, "").await;
    let long = "x".repeat(4001);
    let cases = [
        (
            "say",
            json!({ "room": "room", "text": "x" }),
            "join the room first",
        ),
        ("say", json!({ "room": "room", "text": "" }), "text"),
        ("say", json!({ "room": "room", "text": long }), "text"),
        ("join", json!({ "room": "a b", "name": "alice" }), "room"),
        ("join", json!({ "room": "room", "name": "" }), "name"),
        ("summarise", json!({ "room": "empty" }), "nothing was said"),
    ];
    for (tool, arguments, says) in cases {
        let result = alice.call(tool, arguments).await;
        assert!(
            result.is_error && result.to_text().contains(says),
            "{tool}: {}",
            result.to_text()
        );
    }
}
