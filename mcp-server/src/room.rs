//! Rooms: what is sent to one reaches every member, in one order.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use mcp_peer::session::has_form;
use mcp_peer::types::{
    MethodName, Notification, NotificationMessage, ObjectBuf, OneRequest, RawJson,
};
use mcp_peer::{ConnectionId, Feed, Follower, Link, MailboxLimits};
use serde::{Deserialize, Serialize};

use crate::backplane::{Audience, BackplaneError, Post};
use crate::context::Cx;
use crate::hub::{Hub, Inner};

/// What becomes of a member that does not keep up, when its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// It loses the oldest messages, and is told by [`Lagged`] in their place.
    #[default]
    DropOldest,
    /// Its connection is cut off.
    Disconnect,
    /// Whoever sends to the room waits for it, and so does everybody; until its connection ends with
    /// [`Options::write_timeout`](crate::Options::write_timeout), if it reads nothing at all.
    Wait,
}

/// How a room treats its members.
///
/// ```
/// use mcp_server::{RoomOptions, WhenFull};
///
/// let mut options = RoomOptions::default();
/// options.when_full = WhenFull::Disconnect;
/// let options = options.on_presence(|room, presence| println!("{}: {presence:?}", room.name()));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct RoomOptions {
    /// What becomes of a member that does not keep up. Default [`WhenFull::DropOldest`].
    pub when_full: WhenFull,
    /// Messages that wait for one member at most. Default 1,024.
    pub messages: usize,
    /// Bytes of parameters that wait for one member at most, but one message always. Default 1 MiB.
    pub bytes: usize,
    /// Members at most. Default 65,536.
    pub members: usize,
    presence: Option<OnPresence>,
}

