//! Servers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_peer::session::{Limits, NOTIFICATIONS_EXTENSION, ServerConfig, ServerSetup};
use mcp_peer::types::capabilities::extension_fault;
use mcp_peer::types::{
    CacheScope, Extensions, Implementation, LogLevel, Notification, ProtocolVersion, RawJson,
    ServerCapabilities,
};
use mcp_peer::{Connection, ConnectionError, Handler, Link, Options, Peer, Transport};

use crate::backplane::Backplane;
use crate::catalog::{Catalog, Offer, Offered, Refused};
use crate::group::Group;
use crate::hub::Hub;
use crate::logs::{LogBucket, LogRate};
use crate::middleware::{self, Middleware};
use crate::pages::Cached;
use crate::park::{Lot, ParkLimits};
use crate::prompt::PromptDef;
use crate::replay::{Replay, Replayer};
use crate::resource::ResourceDef;
use crate::room::RoomOptions;
use crate::rounds::Between;
use crate::router::{Router, Settings};
use crate::served::Served;
use crate::tasks::{MemoryTasks, TaskOptions, TaskStore, Tasks};
use crate::tool::ToolDef;

/// A server: what it offers, to any number of connections of any revision.
///
/// ```no_run
/// # async fn run(transport: impl mcp_server::Transport) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_server::{Server, tool};
///
/// async fn hello() -> &'static str {
///     "Hello."
/// }
///
/// Server::new("greeter", "1.0.0").tool(tool("hello", hello)).serve(transport).await?;
/// # Ok(()) }
/// ```
pub struct Server {
    config: ServerConfig,
    options: Options,
    park: ParkLimits,
    replay: Option<Replay>,
    tasks: TaskOptions,
    task_store: Box<dyn TaskStore>,
    settings: Settings,
    catalog: Catalog,
    /// Whether resources can be subscribed to.
    subscriptions: bool,
    /// What is around the handlers, the outermost first.
    around: Vec<Wrap>,
    listeners: Vec<Listen>,
    logs: Option<LogRate>,
    backplane: Option<Arc<dyn Backplane>>,
    max_connections: usize,
}

/// Puts something around a handler.
type Wrap = Box<dyn FnOnce(Arc<dyn Handler>) -> Arc<dyn Handler> + Send + Sync>;

/// Registers with a connection what listens to its client's notifications.
type Listen = Arc<dyn Fn(&Peer) + Send + Sync>;

impl Server {
    /// A server that offers nothing yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let mut config = ServerConfig::new(Implementation::new(name, version));
        config.capabilities = ServerCapabilities::default().logging();
        Self {
            config,
            options: Options::default(),
            park: ParkLimits::default(),
            replay: None,
            tasks: TaskOptions::default(),
            task_store: Box::new(MemoryTasks::default()),
            settings: Settings::default(),
            catalog: Catalog::new(Hub::new()),
            subscriptions: false,
            around: Vec::new(),
            listeners: Vec::new(),
            logs: None,
            backplane: None,
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// Says how to use the server, for a model to read.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.config.instructions = Some(instructions.into());
        self
    }

    /// Says more about the server than its name and version.
    #[must_use]
    pub fn info(mut self, info: Implementation) -> Self {
        self.config.info = info;
        self
    }

    /// Offers a tool: one that [`tool`](crate::tool()) makes, or of a function `add` with the attribute, `add::tool()`.
    ///
    /// # Panics
    /// If it is [`Refused`]: there is a tool of that name already, the name breaks the rules (REQ-TOOL-01), or a schema is none.
    #[must_use]
    #[track_caller]
    pub fn tool(self, tool: ToolDef) -> Self {
        accept(self.catalog.add(tool));
        self
    }

    /// Offers a resource, or a family of them.
    ///
    /// # Panics
    /// If it is [`Refused`]: there is one of that URI already, or the URI or template is none that the handler can serve.
    #[must_use]
    #[track_caller]
    pub fn resource(self, resource: ResourceDef) -> Self {
        accept(self.catalog.add(resource));
        self
    }

