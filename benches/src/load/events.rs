//! Which of many connections have something to do.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags};
use rustix::event::{Timespec, epoll};

use super::end::End;
use crate::Failure;

/// Waits for connections, by their numbers.
pub(super) struct Events {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events = f.debug_struct("Events");
        events.field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// A server that says nothing for so long has lost something.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

impl Events {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
        })
    }

    /// One more; room to write is not waited for, as each wake-up for it would cost the server that reads.
    pub(super) fn add(&self, number: usize, end: &End) -> io::Result<()> {
        let number = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &end.reader, number, EventFlags::IN)?;
        Ok(epoll::add(
            &self.epoll,
            &end.writer,
            number,
            EventFlags::empty(),
        )?)
    }

    /// The next time there is room to write, it is ready.
    pub(super) fn want_room(&self, number: usize, end: &End) -> io::Result<()> {
        let number = EventData::new_u64(number as u64);
        let once = EventFlags::OUT | EventFlags::ONESHOT;
        Ok(epoll::modify(&self.epoll, &end.writer, number, once)?)
    }

    /// Adds the numbers of those that are ready; waits until there is one.
    ///
    /// # Errors
    /// Nothing comes.
    pub(super) fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure> {
        let events = spare_capacity(&mut self.events);
        if epoll::wait(&self.epoll, events, Some(&PATIENCE))? == 0 {
            return Err(format!("nothing came for {} s", PATIENCE.tv_sec).into());
        }
        // One can be ready to be read and to be written.
        ready.extend(self.events.drain(..).map(|event| event.data.u64() as usize));
        ready.sort_unstable();
        ready.dedup();
        Ok(())
    }
}
