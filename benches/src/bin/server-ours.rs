//! The four tools on this toolkit, over stdio.

use benches::Failure;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    benches::ours::server()
        .serve(mcp_transport_stdio::stdio()?)
        .await?;
    Ok(())
}
