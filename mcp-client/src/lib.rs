#![doc = include_str!("../README.md")]

mod builder;
mod call;
mod cancel;
mod client;
mod connector;
mod handlers;
mod list;
mod progress;
mod reconnect;
mod subscription;

pub use builder::ClientBuilder;
pub use call::Call;
pub use cancel::Cancel;
pub use client::Client;
pub use connector::{Connector, OpenError};
pub use list::{List, Paged};
pub use mcp_peer::session::{
    CallOptions, ConnectError, EraChoice, Established, Limits, NotSent, RequestError,
};
pub use mcp_peer::types;
pub use mcp_peer::types::{CreateMessageResult, Notification};
pub use mcp_peer::{
    Missed, Options, Overflow, ProgressUpdate, Receiver, RequestContext, Transport,
};
pub use progress::Progressing;
pub use reconnect::Reconnect;
pub use subscription::Subscription;
