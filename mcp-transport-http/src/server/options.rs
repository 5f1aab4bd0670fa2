//! Bounds and times of the server's side.

use std::time::Duration;

/// Bounds and times of the server's side; every one of them is on.
///
/// ```
/// let mut options = mcp_transport_http::HttpOptions::default();
/// options.sessions = 100;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Bytes of a request's body; a longer one is answered 413. Default 16 MiB.
    pub body_bytes: usize,
    /// How long a request's body may take to arrive; then 408. As long may what it says in a legacy session wait for its program
    /// to take up what it was told before, of which 1 MiB waits at most; then 503. Default 30 s.
    pub body_time: Duration,
    /// Requests at a time, open streams among them; one more is answered 503. Default 16,384.
    pub requests: usize,
    /// Legacy sessions at a time. One more ends the one that has been idle longest; if none is idle, it is answered 503.
    /// Default 10,000.
    pub sessions: usize,
    /// How long a legacy session may go without a request or an open stream; then it ends, and so does what it still does.
    /// Default 30 min.
    pub session_idle: Duration,
    /// Bytes of events that a legacy session keeps for clients who come back by `Last-Event-ID`; if it is too little for both,
    /// what was read has half of it, and what was not the other half. Answers that nobody has read yet have
    /// [`stream_bytes`](Self::stream_bytes) more. An event counts 256 more than its text, an answer 512. Default 256 KiB.
    pub replay_bytes: usize,
    /// Bytes of a legacy session, counted as above, that may wait for a slow reader before its handlers wait. Default 1 MiB.
    pub stream_bytes: usize,
    /// When a client whose stream has ended is to come back. Default 500 ms.
    pub retry: Duration,
    /// How long a stream may be silent before a comment is sent. Default 15 s.
    pub keep_alive: Duration,
    /// How long a modern request waits for its first message before the response's head is sent, after which an error has no
    /// status of its own any more. Default 15 s.
    pub patience: Duration,
    /// The same of a legacy request: its clients need an event to come back to if their connection is lost. Default 250 ms.
    pub legacy_patience: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            body_bytes: 16 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            requests: 16_384,
            sessions: 10_000,
            session_idle: Duration::from_secs(30 * 60),
            replay_bytes: 256 * 1024,
            stream_bytes: 1024 * 1024,
            retry: Duration::from_millis(500),
            keep_alive: Duration::from_secs(15),
            patience: Duration::from_secs(15),
            legacy_patience: Duration::from_millis(250),
        }
    }
}
