//! How a client opens its connection: it asks, and believes the answer (inventory 3.2).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use mcp_types::meta::key;
use mcp_types::{
    ClientCapabilities, DiscoverResult, Era, ErrorCode, ErrorObject, ForRevision, InitializeParams,
    InitializeResult, LogLevel, Message, ObjectBuf, ProtocolVersion, RawJson, RequestId,
    SetLevelParams,
};
use serde::Deserialize;

use crate::config::ClientConfig;
use crate::error::{ConnectError, PeerMisbehaved};
use crate::event::{Caller, Established, Event};
use crate::session::{Session, Side};
use crate::text;
use crate::time::after;

#[derive(Debug)]
pub(crate) struct ClientSide {
    pub(crate) config: ClientConfig,
    pub(crate) phase: Phase,
    /// What every modern request repeats.
    meta: ObjectBuf,
    /// The server as the one who asks.
    pub(crate) server: Arc<Caller>,
    /// The request that sets the legacy log level; its answer is of no interest.
    housekeeping: Option<i64>,
    /// The probe that had no answer in time: an error without an id may be one that comes late.
    owes_answer: Option<i64>,
    /// The first thing that the other side said that was no message, until it answers the handshake.
    babble: Option<String>,
}

/// Where a client's handshake stands; the arrows are drawn on [`Session`].
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not begun: for as long as the constructor runs.
    Unopened,
    Probing {
        id: i64,
        deadline: Instant,
        /// The server has named the version before, and refused it nevertheless (REQ-VER-07).
        retried: bool,
    },
    Initializing {
        id: i64,
        deadline: Instant,
        /// The server has named versions before, so that another list will not do (REQ-VER-07).
        retried: bool,
    },
    Open(Arc<Established>),
    Failed,
}

impl ClientSide {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            meta: text::client_meta(&config.info, &config.capabilities),
            phase: Phase::Unopened,
            server: Arc::new(Caller {
                version: ProtocolVersion::LATEST_MODERN,
                info: None,
                capabilities: ClientCapabilities::default(),
            }),
            housekeeping: None,
            owes_answer: None,
            babble: None,
            config,
        }
    }

    pub(crate) fn established(&self) -> Option<&Arc<Established>> {
        match &self.phase {
            Phase::Open(established) => Some(established),
            _ => None,
        }
    }

    pub(crate) fn set_capabilities(&mut self, capabilities: ClientCapabilities) {
        self.meta = text::client_meta(&self.config.info, &capabilities);
        self.config.capabilities = capabilities;
    }

    /// The start of a modern request's `_meta`, and its log level.
    pub(crate) fn request_meta(
        &self,
        log_level: Option<LogLevel>,
    ) -> (&ObjectBuf, Option<LogLevel>) {
        (&self.meta, log_level.or(self.config.log_level))
    }

    /// Legacy versions this client speaks, newest first.
    fn legacy_versions(&self) -> impl Iterator<Item = ProtocolVersion> + use<> {
        let choice = self.config.era;
        ProtocolVersion::ALL
            .into_iter()
            .rev()
            .filter(move |v| v.era() == Era::Legacy && choice.allows(*v))
    }
}

/// What `error.data` says of versions, under either code (inventory 1.6).
#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

fn supported(error: &ErrorObject) -> Vec<String> {
    error
        .data
        .as_ref()
        .and_then(|data| data.decode::<Supported>().ok())
        .map_or_else(Vec::new, |s| s.supported)
}

impl Session {
    pub(crate) fn as_client(&self) -> Option<&ClientSide> {
        match &self.side {
            Side::Client(client) => Some(client),
            Side::Server(_) => None,
        }
    }

    fn as_client_mut(&mut self) -> Option<&mut ClientSide> {
        match &mut self.side {
            Side::Client(client) => Some(client),
            Side::Server(_) => None,
        }
    }

    /// The first message of a client.
    pub(crate) fn open(&mut self, now: Instant) {
        let Some(client) = self.as_client() else {
            return;
        };
        match client.legacy_versions().next() {
            Some(version) if !client.config.era.allows(ProtocolVersion::LATEST_MODERN) => {
                self.initialize(now, version, false);
            }
            _ => self.probe(now, false),
        }
    }

