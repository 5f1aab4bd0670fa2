//! Requests of ours: each ends exactly once.

use std::time::{Duration, Instant};

use mcp_types::{
    CallTool, Era, ErrorObject, LogLevel, Message, Meta, MethodName, Notification, ObjectBuf,
    Outbound, Progress as Notified, ProgressToken, ProtocolVersion, RawJson, Request as _,
    RequestId, TASKS_EXTENSION,
};

use crate::deadlines::Deadlines;
use crate::error::{ApiMisuse, PeerMisbehaved, RequestError};
use crate::event::{CallKey, Event, IncomingKey};
use crate::keys::KeyMap;
use crate::methods::takes_input;
use crate::rounds::Gathering;
use crate::session::{Session, Side};
use crate::streams::Streams;
use crate::text;
use crate::time::after;

/// How a request of ours is to be made; the default is plain.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Whether progress is wanted.
    pub progress: bool,
    /// How long to wait for the answer; `None` for [`Limits::request_timeout`](crate::Limits::request_timeout),
    /// [`Duration::MAX`] for as long as `total` allows.
    pub timeout: Option<Duration>,
    /// How long to wait in all; `None` for [`Limits::request_total`](crate::Limits::request_total).
    pub total: Option<Duration>,
    /// Whether progress starts the wait again (REQ-TMO-02); `total` stays.
    pub reset_on_progress: bool,
    /// The log level for this request in the modern era; `None` for the client's.
    pub log_level: Option<LogLevel>,
    /// More keys for `_meta`; reserved ones are the engine's and ignored here.
    pub meta: Option<Meta>,
    /// The request of the peer's on whose behalf this one is made.
    pub related: Option<IncomingKey>,
    /// Whether a result that asks for input is the outcome, instead of the beginning of another round.
    pub single_round: bool,
    /// Values of `resultType` that the answer may have besides the protocol's own: those of an extension that this client declares
    /// (REQ-JRPC-11).
    pub result_types: &'static [&'static str],
    /// What the program is asked first, as `inputRequests` has it: the answers go out with the request, as its
    /// `inputResponses` (REQ-TSKX-03).
    pub questions: Option<RawJson>,
}

impl CallOptions {
    /// Whether nothing differs from the default.
    pub fn is_plain(&self) -> bool {
        let Self {
            progress,
            timeout,
            total,
            reset_on_progress,
            log_level,
            meta,
            related,
            single_round,
            result_types,
            questions,
        } = self;
        !(*progress || *reset_on_progress || *single_round)
            && result_types.is_empty()
            && (timeout.is_none() && total.is_none())
            && (log_level.is_none() && meta.is_none() && related.is_none())
            && questions.is_none()
    }
}

/// The table of requests of ours that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    calls: KeyMap<CallKey, Call>,
    /// By the id that is on the wire now; the id is also the progress token.
    by_id: KeyMap<i64, CallKey>,
    pub(crate) streams: Streams,
    deadlines: Deadlines,
    /// The last id given out; ids are never used again, for a cancelled one may never be answered (REQ-ID-06).
    last_id: i64,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: MethodName,
    single_round: bool,
    result_types: &'static [&'static str],
    /// As they went out; kept only where a retry may need them.
    pub(crate) params: Option<RawJson>,
    /// The id on the wire, or what is gathered between two of them.
    pub(crate) state: CallState,
    pub(crate) era: Era,
    pub(crate) round: u32,
    progress: bool,
    last_progress: f64,
    log_level: Option<LogLevel>,
    /// Apart: hardly any call has it, and there may be many calls.
    meta: Option<Box<Meta>>,
    timeout: Duration,
    reset_on_progress: bool,
    /// When the wait for this answer is over, if ever: never later than `give_up`.
    deadline: Option<Instant>,
    give_up: Instant,
    started: Instant,
    /// The request of the peer's on whose behalf this one was made.
    pub(crate) related: Option<IncomingKey>,
}

impl Call {
    /// The id under which it waits for an answer; none while it gathers inputs.
    pub(crate) fn wire_id(&self) -> Option<i64> {
        match self.state {
            CallState::Waiting(id) => Some(id),
            CallState::Gathering(_) | CallState::Task(_) => None,
        }
    }

    /// The id under which something is said of it.
    fn known_id(&self) -> Option<i64> {
        match self.state {
            CallState::Waiting(id) | CallState::Task(id) => Some(id),
            CallState::Gathering(_) => None,
        }
    }

