//! Connections that are opened again: what fails, what waits, what goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_client::types::{Implementation, LogMessage, ResourcesCapability, ServerCapabilities};
use mcp_client::types::{ResourceUpdated, SubscriptionFilter, ToolListChanged, ToolsCapability};
use mcp_client::{Client, ConnectError, EraChoice, OpenError, Reconnect, RequestError};
use mcp_codec::Framed;
use mcp_peer::session::ServerConfig;
use mcp_peer::{Duplex, NoHandler, Options, Peer, duplex};
use mcp_server::{Cx, Server, tool};
use mcp_testing::{Journal, RawPeer, soon};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

const ERAS: [EraChoice; 3] = [EraChoice::Legacy, EraChoice::Modern, EraChoice::Auto];
const CONCURRENT: &str = "another test thread panicked";

type Io = Framed<DuplexStream>;

/// Servers that are played by hand, one a connection.
#[derive(Clone, Default)]
struct ByHand(Arc<Mutex<VecDeque<RawPeer<DuplexStream>>>>, Journal<()>);

impl ByHand {
    fn connect(&self) -> std::future::Ready<Result<Io, Infallible>> {
        let (left, right) = tokio::io::duplex(64 * 1024);
        self.0
            .lock()
            .expect(CONCURRENT)
            .push_back(RawPeer::new(right));
        self.1.push(());
        std::future::ready(Ok(mcp_codec::framed(left)))
    }

    async fn next(&self) -> RawPeer<DuplexStream> {
        loop {
            let seen = self.count();
            if let Some(peer) = self.0.lock().expect(CONCURRENT).pop_front() {
                return peer;
            }
            self.1.find_many(seen + 1, |()| true).await;
        }
    }

    fn count(&self) -> usize {
        self.1.entries().len()
    }
}

async fn initialize(server: &mut RawPeer<DuplexStream>) {
    let request = server.next().await.unwrap().unwrap();
    assert_eq!(request["method"], "initialize");
    let result = json!({
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"},
    });
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    server.send(&answer).await.unwrap();
    let note = server.next().await.unwrap().unwrap();
    assert_eq!(note["method"], "notifications/initialized");
}

