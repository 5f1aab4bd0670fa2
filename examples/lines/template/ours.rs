//! A family of resources, with this toolkit.

use mcp_server::{JsonSchema, Server, resource, schemars};
use mcp_transport_stdio::stdio;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Place {
    city: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let weather = |place: Place| format!("Rain in {}.", place.city);
    let server = Server::new("weather", "1.0.0").resource(resource("weather://{city}", weather));
    Ok(server.serve(stdio()?).await?)
}
