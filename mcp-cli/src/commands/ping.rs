//! `mcp ping`: whether a server is there, and how long it takes to say so.

use std::time::{Duration, Instant};

use clap::Args;
use mcp_client::types::{Discover, EmptyParams, Era, Ping as Method};
use serde_json::json;

use super::no_more;
use crate::cli::seconds;
use crate::connect::{Connect, print};
use crate::exit::Failure;
use crate::render::Stdout;

/// Asks whether a server is there, and measures how long it takes to answer
///
/// A modern server knows no ping; it is asked what it is (`server/discover`) instead.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "mcp ping [OPTIONS] TARGET\n       mcp ping [OPTIONS] -- COMMAND [ARG]..."
)]
pub(crate) struct Ping {
    /// An address (unix:/path, tcp://, ws://, http://), or a server of the configuration file
    #[arg(value_name = "TARGET", num_args = 0..)]
    words: Vec<String>,

    /// How often to ask
    #[arg(long, short, default_value_t = 1, value_name = "N")]
    count: u32,

    /// How long to wait from one answer to the next question
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Ping) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    no_more(&args.words)?;
    connect
        .with(&target, connect.screen(), async |session| {
            for n in 1..=args.count {
                if n > 1 {
                    tokio::time::sleep(args.interval).await;
                }
                let started = Instant::now();
                let method = match session.client.era() {
                    Era::Legacy => session
                        .request::<Method>(&EmptyParams::default())
                        .await
                        .map(|_| "ping"),
                    _ => session
                        .request::<Discover>(&EmptyParams::default())
                        .await
                        .map(|_| "server/discover"),
                }?;
                let ms = started.elapsed().as_secs_f64() * 1e3;
                print(&match connect.json {
                    true => format!("{}\n", json!({ "n": n, "method": method, "ms": ms })),
                    false => format!("{target} answered {method} in {ms:.2} ms\n"),
                });
                if Stdout::ended().is_some() {
                    break;
                }
            }
            Ok(())
        })
        .await
}
