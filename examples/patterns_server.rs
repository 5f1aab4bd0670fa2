//! A server of both eras: one tool that logs, reports progress, asks the client's model and notifies.

use mcp_server::{Cx, Json, JsonSchema, Notification, Sampling, Server, ToolError, schemars, tool};
use mcp_transport_stdio::stdio;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Batch {
    /// Files to process
    file_ids: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct MessageReceived {
    text: String,
}
impl Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Self;
}

async fn batch_process(cx: Cx, args: Batch) -> Result<Json<MessageReceived>, ToolError> {
    cx.log().info("batch started").await;
    let progress = cx.progress().total(args.file_ids.len());
    for id in &args.file_ids {
        progress.step(format!("processed {id}")).await;
    }
    let text = cx.sample(Sampling::user("How was it?")).await?.to_text();
    let said = MessageReceived { text };
    cx.notify::<MessageReceived>(&said).await?;
    Ok(Json(said))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let batch = tool("batch_process", batch_process).describe("Process files");
    let server = Server::new("files", "1.0.0").with_notifications();
    Ok(server.tool(batch).serve(stdio()?).await?)
}
