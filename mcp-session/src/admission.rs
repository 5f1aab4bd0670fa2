//! Under which terms a request of the peer's is taken: the routing table of inventory 3.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_types::meta::key;
use mcp_types::{
    CacheScope, ClientCapabilities, DiscoverResult, Era, ErrorObject, ForRevision, Implementation,
    InitializeParams, InitializeResult, ListenParams, LogLevel, ObjectBuf, ProgressToken,
    ProtocolVersion, RawJson, RequestMessage, SetLevelParams, TASKS_EXTENSION,
};
use serde::Deserialize;
use serde_json::json;

use crate::config::{ServerConfig, ServerSetup};
use crate::event::{Caller, Retry};
use crate::handshake::{ClientSide, Phase};
use crate::methods::{is_in, takes_input};
use crate::permission::missing_capability;
use crate::subscriptions::{Subscriptions, offers_streams};
use crate::text;

/// What becomes of a request.
pub(crate) enum Admission {
    /// The program is to answer it.
    Accepted(Terms),
    /// The client wants to hear of changes; the engine tells it.
    Listening(Terms, ListenParams),
    /// The engine has.
    Answered {
        result: ObjectBuf,
        /// The legacy log level, if the request has set it.
        level: Option<LogLevel>,
        /// The other end of the legacy session that the request has begun anew.
        left: Option<Arc<Caller>>,
    },
    /// Nobody may.
    Dropped,
}

/// Under which terms a request is taken.
pub(crate) struct Terms {
    pub(crate) caller: Arc<Caller>,
    pub(crate) progress_token: Option<ProgressToken>,
    /// The level of this request alone; a legacy session's level is looked up when it is needed.
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) retry: Option<Retry>,
    pub(crate) meta: Option<RawJson>,
    /// Bytes that the caller takes, if no other request has the same one.
    pub(crate) caller_bytes: usize,
}

impl Terms {
    /// Nothing but who asks.
    pub(crate) fn plain(caller: Arc<Caller>) -> Self {
        Self {
            caller,
            progress_token: None,
            log_level: None,
            retry: None,
            meta: None,
            caller_bytes: 0,
        }
    }
}

fn answered(result: ObjectBuf) -> Admission {
    Admission::Answered {
        result,
        level: None,
        left: None,
    }
}

// ---- the server's side ----

#[derive(Debug)]
pub(crate) struct ServerSide {
    setup: Arc<ServerSetup>,
    legacy: Option<LegacySession>,
    pub(crate) subscriptions: Subscriptions,
    /// What the last `_meta` said that may come again.
    last_meta: Option<Described>,
}

#[derive(Debug)]
struct LegacySession {
    caller: Arc<Caller>,
    log_level: LogLevel,
}

/// What a modern `_meta` says. Most are to the byte as the one before was, and those that are not, because of a token, say
/// the same of their caller.
#[derive(Debug)]
struct Described {
    /// `None` if it was long or had a token.
    meta: Option<RawJson>,
    capabilities: RawJson,
    info: Option<RawJson>,
    caller: Arc<Caller>,
    log_level: Option<LogLevel>,
}

/// Bytes of a `_meta` that is remembered, at most, and of what it says of its caller.
const REMEMBERED: usize = 4096;
/// Capabilities take so many times the bytes of their text, about, when they are many and short.
const DECODED: usize = 16;

/// What the engine reads of a modern request, besides the version that marks it.
struct ModernMeta {
    text: RawJson,
    capabilities: Option<RawJson>,
    info: Option<RawJson>,
    log_level: Option<RawJson>,
    progress_token: Option<RawJson>,
}

/// What a request brings of an input round, as it stands there.
struct RoundParts {
    responses: Option<RawJson>,
    state: Option<RawJson>,
}

impl ServerSide {
    pub(crate) fn new(setup: Arc<ServerSetup>) -> Self {
        Self {
            setup,
            legacy: None,
            subscriptions: Subscriptions::default(),
            last_meta: None,
        }
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.setup.config
    }

