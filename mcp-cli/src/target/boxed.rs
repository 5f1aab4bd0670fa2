//! One type for every transport.

use std::error::Error;
use std::fmt;
use std::pin::Pin;

use futures::{Sink, SinkExt, Stream, TryStreamExt};
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

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Makes a transport one of any kind.
pub(crate) fn boxed<T: Transport>(transport: T) -> Boxed {
    let broken = |error: T::TransportError| Broken(Box::new(error));
    Box::pin(transport.sink_map_err(broken).map_err(broken))
}
