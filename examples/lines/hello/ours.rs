//! A tool that says hello, with this toolkit.

use mcp_server::{Server, tool};
use mcp_transport_stdio::stdio;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new("hello", "1.0.0").tool(tool("hello", || "Hello."));
    Ok(server.serve(stdio()?).await?)
}
