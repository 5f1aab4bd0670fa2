//! A connection that is served.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mcp_peer::session::ServerSetup;
use mcp_peer::types::{Extensions, Renew};
use mcp_peer::{Connection, Transport};

use crate::server::{NotConnected, ServeError, ServerConnection};

/// Serves one connection until it ends, from [`ServerConnection::serve`]; a transport may let another one follow.
#[must_use = "nothing happens on a connection unless it is polled"]
pub struct Served<T> {
    server: ServerConnection,
    setup: Arc<ServerSetup>,
    /// With its handle, for without any the driver would take the connection for one that nobody wants any more.
    connected: Result<Connection<T>, NotConnected>,
}

impl<T> Served<T> {
    pub(crate) fn new(
        server: ServerConnection,
        setup: Arc<ServerSetup>,
        connected: Result<Connection<T>, NotConnected>,
    ) -> Self {
        Self {
            server,
            setup,
            connected,
        }
    }
}

impl<T: Transport> Future for Served<T> {
    type Output = Result<(), ServeError<T::TransportError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.connected {
            Ok(connection) => {
                let ended = Pin::new(&mut connection.driver).poll(cx);
                ended.map_err(ServeError::Connection)
            }
            Err(why) => Poll::Ready(Err((*why).into())),
        }
    }
}

impl<T: Transport> Renew for Served<T> {
    fn rest(&mut self) -> bool {
        self.connected.as_mut().is_ok_and(Renew::rest)
    }

    fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions> {
        let server = &*self.server.0;
        let Ok(connection) = &mut self.connected else {
            return Err(extensions);
        };
        if !Arc::ptr_eq(&self.setup, &server.setup()) || server.keep_place().is_err() {
            return Err(extensions);
        }
        connection.renew(server.known(extensions))?;
        server.begun(&connection.peer);
        Ok(())
    }
}

impl<T> fmt::Debug for Served<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("connected", &self.connected.is_ok())
            .finish_non_exhaustive()
    }
}
