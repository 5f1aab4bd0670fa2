//! The driver against a hand-played peer, under a clock that stands still unless it is told to move.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use futures::{FutureExt, SinkExt};
use mcp_peer::session::{
    CallOptions, ClientConfig, EraChoice, NotSent, RequestError, ServerConfig,
};
use mcp_peer::types::{
    ErrorObject, Implementation, LogLevel, LogMessage, NotificationMessage, ObjectBuf, RawJson,
    RelatedTask, RequestId, ServerCapabilities, ToolsCapability,
};
use mcp_peer::{
    Answer, Closed, Delivery, Feed, HandlerFuture, MailboxLimits, Missed, NoHandler, NotPosted,
    Options, Overflow, Peer, ProgressUpdate, Request, duplex,
};
use serde_json::{Value, json};
use stage::{
    Stage, Ticked, call, client, client_with, ok, serve, server, server_config, server_with, tick,
};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_once_and_its_late_answer_ignored() {
    // REQ-CANC-01, REQ-CANC-06
    let (peer, mut stage) = client(NoHandler).await;
    let mut calling = Box::pin(call(&peer));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    drop(calling);
    let cancelled = stage.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);
    stage
        .send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }))
        .await;
    // Nothing else went out for it: the next thing to come is the next call, under an id of its own.
    let peer2 = peer.clone();
    let calling = tokio::spawn(async move { call(&peer2).await });
    let second = stage.expect("x/call").await;
    assert_ne!(second["id"], request["id"]);
    stage
        .send(json!({ "jsonrpc": "2.0", "id": second["id"], "result": {} }))
        .await;
    calling.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_is_not_cancelled_by_being_dropped_late() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut calling = Box::pin(call(&peer));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }))
        .await;
    // The answer is read, but the caller does not look at it any more.
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 99, "method": "ping" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 99);
    drop(calling);
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 100, "method": "ping" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 100);
}

