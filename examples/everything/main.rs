//! A server with everything that the official conformance suite asks a server for, as far as it is there yet.

mod ask;
mod content;
mod resources;
mod tasks;

use mcp_server::{Replay, ReplayKeys, Server, ToolDef};
use mcp_transport_http::{HttpListener, HttpService};
use mcp_transport_stdio::{shutdown_signal, stdio};
use mcp_transport_ws::{AcceptOptions, Listener};

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
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => Ok(server().serve(stdio()?).await?),
        [flag, address] if flag == "--http" => http(address, false).await,
        [flag, address] if flag == "--http-sse" => http(address, true).await,
        [flag, address] if flag == "--ws" => ws(address).await,
        _ => Err("usage: everything [--http ADDRESS | --http-sse ADDRESS | --ws ADDRESS]".into()),
    }
}

/// With `REPLAY_KEY` in the environment, 64 hexadecimal digits, input rounds are not kept in this process but replayed: whoever
/// has the same key can serve the next one.
fn rounds(server: Server) -> Result<Server, Box<dyn std::error::Error>> {
    let Ok(digits) = std::env::var("REPLAY_KEY") else {
        return Ok(server);
    };
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        let pair = digits
            .get(2 * at..2 * at + 2)
            .ok_or("REPLAY_KEY is too short")?;
        *byte = u8::from_str_radix(pair, 16)?;
    }
    Ok(server.replay(Replay::new(ReplayKeys::new(key))))
}

/// Serves `http://ADDRESS/mcp` until a signal ends it; with the transport of 2024-11-05, too, if that is wanted.
async fn http(address: &str, http_sse: bool) -> Result<(), Box<dyn std::error::Error>> {
    let server = rounds(server())?.start();
    let catalog = server.catalog();
    let service = HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
        .path("/mcp")
        .tool_schemas(move |tool| catalog.input_schema(tool));
    let service = if http_sse {
        service.http_sse()
    } else {
        service
    };
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
        tokio::spawn(server.serve_with(accepted.socket, accepted.extensions));
    }
}
