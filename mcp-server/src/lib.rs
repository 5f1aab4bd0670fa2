#![doc = include_str!("../README.md")]

mod backplane;
mod catalog;
mod complete;
mod context;
mod decode;
mod elicit;
mod error;
mod form;
mod group;
mod handler;
mod hub;
#[cfg(feature = "tower")]
mod layer;
mod logs;
mod middleware;
mod news;
mod pages;
mod park;
mod prompt;
mod replay;
mod resource;
mod result;
mod room;
mod rounds;
mod router;
mod schema;
mod seal;
mod served;
mod server;
mod shelf;
mod tasks;
mod template;
mod time;
mod tool;
mod validate;

pub use backplane::{Audience, Backplane, BackplaneError, Node, Post, Publishing};
pub use catalog::{Catalog, Changes, Offer, Refused};
pub use complete::{IntoCompletion, Typed};
pub use context::{Cx, Log, ProgressReporter, Total};
pub use elicit::Elicited;
pub use error::{HandlerError, ToolError};
pub use group::{Group, Item, Mounted};
pub use handler::{FromInput, Handler, IntoOutput, Kind, Running, With, kind, with};
pub use hub::Hub;
#[cfg(feature = "tower")]
pub use layer::{RouterFuture, RouterService};
#[cfg(feature = "macros")]
pub use mcp_macros::{data, notification, prompt, resource, tool};
pub use mcp_peer::session::{Limits, NotSent, RequestError};
pub use mcp_peer::types;
pub use mcp_peer::types::{Extensions, Notification, Principal, Sampling, TaskSupport};
pub use mcp_peer::{
    Answer, ConnectionError, ConnectionId, Delivery, Direction, Dispatch, KeepAlive, Link, Options,
    Request, Tap, Transport, duplex, tap,
};
pub use middleware::{Middleware, Next, Serving};
pub use pages::Cached;
pub use park::ParkLimits;
pub use prompt::{IntoPrompt, PromptDef, prompt};
pub use replay::Replay;
pub use resource::{IntoContents, ResourceDef, resource};
pub use result::{IntoToolResult, Json};
pub use room::{
    Departure, Lagged, LaggedParams, Member, NotJoined, NotPublished, Presence, Room, RoomOptions,
    WhenFull,
};
pub use schemars::{self, JsonSchema};
pub use seal::ReplayKeys;
pub use serde;
pub use served::Served;
pub use server::{NotConnected, RefusedConnection, ServeError, Server, ServerConnection};
pub use tasks::{MemoryTasks, StoreError, Storing, TaskOptions, TaskOwner, TaskRecord, TaskStore};
pub use tool::{ToolDef, tool};
