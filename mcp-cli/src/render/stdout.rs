//! Where results go.

use std::io::{ErrorKind, Result, Write};
use std::sync::OnceLock;

use crate::exit::Failure;

/// Where results go; what becomes of it is known to the whole program, as there is but one.
#[derive(Debug)]
pub(crate) struct Stdout(std::io::Stdout);

static ENDED: OnceLock<std::result::Result<(), Failure>> = OnceLock::new();

impl Stdout {
    pub(crate) fn new() -> Self {
        Self(std::io::stdout())
    }

    /// Whether nothing more can be written, and why; a reader that goes away is no failure.
    pub(crate) fn ended() -> Option<std::result::Result<(), Failure>> {
        ENDED.get().cloned()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        noted(self.0.write(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        noted(self.0.flush())
    }
}

fn noted<T>(written: Result<T>) -> Result<T> {
    if let Err(e) = &written
        && e.kind() != ErrorKind::Interrupted
    {
        ENDED.get_or_init(|| match e.kind() {
            ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::Usage(format!("stdout: {e}"))),
        });
    }
    written
}
