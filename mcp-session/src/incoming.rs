//! Requests of the peer's: each is routed by its own era, and answered at most once.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Instant;

use mcp_types::{
    CancelledParams, Era, ErrorObject, LogLevel, Message, MethodName, ObjectBuf, Outbound,
    ProgressToken, ProtocolVersion, RawJson, RequestId, RequestMessage,
};
use serde::Serialize;

use crate::NOTIFICATIONS_EXTENSION;
use crate::error::{ApiMisuse, NotSent, PeerMisbehaved};
use crate::event::{CallKey, Caller, Cancellation, Event, Incoming, IncomingKey, Retry};
use crate::lifecycle::{Admission, is_core, is_in};
use crate::rounds::{InputRequired, takes_input};
use crate::session::{Session, Side};
use crate::text;

/// The table of requests of the peer's that are not answered.
#[derive(Debug, Default)]
pub(crate) struct IncomingTable {
    entries: HashMap<IncomingKey, Entry>,
    by_id: HashMap<RequestId, IncomingKey>,
    last_key: u64,
    /// How many entries are questions of input rounds: mostly none, and then nobody needs to look for them.
    questions: usize,
}

#[derive(Debug)]
struct Entry {
    origin: Origin,
    method: MethodName,
    caller: Arc<Caller>,
    progress_token: Option<ProgressToken>,
    last_progress: f64,
    /// The level of this request alone; a legacy session's level is looked up when it is needed.
    log_level: Option<LogLevel>,
}

/// Where an answer goes.
#[derive(Debug)]
enum Origin {
    Wire(RequestId),
    /// A question of an input round of our own call.
    Round {
        call: CallKey,
        name: String,
    },
}

impl IncomingTable {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn id_of(&self, key: IncomingKey) -> Option<RequestId> {
        match &self.entries.get(&key)?.origin {
            Origin::Wire(id) => Some(id.clone()),
            Origin::Round { .. } => None,
        }
    }

    fn next_key(&mut self) -> IncomingKey {
        self.last_key += 1;
        IncomingKey(self.last_key)
    }

    fn remove(&mut self, key: IncomingKey) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        match &entry.origin {
            Origin::Wire(id) => drop(self.by_id.remove(id)),
            Origin::Round { .. } => self.questions -= 1,
        }
        Some(entry)
    }

    /// The unanswered questions that a call of ours was answered with, oldest first.
    pub(crate) fn questions_of(&self, call: CallKey) -> Vec<IncomingKey> {
        if self.questions == 0 {
            return Vec::new();
        }
        let of_call =
            |entry: &Entry| matches!(entry.origin, Origin::Round { call: c, .. } if c == call);
        let mut keys: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, e)| of_call(e))
            .map(|(k, _)| *k)
            .collect();
        keys.sort_unstable();
        keys
    }
}

impl Session {
    pub(crate) fn handle_request(&mut self, request: RequestMessage) {
        if let Slot::Occupied(_) = self.incoming.by_id.entry(request.id.clone()) {
            // REQ-ID-02, REQ-ID-03: the one that runs is not to be harmed by the one that came second.
            let error = ErrorObject::invalid_request(format!("id {} is in use", request.id));
            return self.transmit(Message::error(Some(request.id), error).into());
        }
        let admission = match self.admit(&request) {
            Ok(admission) => admission,
            Err(error) => return self.transmit_answer(request.id, Err(error)),
        };
        match admission {
            Admission::Answered(result) => {
                self.transmit_answer(request.id, result.map(ObjectBuf::finish));
            }
            Admission::Dropped => {
                self.emit(Event::Misbehaved(PeerMisbehaved::ForbiddenRequest(
                    request.method,
                )));
            }
            Admission::Accepted(terms) => {
                if self.incoming.len() >= self.limits.incoming_requests {
                    self.counters.refused_requests += 1;
                    let limit = self.limits.incoming_requests;
                    let error =
                        ErrorObject::internal(format!("more than {limit} requests in flight"));
                    return self.transmit_answer(request.id, Err(error));
                }
                let key = self.incoming.next_key();
                self.incoming.by_id.insert(request.id.clone(), key);
                let entry = Entry {
                    origin: Origin::Wire(request.id.clone()),
                    method: request.method.clone(),
                    caller: Arc::clone(&terms.caller),
                    progress_token: terms.progress_token.clone(),
                    last_progress: f64::NEG_INFINITY,
                    log_level: terms.log_level,
                };
                self.incoming.entries.insert(key, entry);
                let own_notifications = terms.caller.version.era() == Era::Legacy
                    || self.notifications_negotiated(&terms.caller);
                self.emit(Event::Request(Incoming {
                    key,
                    own_notifications,
                    id: Some(request.id),
                    method: request.method,
                    params: request.params,
                    caller: terms.caller,
                    progress_token: terms.progress_token,
                    log_level: terms.log_level,
                    retry: terms.retry,
                }));
            }
        }
    }

