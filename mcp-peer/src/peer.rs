//! The program's handle of a connection.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mcp_session::{
    CallKey, CallOptions, ConnectError, Established, Limits, NotSent, PeerMisbehaved, RequestError,
    Subscribed, has_form,
};
use mcp_types::{
    ClientCapabilities, Era, LogLevel, MethodName, Notification, NotificationMessage, ObjectBuf,
    RawJson, Request,
};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Sleep;

use crate::calling::Calling;
use crate::closed::Closed;
use crate::context::Delivery;
use crate::counters::{Counters, Tally};
use crate::inbox::{Overflow, Receiver, Subscribers, decode_body, or_unit};
use crate::limits::{Options, ProgressPolicy};
use crate::link::{End, Identity};
use crate::outbox::{Command, Outbox};
use crate::pending::ProgressUpdate;

/// What the handles of a connection share with its driver.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    /// How long a call may wait for its answer if it does not say, and how long in all.
    pub(crate) request_timeout: Duration,
    pub(crate) request_total: Duration,
    /// The runtime of the driver, once that has needed a timer of it.
    pub(crate) timers: OnceLock<Handle>,
    pub(crate) tally: Tally,
    pub(crate) outbox: Outbox,
    pub(crate) subscribers: Mutex<Subscribers>,
    /// Lossless queues that are full: while there is one, nothing is read.
    paused: AtomicUsize,
    /// The connection is coming to its end: tasks, which may go on for long after it, report nothing more.
    draining: AtomicBool,
    next_call: AtomicU64,
    /// An index into [`LogLevel::ALL`]: a legacy session's log level.
    log_level: AtomicU8,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) end: End,
    /// What a client has subscribed to, once it has.
    pub(crate) subscribed: OnceLock<Subscribed>,
}

/// How far a connection has come, for those who wait for it.
#[derive(Default)]
pub(crate) struct Status {
    /// Of a client's: what opening it came to.
    pub(crate) opened: Option<Opened>,
    /// Why there is no connection any more.
    pub(crate) closed: Option<Closed>,
}

pub(crate) type Opened = Result<Arc<Established>, ConnectError>;

impl Shared {
    pub(crate) fn new(mut options: Options, limits: &Limits) -> Arc<Self> {
        let extensions = std::mem::take(&mut options.extensions);
        // Nothing at all would be no bound, or the end of all reading, or no rest.
        options.outbox_bytes = options.outbox_bytes.max(1);
        options.answer_bytes = options.answer_bytes.max(1);
        if let Some(keep_alive) = &mut options.keep_alive {
            keep_alive.interval = keep_alive.interval.max(Duration::from_millis(1));
        }
        Arc::new(Self {
            identity: Identity::new(extensions),
            tally: Tally::default(),
            outbox: Outbox::new(options.outbox_bytes),
            options,
            request_timeout: limits.request_timeout,
            request_total: limits.request_total,
            timers: OnceLock::new(),
            subscribers: Mutex::default(),
            paused: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            next_call: AtomicU64::new(0),
            log_level: AtomicU8::new(u8::MAX),
            status: watch::Sender::new(Status::default()),
            end: End::new(),
            subscribed: OnceLock::new(),
        })
    }

