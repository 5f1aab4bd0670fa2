//! The service: from a request to what answers it.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http::header::{ALLOW, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use mcp_types::{ErrorObject, Extensions, Principal, RawJson, Renew};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::driving::{Driving, Once, Program, Resting};
use super::headers::LastMeta;
#[cfg(feature = "http-sse")]
use super::http_sse;
use super::lanes::LaneLimits;
use super::options::HttpOptions;
use super::origin::{self, Names};
use super::reply::{self, Refusal};
use super::session::Sessions;
use super::transport::{Accepted, HttpTransport};
#[cfg(feature = "http-sse")]
use crate::head;

/// Room for one request, which keeps the service as long as it is taken.
pub(super) struct Permit(Arc<Inner>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.room.add_permits(1);
    }
}

/// A server at one URL, for all revisions: a [`tower::Service`](tower_service::Service) that hyper and axum can serve.
///
/// It accepts connections and hands each to the program, which drives it:
///
/// ```
/// use mcp_server::{Server, tool};
/// use mcp_transport_http::HttpService;
///
/// async fn hello() -> &'static str {
///     "Hello."
/// }
///
/// let server = Server::new("greeter", "1.0.0").tool(tool("hello", hello)).start();
/// let service = HttpService::renewing(move |client| server.serve_with(client.transport, client.extensions));
/// ```
///
/// Clones are one service.
#[derive(Clone)]
pub struct HttpService {
    pub(super) inner: Arc<Inner>,
    /// Whose requests come to this clone.
    peer: Option<PeerAddr>,
}

pub(super) struct Inner {
    connect: Box<dyn Fn(Accepted) -> Driving + Send + Sync>,
    pub(super) resting: Resting,
    pub(super) last_meta: LastMeta,
    authenticate: Option<Authenticate>,
    pub(super) schemas: Option<Schemas>,
    hosts: Names,
    origins: Names,
    path: Option<String>,
    #[cfg(feature = "http-sse")]
    http_sse: bool,
    pub(super) options: HttpOptions,
    room: Semaphore,
    pub(super) sessions: Arc<Sessions>,
    pub(super) shutdown: CancellationToken,
}

/// Sessions run by themselves, and are not to outlive the last clone and the last answer.
impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(super) type Schemas = Box<dyn Fn(&str) -> Option<RawJson> + Send + Sync>;
type Authenticate = Box<dyn Fn(&Parts) -> Authenticating + Send + Sync>;
type Authenticating = Pin<Box<dyn Future<Output = Result<Option<Principal>, Denied>> + Send>>;

/// Where a request came from: for handlers, and in the extensions of what [`HttpService::authenticate`] is shown. A listener that is
/// not [`HttpListener`](crate::HttpListener) puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// 401: they may try again, with what `WWW-Authenticate` asks for.
    Unauthorized {
        /// The value of `WWW-Authenticate`; one that cannot stand in a header becomes `Bearer`.
        challenge: String,
    },
    /// 403: they may not, whoever they are.
    Forbidden,
}

impl HttpService {
    /// A service that hands each connection to `connect` and drives what that returns until the connection ends.
    ///
    /// It is reached by local names and from local pages only, until [`hosts`](Self::hosts) and
    /// [`origins`](Self::origins) say otherwise.
    pub fn new<F, D, E>(connect: F) -> Self
    where
        F: Fn(Accepted) -> D + Send + Sync + 'static,
        D: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + 'static,
    {
        Self::connecting(move |accepted| Box::new(Program(Once::new(connect(accepted)))))
    }

