//! The four tools on rmcp: over stdio, with `--pipes` over the faster of the two transports it has for that, or at `--unix PATH`
//! for many clients. It has no WebSocket.

use benches::endpoint::{Endpoint, announce};
use benches::{Failure, theirs};
use tokio::net::UnixListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match Endpoint::from_args(std::env::args())? {
        Endpoint::Stdio if std::env::args().any(|arg| arg == "--pipes") => {
            theirs::serve(rmcp::transport::stdio_pipes()).await
        }
        Endpoint::Stdio => theirs::serve(rmcp::transport::stdio()).await,
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(&path)?;
            announce(path.display())?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(theirs::serve(stream));
            }
        }
        Endpoint::Ws(_) => Err("rmcp has no WebSocket".into()),
    }
}
