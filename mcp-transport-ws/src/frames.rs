//! Frames by tungstenite, on a stream that says when it would wait.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use mcp_types::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::error::{CapacityError, Error as Fault, ProtocolError};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, Utf8Bytes};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::close::{Close, CloseCode};
use crate::error::{Error, Violation};

/// What has come in whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message, however many frames it came in.
    Text(Bytes),
    /// A ping, whose answer is queued, or a pong.
    Control,
    /// Nothing is to be read after it.
    Close(Close),
}

/// The frames of a connection: what has come in, and what is to go out.
///
/// Reading never writes: answers to pings wait until [`poll_write`](Self::poll_write), which knows whom to wake.
#[derive(Debug)]
pub(crate) struct Frames {
    context: WebSocketContext,
    role: Role,
    config: WebSocketConfig,
    /// What was read of the stream and is not in tungstenite's buffer yet; most often nothing.
    ahead: Bytes,
    /// Bytes of frames that the stream has not taken.
    unsent: usize,
    /// An answer is queued that is no frame yet.
    reply: bool,
    /// Where messages become text: the same place each time, for it is a frame's no longer once that is written.
    text: BytesMut,
    /// The part of a message that is no frame yet, and whether it has begun.
    rest: Bytes,
    begun: bool,
    /// To be said behind the message.
    goodbye: Option<Close>,
    /// Bytes that came in and went out, all in all.
    traffic: Traffic,
    buffers: Buffers,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// The stream is read that far ahead, in bytes.
const READ_AHEAD: usize = 4 << 10;
/// Each connection has a buffer of so many bytes for what comes in. Of shorter ones tungstenite would make new ones that take the
/// head of a frame and nothing else.
const INPUT: usize = 1 << 10;
/// So much may wait for the stream before the sender does, in bytes.
const ROOM: usize = 64 << 10;
/// A longer message goes out in frames of so many bytes: the write buffer, which keeps its size, stays small, and a ping or a
/// goodbye finds its way between them.
const FRAGMENT: usize = 64 << 10;
/// The write buffer's bound: a frame is put on top of `ROOM` at most, and pongs that the peer does not take on top of that.
const MAX_UNSENT: usize = ROOM + FRAGMENT + (64 << 10);
/// A place for so long a text is kept, in bytes.
const SMALL_TEXT: usize = 1 << 10;
/// The longest reason of a close frame, in bytes.
const MAX_REASON: usize = 123;

impl Frames {
    /// Frames of at most `max_frame`, messages of at most `max_message` bytes; `input` is what was read behind the handshake.
    pub(crate) fn new(role: Role, max_frame: usize, max_message: usize, input: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(INPUT)
            // Nothing is written before it is asked for: only then it is known who waits.
            .write_buffer_size(MAX_UNSENT)
            .max_write_buffer_size(MAX_UNSENT + 1)
            .max_frame_size(Some(max_frame))
            .max_message_size(Some(max_message))
            .accept_unmasked_frames(false);
        Self {
            context: WebSocketContext::new(role, Some(config)),
            role,
            config,
            ahead: Bytes::copy_from_slice(input),
            unsent: 0,
            reply: false,
            text: BytesMut::new(),
            rest: Bytes::new(),
            begun: false,
            goodbye: None,
            traffic: Traffic::default(),
            buffers: Buffers {
                unread: input.len() as u64,
                ..Buffers::default()
            },
        }
    }

    /// How much has come and gone.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes of frames that the stream has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Whether one more message may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.rest.is_empty() && self.unsent < ROOM
    }

    /// Whether there is nothing to be written.
    pub(crate) fn is_written(&self) -> bool {
        self.unsent == 0 && !self.reply && self.rest.is_empty() && self.goodbye.is_none()
    }

    /// Whether an answer to the peer is queued behind what is to be sent.
    pub(crate) fn owes_reply(&self) -> bool {
        self.reply
    }

