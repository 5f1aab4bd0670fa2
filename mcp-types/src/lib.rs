#![doc = include_str!("../README.md")]

pub mod error;
pub mod id;
pub mod message;
pub mod meta;
pub mod method;
pub mod object;
mod parse;
pub mod raw;
mod scan;
pub mod version;

pub use error::{ErrorCode, ErrorObject};
pub use id::{ProgressToken, RequestId};
pub use message::{
    EnvelopeFault, Inbound, Malformed, MalformedKind, Message, NotificationMessage, Outbound,
    RequestMessage, ResponseMessage,
};
pub use meta::Meta;
pub use method::{MethodName, Notification, Request};
pub use object::ObjectBuf;
pub use parse::ParseLimits;
pub use raw::RawJson;
pub use scan::{ScanError, ScanErrorKind};
pub use version::{Era, ProtocolVersion};
