//! The four tools on rmcp, over stdio: with `--pipes` over the faster of the two transports it has for that.

use benches::Failure;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    if std::env::args().any(|arg| arg == "--pipes") {
        benches::theirs::serve(rmcp::transport::stdio_pipes()).await
    } else {
        benches::theirs::serve(rmcp::transport::stdio()).await
    }
}
