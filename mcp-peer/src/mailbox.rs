//! Notifications that many get, on their way to one of them: a bounded queue that the driver empties.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_types::{NotificationMessage, RawJson};
use tokio::sync::Notify;

use crate::peer::Shared;

/// Bounds of a [`Mailbox`].
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
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    limits: MailboxLimits,
    /// What a receiver is told in the place of those that it does not get.
    notice: Option<Notice>,
    state: Mutex<State>,
    taken: Notify,
}

/// Makes the notification that so many were dropped.
pub(crate) type Notice = Arc<dyn Fn(u64) -> NotificationMessage + Send + Sync>;

#[derive(Default)]
struct State {
    queue: VecDeque<NotificationMessage>,
    bytes: usize,
    /// Dropped since the last one that was taken.
    lagged: u64,
    counts: MailboxCounts,
}

/// What became of the notifications of a [`Mailbox`] that were not sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxCounts {
    /// Dropped, because the connection was too slow.
    pub dropped: u64,
    /// Not sent, because the peer had not asked for them.
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
}

impl Mailbox {
    pub(crate) fn new(shared: &Arc<Shared>, limits: MailboxLimits, notice: Option<Notice>) -> Self {
        Self(Arc::new(Inner {
            shared: Arc::clone(shared),
            limits,
            notice,
            state: Mutex::default(),
            taken: Notify::new(),
        }))
    }

    /// Puts a notification in, if there is room.
    ///
    /// # Errors
    /// [`NotPosted`]: it is not in.
    pub fn post(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        let mut state = self.lock();
        if !state.has_room(size(message), self.0.limits) {
            return Err(NotPosted::Full);
        }
        state.push(message);
        // Each is counted in a command: so it has its place among whatever else is sent, and none is sent twice.
        let pushed = self.0.shared.outbox.push_mail(self);
        pushed.map_err(|_| NotPosted::Closed)
    }

    /// Puts a notification in, unless the same is in it already.
    ///
    /// # Errors
    /// [`NotPosted`]: it is not in.
    pub fn post_once(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        // Whoever takes it out meanwhile sends it after whatever it tells of.
        if self.lock().queue.contains(message) {
            return Ok(());
        }
        self.post(message)
    }

    /// Puts a notification in; if there is no room, the oldest are dropped for it, which the receiver is told in their place.
    ///
    /// # Errors
    /// [`NotPosted::Closed`]: nobody will get it.
    pub fn post_over(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        let mut state = self.lock();
        let mut dropped = 0;
        while !state.has_room(size(message), self.0.limits) {
            state.pop();
            dropped += 1;
        }
        state.lagged += dropped;
        state.counts.dropped += dropped;
        state.push(message);
        if dropped > 0 {
            // The command of one that was dropped will do.
            return match self.0.shared.outbox.is_closed() {
                true => Err(NotPosted::Closed),
                false => Ok(()),
            };
        }
        let pushed = self.0.shared.outbox.push_mail(self);
        pushed.map_err(|_| NotPosted::Closed)
    }

    /// Whether a notification with so many bytes of parameters would go in.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.lock().has_room(bytes, self.0.limits)
    }

    /// Completes when there is room for a notification with so many bytes of parameters, or the connection is closed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn room(&self, bytes: usize) {
        loop {
            let taken = self.0.taken.notified();
            tokio::pin!(taken);
            taken.as_mut().enable();
            if self.has_room(bytes) || self.0.shared.outbox.is_closed() {
                return;
            }
            taken.await;
        }
    }

    /// Notifications that wait in it.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether none waits in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of parameters that wait in it.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// What became of those that were not sent.
    pub fn counts(&self) -> MailboxCounts {
        self.lock().counts
    }

    /// Whether it is the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// For the driver: what is to be sent next. One at least, if there is one; no more than `count`, and none once there are
    /// so many bytes of parameters.
    pub(crate) fn take(&self, count: usize, bytes: usize) -> Taken {
        let mut state = self.lock();
        let left = state.bytes.saturating_sub(bytes);
        let first = state.pop();
        let mut more = Vec::new();
        while 1 + more.len() < count
            && state.bytes > left
            && let Some(message) = state.pop()
        {
            if more.is_empty() {
                more.reserve_exact(count.min(2 + state.queue.len()) - 1);
            }
            more.push(message);
        }
        let lagged = std::mem::take(&mut state.lagged);
        drop(state);
        self.0.taken.notify_waiters();
        let notice = self.0.notice.as_ref().filter(|_| lagged > 0);
        Taken {
            notice: notice.map(|notice| notice(lagged)),
            first,
            more,
        }
    }

    /// For the driver: so many of those that were taken were not wanted.
    pub(crate) fn unwanted(&self, count: u64) {
        if count > 0 {
            self.lock().counts.unwanted += count;
        }
    }

    /// For the driver, when it ends: whoever waits for room is told.
    pub(crate) fn close(&self) {
        self.0.taken.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was taken out of a mailbox.
pub(crate) struct Taken {
    /// That something is missing before the first.
    pub(crate) notice: Option<NotificationMessage>,
    /// Most often there is no other, which then costs no allocation.
    pub(crate) first: Option<NotificationMessage>,
    pub(crate) more: Vec<NotificationMessage>,
}

impl Taken {
    /// How many, without the notice.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }
}

fn size(message: &NotificationMessage) -> usize {
    message.params.as_ref().map_or(0, RawJson::len)
}

impl State {
    fn has_room(&self, bytes: usize, limits: MailboxLimits) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < limits.messages && self.bytes + bytes <= limits.bytes)
    }

    fn push(&mut self, message: &NotificationMessage) {
        self.bytes += size(message);
        self.queue.push_back(message.clone());
    }

    fn pop(&mut self) -> Option<NotificationMessage> {
        let message = self.queue.pop_front()?;
        self.bytes -= size(&message);
        Some(message)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Mailbox")
            .field("messages", &state.queue.len())
            .field("bytes", &state.bytes)
            .finish_non_exhaustive()
    }
}
