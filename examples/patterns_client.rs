//! The client of `patterns_server`; the same handlers answer a server of either era.

use mcp_client::{Client, CreateMessageResult, Notification};
use mcp_transport_stdio::ChildProcess;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct MessageReceived {
    text: String,
}
impl Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Self;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).ok_or("which server?")?;
    let client = Client::builder("me", "1.0.0")
        .on_log(|log| println!("{log}"))
        .on_notification::<MessageReceived>(|said| println!("chat: {}", said.text))
        .on_sampling(async |_| Ok(CreateMessageResult::text("no model", "All is well.")))
        .connect(ChildProcess::new(server).spawn()?)
        .await?;
    let files = serde_json::json!({ "file_ids": ["a.txt", "b.txt"] });
    let result = client
        .call_tool("batch_process", files)
        .on_progress(|progress| println!("{progress}"))
        .await?
        .ok()?;
    println!("{} in the {} era", result.to_text(), client.era());
    client.close().await;
    Ok(())
}
