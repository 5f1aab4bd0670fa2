//! How messages stand on a connection: a line each, or a WebSocket message each.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use memchr::{memchr, memmem};

use crate::Failure;
use crate::wire::Batch;

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Lines,
    WebSocket,
}

/// Masks what a client sends; any will do.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

impl Framing {
    /// The same messages as they are written.
    pub(super) fn frame(self, lines: Batch) -> Batch {
        match self {
            Self::Lines => lines,
            Self::WebSocket => {
                let mut frames = Batch::default();
                for line in lines.iter() {
                    frames.push(&masked(line.trim_ascii_end()));
                }
                frames
            }
        }
    }

    /// The first message of `input`, and how many bytes it takes; of what is incomplete, `searched` holds no end.
    ///
    /// # Errors
    /// It is no text message.
    pub(super) fn next(self, input: &[u8], searched: usize) -> io::Result<Option<Found<'_>>> {
        match self {
            Self::Lines => Ok(memchr(b'\n', &input[searched..]).map(|at| Found {
                message: Cow::Borrowed(&input[..searched + at]),
                taken: searched + at + 1,
            })),
            Self::WebSocket => unmasked(input),
        }
    }
}

/// A message within what was read.
pub(super) struct Found<'a> {
    pub(super) message: Cow<'a, [u8]>,
    pub(super) taken: usize,
}

fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first message of `input`, in one frame or several.
fn unmasked(input: &[u8]) -> io::Result<Option<Found<'_>>> {
    let mut message = Cow::Borrowed(&[][..]);
    let mut taken = 0;
    loop {
        let &[opcode, len, ref rest @ ..] = &input[taken..] else {
            return Ok(None);
        };
        // Text or what goes on with it, the last of a message or not; what a server sends is not masked.
        let kind = if taken == 0 { 1 } else { 0 };
        if opcode & 0x7f != kind || len & 0x80 != 0 {
            let what = format!("a frame that begins with {opcode:#x}, {len:#x}");
            return Err(io::Error::other(what));
        }
        let (head, len) = match len {
            126 => match rest.first_chunk() {
                Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(len) => (10, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            len => (2, u64::from(len)),
        };
        let start = taken + head;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(start));
        let end = end.ok_or(io::ErrorKind::InvalidData)?;
        let Some(payload) = input.get(start..end) else {
            return Ok(None);
        };
        match taken {
            0 => message = Cow::Borrowed(payload),
            _ => message.to_mut().extend_from_slice(payload),
        }
        taken = end;
        if opcode & 0x80 != 0 {
            return Ok(Some(Found { message, taken }));
        }
    }
}

/// Upgrades a connection to a WebSocket.
///
/// # Errors
/// The server does not want to.
pub(super) fn upgrade(stream: &mut (impl Read + Write), host: &str) -> Result<(), Failure> {
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut byte = [0];
    while memmem::find(&head, b"\r\n\r\n").is_none() {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&head).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is_in_three_ways() -> Result<(), Failure> {
        for len in [1, 125, 126, 65_535, 65_536] {
            let mut lines = Batch::default();
            lines.push(&[vec![b'x'; len], vec![b'\n']].concat());
            let frames = Framing::WebSocket.frame(lines);
            // As a server would have sent it: without the bit that says masked, and without the mask.
            let head = frames.bytes.len() - len - MASK.len();
            let mut bytes = frames.bytes[..head].to_vec();
            bytes[1] &= 0x7f;
            bytes.extend_from_slice(&frames.bytes[head + MASK.len()..]);
            let found = Framing::WebSocket.next(&bytes, 0)?.ok_or("no frame")?;
            assert_eq!((&*found.message, found.taken), (&bytes[head..], head + len));
            let cut = Framing::WebSocket.next(&bytes[..bytes.len() - 1], 0)?;
            assert!(cut.is_none(), "{len}");
        }
        Ok(())
    }
    #[test]
    fn a_message_may_come_in_several_frames() -> Result<(), Failure> {
        let bytes = b"\x01\x02ab\x00\x01c\x80\x02de\x81\x01f";
        let found = Framing::WebSocket.next(bytes, 0)?.ok_or("no frame")?;
        assert_eq!((&*found.message, found.taken), (&b"abcde"[..], 11));
        assert!(Framing::WebSocket.next(&bytes[..10], 0)?.is_none());
        assert!(Framing::WebSocket.next(&bytes[4..], 0).is_err());
        Ok(())
    }
}
