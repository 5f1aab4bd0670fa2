//! The session: where every input goes, and where every output comes from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_types::{
    CancelledParams, ClientCapabilities, ErrorObject, Inbound, LogLevel, Malformed, MalformedKind,
    Message, MethodName, NotificationMessage, ObjectBuf, Outbound, ProtocolVersion, RawJson,
    RequestId, ResponseMessage,
};

use crate::config::{ClientConfig, Limits, ServerConfig};
use crate::error::{ApiMisuse, NotSent, PeerMisbehaved, RequestError};
use crate::event::{CallKey, Cancellation, Established, Event, IncomingKey};
use crate::incoming::IncomingTable;
use crate::lifecycle::{ClientSide, ServerSide};
use crate::outgoing::{CallOptions, Outgoing};
use crate::rounds::InputRequired;
use crate::text;

/// Which side of a connection a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens the connection and calls tools.
    Client,
    /// Offers tools, resources and prompts.
    Server,
}

/// One side of a connection, as a value: no async, no clock, no I/O.
///
/// Inputs are the `handle_*` methods, the program's wishes are the verbs ([`call`](Self::call), [`respond`](Self::respond),
/// [`notify`](Self::notify), …), outputs are the `poll_*` methods. Time is an argument and may not go backwards.
/// After any input or verb:
///
/// 1. [`poll_event`](Self::poll_event) until it is `None`, acting on each event (which may be a verb);
/// 2. [`poll_transmit`](Self::poll_transmit) until it is `None` or the transport is full;
/// 3. [`poll_timeout`](Self::poll_timeout) says when [`handle_timeout`](Self::handle_timeout) is due.
///
/// ```text
///  client   ── server/discover ──▶ Probing ──(a modern answer)────────────────▶ Open (modern)
///                                     │ (any other answer, or none in time)
///                                     ▼
///                                Initializing ──(a result of a known version)──▶ Open (legacy)
///                                     │ (refused, unknown version, no answer)
///                                     ▼
///                                   Failed
///
///  server   each request by itself: marked in `_meta` → modern;
///           else `initialize` opens the one legacy session, in which all other unmarked requests are served.
/// ```
///
/// ```
/// use std::time::Instant;
/// use mcp_session::{ClientConfig, ServerConfig, Session};
/// use mcp_types::Implementation;
///
/// let now = Instant::now();
/// let mut client = Session::client(ClientConfig::new(Implementation::new("c", "1")), now);
/// let mut server = Session::server(ServerConfig::new(Implementation::new("s", "1")));
/// while let Some(out) = client.poll_transmit() {
///     server.handle_inbound(now, out.into());
/// }
/// while let Some(out) = server.poll_transmit() {
///     client.handle_inbound(now, out.into());
/// }
/// assert!(matches!(client.poll_event(), Some(mcp_session::Event::Opened(_))));
/// ```
#[derive(Debug)]
pub struct Session {
    pub(crate) side: Side,
    pub(crate) limits: Limits,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: IncomingTable,
    transmits: VecDeque<Outbound>,
    events: VecDeque<Event>,
    pub(crate) counters: Counters,
    disconnected: bool,
}

/// What a session has seen that nobody else will hear of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Input that was no message.
    pub malformed: u64,
    /// Responses that no request was waiting for.
    pub unknown_responses: u64,
    /// Progress that belonged to no request or did not increase.
    pub stray_progress: u64,
    /// Requests refused for want of room.
    pub refused_requests: u64,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a session, and never moved")]
pub(crate) enum Side {
    Client(ClientSide),
    Server(ServerSide),
}

impl Session {
    /// A client's side; its first message is there to be transmitted.
    pub fn client(config: ClientConfig, now: Instant) -> Self {
        let limits = config.limits.clone();
        let mut session = Self::new(Side::Client(ClientSide::new(config)), limits);
        session.open(now);
        session
    }

    /// A server's side.
    pub fn server(config: ServerConfig) -> Self {
        let limits = config.limits.clone();
        Self::new(Side::Server(ServerSide::new(config)), limits)
    }

    fn new(side: Side, limits: Limits) -> Self {
        Self {
            side,
            outgoing: Outgoing::default(),
            incoming: IncomingTable::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            disconnected: false,
            limits,
        }
    }

    // ---- inputs ----

    /// Takes what the transport yielded.
    pub fn handle_inbound(&mut self, now: Instant, inbound: Inbound) {
        match inbound {
            Inbound::Message(message) => self.handle_message(now, message),
            Inbound::Malformed(malformed) => self.handle_malformed(now, malformed),
            Inbound::Batch(members) => self.handle_batch(now, members),
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Request(request) => self.handle_request(request),
            Message::Notification(notification) => self.handle_notification(now, notification),
            Message::Response(response) => self.handle_response(now, response),
        }
    }

