//! What a session has to tell its driver.

use std::sync::Arc;

use mcp_types::{
    ClientCapabilities, ErrorObject, Implementation, LogLevel, Malformed, MethodName,
    NotificationMessage, ProgressParams, ProgressToken, ProtocolVersion, RawJson, RequestId,
    ServerCapabilities, SubscriptionFilter,
};

use crate::error::{ConnectError, PeerMisbehaved, RequestError};
use crate::subscribed::Subscribed;

/// A request of ours, as the driver names it; it stays the same through all rounds, whatever ids go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

/// A request of the peer's, as the session names it; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncomingKey(pub(crate) u64);

/// Progress of a request of ours.
pub type Progress = ProgressParams;

/// What [`Session::poll_event`](crate::Session::poll_event) yields, in the order in which it came about.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection is open; a client may send requests.
    Opened(Arc<Established>),
    /// The connection could not be opened, and will not be.
    Failed(ConnectError),
    /// The peer asks; [`Session::respond`](crate::Session::respond) answers.
    Request(Incoming),
    /// The peer does not want the answer any more; the key is gone.
    Cancelled(IncomingKey, Cancellation),
    /// A request of ours has ended; nothing follows for this key.
    Response {
        /// Which one.
        call: CallKey,
        /// The raw result, or why there is none.
        outcome: Result<RawJson, RequestError>,
    },
    /// A request of ours has come further.
    Progress {
        /// Which one.
        call: CallKey,
        /// How far.
        progress: Progress,
    },
    /// The server has acknowledged a `subscriptions/listen` of ours, and says what of it it honours; the call stays in
    /// flight, without a time limit, until the stream ends.
    Listening {
        /// Which one.
        call: CallKey,
        /// What will be told (REQ-SUB-03).
        filter: SubscriptionFilter,
    },
    /// A tool's call of ours has become a task of 2025-11-25, and wants its progress: the call stays in flight for that, without a
    /// time limit, until it is cancelled, which the server does not hear of (REQ-PROG-07), or the connection is lost, which is its
    /// [`Event::Response`].
    Task {
        /// Which one.
        call: CallKey,
        /// The raw result.
        result: RawJson,
    },
    /// A client has subscribed to a resource or a task for the first time; what it subscribes to from now on is seen there,
    /// too.
    Subscribed(Subscribed),
    /// A notification that is not the engine's own business.
    Notification(NotificationMessage),
    /// A legacy client has chosen its log level.
    LogLevel(LogLevel),
    /// Input that was no message; it was answered if an answer was owed.
    Malformed(Malformed),
    /// The peer broke a rule; nothing needs to be done.
    Misbehaved(PeerMisbehaved),
    /// The peer answered with an error about something it could not read.
    PeerError(ErrorObject),
}

/// What both sides know once a client's connection is open.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Established {
    /// The version in force.
    pub version: ProtocolVersion,
    /// Who the server is, if it says so; a modern one need not.
    pub server_info: Option<Implementation>,
    /// What the server offers.
    pub capabilities: ServerCapabilities,
    /// How to use the server, for a model to read.
    pub instructions: Option<String>,
}

/// Who sent a request, and under which terms.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Caller {
    /// The revision the request is made under; its era follows from it.
    pub version: ProtocolVersion,
    /// Who the caller is, if it says so.
    pub info: Option<Implementation>,
    /// What a client can be asked for; empty if the caller is a server.
    pub capabilities: ClientCapabilities,
}

/// A request of the peer's.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// By which it is answered.
    pub key: IncomingKey,
    /// Its id on the wire; a question of an input round has none.
    pub id: Option<RequestId>,
    /// What is asked for.
    pub method: MethodName,
    /// With which parameters.
    pub params: Option<RawJson>,
    /// By whom.
    pub caller: Arc<Caller>,
    /// Under which token it wants progress.
    pub progress_token: Option<ProgressToken>,
    /// The lowest log level wanted; `None` for nothing at all.
    pub log_level: Option<LogLevel>,
    /// Whether a program's own notifications may go out on its behalf: always in the legacy era, by agreement in the modern one.
    pub own_notifications: bool,
    /// Set if this is the next round of an earlier request.
    pub retry: Option<Retry>,
    /// The `_meta` among the parameters, if a server is asked and there is one: it has been looked for already.
    pub meta: Option<RawJson>,
}

/// The answers to an input round.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// The state that the round before handed out, from a peer that may have altered it.
    pub state: Option<String>,
    /// The answers by key, an object; each is to be decoded by the kind of its question (REQ-MRTR-18), and may be anything.
    pub responses: RawJson,
}

/// Why a request of the peer's is no longer to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancellation {
    /// The peer cancelled it.
    ByPeer {
        /// What it gave as the reason.
        reason: Option<String>,
    },
    /// The request of ours that it was an input for has ended.
    CallEnded,
    /// The legacy session that it was made in has been begun anew; it has been answered with an error.
    SessionEnded,
}
