#![doc = include_str!("../README.md")]

mod child;
mod close;
mod own;
mod stderr;
mod supervise;

pub use child::{ChildProcess, ChildTransport, SpawnError, Stderr};
pub use own::{Stdio, StdioOptions, shutdown_signal, stdio};
pub use supervise::{ChildMonitor, Exited};
