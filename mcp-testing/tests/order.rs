//! What a handler sends is on the wire before its response, all of it and in order; nothing is behind it.
//!
//! Counted on the wire and never timed.

mod ours;

use std::future::IntoFuture;
use std::sync::Arc;

use mcp_client::types::LogLevel;
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Delivery, JsonSchema, NotSent, Server, tool};
use mcp_testing::{Journal, RawPeer, soon};
use ours::{ByHand, ERAS, Era, text};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const LEVEL: &str = "io.modelcontextprotocol/logLevel";

#[derive(Deserialize, JsonSchema)]
struct Flood {
    count: u64,
}

/// Logs and reports progress in turn, and says how much of it was not sent.
async fn flood(cx: Cx, args: Flood) -> String {
    let progress = cx.progress();
    let mut lost = 0;
    for n in 1..=args.count {
        lost += u64::from(cx.log().info(n).await != Delivery::Sent);
        lost += u64::from(progress.at(n, None).await != Delivery::Sent);
    }
    format!("{lost} lost")
}

fn flooding() -> Server {
    Server::new("flooding", "1").tool(tool("flood", flood))
}

fn log_line(n: u64) -> String {
    let params = format!(r#"{{"level":"info","data":{n}}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}"#)
}

fn progress_line(token: &str, n: u64) -> String {
    let params = format!(r#"{{"progressToken":"{token}","progress":{n}}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
}

async fn next_line(by_hand: &mut ByHand) -> String {
    let line = soon(by_hand.peer.next_text()).await.expect("reads");
    line.expect("the connection should live")
}

/// Calls `flood` and checks each line up to the response, and that the response is the last.
async fn all_in_order(count: u64, capacity: usize, slow: bool) {
    for era in ERAS {
        let mut by_hand = ByHand::connect(flooding(), era, capacity).await;
        let meta = json!({"progressToken": "t", LEVEL: "debug"});
        let params = json!({"name": "flood", "arguments": {"count": count}, "_meta": meta});
        let call = by_hand.request(7, "tools/call", params);
        by_hand.send(&call).await;
        for n in 1..=count {
            assert_eq!(next_line(&mut by_hand).await, log_line(n), "{era:?}");
            if slow {
                tokio::task::yield_now().await;
            }
            let progress = next_line(&mut by_hand).await;
            assert_eq!(progress, progress_line("t", n), "{era:?}");
        }
        let response = by_hand.next().await;
        assert_eq!(response["id"], 7, "{response}");
        assert_eq!(text(&response), "0 lost");
        by_hand.lives_by_listing().await;
        by_hand.close().await;
    }
}

#[tokio::test]
async fn a_hundred_thousand_of_each() {
    all_in_order(100_000, 64 * 1024, false).await;
}

/// Handler, driver and reader on threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_hundred_thousand_of_each_on_threads() {
    all_in_order(100_000, 64 * 1024, false).await;
}

#[tokio::test]
async fn ten_thousand_of_each_through_a_narrow_pipe_to_a_slow_reader() {
    all_in_order(10_000, 4 * 1024, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn ten_thousand_of_each_through_a_narrow_pipe_on_threads() {
    all_in_order(10_000, 4 * 1024, true).await;
}

/// Several handlers at a time, each with an order of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn each_of_many_handlers_in_its_own_order() {
    const HANDLERS: usize = 20;
    const COUNT: u64 = 1_000;
    for era in ERAS {
        let mut by_hand = ByHand::connect(flooding(), era, 4 * 1024).await;
        for id in 0..HANDLERS {
            let meta = json!({"progressToken": id.to_string(), LEVEL: "debug"});
            let params = json!({"name": "flood", "arguments": {"count": COUNT}, "_meta": meta});
            let call = by_hand.request(id, "tools/call", params);
            by_hand.send(&call).await;
        }
        // Logs do not say whose they are; they are counted together.
        let (mut reported, mut logged) = ([0; HANDLERS], 0);
        let mut answered = [false; HANDLERS];
        while answered.contains(&false) {
            let message = by_hand.next().await;
            let params = &message["params"];
            match message["method"].as_str() {
                Some("notifications/message") => logged += 1,
                Some(_) => {
                    let token = params["progressToken"].as_str().unwrap_or_default();
                    let id: usize = token.parse().expect("a token that was given out");
                    reported[id] += 1;
                    assert_eq!(params["progress"].as_f64(), Some(reported[id] as f64));
                    assert!(!answered[id], "{message} came behind the response");
                }
                None => {
                    assert_eq!(text(&message), "0 lost");
                    let id = message["id"].as_u64().expect("an id that was used") as usize;
                    assert_eq!(reported[id], COUNT);
                    answered[id] = true;
                }
            }
        }
        assert_eq!(logged, COUNT * HANDLERS as u64);
        by_hand.lives_by_listing().await;
        by_hand.close().await;
    }
}

impl ByHand {
    /// Whatever came behind the response would come before this answer.
    async fn lives_by_listing(&mut self) {
        let listed = self.ask("listed", "tools/list", json!({})).await;
        assert!(listed["result"]["tools"].is_array(), "{listed}");
    }
}

/// A task that a handler has left behind, and what became of its last attempts to send something.
fn leaving(kept: Journal<[Delivery; 2]>) -> Server {
    let leave = move |cx: Cx| {
        let kept = kept.clone();
        async move {
            let logged = Arc::new(Semaphore::new(0));
            let permits = Arc::clone(&logged);
            tokio::spawn(async move {
                let progress = cx.progress();
                for n in 1u64.. {
                    let log = cx.log().info(n).await;
                    let report = progress.at(n, None).await;
                    permits.add_permits(1);
                    if (log, report) != (Delivery::Sent, Delivery::Sent) {
                        // Once more, behind the end for certain.
                        let log = cx.log().error("too late").await;
                        let report = progress.at(n + 1, None).await;
                        kept.push([log, report]);
                        break;
                    }
                    // Else it would never let the handler return, on a single thread.
                    tokio::task::yield_now().await;
                }
            });
            // Not before the other task is in full swing.
            let _permit = logged.acquire_many(100).await;
            "left"
        }
    };
    Server::new("leaving", "1").tool(tool("leave", leave))
}

async fn nothing_comes_behind_the_response(capacity: usize) {
    for era in ERAS {
        let kept = Journal::new();
        let mut by_hand = ByHand::connect(leaving(kept.clone()), era, capacity).await;
        for round in 1..=20 {
            let meta = json!({"progressToken": "t", LEVEL: "debug"});
            let params = json!({"name": "leave", "_meta": meta});
            let call = by_hand.request(round, "tools/call", params);
            by_hand.send(&call).await;
            let mut count = 0;
            let response = loop {
                let message = by_hand.next().await;
                if message["id"] == round {
                    break message;
                }
                let (of_log, n) = (count % 2 == 0, count / 2 + 1);
                let params = &message["params"];
                let counted = if of_log {
                    &params["data"]
                } else {
                    &params["progress"]
                };
                assert_eq!(counted.as_f64(), Some(f64::from(n)), "{message}");
                count += 1;
            };
            assert_eq!(text(&response), "left");
            assert!(count >= 200, "only {count} came");
            // The task has tried again and was told; nothing of that may be on the wire.
            let ended = Delivery::NotSent(NotSent::Ended);
            let told = soon(kept.find_many(round, |_| true)).await;
            assert_eq!(told[round - 1], [ended, ended]);
            by_hand.lives_by_listing().await;
        }
        by_hand.close().await;
    }
}

#[tokio::test]
async fn a_task_left_behind_sends_nothing() {
    nothing_comes_behind_the_response(64 * 1024).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_task_left_behind_sends_nothing_on_threads() {
    nothing_comes_behind_the_response(64 * 1024).await;
    nothing_comes_behind_the_response(256).await;
}

/// A message that waits for room when the response is queued would get behind it: it is not sent, and its sender is told.
#[tokio::test]
async fn a_message_that_waits_for_room_does_not_get_behind_the_response() {
    for era in ERAS {
        let (returned, kept) = (Journal::new(), Journal::new());
        let (returns, keeps) = (returned.clone(), kept.clone());
        let leave = move |cx: Cx| {
            let (returns, keeps) = (returns.clone(), keeps.clone());
            async move {
                let stuck = Arc::new(Semaphore::new(0));
                tokio::spawn(log_until_told(cx, Arc::clone(&stuck), keeps));
                let _permit = stuck.acquire().await;
                returns.push(());
                "left"
            }
        };
        let server = Server::new("leaving", "1").tool(tool("leave", leave));
        let mut by_hand = ByHand::connect(server, era, 64).await;
        let params = json!({"name": "leave", "_meta": {LEVEL: "debug"}});
        let call = by_hand.request(7, "tools/call", params);
        by_hand.send(&call).await;
        // Nothing is read before the handler has returned.
        soon(returned.find(|()| true)).await;
        let mut logged = 0;
        let response = loop {
            let message = by_hand.next().await;
            if message["id"] == 7 {
                break message;
            }
            logged += 1;
            assert_eq!(message["params"]["data"], logged);
        };
        assert_eq!(text(&response), "left");
        let ended = Delivery::NotSent(NotSent::Ended);
        assert_eq!(soon(kept.find(|_| true)).await, (logged, ended));
        by_hand.lives_by_listing().await;
        by_hand.close().await;
    }
}

/// Logs until the connection takes no more, says so, and keeps how much was sent and what became of the next message.
async fn log_until_told(cx: Cx, stuck: Arc<Semaphore>, kept: Journal<(u64, Delivery)>) {
    for n in 1u64.. {
        let log = cx.log().info(n);
        tokio::pin!(log);
        let mut delivery = futures::poll!(&mut log);
        // Whoever could make room gets the chance.
        for _ in 0..1_000 {
            if delivery.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
            delivery = futures::poll!(&mut log);
        }
        if delivery.is_pending() {
            stuck.add_permits(1);
            kept.push((n - 1, log.await));
            return;
        }
    }
}

/// A client of ours, connected to a server that is played by hand.
async fn client(era: Era) -> (Client, RawPeer<tokio::io::DuplexStream>) {
    // All that a server sends at once fits in: the client gets it in one go.
    let (left, right) = tokio::io::duplex(16 * 1024 * 1024);
    let mut server = RawPeer::new(right);
    let (choice, result) = match era {
        Era::Legacy => (
            EraChoice::Legacy,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"logging": {}}, "serverInfo": {"name": "raw", "version": "1"}}),
        ),
        Era::Modern => (
            EraChoice::Modern,
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {"logging": {}}}),
        ),
    };
    let accepting = async {
        let request = server.next().await.expect("reads").expect("a request");
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        server.send(&answer).await.expect("writes");
        if era == Era::Legacy {
            // `notifications/initialized` and `logging/setLevel`
            server.next().await.expect("reads");
            server.next().await.expect("reads");
        }
    };
    let builder = Client::builder("tester", "1")
        .era(choice)
        .log_level(LogLevel::Debug);
    let connecting = builder.connect(mcp_codec::framed(left));
    let (client, ()) = soon(async { tokio::join!(connecting, accepting) }).await;
    (client.expect("the handshake is a good one"), server)
}

