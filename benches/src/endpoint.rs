//! Where a server that is measured is to be found.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::Failure;

/// What a server listens at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Its standard input and output, for the one client that started it.
    Stdio,
    /// A Unix socket: `--unix PATH`.
    Unix(PathBuf),
    /// WebSockets: `--ws ADDRESS`.
    Ws(SocketAddr),
}

impl Endpoint {
    /// From the arguments of the program; those that say nothing of it are left to others.
    ///
    /// # Errors
    /// A path or an address is missing, or is not what it should be.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        while let Some(arg) = args.next() {
            match &*arg {
                "--unix" => return Ok(Self::Unix(args.next().ok_or("--unix PATH")?.into())),
                "--ws" => return Ok(Self::Ws(args.next().ok_or("--ws ADDRESS")?.parse()?)),
                _ => {}
            }
        }
        Ok(Self::Stdio)
    }
}

/// Says on standard output that a server listens, and where.
///
/// # Errors
/// Nobody reads it.
pub fn announce(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}
