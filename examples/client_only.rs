//! Only a client: `client_only npx -y @modelcontextprotocol/server-everything` lists that server's tools.

use mcp_client::Client;
use mcp_transport_stdio::ChildProcess;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let server = ChildProcess::new(args.next().ok_or("which server?")?);
    let transport = server.args(args).spawn()?;
    let client = Client::builder("me", "1.0.0").connect(transport).await?;
    println!("{} era, protocol {}", client.era(), client.server().version);
    for tool in client.list_tools().await? {
        println!("{}: {}", tool.name, tool.description.unwrap_or_default());
    }
    client.close().await;
    Ok(())
}