/// Answers the next call, but says all of this first, in one write.
async fn answer_behind(
    server: &mut RawPeer<tokio::io::DuplexStream>,
    lines: impl Fn(&Value) -> String,
) {
    let call = server.next().await.expect("reads").expect("a call");
    let id = &call["id"];
    let mut burst = lines(&call["params"]["_meta"]["progressToken"]);
    burst.push_str(&json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}}).to_string());
    burst.push('\n');
    server.send_bytes(burst.as_bytes()).await.expect("writes");
}

#[tokio::test]
async fn every_update_is_seen_before_the_result_or_counted() {
    const COUNT: u64 = 10_000;
    for era in ERAS {
        let (client, mut server) = client(era).await;
        let answering = answer_behind(&mut server, |token| {
            let line = |n| {
                let params = json!({"progressToken": token, "progress": n});
                let update =
                    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                format!("{update}\n")
            };
            (1..=COUNT).map(line).collect()
        });
        let mut seen = Vec::new();
        let calling = client.call_tool("a", json!({}));
        let calling = calling
            .on_progress(|update| seen.push(update))
            .into_future();
        let (result, ()) = soon(async { tokio::join!(calling, answering) }).await;
        result.expect("a good answer");

        let mut last = 0.0;
        for update in &seen {
            assert_eq!(update.progress, last + 1.0 + update.skipped as f64);
            last = update.progress;
        }
        assert_eq!(last, COUNT as f64, "the last one is never lost");
        let skipped: u64 = seen.iter().map(|update| update.skipped).sum();
        assert_eq!(seen.len() as u64 + skipped, COUNT);
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn every_log_is_there_before_the_result_and_in_order() {
    const COUNT: u64 = 10_000;
    for era in ERAS {
        let (client, mut server) = client(era).await;
        let mut logs = client.logs();
        let answering = answer_behind(&mut server, |_| {
            (1..=COUNT).map(|n| log_line(n) + "\n").collect()
        });
        let calling = client.call_tool("a", json!({})).into_future();
        let (result, ()) = soon(async { tokio::join!(calling, answering) }).await;
        result.expect("a good answer");
        // Nothing is waited for any more.
        for n in 1..=COUNT {
            let log = logs
                .try_recv()
                .expect("it was on the wire before the result");
            assert_eq!(log.expect("none is lost").data.as_str(), n.to_string());
        }
        assert!(logs.try_recv().is_none());
        soon(client.close()).await;
    }
}

/// More than the queue holds: what is missing is counted, in its place.
#[tokio::test]
async fn logs_that_nobody_reads_are_counted() {
    const COUNT: u64 = 50_000;
    for era in ERAS {
        let (client, mut server) = client(era).await;
        let mut logs = client.logs();
        let answering = answer_behind(&mut server, |_| {
            (1..=COUNT).map(|n| log_line(n) + "\n").collect()
        });
        let calling = client.call_tool("a", json!({})).into_future();
        let (result, ()) = soon(async { tokio::join!(calling, answering) }).await;
        result.expect("a good answer");
        let mut last = 0;
        while let Some(log) = logs.try_recv() {
            match log {
                Ok(log) => {
                    last += 1;
                    assert_eq!(log.data.as_str(), last.to_string());
                }
                Err(mcp_client::Missed::Lagged(missed)) => last += missed,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(last, COUNT);
        soon(client.close()).await;
    }
}
