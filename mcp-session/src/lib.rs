#![doc = include_str!("../README.md")]

mod admission;
mod config;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod inbound;
mod incoming;
mod methods;
mod outgoing;
mod permission;
mod rounds;
mod session;
mod text;
mod time;

pub use config::{ClientConfig, EraChoice, Limits, ServerConfig};
pub use error::{ApiMisuse, ConnectError, NotSent, PeerMisbehaved, RequestError};
pub use event::{
    CallKey, Caller, Cancellation, Established, Event, Incoming, IncomingKey, Progress, Retry,
};
pub use methods::takes_input;
pub use outgoing::CallOptions;
pub use permission::may_ask;
pub use rounds::{InputRequired, Question};
pub use session::{Counters, Role, Session};

/// The extension under which a modern peer's own notifications travel; both sides declare it or neither uses it.
pub const NOTIFICATIONS_EXTENSION: &str = "io.mcp-stack/notifications";
