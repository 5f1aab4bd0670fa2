//! A server over HTTP on a free port of loopback, which it prints: `http-server floor|ours|rmcp|rmcp-json`.

use std::io::Write;

use benches::Failure;
use benches::http::{Make, servers};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let make: Make = std::env::args().nth(1).unwrap_or_default().parse()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    servers::serve(make, listener).await
}
