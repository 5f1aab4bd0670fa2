//! A server of both eras: one tool that logs, reports progress, asks the client's model and notifies.

use mcp_server::{Cx, Json, Sampling, Server, ToolError, notification, tool};

#[notification("chat.message_received")]
struct MessageReceived {
    text: String,
}

/// Process files
#[tool]
async fn batch_process(
    cx: Cx,
    /// Files to process
    file_ids: Vec<String>,
) -> Result<Json<MessageReceived>, ToolError> {
    cx.log().info("batch started").await;
    let progress = cx.progress().total(file_ids.len());
    for id in &file_ids {
        progress.step(format!("processed {id}")).await;
    }
    let text = cx.sample(Sampling::user("How was it?")).await?.to_text();
    let said = MessageReceived { text };
    cx.notify::<MessageReceived>(&said).await?;
    Ok(Json(said))
}

mcp_transport_stdio::main!(
    Server::new("files", "1.0.0")
        .with_notifications()
        .tool(batch_process::tool())
);