    /// Offers a prompt.
    ///
    /// # Panics
    /// If it is [`Refused`]: there is a prompt of that name already, or its arguments cannot be read from texts.
    #[must_use]
    #[track_caller]
    pub fn prompt(self, prompt: PromptDef) -> Self {
        accept(self.catalog.add(prompt));
        self
    }

    /// Offers everything of a group, the names of its tools and prompts prefixed.
    ///
    /// # Panics
    /// If something of it is [`Refused`].
    #[must_use]
    #[track_caller]
    pub fn mount(self, prefix: &str, group: Group) -> Self {
        accept(self.catalog.mount(prefix, group));
        self
    }

    /// A handle to what the server offers, to add and remove while it serves.
    pub fn catalog(&self) -> Catalog {
        self.catalog.clone()
    }

    /// Declares that there will be something of a kind of which there is nothing yet.
    ///
    /// Whatever is offered is declared by itself; what is not declared is answered with -32601.
    #[must_use]
    pub fn will_offer(self, offer: Offer) -> Self {
        self.catalog.announce(offer);
        self
    }

    /// Sets how many things a page of a list has at most, 1,000 by default; at least one.
    #[must_use]
    pub fn page_size(mut self, size: usize) -> Self {
        self.settings.page_size = size.max(1);
        self
    }

    /// Tells modern clients for how long, and for whom, a result may be kept; [`Cached`] has the defaults, all of them private.
    ///
    /// A hint and no protection: whoever may see something is not decided by it (REQ-CACHE-07).
    #[must_use]
    pub fn cache(mut self, what: Cached, ttl: Duration, scope: CacheScope) -> Self {
        self.settings.cache.set(what, ttl, scope);
        self
    }

    /// Checks structured results against their schemas before they are sent; by default in debug builds only.
    ///
    /// One that is not of its schema is logged, and the call answered with -32603.
    #[must_use]
    pub fn check_results(mut self, check: bool) -> Self {
        self.settings.check_results = check;
        self
    }

    /// Declares the extension by which a program's own notifications reach modern clients that declare it too.
    #[must_use]
    pub fn with_notifications(self) -> Self {
        self.extension(NOTIFICATIONS_EXTENSION, RawJson::EMPTY_OBJECT)
    }

    /// Declares an extension that the program speaks, by its identifier (`com.example/feature`) and settings, an object.
    ///
    /// Every client is told, though one from before 2026-07-28 may not look; what a client declares is in [`Cx::client_capabilities`](crate::Cx::client_capabilities).
    ///
    /// # Panics
    /// If it is none: the identifier has no prefix, or breaks the rules of one (REQ-EXT-01), or the settings are no object.
    #[must_use]
    #[track_caller]
    pub fn extension(mut self, id: impl Into<String>, settings: impl Into<RawJson>) -> Self {
        let (id, settings) = (id.into(), settings.into());
        if let Some(fault) = extension_fault(&id, &settings) {
            panic!("extension {id:?}: {fault}");
        }
        self.config.capabilities.extensions.insert(id, settings);
        self
    }

    /// Declares that whoever subscribes to a resource is told when it changes, by [`Hub::resource_updated`].
    #[must_use]
    pub fn with_subscriptions(mut self) -> Self {
        self.subscriptions = true;
        self
    }

    /// Sets the options of rooms that are made without any of their own.
    #[must_use]
    pub fn rooms(self, options: RoomOptions) -> Self {
        self.hub().set_room_options(options);
        self
    }

