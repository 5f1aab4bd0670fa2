//! A server with everything that the official conformance suite asks a server for, as far as it is there yet.

mod ask;
mod content;
mod resources;

use mcp_server::{Server, ToolDef};
use mcp_transport_http::{HttpListener, HttpService};
use mcp_transport_stdio::{shutdown_signal, stdio};
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
        [flag, address] if flag == "--http" => http(address).await,
        [flag, address] if flag == "--ws" => ws(address).await,
        _ => Err("usage: everything [--http ADDRESS | --ws ADDRESS]".into()),
    }
}

/// Serves `http://ADDRESS/mcp` until a signal ends it.
async fn http(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = server().start();
    let catalog = server.catalog();
    let service = HttpService::new(move |c| server.serve(c.transport, c.extensions))
        .path("/mcp")
        .tool_schemas(move |tool| catalog.input_schema(tool));
    let listener = HttpListener::bind(address).await?;
    eprintln!("listening on http://{}/mcp", listener.local_addr()?);
    let mut signal = Ok(());
    let end = async { signal = shutdown_signal().await };
    listener.serve(service, end).await;
    Ok(signal?)
}

/// Serves `ws://ADDRESS/` until it is ended.
async fn ws(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = server().start();
    let mut listener = Listener::bind(address, AcceptOptions::new()).await?;
    eprintln!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let accepted = listener.accept().await;
        // How a connection ends is its client's matter.
        tokio::spawn(server.serve(accepted.socket, accepted.extensions));
    }
}
