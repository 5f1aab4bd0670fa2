//! What the protocol itself tells of: lists, resources and tasks that have changed.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use mcp_peer::MailboxLimits;
use mcp_peer::types::{
    MethodName, Notification, NotificationMessage, PromptListChanged, ResourceListChanged,
    ResourceUpdated, ResourceUpdatedParams, ToolListChanged,
};
use tokio::runtime::Handle;

use crate::backplane::{Audience, Backplane, Post};
use crate::hub::{Hub, Inner, lock};
use crate::room::{encoded, size};

/// How long a change of a list waits for others, which are told together.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// News that wait for one connection, or for a backplane: as many as a connection may have subscribed to, each once.
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
            runtime.spawn(tell_of_lists(Arc::downgrade(&self.0)));
        } else {
            drop(news);
            self.tell_of_lists();
        }
    }

    /// Tells of the lists that have changed; whether there were any.
    fn tell_of_lists(&self) -> bool {
        let lists = std::mem::take(&mut lock(&self.0.news).lists);
        let any = !lists.is_empty();
        for method in lists {
            let params = None;
            self.spread(for_subscribers(NotificationMessage { method, params }));
        }
        any
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
        let hub = Arc::downgrade(&self.0);
        let mut publishing = Box::pin(publish(hub, Arc::clone(backplane)));
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
            Err(_) => {
                drop(publishing);
                let mut news = lock(&self.0.news);
                news.publishing = false;
                let waiting = std::mem::take(&mut news.waiting);
                drop(news);
                self.tell(&post);
                waiting.iter().for_each(|post| self.tell(post));
            }
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

/// The resource that is told of, if it is one.
pub(crate) fn resource_of(message: &NotificationMessage) -> Option<String> {
    let params = message.params.as_ref();
    let params = params.filter(|_| message.method == ResourceUpdated::METHOD);
    params?.member("uri")?.decode().ok()
}

impl News {
    fn has_room(&self, post: &Post) -> bool {
        let bytes: usize = self.waiting.iter().map(|post| size(&post.message)).sum();
        let fits = bytes + size(&post.message) <= NEWS.bytes || self.waiting.is_empty();
        fits && self.waiting.len() < NEWS.messages
    }
}

/// Publishes news as long as there are any; the server is not kept alive by it.
async fn publish(hub: Weak<Inner>, backplane: Arc<dyn Backplane>) {
    loop {
        let Some(post) = hub.upgrade().and_then(|hub| Hub(hub).next_news()) else {
            return;
        };
        if let Err(error) = backplane.publish(post.clone()).await {
            tracing::warn!(%error, "the backplane failed: only this node's clients are told");
            if let Some(hub) = hub.upgrade() {
                Hub(hub).tell(&post);
            }
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
        let mut news = lock(&hub.0.news);
        if news.lists.is_empty() {
            news.telling = false;
            return;
        }
    }
}
