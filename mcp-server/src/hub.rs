//! What goes to more than one client.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use mcp_peer::session::KeyMap;
use mcp_peer::types::{Notification, NotificationMessage};
use mcp_peer::{ConnectionId, Link, Mailbox, NotPosted};
use tokio::sync::Notify;

use crate::backplane::{Audience, Backplane, Node, Post};
use crate::news::{NEWS, News, Subject};
use crate::room::{Departure, Member, NotJoined, NotPublished, Place, Room, RoomOptions};
use crate::server::NotConnected;

/// Everyone who is connected to a server, over whatever transport, and what goes to more than one of them; clones are
/// handles to the same. From [`Server::hub`](crate::Server::hub) or [`Cx::hub`](crate::Cx::hub).
///
/// ```
/// use mcp_server::{Cx, Notification, Server, ToolError, tool};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Said { by: String }
///
/// impl Notification for Said {
///     const METHOD: &'static str = "chat.said";
///     type Params = Self;
/// }
///
/// async fn greet(cx: Cx) -> Result<(), ToolError> {
///     let lobby = cx.hub().room("lobby");
///     let member = lobby.join(&cx)?;
///     lobby.send::<Said>(&Said { by: member.name().to_owned() }).await?;
///     Ok(())
/// }
///
/// let server = Server::new("chat", "1.0.0").with_notifications().tool(tool("greet", greet));
/// server.hub().resource_updated("chat://lobby");
/// ```
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    connections: Mutex<KeyMap<ConnectionId, Connected>>,
    rooms: Mutex<HashMap<Arc<str>, Weak<Place>>>,
    /// Of rooms that are made without any of their own.
    room_options: Mutex<RoomOptions>,
    everyone: Arc<Place>,
    backplane: OnceLock<Arc<dyn Backplane>>,
    pub(crate) news: Mutex<News>,
    /// Connections, with those that are about to be taken in.
    taken: AtomicUsize,
    /// Whether no further ones are taken.
    closing: AtomicBool,
    /// Tells that the last one has gone.
    emptied: Notify,
}

/// Somebody who is connected.
struct Connected {
    link: Link,
    /// What the protocol itself tells, once it has: lists and resources that have changed.
    news: Option<Mailbox>,
    /// How tasks stand, apart: there may be many that it does not follow, and they leave no room.
    tasks: Option<Mailbox>,
    rooms: Vec<Arc<Place>>,
    /// Whether it gets what is sent to everyone.
    seated: bool,
}

impl Connected {
    fn news(&mut self) -> &Mailbox {
        self.news.get_or_insert_with(|| self.link.mailbox(NEWS))
    }

    fn tasks(&mut self) -> &Mailbox {
        self.tasks.get_or_insert_with(|| self.link.mailbox(NEWS))
    }
}

/// Rooms that one connection may be in.
const ROOMS: usize = 1024;

