//! The generator's end of one connection, which never blocks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::frame::Framing;
use super::{Pace, Plan};
use crate::Failure;

/// One connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) reader: File,
    pub(super) writer: File,
    framing: Framing,
    input: Vec<u8>,
    /// What of `input` has not been looked at.
    start: usize,
    end: usize,
    /// So much behind `start` holds no line end.
    searched: usize,
    /// Bytes of the plan that are written, and calls that they hold, and answers that came.
    written: usize,
    asked: usize,
    answered: usize,
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something was read or written, and there may be more.
    Moved,
    /// Nothing is to be done before something comes, or until there is room to write.
    Waiting { for_room: bool },
}

impl End {
    pub(super) fn new(
        reader: OwnedFd,
        writer: OwnedFd,
        framing: Framing,
        buffer: usize,
    ) -> io::Result<Self> {
        // Of a pipe, these are flags of this end only; of a socket, both are one.
        for fd in [&reader, &writer] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            reader: reader.into(),
            writer: writer.into(),
            framing,
            input: vec![0; buffer],
            start: 0,
            end: 0,
            searched: 0,
            written: 0,
            asked: 0,
            answered: 0,
        })
    }

    /// Begins with the next plan.
    pub(super) fn begin(&mut self) {
        (self.written, self.asked, self.answered) = (0, 0, 0);
    }

    /// Whether everything is written and answered.
    pub(super) fn is_done(&self, plan: &Plan<'_>) -> bool {
        self.answered >= plan.answers && self.written == plan.batch.bytes.len()
    }

    /// Writes what the plan allows, and reads once; `see` is given each message, and says whether it is an answer.
    ///
    /// # Errors
    /// The server went away.
    pub(super) fn turn(
        &mut self,
        plan: &Plan<'_>,
        see: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Turn, Failure> {
        let ends = &plan.batch.ends;
        if plan.pace == Pace::Steady || self.answered >= self.asked {
            self.asked = (self.answered + plan.window).min(ends.len());
        }
        let until = self.asked.checked_sub(1).map_or(0, |last| ends[last]);
        let mut moved = false;
        if self.written < until {
            let rest = &plan.batch.bytes[self.written..until];
            if let Some(n) = unblocked(self.writer.write(rest))? {
                self.written += n;
                moved = true;
            }
        }
        if let Some(n) = unblocked(self.reader.read(&mut self.input[self.end..]))? {
            if n == 0 {
                return Err("the server went away".into());
            }
            self.end += n;
            moved = true;
            self.messages(see)?;
        }
        Ok(match moved {
            true => Turn::Moved,
            false => Turn::Waiting {
                for_room: self.written < until,
            },
        })
    }

    fn messages(&mut self, see: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        loop {
            let unread = &self.input[self.start..self.end];
            let Some(found) = self.framing.next(unread, self.searched)? else {
                break;
            };
            self.answered += usize::from(see(&found.message));
            self.start += found.taken;
            self.searched = 0;
        }
        self.searched = self.end - self.start;
        self.input.copy_within(self.start..self.end, 0);
        self.end -= std::mem::take(&mut self.start);
        if self.end == self.input.len() {
            self.input.resize(2 * self.input.len(), 0);
        }
        Ok(())
    }
}

fn unblocked(n: io::Result<usize>) -> io::Result<Option<usize>> {
    match n {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}
