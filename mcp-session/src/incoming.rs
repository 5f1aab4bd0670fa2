//! Requests of the peer's: each is routed by its own era, and answered at most once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mcp_types::{
    CancelledParams, Era, ErrorObject, ForRevision, ListenParams, LogLevel, Message, MethodName,
    ObjectBuf, Outbound, ProgressToken, ProtocolVersion, RawJson, RequestId, RequestMessage,
};
use serde::{Serialize, Serializer};

use crate::admission::{Admission, Terms};
use crate::error::{ApiMisuse, ConnectError, NotSent, PeerMisbehaved};
use crate::event::{CallKey, Caller, Cancellation, Event, Incoming, IncomingKey};
use crate::handshake::is_opening;
use crate::keys::KeyMap;
use crate::methods::takes_input;
use crate::permission::may_ask;
use crate::rounds::{InputRequired, Question};
use crate::session::{Session, Side};
use crate::text;

/// The table of requests of the peer's that are not answered.
#[derive(Debug, Default)]
pub(crate) struct IncomingTable {
    entries: KeyMap<IncomingKey, Entry>,
    /// Few at a time, mostly: to hash an id would take longer than to find it in order.
    by_id: BTreeMap<RequestId, IncomingKey>,
    last_key: u64,
    /// What the peer sent with all of them, in bytes, and the states of input rounds.
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Entry {
    origin: Origin,
    method: MethodName,
    bytes: usize,
    pub(crate) caller: Arc<Caller>,
    progress_token: Option<ProgressToken>,
    last_progress: f64,
    /// The level of this request alone; a legacy session's level is looked up when it is needed.
    pub(crate) log_level: Option<LogLevel>,
}

impl Entry {
    /// Its id on the wire.
    pub(crate) fn id(&self) -> Option<RequestId> {
        match &self.origin {
            Origin::Wire(id) => Some(id.clone()),
            Origin::Round { .. } => None,
        }
    }
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
    /// An empty one, whose keys are none of this one's.
    pub(crate) fn succeeded(&self) -> Self {
        Self {
            last_key: self.last_key,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a request under this id is not answered.
    pub(crate) fn has(&self, id: &RequestId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn get(&self, key: IncomingKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The requests of a caller, by their ids.
    fn of(&self, caller: &Arc<Caller>) -> Vec<(RequestId, IncomingKey)> {
        let is_of = |key| (self.caller_of(key)).is_some_and(|of| Arc::ptr_eq(of, caller));
        let of_caller = self.by_id.iter().filter(|(_, key)| is_of(**key));
        of_caller.map(|(id, key)| (id.clone(), *key)).collect()
    }

    pub(crate) fn id_of(&self, key: IncomingKey) -> Option<RequestId> {
        self.get(key)?.id()
    }

    pub(crate) fn caller_of(&self, key: IncomingKey) -> Option<&Arc<Caller>> {
        Some(&self.get(key)?.caller)
    }

    /// Weighs what the peer sent and is kept besides.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    fn insert(
        &mut self,
        origin: Origin,
        method: MethodName,
        bytes: usize,
        terms: &Terms,
    ) -> IncomingKey {
        self.last_key += 1;
        self.bytes += bytes;
        let key = IncomingKey(self.last_key);
        if let Origin::Wire(id) = &origin {
            self.by_id.insert(id.clone(), key);
        }
        let entry = Entry {
            origin,
            method,
            bytes,
            caller: Arc::clone(&terms.caller),
            progress_token: terms.progress_token.clone(),
            last_progress: f64::NEG_INFINITY,
            log_level: terms.log_level,
        };
        self.entries.insert(key, entry);
        key
    }

    fn remove(&mut self, key: IncomingKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes;
        if let Origin::Wire(id) = &entry.origin {
            self.by_id.remove(id);
        }
        Some(entry)
    }
}

/// What keeping a request keeps of what the peer sent.
fn weight(request: &RequestMessage, terms: &Terms) -> usize {
    let id = match &request.id {
        RequestId::Number(_) => 0,
        // Its clones share it.
        RequestId::String(id) => id.len(),
    };
    let params = request.params.as_ref().map_or(0, RawJson::len);
    id + request.method.len() + params + terms.caller_bytes
}

impl Session {
    pub(crate) fn handle_request(&mut self, request: RequestMessage) {
        if self.is_handshake(&request.id) && is_opening(&request.method) {
            return self.fail(ConnectError::Echo);
        }
        if self.incoming.has(&request.id) {
            // REQ-ID-02, REQ-ID-03: the one that runs is not to be harmed by the one that came second.
            let id = text::brief(request.id.to_string());
            let error = ErrorObject::invalid_request(format!("id {id} is in use"));
            return self.transmit(Message::error(Some(request.id), error).into());
        }
        let admission = match &mut self.side {
            Side::Client(client) => client.admit(&request),
            Side::Server(server) => server.admit(&request),
        };
        match admission {
            Ok(Admission::Accepted(terms)) => self.accept(request, terms),
            Ok(Admission::Listening(terms, params)) => self.listen(request, terms, params),
            Ok(Admission::Answered {
                result,
                level,
                left,
            }) => {
                if let Some(caller) = left {
                    self.leave(&caller);
                }
                if let Some(level) = level {
                    self.emit(Event::LogLevel(level));
                }
                self.tell_subscribed();
                self.transmit_answer(request.id, Ok(result.finish()));
            }
            Ok(Admission::Dropped) => {
                let what = PeerMisbehaved::ForbiddenRequest(request.method);
                self.emit(Event::Misbehaved(what));
            }
            Err(mut error) => {
                error.message = text::brief(error.message);
                self.transmit_answer(request.id, Err(error));
            }
        }
    }

    /// Ends what is under way with the other end of a legacy session that begins anew: ids are used again in the next one. Each
    /// request has an answer before that, for over HTTP somebody may still wait for it.
    fn leave(&mut self, caller: &Arc<Caller>) {
        let reason = "the session was begun anew";
        for (id, key) in self.incoming.of(caller) {
            self.incoming.remove(key);
            self.transmit_answer(id, Err(ErrorObject::internal(reason)));
            self.cancelled(key, Cancellation::SessionEnded);
        }
        // Nobody else is asked for anything.
        self.lose_calls(&reason);
    }

    fn accept(&mut self, request: RequestMessage, terms: Terms) {
        let bytes = weight(&request, &terms);
        if let Some(what) = self.lacks_room(1, bytes) {
            return self.refuse(request.id, what);
        }
        let origin = Origin::Wire(request.id.clone());
        let method = request.method.clone();
        let key = self.incoming.insert(origin, method, bytes, &terms);
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
            meta: terms.meta,
        }));
    }

