//! What a session is told once, when it is made.

use std::sync::Arc;
use std::time::Duration;

use mcp_types::meta::key;
use mcp_types::{
    ClientCapabilities, Era, Implementation, LogLevel, ObjectBuf, ProtocolVersion, RawJson,
    ServerCapabilities,
};

use crate::text;

/// Which era a client opens a connection in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EraChoice {
    /// Asks with `server/discover` and falls back to `initialize` on the same connection.
    #[default]
    Auto,
    /// `initialize` only.
    Legacy,
    /// `server/discover` only.
    Modern,
    /// This version and no other, with what opens it.
    Pinned(ProtocolVersion),
}

impl EraChoice {
    /// Whether a connection may be of that version.
    pub(crate) fn allows(self, version: ProtocolVersion) -> bool {
        match self {
            Self::Auto => true,
            Self::Legacy => version.era() == Era::Legacy,
            Self::Modern => version.era() == Era::Modern,
            Self::Pinned(pinned) => version == pinned,
        }
    }

    /// Whether there is a way from one era to the other.
    pub(crate) fn falls_back(self) -> bool {
        self == Self::Auto
    }
}

/// The era that another connection to the same server was found to be in: it is not asked for again.
impl From<Era> for EraChoice {
    fn from(era: Era) -> Self {
        match era {
            Era::Legacy => Self::Legacy,
            Era::Modern => Self::Modern,
        }
    }
}

impl From<ProtocolVersion> for EraChoice {
    fn from(version: ProtocolVersion) -> Self {
        Self::Pinned(version)
    }
}

/// Bounds of a session; every one of them is on, and none can be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests of the peer that may be unanswered at a time; one more is refused. Questions of input rounds are requests, too;
    /// a call that would bring one more has failed. Default 1,024.
    pub incoming_requests: usize,
    /// Bytes of their ids and parameters together; one more is refused, unless it is the only one. Long descriptions
    /// of modern clients count for what they take when they are decoded. A stream is a request that is unanswered as long as it
    /// is open. What a legacy client has subscribed to may take as much again. Default 64 MiB.
    pub incoming_bytes: usize,
    /// Own requests that may be in flight at a time: unanswered, or answered with a task whose progress is still wanted
    /// ([`Event::Task`](crate::Event::Task)); one more is a local error. Default 65,536.
    pub outgoing_requests: usize,
    /// How long a request may wait for its answer, unless its caller says otherwise: what handlers of `mcp-server` ask a legacy
    /// client has ten minutes, whatever this is. Default 60 s.
    pub request_timeout: Duration,
    /// How long it may wait in all, however much progress prolongs it and however many rounds it takes. Default 1 h.
    pub request_total: Duration,
    /// How long a client waits for the answer to `server/discover` before it tries `initialize`, or with
    /// [`EraChoice::Modern`] gives up. A legacy server that leaves unknown requests unanswered delays each connection by this;
    /// [`EraChoice::Legacy`] does not ask. Default 10 s.
    pub probe_timeout: Duration,
    /// How long a client waits for the answer to `initialize`. Default 30 s.
    pub handshake_timeout: Duration,
    /// Input rounds of one request, as a client. Default 10.
    pub rounds: u32,
    /// Streams that a modern client may have open by `subscriptions/listen`. Default 64.
    pub streams: usize,
    /// Resources that a client may subscribe to; one more is refused. Tasks that it follows and types of a program's own
    /// notifications count as well, in all streams of a modern client together. Default 4,096.
    pub subscriptions: usize,
    /// Questions in one input round. Default 64.
    pub round_inputs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            incoming_requests: 1024,
            incoming_bytes: 64 * 1024 * 1024,
            outgoing_requests: 65_536,
            request_timeout: Duration::from_secs(60),
            request_total: Duration::from_secs(3600),
            probe_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            rounds: 10,
            round_inputs: 64,
            streams: 64,
            subscriptions: 4096,
        }
    }
}

/// A client's side of a session.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Who the client is.
    pub info: Implementation,
    /// What the client can do when it is asked.
    pub capabilities: ClientCapabilities,
    /// How the connection is opened.
    pub era: EraChoice,
    /// The lowest level of log messages wanted; `None` asks for nothing.
    ///
    /// Legacy: sent once by `logging/setLevel`, if the server logs. Modern: stamped on every request.
    pub log_level: Option<LogLevel>,
    /// The session's bounds.
    pub limits: Limits,
}

impl ClientConfig {
    /// A client without capabilities.
    pub fn new(info: Implementation) -> Self {
        Self {
            info,
            capabilities: ClientCapabilities::default(),
            era: EraChoice::default(),
            log_level: None,
            limits: Limits::default(),
        }
    }
}

/// A server's side of a session.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Who the server is.
    pub info: Implementation,
    /// What the server offers.
    pub capabilities: ServerCapabilities,
    /// How to use the server, for a model to read.
    pub instructions: Option<String>,
    /// The revisions that the server speaks; requests in others are refused, and told of these. Default all.
    pub versions: Vec<ProtocolVersion>,
    /// The lowest level that a legacy client gets before it has said what it wants. Default info.
    pub log_level: LogLevel,
    /// The session's bounds.
    pub limits: Limits,
}

impl ServerConfig {
    /// A server without capabilities.
    pub fn new(info: Implementation) -> Self {
        Self {
            info,
            capabilities: ServerCapabilities::default(),
            instructions: None,
            versions: ProtocolVersion::ALL.to_vec(),
            log_level: LogLevel::Info,
            limits: Limits::default(),
        }
    }
}

/// What all sessions of one server have in common: its configuration, and what is made of that once and not for each of them.
#[derive(Debug)]
pub struct ServerSetup {
    pub(crate) config: ServerConfig,
    /// The `_meta` of every modern result.
    pub(crate) result_meta: RawJson,
    /// What every modern result ends with that says nothing of it itself.
    pub(crate) result_end: ObjectBuf,
}

impl From<ServerConfig> for ServerSetup {
    fn from(config: ServerConfig) -> Self {
        let mut meta = ObjectBuf::new();
        text::insert(&mut meta, key::SERVER_INFO, &config.info);
        let result_meta = meta.finish();
        let mut result_end = ObjectBuf::new();
        text::insert(&mut result_end, "resultType", "complete");
        result_end.insert_raw("_meta", &result_meta);
        Self {
            config,
            result_meta,
            result_end,
        }
    }
}

/// Of a server's only session.
impl From<ServerConfig> for Arc<ServerSetup> {
    fn from(config: ServerConfig) -> Self {
        Self::new(config.into())
    }
}
