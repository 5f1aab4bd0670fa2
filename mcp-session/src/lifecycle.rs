//! How a connection opens, and under which terms each request is taken.

use std::sync::Arc;
use std::time::Instant;

use mcp_types::meta::key;
use mcp_types::{
    CacheScope, ClientCapabilities, DiscoverResult, Era, ErrorCode, ErrorObject, Implementation,
    InitializeParams, InitializeResult, LogLevel, Message, Meta, ObjectBuf, ProgressToken,
    ProtocolVersion, RawJson, RequestId, RequestMessage, SetLevelParams,
};
use serde::Deserialize;
use serde_json::json;

use crate::config::{ClientConfig, EraChoice, ServerConfig};
use crate::error::{ConnectError, PeerMisbehaved};
use crate::event::{Caller, Established, Event, Retry};
use crate::incoming::Terms;
use crate::rounds::takes_input;
use crate::session::{Session, Side};
use crate::text;

// ---- which method exists when ----

/// Whether the protocol defines this name in some revision; all others are a program's own.
pub(crate) fn is_core(method: &mcp_types::MethodName) -> bool {
    method.is_core()
}

/// Whether a method exists in a revision; a program's own exist in all (inventory 1.2).
pub(crate) fn is_in(method: &str, version: ProtocolVersion) -> bool {
    use ProtocolVersion as V;
    let (since, until) = match method {
        "initialize"
        | "ping"
        | "logging/setLevel"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "sampling/createMessage"
        | "roots/list"
        | "notifications/initialized"
        | "notifications/roots/list_changed" => (V::V2024_11_05, V::V2025_11_25),
        "elicitation/create" => (V::V2025_06_18, V::V2025_11_25),
        "notifications/elicitation/complete"
        | "tasks/result"
        | "tasks/list"
        | "notifications/tasks/status" => (V::V2025_11_25, V::V2025_11_25),
        "tasks/get" | "tasks/cancel" => (V::V2025_11_25, V::V2026_07_28),
        "server/discover"
        | "subscriptions/listen"
        | "tasks/update"
        | "notifications/tasks"
        | "notifications/subscriptions/acknowledged" => (V::V2026_07_28, V::V2026_07_28),
        _ => return true,
    };
    (since..=until).contains(&version)
}

// ---- the client's side ----

#[derive(Debug)]
pub(crate) struct ClientSide {
    pub(crate) config: ClientConfig,
    phase: Phase,
    /// What every modern request repeats.
    meta: ObjectBuf,
    /// The server as the one who asks.
    server: Arc<Caller>,
    /// The request that sets the legacy log level; its answer is of no interest.
    housekeeping: Option<i64>,
}

#[derive(Debug)]
enum Phase {
    Unopened,
    Probing {
        id: i64,
        deadline: Instant,
    },
    Initializing {
        id: i64,
        deadline: Instant,
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
    ) -> (ObjectBuf, Option<LogLevel>) {
        (self.meta.clone(), log_level.or(self.config.log_level))
    }

