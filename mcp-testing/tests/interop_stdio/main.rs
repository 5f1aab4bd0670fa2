//! Our client against servers of the official SDKs, as processes: what they offer is used, all of it.
//!
//! `interop/stdio/run` installs them and says by `INTEROP_STDIO` where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod python;
mod typescript;

use std::path::PathBuf;

use mcp_client::types::{
    CompleteParams, CreateMessageResult, ElicitMode, ElicitResult, LogLevel, Root,
};
use mcp_client::{Client, ClientBuilder, EraChoice};
use mcp_testing::{Journal, soon};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("INTEROP_STDIO").expect("interop/stdio/run sets it"))
}

/// A client with an answer to everything, and what it has seen.
struct Seen {
    logs: Journal<String>,
    asked: Journal<String>,
}

fn builder(era: EraChoice) -> (ClientBuilder, Seen) {
    let seen = Seen {
        logs: Journal::new(),
        asked: Journal::new(),
    };
    let (logs, samples, forms) = (seen.logs.clone(), seen.asked.clone(), seen.asked.clone());
    let builder = Client::builder("interop", "1.0.0")
        .era(era)
        .log_level(LogLevel::Debug)
        .on_log(move |log| logs.push(log.text()))
        .on_sampling(move |params| {
            samples.push(params.messages[0].to_text());
            std::future::ready(Ok(CreateMessageResult::text("stub-model", "Paris")))
        })
        .on_elicitation(move |params| {
            forms.push(params.message().to_owned());
            std::future::ready(Ok(match params.mode() {
                ElicitMode::Url => ElicitResult::accept_url(),
                _ => ElicitResult::accept(json!({ "name": "Ann" })),
            }))
        })
        .roots([Root::new("file:///work")]);
    (builder, seen)
}

async fn texts(client: &Client, tool: &str, arguments: Value) -> String {
    let result = soon(client.call_tool(tool, arguments)).await.unwrap();
    assert!(!result.is_error, "{tool}: {result:?}");
    result.to_text()
}

async fn completed(client: &Client, params: CompleteParams) -> Vec<String> {
    let result = soon(client.complete(&params)).await.unwrap();
    result.completion.values
}