#[tokio::test(start_paused = true)]
async fn a_call_times_out_at_its_time_and_the_peer_is_told() {
    // REQ-TMO-01
    let (peer, mut stage) = client(NoHandler).await;
    let start = Instant::now();
    let calling = tokio::spawn(async move { (call(&peer).await, start.elapsed()) });
    let request = stage.expect("x/call").await;
    let cancelled = stage.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);
    let (outcome, elapsed) = calling.await.unwrap();
    assert_eq!(
        outcome,
        Err(RequestError::TimedOut(Duration::from_secs(60)))
    );
    assert_eq!(elapsed.as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_every_call_at_once() {
    let (peer, stage) = client(NoHandler).await;
    let start = Instant::now();
    let calls = futures::future::join_all((0..10).map(|_| call(&peer)));
    tokio::pin!(calls);
    assert!(futures::poll!(&mut calls).is_pending());
    drop(stage);
    for outcome in calls.await {
        assert!(
            matches!(outcome, Err(RequestError::ConnectionLost(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    peer.closed().await;
    assert!(matches!(
        call(&peer).await,
        Err(RequestError::ConnectionLost(_))
    ));
    assert_eq!(
        peer.notify::<Ticked>(&json!({})).await,
        Err(NotSent::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_before_the_peer_went_away_is_answered() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut calling = Box::pin(call(&peer));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = stage.expect("x/call").await;
    for n in 0..10 {
        stage.send(tick(n)).await;
    }
    stage.answer(&request, json!({})).await;
    drop(stage);
    // Before anything is read there is something to send, which nobody takes any more.
    assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
    calling.await.unwrap();
    assert!(matches!(peer.closed().await, Closed::Transport(_)));

    // Nobody can be answered any more, and so nobody is served.
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let (_driving, peer, mut stage) = server(serve(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { ok() }
    }))
    .await;
    for id in 0..10 {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": "x/do" }))
            .await;
    }
    drop(stage);
    assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
    assert!(matches!(peer.closed().await, Closed::Transport(_)));
    assert_eq!(served.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection_after_what_is_queued_is_sent() {
    let (peer, mut stage) = client(NoHandler).await;
    for n in 0..50 {
        peer.notify::<Ticked>(&json!({ "n": n })).await.unwrap();
    }
    let clone = peer.clone();
    drop(peer);
    clone.notify::<Ticked>(&json!({ "n": 50 })).await.unwrap();
    drop(clone);
    for n in 0..=50 {
        assert_eq!(stage.expect("x/ticked").await["params"]["n"], n);
    }
    assert_eq!(stage.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_ready_at_once_needs_no_task_and_one_that_waits_holds_up_nothing() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let (_driving, _peer, mut stage) = server(serve(|request: Request| async move {
        if request.method == "x/slow" {
            std::future::pending::<()>().await;
        }
        ok()
    }))
    .await;
    let before = tasks();
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x/slow" }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 2, "method": "x/fast" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 2);
    assert_eq!(
        tasks(),
        before + 1,
        "the slow one has a task, the fast one had none"
    );
    // A cancelled handler is dropped, with its task (REQ-CANC-05).
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 3, "method": "x/fast" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 3);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_answered_and_the_connection_lives() {
    let (_driving, _peer, mut stage) = server(serve(|request: Request| async move {
        if request.method == "x/late" {
            tokio::task::yield_now().await;
        }
        if request.method != "x/fine" {
            panic!("on purpose");
        }
        ok()
    }))
    .await;
    for (id, method) in [(1, "x/early"), (2, "x/late")] {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": method }))
            .await;
        let answer = stage.next().await.unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(id), &json!(-32603))
        );
        assert!(!answer.to_string().contains("on purpose"));
    }
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 3, "method": "x/fine" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_nested_too_deep_fails_by_itself() {
    let value = || (0..130).fold(json!(1), |inner, _| json!({ "a": inner }));
    let nested = move || ObjectBuf::encode(&value()).unwrap();
    let (peer, mut stage) = client(NoHandler).await;
    let called = peer.request_raw("x".into(), nested(), CallOptions::default(), |_| ());
    let refused = called.await.unwrap_err();
    assert!(matches!(refused, RequestError::Misuse(_)), "{refused}");
    let answering = async {
        let request = stage.expect("x/call").await;
        stage.answer(&request, json!({})).await;
    };
    let (answer, ()) = tokio::join!(call(&peer), answering);
    answer.unwrap();

    let (_driving, peer, mut stage) = server(serve(move |request: Request| async move {
        match request.method.as_str() {
            "x/deep" => Answer::Result(nested()),
            _ => {
                let told = request.context.notify::<Ticked>(&value()).await;
                Answer::Result(ObjectBuf::encode(&json!({ "told": told.is_ok() })).unwrap())
            }
        }
    }))
    .await;
    for (method, outcome, said) in [
        (
            "x/deep",
            "error",
            r#"{"code":-32603,"message":"the answer is nested too deep"}"#,
        ),
        ("x/tell", "result", r#"{"told":false}"#),
    ] {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": 1, "method": method }))
            .await;
        assert_eq!(stage.next().await.unwrap()[outcome].to_string(), said);
    }
    // What is for many is looked at before it is for each, and what tells of what they missed, too.
    let message = |method: &str, params| NotificationMessage {
        method: method.into(),
        params,
    };
    let deep = message("x/deep", Some(nested().finish()));
    let limits = MailboxLimits {
        messages: 1,
        bytes: 1000,
    };
    let mailbox = peer.link().mailbox(limits);
    assert_eq!(mailbox.post(&deep), Err(NotPosted::Params));
    let notice = deep.clone();
    let feed = Feed::new(limits, move |_| notice.clone());
    let follower = [feed.follow(&peer.link())];
    feed.post(&deep, &follower);
    assert_eq!(follower[0].counts().unwanted, 1);
    for method in ["x/lost", "x/told"] {
        feed.post(&message(method, None), &follower);
    }
    stage.expect("x/told").await;
}

#[tokio::test(start_paused = true)]
async fn a_log_message_that_will_be_dropped_is_not_said_to_be_sent() {
    let deep = (0..130).fold(json!(1), |inner, _| json!([inner]));
    let params = [json!({ "level": "error", "data": deep }), json!("text")]
        .map(|params| RawJson::encode(&params).unwrap());
    let by_handler = params.clone();
    let (_driving, peer, mut stage) = server(serve(move |request: Request| {
        let params = by_handler.clone();
        async move {
            for params in params {
                let logged = request.context.log(LogLevel::Error, || Some(params)).await;
                assert_eq!(logged, Delivery::NotSent(NotSent::Params));
            }
            ok()
        }
    }))
    .await;
    for params in params {
        let logged = peer.log(LogLevel::Error, params).await;
        assert_eq!(logged, Delivery::NotSent(NotSent::Params));
    }
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x" }))
        .await;
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    assert_eq!(stage.next().await, Some(answer));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_it_has_a_future_is_answered_too() {
    fn broken(_request: Request) -> HandlerFuture {
        panic!("on purpose")
    }
    let (_driving, _peer, mut stage) = server(broken).await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["error"]["code"], -32603);
}

#[tokio::test(start_paused = true)]
async fn handlers_have_their_time_when_the_peer_has_closed_its_end() {
    let finished = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&finished);
    let (driving, _peer, mut stage) = server(serve(move |request: Request| {
        let flag = Arc::clone(&flag);
        async move {
            let seconds = if request.method == "x/soon" { 2 } else { 3600 };
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            flag.store(true, Ordering::Relaxed);
            ok()
        }
    }))
    .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x/soon" }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 2, "method": "x/never" }))
        .await;
    let start = Instant::now();
    stage.0.close().await.unwrap();
    assert_eq!(stage.next().await.unwrap()["id"], 1);
    assert!(finished.load(Ordering::Relaxed));
    assert_eq!(stage.next().await, None);
    driving.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 5, "Options::drain");
}

#[tokio::test(start_paused = true)]
async fn a_tasks_progress_is_over_when_the_connection_is_gone() {
    // Before the answer has been taken, and after that.
    for taken in [false, true] {
        let (driving, peer, mut stage) = client_with(NoHandler, Options::default()).await;
        let mut options = CallOptions::default();
        options.progress = true;
        let mut told = Vec::new();
        let told_of = |update: ProgressUpdate| told.push(update.progress);
        let mut calling = peer.request_raw("tools/call".into(), ObjectBuf::new(), options, told_of);
        assert!(futures::poll!(&mut calling).is_pending());
        let asked = stage.expect("tools/call").await;
        stage
            .answer(&asked, json!({ "task": { "taskId": "1" } }))
            .await;
        if taken {
            (&mut calling).await.unwrap();
        }
        let report = json!({ "progressToken": asked["id"], "progress": 1 });
        stage
            .send(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": report }))
            .await;
        drop(stage);
        driving.await.unwrap().unwrap();
        if taken {
            let progress = calling.into_task_progress().unwrap();
            let mut more = Vec::new();
            for _ in 0..2 {
                let poll = |cx: &mut Context<'_>| {
                    progress.poll(cx, &mut |update| more.push(update.progress))
                };
                std::future::poll_fn(poll).now_or_never().unwrap();
            }
            assert_eq!(more, [1.0]);
        } else {
            (&mut calling).await.unwrap();
            assert!(calling.into_task_progress().is_none());
            assert_eq!(told, [1.0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_keeps_reporting_does_not_hold_up_the_end() {
    let handler = serve(async |request: Request| {
        let context = request.context;
        (context.rounds()).detach(Some(RelatedTask::new("1")));
        tokio::spawn(async move {
            let mut done = 0.0;
            while context.progress(done, None, None).await == Delivery::Sent {
                done += 1.0;
            }
        });
        ok()
    });
    let mut options = Options::default();
    options.outbox_bytes = 4096;
    let (driving, peer, mut stage) = server_with(handler, options).await;
    let params = json!({ "name": "t", "_meta": { "progressToken": 1 } });
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 1);
    stage.expect("notifications/progress").await;
    peer.close();
    // What was queued is sent; there is room for so much at most. It is read so slowly that there would always be more.
    let mut rest = 0;
    while stage.next().await.is_some() {
        rest += 1;
        assert!(rest < 200);
        tokio::task::yield_now().await;
    }
    driving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_have_their_time_when_the_peer_is_gone_and_takes_nothing() {
    let finished = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&finished);
    let handler = serve(move |request| {
        let count = Arc::clone(&count);
        async move {
            let seconds = request.params::<Value>().unwrap()["seconds"].as_u64();
            tokio::time::sleep(Duration::from_secs(seconds.unwrap())).await;
            count.fetch_add(1, Ordering::Relaxed);
            ok()
        }
    });
    let mut config = server_config();
    let tools = ToolsCapability::new().list_changed(true);
    config.capabilities = ServerCapabilities::new().tools(tools);
    let (ours, theirs) = duplex(64);
    let connection = mcp_peer::server(ours, config, Arc::new(handler), Options::default());
    let driving = tokio::spawn(connection.driver);
    let mut stage = Stage(theirs);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "_meta": meta, "notifications": { "toolsListChanged": true } });
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 0, "method": "subscriptions/listen", "params": params }))
        .await;
    stage
        .expect("notifications/subscriptions/acknowledged")
        .await;
    // The end of the stream is the first thing that it does not take, an answer the next.
    for seconds in [1, 2, 60] {
        let params = json!({ "_meta": meta, "seconds": seconds });
        stage
            .send(json!({ "jsonrpc": "2.0", "id": seconds, "method": "x/y", "params": params }))
            .await;
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    drop(stage);
    driving.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Options::default().drain);
    assert_eq!(finished.load(Ordering::Relaxed), 2);
    assert_eq!(connection.peer.closed().await, Closed::ByPeer);
}

#[tokio::test(start_paused = true)]
async fn handlers_have_their_time_when_the_program_closes_the_connection() {
    // One asks the peer meanwhile, one is done in time, and one never is.
    let (driving, peer, mut stage) = server(serve(|request: Request| async move {
        match request.method.as_str() {
            "x/asks" => {
                let context = &request.context;
                let options = CallOptions::default();
                tokio::time::sleep(Duration::from_secs(1)).await;
                let asked = context.ask("sampling/createMessage", ObjectBuf::new(), options);
                Answer::Result(ObjectBuf::from_raw(asked.await.unwrap()).unwrap())
            }
            "x/soon" => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                ok()
            }
            _ => std::future::pending().await,
        }
    }))
    .await;
    for (id, method) in ["x/asks", "x/soon", "x/never"].into_iter().enumerate() {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": method }))
            .await;
    }
    let start = Instant::now();
    stage
        .send(json!({ "jsonrpc": "2.0", "id": "all", "method": "ping" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], "all");
    peer.close();
    // What comes now is too late, and told so.
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 3, "method": "x/late" }))
        .await;
    let late = stage.next().await.unwrap();
    assert_eq!(late["id"], 3);
    assert_eq!(late["error"]["code"], -32603, "{late}");
    let asked = stage.expect("sampling/createMessage").await;
    stage.answer(&asked, json!({ "said": "yes" })).await;
    let answer = stage.next().await.unwrap();
    assert_eq!(
        (&answer["id"], &answer["result"]["said"]),
        (&json!(0), &json!("yes"))
    );
    assert_eq!(stage.next().await.unwrap()["id"], 1);
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(stage.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 5, "Options::drain");
    driving.await.unwrap().unwrap();
    assert_eq!(peer.close_reason(), Some(Closed::ByUs));
}

#[tokio::test(start_paused = true)]
async fn handlers_may_have_all_time_there_is() {
    for by_us in [false, true] {
        let mut options = Options::default();
        options.drain = Duration::MAX;
        let handler = serve(|_| async {
            tokio::time::sleep(Duration::from_secs(100_000)).await;
            ok()
        });
        let (driving, peer, mut stage) = stage::server_with(handler, options).await;
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "x" });
        stage.send(request).await;
        if by_us {
            tokio::task::yield_now().await;
            peer.close();
        } else {
            stage.0.close().await.unwrap();
        }
        assert!(stage.next().await.unwrap()["result"].is_object());
        driving.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_do_a_server_ends_with_its_peer() {
    let (driving, _peer, stage) = server(NoHandler).await;
    let start = Instant::now();
    drop(stage);
    driving.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_slowly_still_sees_the_order_of_the_wire() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut ticks = peer.notifications::<Ticked>();
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(Ok(tick)) = ticks.recv().await {
            seen.push(tick["n"].as_u64().unwrap());
            // Slow, and unevenly so.
            tokio::time::sleep(Duration::from_millis(seen.len() as u64 * 7919 % 31)).await;
        }
        seen
    });
    for n in 0..500 {
        stage.send(tick(n)).await;
    }
    drop(stage);
    assert_eq!(reading.await.unwrap(), (0..500).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn callbacks_have_run_before_the_answer_that_came_after() {
    let (peer, mut stage) = client(NoHandler).await;
    let ticks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ticks);
    peer.on_notification::<Ticked>(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 3 {
            panic!("on purpose: it costs this notification and nothing else");
        }
    });
    let answering = tokio::spawn(async move {
        let request = stage.expect("x/call").await;
        for n in 0..200 {
            stage.send(tick(n)).await;
        }
        stage
            .send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }))
            .await;
        stage
    });
    call(&peer).await.unwrap();
    assert_eq!(ticks.load(Ordering::Relaxed), 200);
    drop(answering);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_any_more_is_one_of_the_others() {
    let (peer, mut stage) = client(NoHandler).await;
    let others = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&others);
    peer.on_other_notification(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for round in 1..=3 {
        let mut ticks = peer.notifications::<Ticked>();
        stage.send(tick(round)).await;
        assert_eq!(ticks.recv().await, Some(Ok(json!({ "n": round }))));
        assert_eq!(others.load(Ordering::Relaxed), 2 * (round - 1));
        drop(ticks);
        stage.send(tick(round)).await;
        stage.send(tick(round)).await;
        let answering = async {
            let request = stage.expect("x/call").await;
            stage.answer(&request, json!({})).await;
        };
        let (called, ()) = tokio::join!(call(&peer), answering);
        called.unwrap();
        assert_eq!(others.load(Ordering::Relaxed), 2 * round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_nobody_reads_is_bounded_and_tells_what_it_dropped() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut ticks = peer.notifications::<Ticked>();
    let total = 100_000;
    for n in 0..total {
        stage.send(tick(n)).await;
    }
    // Meanwhile calls and their timeouts work as ever.
    let late = tokio::spawn({
        let peer = peer.clone();
        async move { call(&peer).await }
    });
    stage.expect("x/call").await;
    stage.expect("notifications/cancelled").await;
    assert!(matches!(
        late.await.unwrap(),
        Err(RequestError::TimedOut(_))
    ));
    let Some(Err(Missed::Lagged(dropped))) = ticks.recv().await else {
        panic!("the queue cannot have held all of it");
    };
    let mut next = dropped;
    while let Some(Ok(tick)) = ticks.recv().now_or_never().flatten() {
        assert_eq!(tick["n"], next);
        next += 1;
    }
    assert_eq!(next, total as u64);
    assert_eq!(total as u64 - dropped, 16_384, "the documented length");
}

#[tokio::test(start_paused = true)]
async fn a_lossless_queue_stops_the_reading_and_loses_nothing() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut ticks = peer.notifications_with::<Ticked>(Overflow::Lossless);
    let total = 40_000;
    let sending = tokio::spawn(async move {
        for n in 0..total {
            stage.send(tick(n)).await;
        }
        stage
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        !sending.is_finished(),
        "the peer is held up while nobody reads"
    );
    for n in 0..total {
        assert_eq!(ticks.recv().await.unwrap().unwrap()["n"], n);
    }
    let mut stage = sending.await.unwrap();
    let (outcome, request) = tokio::join!(call(&peer), async {
        let request = stage.expect("x/call").await;
        stage
            .send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }))
            .await;
    });
    outcome.unwrap();
    let () = request;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_full_lossless_queue_starts_the_reading_again() {
    let (peer, mut stage) = client(NoHandler).await;
    let ticks = peer.notifications_with::<Ticked>(Overflow::Lossless);
    let sending = tokio::spawn(async move {
        for n in 0..40_000 {
            stage.send(tick(n)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!sending.is_finished());
    drop(ticks);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn receivers_end_with_the_connection_after_everything_is_read() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut ticks = peer.notifications::<Ticked>();
    let owned = Arc::new(());
    let call_back = || {
        let (one, other) = (Arc::clone(&owned), Arc::clone(&owned));
        peer.on_notification::<LogMessage>(move |_| drop(Arc::clone(&one)));
        peer.on_other_notification(move |_| drop(Arc::clone(&other)));
    };
    call_back();
    assert_eq!(Arc::strong_count(&owned), 3);
    stage.send(tick(0)).await;
    drop(stage);
    peer.closed().await;
    assert_eq!(ticks.recv().await, Some(Ok(json!({ "n": 0 }))));
    assert_eq!(ticks.recv().await, None);
    assert_eq!(peer.notifications::<Ticked>().recv().await, None);
    // Callbacks are dropped, with what they own.
    assert_eq!(Arc::strong_count(&owned), 1);
    call_back();
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_program_delivers_itself_arrives_though_the_connection_ends() {
    let (_driving, peer, stage) = client_with(NoHandler, Options::default()).await;
    let mut ticks = peer.notifications::<Ticked>();
    // More than the pipe holds is before it.
    for _ in 0..100 {
        assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
    }
    tokio::task::yield_now().await;
    peer.deliver::<Ticked>(&json!({ "n": 1 })).await.unwrap();
    drop(stage);
    assert_eq!(ticks.recv().await, Some(Ok(json!({ "n": 1 }))));
    assert_eq!(ticks.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_the_program_delivers_itself_waits_for_room() {
    let mut options = Options::default();
    options.outbox_bytes = 1024;
    let (_driving, peer, _stage) = client_with(NoHandler, options).await;
    let mut ticks = peer.notifications::<Ticked>();
    // The driver does not run meanwhile.
    let at_once = (0..10).take_while(|n| {
        let params = json!({ "n": n });
        peer.deliver::<Ticked>(&params).now_or_never().is_some()
    });
    assert_eq!(at_once.count(), 3);
    peer.deliver::<Ticked>(&json!({ "n": 3 })).await.unwrap();
    for n in 0..=3 {
        assert_eq!(ticks.recv().await, Some(Ok(json!({ "n": n }))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_decode_is_told_to_the_receiver() {
    let (peer, mut stage) = client(NoHandler).await;
    let mut logs = peer.notifications::<LogMessage>();
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "loud", "data": 1 } }))
        .await;
    assert!(matches!(
        logs.recv().await,
        Some(Err(Missed::Undecodable(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn what_will_not_be_sent_is_not_said_to_be() {
    // REQ-PROG-03, REQ-LOG-01: the server does not declare that it logs.
    let (ours, theirs) = duplex(64);
    let mut config = stage::server_config();
    config.capabilities.logging = None;
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    let handler = serve(move |request: Request| {
        let say = say.clone();
        async move {
            let cx = request.context;
            assert!(!cx.logs(LogLevel::Emergency));
            let params = || panic!("made for nothing");
            let mut told = vec![cx.log(LogLevel::Emergency, params).await];
            for progress in [1.0, 1.0, f64::NAN, f64::INFINITY, 0.5, 1.5] {
                told.push(cx.clone().progress(progress, None, None).await);
            }
            say.send(told).unwrap();
            ok()
        }
    });
    let connection = mcp_peer::server(ours, config, Arc::new(handler), Options::default());
    tokio::spawn(connection.driver);
    let mut stage = stage::Stage(theirs);
    stage.initialize().await;
    let outside = (connection.peer).log(LogLevel::Emergency, RawJson::EMPTY_OBJECT);
    assert_eq!(outside.await, Delivery::NotSent(NotSent::Unwanted));
    let modern = json!({
        "progressToken": 1,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/logLevel": "debug",
    });
    for meta in [json!({ "progressToken": 1 }), modern] {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": { "_meta": meta } }))
            .await;
        for progress in [1.0, 1.5] {
            let report = stage.expect("notifications/progress").await;
            assert_eq!(report["params"]["progress"], progress);
        }
        assert_eq!(stage.next().await.unwrap()["id"], 1);
        let refused = Delivery::NotSent(NotSent::NotIncreasing);
        let told = said.recv().await.unwrap();
        assert_eq!(told[0], Delivery::NotSent(NotSent::Unwanted));
        assert_eq!(
            told[1..6],
            [Delivery::Sent, refused, refused, refused, refused]
        );
        assert_eq!(told[6], Delivery::Sent);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_sends_is_before_its_answer_and_nothing_is_after() {
    // REQ-PROG-04, REQ-PROG-10
    let outcome = Arc::new(tokio::sync::Mutex::new(None));
    let late = Arc::clone(&outcome);
    let (_driving, _peer, mut stage) = server(serve(move |request: Request| {
        let late = Arc::clone(&late);
        async move {
            let cx = request.context;
            let params = || RawJson::encode(&json!({ "level": "info", "data": 1 })).ok();
            let task = cx.clone();
            tokio::spawn(async move {
                // Goes on for as long as it is let.
                loop {
                    let delivery = task.log(LogLevel::Info, params).await;
                    if delivery != Delivery::Sent {
                        *late.lock().await = Some(delivery);
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
            for n in 1..=20 {
                tokio::task::yield_now().await;
                cx.progress(f64::from(n), None, None).await;
            }
            assert_eq!(
                cx.log(LogLevel::Debug, params).await,
                Delivery::NotSent(NotSent::Unwanted)
            );
            ok()
        }
    }))
    .await;
    let params = json!({ "_meta": { "progressToken": "t" } });
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": params }))
        .await;
    let mut progress = 0;
    let mut logs = 0;
    loop {
        let message = stage.next().await.unwrap();
        match message["method"].as_str() {
            Some("notifications/progress") => {
                progress += 1;
                assert_eq!(message["params"]["progress"], f64::from(progress));
                assert_eq!(message["params"]["progressToken"], "t");
            }
            Some("notifications/message") => logs += 1,
            _ => break assert_eq!(message["id"], 1),
        }
    }
    assert_eq!(progress, 20);
    assert!(logs > 0);
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["id"], 2, "nothing came between");
    while outcome.lock().await.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        *outcome.lock().await,
        Some(Delivery::NotSent(NotSent::Ended))
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_makes_handlers_wait_and_memory_stays_bounded() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (_driving, _peer, mut stage) = server(serve(move |request: Request| {
        let count = Arc::clone(&count);
        async move {
            for _ in 0..100_000 {
                let params =
                    || RawJson::encode(&json!({ "level": "info", "data": "x".repeat(100) })).ok();
                request
                    .context
                    .log(LogLevel::Info, params)
                    .await
                    .required()
                    .unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
            ok()
        }
    }))
    .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "x" }))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ahead = sent.load(Ordering::Relaxed);
    // 64 KiB by messages of 256 + some 130 bytes, what is between outbox and transport, and the duplex itself.
    assert!((150..400).contains(&ahead), "{ahead}");
    let mut logs = 0;
    while stage.next().await.unwrap()["id"] != 1 {
        logs += 1;
    }
    assert_eq!(logs, 100_000);
}

#[tokio::test(start_paused = true)]
async fn sampling_three_levels_deep_neither_deadlocks_nor_times_out() {
    // TRAP-43: a request within a request within a request, over a pipe that holds one message.
    let deep = |request: Request| async move {
        let depth: u64 = request.params::<Value>().unwrap()["depth"]
            .as_u64()
            .unwrap();
        if depth == 0 {
            return ok();
        }
        let params = ObjectBuf::encode(&json!({ "depth": depth - 1 })).unwrap();
        let options = CallOptions::default();
        match request
            .context
            .ask("sampling/createMessage", params, options)
            .await
        {
            Ok(_) => ok(),
            Err(error) => Answer::Error(ErrorObject::internal(error.to_string())),
        }
    };
    // The client's handler calls the server again.
    let (ours, theirs) = duplex(1);
    let mut config = ServerConfig::new(Implementation::new("server", "1"));
    config.capabilities = ServerCapabilities::default().logging();
    let serving = mcp_peer::server(ours, config, Arc::new(serve(deep)), Options::default());
    tokio::spawn(serving.driver);
    let handle: Arc<std::sync::OnceLock<Peer>> = Arc::default();
    let own = Arc::clone(&handle);
    let back = serve(move |request: Request| {
        let peer = own.get().unwrap().clone();
        async move {
            let depth: u64 = request.params::<Value>().unwrap()["depth"]
                .as_u64()
                .unwrap();
            if depth == 0 {
                return ok();
            }
            let params = ObjectBuf::encode(&json!({ "depth": depth - 1 })).unwrap();
            match peer
                .request_raw("x".into(), params, CallOptions::default(), |_| ())
                .await
            {
                Ok(_) => ok(),
                Err(error) => Answer::Error(ErrorObject::internal(error.to_string())),
            }
        }
    });
    let mut config = ClientConfig::new(Implementation::new("client", "1"));
    config.era = EraChoice::Legacy;
    config.capabilities.sampling = Some(Default::default());
    let connection = mcp_peer::client(theirs, config, Arc::new(back), Options::default());
    tokio::spawn(connection.driver);
    connection.peer.opened().await.unwrap();
    handle.set(connection.peer.clone()).unwrap();
    let start = Instant::now();
    let params = ObjectBuf::encode(&json!({ "depth": 6 })).unwrap();
    let outcome = connection
        .peer
        .request_raw("x".into(), params, CallOptions::default(), |_| ())
        .await;
    assert_eq!(outcome.unwrap().as_str(), "{}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_leaves_nobody_waiting_and_no_task_behind() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let (driving, peer, mut stage) = server(serve(|_| std::future::pending())).await;
    for id in 0..10 {
        stage
            .send(json!({ "jsonrpc": "2.0", "id": id, "method": "x" }))
            .await;
    }
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 99, "method": "ping" }))
        .await;
    stage.next().await.unwrap();
    assert_eq!(tasks(), before + 11);
    driving.abort();
    peer.closed().await;
    let _ = driving.await;
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before);
    assert_eq!(
        peer.notify::<Ticked>(&json!({})).await,
        Err(NotSent::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_refused_and_the_one_that_runs_is_unharmed() {
    // REQ-ID-02
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let (_driving, _peer, mut stage) = server(serve(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            ok()
        }
    }))
    .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 7, "method": "x" }))
        .await;
    stage
        .send(json!({ "jsonrpc": "2.0", "id": 7, "method": "x" }))
        .await;
    assert_eq!(stage.next().await.unwrap()["error"]["code"], -32600);
    go.notify_one();
    let answer = stage.next().await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]), (&json!(7), &json!({})));
    let _: RequestId = 7.into();
}
