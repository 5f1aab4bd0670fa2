//! A tool that says hello, with the official Rust SDK.

use rmcp::transport::stdio;
use rmcp::{ServiceExt, tool, tool_router};

struct Hello;

#[tool_router(server_handler)]
impl Hello {
    #[tool]
    fn hello(&self) -> String {
        "Hello.".into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Hello.serve(stdio()).await?.waiting().await?;
    Ok(())
}