    fn listens(&self) -> bool {
        self.method == "subscriptions/listen"
    }
}

#[derive(Debug)]
pub(crate) enum CallState {
    Waiting(i64),
    Gathering(Box<Gathering>),
    /// Answered with a task of 2025-11-25: what still comes is its progress, under the id that it had (REQ-PROG-07).
    Task(i64),
}

/// What kind of result a modern server has sent.
enum ResultType {
    Complete,
    InputRequired,
    Unknown(String),
}

impl Outgoing {
    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    pub(crate) fn call_of(&self, id: &RequestId) -> Option<CallKey> {
        match id {
            RequestId::Number(n) => self.by_id.get(*n).copied(),
            RequestId::String(_) => None,
        }
    }

    fn set_deadline(&mut self, key: CallKey, deadline: Instant) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let deadline = deadline.min(call.give_up);
        let before = call.deadline.replace(deadline);
        if before != Some(deadline) {
            self.deadlines.add(deadline, key);
            self.drop_deadline(key, before);
        }
    }

    /// A call has this deadline no longer.
    fn drop_deadline(&mut self, key: CallKey, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return;
        };
        let calls = &self.calls;
        let stands = |deadline, key| {
            let call = calls.get(key);
            call.is_some_and(|call| call.deadline == Some(deadline))
        };
        self.deadlines.remove(deadline, key, calls.len(), stands);
    }

    /// Takes the call off the wire for as long as its inputs are gathered; only the hard limit runs on.
    pub(crate) fn start_gathering(&mut self, key: CallKey, gathering: Gathering) {
        if let Some(call) = self.calls.get_mut(key) {
            if let Some(id) = call.wire_id() {
                self.by_id.remove(id);
            }
            call.state = CallState::Gathering(Box::new(gathering));
            let give_up = call.give_up;
            self.set_deadline(key, give_up);
        }
    }

    fn start_waiting(&mut self, now: Instant, key: CallKey, id: i64) {
        if let Some(call) = self.calls.get_mut(key) {
            call.state = CallState::Waiting(id);
            call.last_progress = f64::NEG_INFINITY;
            let deadline = after(now, call.timeout);
            self.by_id.insert(id, key);
            self.set_deadline(key, deadline);
        }
    }

    pub(crate) fn remove(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(key)?;
        self.drop_deadline(key, call.deadline);
        if call.listens() {
            self.streams.remove(key);
        }
        if let Some(id) = call.known_id() {
            self.by_id.remove(id);
        }
        Some(call)
    }

    pub(crate) fn is_listening(&self, key: CallKey) -> bool {
        self.get(key).is_some_and(Call::listens)
    }

    pub(crate) fn listening(&mut self) -> Vec<CallKey> {
        let calls = self.calls.iter_mut();
        let listening = calls.filter(|(_, call)| call.listens());
        listening.map(|(key, _)| key).collect()
    }

    /// Lifts the time limits of a listen request; false if it is none, or they are lifted already.
    pub(crate) fn wait_for_ever(&mut self, key: CallKey) -> bool {
        self.is_listening(key) && self.lift_limits(key)
    }

    /// Lifts a call's time limits; false if they are lifted already.
    fn lift_limits(&mut self, key: CallKey) -> bool {
        let deadline = self.get_mut(key).and_then(|call| call.deadline.take());
        self.drop_deadline(key, deadline);
        deadline.is_some()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    pub(crate) fn expired(&self, now: Instant) -> Option<CallKey> {
        let (deadline, key) = self.deadlines.first()?;
        (deadline <= now).then_some(key)
    }

    /// Removes all calls, oldest key first.
    pub(crate) fn drain(&mut self) -> Vec<(CallKey, Call)> {
        self.by_id.drain();
        self.streams = Streams::default();
        self.deadlines.clear();
        self.calls.drain()
    }
}

