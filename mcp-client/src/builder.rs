//! What a client is told before it connects.

use std::future::Future;
use std::sync::Arc;

use mcp_peer::session::{ClientConfig, ConnectError, EraChoice, Limits, NOTIFICATIONS_EXTENSION};
use mcp_peer::types::capabilities::extension_fault;
use mcp_peer::types::{
    ClientCapabilities, Implementation, LogLevel, LogMessage, LogMessageParams, Notification,
    NotificationMessage, PromptListChanged, RawJson, ResourceListChanged, ResourceUpdated,
    ResourceUpdatedParams, SubscriptionFilter, TASKS_EXTENSION, ToolListChanged,
};
use mcp_peer::{Driver, Options, Peer, Transport};

use crate::cache::Lists;
use crate::client::{Client, Link};
use crate::connector::{Connector, OpenError};
use crate::handlers::Handlers;
use crate::reconnect::{self, Reconnect};
use crate::subscription;

/// A client that is being made; see [`Client::builder`].
#[derive(Debug)]
#[must_use = "a builder connects to nothing by itself"]
pub struct ClientBuilder {
    pub(crate) config: ClientConfig,
    options: Options,
    pub(crate) handlers: Handlers,
    subscriptions: Subscriptions,
    /// What the callbacks want to be told of.
    changes: SubscriptionFilter,
    reconnect: Option<Reconnect>,
    keep_lists: bool,
}

/// Callbacks that are there before the first message is.
#[derive(Default)]
struct Subscriptions(Vec<Subscribe>);

type Subscribe = Box<dyn FnOnce(&Peer) + Send>;

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} callbacks", self.0.len())
    }
}

impl ClientBuilder {
    pub(crate) fn new(info: Implementation) -> Self {
        Self {
            config: ClientConfig::new(info),
            options: Options::default(),
            handlers: Handlers::default(),
            subscriptions: Subscriptions::default(),
            changes: SubscriptionFilter::new(),
            reconnect: None,
            keep_lists: true,
        }
    }

    /// Chooses how the connection is opened; by default the client finds out which era the server speaks.
    ///
    /// A [`ProtocolVersion`](mcp_peer::types::ProtocolVersion) pins it to that one. What [`Client::era`] has found out need not
    /// be asked for again, when there is another connection to the same server.
    ///
    /// ```no_run
    /// # async fn run(first: impl mcp_client::Transport, second: impl mcp_client::Transport) -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_client::types::ProtocolVersion;
    /// use mcp_client::Client;
    ///
    /// let client = Client::builder("me", "1.0.0").connect(first).await?;
    /// let again = Client::builder("me", "1.0.0").era(client.era());
    /// let pinned = Client::builder("me", "1.0.0").era(ProtocolVersion::V2025_06_18).connect(second).await?;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "version")]
    pub fn era(mut self, era: impl Into<EraChoice>) -> Self {
        self.config.era = era.into();
        self
    }

