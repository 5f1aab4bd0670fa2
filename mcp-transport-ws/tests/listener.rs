//! The listener's limits, upgrades within an HTTP server, and coming back.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_testing::soon;
use mcp_transport_ws::http::StatusCode;
use mcp_transport_ws::{
    AcceptOptions, ConnectError, Listener, ListenerLimits, Tracked, WebSocket, connect,
};
use mcp_types::{Inbound, Message};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A listener in a task of its own; who has come in comes out of the channel.
async fn listen(limits: ListenerLimits) -> (String, mpsc::Receiver<WebSocket<Tracked>>) {
    let bound = Listener::bind("127.0.0.1:0", AcceptOptions::new()).await;
    let mut listener = bound.unwrap().limits(limits);
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(async move { while send.send(listener.accept().await.socket).await.is_ok() {} });
    (url, receive)
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_has_its_turn_later() {
    let mut limits = ListenerLimits::default();
    limits.connections = 2;
    let (url, mut accepted) = listen(limits).await;
    let mut first = soon(connect(&url)).await.unwrap();
    let _second = soon(connect(&url)).await.unwrap();
    let refused = soon(connect(&url)).await;
    assert!(matches!(
        &refused,
        Err(ConnectError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, body }) if body == "too many connections"
    ));

    let mut server = accepted.recv().await.unwrap();
    let (closed, end) = tokio::join!(first.close(), server.next());
    assert!(closed.is_ok() && end.is_none());
    drop(server);
    soon(connect(&url)).await.unwrap();
}

#[tokio::test]
async fn who_dawdles_over_the_handshake_holds_up_nobody() {
    let (url, mut accepted) = listen(ListenerLimits::default()).await;
    let addr = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(b"GET / HT").await.unwrap();
        slow.push(tcp);
    }
    let mut client = soon(connect(&url)).await.unwrap();
    let mut server = accepted.recv().await.unwrap();
    let ping = Message::request(1, "ping", None);
    client.send(ping.clone().into()).await.unwrap();
    let got = soon(server.next()).await.unwrap().unwrap();
    assert_eq!(got, Inbound::Message(ping));
}

#[tokio::test]
async fn handshakes_wait_for_their_second() {
    let mut limits = ListenerLimits::default();
    limits.handshakes_per_second = 20;
    let (url, mut accepted) = listen(limits).await;
    let start = std::time::Instant::now();
    for _ in 0..30 {
        soon(connect(&url)).await.unwrap();
        accepted.recv().await.unwrap();
    }
    // Twenty at once, then one each 50 ms.
    assert!(start.elapsed() >= Duration::from_millis(450));
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn within_an_http_server() {
    use mcp_transport_ws::{AcceptError, Handshake, upgrade};

    let (send, mut accepted) = mpsc::channel(16);
    let handler = move |mut request: axum::extract::Request| {
        let send = send.clone();
        async move {
            let upgrade = upgrade(&mut request, &AcceptOptions::new()).await;
            if let Some(pending) = upgrade.pending {
                tokio::spawn(async move {
                    let accepted = pending.accept().await?;
                    let _ = send.send(accepted).await;
                    Ok::<_, AcceptError>(())
                });
            }
            upgrade.response
        }
    };
    let app = axum::Router::new().route("/mcp", axum::routing::get(handler));
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = tcp.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(tcp, app).await });

    let mut client = soon(connect(format!("ws://{addr}/mcp?x"))).await.unwrap();
    let ping = Message::request(1, "ping", None);
    client.send(ping.clone().into()).await.unwrap();
    let mut accepted = soon(accepted.recv()).await.unwrap();
    let handshake = accepted.extensions.get::<Handshake>().unwrap();
    assert_eq!(handshake.uri, "/mcp?x");
    let got = soon(accepted.socket.next()).await.unwrap().unwrap();
    assert_eq!(got, Inbound::Message(ping));
    let (closed, end) = tokio::join!(client.close(), accepted.socket.next());
    assert!(closed.is_ok() && end.is_none());

    let elsewhere = soon(connect(format!("ws://{addr}/"))).await;
    assert!(matches!(&elsewhere, Err(ConnectError::Refused { status, .. }) if *status == 404));
    let said = elsewhere.unwrap_err().to_string();
    assert_eq!(said, "the server refused with 404 Not Found");
    let evil = connect(format!("ws://{addr}/mcp")).header(
        "origin".parse().unwrap(),
        "https://evil.example".parse().unwrap(),
    );
    assert!(matches!(soon(evil).await, Err(ConnectError::Refused { status, .. }) if status == 403));
}
