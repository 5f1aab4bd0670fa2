//! Notifications that many connections get: kept once, however many they are.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mcp_session::has_form;
use mcp_types::{MethodName, NotificationMessage, RawJson};
use tokio::sync::Notify;

use crate::inbox::guarded;
use crate::link::Link;
use crate::mailbox::{MailboxCounts, MailboxLimits, NotPosted};
use crate::peer::Shared;

/// A bounded queue of notifications for many connections, in one order for all; clones are handles to the same.
///
/// Each that [follows](Self::follow) it has a place of its own in it, and its driver sends as fast as its transport takes them.
/// What all have had is forgotten. When there is no room, the oldest are dropped, which those that did not have them yet are
/// told in their place; whoever would rather wait, or be rid of them, looks for [room](Self::has_room) first.
///
/// ```
/// use std::sync::Arc;
///
/// use mcp_peer::session::ServerConfig;
/// use mcp_peer::types::{Implementation, NotificationMessage};
/// use mcp_peer::{Feed, MailboxLimits, NoHandler, Options};
///
/// let named = |name: &str| NotificationMessage { method: name.into(), params: None };
/// let limits = MailboxLimits { messages: 1024, bytes: 1 << 20 };
/// let feed = Feed::new(limits, move |missed| named(&format!("com.example/missed-{missed}")));
///
/// let config = ServerConfig::new(Implementation::new("example", "1.0.0"));
/// let (_client, transport) = mcp_peer::duplex(16);
/// let connection = mcp_peer::server(transport, config, Arc::new(NoHandler), Options::default());
///
/// let followers = [feed.follow(&connection.peer.link())];
/// feed.post(&named("com.example/tick"), &followers);
/// assert_eq!(followers[0].waiting(), (1, 0), "until the driver runs");
/// ```
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    limits: MailboxLimits,
    /// Makes what a connection is told in the place of so many that were dropped.
    notice: Box<dyn Fn(u64) -> NotificationMessage + Send + Sync>,
    queue: Mutex<Queue>,
}

/// Notifications, numbered from the first that ever went in.
#[derive(Default)]
struct Queue {
    messages: VecDeque<Entry>,
    /// The number of the first that is still there.
    first: u64,
    /// Bytes of all that ever went in.
    bytes: u64,
    /// How many have a place in it, and how many of these have not had the last one yet.
    places: usize,
    behind: usize,
    /// The numbers of those that are there, once somebody has looked for one among many.
    index: Option<HashMap<Content, u64>>,
}

/// What a notification says.
type Content = (MethodName, Option<RawJson>);

fn content(message: &NotificationMessage) -> Content {
    (message.method.clone(), message.params.clone())
}

struct Entry {
    message: NotificationMessage,
    /// Bytes of all that went in before it.
    before: u64,
}

/// A connection's place in a [`Feed`]; clones are handles to the same.
///
/// What goes in is on the wire before whatever is sent on the connection later, an answer for example.
#[derive(Clone)]
pub struct Follower(Arc<Place>);

struct Place {
    shared: Arc<Shared>,
    limits: MailboxLimits,
    feed: Option<Feed>,
    /// What only this one gets; if there is such a queue, it takes nothing of the feed any more.
    own: OnceLock<Mutex<Queue>>,
    /// The number of the next one to be taken. This and the counts are changed with the queue's lock held.
    next: AtomicU64,
    dropped: AtomicU64,
    unwanted: AtomicU64,
    /// The last command of the outbox is to take whatever will have come by the time it is not the last one any more.
    /// Changed with the outbox's lock held, until that is closed.
    open: AtomicBool,
    taken: Notify,
}

/// A queue with fewer places for messages keeps them when it is empty; among fewer messages one is looked for without an index.
const SMALL: usize = 64;