    /// Whether nobody has opened anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.legacy.is_none() && self.subscriptions.is_empty()
    }

    /// The other end of the legacy session, if there is one.
    pub(crate) fn legacy_caller(&self) -> Option<&Arc<Caller>> {
        self.legacy.as_ref().map(|legacy| &legacy.caller)
    }

    pub(crate) fn legacy_log_level(&self) -> Option<LogLevel> {
        self.legacy.as_ref().map(|legacy| legacy.log_level)
    }

    /// Whether a log level is of any use (REQ-LOG-01).
    pub(crate) fn logs(&self) -> bool {
        self.config().capabilities.logging.is_some()
    }

    /// The versions that are spoken here, newest first.
    fn versions(&self) -> impl Iterator<Item = ProtocolVersion> {
        let spoken = &self.config().versions;
        let all = ProtocolVersion::ALL.into_iter().rev();
        all.filter(|version| spoken.contains(version))
    }

    /// Those of an era.
    fn versions_of(&self, era: Era) -> impl Iterator<Item = ProtocolVersion> {
        self.versions().filter(move |version| version.era() == era)
    }

    /// The refusal of a version, which names those of an era instead (REQ-VER-01).
    fn unsupported(&self, version: String, era: Era) -> ErrorObject {
        let supported = self.versions_of(era).map(ProtocolVersion::as_str);
        ErrorObject::unsupported_protocol_version(text::brief(version), supported)
    }

    /// Each request by itself: the marker decides, whatever the method (TRAP-23).
    pub(crate) fn admit(&mut self, request: &RequestMessage) -> Result<Admission, ErrorObject> {
        // One look at the parameters for everything that is the engine's.
        let last = self.last_meta.as_ref().and_then(|last| last.meta.as_ref());
        let [meta, responses, state] = (request.params.as_ref())
            .map(|params| params.members_past(["_meta", "inputResponses", "requestState"], last))
            .unwrap_or_default();
        let meta = meta.filter(|meta| !meta.is_null());
        if meta.as_ref().is_some_and(|meta| !meta.is_object()) {
            return Err(ErrorObject::invalid_params("`_meta` must be an object"));
        }
        let round = RoundParts { responses, state };
        if let Some(last) = &self.last_meta
            && meta.is_some()
            && last.meta == meta
        {
            in_modern(request)?;
            let terms = Terms {
                log_level: last.log_level,
                meta,
                ..Terms::plain(Arc::clone(&last.caller))
            };
            return self.accept_modern(request, terms, round);
        }
        let fields = meta.as_ref().map(|meta| {
            meta.members([
                key::PROTOCOL_VERSION,
                key::CLIENT_CAPABILITIES,
                key::CLIENT_INFO,
                key::LOG_LEVEL,
                key::PROGRESS_TOKEN,
            ])
        });
        match (meta, fields) {
            (Some(text), Some([Some(version), capabilities, info, log_level, progress_token])) => {
                let meta = ModernMeta {
                    text,
                    capabilities,
                    info,
                    log_level,
                    progress_token,
                };
                self.admit_modern(request, &version, meta, round)
            }
            (meta, fields) => {
                let token = fields.and_then(|[.., token]| token);
                self.admit_legacy(request, meta, token)
            }
        }
    }

    /// The order of the checks is that of REQ-STATE-07.
    fn admit_modern(
        &mut self,
        request: &RequestMessage,
        version: &RawJson,
        meta: ModernMeta,
        round: RoundParts,
    ) -> Result<Admission, ErrorObject> {
        let malformed =
            |key: &str, what: &str| ErrorObject::invalid_params(format!("`_meta.{key}` {what}"));
        let version: String = version
            .decode()
            .map_err(|_| malformed(key::PROTOCOL_VERSION, "must be a string"))?;
        let capabilities = meta
            .capabilities
            .ok_or_else(|| malformed(key::CLIENT_CAPABILITIES, "is missing"))?;
        if !capabilities.is_object() {
            return Err(malformed(key::CLIENT_CAPABILITIES, "must be an object"));
        }
        if !self
            .versions_of(Era::Modern)
            .any(|spoken| spoken.as_str() == version)
        {
            // A server that speaks none has those to name that `initialize` opens.
            let era = match self.versions_of(Era::Modern).next() {
                Some(_) => Era::Modern,
                None => Era::Legacy,
            };
            return Err(self.unsupported(version, era));
        }
        in_modern(request)?;
        // REQ-LOG-06
        let log_level = meta
            .log_level
            .map(|level| level.decode::<LogLevel>())
            .transpose()
            .map_err(|_| malformed(key::LOG_LEVEL, "is not a log level"))?
            .filter(|_| self.logs());
        let progress_token = progress_token(meta.progress_token)?;
        let caller = self.modern_caller(&capabilities, meta.info.as_ref())?;
        let again = progress_token.is_none() && meta.text.len() <= REMEMBERED;
        if again && let Some(last) = &mut self.last_meta {
            (last.meta, last.log_level) = (Some(meta.text.compact()), log_level);
        }
        let terms = Terms {
            progress_token,
            log_level,
            meta: Some(meta.text),
            caller_bytes: match described(&capabilities, meta.info.as_ref()) {
                // The next request may well be of the same one.
                ..=REMEMBERED => 0,
                long => DECODED * capabilities.len() + long + caller.info.as_ref().map_or(0, lists),
            },
            ..Terms::plain(caller)
        };
        self.accept_modern(request, terms, round)
    }

    /// Takes a modern request whose `_meta` is as it must be.
    fn accept_modern(
        &self,
        request: &RequestMessage,
        terms: Terms,
        round: RoundParts,
    ) -> Result<Admission, ErrorObject> {
        if request.method == "server/discover" {
            let mut result = text::object(&self.discovered());
            self.mark_complete(&mut result);
            return Ok(answered(result));
        }
        let retry = match takes_input(&request.method) {
            true => retry(round)?,
            false => None,
        };
        let terms = Terms { retry, ..terms };
        if request.method == "subscriptions/listen" {
            if !offers_streams(&self.config().capabilities) {
                return Err(ErrorObject::method_not_found(&request.method));
            }
            let params: ListenParams = decode_params(request)?;
            let follows = params.notifications.task_ids.is_some();
            let offered = self.config().capabilities.extension(TASKS_EXTENSION);
            let declared = terms.caller.capabilities.extension(TASKS_EXTENSION);
            if follows && offered.is_some() && declared.is_none() {
                let required =
                    ClientCapabilities::new().extensions(TASKS_EXTENSION, RawJson::EMPTY_OBJECT);
                return Err(ErrorObject::missing_client_capability(required));
            }
            return Ok(Admission::Listening(terms, params));
        }
        Ok(Admission::Accepted(terms))
    }

    /// The caller that a modern request describes; what an earlier request said does not count (REQ-CAP-04, TRAP-29).
    fn modern_caller(
        &mut self,
        capabilities: &RawJson,
        info: Option<&RawJson>,
    ) -> Result<Arc<Caller>, ErrorObject> {
        if let Some(last) = &self.last_meta
            && last.capabilities == *capabilities
            && last.info.as_ref() == info
        {
            return Ok(Arc::clone(&last.caller));
        }
        let caller = Arc::new(Caller {
            version: ProtocolVersion::LATEST_MODERN,
            // Tolerated if it is malformed: nothing may depend on it (REQ-META-03, REQ-META-05).
            info: info.and_then(|raw| raw.decode::<Implementation>().ok()),
            capabilities: capabilities.decode().map_err(|e| {
                ErrorObject::invalid_params(format!("`_meta.{}`: {e}", key::CLIENT_CAPABILITIES))
            })?,
        });
        // What is too long is forgotten, or the next `_meta` would be kept with the caller before.
        let short = described(capabilities, info) <= REMEMBERED;
        self.last_meta = short.then(|| Described {
            meta: None,
            capabilities: capabilities.compact(),
            info: info.map(RawJson::compact),
            caller: Arc::clone(&caller),
            log_level: None,
        });
        Ok(caller)
    }

    fn discovered(&self) -> DiscoverResult {
        let capabilities = self.config().capabilities.clone();
        let capabilities = capabilities.for_revision(ProtocolVersion::LATEST_MODERN);
        let mut result = DiscoverResult::new(self.versions_of(Era::Modern), capabilities);
        result.instructions = self.config().instructions.clone();
        // What is offered may change while the server runs, and it may depend on who asks.
        result.ttl_ms = Some(0);
        result.cache_scope = Some(CacheScope::Private);
        result
    }

    fn admit_legacy(
        &mut self,
        request: &RequestMessage,
        meta: Option<RawJson>,
        token: Option<RawJson>,
    ) -> Result<Admission, ErrorObject> {
        let logs = self.logs();
        match (request.method.as_str(), &mut self.legacy) {
            ("ping", _) => Ok(answered(ObjectBuf::new())),
            // Again, too, for a client that takes up a process or session which another part of it has left.
            ("initialize", _) => self.initialize(request),
            (_, None) => {
                let keys = [key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES];
                let ways = [
                    (Era::Legacy, "send `initialize` first".to_owned()),
                    (
                        Era::Modern,
                        format!(
                            "set {} in `_meta`",
                            keys.map(|k| format!("`{k}`")).join(" and ")
                        ),
                    ),
                ];
                let open = ways.into_iter().filter_map(|(era, way)| {
                    let is_open = self.versions_of(era).next().is_some();
                    is_open.then_some(way)
                });
                let message = format!("no session: {}", open.collect::<Vec<_>>().join(", or "));
                let versions: Vec<_> = self.versions().collect();
                let data = json!({ "supported": versions });
                Err(ErrorObject::invalid_params(message).with_data(&data))
            }
            (method, Some(legacy)) => {
                if !is_in(method, legacy.caller.version) {
                    return Err(ErrorObject::method_not_found(method));
                }
                if method == "logging/setLevel" && logs {
                    let params: SetLevelParams = decode_params(request)?;
                    legacy.log_level = params.level;
                    return Ok(Admission::Answered {
                        result: ObjectBuf::new(),
                        level: Some(params.level),
                        left: None,
                    });
                }
                let caller = Arc::clone(&legacy.caller);
                let subscribes = (self.setup.config.capabilities.resources.as_ref())
                    .is_some_and(|resources| resources.subscribe);
                match method {
                    "resources/subscribe" if subscribes => {
                        let limits = &self.setup.config.limits;
                        self.subscriptions
                            .subscribe(decode_params(request)?, limits)?;
                        return Ok(answered(ObjectBuf::new()));
                    }
                    "resources/unsubscribe" if subscribes => {
                        self.subscriptions.unsubscribe(&decode_params(request)?);
                        return Ok(answered(ObjectBuf::new()));
                    }
                    _ => {}
                }
                let progress_token = progress_token(token)?;
                Ok(Admission::Accepted(Terms {
                    progress_token,
                    log_level: logs.then_some(legacy.log_level),
                    meta,
                    ..Terms::plain(caller)
                }))
            }
        }
    }

    fn initialize(&mut self, request: &RequestMessage) -> Result<Admission, ErrorObject> {
        let params: InitializeParams = decode_params(request)?;
        // REQ-LIFE-03, and never a modern version (REQ-LIFE-12).
        let asked = |version: &ProtocolVersion| version.as_str() == params.protocol_version;
        let version = (self.versions_of(Era::Legacy).find(asked))
            .or_else(|| self.versions_of(Era::Legacy).next());
        let Some(version) = version else {
            // REQ-VER-06
            return Err(self.unsupported(params.protocol_version, Era::Modern));
        };
        let config = self.config();
        let capabilities = config.capabilities.clone().for_revision(version);
        let mut result = InitializeResult::new(version, capabilities, config.info.clone());
        result.instructions = config.instructions.clone();
        let log_level = config.log_level;
        self.subscriptions.forget_resources();
        let left = self.legacy.replace(LegacySession {
            caller: Arc::new(Caller {
                version,
                info: Some(params.client_info),
                capabilities: params.capabilities,
            }),
            log_level,
        });
        Ok(Admission::Answered {
            result: text::object(&result),
            level: self.logs().then_some(log_level),
            left: left.map(|session| session.caller),
        })
    }

    /// Adds what every modern result carries (REQ-JRPC-09, REQ-META-04); a type of result that the program has set stays.
    pub(crate) fn mark_complete(&self, result: &mut ObjectBuf) {
        if !result.mentions("resultType") && !result.mentions("_meta") {
            return result.append(&self.setup.result_end);
        }
        match result.take("resultType") {
            Some(own) if own.as_bytes().first() == Some(&b'"') => {
                result.insert_raw("resultType", &own);
            }
            _ => text::insert(result, "resultType", "complete"),
        }
        self.mark_server(result);
    }

    /// Adds what every result that ends an input round carries.
    pub(crate) fn mark_input_required(&self, result: &mut ObjectBuf) {
        text::insert(result, "resultType", "input_required");
        self.mark_server(result);
    }

    fn mark_server(&self, result: &mut ObjectBuf) {
        let meta = match result.take("_meta").and_then(ObjectBuf::from_raw) {
            None => self.setup.result_meta.clone(),
            Some(mut meta) => {
                meta.take(key::SERVER_INFO);
                text::insert(&mut meta, key::SERVER_INFO, &self.config().info);
                meta.finish()
            }
        };
        result.insert_raw("_meta", &meta);
    }
}