type OnPresence = Arc<dyn Fn(&Room, Presence<'_>) + Send + Sync>;

impl Default for RoomOptions {
    fn default() -> Self {
        Self {
            when_full: WhenFull::default(),
            messages: 1024,
            bytes: 1024 * 1024,
            members: 65_536,
            presence: None,
        }
    }
}

impl RoomOptions {
    /// Calls back whenever somebody has come or gone.
    ///
    /// The callback may run within a connection's driver: it should return quickly. It can send by [`Room::try_send`]. If it
    /// panics, that is logged, and changes nothing about who is a member.
    #[must_use]
    pub fn on_presence(
        mut self,
        callback: impl Fn(&Room, Presence<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.presence = Some(Arc::new(callback));
        self
    }
}

/// Somebody has come or gone; see [`RoomOptions::on_presence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence<'a> {
    /// A new member, who gets what is sent from now on.
    Joined(&'a Member),
    /// A member no longer, and why.
    Left(&'a Member, Departure),
}

/// Why somebody is not a member any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It has left.
    Left,
    /// Its connection has ended.
    Disconnected,
    /// It did not keep up, and its connection is cut off.
    TooSlow,
}

/// A member of a room: a connection, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    id: ConnectionId,
    name: Arc<str>,
}

impl Member {
    /// Its connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// One that has no name.
    pub(crate) fn nobody(id: ConnectionId) -> Self {
        let name = Arc::from("");
        Self { id, name }
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Why somebody did not become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotJoined {
    /// A modern client, and not both sides declared the extension that carries a program's own notifications to it.
    #[error("not both sides declared io.mcp-stack/notifications")]
    NotNegotiated,
    /// The connection ends with its request, and would hear nothing; its transport says so by [`OneRequest`].
    #[error("the connection ends with its request, and would hear nothing")]
    OneRequest,
    /// The room has as many members as it may.
    #[error("the room is full")]
    Full,
    /// The connection is a member of as many rooms as it may be.
    #[error("the connection is in too many rooms")]
    TooManyRooms,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
}

/// Why a message was not sent to a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotPublished {
    /// Parameters that do not serialise as a JSON object, or are nested deeper than anybody reads.
    #[error("the parameters are no JSON object, or nested too deep")]
    Params,
    /// It would have to wait for a member, or for the backplane.
    #[error("the room cannot take it at once")]
    Full,
    /// It could not be carried to the other nodes.
    #[error("the backplane failed: {0}")]
    Backplane(#[from] BackplaneError),
}

/// Tells a member that it has missed messages of a room; sent in their place.
#[derive(Debug)]
pub enum Lagged {}

impl Notification for Lagged {
    const METHOD: &'static str = "io.mcp-stack/lagged";
    type Params = LaggedParams;
}

/// What a member has missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaggedParams {
    /// In which room; none for what everybody gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// How many messages.
    pub missed: u64,
}

/// A room of a [`Hub`]; clones are handles to the same.
///
/// It exists as long as there is a handle or a member.
#[derive(Clone)]
pub struct Room {
    pub(crate) hub: Hub,
    pub(crate) place: Arc<Place>,
}

/// What the handles of a room share.
pub(crate) struct Place {
    /// None for that in which everybody is.
    name: Option<Arc<str>>,
    options: RoomOptions,
    /// Locked while a message goes into the feed, so that it is known who gets it.
    seats: Mutex<HashMap<ConnectionId, Seat>>,
    /// Whose turn it is, where sending may wait: first come, first served.
    turn: tokio::sync::Mutex<()>,
    feed: Feed,
    hub: Weak<Inner>,
}

struct Seat {
    member: Member,
    link: Link,
    follower: Follower,
}

impl Room {
    /// The room's name.
    pub fn name(&self) -> &str {
        self.place.name.as_deref().unwrap_or_default()
    }

    /// Makes the connection of a request a member, under the name that its client says it has; see [`join_as`](Self::join_as).
    ///
    /// # Errors
    /// As [`join_as`](Self::join_as).
    pub fn join(&self, cx: &Cx) -> Result<Member, NotJoined> {
        let name = cx.client_info().map(|info| info.name);
        self.join_as(cx, name.unwrap_or_default())
    }

    /// Makes the connection of a request a member, until it leaves or ends; one that is a member already stays what it is.
    ///
    /// A legacy client gets what is sent as plain notifications, a modern one on each `subscriptions/listen` stream on this
    /// connection that asks for them by method. So one over HTTP cannot join: there, each request is a connection of its own
    /// and says so by [`OneRequest`]. What is [broadcast](Hub::broadcast) it gets.
    ///
    /// # Errors
    /// [`NotJoined`]: why it is none.
    pub fn join_as(&self, cx: &Cx, name: impl Into<String>) -> Result<Member, NotJoined> {
        let context = cx.context();
        if !context.takes_notifications() {
            return Err(NotJoined::NotNegotiated);
        }
        if context.extension::<OneRequest>().is_some() {
            return Err(NotJoined::OneRequest);
        }
        let link = context.link();
        let member = Member {
            id: link.id(),
            name: name.into().into(),
        };
        if let Err(already) = self.place.seat(&link, &member)? {
            return Ok(already);
        }
        if let Err(error) = self.hub.note(link.id(), &self.place) {
            // It has ended meanwhile, say: whoever cleaned up after it did not find it here.
            self.place.unseat(link.id());
            return Err(error);
        }
        self.tell(Presence::Joined(&member));
        Ok(member)
    }

    /// Ends the membership of a request's connection; whether it was a member.
    ///
    /// What was sent before still arrives.
    pub fn leave(&self, cx: &Cx) -> bool {
        self.remove(cx.context().link().id())
    }

    /// Ends the membership of a connection; whether it was a member.
    pub fn remove(&self, connection: ConnectionId) -> bool {
        self.hub.forget(connection, &self.place);
        self.depart(connection, Departure::Left)
    }

    /// Who is in it, on this node.
    pub fn members(&self) -> Vec<Member> {
        let seats = self.place.lock();
        seats.values().map(|seat| seat.member.clone()).collect()
    }

    /// Whether a request's connection is a member.
    pub fn has(&self, cx: &Cx) -> bool {
        self.place.lock().contains_key(&cx.context().link().id())
    }

    /// Messages and bytes that wait for members of it.
    pub fn queued(&self) -> (usize, usize) {
        let seats = self.place.lock();
        let each = seats.values().map(|seat| seat.follower.waiting());
        each.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// Sends a notification to every member; all get what is sent to the room in the same order.
    ///
    /// It is encoded and kept once, and has its place in what each member gets when this returns. It waits only where
    /// [`WhenFull::Wait`] or the backplane makes it wait.
    ///
    /// # Errors
    /// [`NotPublished`]: nobody gets it.
    ///
    /// # Cancel safety
    /// If the future is dropped, either all members get it or none.
    pub async fn send<N: Notification>(&self, params: &N::Params) -> Result<(), NotPublished> {
        let message = encoded::<N>(params)?;
        self.publish(message).await
    }

    /// Sends a notification as [`send`](Self::send) does, or not at all if that would have to wait.
    ///
    /// # Errors
    /// [`NotPublished`]: nobody gets it.
    pub fn try_send<N: Notification>(&self, params: &N::Params) -> Result<(), NotPublished> {
        let sending = self.publish(encoded::<N>(params)?);
        match std::pin::pin!(sending).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Err(NotPublished::Full),
        }
    }

    pub(crate) async fn publish(&self, message: NotificationMessage) -> Result<(), NotPublished> {
        match self.hub.backplane() {
            None => self.deliver(&message).await,
            Some(backplane) => {
                let name = self.place.name.clone();
                let to = name.map_or(Audience::Everyone, Audience::Room);
                backplane.publish(Post { to, message }).await?;
            }
        }
        Ok(())
    }

    /// Puts a message into what the members on this node get.
    pub(crate) async fn deliver(&self, message: &NotificationMessage) {
        let turn = &self.place.turn;
        let _turn = match self.place.options.when_full {
            // A free one is taken even by a task that should let others run, for there may be no second try.
            WhenFull::Wait => match turn.try_lock() {
                Ok(turn) => Some(turn),
                Err(_) => Some(turn.lock().await),
            },
            WhenFull::DropOldest | WhenFull::Disconnect => None,
        };
        let slow = loop {
            match self.place.try_deliver(message) {
                Ok(slow) => break slow,
                Err(full) => full.room(size(message)).await,
            }
        };
        for link in slow {
            link.disconnect();
            self.hub.forget(link.id(), &self.place);
            self.depart(link.id(), Departure::TooSlow);
        }
    }

    pub(crate) fn depart(&self, connection: ConnectionId, why: Departure) -> bool {
        let Some(member) = self.place.unseat(connection) else {
            return false;
        };
        self.tell(Presence::Left(&member, why));
        true
    }

    fn tell(&self, presence: Presence<'_>) {
        // Whoever it is that comes or goes, there may be more to be done.
        if let Some(callback) = &self.place.options.presence
            && catch_unwind(AssertUnwindSafe(|| callback(self, presence))).is_err()
        {
            tracing::error!(room = self.name(), "a presence callback panicked");
        }
    }
}

pub(crate) fn encoded<N: Notification>(
    params: &N::Params,
) -> Result<NotificationMessage, NotPublished> {
    let params = ObjectBuf::encode(params).map_err(|_| NotPublished::Params)?;
    let params = (!params.is_empty()).then(|| params.finish());
    if !params.as_ref().is_none_or(has_form) {
        return Err(NotPublished::Params);
    }
    let method = MethodName::from_static(N::METHOD);
    Ok(NotificationMessage { method, params })
}

pub(crate) fn size(message: &NotificationMessage) -> usize {
    message.params.as_ref().map_or(0, RawJson::len)
}

impl Place {
    pub(crate) fn new(name: Option<Arc<str>>, options: RoomOptions, hub: Weak<Inner>) -> Self {
        let room = name.as_deref().map(str::to_owned);
        let notice = move |missed| {
            let room = room.clone();
            let params = RawJson::encode(&LaggedParams { room, missed }).ok();
            let method = MethodName::from_static(Lagged::METHOD);
            NotificationMessage { method, params }
        };
        let limits = MailboxLimits {
            messages: options.messages,
            bytes: options.bytes,
        };
        Self {
            name,
            options,
            seats: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
            feed: Feed::new(limits, notice),
            hub,
        }
    }

    /// Makes somebody a member; gives back who it is already.
    pub(crate) fn seat(
        &self,
        link: &Link,
        member: &Member,
    ) -> Result<Result<(), Member>, NotJoined> {
        let mut seats = self.lock();
        if let Some(seat) = seats.get(&link.id()) {
            return Ok(Err(seat.member.clone()));
        }
        if seats.len() >= self.options.members {
            return Err(NotJoined::Full);
        }
        let seat = Seat {
            member: member.clone(),
            link: link.clone(),
            follower: self.feed.follow(link),
        };
        seats.insert(link.id(), seat);
        Ok(Ok(()))
    }

    pub(crate) fn unseat(&self, connection: ConnectionId) -> Option<Member> {
        let seat = self.lock().remove(&connection)?;
        seat.follower.leave();
        Some(seat.member)
    }

    /// Puts a message into the feed, and says who was too slow for it; or, where that is waited for, does not.
    fn try_deliver(&self, message: &NotificationMessage) -> Result<Vec<Link>, Follower> {
        let seats = self.lock();
        let followers = || seats.values().map(|seat| &seat.follower);
        let mut slow = Vec::new();
        // As long as the feed has room, everybody has. Only this makes it fuller, and only with the lock held.
        let when_full = self.options.when_full;
        if when_full != WhenFull::DropOldest && !self.feed.has_room(size(message)) {
            self.feed.forget(followers());
            // Who is closed leaves by itself.
            let full =
                |seat: &&Seat| !seat.follower.has_room(size(message)) && !seat.link.is_closed();
            for seat in seats.values().filter(full) {
                if when_full == WhenFull::Wait {
                    return Err(seat.follower.clone());
                }
                seat.follower.leave();
                slow.push(seat.link.clone());
            }
        }
        self.feed.post(message, followers());
        Ok(slow)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Seat>> {
        // No code of the program's runs under it.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (Some(hub), Some(name)) = (self.hub.upgrade(), &self.name) {
            hub.close(name);
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("name", &self.place.name)
            .field("members", &self.place.lock().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RoomOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomOptions")
            .field("when_full", &self.when_full)
            .field("messages", &self.messages)
            .field("bytes", &self.bytes)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}
