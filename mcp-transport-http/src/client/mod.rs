//! The client's side.

mod connection;
mod exchange;
#[cfg(feature = "http-sse")]
mod http_sse;
mod origins;
mod send;
mod token;
mod tools;
mod wire;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

pub use connection::{HttpConnection, HttpError};
use exchange::Shared;
use origins::Origins;
use token::Tokens;
use wire::Wire;

/// Connects to servers over Streamable HTTP, of any revision.
///
/// Clones share open connections and what is known of servers.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client::Client;
/// use mcp_transport_http::HttpClient;
///
/// let http = HttpClient::new();
/// let server = http.connect("http://127.0.0.1:8080/mcp")?;
/// let client = Client::builder("me", "1.0.0").connect(server).await?;
/// println!("{:?}", client.list_tools().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    wire: Wire,
    options: HttpClientOptions,
    headers: HeaderMap,
    token: Option<Arc<Tokens>>,
    origins: Arc<Origins>,
}

/// Bounds and times of the client's side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpClientOptions {
    /// Bytes that a message may have. Default 16 MiB.
    pub message_bytes: usize,
    /// How long the TCP handshake may take. Default 10 s.
    pub connect_time: Duration,
    /// How long a server may take to accept what has no answer: notifications, responses, the end of a session. Default 30 s.
    /// At the end of a connection all that is left has 5 s together.
    pub accept_time: Duration,
    /// How often a lost stream is taken up again in vain, without even an event that carries no message, and a request
    /// sent again to a server that asks to be left alone for a while. Default 5.
    pub attempts: u32,
    /// When a lost stream is taken up again, if the server has not said when. Default 1 s.
    pub retry: Duration,
    /// How long a server may ask to be left alone (by `Retry-After`) and still be asked again. Default 30 s. While it is
    /// asked for its era, no more than 5 s together.
    pub patience: Duration,
    /// How long it is remembered that an origin speaks a legacy revision only. It is forgotten as soon as one of its
    /// servers turns out to speak another, but the connection that finds that out has failed: zero asks each time, for
    /// origins with servers of either era and clients of the modern one. Default 10 min.
    pub era_time: Duration,
}

impl Default for HttpClientOptions {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024 * 1024,
            connect_time: Duration::from_secs(10),
            accept_time: Duration::from_secs(30),
            attempts: 5,
            retry: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            era_time: Duration::from_secs(600),
        }
    }
}

/// Why a text is no server's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no URL, or it has a port that is none, or a name with a password.
    #[error("not a URL of a server: {0}")]
    Syntax(String),
    /// Its scheme is neither `http` nor, with the feature `rustls`, `https`.
    #[error("URLs of scheme {0:?} cannot be reached{hint}", hint = other(.0))]
    Scheme(String),
}

/// What else reaches URLs of that scheme.
fn other(scheme: &str) -> &'static str {
    match scheme {
        "https" => " without the feature `rustls` of mcp-transport-http",
        "ws" | "wss" => " over HTTP; mcp-transport-ws does that",
        _ => "",
    }
}

impl HttpClient {
    /// A client with default bounds.
    pub fn new() -> Self {
        Self::with_options(HttpClientOptions::default())
    }

    /// A client with other bounds.
    pub fn with_options(options: HttpClientOptions) -> Self {
        let inner = Arc::new(Inner {
            wire: wire::client(&options),
            headers: HeaderMap::new(),
            token: None,
            origins: Arc::default(),
            options,
        });
        Self { inner }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// Sends a header with every request; those of the protocol stay as they are.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|inner| drop(inner.headers.insert(name, value)))
    }

    /// Sets where bearer tokens come from: asked before each request, and with the value of `WWW-Authenticate` when a server
    /// answers 401. Without a token, the request goes out without.
    ///
    /// It is asked with `None` as often as there are requests, by many at once: what it says then it should have at hand. With a
    /// challenge it is asked by one request at a time, and only if what it says without one is still what was refused: of many
    /// requests that are refused with the same token, one has it refreshed, and the others are sent again with the new one. A
    /// request that is given up meanwhile drops the future, and the next one asks again.
    ///
    /// ```
    /// let http = mcp_transport_http::HttpClient::new().token(|challenge| async move {
    ///     match challenge {
    ///         None => std::env::var("TOKEN").ok(),
    ///         // The token was refused: time to get another one.
    ///         Some(_) => None,
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn token<F, T>(self, token: F) -> Self
    where
        F: Fn(Option<String>) -> T + Send + Sync + 'static,
        T: Future<Output = Option<String>> + Send + 'static,
    {
        self.with(|inner| inner.token = Some(Arc::new(Tokens::new(token))))
    }

    /// Sets how TLS is done: which certificates are trusted, and which one is shown; by default the system's, and none.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        let config = Arc::unwrap_or_clone(config.into());
        self.with(|inner| inner.wire = wire::secured(&inner.options, config))
    }

    /// A connection to the server at a URL, for a client of any era; nothing is sent before the client does.
    ///
    /// # Errors
    /// [`UrlError`]: the URL cannot be one of a server.
    pub fn connect(&self, url: &str) -> Result<HttpConnection, UrlError> {
        let parsed = url.parse();
        let uri: Uri =
            parsed.map_err(|e: http::uri::InvalidUri| UrlError::Syntax(e.to_string()))?;
        let scheme = uri.scheme();
        let reachable = scheme == Some(&Scheme::HTTP)
            || (cfg!(feature = "rustls") && scheme == Some(&Scheme::HTTPS));
        let Some(authority) = uri.authority().filter(|_| reachable) else {
            let scheme = uri.scheme_str().unwrap_or_default();
            return Err(UrlError::Scheme(scheme.to_owned()));
        };
        if authority.as_str().contains('@') {
            let why = "a name with a password would be sent nowhere";
            return Err(UrlError::Syntax(why.to_owned()));
        }
        port(&uri).ok_or_else(|| UrlError::Syntax("invalid port".to_owned()))?;
        let (inbound, receiver) = crate::queue::queue();
        let shared = Arc::new(Shared::new(Arc::clone(&self.inner), uri, inbound));
        Ok(HttpConnection::new(shared, receiver))
    }
}

/// The port of a URL; none if what stands there is none, which must not become the default one.
fn port(uri: &Uri) -> Option<u16> {
    let authority = uri.authority()?;
    let host_and_port = authority.as_str().rsplit('@').next()?;
    match host_and_port.strip_prefix(authority.host())? {
        "" | ":" if uri.scheme() == Some(&Scheme::HTTPS) => Some(443),
        "" | ":" => Some(80),
        _ => authority.port_u16(),
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