    fn handle_notification(&mut self, now: Instant, notification: NotificationMessage) {
        match notification.method.as_str() {
            "notifications/cancelled" => self.handle_cancelled(notification.params.as_ref()),
            "notifications/progress" => self.handle_progress(now, notification.params.as_ref()),
            "notifications/initialized" => {}
            _ => self.emit(Event::Notification(notification)),
        }
    }

    fn handle_response(&mut self, now: Instant, response: ResponseMessage) {
        match (response.id, response.outcome) {
            (Some(id), outcome) => {
                if let Some(outcome) = self.handle_handshake_response(now, &id, outcome) {
                    self.handle_call_response(now, &id, outcome);
                }
            }
            (None, Err(error)) => self.emit(Event::PeerError(error)),
            (None, Ok(_)) => self.unknown_response(),
        }
    }

    pub(crate) fn unknown_response(&mut self) {
        self.counters.unknown_responses += 1;
        self.emit(Event::Misbehaved(PeerMisbehaved::UnknownResponse));
    }

    fn handle_malformed(&mut self, now: Instant, malformed: Malformed) {
        self.counters.malformed += 1;
        let may_answer = match &self.side {
            Side::Server(_) => true,
            // A modern client never sends a response (REQ-JRPC-12), and what a legacy server prints by mistake is no request.
            Side::Client(_) => {
                malformed.id.is_some()
                    && matches!(malformed.kind, MalformedKind::Request(_))
                    && self.legacy_version().is_some()
            }
        };
        if may_answer && let Some(reply) = malformed.reply() {
            self.transmit(reply.into());
        }
        // Whoever waits for this answer must hear that it was none.
        if let (MalformedKind::Response(fault), Some(id)) = (malformed.kind, &malformed.id) {
            self.handle_broken_response(now, id, PeerMisbehaved::MalformedResponse(fault));
        }
        self.emit(Event::Malformed(malformed));
    }

