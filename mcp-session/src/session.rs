//! The session: where every input goes, and where every output comes from.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use mcp_types::{
    CancelledParams, ClientCapabilities, ErrorObject, Inbound, LogLevel, Message, MethodName,
    NotificationMessage, ObjectBuf, Outbound, ProtocolVersion, RawJson, RequestId,
};

use crate::admission::ServerSide;
use crate::config::{ClientConfig, EraChoice, Limits, ServerSetup};
use crate::error::{ApiMisuse, Cause, ConnectError, NotSent, RequestError};
use crate::event::{CallKey, Caller, Cancellation, Established, Event, IncomingKey, Progress};
use crate::handshake::ClientSide;
use crate::incoming::{IncomingTable, progress_params};
use crate::outgoing::{Call, CallOptions, Outgoing};
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
///  client   ── server/discover ──▶ Probing ──(an answer that names the modern version)──▶ Open (modern)
///                                   │   │
///                                   │   └──(a modern refusal, and no version in common)──▶ Failed
///                                   │ (any other answer, or none in time)
///                                   ▼
///                              Initializing ──(a result of a known legacy version)──────▶ Open (legacy)
///                                   │   ▲
///                                   │   └──(refused with a list of versions, once)
///                                   │ (refused, unknown version, no answer in time)
///                                   ▼
///                                 Failed
///
///           `EraChoice::Legacy` starts at Initializing; with `EraChoice::Modern` every way out of Probing but the first fails.
///           A version that is pinned takes the way of its era, and no other version is spoken of.
///
///  server   each request by itself: marked in `_meta` → modern;
///           else `initialize` opens the one legacy session, or begins it anew; in it all other unmarked requests are served.
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
    /// What they weigh.
    transmit_bytes: usize,
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
pub(crate) enum Side {
    Client(Box<ClientSide>),
    Server(ServerSide),
}

impl Session {
    /// A client's side; its first message is there to be transmitted.
    pub fn client(config: ClientConfig, now: Instant) -> Self {
        let limits = config.limits.clone();
        let mut session = Self::new(Side::Client(Box::new(ClientSide::new(config))), limits);
        session.open(now);
        session
    }

    /// A server's side; what it is set up with is a [`ServerConfig`](crate::ServerConfig), or shared with other sessions.
    pub fn server(setup: impl Into<Arc<ServerSetup>>) -> Self {
        let side = ServerSide::new(setup.into());
        let limits = side.config().limits.clone();
        Self::new(Side::Server(side), limits)
    }

    /// A client's side of another connection to the same server, when this one's is lost: as it was configured, with the
    /// capabilities that it has now. `None` of a server's.
    ///
    /// Keys of the peer's requests go on, so that an answer to one of the old connection finds nothing on the new one.
    pub fn reopened(&self, era: EraChoice, now: Instant) -> Option<Self> {
        let Side::Client(client) = &self.side else {
            return None;
        };
        let mut config = client.config.clone();
        config.era = era;
        let mut session = Self::new(
            Side::Client(Box::new(ClientSide::new(config))),
            self.limits.clone(),
        );
        session.incoming = self.incoming.succeeded();
        session.counters = self.counters;
        session.open(now);
        Some(session)
    }

    fn new(side: Side, limits: Limits) -> Self {
        Self {
            side,
            outgoing: Outgoing::default(),
            incoming: IncomingTable::default(),
            transmits: VecDeque::new(),
            transmit_bytes: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
            disconnected: false,
            limits,
        }
    }

    // ---- inputs ----

