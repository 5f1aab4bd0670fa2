#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
mod client;
#[cfg(any(feature = "client", feature = "server"))]
mod head;
#[cfg(any(feature = "client", feature = "server"))]
mod param;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "client", feature = "server"))]
mod sse;

#[cfg(feature = "client")]
pub use client::{HttpClient, HttpClientOptions, HttpConnection, HttpError, UrlError};
#[cfg(feature = "server")]
pub use server::{
    Accepted, Body, Denied, HttpListener, HttpOptions, HttpService, HttpTransport,
    HttpTransportError, ListenerOptions, PeerAddr, Streams,
};
