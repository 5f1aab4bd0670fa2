//! A room over WebSockets: how often its members' sockets are written to.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_server::{Cx, Notification, Server, ServerConnection, ToolError, tool};
use mcp_testing::soon;
use mcp_transport_ws::{AcceptOptions, WebSocket, accept, connect};
use mcp_types::{Inbound, Message, RawJson};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

#[derive(Serialize, Deserialize)]
struct Said {
    text: String,
}

impl Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Self;
}

/// Counts how often it is written to.
struct Counted {
    io: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A member that has joined, and how often its socket was written to.
async fn member(server: &ServerConnection) -> (WebSocket<DuplexStream>, Arc<AtomicUsize>) {
    let (io, there) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let options = AcceptOptions::new();
    let accepting = accept(Counted { io, writes }, &options);
    let connecting = connect("ws://localhost/").connect_on(there);
    let (accepted, client) = tokio::join!(accepting, connecting);
    let (accepted, mut client) = (accepted.unwrap(), client.unwrap());
    tokio::spawn(server.serve_with(accepted.socket, accepted.extensions));
    let initialize = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    });
    let join = json!({ "name": "join", "arguments": {} });
    for (id, method, params) in [(1, "initialize", initialize), (2, "tools/call", join)] {
        let request = Message::request(id, method, Some(RawJson::from(params)));
        client.send(request.into()).await.unwrap();
        soon(client.next()).await.unwrap().unwrap();
    }
    (client, counted)
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_written_at_once_to_each_member() {
    async fn join(cx: Cx) -> Result<(), ToolError> {
        cx.hub().room("room").join(&cx)?;
        Ok(())
    }
    let server = Server::new("test", "1").tool(tool("join", join)).start();
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(member(&server).await);
    }
    let room = server.hub().room("room");
    // One that a driver sends without looking at anything else in between, and a longer one.
    for burst in [50, 300] {
        let before: Vec<_> = (members
            .iter()
            .map(|(_, writes)| writes.load(Ordering::Relaxed)))
        .collect();
        for i in 0..burst {
            let text = i.to_string();
            room.send::<Said>(&Said { text }).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        for ((client, writes), before) in members.iter_mut().zip(before) {
            assert_eq!(
                writes.load(Ordering::Relaxed) - before,
                1,
                "a burst of {burst}"
            );
            for i in 0..burst {
                match soon(client.next()).await {
                    Some(Ok(Inbound::Message(message))) => {
                        let text = format!(r#"{{"text":"{i}"}}"#);
                        assert_eq!(message.body().unwrap().as_str(), text);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
