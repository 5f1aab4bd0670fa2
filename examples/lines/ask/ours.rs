//! A tool that logs, reports progress and asks the model, with this toolkit.

use mcp_server::{Cx, Sampling, Server, ToolError, tool};

#[tool]
async fn poem(cx: Cx) -> Result<String, ToolError> {
    cx.log().info("asking").await;
    cx.progress().step("asking").await;
    Ok(cx.sample(Sampling::user("A poem.")).await?.to_text())
}

mcp_transport_stdio::main!(Server::new("poems", "1.0.0").tool(poem::tool()));
