//! Who may open a WebSocket, judged before the 101.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use mcp_types::Extensions;

use crate::handshake::{SUBPROTOCOL, is_key, lists, single, words};
use crate::socket::Limits;

/// What a client asked for when it opened the WebSocket; handlers find it among the connection's extensions.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    /// What it asked for: path and query.
    pub uri: Uri,
    /// With what header fields.
    pub headers: HeaderMap,
}

impl fmt::Debug for Handshake {
    /// Without the query and the values of header fields: they hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Handshake")
            .field("path", &self.uri.path())
            .field("headers", &headers)
            .finish()
    }
}

/// What a client is told that gets no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the response.
    pub status: StatusCode,
    /// Its body: one line of text.
    pub reason: String,
    /// Its `WWW-Authenticate`, which a 401 should have.
    pub challenge: Option<HeaderValue>,
}

impl Refusal {
    /// A refusal with that status.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            challenge: None,
        }
    }

    /// Nobody said who asks: 401, with how to say it, such as `Bearer`.
    pub fn unauthorized(challenge: HeaderValue) -> Self {
        Self {
            challenge: Some(challenge),
            ..Self::new(StatusCode::UNAUTHORIZED, "credentials are required")
        }
    }

    /// Whoever asks may not: 403.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    fn bad_request(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.reason)
    }
}

/// Who may open a WebSocket, and its sizes and times.
///
/// By default pages and hosts of this machine only: another page that the user has open could otherwise speak to a local
/// server, for browsers hold no WebSocket back (and a name that resolves to 127.0.0.1 makes any page look local).
///
/// ```
/// use mcp_transport_ws::{AcceptOptions, Refusal};
/// use mcp_types::{Extensions, Principal};
///
/// let options = AcceptOptions::new()
///     .origin("https://chat.example")
///     .host("chat.example")
///     .authorize(|handshake| async move {
///         match handshake.headers.get("authorization") {
///             Some(token) if token == "Bearer secret" => Ok(Extensions::new().with(Principal::new("alice"))),
///             Some(_) => Err(Refusal::forbidden("not with that token")),
///             None => Err(Refusal::unauthorized(http::HeaderValue::from_static("Bearer"))),
///         }
///     });
/// ```
#[derive(Clone)]
#[must_use = "options accept nothing by themselves"]
pub struct AcceptOptions {
    origins: Allowed,
    hosts: Allowed,
    local: bool,
    authorize: Option<Authorize>,
    require_subprotocol: bool,
    pub(crate) handshake_size: usize,
    pub(crate) handshake_time: Duration,
    pub(crate) limits: Limits,
}

type Authorize = Arc<dyn Fn(Handshake) -> Authorizing + Send + Sync>;
type Authorizing = Pin<Box<dyn Future<Output = Result<Extensions, Refusal>> + Send>>;

/// Names that are allowed, besides those of this machine if these are.
#[derive(Debug, Clone)]
enum Allowed {
    These(Vec<String>),
    Any,
}

