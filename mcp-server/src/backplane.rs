//! What reaches over many nodes.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use mcp_peer::types::{NotificationMessage, RawJson};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hub::{Hub, Inner};
use crate::tasks::TaskOwner;

/// Carries what goes to many clients to every node of a server: what is sent to rooms, and what subscribers are told. Without
/// one, a server is its only node.
///
/// Set by [`Server::backplane`](crate::Server::backplane). Who is in a room is each node's own matter, and so is its
/// presence callback. So is the catalogue: that a list has changed on one node, subscribers hear on all.
///
/// While a node's link to the others is broken, `publish` should fail and not wait: whoever sends to a room learns of it, and
/// what the protocol itself tells is told on this node. What others publish meanwhile, its clients miss; unless the link keeps
/// that for it, a node that is cut off for long should [shut down](crate::ServerConnection::shutdown), for its clients to go to
/// another.
///
/// ```
/// use std::io;
/// use std::sync::Mutex;
///
/// use mcp_server::{Backplane, Node, Post, Publishing};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
/// use tokio::net::tcp::OwnedReadHalf;
/// use tokio::sync::mpsc;
///
/// /// A link to a broker, which sends each post on to every node, this one included, in one order.
/// struct Broker {
///     to: mpsc::Sender<Vec<u8>>,
///     from: Mutex<Option<OwnedReadHalf>>,
/// }
///
/// impl Broker {
///     fn new(link: TcpStream) -> Self {
///         let (from, mut link) = link.into_split();
///         let (to, mut posts) = mpsc::channel::<Vec<u8>>(1024);
///         // When this ends, nothing can be published any more.
///         tokio::spawn(async move {
///             while let Some(post) = posts.recv().await {
///                 link.write_u32(post.len() as u32).await?;
///                 link.write_all(&post).await?;
///             }
///             io::Result::Ok(())
///         });
///         let from = Mutex::new(Some(from));
///         Self { to, from }
///     }
/// }
///
/// impl Backplane for Broker {
///     fn attach(&self, node: Node) {
///         let from = self.from.lock().unwrap().take();
///         let mut from = from.expect("a server is started once");
///         tokio::spawn(async move {
///             loop {
///                 let mut post = vec![0; from.read_u32().await? as usize];
///                 from.read_exact(&mut post).await?;
///                 if !node.deliver(&serde_json::from_slice(&post)?).await {
///                     return io::Result::Ok(());
///                 }
///             }
///         });
///     }
///
///     fn publish(&self, post: Post) -> Publishing<'_> {
///         Box::pin(async move { Ok(self.to.send(serde_json::to_vec(&post)?).await?) })
///     }
/// }
/// ```
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
///
/// By serde it is an object, as `{"to":{"Room":"lobby"},"method":"chat.said","params":{"text":"hello"}}`, where `to` may also be
/// `"Everyone"`, `"Subscribers"` or `{"Followers":…}` with a [`TaskOwner`], and `params` may be absent. That does not change from
/// version to version. As for all raw JSON, the format has to be that of `serde_json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Encoded", try_from = "Encoded")]
pub struct Post {
    /// For whom.
    pub to: Audience,
    /// What.
    pub message: NotificationMessage,
}

/// A [`Post`] between nodes.
#[derive(Serialize, Deserialize)]
struct Encoded {
    to: Audience,
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<RawJson>,
}

impl From<Post> for Encoded {
    fn from(Post { to, message }: Post) -> Self {
        Self {
            to,
            method: message.method.to_string(),
            params: message.params,
        }
    }
}

impl TryFrom<Encoded> for Post {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        let Encoded { to, method, params } = encoded;
        if params.as_ref().is_some_and(|params| !params.is_object()) {
            return Err("`params` must be an object");
        }
        // As a `&str`, one that is known costs nothing to clone.
        let method = method.as_str().into();
        let message = NotificationMessage { method, params };
        Ok(Self { to, message })
    }
}

/// Whom, on each node, a [`Post`] is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Audience {
    /// Everybody who is connected.
    Everyone,
    /// The members of the room of that name.
    Room(#[serde(serialize_with = "write_name", deserialize_with = "read_name")] Arc<str>),
    /// Those who have asked for what it tells of: that a list has changed, or a resource.
    Subscribers,
    /// Those who follow the task that it tells of, and may know of it.
    Followers(TaskOwner),
}

fn write_name<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

fn read_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Into::into)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_written_and_read_in_one_shape() {
        let owner = TaskOwner::Principal("alice".to_owned());
        let params = RawJson::parse(r#"{"text":"hello"}"#).ok();
        for (to, method, params, text) in [
            (
                Audience::Everyone,
                "a",
                None,
                r#"{"to":"Everyone","method":"a"}"#,
            ),
            (
                Audience::Room("lobby".into()),
                "chat.said",
                params,
                r#"{"to":{"Room":"lobby"},"method":"chat.said","params":{"text":"hello"}}"#,
            ),
            (
                Audience::Subscribers,
                "a",
                None,
                r#"{"to":"Subscribers","method":"a"}"#,
            ),
            (
                Audience::Followers(owner),
                "a",
                None,
                r#"{"to":{"Followers":{"Principal":"alice"}},"method":"a"}"#,
            ),
        ] {
            let method = method.into();
            let message = NotificationMessage { method, params };
            let post = Post { to, message };
            assert_eq!(serde_json::to_string(&post).ok().as_deref(), Some(text));
            assert_eq!(serde_json::from_str::<Post>(text).ok(), Some(post));
        }
        let wrong = serde_json::from_str::<Post>(r#"{"to":"Everyone","method":"a","params":[]}"#);
        let error = wrong.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("`params` must be an object"));
    }
}
