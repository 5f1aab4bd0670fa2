//! Bounds and times of a connection, and what is done at them.

use std::time::Duration;

use mcp_types::Extensions;

/// Bounds and times of a connection.
///
/// How many requests of the peer's are served at a time is the session's matter:
/// [`Limits::incoming_requests`](mcp_session::Limits::incoming_requests); one more is refused with an error that says so.
///
/// Bounds of none, or an interval of none, are taken for the least that is some.
///
/// ```
/// let mut options = mcp_peer::Options::default();
/// options.queue_messages = 100;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Bytes that handles and handlers may queue before they have to wait; a message counts 256 more than its body. Default 64 KiB.
    pub outbox_bytes: u32,
    /// Bytes of answers that may wait for the transport before nothing more is read; what is read may have to be answered. One
    /// that a handler has just given counts 256 more than its body. The answers of handlers that are at work come on top.
    /// Default 16 MiB.
    pub answer_bytes: usize,
    /// Notifications that a [`Receiver`](crate::Receiver) queues at most. Default 16,384.
    pub queue_messages: usize,
    /// Bytes of parameters that a [`Receiver`](crate::Receiver) queues at most, but one notification always. Default 16 MiB.
    pub queue_bytes: usize,
    /// Progress updates that a call queues at most for a caller who does not poll. Default 8,192.
    pub progress_updates: usize,
    /// Bytes of text in them that a call queues at most, but one update always. Default 1 MiB.
    pub progress_bytes: usize,
    /// Where handlers start. Default [`Dispatch::InPlace`].
    pub dispatch: Dispatch,
    /// How long handlers may go on when the peer has closed its end, or the program the connection. [`Duration::MAX`] is for
    /// ever. Default 5 s.
    pub drain: Duration,
    /// How long the transport may take nothing of what is to be sent; then the connection ends with
    /// [`ConnectionError::Stalled`](crate::ConnectionError::Stalled). [`Duration::MAX`] is for ever. Default 60 s.
    ///
    /// It counts from the last time the transport could go on writing, so a peer that reads slowly is not cut off. When
    /// everything is written, the transport has as long to close, whatever it waits for.
    pub write_timeout: Duration,
    /// Whether to ask a silent peer if it is there. Default `None`: not at all.
    pub keep_alive: Option<KeepAlive>,
    /// What is known about the connection; handlers get it by [`RequestContext::extension`](crate::RequestContext::extension).
    pub extensions: Extensions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            outbox_bytes: 64 * 1024,
            answer_bytes: 16 * 1024 * 1024,
            queue_messages: 16_384,
            queue_bytes: 16 * 1024 * 1024,
            progress_updates: 8192,
            progress_bytes: 1024 * 1024,
            dispatch: Dispatch::default(),
            drain: Duration::from_secs(5),
            write_timeout: Duration::from_secs(60),
            keep_alive: None,
            extensions: Extensions::new(),
        }
    }
}

/// Where handlers start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dispatch {
    /// A handler is polled once by the driver, right where its request was read, and gets a task of its own only if it is
    /// not ready then: what answers at once costs no task and no wake-up.
    #[default]
    InPlace,
    /// Each handler gets a task at once. For handlers that compute for long without awaiting anything, which would hold up
    /// the connection otherwise; it takes a runtime of several threads to be of use.
    Spawn,
}

/// How a silent peer is asked if it is there: by `ping`, which only legacy sessions have; a modern one is left alone.
///
/// ```
/// use std::time::Duration;
///
/// let mut options = mcp_peer::Options::default();
/// options.keep_alive = Some(mcp_peer::KeepAlive {
///     interval: Duration::from_secs(30),
///     timeout: Duration::from_secs(10),
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    /// It is asked if nothing came from it for that long, twice that at most.
    pub interval: Duration,
    /// If nothing at all comes within that time then, the connection ends with
    /// [`ConnectionError::Unresponsive`](crate::ConnectionError::Unresponsive). Silence proves nothing while this side does
    /// not read, because a lossless queue is full, or while something waits to be written: that is
    /// [`Options::write_timeout`]'s matter.
    pub timeout: Duration,
}

/// What happens to the progress of a call whose caller does not poll, when its queue is full.
///
/// Chosen by [`Calling::with_progress`](crate::Calling::with_progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProgressPolicy {
    /// The newest update replaces the one before it and says how many were skipped; the last one is never lost.
    #[default]
    Coalesce,
    /// Nothing is skipped: while the queue is full, nothing more is read from the connection, though timers and writing go
    /// on. A program that keeps such a call unpolled stalls all its calls until they time out. What is told of a
    /// [task](crate::TaskProgress) that has been answered with is coalesced.
    Lossless,
}