    /// Says from which level on log messages are wanted.
    ///
    /// Legacy: sent once by `logging/setLevel`. Modern: stamped on every request.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.config.log_level = Some(level);
        self
    }

    /// Sets the bounds of the session.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Sets the bounds of the connection's queues and times.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Calls back for each log message, in the order of the wire; asks for level info if [`log_level`](Self::log_level) says nothing else.
    ///
    /// The callback runs within the connection's task and should return quickly; [`Client::logs`] is a stream instead.
    pub fn on_log(mut self, callback: impl FnMut(LogMessageParams) + Send + 'static) -> Self {
        self.config.log_level.get_or_insert(LogLevel::Info);
        self.subscribe::<LogMessage>(callback)
    }

    /// Calls back for each notification of a type, in the order of the wire.
    ///
    /// [`Progress`](mcp_peer::types::Progress) is one, too, of calls that have [`on_progress`](crate::Call::on_progress).
    /// For a program's own type this declares the extension that modern servers need to send it, and asks them to tell what goes
    /// to many, as [`on_tools_changed`](Self::on_tools_changed) does; what is sent while the connection is lost is not told. To
    /// [subscribe](Client::subscribe) to it as well changes nothing. (Who has to know when it is told again registers with
    /// [`Peer::on_notification`](mcp_peer::Peer::on_notification), and subscribes.)
    ///
    /// The callback runs within the connection's task and should return quickly; [`Client::notifications`] is a stream instead.
    pub fn on_notification<N: Notification>(
        mut self,
        callback: impl FnMut(N::Params) + Send + 'static,
    ) -> Self {
        if !mcp_peer::types::MethodName::from(N::METHOD).is_core() {
            self.changes = self.changes.notification(N::METHOD);
            self = self.with_notifications();
        }
        self.subscribe::<N>(callback)
    }

    /// Calls back whenever the list of tools has changed, in either era; a server that does not offer to tell of it is silent.
    ///
    /// The client asks a modern server to tell (`subscriptions/listen`) before it is connected, and again when it has stopped or
    /// the connection was lost. Then the callback runs once, for the list may have changed in between: what is listed after
    /// that is at least as new as what was not told of (REQ-SUB-08, REQ-SUB-14). A legacy server tells unasked.
    ///
    /// It runs within the connection's task and should return quickly; it has no list [kept](Self::keep_lists) from before.
    ///
    /// ```no_run
    /// # async fn run(transport: impl mcp_client::Transport) -> Result<(), Box<dyn std::error::Error>> {
    /// let changed = std::sync::Arc::new(tokio::sync::Notify::new());
    /// let told = changed.clone();
    /// let client = mcp_client::Client::builder("me", "1.0.0")
    ///     .on_tools_changed(move || told.notify_one())
    ///     .connect(transport)
    ///     .await?;
    /// loop {
    ///     println!("{} tools", client.list_tools().await?.len());
    ///     changed.notified().await;
    /// }
    /// # }
    /// ```
    pub fn on_tools_changed(mut self, mut callback: impl FnMut() + Send + 'static) -> Self {
        self.changes.tools_list_changed = true;
        self.subscribe::<ToolListChanged>(move |_| callback())
    }

    /// Calls back whenever the list of prompts has changed; in all else as [`on_tools_changed`](Self::on_tools_changed).
    pub fn on_prompts_changed(mut self, mut callback: impl FnMut() + Send + 'static) -> Self {
        self.changes.prompts_list_changed = true;
        self.subscribe::<PromptListChanged>(move |_| callback())
    }

    /// Calls back whenever the list of resources, or that of their templates, has changed; in all else as
    /// [`on_tools_changed`](Self::on_tools_changed).
    pub fn on_resources_changed(mut self, mut callback: impl FnMut() + Send + 'static) -> Self {
        self.changes.resources_list_changed = true;
        self.subscribe::<ResourceListChanged>(move |_| callback())
    }

    /// Calls back whenever a resource has changed that the program has [subscribed to](Client::subscribe).
    ///
    /// The callback runs within the connection's task and should return quickly.
    pub fn on_resource_updated(
        self,
        callback: impl FnMut(ResourceUpdatedParams) + Send + 'static,
    ) -> Self {
        self.subscribe::<ResourceUpdated>(callback)
    }

    /// Calls back for each notification that nothing else is registered for.
    ///
    /// While lists are [kept](Self::keep_lists), the client itself is registered for their changes; with the feature `schema`, for
    /// those of the tools in any case.
    pub fn on_other_notification(
        mut self,
        callback: impl FnMut(&NotificationMessage) + Send + 'static,
    ) -> Self {
        self.subscriptions
            .0
            .push(Box::new(|peer| peer.on_other_notification(callback)));
        self
    }

    fn subscribe<N: Notification>(
        mut self,
        callback: impl FnMut(N::Params) + Send + 'static,
    ) -> Self {
        self.subscriptions
            .0
            .push(Box::new(|peer| peer.on_notification::<N>(callback)));
        self
    }

    /// Declares the extension by which a modern server sends a program's own notifications.
    pub fn with_notifications(mut self) -> Self {
        let extensions = &mut self.config.capabilities.extensions;
        extensions.insert(NOTIFICATIONS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
        self
    }

    /// Lets a modern server make tasks of this client's calls, each of which then waits for the end of its task as it would for
    /// an answer: what the task asks goes to the handlers, and the task is cancelled with the call, unless that is given up
    /// before it is known.
    ///
    /// [`Call::as_task`](crate::Call::as_task) does not wait, and asks 2025-11-25 servers for a task.
    pub fn with_tasks(mut self) -> Self {
        let extensions = &mut self.config.capabilities.extensions;
        extensions.insert(TASKS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
        self
    }

    /// Changes the capabilities that the other methods have declared.
    ///
    /// An extension without a prefix in its identifier, as `com.example/feature` has one, or with settings that are no JSON object
    /// is logged and not declared (REQ-EXT-01).
    pub fn capabilities(mut self, change: impl FnOnce(&mut ClientCapabilities)) -> Self {
        let capabilities = &mut self.config.capabilities;
        change(capabilities);
        capabilities.extensions.retain(|id, settings| {
            let fault = extension_fault(id, settings);
            if let Some(fault) = fault {
                tracing::error!(id, fault, "an extension that cannot be declared");
            }
            fault.is_none()
        });
        self
    }

    /// Sets whether lists are kept for as long as the server lets them be; they are unless this says no.
    ///
    /// A list is kept for this client alone, whatever `cacheScope` it has; it is asked for again when its time is over, when
    /// the server tells that it has changed, and after the connection has been opened again (REQ-CACHE-01).
    pub fn keep_lists(mut self, keep: bool) -> Self {
        self.keep_lists = keep;
        self
    }

    /// Opens a lost connection again, if it is made [through a connector](Self::connect_with).
    pub fn reconnect(mut self, policy: Reconnect) -> Self {
        self.reconnect = Some(policy);
        self
    }

    /// Connects: finds out which era the server speaks, and shakes hands if it is the legacy one.
    ///
    /// The connection runs in a task of its own until the last clone of the client is dropped.
    ///
    /// # Errors
    /// [`ConnectError`]: why the connection could not be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect<T: Transport>(self, transport: T) -> Result<Client, ConnectError> {
        self.start(transport, None, |driver, _| async move {
            if let Err(error) = driver.await {
                tracing::warn!(%error, "connection ended");
            }
        })
        .await
    }

    /// Connects to a server that can be reached again: one that ends when it is asked for its era, as some legacy ones do,
    /// is started once more, one whose transport breaks meanwhile is asked once more, and a lost connection is opened again as
    /// [`reconnect`](Self::reconnect) says. The era that was found is not asked for again, unless the server turns out to
    /// speak another one.
    ///
    /// # Errors
    /// [`OpenError`]: there is no transport at all, or the handshake failed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect_with<C: Connector>(
        self,
        mut connector: C,
    ) -> Result<Client, OpenError<C::Error>> {
        let transport = connector.connect().await.map_err(OpenError::NoTransport)?;
        let policy = self.reconnect.clone();
        let client = self.start(transport, policy.clone(), |driver, era| {
            reconnect::drive(driver.reopenable(), connector, era, policy)
        });
        Ok(client.await?)
    }

    async fn start<T: Transport, Fut: Future<Output = ()> + Send + 'static>(
        self,
        transport: T,
        reconnect: Option<Reconnect>,
        drive: impl FnOnce(Driver<T>, EraChoice) -> Fut,
    ) -> Result<Client, ConnectError> {
        let era = self.config.era;
        let Limits {
            request_timeout: timeout,
            request_total: total,
            ..
        } = self.config.limits;
        let takes_tasks = self
            .config
            .capabilities
            .extensions
            .contains_key(TASKS_EXTENSION);
        let connection = mcp_peer::client(
            transport,
            self.config,
            Arc::new(self.handlers),
            self.options,
        );
        let lists = Lists::new(self.keep_lists);
        lists.watch(&connection.peer);
        #[cfg(feature = "schema")]
        let schemas = crate::structured::Schemas::default();
        #[cfg(feature = "schema")]
        schemas.watch(&connection.peer);
        for subscribe in self.subscriptions.0 {
            subscribe(&connection.peer);
        }
        tokio::spawn(drive(connection.driver, era));
        let server = connection.peer.opened().await?;
        if !self.changes.is_empty() {
            let policy = reconnect.clone().unwrap_or_default();
            subscription::stand(&connection.peer, &server, self.changes, policy).await;
        }
        let link = Link {
            server,
            reconnect,
            timeout,
            total,
            takes_tasks,
            lists,
            subscribed: Default::default(),
            #[cfg(feature = "schema")]
            schemas,
        };
        Ok(Client::new(connection.peer, link))
    }
}
