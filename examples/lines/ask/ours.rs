//! A tool that logs, reports progress and asks the model, with this toolkit.

use mcp_server::{Cx, Sampling, Server, ToolError, tool};
use mcp_transport_stdio::stdio;

async fn poem(cx: Cx) -> Result<String, ToolError> {
    cx.log().info("asking").await;
    cx.progress().step("asking").await;
    Ok(cx.sample(Sampling::user("A poem.")).await?.to_text())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new("poems", "1.0.0").tool(tool("poem", poem));
    Ok(server.serve(stdio()?).await?)
}