    /// Hands a question of an input round to the program, as if the server had sent a request.
    pub(crate) fn ask_program(
        &mut self,
        call: CallKey,
        name: String,
        method: MethodName,
        params: Option<RawJson>,
        caller: Arc<Caller>,
    ) -> IncomingKey {
        let key = self.incoming.next_key();
        let entry = Entry {
            origin: Origin::Round { call, name },
            method: method.clone(),
            caller: Arc::clone(&caller),
            progress_token: None,
            last_progress: f64::NEG_INFINITY,
            log_level: None,
        };
        self.incoming.entries.insert(key, entry);
        self.incoming.questions += 1;
        self.emit(Event::Request(Incoming {
            key,
            own_notifications: false,
            id: None,
            method,
            params,
            caller,
            progress_token: None,
            log_level: None,
            retry: None,
        }));
        key
    }

    /// Takes back a question that nobody waits for any more.
    pub(crate) fn drop_question(&mut self, key: IncomingKey) {
        if self.incoming.remove(key).is_some() {
            self.cancelled(key, Cancellation::CallEnded);
        }
    }

    fn transmit_answer(&mut self, id: RequestId, outcome: Result<RawJson, ErrorObject>) {
        let related_to = Some(id.clone());
        let message = match outcome {
            Ok(result) => Message::result(id, result),
            Err(error) => Message::error(Some(id), error),
        };
        self.transmit(Outbound {
            message,
            related_to,
        });
    }

    pub(crate) fn finish_incoming(
        &mut self,
        now: Instant,
        key: IncomingKey,
        outcome: Result<ObjectBuf, ErrorObject>,
    ) -> Result<(), ApiMisuse> {
        let entry = self.incoming.remove(key).ok_or(ApiMisuse::Ended)?;
        match entry.origin {
            Origin::Round { call, name } => {
                self.answer_question(now, call, key, name, entry.method, outcome)
            }
            Origin::Wire(id) => {
                let outcome = outcome.map(|mut result| {
                    if entry.caller.version.era() == Era::Modern {
                        self.mark_result(&mut result, "complete");
                    }
                    result.finish()
                });
                self.transmit_answer(id, outcome);
            }
        }
        Ok(())
    }

    pub(crate) fn finish_with_questions(
        &mut self,
        key: IncomingKey,
        input: InputRequired,
    ) -> Result<(), ApiMisuse> {
        let entry = self.incoming.entries.get(&key).ok_or(ApiMisuse::Ended)?;
        if entry.caller.version.era() != Era::Modern || !takes_input(&entry.method) {
            return Err(ApiMisuse::NoInputHere(entry.method.clone()));
        }
        for question in input.questions.values() {
            may_ask(&entry.caller, &question.method, &question.params)?;
        }
        let mut result = input.into_object();
        self.mark_result(&mut result, "input_required");
        if let Some(Entry {
            origin: Origin::Wire(id),
            ..
        }) = self.incoming.remove(key)
        {
            self.transmit_answer(id, Ok(result.finish()));
        }
        Ok(())
    }

    /// Adds what every modern result carries (REQ-JRPC-09, REQ-META-04).
    pub(crate) fn mark_result(&self, result: &mut ObjectBuf, kind: &str) {
        let Side::Server(server) = &self.side else {
            return;
        };
        if kind != "complete" || result.take("resultType").is_none() {
            text::insert(result, "resultType", kind);
        }
        let meta = match result.take("_meta").and_then(ObjectBuf::from_raw) {
            None => server.result_meta().clone(),
            Some(mut meta) => {
                if let Some(info) = server
                    .result_meta()
                    .member(mcp_types::meta::key::SERVER_INFO)
                {
                    meta.take(mcp_types::meta::key::SERVER_INFO);
                    meta.insert_raw(mcp_types::meta::key::SERVER_INFO, &info);
                }
                meta.finish()
            }
        };
        result.insert_raw("_meta", &meta);
    }

