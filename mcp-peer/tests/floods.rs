//! Peers that flood, stall or vanish: each connection ends as documented, keeps no more than it may, and leaves no task behind.
//!
//! Each flood has a process of its own, for its memory is measured: the test starts its own binary again with nothing
//! but itself to run. The peak is what the operating system says was resident, so this is for Linux.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]
#![cfg(target_os = "linux")]

mod stage;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mcp_peer::session::{CallOptions, RequestError};
use mcp_peer::types::ObjectBuf;
use mcp_peer::{
    Answer, Closed, Connection, ConnectionError, Handler, Missed, NoHandler, Options, Peer,
};
use serde_json::{Value, json};
use stage::{Ticked, client_config, ok, serve, server_config, tasks};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, split};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const MEBI: usize = 1024 * 1024;

// ---- measuring ----

/// Runs `body` in a process of its own, under a clock that stands still.
fn alone<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F) {
    const MARK: &str = "MCP_PEER_FLOOD";
    if std::env::var_os(MARK).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        return runtime.block_on(body());
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("1 passed"), "no such test: {said}");
    for line in said.lines().filter(|line| line.contains("grown by")) {
        println!("{line}");
    }
}

/// The most memory that this process has had resident, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibi = line.and_then(|line| line.split_whitespace().nth(1));
    kibi.unwrap().parse::<usize>().unwrap() * 1024
}

/// Memory and tasks before a flood.
struct Before {
    peak: usize,
    tasks: usize,
}

impl Before {
    fn take() -> Self {
        Self {
            peak: peak(),
            tasks: tasks(),
        }
    }

    /// No more than that was needed since, and no task is left.
    async fn check(self, bytes: usize) {
        let grown = peak().saturating_sub(self.peak);
        println!("grown by {} KiB of {} KiB", grown / 1024, bytes / 1024);
        assert!(grown < bytes, "grown by {} KiB", grown / 1024);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks(), self.tasks, "tasks are left");
    }
}

#[test]
fn memory_is_measured() {
    alone("memory_is_measured", || async {
        let before = peak();
        let held = vec![1_u8; 64 * MEBI];
        assert!(peak() - before >= held.len() / 2);
    });
}

// ---- connections over bytes ----

type Ended = Result<(), ConnectionError<std::io::Error>>;

/// The other end of a connection over bytes.
struct Other {
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
}

impl Other {
    async fn send(&mut self, message: &Value) {
        self.write_all(format!("{message}\n").as_bytes()).await;
    }

    async fn write_all(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let mut line = String::new();
        self.read.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    /// Sends a request and reads up to its answer: everything before it was taken in then.
    async fn pong(&mut self) {
        self.send(&json!({ "jsonrpc": "2.0", "id": "pong", "method": "ping" }))
            .await;
        while self.next().await["id"] != "pong" {}
    }
}

fn ends() -> (DuplexStream, Other) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (read, write) = split(theirs);
    let read = BufReader::new(read);
    (ours, Other { read, write })
}

async fn client() -> (JoinHandle<Ended>, Peer, Other) {
    client_with(Options::default()).await
}

async fn client_with(options: Options) -> (JoinHandle<Ended>, Peer, Other) {
    let (ours, mut other) = ends();
    let (transport, handler) = (mcp_codec::framed(ours), Arc::new(NoHandler));
    let Connection { peer, driver } =
        mcp_peer::client(transport, client_config(), handler, options);
    let driving = tokio::spawn(driver);
    let hello = other.next().await;
    let result = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" },
    });
    other
        .send(&json!({ "jsonrpc": "2.0", "id": hello["id"], "result": result }))
        .await;
    peer.opened().await.unwrap();
    other.next().await;
    (driving, peer, other)
}

async fn server(handler: impl Handler) -> (JoinHandle<Ended>, Peer, Other) {
    server_with(handler, Options::default()).await
}

async fn server_with(handler: impl Handler, options: Options) -> (JoinHandle<Ended>, Peer, Other) {
    let (ours, mut other) = ends();
    let (transport, handler) = (mcp_codec::framed(ours), Arc::new(handler));
    let Connection { peer, driver } =
        mcp_peer::server(transport, server_config(), handler, options);
    let driving = tokio::spawn(driver);
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
    });
    other
        .send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }))
        .await;
    other.next().await;
    (driving, peer, other)
}

