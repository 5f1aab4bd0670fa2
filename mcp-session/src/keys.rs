//! Tables by keys that this side counts up.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;

use crate::event::{CallKey, IncomingKey};

/// A key that this side counts up.
pub trait Key: Copy + fmt::Debug {
    /// As a number; after one key comes the next.
    fn number(self) -> u64;
    /// The key of a number.
    fn of_number(number: u64) -> Self;
}

impl Key for CallKey {
    fn number(self) -> u64 {
        self.0
    }

    fn of_number(number: u64) -> Self {
        Self(number)
    }
}

impl Key for IncomingKey {
    fn number(self) -> u64 {
        self.0
    }

    fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// An id of ours on the wire.
impl Key for i64 {
    fn number(self) -> u64 {
        self.cast_unsigned()
    }

    fn of_number(number: u64) -> Self {
        number.cast_signed()
    }
}

/// A table by [`CallKey`], [`IncomingKey`] or another number that nobody outside can choose.
///
/// Keys that count up stand side by side in the order in which they came, and mostly go in that order, too: looking one up
/// takes a subtraction, and the next one is in the same line of the processor's cache. What stays for long, or does not count up, is
/// hashed; such keys need no hash that withstands an attack. What a peer names, its ids for instance, does not belong here.
pub struct KeyMap<K, V> {
    /// A place for each key from `first` on, whether it is there or not; the first place is never empty.
    row: VecDeque<Option<V>>,
    /// The key of the first place.
    first: u64,
    /// How many places are not empty.
    filled: usize,
    /// The keys that have no place in the row.
    others: HashMap<u64, V, BuildHasherDefault<KeyHasher>>,
    of: PhantomData<fn() -> K>,
}

/// Empty places that a row may have besides as many as there are others; also how many keys one may be ahead of the last one.
const HOLES: usize = 32;

impl<K: Key, V> KeyMap<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.filled + self.others.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&self, key: K) -> usize {
        // A key before the first is very far away.
        usize::try_from(key.number().wrapping_sub(self.first)).unwrap_or(usize::MAX)
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        match self.row.get(self.place(key)) {
            Some(Some(value)) => Some(value),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&key.number()),
        }
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(key);
        match self.row.get_mut(place) {
            Some(Some(value)) => Some(value),
            _ if self.others.is_empty() => None,
            _ => self.others.get_mut(&key.number()),
        }
    }

    /// Whether a key is there.
    pub fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// Puts a value under a key, in place of the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(there) = self.get_mut(key) {
            return Some(std::mem::replace(there, value));
        }
        if self.row.is_empty() {
            self.first = key.number();
        }
        let place = self.place(key);
        let end = self.row.len();
        if let Some(hole) = self.row.get_mut(place) {
            *hole = Some(value);
        } else if place <= end.saturating_add(HOLES) {
            if place > end {
                self.row.resize_with(place, || None);
            }
            if self.row.capacity() == 0 {
                // Many connections never have more than one.
                self.row.reserve_exact(1);
            }
            self.row.push_back(Some(value));
        } else {
            return self.others.insert(key.number(), value);
        }
        self.filled += 1;
        while self.row.len() > 2 * self.filled + HOLES {
            self.set_aside_the_first();
        }
        None
    }

    /// What has stayed for long does not hold up the row.
    fn set_aside_the_first(&mut self) {
        if let Some(Some(value)) = self.row.pop_front() {
            self.others.insert(self.first, value);
            self.filled -= 1;
        }
        self.first = self.first.wrapping_add(1);
        self.trim();
    }

    /// Removes a key.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.place(key);
        if let Some(value) = self.row.get_mut(place).and_then(Option::take) {
            self.filled -= 1;
            self.trim();
            return Some(value);
        }
        if self.others.is_empty() {
            return None;
        }
        self.others.remove(&key.number())
    }

    /// Lets the row begin with a key that is there.
    fn trim(&mut self) {
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// All of them, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        let first = self.first;
        let row = (0..).zip(&mut self.row);
        let row =
            row.filter_map(move |(at, value)| Some((first.wrapping_add(at), value.as_mut()?)));
        let others = self
            .others
            .iter_mut()
            .map(|(number, value)| (*number, value));
        row.chain(others)
            .map(|(number, value)| (K::of_number(number), value))
    }

    /// Removes all, in the order of their keys.
    pub fn drain(&mut self) -> Vec<(K, V)> {
        let first = self.first;
        let mut all: Vec<(u64, V)> = self.others.drain().collect();
        let row = (0..).zip(self.row.drain(..));
        all.extend(row.filter_map(|(at, value)| Some((first.wrapping_add(at), value?))));
        self.filled = 0;
        all.sort_unstable_by_key(|(number, _)| *number);
        let all = all.into_iter();
        all.map(|(number, value)| (K::of_number(number), value))
            .collect()
    }
}

