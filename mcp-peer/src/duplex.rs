//! A connected pair in memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use mcp_types::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// A connected pair of transports in memory: what goes into one comes out of the other, its envelope never serialised.
///
/// `capacity` is the number of messages that may be under way in one direction.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::{SinkExt, StreamExt};
/// use mcp_types::{Inbound, Message};
///
/// let (mut left, mut right) = mcp_peer::duplex(16);
/// left.send(Message::notification("hello", None).into()).await?;
/// assert_eq!(right.next().await.unwrap()?, Inbound::Message(Message::notification("hello", None)));
/// # Ok(()) }
/// ```
pub fn duplex(capacity: usize) -> (Duplex, Duplex) {
    let (left_out, right_in) = mpsc::channel(capacity.max(1));
    let (right_out, left_in) = mpsc::channel(capacity.max(1));
    let left = Duplex {
        sender: PollSender::new(left_out),
        receiver: left_in,
    };
    let right = Duplex {
        sender: PollSender::new(right_out),
        receiver: right_in,
    };
    (left, right)
}

/// One end of a connected pair; see [`duplex`].
#[derive(Debug)]
pub struct Duplex {
    sender: PollSender<Outbound>,
    receiver: mpsc::Receiver<Outbound>,
}

/// The other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end of the duplex is gone")]
pub struct DuplexError;

impl Stream for Duplex {
    type Item = Result<Inbound, DuplexError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver
            .poll_recv(cx)
            .map(|item| item.map(|outbound| Ok(outbound.into())))
    }
}

impl Sink<Outbound> for Duplex {
    type Error = DuplexError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        Poll::Ready(ready!(self.sender.poll_reserve(cx)).map_err(|_| DuplexError))
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), DuplexError> {
        self.sender.send_item(item).map_err(|_| DuplexError)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), DuplexError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), DuplexError>> {
        self.sender.close();
        Poll::Ready(Ok(()))
    }
}
