//! The client's side.

use std::fmt::{self, Write as _};
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use crate::handshake::{HeadError, SUBPROTOCOL, lists, parse_response, read_head, single};
use crate::socket::{Limits, WebSocket};
use crate::stream::ClientStream;

/// Connects to a server's WebSocket.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_transport_ws::ConnectError> {
/// let transport = mcp_transport_ws::connect("ws://127.0.0.1:8080/mcp").await?;
/// # Ok(()) }
/// ```
pub fn connect(url: impl Into<String>) -> Connect {
    Connect {
        url: url.into(),
        headers: Vec::new(),
        limits: Limits::default(),
        timeout: Duration::from_secs(20),
        require_subprotocol: true,
        #[cfg(feature = "rustls")]
        tls: None,
    }
}

/// A connection that is made when it is awaited; see [`connect`].
///
/// It can be cloned and awaited again, to reconnect.
#[derive(Clone)]
#[must_use = "a connection is made when it is awaited"]
pub struct Connect {
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    limits: Limits,
    timeout: Duration,
    require_subprotocol: bool,
    #[cfg(feature = "rustls")]
    tls: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none of a WebSocket: `ws://host[:port]/path`, or `wss://…` with the feature `rustls`.
    #[error("{0:?} is no URL of a WebSocket")]
    Url(String),
    /// The server cannot be reached, or hung up.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
    /// It took longer than [`Connect::timeout`].
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The server answered, but not with a WebSocket.
    #[error("the server refused with {status}{}{body}", if body.is_empty() { "" } else { ": " })]
    Refused {
        /// The status of its response.
        status: StatusCode,
        /// The start of the response's body.
        body: String,
    },
    /// What the server answered is no handshake.
    #[error("the server's handshake is wrong: {0}")]
    Handshake(&'static str),
}

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How much of a refusal's body is read, in bytes.
const MAX_BODY: usize = 512;

impl Connect {
    /// Adds a header field to the handshake, such as `Authorization`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets sizes and times of the connection.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long it may take to connect, all steps together; 20 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes servers too that do not choose the subprotocol `mcp`.
    pub fn without_subprotocol(mut self) -> Self {
        self.require_subprotocol = false;
        self
    }

    /// Sets how TLS is done; by default with the system's certificates.
    #[cfg(feature = "rustls")]
    pub fn tls(
        mut self,
        config: impl Into<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
    ) -> Self {
        self.tls = Some(config.into());
        self
    }

    /// Opens the WebSocket on a stream that leads to the server: through a proxy, over a Unix socket, in memory.
    ///
    /// Nothing is encrypted here, whatever the URL's scheme.
    ///
    /// # Errors
    /// [`ConnectError`], but no [`TimedOut`](ConnectError::TimedOut) for the time until now.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn connect_on<Io>(self, io: Io) -> Result<WebSocket<Io>, ConnectError>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let target = Target::of(&self.url)?;
        timeout(self.timeout, self.open(&target, io))
            .await
            .map_err(|_| ConnectError::TimedOut(self.timeout))?
    }

    async fn connect(self) -> Result<WebSocket<ClientStream>, ConnectError> {
        let target = Target::of(&self.url)?;
        let connecting = async {
            let tcp = TcpStream::connect((target.address(), target.port)).await?;
            // Without it, messages in a row wait for the peer's delayed acknowledgement: 40 ms.
            tcp.set_nodelay(true)?;
            #[cfg(feature = "rustls")]
            let io = if target.tls {
                crate::tls::connect(tcp, target.address(), self.tls.clone()).await?
            } else {
                ClientStream::plain(tcp)
            };
            #[cfg(not(feature = "rustls"))]
            let io = ClientStream::plain(tcp);
            self.open(&target, io).await
        };
        timeout(self.timeout, connecting)
            .await
            .map_err(|_| ConnectError::TimedOut(self.timeout))?
    }

    /// The handshake (RFC 6455 section 4.1).
    async fn open<Io>(&self, target: &Target, mut io: Io) -> Result<WebSocket<Io>, ConnectError>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let key = generate_key();
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n",
            target.path, target.authority
        )
        .into_bytes();
        for (name, value) in &self.headers {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        io.write_all(&request).await?;
        io.flush().await?;

        let mut input = BytesMut::new();
        let head = read_head(&mut io, &mut input, MAX_HEAD).await?;
        let response = parse_response(&head)?;
        if response.status != 101 {
            let status = StatusCode::from_u16(response.status)
                .map_err(|_| ConnectError::Handshake("the status is none"))?;
            let body = read_body(&mut io, input).await;
            return Err(ConnectError::Refused { status, body });
        }
        let headers = &response.headers;
        if !lists(headers, UPGRADE, "websocket") || !lists(headers, CONNECTION, "upgrade") {
            return Err(ConnectError::Handshake("it does not upgrade"));
        }
        let accepted = single(headers, SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| *accepted != derive_accept_key(key.as_bytes())) {
            return Err(ConnectError::Handshake("it answers another key"));
        }
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(ConnectError::Handshake("it has extensions nobody offered"));
        }
        match single(headers, SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if chosen == SUBPROTOCOL => {}
            None if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) && !self.require_subprotocol => {}
            _ => {
                return Err(ConnectError::Handshake(
                    "it does not choose the subprotocol `mcp`",
                ));
            }
        }
        let limits = self.limits.clone();
        Ok(WebSocket::new(io, Role::Client, limits, &input))
    }
}

