//! What a child says on stderr.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What is called with each line.
pub(crate) type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// The last lines of a stderr.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

/// What is kept of a line at most, in bytes; the rest is dropped.
const LINE: usize = 4 << 10;

impl LastLines {
    pub(crate) fn to_vec(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    fn push(&self, line: &[u8], keep: usize, on_line: Option<&OnLine>) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        tracing::debug!(target: "mcp_transport_stdio::stderr", "{line}");
        // A callback that panics must not end the reading: the child would wait, or be ended by its next word.
        if let Some(on_line) = on_line
            && catch_unwind(AssertUnwindSafe(|| on_line(&line))).is_err()
        {
            tracing::error!("a callback for a line of stderr panicked");
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= keep {
            lines.pop_front();
        }
        if keep > 0 {
            lines.push_back(line);
        }
    }

    /// Reads to the end, as fast as it comes: the child never waits for us.
    pub(crate) async fn read(
        self,
        mut stderr: impl AsyncRead + Unpin,
        keep: usize,
        on_line: Option<OnLine>,
    ) {
        let mut line = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        loop {
            let n = match stderr.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            for piece in buffer[..n].split_inclusive(|b| *b == b'\n') {
                let room = LINE - line.len();
                line.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.ends_with(b"\n") {
                    self.push(&line, keep, on_line.as_ref());
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.push(&line, keep, on_line.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_long_ones_cut() {
        let text = format!("one\ntwo\r\n{}\nthree", "x".repeat(100_000));
        for (keep, expected) in [
            (2, vec!["x".repeat(LINE), "three".into()]),
            (3, vec!["two".into(), "x".repeat(LINE), "three".into()]),
            (0, vec![]),
        ] {
            let lines = LastLines::default();
            lines.clone().read(text.as_bytes(), keep, None).await;
            assert_eq!(lines.to_vec(), expected);
        }
    }

    #[tokio::test]
    async fn a_callback_that_panics_loses_no_line() {
        // REQ-STDIO-11
        let lines = LastLines::default();
        let panics: OnLine = Arc::new(|line| assert_ne!(line, "one"));
        lines.clone().read(&b"one\ntwo"[..], 2, Some(panics)).await;
        assert_eq!(lines.to_vec(), ["one", "two"]);
    }
}
