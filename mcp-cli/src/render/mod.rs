//! What happened, shown to a person or to a program.

mod bar;
mod content;
mod human;
mod json;
mod stdout;
mod table;
mod text;

use std::ffi::OsStr;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Term;
use mcp_client::types::{
    CreateMessageParams, CreateMessageResult, Era, Implementation, Inbound, LogMessageParams,
    ProgressParams, RawJson,
};
use mcp_peer::Direction;
use serde::Serialize;

pub(crate) use content::{Contents, Saving};
pub(crate) use human::Human;
pub(crate) use json::Json;
pub(crate) use stdout::Stdout;
pub(crate) use table::table;
pub(crate) use text::{printable, shorten, wrap};

use crate::wire::{Proof, Route};

/// Something that happened; as JSON, one line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// There is a connection.
    Connected {
        /// Who the server says it is.
        server: Option<&'a Implementation>,
        /// The era it is spoken to in.
        #[serde(serialize_with = "text::as_text")]
        era: Era,
        /// The protocol version.
        version: &'a str,
        /// The server's process.
        pid: u32,
    },
    /// The server wrote a line to its stderr.
    Stderr {
        /// The line.
        line: &'a str,
    },
    /// The server logs.
    Log(&'a LogMessageParams),
    /// The call has come further.
    Progress {
        /// How far.
        progress: f64,
        /// How far it will be.
        total: Option<f64>,
        /// What is being done.
        message: Option<&'a str>,
    },
    /// The server asked the client's model, and was answered.
    Sampling {
        /// The question.
        question: &'a CreateMessageParams,
        /// The answer.
        answer: &'a CreateMessageResult,
        /// What the answer comes from, for people.
        answered_by: &'a str,
    },
    /// The server asks.
    Asked {
        /// What it asks for.
        what: &'a str,
        /// The question.
        question: &'a str,
    },
    /// The server was answered.
    Answered {
        /// What it asked for.
        what: &'a str,
        /// The answer.
        answer: &'a str,
    },
    /// The server was not answered.
    Refused {
        /// What it asked for.
        what: &'a str,
        /// Why not.
        reason: &'a str,
    },
    /// Something that helps whoever has typed the command.
    Note {
        /// What there is to know.
        text: &'a str,
    },
    /// The server sent a notification of its own.
    Notification {
        /// Its name.
        method: &'a str,
        /// What it says.
        params: RawJson,
    },
    /// The tool is done.
    Result {
        /// Whether it failed.
        is_error: bool,
        /// The result as data.
        structured: Option<&'a RawJson>,
        /// The result as text.
        text: String,
    },
    /// A message passed.
    Wire {
        /// Which way.
        #[serde(serialize_with = "json::direction")]
        direction: Direction,
        /// What it is, in short.
        #[serde(skip)]
        name: &'a str,
        /// The message.
        #[serde(serialize_with = "json::message")]
        message: &'a Inbound,
    },
    /// It did not work.
    Failed {
        /// The exit code that follows.
        exit_code: u8,
        /// What went wrong.
        error: &'a str,
    },
    /// It is over.
    Done(Done),
}

impl<'a> From<&'a ProgressParams> for Event<'a> {
    fn from(params: &'a ProgressParams) -> Self {
        Self::Progress {
            progress: params.progress,
            total: params.total,
            message: params.message.as_deref(),
        }
    }
}

/// How it all went.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// Whether it worked.
    pub(crate) ok: bool,
    /// The exit code that follows.
    pub(crate) exit_code: u8,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// The era, if there was a connection.
    #[serde(serialize_with = "text::as_text_or_null")]
    pub(crate) era: Option<Era>,
    /// The protocol version, if there was a connection.
    pub(crate) version: Option<&'static str>,
    /// How sampling travelled.
    pub(crate) sampling: Route,
    /// With which code the server's process ended; `None` if a signal ended it.
    pub(crate) server_exit: Option<i32>,
    /// What was seen on the wire.
    pub(crate) proof: Proof,
    /// Whether a person wants to know what that proves.
    #[serde(skip)]
    pub(crate) explain: bool,
}

