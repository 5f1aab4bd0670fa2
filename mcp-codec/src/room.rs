//! How large the buffers of a connection are.

use bytes::{Bytes, BytesMut};

/// The least room for a read, in bytes: what an idle connection costs.
pub(crate) const MIN_ROOM: usize = 1 << 10;
/// The most room for a read, in bytes: what a pipe holds.
pub(crate) const MAX_ROOM: usize = 64 << 10;
/// A buffer is replaced when it is this many times larger than what it is for; less would be to and fro.
pub(crate) const SLACK: usize = 4;

/// Fits a read buffer to its traffic: a flood gets reads of 64 KiB, an idle connection keeps 1.
#[derive(Debug)]
pub(crate) struct ReadRoom {
    /// How much room the next read is given.
    pub(crate) room: usize,
    /// The buffer's allocation as far as it could be seen; parts that were split off hide it.
    pub(crate) allocated: usize,
    /// The buffer's length at the end of the last reading, `None` until the bytes behind it have been noticed.
    waiting: Option<usize>,
    /// The most that has been in the buffer since it was last replaced.
    peak: usize,
    /// The peak before that: where one long line was, the next long line may be as long.
    pub(crate) last_peak: usize,
}

impl Default for ReadRoom {
    fn default() -> Self {
        Self {
            room: MIN_ROOM,
            allocated: 0,
            waiting: Some(0),
            peak: 0,
            last_peak: 0,
        }
    }
}

impl ReadRoom {
    /// To be told what a read has appended to the buffer, before anything is taken out of it.
    pub(crate) fn arrived(&mut self, buffer: &BytesMut) {
        let Some(before) = self.waiting.take() else {
            return;
        };
        self.allocated = self.allocated.max(buffer.capacity());
        self.peak = self.peak.max(buffer.len());
        let arrived = buffer.len().saturating_sub(before);
        let full = arrived > 0 && buffer.len() == buffer.capacity();
        self.room = if arrived >= self.room || full {
            (self.room * 2).min(MAX_ROOM)
        } else {
            // Less at once: the next flood needs six reads to get it back.
            (arrived * SLACK).clamp(MIN_ROOM, self.room)
        };
    }

    /// What was split off the buffer, for keeping: a short line does not keep a long buffer that it shares with others.
    pub(crate) fn cut(&self, line: BytesMut) -> Bytes {
        if self.allocated > SLACK * MAX_ROOM && line.len() < self.allocated / SLACK {
            return Bytes::copy_from_slice(&line);
        }
        line.freeze()
    }

    /// To be called before each read: the buffer gets its room for it, and is exchanged for a smaller one if it is too large.
    pub(crate) fn make_room(&mut self, buffer: &mut BytesMut) {
        let len = buffer.len();
        if len <= self.room && self.allocated > SLACK * self.room {
            let mut smaller = BytesMut::with_capacity(len + self.room);
            smaller.extend_from_slice(buffer);
            *buffer = smaller;
            self.allocated = buffer.capacity();
            self.last_peak = std::mem::take(&mut self.peak);
        } else if buffer.capacity() - len < self.room / 2 {
            // A few bytes of room at the end would make for a read of a few bytes.
            let mut room = self.room;
            if len >= MAX_ROOM {
                // Growing step by step moves a long line several times.
                room += self.last_peak.saturating_sub(len);
            }
            buffer.reserve(room);
            self.allocated = self.allocated.max(buffer.capacity());
        }
        self.waiting = Some(len);
    }
}

/// Fits a write buffer to its traffic, as [`ReadRoom`] does for reading.
#[derive(Debug, Default)]
pub(crate) struct WriteRoom {
    /// The buffer's allocation as far as it could be seen; what has been written to the wire hides it.
    pub(crate) allocated: usize,
    /// Bytes put into the buffer since it was last seen empty.
    batch: usize,
}

impl WriteRoom {
    /// To be called before `need` bytes are appended, at most.
    pub(crate) fn make_room(&mut self, need: usize, out: &mut BytesMut) {
        if out.is_empty() {
            // Everything has gone out. What the last batch needed, the next one may need again.
            let need = need.max(std::mem::take(&mut self.batch)).max(MIN_ROOM);
            if self.allocated > SLACK * need {
                *out = BytesMut::with_capacity(need);
                self.allocated = out.capacity();
            }
        }
        out.reserve(need);
    }

    /// To be told that everything has gone out, perhaps for long: nothing large is kept until then.
    pub(crate) fn flushed(&mut self, out: &mut BytesMut) {
        if self.allocated > SLACK * MAX_ROOM {
            (*self, *out) = Default::default();
        }
    }

    /// To be told how many bytes were appended.
    pub(crate) fn wrote(&mut self, bytes: usize, out: &BytesMut) {
        self.batch += bytes;
        self.allocated = self.allocated.max(out.capacity());
    }
}
