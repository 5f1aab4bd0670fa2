//! Uses a server at a URL: `http_client URL [auto|legacy|modern]` lists its tools and calls those that it knows,
//! `hello`, `steps` (which reports progress) and `ask` (which asks for a name).

use std::env;
use std::error::Error;

use mcp_client::types::ElicitResult;
use mcp_client::{Client, EraChoice};
use mcp_transport_http::HttpClient;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let era = match arguments.next().as_deref() {
        None | Some("auto") => EraChoice::Auto,
        Some("legacy") => EraChoice::Legacy,
        Some("modern") => EraChoice::Modern,
        Some(other) => return Err(format!("no such era: {other}").into()),
    };
    let client = Client::builder("http-client", env!("CARGO_PKG_VERSION"))
        .era(era)
        .on_elicitation(|_| async { Ok(ElicitResult::accept(json!({ "name": "Ada" }))) })
        .connect(HttpClient::new().connect(&url)?)
        .await?;
    println!("revision {}", client.server().version);
    for tool in client.list_tools().await? {
        if !["hello", "steps", "ask"].contains(&tool.name.as_str()) {
            continue;
        }
        let call = client.call_tool(&tool.name, json!({}));
        let result = call
            .on_progress(|update| println!("progress {}", update.progress))
            .await;
        match result {
            Ok(result) => println!("{}: {}", tool.name, result.to_text()),
            Err(error) => println!("{}: failed: {error}", tool.name),
        }
    }
    client.close().await;
    Ok(())
}