    fn probe(&mut self, now: Instant, retried: bool) {
        let id = self.outgoing.next_id();
        let deadline = after(now, self.limits.probe_timeout);
        let Some(client) = self.as_client_mut() else {
            return;
        };
        client.phase = Phase::Probing {
            id,
            deadline,
            retried,
        };
        let (meta, log_level) = client.request_meta(None);
        let mut params = ObjectBuf::new();
        text::insert_meta(&mut params, Some(meta), None, log_level, None);
        self.transmit(Message::request(id, "server/discover", Some(params.finish())).into());
    }

    fn initialize(&mut self, now: Instant, version: ProtocolVersion, retried: bool) {
        let id = self.outgoing.next_id();
        let deadline = after(now, self.limits.handshake_timeout);
        let Some(client) = self.as_client_mut() else {
            return;
        };
        client.phase = Phase::Initializing {
            id,
            deadline,
            retried,
        };
        let capabilities = client.config.capabilities.clone();
        let params = InitializeParams::new(version, capabilities, client.config.info.clone())
            .for_revision(version);
        self.transmit(Message::request(id, "initialize", Some(text::raw(&params))).into());
    }

    pub(crate) fn fail(&mut self, error: ConnectError) {
        let error = self.failed(error);
        self.emit(Event::Failed(error));
    }

    /// Takes note that the handshake has failed; why, with what came instead of a message if anything did.
    pub(crate) fn failed(&mut self, mut error: ConnectError) -> ConnectError {
        if let Some(client) = self.as_client_mut() {
            client.phase = Phase::Failed;
            if let Some(said) = client.babble.take() {
                let after = Box::new(error);
                error = ConnectError::NotMcp { said, after };
            }
        }
        error
    }

    fn opened(&mut self, established: Established) {
        let established = Arc::new(established);
        let Some(client) = self.as_client_mut() else {
            return;
        };
        client.server = Arc::new(Caller {
            version: established.version,
            info: established.server_info.clone(),
            capabilities: ClientCapabilities::default(),
        });
        client.phase = Phase::Open(Arc::clone(&established));
        self.emit(Event::Opened(established));
    }

    /// Gives the outcome back if it belongs to no handshake.
    pub(crate) fn handle_handshake_response(
        &mut self,
        now: Instant,
        id: &RequestId,
        outcome: Result<RawJson, ErrorObject>,
    ) -> Option<Result<RawJson, ErrorObject>> {
        let (Side::Client(client), RequestId::Number(n)) = (&mut self.side, id) else {
            return Some(outcome);
        };
        match client.phase {
            Phase::Probing { id, retried, .. } if id == *n => {
                client.babble = None;
                self.handle_discovered(now, outcome, retried);
            }
            Phase::Initializing { id, retried, .. } if id == *n => {
                client.babble = None;
                self.handle_initialized(now, outcome, retried);
            }
            _ if client.housekeeping == Some(*n) => client.housekeeping = None,
            _ => {
                client.owes_answer.take_if(|probe| probe == n);
                return Some(outcome);
            }
        }
        None
    }

