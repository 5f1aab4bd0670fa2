//! Programs that are nothing but a server.

use std::error::Error;
use std::future::Future;
use std::io;

use crate::own::Stdio;

/// Makes a program of a server: its `main`, which serves over this process's stdin and stdout until stdin ends or the
/// process gets SIGTERM or SIGINT.
///
/// Of the server only `serve(transport)` is asked. Its expression may `.await`, and fail by `?`. Everything runs on one
/// thread: a handler that blocks holds up signals, too. A program that computes much, or has more to do, has a `main` of
/// its own.
///
/// On Unix stdout is the client's alone: what the program prints, by `println!` say, goes to stderr
/// ([`StdioOptions::guard`](crate::StdioOptions::guard)).
///
/// ```
/// # mod mcp_server {
/// #     pub struct Server;
/// #     impl Server {
/// #         pub fn new(_: &str, _: &str) -> Self { Self }
/// #         pub async fn serve(self, _: mcp_transport_stdio::Stdio) -> std::io::Result<()> { Ok(()) }
/// #     }
/// # }
/// use mcp_server::Server;
///
/// mcp_transport_stdio::main!(Server::new("hello", "1.0.0"));
/// ```
#[macro_export]
macro_rules! main {
    ($server:expr $(,)?) => {
        fn main() -> ::core::result::Result<(), ::std::boxed::Box<dyn ::std::error::Error>> {
            $crate::run(async { Ok($server.serve($crate::guarded()?).await?) })
        }
    };
}

/// A server's own stdin and stdout.
#[doc(hidden)]
pub fn guarded() -> io::Result<Stdio> {
    Stdio::options().guard(cfg!(unix)).open()
}

/// Runs a program on one thread.
#[doc(hidden)]
pub fn run(
    program: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(), Box<dyn Error>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(program)
}
