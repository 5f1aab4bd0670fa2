//! The terminal, for who comes after.

/// How the terminal of stdin was; dropped, it is so again, whatever an editor had made of it.
pub(super) struct Restored(#[cfg(unix)] Option<rustix::termios::Termios>);

impl Restored {
    #[cfg(unix)]
    pub(super) fn later() -> Self {
        // A stdin that is no terminal has nothing to restore.
        Self(rustix::termios::tcgetattr(std::io::stdin()).ok())
    }

    #[cfg(not(unix))]
    pub(super) fn later() -> Self {
        Self()
    }
}

#[cfg(unix)]
impl Drop for Restored {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(was) = &self.0 {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, was);
        }
    }
}
