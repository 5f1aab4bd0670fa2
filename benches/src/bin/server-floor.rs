//! The four tools without an SDK: over stdio, or at `--unix PATH` or `--ws ADDRESS` for many clients.

use benches::endpoint::{Endpoint, announce};
use benches::{Failure, floor};
use tokio::net::unix::pipe::OpenOptions;
use tokio::net::{TcpListener, UnixListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match Endpoint::from_args(std::env::args())? {
        Endpoint::Stdio => {
            // As the others do it: without a thread, and without a change to flags that are shared.
            let input = OpenOptions::new().open_receiver("/proc/self/fd/0")?;
            let output = OpenOptions::new().open_sender("/proc/self/fd/1")?;
            floor::serve(input, output).await
        }
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(&path)?;
            announce(path.display())?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(async move {
                    let (input, output) = stream.into_split();
                    floor::serve(input, output).await
                });
            }
        }
        Endpoint::Ws(address) => {
            let listener = TcpListener::bind(address).await?;
            announce(listener.local_addr()?)?;
            loop {
                let (tcp, _) = listener.accept().await?;
                tokio::spawn(floor::serve_web_socket(tcp));
            }
        }
    }
}