impl Feed {
    /// `notice` makes what a connection is told when some were dropped that it had not had yet, and how many.
    pub fn new(
        limits: MailboxLimits,
        notice: impl Fn(u64) -> NotificationMessage + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            limits,
            notice: Box::new(notice),
            queue: Mutex::default(),
        }))
    }

    /// Makes a connection one that gets what is posted from now on.
    pub fn follow(&self, link: &Link) -> Follower {
        let mut queue = lock(&self.0.queue);
        queue.places += 1;
        let next = queue.end();
        drop(queue);
        let feed = Some(self.clone());
        let place = Place::new(&link.shared, self.0.limits, feed, next);
        Follower(Arc::new(place))
    }

    /// Whether a notification with so many bytes of parameters would go in without any being dropped: then all who follow have
    /// room for it. If not, some of what is in it may be what all [have had](Self::forget).
    pub fn has_room(&self, bytes: usize) -> bool {
        let queue = lock(&self.0.queue);
        fits(queue.waiting(queue.first), bytes, self.0.limits)
    }

    /// Puts a notification in for those who follow, which must be all; if there is no room, the oldest are dropped for it.
    ///
    /// One that is nested deeper than anybody reads is not put in; it counts as [unwanted](MailboxCounts::unwanted).
    pub fn post<'a>(
        &self,
        message: &NotificationMessage,
        followers: impl IntoIterator<Item = &'a Follower>,
    ) {
        if !is_readable(message) {
            return followers
                .into_iter()
                .for_each(|follower| follower.unwanted(1));
        }
        let mut queue = lock(&self.0.queue);
        while !fits(queue.waiting(queue.first), size(message), self.0.limits) {
            queue.pop();
        }
        queue.push(message);
        drop(queue);
        for follower in followers {
            // Who is closed gets nothing any more.
            let _ = follower.announce();
        }
    }

    /// Forgets what these, which must be all who follow, have had.
    pub fn forget<'a>(&self, followers: impl IntoIterator<Item = &'a Follower>) {
        let mut queue = lock(&self.0.queue);
        let next = |follower: &Follower| follower.0.next.load(Ordering::Relaxed);
        if let Some(next) = followers.into_iter().map(next).min() {
            queue.forget(next);
        }
    }
}

impl Follower {
    /// One that has a queue of its own.
    pub(crate) fn alone(shared: &Arc<Shared>, limits: MailboxLimits) -> Self {
        let place = Place::new(shared, limits, None, 0);
        let _ = place.own.set(Mutex::new(Queue::alone(0)));
        Self(Arc::new(place))
    }

    /// Puts a notification into its own queue, if there is room.
    pub(crate) fn post(&self, message: &NotificationMessage) -> Result<(), NotPosted> {
        if !is_readable(message) {
            return Err(NotPosted::Params);
        }
        let mut queue = self.lock();
        let waiting = queue.waiting(self.next());
        if !fits(waiting, size(message), self.0.limits) {
            return Err(NotPosted::Full);
        }
        queue.push(message);
        drop(queue);
        self.announce()
    }

    /// Whether such a notification waits.
    pub(crate) fn has(&self, message: &NotificationMessage) -> bool {
        let mut queue = self.lock();
        let had = queue.had(self.next());
        if queue.messages.len() < SMALL {
            let mut waiting = queue.messages.iter().skip(had);
            return waiting.any(|entry| entry.message == *message);
        }
        let number = queue.index().get(&content(message));
        number.is_some_and(|number| *number >= self.next())
    }

    /// Gets nothing of what is posted from now on; what was posted before still arrives.
    pub fn leave(&self) {
        let Some(feed) = &self.0.feed else {
            return;
        };
        let mut queue = lock(&feed.0.queue);
        if self.0.own.get().is_some() {
            return;
        }
        // What it has lost it is still told of.
        let next = self.next().max(queue.first);
        let mut own = Queue::alone(next);
        for entry in queue.messages.iter().skip(queue.had(next)) {
            own.push(&entry.message);
        }
        queue.leave(self.next());
        // Nobody else sets it, for that is done with the feed's lock held.
        let _ = self.0.own.set(Mutex::new(own));
    }

