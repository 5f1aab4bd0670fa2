//! The engine as a value: no runtime, no clock. Each test reads like the transcript of a connection.
#![cfg(test)]

mod admission;
mod batches;
mod calls;
mod cancellation;
mod gating;
mod handshake;
mod logging;
mod notify;
mod progress;
mod rounds_client;
mod rounds_server;
mod subscriptions;
mod support;
mod timeouts;
