//! A client on this toolkit: starts a server and does a task.

use benches::Failure;
use benches::task::Task;
use mcp_transport_stdio::ChildProcess;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let server = ChildProcess::new(args.next().ok_or("which server?")?);
    let task = Task::from_args(args)?;
    let outcome = benches::ours::call(server.spawn()?, task).await?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