    /// Inventory 3.2, steps 2 to 6.
    fn handle_discovered(
        &mut self,
        now: Instant,
        outcome: Result<RawJson, ErrorObject>,
        retried: bool,
    ) {
        let offered = match outcome {
            Ok(result) => match result.decode::<DiscoverResult>() {
                Ok(discovered)
                    if offers(
                        &discovered.supported_versions,
                        ProtocolVersion::LATEST_MODERN,
                    ) =>
                {
                    let server_info = discovered
                        .meta
                        .as_ref()
                        .and_then(|m| m.get(key::SERVER_INFO));
                    return self.opened(Established {
                        version: ProtocolVersion::LATEST_MODERN,
                        server_info,
                        capabilities: discovered.capabilities,
                        instructions: discovered.instructions,
                    });
                }
                Ok(discovered) => discovered.supported_versions,
                // Whoever answers like this does not know the method.
                Err(_) => return self.fall_back(now, retried, "something else"),
            },
            Err(error) => match error.code {
                ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => {
                    let offered = supported(&error);
                    // REQ-VER-02: it is the version that was sent, but the server may know by now.
                    if offers(&offered, ProtocolVersion::LATEST_MODERN) && !retried {
                        return self.probe(now, true);
                    }
                    offered
                }
                ErrorCode::HEADER_MISMATCH | ErrorCode::MISSING_CLIENT_CAPABILITY => {
                    return self.fail(ConnectError::Refused(error));
                }
                // Any other error whatever says that the server is not modern; not keyed on one code (TRAP-21, TRAP-25).
                _ => return self.fall_back(now, retried, &error.to_string()),
            },
        };
        // A modern server that names a legacy revision which we speak too: chosen from its list, not guessed.
        let Some(client) = self.as_client() else {
            return;
        };
        let legacy = client.legacy_versions().find(|v| offers(&offered, *v));
        match legacy {
            Some(version) => self.initialize(now, version, true),
            None => self.fail(ConnectError::NoCommonVersion { offered }),
        }
    }

    /// `answer` is what the server said to `server/discover`.
    fn fall_back(&mut self, now: Instant, retried: bool, answer: &str) {
        let Some(client) = self.as_client() else {
            return;
        };
        match client.legacy_versions().next() {
            None => self.fail(ConnectError::NotModern {
                answer: answer.to_owned(),
            }),
            Some(version) => self.initialize(now, version, retried),
        }
    }

    fn handle_initialized(
        &mut self,
        now: Instant,
        outcome: Result<RawJson, ErrorObject>,
        retried: bool,
    ) {
        let Some(client) = self.as_client() else {
            return;
        };
        let result = match outcome {
            Ok(result) => result,
            Err(error) => {
                // REQ-LIFE-11: refused with a list instead of answered with another version; tried once.
                let offered = supported(&error);
                let version = client.legacy_versions().find(|v| offers(&offered, *v));
                let modern = error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
                    && client.config.era.allows(ProtocolVersion::LATEST_MODERN)
                    && offers(&offered, ProtocolVersion::LATEST_MODERN);
                return match version {
                    Some(version) if !retried => self.initialize(now, version, true),
                    // It took too long to start, and is modern since the probe that it had then (inventory 3.2, step 3).
                    None if !retried && modern => self.probe(now, true),
                    _ => self.fail(ConnectError::Refused(error)),
                };
            }
        };
        let result: InitializeResult = match result.decode() {
            Ok(result) => result,
            Err(e) => {
                return self.fail(ConnectError::Misbehaved(PeerMisbehaved::ResultShape {
                    method: "initialize".into(),
                    reason: e.to_string(),
                }));
            }
        };
        // REQ-LIFE-04; a modern version cannot come out of an `initialize` (REQ-LIFE-12).
        let Some(version) = client
            .legacy_versions()
            .find(|v| v.as_str() == result.protocol_version)
        else {
            let offered = vec![result.protocol_version];
            return self.fail(ConnectError::NoCommonVersion { offered });
        };
        let level = client
            .config
            .log_level
            .filter(|_| result.capabilities.logging.is_some());
        self.transmit(Message::notification("notifications/initialized", None).into());
        if let Some(level) = level {
            let id = self.outgoing.next_id();
            if let Some(client) = self.as_client_mut() {
                client.housekeeping = Some(id);
            }
            let params = text::raw(&SetLevelParams::new(level));
            self.transmit(Message::request(id, "logging/setLevel", Some(params)).into());
        }
        self.opened(Established {
            version,
            server_info: Some(result.server_info),
            capabilities: result.capabilities,
            instructions: result.instructions,
        });
    }