    pub(crate) fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        // A callback's panic is caught before it could leave anything half changed.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn legacy_log_level(&self) -> Option<LogLevel> {
        LogLevel::ALL
            .get(usize::from(self.log_level.load(Ordering::Relaxed)))
            .copied()
    }

    pub(crate) fn set_legacy_log_level(&self, level: LogLevel) {
        let index = LogLevel::ALL
            .iter()
            .position(|l| *l == level)
            .unwrap_or(LogLevel::ALL.len());
        self.log_level.store(index as u8, Ordering::Relaxed);
    }

    /// Whether no handle has changed anything that a new connection would not have.
    pub(crate) fn is_blank(&self) -> bool {
        let level = self.log_level.load(Ordering::Relaxed);
        level == u8::MAX
            && !self.is_reading_paused()
            && !self.end.is_cut()
            && self.subscribed.get().is_none()
    }

    /// For a lossless queue that is full; whoever pauses must resume.
    pub(crate) fn pause_reading(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_reading_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn resume_reading(&self) {
        self.paused.fetch_sub(1, Ordering::Relaxed);
        self.outbox.wake();
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A timer for who waits for the driver: of the driver's runtime, since the caller's, if there is one, may have none.
    pub(crate) fn timer(&self, time: Duration) -> Option<Sleep> {
        let here = || Handle::try_current().ok();
        let runtime = self.timers.get().cloned().or_else(here)?;
        let _entered = runtime.enter();
        Some(tokio::time::sleep(time))
    }

    pub(crate) fn lost(&self) -> RequestError {
        let why = self.status.borrow().closed.clone();
        RequestError::ConnectionLost(why.unwrap_or(Closed::DriverDropped).to_string())
    }

    pub(crate) fn set_opened(&self, opened: Option<Opened>) {
        self.status.send_modify(|status| status.opened = opened);
    }

    fn established(&self) -> Option<Arc<Established>> {
        let status = self.status.borrow();
        status
            .opened
            .as_ref()
            .and_then(|o| o.as_ref().ok().cloned())
    }

    /// The era of the requests that this side makes: a server makes none of its own to a modern client.
    pub(crate) fn era(&self) -> Era {
        let established = self.established();
        established.map_or(Era::Legacy, |established| established.version.era())
    }

    pub(crate) fn next_key(&self) -> CallKey {
        CallKey(self.next_call.fetch_add(1, Ordering::Relaxed))
    }
}

/// The program's handle of a connection; clones share it. When the last one is dropped, the connection closes gracefully.
#[derive(Clone)]
pub struct Peer {
    pub(crate) shared: Arc<Shared>,
    /// None of [an observer](Peer::observer)'s.
    _life: Option<Arc<Life>>,
}

/// Closes the connection when its last handle goes.
struct Life(Arc<Shared>);

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.outbox.push(Command::Close);
    }
}

