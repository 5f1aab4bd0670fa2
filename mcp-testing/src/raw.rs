use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// The end of a connection that a test plays by hand: what it sends need not be right, what it receives is not interpreted.
#[derive(Debug)]
pub struct RawPeer<Io> {
    io: BufReader<Io>,
    unfinished: Vec<u8>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> RawPeer<Io> {
    /// Takes over one end.
    pub fn new(io: Io) -> Self {
        Self {
            io: BufReader::new(io),
            unfinished: Vec::new(),
        }
    }

    /// Sends one message as a line of compact JSON.
    ///
    /// # Errors
    ///
    /// The write failed, usually because the other end is gone.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: part of the line may be out.
    pub async fn send(&mut self, message: &Value) -> io::Result<()> {
        self.send_text(&message.to_string()).await
    }

    /// Sends any line; the line ending is added.
    ///
    /// # Errors
    ///
    /// The write failed, usually because the other end is gone.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: part of the line may be out.
    pub async fn send_text(&mut self, line: &str) -> io::Result<()> {
        self.io.write_all(line.as_bytes()).await?;
        self.send_bytes(b"\n").await
    }

    /// Sends any bytes as they are.
    ///
    /// # Errors
    ///
    /// The write failed, usually because the other end is gone.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: part of the bytes may be out.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Ends what this end sends; what the other one sends can still be read.
    ///
    /// # Errors
    ///
    /// The stream could not be ended, usually because the other end is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    /// The next message, or `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The read failed, or the line is not JSON.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a line read in part is kept for the next call.
    pub async fn next(&mut self) -> io::Result<Option<Value>> {
        let Some(line) = self.next_text().await? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// The next line without its ending, or `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The read failed, or the line is not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a line read in part is kept for the next call.
    pub async fn next_text(&mut self) -> io::Result<Option<String>> {
        self.io.read_until(b'\n', &mut self.unfinished).await?;
        if self.unfinished.is_empty() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.unfinished);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let line = String::from_utf8(line);
        line.map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
