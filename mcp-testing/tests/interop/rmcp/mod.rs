//! A server and a client built on `rmcp`, for each end of an in-memory connection.
//!
//! ```text
//! let (left, right, log) = Wire::tap(64 * 1024);
//! let server = rmcp_server().serve(right);                // or: our server on `right`
//! let client = rmcp_client(left, Era::Modern).await?;     // or: our client on `left`
//! ```

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of the doubles"
)]
#![expect(
    deprecated,
    reason = "rmcp deprecates logging and sampling with revision 2026-07-28, and they are what we test"
)]

mod client;
mod server;

pub(crate) use client::{Era, RmcpClient, Seen, rmcp_client, rmcp_client_with};
pub(crate) use server::{Received, RmcpServer, Serving, question, rmcp_server};