    /// Takes what the transport yielded.
    ///
    /// Nothing that comes in ends a session: a broken message is counted, answered where an answer is owed, and reported
    /// as an [`Event`].
    pub fn handle_inbound(&mut self, now: Instant, inbound: Inbound) {
        self.route(now, inbound);
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
    pub fn handle_disconnected(&mut self, reason: impl fmt::Display) {
        if std::mem::replace(&mut self.disconnected, true) {
            return;
        }
        self.fail_handshake_on_disconnect(&reason);
        self.lose_calls(&reason);
    }

    /// Ends every request of ours: nobody will answer it any more.
    pub(crate) fn lose_calls(&mut self, reason: &dyn fmt::Display) {
        for (call, entry) in self.outgoing.drain() {
            self.drop_questions_of(&entry);
            let outcome = Err(RequestError::ConnectionLost(reason.to_string()));
            self.emit(Event::Response { call, outcome });
        }
    }

    /// Whether a client's connection is being opened.
    pub fn is_opening(&self) -> bool {
        self.handshake_deadline().is_some()
    }

    /// Takes note that the transport failed by an error of its own, which says nothing of the peer: a connection that is being
    /// opened fails with [`ConnectError::Transport`], or [`ConnectError::NotMcp`] after that, which is what it returns.
    /// [`handle_disconnected`](Self::handle_disconnected) is to follow.
    pub fn handle_transport_failure(&mut self, cause: Cause) -> Option<ConnectError> {
        if !self.is_opening() {
            return None;
        }
        let error = self.failed(ConnectError::Transport(cause));
        self.emit(Event::Failed(error.clone()));
        Some(error)
    }

    // ---- verbs ----

    /// Sends a request under a key of the caller's choosing, which must be new.
    ///
    /// The answer comes as [`Event::Response`], exactly once, unless [`cancel`](Self::cancel) comes first, or as [`Event::Task`],
    /// which a response follows only when the connection is lost.
    ///
    /// # Errors
    /// Nothing was sent and no event will come:
    /// [`ApiMisuse::NotOpen`] before the handshake is done and after the connection is gone;
    /// [`ApiMisuse::KeyInUse`] if the key is not new; [`ApiMisuse::TooManyRequests`] at the limit;
    /// [`ApiMisuse::NotInVersion`] if the version in force does not have the method;
    /// [`ApiMisuse::Params`] if the parameters are nested too deep;
    /// as a server, [`ApiMisuse::MissingCapability`] if the client cannot be asked for this,
    /// [`ApiMisuse::ModernClient`] if it takes no requests at all, and
    /// [`ApiMisuse::Ended`] if the request in [`CallOptions::related`] has ended.
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

    /// Gives up a request of ours: the peer is told, and no event will come for it any more.
    ///
    /// A key that is not in flight is ignored: the answer was faster, and its event stands in the queue or has been seen.
    pub fn cancel(&mut self, call: CallKey, reason: Option<&str>) {
        if let Some(entry) = self.outgoing.remove(call) {
            self.events.retain(|event| match event {
                Event::Progress { call: of, .. }
                | Event::Listening { call: of, .. }
                | Event::Task { call: of, .. } => *of != call,
                _ => true,
            });
            self.drop_questions_of(&entry);
            self.transmit_cancelled(&entry, reason);
        }
    }

    /// Answers a request of the peer's; an error with a code that its revision must not see has another there (REQ-ERR-03).
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
    /// The request is still to be answered then:
    /// [`ApiMisuse::NoInputHere`] if it is a legacy one or its method takes no input;
    /// [`ApiMisuse::MissingCapability`] if the client cannot be asked for this;
    /// [`ApiMisuse::InputRound`] if there is neither a question nor a state, or a question is none.
    /// [`ApiMisuse::Ended`] if there is nothing to answer any more.
    pub fn require_input(
        &mut self,
        key: IncomingKey,
        input: InputRequired,
    ) -> Result<(), ApiMisuse> {
        self.finish_with_questions(key, input)
    }

    /// Sends a notification, on behalf of a request of the peer's or on its own.
    ///
    /// What a server sends on its own goes to a legacy client as it is, and to a modern one on each stream whose filter asks
    /// for it, tagged with the stream's id. Of single resources a legacy client hears only if it has subscribed to them, on
    /// whoever's behalf.
    ///
    /// # Errors
    /// [`NotSent::Forbidden`] if the protocol has a verb or a stream of its own for it, does not let this side send it, or
    /// lets it only after a capability that was not declared (REQ-CAP-06); [`NotSent::NotNegotiated`] if a modern peer
    /// did not agree to a program's own notifications; [`NotSent::NoSession`] if there is nobody to send it to;
    /// [`NotSent::Unwanted`] if nobody asked for it; [`NotSent::Params`] if the parameters are no object, or nested too deep;
    /// [`NotSent::Ended`] if the request has ended.
    pub fn notify(
        &mut self,
        related: Option<IncomingKey>,
        method: MethodName,
        params: Option<RawJson>,
    ) -> Result<(), NotSent> {
        self.notify_if(has_form, related, method, params)
    }

    fn notify_if(
        &mut self,
        fits: fn(&RawJson) -> bool,
        related: Option<IncomingKey>,
        method: MethodName,
        params: Option<RawJson>,
    ) -> Result<(), NotSent> {
        let related_to = self.may_notify(related, &method)?;
        if !params.as_ref().is_none_or(fits) {
            return Err(NotSent::Params);
        }
        if related.is_none() && matches!(self.side, Side::Server(_)) {
            return self.publish(method, params);
        }
        self.is_subscribed(&method, params.as_ref())?;
        let message = Message::Notification(NotificationMessage { method, params });
        self.transmit(Outbound {
            message,
            related_to,
        });
        Ok(())
    }

    /// Sends notifications on its own, in this order, each as [`notify`](Self::notify) does; how many were not sent.
    ///
    /// What holds for all of a method is looked up once as long as it is the same. How deep they are nested is not looked at:
    /// whoever sends the same to many does it once, by [`has_form`].
    pub fn notify_each(
        &mut self,
        notifications: impl IntoIterator<Item = NotificationMessage>,
    ) -> u64 {
        let mut unsent = 0;
        let mut plain = None;
        for notification in notifications {
            let as_before = plain.as_ref() == Some(&notification.method);
            let fits = RawJson::is_object;
            if as_before && notification.params.as_ref().is_none_or(fits) {
                self.transmit(Message::Notification(notification).into());
                continue;
            }
            let NotificationMessage { method, params } = notification;
            let sent = self.notify_if(fits, None, method.clone(), params);
            unsent += u64::from(sent.is_err());
            plain = (sent.is_ok() && self.goes_as_it_is(&method)).then_some(method);
        }
        unsent
    }

    /// Ends the streams of a modern client in good order, and takes no more; the driver does it before it closes the connection.
    pub fn end_subscriptions(&mut self) {
        self.end_streams();
    }

    /// Cancels what this side listens to, so that a server has nothing more to say of it when the connection closes (REQ-SUB-07).
    pub fn cancel_subscriptions(&mut self) {
        for call in self.outgoing.listening() {
            let lost = RequestError::ConnectionLost("it is being closed".to_owned());
            if let Some(entry) = self.outgoing.remove(call) {
                self.transmit_cancelled(&entry, None);
                self.emit(Event::Response {
                    call,
                    outcome: Err(lost),
                });
            }
        }
    }

    /// Sends a log message, if the level that applies lets it through (REQ-LOG-02, REQ-LOG-04).
    ///
    /// `params` is a `LogMessageParams`.
    ///
    /// # Errors
    /// [`NotSent::Unwanted`] below the level, or if the server does not declare that it logs;
    /// [`NotSent::NoSession`] outside of a request and of a legacy session; [`NotSent::Ended`] if the request has ended;
    /// [`NotSent::Params`] if the parameters are no object, or nested too deep; [`NotSent::Forbidden`] as a client.
    pub fn log(
        &mut self,
        related: Option<IncomingKey>,
        level: LogLevel,
        params: RawJson,
    ) -> Result<(), NotSent> {
        let related_to = self.may_log(related, level)?;
        if !has_form(&params) {
            return Err(NotSent::Params);
        }
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
    /// [`NotSent::Unwanted`] if no token was given; [`NotSent::NotIncreasing`] if the value does not increase or is not
    /// finite; [`NotSent::Ended`] if the request has ended.
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

    /// Reports progress of a request of the peer's that was answered with a task of 2025-11-25, under the token that the request
    /// had (REQ-PROG-07). That it increases, and ends with the task, is the program's matter.
    ///
    /// `caller` is the request's: once the session has been begun anew, the token may be that of another request.
    ///
    /// # Errors
    /// [`NotSent::NoSession`] outside of the caller's 2025-11-25 session; [`NotSent::NotIncreasing`] if the value is not finite.
    pub fn task_progress(
        &mut self,
        caller: &Arc<Caller>,
        report: &Progress,
    ) -> Result<(), NotSent> {
        let here = match &self.side {
            Side::Client(client) => Some(&client.server),
            Side::Server(server) => server.legacy_caller(),
        };
        let is_here = here.is_some_and(|here| Arc::ptr_eq(here, caller));
        if !is_here || caller.version != ProtocolVersion::V2025_11_25 {
            return Err(NotSent::NoSession);
        }
        let &Progress {
            progress, total, ..
        } = report;
        if !progress.is_finite() {
            return Err(NotSent::NotIncreasing);
        }
        let message = report.message.as_deref();
        let mut params = progress_params(&report.progress_token, progress, total, message);
        if let Some(meta) = &report.meta {
            text::insert(&mut params, "_meta", meta);
        }
        let method = MethodName::from_static("notifications/progress");
        self.transmit(Message::notification(method, Some(params.finish())).into());
        Ok(())
    }

    // ---- outputs ----

    /// The next thing the driver should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message for the transport.
    pub fn poll_transmit(&mut self) -> Option<Outbound> {
        let outbound = self.transmits.pop_front()?;
        self.transmit_bytes = match self.transmits.is_empty() {
            true => 0,
            false => self.transmit_bytes - outbound.message.weight(),
        };
        Some(outbound)
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

    /// Its bounds and times.
    pub fn limits(&self) -> &Limits {
        &self.limits
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

    /// What they [weigh](Message::weight) together: of what the peer sent, too, if that is repeated in them.
    pub fn transmit_bytes(&self) -> usize {
        self.transmit_bytes
    }

    /// The id of a request of ours that waits for its answer; each input round gives it another.
    pub fn wire_id(&self, call: CallKey) -> Option<RequestId> {
        self.outgoing.get(call)?.wire_id().map(RequestId::Number)
    }

    /// Requests of ours that are in flight: not answered, or kept for the progress of a task.
    pub fn calls_in_flight(&self) -> usize {
        self.outgoing.len()
    }

    /// Requests of the peer's that are not answered.
    pub fn incoming_in_flight(&self) -> usize {
        self.incoming.len()
    }

    /// Of a server's side: whether another client could not tell it from a new one. Nothing is under way, and no legacy session
    /// was opened.
    pub fn is_blank(&self) -> bool {
        let Side::Server(server) = &self.side else {
            return false;
        };
        server.is_blank()
            && self.incoming.len() + self.outgoing.len() == 0
            && self.transmits.is_empty()
            && self.events.is_empty()
            && self.counters == Counters::default()
            && !self.disconnected
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
        push(&mut self.events, event);
    }

    pub(crate) fn transmit(&mut self, outbound: Outbound) {
        self.transmit_bytes += outbound.message.weight();
        push(&mut self.transmits, outbound);
    }

    /// Takes back what waits to be transmitted on behalf of a modern request that was cancelled (REQ-CANC-05). It had no answer:
    /// one under its id is that of an earlier request, and so is what comes before it.
    pub(crate) fn take_back(&mut self, id: &RequestId) {
        let of_id = |outbound: &Outbound| outbound.related_to.as_ref() == Some(id);
        let answers = |outbound: &Outbound| {
            of_id(outbound) && matches!(outbound.message, Message::Response(_))
        };
        let answered = self.transmits.iter().rposition(answers);
        let mut earlier = answered.map_or(0, |at| at + 1);
        self.transmits.retain(|outbound| {
            let keep = earlier > 0 || !of_id(outbound);
            earlier = earlier.saturating_sub(1);
            if !keep {
                self.transmit_bytes -= outbound.message.weight();
            }
            keep
        });
    }

    /// Tells the peer that a request of ours is no longer wanted, on the stream on which it went out.
    pub(crate) fn transmit_cancelled(&mut self, call: &Call, reason: Option<&str>) {
        let Some(id) = call.wire_id() else {
            // Between two rounds there is nothing to cancel (inventory 3.6).
            return;
        };
        let mut params = CancelledParams::new(id);
        params.reason = reason.map(str::to_owned);
        let message = Message::notification("notifications/cancelled", Some(text::raw(&params)));
        let related_to = call.related.and_then(|key| self.incoming.id_of(key));
        self.transmit(Outbound {
            message,
            related_to,
        });
    }

    pub(crate) fn cancelled(&mut self, key: IncomingKey, why: Cancellation) {
        self.emit(Event::Cancelled(key, why));
    }
}

/// Whether a notification may have these parameters: an object, nested no deeper than anybody reads.
pub fn has_form(params: &RawJson) -> bool {
    params.is_object() && !params.is_deeper_than(Message::BODY_DEPTH)
}

/// Appends to a queue, which begins with room for one: most connections never need more, and four take most of a kilobyte.
fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.capacity() == 0 {
        queue.reserve_exact(1);
    }
    queue.push_back(item);
}