    /// What is said to so many requests more, which would keep so many bytes, if that is too much.
    pub(crate) fn lacks_room(&self, requests: usize, bytes: usize) -> Option<String> {
        let limit = self.limits.incoming_requests;
        if self.incoming.len() + requests > limit {
            return Some(format!("more than {limit} requests in flight"));
        }
        self.overweight(bytes)
    }

    /// What is said to a request that would keep so many bytes more, if that is too much.
    fn overweight(&self, bytes: usize) -> Option<String> {
        let limit = self.limits.incoming_bytes;
        let over = self.incoming.len() > 0 && self.incoming.bytes + bytes > limit;
        over.then(|| format!("more than {limit} bytes of requests in flight"))
    }

    fn refuse(&mut self, id: RequestId, what: String) {
        self.counters.refused_requests += 1;
        self.transmit_answer(id, Err(ErrorObject::internal(what)));
    }

    fn listen(&mut self, request: RequestMessage, terms: Terms, params: ListenParams) {
        if self.ends_streams() {
            let error = ErrorObject::internal("the connection is being closed");
            return self.transmit_answer(request.id, Err(error));
        }
        let limit = self.limits.streams;
        if self.streams() >= limit {
            return self.refuse(request.id, format!("more than {limit} streams"));
        }
        let bytes = weight(&request, &terms);
        if let Some(what) = self.overweight(bytes) {
            return self.refuse(request.id, what);
        }
        let own = self.notifications_negotiated(&terms.caller);
        let filter = self.honoured(params, own);
        // Each may be of a single letter, which takes many times what it weighs.
        if self.lacks_room_for(&filter) {
            let limit = self.limits.subscriptions;
            return self.refuse(request.id, format!("more than {limit} subscriptions"));
        }
        let origin = Origin::Wire(request.id.clone());
        let key = self.incoming.insert(origin, request.method, bytes, &terms);
        self.open_stream(key, request.id, filter);
    }

    /// Answers a listen request; false if it has ended already.
    pub(crate) fn finish_stream(&mut self, key: IncomingKey, mut result: ObjectBuf) -> bool {
        let Some(Entry {
            origin: Origin::Wire(id),
            ..
        }) = self.incoming.remove(key)
        else {
            return false;
        };
        if let Side::Server(server) = &self.side {
            server.mark_complete(&mut result);
        }
        self.transmit_answer(id, Ok(result.finish()));
        true
    }

    /// Hands a question of an input round to the program, as if the server had sent a request.
    pub(crate) fn ask_program(
        &mut self,
        call: CallKey,
        name: String,
        question: Question,
        bytes: usize,
        caller: &Arc<Caller>,
    ) -> IncomingKey {
        let Question { method, params } = question;
        let terms = Terms::plain(Arc::clone(caller));
        let origin = Origin::Round { call, name };
        let key = (self.incoming).insert(origin, method.clone(), bytes, &terms);
        self.emit(Event::Request(Incoming {
            key,
            own_notifications: false,
            id: None,
            method,
            params: Some(params),
            caller: terms.caller,
            progress_token: None,
            log_level: None,
            retry: None,
            meta: None,
        }));
        key
    }

