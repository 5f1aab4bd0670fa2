//! What the tests of this workspace share.
//!
//! * [`Wire`] joins two ends with a tap in the middle and records every line with its direction.
//! * [`RawPeer`] is an end of such a wire that a test writes and reads by hand, one line at a time.
//! * [`Journal`] collects what handlers have seen and lets a test wait for it.
//! * [`soon`] bounds an await, so that a hang fails a test instead of stopping it.
//!
//! Doubles of foreign implementations live in `tests/interop/`, so that those implementations stay dev-dependencies.

#![forbid(unsafe_code)]

mod journal;
mod raw;
mod soon;
mod wire;

pub use journal::Journal;
pub use raw::RawPeer;
pub use soon::soon;
pub use wire::{Direction, Line, Log, Wire};