// ---- the client's side ----

impl ClientSide {
    /// A legacy server may ask for what was declared; a modern one may not ask at all (REQ-JRPC-12).
    pub(crate) fn admit(&self, request: &RequestMessage) -> Result<Admission, ErrorObject> {
        let version = match &self.phase {
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
            return Ok(answered(ObjectBuf::new()));
        }
        if !is_in(&request.method, version) {
            return Err(ErrorObject::method_not_found(&request.method));
        }
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let declared = &self.config.capabilities;
        if let Some(capability) = missing_capability(declared, &request.method, &params) {
            // An undeclared method does not exist here (REQ-CAP-07); an undeclared mode of one is a wrong parameter
            // (REQ-CAP-08, REQ-CAP-09).
            return Err(if capability.contains('.') {
                let message = format!("`{}` is not declared", capability);
                ErrorObject::invalid_params(message)
            } else {
                ErrorObject::method_not_found(&request.method)
            });
        }
        let token = meta_of(request).and_then(|meta| meta.member(key::PROGRESS_TOKEN));
        Ok(Admission::Accepted(Terms {
            progress_token: progress_token(token)?,
            ..Terms::plain(Arc::clone(&self.server))
        }))
    }
}

// ---- what stands in a request ----

fn meta_of(request: &RequestMessage) -> Option<RawJson> {
    request.params.as_ref()?.member("_meta")
}

