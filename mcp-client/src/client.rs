//! Clients.

use std::sync::Arc;
use std::time::Duration;

use mcp_peer::session::{Established, NotSent, RequestError};
use mcp_peer::types::{
    CallTool, Complete, CompleteParams, Era, GetPrompt, Implementation, ListPrompts,
    ListResourceTemplates, ListResources, ListTools, LogMessage, Notification, Ping, ReadResource,
    ReadResourceParams, Request,
};
use mcp_peer::{Overflow, Peer, Receiver};
use serde::Serialize;

use crate::builder::ClientBuilder;
use crate::cache::Lists;
use crate::call::Call;
use crate::list::List;
use crate::reconnect::Reconnect;
use crate::subscription::Subscribed;

/// A client's connection to a server; clones share it, and it closes when the last one is dropped.
///
/// ```no_run
/// # async fn run(transport: impl mcp_client::Transport) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client::Client;
///
/// let client = Client::builder("me", "1.0.0").connect(transport).await?;
/// let result = client.call_tool("greet", serde_json::json!({ "name": "you" })).await?.ok()?;
/// println!("{}", result.to_text());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    peer: Peer,
    link: Arc<Link>,
}

/// What the clones of a client share besides the connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// What was agreed on when it was opened first.
    pub(crate) server: Arc<Established>,
    /// How it is opened again when it is lost.
    pub(crate) reconnect: Option<Reconnect>,
    /// How long a call waits that has no time of its own.
    pub(crate) timeout: Duration,
    /// And how long in all.
    pub(crate) total: Duration,
    /// Whether a modern server may make tasks of its calls.
    pub(crate) takes_tasks: bool,
    pub(crate) lists: Lists,
    pub(crate) subscribed: Subscribed,
    /// What tools that were listed promise of their results.
    #[cfg(feature = "schema")]
    pub(crate) schemas: crate::structured::Schemas,
}