impl Session {
    pub(crate) fn start_call(
        &mut self,
        now: Instant,
        key: CallKey,
        method: MethodName,
        params: ObjectBuf,
        options: CallOptions,
    ) -> Result<(), ApiMisuse> {
        let (era, params) = self.may_call(&method, params, options.related)?;
        if options.questions.is_some() && self.as_client().is_none() {
            return Err(ApiMisuse::InputRound("only clients are asked in rounds"));
        }
        if self.outgoing.calls.contains(key) {
            return Err(ApiMisuse::KeyInUse(key));
        }
        if self.outgoing.len() >= self.limits.outgoing_requests {
            return Err(ApiMisuse::TooManyRequests(self.outgoing.len()));
        }
        let related_to = options
            .related
            .and_then(|related| self.incoming.id_of(related));
        let timeout = options.timeout.unwrap_or(self.limits.request_timeout);
        let give_up = after(now, options.total.unwrap_or(self.limits.request_total));
        let deadline = after(now, timeout).min(give_up);
        let id = self.outgoing.next_id();
        let call = Call {
            params: None,
            state: CallState::Waiting(id),
            era,
            round: 0,
            progress: options.progress,
            last_progress: f64::NEG_INFINITY,
            log_level: options.log_level,
            meta: options.meta.map(Box::new),
            single_round: options.single_round,
            result_types: options.result_types,
            timeout,
            reset_on_progress: options.reset_on_progress,
            deadline: Some(deadline),
            give_up,
            started: now,
            method,
            related: options.related,
        };
        self.outgoing.calls.insert(key, call);
        self.outgoing.deadlines.add(deadline, key);
        self.outgoing.by_id.insert(id, key);
        if let Some(questions) = options.questions {
            if let Some(call) = self.outgoing.get_mut(key) {
                call.params = Some(params.finish());
            }
            if let Err(error) = self.gather(now, key, Some(&questions), None) {
                self.end_call(key, Err(error));
            }
            return Ok(());
        }
        let sent = self.transmit_call(key, id, params, related_to);
        if sent.is_err() {
            self.outgoing.remove(key);
        }
        sent
    }

    /// Sends a call again, with the answers it was asked for, under a new id (REQ-MRTR-07).
    pub(crate) fn retry_call(&mut self, now: Instant, key: CallKey, params: ObjectBuf) {
        let id = self.outgoing.next_id();
        self.outgoing.start_waiting(now, key, id);
        if let Err(misuse) = self.transmit_call(key, id, params, None) {
            self.end_call(key, Err(misuse.into()));
        }
    }

    fn transmit_call(
        &mut self,
        key: CallKey,
        id: i64,
        mut params: ObjectBuf,
        related_to: Option<RequestId>,
    ) -> Result<(), ApiMisuse> {
        let Some(call) = self.outgoing.calls.get_mut(key) else {
            return Ok(());
        };
        let token = call.progress.then_some(ProgressToken::Number(id));
        let (base, log_level) = match (&self.side, call.era) {
            (Side::Client(client), Era::Modern) => {
                let (base, log_level) = client.request_meta(call.log_level);
                (Some(base), log_level)
            }
            _ => (None, None),
        };
        text::insert_meta(
            &mut params,
            base,
            token.as_ref(),
            log_level,
            call.meta.as_deref(),
        );
        let params = (!params.is_empty()).then(|| params.finish());
        if call.era == Era::Modern && takes_input(&call.method) {
            call.params = params.clone();
        }
        let method = call.method.clone();
        let message = Message::request(id, method.clone(), params);
        if message.is_too_deep() {
            let reason = "they are nested too deep".to_owned();
            return Err(ApiMisuse::Params { method, reason });
        }
        self.transmit(Outbound {
            message,
            related_to,
        });
        Ok(())
    }

