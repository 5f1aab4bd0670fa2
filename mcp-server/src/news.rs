//! What the protocol itself tells of: lists, resources and tasks that have changed.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use mcp_peer::types::{
    MethodName, Notification, NotificationMessage, PromptListChanged, ResourceListChanged,
    ResourceUpdated, ResourceUpdatedParams, TaskUpdated, ToolListChanged,
};
use mcp_peer::{Link, MailboxLimits};
use tokio::runtime::Handle;

use crate::backplane::{Audience, Backplane, Post};
use crate::hub::{Hub, Inner, lock};
use crate::room::{encoded, size};

/// How long a change of a list waits for others, which are told together.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// News that wait for one connection, or for a backplane: as many as a connection may have subscribed to, each once; and as
/// many of tasks.
pub(crate) const NEWS: MailboxLimits = MailboxLimits {
    messages: 4096 + 3,
    bytes: 4 * 1024 * 1024,
};

/// What nobody is told of yet.
#[derive(Default)]
pub(crate) struct News {
    lists: Vec<MethodName>,
    /// Whether a task is about to tell of the lists.
    telling: bool,
    /// What other nodes are not told of yet, each once.
    waiting: VecDeque<Post>,
    /// Whether somebody carries it to the backplane.
    publishing: bool,
}

impl Hub {
    /// Tells those who have subscribed to a resource, or to what it is below of, that it has changed (REQ-RES-06), on every
    /// node.
    ///
    /// The server declares that it does so by [`Server::with_subscriptions`](crate::Server::with_subscriptions). Told once
    /// to a client that has not read of an earlier change yet; one that leaves thousands of those unread that it has
    /// subscribed to is cut off.
    pub fn resource_updated(&self, uri: impl Into<String>) {
        let params = ResourceUpdatedParams::new(uri);
        if let Ok(message) = encoded::<ResourceUpdated>(&params) {
            self.spread(for_subscribers(message));
        }
    }

    /// Tells those who asked, on every node, that the list of tools has changed, together with whatever else changes within
    /// 20 ms; what is added to or removed from the [`Catalog`](crate::Catalog) is told by itself.
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
        if self.connections() == 0 && self.backplane().is_none() {
            return;
        }
        let method = MethodName::from_static(method);
        let mut news = lock(&self.0.news);
        if !news.lists.contains(&method) {
            news.lists.push(method);
        }
        if news.telling {
            return;
        }
        // Outside of a runtime nobody can wait for more.
        if let Ok(runtime) = Handle::try_current() {
            news.telling = true;
            // A runtime that ends drops the task at once.
            drop(news);
            let hub = Arc::downgrade(&self.0);
            runtime.spawn(tell_of_lists(Telling { hub }));
        } else {
            drop(news);
            self.tell_of_lists();
        }
    }

    /// Tells of the lists that have changed; whether there were any.
    fn tell_of_lists(&self) -> bool {
        let mut any = false;
        while let Some(post) = self.next_list() {
            self.spread(post);
            any = true;
        }
        any
    }

    /// Takes what is to be told of the next list that has changed.
    fn next_list(&self) -> Option<Post> {
        let mut news = lock(&self.0.news);
        let method = (!news.lists.is_empty()).then(|| news.lists.remove(0))?;
        let params = None;
        Some(for_subscribers(NotificationMessage { method, params }))
    }

    /// Tells those who asked on every node.
    pub(crate) fn spread(&self, post: Post) {
        let Some(backplane) = self.backplane() else {
            return self.tell(&post);
        };
        let mut news = lock(&self.0.news);
        if news.waiting.contains(&post) {
            return;
        }
        if !news.has_room(&post) {
            drop(news);
            tracing::warn!("the backplane is too slow: only this node's clients are told");
            return self.tell(&post);
        }
        news.waiting.push_back(post.clone());
        if std::mem::replace(&mut news.publishing, true) {
            return;
        }
        drop(news);
        let (hub, post) = (Arc::downgrade(&self.0), None);
        let mut publishing = Box::pin(publish(Publisher { hub, post }, Arc::clone(backplane)));
        // What need not wait is told before whatever the caller does next.
        let polled = publishing
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(publishing)),
            // Nobody can wait for it.
            Err(_) => drop(publishing),
        }
    }

    /// Takes what is to be published next: what changes from now on is news again.
    fn next_news(&self) -> Option<Post> {
        let mut news = lock(&self.0.news);
        let next = news.waiting.pop_front();
        news.publishing = next.is_some();
        next
    }
}

