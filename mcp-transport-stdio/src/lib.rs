#![doc = include_str!("../README.md")]

mod child;
mod close;
mod own;
mod program;
mod restart;
mod stderr;
mod stream;
mod supervise;

pub use child::{ChildProcess, ChildTransport, SpawnError, Stderr};
pub use own::{Stdio, StdioOptions, shutdown_signal, stdio};
#[doc(hidden)]
pub use program::run;
pub use restart::{RestartError, RestartPolicy};
pub use stream::{TcpServer, TcpTransport, connect_tcp};
#[cfg(unix)]
pub use stream::{UnixServer, UnixTransport, connect_unix};
pub use supervise::{ChildMonitor, Exited};
