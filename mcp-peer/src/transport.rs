//! What a connection is made of.

use futures_core::Stream;
use futures_sink::Sink;
use mcp_types::{Inbound, Outbound};

/// Anything that yields [`Inbound`] and accepts [`Outbound`] is a transport; there is nothing to implement.
///
/// A bad message is an item of the stream ([`Inbound::Malformed`]), a broken connection is an error. After an
/// error or the end of the stream nothing more is read. The sink is fed until it is not ready, then flushed once.
/// Where a request can be lost alone, its id is an item, too ([`Malformed::lost`](mcp_types::Malformed::lost)).
///
/// `tokio_util::codec::Framed<Io, mcp_codec::LineCodec>` is one, for every `Io` that reads and writes bytes.
///
/// ```
/// fn is_a_transport<T: mcp_peer::Transport>() {}
/// is_a_transport::<mcp_peer::Duplex>();
/// is_a_transport::<tokio_util::codec::Framed<tokio::io::DuplexStream, mcp_codec::LineCodec>>();
/// ```
pub trait Transport:
    Stream<Item = Result<Inbound, Self::TransportError>>
    + Sink<Outbound, Error = Self::TransportError>
    + Send
    + 'static
{
    /// How a connection breaks.
    type TransportError: std::error::Error + Send + Sync + 'static;
}

impl<T, E> Transport for T
where
    T: Stream<Item = Result<Inbound, E>> + Sink<Outbound, Error = E> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    type TransportError = E;
}
