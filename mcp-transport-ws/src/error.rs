//! How a connection breaks.

use std::io;
use std::time::Duration;

use crate::close::{Close, CloseCode};

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream below failed.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
    /// The stream ended without a close frame: the peer is gone, or something between is.
    #[error("the stream ended without a close frame")]
    Cut,
    /// The peer closed, and not because it was done.
    #[error("the peer closed the connection: {0}")]
    Closed(Close),
    /// The peer broke the protocol; it was told so by a close frame.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// A ping was not answered, and nothing else came either.
    #[error("nothing came from the peer within {0:?} of a ping")]
    Unresponsive(Duration),
    /// The peer took nothing of what was to be sent.
    #[error("the peer took nothing for {0:?}")]
    Stalled(Duration),
    /// It was used after it had ended.
    #[error("the connection has ended")]
    Ended,
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
