#![doc = include_str!("../README.md")]

#[cfg(feature = "child")]
mod child;
#[cfg(any(feature = "child", feature = "own"))]
mod close;
#[cfg(feature = "own")]
mod own;
#[cfg(feature = "own")]
mod program;
#[cfg(feature = "child")]
mod restart;
#[cfg(feature = "child")]
mod stderr;
#[cfg(feature = "sockets")]
mod stream;
#[cfg(feature = "child")]
mod supervise;

#[cfg(feature = "child")]
pub use child::{ChildProcess, ChildTransport, SpawnError, Stderr};
#[cfg(feature = "own")]
pub use own::{Stdio, StdioOptions, shutdown_signal, stdio};
#[cfg(feature = "own")]
#[doc(hidden)]
pub use program::{guarded, run};
#[cfg(feature = "child")]
pub use restart::{RestartError, RestartPolicy};
#[cfg(feature = "sockets")]
pub use stream::{TcpServer, TcpTransport, connect_tcp};
#[cfg(all(unix, feature = "sockets"))]
pub use stream::{UnixServer, UnixTransport, connect_unix};
#[cfg(feature = "child")]
pub use supervise::{ChildMonitor, Exited};
