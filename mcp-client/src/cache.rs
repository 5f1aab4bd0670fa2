//! Lists that are kept for as long as the server lets them be.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_peer::Peer;
use mcp_peer::session::Established;
use mcp_peer::types::{
    Era, ListPrompts, ListResourceTemplates, ListResources, ListTools, PromptListChanged, Request,
    ResourceListChanged, ToolListChanged,
};
use tokio::time::Instant;

use crate::list::Paged;

/// One list a method, at most.
#[derive(Clone)]
pub(crate) struct Lists {
    keep: bool,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    lists: HashMap<&'static str, List>,
    /// How often something has changed: what was asked for before that is not kept.
    changes: u64,
}

struct List {
    /// A `Vec` of the method's items.
    items: Arc<dyn Any + Send + Sync>,
    until: Instant,
    /// On which connection it was asked for.
    server: Arc<Established>,
}

/// What was there when a list was asked for.
pub(crate) struct Asked {
    changes: u64,
    server: Arc<Established>,
}

impl Lists {
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            keep,
            kept: Arc::default(),
        }
    }

    /// What is kept of a method's list on this connection.
    pub(crate) fn of<M: Paged>(&self, peer: &Peer) -> Option<Vec<M::Item>> {
        let server = peer.established()?;
        let items = {
            let kept = self.lock();
            let list = kept.lists.get(M::METHOD)?;
            let good = Arc::ptr_eq(&list.server, &server) && Instant::now() < list.until;
            good.then(|| Arc::clone(&list.items))?
        };
        items.downcast_ref::<Vec<M::Item>>().cloned()
    }

    /// To be asked before a list is; `None` if it will not be kept.
    pub(crate) fn asks(&self, peer: &Peer) -> Option<Asked> {
        let server = peer.established()?;
        // Legacy servers say nothing about it.
        if !self.keep || server.version.era() == Era::Legacy {
            return None;
        }
        let changes = self.lock().changes;
        Some(Asked { changes, server })
    }

    pub(crate) fn keep<M: Paged>(&self, asked: Asked, items: &[M::Item], until: Instant) {
        let mut kept = self.lock();
        if kept.changes == asked.changes {
            let list = List {
                items: Arc::new(items.to_vec()),
                until,
                server: asked.server,
            };
            kept.lists.insert(M::METHOD, list);
        }
    }

    /// To be called before anybody else can hear of a change: then who has heard of it sees no list from before it.
    pub(crate) fn watch(&self, peer: &Peer) {
        if !self.keep {
            return;
        }
        let lists = self.clone();
        peer.on_notification::<ToolListChanged>(move |_| lists.forget(&[ListTools::METHOD]));
        let lists = self.clone();
        peer.on_notification::<PromptListChanged>(move |_| lists.forget(&[ListPrompts::METHOD]));
        let lists = self.clone();
        peer.on_notification::<ResourceListChanged>(move |_| {
            lists.forget(&[ListResources::METHOD, ListResourceTemplates::METHOD]);
        });
    }

    fn forget(&self, methods: &[&str]) {
        let mut kept = self.lock();
        kept.changes += 1;
        kept.lists.retain(|method, _| !methods.contains(method));
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().lists.keys()).finish()
    }
}