impl Peer {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            _life: Some(Arc::new(Life(Arc::clone(shared)))),
        }
    }

    /// Whether there is no other handle of the connection, of whatever kind, but the driver's.
    pub(crate) fn is_last(&self) -> bool {
        let life = self._life.as_ref();
        // This one, the driver's, and that of what closes the connection.
        life.is_some_and(|life| Arc::strong_count(life) == 1)
            && Arc::strong_count(&self.shared) == 3
            && Arc::weak_count(&self.shared) == 0
            && self.shared.status.receiver_count() == 0
    }

    /// The same handle, which does not keep the connection open: it closes when all others are dropped.
    #[must_use]
    pub fn observer(&self) -> Self {
        Self {
            _life: None,
            ..self.clone()
        }
    }

    /// Waits until a client's connection is open.
    ///
    /// # Errors
    /// Why it could not be opened.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn opened(&self) -> Result<Arc<Established>, ConnectError> {
        let mut status = self.shared.status.subscribe();
        let status = status.wait_for(|status| status.opened.is_some()).await;
        match status.as_ref().map(|status| &status.opened) {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(ConnectError::ConnectionLost(
                "the driver has ended".to_owned(),
            )),
        }
    }

    /// Waits until a connection that [outlives its transport](crate::Driver::reopenable) is open again, on another one than
    /// what `before` was agreed on.
    ///
    /// # Errors
    /// Why it will not be opened any more.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn opened_after(
        &self,
        before: &Arc<Established>,
    ) -> Result<Arc<Established>, ConnectError> {
        let mut status = self.shared.status.subscribe();
        let again = |status: &Status| match &status.opened {
            Some(Ok(established)) => !Arc::ptr_eq(established, before),
            Some(Err(_)) => true,
            None => false,
        };
        let waited = status.wait_for(|status| again(status) || status.closed.is_some());
        let lost = |why: &Closed| Err(ConnectError::ConnectionLost(why.to_string()));
        match waited.await {
            Ok(status) => match (&status.opened, &status.closed) {
                (Some(outcome), _) if again(&status) => outcome.clone(),
                (_, why) => lost(why.as_ref().unwrap_or(&Closed::DriverDropped)),
            },
            Err(_) => lost(&Closed::DriverDropped),
        }
    }

    /// Waits until the connection that `before` was agreed on is gone, whether it will be [opened again](Self::opened_after)
    /// or not.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn lost(&self, before: &Arc<Established>) {
        let mut status = self.shared.status.subscribe();
        let holds = |status: &Status| match &status.opened {
            Some(Ok(established)) => Arc::ptr_eq(established, before) && status.closed.is_none(),
            _ => false,
        };
        // An error cannot be: this handle keeps the sender alive.
        let _ = status.wait_for(|status| !holds(status)).await;
    }

    /// Hands a notification to this side's own receivers and callbacks, as if it had come from the peer.
    ///
    /// It has its place behind what was to be sent before, and waits for room as that does.
    ///
    /// # Errors
    /// [`NotSent::Params`] if they are no object; [`NotSent::Closed`] if the connection has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing is delivered.
    pub async fn deliver<N: Notification>(&self, params: &N::Params) -> Result<(), NotSent> {
        let params = ObjectBuf::encode(params).map_err(|_| NotSent::Params)?;
        let params = params.finish();
        let room = self.shared.outbox.room(params.len()).await;
        let room = room.map_err(|_| NotSent::Closed)?;
        let notification = NotificationMessage {
            method: MethodName::from_static(N::METHOD),
            params: Some(params),
        };
        let delivered = room.push(Command::Deliver(notification));
        delivered.map_err(|_| NotSent::Closed)
    }

    /// What a client's handshake has established, once it has; `None` while it has to be opened again.
    pub fn established(&self) -> Option<Arc<Established>> {
        self.shared.established()
    }

    /// Makes a request of a known type.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request on the wire.
    pub async fn request<M: Request>(
        &self,
        params: &M::Params,
        mut options: CallOptions,
    ) -> Result<M::Result, RequestError> {
        let params = encode_params(M::METHOD, params)?;
        if options.result_types.is_empty() {
            options.result_types = M::RESULT_TYPES;
        }
        let result = self
            .request_raw(MethodName::from_static(M::METHOD), params, options, |_| ())
            .await?;
        read_result::<M>(&result)
    }

    /// Makes a request with a body that is JSON already; `on_progress` gets every update that came before the answer.
    ///
    /// It is made when the future is polled first.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request on the wire.
    pub fn request_raw<F: FnMut(ProgressUpdate)>(
        &self,
        method: MethodName,
        params: ObjectBuf,
        options: CallOptions,
        on_progress: F,
    ) -> Calling<'_, F> {
        let policy = ProgressPolicy::default();
        (self.shared).call(method, params, options, policy, on_progress)
    }

    /// Sends a notification outside of any request.
    ///
    /// Waits while the connection is slow.
    ///
    /// # Errors
    /// [`NotSent`]: nothing was sent.
    ///
    /// # Cancel safety
    /// If the future is dropped, the notification may or may not be sent.
    pub async fn notify<N: Notification>(&self, params: &N::Params) -> Result<(), NotSent> {
        let params = ObjectBuf::encode(params).map_err(|_| NotSent::Params)?;
        let params = (!params.is_empty()).then(|| params.finish());
        let bytes = params.as_ref().map_or(0, RawJson::len);
        let room = self
            .shared
            .outbox
            .room(bytes)
            .await
            .map_err(|_| NotSent::Closed)?;
        let (reply, verdict) = oneshot::channel();
        let command = Command::Notify {
            related: None,
            method: MethodName::from_static(N::METHOD),
            params,
            reply: Some(reply),
        };
        room.push(command).map_err(|_| NotSent::Closed)?;
        verdict.await.unwrap_or(Err(NotSent::Closed))
    }

    /// Sends a log message outside of any request, which only a legacy session takes; `params` is a `LogMessageParams`.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message is not sent.
    pub async fn log(&self, level: LogLevel, params: RawJson) -> Delivery {
        let threshold = self.shared.legacy_log_level();
        if threshold.is_none_or(|threshold| level < threshold) {
            return Delivery::NotSent(NotSent::Unwanted);
        }
        // Whatever the engine refuses later, nobody hears of.
        if !has_form(&params) {
            return Delivery::NotSent(NotSent::Params);
        }
        let Ok(room) = self.shared.outbox.room(params.len()).await else {
            return Delivery::NotSent(NotSent::Closed);
        };
        let related = None;
        room.push(Command::Log {
            related,
            level,
            params,
        })
        .map_err(|_| NotSent::Closed)
        .into()
    }

    /// Receives notifications of a type from now on, with the default policy for a queue that is full.
    pub fn notifications<N: Notification>(&self) -> Receiver<N> {
        self.notifications_with::<N>(Overflow::default())
    }

    /// Receives notifications of a type from now on.
    pub fn notifications_with<N: Notification>(&self, overflow: Overflow) -> Receiver<N> {
        self.shared.subscribers().queue::<N>(&self.shared, overflow)
    }

    /// Calls back for each notification of a type, in the order of the wire, before anything that came later has an effect.
    ///
    /// The callback runs within the driver: it should return quickly.
    pub fn on_notification<N: Notification>(
        &self,
        callback: impl FnMut(N::Params) + Send + 'static,
    ) {
        let dropped = (self.shared.subscribers()).callback::<N>(&self.shared, callback);
        drop(dropped);
    }

    /// Calls back for each notification that nobody else has asked for.
    pub fn on_other_notification(
        &self,
        callback: impl FnMut(&NotificationMessage) + Send + 'static,
    ) {
        let dropped = self.shared.subscribers().other(callback);
        drop(dropped);
    }

    /// Replaces a client's capabilities; a modern server hears of them with the next request.
    pub fn set_capabilities(&self, capabilities: ClientCapabilities) {
        let _ = self
            .shared
            .outbox
            .push(Command::SetCapabilities(Box::new(capabilities)));
    }

    /// Closes the connection gracefully: what is queued is sent, then the transport is closed.
    pub fn close(&self) {
        let _ = self.shared.outbox.push(Command::Close);
    }

    /// Completes when the connection is closed, and says why.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn closed(&self) -> Closed {
        let mut status = self.shared.status.subscribe();
        let why = status.wait_for(|status| status.closed.is_some()).await;
        // An error cannot be: this handle keeps the sender alive.
        why.ok()
            .and_then(|status| status.closed.clone())
            .unwrap_or(Closed::DriverDropped)
    }

    /// Why the connection is closed; `None` while it is not.
    pub fn close_reason(&self) -> Option<Closed> {
        self.shared.status.borrow().closed.clone()
    }

    /// What this connection has seen so far that no caller and no receiver hears of in full.
    ///
    /// It counts what was read before the last answer that a caller has, at least.
    pub fn counters(&self) -> Counters {
        self.shared.tally.read()
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.outbox.is_closed()
    }
}