    pub(crate) fn handle_cancelled(&mut self, params: Option<&RawJson>) {
        // Unknown, finished and malformed cancellations are ignored (REQ-CANC-07). The id is one of the
        // sender's own requests, never one of ours (TRAP-36).
        let Some(params) = params.and_then(|raw| raw.decode::<CancelledParams>().ok()) else {
            return;
        };
        let Some(key) = params
            .request_id
            .and_then(|id| self.incoming.by_id.get(&id).copied())
        else {
            return;
        };
        self.incoming.remove(key);
        let reason = params.reason;
        self.cancelled(key, Cancellation::ByPeer { reason });
    }

    // ---- what may go out ----

    pub(crate) fn may_notify(
        &self,
        related: Option<IncomingKey>,
        method: &MethodName,
    ) -> Result<Option<RequestId>, NotSent> {
        // These have verbs of their own, with rules of their own.
        if matches!(
            method.as_str(),
            "notifications/cancelled"
                | "notifications/progress"
                | "notifications/message"
                | "notifications/initialized"
                | "notifications/subscriptions/acknowledged"
        ) {
            return Err(NotSent::Forbidden);
        }
        if let Some(key) = related {
            let entry = self.incoming.entries.get(&key).ok_or(NotSent::Ended)?;
            return match (entry.caller.version.era(), is_core(method)) {
                (Era::Legacy, _) => self
                    .legacy_direction(method)
                    .map(|()| self.incoming.id_of(key)),
                // List changes go to listen streams only.
                (Era::Modern, true) => Err(NotSent::Forbidden),
                (Era::Modern, false) if self.notifications_negotiated(&entry.caller) => {
                    Ok(self.incoming.id_of(key))
                }
                (Era::Modern, false) => Err(NotSent::NotNegotiated),
            };
        }
        if self.legacy_version().is_some() {
            return self.legacy_direction(method).map(|()| None);
        }
        match (&self.side, self.established()) {
            (Side::Client(_), Some(_)) if is_core(method) => Err(NotSent::Forbidden),
            (Side::Client(client), Some(server)) => {
                let ours = client
                    .config
                    .capabilities
                    .extension(NOTIFICATIONS_EXTENSION);
                let theirs = server.capabilities.extension(NOTIFICATIONS_EXTENSION);
                if ours.is_some() && theirs.is_some() {
                    Ok(None)
                } else {
                    Err(NotSent::NotNegotiated)
                }
            }
            _ => Err(NotSent::NoSession),
        }
    }

    /// Who may send which of the protocol's own notifications in a legacy session.
    fn legacy_direction(&self, method: &MethodName) -> Result<(), NotSent> {
        let from_client = method == "notifications/roots/list_changed";
        let either = !is_core(method) || method == "notifications/tasks/status";
        let version = self.legacy_version().ok_or(NotSent::NoSession)?;
        let allowed = either || from_client == matches!(self.side, Side::Client(_));
        if allowed && is_in(method, version) {
            Ok(())
        } else {
            Err(NotSent::Forbidden)
        }
    }

    fn notifications_negotiated(&self, caller: &Caller) -> bool {
        let Side::Server(server) = &self.side else {
            return false;
        };
        let ours = server
            .config
            .capabilities
            .extension(NOTIFICATIONS_EXTENSION);
        let theirs = caller.capabilities.extension(NOTIFICATIONS_EXTENSION);
        ours.is_some() && theirs.is_some()
    }

