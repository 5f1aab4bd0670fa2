//! States that a client carries and can neither read nor make.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::rounds::random;

/// The keys with which states are sealed that clients carry from round to round; clones are handles to the same.
///
/// Every node of a server has the same ones, from wherever it keeps its secrets. To change them without losing a round:
/// let every node [accept](Self::accept) the new one, then let every node [rotate](Self::rotate) to it.
///
/// ```
/// use mcp_server::{Replay, ReplayKeys, Server};
///
/// # let secret = [7; 32];
/// let keys = ReplayKeys::new(secret);
/// let server = Server::new("on many nodes", "1.0.0").replay(Replay::new(keys.clone()));
/// # let next = [8; 32];
/// keys.rotate(next);
/// ```
#[derive(Clone)]
pub struct ReplayKeys(Arc<RwLock<Ring>>);

struct Ring {
    /// The first one seals; all of them open. Boxed, for they are not small.
    keys: VecDeque<(Box<[u8; 32]>, Box<XChaCha20Poly1305>)>,
}

/// Keys that are accepted at a time; the oldest is forgotten.
const KEYS: usize = 8;

impl ReplayKeys {
    /// One key, of 256 bits that nobody can guess.
    pub fn new(key: [u8; 32]) -> Self {
        let mut ring = Ring {
            keys: VecDeque::new(),
        };
        ring.seal_with(key);
        Self(Arc::new(RwLock::new(ring)))
    }

    /// Opens what is sealed with another key, too; at most eight are accepted, and the oldest is forgotten for a ninth.
    pub fn accept(&self, key: [u8; 32]) {
        let mut ring = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !ring.has(&key) {
            ring.keys.truncate(KEYS - 1);
            ring.keys.insert(1, made(key));
        }
    }

    /// Seals with another key from now on, and goes on to open what is sealed with those before.
    pub fn rotate(&self, key: [u8; 32]) {
        let mut ring = self.0.write().unwrap_or_else(PoisonError::into_inner);
        ring.seal_with(key);
    }

    /// Seals a text for whoever comes with the same context; `None` without randomness.
    pub(crate) fn seal(&self, text: &[u8], context: &[u8]) -> Option<String> {
        let nonce = random().ok()?;
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (_, cipher) = ring.keys.front()?;
        let payload = Payload {
            msg: text,
            aad: context,
        };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed with one of the keys for the same context, and says by which nonce it is known.
    pub(crate) fn open(&self, sealed: &str, context: &[u8]) -> Option<([u8; 24], Vec<u8>)> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, msg) = sealed.split_first_chunk::<24>()?;
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ring.keys.iter().find_map(|(_, cipher)| {
            let aad = context;
            let text = cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad });
            Some((*nonce, text.ok()?))
        })
    }
}

fn made(key: [u8; 32]) -> (Box<[u8; 32]>, Box<XChaCha20Poly1305>) {
    let cipher = XChaCha20Poly1305::new(&key.into());
    (Box::new(key), Box::new(cipher))
}

impl Ring {
    fn has(&self, key: &[u8; 32]) -> bool {
        self.keys.iter().any(|(known, _)| **known == *key)
    }

    fn seal_with(&mut self, key: [u8; 32]) {
        self.keys.retain(|(known, _)| **known != key);
        self.keys.truncate(KEYS - 1);
        self.keys.push_front(made(key));
    }
}

impl fmt::Debug for ReplayKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(keys: &ReplayKeys, sealed: &str) -> bool {
        keys.open(sealed, b"context").is_some()
    }

    #[test]
    fn only_what_was_sealed_is_opened() {
        let keys = ReplayKeys::new([1; 32]);
        let sealed = keys.seal(b"text", b"context").unwrap();
        assert_eq!(keys.open(&sealed, b"context").unwrap().1, b"text");
        assert!(keys.open(&sealed, b"another").is_none());
        assert!(!opens(&ReplayKeys::new([2; 32]), &sealed));
        for i in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[i] = if altered[i] == b'A' { b'B' } else { b'A' };
            assert!(!opens(&keys, std::str::from_utf8(&altered).unwrap()), "{i}");
            assert!(!opens(&keys, &sealed[..i]), "{i}");
        }
        assert!(!opens(&keys, &format!("{sealed}-TAMPERED")));
        let again = keys.seal(b"text", b"context").unwrap();
        assert_ne!(sealed, again);
    }

    #[test]
    fn keys_come_and_go() {
        let (one, two) = (ReplayKeys::new([1; 32]), ReplayKeys::new([1; 32]));
        two.accept([2; 32]);
        one.rotate([2; 32]);
        let new = one.seal(b"", b"context").unwrap();
        let old = two.seal(b"", b"context").unwrap();
        assert!(opens(&two, &new) && opens(&one, &old));
        assert!(!opens(&ReplayKeys::new([1; 32]), &new));
        for key in 3..10 {
            one.rotate([key; 32]);
        }
        assert!(!opens(&one, &old), "the oldest is forgotten");
        assert!(opens(&one, &new));
    }
}
