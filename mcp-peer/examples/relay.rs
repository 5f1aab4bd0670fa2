//! A relay: joins two transports and passes on whatever comes, without decoding what is in it.
//!
//! Only envelopes are looked at, so it speaks all revisions and whatever methods come: a bridge from one transport to another.

use std::fmt;

use futures::{SinkExt, StreamExt};
use mcp_peer::Transport;
use mcp_peer::types::{Inbound, Message, Outbound};

/// Why a relay has ended.
#[derive(Debug)]
pub(crate) enum Broken<L, R> {
    Left(L),
    Right(R),
}

impl<L: fmt::Display, R: fmt::Display> fmt::Display for Broken<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(error) => write!(f, "left: {error}"),
            Self::Right(error) => write!(f, "right: {error}"),
        }
    }
}

/// Passes on whatever comes until both sides have closed their ends.
///
/// Each direction waits until the other side has taken a message before it takes the next: a slow reader slows its writer
/// down, and the relay itself keeps nothing.
pub(crate) async fn relay<L: Transport, R: Transport>(
    left: L,
    right: R,
) -> Result<(), Broken<L::TransportError, R::TransportError>> {
    let (mut to_left, mut from_left) = left.split();
    let (mut to_right, mut from_right) = right.split();
    let rightwards = async {
        while let Some(inbound) = from_left.next().await {
            for message in messages(inbound.map_err(Broken::Left)?) {
                to_right.send(message).await.map_err(Broken::Right)?;
            }
        }
        to_right.close().await.map_err(Broken::Right)
    };
    let leftwards = async {
        while let Some(inbound) = from_right.next().await {
            for message in messages(inbound.map_err(Broken::Right)?) {
                to_left.send(message).await.map_err(Broken::Left)?;
            }
        }
        to_left.close().await.map_err(Broken::Left)
    };
    tokio::try_join!(rightwards, leftwards)?;
    Ok(())
}

/// A batch goes on message by message, as its receiver may answer it. What is no message ends here.
fn messages(inbound: Inbound) -> Vec<Outbound> {
    let messages = match inbound {
        Inbound::Message(message) => vec![message],
        Inbound::Batch(members) => members.into_iter().flatten().collect(),
        Inbound::Malformed(malformed) => {
            eprintln!("dropped: {malformed}");
            Vec::new()
        }
    };
    messages.into_iter().map(addressed).collect()
}

/// A transport with a stream for each request finds the one for a response by this.
fn addressed(message: Message) -> Outbound {
    let related_to = match &message {
        Message::Response(response) => response.id.clone(),
        Message::Request(_) | Message::Notification(_) => None,
    };
    Outbound {
        message,
        related_to,
    }
}

// ---- a client and a server on either side of it: one speaks lines, the other is in this process ----

use std::sync::Arc;

use mcp_peer::session::{CallOptions, ClientConfig, ServerConfig};
use mcp_peer::types::{Implementation, ObjectBuf};
use mcp_peer::{Answer, HandlerFuture, NoHandler, Options, Request, duplex};

fn reporting(request: Request) -> HandlerFuture {
    Box::pin(async move {
        for percent in [50.0, 100.0] {
            request.context.progress(percent, Some(100.0), None).await;
        }
        let params = request.params.and_then(ObjectBuf::from_raw);
        Answer::Result(params.unwrap_or_default())
    })
}

pub(crate) async fn run() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (client_end, left) = tokio::io::duplex(1024);
    let (right, server_end) = duplex(16);
    let relaying = tokio::spawn(relay(mcp_codec::framed(left), right));
    let info = Implementation::new("example", "1");
    let config = ServerConfig::new(info.clone());
    let server = mcp_peer::server(server_end, config, Arc::new(reporting), Options::default());
    tokio::spawn(server.driver);

    let (config, handler) = (ClientConfig::new(info), Arc::new(NoHandler));
    let client = mcp_peer::client(
        mcp_codec::framed(client_end),
        config,
        handler,
        Options::default(),
    );
    tokio::spawn(client.driver);
    client.peer.opened().await?;
    let mut seen = Vec::new();
    let mut options = CallOptions::default();
    options.progress = true;
    let params = ObjectBuf::encode(&serde_json::json!({ "text": "hello" }))?;
    let echoed = client
        .peer
        .request_raw("x/echo".into(), params, options, |update| {
            seen.push(update.to_string())
        })
        .await?;
    let echoed: serde_json::Value = echoed.decode()?;
    seen.push(echoed["text"].to_string());
    drop(client.peer);
    // The end is passed on, too.
    relaying.await?.map_err(|broken| broken.to_string())?;
    Ok(seen)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:?}", run().await?);
    Ok(())
}
