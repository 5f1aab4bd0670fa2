//! Which resources a client has subscribed to, for those who tell many clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The resources that one client is to be told of, kept up to date by its session; clones are handles to the same.
///
/// Who has a queue for each of many clients fills no queue with what its client has not asked for.
#[derive(Debug, Clone, Default)]
pub struct Subscribed(Arc<Mutex<HashMap<Arc<str>, usize>>>);

impl Subscribed {
    /// Whether a change to that resource is one that the client is told of: it has subscribed to it, or to one above it
    /// (REQ-RES-06).
    pub fn covers(&self, uri: &str) -> bool {
        let named = self.lock();
        let above = |(at, _)| named.contains_key(&uri[..at]) || named.contains_key(&uri[..=at]);
        named.contains_key(uri) || uri.match_indices('/').any(above)
    }

    pub(crate) fn add(&self, uri: Arc<str>) {
        *self.lock().entry(uri).or_default() += 1;
    }

    pub(crate) fn remove(&self, uri: &str) {
        let mut named = self.lock();
        if let Some(times) = named.get_mut(uri) {
            *times -= 1;
            if *times == 0 {
                named.remove(uri);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // Nothing under this lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_covered_with_what_is_below_it_until_it_is_taken_back_twice() {
        let subscribed = Subscribed::default();
        for uri in ["test://a", "test://a", "all:/"] {
            subscribed.add(uri.into());
        }
        subscribed.remove("test://a");
        subscribed.remove("test://another");
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
        subscribed.remove("test://a");
        assert!(!subscribed.covers("test://a"));
    }
}