    fn handle_batch(&mut self, now: Instant, members: Vec<Result<Message, Malformed>>) {
        if self.legacy_version() != Some(ProtocolVersion::V2025_03_26) {
            // REQ-BATCH-06: refused as a whole, without an id; a client has nobody to refuse it to.
            if matches!(self.side, Side::Server(_)) {
                let error =
                    ErrorObject::invalid_request("batches exist in 2025-03-26 sessions only");
                self.transmit(Message::error(None, error).into());
            }
            return self.emit(Event::Misbehaved(PeerMisbehaved::Batch));
        }
        for member in members {
            match member {
                // REQ-BATCH-03
                Ok(Message::Request(r)) if r.method == "initialize" => {
                    let error = ErrorObject::invalid_request("`initialize` must not be in a batch");
                    self.transmit(Message::error(Some(r.id), error).into());
                }
                Ok(message) => self.handle_message(now, message),
                Err(malformed) => self.handle_malformed(now, malformed),
            }
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_handshake_timeout(now);
        while let Some(call) = self.outgoing.expired(now) {
            self.time_out(call);
        }
    }

    /// Takes note that nothing more will come from the peer: every request of ours ends with
    /// [`RequestError::ConnectionLost`] at once, while what the peer asked may still be answered.
    pub fn handle_disconnected(&mut self, reason: &str) {
        if std::mem::replace(&mut self.disconnected, true) {
            return;
        }
        self.fail_handshake_on_disconnect(reason);
        for call in self.outgoing.drain() {
            self.drop_inputs_of(call);
            let outcome = Err(RequestError::ConnectionLost(reason.to_owned()));
            self.emit(Event::Response { call, outcome });
        }
    }

    // ---- verbs ----

    /// Sends a request under a key of the caller's choosing, which must be new.
    ///
    /// The answer comes as [`Event::Response`], exactly once, unless [`cancel`](Self::cancel) comes first.
    ///
    /// # Errors
    /// [`ApiMisuse`]: nothing was sent and no event will come.
    pub fn call(
        &mut self,
        now: Instant,
        key: CallKey,
        method: MethodName,
        params: ObjectBuf,
        options: CallOptions,
    ) -> Result<(), ApiMisuse> {
        if self.disconnected {
            return Err(ApiMisuse::NotOpen);
        }
        self.start_call(now, key, method, params, options)
    }

    /// Gives up a request of ours: the peer is told, and no event will come for it.
    ///
    /// A key that is not in flight is ignored: the answer was faster.
    pub fn cancel(&mut self, call: CallKey, reason: Option<&str>) {
        if let Some(wire) = self.outgoing.remove(call) {
            self.drop_inputs_of(call);
            if let Some(id) = wire {
                self.transmit_cancelled(id, reason);
            }
        }
    }

    /// Answers a request of the peer's.
    ///
    /// # Errors
    /// [`ApiMisuse::Ended`] if it was cancelled or answered before; nothing is sent.
    pub fn respond(
        &mut self,
        now: Instant,
        key: IncomingKey,
        outcome: Result<ObjectBuf, ErrorObject>,
    ) -> Result<(), ApiMisuse> {
        self.finish_incoming(now, key, outcome)
    }

    /// Answers a modern request with questions: it ends, and a new one will bring the answers, perhaps.
    ///
    /// # Errors
    /// [`ApiMisuse`] by the rule that would be broken: the request is still to be answered then.
    pub fn require_input(
        &mut self,
        key: IncomingKey,
        input: InputRequired,
    ) -> Result<(), ApiMisuse> {
        self.finish_with_questions(key, input)
    }

    /// Sends a notification, on behalf of a request of the peer's or on its own.
    ///
    /// # Errors
    /// [`NotSent`] says which rule or state is in the way.
    pub fn notify(
        &mut self,
        related: Option<IncomingKey>,
        method: MethodName,
        params: Option<RawJson>,
    ) -> Result<(), NotSent> {
        let related_to = self.may_notify(related, &method)?;
        let message = Message::Notification(NotificationMessage { method, params });
        self.transmit(Outbound {
            message,
            related_to,
        });
        Ok(())
    }

    /// Sends a log message, if the level that applies lets it through (REQ-LOG-02, REQ-LOG-04).
    ///
    /// `params` is a `LogMessageParams`.
    ///
    /// # Errors
    /// [`NotSent`] says which rule or state is in the way.
    pub fn log(
        &mut self,
        related: Option<IncomingKey>,
        level: LogLevel,
        params: RawJson,
    ) -> Result<(), NotSent> {
        let related_to = self.may_log(related, level)?;
        let method = MethodName::from_static("notifications/message");
        let params = Some(params);
        let message = Message::Notification(NotificationMessage { method, params });
        self.transmit(Outbound {
            message,
            related_to,
        });
        Ok(())
    }

    /// Reports progress of a request of the peer's (REQ-PROG-02, REQ-PROG-03).
    ///
    /// # Errors
    /// [`NotSent`]: no token was given, the value does not increase, or the request has ended.
    pub fn progress(
        &mut self,
        key: IncomingKey,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<(), NotSent> {
        let outbound = self.progress_message(key, progress, total, message)?;
        self.transmit(outbound);
        Ok(())
    }

    // ---- outputs ----

    /// The next thing the driver should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message for the transport.
    pub fn poll_transmit(&mut self) -> Option<Outbound> {
        self.transmits.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = self.handshake_deadline();
        [handshake, self.outgoing.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    // ---- state ----

    /// Which side this is.
    pub fn role(&self) -> Role {
        match self.side {
            Side::Client(_) => Role::Client,
            Side::Server(_) => Role::Server,
        }
    }

    /// What a client's handshake has established, once it has.
    pub fn established(&self) -> Option<&Arc<Established>> {
        match &self.side {
            Side::Client(client) => client.established(),
            Side::Server(_) => None,
        }
    }

    /// Messages that wait to be transmitted.
    pub fn transmit_len(&self) -> usize {
        self.transmits.len()
    }

    /// Requests of ours that are not answered.
    pub fn calls_in_flight(&self) -> usize {
        self.outgoing.len()
    }

    /// Requests of the peer's that are not answered.
    pub fn incoming_in_flight(&self) -> usize {
        self.incoming.len()
    }

    /// What this session has seen that nobody else hears of.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Replaces a client's capabilities; a modern server hears of them with the next request, a legacy one not at all.
    pub fn set_capabilities(&mut self, capabilities: ClientCapabilities) {
        if let Side::Client(client) = &mut self.side {
            client.set_capabilities(capabilities);
        }
    }

    // ---- for the other files of this crate ----

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn transmit(&mut self, outbound: Outbound) {
        self.transmits.push_back(outbound);
    }

    pub(crate) fn transmit_cancelled(&mut self, id: RequestId, reason: Option<&str>) {
        let mut params = CancelledParams::default();
        params.request_id = Some(id);
        params.reason = reason.map(str::to_owned);
        let params = Some(text::raw(&params));
        self.transmit(Message::notification("notifications/cancelled", params).into());
    }

    pub(crate) fn cancelled(&mut self, key: IncomingKey, why: Cancellation) {
        self.emit(Event::Cancelled(key, why));
    }

    /// The default time a request may wait.
    pub(crate) fn default_timeout(&self) -> Duration {
        self.limits.request_timeout
    }
}