impl Allowed {
    fn add(&mut self, name: String) {
        if let Self::These(names) = self {
            names.push(name);
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::These(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
            Self::Any => true,
        }
    }
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl AcceptOptions {
    /// This machine's pages and hosts, nobody else, without credentials.
    pub fn new() -> Self {
        Self {
            origins: Allowed::These(Vec::new()),
            hosts: Allowed::These(Vec::new()),
            local: true,
            authorize: None,
            require_subprotocol: true,
            handshake_size: 16 << 10,
            handshake_time: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }

    /// Allows pages of an origin, as browsers write it: `https://chat.example`, with the port if it is not the scheme's own.
    ///
    /// This machine's pages come in beside them, unless [`only_listed`](Self::only_listed) says otherwise.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.add(origin.into());
        self
    }

    /// Allows every page there is. Only for servers whose credentials no page could borrow.
    pub fn any_origin(mut self) -> Self {
        self.origins = Allowed::Any;
        self
    }

    /// Allows one more name by which clients reach this server, `chat.example`, without a port.
    ///
    /// This machine's names are good beside it, unless [`only_listed`](Self::only_listed) says otherwise.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.add(host.into());
        self
    }

    /// Allows every name: for servers behind a proxy that has looked at it.
    pub fn any_host(mut self) -> Self {
        self.hosts = Allowed::Any;
        self
    }

    /// Allows nothing but what [`origin`](Self::origin) and [`host`](Self::host) list, this machine's pages and names neither, as
    /// the lists of `mcp_transport_http::HttpService` do by themselves. Clients that are no pages send no origin and come in by a
    /// listed host.
    pub fn only_listed(mut self) -> Self {
        self.local = false;
        self
    }

    /// Asks for each client whether it may come in, before the 101.
    ///
    /// What it returns is for the handlers ([`Accepted::extensions`](crate::Accepted)): a [`Principal`](mcp_types::Principal),
    /// for example. Its time is part of [`handshake_time`](Self::handshake_time).
    ///
    /// A page cannot set `Authorization` on a WebSocket, and the subprotocol is `mcp` and nothing else. Its token is in a cookie
    /// (browsers send it for every page of theirs, so let in those of your [`origin`](Self::origin) only), or in the query of
    /// [`Handshake::uri`], where logs of servers and proxies keep it: let it be good for one connection, and soon over.
    pub fn authorize<F, Fut>(mut self, authorize: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Extensions, Refusal>> + Send + 'static,
    {
        self.authorize = Some(Arc::new(move |handshake| Box::pin(authorize(handshake))));
        self
    }

    /// Takes clients too that do not offer the subprotocol `mcp`; they are told of none.
    pub fn without_subprotocol(mut self) -> Self {
        self.require_subprotocol = false;
        self
    }

    /// Sets how long a client's handshake may be, in bytes; 16 KiB by default.
    pub fn handshake_size(mut self, bytes: usize) -> Self {
        self.handshake_size = bytes;
        self
    }

    /// Sets how long the handshake may take in all; 10 s by default.
    pub fn handshake_time(mut self, time: Duration) -> Self {
        self.handshake_time = time;
        self
    }

    /// Sets sizes and times of the connection.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Judges a handshake by its method, version and headers (RFC 6455 section 4.2.1); what is granted says how to answer.
    pub(crate) fn judge(
        &self,
        is_get: bool,
        is_http_1_1: bool,
        headers: &HeaderMap,
    ) -> Result<Granted, Refusal> {
        if !is_get || !is_http_1_1 {
            let reason = "a WebSocket is opened by GET over HTTP/1.1";
            return Err(Refusal::bad_request(reason));
        }
        let upgrade = lists(headers, UPGRADE, "websocket") && lists(headers, CONNECTION, "upgrade");
        if !upgrade {
            let reason = "this is a WebSocket: connect with `Upgrade: websocket`";
            return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, reason));
        }
        if single(headers, SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            let reason = "Sec-WebSocket-Version must be 13";
            return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, reason));
        }
        let key = single(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
        let Some(key) = key else {
            let reason = "Sec-WebSocket-Key must be 16 bytes in Base64";
            return Err(Refusal::bad_request(reason));
        };
        let host = single(headers, HOST).and_then(|host| host.to_str().ok());
        let Some(host) = host.and_then(|host| host.parse::<Authority>().ok()) else {
            return Err(Refusal::bad_request("there must be one Host"));
        };
        let host = host.host();
        let known = self.local && is_local(host) || self.hosts.has(host);
        if !known {
            return Err(Refusal::forbidden("this server is not known by that Host"));
        }
        if headers.contains_key(ORIGIN) {
            let origin = single(headers, ORIGIN).and_then(|origin| origin.to_str().ok());
            let allowed =
                |origin: &str| (self.local && is_local_origin(origin)) || self.origins.has(origin);
            if !origin.is_some_and(allowed) {
                return Err(Refusal::forbidden("pages of that Origin may not connect"));
            }
        }
        let subprotocol = words(headers, SEC_WEBSOCKET_PROTOCOL).any(|word| word == SUBPROTOCOL);
        if !subprotocol && self.require_subprotocol {
            let reason = "the subprotocol `mcp` must be offered";
            return Err(Refusal::bad_request(reason));
        }
        Ok(Granted {
            key: key.clone(),
            subprotocol,
        })
    }

    /// Asks whether the client may come in, and gathers what is known about it.
    pub(crate) async fn admit(&self, uri: Uri, headers: HeaderMap) -> Result<Extensions, Refusal> {
        let handshake = Handshake { uri, headers };
        let known = match &self.authorize {
            Some(authorize) => authorize(handshake.clone()).await?,
            None => Extensions::new(),
        };
        Ok(known.with(handshake))
    }
}

/// A handshake that is to be answered by 101.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) key: HeaderValue,
    pub(crate) subprotocol: bool,
}

fn is_local_origin(origin: &str) -> bool {
    let host = origin.parse::<Uri>().ok();
    host.and_then(|uri| uri.host().map(is_local))
        .unwrap_or(false)
}

/// Whether a host is this machine, by name or by number.
fn is_local(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || number.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

impl fmt::Debug for AcceptOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptOptions")
            .field("origins", &self.origins)
            .field("hosts", &self.hosts)
            .field("local", &self.local)
            .field("authorize", &self.authorize.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
