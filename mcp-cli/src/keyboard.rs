//! The keyboard: a person is asked one thing at a time, and has the terminal back afterwards.

use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;

use crate::render::{Screen, tell};

/// What is read from the keyboard; there is but one.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// For what the terminal is set up.
static MODE: Mutex<Mode> = Mutex::new(Mode::AsItWas);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    AsItWas,
    /// A line, with an editor.
    Line,
    Question,
}

fn mode() -> MutexGuard<'static, Mode> {
    MODE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a person, who takes their time, in a thread that may wait; at the prompt of a shell, after the line.
///
/// # Cancel safety
/// Who has been asked goes on to be: nothing else is read before there is an answer. The screen goes on at once.
pub(crate) async fn ask<T: Send + 'static>(
    screen: &Screen,
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> dialoguer::Result<T> {
    if *mode() == Mode::Line {
        tell("press Enter to answer");
    }
    let turn = TURN.lock().await;
    let paused = screen.pause();
    let asked = move || {
        *mode() = Mode::Question;
        let answer = question();
        if answer.is_err() {
            restore_cursor();
        }
        *mode() = Mode::AsItWas;
        (answer, turn)
    };
    let asked = tokio::task::spawn_blocking(asked).await;
    // Before the turn ends: whose it is next pauses the screen, too.
    drop(paused);
    match asked {
        Ok((answer, _turn)) => answer,
        Err(panic) => Err(std::io::Error::other(panic).into()),
    }
}

/// Has an editor read a line, when nobody is asked anything. It blocks.
pub(crate) fn line<T>(read: impl FnOnce() -> T) -> T {
    let _turn = TURN.blocking_lock();
    *mode() = Mode::Line;
    let line = read();
    *mode() = Mode::AsItWas;
    line
}

/// How the terminal of stdin was; dropped, it is so again, whatever has been asked and not answered.
pub(crate) struct Restored(#[cfg(unix)] Option<rustix::termios::Termios>);

impl Restored {
    #[cfg(unix)]
    pub(crate) fn later() -> Self {
        // A stdin that is no terminal has nothing to restore.
        Self(rustix::termios::tcgetattr(std::io::stdin()).ok())
    }

    #[cfg(not(unix))]
    pub(crate) fn later() -> Self {
        Self()
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let mode = *mode();
        if mode == Mode::AsItWas {
            return;
        }
        // A terminal that is gone needs nothing.
        #[cfg(unix)]
        if let Some(was) = &self.0 {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, was);
        }
        restore_cursor();
        if mode == Mode::Line {
            // What is pasted is not marked any more.
            let _ = Term::stderr().write_str("\x1b[?2004l");
        }
    }
}

/// A question hides it, and forgets it when it is broken off.
fn restore_cursor() {
    // A terminal that is gone needs nothing.
    let _ = Term::stderr().show_cursor();
}
