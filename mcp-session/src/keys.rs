//! Tables by keys that this side counts up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by [`CallKey`](crate::CallKey), [`IncomingKey`](crate::IncomingKey) or another number that nobody outside can choose.
///
/// Keys that count up need no hash that withstands an attack, which costs more than the rest of a look-up. What a peer names,
/// its ids for instance, does not belong here.
pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// Spreads numbers that count up; see [`KeyMap`].
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u64(&mut self, number: u64) {
        // The golden ratio: a table takes its place from the low bits, which stay apart, and its tags from the high ones.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
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
