//! A server with everything that the official conformance suite asks a server for, as far as it is there yet.

mod ask;
mod content;
mod resources;

use mcp_server::{Server, ToolDef};
use mcp_transport_stdio::stdio;
use mcp_transport_ws::{AcceptOptions, Listener};

/// All of it.
fn server() -> Server {
    let server = Server::new("everything", env!("CARGO_PKG_VERSION"))
        .instructions("A server to try every feature on; nothing here does anything useful.")
        .with_subscriptions();
    let tools = content::tools().into_iter().chain(ask::tools());
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
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => Ok(server().serve(stdio()?).await?),
        [flag, address] if flag == "--ws" => ws(address).await,
        _ => Err("usage: everything [--ws ADDRESS]".into()),
    }
}

/// Serves `ws://ADDRESS/` until it is ended.
async fn ws(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = server().start();
    let mut listener = Listener::bind(address, AcceptOptions::new()).await?;
    eprintln!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let accepted = listener.accept().await;
        let connection = server.connect_with(accepted.socket, accepted.extensions);
        tokio::spawn(async move {
            let _handle = connection.peer;
            // How a connection ends is its client's matter.
            let _ = connection.driver.await;
        });
    }
}
