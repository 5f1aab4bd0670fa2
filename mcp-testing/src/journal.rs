use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A list that only grows, shared by those who write to it and those who wait for something to appear in it.
///
/// Clones are handles to the same list.
#[derive(Debug)]
pub struct Journal<T> {
    entries: Arc<Mutex<Vec<T>>>,
    length: watch::Sender<usize>,
}

impl<T> Journal<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: Arc::default(),
            length: watch::Sender::new(0),
        }
    }

    /// Appends an entry and wakes whoever waits for it.
    pub fn push(&self, entry: T) {
        let mut entries = self.lock();
        entries.push(entry);
        // Under the lock, so that lengths are announced in order.
        self.length.send_replace(entries.len());
    }

    /// A panic elsewhere must not hide the record that explains it, so poison is ignored: no update is ever half done.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Journal<T> {
    /// A copy of the entries so far.
    #[must_use]
    pub fn entries(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// Waits for the first entry, past or future, that `wanted` accepts.
    ///
    /// Waits for ever if none comes: bound it with a timeout.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it consumes nothing.
    pub async fn find(&self, wanted: impl FnMut(&T) -> bool) -> T {
        self.find_many(1, wanted).await.swap_remove(0)
    }

    /// Waits until `wanted` has accepted `count` entries, past ones included, and returns them in order.
    ///
    /// Waits for ever if too few come: bound it with a timeout.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it consumes nothing.
    pub async fn find_many(&self, count: usize, mut wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut length = self.length.subscribe();
        let mut looked_at = 0;
        let mut found = Vec::new();
        loop {
            let new = self.lock()[looked_at..].to_vec();
            looked_at += new.len();
            found.extend(new.into_iter().filter(|entry| wanted(entry)));
            if found.len() >= count {
                found.truncate(count);
                return found;
            }
            // Looks before it sleeps, so an entry pushed since is not missed; cannot fail, as `self` holds the sender.
            let _ = length.wait_for(|length| *length > looked_at).await;
        }
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self {
            entries: Arc::clone(&self.entries),
            length: self.length.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soon;

    #[tokio::test]
    async fn finds_what_was_and_what_comes() {
        let journal = Journal::new();
        journal.push(1);
        let finding = journal.find_many(3, |entry| entry % 2 == 1);
        let writing = async {
            for entry in [2, 3, 4, 5, 7] {
                journal.push(entry);
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = soon(async { tokio::join!(finding, writing) }).await;
        assert_eq!(found, [1, 3, 5]);
        assert_eq!(journal.entries(), [1, 2, 3, 4, 5, 7]);
        let other_handle = journal.clone();
        let four = soon(other_handle.find(|entry| *entry == 4)).await;
        assert_eq!(four, 4);
    }
}
