//! Where clients are waited for.
//!
//! A transport more is a variant more of [`Listen`] and of [`Listener`], and a line in each function.

use std::fmt;
use std::path::PathBuf;

use mcp_codec::LineCodec;
use mcp_transport_stdio::{Stdio, TcpServer};

use super::{Boxed, Target, boxed};
use crate::exit::Failure;

/// Where clients are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The one client that has started this program.
    Stdio,
    /// A Unix socket, by its path.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(String),
}

/// Clients as they come.
pub(crate) enum Listener {
    Stdio(Option<Box<Stdio>>),
    #[cfg(unix)]
    Unix(mcp_transport_stdio::UnixServer),
    Tcp(TcpServer),
}

impl Listen {
    /// An address, or `stdio`.
    ///
    /// # Errors
    /// [`Failure::Usage`]: it is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if matches!(text, "stdio" | "-") {
            return Ok(Self::Stdio);
        }
        let wrong = || {
            Failure::Usage(format!(
                "`{text}`: clients are waited for at stdio, unix:/path or tcp://host:port"
            ))
        };
        if !text.contains(':') {
            return Err(wrong());
        }
        match Target::parse(text, None)? {
            Target::Unix(path) => Ok(Self::Unix(path)),
            Target::Tcp(address) => Ok(Self::Tcp(address)),
            Target::Command(_) => Err(wrong()),
        }
    }

    /// Begins to wait; `mode` are the permissions of a socket's file, `max_length` is the longest line, in bytes.
    ///
    /// # Errors
    /// [`Failure::Connect`]
    pub(crate) async fn bind(&self, mode: u32, max_length: usize) -> Result<Listener, Failure> {
        let failed = |e: std::io::Error| Failure::Connect(format!("{self}: {e}"));
        match self {
            Self::Stdio => {
                let stdio = Stdio::options()
                    .guard(cfg!(unix))
                    .max_length(max_length)
                    .open();
                Ok(Listener::Stdio(Some(Box::new(stdio.map_err(failed)?))))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let server = mcp_transport_stdio::UnixServer::bind_with_mode(path, mode);
                server.map(Listener::Unix).map_err(failed)
            }
            #[cfg(not(unix))]
            Self::Unix(_) => {
                let _ = mode;
                Err(failed(std::io::ErrorKind::Unsupported.into()))
            }
            Self::Tcp(address) => TcpServer::bind(address)
                .await
                .map(Listener::Tcp)
                .map_err(failed),
        }
    }
}

impl Listener {
    /// The next client; `None` if no more can come.
    pub(crate) async fn accept(&mut self, max_length: usize) -> std::io::Result<Option<Boxed>> {
        let codec = LineCodec::new().with_max_length(max_length);
        Ok(match self {
            Self::Stdio(stdio) => stdio.take().map(|stdio| boxed(*stdio)),
            #[cfg(unix)]
            Self::Unix(server) => {
                let mut client = server.accept().await?;
                *client.codec_mut() = codec;
                Some(boxed(client))
            }
            Self::Tcp(server) => {
                let (mut client, _) = server.accept().await?;
                *client.codec_mut() = codec;
                Some(boxed(client))
            }
        })
    }

    /// Where it listens, with the port that port 0 has become; nothing for stdio.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Stdio(_) => None,
            #[cfg(unix)]
            Self::Unix(server) => Some(format!("unix:{}", server.path().display())),
            Self::Tcp(server) => server
                .local_addr()
                .ok()
                .map(|address| format!("tcp://{address}")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_the_rest() {
        assert_eq!(Listen::parse("stdio"), Ok(Listen::Stdio));
        assert_eq!(Listen::parse("unix:/s"), Ok(Listen::Unix("/s".into())));
        assert_eq!(
            Listen::parse("tcp://[::]:0"),
            Ok(Listen::Tcp("[::]:0".into()))
        );
        for text in ["", "server", "tcp://x", "ws://h:1"] {
            assert!(
                matches!(Listen::parse(text), Err(Failure::Usage(_))),
                "{text}"
            );
        }
    }
}
