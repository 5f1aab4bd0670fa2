//! Byte streams as transports.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use mcp_types::{Inbound, Outbound};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::FramedRead;

use crate::line::LineCodec;
use crate::output::Output;

/// Makes a byte stream a transport: a stream of [`Inbound`] and a sink of [`Outbound`], one message a line.
///
/// Reads take up to 64 KiB at once, as much as the traffic fills; writes collect up to 64 KiB before they must go out.
/// TCP sockets want `set_nodelay(true)` first.
///
/// ```no_run
/// # async fn connect() -> std::io::Result<()> {
/// # struct UnixStream; impl UnixStream { async fn connect(_: &str) -> std::io::Result<tokio::io::Empty> { Ok(tokio::io::empty()) } }
/// let transport = mcp_codec::framed(UnixStream::connect("/run/server.sock").await?);
/// # Ok(())
/// # }
/// ```
pub fn framed<Io: AsyncRead + AsyncWrite>(io: Io) -> Framed<Io> {
    framed_with(io, LineCodec::new())
}

/// Like [`framed`], with other limits.
pub fn framed_with<Io: AsyncRead + AsyncWrite>(io: Io, codec: LineCodec) -> Framed<Io> {
    Framed {
        io: reading(io, codec),
        output: Output::default(),
    }
}

/// Makes a reader and a writer one transport, as [`framed`] does for a stream that is both.
pub fn framed_split<R: AsyncRead, W: AsyncWrite>(read: R, write: W) -> Joined<R, W> {
    framed_split_with(read, write, LineCodec::new())
}

/// Like [`framed_split`], with other limits.
pub fn framed_split_with<R: AsyncRead, W: AsyncWrite>(
    read: R,
    write: W,
    codec: LineCodec,
) -> Joined<R, W> {
    Joined {
        read: reading(read, codec),
        write,
        output: Output::default(),
    }
}

fn reading<R: AsyncRead>(read: R, codec: LineCodec) -> FramedRead<R, LineCodec> {
    // The codec makes room for reads as the traffic needs it, so a connection that waits holds next to nothing.
    let mut read = FramedRead::with_capacity(read, codec, 0);
    make_first_room(read.read_buffer_mut());
    read
}

/// It reads before it asks the codec for the first time.
fn make_first_room(buffer: &mut BytesMut) {
    LineCodec::new().read(buffer);
}

/// A byte stream as a transport: a stream of [`Inbound`] and a sink of [`Outbound`]; made by [`framed`].
///
/// Closing the sink shuts the writing half down; the stream can still be read to its end.
///
/// It does what a `tokio_util::codec::Framed` with a [`LineCodec`] would, but that it writes long bodies from where they are.
#[derive(Debug)]
pub struct Framed<Io> {
    io: FramedRead<Io, LineCodec>,
    output: Output,
}

impl<Io> Framed<Io> {
    /// The byte stream.
    pub fn get_ref(&self) -> &Io {
        self.io.get_ref()
    }

    /// The byte stream; taking bytes from it disturbs the framing, and bytes written to it come before those of messages
    /// that are not flushed.
    pub fn get_mut(&mut self) -> &mut Io {
        self.io.get_mut()
    }

    /// What the lines are read with.
    pub fn codec_mut(&mut self) -> &mut LineCodec {
        self.io.decoder_mut()
    }
}

impl<Io: AsyncRead + Unpin> Stream for Framed<Io> {
    type Item = io::Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.io).poll_next(cx)
    }
}

impl<Io: AsyncWrite + Unpin> Sink<Outbound> for Framed<Io> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_ready(Pin::new(this.io.get_mut()), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> io::Result<()> {
        self.output.push(&item.message);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_flush(Pin::new(this.io.get_mut()), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_close(Pin::new(this.io.get_mut()), cx)
    }
}

/// A reader and a writer as one transport: a stream of [`Inbound`] and a sink of [`Outbound`]; made by [`framed_split`].
///
/// Closing the sink shuts the writer down; the stream can still be read to its end.
#[derive(Debug)]
pub struct Joined<R, W> {
    read: FramedRead<R, LineCodec>,
    write: W,
    output: Output,
}

impl<R, W> Joined<R, W> {
    /// The reader.
    pub fn reader(&self) -> &R {
        self.read.get_ref()
    }

    /// The reader; taking bytes from it disturbs the framing.
    pub fn reader_mut(&mut self) -> &mut R {
        self.read.get_mut()
    }

    /// The writer.
    pub fn writer(&self) -> &W {
        &self.write
    }

    /// The writer; bytes written to it come before those of messages that are not flushed.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.write
    }
}

impl<R: AsyncRead + Unpin, W: Unpin> Stream for Joined<R, W> {
    type Item = io::Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.read).poll_next(cx)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> Sink<Outbound> for Joined<R, W> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_ready(Pin::new(&mut this.write), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> io::Result<()> {
        self.output.push(&item.message);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_flush(Pin::new(&mut this.write), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.output.poll_close(Pin::new(&mut this.write), cx)
    }
}