    /// Lets rooms, and what subscribers are told, reach over many nodes from [`start`](Self::start) on.
    #[must_use]
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Some(Arc::new(backplane));
        self
    }

    /// A handle to everyone who is connected, and to the server's rooms.
    pub fn hub(&self) -> Hub {
        self.catalog.hub().clone()
    }

    /// Puts something around all handlers, and around what is put around them later.
    #[must_use]
    pub fn around(mut self, middleware: impl Middleware) -> Self {
        self.around
            .push(Box::new(|handler| middleware::around(middleware, handler)));
        self
    }

    /// Puts a tower layer around all handlers, and around what is put around them later.
    ///
    /// A clone of the layer's service serves each request, when it is ready. Its error is answered with -32603, and logged.
    /// Layers that look at whether others are ready (shedding load, say) belong into one stack with those.
    ///
    /// Of tower's own, those of `timeout`, `limit::concurrency` and `load_shed` make services that can be cloned. `RateLimitLayer`
    /// does not, and goes behind a `BufferLayer`, which needs a runtime when the server starts.
    #[cfg(feature = "tower")]
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: tower_layer::Layer<crate::RouterService> + Send + Sync + 'static,
        L::Service: tower_service::Service<mcp_peer::Request, Response = mcp_peer::Answer>
            + Clone
            + Send
            + 'static,
        <L::Service as tower_service::Service<mcp_peer::Request>>::Future: Send,
        <L::Service as tower_service::Service<mcp_peer::Request>>::Error:
            Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        self.around.push(Box::new(move |handler| {
            crate::layer::layered(&layer, handler)
        }));
        self
    }

    /// Calls back for each notification of a type that a client sends, in the order of the wire.
    ///
    /// The callback runs within the connection's driver: it should return quickly.
    #[must_use]
    pub fn on_notification<N: Notification>(
        mut self,
        callback: impl Fn(N::Params, &Link) + Send + Sync + 'static,
    ) -> Self {
        let callback = Arc::new(callback);
        self.listeners.push(Arc::new(move |peer| {
            let (callback, from) = (Arc::clone(&callback), peer.link());
            peer.on_notification::<N>(move |params| callback(params, &from));
        }));
        self
    }

    /// Lets each connection log so many messages a second in the long run, and so many at once; those beyond are not sent,
    /// which the handler sees as [`NotSent::TooMany`](crate::NotSent) and the client by a message that says how many.
    #[must_use]
    pub fn limit_logs(mut self, per_second: u32, at_once: u32) -> Self {
        self.logs = Some(LogRate {
            per_second,
            at_once,
        });
        self
    }

    /// Sets which revisions the server speaks; all by default.
    ///
    /// A legacy client that asks for another one is offered the newest of these. A modern request in another one, and
    /// `initialize` where all of these are modern, are refused with -32022, which names these.
    ///
    /// ```
    /// use mcp_server::{Server, types::ProtocolVersion};
    ///
    /// // No legacy ones.
    /// let server = Server::new("files", "1.0.0").versions([ProtocolVersion::V2026_07_28]);
    /// ```
    ///
    /// # Panics
    /// If there are none: the server could answer nobody.
    #[must_use]
    #[track_caller]
    pub fn versions(mut self, versions: impl IntoIterator<Item = ProtocolVersion>) -> Self {
        self.config.versions = versions.into_iter().collect();
        assert!(
            !self.config.versions.is_empty(),
            "a server speaks one revision at least"
        );
        self
    }

    /// Sets the level that legacy clients get before they have said what they want; info by default.
    #[must_use]
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.config.log_level = level;
        self
    }

    /// Sets the bounds of each connection.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Sets how many connections there may be at a time, over all transports; 16,384 by default, and at least one.
    ///
    /// Over HTTP each request of a modern client is a connection. The one that is too many is refused with
    /// [`NotConnected::TooMany`] before anything is read from it.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Sets the bounds on handlers that wait for input from modern clients.
    #[must_use]
    pub fn park_limits(mut self, limits: ParkLimits) -> Self {
        self.park = limits;
        self
    }

    /// Keeps no handler between the input rounds of modern clients, so that any node may serve the next round; see
    /// [`Replay`] for what that demands of handlers.
    #[must_use]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = Some(replay);
        self
    }

    /// Sets how long tasks are kept; see [`ToolDef::task`].
    #[must_use]
    pub fn tasks(mut self, options: TaskOptions) -> Self {
        self.tasks = options;
        self
    }

    /// Sets where tasks are kept: in memory, by default.
    #[must_use]
    pub fn task_store(mut self, store: impl TaskStore) -> Self {
        self.task_store = Box::new(store);
        self
    }

    /// Sets the bounds of each connection's queues and times.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Serves one connection until it ends.
    ///
    /// When the peer closes its end, handlers have [`Options::drain`] to finish, and what is queued is sent.
    ///
    /// # Errors
    /// [`ServeError::Connection`]: the transport failed; or the peer took nothing for [`Options::write_timeout`], was silent for
    /// longer than [`Options::keep_alive`] allows, or was cut off.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection and drops every handler.
    pub async fn serve<T: Transport>(
        self,
        transport: T,
    ) -> Result<(), ServeError<T::TransportError>> {
        let connected = self.start().connect(transport);
        let connection = connected.map_err(|refused| refused.why)?;
        Ok(connection.driver.await?)
    }

    /// Makes it ready for many connections.
    pub fn start(self) -> ServerConnection {
        let catalog = self.catalog;
        if let Some(backplane) = self.backplane {
            catalog.hub().set_backplane(backplane);
        }
        let router: Arc<dyn Handler> = Arc::new(Router {
            catalog: catalog.clone(),
            between: match self.replay {
                None => Between::Park(Lot::new(self.park)),
                Some(replay) => Between::Replay(Replayer::new(replay)),
            },
            tasks: Tasks::new(self.tasks, self.task_store, catalog.hub().clone()),
            settings: self.settings,
        });
        let around = self.around.into_iter().rev();
        ServerConnection(Arc::new(Started {
            handler: around.fold(router, |handler, wrap| wrap(handler)),
            catalog,
            listeners: self.listeners,
            logs: self.logs,
            config: self.config,
            setup: Mutex::default(),
            options: self.options,
            subscriptions: self.subscriptions,
            max_connections: self.max_connections,
        }))
    }
}

