//! How connections end.

use std::time::Duration;

use mcp_session::ConnectError;

/// How a connection broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError<E: std::error::Error> {
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(#[source] E),
    /// The transport failed, by an error of its own, while the connection was being opened: it is the
    /// [`source`](std::error::Error::source).
    #[error(transparent)]
    NotOpened(ConnectError),
    /// The transport took nothing of what was to be sent, or did not close, for so long
    /// ([`Options::write_timeout`](crate::Options::write_timeout)).
    #[error("the peer took nothing of what was sent for {0:?}")]
    Stalled(Duration),
    /// The peer was silent and did not answer a ping in time ([`Options::keep_alive`](crate::Options::keep_alive)).
    #[error("the peer did not answer a ping within {0:?}")]
    Unresponsive(Duration),
    /// The peer was cut off ([`Link::disconnect`](crate::Link::disconnect)).
    #[error("the peer was cut off")]
    CutOff,
}

/// Why there is no connection any more.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// This side closed it, or dropped its last handle.
    #[error("closed")]
    ByUs,
    /// The peer closed its end.
    #[error("the peer closed the connection")]
    ByPeer,
    /// It could not be opened.
    #[error("the connection could not be opened: {0}")]
    NotOpened(ConnectError),
    /// The transport failed.
    #[error("{0}")]
    Transport(String),
    /// The transport took nothing of what was to be sent, or did not close, for so long.
    #[error("the peer took nothing of what was sent for {0:?}")]
    Stalled(Duration),
    /// The peer was silent and did not answer a ping in time.
    #[error("the peer did not answer a ping within {0:?}")]
    Unresponsive(Duration),
    /// The peer was cut off ([`Link::disconnect`](crate::Link::disconnect)).
    #[error("the peer was cut off")]
    CutOff,
    /// Nobody drives it any more.
    #[error("the driver was dropped")]
    DriverDropped,
}

impl<E: std::error::Error> From<&ConnectionError<E>> for Closed {
    fn from(error: &ConnectionError<E>) -> Self {
        match error {
            ConnectionError::Transport(error) => Self::Transport(error.to_string()),
            ConnectionError::NotOpened(error) => Self::NotOpened(error.clone()),
            ConnectionError::Stalled(time) => Self::Stalled(*time),
            ConnectionError::Unresponsive(time) => Self::Unresponsive(*time),
            ConnectionError::CutOff => Self::CutOff,
        }
    }
}
