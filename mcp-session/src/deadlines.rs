//! When calls have waited long enough.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use crate::event::CallKey;

/// The deadlines of calls.
///
/// Mostly a call waits as long as the one before it, and its deadline is the last one: it goes to the end of a queue. What would not be
/// in order there is sorted in, apart. A call that ends does not look for its place in the queue: whoever calls says which
/// entries still stand, and those that don't are dropped when they come to the front, or when they are the most of it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// In order; the first one stands.
    queue: VecDeque<(Instant, CallKey)>,
    /// All of them stand.
    others: BTreeSet<(Instant, CallKey)>,
}

/// Entries that do not stand and that the queue may have besides as many as there are others.
const STALE: usize = 64;

impl Deadlines {
    /// Adds one.
    pub(crate) fn add(&mut self, deadline: Instant, key: CallKey) {
        if self.queue.back().is_none_or(|(last, _)| *last <= deadline) {
            self.queue.push_back((deadline, key));
        } else {
            self.others.insert((deadline, key));
        }
    }

    /// Removes one, which does not stand any more; `standing` is how many do at most.
    pub(crate) fn remove(
        &mut self,
        deadline: Instant,
        key: CallKey,
        standing: usize,
        stands: impl Fn(Instant, CallKey) -> bool,
    ) {
        if !self.others.is_empty() {
            self.others.remove(&(deadline, key));
        }
        while let Some((deadline, key)) = self.queue.front()
            && !stands(*deadline, *key)
        {
            self.queue.pop_front();
        }
        if self.queue.len() > 2 * standing + STALE {
            self.queue.retain(|(deadline, key)| stands(*deadline, *key));
        }
    }

    /// The next one.
    pub(crate) fn first(&self) -> Option<(Instant, CallKey)> {
        let firsts = [self.queue.front(), self.others.first()];
        firsts.into_iter().flatten().min().copied()
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.others.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    proptest! {
        /// Keys get deadlines, later ones, and none, in any order.
        #[test]
        fn the_first_is_the_first_of_those_that_stand(
            steps in prop::collection::vec((0..40_u64, prop::option::of(0..60_u64)), 0..400),
        ) {
            let start = Instant::now();
            let mut deadlines = Deadlines::default();
            let mut standing: BTreeMap<u64, Instant> = BTreeMap::new();
            for (at, (key, wait)) in (0..).zip(steps) {
                let new = wait.map(|wait| start + Duration::from_secs(at / 3 + wait / 20 * 20));
                let old = match new {
                    Some(deadline) => {
                        let old = standing.insert(key, deadline);
                        if old != new {
                            deadlines.add(deadline, CallKey(key));
                        }
                        old
                    }
                    None => standing.remove(&key),
                };
                if let Some(old) = old && Some(old) != new {
                    let stands = |deadline, CallKey(key)| standing.get(&key) == Some(&deadline);
                    deadlines.remove(old, CallKey(key), standing.len(), stands);
                }
                let first = deadlines.first();
                assert_eq!(first.map(|(deadline, _)| deadline), standing.values().min().copied());
                assert!(first.is_none_or(|(at, CallKey(key))| standing.get(&key) == Some(&at)));
                assert!(deadlines.queue.len() <= 2 * standing.len() + STALE + 1);
            }
        }
    }

    #[test]
    fn calls_that_wait_as_long_are_not_sorted() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        let never = start + Duration::from_secs(1 << 30);
        deadlines.add(never, CallKey(0));
        assert_eq!(deadlines.first(), Some((never, CallKey(0))));
        for key in 1..10_000 {
            deadlines.add(never, CallKey(key));
            deadlines.remove(never, CallKey(key), 1, |_, CallKey(key)| key == 0);
        }
        assert!(deadlines.others.is_empty());
        assert!(deadlines.queue.capacity() <= 4 * STALE);
    }
}
