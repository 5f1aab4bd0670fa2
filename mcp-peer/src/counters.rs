//! What went wrong without anybody being told.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection has seen that no caller and no receiver hears of in full; see [`Peer::counters`](crate::Peer::counters).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Input that was no message.
    pub malformed: u64,
    /// Responses that no request was waiting for: never asked, or too late.
    pub unknown_responses: u64,
    /// Progress that belonged to no request or did not increase.
    pub stray_progress: u64,
    /// Requests refused for want of room.
    pub refused_requests: u64,
    /// Notifications that were dropped from the full queues of all receivers.
    pub dropped_notifications: u64,
    /// Notifications that were not of their type's shape, and so never reached a callback.
    pub undecodable_notifications: u64,
    /// Progress updates that newer ones replaced in the full queues of all calls.
    pub skipped_progress: u64,
}

/// The same, shared between the driver, which counts, and the handles, which read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    malformed: AtomicU64,
    unknown_responses: AtomicU64,
    stray_progress: AtomicU64,
    refused_requests: AtomicU64,
    pub(crate) dropped_notifications: AtomicU64,
    pub(crate) undecodable_notifications: AtomicU64,
    pub(crate) skipped_progress: AtomicU64,
}

impl Tally {
    pub(crate) fn publish(&self, session: &mcp_session::Counters) {
        let set = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        set(&self.malformed, session.malformed);
        set(&self.unknown_responses, session.unknown_responses);
        set(&self.stray_progress, session.stray_progress);
        set(&self.refused_requests, session.refused_requests);
    }

    pub(crate) fn read(&self) -> Counters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            malformed: value(&self.malformed),
            unknown_responses: value(&self.unknown_responses),
            stray_progress: value(&self.stray_progress),
            refused_requests: value(&self.refused_requests),
            dropped_notifications: value(&self.dropped_notifications),
            undecodable_notifications: value(&self.undecodable_notifications),
            skipped_progress: value(&self.skipped_progress),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