fn for_everyone() -> RoomOptions {
    let mut options = RoomOptions::default();
    // How many may connect is decided by the server.
    options.members = usize::MAX;
    options
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self(Arc::new_cyclic(|hub| Inner {
            connections: Mutex::default(),
            rooms: Mutex::default(),
            room_options: Mutex::default(),
            everyone: Arc::new(Place::new(None, for_everyone(), Weak::clone(hub))),
            backplane: OnceLock::new(),
            news: Mutex::default(),
            taken: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            emptied: Notify::new(),
        }))
    }

    /// A room, which need not exist yet.
    pub fn room(&self, name: impl AsRef<str>) -> Room {
        let options = lock(&self.0.room_options).clone();
        self.room_with(name, options)
    }

    /// A room with options of its own; if there is one of that name already, it keeps those it has.
    pub fn room_with(&self, name: impl AsRef<str>, options: RoomOptions) -> Room {
        let name = name.as_ref();
        let mut rooms = lock(&self.0.rooms);
        let place = rooms.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let hub = Arc::downgrade(&self.0);
            let place = Arc::new(Place::new(Some(Arc::clone(&name)), options, hub));
            rooms.insert(name, Arc::downgrade(&place));
            place
        });
        drop(rooms);
        let hub = self.clone();
        Room { hub, place }
    }

    /// The room that every connection is in; who joins or leaves it is of no consequence.
    ///
    /// Those who have come since the last time take their seats now: who comes for one request is gone before anything is said
    /// to all.
    fn everyone(&self) -> Room {
        for (id, connected) in lock(&self.0.connections).iter_mut() {
            if !std::mem::replace(&mut connected.seated, true) {
                let everyone = &self.0.everyone;
                let _ = everyone.seat(&connected.link, &Member::nobody(id));
            }
        }
        Room {
            hub: self.clone(),
            place: Arc::clone(&self.0.everyone),
        }
    }

    /// Sends a notification of the program's own to everyone who is connected: to legacy clients as it is, to modern ones on
    /// each stream that asks for it.
    ///
    /// One that does not keep up loses the oldest, and is told by [`Lagged`](crate::Lagged).
    ///
    /// # Errors
    /// [`NotPublished`]: nobody gets it.
    ///
    /// # Cancel safety
    /// If the future is dropped, either everybody gets it or nobody.
    pub async fn broadcast<N: Notification>(&self, params: &N::Params) -> Result<(), NotPublished> {
        self.everyone().send::<N>(params).await
    }

    /// How many are connected.
    pub fn connections(&self) -> usize {
        lock(&self.0.connections).len()
    }

    // ---- for the other files of this crate ----

    /// Tells those of this node who have asked; whether they have, each connection knows for itself. Of a resource or a task,
    /// others are not even asked: thousands may change at once, and must not fill the queues of those who do not care.
    pub(crate) fn tell(&self, post: &Post) {
        let Post { to, message } = post;
        let subject = Subject::of(message);
        for (_, connected) in lock(&self.0.connections).iter_mut() {
            let link = &connected.link;
            if subject
                .as_ref()
                .is_some_and(|subject| !subject.is_wanted(link))
            {
                continue;
            }
            match to {
                Audience::Followers(owner) => {
                    if owner.lets_know(link.extension().as_deref()) {
                        // One that has no room for it can still ask.
                        let _ = connected.tasks().post_once(message);
                    }
                }
                _ => {
                    if connected.news().post_once(message) == Err(NotPosted::Full) {
                        connected.link.disconnect();
                    }
                }
            }
        }
    }

    /// Tells one of this node how a task stands, if it is still there and has room for it.
    pub(crate) fn tell_one(&self, id: ConnectionId, message: &NotificationMessage) {
        if let Some(connected) = lock(&self.0.connections).get_mut(id) {
            let _ = connected.tasks().post_once(message);
        }
    }

    pub(crate) fn set_room_options(&self, options: RoomOptions) {
        *lock(&self.0.room_options) = options;
    }

    pub(crate) fn set_backplane(&self, backplane: Arc<dyn Backplane>) {
        let hub = Arc::downgrade(&self.0);
        backplane.attach(Node { hub });
        // A server is started once.
        let _ = self.0.backplane.set(backplane);
    }

    pub(crate) fn backplane(&self) -> Option<&Arc<dyn Backplane>> {
        self.0.backplane.get()
    }

    /// What has come over the backplane.
    pub(crate) async fn deliver(&self, post: &Post) {
        let room = match &post.to {
            Audience::Subscribers | Audience::Followers(_) => return self.tell(post),
            Audience::Everyone => self.everyone(),
            Audience::Room(name) => {
                // A room without members here is none that would have to be made.
                let place = lock(&self.0.rooms).get(name).and_then(Weak::upgrade);
                let Some(place) = place else { return };
                let hub = self.clone();
                Room { hub, place }
            }
        };
        room.deliver(&post.message).await;
    }

    /// Keeps a place for one more connection, if there are fewer than so many; [`connected`](Self::connected) takes it.
    pub(crate) fn keep_place(&self, limit: usize) -> Result<(), NotConnected> {
        if self.0.closing.load(Ordering::Relaxed) {
            return Err(NotConnected::ShuttingDown);
        }
        let more = |taken| (taken < limit).then_some(taken + 1);
        let taken = &self.0.taken;
        let kept = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        kept.map(drop).map_err(|_| NotConnected::TooMany { limit })
    }

    /// Takes no further connections, closes those that there are, and cuts off what is left at the deadline; how many that were.
    pub(crate) async fn shut_down(&self, deadline: Duration) -> usize {
        let links = |hub: &Self| -> Vec<Link> {
            let mut connections = lock(&hub.0.connections);
            connections
                .iter_mut()
                .map(|(_, c)| c.link.clone())
                .collect()
        };
        self.0.closing.store(true, Ordering::SeqCst);
        for link in links(self) {
            link.close();
        }
        let empty = async {
            loop {
                let emptied = self.0.emptied.notified();
                if self.connections() == 0 {
                    return;
                }
                emptied.await;
            }
        };
        if tokio::time::timeout(deadline, empty).await.is_ok() {
            return 0;
        }
        let left = links(self);
        left.iter().for_each(Link::disconnect);
        left.len()
    }

    /// Takes somebody in who has connected, until the connection ends; a place is kept for it.
    pub(crate) fn connected(&self, link: Link) {
        let id = link.id();
        let connected = Connected {
            link: link.clone(),
            news: None,
            tasks: None,
            rooms: Vec::new(),
            seated: false,
        };
        lock(&self.0.connections).insert(id, connected);
        if self.0.closing.load(Ordering::SeqCst) {
            // It came while the others were closed.
            link.close();
        }
        let hub = Arc::downgrade(&self.0);
        link.on_close(move || {
            if let Some(hub) = hub.upgrade() {
                Self(hub).disconnected(id);
            }
        });
    }

    fn disconnected(&self, id: ConnectionId) {
        let gone = {
            let mut connections = lock(&self.0.connections);
            let gone = connections.remove(id);
            // Nobody waits for it before.
            if connections.is_empty() && self.0.closing.load(Ordering::SeqCst) {
                self.0.emptied.notify_waiters();
            }
            gone
        };
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        let Some(gone) = gone else { return };
        if gone.seated {
            self.0.everyone.unseat(id);
        }
        for place in gone.rooms {
            let hub = self.clone();
            Room { hub, place }.depart(id, Departure::Disconnected);
        }
    }

    /// Notes that a connection is in a room, which it leaves when it ends.
    pub(crate) fn note(&self, id: ConnectionId, place: &Arc<Place>) -> Result<(), NotJoined> {
        let mut connections = lock(&self.0.connections);
        let connected = connections.get_mut(id).ok_or(NotJoined::Closed)?;
        if connected.rooms.len() >= ROOMS {
            return Err(NotJoined::TooManyRooms);
        }
        connected.rooms.push(Arc::clone(place));
        Ok(())
    }

    /// Notes that a connection is in a room no longer.
    pub(crate) fn forget(&self, id: ConnectionId, place: &Arc<Place>) {
        if let Some(connected) = lock(&self.0.connections).get_mut(id) {
            // The caller has a handle of it: none is dropped here, with the lock held, for good.
            connected.rooms.retain(|other| !Arc::ptr_eq(other, place));
        }
    }
}