/// REQ: inventory 3.2, step 7.
#[tokio::test(start_paused = true)]
async fn a_server_that_dies_when_it_is_asked_is_started_once_more() {
    for noise in [None, Some("[WARN] unexpected first message")] {
        let servers = ByHand::default();
        let hands = servers.clone();
        let connecting = Client::builder("c", "1").connect_with(move || hands.connect());
        let serving = async {
            let mut first = servers.next().await;
            let probe = first.next().await.unwrap().unwrap();
            assert_eq!(probe["method"], "server/discover");
            if let Some(noise) = noise {
                first.send_text(noise).await.unwrap();
            }
            drop(first);
            let mut second = servers.next().await;
            initialize(&mut second).await;
            second
        };
        let (client, _server) = soon(async { tokio::join!(connecting, serving) }).await;
        assert_eq!(client.unwrap().server().version.as_str(), "2025-06-18");
        assert_eq!(servers.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_no_server_is_quoted_and_not_started_for_ever() {
    for (era, starts) in [
        (EraChoice::Auto, 2),
        (EraChoice::Legacy, 1),
        (EraChoice::Modern, 1),
    ] {
        let servers = ByHand::default();
        let hands = servers.clone();
        let connecting = Client::builder("c", "1")
            .era(era)
            .reconnect(Reconnect::default())
            .connect_with(move || hands.connect());
        let serving = async {
            for _ in 0..starts {
                let mut server = servers.next().await;
                server.send_text("cat: unrecognized option").await.unwrap();
            }
        };
        let (client, ()) = soon(async { tokio::join!(connecting, serving) }).await;
        let error = client.unwrap_err();
        assert!(
            matches!(&error, OpenError::Handshake(ConnectError::NotMcp { said, .. }) if said == "cat: unrecognized option"),
            "{error:?}"
        );
        assert_eq!(servers.count(), starts);
    }
}

#[tokio::test]
async fn without_a_transport_there_is_nothing() {
    let missing = || std::future::ready(Err::<Io, _>(std::io::Error::other("no such program")));
    let error = soon(Client::builder("c", "1").connect_with(missing)).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "no transport: no such program"
    );
}

/// A server that can be killed, and comes back when it is asked for.
#[derive(Clone, Default)]
struct Mortal {
    lives: Arc<Mutex<Option<AbortHandle>>>,
    connects: Arc<AtomicUsize>,
    /// Connects that fail.
    down: Arc<AtomicUsize>,
    calls: Journal<&'static str>,
}

impl Mortal {
    fn connect(&self) -> std::future::Ready<Result<Duplex, std::io::Error>> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        let down = |n: usize| n.checked_sub(1);
        if self
            .down
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, down)
            .is_ok()
        {
            return std::future::ready(Err(std::io::Error::other("down")));
        }
        let (left, right) = duplex(64);
        let (quick, slow) = (self.calls.clone(), self.calls.clone());
        let server = Server::new("mortal", "1")
            .tool(tool("quick", move |cx: Cx| {
                quick.push("quick");
                async move {
                    cx.log().info("quick").await;
                    "done"
                }
            }))
            .tool(tool("slow", move || {
                slow.push("slow");
                std::future::pending::<&str>()
            }));
        let serving = tokio::spawn(server.serve(right)).abort_handle();
        *self.lives.lock().expect(CONCURRENT) = Some(serving);
        std::future::ready(Ok(left))
    }

    fn kill(&self) {
        if let Some(serving) = self.lives.lock().expect(CONCURRENT).take() {
            serving.abort();
        }
    }

    async fn client(&self, era: EraChoice, policy: Reconnect) -> Client {
        let server = self.clone();
        let builder = Client::builder("c", "1")
            .era(era)
            .log_level(mcp_client::types::LogLevel::Info);
        soon(
            builder
                .reconnect(policy)
                .connect_with(move || server.connect()),
        )
        .await
        .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_fails_and_what_comes_later_waits() {
    for era in ERAS {
        let server = Mortal::default();
        let client = server.client(era, Reconnect::default()).await;
        let before = client.server();
        let mut logs = client.logs();
        soon(client.call_tool("quick", json!({}))).await.unwrap();
        let slow = client.call_tool("slow", json!({})).into_future();
        let killing = async {
            server.calls.find(|call| *call == "slow").await;
            // Two connects fail before one succeeds.
            server.down.store(2, Ordering::Relaxed);
            server.kill();
        };
        let (lost, ()) = soon(async { tokio::join!(slow, killing) }).await;
        assert!(
            matches!(lost, Err(RequestError::ConnectionLost(_))),
            "{lost:?}"
        );
        // Waits until there is a connection again, the same for the program.
        let result = soon(client.call_tool("quick", json!({}))).await.unwrap();
        assert_eq!(result.to_text(), "done");
        assert_eq!(
            server.calls.entries(),
            ["quick", "slow", "quick"],
            "never sent again"
        );
        assert!(!Arc::ptr_eq(&before, &client.server()));
        assert_eq!(server.connects.load(Ordering::Relaxed), 4);
        for _ in 0..2 {
            assert_eq!(soon(logs.recv()).await.unwrap().unwrap().text(), "quick");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_sent_again_but_not_for_ever() {
    let server = Mortal::default();
    let policy = Reconnect::default().attempts(100);
    let client = server.client(EraChoice::Auto, policy).await;
    let slow = client
        .call_tool("slow", json!({}))
        .idempotent()
        .into_future();
    let killing = async {
        for sent in 1..=3 {
            server.calls.find_many(sent, |call| *call == "slow").await;
            server.kill();
        }
    };
    let (lost, ()) = soon(async { tokio::join!(slow, killing) }).await;
    assert!(
        matches!(lost, Err(RequestError::ConnectionLost(_))),
        "{lost:?}"
    );
    soon(client.call_tool("quick", json!({}))).await.unwrap();
    assert_eq!(server.calls.entries(), ["slow", "slow", "slow", "quick"]);
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_whose_answer_is_cut_off_is_sent_again() {
    let servers = ByHand::default();
    let hands = servers.clone();
    let connecting = Client::builder("c", "1")
        .era(EraChoice::Legacy)
        .reconnect(Reconnect::default())
        .connect_with(move || hands.connect());
    let opening = async {
        let mut server = servers.next().await;
        initialize(&mut server).await;
        server
    };
    let (client, mut server) = soon(async { tokio::join!(connecting, opening) }).await;
    let client = client.unwrap();
    let call = client.call_tool("t", json!({})).idempotent().into_future();
    let serving = async {
        let request = server.next().await.unwrap().unwrap();
        let cut = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"con"#,
            request["id"]
        );
        server.send_bytes(cut.as_bytes()).await.unwrap();
        drop(server);
        let mut server = servers.next().await;
        initialize(&mut server).await;
        let request = server.next().await.unwrap().unwrap();
        let result = json!({"content": []});
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        server.send(&answer).await.unwrap();
        server
    };
    let (result, _server) = soon(async { tokio::join!(call, serving) }).await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_and_nobody_waits_any_more() {
    let server = Mortal::default();
    let second = Duration::from_secs(1);
    let policy = Reconnect::default().delays(second, 8 * second).attempts(5);
    let client = server.client(EraChoice::Auto, policy).await;
    let mut logs = client.notifications::<LogMessage>();
    server.down.store(usize::MAX, Ordering::Relaxed);
    let start = Instant::now();
    server.kill();
    let lost = tokio::time::timeout(100 * second, client.peer().closed()).await;
    lost.expect("it gives up");
    // 1 + 2 + 4 + 8 + 8 seconds, each less by half of it at most.
    let waited = start.elapsed().as_secs_f64();
    assert!((11.5..=23.1).contains(&waited), "{waited}");
    assert_eq!(server.connects.load(Ordering::Relaxed), 1 + 5);
    let late = soon(client.call_tool("quick", json!({}))).await;
    assert!(
        matches!(late, Err(RequestError::ConnectionLost(_))),
        "{late:?}"
    );
    assert!(soon(logs.recv()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_it_may() {
    let server = Mortal::default();
    let hour = Duration::from_secs(3600);
    let client = server
        .client(EraChoice::Auto, Reconnect::default().delays(hour, hour))
        .await;
    let losing = client.call_tool("slow", json!({})).into_future();
    let killing = async {
        server.calls.find(|call| *call == "slow").await;
        server.kill();
    };
    let (_, ()) = soon(async { tokio::join!(losing, killing) }).await;
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let late = client.call_tool("quick", json!({})).timeout(second);
    assert_eq!(late.await, Err(RequestError::TimedOut(second)));
    assert_eq!(start.elapsed(), second);
    // Closed while there is no connection: at once.
    let notified = client.peer().log(
        mcp_client::types::LogLevel::Info,
        mcp_client::types::RawJson::EMPTY_OBJECT,
    );
    let _ = soon(notified).await;
    soon(client.close()).await;
    assert_eq!(start.elapsed(), second);
    assert_eq!(server.connects.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_again_and_again_is_given_up() {
    let server = Mortal::default();
    let killer = server.clone();
    let second = Duration::from_secs(1);
    let connect = move || {
        let transport = killer.connect();
        // From the second on each lives for half a second: less than the longest delay.
        if killer.connects.load(Ordering::Relaxed) > 1 {
            let killer = killer.clone();
            tokio::spawn(async move {
                tokio::time::sleep(second / 2).await;
                killer.kill();
            });
        }
        transport
    };
    let policy = Reconnect::default().delays(second, 8 * second).attempts(4);
    let client = Client::builder("c", "1")
        .reconnect(policy)
        .connect_with(connect);
    let client = soon(client).await.unwrap();
    server.kill();
    tokio::time::timeout(100 * second, client.peer().closed())
        .await
        .expect("it gives up");
    assert_eq!(server.connects.load(Ordering::Relaxed), 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_dropped_meanwhile_leaves_nothing_behind() {
    let server = Mortal::default();
    let client = server.client(EraChoice::Auto, Reconnect::default()).await;
    server.down.store(usize::MAX, Ordering::Relaxed);
    server.kill();
    let slow = client
        .call_tool("slow", json!({}))
        .timeout(Duration::from_millis(50))
        .into_future();
    assert!(soon(slow).await.is_err());
    drop(client);
    // The connector holds a clone, and is held by the task.
    soon(async {
        while Arc::strong_count(&server.connects) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// REQ-SUB-08, REQ-SUB-14
#[tokio::test(start_paused = true)]
async fn a_subscription_is_opened_again_without_a_gap() {
    for era in ERAS {
        let peers: Arc<Mutex<Vec<Peer>>> = Arc::default();
        let tasks: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (made, spawned) = (Arc::clone(&peers), Arc::clone(&tasks));
        let connect = move || {
            let (left, right) = duplex(16);
            let mut config = ServerConfig::new(Implementation::new("server", "1"));
            config.capabilities = ServerCapabilities::new()
                .tools(ToolsCapability::new().list_changed(true))
                .resources(ResourcesCapability::new().subscribe(true));
            let serving = mcp_peer::server(right, config, Arc::new(NoHandler), Options::default());
            made.lock().expect(CONCURRENT).push(serving.peer);
            spawned
                .lock()
                .expect(CONCURRENT)
                .push(tokio::spawn(serving.driver).abort_handle());
            std::future::ready(Ok::<_, Infallible>(left))
        };
        let builder = Client::builder("c", "1")
            .era(era)
            .reconnect(Reconnect::default());
        let client = soon(builder.connect_with(connect)).await.unwrap();
        let mut lists = client.notifications::<ToolListChanged>();
        let mut updates = client.notifications::<ResourceUpdated>();
        let mut filter = SubscriptionFilter::new().resource("file:///a");
        filter.tools_list_changed = true;
        let mut subscription = soon(client.subscribe(filter)).await.unwrap();
        for life in 1..=3 {
            assert!(updates.try_recv().is_none());
            tasks.lock().expect(CONCURRENT)[life - 1].abort();
            // What may have been missed is told, when the server has agreed again.
            soon(lists.recv()).await.unwrap().unwrap();
            assert_eq!(
                soon(updates.recv()).await.unwrap().unwrap().uri,
                "file:///a"
            );
            let server = peers.lock().expect(CONCURRENT)[life].clone();
            let update = mcp_client::types::ResourceUpdatedParams::new("file:///a");
            soon(server.notify::<ResourceUpdated>(&update))
                .await
                .unwrap();
            assert_eq!(
                soon(updates.recv()).await.unwrap().unwrap().uri,
                "file:///a"
            );
        }
        client.peer().close();
        let ended = soon(subscription.ended()).await;
        assert!(
            matches!(ended, Err(RequestError::ConnectionLost(_))),
            "{ended:?}"
        );
    }
}

async fn answer(server: &mut RawPeer<DuplexStream>, method: &str, outcome: (&str, Value)) -> Value {
    let request = server.next().await.unwrap().unwrap();
    assert_eq!(request["method"], method, "{request}");
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], (outcome.0): outcome.1});
    server.send(&answer).await.unwrap();
    request
}

async fn discover(server: &mut RawPeer<DuplexStream>) {
    let capabilities = json!({"tools": {"listChanged": true}});
    let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities});
    answer(server, "server/discover", ("result", result)).await;
}

/// Agrees to tell of changed tools; returns the stream's id.
async fn acknowledge(server: &mut RawPeer<DuplexStream>) -> Value {
    let request = server.next().await.unwrap().unwrap();
    assert_eq!(request["method"], "subscriptions/listen");
    let wanted = json!({"toolsListChanged": true});
    assert_eq!(request["params"]["notifications"], wanted);
    let meta = json!({"io.modelcontextprotocol/subscriptionId": request["id"]});
    let params = json!({"notifications": wanted, "_meta": meta});
    let method = "notifications/subscriptions/acknowledged";
    let agreed = json!({"jsonrpc": "2.0", "method": method, "params": params});
    server.send(&agreed).await.unwrap();
    request["id"].clone()
}

/// REQ-SUB-08, REQ-SUB-14
#[tokio::test(start_paused = true)]
async fn callbacks_are_told_once_of_what_they_may_have_missed() {
    let servers = ByHand::default();
    let hands = servers.clone();
    let told = Journal::new();
    let tell = told.clone();
    let connecting = Client::builder("c", "1")
        .era(EraChoice::Modern)
        .on_tools_changed(move || tell.push(()))
        .reconnect(Reconnect::default().attempts(5))
        .connect_with(move || hands.connect());
    let serving = async {
        let mut server = servers.next().await;
        discover(&mut server).await;
        let stream = acknowledge(&mut server).await;
        (server, stream)
    };
    let (client, (mut server, stream)) = soon(async { tokio::join!(connecting, serving) }).await;
    let client = client.unwrap();
    assert!(told.entries().is_empty());

    // The stream breaks off, and the connection does not; then the server ends it in good order.
    let mut id = stream;
    let ends = [
        ("error", json!({"code": -32000, "message": "gone"})),
        ("result", json!({})),
    ];
    for (times, (kind, body)) in ends.into_iter().enumerate() {
        let end = json!({"jsonrpc": "2.0", "id": id, (kind): body});
        server.send(&end).await.unwrap();
        id = soon(acknowledge(&mut server)).await;
        soon(told.find_many(times + 1, |()| true)).await;
    }

    // The connection is lost.
    drop(server);
    let mut server = soon(servers.next()).await;
    soon(discover(&mut server)).await;
    let id = soon(acknowledge(&mut server)).await;
    soon(told.find_many(3, |()| true)).await;

    // A server that has had enough is not asked for ever, and goes on serving. What lasted is no failure.
    tokio::time::advance(Duration::from_secs(30)).await;
    let had_enough = json!({"code": -32000, "message": "enough"});
    let end = json!({"jsonrpc": "2.0", "id": id, "error": had_enough});
    server.send(&end).await.unwrap();
    for _ in 0..5 {
        let refusal = ("error", had_enough.clone());
        soon(answer(&mut server, "subscriptions/listen", refusal)).await;
    }
    tokio::time::advance(Duration::from_secs(3600)).await;
    let calling = client.call_tool("a", json!({})).into_future();
    let result = json!({"content": []});
    let answering = answer(&mut server, "tools/call", ("result", result));
    let (called, _) = soon(async { tokio::join!(calling, answering) }).await;
    called.unwrap();
    assert_eq!(told.entries().len(), 3);
}

/// What hears of changes keeps neither the connection nor what makes another one.
#[tokio::test(start_paused = true)]
async fn callbacks_leave_nothing_behind() {
    let servers = ByHand::default();
    let hands = servers.clone();
    let connecting = Client::builder("c", "1")
        .era(EraChoice::Modern)
        .on_tools_changed(|| ())
        .reconnect(Reconnect::default())
        .connect_with(move || hands.connect());
    let serving = async {
        let mut server = servers.next().await;
        discover(&mut server).await;
        acknowledge(&mut server).await;
        server
    };
    let (client, mut server) = soon(async { tokio::join!(connecting, serving) }).await;
    drop(client.unwrap());
    soon(async { while server.next().await.is_ok_and(|message| message.is_some()) {} }).await;
    soon(async {
        while Arc::strong_count(&servers.0) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
