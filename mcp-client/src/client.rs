//! Clients.

use std::sync::Arc;

use mcp_peer::session::{CallOptions, Established, NotSent, RequestError};
use mcp_peer::types::{
    Era, Implementation, ListTools, ListToolsParams, LogMessage, Notification, Ping, Request,
    ServerCapabilities, Tool,
};
use mcp_peer::{Overflow, Peer, Receiver};
use serde::Serialize;

use crate::builder::ClientBuilder;
use crate::call::CallTool;

/// A client's connection to a server; clones share it, and it closes when the last one is dropped.
///
/// ```no_run
/// # async fn run(transport: impl mcp_client::Transport) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client::Client;
///
/// let client = Client::builder("me", "1.0.0").connect(transport).await?;
/// let result = client.call_tool("greet", serde_json::json!({ "name": "you" })).await?;
/// println!("{}", result.to_text());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    peer: Peer,
    server: Arc<Established>,
}

/// Pages that a list may have, against a server that never ends it (REQ-PAG-05).
const MAX_PAGES: usize = 10_000;

impl Client {
    /// Starts to make a client of that name and version.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(Implementation::new(name, version))
    }

    pub(crate) fn new(peer: Peer, server: Arc<Established>) -> Self {
        Self { peer, server }
    }

    /// What the two sides agreed on: version, the server's capabilities, who it is, its instructions.
    pub fn server(&self) -> &Established {
        &self.server
    }

    /// What the server offers.
    pub fn server_capabilities(&self) -> &ServerCapabilities {
        &self.server.capabilities
    }

    /// The era that the connection is in.
    pub fn era(&self) -> Era {
        self.server.version.era()
    }

    /// The connection itself, for what this type has no method for.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Calls a tool; `arguments` serialises as an object. Nothing is sent before the call is awaited.
    ///
    /// Questions that the server asks on the way go to the handlers of the builder, however many rounds that takes.
    pub fn call_tool<A: Serialize>(&self, name: &str, arguments: A) -> CallTool<'_> {
        CallTool::new(&self.peer, name, &arguments)
    }

    /// Lists all tools, page by page.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is; a server that repeats a cursor or never ends its list misbehaves.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request that is under way.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, RequestError> {
        let mut tools = Vec::new();
        let mut params = ListToolsParams::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..MAX_PAGES {
            let page = self.request::<ListTools>(&params).await?;
            tools.extend(page.tools);
            // An empty cursor is a cursor (REQ-PAG-03).
            let Some(cursor) = page.next_cursor else {
                return Ok(tools);
            };
            if !seen.insert(cursor.as_str().to_owned()) {
                break;
            }
            params.cursor = Some(cursor);
        }
        Err(RequestError::Misbehaved(
            mcp_peer::session::PeerMisbehaved::ResultShape {
                method: ListTools::METHOD.into(),
                reason: "the list does not end".to_owned(),
            },
        ))
    }

    /// Makes a request of any type, the protocol's or the program's own.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request on the wire.
    pub async fn request<M: Request>(&self, params: &M::Params) -> Result<M::Result, RequestError> {
        self.peer.request::<M>(params, CallOptions::default()).await
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
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request on the wire.
    pub async fn ping(&self) -> Result<(), RequestError> {
        self.request::<Ping>(&Default::default()).await.map(drop)
    }

    /// Log messages from now on, in the order of the wire; which levels come is [`ClientBuilder::log_level`]'s matter.
    pub fn logs(&self) -> Receiver<LogMessage> {
        self.peer.notifications::<LogMessage>()
    }

    /// Notifications of a type from now on, in the order of the wire.
    ///
    /// A modern server sends a program's own only if [`ClientBuilder::with_notifications`] declared the extension.
    pub fn notifications<N: Notification>(&self) -> Receiver<N> {
        self.peer.notifications::<N>()
    }

    /// Notifications of a type from now on, with a policy for a queue that is full.
    pub fn notifications_with<N: Notification>(&self, overflow: Overflow) -> Receiver<N> {
        self.peer.notifications_with::<N>(overflow)
    }

    /// Closes the connection gracefully and waits until that is done.
    ///
    /// # Cancel safety
    /// The connection closes even if the future is dropped.
    pub async fn close(self) {
        self.peer.close();
        self.peer.closed().await;
    }
}
