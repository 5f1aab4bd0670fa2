//! How messages stand on a connection: a line each, or a WebSocket frame each.

use std::io::{self, Read, Write};
use std::ops::Range;

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
    /// It is neither a whole text message nor a ping.
    pub(super) fn next(self, input: &[u8], searched: usize) -> io::Result<Option<Found>> {
        match self {
            Self::Lines => Ok(memchr(b'\n', &input[searched..]).map(|at| Found {
                message: 0..searched + at,
                taken: searched + at + 1,
            })),
            Self::WebSocket => unmasked(input),
        }
    }
}

/// A message within what was read.
pub(super) struct Found {
    pub(super) message: Range<usize>,
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

fn unmasked(input: &[u8]) -> io::Result<Option<Found>> {
    let &[opcode, len, ref rest @ ..] = input else {
        return Ok(None);
    };
    if opcode != 0x81 || len & 0x80 != 0 {
        let what = format!("a frame that begins with {opcode:#x}, {len:#x}");
        return Err(io::Error::other(what));
    }
    let (start, len) = match len {
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
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(start));
    let end = end.ok_or(io::ErrorKind::InvalidData)?;
    Ok((end <= input.len()).then_some(Found {
        message: start..end,
        taken: end,
    }))
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
            assert_eq!((found.message, found.taken), (head..head + len, head + len));
            let cut = Framing::WebSocket.next(&bytes[..bytes.len() - 1], 0)?;
            assert!(cut.is_none(), "{len}");
        }
        Ok(())
    }
}