    /// The next thing that has come in whole.
    pub(crate) fn poll_read<Io: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, Error>> {
        let mut bridge = Bridge::to_read(io, cx, &mut self.ahead);
        let read = self.context.read(&mut bridge);
        let (arrived, waits) = (bridge.moved, bridge.waits);
        self.traffic.received += arrived;
        self.buffers.unread += arrived;
        if let Some(waits) = waits {
            // The queued answer is a frame now.
            (self.unsent, self.reply) = (waits, false);
        }
        let received = match read {
            Ok(message) => self.received(message),
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Poll::Pending;
            }
            Err(fault) => Err(fault.into()),
        };
        Poll::Ready(received)
    }

    fn received(&mut self, message: tungstenite::Message) -> Result<Received, Error> {
        use tungstenite::Message::{Binary, Close, Frame, Ping, Pong, Text};
        self.buffers.took(message.len(), self.role);
        match message {
            Text(text) => Ok(Received::Text(text.into())),
            Binary(_) => Err(Violation::Binary.into()),
            Ping(_) => {
                self.reply = true;
                Ok(Received::Control)
            }
            Pong(_) => Ok(Received::Control),
            Close(frame) => {
                // The answer is queued, and nothing may be said behind it.
                self.reply = true;
                (self.rest, self.goodbye) = (Bytes::new(), None);
                Ok(Received::Close(frame.into()))
            }
            // It is for sending only, as tungstenite says.
            Frame(_) => Ok(Received::Control),
        }
    }

    /// Takes a message to be sent; there must be [room](Self::has_room).
    pub(crate) fn send(&mut self, message: &Message) {
        debug_assert!(self.rest.is_empty());
        self.text.reserve(message.weight() + 64);
        message.write_lines(&mut self.text);
        let text = self.text.split().freeze();
        if text.len() <= FRAGMENT {
            self.put_data(Data::Text, text, true);
        } else {
            (self.rest, self.begun) = (text, false);
            self.frame();
        }
        if self.text.capacity() > SMALL_TEXT {
            self.text = BytesMut::new();
        }
    }

    /// Asks the peer for a pong.
    pub(crate) fn ping(&mut self) {
        self.put(tungstenite::Message::Ping(Bytes::new()));
    }

    /// Says goodbye behind what is to be sent.
    pub(crate) fn close(&mut self, close: Close) {
        self.goodbye = Some(close);
        self.frame();
    }

    /// Says goodbye at once; what is left of a message stays unsaid.
    pub(crate) fn fail(&mut self, close: Close) {
        self.rest = Bytes::new();
        self.close(close);
    }

    /// Makes frames of what is to be sent, as many as there is room for.
    fn frame(&mut self) {
        while !self.rest.is_empty() && self.unsent < ROOM {
            let part = self.rest.split_to(self.rest.len().min(FRAGMENT));
            let opcode = match self.begun {
                false => Data::Text,
                true => Data::Continue,
            };
            self.begun = true;
            self.put_data(opcode, part, self.rest.is_empty());
        }
        if self.rest.is_empty()
            && let Some(close) = self.goodbye.take()
        {
            // A queued answer to a ping would go out behind the last frame.
            let _ = self
                .context
                .flush(&mut Bridge::<tokio::io::Empty>::to_nowhere());
            self.put(tungstenite::Message::Close(close.into()));
        }
    }

    fn put_data(&mut self, opcode: Data, payload: Bytes, is_final: bool) {
        let frame = Frame::message(payload, OpCode::Data(opcode), is_final);
        self.put(tungstenite::Message::Frame(frame));
    }

    /// Puts a frame into the write buffer.
    fn put(&mut self, message: tungstenite::Message) {
        let mut bridge = Bridge::<tokio::io::Empty>::to_nowhere();
        // The frame of a client has a mask, of four bytes; that of a control frame has two more.
        self.unsent += message.len() + if self.role == Role::Client { 6 } else { 2 };
        // It says that it would have liked to write, or that the buffer is full: of pongs then, which the peer does not take,
        // and such a peer hears nothing more anyway.
        let _ = self.context.write(&mut bridge, message);
        if let Some(waits) = bridge.waits {
            (self.unsent, self.reply) = (waits, false);
        }
        self.buffers.holds(self.unsent);
    }

    /// Writes everything; flushing the stream is left to the caller.
    pub(crate) fn poll_write<Io: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            self.frame();
            let mut bridge = Bridge::to_write(io, cx);
            let written = self.context.flush(&mut bridge);
            self.traffic.sent += bridge.moved;
            if let Some(waits) = bridge.waits {
                self.unsent = waits;
                self.buffers.holds(waits);
            }
            match written {
                // An answer to a goodbye ends what tungstenite has to do.
                Ok(()) | Err(Fault::ConnectionClosed | Fault::AlreadyClosed) => {
                    (self.unsent, self.reply) = (0, false);
                }
                Err(Fault::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Pending;
                }
                Err(Fault::Io(error)) => return Poll::Ready(Err(error)),
                Err(fault) => return Poll::Ready(Err(io::Error::other(fault))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives large buffers back, if nothing is in them: tungstenite would keep them until the end.
    pub(crate) fn release(&mut self) {
        if self.buffers.large && self.buffers.unread == 0 && self.is_written() {
            self.context = WebSocketContext::new(self.role, Some(self.config));
            self.buffers = Buffers::default();
        }
    }

    /// Likewise, if they are no longer needed: a few small messages have come since the last large one.
    pub(crate) fn release_unused(&mut self) {
        if self.buffers.small >= SMALL_MESSAGES {
            self.release();
        }
    }
}

/// What tungstenite's buffers hold, as far as it can be seen from outside.
#[derive(Debug, Default)]
struct Buffers {
    /// Bytes that came in and belong to nothing that was given out. Heads are taken to be as short as they can be, and messages
    /// to come in one frame: none is sure, and more says nothing.
    unread: u64,
    /// There was something large in them.
    large: bool,
    /// Small messages since then.
    small: u32,
}

/// A buffer of so many bytes may stay.
const SMALL: usize = 16 << 10;
/// After so many small messages in a row, large buffers are not needed.
const SMALL_MESSAGES: u32 = 4;

impl Buffers {
    fn took(&mut self, payload: usize, role: Role) {
        let length = match payload {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        let mask = if role == Role::Server { 4 } else { 0 };
        self.unread = self
            .unread
            .saturating_sub((2 + length + mask + payload) as u64);
        self.small += 1;
        self.holds(payload);
    }

    fn holds(&mut self, bytes: usize) {
        if bytes > SMALL {
            self.large = true;
            self.small = 0;
        }
    }
}

/// A stream as tungstenite wants it: one that says that it would block. Goes one way at a time.
struct Bridge<'a, 'cx, Io> {
    way: Way<'a, 'cx, Io>,
    /// Bytes that went over it.
    moved: u64,
    /// Bytes that were to be written and were not.
    waits: Option<usize>,
}

enum Way<'a, 'cx, Io> {
    In(&'a mut Io, &'a mut Context<'cx>, &'a mut Bytes),
    Out(&'a mut Io, &'a mut Context<'cx>),
    Nowhere,
}

impl<'a, 'cx, Io> Bridge<'a, 'cx, Io> {
    fn new(way: Way<'a, 'cx, Io>) -> Self {
        Self {
            way,
            moved: 0,
            waits: None,
        }
    }

    fn to_read(io: &'a mut Io, cx: &'a mut Context<'cx>, ahead: &'a mut Bytes) -> Self {
        Self::new(Way::In(io, cx, ahead))
    }

    fn to_write(io: &'a mut Io, cx: &'a mut Context<'cx>) -> Self {
        Self::new(Way::Out(io, cx))
    }

    fn to_nowhere() -> Self {
        Self::new(Way::Nowhere)
    }
}

impl<Io: AsyncRead + Unpin> Read for Bridge<'_, '_, Io> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Way::In(io, cx, ahead) = &mut self.way else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if !ahead.is_empty() {
            let now = ahead.split_to(ahead.len().min(bytes.len()));
            bytes[..now.len()].copy_from_slice(&now);
            return Ok(now.len());
        }
        // Not into `bytes`: they are few, where a connection is idle, and the system is to be asked once for many.
        let mut space = [MaybeUninit::uninit(); READ_AHEAD];
        let mut read = ReadBuf::uninit(&mut space);
        match Pin::new(&mut **io).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                let read = read.filled();
                self.moved += read.len() as u64;
                let (now, later) = read.split_at(read.len().min(bytes.len()));
                bytes[..now.len()].copy_from_slice(now);
                if !later.is_empty() {
                    **ahead = Bytes::copy_from_slice(later);
                }
                Ok(now.len())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<Io: AsyncWrite + Unpin> Write for Bridge<'_, '_, Io> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waits = Some(bytes.len());
        let Way::Out(io, cx) = &mut self.way else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        match Pin::new(&mut **io).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                self.moved += written as u64;
                self.waits = Some(bytes.len() - written);
                Ok(written)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Fault> for Error {
    /// What reading may end with; tungstenite has more, for its handshakes.
    fn from(fault: Fault) -> Self {
        use ProtocolError as P;
        let violation = match fault {
            // So says TLS, if the stream below ends without a word of it.
            Fault::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Self::Cut,
            Fault::Io(error) => return error.into(),
            Fault::Protocol(P::ResetWithoutClosingHandshake) => return Self::Cut,
            Fault::Protocol(protocol) => match protocol {
                P::UnmaskedFrameFromClient | P::MaskedFrameFromServer => Violation::Masking,
                P::NonZeroReservedBits => Violation::ReservedBits,
                P::InvalidOpcode(opcode)
                | P::UnknownControlFrameType(opcode)
                | P::UnknownDataFrameType(opcode) => Violation::Opcode(opcode),
                P::FragmentedControlFrame => Violation::FragmentedControl,
                P::ControlFrameTooBig => Violation::LongControl,
                P::UnexpectedContinueFrame => Violation::Continuation,
                P::ExpectedFragment(_) => Violation::Interrupted,
                P::InvalidCloseSequence => Violation::CloseFrame,
                other => return io::Error::other(other).into(),
            },
            Fault::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                Violation::TooLong { limit: max_size }
            }
            Fault::Utf8(_) => Violation::NotUtf8,
            other => return io::Error::other(other).into(),
        };
        violation.into()
    }
}

impl From<Option<CloseFrame>> for Close {
    fn from(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self::new(CloseCode(frame.code.into()), frame.reason.as_str()),
            None => Self::new(CloseCode::NO_STATUS, ""),
        }
    }
}

impl From<Close> for Option<CloseFrame> {
    fn from(mut close: Close) -> Self {
        if close.code == CloseCode::NO_STATUS {
            return None;
        }
        let mut end = close.reason.len().min(MAX_REASON);
        while !close.reason.is_char_boundary(end) {
            end -= 1;
        }
        close.reason.truncate(end);
        Some(CloseFrame {
            code: close.code.0.into(),
            reason: Utf8Bytes::from(close.reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use mcp_types::RawJson;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const MAX: usize = 16 << 20;

    fn message(length: usize) -> Message {
        let text = RawJson::encode(&serde_json::json!({ "text": "x".repeat(length) }));
        Message::notification("m", text.ok())
    }

    struct End {
        frames: Frames,
        io: DuplexStream,
    }

    impl End {
        fn pair() -> (Self, Self) {
            let (here, there) = duplex(1 << 20);
            let end = |role, io| Self {
                frames: Frames::new(role, MAX, MAX, &[]),
                io,
            };
            (end(Role::Client, here), end(Role::Server, there))
        }

        async fn read(&mut self) -> Received {
            let read = poll_fn(|cx| self.frames.poll_read(&mut self.io, cx)).await;
            read.unwrap()
        }

        async fn write(&mut self) {
            let written = poll_fn(|cx| self.frames.poll_write(&mut self.io, cx)).await;
            written.unwrap();
        }
    }

    /// One frame of a client's, whose mask changes nothing.
    fn single_frame(payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u64).to_be_bytes();
        [&[0x81, 0xff][..], &length, &[0; 4], payload].concat()
    }

    #[tokio::test]
    async fn large_buffers_are_given_back_when_nothing_is_in_them() {
        let (mut client, mut server) = End::pair();
        let long = vec![b' '; 100_000];
        client.io.write_all(&single_frame(&long)).await.unwrap();
        assert_eq!(server.read().await, Received::Text(long.into()));
        assert!(server.frames.buffers.large);
        for _ in 1..SMALL_MESSAGES {
            client.frames.send(&message(1));
            client.write().await;
            server.read().await;
            server.frames.release_unused();
        }
        assert!(server.frames.buffers.large, "one more may come");
        client.frames.send(&message(2));
        // Half of it is no reason to forget it.
        let mut half = duplex(100);
        poll_fn(|cx| client.frames.poll_write(&mut half.0, cx))
            .await
            .unwrap();
        drop(half.0);
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut half.1, &mut bytes)
            .await
            .unwrap();
        let (first, second) = bytes.split_at(9);
        client.io.write_all(first).await.unwrap();
        let read = |cx: &mut Context<'_>| Poll::Ready(server.frames.poll_read(&mut server.io, cx));
        assert!(poll_fn(read).await.is_pending());
        server.frames.release();
        assert!(server.frames.buffers.large);
        client.io.write_all(second).await.unwrap();
        assert!(matches!(server.read().await, Received::Text(_)));
        server.frames.release_unused();
        assert!(!server.frames.buffers.large);
        client.frames.send(&message(3));
        client.write().await;
        assert!(matches!(server.read().await, Received::Text(_)));
    }

    #[tokio::test]
    async fn a_ping_and_a_goodbye_find_their_way_into_and_behind_a_long_message() {
        let (mut client, mut server) = End::pair();
        server.frames.send(&message(10 * FRAGMENT));
        server.frames.ping();
        server.frames.close(Close::new(CloseCode::GOING_AWAY, ""));
        assert!(server.frames.unsent() < MAX_UNSENT && !server.frames.has_room());
        server.write().await;
        assert_eq!(client.read().await, Received::Control);
        let text = match client.read().await {
            Received::Text(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(text.len() > 10 * FRAGMENT);
        let goodbye = Close::new(CloseCode::GOING_AWAY, "");
        assert_eq!(client.read().await, Received::Close(goodbye));
        client.write().await;
        assert_eq!(server.read().await, Received::Control);
        assert!(matches!(server.read().await, Received::Close(_)));
    }
}
