//! The codec for those who have slices, not streams.

use bytes::BytesMut;
use mcp_types::Inbound;

use crate::line::LineCodec;

/// Turns pieces of bytes into messages, without any runtime: [`push`](Self::push) what came in, then take what is there.
///
/// It is an iterator that ends where the bytes do and goes on when there are more.
///
/// ```
/// use mcp_codec::Lines;
///
/// let mut lines = Lines::new();
/// for piece in ["{\"jsonrpc\":\"2.0\",", "\"method\":\"a\"}\n\n{\"jsonrpc\"", ":\"2.0\",\"method\":\"b\"}"] {
///     lines.push(piece.as_bytes());
///     for inbound in &mut lines {
///         println!("{inbound:?}");
///     }
/// }
/// // The last line has no end, but it is whole.
/// assert!(lines.finish().is_some());
/// assert!(lines.finish().is_none());
/// ```
#[derive(Debug, Default)]
pub struct Lines {
    codec: LineCodec,
    buffer: BytesMut,
}

impl Lines {
    /// With the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes to what is there.
    ///
    /// Bytes are kept until they are taken as messages, so take all there are before the next push: the limit on a line
    /// is looked at there.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes what is left when no more bytes will come; to be called until it returns `None`.
    ///
    /// Afterwards the next push begins a new input.
    pub fn finish(&mut self) -> Option<Inbound> {
        self.codec.read_end(&mut self.buffer)
    }
}

impl Iterator for Lines {
    type Item = Inbound;

    fn next(&mut self) -> Option<Inbound> {
        self.codec.read(&mut self.buffer)
    }
}

impl From<LineCodec> for Lines {
    /// With the limits of a codec that has not read anything yet.
    fn from(codec: LineCodec) -> Self {
        Self {
            codec,
            buffer: BytesMut::new(),
        }
    }
}
