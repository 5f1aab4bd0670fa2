//! What is to be written, until it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mcp_types::{Message, RawJson};
use tokio::io::AsyncWrite;

use crate::room::WriteRoom;

/// A body of so many bytes is written from where it is. A shorter one is copied, to go out with its neighbours.
const LONG: usize = 16 << 10;
/// Pieces that are written at once, at most.
const PIECES: usize = 8;

/// Messages wait to be written until they are this many bytes or are flushed.
const BACKPRESSURE: usize = 64 << 10;

/// Lines that wait to be written: the sink's half of every transport of lines, whatever it is that they go to.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// To be written before the buffer: long bodies, and what stood in the buffer before each of them.
    before: VecDeque<Bytes>,
    /// Bytes in these.
    before_len: usize,
    buffer: BytesMut,
    room: WriteRoom,
}

impl Output {
    /// Bytes that wait.
    fn len(&self) -> usize {
        self.before_len + self.buffer.len()
    }

    /// Appends a message and its line end.
    pub(crate) fn push(&mut self, message: &Message) {
        let long = message.body().map_or(0, RawJson::len);
        let long = if long < LONG { 0 } else { long };
        self.room
            .make_room(message.weight() - long + 64, &mut self.buffer);
        let before = self.buffer.len();
        let body = message.write_apart(LONG, &mut self.buffer);
        let head = self.buffer.len() - before;
        if let Some(body) = body {
            let head = self.buffer.split().freeze();
            self.before_len += head.len() + body.len();
            self.before.extend([head, body.clone().into()]);
            self.buffer.put_u8(b'}');
        }
        self.buffer.put_u8(b'\n');
        self.room.wrote(head + 2, &self.buffer);
    }

    /// Ready when there is room for one more message.
    pub(crate) fn poll_ready<W: AsyncWrite>(
        &mut self,
        io: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.len() < BACKPRESSURE {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(io, cx)
    }

    /// Writes all that waits, then shuts the writer down.
    pub(crate) fn poll_close<W: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(io.as_mut(), cx))?;
        io.poll_shutdown(cx)
    }

    /// Writes all that waits, and sees to it that it leaves.
    pub(crate) fn poll_flush<W: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            match ready!(self.poll_write(io.as_mut(), cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written(n),
            }
        }
        self.room.flushed(&mut self.buffer);
        io.poll_flush(cx)
    }

    fn poll_write<W: AsyncWrite>(
        &self,
        io: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(first) = self.before.front() else {
            return io.poll_write(cx, &self.buffer);
        };
        if !io.is_write_vectored() {
            return io.poll_write(cx, first);
        }
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        let pieces = self.before.iter().map(|piece| &piece[..]);
        for (slice, piece) in slices.iter_mut().zip(pieces.chain([&self.buffer[..]])) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        io.poll_write_vectored(cx, &slices[..count])
    }

    fn written(&mut self, mut n: usize) {
        while let Some(first) = self.before.front_mut() {
            let part = n.min(first.len());
            first.advance(part);
            self.before_len -= part;
            n -= part;
            if !first.is_empty() {
                return;
            }
            self.before.pop_front();
        }
        self.buffer.advance(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::LineCodec;
    use crate::room::{MAX_ROOM, SLACK};
    use std::task::Waker;

    /// Takes a few bytes at a time, of one piece or of several.
    struct Slow {
        taken: Vec<u8>,
        at_once: usize,
        vectored: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let n = all.len().min(self.at_once);
            self.taken.extend_from_slice(&all[..n]);
            Poll::Ready(Ok(n))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_written_is_what_the_codec_would_write() {
        let of = |text: String| RawJson::parse(text).unwrap();
        let long = |len: usize| of(format!("{{\"a\":\"{}\"}}", "x".repeat(len)));
        let broken = of(format!("{{\"a\":\n\"{}\"\r}}", "x".repeat(2 * LONG)));
        let messages = [
            Message::request(1, "small", Some(long(3))),
            Message::result(2, long(LONG)),
            Message::notification("long", Some(long(3 * LONG))),
            Message::notification("broken", Some(broken)),
            Message::result(3, long(LONG - 8)),
            Message::request("4", "none", None),
            Message::result(5, long(5 * LONG)),
        ];
        let mut expected = BytesMut::new();
        for message in &messages {
            LineCodec::new().write(message, &mut expected);
        }
        for (at_once, vectored) in [(1 << 20, true), (1 << 20, false), (1000, true), (7, false)] {
            let mut io = Slow {
                taken: Vec::new(),
                at_once,
                vectored,
            };
            let mut output = Output::default();
            let mut cx = Context::from_waker(Waker::noop());
            for message in &messages {
                output.push(message);
            }
            assert_eq!(output.len(), expected.len());
            assert!(output.poll_flush(Pin::new(&mut io), &mut cx).is_ready());
            assert!(io.taken == expected, "{at_once} {vectored}");
            assert_eq!(output.len(), 0);
        }
    }

    #[test]
    fn the_buffer_is_given_back_after_a_large_message() {
        let mut output = Output::default();
        let body = format!("{{\"a\":\n\"{}\"}}", "x".repeat(8 << 20));
        let body = RawJson::parse(body).unwrap();
        output.push(&Message::result(1, body));
        let mut cx = Context::from_waker(Waker::noop());
        let flushed = output.poll_flush(Pin::new(&mut tokio::io::sink()), &mut cx);
        assert!(flushed.is_ready());
        // Everything but this much must be free, or the buffer could take it back.
        output.buffer.reserve(1);
        let capacity = output.buffer.capacity();
        assert!(capacity <= SLACK * MAX_ROOM, "{capacity}");
    }

    #[test]
    fn a_long_body_is_not_copied() {
        let mut output = Output::default();
        let body = RawJson::parse(format!("{{\"a\":\"{}\"}}", "x".repeat(LONG))).unwrap();
        let at = body.as_bytes().as_ptr();
        output.push(&Message::result(1, body));
        assert!(output.before.iter().any(|piece| piece.as_ptr() == at));
        assert!(output.buffer.capacity() < 4096);
    }
}
