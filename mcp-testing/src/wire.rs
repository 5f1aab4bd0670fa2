use std::fmt;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::Journal;

/// An in-memory connection with a recorder in the middle.
///
/// ```text
///   left end ══ duplex ══ tap ══ duplex ══ right end
///                          └─▶ Log
/// ```
///
/// By convention the client takes the left end and the server the right one.
#[derive(Debug)]
pub struct Wire;

impl Wire {
    /// Connects a left and a right end, each buffering `capacity` bytes per direction, and records what passes between them.
    ///
    /// A line is in the log before its last byte reaches the other end, so whoever has seen the effect of a message finds the
    /// message, and everything before it in either direction, in the log. Bytes pass unchanged, lines or not. The end of one
    /// direction is passed on and leaves the other open, as with a pair of pipes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// use mcp_testing::{Direction, RawPeer, Wire};
    ///
    /// let (left, right, log) = Wire::tap(1024);
    /// let (mut left, mut right) = (RawPeer::new(left), RawPeer::new(right));
    /// left.send_text("hello").await?;
    /// assert_eq!(right.next_text().await?.as_deref(), Some("hello"));
    /// assert_eq!(log.lines()[0].direction, Direction::LeftToRight);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: two tasks are spawned, which end when the two ends are dropped.
    #[must_use]
    pub fn tap(capacity: usize) -> (DuplexStream, DuplexStream, Log) {
        let (left, tap_left) = tokio::io::duplex(capacity);
        let (tap_right, right) = tokio::io::duplex(capacity);
        let (from_left, to_left) = tokio::io::split(tap_left);
        let (from_right, to_right) = tokio::io::split(tap_right);
        let lines = Journal::new();
        let log = Log {
            lines: lines.clone(),
        };
        tokio::spawn(carry(
            from_left,
            to_right,
            Direction::LeftToRight,
            lines.clone(),
        ));
        tokio::spawn(carry(from_right, to_left, Direction::RightToLeft, lines));
        (left, right, log)
    }
}

/// Which way a line went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the left end (the client, by convention) to the right one.
    LeftToRight,
    /// From the right end (the server, by convention) to the left one.
    RightToLeft,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeftToRight => "->",
            Self::RightToLeft => "<-",
        })
    }
}

/// One line that passed the tap, without its line ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which way it went.
    pub direction: Direction,
    /// The line; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Line {
    /// The line as JSON, or `null` if it is none, so that a test can index into it without a case for either.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The `method` of the message, if it has one.
    #[must_use]
    pub fn method(&self) -> Option<String> {
        self.json()["method"].as_str().map(str::to_owned)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction, self.text)
    }
}

/// Everything that passed a [`Wire`] so far, in the order the tap saw it.
///
/// Dropped while its test is panicking, it prints the transcript. A test that fails by returning an error prints nothing:
/// keep the log in a test that panics.
#[derive(Debug)]
pub struct Log {
    lines: Journal<Line>,
}

impl Log {
    /// A copy of the lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lines.entries()
    }

    /// The messages that went one way so far, each parsed by [`Line::json`].
    #[must_use]
    pub fn messages(&self, direction: Direction) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line.direction == direction);
        lines.iter().map(Line::json).collect()
    }

    /// Waits for the first line, past or future, that `wanted` accepts; see [`Journal::find`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it consumes nothing.
    pub async fn find(&self, wanted: impl FnMut(&Line) -> bool) -> Line {
        self.lines.find(wanted).await
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- on the wire ---\n{self}-------------------");
        }
    }
}

/// Copies one direction until it ends or nobody takes it any more.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    lines: Journal<Line>,
) {
    let mut chunk = vec![0; 16 * 1024];
    let mut unfinished = Vec::new();
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        unfinished.extend_from_slice(&chunk[..count]);
        while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
            lines.push(line(direction, &unfinished[..end]));
            unfinished.drain(..=end);
        }
        // Recorded first, sent second: that order is what the log promises.
        if to.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
    if !unfinished.is_empty() {
        lines.push(line(direction, &unfinished));
    }
    // The other end may be gone already, which is no news to anybody.
    let _ = to.shutdown().await;
}

fn line(direction: Direction, bytes: &[u8]) -> Line {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).into_owned();
    Line { direction, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soon;

    const NO_FAILURE: &str = "a duplex does not fail";

    #[tokio::test]
    async fn bytes_pass_unchanged_and_lines_are_recorded() {
        let (mut left, mut right, log) = Wire::tap(8);
        let sent = b"{\"method\":\"a\"}\r\n\nnot json\n\xffunfinished";
        let sending = async move { left.write_all(sent).await };
        let mut received = Vec::new();
        let receiving = right.read_to_end(&mut received);
        let (sent_all, received_all) = soon(async { tokio::join!(sending, receiving) }).await;
        sent_all.expect(NO_FAILURE);
        received_all.expect(NO_FAILURE);
        assert_eq!(received, sent);
        let texts: Vec<_> = log.lines().into_iter().map(|line| line.text).collect();
        assert_eq!(
            texts,
            [r#"{"method":"a"}"#, "", "not json", "\u{fffd}unfinished"]
        );
        assert_eq!(log.lines()[0].method().as_deref(), Some("a"));
        assert_eq!(log.lines()[2].json(), Value::Null);
    }

    #[tokio::test]
    async fn the_end_of_one_direction_leaves_the_other_open() {
        let (mut left, mut right, log) = Wire::tap(64);
        soon(right.shutdown()).await.expect(NO_FAILURE);
        let count = soon(left.read(&mut [0])).await.expect(NO_FAILURE);
        assert_eq!(count, 0, "the end should be passed on");
        soon(left.write_all(b"still here\n"))
            .await
            .expect(NO_FAILURE);
        let line = soon(log.find(|line| line.text == "still here")).await;
        assert_eq!(line.direction, Direction::LeftToRight);
    }

    #[tokio::test]
    async fn an_end_that_is_gone_is_noticed_at_the_other() {
        let (mut left, right, _log) = Wire::tap(64);
        drop(right);
        let count = soon(left.read(&mut [0])).await.expect(NO_FAILURE);
        assert_eq!(count, 0);
    }
}
