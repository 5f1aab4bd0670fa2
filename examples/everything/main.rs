//! A server with everything that the official conformance suite asks a server for, as far as it is there yet.

mod ask;
mod content;
mod resources;
mod tasks;

use mcp_server::{Server, ToolDef};
use mcp_transport_stdio::stdio;

/// All of it.
fn server() -> Server {
    let server = Server::new("everything", env!("CARGO_PKG_VERSION"))
        .instructions("A server to try every feature on; nothing here does anything useful.")
        .with_subscriptions();
    let tools = content::tools().into_iter().chain(ask::tools());
    let tools = tools.chain(tasks::tools());
    let server = tools.fold(server, |server, tool: ToolDef| server.tool(tool));
    let server = resources::resources()
        .into_iter()
        .fold(server, Server::resource);
    resources::prompts()
        .into_iter()
        .chain(ask::prompts())
        .fold(server, Server::prompt)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(server().serve(stdio()?).await?)
}
