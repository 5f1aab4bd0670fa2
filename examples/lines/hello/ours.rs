//! A tool that says hello, with this toolkit.

use mcp_server::{Server, tool};

#[tool]
fn hello() -> &'static str {
    "Hello."
}

mcp_transport_stdio::main!(Server::new("hello", "1.0.0").tool(hello::tool()));
