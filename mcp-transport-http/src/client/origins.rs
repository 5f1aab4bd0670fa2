//! Which era an origin speaks, as far as is known (inventory 3.3).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;

/// Origins that are remembered at most; beyond that, all are asked again.
const ORIGINS: usize = 1024;

/// Origins that speak a legacy revision only, so that they need not be asked each time.
#[derive(Debug, Default)]
pub(super) struct Origins {
    legacy: Mutex<HashMap<String, Instant>>,
}

impl Origins {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.legacy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when an origin is known to be legacy. It is forgotten by that, until it turns out to be so again.
    pub(super) fn take_legacy(&self, uri: &Uri, time: Duration) -> Option<Instant> {
        let known = self.lock().remove(&origin(uri));
        known.filter(|since| since.elapsed() < time)
    }

    pub(super) fn note_legacy(&self, uri: &Uri, since: Instant) {
        let mut legacy = self.lock();
        if legacy.len() >= ORIGINS {
            legacy.clear();
        }
        legacy.insert(origin(uri), since);
    }
}

fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}
