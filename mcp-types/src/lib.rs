#![doc = include_str!("../README.md")]

pub mod annotations;
pub mod cache;
pub mod capabilities;
pub mod error;
pub mod icons;
pub mod id;
pub mod lifecycle;
pub mod logging;
pub mod message;
pub mod meta;
pub mod method;
pub mod names;
pub mod object;
pub mod pagination;
mod parse;
pub mod progress;
pub mod raw;
mod scan;
pub mod version;

pub use annotations::{Annotations, Role};
pub use cache::CacheScope;
pub use capabilities::{
    ClientCapabilities, ElicitationCapability, PromptsCapability, ResourcesCapability,
    RootsCapability, SamplingCapability, ServerCapabilities, TaskElicitationCapability,
    TaskRequestsCapability, TaskSamplingCapability, TaskToolsCapability, TasksCapability,
    ToolsCapability,
};

pub use error::{ErrorCode, ErrorObject};
pub use icons::{Icon, IconTheme};
pub use id::{ProgressToken, RequestId};
pub use lifecycle::{
    Discover, DiscoverParams, DiscoverResult, Implementation, Initialize, InitializeParams,
    InitializeResult, Initialized, Ping,
};
pub use logging::{
    LogLevel, LogMessage, LogMessageParams, SetLevel, SetLevelParams, SetLevelResult,
};
pub use message::{
    EnvelopeFault, Inbound, Malformed, MalformedKind, Message, NotificationMessage, Outbound,
    RequestMessage, ResponseMessage,
};
pub use meta::Meta;
pub use method::{MethodName, Notification, Request};
pub use names::UnknownName;
pub use object::ObjectBuf;
pub use pagination::{Cursor, EmptyParams, EmptyResult, PaginatedParams};
pub use parse::ParseLimits;
pub use progress::{Cancelled, CancelledParams, Progress, ProgressParams};
pub use raw::RawJson;
pub use scan::{ScanError, ScanErrorKind};
pub use version::{Era, ProtocolVersion};
