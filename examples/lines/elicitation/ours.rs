//! A tool that asks the user for a form, with this toolkit.

use mcp_server::{Cx, Server, ToolError, data, tool};

#[data]
struct Shirt {
    size: String,
}

#[tool]
async fn order(cx: Cx) -> Result<String, ToolError> {
    let shirt = cx.elicit::<Shirt>("Which shirt?").await?.accepted();
    Ok(shirt.map_or("no shirt".into(), |shirt| shirt.size))
}

mcp_transport_stdio::main!(Server::new("shirts", "1.0.0").tool(order::tool()));