impl Client {
    /// Starts to make a client of that name and version.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(Implementation::new(name, version))
    }

    pub(crate) fn new(peer: Peer, link: Link) -> Self {
        let link = Arc::new(link);
        Self { peer, link }
    }

    /// What the two sides agreed on: version, the server's capabilities, who it is, its instructions.
    ///
    /// A connection that is opened again may be with a newer server; until it is open, this is what was agreed on first.
    pub fn server(&self) -> Arc<Established> {
        let server = self.peer.established();
        server.unwrap_or_else(|| Arc::clone(&self.link.server))
    }

    /// The era that the connection is in.
    pub fn era(&self) -> Era {
        self.server().version.era()
    }

    /// How a lost connection is opened again.
    pub(crate) fn reconnect(&self) -> Option<&Reconnect> {
        self.link.reconnect.as_ref()
    }

    /// Whether a lost connection is opened again.
    pub(crate) fn reopens(&self) -> bool {
        self.link.reconnect.is_some()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.link.timeout
    }

    pub(crate) fn total(&self) -> Duration {
        self.link.total
    }

    pub(crate) fn takes_tasks(&self) -> bool {
        self.link.takes_tasks
    }

    pub(crate) fn lists(&self) -> &Lists {
        &self.link.lists
    }

    pub(crate) fn subscribed(&self) -> &Subscribed {
        &self.link.subscribed
    }

    #[cfg(feature = "schema")]
    pub(crate) fn schemas(&self) -> &crate::structured::Schemas {
        &self.link.schemas
    }

    #[cfg(feature = "schema")]
    pub(crate) fn remember_schemas(&self, list: u64, items: &dyn std::any::Any, last: bool) {
        if let Some(tools) = items.downcast_ref::<Vec<mcp_peer::types::Tool>>() {
            self.link.schemas.remember(list, tools, last);
        }
    }

    pub(crate) fn is_being_opened(&self) -> bool {
        self.reopens() && self.peer.established().is_none()
    }

    /// The connection, when it is open; it is waited for if it is being opened again.
    pub(crate) async fn open_peer(&self, timeout: Option<Duration>) -> Result<&Peer, RequestError> {
        if self.is_being_opened() {
            let timeout = timeout.unwrap_or(self.link.timeout);
            match tokio::time::timeout(timeout, self.peer.opened()).await {
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Err(RequestError::ConnectionLost(why.to_string())),
                Err(_) => return Err(RequestError::TimedOut(timeout)),
            }
        }
        Ok(&self.peer)
    }

    /// The connection itself, for what this type has no method for.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Calls a tool; `arguments` serialises as an object, or is `()` for none.
    ///
    /// A tool that has failed has a result, too: [`CallToolResult::ok`](mcp_peer::types::CallToolResult::ok) tells them apart.
    pub fn call_tool<A: Serialize>(&self, name: &str, arguments: A) -> Call<'_, CallTool> {
        Call::named(self, name, &arguments)
    }

    /// Reads a resource.
    pub fn read_resource(&self, uri: impl Into<String>) -> Call<'_, ReadResource> {
        Call::new(self, &ReadResourceParams::new(uri))
    }

    /// Gets a prompt; `arguments` serialises as an object of strings, or is `()` for none.
    pub fn get_prompt<A: Serialize>(&self, name: &str, arguments: A) -> Call<'_, GetPrompt> {
        Call::named(self, name, &arguments)
    }

    /// Asks how an argument of a prompt or of a resource template could go on.
    pub fn complete(&self, params: &CompleteParams) -> Call<'_, Complete> {
        Call::new(self, params)
    }

    /// Lists the tools.
    pub fn list_tools(&self) -> List<'_, ListTools> {
        List::new(self)
    }

    /// Lists the resources.
    pub fn list_resources(&self) -> List<'_, ListResources> {
        List::new(self)
    }

    /// Lists the templates of resources.
    pub fn list_resource_templates(&self) -> List<'_, ListResourceTemplates> {
        List::new(self)
    }

    /// Lists the prompts.
    pub fn list_prompts(&self) -> List<'_, ListPrompts> {
        List::new(self)
    }

    /// Makes a request of any type, the protocol's or the program's own.
    pub fn request<M: Request>(&self, params: &M::Params) -> Call<'_, M> {
        Call::new(self, params)
    }

    /// Sends a notification of the program's own.
    ///
    /// # Errors
    /// [`NotSent`]: nothing was sent.
    ///
    /// # Cancel safety
    /// If the future is dropped, the notification may or may not be sent.
    pub async fn notify<N: Notification>(&self, params: &N::Params) -> Result<(), NotSent> {
        self.peer.notify::<N>(params).await
    }

    /// Asks whether the server is there, which only a legacy one answers.
    pub fn ping(&self) -> Call<'_, Ping> {
        self.request::<Ping>(&Default::default())
    }

    /// Log messages from now on, in the order of the wire; which levels come is [`ClientBuilder::log_level`]'s matter.
    pub fn logs(&self) -> Receiver<LogMessage> {
        self.peer.notifications::<LogMessage>()
    }

    /// Notifications of a type from now on, in the order of the wire.
    ///
    /// A modern server sends a program's own only if [`ClientBuilder::with_notifications`] declared the extension, and what goes
    /// to a room or to everybody only to who has [subscribed](Client::subscribe) to it, as
    /// [`ClientBuilder::on_notification`] does by itself.
    pub fn notifications<N: Notification>(&self) -> Receiver<N> {
        self.peer.notifications::<N>()
    }

    /// Notifications of a type from now on, with a policy for a queue that is full.
    pub fn notifications_with<N: Notification>(&self, overflow: Overflow) -> Receiver<N> {
        self.peer.notifications_with::<N>(overflow)
    }

    /// Closes the connection gracefully, for all clones, and waits until that is done.
    ///
    /// Calls under way on them end with [`RequestError::ConnectionLost`].
    ///
    /// # Cancel safety
    /// The connection closes even if the future is dropped.
    pub async fn close(self) {
        self.peer.close();
        self.peer.closed().await;
    }
}
