//! A client without an SDK: starts a server and does a task.

use std::process::Stdio;

use benches::Failure;
use benches::task::Task;
use tokio::process::Command;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut server = Command::new(args.next().ok_or("which server?")?);
    let task = Task::from_args(args)?;
    let mut server = server
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = server.stdin.take().ok_or("no stdin")?;
    let output = server.stdout.take().ok_or("no stdout")?;
    let outcome = benches::floor::call(output, input, task).await?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
