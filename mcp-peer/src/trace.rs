//! What a request leaves for those who watch: a span while it lasts, and one line at debug level when it ends.
//!
//! Method, id, era, duration and outcome are told; what a message says is told at trace level only, by the driver.

use std::fmt;
use std::time::Instant;

use mcp_session::{CallKey, Incoming, PeerMisbehaved, RequestError};
use mcp_types::{Era, ErrorObject};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::span::Entered;
use tracing::{Span, debug_span};

use crate::dispatch::Answer;
use crate::driver::now;

/// A request's span; nothing at all, not even an allocation, unless somebody watches at debug level.
#[derive(Default)]
pub(crate) struct Trace(Option<Box<Watched>>);

struct Watched {
    span: Span,
    started: Instant,
    what: &'static str,
}

/// How a request has ended, as far as it concerns those who watch.
type Outcome = (&'static str, Option<i64>);

impl Trace {
    /// A request of the peer's; a question of an input round has no id.
    pub(crate) fn serving(incoming: &Incoming) -> Self {
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self(None);
        }
        let era = name(incoming.caller.version.era());
        let id = incoming.id.as_ref().map(tracing::field::display);
        let span = debug_span!(target: "mcp_peer", "request", method = %incoming.method, id, era);
        Self::watched(span, "served")
    }

    /// A request of ours, under the key that it keeps through all its rounds. The id on the wire, which the driver adds, is
    /// that of the first round.
    pub(crate) fn call(key: CallKey, method: &str, era: impl FnOnce() -> Era) -> Self {
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self(None);
        }
        let era = name(era());
        let span = debug_span!(target: "mcp_peer", "call", method, call = key.0, id = Empty, era);
        Self::watched(span, "called")
    }

    fn watched(span: Span, what: &'static str) -> Self {
        if span.is_disabled() {
            return Self(None);
        }
        let started = now();
        Self(Some(Box::new(Watched {
            span,
            started,
            what,
        })))
    }

    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.0.as_ref().map(|watched| watched.span.enter())
    }

    pub(crate) fn span(&self) -> Span {
        self.0
            .as_ref()
            .map_or_else(Span::none, |watched| watched.span.clone())
    }

    pub(crate) fn answered(&mut self, answer: &Answer) {
        self.end(|| match answer {
            Answer::Result(_) => ("result", None),
            Answer::Error(error) => refused(error),
            Answer::InputRequired(_) => ("input required", None),
        });
    }

    pub(crate) fn called(&mut self, outcome: Result<(), &RequestError>) {
        self.end(|| match outcome {
            Ok(()) => ("result", None),
            Err(RequestError::Refused(error)) => refused(error),
            Err(RequestError::Cancelled) => ("cancelled", None),
            Err(RequestError::TimedOut(_)) => ("timed out", None),
            Err(RequestError::ConnectionLost(_)) => ("connection lost", None),
            Err(RequestError::Lost(_)) => ("lost", None),
            Err(RequestError::Misbehaved(what)) => (misbehaviour(what), None),
            Err(RequestError::InputFailed { .. }) => ("input failed", None),
            Err(RequestError::Misuse(_)) => ("misuse", None),
            Err(_) => ("failed", None),
        });
    }

    fn end(&mut self, outcome: impl FnOnce() -> Outcome) {
        if let Some(watched) = self.0.take() {
            watched.end(outcome());
        }
    }
}

impl Watched {
    fn end(&self, (outcome, code): Outcome) {
        let duration = now().saturating_duration_since(self.started);
        let what = self.what;
        tracing::debug!(target: "mcp_peer", parent: &self.span, ?duration, outcome, code, "{what}");
    }
}

/// Whoever is dropped before the end was cancelled, or its connection is gone.
impl Drop for Trace {
    fn drop(&mut self) {
        self.end(|| ("cancelled", None));
    }
}

fn refused(error: &ErrorObject) -> Outcome {
    ("error", Some(error.code.0))
}

fn name(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

/// Which rule was broken, without a word of what the peer has said.
pub(crate) fn misbehaviour(what: &PeerMisbehaved) -> &'static str {
    match what {
        PeerMisbehaved::MalformedResponse(_) => "malformed response",
        PeerMisbehaved::UnreadableResponse(_) => "unreadable response",
        PeerMisbehaved::UnknownResponse => "unknown response",
        PeerMisbehaved::StrayProgress => "stray progress",
        PeerMisbehaved::ResultShape { .. } => "result of the wrong shape",
        PeerMisbehaved::EndlessList { .. } => "endless list",
        PeerMisbehaved::UnknownResultType(_) => "unknown result type",
        PeerMisbehaved::InputRound(_) => "invalid input round",
        PeerMisbehaved::TooManyRounds(_) => "too many input rounds",
        PeerMisbehaved::ForbiddenRequest(_) => "forbidden request",
        PeerMisbehaved::Batch => "forbidden batch",
        _ => "misbehaviour",
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace")
            .field(&self.0.as_ref().map(|watched| &watched.span))
            .finish()
    }
}