impl Inner {
    /// A room has gone with its last handle and member; or another of its name has come meanwhile.
    pub(crate) fn close(&self, name: &str) {
        let mut rooms = lock(&self.rooms);
        if rooms
            .get(name)
            .is_some_and(|place| place.strong_count() == 0)
        {
            rooms.remove(name);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of the program's runs under any of these, and nothing is left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("connections", &lock(&self.connections).len())
            .field("rooms", &lock(&self.rooms).len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_peer::types::ToolListChanged;

    use super::*;
    use crate::Server;

    #[tokio::test(start_paused = true)]
    async fn who_has_no_room_for_tasks_is_not_cut_off_by_a_list() {
        let server = Server::new("hub", "1.0.0").start();
        let (_client, transport) = mcp_peer::duplex(16);
        let mut connection = server.connect(transport).expect("a connection");
        let (hub, id) = (server.hub(), connection.peer.link().id());
        let named = |method: &str| NotificationMessage {
            method: method.to_owned().into(),
            params: None,
        };
        for n in 0..=NEWS.messages {
            hub.tell_one(id, &named(&n.to_string()));
        }
        let to = Audience::Subscribers;
        let message = named(ToolListChanged::METHOD);
        hub.tell(&Post { to, message });
        let driving = tokio::time::timeout(Duration::from_secs(1), &mut connection.driver);
        assert!(driving.await.is_err(), "it goes on");
    }
}