impl<K, V> Default for KeyMap<K, V> {
    fn default() -> Self {
        Self {
            row: VecDeque::new(),
            first: 0,
            filled: 0,
            others: HashMap::default(),
            of: PhantomData,
        }
    }
}

impl<K, V: fmt::Debug> fmt::Debug for KeyMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = (0..).zip(&self.row);
        let row =
            row.filter_map(|(at, value)| Some((self.first.wrapping_add(at), value.as_ref()?)));
        let others = self.others.iter().map(|(number, value)| (*number, value));
        f.debug_map().entries(row).entries(others).finish()
    }
}

/// Spreads numbers that count up.
#[derive(Debug, Clone, Copy, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u64(&mut self, number: u64) {
        // The golden ratio: a table takes its place from the low bits, which stay apart, and its tags from the high ones.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    type Numbers = KeyMap<CallKey, u64>;

    fn check(map: &mut Numbers, model: &BTreeMap<u64, u64>) {
        let all: BTreeMap<_, _> = map.iter_mut().map(|(key, value)| (key.0, *value)).collect();
        assert_eq!(&all, model);
        assert_eq!(map.len(), model.len());
        assert_eq!(map.is_empty(), model.is_empty());
        for (number, value) in model {
            assert_eq!(map.get(CallKey(*number)), Some(value), "{number}");
        }
        assert_eq!(map.row.iter().flatten().count(), map.filled);
        assert!(!matches!(map.row.front(), Some(None)), "{map:?}");
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// The key so far behind the last one.
        Next(u64),
        /// Any key at all.
        Insert(u64),
        /// One of those that are there.
        Remove(usize),
        /// Any key at all.
        RemoveAny(u64),
        Drain,
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..100_u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            40 => Just(Step::Next(1)),
            4 => (1..80_u64).prop_map(Step::Next),
            2 => number().prop_map(Step::Insert),
            30 => prop_oneof![Just(0), 0..200_usize].prop_map(Step::Remove),
            2 => number().prop_map(Step::RemoveAny),
            1 => Just(Step::Drain),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(step(), 0..400)) {
            let mut map = Numbers::default();
            let mut model = BTreeMap::new();
            let mut last = 0_u64;
            for (value, step) in (0..).zip(steps) {
                match step {
                    Step::Next(by) => {
                        last = last.wrapping_add(by);
                        let before = model.insert(last, value);
                        assert_eq!(map.insert(CallKey(last), value), before);
                        let in_row = map.row.get(map.place(CallKey(last))).is_some();
                        if before.is_none() && in_row {
                            assert!(map.row.len() <= 2 * map.filled + HOLES, "{map:?}");
                        }
                    }
                    Step::Insert(key) => {
                        assert_eq!(map.insert(CallKey(key), value), model.insert(key, value));
                    }
                    Step::Remove(at) => {
                        let Some(key) = model.keys().nth(at % model.len().max(1)).copied() else {
                            continue;
                        };
                        assert_eq!(map.remove(CallKey(key)), model.remove(&key));
                    }
                    Step::RemoveAny(key) => {
                        assert_eq!(map.remove(CallKey(key)), model.remove(&key));
                    }
                    Step::Drain => {
                        let drained: Vec<_> = std::mem::take(&mut model).into_iter().collect();
                        let all = map.drain().into_iter();
                        assert_eq!(all.map(|(key, value)| (key.0, value)).collect::<Vec<_>>(), drained);
                    }
                }
                if value % 16 == 0 {
                    check(&mut map, &model);
                }
            }
            check(&mut map, &model);
        }
    }

    #[test]
    fn what_stays_for_long_does_not_hold_up_the_row() {
        let mut map = Numbers::default();
        map.insert(CallKey(0), 0);
        for number in 1..100_000 {
            map.insert(CallKey(number), number);
            assert_eq!(map.remove(CallKey(number)), Some(number));
        }
        assert!(map.row.capacity() <= 4 * HOLES, "{}", map.row.capacity());
        assert_eq!(map.get(CallKey(0)), Some(&0));
    }
}
