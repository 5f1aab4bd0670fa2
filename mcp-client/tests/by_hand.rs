//! Clients whose servers are played by hand, under a clock that stands still unless there is nothing else to do.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

use std::convert::Infallible;
use std::future::{IntoFuture, Ready, pending, ready};
use std::time::Duration;

use futures::FutureExt;
#[cfg(feature = "schema")]
use mcp_client::StructuredError;
use mcp_client::types::{
    CreateMessageResult, Era, ErrorCode, ProtocolVersion, RawJson, Request, Root,
    SubscriptionFilter, Tool, ToolListChanged,
};
use mcp_client::{CallOptions, PeerMisbehaved, ProgressUpdate, RequestError, Started};
use mcp_client::{Client, ClientBuilder, ClientGroup, EraChoice, Reconnect};
use mcp_codec::Framed;
use mcp_testing::{RawPeer, soon};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// The server's end of a connection.
struct Hand(RawPeer<DuplexStream>);

/// The server's ends of a client's connections, one after the other.
struct Hands(UnboundedReceiver<Hand>);

type Connecting = Ready<Result<Framed<DuplexStream>, Infallible>>;

/// What connects, and who plays the servers it connects to.
fn by_hand() -> (impl FnMut() -> Connecting + Send + 'static, Hands) {
    let (made, hands) = unbounded_channel();
    let connect = move || connect(&made);
    (connect, Hands(hands))
}

fn connect(made: &UnboundedSender<Hand>) -> Connecting {
    let (left, right) = tokio::io::duplex(64 * 1024);
    made.send(Hand(RawPeer::new(right))).unwrap();
    ready(Ok(mcp_codec::framed(left)))
}

/// A client that is connected to a modern server, and connects again when it loses it.
async fn modern(era: EraChoice) -> (Client, Hand, Hands) {
    modern_with(era, Reconnect::default().attempts(6)).await
}

async fn modern_with(era: EraChoice, policy: Reconnect) -> (Client, Hand, Hands) {
    let (connect, mut hands) = by_hand();
    let connecting = Client::builder("c", "1")
        .era(era)
        .reconnect(policy)
        .connect_with(connect);
    let serving = async {
        let mut server = hands.next().await;
        server.discover().await;
        server
    };
    let (client, server) = tokio::join!(connecting, serving);
    (client.unwrap(), server, hands)
}

/// A client that is connected to a server of 2025-11-25.
async fn legacy(client: ClientBuilder, capabilities: Value) -> (Client, Hand, Hands) {
    let (connect, mut hands) = by_hand();
    let connecting = client.era(EraChoice::Legacy).connect_with(connect);
    let (client, server) = tokio::join!(connecting, hands.legacy(capabilities));
    (client.unwrap(), server, hands)
}

impl Hands {
    async fn legacy(&mut self, capabilities: Value) -> Hand {
        let mut server = self.next().await;
        server.initialize("2025-11-25", capabilities).await;
        server
    }

    async fn next(&mut self) -> Hand {
        soon(self.0.recv()).await.unwrap()
    }
}

impl Hand {
    async fn expect(&mut self, method: &str) -> Value {
        let message = soon(self.0.next()).await.unwrap().unwrap();
        assert_eq!(message["method"], method, "{message}");
        message
    }

