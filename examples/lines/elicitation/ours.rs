//! A tool that asks the user for a form, with this toolkit.

use mcp_server::{Cx, JsonSchema, Server, ToolError, schemars, tool};
use mcp_transport_stdio::stdio;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Shirt {
    size: String,
}

async fn order(cx: Cx) -> Result<String, ToolError> {
    let shirt = cx.elicit::<Shirt>("Which shirt?").await?.accepted();
    Ok(shirt.map_or("no shirt".into(), |shirt| shirt.size))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new("shirts", "1.0.0").tool(tool("order", order));
    Ok(server.serve(stdio()?).await?)
}
