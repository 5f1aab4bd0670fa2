//! Where a client's transports come from.

use std::future::Future;

use mcp_peer::Transport;
use mcp_peer::session::ConnectError;

/// Something that can make a transport to the same server again: an async closure, most often.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client::{Client, Reconnect};
/// use mcp_transport_stdio::ChildProcess;
///
/// let server = ChildProcess::new("files-server");
/// let client = Client::builder("me", "1.0.0")
///     .reconnect(Reconnect::default())
///     .connect_with(move || std::future::ready(server.spawn()))
///     .await?;
/// # Ok(()) }
/// ```
pub trait Connector: Send + 'static {
    /// What it makes.
    type Transport: Transport;
    /// Why it could not.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes one; the one before is gone by then.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Transport, Self::Error>> + Send;
}

impl<F, Fut, T, E> Connector for F
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Transport,
    E: std::error::Error + Send + Sync + 'static,
{
    type Transport = T;
    type Error = E;

    fn connect(&mut self) -> impl Future<Output = Result<T, E>> + Send {
        self()
    }
}

/// Why a connection could not be opened through a [`Connector`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError<E: std::error::Error + 'static> {
    /// There is no transport.
    #[error("no transport: {0}")]
    NoTransport(#[source] E),
    /// There is one, and the handshake failed on it.
    #[error(transparent)]
    Handshake(#[from] ConnectError),
}
