//! A connection as others hold it: whoever sends to many at once, and must not keep any of them open.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_session::Key;
use mcp_types::Extensions;

use crate::context::RequestContext;
use crate::feed::Follower;
use crate::mailbox::{Mailbox, MailboxLimits};
use crate::outbox::Command;
use crate::peer::{Peer, Shared};

/// Which connection of this process; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Key for ConnectionId {
    fn number(self) -> u64 {
        self.0
    }

    fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// The id that a connection has, and what is known about it.
pub(crate) struct Identity {
    id: AtomicU64,
    extensions: Mutex<Extensions>,
}

impl Identity {
    pub(crate) fn new(extensions: Extensions) -> Self {
        Self {
            id: AtomicU64::new(ConnectionId::next().0),
            extensions: Mutex::new(extensions),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId(self.id.load(Ordering::Relaxed))
    }

    pub(crate) fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extensions().get()
    }

    /// Another connection has begun, which the one before has no handle of.
    pub(crate) fn renew(&self, extensions: Extensions) {
        self.id.store(ConnectionId::next().0, Ordering::Relaxed);
        *self.extensions() = extensions;
    }

    fn extensions(&self) -> MutexGuard<'_, Extensions> {
        // It is replaced as a whole.
        self.extensions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A connection as others hold it; it does not keep the connection open.
#[derive(Clone)]
pub struct Link {
    pub(crate) shared: Arc<Shared>,
}

/// What others want of the end of a connection.
pub(crate) struct End {
    /// It is to end now, whatever waits to be sent.
    cut: AtomicBool,
    /// `None` once it has ended.
    hooks: Mutex<Option<Vec<Hook>>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl End {
    pub(crate) fn new() -> Self {
        Self {
            cut: AtomicBool::new(false),
            hooks: Mutex::new(Some(Vec::new())),
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Another connection begins.
    pub(crate) fn renew(&self) {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        *hooks = Some(Vec::new());
    }

    /// Runs what was to run at the end; what comes later runs at once.
    pub(crate) fn ended(&self) {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = hooks.take();
        drop(hooks);
        for hook in ended.into_iter().flatten() {
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("what was to run at the end of a connection panicked");
            }
        }
    }
}

impl Link {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self { shared }
    }

    /// Which connection it is.
    pub fn id(&self) -> ConnectionId {
        self.shared.identity.id()
    }

    /// What is known about the connection, of one type: its headers, say, or the peer's principal.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.shared.identity.extension()
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.outbox.is_closed()
    }

    /// Whether the peer is a modern client that follows the task of that id on some stream.
    pub fn follows(&self, task: &str) -> bool {
        let subscribed = self.shared.subscribed.get();
        subscribed.is_some_and(|subscribed| subscribed.follows(task))
    }

    /// Whether the peer is a client that has subscribed to that resource, or to one above it.
    pub fn subscribes(&self, uri: &str) -> bool {
        let subscribed = self.shared.subscribed.get();
        subscribed.is_some_and(|subscribed| subscribed.covers(uri))
    }

    /// Runs something once, when the connection has ended; at once if it has. It should return quickly.
    pub fn on_close(&self, hook: impl FnOnce() + Send + 'static) {
        let mut hooks = (self.shared.end.hooks.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(hooks) = &mut *hooks {
            return hooks.push(Box::new(hook));
        }
        drop(hooks);
        hook();
    }

    /// Closes the connection gracefully: what is queued is sent, and handlers that are at work have
    /// [`Options::drain`](crate::Options::drain) to finish.
    pub fn close(&self) {
        // If it has ended already, that is as it should be.
        let _ = self.shared.outbox.push(Command::Close);
    }

    /// Ends the connection now, whatever waits to be sent: for a peer that does not read, and would not read a farewell.
    pub fn disconnect(&self) {
        self.shared.end.cut.store(true, Ordering::Relaxed);
        self.shared.outbox.wake();
    }

    /// A queue of notifications to this connection's peer.
    pub fn mailbox(&self, limits: MailboxLimits) -> Mailbox {
        Mailbox(Follower::alone(&self.shared, limits))
    }
}

impl Peer {
    /// The connection as others hold it.
    pub fn link(&self) -> Link {
        Link::new(&self.shared)
    }
}

impl RequestContext {
    /// The connection that the request came on, as others hold it.
    pub fn link(&self) -> Link {
        Link::new(&self.shared())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.id().0).finish()
    }
}
