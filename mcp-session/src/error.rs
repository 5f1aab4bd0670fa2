//! Errors, sorted by whose fault they are.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use mcp_types::{EnvelopeFault, ErrorObject, MalformedKind, MethodName, ProtocolVersion};

use crate::event::CallKey;

/// Why a request of ours did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The peer answered with an error.
    #[error("refused: {0}")]
    Refused(#[from] ErrorObject),
    /// We cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// No answer in time; the peer was told to stop.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection ended before the answer came.
    #[error("connection lost before the answer: {0}")]
    ConnectionLost(String),
    /// This request alone was lost, or its answer, and the connection goes on: over HTTP each request has a response of its own,
    /// which may break off, or not come at all. Whether the peer has seen it is not known (REQ-HTTPM-13).
    #[error("request lost: {0}")]
    Lost(String),
    /// The answer broke the protocol.
    #[error("the peer misbehaved: {0}")]
    Misbehaved(#[from] PeerMisbehaved),
    /// The peer asked for input, and the handler that should give it failed, or other requests left no room for it.
    #[error("no input for `{method}`: {error}")]
    InputFailed {
        /// What was asked for.
        method: MethodName,
        /// What the handler said, or what there was no room for.
        error: ErrorObject,
    },
    /// The request could not be sent as it was made.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
}

/// Why a connection could not be opened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The peer refused to open it.
    #[error("refused: {0}")]
    Refused(ErrorObject),
    /// The two sides share no protocol version.
    #[error("no common protocol version: the server offers {}", .offered.join(", "))]
    NoCommonVersion {
        /// What the server offered.
        offered: Vec<String>,
    },
    /// Only a modern version was wanted, and the server knows none.
    #[error("the server speaks no modern protocol version: to `server/discover` it said {answer}")]
    NotModern {
        /// What it answered.
        answer: String,
    },
    /// The other side said something, but never answered as the protocol has it.
    #[error("{after}; it said {said:?}, which is no message of the protocol")]
    NotMcp {
        /// The first thing it said, printable and at most 64 characters of it.
        said: String,
        /// What ended the attempt.
        after: Box<ConnectError>,
    },
    /// The other side says back what it is told, as a terminal does, or `cat`.
    #[error("the other side is no server, it says back what it is told")]
    Echo,
    /// The transport has failed by an error of its own, which is the [`source`](Error::source): over HTTP, for one, the server is
    /// not reached, or lets nobody in without a token. It says nothing of what the server speaks.
    #[error("could not connect: {0}")]
    Transport(#[source] Cause),
    /// The connection ended, or its stream broke, before `server/discover` was answered: some legacy servers end when they are
    /// asked that.
    #[error("connection lost before `server/discover` was answered: {0}")]
    ProbeLost(String),
    /// No answer to the handshake.
    #[error("no answer to the handshake within {0:?}")]
    TimedOut(Duration),
    /// The connection ended during the handshake.
    #[error("connection lost during the handshake: {0}")]
    ConnectionLost(String),
    /// The answer broke the protocol.
    #[error("the peer misbehaved: {0}")]
    Misbehaved(PeerMisbehaved),
}

impl ConnectError {
    /// Whether the connection ended before `server/discover` was answered, whatever the other side said instead.
    pub fn is_lost_probe(&self) -> bool {
        match self {
            Self::ProbeLost(_) => true,
            Self::NotMcp { after, .. } => after.is_lost_probe(),
            _ => false,
        }
    }
}

/// An error of a transport, whichever it has: `downcast_ref` tells. It is equal to its clones alone.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Shares an error.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A rule of the protocol that the other side broke; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A response that is not one.
    #[error("malformed response: {0}")]
    MalformedResponse(EnvelopeFault),
    /// Something that bears the id of a request of ours and breaks off before one can see what it is.
    #[error("unreadable response: {0}")]
    UnreadableResponse(MalformedKind),
    /// A response with an id that no request is waiting under: never asked, or too late.
    #[error("response to no request")]
    UnknownResponse,
    /// Progress for no request, or not increasing.
    #[error("progress for no request, or not increasing")]
    StrayProgress,
    /// A result that is not of the method's type.
    #[error("result of `{method}` has the wrong shape: {reason}")]
    ResultShape {
        /// The method.
        method: MethodName,
        /// What the decoder said.
        reason: String,
    },
    /// A list with a cursor for the second time, or with more pages or bytes than anybody could want (REQ-PAG-05).
    #[error("the list of `{method}` does not end: asked for {pages} pages")]
    EndlessList {
        /// The method.
        method: MethodName,
        /// How many pages there were.
        pages: usize,
    },
    /// A `resultType` nobody agreed on, as [`Request::RESULT_TYPES`](mcp_types::Request::RESULT_TYPES) can (REQ-JRPC-11).
    #[error("unknown result type {0:?}")]
    UnknownResultType(String),
    /// An input round that breaks its rules.
    #[error("invalid input round: {0}")]
    InputRound(&'static str),
    /// More input rounds than the limit.
    #[error("more than {0} input rounds")]
    TooManyRounds(u32),
    /// A request in an era in which the peer must send none (REQ-JRPC-12).
    #[error("request `{0}` from a side that must not send one")]
    ForbiddenRequest(MethodName),
    /// A batch outside of a 2025-03-26 session (REQ-BATCH-06).
    #[error("batch outside of a 2025-03-26 session")]
    Batch,
}

/// The program asked for something that the protocol or the state of the session does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The handshake is not finished, or the session is closed.
    #[error("the session is not open")]
    NotOpen,
    /// As many requests are in flight as the limit allows.
    #[error("{0} requests are in flight already")]
    TooManyRequests(usize),
    /// The key of a request that is still in flight.
    #[error("{0:?} is in use already")]
    KeyInUse(CallKey),
    /// The version in force does not have the method, or the engine alone uses it.
    #[error("`{method}` is no request of a {version} session")]
    NotInVersion {
        /// The method.
        method: MethodName,
        /// The version in force.
        version: ProtocolVersion,
    },
    /// Parameters that cannot be sent: they serialise as no JSON object, are nested deeper than anybody reads, or ask for what
    /// the version in force does not have.
    #[error("`{method}` cannot be sent with these parameters: {reason}")]
    Params {
        /// The method.
        method: MethodName,
        /// Why not.
        reason: String,
    },
    /// The peer did not declare the capability that the method needs.
    #[error("`{method}` needs the capability `{capability}`, which the peer did not declare")]
    MissingCapability {
        /// The method.
        method: MethodName,
        /// The capability's name, dotted.
        capability: &'static str,
    },
    /// A server cannot send requests to a modern client (REQ-JRPC-12).
    #[error("a modern client takes no requests")]
    ModernClient,
    /// The request on whose behalf this would be has ended.
    #[error("the request it belongs to has ended")]
    Ended,
    /// The method takes no input rounds (REQ-MRTR-01).
    #[error("`{0}` cannot ask for input")]
    NoInputHere(MethodName),
    /// An input round that the protocol does not know (REQ-MRTR-02, REQ-MRTR-03).
    #[error("invalid input round: {0}")]
    InputRound(&'static str),
}

/// Why a notification was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// The peer did not ask for it: below its log level, or without a progress token.
    #[error("the peer did not ask for it")]
    Unwanted,
    /// The program itself limits how many it sends.
    #[error("too many of them at once")]
    TooMany,
    /// Progress that does not exceed what was reported before (REQ-PROG-03).
    #[error("progress must increase")]
    NotIncreasing,
    /// The request it belongs to has ended.
    #[error("the request it belongs to has ended")]
    Ended,
    /// The request it belongs to waits for input; between the rounds nothing can be sent.
    #[error("the request it belongs to waits for input")]
    Parked,
    /// Not both sides declared the extension that carries a program's own notifications to a modern peer.
    #[error("not both sides declared io.mcp-stack/notifications")]
    NotNegotiated,
    /// There is nobody to send it to outside of a request: no handshake yet, or a modern peer.
    #[error("the peer takes no notifications outside of a request")]
    NoSession,
    /// The protocol does not let this side send this notification here.
    #[error("this side may not send it here")]
    Forbidden,
    /// Parameters that do not serialise as a JSON object, or are nested deeper than anybody reads.
    #[error("the parameters are no JSON object, or nested too deep")]
    Params,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
}
