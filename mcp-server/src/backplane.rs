//! What reaches over many nodes.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use mcp_peer::types::NotificationMessage;

use crate::hub::{Hub, Inner};
use crate::tasks::TaskOwner;

/// Carries what goes to many clients to every node of a server: what is sent to rooms, and what subscribers are told. Without
/// one, a server is its only node.
///
/// Set by [`Server::backplane`](crate::Server::backplane). Who is in a room is each node's own matter, and so is its
/// presence callback. So is the catalogue: that a list has changed on one node, subscribers hear on all.
pub trait Backplane: Send + Sync + 'static {
    /// Takes the node's own end, before anything is published.
    fn attach(&self, node: Node);

    /// Carries a message to every node, this one included, each of which [delivers](Node::deliver) it; those of one room
    /// in one order everywhere, if their members are to see one.
    ///
    /// It is polled at least once. If the future is dropped before it has completed, the message must reach either every
    /// node or none; after that it waits for backpressure. What the protocol itself tells is published one after the
    /// other, by a task if it waits; up to 4,099 wait, each once, and further ones are told on this node alone, as are
    /// those that could not be carried.
    fn publish(&self, post: Post) -> Publishing<'_>;
}

/// A message on its way to every node.
pub type Publishing<'a> = Pin<Box<dyn Future<Output = Result<(), BackplaneError>> + Send + 'a>>;

/// Why a message did not reach every node.
pub type BackplaneError = Box<dyn Error + Send + Sync>;

/// What goes to every node.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// For whom.
    pub to: Audience,
    /// What.
    pub message: NotificationMessage,
}

/// Whom, on each node, a [`Post`] is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Everybody who is connected.
    Everyone,
    /// The members of the room of that name.
    Room(Arc<str>),
    /// Those who have asked for what it tells of: that a list has changed, or a resource.
    Subscribers,
    /// Those who follow the task that it tells of, and may know of it.
    Followers(TaskOwner),
}

/// The end of a [`Backplane`] on one node; it does not keep the node's server alive.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) hub: Weak<Inner>,
}

impl Node {
    /// Hands a message to those of its receivers who are connected to this node; false if its server is gone.
    ///
    /// Waits for those who are slow where [`WhenFull::Wait`](crate::WhenFull::Wait) says so.
    ///
    /// # Cancel safety
    /// If the future is dropped, either all of them get it or none.
    pub async fn deliver(&self, post: &Post) -> bool {
        let Some(hub) = self.hub.upgrade().map(Hub) else {
            return false;
        };
        hub.deliver(post).await;
        true
    }
}