#[track_caller]
fn accept<T>(offered: Result<T, Refused>) {
    if let Err(refused) = offered {
        panic!("{refused}");
    }
}

/// Connections of one server at a time, unless it says otherwise.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// Why serving a connection ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError<E: std::error::Error + 'static> {
    /// The connection broke.
    #[error(transparent)]
    Connection(#[from] ConnectionError<E>),
    /// It was not taken.
    #[error(transparent)]
    NotConnected(#[from] NotConnected),
}

/// Why a server does not take a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotConnected {
    /// There are as many as there may be.
    #[error("the server has {limit} connections already, as many as it takes")]
    TooMany {
        /// How many there may be ([`Server::max_connections`]).
        limit: usize,
    },
    /// The server takes none any more ([`ServerConnection::shutdown`]).
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// A connection that was not taken, with its transport as it was: for a farewell, say.
#[derive(thiserror::Error)]
#[error("{why}")]
pub struct RefusedConnection<T> {
    /// Why.
    pub why: NotConnected,
    /// What would have been the connection's transport.
    pub transport: T,
}

impl<T> fmt::Debug for RefusedConnection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedConnection")
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

/// A server that takes connections; clones are handles to the same.
#[derive(Clone)]
pub struct ServerConnection(pub(crate) Arc<Started>);

/// What connections of a server have in common.
pub(crate) struct Started {
    handler: Arc<dyn Handler>,
    catalog: Catalog,
    listeners: Vec<Listen>,
    logs: Option<LogRate>,
    config: ServerConfig,
    /// What connections are set up with, as long as the same kinds of things are offered.
    setup: Mutex<Option<(Offered, Arc<ServerSetup>)>>,
    options: Options,
    subscriptions: bool,
    max_connections: usize,
}

impl Started {
    fn hub(&self) -> &Hub {
        self.catalog.hub()
    }

    /// Keeps a place for one more connection; [`begun`](Self::begun) takes it.
    pub(crate) fn keep_place(&self) -> Result<(), NotConnected> {
        self.hub().keep_place(self.max_connections)
    }

    /// What is known about a connection that begins now.
    pub(crate) fn known(&self, mut extensions: Extensions) -> Extensions {
        if let Some(rate) = self.logs {
            extensions.insert(LogBucket::new(rate));
        }
        extensions
    }

    /// A connection has begun.
    pub(crate) fn begun(&self, peer: &Peer) {
        for listen in &self.listeners {
            listen(peer);
        }
        self.hub().connected(peer.link());
    }

    /// What a connection that begins now is set up with.
    pub(crate) fn setup(&self) -> Arc<ServerSetup> {
        let offered = self.catalog.offered();
        // It is replaced as a whole.
        let mut last = self.setup.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((declared, setup)) = &*last
            && *declared == offered
        {
            return Arc::clone(setup);
        }
        let mut config = self.config.clone();
        offered.declare(&mut config.capabilities, self.subscriptions);
        let setup: Arc<ServerSetup> = config.into();
        *last = Some((offered, Arc::clone(&setup)));
        setup
    }
}

impl ServerConnection {
    /// One more connection: nothing happens on it until its driver is polled.
    ///
    /// # Errors
    /// [`RefusedConnection`], with the transport as it was.
    pub fn connect<T: Transport>(
        &self,
        transport: T,
    ) -> Result<Connection<T>, RefusedConnection<T>> {
        self.connect_with(transport, self.0.options.extensions.clone())
    }

    /// One more connection, with what is known about it, for handlers to ask by [`Cx::extension`](crate::Cx::extension).
    ///
    /// # Errors
    /// [`RefusedConnection`], with the transport as it was.
    pub fn connect_with<T: Transport>(
        &self,
        transport: T,
        extensions: Extensions,
    ) -> Result<Connection<T>, RefusedConnection<T>> {
        self.connect_set_up(transport, extensions, self.0.setup())
    }

    fn connect_set_up<T: Transport>(
        &self,
        transport: T,
        extensions: Extensions,
        setup: Arc<ServerSetup>,
    ) -> Result<Connection<T>, RefusedConnection<T>> {
        let server = &*self.0;
        if let Err(why) = server.keep_place() {
            return Err(RefusedConnection { why, transport });
        }
        let handler = Arc::clone(&server.handler);
        let mut options = server.options.clone();
        options.extensions = server.known(extensions);
        let connection = mcp_peer::server(transport, setup, handler, options);
        server.begun(&connection.peer);
        Ok(connection)
    }

    /// Takes no further connections, and ends those that there are in good order: streams of changes are ended, handlers have
    /// [`Options::drain`] to finish, what is queued is sent. What is left at the deadline is cut off; how many that were.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing is cut off; the rest goes on.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.0.hub().shut_down(deadline).await
    }

    /// Serves one more connection until it ends; nothing happens on it until it is polled.
    ///
    /// ```no_run
    /// # async fn run(one: impl mcp_server::Transport, other: impl mcp_server::Transport) {
    /// # use mcp_server::Server;
    /// let server = Server::new("greeter", "1.0.0").start();
    /// // Over whatever transports.
    /// let _ended = tokio::join!(server.serve(one), server.serve(other));
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServeError::NotConnected`]: the connection was not taken. [`ServeError::Connection`] as with [`Server::serve`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection and drops every handler.
    pub fn serve<T: Transport>(&self, transport: T) -> Served<T> {
        self.serve_with(transport, self.0.options.extensions.clone())
    }

    /// As [`serve`](Self::serve), with what is known about the connection.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    pub fn serve_with<T: Transport>(&self, transport: T, extensions: Extensions) -> Served<T> {
        let setup = self.0.setup();
        let connected = self.connect_set_up(transport, extensions, Arc::clone(&setup));
        Served::new(
            self.clone(),
            setup,
            connected.map_err(|refused| refused.why),
        )
    }

    /// A handle to what the server offers, to add and remove while it serves.
    pub fn catalog(&self) -> Catalog {
        self.0.catalog.clone()
    }

    /// A handle to everyone who is connected, and to the server's rooms.
    pub fn hub(&self) -> Hub {
        self.0.hub().clone()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("info", &self.config.info)
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("info", &self.0.config.info)
            .field("catalog", &self.0.catalog)
            .finish_non_exhaustive()
    }
}