impl fmt::Debug for Connect {
    /// Without the URL's query and the values of header fields: they hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Connect")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("headers", &headers)
            .field("limits", &self.limits)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Connect {
    type Output = Result<WebSocket<ClientStream>, ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

impl From<HeadError> for ConnectError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Io(error) => Self::Io(error),
            HeadError::TooLong(_) => Self::Handshake("it is too long"),
            HeadError::Http(_) => Self::Handshake("it is no HTTP"),
        }
    }
}

/// What the server says about a refusal, as far as it comes; how much that is, is its own matter.
async fn read_body(io: &mut (impl AsyncRead + Unpin), mut input: BytesMut) -> String {
    let rest = async {
        while input.len() < MAX_BODY && matches!(io.read_buf(&mut input).await, Ok(1..)) {}
    };
    let _ = timeout(Duration::from_secs(1), rest).await;
    input.truncate(MAX_BODY);
    let text = String::from_utf8_lossy(&input);
    let mut body = String::new();
    for line in text.split_whitespace() {
        let _ = write!(body, "{}{line}", if body.is_empty() { "" } else { " " });
    }
    body
}

/// Where a URL leads.
#[derive(Debug)]
struct Target {
    #[cfg_attr(
        not(feature = "rustls"),
        expect(dead_code, reason = "without TLS it is always false")
    )]
    tls: bool,
    host: String,
    port: u16,
    /// For the `Host` field: as the URL has it.
    authority: String,
    path: String,
}

impl Target {
    fn of(url: &str) -> Result<Self, ConnectError> {
        let fault = || ConnectError::Url(url.to_owned());
        // A fragment is against the rules (section 3).
        if url.contains('#') {
            return Err(fault());
        }
        let uri: Uri = url.parse().map_err(|_| fault())?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") if cfg!(feature = "rustls") => true,
            _ => return Err(fault()),
        };
        let authority = uri.authority().ok_or_else(fault)?;
        // So is a name with a password, which would be sent nowhere.
        if authority.as_str().contains('@') {
            return Err(fault());
        }
        // What is no port must not become the default one.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("" | ":") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => authority.port_u16().ok_or_else(fault)?,
        };
        Ok(Self {
            tls,
            host: authority.host().to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            // A query without a path has its slash only here, not in `as_str`.
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    /// The host without the brackets of an IPv6 number.
    fn address(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::policy::Handshake;

    #[test]
    fn what_is_printed_holds_no_token() {
        let (url, token) = ("ws://localhost/mcp?key=secret", "Bearer secret");
        let token = HeaderValue::from_static(token);
        let handshake = Handshake {
            uri: url.parse().unwrap(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, token.clone())]),
        };
        let connect = connect(url).header(AUTHORIZATION, token);
        for printed in [format!("{connect:?}"), format!("{handshake:?}")] {
            assert!(printed.contains("/mcp") && printed.contains("authorization"));
            assert!(!printed.contains("secret"), "{printed}");
        }
    }

    #[test]
    fn a_url_leads_to_a_host_a_port_and_a_path() {
        for (url, host, port, path) in [
            ("ws://localhost", "localhost", 80, "/"),
            ("ws://localhost:/mcp", "localhost", 80, "/mcp"),
            ("ws://localhost?a=b", "localhost", 80, "/?a=b"),
            ("ws://localhost:8080/a?b=c", "localhost", 8080, "/a?b=c"),
            ("ws://[::1]:65535/", "::1", 65535, "/"),
            (
                "ws://localhost/@me?mail=a@b",
                "localhost",
                80,
                "/@me?mail=a@b",
            ),
        ] {
            let target = Target::of(url).unwrap();
            let found = (target.address(), target.port, &*target.path);
            assert_eq!(found, (host, port, path), "{url}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_url() {
        for url in [
            "localhost",
            "http://localhost/",
            "ws://name:secret@localhost/",
            "ws://localhost/#there",
            "ws://localhost:99999/",
            "ws://localhost:http/",
            "ws://localhost:-1/",
            "ws://[::1]80/",
        ] {
            let target = Target::of(url);
            assert!(matches!(target, Err(ConnectError::Url(_))), "{url}");
        }
    }
}