/// Sends `count` lines, many at a time.
async fn flood(other: &mut Other, count: usize, line: impl Fn(usize) -> String) {
    let mut chunk = String::new();
    for n in 0..count {
        chunk.push_str(&line(n));
        chunk.push('\n');
        if chunk.len() > 32 * 1024 || n + 1 == count {
            other.write_all(chunk.as_bytes()).await;
            chunk.clear();
        }
    }
}

fn ticked(n: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"x/ticked","params":{{"n":{n}}}}}"#)
}

// ---- floods ----

#[test]
fn a_million_notifications() {
    alone("a_million_notifications", || async {
        let total = 1_000_000;
        let before = Before::take();
        let (driving, peer, mut other) = client().await;
        // One type that nobody asked for, then one that somebody asked for and does not read.
        flood(&mut other, total / 2, |_| {
            r#"{"jsonrpc":"2.0","method":"x/other"}"#.to_owned()
        })
        .await;
        let mut ticks = peer.notifications::<Ticked>();
        flood(&mut other, total / 2, ticked).await;
        other.pong().await;
        let kept = Options::default().queue_messages;
        let dropped = (total / 2 - kept) as u64;
        assert_eq!(peer.counters().dropped_notifications, dropped);
        assert_eq!(ticks.recv().await, Some(Err(Missed::Lagged(dropped))));
        assert_eq!(ticks.recv().await.unwrap().unwrap()["n"], dropped);
        drop(other);
        driving.await.unwrap().unwrap();
        before.check(16 * MEBI).await;
    });
}

#[test]
fn long_notifications_that_nobody_reads() {
    alone("long_notifications_that_nobody_reads", || async {
        let before = Before::take();
        let (driving, peer, mut other) = client().await;
        let ticks = peer.notifications::<Ticked>();
        // Each kept notification comes in a buffer with a neighbour that is not kept, and must not keep that.
        let noise = format!(
            r#"{{"jsonrpc":"2.0","method":"x/other","params":{{"x":"{}"}}}}"#,
            "x".repeat(60_000)
        );
        let kept = format!(
            r#"{{"jsonrpc":"2.0","method":"x/ticked","params":{{"x":"{}"}}}}"#,
            "x".repeat(5000)
        );
        flood(&mut other, 4000, |n| {
            if n % 2 == 0 {
                noise.clone()
            } else {
                kept.clone()
            }
        })
        .await;
        other.pong().await;
        drop(ticks);
        drop(other);
        driving.await.unwrap().unwrap();
        // 2,000 times 5,000 bytes are within the queue's bound.
        before.check(24 * MEBI).await;
    });
}

#[test]
fn a_million_unknown_responses() {
    alone("a_million_unknown_responses", || async {
        let total = 1_000_000;
        let before = Before::take();
        let (driving, peer, mut other) = client().await;
        flood(&mut other, total, |n| {
            format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, n + 1000)
        })
        .await;
        other.pong().await;
        assert_eq!(peer.counters().unknown_responses, total as u64);
        // The connection is as good as ever.
        let calling =
            peer.request_raw("x".into(), ObjectBuf::new(), CallOptions::default(), |_| ());
        let answering = async {
            let request = other.next().await;
            other
                .send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }))
                .await;
        };
        assert!(tokio::join!(calling, answering).0.is_ok());
        drop(other);
        driving.await.unwrap().unwrap();
        assert_eq!(peer.closed().await, Closed::ByPeer);
        before.check(4 * MEBI).await;
    });
}

