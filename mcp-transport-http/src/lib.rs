#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
mod client;
#[cfg(any(feature = "client", feature = "server"))]
mod head;
#[cfg(any(feature = "client", feature = "server"))]
#[cfg_attr(
    not(all(feature = "client", feature = "server")),
    expect(dead_code, reason = "one side reads what the other writes")
)]
mod param;
#[cfg(any(feature = "client", feature = "server"))]
#[cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "a client waits for room in any case")
)]
mod queue;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "client", feature = "server"))]
#[cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "a client only reads")
)]
#[doc(hidden)]
pub mod sse;

pub use http;

#[cfg(feature = "client")]
pub use client::{HttpClient, HttpClientOptions, HttpConnection, HttpError, UrlError};
#[cfg(feature = "rustls")]
pub use rustls;
#[cfg(feature = "server")]
pub use server::{
    Accepted, Body, Denied, HttpListener, HttpOptions, HttpService, HttpTransport,
    HttpTransportError, ListenerOptions, PeerAddr, Streams,
};
