//! The server's side.

mod body;
mod driving;
mod exchange;
mod headers;
#[cfg(feature = "http-sse")]
mod http_sse;
mod lanes;
mod listener;
mod options;
mod origin;
mod pace;
mod post;
mod reply;
mod service;
mod session;
mod shutdown;
mod transport;

pub use body::Body;
pub use listener::{HttpListener, ListenerOptions};
pub use options::HttpOptions;
pub use service::{Denied, HttpService, PeerAddr};
pub use session::Streams;
pub use transport::{Accepted, HttpTransport, HttpTransportError};