/// Serialises parameters as an object.
///
/// # Errors
/// [`RequestError::Misuse`] if they are none.
pub fn encode_params<T: serde::Serialize + ?Sized>(
    method: &'static str,
    params: &T,
) -> Result<ObjectBuf, RequestError> {
    ObjectBuf::encode(params).map_err(|e| {
        let method = MethodName::from(method);
        let reason = e.to_string();
        mcp_session::ApiMisuse::Params { method, reason }.into()
    })
}

/// Decodes a result by the method of its request.
///
/// # Errors
/// [`RequestError::Misbehaved`] if it has another shape.
pub fn decode_result<T: serde::de::DeserializeOwned>(
    method: &'static str,
    result: &RawJson,
) -> Result<T, RequestError> {
    of_shape(method, decode_body(result))
}

/// Reads the result of a request, for some methods faster than [`decode_result`].
///
/// # Errors
/// [`RequestError::Misbehaved`] if it has another shape.
pub fn read_result<M: Request>(result: &RawJson) -> Result<M::Result, RequestError> {
    of_shape(M::METHOD, or_unit(result, M::read_result(result)))
}

fn of_shape<T>(
    method: &'static str,
    read: Result<T, serde_json::Error>,
) -> Result<T, RequestError> {
    read.map_err(|e| {
        let method = MethodName::from(method);
        let reason = e.to_string();
        PeerMisbehaved::ResultShape { method, reason }.into()
    })
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}
