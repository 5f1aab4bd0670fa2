#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod call;
mod cancel;
mod client;
mod connector;
mod form;
mod group;
mod handlers;
mod incoming;
mod list;
mod progress;
mod reconnect;
mod rounds;
mod structured;
mod subscription;
mod tasks;

pub use builder::ClientBuilder;
pub use call::Call;
pub use cancel::Cancel;
pub use client::Client;
pub use connector::{Connector, OpenError};
pub use group::{ClientGroup, Failed, Merged, NameRefused, Of, UnknownServer};
pub use incoming::{Asked, Incoming};
pub use list::{Items, List, Paged};
pub use mcp_peer::session::{
    ApiMisuse, CallOptions, Cause, ConnectError, EraChoice, Established, Limits, NotSent,
    PeerMisbehaved, RequestError,
};
pub use mcp_peer::types;
pub use mcp_peer::types::{CreateMessageResult, Notification};
pub use mcp_peer::{
    Closed, Direction, Dispatch, KeepAlive, Missed, Options, Overflow, Peer, ProgressPolicy,
    ProgressUpdate, Receiver, RequestContext, Tap, Transport, duplex, tap,
};
pub use progress::Progressing;
pub use reconnect::Reconnect;
pub use rounds::Round;
pub use structured::{Structured, StructuredError};
pub use subscription::Subscription;
pub use tasks::{Started, Starting, TaskHandle};
