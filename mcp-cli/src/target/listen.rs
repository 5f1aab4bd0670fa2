//! Where clients are waited for.
//!
//! A transport more is a variant more of [`Listen`] and of [`Listener`], and a line in each function.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mcp_codec::LineCodec;
use mcp_transport_stdio::{Stdio, TcpServer};

use super::http::HttpClients;
use super::{Boxed, Target, boxed};
use crate::exit::Failure;

/// Which clients are let in, and what is borne of them.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// The permissions of a socket's file.
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "sockets are files on Unix only")
    )]
    pub(crate) mode: u32,
    /// The longest message, in bytes.
    pub(crate) max_message: usize,
    /// Clients at a time.
    pub(crate) max_clients: usize,
    /// How long a session over HTTP may be left alone.
    pub(crate) idle: Duration,
    /// Names and pages, besides those of this machine, for HTTP and WebSocket.
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
}

impl Admission {
    /// One client, of this user's.
    pub(crate) fn one() -> Self {
        Self {
            mode: 0o600,
            max_message: LineCodec::MAX_LENGTH,
            max_clients: 1,
            idle: Duration::MAX,
            hosts: Vec::new(),
            origins: Vec::new(),
        }
    }
}

/// A client that has come.
pub(crate) struct Client {
    pub(crate) transport: Boxed,
    /// It makes one request, of the modern era, and no more: there will be others of the same program.
    pub(crate) single: bool,
    /// The end of what it says is no more than that: it still listens.
    pub(crate) half_closes: bool,
}

impl From<Boxed> for Client {
    /// One that speaks lines.
    fn from(transport: Boxed) -> Self {
        Self {
            transport,
            single: false,
            half_closes: true,
        }
    }
}

/// Where clients are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The one client that has started this program.
    Stdio,
    /// A Unix socket, by its path.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(String),
    /// WebSockets, at a TCP address and any path.
    Ws(String),
    /// Streamable HTTP, at a TCP address, and a path: `/` stands for any.
    Http(String, String),
}

/// Clients as they come.
pub(crate) enum Listener {
    Stdio(Option<Box<Stdio>>),
    #[cfg(unix)]
    Unix(mcp_transport_stdio::UnixServer),
    Tcp(TcpServer),
    Ws(Box<mcp_transport_ws::Listener>),
    Http(HttpClients),
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
                "`{text}`: clients are waited for at stdio, unix:/path, or tcp://, ws:// or http://host:port"
            ))
        };
        match Target::address(text)?.ok_or_else(wrong)? {
            Target::Unix(path) => Ok(Self::Unix(path)),
            Target::Tcp(address) => Ok(Self::Tcp(address)),
            Target::Ws(url) => match host_and_path(&url.url, "ws://") {
                Some((address, _)) => Ok(Self::Ws(address)),
                None => Err(wrong()),
            },
            Target::Http(url) => match host_and_path(&url.url, "http://") {
                Some((address, path)) => Ok(Self::Http(address, path)),
                None => Err(wrong()),
            },
            Target::Command(_) => Err(wrong()),
        }
    }

    /// Begins to wait.
    ///
    /// # Errors
    /// [`Failure::Connect`]
    pub(crate) async fn bind(&self, admission: &Admission) -> Result<Listener, Failure> {
        let failed = |e: std::io::Error| Failure::Connect(format!("{self}: {e}"));
        match self {
            Self::Stdio => {
                let stdio = Stdio::options()
                    .guard(cfg!(unix))
                    // These are for the whole program.
                    .signals(false)
                    .max_length(admission.max_message)
                    .open();
                Ok(Listener::Stdio(Some(Box::new(stdio.map_err(failed)?))))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let server = mcp_transport_stdio::UnixServer::bind_with_mode(path, admission.mode);
                server.map(Listener::Unix).map_err(failed)
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(failed(std::io::ErrorKind::Unsupported.into())),
            Self::Tcp(address) => TcpServer::bind(address)
                .await
                .map(Listener::Tcp)
                .map_err(failed),
            Self::Ws(address) => {
                let mut limits = mcp_transport_ws::Limits::default();
                limits.message = admission.max_message;
                limits.frame = admission.max_message;
                let options = mcp_transport_ws::AcceptOptions::new().limits(limits);
                let names = admission.hosts.iter();
                let options = names.fold(options, |options, name| options.host(name));
                let pages = admission.origins.iter();
                let options = pages.fold(options, |options, page| options.origin(page));
                let listener = mcp_transport_ws::Listener::bind(address, options).await;
                let listener = listener.map_err(failed)?;
                Ok(Listener::Ws(Box::new(listener)))
            }
            Self::Http(address, path) => HttpClients::bind(address, path, admission)
                .await
                .map(Listener::Http)
                .map_err(failed),
        }
    }
}

impl Listener {
    /// The next client; `None` if no more can come.
    pub(crate) async fn accept(&mut self, max_length: usize) -> std::io::Result<Option<Client>> {
        let codec = LineCodec::new().with_max_length(max_length);
        Ok(match self {
            Self::Http(clients) => clients.accept().await,
            Self::Ws(listener) => Some(Client {
                half_closes: false,
                ..boxed(listener.accept().await.socket).into()
            }),
            Self::Stdio(stdio) => stdio.take().map(|stdio| boxed(*stdio).into()),
            #[cfg(unix)]
            Self::Unix(server) => {
                let mut client = server.accept().await?;
                *client.codec_mut() = codec;
                Some(boxed(client).into())
            }
            Self::Tcp(server) => {
                let (mut client, _) = server.accept().await?;
                *client.codec_mut() = codec;
                Some(boxed(client).into())
            }
        })
    }

    /// Whether it keeps to the number of clients by itself.
    pub(crate) fn is_bounded(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// Takes no more clients. What is returned waits until those who are there have been told all.
    pub(crate) fn close(self) -> impl Future<Output = ()> {
        let clients = match self {
            Self::Http(mut clients) => {
                clients.close();
                Some(clients)
            }
            _ => None,
        };
        async move {
            if let Some(clients) = clients {
                clients.ended().await;
            }
        }
    }

    /// Where it listens, with the port that port 0 has become; nothing for stdio.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Stdio(_) => None,
            Self::Http(clients) => Some(clients.to_string()),
            Self::Ws(listener) => listener
                .local_addr()
                .ok()
                .map(|address| format!("ws://{address}")),
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
            Self::Ws(address) => write!(f, "ws://{address}"),
            Self::Http(address, path) => write!(f, "http://{address}{path}"),
        }
    }
}

/// Where a URL leads; nothing if it says no port, or speaks of TLS, which is not done here.
fn host_and_path(url: &str, scheme: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix(scheme)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (_, port) = authority.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let path = if path.is_empty() { "/" } else { path };
    Some((authority.to_owned(), path.to_owned()))
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
        assert_eq!(Listen::parse("ws://h:1/mcp"), Ok(Listen::Ws("h:1".into())));
        for (text, path) in [("http://h:1", "/"), ("http://h:1/a/b", "/a/b")] {
            let http = Listen::Http("h:1".into(), path.into());
            assert_eq!(Listen::parse(text), Ok(http));
        }
        for text in [
            "",
            "server",
            "tcp://x",
            "ws://h",
            "wss://h:1",
            "https://h:1",
        ] {
            assert!(
                matches!(Listen::parse(text), Err(Failure::Usage(_))),
                "{text}"
            );
        }
    }
}
