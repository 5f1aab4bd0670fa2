//! Trying again, later each time.

use std::time::Duration;

use crate::connect::{Connect, ConnectError};
use crate::socket::WebSocket;
use crate::stream::ClientStream;

/// How long to wait before a lost connection is made again.
///
/// The wait doubles from `first` to `longest` and is shortened by chance, to half of it at most, so that the clients of a
/// server that was away do not all come back at once.
///
/// ```no_run
/// # async fn run(transport: impl Fn(mcp_transport_ws::WebSocket<mcp_transport_ws::ClientStream>)) {
/// use mcp_transport_ws::{Backoff, connect};
///
/// let server = connect("ws://127.0.0.1:8080/mcp");
/// let mut backoff = Backoff::default();
/// loop {
///     let Ok(socket) = backoff.connect(&server).await else { break };
///     transport(socket); // until it has ended
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// The wait before the next attempt, before chance shortens it; none before the first.
    next: Option<Duration>,
}

impl Default for Backoff {
    /// From 250 ms to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Waits from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: None,
        }
    }

    /// How long to wait before the next attempt; nothing before the first.
    pub fn next_wait(&mut self) -> Duration {
        let Some(wait) = self.next else {
            self.next = Some(self.first);
            return Duration::ZERO;
        };
        self.next = Some((wait * 2).min(self.longest));
        let mut chance = [0; 2];
        // Without randomness the wait is just not shortened.
        let _ = getrandom::fill(&mut chance);
        let share = f64::from(u16::from_ne_bytes(chance)) / f64::from(u16::MAX);
        wait.mul_f64(1.0 - share / 2.0)
    }

    /// Says that the connection was good: the next one is tried at once.
    pub fn reset(&mut self) {
        self.next = None;
    }

    /// Connects, however often it takes; a server that cannot be reached, or says 429 or 5xx, is tried again.
    ///
    /// # Errors
    /// [`ConnectError::Url`], [`ConnectError::Refused`] and [`ConnectError::Handshake`], which the next attempt would get too.
    ///
    /// # Cancel safety
    /// Cancel safe: the next call goes on waiting longer.
    pub async fn connect(
        &mut self,
        server: &Connect,
    ) -> Result<WebSocket<ClientStream>, ConnectError> {
        loop {
            tokio::time::sleep(self.next_wait()).await;
            match server.clone().await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "trying again");
                }
                Ok(socket) => {
                    self.reset();
                    // A server that takes connections and drops them at once is not to be hammered.
                    self.next = Some(self.first);
                    return Ok(socket);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl ConnectError {
    /// Whether another attempt may succeed without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) | Self::TimedOut(_) => true,
            Self::Refused { status, .. } => status.is_server_error() || status.as_u16() == 429,
            Self::Url(_) | Self::Handshake(_) => false,
        }
    }
}
