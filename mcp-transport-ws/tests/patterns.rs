//! The four traffic patterns, in both eras, over a real WebSocket, and what a handler knows of its connection.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_client::{Client, CreateMessageResult, Reconnect};
use mcp_server::{Cx, JsonSchema, Notification, Sampling, Server, ToolError, schemars, tool};
use mcp_testing::soon;
use mcp_transport_ws::http::header::AUTHORIZATION;
use mcp_transport_ws::http::{HeaderValue, StatusCode};
use mcp_transport_ws::{AcceptOptions, ConnectError, Handshake, Listener, Refusal, connect};
use mcp_types::{Era, Extensions, Principal};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Said {
    text: String,
}
impl Notification for Said {
    const METHOD: &'static str = "chat.message_received";
    type Params = Self;
}

async fn everything(cx: Cx) -> Result<String, ToolError> {
    cx.log().info("started").await;
    let progress = cx.progress().total(3);
    for step in ["one", "two", "three"] {
        progress.step(step).await;
    }
    let text = cx.sample(Sampling::user("How was it?")).await?.to_text();
    cx.notify::<Said>(&Said { text: text.clone() }).await?;
    let who = cx.extension::<Principal>().unwrap();
    let path = cx.extension::<Handshake>().unwrap().uri.to_string();
    let local = cx.extension::<SocketAddr>().unwrap().ip().is_loopback();
    Ok(format!("{text} {who} {path} {local}"))
}

async fn serve() -> SocketAddr {
    let options = AcceptOptions::new().authorize(|handshake| async move {
        match handshake.headers.get(AUTHORIZATION) {
            Some(token) if token == "Bearer secret" => {
                Ok(Extensions::new().with(Principal::new("alice")))
            }
            _ => Err(Refusal::unauthorized(HeaderValue::from_static("Bearer"))),
        }
    });
    let mut listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::new("server", "1")
        .with_notifications()
        .tool(tool("everything", everything))
        .start();
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await;
            assert!(accepted.socket.stream().tcp().nodelay().unwrap());
            let connection = server
                .connect_with(accepted.socket, accepted.extensions)
                .unwrap();
            tokio::spawn(async move {
                let _handle = connection.peer;
                connection.driver.await
            });
        }
    });
    addr
}

async fn all_patterns(era: Era) {
    let addr = serve().await;
    let url = format!("ws://{addr}/mcp?a=b");
    let secret = HeaderValue::from_static("Bearer secret");
    let socket = connect(url).header(AUTHORIZATION, secret).await.unwrap();
    assert!(socket.stream().tcp().nodelay().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = |kind: &'static str| {
        let seen = Arc::clone(&seen);
        move |what: String| seen.lock().unwrap().push(format!("{kind} {what}"))
    };
    let (log, said, progress) = (see("log"), see("said"), see("progress"));
    let choice = match era {
        Era::Legacy => mcp_client::EraChoice::Legacy,
        Era::Modern => mcp_client::EraChoice::Modern,
    };
    let client = Client::builder("client", "1")
        .era(choice)
        .on_log(move |message| log(message.data.to_string()))
        .on_notification::<Said>(move |params| said(params.text))
        .on_sampling(async |_| Ok(CreateMessageResult::text("model", "well")))
        .connect(socket)
        .await
        .unwrap();
    assert_eq!(client.era(), era);
    let call = client
        .call_tool("everything", serde_json::json!({}))
        .on_progress(move |update| progress(update.message.unwrap_or_default()));
    let result = soon(call).await.unwrap();
    assert_eq!(result.to_text(), "well alice /mcp?a=b true");
    let expected = [
        "log \"started\"",
        "progress one",
        "progress two",
        "progress three",
        "said well",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    soon(client.close()).await;
}

#[tokio::test]
async fn legacy() {
    all_patterns(Era::Legacy).await;
}

#[tokio::test]
async fn modern() {
    all_patterns(Era::Modern).await;
}

#[tokio::test]
async fn who_may_not_come_in_is_told_before_the_101() {
    let addr = serve().await;
    let refused = connect(format!("ws://{addr}/mcp")).await;
    assert!(matches!(
        refused,
        Err(ConnectError::Refused { status: StatusCode::UNAUTHORIZED, body }) if body == "credentials are required"
    ));
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let mut listener = Listener::bind("127.0.0.1:0", AcceptOptions::new())
        .await
        .unwrap();
    let url = format!("ws://{}/mcp", listener.local_addr().unwrap());
    let server = Server::new("server", "1").tool(tool("hello", || "hello"));
    let server = server.start();
    let (send, mut connected) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await;
            let connection = server
                .connect_with(accepted.socket, accepted.extensions)
                .unwrap();
            send.send(connection.peer).unwrap();
            tokio::spawn(connection.driver);
        }
    });
    let server = connect(url);
    let client = Client::builder("client", "1")
        .reconnect(Reconnect::default().delays(Duration::from_millis(1), Duration::from_millis(9)))
        .connect_with(move || server.clone().into_future())
        .await
        .unwrap();
    let first = client.server();
    soon(connected.recv()).await.unwrap().close();
    soon(client.peer().opened_after(&first)).await.unwrap();
    let hello = soon(client.call_tool("hello", serde_json::json!({}))).await;
    assert_eq!(hello.unwrap().to_text(), "hello");
    soon(connected.recv()).await.unwrap();
    soon(client.close()).await;
}
