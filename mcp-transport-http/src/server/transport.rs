//! What the service hands to the program.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Sink, Stream};
use mcp_types::{Extensions, Inbound, Outbound};

use super::exchange::ExchangeTransport;
use super::session::SessionTransport;

/// One connection of a client's: a modern request by itself, or a legacy session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// What the server is to be connected to.
    pub transport: HttpTransport,
    /// What is known about the client: the [`http::HeaderMap`] of the request, or of the one that opened the session; the
    /// [`PeerAddr`](super::PeerAddr), where the listener knows it; the [`Principal`](mcp_types::Principal), if there is an
    /// authentication; and [`Streams`](super::Streams) of a legacy session.
    pub extensions: Extensions,
}

/// The server's end of a connection over HTTP: a stream of [`Inbound`], a sink of [`Outbound`].
#[derive(Debug)]
pub struct HttpTransport(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Exchange(ExchangeTransport),
    Session(SessionTransport),
}

/// Never happens: a client that goes away ends the stream, and what is sent to it then is dropped or kept for its return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpTransportError {}

impl Stream for HttpTransport {
    type Item = Result<Inbound, HttpTransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let inbound = match &mut self.0 {
            Kind::Exchange(exchange) => exchange.poll_next(cx),
            Kind::Session(session) => session.poll_next(cx),
        };
        inbound.map(|inbound| inbound.map(Ok))
    }
}

impl Sink<Outbound> for HttpTransport {
    type Error = HttpTransportError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HttpTransportError>> {
        match &mut self.0 {
            Kind::Exchange(exchange) => exchange.poll_ready(cx).map(Ok),
            Kind::Session(session) => session.poll_ready(cx).map(Ok),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, outbound: Outbound) -> Result<(), HttpTransportError> {
        match &mut self.0 {
            Kind::Exchange(exchange) => exchange.send(outbound),
            Kind::Session(session) => session.send(outbound),
        }
        Ok(())
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HttpTransportError>> {
        match &mut self.0 {
            Kind::Exchange(exchange) => exchange.poll_ready(cx).map(Ok),
            Kind::Session(session) => session.poll_ready(cx).map(Ok),
        }
    }

    fn poll_close(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), HttpTransportError>> {
        Poll::Ready(Ok(()))
    }
}