#[test]
fn a_hundred_thousand_requests_at_once() {
    alone("a_hundred_thousand_requests_at_once", || async {
        let total = 100_000;
        let before = Before::take();
        let (driving, peer, mut other) = server(serve(|_| std::future::pending())).await;
        let tasks_before = tasks();
        let Other { mut read, write } = other;
        let reading = tokio::spawn(async move {
            let mut refused = 0;
            let mut line = String::new();
            while !line.contains("pong") {
                refused += usize::from(line.contains(r#""code":-32603"#));
                line.clear();
                read.read_line(&mut line).await.unwrap();
            }
            (refused, read)
        });
        let (ours, _unused) = ends();
        other = Other {
            read: BufReader::new(split(ours).0),
            write,
        };
        flood(&mut other, total, |n| {
            format!(r#"{{"jsonrpc":"2.0","id":{},"method":"x"}}"#, n + 1)
        })
        .await;
        other
            .send(&json!({ "jsonrpc": "2.0", "id": "pong", "method": "ping" }))
            .await;
        let (refused, read) = reading.await.unwrap();
        // The documented limit, and no task more.
        assert_eq!(refused, total - 1024);
        assert_eq!(peer.counters().refused_requests, refused as u64);
        assert_eq!(tasks(), tasks_before + 1024);
        drop((read, other));
        // Handlers that never finish have their time, and then are dropped.
        let start = Instant::now();
        let _ = driving.await.unwrap();
        assert!(start.elapsed() <= Options::default().drain);
        before.check(16 * MEBI).await;
    });
}

#[test]
fn requests_opened_and_cancelled_without_end() {
    alone("requests_opened_and_cancelled_without_end", || async {
        let before = Before::take();
        let (driving, _peer, mut other) = server(serve(|_| std::future::pending())).await;
        flood(&mut other, 200_000, |n| {
            let id = n / 2 + 1;
            match n % 2 {
                0 => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#),
                _ => format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#),
            }
        })
        .await;
        other.pong().await;
        drop(other);
        driving.await.unwrap().unwrap();
        before.check(8 * MEBI).await;
    });
}

#[test]
fn half_a_message_and_no_more() {
    alone("half_a_message_and_no_more", || async {
        let before = Before::take();
        let (driving, peer, mut other) = client().await;
        // As long as it may be, and then nothing.
        other
            .write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{\"x\":\"")
            .await;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..15 * 16 {
            other.write_all(&piece).await;
        }
        // The other direction works, and so do timeouts.
        let start = Instant::now();
        let outcome = peer
            .request_raw("x".into(), ObjectBuf::new(), CallOptions::default(), |_| ())
            .await;
        assert!(
            matches!(outcome, Err(RequestError::TimedOut(_))),
            "{outcome:?}"
        );
        assert_eq!(start.elapsed().as_secs(), 60);
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        assert!(!driving.is_finished(), "it may stall for ever");
        // It closes in the middle: what there was is counted as a message that is none, and the connection ends.
        drop(other);
        driving.await.unwrap().unwrap();
        assert_eq!(peer.counters().malformed, 1);
        assert_eq!(peer.closed().await, Closed::ByPeer);
        // The message's length, doubled where the buffer grows.
        before.check(64 * MEBI).await;
    });
}

#[test]
fn a_message_without_an_end_is_not_kept() {
    alone("a_message_without_an_end_is_not_kept", || async {
        let before = Before::take();
        let (driving, peer, mut other) = client().await;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..256 * 16 {
            other.write_all(&piece).await;
        }
        other.write_all(b"\n").await;
        other.pong().await;
        assert_eq!(peer.counters().malformed, 1);
        drop(other);
        driving.await.unwrap().unwrap();
        before.check(64 * MEBI).await;
    });
}

/// Writes for as long as it is taken, reads nothing, and says how much was taken.
async fn write_only(mut other: Other, line: &str) -> (Other, usize) {
    let mut taken = 0;
    while tokio::time::timeout(
        Duration::from_secs(1),
        other.write.write_all(line.as_bytes()),
    )
    .await
    .is_ok()
    {
        taken += 1;
    }
    (other, taken)
}

#[test]
fn a_peer_that_reads_nothing_of_long_answers() {
    alone("a_peer_that_reads_nothing_of_long_answers", || async {
        let before = Before::take();
        let text = "x".repeat(MEBI);
        let (driving, peer, mut other) = server(serve(move |_| {
            let result = ObjectBuf::encode(&json!({ "text": text })).unwrap();
            std::future::ready(Answer::Result(result))
        }))
        .await;
        let start = Instant::now();
        // The same id again and again: what is answered may have it again.
        let mut asked = 0;
        loop {
            asked += 1;
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{asked},\"method\":\"x\"}}\n");
            let writing = other.write.write_all(line.as_bytes());
            if tokio::time::timeout(Duration::from_secs(1), writing)
                .await
                .is_err()
                || asked > 10_000
            {
                break;
            }
        }
        let ended = driving.await.unwrap();
        assert!(
            matches!(ended, Err(ConnectionError::Stalled(_))),
            "{ended:?}"
        );
        assert!(start.elapsed() <= Duration::from_secs(62));
        let minute = Options::default().write_timeout;
        assert_eq!(peer.closed().await, Closed::Stalled(minute));
        // 16 MiB of answers, and what is between them and the pipe.
        before.check(40 * MEBI).await;
    });
}

#[test]
fn a_peer_that_reads_nothing_of_what_it_asks_for() {
    alone("a_peer_that_reads_nothing_of_what_it_asks_for", || async {
        let before = Before::take();
        let (driving, peer, other) = server(serve(|_| std::future::ready(ok()))).await;
        // Refused under a name that is repeated, however long.
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":\"{}\",\"method\":5}}\n",
            "i".repeat(60_000)
        );
        let (other, taken) = write_only(other, &line).await;
        assert!(taken < 1000, "{taken}");
        let ended = driving.await.unwrap();
        assert!(
            matches!(ended, Err(ConnectionError::Stalled(_))),
            "{ended:?}"
        );
        drop((other, peer));
        before.check(48 * MEBI).await;
    });
}

/// Makes requests and cancels each at once, reads nothing, and says how many were taken.
async fn asked_and_cancelled(other: &mut Other) -> usize {
    let mut asked = 0;
    while asked < 20_000 {
        let id = asked + 1_000_000;
        let lines = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"x\"}}\n\
             {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}\n"
        );
        let writing = other.write.write_all(lines.as_bytes());
        if tokio::time::timeout(Duration::from_secs(1), writing)
            .await
            .is_err()
        {
            break;
        }
        asked += 1;
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cancels_what_is_answered_and_reads_nothing() {
    let mut options = Options::default();
    options.answer_bytes = MEBI;
    // What the pipe takes on either side, and what the transport is ahead of it by.
    let most = MEBI / 256 + 3000;
    let long = serve(|_| {
        let result = ObjectBuf::encode(&json!({ "text": "x".repeat(1000) })).unwrap();
        std::future::ready(Answer::Result(result))
    });
    let (serving, _peer, mut other) = server_with(long, options.clone()).await;
    let taken = asked_and_cancelled(&mut other).await;
    assert!(taken < most, "{taken}");
    let (calling, _peer, mut nobody) = client_with(options).await;
    let taken = asked_and_cancelled(&mut nobody).await;
    assert!(taken < most, "{taken}");
    for ended in [serving.await.unwrap(), calling.await.unwrap()] {
        assert!(
            matches!(ended, Err(ConnectionError::Stalled(_))),
            "{ended:?}"
        );
    }
}

#[test]
fn a_peer_that_reads_nothing_of_what_it_is_told() {
    alone("a_peer_that_reads_nothing_of_what_it_is_told", || async {
        let before = Before::take();
        let (driving, peer, other) = client().await;
        let telling: Vec<_> = (0..8)
            .map(|_| {
                let peer = peer.clone();
                tokio::spawn(async move {
                    let tick = json!({ "text": "x".repeat(MEBI) });
                    while peer.notify::<Ticked>(&tick).await.is_ok() {}
                })
            })
            .collect();
        let ended = driving.await.unwrap();
        assert!(
            matches!(ended, Err(ConnectionError::Stalled(_))),
            "{ended:?}"
        );
        // Whoever was waiting for room is told.
        for task in telling {
            task.await.unwrap();
        }
        drop(other);
        // Eight of each in the making, and what waits for the pipe.
        before.check(48 * MEBI).await;
    });
}

#[test]
fn a_peer_that_closes_in_the_middle_of_everything() {
    alone("a_peer_that_closes_in_the_middle_of_everything", || async {
        let before = Before::take();
        for cut in [1, 20, 35] {
            let (driving, peer, mut other) = client().await;
            let calls: Vec<_> = (0..10)
                .map(|_| {
                    let peer = peer.clone();
                    tokio::spawn(async move {
                        peer.request_raw(
                            "x".into(),
                            ObjectBuf::new(),
                            CallOptions::default(),
                            |_| (),
                        )
                        .await
                    })
                })
                .collect();
            let request = other.next().await;
            let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} }).to_string();
            other.write_all(&answer.as_bytes()[..cut]).await;
            // Takes what comes and closes its side only: nothing is broken, it is over.
            other.write.shutdown().await.unwrap();
            driving.await.unwrap().unwrap();
            for call in calls {
                let outcome = call.await.unwrap();
                assert!(
                    matches!(
                        &outcome,
                        Err(RequestError::ConnectionLost(_) | RequestError::Misbehaved(_))
                    ),
                    "{outcome:?}"
                );
            }
            assert_eq!(peer.counters().malformed, 1);
            let mut rest = Vec::new();
            other.read.read_to_end(&mut rest).await.unwrap();
        }
        before.check(8 * MEBI).await;
    });
}