    pub(crate) fn may_log(
        &self,
        related: Option<IncomingKey>,
        level: LogLevel,
    ) -> Result<Option<RequestId>, NotSent> {
        let Side::Server(server) = &self.side else {
            return Err(NotSent::Forbidden);
        };
        if server.config.capabilities.logging.is_none() {
            return Err(NotSent::Unwanted);
        }
        let entry = match related {
            Some(key) => Some(self.incoming.entries.get(&key).ok_or(NotSent::Ended)?),
            None => None,
        };
        let threshold = match entry {
            Some(entry) if entry.caller.version.era() == Era::Modern => entry.log_level,
            // Outside of requests only a legacy session takes logs (inventory 3.7).
            _ => Some(server.legacy_log_level().ok_or(NotSent::NoSession)?),
        };
        if threshold.is_some_and(|t| level >= t) {
            Ok(related.and_then(|key| self.incoming.id_of(key)))
        } else {
            Err(NotSent::Unwanted)
        }
    }

    pub(crate) fn progress_message(
        &mut self,
        key: IncomingKey,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<Outbound, NotSent> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            progress_token: &'a ProgressToken,
            progress: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            total: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'a str>,
        }
        let entry = self.incoming.entries.get_mut(&key).ok_or(NotSent::Ended)?;
        let progress_token = entry.progress_token.as_ref().ok_or(NotSent::Unwanted)?;
        // Also false for NaN, and what is not finite has no form in JSON.
        if !(progress.is_finite() && progress > entry.last_progress) {
            return Err(NotSent::NotIncreasing);
        }
        entry.last_progress = progress;
        let message = message.filter(|_| entry.caller.version >= ProtocolVersion::V2025_03_26);
        let total = total.filter(|t| t.is_finite());
        let params = Some(text::raw(&Params {
            progress_token,
            progress,
            total,
            message,
        }));
        let message = Message::notification("notifications/progress", params);
        Ok(Outbound {
            message,
            related_to: self.incoming.id_of(key),
        })
    }

    /// Whether a request of ours may be sent now, and in which era.
    pub(crate) fn may_call(
        &self,
        method: &MethodName,
        related: Option<IncomingKey>,
    ) -> Result<Era, ApiMisuse> {
        match &self.side {
            Side::Client(client) => client
                .established()
                .map(|e| e.version.era())
                .ok_or(ApiMisuse::NotOpen),
            Side::Server(server) => {
                let caller = match related {
                    Some(key) => {
                        &self
                            .incoming
                            .entries
                            .get(&key)
                            .ok_or(ApiMisuse::Ended)?
                            .caller
                    }
                    None => server.legacy_caller().ok_or(ApiMisuse::NotOpen)?,
                };
                if caller.version.era() == Era::Modern {
                    return Err(ApiMisuse::ModernClient);
                }
                may_ask(caller, method, &RawJson::EMPTY_OBJECT)?;
                Ok(Era::Legacy)
            }
        }
    }
}

/// Whether a client has declared what a question needs (REQ-CAP-03, REQ-ELIC-01, REQ-SAMP-02).
///
/// # Errors
/// [`ApiMisuse::MissingCapability`] names it.
pub fn may_ask(caller: &Caller, method: &MethodName, params: &RawJson) -> Result<(), ApiMisuse> {
    let declared = &caller.capabilities;
    let missing = match method.as_str() {
        "sampling/createMessage" => match &declared.sampling {
            None => Some("sampling"),
            Some(sampling) if sampling.tools.is_none() => {
                let [tools, choice] = params.members(["tools", "toolChoice"]);
                (tools.is_some() || choice.is_some()).then_some("sampling.tools")
            }
            Some(_) => None,
        },
        "elicitation/create" => {
            let url = params
                .member("mode")
                .is_some_and(|mode| mode.as_bytes() == b"\"url\"");
            match &declared.elicitation {
                None => Some("elicitation"),
                Some(modes) if url => modes.url.is_none().then_some("elicitation.url"),
                // `{}` means form (REQ-CAP-10).
                Some(modes) => {
                    (modes.form.is_none() && modes.url.is_some()).then_some("elicitation.form")
                }
            }
        }
        "roots/list" => declared.roots.is_none().then_some("roots"),
        _ => None,
    };
    match missing {
        None => Ok(()),
        Some(capability) => {
            let method = method.clone();
            Err(ApiMisuse::MissingCapability { method, capability })
        }
    }
}

/// Under which terms a request is taken.
pub(crate) struct Terms {
    pub(crate) caller: Arc<Caller>,
    pub(crate) progress_token: Option<ProgressToken>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) retry: Option<Retry>,
}
