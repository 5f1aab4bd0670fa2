//! One type for every transport.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Sink, Stream};
use mcp_client::types::{Inbound, Outbound};
use mcp_peer::Transport;

/// A transport of any kind.
pub(crate) type Boxed = Pin<Box<dyn Duplex>>;

/// What a transport consists of.
pub(crate) trait Duplex:
    Stream<Item = Result<Inbound, Broken>> + Sink<Outbound, Error = Broken> + Send
{
}

impl<T> Duplex for T where
    T: Stream<Item = Result<Inbound, Broken>> + Sink<Outbound, Error = Broken> + Send
{
}

/// How a connection of any kind broke.
#[derive(Debug)]
pub(crate) struct Broken(Box<dyn Error + Send + Sync>);

impl Broken {
    /// For a reason that no transport knows.
    pub(crate) fn new(reason: &'static str) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Makes a transport one of any kind.
pub(crate) fn boxed<T: Transport>(transport: T) -> Boxed {
    Box::pin(AnyKind(Box::pin(transport)))
}

/// A transport with errors of one type. Not by `sink_map_err`, which panics at the second one.
struct AnyKind<T>(Pin<Box<T>>);

fn broken<E: Error + Send + Sync + 'static>(error: E) -> Broken {
    Broken(Box::new(error))
}

impl<T: Transport> Stream for AnyKind<T> {
    type Item = Result<Inbound, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map_err(broken)
    }
}

impl<T: Transport> Sink<Outbound> for AnyKind<T> {
    type Error = Broken;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.as_mut().poll_ready(cx).map_err(broken)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), Broken> {
        self.0.as_mut().start_send(item).map_err(broken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.as_mut().poll_flush(cx).map_err(broken)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.as_mut().poll_close(cx).map_err(broken)
    }
}
