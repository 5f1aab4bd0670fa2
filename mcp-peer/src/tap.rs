//! A look at every message that passes.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;
use mcp_types::{Inbound, Outbound};
use pin_project_lite::pin_project;

/// Which way a message passes, seen from the side that holds the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// Wraps a transport so that `see` is called with every message before it goes on.
///
/// `see` runs within the driver and should return quickly.
pub fn tap<T, F: FnMut(Direction, &Inbound)>(transport: T, see: F) -> Tap<T, F> {
    Tap { transport, see }
}

pin_project! {
    /// A transport whose messages are seen; made by [`tap`].
    pub struct Tap<T, F> {
        #[pin]
        transport: T,
        see: F,
    }
}

impl<T: std::fmt::Debug, F> std::fmt::Debug for Tap<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl<T, F, E> Stream for Tap<T, F>
where
    T: Stream<Item = Result<Inbound, E>>,
    F: FnMut(Direction, &Inbound),
{
    type Item = T::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        let item = this.transport.poll_next(cx);
        if let Poll::Ready(Some(Ok(inbound))) = &item {
            (this.see)(Direction::In, inbound);
        }
        item
    }
}

impl<T, F> Sink<Outbound> for Tap<T, F>
where
    T: Sink<Outbound>,
    F: FnMut(Direction, &Inbound),
{
    type Error = T::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Outbound) -> Result<(), T::Error> {
        let this = self.project();
        // A clone shares its bodies.
        (this.see)(Direction::Out, &Inbound::Message(item.message.clone()));
        this.transport.start_send(item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_close(cx)
    }
}
