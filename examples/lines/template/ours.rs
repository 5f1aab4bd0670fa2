//! A family of resources, with this toolkit.

use mcp_server::{Server, resource};

#[resource("weather://{city}")]
fn weather(city: String) -> String {
    format!("Rain in {city}.")
}

mcp_transport_stdio::main!(Server::new("weather", "1.0.0").resource(weather::resource()));
