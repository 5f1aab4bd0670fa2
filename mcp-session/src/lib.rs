#![doc = include_str!("../README.md")]

mod config;
mod error;
mod event;
mod incoming;
mod lifecycle;
mod outgoing;
mod rounds;
mod session;
mod text;

pub use config::{ClientConfig, EraChoice, Limits, ServerConfig};
pub use error::{ApiMisuse, ConnectError, NotSent, PeerMisbehaved, RequestError};
pub use event::{
    CallKey, Caller, Cancellation, Established, Event, Incoming, IncomingKey, Progress, Retry,
};
pub use incoming::may_ask;
pub use outgoing::CallOptions;
pub use rounds::{InputRequired, Question, takes_input};
pub use session::{Counters, Role, Session};

/// The extension under which a modern peer's own notifications travel; both sides declare it or neither uses it.
pub const NOTIFICATIONS_EXTENSION: &str = "io.mcp-stack/notifications";
