#![doc = include_str!("../README.md")]

mod context;
mod result;
mod rounds;
mod router;
mod server;
mod tool;

pub use context::{Cx, Log, ProgressReporter, Total};
pub use mcp_peer::session::{Limits, NotSent, RequestError};
pub use mcp_peer::types;
pub use mcp_peer::types::{Notification, Sampling};
pub use mcp_peer::{Delivery, Options, Transport};
pub use result::{IntoToolResult, Json, ToolError};
pub use rounds::ParkLimits;
pub use schemars::{self, JsonSchema};
pub use server::{ServeError, Server, ServerConnection};
pub use tool::{ToolDef, ToolHandler, tool};
