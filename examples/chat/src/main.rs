//! `chat` serves the chat and its page; `chat join` is a client for the terminal.

use std::path::PathBuf;

use axum::serve::ListenerExt;
use chat::{Store, Terminal, router, server};
use clap::{Args, Parser, Subcommand};
use mcp_transport_ws::{AcceptOptions, connect};

/// A chat over MCP.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Joins a room from the terminal
    Join(Join),
}

#[derive(Args)]
struct Serve {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8765")]
    listen: String,
    /// Where to keep what is said; nowhere, if this is empty
    #[arg(long, default_value = "chat.sqlite")]
    db: PathBuf,
    /// A name by which the server is reached, besides those of this machine
    #[arg(long)]
    host: Vec<String>,
    /// A page's origin that may connect, besides those of this machine
    #[arg(long)]
    origin: Vec<String>,
}

#[derive(Args)]
struct Join {
    /// Where the server is
    #[arg(default_value = "ws://127.0.0.1:8765/mcp")]
    url: String,
    /// What to be called
    #[arg(long)]
    name: String,
    /// The room
    #[arg(long, default_value = "lobby")]
    room: String,
    /// A command that answers for a model: it gets the question on its stdin
    #[arg(long)]
    model: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    match cli.command {
        None => serve(cli.serve).await,
        Some(Command::Join(join)) => {
            let terminal = Terminal {
                server: connect(join.url),
                name: join.name,
                room: join.room,
                model: join.model,
            };
            Ok(terminal.run().await?)
        }
    }
}

async fn serve(args: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let store = match args.db.as_os_str().is_empty() {
        true => Store::in_memory()?,
        false => Store::open(&args.db)?,
    };
    let options = AcceptOptions::new();
    let options = args.host.into_iter().fold(options, AcceptOptions::host);
    let options = args.origin.into_iter().fold(options, AcceptOptions::origin);
    let listener = tokio::net::TcpListener::bind(&args.listen).await?;
    println!("http://{}/", listener.local_addr()?);
    // Without it, messages in a row wait for the peer's delayed acknowledgement: 40 ms.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    let router = router(server(store).start(), options);
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}
