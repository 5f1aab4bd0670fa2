//! How a WebSocket says that it closes.

use std::fmt;

/// Why a connection closes, by number (RFC 6455 section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Done: what a client says.
    pub const NORMAL: Self = Self(1000);
    /// A server that shuts down, or a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The frames break the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A binary message: this binding has text only.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The peer's close frame had no code; never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// Against a rule of this end's own.
    pub const POLICY: Self = Self(1008);
    /// A frame or message over the limit.
    pub const TOO_BIG: Self = Self(1009);

    /// Whether this is how a connection ends when nothing is wrong.
    pub(crate) fn is_regular(self) -> bool {
        matches!(self, Self::NORMAL | Self::GOING_AWAY | Self::NO_STATUS)
    }
}

/// What a close frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why, by number.
    pub code: CloseCode,
    /// Why, in words; at most 123 bytes of it are sent.
    pub reason: String,
}

impl Close {
    /// A code with a reason, which may be empty.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code.0)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        Ok(())
    }
}
