//! One message a line: the framing of stdio and of every byte stream that borrows it (REQ-STDIO-01, REQ-STDIO-10).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mcp_types::{Inbound, Malformed, MalformedKind, Message, ParseLimits, RequestId};

use crate::room::{ReadRoom, WriteRoom};

/// Reads and writes messages as lines of JSON.
///
/// A line ends with `\n`; a `\r` before it is tolerated, a line of white space is skipped, a byte order mark is ignored.
/// What is between is parsed by [`Inbound::parse`]: a line that is no message is an [`Inbound::Malformed`], never an
/// error, and the next line is read as if nothing had happened (REQ-ERR-07).
///
/// With the feature `tokio` it is a `Decoder` and an `Encoder<Outbound>` of tokio-util. It has no buffer of its own; it
/// remembers how far it has searched the one it is given, so always give it the same.
///
/// ```
/// use bytes::BytesMut;
/// use mcp_codec::LineCodec;
/// use mcp_types::{Inbound, MalformedKind};
///
/// let mut codec = LineCodec::new().with_max_length(64);
/// let mut buffer = BytesMut::from(&*"x".repeat(100));
/// match codec.read(&mut buffer) {
///     Some(Inbound::Malformed(m)) => assert_eq!(m.kind, MalformedKind::TooLong { limit: 64 }),
///     other => panic!("{other:?}"),
/// }
/// // The rest of that line is skipped, whenever it comes.
/// buffer.extend_from_slice(b"xxx\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n");
/// assert!(matches!(codec.read(&mut buffer), Some(Inbound::Message(_))));
/// ```
#[derive(Debug)]
pub struct LineCodec {
    /// Bytes of a line, without its `\n`.
    max_length: usize,
    limits: ParseLimits,
    /// So many bytes at the start of the buffer hold no `\n`.
    searched: usize,
    /// The rest of a line that was too long is being skipped.
    skipping: bool,
    reading: ReadRoom,
    writing: WriteRoom,
}

impl LineCodec {
    /// The longest line unless told otherwise, in bytes: 16 MiB.
    pub const MAX_LENGTH: usize = 16 << 20;

    /// A codec with the default limits.
    pub fn new() -> Self {
        Self {
            max_length: Self::MAX_LENGTH,
            limits: ParseLimits::default(),
            searched: 0,
            skipping: false,
            reading: ReadRoom::default(),
            writing: WriteRoom::default(),
        }
    }

    /// The same codec with another limit on a line that is read, in bytes, its `\n` not counted.
    #[must_use]
    pub fn with_max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }

    /// The same codec with other limits on what is in a line.
    #[must_use]
    pub fn with_parse_limits(mut self, limits: ParseLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes the next message out of `buffer`, or `None` if more bytes are needed for one.
    ///
    /// Whenever it returns `None`, it sees to it that the buffer has room for the next read and does not stay larger than
    /// the traffic needs.
    pub fn read(&mut self, buffer: &mut BytesMut) -> Option<Inbound> {
        self.reading.arrived(buffer);
        while let Some(line) = self.line(buffer) {
            match line {
                Line::Whole(line) if is_blank(&line) => {}
                Line::Whole(line) => return Some(Inbound::parse(line, self.limits)),
                Line::TooLong(start) => return Some(self.too_long(&start)),
            }
        }
        self.reading.make_room(buffer);
        None
    }

    /// Like [`Self::read`] when no more bytes will come: what is left is a line without its end, if anything.
    ///
    /// If it is valid JSON it is read like any other line, else it is [`MalformedKind::Truncated`]. To be called until it
    /// returns `None`.
    pub fn read_end(&mut self, buffer: &mut BytesMut) -> Option<Inbound> {
        if let Some(inbound) = self.read(buffer) {
            return Some(inbound);
        }
        let rest = buffer.split().freeze();
        self.searched = 0;
        if std::mem::take(&mut self.skipping) || is_blank(&rest) {
            return None;
        }
        Some(match Inbound::parse(rest, self.limits) {
            Inbound::Malformed(Malformed {
                kind: MalformedKind::NotJson | MalformedKind::NotUtf8,
                id,
                offset,
                excerpt,
            }) => Inbound::Malformed(Malformed {
                kind: MalformedKind::Truncated,
                id,
                offset,
                excerpt,
            }),
            inbound => inbound,
        })
    }

    /// Appends a message and its line end to `out`.
    pub fn write(&mut self, message: &Message, out: &mut BytesMut) {
        // The weight is a measure, not a bound: ids and error codes come on top, and doubling a large buffer for them hurts.
        self.writing.make_room(message.weight() + 64, out);
        let before = out.len();
        message.write(out);
        out.put_u8(b'\n');
        self.writing.wrote(out.len() - before, out);
    }

    /// Cuts the next line off `buffer`.
    fn line(&mut self, buffer: &mut BytesMut) -> Option<Line> {
        if self.skipping {
            match search(buffer) {
                Some(end) => buffer.advance(end + 1),
                None => {
                    buffer.clear();
                    return None;
                }
            }
            self.skipping = false;
        }
        // Not behind the limit, so that it does not depend on how the bytes come in whether a line is too long.
        let window = buffer.len().min(self.max_length.saturating_add(1));
        match search(&buffer[self.searched..window]) {
            Some(at) => {
                let line = buffer.split_to(self.searched + at);
                buffer.advance(1);
                self.searched = 0;
                Some(Line::Whole(self.reading.cut(line)))
            }
            None if buffer.len() > self.max_length => {
                let start = buffer.split_to(self.max_length).freeze();
                // The byte behind the limit is known to be no line end either.
                buffer.advance(1);
                self.searched = 0;
                self.skipping = true;
                Some(Line::TooLong(start))
            }
            None => {
                self.searched = window;
                None
            }
        }
    }

    fn too_long(&self, start: &Bytes) -> Inbound {
        let limit = self.max_length;
        Inbound::Malformed(Malformed::new(
            MalformedKind::TooLong { limit },
            self.id_in(start),
            limit,
            start,
        ))
    }

    /// The id that stands in the first part of a line, if that is all one can see of a request.
    fn id_in(&self, start: &Bytes) -> Option<RequestId> {
        match Inbound::parse(start.clone(), self.limits) {
            Inbound::Message(Message::Request(request)) => Some(request.id),
            Inbound::Malformed(malformed) => malformed.id,
            Inbound::Message(_) | Inbound::Batch(_) => None,
        }
    }
}

