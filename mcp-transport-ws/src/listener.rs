//! A server's listening socket.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::accept::{AcceptError, Accepted, accept, refuse};
use crate::keepalive::Alarm;
use crate::policy::{AcceptOptions, Refusal};

/// How many clients a [`Listener`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// Connections at a time, shaking hands or open; one more is answered 503. Default 10,000.
    pub connections: usize,
    /// Handshakes that begin within a second, and how many may do so at once; more wait in the system's queue. Default 1,000.
    pub handshakes_per_second: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshakes_per_second: 1000,
        }
    }
}

impl ListenerLimits {
    fn permits(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.connections.min(Semaphore::MAX_PERMITS)))
    }
}

/// Takes WebSocket connections from a TCP socket.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use mcp_transport_ws::{AcceptOptions, Listener};
///
/// let mut listener = Listener::bind("127.0.0.1:8080", AcceptOptions::new()).await?;
/// loop {
///     let accepted = listener.accept().await;
///     tokio::spawn(async move { drop(accepted.socket) });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    options: AcceptOptions,
    limits: ListenerLimits,
    permits: Arc<Semaphore>,
    handshakes: FuturesUnordered<Handshaking>,
    /// Handshakes that may begin now, and since when that is so.
    allowance: f64,
    allowed_at: Instant,
    /// The system has no descriptor left, say: when to try again.
    retry_at: Option<Instant>,
    alarm: Alarm,
}

type Handshaking = Pin<Box<dyn Future<Output = Result<Accepted<Tracked>, AcceptError>> + Send>>;

/// How long to wait after the system could not accept.
const RETRY: Duration = Duration::from_millis(100);

impl Listener {
    /// Listens at an address.
    ///
    /// # Errors
    /// The address cannot be listened at.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn bind(addr: impl ToSocketAddrs, options: AcceptOptions) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(addr).await?, options))
    }

    /// Listens on a socket that exists.
    pub fn new(tcp: TcpListener, options: AcceptOptions) -> Self {
        let limits = ListenerLimits::default();
        Self {
            tcp,
            options,
            permits: limits.permits(),
            allowance: f64::from(limits.handshakes_per_second),
            limits,
            handshakes: FuturesUnordered::new(),
            allowed_at: Instant::now(),
            retry_at: None,
            alarm: Alarm::default(),
        }
    }

    /// Sets how many clients it takes; to be called before the first is taken.
    #[must_use]
    pub fn limits(mut self, limits: ListenerLimits) -> Self {
        self.permits = limits.permits();
        self.allowance = f64::from(limits.handshakes_per_second);
        self.limits = limits;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next client that has come in, with its address among the extensions.
    ///
    /// Handshakes run side by side while this is awaited, so a slow one holds up nobody. One that fails is told at debug
    /// level, and nothing else happens: no client ends the listener.
    ///
    /// # Cancel safety
    /// Cancel safe: handshakes go on with the next call.
    pub async fn accept(&mut self) -> Accepted<Tracked> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<Tracked>> {
        loop {
            while let Poll::Ready(Some(done)) = self.handshakes.poll_next_unpin(cx) {
                match done {
                    Ok(accepted) => return Poll::Ready(accepted),
                    Err(error) => tracing::debug!(%error, "no connection"),
                }
            }
            if self.poll_allowance(cx).is_pending() {
                return Poll::Pending;
            }
            match self.tcp.poll_accept(cx) {
                Poll::Ready(Ok((tcp, peer))) => self.start(tcp, peer),
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "the system could not accept a connection");
                    if !is_the_clients(&error) {
                        self.retry_at = Some(Instant::now() + RETRY);
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready when one more handshake may begin.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let rate = f64::from(self.limits.handshakes_per_second.max(1));
            let gained = (now - self.allowed_at).as_secs_f64() * rate;
            self.allowance = (self.allowance + gained).min(rate);
            self.allowed_at = now;
            let retry_at = self.retry_at.filter(|at| *at > now);
            let wait = match retry_at {
                Some(at) => at,
                None if self.allowance >= 1.0 => return Poll::Ready(()),
                None => now + Duration::from_secs_f64((1.0 - self.allowance) / rate) + TICK,
            };
            std::task::ready!(self.alarm.poll(wait, cx));
        }
    }

    fn start(&mut self, tcp: TcpStream, peer: SocketAddr) {
        self.allowance -= 1.0;
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        let options = self.options.clone();
        self.handshakes.push(Box::pin(async move {
            let Some(permit) = permit else {
                let reason = "too many connections";
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
                let mut tcp = tcp;
                refuse(&mut tcp, &refusal).await?;
                return Err(AcceptError::Refused(refusal));
            };
            // Without it, messages in a row wait for the peer's delayed acknowledgement: 40 ms.
            tcp.set_nodelay(true)?;
            let io = Tracked {
                tcp,
                _permit: permit,
            };
            let mut accepted = accept(io, &options).await?;
            accepted.extensions.insert(peer);
            Ok(accepted)
        }));
    }
}

/// Whether it is a connection that failed, as it does for a client that is gone again, and not accepting: the next may be there.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

/// So that a wait that is rounded down does not fall short.
const TICK: Duration = Duration::from_millis(1);

/// A connection of a [`Listener`]: it counts as one until it is dropped.
#[derive(Debug)]
pub struct Tracked {
    tcp: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl Tracked {
    /// The TCP connection.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_next_client_would_meet_too_makes_it_wait() {
        for kind in [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::NetworkUnreachable,
        ] {
            assert!(is_the_clients(&kind.into()), "{kind}");
        }
        // ENFILE and EMFILE have no kind that could be named.
        #[cfg(unix)]
        for code in [23, 24] {
            assert!(!is_the_clients(&io::Error::from_raw_os_error(code)));
        }
        assert!(!is_the_clients(&io::ErrorKind::OutOfMemory.into()));
    }
}