    /// A service as from [`new`](Self::new), by something that can drive one connection after another, as
    /// `ServerConnection::serve` of `mcp-server` returns it: for a modern request, which is a connection of its own, half of the
    /// work is to begin and to end that.
    ///
    /// Each request has its own extensions all the same, and what a handler has kept of one is none of another's.
    ///
    /// **What `connect` returns for one client serves others as well, and `connect` is not asked about them.** Who decides by
    /// [`Accepted::extensions`] what a client is to be served by takes [`new`](Self::new).
    pub fn renewing<F, D, E>(connect: F) -> Self
    where
        F: Fn(Accepted) -> D + Send + Sync + 'static,
        D: Future<Output = Result<(), E>> + Renew + Send + Unpin + 'static,
        E: fmt::Display + 'static,
    {
        Self::connecting(move |accepted| Box::new(Program(connect(accepted))))
    }

    fn connecting(connect: impl Fn(Accepted) -> Driving + Send + Sync + 'static) -> Self {
        Self::from_inner(Inner {
            connect: Box::new(connect),
            resting: Resting::default(),
            last_meta: LastMeta::default(),
            authenticate: None,
            schemas: None,
            hosts: Names::Local,
            origins: Names::Local,
            path: None,
            #[cfg(feature = "http-sse")]
            http_sse: false,
            room: Semaphore::new(0),
            sessions: Arc::new(Sessions::new(0, Duration::ZERO, Duration::ZERO)),
            options: HttpOptions::default(),
            shutdown: CancellationToken::new(),
        })
    }

    fn from_inner(mut inner: Inner) -> Self {
        let options = &inner.options;
        inner.room = Semaphore::new(bounded(options.requests));
        inner.sessions = Arc::new(Sessions::new(
            options.sessions,
            options.session_idle,
            options.body_time,
        ));
        let inner = Arc::new(inner);
        Self { inner, peer: None }
    }

