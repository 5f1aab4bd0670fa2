//! One connection after another, on the same transport.

use mcp_session::Counters;
use mcp_types::{Extensions, Renew};

use super::{Connection, Driver, Reading, Reopens};
use crate::inbox::Subscribers;
use crate::transport::Transport;

impl<T: Transport> Driver<T> {
    /// Whether nothing is under way, and nothing is left of what was.
    fn is_blank(&self) -> bool {
        self.transport.is_some()
            && self.reading == Reading::Open
            && self.reopens == Reopens::Never
            && self.not_opened.is_none()
            && self.drain_by.is_none()
            && !(self.closing || self.ending || self.unresponsive || self.stall.is_watched())
            && self.calls.is_empty()
            && self.running.is_empty()
            && self.counted == Counters::default()
            && self.session.is_blank()
            && self.shared.is_blank()
    }
}

/// A server's; what handlers, rooms and other parts of the program hold of the one is none of the other's.
impl<T: Transport> Renew for Connection<T> {
    fn rest(&mut self) -> bool {
        let Self { peer, driver } = self;
        if !driver.is_blank() {
            return false;
        }
        let shared = &driver.shared;
        // From here on it has ended for whoever waits for that.
        let dropped = shared.subscribers().end();
        drop(dropped);
        *shared.subscribers() = Subscribers::default();
        shared.end.ended();
        if driver.commands.is_empty() {
            shared.outbox.take(&mut driver.commands);
        }
        // Whoever still wants something is to hear that it ended.
        driver.commands.is_empty() && peer.is_last()
    }

    fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions> {
        let shared = &self.driver.shared;
        shared.identity.renew(extensions);
        shared.end.renew();
        Ok(())
    }
}
