//! A tool that asks the user for a form, with the official Rust SDK.

use rmcp::transport::stdio;
use rmcp::{ErrorData, Peer, RoleServer, ServiceExt, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Shirt {
    size: String,
}

rmcp::elicit_safe!(Shirt);

struct Shirts;

#[tool_router(server_handler)]
impl Shirts {
    #[tool]
    async fn order(&self, peer: Peer<RoleServer>) -> Result<String, ErrorData> {
        let shirt = peer.elicit::<Shirt>("Which shirt?").await;
        let shirt = shirt.map_err(|e| ErrorData::internal_error(e.to_string(), None))?;
        Ok(shirt.map_or("no shirt".into(), |shirt| shirt.size))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Shirts.serve(stdio()).await?.waiting().await?;
    Ok(())
}
