//! What a command talks to: a process to start, or an address to connect to.
//!
//! A transport more is a variant more of [`Target`], a line in [`Target::address`] and one in [`Target::open`].

mod boxed;
mod config;
mod http;
mod listen;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_codec::LineCodec;
use mcp_transport_http::{HttpClient, HttpClientOptions};
use mcp_transport_stdio::{ChildMonitor, ChildProcess, Stderr};
use mcp_transport_ws::http::{HeaderName, HeaderValue};

pub(crate) use boxed::{Boxed, Broken, boxed};
pub(crate) use listen::{Admission, Client, Listen, Listener};

use crate::exit::Failure;

/// What a command talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A process that speaks on its stdin and stdout.
    Command(Command),
    /// A Unix socket, by its path.
    Unix(PathBuf),
    /// A TCP address, `host:port`.
    Tcp(String),
    /// A WebSocket.
    Ws(Url),
    /// Streamable HTTP.
    Http(Url),
}

/// The address of a server of the web, and what is sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Command {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    /// Set on top of what a server may see of our environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) inherit_env: bool,
}

/// A connection, not yet spoken over.
pub(crate) struct Opened {
    pub(crate) transport: Boxed,
    /// The server's process, if it was started here.
    pub(crate) child: Option<ChildMonitor>,
}

/// A server to open for clients that come.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) target: Target,
    pub(crate) on_stderr: Option<OnStderr>,
    /// The longest message, in bytes.
    pub(crate) max_message: usize,
}

impl Server {
    /// # Errors
    /// [`Failure::Connect`]
    pub(crate) async fn open(&self) -> Result<Boxed, Failure> {
        let opened = self.target.open(self.on_stderr.clone(), self.max_message);
        Ok(opened.await?.transport)
    }
}

/// What is called with each line that a server writes to stderr.
pub(crate) type OnStderr = Arc<dyn Fn(&str) + Send + Sync>;

/// How many lines of a server's stderr are told when it fails.
const LAST_WORDS: usize = 20;

impl Target {
    /// A target by its address, or by its name in a configuration file.
    ///
    /// # Errors
    /// [`Failure::Usage`]: it is neither.
    pub(crate) fn parse(text: &str, config: Option<&Path>) -> Result<Self, Failure> {
        match Self::address(text)? {
            Some(target) => Ok(target),
            None => config::find(text, config),
        }
    }

    /// A target by its address; `None` for what is none, as names are.
    ///
    /// # Errors
    /// [`Failure::Usage`]: it is an address, and a wrong one.
    pub(crate) fn address(text: &str) -> Result<Option<Self>, Failure> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is the same as `unix:/path`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Some(Self::Unix(path.into())));
        }
        if let Some(address) = text.strip_prefix("tcp:") {
            let address = address.strip_prefix("//").unwrap_or(address);
            return match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(Some(Self::Tcp(address.to_owned())))
                }
                _ => Err(Failure::Usage(format!(
                    "`{text}`: tcp wants a host and a port, as in tcp://127.0.0.1:7000"
                ))),
            };
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let url = Url {
                url: text.to_owned(),
                headers: Vec::new(),
            };
            return match scheme {
                "ws" | "wss" => Ok(Some(Self::Ws(url))),
                "http" | "https" => Ok(Some(Self::Http(url))),
                _ => Err(Failure::Usage(format!(
                    "`{text}`: {scheme}:// is not supported; unix:, tcp://, ws(s):// and http(s):// are"
                ))),
            };
        }
        Ok(None)
    }

    /// Starts the process or connects; no message from there is longer than so many bytes.
    ///
    /// # Errors
    /// [`Failure::Connect`]
    pub(crate) async fn open(
        &self,
        on_stderr: Option<OnStderr>,
        max_message: usize,
    ) -> Result<Opened, Failure> {
        let codec = LineCodec::new().with_max_length(max_message);
        let failed = |e: std::io::Error| Failure::Connect(format!("{self}: {e}"));
        let transport = match self {
            Self::Command(command) => return command.spawn(on_stderr, max_message),
            Self::Tcp(address) => {
                let connected = mcp_transport_stdio::connect_tcp(address).await;
                let mut server = connected.map_err(failed)?;
                *server.codec_mut() = codec;
                boxed(server)
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let connected = mcp_transport_stdio::connect_unix(path).await;
                let mut server = connected.map_err(failed)?;
                *server.codec_mut() = codec;
                boxed(server)
            }
            Self::Ws(url) => {
                let mut limits = mcp_transport_ws::Limits::default();
                limits.message = max_message;
                limits.frame = max_message;
                let connect = mcp_transport_ws::connect(&url.url).limits(limits);
                let connect = url.headers.iter().fold(connect, |connect, (name, value)| {
                    connect.header(name.clone(), value.clone())
                });
                boxed(connect.await.map_err(|e| Failure::connecting(&e))?)
            }
            Self::Http(url) => {
                let mut options = HttpClientOptions::default();
                options.message_bytes = max_message;
                let client = HttpClient::with_options(options);
                let client = url.headers.iter().fold(client, |client, (name, value)| {
                    client.header(name.clone(), value.clone())
                });
                boxed(
                    client
                        .connect(&url.url)
                        .map_err(|e| Failure::connecting(&e))?,
                )
            }
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(failed(std::io::ErrorKind::Unsupported.into())),
        };
        Ok(Opened {
            transport,
            child: None,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "{}", command.program.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Ws(url) | Self::Http(url) => f.write_str(&url.url),
        }
    }
}

impl Command {
    /// How it is started.
    pub(crate) fn process(&self) -> ChildProcess {
        let mut process = ChildProcess::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)));
        if let Some(cwd) = &self.cwd {
            process = process.cwd(cwd);
        }
        if self.inherit_env {
            process = process.inherit_env();
        }
        process
    }

    fn spawn(&self, on_stderr: Option<OnStderr>, max_message: usize) -> Result<Opened, Failure> {
        let process = self.process().max_length(max_message);
        let mut process = process.stderr(Stderr::Capture(LAST_WORDS));
        if let Some(on_stderr) = on_stderr {
            process = process.on_stderr(move |line| on_stderr(line));
        }
        // Also a kill -9 of ours leaves nothing behind.
        #[cfg(unix)]
        let process = process.die_with_parent();
        let transport = process.spawn().map_err(|e| Failure::connecting(&e))?;
        let child = Some(transport.monitor());
        Ok(Opened {
            transport: boxed(transport),
            child,
        })
    }
}

impl Url {
    /// Adds a header, `Name: value`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = HeaderName::try_from(name.trim()).map_err(|e| format!("{name}: {e}"))?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|e| format!("{name}: {e}"))?;
        // There are tokens and passwords among them.
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        let unix = Target::Unix("/run/s".into());
        let tcp = Target::Tcp("[::1]:70".into());
        for (text, expected) in [
            ("unix:/run/s", unix.clone()),
            ("unix:///run/s", unix),
            ("tcp://[::1]:70", tcp.clone()),
            ("tcp:[::1]:70", tcp),
        ] {
            assert_eq!(Target::parse(text, None), Ok(expected));
        }
        assert!(matches!(
            Target::parse("wss://h/mcp", None),
            Ok(Target::Ws(_))
        ));
        assert!(matches!(
            Target::parse("http://h", None),
            Ok(Target::Http(_))
        ));
        for text in ["tcp://host", "tcp://:1", "tcp://h:x", "gopher://h"] {
            assert!(
                matches!(Target::parse(text, None), Err(Failure::Usage(_))),
                "{text}"
            );
        }
    }
}
