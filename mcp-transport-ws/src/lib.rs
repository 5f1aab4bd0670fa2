#![doc = include_str!("../README.md")]

mod accept;
mod close;
mod connect;
mod error;
mod frames;
mod handshake;
mod keepalive;
mod listener;
mod policy;
mod socket;
mod stream;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "hyper")]
mod upgrade;

pub use accept::{AcceptError, Accepted, accept};
pub use close::{Close, CloseCode};
pub use connect::{Connect, ConnectError, connect};
pub use error::{Error, Violation};
pub use handshake::SUBPROTOCOL;
pub use http;
pub use keepalive::KeepAlive;
pub use listener::{Listener, ListenerLimits, Tracked};
pub use policy::{AcceptOptions, Handshake, Refusal};
pub use socket::{Limits, WebSocket};
pub use stream::ClientStream;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
#[cfg(feature = "hyper")]
pub use upgrade::{PendingUpgrade, Upgrade, upgrade};
