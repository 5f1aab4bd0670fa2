//! What the options promise: where handlers start, how long things may take, how much is kept, and what is counted.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod stage;

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use mcp_peer::session::{
    CallOptions, ClientConfig, ConnectError, EraChoice, NotSent, RequestError,
};
use mcp_peer::types::{
    ErrorObject, Implementation, Inbound, Message, ObjectBuf, Outbound, RawJson,
};
use mcp_peer::{
    Answer, Closed, ConnectionError, Dispatch, Duplex, DuplexError, KeepAlive, NoHandler, Options,
    Overflow, Peer, ProgressPolicy, Request, duplex,
};
use serde_json::{Value, json};
use stage::{
    Driving, Stage, Ticked, call, client, client_config, client_with, ok, parse, serve, server,
    server_with, tasks, tick,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

async fn pong(stage: &mut Stage, id: u64) {
    stage
        .send(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], id);
}

// ---- where handlers start ----

#[tokio::test(start_paused = true)]
async fn spawned_handlers_are_not_run_by_the_driver() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let mut options = Options::default();
    options.dispatch = Dispatch::Spawn;
    let (ours, theirs) = duplex(64);
    let handler = move |_: Request| -> mcp_peer::HandlerFuture {
        // Even this part, which makes the future, is not the driver's to run.
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(ok()))
    };
    let connection = mcp_peer::server(ours, stage::server_config(), Arc::new(handler), options);
    let mut driver = connection.driver;
    let mut stage = Stage(theirs);
    tokio::select! {
        _ = &mut driver => panic!("the driver goes on"),
        () = stage.initialize() => {}
    }
    let before = tasks();
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x" }))
        .await;
    assert!(futures::poll!(&mut driver).is_pending());
    assert_eq!((ran.load(Ordering::Relaxed), tasks()), (0, before + 1));
    tokio::spawn(driver);
    assert_eq!(stage.next().await.unwrap()["id"], 1);
    assert_eq!(tasks(), before + 1, "the driver's, and no handler's");
}

#[tokio::test(start_paused = true)]
async fn a_spawned_handler_that_panics_is_answered_and_one_that_is_cancelled_is_dropped() {
    let mut options = Options::default();
    options.dispatch = Dispatch::Spawn;
    let handler = |request: Request| -> mcp_peer::HandlerFuture {
        assert_ne!(request.method, "x/broken", "on purpose");
        Box::pin(std::future::pending())
    };
    let (_driving, _peer, mut stage) = server_with(handler, options).await;
    let before = tasks();
    for (id, method) in [(1, "x/broken"), (2, "x/waits")] {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": method }))
            .await;
    }
    assert_eq!(stage.next().await.unwrap()["error"]["code"], -32603);
    assert_eq!(tasks(), before + 1);
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } }))
        .await;
    pong(&mut stage, 3).await;
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_at_a_time_than_the_limit_lets() {
    let mut config = stage::server_config();
    config.limits.incoming_requests = 3;
    let (ours, theirs) = duplex(64);
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let handler = serve(move |_| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(MINUTE).await;
            count.fetch_sub(1, Ordering::Relaxed);
            ok()
        }
    });
    let connection = mcp_peer::server(ours, config, Arc::new(handler), Options::default());
    tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    stage.initialize().await;
    for id in 0..10 {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": "x" }))
            .await;
    }
    for id in 3..10 {
        let refused = stage.next().await.unwrap();
        assert_eq!(refused["id"], id);
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        assert_eq!(running.load(Ordering::Relaxed), 3);
    }
    assert_eq!(connection.peer.counters().refused_requests, 7);
    for _ in 0..3 {
        assert!(stage.next().await.unwrap()["result"].is_object());
    }
}

