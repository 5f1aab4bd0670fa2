//! How many log messages a connection takes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many log messages a connection takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogRate {
    pub(crate) per_second: u32,
    pub(crate) at_once: u32,
}

/// What a connection may log now: a bucket that fills up again with time.
#[derive(Debug)]
pub(crate) struct LogBucket {
    rate: LogRate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When it is full again.
    full_at: Instant,
    /// Messages that were not sent since the last one that was.
    dropped: u64,
}

impl LogBucket {
    pub(crate) fn new(rate: LogRate) -> Self {
        let state = State {
            full_at: Instant::now(),
            dropped: 0,
        };
        Self {
            rate,
            state: Mutex::new(state),
        }
    }

    /// Takes a message, and says how many were dropped before it; `None` if it is dropped, too.
    pub(crate) fn take(&self) -> Option<u64> {
        let LogRate {
            per_second,
            at_once,
        } = self.rate;
        let one = Duration::from_secs(1) / per_second.max(1);
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = state.full_at.max(now) + one;
        if full_at - now > one * at_once.max(1) {
            state.dropped += 1;
            return None;
        }
        state.full_at = full_at;
        Some(std::mem::take(&mut state.dropped))
    }
}
