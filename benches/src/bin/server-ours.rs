//! The four tools on this toolkit: over stdio, or at `--unix PATH` or `--ws ADDRESS` for many clients.

use benches::Failure;
use benches::endpoint::{Endpoint, announce};
use mcp_transport_stdio::UnixServer;
use mcp_transport_ws::{AcceptOptions, Listener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let server = benches::ours::server();
    match Endpoint::from_args(std::env::args())? {
        Endpoint::Stdio => server.serve(mcp_transport_stdio::stdio()?).await?,
        Endpoint::Unix(path) => {
            let (server, listener) = (server.start(), UnixServer::bind(path)?);
            announce(listener.path().display())?;
            loop {
                let transport = listener.accept().await?;
                tokio::spawn(server.serve(transport));
            }
        }
        Endpoint::Ws(address) => {
            let server = server.start();
            let mut listener = Listener::bind(address, AcceptOptions::new()).await?;
            announce(listener.local_addr()?)?;
            loop {
                let accepted = listener.accept().await;
                tokio::spawn(server.serve_with(accepted.socket, accepted.extensions));
            }
        }
    }
    Ok(())
}