    /// Legacy versions this client speaks, newest first.
    fn legacy_versions(&self) -> impl Iterator<Item = ProtocolVersion> {
        let any = self.config.era != EraChoice::Modern;
        ProtocolVersion::ALL
            .into_iter()
            .rev()
            .filter(move |v| any && v.era() == Era::Legacy)
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
    fn client_mut(&mut self) -> Option<&mut ClientSide> {
        match &mut self.side {
            Side::Client(client) => Some(client),
            Side::Server(_) => None,
        }
    }

    pub(crate) fn caller_of_rounds(&self) -> &Arc<Caller> {
        match &self.side {
            Side::Client(client) => &client.server,
            Side::Server(_) => unreachable!("only clients are asked in rounds"),
        }
    }

    /// The first message of a client.
    pub(crate) fn open(&mut self, now: Instant) {
        let Side::Client(client) = &self.side else {
            return;
        };
        match client.config.era {
            EraChoice::Legacy => self.initialize(now, ProtocolVersion::LATEST_LEGACY, false),
            EraChoice::Auto | EraChoice::Modern => self.probe(now),
        }
    }

    fn probe(&mut self, now: Instant) {
        let id = self.outgoing.next_id();
        let deadline = now + self.limits.probe_timeout;
        let Some(client) = self.client_mut() else {
            return;
        };
        client.phase = Phase::Probing { id, deadline };
        let (meta, log_level) = client.request_meta(None);
        let mut params = ObjectBuf::new();
        text::insert_meta(&mut params, meta, None, log_level, None);
        self.transmit(Message::request(id, "server/discover", Some(params.finish())).into());
    }

    fn initialize(&mut self, now: Instant, version: ProtocolVersion, retried: bool) {
        let id = self.outgoing.next_id();
        let deadline = now + self.limits.handshake_timeout;
        let Some(client) = self.client_mut() else {
            return;
        };
        client.phase = Phase::Initializing {
            id,
            deadline,
            retried,
        };
        let capabilities = client.config.capabilities.clone();
        let params = InitializeParams::new(version, capabilities, client.config.info.clone());
        self.transmit(Message::request(id, "initialize", Some(text::raw(&params))).into());
    }

    fn fail(&mut self, error: ConnectError) {
        if let Some(client) = self.client_mut() {
            client.phase = Phase::Failed;
        }
        self.emit(Event::Failed(error));
    }

    fn opened(&mut self, established: Established) {
        let established = Arc::new(established);
        let Some(client) = self.client_mut() else {
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
            Phase::Probing { id, .. } if id == *n => self.handle_discovered(now, outcome),
            Phase::Initializing { id, retried, .. } if id == *n => {
                self.handle_initialized(now, outcome, retried);
            }
            _ if client.housekeeping == Some(*n) => client.housekeeping = None,
            _ => return Some(outcome),
        }
        None
    }

    /// Inventory 3.2, steps 2 to 6.
    fn handle_discovered(&mut self, now: Instant, outcome: Result<RawJson, ErrorObject>) {
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
                Err(_) => return self.fall_back(now),
            },
            Err(error) => match error.code {
                ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => supported(&error),
                ErrorCode::HEADER_MISMATCH | ErrorCode::MISSING_CLIENT_CAPABILITY => {
                    return self.fail(ConnectError::Refused(error));
                }
                // Any other error whatever says that the server is not modern (REQ not keyed on one code).
                _ => return self.fall_back(now),
            },
        };
        // A modern server that names a legacy revision which we speak too: chosen from its list, not guessed.
        let Side::Client(client) = &self.side else {
            return;
        };
        let legacy = client.legacy_versions().find(|v| offers(&offered, *v));
        match legacy {
            Some(version) => self.initialize(now, version, true),
            None => self.fail(ConnectError::NoCommonVersion { offered }),
        }
    }

    fn fall_back(&mut self, now: Instant) {
        let Side::Client(client) = &self.side else {
            return;
        };
        match client.config.era {
            EraChoice::Modern => self.fail(ConnectError::NoCommonVersion {
                offered: Vec::new(),
            }),
            _ => self.initialize(now, ProtocolVersion::LATEST_LEGACY, false),
        }
    }

    fn handle_initialized(
        &mut self,
        now: Instant,
        outcome: Result<RawJson, ErrorObject>,
        retried: bool,
    ) {
        let Side::Client(client) = &self.side else {
            return;
        };
        let result = match outcome {
            Ok(result) => result,
            Err(error) => {
                // REQ-LIFE-11: refused with a list instead of answered with another version; tried once.
                let offered = supported(&error);
                let version = client.legacy_versions().find(|v| offers(&offered, *v));
                return match version {
                    Some(version) if !retried => self.initialize(now, version, true),
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
            if let Some(client) = self.client_mut() {
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

    /// Whether a malformed response was the handshake's.
    pub(crate) fn break_handshake(
        &mut self,
        now: Instant,
        id: &RequestId,
        what: &PeerMisbehaved,
    ) -> bool {
        let (Side::Client(client), RequestId::Number(n)) = (&self.side, id) else {
            return false;
        };
        match client.phase {
            Phase::Probing { id, .. } if id == *n => self.fall_back(now),
            Phase::Initializing { id, .. } if id == *n => {
                self.fail(ConnectError::Misbehaved(what.clone()));
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn handshake_deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Client(ClientSide {
                phase: Phase::Probing { deadline, .. } | Phase::Initializing { deadline, .. },
                ..
            }) => Some(*deadline),
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
        let Side::Client(client) = &self.side else {
            return;
        };
        match (&client.phase, client.config.era) {
            // Silence is legacy; the probe is not cancelled, for a legacy server may choke on that (inventory 3.2, step 8).
            (Phase::Probing { .. }, EraChoice::Auto) => self.fall_back(now),
            (Phase::Probing { .. }, _) => {
                self.fail(ConnectError::TimedOut(self.limits.probe_timeout))
            }
            // Nor is `initialize` (REQ-LIFE-10).
            _ => self.fail(ConnectError::TimedOut(self.limits.handshake_timeout)),
        }
    }

    pub(crate) fn fail_handshake_on_disconnect(&mut self, reason: &str) {
        if self.handshake_deadline().is_some() {
            self.fail(ConnectError::ConnectionLost(reason.to_owned()));
        }
    }

    /// The version of the legacy session, if there is one.
    pub(crate) fn legacy_version(&self) -> Option<ProtocolVersion> {
        match &self.side {
            Side::Client(client) => client
                .established()
                .map(|e| e.version)
                .filter(|v| v.era() == Era::Legacy),
            Side::Server(server) => server.legacy.as_ref().map(|legacy| legacy.caller.version),
        }
    }
}

fn offers(versions: &[String], version: ProtocolVersion) -> bool {
    versions.iter().any(|v| v == version.as_str())
}

// ---- the server's side ----

#[derive(Debug)]
pub(crate) struct ServerSide {
    pub(crate) config: ServerConfig,
    legacy: Option<LegacySession>,
    /// The `_meta` of every modern result.
    result_meta: RawJson,
    /// The last modern caller, by the text it described itself with: most requests repeat it to the byte.
    last_caller: Option<(RawJson, Option<RawJson>, Arc<Caller>)>,
}

#[derive(Debug)]
struct LegacySession {
    caller: Arc<Caller>,
    log_level: LogLevel,
}

/// What becomes of a request.
pub(crate) enum Admission {
    /// The program is to answer it.
    Accepted(Terms),
    /// The engine has.
    Answered(Result<ObjectBuf, ErrorObject>),
    /// Nobody may.
    Dropped,
}

impl ServerSide {
    pub(crate) fn new(config: ServerConfig) -> Self {
        let mut meta = Meta::new();
        meta.set(key::SERVER_INFO, &config.info);
        Self {
            legacy: None,
            result_meta: text::raw(&meta),
            last_caller: None,
            config,
        }
    }

    pub(crate) fn result_meta(&self) -> &RawJson {
        &self.result_meta
    }

    pub(crate) fn legacy_caller(&self) -> Option<&Arc<Caller>> {
        self.legacy.as_ref().map(|legacy| &legacy.caller)
    }

    pub(crate) fn legacy_log_level(&self) -> Option<LogLevel> {
        self.legacy.as_ref().map(|legacy| legacy.log_level)
    }

    /// The caller that a modern request describes; what an earlier request said does not count (REQ-CAP-04).
    fn modern_caller(
        &mut self,
        capabilities: RawJson,
        info: Option<RawJson>,
    ) -> Result<Arc<Caller>, ErrorObject> {
        if let Some((c, i, caller)) = &self.last_caller
            && *c == capabilities
            && *i == info
        {
            return Ok(Arc::clone(caller));
        }
        let caller = Arc::new(Caller {
            version: ProtocolVersion::LATEST_MODERN,
            // Tolerated if it is malformed: nothing may depend on it (REQ-META-03, REQ-META-05).
            info: info
                .as_ref()
                .and_then(|raw| raw.decode::<Implementation>().ok()),
            capabilities: capabilities.decode().map_err(|e| {
                ErrorObject::invalid_params(format!("`_meta.{}`: {e}", key::CLIENT_CAPABILITIES))
            })?,
        });
        self.last_caller = Some((
            capabilities.compact(),
            info.map(|i| i.compact()),
            Arc::clone(&caller),
        ));
        Ok(caller)
    }
}

/// All versions, newest first, for an error that helps clients of either era.
fn all_versions() -> Vec<ProtocolVersion> {
    ProtocolVersion::ALL.into_iter().rev().collect()
}

/// The versions that may stand in a modern request, newest first.
fn modern_versions() -> Vec<ProtocolVersion> {
    all_versions()
        .into_iter()
        .filter(|v| v.era() == Era::Modern)
        .collect()
}

impl Session {
    /// The routing table of inventory 3.4, and who may ask at all.
    pub(crate) fn admit(&mut self, request: &RequestMessage) -> Result<Admission, ErrorObject> {
        let meta = request
            .params
            .as_ref()
            .and_then(|params| params.member("_meta"));
        match &self.side {
            Side::Client(_) => self.admit_as_client(request, meta),
            Side::Server(_) => {
                let fields = meta.as_ref().map(|meta| {
                    meta.members([
                        key::PROTOCOL_VERSION,
                        key::CLIENT_CAPABILITIES,
                        key::CLIENT_INFO,
                        key::LOG_LEVEL,
                        key::PROGRESS_TOKEN,
                    ])
                });
                match fields {
                    Some([Some(version), capabilities, info, log_level, token]) => {
                        self.admit_modern(request, &version, capabilities, info, log_level, token)
                    }
                    fields => self.admit_legacy(request, fields.and_then(|[.., token]| token)),
                }
            }
        }
    }

    fn admit_modern(
        &mut self,
        request: &RequestMessage,
        version: &RawJson,
        capabilities: Option<RawJson>,
        info: Option<RawJson>,
        log_level: Option<RawJson>,
        token: Option<RawJson>,
    ) -> Result<Admission, ErrorObject> {
        let Side::Server(server) = &mut self.side else {
            return Ok(Admission::Dropped);
        };
        let malformed =
            |key: &str, what: &str| ErrorObject::invalid_params(format!("`_meta.{key}` {what}"));
        // The order is that of REQ-STATE-07.
        let version: String = version
            .decode()
            .map_err(|_| malformed(key::PROTOCOL_VERSION, "must be a string"))?;
        let capabilities =
            capabilities.ok_or_else(|| malformed(key::CLIENT_CAPABILITIES, "is missing"))?;
        if !capabilities.is_object() {
            return Err(malformed(key::CLIENT_CAPABILITIES, "must be an object"));
        }
        if version != ProtocolVersion::LATEST_MODERN.as_str() {
            let data = json!({ "supported": modern_versions(), "requested": version });
            let message = format!("protocol version {version:?} is not supported here");
            return Err(
                ErrorObject::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, message).with_data(&data),
            );
        }
        if !is_in(&request.method, ProtocolVersion::LATEST_MODERN) {
            return Err(ErrorObject::method_not_found(&request.method));
        }
        let log_level = log_level
            .map(|level| level.decode::<LogLevel>())
            .transpose()
            .map_err(|_| malformed(key::LOG_LEVEL, "is not a log level"))?;
        let progress_token = progress_token(token)?;
        let caller = server.modern_caller(capabilities, info)?;
        if request.method == "server/discover" {
            let mut result = text::object(&server.discovered());
            self.mark_result(&mut result, "complete");
            return Ok(Admission::Answered(Ok(result)));
        }
        let retry = retry(request)?;
        Ok(Admission::Accepted(Terms {
            caller,
            progress_token,
            log_level,
            retry,
        }))
    }

    fn admit_legacy(
        &mut self,
        request: &RequestMessage,
        token: Option<RawJson>,
    ) -> Result<Admission, ErrorObject> {
        let Side::Server(server) = &mut self.side else {
            return Ok(Admission::Dropped);
        };
        match (request.method.as_str(), &mut server.legacy) {
            ("ping", _) => Ok(Admission::Answered(Ok(ObjectBuf::new()))),
            ("initialize", Some(_)) => Err(ErrorObject::invalid_request(
                "the session is initialized already",
            )),
            ("initialize", None) => self.initialize_as_server(request),
            (_, None) => {
                let keys = [key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES];
                let message = format!(
                    "no session: send `initialize` first, or set {} in `_meta`",
                    keys.map(|k| format!("`{k}`")).join(" and ")
                );
                let data = json!({ "supported": all_versions() });
                Err(ErrorObject::invalid_params(message).with_data(&data))
            }
            (method, Some(legacy)) => {
                if !is_in(method, legacy.caller.version) {
                    return Err(ErrorObject::method_not_found(method));
                }
                if method == "logging/setLevel" && server.config.capabilities.logging.is_some() {
                    let params: SetLevelParams = decode_params(request)?;
                    legacy.log_level = params.level;
                    self.emit(Event::LogLevel(params.level));
                    return Ok(Admission::Answered(Ok(ObjectBuf::new())));
                }
                let progress_token = progress_token(token)?;
                Ok(Admission::Accepted(Terms {
                    caller: Arc::clone(&legacy.caller),
                    progress_token,
                    log_level: Some(legacy.log_level),
                    retry: None,
                }))
            }
        }
    }

    fn initialize_as_server(&mut self, request: &RequestMessage) -> Result<Admission, ErrorObject> {
        let params: InitializeParams = decode_params(request)?;
        let Side::Server(server) = &mut self.side else {
            return Ok(Admission::Dropped);
        };
        // REQ-LIFE-03, and never a modern version (REQ-LIFE-12).
        let version = ProtocolVersion::from_name(&params.protocol_version)
            .filter(|v| v.era() == Era::Legacy)
            .unwrap_or(ProtocolVersion::LATEST_LEGACY);
        let config = &server.config;
        let mut capabilities = config.capabilities.clone();
        if version < ProtocolVersion::V2025_03_26 {
            capabilities.completions = None;
        }
        let mut result = InitializeResult::new(version, capabilities, config.info.clone());
        result.instructions = config.instructions.clone();
        server.legacy = Some(LegacySession {
            caller: Arc::new(Caller {
                version,
                info: Some(params.client_info),
                capabilities: params.capabilities,
            }),
            log_level: config.log_level,
        });
        let level = config.log_level;
        self.emit(Event::LogLevel(level));
        Ok(Admission::Answered(Ok(text::object(&result))))
    }

    fn admit_as_client(
        &mut self,
        request: &RequestMessage,
        meta: Option<RawJson>,
    ) -> Result<Admission, ErrorObject> {
        let Side::Client(client) = &self.side else {
            return Ok(Admission::Dropped);
        };
        let version = match &client.phase {
            Phase::Open(established) if established.version.era() == Era::Legacy => {
                established.version
            }
            // A ping may come at any time before (REQ-LIFE-07); a modern client answers nothing at all (REQ-JRPC-14).
            Phase::Initializing { .. } if request.method == "ping" => {
                ProtocolVersion::LATEST_LEGACY
            }
            _ => return Ok(Admission::Dropped),
        };
        if request.method == "ping" {
            return Ok(Admission::Answered(Ok(ObjectBuf::new())));
        }
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let me = Caller {
            capabilities: client.config.capabilities.clone(),
            ..(*client.server).clone()
        };
        if !is_in(&request.method, version) {
            return Err(ErrorObject::method_not_found(&request.method));
        }
        if let Err(misuse) = crate::incoming::may_ask(&me, &request.method, &params) {
            // An undeclared method does not exist here (REQ-CAP-07); an undeclared mode of one is a wrong parameter (REQ-CAP-08).
            let declared = match request.method.as_str() {
                "elicitation/create" => me.capabilities.elicitation.is_some(),
                "sampling/createMessage" => me.capabilities.sampling.is_some(),
                _ => false,
            };
            return Err(if declared {
                ErrorObject::invalid_params(misuse.to_string())
            } else {
                ErrorObject::method_not_found(&request.method)
            });
        }
        let progress_token =
            progress_token(meta.and_then(|meta| meta.member(key::PROGRESS_TOKEN)))?;
        Ok(Admission::Accepted(Terms {
            caller: Arc::clone(&client.server),
            progress_token,
            log_level: None,
            retry: None,
        }))
    }
}

impl ServerSide {
    fn discovered(&self) -> DiscoverResult {
        let mut result = DiscoverResult::new(modern_versions(), self.config.capabilities.clone());
        result.instructions = self.config.instructions.clone();
        // What is offered may change while the server runs, and it may depend on who asks.
        result.ttl_ms = Some(0);
        result.cache_scope = Some(CacheScope::Private);
        result
    }
}

fn decode_params<T: for<'de> Deserialize<'de>>(request: &RequestMessage) -> Result<T, ErrorObject> {
    let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
    params
        .decode()
        .map_err(|e| ErrorObject::invalid_params(format!("{}: {e}", request.method)))
}

fn progress_token(raw: Option<RawJson>) -> Result<Option<ProgressToken>, ErrorObject> {
    raw.map(|raw| raw.decode()).transpose().map_err(|_| {
        ErrorObject::invalid_params("`_meta.progressToken` must be a string or an integer")
    })
}

/// The answers of an input round that a request brings, if it is the next one of an earlier request.
fn retry(request: &RequestMessage) -> Result<Option<Retry>, ErrorObject> {
    let Some(params) = request
        .params
        .as_ref()
        .filter(|_| takes_input(&request.method))
    else {
        return Ok(None);
    };
    let [responses, state] = params.members(["inputResponses", "requestState"]);
    if responses.is_none() && state.is_none() {
        return Ok(None);
    }
    let state = state
        .map(|raw| raw.decode::<String>())
        .transpose()
        .map_err(|_| ErrorObject::invalid_params("`requestState` must be a string"))?;
    let responses = responses.unwrap_or(RawJson::EMPTY_OBJECT);
    if !responses.is_object() {
        return Err(ErrorObject::invalid_params(
            "`inputResponses` must be an object",
        ));
    }
    Ok(Some(Retry { state, responses }))
}
