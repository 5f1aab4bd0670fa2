//! Frames of RFC 6455: cut out of a buffer without copying, and put into one.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mcp_codec::WriteRoom;
use mcp_types::Message;

use crate::close::{Close, CloseCode};
use crate::error::Violation;

/// Which end of the connection this is: clients mask what they send (RFC 6455 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What has come in whole: a message, however many frames it came in, or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Not yet known to be UTF-8.
    Text(Bytes),
    Ping(Bytes),
    Pong,
    Close(Close),
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// The longest payload of a control frame, in bytes.
const CONTROL_LENGTH: usize = 125;

/// Cuts frames out of a buffer; what breaks the protocol is found at the first byte that shows it.
#[derive(Debug)]
pub(crate) struct FrameReader {
    role: Role,
    max_frame: usize,
    max_message: usize,
    /// Of the frame whose payload is not all there.
    head: Option<Head>,
    /// The frames so far of a message that comes in several.
    message: Option<BytesMut>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    fin: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: usize,
}

impl FrameReader {
    pub(crate) fn new(role: Role, max_frame: usize, max_message: usize) -> Self {
        Self {
            role,
            max_frame,
            max_message,
            head: None,
            message: None,
        }
    }

    /// Takes the next frame out of `buffer`, or `None` if more bytes are needed for one.
    pub(crate) fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        loop {
            let head = match self.head {
                Some(head) => head,
                None => match self.head(buffer)? {
                    Some(head) => *self.head.insert(head),
                    None => return Ok(None),
                },
            };
            if buffer.len() < head.length {
                return Ok(None);
            }
            self.head = None;
            let mut payload = buffer.split_to(head.length);
            if let Some(mask) = head.mask {
                apply_mask(mask, &mut payload);
            }
            match head.opcode {
                CLOSE => return Close::read(&payload).map(|close| Some(Frame::Close(close))),
                PING => return Ok(Some(Frame::Ping(payload.freeze()))),
                PONG => return Ok(Some(Frame::Pong)),
                _ => {
                    let message = match self.message.take() {
                        None => payload,
                        Some(mut message) => {
                            message.extend_from_slice(&payload);
                            message
                        }
                    };
                    if head.fin {
                        return Ok(Some(Frame::Text(message.freeze())));
                    }
                    self.message = Some(message);
                }
            }
        }
    }

    /// How many bytes more the frame needs that has begun, as far as it is known.
    pub(crate) fn missing(&self, buffered: usize) -> usize {
        self.head
            .map_or(0, |head| head.length.saturating_sub(buffered))
    }

    /// Takes the head of a frame out of `buffer`.
    fn head(&self, buffer: &mut BytesMut) -> Result<Option<Head>, Violation> {
        let &[first, second, ..] = &buffer[..] else {
            return Ok(None);
        };
        let (fin, opcode) = (first & FIN != 0, first & 0x0f);
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let masked = second & MASKED != 0;
        if masked != (self.role == Role::Server) {
            return Err(Violation::Masking);
        }
        match (opcode, &self.message) {
            (CONTINUATION, None) => return Err(Violation::Continuation),
            (TEXT | BINARY, Some(_)) => return Err(Violation::Interrupted),
            (BINARY, None) => return Err(Violation::Binary),
            (CONTINUATION | TEXT | CLOSE | PING | PONG, _) => {}
            _ => return Err(Violation::Opcode(opcode)),
        }
        let short = second & 0x7f;
        if opcode >= CLOSE && !fin {
            return Err(Violation::FragmentedControl);
        }
        if opcode >= CLOSE && usize::from(short) > CONTROL_LENGTH {
            return Err(Violation::LongControl);
        }
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(mut extended) = buffer.get(2..2 + length_bytes) else {
            return Ok(None);
        };
        // Shorter lengths must be written in their shorter form (section 5.2).
        let (length, least) = match length_bytes {
            2 => (u64::from(extended.get_u16()), 126),
            8 => (extended.get_u64(), 1 << 16),
            _ => (u64::from(short), 0),
        };
        if length < least || length > i64::MAX as u64 {
            return Err(Violation::Length);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let so_far = self.message.as_ref().map_or(0, BytesMut::len);
        if opcode < CLOSE && length > self.max_frame.min(self.max_message - so_far) {
            let limit = self.max_frame.min(self.max_message);
            return Err(Violation::TooLong { limit });
        }
        let size = 2 + length_bytes + if masked { 4 } else { 0 };
        if buffer.len() < size {
            return Ok(None);
        }
        let mut mask = [0; 4];
        if masked {
            mask.copy_from_slice(&buffer[size - 4..size]);
        }
        buffer.advance(size);
        Ok(Some(Head {
            fin,
            opcode,
            mask: masked.then_some(mask),
            length,
        }))
    }
}