    async fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = json!("2.0");
        self.0.send(&message).await.unwrap();
    }

    async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({ "id": request["id"], "result": result }))
            .await;
    }

    /// As a server does that is about to close the connection.
    async fn refuse(&mut self, request: &Value) {
        let error = json!({ "code": -32603, "message": "the connection is being closed" });
        self.send(json!({ "id": request["id"], "error": error }))
            .await;
    }

    /// Agrees to tell of changed tools; returns the request.
    async fn acknowledge(&mut self) -> Value {
        let request = self.expect("subscriptions/listen").await;
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": request["id"] });
        let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": meta });
        let method = "notifications/subscriptions/acknowledged";
        self.send(json!({ "method": method, "params": params }))
            .await;
        request
    }

    async fn discover(&mut self) {
        let request = self.expect("server/discover").await;
        let result = json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": { "listChanged": true } },
        });
        self.answer(&request, result).await;
    }

    /// Shakes hands as a legacy server; returns what the client said of itself.
    async fn initialize(&mut self, version: &str, capabilities: Value) -> Value {
        let request = self.expect("initialize").await;
        let info = json!({ "name": "s", "version": "1" });
        let result =
            json!({ "protocolVersion": version, "capabilities": capabilities, "serverInfo": info });
        self.answer(&request, result).await;
        self.expect("notifications/initialized").await;
        request["params"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_modern_server_whose_transport_breaks_is_asked_again_and_not_taken_for_a_legacy_one() {
    let (client, first, mut hands) = modern(EraChoice::Auto).await;
    drop(first);
    // It breaks before it is answered.
    hands.next().await.expect("server/discover").await;
    let mut third = hands.next().await;
    third.discover().await;
    soon(client.peer().opened()).await.unwrap();
    assert_eq!(client.era(), Era::Modern);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_outlives_a_server_that_ends_in_good_order() {
    // REQ-SUB-07, REQ-SUB-08
    let (client, mut server, mut hands) = modern(EraChoice::Modern).await;
    let mut changes = client.notifications::<ToolListChanged>();
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed = true;
    let (subscription, mut stream) = tokio::join!(client.subscribe(filter), server.acknowledge());
    let mut subscription = subscription.unwrap();
    for pause in [Duration::ZERO, Duration::from_secs(5)] {
        server.answer(&stream, json!({})).await;
        // Its handlers may have something to finish.
        tokio::time::sleep(pause).await;
        drop(server);
        server = hands.next().await;
        server.discover().await;
        stream = server.acknowledge().await;
        // What may have been missed.
        soon(changes.recv()).await.unwrap().unwrap();
        assert!(subscription.ended().now_or_never().is_none());
    }
    // Over HTTP there is no connection that would be lost with the server.
    server.answer(&stream, json!({})).await;
    stream = server.acknowledge().await;
    soon(changes.recv()).await.unwrap().unwrap();
    assert!(subscription.ended().now_or_never().is_none());
    // A server that ends each stream and goes on has had enough: none of seven lasted.
    let mut ended = 3;
    let ending = async {
        loop {
            server.answer(&stream, json!({})).await;
            ended += 1;
            stream = server.acknowledge().await;
        }
    };
    tokio::select! {
        outcome = subscription.ended() => outcome.unwrap(),
        () = ending => {}
    }
    assert_eq!(ended, 7);
    assert!(!client.peer().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_waits_for_the_end_of_a_server_that_refuses_to_renew_it() {
    // REQ-SUB-07, REQ-SUB-08
    let policy = Reconnect::default().attempts(1);
    let (client, mut server, mut hands) = modern_with(EraChoice::Modern, policy).await;
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed = true;
    let (subscription, stream) = tokio::join!(client.subscribe(filter), server.acknowledge());
    let mut subscription = subscription.unwrap();
    server.answer(&stream, json!({})).await;
    let request = server.expect("subscriptions/listen").await;
    server.refuse(&request).await;
    // Its handlers have something to finish.
    tokio::time::sleep(Duration::from_secs(9)).await;
    drop(server);
    let mut server = hands.next().await;
    server.discover().await;
    let stream = server.acknowledge().await;
    assert!(subscription.ended().now_or_never().is_none());
    // It has lasted; the server that goes on and refuses is asked once more behind its time.
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.answer(&stream, json!({})).await;
    let request = server.expect("subscriptions/listen").await;
    server.refuse(&request).await;
    let refused = Instant::now();
    let request = server.expect("subscriptions/listen").await;
    assert_eq!(refused.elapsed(), Duration::from_secs(10));
    server.refuse(&request).await;
    let ended = soon(subscription.ended()).await;
    assert!(matches!(ended, Err(RequestError::Refused(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_while_a_handler_outlives_its_connection() {
    let (asked, mut asks) = unbounded_channel();
    let builder = Client::builder("c", "1")
        .on_sampling(move |_| {
            asked.send(()).unwrap();
            pending()
        })
        .reconnect(Reconnect::default());
    let (client, mut server, mut hands) = legacy(builder, json!({ "tools": {} })).await;
    let again = client.call_tool("again", ()).idempotent();
    let serving = async {
        server.expect("tools/call").await;
        let params = json!({ "messages": [], "maxTokens": 1 });
        let question = json!({ "id": 1, "method": "sampling/createMessage", "params": params });
        server.send(question).await;
        soon(asks.recv()).await.unwrap();
        drop(server);
        // The handler is at work still, as long as it may be.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let late = client.call_tool("late", ());
        let serving = async {
            let mut server = hands.legacy(json!({ "tools": {} })).await;
            for _ in 0..2 {
                let request = server.expect("tools/call").await;
                server.answer(&request, json!({ "content": [] })).await;
            }
        };
        tokio::join!(late.into_future(), serving).0
    };
    let (again, late) = tokio::join!(again.into_future(), serving);
    again.unwrap();
    late.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_time_once_whatever_it_waits_for() {
    let (client, mut server, mut hands) = modern(EraChoice::Modern).await;
    let second = Duration::from_secs(1);
    // It is sent and lost, or there is no connection when it is made.
    for sent in [true, false] {
        if !sent {
            drop(server);
            server = hands.next().await;
        }
        let call = client.call_tool("t", ()).idempotent();
        let call = call.timeout(3 * second).max_total(4 * second);
        let start = Instant::now();
        let serving = async {
            if sent {
                server.expect("tools/call").await;
            }
            tokio::time::sleep(2 * second).await;
            if sent {
                drop(server);
                server = hands.next().await;
            }
            server.discover().await;
            server.expect("tools/call").await;
            server.expect("notifications/cancelled").await;
            server
        };
        let (outcome, again) = tokio::join!(call.into_future(), serving);
        server = again;
        assert_eq!(outcome, Err(RequestError::TimedOut(4 * second)));
        assert_eq!(start.elapsed(), 4 * second);
    }
}

/// Calls a tool for who knows an extension by which it may be answered later.
struct CallLater;

impl Request for CallLater {
    const METHOD: &'static str = "tools/call";
    type Params = Value;
    type Result = Value;
    const RESULT_TYPES: &'static [&'static str] = &["com.example/later"];
}

#[tokio::test(start_paused = true)]
async fn who_knows_an_extension_has_its_results() {
    // REQ-JRPC-11
    let (client, mut server, _hands) = modern(EraChoice::Modern).await;
    let params = json!({ "name": "t" });
    let later = json!({ "resultType": "com.example/later" });
    let mut serve = async || {
        let request = server.expect("tools/call").await;
        server.answer(&request, later.clone()).await;
    };
    let call = client.request::<CallLater>(&params).into_future();
    let (known, ()) = tokio::join!(call, serve());
    assert_eq!(known.unwrap(), later);
    let call = client
        .peer()
        .request::<CallLater>(&params, CallOptions::default());
    let (known, ()) = tokio::join!(call, serve());
    assert_eq!(known.unwrap(), later);
    let (unknown, ()) = tokio::join!(client.call_tool("t", ()).into_future(), serve());
    let why = PeerMisbehaved::UnknownResultType("com.example/later".to_owned());
    assert_eq!(unknown, Err(RequestError::Misbehaved(why)));
}

#[tokio::test(start_paused = true)]
async fn a_task_is_followed_though_its_server_cannot_always_say_how_it_stands() {
    let (connect, mut hands) = by_hand();
    let connecting = Client::builder("c", "1")
        .era(EraChoice::Modern)
        .with_tasks()
        .roots([])
        .reconnect(Reconnect::default())
        .connect_with(connect);
    let mut meet = async || {
        let mut server = hands.next().await;
        let request = server.expect("server/discover").await;
        let tasks = json!({ "io.modelcontextprotocol/tasks": {} });
        let capabilities = json!({ "tools": {}, "extensions": tasks });
        let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": capabilities });
        server.answer(&request, result).await;
        server
    };
    let (client, mut server) = tokio::join!(connecting, meet());
    let client = client.unwrap();
    let task = |status: &str, members: Value| {
        let mut task = json!({
            "taskId": "t", "status": status, "createdAt": "", "lastUpdatedAt": "", "ttlMs": null,
            "pollIntervalMs": 1000,
        });
        let more = members.as_object().unwrap().clone();
        task.as_object_mut().unwrap().extend(more);
        task
    };
    for known in [true, false] {
        let call = client.call_tool("t", ());
        let serving = async {
            let request = server.expect("tools/call").await;
            let created = task("working", json!({ "resultType": "task" }));
            server.answer(&request, created).await;
            let asking = json!({ "inputRequests": { "r": { "method": "roots/list" } } });
            let asking = task("input_required", asking);
            let request = server.expect("tasks/get").await;
            server.answer(&request, asking.clone()).await;
            // An answer that was lost with the connection is given again, if it is asked for still (REQ-TSKX-03).
            server.expect("tasks/update").await;
            drop(server);
            let mut server = meet().await;
            let request = server.expect("tasks/get").await;
            server.answer(&request, asking.clone()).await;
            // What it asks is answered once, however often it is listed.
            let request = server.expect("tasks/update").await;
            let answers = json!({ "r": { "roots": [] } });
            assert_eq!(request["params"]["inputResponses"], answers);
            server.answer(&request, json!({})).await;
            for code in [-32603, -32000] {
                let request = server.expect("tasks/get").await;
                server.answer(&request, asking.clone()).await;
                let request = server.expect("tasks/get").await;
                let error = json!({ "code": code, "message": "not now" });
                server
                    .send(json!({ "id": request["id"], "error": error }))
                    .await;
            }
            let request = server.expect("tasks/get").await;
            if known {
                let ended = json!({ "result": { "content": [] } });
                server.answer(&request, task("completed", ended)).await;
            } else {
                let error = json!({ "code": -32602, "message": "unknown" });
                server
                    .send(json!({ "id": request["id"], "error": error }))
                    .await;
            }
            server
        };
        let outcome;
        (outcome, server) = tokio::join!(call.into_future(), serving);
        assert_eq!(outcome.is_ok(), known, "{outcome:?}");
    }
    // What cannot be seen to have ended is not wanted any more.
    let request = server.expect("tasks/cancel").await;
    assert_eq!(request["params"]["taskId"], "t");
}

#[tokio::test(start_paused = true)]
async fn a_legacy_task_is_followed_though_its_result_is_not_waited_for_or_not_there() {
    // REQ-TSKL-02
    let tasks = json!({ "requests": { "tools": { "call": {} } } });
    let capabilities = json!({ "tools": {}, "tasks": tasks });
    let (client, mut server, _hands) = legacy(Client::builder("c", "1"), capabilities).await;
    // As `tasks/get` says; the first SDK of Python leaves `ttl` out.
    let task = |status: &str| {
        json!({
            "taskId": "t", "status": status, "statusMessage": "why", "createdAt": "", "lastUpdatedAt": "",
        })
    };
    let text = |text: &str| json!({ "result": { "content": [{ "type": "text", "text": text }] } });
    let not_yet = json!({ "error": { "code": -32602, "message": "not yet" } });
    let empty = json!({ "result": { "_meta": {} } });
    let get = |status: &str| ("tasks/get", json!({ "result": task(status) }));
    let unknown = ("tasks/get", not_yet.clone());
    let result = |answer: &Value| ("tasks/result", answer.clone());
    for (steps, outcome) in [
        (
            vec![
                result(&not_yet),
                get("working"),
                result(&not_yet),
                // It ends in between.
                get("completed"),
                result(&text("done")),
            ],
            "done",
        ),
        (
            vec![result(&not_yet), get("cancelled"), result(&not_yet)],
            "not yet",
        ),
        (vec![result(&not_yet), unknown], "not yet"),
        (
            vec![result(&empty), get("failed")],
            "the task is failed: why",
        ),
        (
            vec![result(&empty), get("cancelled")],
            "the task is cancelled: why",
        ),
    ] {
        let call = client.call_tool("t", ()).as_task();
        let serving = async {
            let request = server.expect("tools/call").await;
            assert_eq!(request["params"]["task"], json!({}));
            server
                .answer(&request, json!({ "task": task("working") }))
                .await;
            for (method, mut answer) in steps {
                let request = server.expect(method).await;
                answer["id"] = request["id"].clone();
                server.send(answer).await;
            }
        };
        let following = async {
            match call.await.unwrap() {
                Started::Task(task) => task.result().await,
                other => panic!("{other:?}"),
            }
        };
        let (ended, ()) = tokio::join!(following, serving);
        match ended {
            Ok(result) => assert_eq!(result.to_text(), outcome),
            Err(RequestError::Refused(error)) => assert_eq!(error.message, outcome),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_task_tells_how_far_it_is_until_it_ends() {
    // REQ-PROG-07
    let tasks = json!({ "requests": { "tools": { "call": {} } } });
    let capabilities = json!({ "tools": {}, "tasks": tasks });
    let (client, mut server, _hands) = legacy(Client::builder("c", "1"), capabilities).await;
    let task = json!({
        "taskId": "t", "status": "working", "createdAt": "", "lastUpdatedAt": "", "ttl": null,
    });
    // With the callback, without it, and without anybody who wants to know.
    for (told, strays) in [(vec![2.0, 3.0], 0), (vec![], 0), (vec![], 2)] {
        let before = client.peer().counters().stray_progress;
        let mut of_call = Vec::new();
        let mut of_task = Vec::new();
        let calling = async {
            let call = client.call_tool("t", ());
            let call = call.on_progress(|update| of_call.push(update.progress));
            let Started::Task(task) = call.as_task().await.unwrap() else {
                panic!("a task");
            };
            // Some may have come by now.
            tokio::task::yield_now().await;
            if strays > 0 {
                let kept = task.clone();
                drop(task);
                kept.result().await.unwrap();
            } else if told.is_empty() {
                task.result().await.unwrap();
            } else {
                let on_progress = |update: ProgressUpdate| of_task.push(update.progress);
                task.result_with(on_progress).await.unwrap();
            }
        };
        let serving = async {
            let request = server.expect("tools/call").await;
            let token = &request["params"]["_meta"]["progressToken"];
            let report = |progress: u32| {
                let params = json!({ "progressToken": token, "progress": progress });
                json!({ "method": "notifications/progress", "params": params })
            };
            server.send(report(1)).await;
            server.answer(&request, json!({ "task": task })).await;
            let waiting = server.expect("tasks/result").await;
            server.send(report(2)).await;
            server.send(report(3)).await;
            server.answer(&waiting, json!({ "content": [] })).await;
        };
        tokio::join!(calling, serving);
        assert_eq!((of_call, of_task), (vec![1.0], told));
        assert_eq!(client.peer().counters().stray_progress - before, strays);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_task_without_a_callback_takes_none_of_its_progress() {
    // REQ-PROG-07
    let tasks = json!({ "requests": { "tools": { "call": {} } } });
    let capabilities = json!({ "tools": {}, "tasks": tasks });
    let (client, mut server, _hands) = legacy(Client::builder("c", "1"), capabilities).await;
    let mut told = Vec::new();
    let calling = async {
        let call = client.call_tool("t", ()).on_progress(|_| ());
        let Started::Task(task) = call.as_task().await.unwrap() else {
            panic!("a task");
        };
        task.result().await.unwrap();
        let on_progress = |update: ProgressUpdate| told.push(update.progress);
        task.result_with(on_progress).await.unwrap();
    };
    let serving = async {
        let request = server.expect("tools/call").await;
        let task = json!({
            "taskId": "t", "status": "working", "createdAt": "", "lastUpdatedAt": "", "ttl": null,
        });
        server.answer(&request, json!({ "task": task })).await;
        for progress in [1, 2] {
            let waiting = server.expect("tasks/result").await;
            let token = &request["params"]["_meta"]["progressToken"];
            let params = json!({ "progressToken": token, "progress": progress });
            let report = json!({ "method": "notifications/progress", "params": params });
            server.send(report).await;
            server.answer(&waiting, json!({ "content": [] })).await;
        }
    };
    tokio::join!(calling, serving);
    assert_eq!(told, [1.0, 2.0]);
}

#[tokio::test(start_paused = true)]
async fn the_last_subscription_to_a_resource_ends_it_for_a_legacy_server() {
    let capabilities = json!({ "resources": { "subscribe": true } });
    let (client, mut server, _hands) = legacy(Client::builder("c", "1"), capabilities).await;
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        let filter = SubscriptionFilter::new().resource("x:a").resource("x:b");
        let serving = async {
            for uri in ["x:a", "x:b"] {
                let request = server.expect("resources/subscribe").await;
                assert_eq!(request["params"]["uri"], uri);
                server.answer(&request, json!({})).await;
            }
        };
        let (subscription, ()) = tokio::join!(client.subscribe(filter), serving);
        subscriptions.push(subscription.unwrap());
    }
    let [first, second, third] = subscriptions.try_into().unwrap();
    // One that is dropped has ended, too; nobody is told of either.
    drop(first);
    soon(second.end()).await.unwrap();
    let ending = async {
        for uri in ["x:b", "x:a"] {
            let request = server.expect("resources/unsubscribe").await;
            assert_eq!(request["params"]["uri"], uri);
            server.answer(&request, json!({})).await;
        }
    };
    let (ended, ()) = tokio::join!(third.end(), ending);
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_while_it_is_opened_again_stays_ended() {
    let builder = Client::builder("c", "1").reconnect(Reconnect::default());
    let capabilities = json!({ "resources": { "subscribe": true } });
    let (client, mut server, mut hands) = legacy(builder, capabilities.clone()).await;
    let filter = SubscriptionFilter::new().resource("x:a").resource("x:b");
    let serving = async {
        for _ in 0..2 {
            let request = server.expect("resources/subscribe").await;
            server.answer(&request, json!({})).await;
        }
    };
    let (subscription, ()) = tokio::join!(client.subscribe(filter), serving);
    drop(server);
    let mut server = hands.legacy(capabilities).await;
    let asked = server.expect("resources/subscribe").await;
    let ending = async {
        soon(subscription.unwrap().end()).await.unwrap();
        client.close().await;
    };
    let serving = async {
        let mut told = Vec::new();
        while let Ok(Some(message)) = soon(server.0.next()).await {
            let method = message["method"].as_str().unwrap();
            if method != "notifications/cancelled" {
                told.push(format!("{method} {}", message["params"]["uri"]));
                // The answer to the first comes late.
                server.answer(&asked, json!({})).await;
                server.answer(&message, json!({})).await;
            }
        }
        told
    };
    let ((), told) = tokio::join!(ending, serving);
    let unsubscribed = ["x:b", "x:a"].map(|uri| format!("resources/unsubscribe \"{uri}\""));
    assert_eq!(told, unsubscribed);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_fits_the_revision() {
    // REQ-SAMP-06
    let text = |text: &str| json!({ "type": "text", "text": text });
    let tool_use = json!({ "type": "tool_use", "id": "1", "name": "n", "input": {} });
    let one = json!({ "result": { "role": "assistant", "model": "m", "content": text("a\nb") } });
    let two = json!({ "result": { "role": "assistant", "model": "m", "content": [text("a"), text("b")] } });
    let root = |meta: Value| json!({ "result": { "roots": [meta] } });
    let bare = root(json!({ "uri": "file:///" }));
    let full = root(json!({ "uri": "file:///", "_meta": { "a/b": 1 } }));
    let modes = json!({ "form": {}, "url": {} });
    for (version, elicitation, texts, has_tools, roots) in [
        (
            ProtocolVersion::V2024_11_05,
            Value::Null,
            &one,
            false,
            &bare,
        ),
        (ProtocolVersion::V2025_06_18, json!({}), &one, false, &full),
        (ProtocolVersion::V2025_11_25, modes, &two, true, &full),
    ] {
        let (connect, mut hands) = by_hand();
        let answers = [json!([text("a"), text("b")]), json!([tool_use])];
        let connecting = Client::builder("c", "1")
            .era(version)
            .elicits_urls()
            .capabilities(|own| {
                for id in ["com.example/a", "b"] {
                    own.extensions.insert(id.to_owned(), RawJson::EMPTY_OBJECT);
                }
            })
            .roots([serde_json::from_value(full["result"]["roots"][0].clone()).unwrap()])
            .on_sampling(move |params| {
                let content = &answers[params.max_tokens as usize];
                let result = json!({ "role": "assistant", "model": "m", "content": content });
                ready(Ok(serde_json::from_value(result).unwrap()))
            })
            .connect_with(connect);
        let serving = async {
            let mut server = hands.next().await;
            let said = server.initialize(version.as_str(), json!({})).await;
            assert_eq!(said["capabilities"]["elicitation"], elicitation);
            // REQ-EXT-01
            let extensions = json!({ "com.example/a": {} });
            assert_eq!(said["capabilities"]["extensions"], extensions);
            server
        };
        let (client, mut server) = tokio::join!(connecting, serving);
        let _client = client.unwrap();
        let mut ask = async |method: &str, params: Value| {
            let request = json!({ "id": 1, "method": method, "params": params });
            server.send(request).await;
            let mut answer = soon(server.0.next()).await.unwrap().unwrap();
            let answer = answer.as_object_mut().unwrap();
            answer.retain(|name, _| name == "result" || name == "error");
            Value::Object(std::mem::take(answer))
        };
        let sample = |which: u32| json!({ "messages": [], "maxTokens": which });
        assert_eq!(&ask("sampling/createMessage", sample(0)).await, texts);
        let answer = ask("sampling/createMessage", sample(1)).await;
        assert_eq!(answer.get("result").is_some(), has_tools, "{answer}");
        assert_eq!(&ask("roots/list", json!({})).await, roots);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_must_not_ask_is_refused() {
    // REQ-SAMP-03 to REQ-SAMP-05
    let wish = json!({ "type": "tool_use", "id": "1", "name": "n", "input": {} });
    let message = json!({ "role": "assistant", "content": wish });
    let unanswered = json!({ "messages": [message], "maxTokens": 1 });
    let asking = || {
        Client::builder("c", "1")
            .roots([Root::new("file:///a"), Root::new("https://b")])
            .on_sampling(|_| -> Ready<Result<CreateMessageResult, _>> { panic!("not asked") })
    };
    let (_client, mut server, _hands) = legacy(asking(), json!({})).await;
    for (method, params, code) in [
        ("sampling/createMessage", &unanswered, -32602),
        // REQ-ROOT-01: the program's fault.
        ("roots/list", &json!({}), -32603),
    ] {
        let request = json!({ "id": 1, "method": method, "params": params });
        server.send(request).await;
        let answer = soon(server.0.next()).await.unwrap().unwrap();
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    let (connect, mut hands) = by_hand();
    let connecting = asking().era(EraChoice::Modern).connect_with(connect);
    let serving = async {
        let mut server = hands.next().await;
        server.discover().await;
        server
    };
    let (client, mut server) = tokio::join!(connecting, serving);
    let client = client.unwrap();
    let serving = async {
        let request = server.expect("tools/call").await;
        let question = json!({ "method": "sampling/createMessage", "params": unanswered });
        let asks = json!({ "resultType": "input_required", "inputRequests": { "q": question } });
        server.answer(&request, asks).await;
    };
    let (outcome, ()) = tokio::join!(client.call_tool("t", ()).into_future(), serving);
    let Err(RequestError::InputFailed { error, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
}

#[tokio::test(start_paused = true)]
async fn a_list_does_not_go_on_where_it_was_not_begun() {
    // REQ-PAG-04
    let (client, mut server, mut hands) = modern(EraChoice::Modern).await;
    let page = |name: &str, next: Option<&str>| {
        let tool = json!({ "name": name, "inputSchema": {} });
        json!({ "tools": [tool], "nextCursor": next })
    };
    let names = |tools: Vec<Tool>| tools.into_iter().map(|t| t.name).collect::<String>();
    // As a whole, it begins anew; also where the server does not know its own cursor any more (REQ-CACHE-08), but not for ever.
    let unknown = json!({ "code": -32602, "message": "unknown cursor" });
    for restarts in [2, 3] {
        let serving = async {
            for begun in 0..=restarts.min(2) {
                let request = server.expect("tools/list").await;
                assert_eq!(request["params"].get("cursor"), None);
                server.answer(&request, page("a", Some("1"))).await;
                let request = server.expect("tools/list").await;
                let refused = json!({ "id": request["id"], "error": unknown });
                match begun < restarts {
                    true => server.send(refused).await,
                    false => server.answer(&request, page("b", None)).await,
                }
            }
        };
        let (tools, ()) = tokio::join!(client.list_tools().into_future(), serving);
        match restarts {
            2 => assert_eq!(names(tools.unwrap()), "ab"),
            _ => assert!(matches!(tools, Err(RequestError::Refused(_)))),
        }
    }
    let serving = async {
        let request = server.expect("tools/list").await;
        server.answer(&request, page("a", Some("1"))).await;
        drop(server);
        let mut server = hands.next().await;
        server.discover().await;
        for (cursor, page) in [(None, page("b", Some("1"))), (Some("1"), page("c", None))] {
            let request = server.expect("tools/list").await;
            assert_eq!(
                request["params"].get("cursor").and_then(Value::as_str),
                cursor
            );
            server.answer(&request, page).await;
        }
        server
    };
    let (tools, mut server) = tokio::join!(client.list_tools().into_future(), serving);
    assert_eq!(names(tools.unwrap()), "bc");
    // What has been handed out cannot.
    let mut pages = client.list_tools();
    let serving = async {
        let request = server.expect("tools/list").await;
        server.answer(&request, page("a", Some("1"))).await;
    };
    let (first, ()) = tokio::join!(pages.next_page(), serving);
    assert_eq!(names(first.unwrap().unwrap()), "a");
    drop(server);
    let mut server = hands.next().await;
    server.discover().await;
    let cut_off = soon(pages.next_page()).await;
    assert!(matches!(cut_off, Err(RequestError::ConnectionLost(_))));
    assert_eq!(soon(pages.next_page()).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_group_asks_servers_for_what_they_have_declared() {
    // REQ-LIFE-09
    let (connect, mut hands) = by_hand();
    let connecting = Client::builder("c", "1")
        .era(EraChoice::Modern)
        .connect_with(connect);
    let serving = async {
        let mut server = hands.next().await;
        server.discover().await;
        server
    };
    let (client, mut server) = tokio::join!(connecting, serving);
    let mut group = ClientGroup::new();
    group.add("s", client.unwrap()).unwrap();
    let prompts = soon(group.list_prompts()).await;
    assert!(prompts.items.is_empty() && prompts.failed.is_empty());
    let resources = soon(group.list_resources()).await;
    assert!(resources.items.is_empty() && resources.failed.is_empty());
    let serving = async {
        let request = server.expect("tools/list").await;
        let tool = json!({ "name": "t", "inputSchema": {} });
        server.answer(&request, json!({ "tools": [tool] })).await;
    };
    let (tools, ()) = tokio::join!(group.list_tools(), serving);
    assert_eq!(tools.items[0].item.name, "s__t");
}

#[cfg(feature = "schema")]
#[tokio::test(start_paused = true)]
async fn a_schema_is_good_for_one_connection_until_the_tools_change() {
    // REQ-TOOL-05
    for keep in [true, false] {
        let builder = Client::builder("c", "1").keep_lists(keep);
        let builder = builder.reconnect(Reconnect::default());
        let capabilities = json!({ "tools": { "listChanged": true } });
        let (client, mut server, mut hands) = legacy(builder, capabilities.clone()).await;
        let changed = json!({ "method": "notifications/tools/list_changed" });
        let list = async |server: &mut Hand, required: &str, before_it_is_there: Option<&Value>| {
            let serving = async {
                let request = server.expect("tools/list").await;
                if let Some(message) = before_it_is_there {
                    server.send(message.clone()).await;
                }
                let schema = json!({ "type": "object", "required": [required] });
                let tool = json!({ "name": "t", "inputSchema": {}, "outputSchema": schema });
                server.answer(&request, json!({ "tools": [tool] })).await;
            };
            let (tools, ()) = tokio::join!(client.list_tools().into_future(), serving);
            assert_eq!(tools.unwrap().len(), 1);
        };
        let call = || client.call_tool("t", json!({})).structured::<Value>();
        let result = json!({ "content": [], "structuredContent": { "old": 1 } });
        let answered = async |server: &mut Hand| {
            let serving = async {
                let request = server.expect("tools/call").await;
                server.answer(&request, result.clone()).await;
            };
            tokio::join!(call().into_future(), serving).0
        };
        list(&mut server, "new", None).await;
        let refused = answered(&mut server).await;
        assert!(matches!(refused, Err(StructuredError::Schema(_))));
        server.send(changed.clone()).await;
        answered(&mut server).await.unwrap();
        // From before the change, as far as anybody knows.
        list(&mut server, "new", Some(&changed)).await;
        answered(&mut server).await.unwrap();
        // Listed again while a call runs that was made before: either way, nobody knows which one the result is of.
        let mut changes = client.notifications::<ToolListChanged>();
        for (before, after) in [("old", "new"), ("new", "old"), ("old", "new")] {
            list(&mut server, before, None).await;
            let serving = async {
                let request = server.expect("tools/call").await;
                server.send(changed.clone()).await;
                soon(changes.recv()).await.unwrap().unwrap();
                list(&mut server, after, None).await;
                server.answer(&request, result.clone()).await;
            };
            tokio::join!(call().into_future(), serving).0.unwrap();
        }
        answered(&mut server).await.unwrap_err();
        // Another server, perhaps.
        drop(server);
        let mut server = hands.next().await;
        server.initialize("2025-11-25", capabilities).await;
        answered(&mut server).await.unwrap();
    }
}
