//! Whether the transport still takes something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;

/// Notices when writing does not get on.
///
/// A sink does not say how much of a message it has written. But it wakes whoever polled it when it can write more; so it
/// is polled, when it is not ready, with a waker that notes being woken before it wakes the driver. That way a long message
/// over a slow line counts as getting on, and nothing is paid for while the transport keeps up. That it takes another
/// message does not count: it may have room for many in a buffer that nobody empties.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    waker: Option<Arc<WriteWaker>>,
    /// When it last got on, if something waits to be written.
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct WriteWaker {
    woken: AtomicBool,
    driver: AtomicWaker,
}

impl Wake for WriteWaker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.driver.wake();
    }
}

impl Stall {
    /// Everything is written.
    pub(crate) fn clear(&mut self) {
        self.since = None;
    }

    /// Whether something waits to be written.
    pub(crate) fn is_watched(&self) -> bool {
        self.since.is_some()
    }

    /// Something waits: the waker to poll the transport with.
    pub(crate) fn watch(&mut self, now: Instant, cx: &Context<'_>) -> Waker {
        let waker = self.waker.get_or_insert_default();
        // Registered before the flag is read: a wake in between is seen in one place or the other.
        waker.driver.register(cx.waker());
        let woken = waker.woken.swap(false, Ordering::AcqRel);
        if woken || self.since.is_none() {
            self.since = Some(now);
        }
        Waker::from(Arc::clone(waker))
    }

    /// When it has taken too long; never if that is beyond all time.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.since?.checked_add(timeout)
    }
}
