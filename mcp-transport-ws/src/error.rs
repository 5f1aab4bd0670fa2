//! How a connection breaks.

use std::fmt;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use crate::close::{Close, CloseCode};

/// Why a connection ended early.
///
/// What says that the peer is gone has an [`io::Error`] for its source, as such errors have on other transports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream below failed.
    Io(io::Error),
    /// The stream ended without a close frame: the peer is gone, or something between is.
    Cut,
    /// The peer closed, and not because it was done.
    Closed(Close),
    /// The peer broke the protocol; it was told so by a close frame.
    Violation(Violation),
    /// A ping was not answered, and nothing else came either.
    Unresponsive(Duration),
    /// The peer took nothing of what was to be sent.
    Stalled(Duration),
    /// It was used after it had ended.
    Ended,
}

/// That the peer is gone.
static GONE: LazyLock<io::Error> = LazyLock::new(|| io::ErrorKind::ConnectionAborted.into());

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the stream failed: {error}"),
            Self::Cut => f.write_str("the stream ended without a close frame"),
            Self::Closed(close) => write!(f, "the peer closed the connection: {close}"),
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::Unresponsive(time) => {
                write!(f, "nothing came from the peer within {time:?} of a ping")
            }
            Self::Stalled(time) => write!(f, "the peer took nothing for {time:?}"),
            Self::Ended => f.write_str("the connection has ended"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Cut | Self::Closed(_) => Some(&*GONE),
            Self::Violation(violation) => Some(violation),
            Self::Unresponsive(_) | Self::Stalled(_) | Self::Ended => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// How a peer breaks the protocol; each has the code that the connection is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A client that does not mask, or a server that does.
    #[error("clients must mask, servers must not")]
    Masking,
    /// Bits that no extension was negotiated for.
    #[error("reserved bits are set")]
    ReservedBits,
    /// An opcode without a meaning.
    #[error("unknown opcode {0}")]
    Opcode(u8),
    /// A control frame in parts.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    #[error("control frame over 125 bytes")]
    LongControl,
    /// A continuation of nothing.
    #[error("nothing to continue")]
    Continuation,
    /// A message within a message.
    #[error("a message within another")]
    Interrupted,
    /// A close frame with half a code.
    #[error("ill-formed close frame")]
    CloseFrame,
    /// A binary message.
    #[error("messages are text")]
    Binary,
    /// Text or a close reason that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A frame or a message over the limit.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More than a thousand control frames within a second.
    #[error("too many control frames")]
    Flood,
}

impl Violation {
    /// The code that the connection is closed with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Binary => CloseCode::UNSUPPORTED,
            Self::NotUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::TooLong { .. } => CloseCode::TOO_BIG,
            Self::Flood => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL,
        }
    }
}