/// Shows events, one after the other.
pub(crate) trait Render: Send {
    /// Shows one; `ms` is the time since the start, in milliseconds.
    fn show(&mut self, ms: f64, event: &Event<'_>);

    /// Shows nothing until told to go on, as a person is being asked something.
    fn pause(&mut self) {}

    /// Shows what there was meanwhile, and goes on.
    fn resume(&mut self) {}

    /// Nothing moves any more.
    fn end(&mut self) {}
}

/// Where everybody shows what happens to them.
#[derive(Clone)]
pub(crate) struct Screen {
    started: std::time::Instant,
    render: Arc<Mutex<dyn Render>>,
}

impl Screen {
    /// A screen whose clock starts now.
    pub(crate) fn new(render: impl Render + 'static) -> Self {
        Self {
            started: std::time::Instant::now(),
            render: Arc::new(Mutex::new(render)),
        }
    }

    /// Shows an event, in its place after those before.
    pub(crate) fn show(&self, event: &Event<'_>) {
        let ms = self.started.elapsed().as_secs_f64() * 1e3;
        self.render().show(ms, event);
    }

    /// Shows nothing as long as the guard lives, so that a person can be asked something.
    pub(crate) fn pause(&self) -> Paused {
        self.render().pause();
        Paused(self.clone())
    }

    /// Nothing moves any more.
    pub(crate) fn end(&self) {
        self.render().end();
    }

    fn render(&self) -> MutexGuard<'_, dyn Render + 'static> {
        // A line half printed does no harm to the next.
        self.render.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this lives, a screen shows nothing.
pub(crate) struct Paused(Screen);

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.render().resume();
    }
}

/// Writes lines; once nobody reads them, drops them.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    out: W,
    broken: bool,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, broken: false }
    }

    /// Writes a piece of text at once.
    pub(crate) fn write(&mut self, text: &str) {
        if self.broken {
            return;
        }
        WRITING.fetch_add(1, Ordering::Relaxed);
        let written = self.out.write_all(text.as_bytes());
        self.broken = written.and_then(|()| self.out.flush()).is_err();
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        WRITING.fetch_sub(1, Ordering::Relaxed);
    }
}

static WRITING: AtomicUsize = AtomicUsize::new(0);
static WRITTEN: AtomicUsize = AtomicUsize::new(0);

/// Whether something is being written, which takes as long as its reader likes.
pub(crate) fn writing() -> bool {
    WRITING.load(Ordering::Relaxed) > 0
}

/// How many pieces of text have been written, or could not be.
pub(crate) fn written() -> usize {
    WRITTEN.load(Ordering::Relaxed)
}

/// Says something on stderr, whoever may read it: that nobody does is no reason to stop.
pub(crate) fn tell(text: &str) {
    Lines::new(std::io::stderr()).write(&(printable(text) + "\n"));
}

/// Whether a terminal is to be written to in colour.
pub(crate) fn colours(term: &Term) -> bool {
    wants_colours(
        term.is_term(),
        std::env::var_os("NO_COLOR").as_deref(),
        std::env::var_os("TERM").as_deref(),
    )
}

/// See <https://no-color.org>: `NO_COLOR` counts if it is not empty.
fn wants_colours(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let os = |text| Some(OsStr::new(text));
        assert!(wants_colours(true, None, os("xterm")));
        assert!(wants_colours(true, os(""), None));
        assert!(!wants_colours(true, os("1"), os("xterm")));
        assert!(!wants_colours(true, None, os("dumb")));
        assert!(!wants_colours(false, None, os("xterm")));
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Lines::new(Gone);
        lines.write("one\n");
        assert!(lines.broken);
        lines.write("two\n");
    }
}