fn for_subscribers(message: NotificationMessage) -> Post {
    let to = Audience::Subscribers;
    Post { to, message }
}

/// What a message tells of that clients ask for by its name.
pub(crate) enum Subject {
    Resource(String),
    Task(String),
}

impl Subject {
    /// None of what is asked for as a whole, as lists are.
    pub(crate) fn of(message: &NotificationMessage) -> Option<Self> {
        let named = |member| message.params.as_ref()?.member(member)?.decode().ok();
        match &*message.method {
            ResourceUpdated::METHOD => named("uri").map(Self::Resource),
            TaskUpdated::METHOD => named("taskId").map(Self::Task),
            _ => None,
        }
    }

    /// Whether a client has asked for it.
    pub(crate) fn is_wanted(&self, link: &Link) -> bool {
        match self {
            Self::Resource(uri) => link.subscribes(uri),
            Self::Task(id) => link.follows(id),
        }
    }
}

impl News {
    fn has_room(&self, post: &Post) -> bool {
        let bytes: usize = self.waiting.iter().map(|post| size(&post.message)).sum();
        let fits = bytes + size(&post.message) <= NEWS.bytes || self.waiting.is_empty();
        fits && self.waiting.len() < NEWS.messages
    }
}

/// Publishes news as long as there are any; the server is not kept alive by it.
async fn publish(mut publisher: Publisher, backplane: Arc<dyn Backplane>) {
    while let Some(post) = publisher.next() {
        if let Err(error) = backplane.publish(post.clone()).await {
            tracing::warn!(%error, "the backplane failed: only this node's clients are told");
            if let Some(hub) = publisher.hub.upgrade() {
                Hub(hub).tell(&post);
            }
        }
    }
}

/// Whoever carries news to the backplane. If it is dropped before there are none left, for the backplane has panicked or the
/// runtime has ended, this node's clients are told, and the next news find somebody else.
struct Publisher {
    hub: Weak<Inner>,
    /// What it carries.
    post: Option<Post>,
}

impl Publisher {
    fn next(&mut self) -> Option<Post> {
        let hub = self.hub.upgrade().map(Hub);
        self.post = hub.and_then(|hub| hub.next_news());
        self.post.clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let hub = self.hub.upgrade().map(Hub);
        let (Some(hub), Some(post)) = (hub, self.post.take()) else {
            return;
        };
        tracing::warn!("news were not carried on: only this node's clients are told");
        let mut news = lock(&hub.0.news);
        news.publishing = false;
        let waiting = std::mem::take(&mut news.waiting);
        drop(news);
        hub.tell(&post);
        waiting.iter().for_each(|post| hub.tell(post));
    }
}

/// Tells of lists that have changed, as long as there are any; the server is not kept alive by it.
async fn tell_of_lists(mut telling: Telling) {
    loop {
        tokio::time::sleep(DEBOUNCE).await;
        let Some(hub) = telling.hub.upgrade().map(Hub) else {
            return;
        };
        if hub.tell_of_lists() {
            continue;
        }
        let mut news = lock(&hub.0.news);
        if news.lists.is_empty() {
            news.telling = false;
            telling.hub = Weak::new();
            return;
        }
    }
}

/// Whoever is about to tell of lists. If it is dropped before it has, for the backplane has panicked or the runtime has ended,
/// this node's clients are told, and the next change finds somebody else.
struct Telling {
    hub: Weak<Inner>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade().map(Hub) else {
            return;
        };
        lock(&hub.0.news).telling = false;
        while let Some(post) = hub.next_list() {
            hub.tell(&post);
        }
    }
}
