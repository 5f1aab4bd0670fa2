//! Everything that takes time, on a stopped clock: the times are exact.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::time::Duration;

use futures::stream::SplitSink;
use futures::{FutureExt, SinkExt, StreamExt};
use mcp_server::{Notification, Server};
use mcp_testing::soon;
use mcp_transport_ws::{
    AcceptError, AcceptOptions, Accepted, CloseCode, Error, WebSocket, accept, connect,
};
use mcp_types::{Extensions, Inbound, Message, Outbound, RawJson};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\n\r\n";
const HOUR: Duration = Duration::from_secs(3600);
const PING: &[u8] = &[0x89, 0];
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];

/// A server's end, and the client's as bytes.
async fn server(room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (here, mut there) = duplex(room);
    let options = AcceptOptions::new();
    let client = async {
        there.write_all(HANDSHAKE).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(there.read_u8().await.unwrap());
        }
        there
    };
    let (accepted, there) = tokio::join!(accept(here, &options), client);
    (accepted.unwrap().socket, there)
}

/// Both ends.
async fn pair(room: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (here, there) = duplex(room);
    let options = AcceptOptions::new();
    let connecting = connect("ws://localhost/").connect_on(there);
    let (accepted, client) = tokio::join!(accept(here, &options), connecting);
    (accepted.unwrap().socket, client.unwrap())
}

fn message(length: usize) -> Outbound {
    let text = RawJson::encode(&serde_json::json!({ "text": "x".repeat(length) })).unwrap();
    Message::notification("m", Some(text)).into()
}

