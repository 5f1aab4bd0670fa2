//! What goes to more than one client.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use mcp_peer::types::{
    MethodName, Notification, NotificationMessage, PromptListChanged, ResourceListChanged,
    ResourceUpdated, ResourceUpdatedParams, ToolListChanged,
};
use mcp_peer::{ConnectionId, Link, Mailbox, MailboxLimits, NotPosted};

use crate::backplane::{Backplane, Node, Post};
use crate::room::{Departure, Member, NotJoined, NotPublished, Place, Room, RoomOptions, encoded};

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
    connections: Mutex<HashMap<ConnectionId, Connected>>,
    rooms: Mutex<HashMap<Arc<str>, Weak<Place>>>,
    /// Of rooms that are made without any of their own.
    room_options: Mutex<RoomOptions>,
    everyone: Arc<Place>,
    backplane: OnceLock<Box<dyn Backplane>>,
    changed: Mutex<Changed>,
}

/// Somebody who is connected.
struct Connected {
    link: Link,
    /// What the protocol itself tells: lists and resources that have changed.
    news: Mailbox,
    rooms: Vec<Arc<Place>>,
}

/// Lists that have changed and are not told of yet.
#[derive(Default)]
struct Changed {
    lists: Vec<MethodName>,
    /// Whether a task is about to tell.
    telling: bool,
}

/// How long a change of a list waits for others, which are told together.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// Rooms that one connection may be in.
const ROOMS: usize = 1024;

/// News that wait for one connection: as many as it may have subscribed to, each once.
const NEWS: MailboxLimits = MailboxLimits {
    messages: 4096 + 3,
    bytes: 4 * 1024 * 1024,
};

fn for_everyone() -> RoomOptions {
    let mut options = RoomOptions::default();
    // Who may connect is decided elsewhere.
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
            changed: Mutex::default(),
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

    /// The room that every connection is in as long as it lives; who joins or leaves it is of no consequence.
    fn everyone(&self) -> Room {
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

    /// Tells those who have subscribed to a resource, or to what it is below of, that it has changed (REQ-RES-06).
    ///
    /// The server declares that it does so by [`Server::with_subscriptions`](crate::Server::with_subscriptions). Told once
    /// to a client that has not read of an earlier change yet; one that leaves thousands unread is cut off.
    pub fn resource_updated(&self, uri: impl Into<String>) {
        let params = ResourceUpdatedParams::new(uri);
        if let Ok(message) = encoded::<ResourceUpdated>(&params) {
            self.tell(&message);
        }
    }

    /// Tells those who asked that the list of tools has changed, together with whatever else changes within 20 ms; what is
    /// added to or removed from the [`Catalog`](crate::Catalog) is told by itself.
    pub fn tools_changed(&self) {
        self.list_changed(ToolListChanged::METHOD);
    }

    /// Tells those who asked that the list of resources has changed; see [`tools_changed`](Self::tools_changed).
    pub fn resources_changed(&self) {
        self.list_changed(ResourceListChanged::METHOD);
    }

    /// Tells those who asked that the list of prompts has changed; see [`tools_changed`](Self::tools_changed).
    pub fn prompts_changed(&self) {
        self.list_changed(PromptListChanged::METHOD);
    }

    fn list_changed(&self, method: &'static str) {
        // Whoever comes later sees the list as it is then.
        if lock(&self.0.connections).is_empty() {
            return;
        }
        let method = MethodName::from_static(method);
        let mut changed = lock(&self.0.changed);
        if !changed.lists.contains(&method) {
            changed.lists.push(method);
        }
        if changed.telling {
            return;
        }
        // Outside of a runtime nobody can wait for more.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            changed.telling = true;
            runtime.spawn(tell_of_lists(Arc::downgrade(&self.0)));
        } else {
            drop(changed);
            self.tell_of_lists();
        }
    }

    /// Tells of the lists that have changed; whether there were any.
    fn tell_of_lists(&self) -> bool {
        let lists = std::mem::take(&mut lock(&self.0.changed).lists);
        let any = !lists.is_empty();
        for method in lists {
            let params = None;
            self.tell(&NotificationMessage { method, params });
        }
        any
    }

    fn tell(&self, message: &NotificationMessage) {
        for connected in lock(&self.0.connections).values() {
            if connected.news.post_once(message) == Err(NotPosted::Full) {
                connected.link.disconnect();
            }
        }
    }

    // ---- for the other files of this crate ----

    pub(crate) fn set_room_options(&self, options: RoomOptions) {
        *lock(&self.0.room_options) = options;
    }

    /// The first one stays.
    pub(crate) fn set_backplane(&self, backplane: impl Backplane) {
        let hub = Arc::downgrade(&self.0);
        backplane.attach(Node { hub });
        let _ = self.0.backplane.set(Box::new(backplane));
    }

    pub(crate) fn backplane(&self) -> Option<&dyn Backplane> {
        self.0.backplane.get().map(|backplane| &**backplane)
    }

    /// What has come over the backplane.
    pub(crate) async fn deliver(&self, post: &Post) {
        let room = match &post.room {
            None => self.everyone(),
            Some(name) => {
                // A room without members here is none that would have to be made.
                let place = lock(&self.0.rooms).get(name).and_then(Weak::upgrade);
                let Some(place) = place else { return };
                let hub = self.clone();
                Room { hub, place }
            }
        };
        room.deliver(&post.message).await;
    }

    /// Takes somebody in who has connected, until the connection ends.
    pub(crate) fn connected(&self, link: Link) {
        let id = link.id();
        let connected = Connected {
            news: link.mailbox(NEWS, None),
            link: link.clone(),
            rooms: Vec::new(),
        };
        lock(&self.0.connections).insert(id, connected);
        let _ = self.0.everyone.seat(&link, &Member::nobody(id));
        let hub = Arc::downgrade(&self.0);
        link.on_close(move || {
            if let Some(hub) = hub.upgrade() {
                Self(hub).disconnected(id);
            }
        });
    }

    fn disconnected(&self, id: ConnectionId) {
        self.0.everyone.unseat(id);
        let gone = lock(&self.0.connections).remove(&id);
        for place in gone.into_iter().flat_map(|gone| gone.rooms) {
            let hub = self.clone();
            Room { hub, place }.depart(id, Departure::Disconnected);
        }
    }

    /// Notes that a connection is in a room, which it leaves when it ends.
    pub(crate) fn note(&self, id: ConnectionId, place: &Arc<Place>) -> Result<(), NotJoined> {
        let mut connections = lock(&self.0.connections);
        let connected = connections.get_mut(&id).ok_or(NotJoined::Closed)?;
        if connected.rooms.len() >= ROOMS {
            return Err(NotJoined::TooManyRooms);
        }
        connected.rooms.push(Arc::clone(place));
        Ok(())
    }

    /// Notes that a connection is in a room no longer.
    pub(crate) fn forget(&self, id: ConnectionId, place: &Arc<Place>) {
        if let Some(connected) = lock(&self.0.connections).get_mut(&id) {
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

/// Tells of lists that have changed, as long as there are any; the server is not kept alive by it.
async fn tell_of_lists(hub: Weak<Inner>) {
    loop {
        tokio::time::sleep(DEBOUNCE).await;
        let Some(hub) = hub.upgrade().map(Hub) else {
            return;
        };
        if hub.tell_of_lists() {
            continue;
        }
        let mut changed = lock(&hub.0.changed);
        if changed.lists.is_empty() {
            changed.telling = false;
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
