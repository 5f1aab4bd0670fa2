//! Things of one kind, by key and in order.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything of one kind: by key, and in the order of the lists.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    by_key: BTreeMap<String, (u64, Arc<T>)>,
    in_order: BTreeMap<u64, Arc<T>>,
    /// The number of the next one. None is used again, so that a cursor survives whatever comes and goes.
    next: u64,
    /// Whether clients are told that there may be some.
    pub(crate) announced: bool,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            in_order: BTreeMap::new(),
            next: 0,
            announced: false,
        }
    }
}

impl<T> Shelf<T> {
    /// Adds something, and says its number.
    pub(crate) fn add(&mut self, key: &str, item: T) -> u64 {
        let (number, item) = (self.next, Arc::new(item));
        self.by_key
            .insert(key.to_owned(), (number, Arc::clone(&item)));
        self.in_order.insert(number, item);
        self.next += 1;
        self.announced = true;
        number
    }

    /// Removes what has a key, and a number if one is given.
    pub(crate) fn remove(&mut self, key: &str, number: Option<u64>) -> Option<Arc<T>> {
        let (found, _) = self.by_key.get(key)?;
        if number.is_some_and(|number| number != *found) {
            return None;
        }
        let (number, item) = self.by_key.remove(key)?;
        self.in_order.remove(&number);
        Some(item)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<T>> {
        self.by_key.get(key).map(|(_, item)| item)
    }

    /// Everything from a number on, in order.
    pub(crate) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Arc<T>)> {
        self.in_order.range(number..).map(|(n, item)| (*n, item))
    }

    /// Whether a number is, or was, that of something here, or of what comes next.
    pub(crate) fn knows(&self, number: u64) -> bool {
        number <= self.next
    }

    pub(crate) fn len(&self) -> usize {
        self.in_order.len()
    }
}