/// Bytes of the text from which a caller is made.
fn described(capabilities: &RawJson, info: Option<&RawJson>) -> usize {
    capabilities.len() + info.map_or(0, RawJson::len)
}

/// Bytes that a description takes besides those of its texts.
fn lists(info: &Implementation) -> usize {
    let icons = info.icons.as_deref().unwrap_or_default();
    let sizes = icons.iter().flat_map(|icon| icon.sizes.iter().flatten());
    size_of_val(icons) + sizes.count() * size_of::<String>()
}

fn in_modern(request: &RequestMessage) -> Result<(), ErrorObject> {
    match is_in(&request.method, ProtocolVersion::LATEST_MODERN) {
        true => Ok(()),
        false => Err(ErrorObject::method_not_found(&request.method)),
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
fn retry(round: RoundParts) -> Result<Option<Retry>, ErrorObject> {
    let RoundParts { responses, state } = round;
    if responses.is_none() && state.is_none() {
        return Ok(None);
    }
    let state = state
        .map(|raw| raw.decode::<String>())
        .transpose()
        .map_err(|_| ErrorObject::invalid_params("`requestState` must be a string"))?;
    let responses = responses.unwrap_or(RawJson::EMPTY_OBJECT);
    // REQ-MRTR-13: what an answer is, whoever has asked for it says; one that is none is asked for again.
    if responses.decode::<BTreeMap<String, RawJson>>().is_err() {
        return Err(ErrorObject::invalid_params(
            "`inputResponses` must be an object",
        ));
    }
    Ok(Some(Retry { state, responses }))
}
