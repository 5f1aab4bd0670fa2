//! A room in which everybody hears what is said, with this toolkit.

use mcp_server::{Cx, JsonSchema, Notification, Server, ToolError, schemars, tool};
use mcp_transport_stdio::stdio;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Said {
    text: String,
}

impl Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Self;
}

async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

async fn say(cx: Cx, said: Said) -> Result<(), ToolError> {
    Ok(cx.hub().room("lobby").send::<Said>(&said).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new("chat", "1.0.0").with_notifications();
    let server = server.tool(tool("join", join)).tool(tool("say", say));
    Ok(server.serve(stdio()?).await?)
}
