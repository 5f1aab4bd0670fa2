//! Servers.

use std::sync::Arc;
use std::time::Duration;

use mcp_peer::session::{Limits, NOTIFICATIONS_EXTENSION, ServerConfig};
use mcp_peer::types::{
    CacheScope, Extensions, Implementation, LogLevel, RawJson, ServerCapabilities,
};
use mcp_peer::{Connection, ConnectionError, Options, Transport};

use crate::catalog::{Catalog, Offer, Refused};
use crate::group::Group;
use crate::pages::Cached;
use crate::prompt::PromptDef;
use crate::resource::ResourceDef;
use crate::rounds::{Lot, ParkLimits};
use crate::router::{Router, Settings};
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
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    options: Options,
    park: ParkLimits,
    settings: Settings,
    catalog: Catalog,
}

impl Server {
    /// A server that offers nothing yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let mut config = ServerConfig::new(Implementation::new(name, version));
        config.capabilities = ServerCapabilities::default().logging();
        Self {
            config,
            options: Options::default(),
            park: ParkLimits::default(),
            settings: Settings::default(),
            catalog: Catalog::new(),
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

    /// Offers a tool.
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
    pub fn with_notifications(mut self) -> Self {
        let extensions = &mut self.config.capabilities.extensions;
        extensions.insert(NOTIFICATIONS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
        self
    }

    /// Sets the level that legacy clients get before they have said what they want.
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

    /// Sets the bounds on handlers that wait for input from modern clients.
    #[must_use]
    pub fn park_limits(mut self, limits: ParkLimits) -> Self {
        self.park = limits;
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
    /// The transport failed.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection and drops every handler.
    pub async fn serve<T: Transport>(self, transport: T) -> Result<(), ServeError<T>> {
        let connection = self.start().connect(transport);
        connection.driver.await
    }

    /// Makes it ready for many connections.
    pub fn start(self) -> ServerConnection {
        ServerConnection {
            router: Arc::new(Router {
                catalog: self.catalog,
                lot: Lot::new(self.park),
                settings: self.settings,
            }),
            config: self.config,
            options: self.options,
        }
    }
}

#[track_caller]
fn accept<T>(offered: Result<T, Refused>) {
    if let Err(refused) = offered {
        panic!("{refused}");
    }
}

/// Why serving a connection ended early.
pub type ServeError<T> = ConnectionError<<T as Transport>::TransportError>;

/// A server that takes connections; clones share what it offers.
#[derive(Debug, Clone)]
pub struct ServerConnection {
    router: Arc<Router>,
    config: ServerConfig,
    options: Options,
}

impl ServerConnection {
    /// One more connection: nothing happens on it until its driver is polled.
    pub fn connect<T: Transport>(&self, transport: T) -> Connection<T> {
        self.connect_with(transport, self.options.extensions.clone())
    }

    /// One more connection, with what is known about it, for handlers to ask by [`Cx::extension`](crate::Cx::extension).
    pub fn connect_with<T: Transport>(
        &self,
        transport: T,
        extensions: Extensions,
    ) -> Connection<T> {
        let mut config = self.config.clone();
        self.router.catalog.declare(&mut config.capabilities);
        let handler = Arc::clone(&self.router) as Arc<dyn mcp_peer::Handler>;
        let mut options = self.options.clone();
        options.extensions = extensions;
        mcp_peer::server(transport, config, handler, options)
    }

    /// A handle to what the server offers, to add and remove while it serves.
    pub fn catalog(&self) -> Catalog {
        self.router.catalog.clone()
    }
}