    pub(crate) fn handle_call_response(
        &mut self,
        now: Instant,
        id: &RequestId,
        outcome: Result<RawJson, ErrorObject>,
    ) {
        let Some(key) = self.outgoing.call_of(id) else {
            return self.unknown_response();
        };
        let Some(call) = self.outgoing.calls.get(key) else {
            return;
        };
        if let CallState::Task(_) = call.state {
            return self.unknown_response();
        }
        let (modern, progress) = (call.era == Era::Modern, call.progress);
        let outcome = match outcome {
            Err(error) => Err(RequestError::Refused(error)),
            Ok(result) if progress && self.is_task(key, &result) => {
                return self.go_on_as_task(key, result);
            }
            Ok(result) if !modern => Ok(result),
            Ok(result) => match self.result_type(key, &result) {
                ResultType::Complete => Ok(result),
                ResultType::InputRequired if self.is_single_round(key) => Ok(result),
                ResultType::InputRequired => match self.start_round(now, key, &result) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                },
                ResultType::Unknown(name) => Err(PeerMisbehaved::UnknownResultType(name).into()),
            },
        };
        self.end_call(key, outcome);
    }

    /// Whether a result says that the call has become a task of 2025-11-25.
    fn is_task(&self, key: CallKey, result: &RawJson) -> bool {
        let task = || result.member("task").is_some_and(|task| task.is_object());
        let call = self.outgoing.get(key);
        call.is_some_and(|call| call.method == CallTool::METHOD)
            && self.legacy_version() == Some(ProtocolVersion::V2025_11_25)
            && task()
    }

    /// Keeps a call for the progress of its task, which has the same token (REQ-PROG-07).
    fn go_on_as_task(&mut self, call: CallKey, result: RawJson) {
        if let Some(entry) = self.outgoing.get_mut(call)
            && let CallState::Waiting(id) = entry.state
        {
            entry.state = CallState::Task(id);
        }
        self.outgoing.lift_limits(call);
        self.emit(Event::Task { call, result });
    }

    fn is_single_round(&mut self, key: CallKey) -> bool {
        self.outgoing.get_mut(key).is_some_and(|c| c.single_round)
    }

    /// REQ-JRPC-10, REQ-JRPC-11
    fn result_type(&self, key: CallKey, result: &RawJson) -> ResultType {
        if result.is_plainly_complete() {
            return ResultType::Complete;
        }
        let Some(kind) = result.member("resultType") else {
            return ResultType::Complete;
        };
        if kind.as_bytes() == br#""complete""# {
            return ResultType::Complete;
        }
        let tasks = || {
            self.as_client().is_some_and(|client| {
                client
                    .config
                    .capabilities
                    .extension(TASKS_EXTENSION)
                    .is_some()
            })
        };
        let known = |name| {
            let call = self.outgoing.get(key);
            call.is_some_and(|call| call.result_types.contains(&name))
        };
        match kind.text() {
            Some(name) => match &*name {
                "complete" => ResultType::Complete,
                "input_required" => ResultType::InputRequired,
                // The program knows what to do with it if it has declared that it does.
                "task" if tasks() => ResultType::Complete,
                name if known(name) => ResultType::Complete,
                _ => ResultType::Unknown(name.into_owned()),
            },
            None => ResultType::Unknown(kind.to_string()),
        }
    }

    pub(crate) fn handle_broken_response(
        &mut self,
        now: Instant,
        id: &RequestId,
        what: PeerMisbehaved,
    ) {
        if self.break_handshake(now, id, &what) {
            return;
        }
        if let Some(key) = self.outgoing.call_of(id) {
            self.end_call(key, Err(RequestError::Misbehaved(what)));
        }
    }

    /// Ends a call without a word to the peer.
    pub(crate) fn end_call(&mut self, call: CallKey, outcome: Result<RawJson, RequestError>) {
        if let Some(entry) = self.outgoing.remove(call) {
            self.drop_questions_of(&entry);
            self.emit(Event::Response { call, outcome });
        }
    }

    /// Ends a call whose time is over, and tells the peer (REQ-TMO-01).
    pub(crate) fn time_out(&mut self, call: CallKey) {
        if let Some(entry) = self.outgoing.remove(call) {
            self.transmit_cancelled(&entry, Some("timed out"));
            self.drop_questions_of(&entry);
            let waited = entry
                .deadline
                .map_or(entry.timeout, |at| at - entry.started);
            let outcome = Err(RequestError::TimedOut(waited));
            self.emit(Event::Response { call, outcome });
        }
    }

    pub(crate) fn handle_progress(&mut self, now: Instant, params: Option<&RawJson>) {
        let progress = params.and_then(|raw| Notified::read_params(raw).ok());
        let wanted = progress.and_then(|progress| {
            let ProgressToken::Number(id) = progress.progress_token else {
                return None;
            };
            let key = *self.outgoing.by_id.get(id)?;
            let call = self.outgoing.calls.get_mut(key)?;
            // Not increasing is dropped, not punished (REQ-PROG-10).
            let increases = progress.progress > call.last_progress;
            if !call.progress || !increases {
                return None;
            }
            call.last_progress = progress.progress;
            // A stream that has no limit any more gets none back (REQ-TMO-04).
            let prolongs = call.reset_on_progress && call.deadline.is_some();
            let deadline = prolongs.then_some(after(now, call.timeout));
            Some((key, deadline, progress))
        });
        let Some((call, deadline, progress)) = wanted else {
            self.counters.stray_progress += 1;
            return self.emit(Event::Misbehaved(PeerMisbehaved::StrayProgress));
        };
        if let Some(deadline) = deadline {
            self.outgoing.set_deadline(call, deadline);
        }
        self.emit(Event::Progress { call, progress });
    }
}
