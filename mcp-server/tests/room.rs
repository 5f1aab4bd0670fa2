//! Rooms: who is in them, what reaches whom in which order, and what becomes of those who do not keep up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_peer::session::{CallOptions, ClientConfig, EraChoice, NOTIFICATIONS_EXTENSION};
use mcp_peer::types::{Implementation, ProtocolVersion, RawJson, SubscriptionFilter};
use mcp_peer::{Listening, NoHandler, Peer, Receiver, duplex};
use mcp_server::{
    Cx, Departure, JsonSchema, Lagged, NotPublished, Notification, Presence, Room, RoomOptions,
    Server, ServerConnection, ToolError, WhenFull, tool,
};
use mcp_testing::soon;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{ALL, Hand, everything, text};
use tokio::sync::watch;

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    by: String,
    text: String,
}

impl Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Self;
}

fn said(by: &str, text: impl ToString) -> Said {
    let (by, text) = (by.to_owned(), text.to_string());
    Said { by, text }
}

#[derive(Deserialize, JsonSchema)]
struct Entry {
    name: String,
}

async fn join(cx: Cx, entry: Entry) -> Result<String, ToolError> {
    let member = cx.hub().room("lobby").join_as(&cx, entry.name)?;
    Ok(member.name().to_owned())
}

async fn leave(cx: Cx) -> String {
    cx.hub().room("lobby").leave(&cx).to_string()
}

async fn say(cx: Cx, entry: Entry) -> Result<(), ToolError> {
    let lobby = cx.hub().room("lobby");
    lobby.send::<Said>(&said(&entry.name, "hello")).await?;
    Ok(())
}

fn chat(options: RoomOptions) -> ServerConnection {
    Server::new("chat", "1.0.0")
        .with_notifications()
        .rooms(options)
        .tool(tool("join", join))
        .tool(tool("leave", leave))
        .tool(tool("say", say))
        .start()
}

fn options(when_full: WhenFull, messages: usize) -> RoomOptions {
    let mut options = RoomOptions::default();
    (options.when_full, options.messages) = (when_full, messages);
    options
}

async fn connect(server: &ServerConnection, version: ProtocolVersion) -> Hand {
    let mut capabilities = everything();
    if version == MODERN {
        capabilities["extensions"] = json!({ "io.mcp-stack/notifications": {} });
    }
    let mut hand = Hand::connect_as(server, version, capabilities).await;
    if version == MODERN {
        let wanted = [Said::METHOD, Lagged::METHOD];
        let filter = json!({ "notifications": { "io.mcp-stack/notifications": wanted } });
        hand.request("subscriptions/listen", filter).await;
        hand.next().await;
    }
    hand
}

async fn call(hand: &mut Hand, name: &str, who: &str) -> String {
    let arguments = match who {
        "" => json!({}),
        name => json!({ "name": name }),
    };
    let params = json!({ "name": name, "arguments": arguments });
    let result = hand.call("tools/call", params).await.unwrap();
    match result["content"].as_array() {
        Some(content) if content.is_empty() => String::new(),
        _ => text(&result).to_owned(),
    }
}