// ---- a peer that takes nothing ----

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_ends_the_connection_at_its_time() {
    let (driving, peer, _stage) = client_with(NoHandler, Options::default()).await;
    // More than the pipe holds.
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move {
                let mut options = CallOptions::default();
                options.timeout = Some(60 * MINUTE);
                peer.request_raw("x".into(), ObjectBuf::new(), options, |_| ())
                    .await
            })
        })
        .collect();
    let start = Instant::now();
    let ended = driving.await.unwrap();
    assert!(
        matches!(ended, Err(ConnectionError::Stalled(MINUTE))),
        "{ended:?}"
    );
    assert_eq!(start.elapsed(), MINUTE);
    for call in calls {
        let outcome = call.await.unwrap();
        let Err(RequestError::ConnectionLost(why)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(why, "the peer took nothing of what was sent for 60s");
    }
    assert_eq!(peer.closed().await, Closed::Stalled(MINUTE));
    assert_eq!(peer.close_reason(), Some(Closed::Stalled(MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_sent_is_given_up_at_its_time() {
    let second = Duration::from_secs(1);
    // It is taken with what comes before it, waits behind that, or waits for room.
    for (before, pause) in [(90, Duration::ZERO), (90, second), (1000, Duration::ZERO)] {
        let mut options = Options::default();
        options.write_timeout = Duration::MAX;
        let (_driving, peer, mut stage) = client_with(NoHandler, options).await;
        for _ in 0..before {
            let _ = peer.notify::<Ticked>(&json!({})).now_or_never();
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let mut options = CallOptions::default();
        options.timeout = Some(second);
        let start = Instant::now();
        let calling = peer.request_raw("x/late".into(), ObjectBuf::new(), options, |_| ());
        let outcome = tokio::time::timeout(MINUTE, calling).await;
        assert_eq!(outcome, Ok(Err(RequestError::TimedOut(second))));
        assert!(
            start.elapsed() < second + second / 5,
            "{:?}",
            start.elapsed()
        );
        // It is never sent, and what comes afterwards is.
        let calling = call(&peer);
        let answering = async {
            loop {
                let message = stage.next().await.unwrap();
                match message["method"].as_str() {
                    Some("x/ticked") => {}
                    Some("x/call") => break stage.answer(&message, json!({})).await,
                    _ => panic!("{message}"),
                }
            }
        };
        tokio::join!(calling, answering).0.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_late_is_given_up_at_the_same_time() {
    let second = Duration::from_secs(1);
    // It waits with what comes before it, or for room.
    for before in [90, 1000] {
        let mut options = Options::default();
        options.write_timeout = Duration::MAX;
        let (_driving, peer, mut stage) = client_with(NoHandler, options).await;
        for _ in 0..before {
            let _ = peer.notify::<Ticked>(&json!({})).now_or_never();
        }
        let mut options = CallOptions::default();
        options.timeout = Some(second);
        let start = Instant::now();
        let calling = peer.request_raw("x/late".into(), ObjectBuf::new(), options, |_| ());
        let taking = async {
            tokio::time::sleep(second * 3 / 5).await;
            while stage.next().await.unwrap()["method"] != "x/late" {}
            // That it has come is no reason to wait longer.
            assert_eq!(
                stage.next().await.unwrap()["method"],
                "notifications/cancelled"
            );
        };
        let (outcome, ()) = tokio::join!(calling, taking);
        assert_eq!(outcome, Err(RequestError::TimedOut(second)));
        assert!(
            start.elapsed() < second + second / 5,
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_behind_what_a_slow_peer_takes_is_given_up_at_its_time() {
    let second = Duration::from_secs(1);
    let (ours, theirs) = duplex(64);
    let mut config = client_config();
    config.limits.request_total = second;
    let connection = mcp_peer::client(ours, config, Arc::new(NoHandler), Options::default());
    tokio::spawn(connection.driver);
    let (peer, mut stage) = (connection.peer, Stage(theirs));
    stage.accept().await;
    for _ in 0..250 {
        let _ = peer.notify::<Ticked>(&json!({})).now_or_never();
    }
    let reading = tokio::spawn(async move {
        loop {
            tokio::time::sleep(second / 20).await;
            stage.expect("x/ticked").await;
        }
    });
    let mut options = CallOptions::default();
    options.timeout = Some(MINUTE);
    let calling = peer.request_raw("x/late".into(), ObjectBuf::new(), options, |_| ());
    let start = Instant::now();
    let (called, listened) = tokio::join!(calling, peer.listen(Default::default()));
    assert!(start.elapsed() < second + second / 5);
    let late = RequestError::TimedOut(second);
    assert_eq!(called, Err(late.clone()));
    assert_eq!(listened.err(), Some(late));
    assert!(!reading.is_finished());
}

#[test]
fn a_caller_on_a_runtime_without_timers_has_the_time_of_the_drivers() {
    let runtime = tokio::runtime::Builder::new_current_thread;
    let timed = runtime().enable_time().start_paused(true).build().unwrap();
    let plain = runtime().build().unwrap();
    let (peer, _stage) = timed.block_on(async {
        let (_driving, peer, stage) = client_with(NoHandler, Options::default()).await;
        for _ in 0..90 {
            let _ = peer.notify::<Ticked>(&json!({})).now_or_never();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        (peer, stage)
    });
    let mut options = CallOptions::default();
    options.timeout = Some(Duration::from_secs(1));
    let mut calling = peer.request_raw("x/late".into(), ObjectBuf::new(), options, |_| ());
    let before = plain.block_on(async { futures::poll!(&mut calling) });
    assert!(before.is_pending());
    let outcome = timed.block_on(calling);
    assert!(
        matches!(outcome, Err(RequestError::TimedOut(_))),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_now_and_then_is_no_stall() {
    let (_driving, peer, mut stage) = client_with(NoHandler, Options::default()).await;
    let notifying = tokio::spawn({
        let peer = peer.clone();
        async move {
            for n in 0..200 {
                peer.notify::<Ticked>(&json!({ "n": n })).await.unwrap();
            }
        }
    });
    for n in 0..200 {
        tokio::time::sleep(MINUTE - Duration::from_secs(1)).await;
        assert_eq!(stage.expect("x/ticked").await["params"]["n"], n);
    }
    notifying.await.unwrap();
    assert_eq!(peer.close_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_long_message_over_a_slow_line_is_no_stall_and_one_that_stops_is() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let transport = mcp_codec::framed(ours);
    let connection = mcp_peer::server(
        transport,
        stage::server_config(),
        Arc::new(NoHandler),
        Options::default(),
    );
    let driving = tokio::spawn(connection.driver);
    let (mut read, mut write) = tokio::io::split(theirs);
    // The refusal repeats the name: some 20 KiB, of which a kibibyte is taken a minute, nearly.
    let name = "x".repeat(20 * 1024);
    let initialize = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } },
    });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": name });
    write
        .write_all(format!("{initialize}\n{request}\n").as_bytes())
        .await
        .unwrap();
    let start = Instant::now();
    let mut seen = 0;
    while seen < 10 * 1024 {
        tokio::time::sleep(MINUTE - Duration::from_secs(1)).await;
        seen += read.read(&mut [0; 1024]).await.unwrap();
    }
    assert!(start.elapsed() > 9 * MINUTE);
    assert!(!driving.is_finished());
    let start = Instant::now();
    let ended = driving.await.unwrap();
    assert!(
        matches!(ended, Err(ConnectionError::Stalled(MINUTE))),
        "{ended:?}"
    );
    assert_eq!(start.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn what_goes_into_a_buffer_that_nobody_empties_does_not_count() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let transport = mcp_codec::framed(ours);
    // Nor is a peer taken for silent by who has not got the question through to it.
    let options = keep_alive(5, 1);
    let (config, handler) = (client_config(), Arc::new(NoHandler));
    let connection = mcp_peer::client(transport, config, handler, options);
    let driving = tokio::spawn(connection.driver);
    let (read, mut write) = tokio::io::split(theirs);
    let mut read = tokio::io::BufReader::with_capacity(1, read);
    let mut hello = String::new();
    read.read_line(&mut hello).await.unwrap();
    let result = r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#;
    let opened = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}\n");
    write.write_all(opened.as_bytes()).await.unwrap();
    let peer = connection.peer;
    peer.opened().await.unwrap();
    let start = Instant::now();
    let long = json!({ "text": "x".repeat(2000) });
    peer.notify::<Ticked>(&long).await.unwrap();
    // The transport has room for 64 KiB more of these.
    while tokio::time::timeout(Duration::from_secs(1), peer.closed())
        .await
        .is_err()
    {
        let _ = peer.notify::<Ticked>(&json!({})).await;
    }
    let ended = driving.await.unwrap();
    assert!(
        matches!(ended, Err(ConnectionError::Stalled(MINUTE))),
        "{ended:?}"
    );
    assert_eq!(start.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_ever_for_a_peer_that_takes_nothing() {
    let mut options = Options::default();
    options.write_timeout = Duration::from_secs(7);
    let (driving, peer, _stage) = client_with(NoHandler, options).await;
    let notifying = (0..100).map(|n| {
        let peer = peer.clone();
        async move {
            let n = json!({ "n": n });
            peer.notify::<Ticked>(&n).now_or_never()
        }
    });
    futures::future::join_all(notifying).await;
    peer.close();
    let start = Instant::now();
    assert!(matches!(
        driving.await.unwrap(),
        Err(ConnectionError::Stalled(_))
    ));
    assert_eq!(start.elapsed().as_secs(), 7);
}

/// Waits for ever for its peer when it is closed, which can still be heard of; all else is as with a [`Duplex`].
struct Lingering(Duplex);

impl Stream for Lingering {
    type Item = Result<Inbound, DuplexError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Sink<Outbound> for Lingering {
    type Error = DuplexError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        self.0.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), DuplexError> {
        self.0.start_send_unpin(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        self.0.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        while let Poll::Ready(Some(_)) = self.0.poll_next_unpin(cx)? {}
        Poll::Pending
    }
}

async fn lingering() -> (Driving, Peer, Stage) {
    let (ours, theirs) = duplex(64);
    let (config, handler) = (client_config(), Arc::new(NoHandler));
    let connection = mcp_peer::client(Lingering(ours), config, handler, Options::default());
    let driving = tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    stage.accept().await;
    (driving, connection.peer, stage)
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_of_a_transport_that_is_being_closed_fails_at_once() {
    for by_us in [true, false] {
        let (driving, peer, mut stage) = lingering().await;
        let why = if by_us {
            peer.close();
            Closed::ByUs
        } else {
            stage.0.close().await.unwrap();
            Closed::ByPeer
        };
        // Until it is being closed.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        match call(&peer).await {
            Err(RequestError::ConnectionLost(said)) => assert_eq!(said, why.to_string()),
            other => panic!("{other:?}"),
        }
        let notified = peer.notify::<Ticked>(&json!({})).await;
        assert_eq!(notified, Err(NotSent::Closed));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(!driving.is_finished());
        driving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_ever_for_a_transport_that_does_not_close() {
    for cut in [false, true] {
        let (driving, peer, mut stage) = lingering().await;
        let start = Instant::now();
        peer.close();
        // What the peer says meanwhile, and what the program wants, is nothing to wait for.
        for n in 0..5 {
            stage.send(tick(n)).await;
            assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        assert!(!driving.is_finished());
        if cut {
            peer.link().disconnect();
        }
        let ended = tokio::time::timeout(2 * MINUTE, driving).await;
        let ended = ended.expect("it ends").unwrap();
        let as_it_should = match ended {
            Err(ConnectionError::CutOff) => cut && start.elapsed() < MINUTE,
            Err(ConnectionError::Stalled(MINUTE)) => !cut && start.elapsed() == MINUTE,
            _ => false,
        };
        assert!(as_it_should, "{ended:?} after {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_stop_the_reading_by_bytes() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let mut options = Options::default();
    options.answer_bytes = 1_000_000;
    let handler = serve(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let result = ObjectBuf::encode(&json!({ "text": "x".repeat(100_000) })).unwrap();
        std::future::ready(Answer::Result(result))
    });
    let (_driving, _peer, mut stage) = server_with(handler, options).await;
    let total = 300;
    for id in 0..total {
        let message = parse(&json!({ "jsonrpc": "2.0", "id": id, "method": "x" }));
        // Feeds as many as the pipe takes; the others are sent as room comes.
        if stage.0.feed(message.into()).now_or_never().is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    // 64 that the pipe holds, and 10 that make up the million.
    let ahead = served.load(Ordering::Relaxed);
    assert!((64..=76).contains(&ahead), "{ahead}");
    // Whoever reads starts it again.
    let mut next = 0;
    while let Some(answer) = stage.next().now_or_never().flatten() {
        assert_eq!(answer["id"], next);
        next += 1;
        tokio::task::yield_now().await;
    }
    assert!(next > ahead, "{next}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_always_more_answered_does_not_hold_up_the_program() {
    let (driving, peer, mut stage) = server_with(NoHandler, Options::default()).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    // More than the pipe holds, so that some always wait for it.
    for _ in 0..200 {
        stage.send(ping.clone()).await;
    }
    peer.close();
    let mut rounds = 0;
    while stage.next().await.is_some() {
        rounds += 1;
        assert!(rounds < 10_000, "it goes on");
        // Nothing more is read when it is being closed.
        let _ = stage.0.send(parse(&ping).into()).now_or_never();
    }
    driving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn bounds_of_none_are_the_least_that_is_some() {
    let mut options = keep_alive(0, 10);
    (options.answer_bytes, options.outbox_bytes) = (0, 0);
    let (driving, peer, mut stage) = client_with(NoHandler, options).await;
    // Something is read, and one message is queued at a time.
    for _ in 0..100 {
        assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
    }
    stage.expect("x/ticked").await;
    pong(&mut stage, 7).await;
    // The clock moves: the driver rests between two questions.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!driving.is_finished());
}

// ---- a peer that is silent ----

fn keep_alive(interval: u64, timeout: u64) -> Options {
    let mut options = Options::default();
    options.keep_alive = Some(KeepAlive {
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(timeout),
    });
    options
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_one_that_does_not_answer_is_gone() {
    let start = Instant::now();
    let (driving, peer, mut stage) = client_with(NoHandler, keep_alive(30, 10)).await;
    // The first interval has seen the handshake.
    let ping = stage.expect("ping").await;
    assert_eq!(start.elapsed().as_secs(), 60);
    // Even an error is a sign of life.
    let error = json!({ "code": -32601, "message": "no" });
    stage
        .send(json!({ "jsonrpc": "2.0", "id": ping["id"], "error": error }))
        .await;
    stage.expect("ping").await;
    assert_eq!(start.elapsed().as_secs(), 120);
    let ended = driving.await.unwrap();
    let timeout = Duration::from_secs(10);
    assert!(
        matches!(ended, Err(ConnectionError::Unresponsive(t)) if t == timeout),
        "{ended:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 130);
    assert_eq!(peer.closed().await, Closed::Unresponsive(timeout));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_is_not_asked_and_one_that_talks_instead_of_answering_is_there() {
    let (driving, _peer, mut stage) = server_with(NoHandler, keep_alive(30, 10)).await;
    for n in 0..20 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.send(tick(n)).await;
    }
    assert!(
        stage.next().now_or_never().is_none(),
        "no ping while it talks"
    );
    stage.expect("ping").await;
    // No answer, but a word.
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.send(tick(0)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!driving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_longer_to_answer_than_it_may_be_silent_is_heard_meanwhile() {
    let (driving, _peer, mut stage) = client_with(NoHandler, keep_alive(10, 30)).await;
    stage.expect("ping").await;
    let asked = Instant::now();
    // A word early in its time, and no other: it is asked again, and then is gone.
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.send(tick(0)).await;
    stage.expect("notifications/cancelled").await;
    assert_eq!(asked.elapsed().as_secs(), 30);
    stage.expect("ping").await;
    assert_eq!(asked.elapsed().as_secs(), 40);
    let ended = driving.await.unwrap();
    assert!(
        matches!(ended, Err(ConnectionError::Unresponsive(_))),
        "{ended:?}"
    );
    assert_eq!(asked.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_takes_silence_for_nothing() {
    let mut options = keep_alive(30, 10);
    options.queue_messages = 2;
    let (driving, peer, mut stage) = client_with(NoHandler, options).await;
    let ticks = peer.notifications_with::<Ticked>(Overflow::Lossless);
    for n in 0..10 {
        stage.send(tick(n)).await;
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert!(!driving.is_finished());
    drop(ticks);
}

#[tokio::test(start_paused = true)]
async fn a_modern_peer_is_not_asked() {
    let (ours, theirs) = duplex(64);
    let mut config = ClientConfig::new(Implementation::new("client", "1"));
    config.era = EraChoice::Modern;
    let connection = mcp_peer::client(ours, config, Arc::new(NoHandler), keep_alive(1, 1));
    tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    let discover = stage.expect("server/discover").await;
    stage
        .answer(
            &discover,
            json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {},
                "serverInfo": { "name": "stage", "version": "1" }, "ttlMs": 0, "cacheScope": "private",
            }),
        )
        .await;
    connection.peer.opened().await.unwrap();
    tokio::time::sleep(MINUTE).await;
    assert!(stage.next().now_or_never().is_none());
    assert_eq!(connection.peer.close_reason(), None);
}

// ---- timers ----

/// Something comes whenever it is asked for, without end; what goes out goes to a [`Duplex`].
struct Flood(Duplex);

impl Stream for Flood {
    type Item = Result<Inbound, DuplexError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.0.poll_next_unpin(cx);
        let noise = Inbound::Message(Message::notification("x/ticked", None));
        if item.is_pending() {
            Poll::Ready(Some(Ok(noise)))
        } else {
            item
        }
    }
}

impl Sink<Outbound> for Flood {
    type Error = DuplexError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        self.0.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), DuplexError> {
        self.0.start_send_unpin(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        self.0.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        self.0.poll_close_unpin(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_never_ends_stops_no_clock() {
    let (ours, theirs) = duplex(64);
    let connection = mcp_peer::client(
        Flood(ours),
        client_config(),
        Arc::new(NoHandler),
        Options::default(),
    );
    let driving = tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    stage.accept().await;
    let peer = connection.peer;
    peer.opened().await.unwrap();
    let calling = tokio::spawn({
        let peer = peer.clone();
        async move { call(&peer).await }
    });
    stage.expect("x/call").await;
    // The clock does not move by itself: the driver is never idle.
    tokio::time::advance(MINUTE + Duration::from_millis(2)).await;
    stage.expect("notifications/cancelled").await;
    assert!(matches!(
        calling.await.unwrap(),
        Err(RequestError::TimedOut(_))
    ));
    // Nor does it keep a peer that takes nothing.
    for n in 0..100 {
        peer.notify::<Ticked>(&json!({ "n": n })).now_or_never();
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(MINUTE + Duration::from_millis(2)).await;
    assert!(matches!(
        driving.await.unwrap(),
        Err(ConnectionError::Stalled(_))
    ));
}

// ---- how much is kept, and what is counted ----

#[tokio::test(start_paused = true)]
async fn a_queue_that_nobody_reads_is_bounded_by_bytes_and_the_counter_is_right() {
    let mut options = Options::default();
    options.queue_bytes = 10_000;
    let (_driving, peer, mut stage) = client_with(NoHandler, options).await;
    let mut ticks = peer.notifications::<Ticked>();
    let long = |n: usize| json!({ "jsonrpc": "2.0", "method": "x/ticked", "params": { "n": n, "text": "x".repeat(900) } });
    for n in 0..1000 {
        stage.send(long(n)).await;
    }
    pong(&mut stage, 1).await;
    // Each is 900 and some bytes: ten fit.
    assert_eq!(peer.counters().dropped_notifications, 990);
    assert!(matches!(
        ticks.try_recv(),
        Some(Err(mcp_peer::Missed::Lagged(990)))
    ));
    for n in 990..1000 {
        assert_eq!(ticks.try_recv().unwrap().unwrap()["n"], n);
    }
    assert_eq!(ticks.try_recv(), None);
    // One that is longer than all that may be queued is kept, alone.
    stage.send(long(1000)).await;
    let huge = json!({ "n": 1001, "text": "x".repeat(20_000) });
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "x/ticked", "params": huge }))
        .await;
    pong(&mut stage, 2).await;
    assert!(matches!(
        ticks.try_recv(),
        Some(Err(mcp_peer::Missed::Lagged(1)))
    ));
    assert_eq!(ticks.try_recv().unwrap().unwrap()["n"], 1001);
    assert_eq!(peer.counters().dropped_notifications, 991);
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_is_known_by_the_next_answer() {
    let (peer, mut stage) = client(NoHandler).await;
    peer.on_notification::<mcp_peer::types::LogMessage>(|_| ());
    let calling = tokio::spawn({
        let peer = peer.clone();
        async move {
            call(&peer).await.unwrap();
            peer.counters()
        }
    });
    let request = stage.expect("x/call").await;
    for id in 900..907 {
        stage.answer(&json!({ "id": id }), json!({})).await;
    }
    for _ in 0..3 {
        let progress = json!({ "progressToken": 77, "progress": 1 });
        stage
            .send(
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }),
            )
            .await;
    }
    let bad_log = json!({ "level": "loud", "data": 1 });
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": bad_log }))
        .await;
    stage.answer(&request, json!({})).await;
    let counters = calling.await.unwrap();
    assert_eq!(counters.unknown_responses, 7);
    assert_eq!(counters.stray_progress, 3);
    assert_eq!(counters.undecodable_notifications, 1);
    assert_eq!((counters.malformed, counters.dropped_notifications), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn malformed_input_is_counted() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let transport = mcp_codec::framed(ours);
    let (config, options) = (stage::server_config(), Options::default());
    let connection = mcp_peer::server(transport, config, Arc::new(NoHandler), options);
    let driving = tokio::spawn(connection.driver);
    let (_read, mut write) = tokio::io::split(theirs);
    let lines = b"{]\n\xff\nnonsense\n{\"half\":";
    write.write_all(lines).await.unwrap();
    write.shutdown().await.unwrap();
    driving.await.unwrap().unwrap();
    assert_eq!(connection.peer.counters().malformed, 4);
}

async fn call_with_progress(peer: &Peer, policy: ProgressPolicy) -> (RawJson, Vec<(f64, u64)>) {
    let mut seen = Vec::new();
    let mut options = CallOptions::default();
    options.progress = true;
    let outcome = peer
        .request_raw("x/call".into(), ObjectBuf::new(), options, |update| {
            seen.push((update.progress, update.skipped));
        })
        .with_progress(policy)
        .await;
    (outcome.unwrap(), seen)
}

async fn report(stage: &mut Stage, request: &Value, count: usize) {
    let token = &request["params"]["_meta"]["progressToken"];
    for n in 1..=count {
        let params = json!({ "progressToken": token, "progress": n });
        stage
            .send(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
            .await;
    }
    stage.answer(request, json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn progress_nobody_polls_for_is_coalesced_or_holds_the_peer_up() {
    let mut options = Options::default();
    options.progress_updates = 100;
    let (_driving, peer, mut stage) = client_with(NoHandler, options).await;
    let total = 1000;

    let mut calling = Box::pin(call_with_progress(&peer, ProgressPolicy::Coalesce));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    report(&mut stage, &request, total).await;
    pong(&mut stage, 1).await;
    let (_, seen) = calling.await;
    assert_eq!(seen.len(), 100);
    assert_eq!(seen.last(), Some(&(1000.0, 900)));
    assert_eq!(peer.counters().skipped_progress, 900);

    let mut calling = Box::pin(call_with_progress(&peer, ProgressPolicy::Lossless));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    let reporting = tokio::spawn(async move {
        report(&mut stage, &request, total).await;
        stage
    });
    tokio::time::sleep(MINUTE / 2).await;
    assert!(!reporting.is_finished(), "the peer is held up");
    let (_, seen) = calling.await;
    assert_eq!(seen.len(), total);
    assert!(seen.iter().all(|(_, skipped)| *skipped == 0));
    assert_eq!(peer.counters().skipped_progress, 900);
    let mut stage = reporting.await.unwrap();

    // A lossless call that is given up holds nobody up any more.
    let mut calling = Box::pin(call_with_progress(&peer, ProgressPolicy::Lossless));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    let reporting = tokio::spawn(async move {
        report(&mut stage, &request, total).await;
        stage
    });
    tokio::time::sleep(MINUTE / 2).await;
    assert!(!reporting.is_finished());
    drop(calling);
    let mut stage = reporting.await.unwrap();
    stage.expect("notifications/cancelled").await;
}

// ---- why a connection has ended ----

#[tokio::test(start_paused = true)]
async fn the_end_has_a_reason() {
    let (driving, peer, stage) = client_with(NoHandler, Options::default()).await;
    assert_eq!(peer.close_reason(), None);
    peer.close();
    assert_eq!(peer.closed().await, Closed::ByUs);
    driving.await.unwrap().unwrap();
    drop(stage);

    let (peer, stage) = client(NoHandler).await;
    drop(stage);
    assert_eq!(peer.closed().await, Closed::ByPeer);

    let (driving, peer, _stage) = server(NoHandler).await;
    driving.abort();
    assert_eq!(peer.closed().await, Closed::DriverDropped);

    let (ours, theirs) = duplex(64);
    let connection = mcp_peer::client(
        ours,
        client_config(),
        Arc::new(NoHandler),
        Options::default(),
    );
    tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    let hello = stage.expect("initialize").await;
    let error = ErrorObject::new(-32000, "not today");
    stage
        .send(json!({ "jsonrpc": "2.0", "id": hello["id"], "error": error }))
        .await;
    let not_opened = Closed::NotOpened(ConnectError::Refused(error));
    assert_eq!(connection.peer.closed().await, not_opened);

    // The other end is gone while something is to be sent.
    let (ours, theirs) = duplex(1);
    let connection = mcp_peer::client(
        ours,
        client_config(),
        Arc::new(NoHandler),
        Options::default(),
    );
    drop(theirs);
    let ended = connection.driver.await;
    let Err(ConnectionError::NotOpened(error)) = ended else {
        panic!("{ended:?}");
    };
    assert!(
        error
            .source()
            .is_some_and(|error| error.is::<DuplexError>())
    );
    assert_eq!(connection.peer.opened().await, Err(error.clone()));
    assert_eq!(connection.peer.closed().await, Closed::NotOpened(error));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_cut_off_from_within_the_driver_is_cut_off_at_once() {
    let from_handler = |request: Request| {
        request.context.link().disconnect();
        std::future::ready(ok())
    };
    let (from_handler, _peer, mut stage) =
        server_with(serve(from_handler), Options::default()).await;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "x" });
    stage.send(request).await;
    let (from_callback, peer, mut other) = server_with(NoHandler, Options::default()).await;
    let link = peer.link();
    peer.on_notification::<Ticked>(move |_| link.disconnect());
    other.send(tick(1)).await;
    for driving in [from_handler, from_callback] {
        let ended = tokio::time::timeout(MINUTE, driving).await;
        let ended = ended.expect("it ends").unwrap();
        assert!(matches!(ended, Err(ConnectionError::CutOff)), "{ended:?}");
    }
}
