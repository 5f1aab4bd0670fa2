//! Notifications on their way to one connection: a bounded queue that its driver empties.

use mcp_types::NotificationMessage;

use crate::feed::Follower;

/// Bounds of a [`Mailbox`], or of a [`Feed`](crate::Feed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Notifications that it holds at most; at least one.
    pub messages: usize,
    /// Bytes of their parameters that it holds at most, but one notification always.
    pub bytes: usize,
}

/// A bounded queue of notifications to one connection, which its driver sends as fast as the transport takes them.
///
/// What goes in is on the wire before whatever is sent on the connection later, an answer for example, and does not wait:
/// what happens when the queue is full is for whoever puts it in. One that is dropped is still emptied.
#[derive(Debug, Clone)]
pub struct Mailbox(pub(crate) Follower);

/// What became of notifications that were not sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxCounts {
    /// Dropped, because the connection was too slow.
    pub dropped: u64,
    /// Not sent, because the peer had not asked for them, or was gone.
    pub unwanted: u64,
}

/// Why a notification did not go into a [`Mailbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPosted {
    /// There is no room.
    #[error("the connection is too slow: its queue is full")]
    Full,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// Its parameters are nested deeper than anybody reads.
    #[error("the parameters are nested too deep")]
    Params,
}

impl Mailbox {
    /// Puts a notification in, if there is room.
    ///
    /// # Errors
    /// [`NotPosted::Full`] and [`NotPosted::Params`]: it is not in. [`NotPosted::Closed`]: nobody will get it.
    pub fn post(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        self.0.post(message)
    }

    /// Puts a notification in, unless the same is in it already.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn post_once(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        // Whoever takes it out meanwhile sends it after whatever it tells of.
        if self.0.has(message) {
            return Ok(());
        }
        self.post(message)
    }

    /// Notifications that wait in it.
    pub fn len(&self) -> usize {
        self.0.waiting().0
    }

    /// Whether none waits in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of parameters that wait in it.
    pub fn bytes(&self) -> usize {
        self.0.waiting().1
    }

    /// What became of those that were not sent.
    pub fn counts(&self) -> MailboxCounts {
        self.0.counts()
    }
}