fn heard(hand: &mut Hand) -> Vec<String> {
    let line = |message: Value| {
        assert_eq!(message["method"], Said::METHOD);
        let [by, text] =
            ["by", "text"].map(|key| message["params"][key].as_str().unwrap().to_owned());
        format!("{by}: {text}")
    };
    std::mem::take(&mut hand.seen)
        .into_iter()
        .map(line)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn members_of_every_revision_hear_each_other_until_they_leave_or_are_gone() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let options = RoomOptions::default().on_presence(move |room: &Room, presence| {
        let (line, name) = match presence {
            Presence::Joined(member) => (format!("{} joined", member.name()), member.name()),
            Presence::Left(member, why) => (format!("{} {why:?}", member.name()), member.name()),
            _ => unreachable!(),
        };
        assert_eq!(room.name(), "lobby");
        seen.lock().unwrap().push(line.clone());
        room.try_send::<Said>(&said(name, line)).unwrap();
    });
    let server = chat(options);
    let lobby = server.hub().room("lobby");
    let mut hands = Vec::new();
    for version in ALL {
        let mut hand = connect(&server, version).await;
        assert_eq!(
            call(&mut hand, "join", version.as_str()).await,
            version.as_str()
        );
        // What is sent before the answer is on the wire before the answer, and one is a member once only.
        assert_eq!(
            heard(&mut hand),
            [format!("{v}: {v} joined", v = version.as_str())]
        );
        assert_eq!(
            call(&mut hand, "join", "somebody else").await,
            version.as_str()
        );
        hands.push(hand);
    }
    assert_eq!(lobby.members().len(), ALL.len());
    call(&mut hands[0], "say", "first").await;
    for (i, hand) in hands.iter_mut().enumerate() {
        call(hand, "say", "x").await;
        let heard = heard(hand);
        let joined = if i == 0 {
            ALL.len() - 1
        } else {
            ALL.len() - 1 - i
        };
        assert_eq!(heard[joined], "first: hello", "{i}: {heard:?}");
    }
    assert_eq!(call(&mut hands[1], "leave", "").await, "true");
    assert_eq!(call(&mut hands[1], "leave", "").await, "false");
    heard(&mut hands[1]);
    let gone = hands.remove(0);
    drop(gone);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(lobby.members().len(), ALL.len() - 2);
    call(&mut hands[0], "say", "y").await;
    assert_eq!(heard(&mut hands[0]), [""; 0], "no member any more");
    let log = log.lock().unwrap();
    let left = [
        format!("{} Left", ALL[1].as_str()),
        format!("{} Disconnected", ALL[0].as_str()),
    ];
    assert_eq!(log[ALL.len()..], left);
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_a_room_and_to_everybody_keeps_its_order() {
    const MESSAGES: usize = 1000;
    let server = chat(RoomOptions::default());
    let lobby = server.hub().room("lobby");
    let mut hand = connect(&server, ALL[0]).await;
    call(&mut hand, "join", "one").await;
    heard(&mut hand);
    // Without a pause, so that all of it waits, in runs of one and of more than a transport is fed ahead.
    for i in 0..MESSAGES {
        let message = said("server", i);
        match i % 300 {
            0 | 2 | 3 => server.hub().broadcast::<Said>(&message).await.unwrap(),
            _ => lobby.send::<Said>(&message).await.unwrap(),
        }
    }
    assert_eq!(lobby.queued().0, MESSAGES - 12);
    call(&mut hand, "leave", "").await;
    let expected: Vec<_> = (0..MESSAGES).map(|i| format!("server: {i}")).collect();
    assert_eq!(heard(&mut hand), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_sends_here_and_there_keeps_its_order_while_drivers_run_beside_it() {
    const MESSAGES: usize = 20_000;
    let server = chat(RoomOptions::default());
    let lobby = server.hub().room("lobby");
    let mut reader = reader(&server, EraChoice::Legacy).await;
    for i in 0..MESSAGES {
        let message = said("server", i);
        match i % 7 {
            0 | 2 | 3 => server.hub().broadcast::<Said>(&message).await.unwrap(),
            _ => lobby.send::<Said>(&message).await.unwrap(),
        }
        // So that nothing is dropped.
        if i % 500 == 499 {
            for i in i - 499..=i {
                let said = soon(reader.said.recv()).await.unwrap().unwrap();
                assert_eq!(said.text, i.to_string());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_could_not_hear_does_not_join() {
    let server = chat(RoomOptions::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    let params = json!({ "name": "join", "arguments": { "name": "a" } });
    let result = hand.call("tools/call", params).await.unwrap();
    assert_eq!(result["isError"], true);
    assert!(server.hub().room("lobby").members().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_room_takes_nobody_and_an_empty_one_is_forgotten() {
    let mut options = RoomOptions::default();
    options.members = 1;
    let server = chat(options);
    let mut first = connect(&server, ALL[0]).await;
    let mut second = connect(&server, ALL[0]).await;
    call(&mut first, "join", "a").await;
    assert_eq!(call(&mut second, "join", "b").await, "the room is full");
    assert!(format!("{:?}", server.hub()).contains("rooms: 1"));
    call(&mut first, "leave", "").await;
    assert!(format!("{:?}", server.hub()).contains("rooms: 0"));
    assert_eq!(call(&mut second, "join", "b").await, "b");
}

/// A member that reads everything.
struct Reader {
    _peer: Peer,
    said: Receiver<Said>,
    _stream: Option<Listening>,
}

async fn reader(server: &ServerConnection, era: EraChoice) -> Reader {
    let (left, right) = duplex(16);
    let connection = server.connect(right).unwrap();
    // The server's handle: it closes the connection when it is dropped.
    let handle = connection.peer;
    tokio::spawn(async move {
        let _ = connection.driver.await;
        drop(handle);
    });
    let mut config = ClientConfig::new(Implementation::new("reader", "1"));
    config.era = era;
    let extensions = &mut config.capabilities.extensions;
    extensions.insert(NOTIFICATIONS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
    let client = mcp_peer::client(left, config, Arc::new(NoHandler), Default::default());
    tokio::spawn(client.driver);
    let peer = client.peer;
    let said = peer.notifications::<Said>();
    soon(peer.opened()).await.unwrap();
    let stream = match era {
        EraChoice::Modern => {
            let filter = SubscriptionFilter::new().notification(Said::METHOD);
            Some(soon(peer.listen(filter)).await.unwrap())
        }
        _ => None,
    };
    let params = json!({ "name": "join", "arguments": { "name": "reader" } });
    let params = mcp_peer::encode_params("tools/call", &params).unwrap();
    let call = peer.request_raw("tools/call".into(), params, CallOptions::default(), |_| ());
    soon(call).await.unwrap();
    Reader {
        _peer: peer,
        said,
        _stream: stream,
    }
}

/// A member that reads nothing from now on.
async fn stuck(server: &ServerConnection, version: ProtocolVersion) -> Hand {
    let mut hand = connect(server, version).await;
    call(&mut hand, "join", "stuck").await;
    hand
}

/// Bytes of memory that the process has in use, where the system tells.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

const MEMBERS: usize = 1000;
const SENDERS: usize = 4;
const BURST: usize = 8;
const ROUNDS: usize = 12;
const EACH: usize = BURST * ROUNDS;
const QUEUE: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_members_miss_nothing_and_see_one_order_whoever_is_stuck() {
    let server = chat(options(WhenFull::DropOldest, QUEUE));
    let (count, mut received) = watch::channel(0);
    let count = Arc::new(count);
    let mut readers = Vec::new();
    for i in 1..MEMBERS {
        let eras = [EraChoice::Legacy, EraChoice::Modern];
        let mut reader = reader(&server, eras[i % 2]).await;
        let count = Arc::clone(&count);
        readers.push(tokio::spawn(async move {
            // All of it: it is connected as long as its handle lives.
            let reader = &mut reader;
            let mut order: Vec<(usize, usize)> = Vec::new();
            while order.len() < SENDERS * EACH {
                let said = soon(reader.said.recv()).await.unwrap().unwrap();
                order.push((said.by.parse().unwrap(), said.text.parse().unwrap()));
                count.send_modify(|count| *count += 1);
            }
            order
        }));
    }
    let mut stuck = stuck(&server, ProtocolVersion::V2025_11_25).await;
    let lobby = server.hub().room("lobby");
    assert_eq!(lobby.members().len(), MEMBERS);
    let before = resident();
    for round in 0..ROUNDS {
        let senders = (0..SENDERS).map(|s| {
            let lobby = lobby.clone();
            tokio::spawn(async move {
                for i in 0..BURST {
                    let said = said(&s.to_string(), round * BURST + i);
                    lobby.send::<Said>(&said).await.unwrap();
                }
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            soon(sender).await.unwrap();
        }
        // Who reads at all has room for a round.
        let all = (MEMBERS - 1) * SENDERS * BURST * (round + 1);
        soon(received.wait_for(|received| *received == all))
            .await
            .unwrap();
    }
    let mut orders = Vec::new();
    for reader in readers {
        orders.push(soon(reader).await.unwrap());
    }
    let first = &orders[0];
    let other = orders.iter().position(|order| order != first);
    assert_eq!(other, None, "somebody sees another order");
    for s in 0..SENDERS {
        let of_one = first.iter().filter(|said| said.0 == s).map(|said| said.1);
        assert!(of_one.eq(0..EACH));
    }
    let (messages, bytes) = lobby.queued();
    assert_eq!(messages, QUEUE, "only the stuck one has any left");
    let grown = before
        .zip(resident())
        .map(|(before, now)| now.saturating_sub(before) / 1024);
    println!(
        "{MEMBERS} members, {} messages: {messages} messages of {bytes} bytes wait for the stuck one; grown by {grown:?} KiB",
        SENDERS * EACH
    );
    // When it reads at last, it is told what it has missed, in its place.
    let (mut got, mut missed) = (0, 0);
    while got + missed < SENDERS * EACH {
        let message = stuck.next().await;
        if message["method"] == Lagged::METHOD {
            assert_eq!(message["params"]["room"], "lobby");
            missed += message["params"]["missed"].as_u64().unwrap() as usize;
        } else {
            let said: Said = serde_json::from_value(message["params"].clone()).unwrap();
            let (s, i) = first[got + missed];
            assert_eq!(said, self::said(&s.to_string(), i));
            got += 1;
        }
    }
    assert!(missed > 0 && got >= QUEUE, "{got} {missed}");
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_keep_up_is_cut_off_where_the_room_says_so() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let options = options(WhenFull::Disconnect, QUEUE).on_presence(move |_, presence| {
        if let Presence::Left(member, why) = presence {
            seen.lock().unwrap().push((member.name().to_owned(), why));
        }
    });
    let server = chat(options);
    let mut reader = reader(&server, EraChoice::Legacy).await;
    let stuck = stuck(&server, ALL[3]).await;
    let lobby = server.hub().room("lobby");
    for i in 0..1000 {
        lobby.send::<Said>(&said("a", i)).await.unwrap();
        let said = soon(reader.said.recv()).await.unwrap().unwrap();
        assert_eq!(said.text, i.to_string());
    }
    assert_eq!(
        *log.lock().unwrap(),
        [("stuck".to_owned(), Departure::TooSlow)]
    );
    assert_eq!(lobby.members().len(), 1);
    assert_eq!(server.hub().connections(), 1, "its connection has ended");
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn a_presence_callback_that_panics_leaves_nobody_behind() {
    async fn join_all(cx: Cx) -> Result<(), ToolError> {
        for name in ["a", "b", "c"] {
            cx.hub().room(name).join_as(&cx, "somebody")?;
        }
        Ok(())
    }
    let panicking = |_: &Room, _: Presence<'_>| panic!("a presence callback");
    let options = options(WhenFull::Disconnect, QUEUE).on_presence(panicking);
    let server = Server::new("chat", "1.0.0")
        .rooms(options)
        .tool(tool("join_all", join_all))
        .start();
    let hub = server.hub();
    let rooms = ["a", "b", "c"].map(|name| hub.room(name));
    let members = || rooms.each_ref().map(|room| room.members().len());
    let mut hands = Vec::new();
    for _ in 0..3 {
        let mut hand = Hand::connect(&server, ALL[0]).await;
        call(&mut hand, "join_all", "").await;
        hands.push(hand);
    }
    assert_eq!(members(), [3; 3]);
    hands.pop();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(members(), [2; 3], "one has gone");
    for i in 0..1000 {
        rooms[0].send::<Said>(&said("a", i)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((members(), hub.connections()), ([0; 3], 0), "all are slow");
}

#[tokio::test(start_paused = true)]
async fn a_room_can_wait_for_its_slowest_member() {
    let server = chat(options(WhenFull::Wait, QUEUE));
    let mut reader = reader(&server, EraChoice::Legacy).await;
    let mut stuck = stuck(&server, MODERN).await;
    let lobby = server.hub().room("lobby");
    let mut sent = 0;
    while lobby.try_send::<Said>(&said("a", sent)).is_ok() {
        sent += 1;
        let said = soon(reader.said.recv()).await.unwrap().unwrap();
        assert_eq!(said.text, (sent - 1).to_string());
    }
    assert!(matches!(
        lobby.try_send::<Said>(&said("a", sent)),
        Err(NotPublished::Full)
    ));
    let sender = lobby.clone();
    let waiting = tokio::spawn(async move {
        for i in sent..2 * sent {
            sender.send::<Said>(&said("a", i)).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(
        reader.said.try_recv().is_none(),
        "nobody gets what one has no room for"
    );
    assert_eq!(lobby.queued().0, QUEUE);
    for i in 0..2 * sent {
        let message = stuck.next().await;
        assert_eq!(message["params"]["text"], i.to_string());
    }
    soon(waiting).await.unwrap();
    for i in sent..2 * sent {
        assert_eq!(
            soon(reader.said.recv()).await.unwrap().unwrap().text,
            i.to_string()
        );
    }
    // One that reads nothing at all is cut off in the end, and those who wait go on.
    let sender = lobby.clone();
    let waiting = tokio::spawn(async move {
        for i in 0..2 * sent {
            sender.send::<Said>(&said("b", i)).await.unwrap();
        }
    });
    for i in 0..2 * sent {
        assert_eq!(
            reader.said.recv().await.unwrap().unwrap().text,
            i.to_string()
        );
    }
    waiting.await.unwrap();
    assert_eq!(lobby.members().len(), 1);
}