    /// An error about something that the server could not read: during the handshake it can only be about what was asked there
    /// (REQ-ID-08), the one thing that was sent, or the first of two.
    pub(crate) fn handle_error_without_id(&mut self, now: Instant, error: ErrorObject) {
        if let Some(client) = self.as_client_mut() {
            match client.phase {
                Phase::Probing { retried, .. } => {
                    client.babble = None;
                    return self.handle_discovered(now, Err(error), retried);
                }
                Phase::Initializing { retried, .. } if client.owes_answer.take().is_none() => {
                    client.babble = None;
                    return self.handle_initialized(now, Err(error), retried);
                }
                _ => {}
            }
        }
        self.emit(Event::PeerError(error));
    }

    /// Whether the handshake waits for an answer under this id.
    pub(crate) fn is_handshake(&self, id: &RequestId) -> bool {
        match self.as_client().map(|client| &client.phase) {
            Some(Phase::Probing { id: own, .. } | Phase::Initializing { id: own, .. }) => {
                *id == RequestId::Number(*own)
            }
            _ => false,
        }
    }

    /// Whether a malformed response was the handshake's.
    pub(crate) fn break_handshake(
        &mut self,
        now: Instant,
        id: &RequestId,
        what: &PeerMisbehaved,
    ) -> bool {
        if !self.is_handshake(id) {
            return false;
        }
        match self.as_client().map(|client| &client.phase) {
            Some(&Phase::Probing { retried, .. }) => {
                self.fall_back(now, retried, &what.to_string());
            }
            _ => self.fail(ConnectError::Misbehaved(what.clone())),
        }
        true
    }

    pub(crate) fn handshake_deadline(&self) -> Option<Instant> {
        match &self.as_client()?.phase {
            Phase::Probing { deadline, .. } | Phase::Initializing { deadline, .. } => {
                Some(*deadline)
            }
            _ => None,
        }
    }

    pub(crate) fn handle_handshake_timeout(&mut self, now: Instant) {
        if self
            .handshake_deadline()
            .is_none_or(|deadline| deadline > now)
        {
            return;
        }
        let Some(client) = self.as_client_mut() else {
            return;
        };
        match (&client.phase, client.config.era) {
            // Silence is legacy; the probe is not cancelled, for a legacy server may choke on that (inventory 3.2, step 8).
            (&Phase::Probing { id, retried, .. }, choice) if choice.falls_back() => {
                client.owes_answer = Some(id);
                self.fall_back(now, retried, "nothing");
            }
            (Phase::Probing { .. }, _) => {
                self.fail(ConnectError::TimedOut(self.limits.probe_timeout))
            }
            // Nor is `initialize` (REQ-LIFE-10).
            _ => self.fail(ConnectError::TimedOut(self.limits.handshake_timeout)),
        }
    }

    pub(crate) fn fail_handshake_on_disconnect(&mut self, reason: &dyn fmt::Display) {
        match self.as_client().map(|client| &client.phase) {
            Some(Phase::Probing { .. }) => self.fail(ConnectError::ProbeLost(reason.to_string())),
            Some(Phase::Initializing { .. }) => {
                self.fail(ConnectError::ConnectionLost(reason.to_string()));
            }
            _ => {}
        }
    }

    /// Remembers what came instead of a message, in case that nothing better comes.
    pub(crate) fn note_babble(&mut self, excerpt: &str) {
        if self.handshake_deadline().is_some()
            && let Some(client) = self.as_client_mut()
        {
            client.babble.get_or_insert_with(|| excerpt.to_owned());
        }
    }

    /// The version of the legacy session, if there is one.
    pub(crate) fn legacy_version(&self) -> Option<ProtocolVersion> {
        match &self.side {
            Side::Client(client) => client
                .established()
                .map(|e| e.version)
                .filter(|v| v.era() == Era::Legacy),
            Side::Server(server) => server.legacy_caller().map(|caller| caller.version),
        }
    }
}

/// Whether only a client asks this, and as the first thing.
pub(crate) fn is_opening(method: &str) -> bool {
    matches!(method, "server/discover" | "initialize")
}

fn offers(versions: &[String], version: ProtocolVersion) -> bool {
    versions.iter().any(|v| v == version.as_str())
}
