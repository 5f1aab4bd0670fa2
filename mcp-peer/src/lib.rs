#![doc = include_str!("../README.md")]

mod closed;
mod context;
mod counters;
mod dispatch;
mod driver;
mod duplex;
mod inbox;
mod limits;
mod link;
mod listening;
mod mailbox;
mod outbox;
mod peer;
mod pending;
mod stall;
mod tap;
mod trace;
mod transport;

pub use closed::{Closed, ConnectionError};
pub use context::{Delivery, Question, RequestContext, Rounds};
pub use counters::Counters;
pub use dispatch::{Answer, Handler, HandlerFuture, NoHandler, Request};
pub use driver::{Connection, Driver, client, server};
pub use duplex::{Duplex, DuplexError, duplex};
pub use inbox::{Missed, Overflow, Receiver};
pub use limits::{Dispatch, KeepAlive, Options, ProgressPolicy};
pub use link::{ConnectionId, Link};
pub use listening::Listening;
pub use mailbox::{Mailbox, MailboxCounts, MailboxLimits, NotPosted};
pub use mcp_session as session;
pub use mcp_types as types;
pub use peer::{Peer, decode_result, encode_params};
pub use pending::ProgressUpdate;
pub use tap::{Direction, Tap, tap};
pub use transport::Transport;
