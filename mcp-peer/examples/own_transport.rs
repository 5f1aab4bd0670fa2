//! A transport of one's own: each message is a frame with its length in front, as some sockets and queues want it.

use std::future::ready;
use std::io;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use mcp_peer::Transport;
use mcp_peer::types::{Inbound, Outbound};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Frames of JSON over a stream of bytes, each after its length in four bytes.
///
/// A transport is whatever is a stream of `Inbound` and a sink of `Outbound`: nothing has to be implemented if there are
/// combinators that make one. A frame that is no message is an item like any other; a broken stream is an error.
fn length_prefixed<Io>(io: Io) -> impl Transport<TransportError = io::Error>
where
    Io: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut codec = LengthDelimitedCodec::new();
    codec.set_max_frame_length(16 * 1024 * 1024);
    let frames = Box::pin(Framed::new(io, codec));
    frames
        .map(|frame| frame.map(|frame| Inbound::parse(frame.freeze(), Default::default())))
        .with(|outbound: Outbound| {
            let mut frame = BytesMut::new();
            outbound.message.write(&mut frame);
            ready(Ok::<Bytes, io::Error>(frame.freeze()))
        })
}

// ---- a client and a server that speak over it ----

use std::sync::Arc;

use mcp_peer::session::{CallOptions, ClientConfig, ServerConfig};
use mcp_peer::types::{Implementation, ObjectBuf};
use mcp_peer::{Answer, HandlerFuture, NoHandler, Options, Request};

fn echo(request: Request) -> HandlerFuture {
    let params = request.params.and_then(ObjectBuf::from_raw);
    Box::pin(ready(Answer::Result(params.unwrap_or_default())))
}

pub(crate) async fn run() -> Result<String, Box<dyn std::error::Error>> {
    let (left, right) = tokio::io::duplex(1024);
    let info = Implementation::new("example", "1");
    let config = ServerConfig::new(info.clone());
    let server = mcp_peer::server(
        length_prefixed(right),
        config,
        Arc::new(echo),
        Options::default(),
    );
    let serving = tokio::spawn(server.driver);

    let (config, handler) = (ClientConfig::new(info), Arc::new(NoHandler));
    let client = mcp_peer::client(length_prefixed(left), config, handler, Options::default());
    tokio::spawn(client.driver);
    client.peer.opened().await?;
    let params = ObjectBuf::encode(&serde_json::json!({ "text": "hello" }))?;
    let echoed = client
        .peer
        .request_raw("x/echo".into(), params, CallOptions::default(), |_| ())
        .await?;
    client.peer.close();
    serving.await??;
    Ok(echoed.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run().await?);
    Ok(())
}