    /// Whether a notification with so many bytes of parameters would go in without any being dropped that it did not have.
    pub fn has_room(&self, bytes: usize) -> bool {
        fits(self.lock().waiting(self.next()), bytes, self.0.limits)
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

    /// Notifications that it did not have yet, and bytes of their parameters.
    pub fn waiting(&self) -> (usize, usize) {
        self.lock().waiting(self.next())
    }

    /// What became of those that were not sent.
    pub fn counts(&self) -> MailboxCounts {
        let queue = self.lock();
        MailboxCounts {
            dropped: self.0.dropped.load(Ordering::Relaxed) + queue.lost(self.next()),
            unwanted: self.0.unwanted.load(Ordering::Relaxed),
        }
    }

    /// Tells the driver that there is something, unless it has been told.
    fn announce(&self) -> Result<(), NotPosted> {
        if self.is_open() {
            return Ok(());
        }
        let pushed = self.0.shared.outbox.push_mail(self);
        pushed.map_err(|_| NotPosted::Closed)
    }

    // ---- for the outbox, whose lock is held ----

    pub(crate) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) {
        self.0.open.store(true, Ordering::Relaxed);
    }

    /// The number behind the last one that its command is to take.
    ///
    /// Before the queue is looked at: whoever puts something in after that sees it when looking after that, for the queue's
    /// lock is between the two.
    pub(crate) fn seal(&self) -> u64 {
        self.0.open.store(false, Ordering::Relaxed);
        self.lock().end()
    }

    /// Whether what was put in before the number `end` is still there, if only the last of it.
    pub(crate) fn has_before(&self, end: u64) -> bool {
        self.lock().first < end
    }

    // ---- for the driver ----

    /// What is to be sent next, up to the one before the number `end`. One at least, if there is one; no more than `count`, and
    /// none once there are so many bytes of parameters.
    pub(crate) fn take(&self, end: u64, count: usize, bytes: usize) -> Taken {
        let mut queue = self.lock();
        let from = self.next();
        let lagged = queue.lost(from);
        let start = from + lagged;
        let end = end.min(queue.end()).max(start);
        let most = usize::try_from(end - start).map_or(count, |left| left.min(count.max(1)));
        let mut entries = queue.messages.iter().skip(queue.had(start)).take(most);
        let first = entries.next();
        let before = first.map_or(0, |entry| entry.before);
        let first = first.map(|entry| entry.message.clone());
        let mut more = Vec::new();
        if most > 1 {
            more.reserve_exact(most - 1);
            let light = |entry: &&Entry| entry.before - before < bytes as u64;
            more.extend(entries.take_while(light).map(|entry| entry.message.clone()));
        }
        let next = start + u64::from(first.is_some()) + more.len() as u64;
        self.0.next.store(next, Ordering::Relaxed);
        queue.took(from, next);
        drop(queue);
        self.0.taken.notify_waiters();
        let feed = self.0.feed.as_ref().filter(|_| lagged > 0);
        self.0.dropped.fetch_add(lagged, Ordering::Relaxed);
        let notice = feed.and_then(|feed| guarded("notice", || (feed.0.notice)(lagged)));
        Taken {
            notice: notice.filter(is_readable),
            first,
            more,
            left: next < end,
        }
    }

