#![doc = include_str!("../README.md")]

mod builder;
mod call;
mod client;
mod handlers;
mod list;

pub use builder::ClientBuilder;
pub use call::Call;
pub use client::Client;
pub use list::{List, Paged};
pub use mcp_peer::session::{
    CallOptions, ConnectError, EraChoice, Established, Limits, NotSent, RequestError,
};
pub use mcp_peer::types;
pub use mcp_peer::types::{CreateMessageResult, Notification};
pub use mcp_peer::{
    Missed, Options, Overflow, ProgressUpdate, Receiver, RequestContext, Transport,
};