    /// A clone for the requests of one connection.
    pub(super) fn of(&self, peer: SocketAddr) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            peer: Some(PeerAddr(peer)),
        }
    }

    /// Changes what clones do not share yet.
    #[track_caller]
    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::into_inner(self.inner)
            .expect("a service is configured before it is cloned and served");
        change(&mut inner);
        Self::from_inner(inner)
    }

    /// Sets bounds and times.
    ///
    /// # Panics
    /// As all of these, if the service has been cloned or is being served already.
    #[must_use]
    pub fn options(self, options: HttpOptions) -> Self {
        self.with(|inner| inner.options = options)
    }

    /// Serves this path only, and answers all others 404; by default whatever path it is mounted at.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        self.with(|inner| inner.path = Some(path.into()))
    }

    /// Sets the names under which the server is reached, each with a port if it is to be compared; by default local ones,
    /// by which it is reached no longer then unless they are listed, too.
    ///
    /// A page of another site could have its own name resolve to this machine (REQ-HTTPM-18).
    #[must_use]
    pub fn hosts<S: Into<String>>(self, hosts: impl IntoIterator<Item = S>) -> Self {
        let hosts = hosts.into_iter().map(Into::into).collect();
        self.with(|inner| inner.hosts = Names::Listed(hosts))
    }

    /// Takes requests for any host: for a server behind a proxy that has looked.
    #[must_use]
    pub fn any_host(self) -> Self {
        self.with(|inner| inner.hosts = Names::Any)
    }

    /// Sets whose pages may ask, such as `https://app.example`; by default local ones, which may no longer then unless they are
    /// listed, too. What is no browser sends no `Origin`.
    ///
    /// (A WebSocket's `AcceptOptions` keep the local ones beside their lists, but for `only_listed`.)
    #[must_use]
    pub fn origins<S: Into<String>>(self, origins: impl IntoIterator<Item = S>) -> Self {
        let origins = origins.into_iter().map(Into::into).collect();
        self.with(|inner| inner.origins = Names::Listed(origins))
    }

    /// Takes requests from any page. Without authentication, that is anybody's page.
    #[must_use]
    pub fn any_origin(self) -> Self {
        self.with(|inner| inner.origins = Names::Any)
    }

    /// Sets who is let in: asked for each request, after the origin and before anything is read of the body.
    ///
    /// The principal goes to the handlers, and a legacy session is open to the principal alone that has opened it. `Ok(None)` lets
    /// in without a name.
    ///
    /// ```
    /// use mcp_server::{Server, types::Principal};
    /// use mcp_transport_http::http::{header::AUTHORIZATION, request::Parts};
    /// use mcp_transport_http::{Denied, HttpService};
    ///
    /// fn who(parts: &Parts) -> Result<Option<Principal>, Denied> {
    ///     let header = parts.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    ///     match header.and_then(|header| header.strip_prefix("Bearer ")) {
    ///         // In earnest, secrets are compared in constant time.
    ///         Some("secret of ada") => Ok(Some(Principal::new("ada"))),
    ///         _ => Err(Denied::Unauthorized { challenge: "Bearer".to_owned() }),
    ///     }
    /// }
    ///
    /// let server = Server::new("greeter", "1.0.0").start();
    /// let service = HttpService::new(move |client| server.serve_with(client.transport, client.extensions))
    ///     .authenticate(|parts| std::future::ready(who(parts)));
    /// ```
    #[must_use]
    pub fn authenticate<F, A>(self, authenticate: F) -> Self
    where
        F: Fn(&Parts) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Option<Principal>, Denied>> + Send + 'static,
    {
        let authenticate = move |parts: &Parts| -> Authenticating { Box::pin(authenticate(parts)) };
        self.with(|inner| inner.authenticate = Some(Box::new(authenticate)))
    }

    /// Sets how a tool's input schema is found, by which `Mcp-Param-*` headers are checked; without it they are not.
    #[must_use]
    pub fn tool_schemas(
        self,
        schema: impl Fn(&str) -> Option<RawJson> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.schemas = Some(Box::new(schema)))
    }

    /// Serves HTTP+SSE, the transport of 2024-11-05, too: at the same URL, a GET that names no session opens one, and the
    /// first event of its stream says where the client is to post (REQ-SSE1-01).
    ///
    /// Such a session lasts as long as its stream; all bounds are those of other sessions.
    #[cfg(feature = "http-sse")]
    #[must_use]
    pub fn http_sse(self) -> Self {
        self.with(|inner| inner.http_sse = true)
    }

    /// Ends everything in good order: new requests are answered 503, sessions and streams end as the protocol has it,
    /// requests have the time that the driver gives them.
    ///
    /// Completes when nothing runs any more.
    ///
    /// # Cancel safety
    /// The end is not called off by dropping the future.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.shutdown.cancel();
        inner.resting.clear();
        inner.sessions.ended().await;
        let all = bounded(inner.options.requests) as u32;
        // The semaphore is never closed.
        let _ = inner.room.acquire_many(all).await;
    }
}

/// The answer to a request, or to one that is refused.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn refused(refusal: Refusal) -> Response<Body> {
    tracing::debug!(status = %refusal.status, reason = refusal.error.message, "refused");
    refusal.into()
}

/// As much room as a semaphore can have, and all of it be taken at once.
pub(super) fn bounded(count: usize) -> usize {
    count.min(1 << 28)
}

/// Nothing is wrong with the request, and nothing has been done: it may come again.
pub(super) fn unavailable(why: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "")
        .error(ErrorObject::internal(why))
        .with(RETRY_AFTER, "1")
}

impl Inner {
    /// What can be said of a request before anything is waited for; gives it room.
    fn admit(self: &Arc<Self>, parts: &Parts) -> Result<Permit, Refusal> {
        if self.shutdown.is_cancelled() {
            return Err(unavailable("the server is shutting down"));
        }
        match self.room.try_acquire() {
            Ok(room) => room.forget(),
            Err(_) => return Err(unavailable("too many requests at a time")),
        }
        let permit = Permit(Arc::clone(self));
        if (self.path.as_ref()).is_some_and(|path| parts.uri.path() != path) {
            let message = "nothing is served here";
            return Err(Refusal::new(StatusCode::NOT_FOUND, message));
        }
        origin::check(parts, &self.hosts, &self.origins)?;
        Ok(permit)
    }

