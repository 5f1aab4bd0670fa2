#![doc = include_str!("../README.md")]

mod context;
mod dispatch;
mod driver;
mod duplex;
mod inbox;
mod outbox;
mod peer;
mod pending;
mod tap;
mod transport;

pub use context::{Delivery, Question, RequestContext, Rounds};
pub use dispatch::{Answer, Handler, HandlerFuture, NoHandler, Request};
pub use driver::{Connection, ConnectionError, Driver, Options, client, server};
pub use duplex::{Duplex, DuplexError, duplex};
pub use inbox::{Missed, Overflow, Receiver};
pub use mcp_session as session;
pub use mcp_types as types;
pub use peer::{Peer, decode_result, encode_params};
pub use pending::ProgressUpdate;
pub use tap::{Direction, Tap, tap};
pub use transport::Transport;