fn seconds(since: Instant) -> f64 {
    // The timer's grain is a millisecond.
    (since.elapsed().as_secs_f64() * 100.0).round() / 100.0
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_after_20_s_and_given_up_after_40() {
    let (mut socket, mut peer) = server(1024).await;
    let start = Instant::now();
    let asked = async {
        let mut ping = [0; 2];
        peer.read_exact(&mut ping).await.unwrap();
        (ping, seconds(start))
    };
    let (end, (ping, asked)) = tokio::join!(socket.next(), asked);
    assert_eq!((&ping[..], asked), (PING, 20.0));
    assert!(matches!(end, Some(Err(Error::Unresponsive(t))) if t == Duration::from_secs(20)));
    assert_eq!(seconds(start), 40.0);
    assert!(socket.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn futures_that_are_dropped_forget_no_deadline() {
    let (mut socket, _peer) = server(1024).await;
    let start = Instant::now();
    let end = loop {
        if let Ok(end) = timeout(Duration::from_millis(700), socket.next()).await {
            break end;
        }
    };
    assert!(matches!(end, Some(Err(Error::Unresponsive(_)))));
    // The deadline is seen by whoever polls next.
    assert!((40.0..40.7).contains(&seconds(start)));
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_lives() {
    let (mut socket, mut peer) = server(1024).await;
    let answers = async {
        for _ in 0..100 {
            let mut ping = [0; 2];
            peer.read_exact(&mut ping).await.unwrap();
            sleep(Duration::from_secs(19)).await;
            peer.write_all(PONG).await.unwrap();
        }
        Instant::now()
    };
    let (end, last) = tokio::join!(socket.next(), answers);
    assert!(matches!(end, Some(Err(Error::Unresponsive(_)))));
    assert_eq!(seconds(last), 40.0);
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_say_nothing_keep_each_other() {
    let (mut server, mut client) = pair(1024).await;
    let (a, b) = tokio::join!(timeout(HOUR, server.next()), timeout(HOUR, client.next()));
    assert!(a.is_err() && b.is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_speaks_is_not_asked() {
    let (mut socket, mut peer) = server(1024).await;
    let speaks = async {
        for _ in 0..100 {
            sleep(Duration::from_secs(15)).await;
            peer.write_all(PONG).await.unwrap();
        }
        let mut buffer = [0; 16];
        timeout(Duration::from_millis(1), peer.read(&mut buffer)).await
    };
    tokio::select! {
        end = socket.next() => panic!("{end:?}"),
        sent = speaks => assert!(sent.is_err(), "it has sent something"),
    }
}

#[tokio::test(start_paused = true)]
async fn silence_says_nothing_about_what_was_not_read() {
    let (mut socket, mut peer) = server(1024).await;
    assert!(
        timeout(Duration::from_secs(21), socket.next())
            .await
            .is_err()
    );
    peer.write_all(PONG).await.unwrap();
    // The program does something else for an hour: a lossless queue is full, say.
    sleep(Duration::from_secs(3600)).await;
    let start = Instant::now();
    let end = socket.next().await;
    assert!(matches!(end, Some(Err(Error::Unresponsive(_)))));
    assert_eq!(seconds(start), 40.0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_waits_for_a_slow_reader_is_no_reason_to_give_it_up() {
    let (mut socket, mut peer) = server(512).await;
    let start = Instant::now();
    socket.feed(message(4000)).await.unwrap();
    // It takes nothing for 25 s, everything then, and answers the ping that comes behind it at once.
    let reads = async {
        sleep(Duration::from_secs(25)).await;
        let mut buffer = [0; 512];
        let mut all = Vec::new();
        while !all.ends_with(PING) {
            let read = peer.read(&mut buffer).await.unwrap();
            all.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(seconds(start), 25.0);
        peer.write_all(PONG).await.unwrap();
    };
    let (end, ()) = tokio::join!(socket.next(), reads);
    assert!(matches!(end, Some(Err(Error::Unresponsive(_)))));
    assert_eq!(seconds(start), 65.0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_end_gives_up_a_peer_that_takes_nothing_for_30_s() {
    let (mut socket, _peer) = server(4096).await;
    let start = Instant::now();
    let end = loop {
        if let Err(end) = socket.send(message(1000)).await {
            break end;
        }
    };
    assert!(
        matches!(end, Error::Stalled(t) if t == Duration::from_secs(30)),
        "{end}"
    );
    assert_eq!(seconds(start), 30.0);
    assert!(matches!(socket.send(message(1)).await, Err(Error::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_buffer_hides_no_peer_that_takes_nothing() {
    let (here, there) = duplex(512);
    let here = BufStream::with_capacity(1024, 64 << 10, here);
    let options = AcceptOptions::new();
    let connecting = connect("ws://localhost/").connect_on(there);
    let (accepted, _client) = tokio::join!(accept(here, &options), connecting);
    let mut socket = accepted.unwrap().socket;
    let start = Instant::now();
    let end = timeout(HOUR, socket.send(message(4000))).await.unwrap();
    assert!(matches!(end, Err(Error::Stalled(_))), "{end:?}");
    assert_eq!(seconds(start), 30.0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_sender_back_and_loses_nothing() {
    const MESSAGES: usize = 300;
    let (mut server, mut client) = pair(1024).await;
    let start = Instant::now();
    let sends = async {
        let mut longest = Duration::ZERO;
        for _ in 0..MESSAGES {
            let before = Instant::now();
            server.feed(message(1000)).await.unwrap();
            longest = longest.max(before.elapsed());
        }
        server.flush().await.unwrap();
        longest
    };
    let reads = async {
        for _ in 0..MESSAGES {
            sleep(Duration::from_secs(2)).await;
            let got = client.next().await.unwrap().unwrap();
            assert_eq!(got, Inbound::Message(message(1000).message));
        }
    };
    let (longest, ()) = tokio::join!(sends, reads);
    assert!(longest > Duration::ZERO, "nothing held it back");
    assert!(start.elapsed() >= Duration::from_secs(2 * MESSAGES as u64));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_of_a_byte_a_second_ends_after_10_s() {
    let (here, mut there) = duplex(1024);
    let start = Instant::now();
    let trickle = async {
        for byte in HANDSHAKE {
            there.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    };
    let options = AcceptOptions::new();
    tokio::select! {
        accepted = accept(here, &options) => assert!(matches!(accepted, Err(AcceptError::TimedOut))),
        () = trickle => panic!("it had its way"),
    }
    assert_eq!(seconds(start), 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_ends_with_the_handshake() {
    let (here, mut there) = duplex(1024);
    there.write_all(HANDSHAKE).await.unwrap();
    let options = AcceptOptions::new().authorize(|_| std::future::pending());
    let accepted: Result<Accepted<_>, _> = accept(here, &options).await;
    assert!(matches!(accepted, Err(AcceptError::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_not_waited_for() {
    let (_here, there) = duplex(1024);
    let start = Instant::now();
    let connecting = connect("ws://localhost/").connect_on(there).await;
    assert!(connecting.is_err());
    assert_eq!(seconds(start), 20.0);
}

#[tokio::test(start_paused = true)]
async fn goodbyes_are_answered() {
    let (mut server, mut client) = pair(1024).await;
    client.feed(message(10)).await.unwrap();
    let start = Instant::now();
    let server_side = async {
        assert!(matches!(server.next().await, Some(Ok(Inbound::Message(_)))));
        assert!(server.next().await.is_none());
        // The client reads nothing more; a handler that is still at work makes no mistake by that.
        server.send(message(10)).await.unwrap();
        server.close().await.unwrap();
    };
    let (closed, ()) = tokio::join!(client.close(), server_side);
    closed.unwrap();
    assert_eq!(seconds(start), 0.0);
}

#[tokio::test(start_paused = true)]
async fn both_may_say_goodbye_at_once() {
    let (mut server, mut client) = pair(1024).await;
    let start = Instant::now();
    let (a, b) = tokio::join!(server.close(), client.close());
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(seconds(start), 0.0);
    assert!(matches!(client.send(message(1)).await, Err(Error::Ended)));
    assert!(client.next().await.is_none() && server.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_nobody_answers_takes_5_s() {
    // One whose answer does not come, and one who does not even take it.
    for room in [1024, 256] {
        let (mut socket, _peer) = server(room).await;
        socket.feed(message(500)).await.unwrap();
        let start = Instant::now();
        socket.close().await.unwrap();
        assert_eq!(seconds(start), 5.0, "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn goodbye_is_said_once() {
    let (mut socket, mut peer) = server(1 << 20).await;
    // Buffers have grown, and are needed no longer.
    for length in [60_000, 1000, 1000, 1000, 1000] {
        peer.write_all(&text(&" ".repeat(length))).await.unwrap();
        soon(socket.next()).await.unwrap().unwrap();
    }
    assert!(socket.close().now_or_never().is_none());
    peer.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    socket.close().await.unwrap();
    drop(socket);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [0x88, 2, 0x03, 0xe9]);
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_says_who_closes_and_why() {
    let (mut server, mut client) = pair(1024).await;
    server.set_goodbye(CloseCode::POLICY);
    let (closed, seen) = tokio::join!(server.close(), client.next());
    closed.unwrap();
    assert!(matches!(seen, Some(Err(Error::Closed(close))) if close.code == CloseCode::POLICY));

    let (mut server, mut peer) = self::server(1024).await;
    let (_, read) = tokio::join!(timeout(Duration::from_secs(1), server.close()), async {
        let mut frame = [0; 4];
        peer.read_exact(&mut frame).await.map(|_| frame)
    });
    assert_eq!(read.unwrap(), [0x88, 2, 0x03, 0xe9], "a server goes away");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_the_middle_is_cut() {
    let (mut socket, peer) = server(1024).await;
    drop(peer);
    assert!(matches!(soon(socket.next()).await, Some(Err(Error::Cut))));
    assert!(socket.next().await.is_none());
}

/// Sends what the peer does not take, from a task of its own.
async fn sends(
    mut sink: SplitSink<WebSocket<DuplexStream>, Outbound>,
) -> JoinHandle<Result<(), Error>> {
    let sending = tokio::spawn(async move { sink.send(message(4000)).await });
    tokio::task::yield_now().await;
    assert!(!sending.is_finished());
    sending
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_the_sink_hears_of_the_end_that_the_stream_sees() {
    let (goodbye, binary) = ([0x88, 0x80, 0, 0, 0, 0], [0x82, 0x80, 0, 0, 0, 0]);
    for said in [goodbye, binary] {
        let (socket, mut peer) = server(512).await;
        let (sink, mut stream) = socket.split();
        let sending = sends(sink).await;
        peer.write_all(&said).await.unwrap();
        let start = Instant::now();
        let (_, sent) = tokio::join!(stream.next(), soon(sending));
        sent.unwrap().unwrap();
        assert_eq!(seconds(start), 5.0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_elsewhere_leaves_no_dead_peer_behind() {
    // Who sends comes before the ping is queued, or after.
    for comes in [0, 21] {
        let (mut socket, _peer) = server(512).await;
        let start = Instant::now();
        assert!(socket.send(message(4000)).now_or_never().is_none());
        let (sink, mut stream) = socket.split();
        let reading = tokio::spawn(async move { timeout(HOUR, stream.next()).await });
        sleep(Duration::from_secs(comes)).await;
        let sending = sends(sink).await;
        sleep(Duration::from_secs(1)).await;
        sending.abort();
        let end = reading.await.unwrap().unwrap();
        assert!(matches!(end, Some(Err(Error::Stalled(_)))), "{end:?}");
        assert_eq!(seconds(start), 30.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_is_given_up_ends_in_time_for_who_reads() {
    // One whose answer does not come, and one who does not even take it.
    for room in [1024, 256] {
        let (mut socket, _peer) = server(room).await;
        socket.feed(message(500)).await.unwrap();
        let start = Instant::now();
        let closed = timeout(Duration::from_secs(1), socket.close()).await;
        assert!(closed.is_err());
        assert!(soon(socket.next()).await.is_none());
        assert_eq!(seconds(start), 5.0, "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_is_given_up_reaches_the_peer() {
    let (mut socket, mut peer) = server(256).await;
    socket.feed(message(500)).await.unwrap();
    assert!(socket.close().now_or_never().is_none());
    let reads = async {
        let mut all = Vec::new();
        while !all.ends_with(&[0x88, 2, 0x03, 0xe9]) {
            all.push(peer.read_u8().await.unwrap());
        }
    };
    tokio::join!(soon(reads), async {
        assert!(socket.next().await.is_none())
    });
}

#[tokio::test(start_paused = true)]
async fn who_reads_and_who_closes_both_see_the_end() {
    for (reader_first, answers) in [(true, true), (true, false), (false, true), (false, false)] {
        let (socket, mut peer) = server(1024).await;
        let (mut sink, mut stream) = socket.split();
        let start = Instant::now();
        let read = tokio::spawn(async move {
            sleep(Duration::from_secs(u64::from(!reader_first))).await;
            soon(stream.next()).await
        });
        let close = tokio::spawn(async move {
            sleep(Duration::from_secs(u64::from(reader_first))).await;
            soon(sink.close()).await
        });
        sleep(Duration::from_secs(2)).await;
        if answers {
            peer.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        }
        let (read, close) = tokio::join!(read, close);
        assert!(read.unwrap().is_none());
        close.unwrap().unwrap();
        let closing = if reader_first { 6.0 } else { 5.0 };
        let expected = if answers { 2.0 } else { closing };
        assert_eq!(seconds(start), expected, "{reader_first} {answers}");
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct News {
    text: String,
}
impl Notification for News {
    const METHOD: &'static str = "chat.news";
    type Params = Self;
}

/// A client's text frame; its mask changes nothing.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0xfe][..], &length, &[0; 4], text.as_bytes()].concat()
}

#[tokio::test(start_paused = true)]
async fn a_whole_server_is_rid_of_a_dead_peer_in_time_quiet_or_busy() {
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"dead","version":"1"}}}"#;
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{        "_meta":{"length":"a text of more than 125 bytes has its length in two"}}}"#;
    for (busy, expected) in [(false, 40.0..40.2), (true, 30.0..33.0)] {
        let (socket, mut peer) = server(1024).await;
        let server = Server::new("server", "1").with_notifications().start();
        let connection = server.connect_with(socket, Extensions::new()).unwrap();
        tokio::spawn(async move { (connection.driver.await, connection.peer) });
        peer.write_all(&text(initialize)).await.unwrap();
        let mut answer = [0; 1024];
        while peer.read(&mut answer).await.unwrap() == answer.len() {}
        peer.write_all(&text(initialized)).await.unwrap();
        // From here on it neither reads nor writes, as behind a network that has gone.
        let start = Instant::now();
        while server.hub().connections() > 0 {
            if busy {
                let text = "x".repeat(100);
                server
                    .hub()
                    .broadcast::<News>(&News { text })
                    .await
                    .unwrap();
            }
            sleep(Duration::from_millis(100)).await;
        }
        let took = start.elapsed().as_secs_f64();
        assert!(expected.contains(&took), "busy: {busy}, after {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_leaves_what_is_to_be_sent_to_whoever_flushes() {
    let (mut socket, mut peer) = server(1024).await;
    for _ in 0..3 {
        socket.feed(message(1)).await.unwrap();
        assert!(socket.next().now_or_never().is_none());
    }
    assert!(
        peer.read_u8().now_or_never().is_none(),
        "nothing is written yet"
    );
    // But an answer to the peer does not wait for that.
    peer.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert!(socket.next().now_or_never().is_none());
    let mut bytes = [0; 256];
    let read = peer.read(&mut bytes).await.unwrap();
    assert!(bytes[..read].ends_with(&[0x8a, 0]), "{:?}", &bytes[..read]);
}