    /// Takes back a question that nobody waits for any more.
    pub(crate) fn drop_question(&mut self, key: IncomingKey) {
        if self.incoming.remove(key).is_some() {
            self.cancelled(key, Cancellation::CallEnded);
        }
    }

    pub(crate) fn transmit_answer(&mut self, id: RequestId, outcome: Result<RawJson, ErrorObject>) {
        let related_to = Some(id.clone());
        let mut message = match outcome {
            Ok(result) => Message::result(id, result),
            Err(error) => Message::error(Some(id), error),
        };
        // The peer could not even tell which request it answers.
        if message.is_too_deep() {
            let error = ErrorObject::internal("the answer is nested too deep");
            message = Message::error(related_to.clone(), error);
        }
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
                let version = entry.caller.version;
                let outcome = outcome.map(|mut result| {
                    if let Side::Server(server) = &self.side
                        && version.era() == Era::Modern
                    {
                        server.mark_complete(&mut result);
                    }
                    result.finish()
                });
                let outcome = outcome.map_err(|error| error.for_revision(version));
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
        let entry = self.incoming.entries.get(key).ok_or(ApiMisuse::Ended)?;
        let (Side::Server(server), Origin::Wire(id)) = (&self.side, &entry.origin) else {
            return Err(ApiMisuse::NoInputHere(entry.method.clone()));
        };
        if entry.caller.version.era() != Era::Modern || !takes_input(&entry.method) {
            return Err(ApiMisuse::NoInputHere(entry.method.clone()));
        }
        input.check()?;
        for question in input.questions.values() {
            may_ask(&entry.caller, &question.method, &question.params)?;
        }
        let mut result = input.into_object();
        server.mark_input_required(&mut result);
        let id = id.clone();
        self.incoming.remove(key);
        self.transmit_answer(id, Ok(result.finish()));
        Ok(())
    }

    pub(crate) fn handle_cancelled(&mut self, params: Option<&RawJson>) {
        // Unknown, finished and malformed cancellations are ignored (REQ-CANC-07). The id is one of the sender's own
        // requests (TRAP-36), but for a modern server, which sends none: there it is a listen request of ours.
        let Some(params) = params.and_then(|raw| raw.decode::<CancelledParams>().ok()) else {
            return;
        };
        let Some(id) = params.request_id else {
            return;
        };
        let Some(key) = self.incoming.by_id.get(&id).copied() else {
            return self.handle_stream_cancelled(&id);
        };
        let entry = self.incoming.remove(key);
        if entry.is_some_and(|entry| entry.caller.version.era() == Era::Modern) {
            self.take_back(&id);
        }
        // The program knows nothing of streams.
        if self.close_stream(key) {
            return;
        }
        let reason = params.reason;
        self.cancelled(key, Cancellation::ByPeer { reason });
    }

    pub(crate) fn progress_message(
        &mut self,
        key: IncomingKey,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<Outbound, NotSent> {
        let entry = self.incoming.entries.get_mut(key).ok_or(NotSent::Ended)?;
        let progress_token = entry.progress_token.as_ref().ok_or(NotSent::Unwanted)?;
        // Also false for NaN, and what is not finite has no form in JSON.
        if !(progress.is_finite() && progress > entry.last_progress) {
            return Err(NotSent::NotIncreasing);
        }
        entry.last_progress = progress;
        let message = message.filter(|_| entry.caller.version >= ProtocolVersion::V2025_03_26);
        let params = progress_params(progress_token, progress, total, message);
        let method = MethodName::from_static("notifications/progress");
        let message = Message::notification(method, Some(params.finish()));
        Ok(Outbound {
            message,
            related_to: entry.id(),
        })
    }
}

/// The parameters of a notification of progress, without `_meta`.
pub(crate) fn progress_params(
    token: &ProgressToken,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
) -> ObjectBuf {
    let mut params = ObjectBuf::new();
    text::insert(&mut params, "progressToken", token);
    text::insert(&mut params, "progress", &Amount(progress));
    if let Some(total) = total.filter(|t| t.is_finite()) {
        text::insert(&mut params, "total", &Amount(total));
    }
    if let Some(message) = message {
        params.insert_str("message", message);
    }
    params
}

/// A number that is written as short as it can be: most progress is counted in whole units.
struct Amount(f64);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.0 as i64;
        if whole as f64 == self.0 {
            serializer.serialize_i64(whole)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}
