//! What a client has asked to be told of, thing by thing, for those who tell many clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The resources and tasks that one client is to be told of, kept up to date by its session; clones are handles to the same.
///
/// Who has a queue for each of many clients fills no queue with what its client has not asked for.
#[derive(Debug, Clone, Default)]
pub struct Subscribed(Arc<Mutex<Named>>);

#[derive(Debug, Default)]
struct Named {
    resources: Times,
    tasks: Times,
}

/// How many times each is subscribed to.
#[derive(Debug, Default)]
struct Times(HashMap<Arc<str>, usize>);

impl Subscribed {
    /// Whether a change to that resource is one that the client is told of: it has subscribed to it, or to one above it
    /// (REQ-RES-06).
    pub fn covers(&self, uri: &str) -> bool {
        let Named { resources, .. } = &*self.lock();
        let above = |(at, _)| resources.has(&uri[..at]) || resources.has(&uri[..=at]);
        resources.has(uri) || uri.match_indices('/').any(above)
    }

    /// Whether the task of that id is one that a modern client follows on some stream (REQ-SUB-01).
    pub fn follows(&self, task: &str) -> bool {
        self.lock().tasks.has(task)
    }

    pub(crate) fn add_resource(&self, uri: Arc<str>) {
        self.lock().resources.add(uri);
    }

    pub(crate) fn remove_resource(&self, uri: &str) {
        self.lock().resources.remove(uri);
    }

    pub(crate) fn add_task(&self, id: Arc<str>) {
        self.lock().tasks.add(id);
    }

    pub(crate) fn remove_task(&self, id: &str) {
        self.lock().tasks.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Named> {
        // Nothing under this lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn add(&mut self, name: Arc<str>) {
        *self.0.entry(name).or_default() += 1;
    }

    fn remove(&mut self, name: &str) {
        if let Some(times) = self.0.get_mut(name) {
            *times -= 1;
            if *times == 0 {
                self.0.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_covered_with_what_is_below_it_until_it_is_taken_back_twice() {
        let subscribed = Subscribed::default();
        for uri in ["test://a", "test://a", "all:/"] {
            subscribed.add_resource(uri.into());
        }
        subscribed.remove_resource("test://a");
        subscribed.remove_resource("test://another");
        for (uri, expected) in [
            ("test://a", true),
            ("test://a/below", true),
            ("test://ab", false),
            ("test://", false),
            ("all:/x", true),
            ("all:", false),
        ] {
            assert_eq!(subscribed.covers(uri), expected, "{uri}");
        }
        subscribed.remove_resource("test://a");
        assert!(!subscribed.covers("test://a"));
    }
}
