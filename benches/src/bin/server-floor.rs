//! The four tools without an SDK, over stdio.

use benches::Failure;
use tokio::net::unix::pipe::OpenOptions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    // As the others do it: without a thread, and without a change to flags that are shared.
    let input = OpenOptions::new().open_receiver("/proc/self/fd/0")?;
    let output = OpenOptions::new().open_sender("/proc/self/fd/1")?;
    benches::floor::serve(input, output).await
}
