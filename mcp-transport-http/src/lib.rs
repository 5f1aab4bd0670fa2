#![doc = include_str!("../README.md")]

#[cfg(any(feature = "client", feature = "server"))]
mod param;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "client", feature = "server"))]
mod sse;

#[cfg(feature = "server")]
pub use server::{
    Accepted, Body, Denied, HttpListener, HttpOptions, HttpService, HttpTransport,
    HttpTransportError, ListenerOptions, PeerAddr, Streams,
};