    /// So many of those that were taken were not wanted.
    pub(crate) fn unwanted(&self, count: u64) {
        if count > 0 {
            self.0.unwanted.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The connection is gone: what it would have taken up to the one before the number `end` is not sent.
    pub(crate) fn forgo(&self, end: u64) {
        let taken = self.take(end, usize::MAX, usize::MAX);
        self.unwanted(taken.first.iter().chain(&taken.more).count() as u64);
    }

    fn next(&self) -> u64 {
        self.0.next.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock()
    }
}

impl Place {
    fn new(shared: &Arc<Shared>, limits: MailboxLimits, feed: Option<Feed>, next: u64) -> Self {
        Self {
            shared: Arc::clone(shared),
            limits,
            feed,
            own: OnceLock::new(),
            next: AtomicU64::new(next),
            dropped: AtomicU64::new(0),
            unwanted: AtomicU64::new(0),
            open: AtomicBool::new(false),
            taken: Notify::new(),
        }
    }

    /// The queue that it takes from.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        if let Some(feed) = &self.feed
            && self.own.get().is_none()
        {
            let queue = lock(&feed.0.queue);
            if self.own.get().is_none() {
                return queue;
            }
        }
        // Who has no feed has one from the beginning.
        lock(self.own.get().expect("a queue of its own"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed
            && self.own.get().is_none()
        {
            lock(&feed.0.queue).leave(*self.next.get_mut());
        }
    }
}

impl Queue {
    /// One for one place, whose next notification has that number.
    fn alone(first: u64) -> Self {
        Self {
            first,
            places: 1,
            ..Self::default()
        }
    }

    /// The number of the next one that goes in.
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// How many in the queue are before that number.
    fn had(&self, next: u64) -> usize {
        // There are no more than the limit.
        next.saturating_sub(self.first) as usize
    }

    /// How many from that number on are not in the queue any more.
    fn lost(&self, next: u64) -> u64 {
        self.first.saturating_sub(next)
    }

    /// Messages from that number on, and bytes of their parameters.
    fn waiting(&self, next: u64) -> (usize, usize) {
        let had = self.had(next);
        match self.messages.get(had) {
            Some(entry) => (
                self.messages.len() - had,
                (self.bytes - entry.before) as usize,
            ),
            None => (0, 0),
        }
    }

    fn push(&mut self, message: &NotificationMessage) {
        if self.places == 0 {
            self.first += 1;
            return;
        }
        let message = message.clone();
        let before = self.bytes;
        self.bytes += size(&message) as u64;
        let number = self.end();
        if let Some(index) = &mut self.index {
            index.insert(content(&message), number);
        }
        self.messages.push_back(Entry { message, before });
        self.behind = self.places;
    }

    fn pop(&mut self) {
        let Some(entry) = self.messages.pop_front() else {
            return;
        };
        if let Some(index) = &mut self.index {
            let content = content(&entry.message);
            // There may be another one behind it.
            if index.get(&content) == Some(&self.first) {
                index.remove(&content);
            }
        }
        self.first += 1;
    }

    /// The last number of each that is there; kept until the queue is empty.
    fn index(&mut self) -> &HashMap<Content, u64> {
        let numbers = self.first..;
        self.index.get_or_insert_with(|| {
            let messages = self.messages.iter().map(|entry| content(&entry.message));
            messages.zip(numbers).collect()
        })
    }

    /// Lets go of what is before that number.
    fn forget(&mut self, next: u64) {
        while self.first < next && !self.messages.is_empty() {
            self.pop();
        }
    }

    /// A place has moved on.
    fn took(&mut self, from: u64, next: u64) {
        if from < next && next == self.end() {
            self.caught_up();
        } else if self.places == 1 {
            self.forget(next);
        }
    }

    /// A place is given up.
    fn leave(&mut self, next: u64) {
        self.places -= 1;
        if next < self.end() {
            self.caught_up();
        }
    }

    /// One less is behind; if nobody is, nobody needs anything.
    fn caught_up(&mut self) {
        self.behind -= 1;
        if self.behind == 0 {
            self.first = self.end();
            self.messages.clear();
            self.index = None;
            if self.messages.capacity() > SMALL {
                self.messages = VecDeque::new();
            }
        }
    }
}

/// What was taken out of a queue.
pub(crate) struct Taken {
    /// That something is missing before the first.
    pub(crate) notice: Option<NotificationMessage>,
    /// Most often there is no other, which then costs no allocation.
    pub(crate) first: Option<NotificationMessage>,
    pub(crate) more: Vec<NotificationMessage>,
    /// There are some left.
    pub(crate) left: bool,
}

/// Whether so many bytes more fit on top of so many messages and bytes.
fn fits(waiting: (usize, usize), bytes: usize, limits: MailboxLimits) -> bool {
    let (messages, waiting) = waiting;
    messages == 0 || (messages < limits.messages && waiting + bytes <= limits.bytes)
}

/// Whether anybody can read it: seen where it goes in, once for all who get it.
fn is_readable(message: &NotificationMessage) -> bool {
    message.params.as_ref().is_none_or(has_form)
}

fn size(message: &NotificationMessage) -> usize {
    message.params.as_ref().map_or(0, RawJson::len)
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing under this lock can panic.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.0.queue);
        f.debug_struct("Feed")
            .field("messages", &queue.messages.len())
            .field("places", &queue.places)
            .field("behind", &queue.behind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, bytes) = self.waiting();
        f.debug_struct("Follower")
            .field("messages", &messages)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mcp_session::Limits;

    use super::*;
    use crate::limits::Options;
    use crate::outbox::Command;

    const LIMITS: MailboxLimits = MailboxLimits {
        messages: 4,
        bytes: 1 << 20,
    };

    fn feed() -> Feed {
        let limits = LIMITS;
        Feed::new(limits, |missed| named(&format!("missed {missed}")))
    }

    fn link() -> Link {
        Link::new(&Shared::new(Options::default(), &Limits::default()))
    }

    fn named(method: &str) -> NotificationMessage {
        NotificationMessage {
            method: method.into(),
            params: None,
        }
    }

    /// How many the feed keeps.
    fn kept(feed: &Feed) -> usize {
        lock(&feed.0.queue).messages.len()
    }

    /// What a driver would send, with a `|` for whatever else the program wanted.
    fn sent(link: &Link) -> String {
        let mut commands = VecDeque::new();
        link.shared.outbox.take(&mut commands);
        let mut sent = Vec::new();
        while let Some((command, _)) = commands.pop_front() {
            let Command::Mail { follower, end } = command else {
                sent.push("|".to_owned());
                continue;
            };
            let taken = follower.take(end.expect("it was taken out"), 2, usize::MAX);
            let messages = taken.notice.into_iter().chain(taken.first);
            sent.extend(messages.chain(taken.more).map(|m| m.method.to_string()));
            if taken.left {
                commands.push_front((Command::Mail { follower, end }, 0));
            }
        }
        sent.join(" ")
    }

    #[test]
    fn what_many_get_is_kept_once_and_not_longer_than_one_of_them_needs_it() {
        let feed = feed();
        let links = [(); 100].map(|()| link());
        let followers = links.each_ref().map(|link| feed.follow(link));
        for method in ["a", "b", "c"] {
            feed.post(&named(method), &followers);
        }
        for link in &links {
            assert_eq!(kept(&feed), 3);
            assert_eq!(sent(link), "a b c");
        }
        assert_eq!(kept(&feed), 0);
        // Nor for one that is gone, nor for nobody.
        feed.post(&named("d"), &followers);
        links[1..].iter().map(sent).for_each(drop);
        assert_eq!(kept(&feed), 1);
        links[0].shared.outbox.close();
        drop(followers);
        assert_eq!(kept(&feed), 0);
        feed.post(&named("e"), []);
        assert_eq!(kept(&feed), 0);
    }

    #[test]
    fn a_run_is_one_command_and_whatever_comes_behind_it_ends_it() {
        let (feeds, link) = ([feed(), feed()], link());
        let followers = feeds.each_ref().map(|feed| feed.follow(&link));
        let post = |i: usize, method| feeds[i].post(&named(method), [&followers[i]]);
        post(0, "a");
        post(0, "b");
        link.close();
        post(0, "c");
        post(1, "d");
        post(0, "e");
        assert_eq!(sent(&link), "a b | c d e");
        // Neither does one belong to what the driver has taken already.
        post(0, "f");
        let mut taken = VecDeque::new();
        link.shared.outbox.take(&mut taken);
        link.close();
        post(0, "g");
        let Some((Command::Mail { follower, end }, _)) = taken.pop_front() else {
            panic!("no mail");
        };
        let taken = follower.take(end.unwrap(), 2, usize::MAX);
        assert!(taken.first.is_some() && taken.more.is_empty());
        assert_eq!(sent(&link), "| g");
    }

    #[test]
    fn feeds_in_turns_fill_no_outbox_with_what_they_have_dropped() {
        let (feeds, links) = ([feed(), feed()], [link(), link()]);
        let followers =
            (feeds.each_ref()).map(|feed| links.each_ref().map(|link| feed.follow(link)));
        for n in 0..20_000 {
            feeds[n % 2].post(&named(&n.to_string()), &followers[n % 2]);
        }
        let notices = "missed 9996 missed 9996";
        let rest = "19992 19993 19994 19995 19996 19997 19998 19999";
        assert_eq!(sent(&links[0]), format!("{notices} {rest}"));
        let commands = links[1].shared.outbox.close();
        assert!(commands.len() < 100, "{}", commands.len());
    }

    #[test]
    fn who_lags_is_told_in_the_place_of_what_it_missed() {
        let (feed, slow, quick) = (feed(), link(), link());
        let followers = [feed.follow(&slow), feed.follow(&quick)];
        for method in ["a", "b", "c", "d", "e", "f"] {
            feed.post(&named(method), &followers);
            assert_eq!(sent(&quick), method);
        }
        assert_eq!((kept(&feed), followers[0].waiting().0), (4, 4));
        assert_eq!(followers[0].counts().dropped, 2);
        assert_eq!(sent(&slow), "missed 2 c d e f");
        assert_eq!(followers[0].counts().dropped, 2);
        assert_eq!(followers[1].counts().dropped, 0);
    }

    #[test]
    fn who_cannot_be_told_that_it_lags_gets_the_rest() {
        let feed = Feed::new(LIMITS, |_| panic!("on purpose"));
        let link = link();
        let followers = [feed.follow(&link)];
        for method in ["a", "b", "c", "d", "e"] {
            feed.post(&named(method), &followers);
        }
        assert_eq!(sent(&link), "b c d e");
        assert_eq!(followers[0].counts().dropped, 1);
    }

    #[test]
    fn who_leaves_gets_what_was_posted_before_whatever_comes_afterwards() {
        let (feed, gone, here) = (feed(), link(), link());
        let followers = [feed.follow(&gone), feed.follow(&here)];
        for method in ["a", "b", "c", "d", "e"] {
            feed.post(&named(method), &followers);
        }
        followers[0].leave();
        followers[0].leave();
        for method in ["f", "g", "h", "i"] {
            feed.post(&named(method), &followers[1..]);
        }
        assert_eq!(followers[0].waiting().0, 4);
        assert_eq!(sent(&gone), "missed 1 b c d e");
        assert_eq!(sent(&here), "missed 5 f g h i");
        assert_eq!(kept(&feed), 0);
    }

    #[test]
    fn what_waits_is_found_until_it_is_taken_be_it_among_few_or_many() {
        for others in [0, 1, SMALL, 3 * SMALL] {
            let (link, limits) = (
                link(),
                MailboxLimits {
                    messages: 1024,
                    ..LIMITS
                },
            );
            let mailbox = link.mailbox(limits);
            let waiting = || ["a", "b", "c"].map(|method| mailbox.0.has(&named(method)));
            let take = |count| drop(mailbox.0.take(u64::MAX, count, usize::MAX));
            mailbox.post(&named("a")).unwrap();
            for i in 0..others {
                mailbox.post_once(&named(&i.to_string())).unwrap();
            }
            assert_eq!(waiting(), [true, false, false]);
            mailbox.post_once(&named("a")).unwrap();
            mailbox.post_once(&named("b")).unwrap();
            mailbox.post(&named("a")).unwrap();
            assert_eq!(
                (mailbox.len(), waiting()),
                (others + 3, [true, true, false])
            );
            take(others + 1);
            assert_eq!(waiting(), [true, true, false], "the second one");
            take(1);
            assert_eq!(waiting(), [true, false, false]);
            take(1);
            assert_eq!(waiting(), [false; 3]);
            mailbox.post_once(&named("c")).unwrap();
            assert_eq!(waiting(), [false, false, true]);
        }
    }

    #[test]
    fn room_is_made_of_what_all_have_had() {
        let (feed, slow, quick) = (feed(), link(), link());
        let followers = [feed.follow(&slow), feed.follow(&quick)];
        for method in ["a", "b", "c", "d"] {
            feed.post(&named(method), &followers);
        }
        sent(&quick);
        assert!(!feed.has_room(0) && !followers[0].has_room(0) && followers[1].has_room(0));
        feed.forget(&followers);
        assert!(!feed.has_room(0));
        let Some((Command::Mail { follower, .. }, _)) = slow.shared.outbox.close().pop_front()
        else {
            panic!("no mail");
        };
        follower.take(1, 1, usize::MAX);
        feed.forget(&followers);
        assert!(feed.has_room(0) && followers[0].has_room(0));
        assert_eq!(kept(&feed), 3);
    }
}
