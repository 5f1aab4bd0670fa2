//! Servers.

use std::sync::Arc;

use mcp_peer::session::{Limits, NOTIFICATIONS_EXTENSION, ServerConfig};
use mcp_peer::types::{Implementation, LogLevel, RawJson, ServerCapabilities, ToolsCapability};
use mcp_peer::{Connection, ConnectionError, Options, Transport};

use crate::rounds::{Lot, ParkLimits};
use crate::router::Router;
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
    tools: Vec<ToolDef>,
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
            tools: Vec::new(),
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
    /// If there is a tool of that name already, or the name breaks the rules: 1 to 128 of `A-Z a-z 0-9 _ . -` (REQ-TOOL-01).
    #[must_use]
    #[track_caller]
    pub fn tool(mut self, tool: ToolDef) -> Self {
        let name = &tool.tool.name;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        assert!(
            (1..=128).contains(&name.len()) && name.bytes().all(legal),
            "tool name {name:?} is not 1 to 128 of A-Z a-z 0-9 _ . -"
        );
        assert!(
            self.tools.iter().all(|t| t.tool.name != *name),
            "there is a tool named {name:?} already"
        );
        self.config
            .capabilities
            .tools
            .get_or_insert_with(ToolsCapability::default);
        self.tools.push(tool);
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
        let lot = Lot::new(self.park);
        ServerConnection {
            router: Arc::new(Router::new(self.tools, lot)),
            config: self.config,
            options: self.options,
        }
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
        let handler = Arc::clone(&self.router) as Arc<dyn mcp_peer::Handler>;
        mcp_peer::server(
            transport,
            self.config.clone(),
            handler,
            self.options.clone(),
        )
    }
}