    /// Answers a request. What is kept until that is done is kept once: each of these is a future's place on the heap.
    fn route<B>(
        self: Arc<Self>,
        method: Method,
        uri: &Uri,
        client: Client,
        body: B,
        permit: Permit,
    ) -> Answering
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: fmt::Display + Send,
    {
        let answered = move |answer: Result<Response<Body>, Refusal>| {
            let response = answer.unwrap_or_else(refused);
            Ok(response.map(|body| body.holding(permit)))
        };
        #[cfg(feature = "http-sse")]
        if self.http_sse {
            match (&method, http_sse::named(uri)) {
                (&Method::GET, None) if !client.headers.contains_key(head::SESSION) => {
                    let opening = self.open_stream(uri.clone(), client);
                    return Box::pin(opening.map(answered));
                }
                (&Method::POST, Some(session)) => {
                    let session = session.to_owned();
                    let posting = async move { self.post_beside(&client, &session, body).await };
                    return Box::pin(posting.map(answered));
                }
                _ => {}
            }
        }
        #[cfg(not(feature = "http-sse"))]
        let _ = uri;
        let answer = match method {
            Method::POST => return Box::pin(self.post(client, body).map(answered)),
            Method::GET => self.listen(&client),
            Method::DELETE => self.delete(&client),
            _ => {
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "POST, GET or DELETE");
                Err(refusal.with(ALLOW, "POST, GET, DELETE"))
            }
        };
        Box::pin(ready(answered(answer)))
    }

    pub(super) fn connect(&self, transport: HttpTransport, extensions: Extensions) -> Driving {
        (self.connect)(Accepted {
            transport,
            extensions,
        })
    }

    pub(super) fn schema(&self, tool: &str) -> Option<RawJson> {
        self.schemas.as_ref().and_then(|schema| schema(tool))
    }

    pub(super) fn lane_limits(&self) -> LaneLimits {
        LaneLimits {
            backlog: self.options.stream_bytes,
            replay: self.options.replay_bytes,
            retry: self.options.retry,
            keep_alive: self.options.keep_alive,
        }
    }
}

/// Who asks, as far as HTTP knows.
pub(super) struct Client {
    pub(super) headers: HeaderMap,
    pub(super) peer: Option<PeerAddr>,
    pub(super) principal: Option<Principal>,
}

impl Client {
    pub(super) fn into_extensions(self) -> Extensions {
        let mut extensions = Extensions::new().with(self.headers);
        if let Some(peer) = self.peer {
            extensions.insert(peer);
        }
        if let Some(principal) = self.principal {
            extensions.insert(principal);
        }
        extensions
    }
}

impl From<Denied> for Response<Body> {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => reply::empty(StatusCode::FORBIDDEN),
            Denied::Unauthorized { challenge } => {
                let mut response = reply::empty(StatusCode::UNAUTHORIZED);
                let challenge =
                    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
        }
    }
}

impl<B> tower_service::Service<Request<B>> for HttpService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let peer = self.peer.or_else(|| parts.extensions.get().copied());
        let inner = Arc::clone(&self.inner);
        let permit = match inner.admit(&parts) {
            Ok(permit) => permit,
            Err(refusal) => return Box::pin(ready(Ok(refused(refusal)))),
        };
        let authenticating = inner.authenticate.as_ref().map(|authenticate| {
            if let Some(peer) = peer {
                parts.extensions.insert(peer);
            }
            authenticate(&parts)
        });
        let Parts {
            method,
            uri,
            headers,
            ..
        } = parts;
        let client = move |principal| Client {
            headers,
            peer,
            principal,
        };
        match authenticating {
            None => inner.route(method, &uri, client(None), body, permit),
            Some(authenticating) => Box::pin(async move {
                match authenticating.await {
                    Ok(principal) => {
                        let client = client(principal);
                        inner.route(method, &uri, client, body, permit).await
                    }
                    Err(denied) => Ok(Response::from(denied).map(|body| body.holding(permit))),
                }
            }),
        }
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
