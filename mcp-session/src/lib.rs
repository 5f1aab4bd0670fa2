#![doc = include_str!("../README.md")]

mod admission;
mod config;
mod deadlines;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod inbound;
mod incoming;
mod keys;
mod methods;
mod outgoing;
mod permission;
mod rounds;
mod session;
mod streams;
mod subscribed;
mod subscriptions;
mod text;
mod time;

pub use config::{ClientConfig, EraChoice, Limits, ServerConfig, ServerSetup};
pub use error::{ApiMisuse, Cause, ConnectError, NotSent, PeerMisbehaved, RequestError};
pub use event::{
    CallKey, Caller, Cancellation, Established, Event, Incoming, IncomingKey, Progress, Retry,
};
pub use keys::{Key, KeyMap};
pub use methods::takes_input;
pub use outgoing::CallOptions;
pub use permission::may_ask;
pub use rounds::{InputRequired, Question};
pub use session::{Counters, Role, Session, has_form};
pub use subscribed::Subscribed;

/// The types of messages, for those who drive a session themselves.
pub use mcp_types as types;
pub use mcp_types::NOTIFICATIONS_EXTENSION;
