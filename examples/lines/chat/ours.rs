//! A room in which everybody hears what is said, with this toolkit.

use mcp_server::{Cx, Server, ToolError, notification, tool};

#[notification("chat.said")]
struct Said {
    text: String,
}

#[tool]
async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

#[tool]
async fn say(cx: Cx, text: String) -> Result<(), ToolError> {
    Ok(cx.hub().room("lobby").send::<Said>(&Said { text }).await?)
}

mcp_transport_stdio::main!(
    Server::new("chat", "1.0.0")
        .with_notifications()
        .tool(join::tool())
        .tool(say::tool())
);