impl Default for LineCodec {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands at the start of a buffer.
enum Line {
    /// All of a line, without its `\n`.
    Whole(Bytes),
    /// The first part of a line, as much as the limit allows.
    TooLong(Bytes),
}

fn search(bytes: &[u8]) -> Option<usize> {
    let found = memchr::memchr(b'\n', bytes);
    #[cfg(test)]
    counting::add(found.map_or(bytes.len(), |at| at + 1));
    found
}

fn is_blank(line: &[u8]) -> bool {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

#[cfg(feature = "tokio")]
mod codec {
    use std::io;

    use mcp_types::Outbound;
    use tokio_util::codec::{Decoder, Encoder};

    use super::*;

    impl Decoder for LineCodec {
        type Item = Inbound;
        type Error = io::Error;

        /// Never fails: see [`LineCodec::read`].
        fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Inbound>, io::Error> {
            Ok(self.read(buffer))
        }

        /// Never fails: see [`LineCodec::read_end`].
        fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Inbound>, io::Error> {
            Ok(self.read_end(buffer))
        }
    }

    // One item type only: with a second, `close` and `flush` of a `Framed` could not tell which sink is meant.
    impl Encoder<Outbound> for LineCodec {
        type Error = io::Error;

        /// Never fails: see [`LineCodec::write`].
        fn encode(&mut self, outbound: Outbound, out: &mut BytesMut) -> Result<(), io::Error> {
            self.write(&outbound.message, out);
            Ok(())
        }
    }
}

/// Counts the bytes that are searched, to prove that none is searched twice.
#[cfg(test)]
mod counting {
    use std::cell::Cell;

    thread_local!(static SEARCHED: Cell<usize> = const { Cell::new(0) });

    pub(super) fn add(bytes: usize) {
        SEARCHED.set(SEARCHED.get() + bytes);
    }

    pub(super) fn take() -> usize {
        SEARCHED.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{MAX_ROOM, MIN_ROOM, SLACK};
    use mcp_types::RawJson;

    const PING: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";

    fn notification_of(len: usize) -> Vec<u8> {
        let text = "x".repeat(len);
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{{\"a\":\"{text}\"}}}}\n")
            .into_bytes()
    }

    /// Feeds `input` in pieces, as a runtime would: a read takes at most the room there is.
    fn feed(codec: &mut LineCodec, buffer: &mut BytesMut, mut input: &[u8], piece: usize) -> usize {
        let mut items = 0;
        while !input.is_empty() {
            let room = buffer.capacity() - buffer.len();
            let (now, rest) = input.split_at(piece.min(input.len()).min(room.max(1)));
            buffer.extend_from_slice(now);
            input = rest;
            while codec.read(buffer).is_some() {
                items += 1;
            }
        }
        items
    }

    #[test]
    fn each_byte_is_searched_once_whatever_the_pieces() {
        let mut input = notification_of(30_000);
        input.extend_from_slice(&PING.repeat(100));
        let limits = [LineCodec::MAX_LENGTH, 20_000, 10];
        for (limit, piece) in limits
            .iter()
            .flat_map(|l| [1, 2, 7, 4096, usize::MAX].map(|p| (*l, p)))
        {
            counting::take();
            let mut codec = LineCodec::new().with_max_length(limit);
            assert_eq!(feed(&mut codec, &mut BytesMut::new(), &input, piece), 101);
            assert_eq!(counting::take(), input.len(), "{limit} {piece}");
        }
    }

    #[test]
    fn reads_grow_with_a_flood_and_shrink_after_it() {
        let (mut codec, mut buffer) = (LineCodec::new(), BytesMut::new());
        assert!(codec.read(&mut buffer).is_none());
        assert_eq!(
            buffer.capacity(),
            MIN_ROOM,
            "an idle connection keeps no more"
        );
        feed(&mut codec, &mut buffer, &PING.repeat(20_000), usize::MAX);
        assert_eq!(codec.reading.room, MAX_ROOM);
        feed(&mut codec, &mut buffer, PING, usize::MAX);
        assert_eq!(codec.reading.room, MIN_ROOM);
        assert!(buffer.capacity() <= 2 * MIN_ROOM, "{}", buffer.capacity());
    }

    #[test]
    fn the_read_buffer_is_given_back_after_a_large_line() {
        let (mut codec, mut buffer) = (LineCodec::new(), BytesMut::new());
        feed(
            &mut codec,
            &mut buffer,
            &notification_of(8 << 20),
            usize::MAX,
        );
        feed(&mut codec, &mut buffer, PING, usize::MAX);
        // Everything but this much must be free, or the buffer could take it back.
        buffer.reserve(MIN_ROOM);
        assert!(
            buffer.capacity() <= SLACK * MAX_ROOM,
            "{}",
            buffer.capacity()
        );
        assert!(codec.reading.allocated <= SLACK * MAX_ROOM);
    }

    #[test]
    fn a_short_line_does_not_keep_a_long_buffer() {
        for (before, kept) in [(1 << 20, false), (1 << 10, true)] {
            let (mut codec, mut buffer) = (LineCodec::new(), BytesMut::new());
            buffer.extend_from_slice(&notification_of(before));
            buffer.extend_from_slice(&notification_of(8));
            let bytes = buffer.as_ptr_range();
            let in_place = std::iter::from_fn(|| codec.read(&mut buffer)).map(|inbound| {
                let Inbound::Message(message) = inbound else {
                    panic!("{inbound:?}");
                };
                let body = message.body().unwrap().as_bytes().as_ptr();
                bytes.contains(&body)
            });
            assert_eq!(in_place.collect::<Vec<_>>(), [true, kept]);
        }
    }

    #[test]
    fn the_second_long_line_finds_its_room_at_once() {
        let (mut codec, mut buffer) = (LineCodec::new(), BytesMut::new());
        let long = notification_of(8 << 20);
        assert_eq!(feed(&mut codec, &mut buffer, &long, usize::MAX), 1);
        assert!(buffer.capacity() <= 2 * MAX_ROOM);
        feed(&mut codec, &mut buffer, &long[..4 * MAX_ROOM], usize::MAX);
        let room = buffer.capacity();
        assert!(room >= long.len());
        feed(
            &mut codec,
            &mut buffer,
            &long[4 * MAX_ROOM..long.len() - 1],
            usize::MAX,
        );
        assert_eq!(buffer.capacity(), room);
        // A line that is not so long leaves a smaller mark.
        feed(&mut codec, &mut buffer, b"\n", 1);
        feed(
            &mut codec,
            &mut buffer,
            &notification_of(8 * MAX_ROOM),
            usize::MAX,
        );
        assert!(codec.reading.last_peak <= 9 * MAX_ROOM);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let (mut codec, mut buffer) = (LineCodec::new().with_max_length(1 << 20), BytesMut::new());
        let long = [b"{\"id\":5,\"params\":\"".as_slice(), &[b'x'; 1 << 20]].concat();
        assert_eq!(feed(&mut codec, &mut buffer, &long, usize::MAX), 1);
        for _ in 0..64 {
            assert_eq!(
                feed(&mut codec, &mut buffer, &[b'x'; 1 << 16], usize::MAX),
                0
            );
            assert!(buffer.is_empty());
            assert!(codec.reading.allocated <= SLACK * MAX_ROOM, "{codec:?}");
        }
        assert_eq!(feed(&mut codec, &mut buffer, &[b"\n", PING].concat(), 1), 1);
    }

    #[test]
    fn the_write_buffer_is_given_back_after_a_large_message() {
        let (mut codec, mut out) = (LineCodec::new(), BytesMut::new());
        let text = serde_json::json!({ "a": "x".repeat(8 << 20) });
        let large = Message::notification("m", Some(RawJson::from(text)));
        let small = Message::notification("m", None);
        codec.write(&large, &mut out);
        let kept = out.capacity();
        for (message, capacity) in [(&large, kept), (&small, kept), (&small, SLACK * MIN_ROOM)] {
            // The wire takes it, in pieces.
            while out.has_remaining() {
                out.advance(out.len().min(70_000));
            }
            codec.write(message, &mut out);
            assert!(
                out.capacity() <= capacity,
                "{} > {capacity}",
                out.capacity()
            );
            assert!(codec.writing.allocated <= capacity);
        }
    }

    #[test]
    fn one_reservation_serves_a_message() {
        let (mut codec, mut out) = (LineCodec::new(), BytesMut::new());
        let text = serde_json::json!({ "a": "x".repeat(100_000) });
        let message = Message::request(i64::MIN, "tools/call", Some(RawJson::from(text)));
        out.reserve(message.weight() + 64);
        let reserved = out.capacity();
        codec.write(&message, &mut out);
        assert_eq!(out.capacity(), reserved);
    }
}