/// Puts frames into a buffer.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    /// A client's.
    masks: Option<Masks>,
    room: WriteRoom,
}

impl FrameWriter {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            masks: (role == Role::Client).then_some(Masks::NONE),
            room: WriteRoom::default(),
        }
    }

    /// Appends a message as one text frame.
    ///
    /// # Errors
    /// The system has no randomness to mask it with.
    pub(crate) fn text(&mut self, message: &Message, out: &mut BytesMut) -> io::Result<()> {
        let weight = message.weight() + 64;
        self.room.make_room(weight + HEAD_SIZE, out);
        let before = out.len();
        // The head is as long as the length needs that is only known afterwards: a guess, which is rarely wrong.
        let guess = self.head_size(message.weight());
        out.put_bytes(0, guess);
        message.write(out);
        let length = out.len() - before - guess;
        let size = self.head_size(length);
        if size != guess {
            let start = before + guess;
            out.resize(before + size.max(guess) + length, 0);
            out.copy_within(start..start + length, before + size);
            out.truncate(before + size + length);
        }
        self.finish(TEXT, before, size, out)?;
        self.room.wrote(out.len() - before, out);
        Ok(())
    }

    /// Appends a control frame.
    ///
    /// # Errors
    /// The system has no randomness to mask it with.
    pub(crate) fn control(
        &mut self,
        opcode: u8,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> io::Result<()> {
        debug_assert!(payload.len() <= CONTROL_LENGTH);
        let before = out.len();
        let size = self.head_size(payload.len());
        out.put_bytes(0, size);
        out.put_slice(payload);
        self.finish(opcode, before, size, out)
    }

    pub(crate) fn close(&mut self, close: &Close, out: &mut BytesMut) -> io::Result<()> {
        self.control(CLOSE, &close.payload(), out)
    }

    fn head_size(&self, length: usize) -> usize {
        let length_bytes = match length {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        2 + length_bytes + if self.masks.is_some() { 4 } else { 0 }
    }

    /// Fills in the head of the frame that starts at `start` and goes to the end of `out`, and masks its payload.
    fn finish(
        &mut self,
        opcode: u8,
        start: usize,
        head_size: usize,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let (head, payload) = out[start..].split_at_mut(head_size);
        head[0] = FIN | opcode;
        let length = payload.len();
        match length {
            0..126 => head[1] = length as u8,
            126..0x1_0000 => {
                head[1] = 126;
                head[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                head[1] = 127;
                head[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if let Some(masks) = &mut self.masks {
            let mask = masks.next()?;
            head[1] |= MASKED;
            head[head_size - 4..].copy_from_slice(&mask);
            apply_mask(mask, payload);
        }
        Ok(())
    }
}

/// The longest head of a frame, in bytes.
const HEAD_SIZE: usize = 14;

/// Unpredictable masks (section 5.3), fetched from the system sixteen at a time.
#[derive(Debug)]
struct Masks {
    pool: [u8; 64],
    left: usize,
}

impl Masks {
    const NONE: Self = Self {
        pool: [0; 64],
        left: 0,
    };

    fn next(&mut self) -> io::Result<[u8; 4]> {
        if self.left == 0 {
            getrandom::fill(&mut self.pool).map_err(io::Error::other)?;
            self.left = self.pool.len() / 4;
        }
        self.left -= 1;
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.pool[4 * self.left..][..4]);
        Ok(mask)
    }
}

fn apply_mask(mask: [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

impl Close {
    /// The payload of a close frame (section 5.5.1).
    fn read(payload: &[u8]) -> Result<Self, Violation> {
        match payload {
            [] => Ok(Self::new(CloseCode::NO_STATUS, "")),
            [_] => Err(Violation::CloseFrame),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.may_be_sent() {
                    return Err(Violation::CloseFrame);
                }
                let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
                Ok(Self::new(code, reason))
            }
        }
    }

    fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NO_STATUS {
            return Vec::new();
        }
        let mut payload = self.code.0.to_be_bytes().to_vec();
        let mut end = self.reason.len().min(CONTROL_LENGTH - 2);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        payload.extend_from_slice(&self.reason.as_bytes()[..end]);
        payload
    }
}
