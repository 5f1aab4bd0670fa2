//! What a handler can do on behalf of the request it serves.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use mcp_session::{
    CallOptions, Caller, Incoming, IncomingKey, NotSent, Progress, RequestError, has_form, may_ask,
    takes_input,
};
use mcp_types::meta::key;
use mcp_types::{
    Era, LogLevel, Meta, MethodName, Notification, ObjectBuf, ProgressToken, ProtocolVersion,
    RawJson, RelatedTask, RequestId,
};
use tokio::sync::{Notify, oneshot};

use crate::dispatch::Answer;
use crate::limits::ProgressPolicy;
use crate::outbox::Command;
use crate::peer::Shared;

/// What became of something that was to be sent and need not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It is on its way, in its place before whatever is sent later.
    Sent,
    /// It was not sent.
    NotSent(NotSent),
}

impl Delivery {
    /// For callers that cannot do without.
    ///
    /// # Errors
    /// The reason why it was not sent.
    pub fn required(self) -> Result<(), NotSent> {
        match self {
            Self::Sent => Ok(()),
            Self::NotSent(why) => Err(why),
        }
    }
}

impl From<Result<(), NotSent>> for Delivery {
    fn from(result: Result<(), NotSent>) -> Self {
        result.map_or_else(Self::NotSent, |()| Self::Sent)
    }
}

/// A request that is being served, as its handler sees it; clones may go to other tasks.
///
/// What is sent through it is on the wire before the request's answer. Once the request has ended, sending through it is an
/// error that the caller sees.
#[derive(Clone)]
pub struct RequestContext {
    exchange: Arc<Exchange>,
}

/// One handler's conversation: it may go on, on another request, when an input round has been answered.
struct Exchange {
    method: MethodName,
    binding: Mutex<Arc<Binding>>,
    questions: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    /// Whether somebody takes them and ends the request with them.
    taken: bool,
    open: Vec<Question>,
    taker: Option<Waker>,
}

/// One request on one connection.
pub(crate) struct Binding {
    shared: Arc<Shared>,
    key: IncomingKey,
    id: Option<RequestId>,
    caller: Arc<Caller>,
    progress_token: Option<ProgressToken>,
    /// The 2025-11-25 task that the request has been answered with.
    task: Option<Box<RelatedTask>>,
    /// The bits of an `f64`: the last that was reported; changed with the phase held.
    last_progress: AtomicU64,
    own_notifications: bool,
    log_level: Option<LogLevel>,
    /// Held while something is queued on behalf of the request, so that nothing gets behind its answer.
    phase: Mutex<Phase>,
    /// It has ended, or the handler goes on with another one.
    ended: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active,
    Parked,
    Ended,
    /// The request has ended, and its handler goes on: it may ask, and report a task's progress, and nothing else.
    Detached,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // None of these locks is held while a program's code runs, and nothing under them is left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Binding {
    pub(crate) fn new(shared: &Arc<Shared>, incoming: &Incoming) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            key: incoming.key,
            id: incoming.id.clone(),
            caller: Arc::clone(&incoming.caller),
            progress_token: incoming.progress_token.clone(),
            task: None,
            last_progress: AtomicU64::new(f64::NEG_INFINITY.to_bits()),
            own_notifications: incoming.own_notifications,
            log_level: incoming.log_level,
            phase: Mutex::new(Phase::Active),
            ended: Notify::new(),
        })
    }

    fn active(&self) -> Result<(), NotSent> {
        self.may(*lock(&self.phase))
    }

    fn may(&self, phase: Phase) -> Result<(), NotSent> {
        match phase {
            Phase::Active => Ok(()),
            Phase::Parked => Err(NotSent::Parked),
            Phase::Ended | Phase::Detached => Err(NotSent::Ended),
        }
    }

    /// A task of 2025-11-25 reports as its request would (REQ-PROG-07), but nobody waits for it when the connection ends.
    fn may_report(&self, phase: Phase) -> Result<(), NotSent> {
        match phase {
            Phase::Detached if self.task.is_some() && self.shared.is_draining() => {
                Err(NotSent::Closed)
            }
            Phase::Detached if self.task.is_some() => Ok(()),
            phase => self.may(phase),
        }
    }

    /// Waits for room in the queue, then queues, unless the request has ended meanwhile.
    async fn send(&self, bytes: usize, command: Command) -> Result<(), NotSent> {
        let room = self
            .shared
            .outbox
            .room(bytes)
            .await
            .map_err(|_| NotSent::Closed)?;
        let phase = lock(&self.phase);
        let progress = match &command {
            Command::Progress { progress, .. } => Some(*progress),
            Command::TaskProgress { report, .. } => Some(report.progress),
            _ => None,
        };
        match progress {
            None => self.may(*phase)?,
            Some(progress) => {
                self.may_report(*phase)?;
                // Others may have reported meanwhile: what increases is known where the order is.
                self.increases(progress)?;
                (self.last_progress).store(progress.to_bits(), Ordering::Relaxed);
            }
        }
        room.push(command).map_err(|_| NotSent::Closed)
    }

    /// What the engine would find (REQ-PROG-03), which nobody hears of.
    fn increases(&self, progress: f64) -> Result<(), NotSent> {
        let last = f64::from_bits(self.last_progress.load(Ordering::Relaxed));
        match progress.is_finite() && progress > last {
            true => Ok(()),
            false => Err(NotSent::NotIncreasing),
        }
    }

    /// Queues the answer: nothing that is sent on behalf of the request comes after it.
    pub(crate) fn answer(&self, answer: Answer) {
        let mut phase = lock(&self.phase);
        *phase = match &answer {
            Answer::InputRequired(_) => Phase::Parked,
            Answer::Result(_) | Answer::Error(_) => Phase::Ended,
        };
        let key = self.key;
        // If the driver is gone, so is everyone who could read it.
        let _ = self.shared.outbox.push_answer(key, answer);
        drop(phase);
        self.ended.notify_waiters();
    }

    /// Notes that the request has ended without an answer.
    pub(crate) fn end(&self) {
        *lock(&self.phase) = Phase::Ended;
        self.ended.notify_waiters();
    }
}

impl RequestContext {
    pub(crate) fn new(method: MethodName, binding: Arc<Binding>) -> Self {
        Self {
            exchange: Arc::new(Exchange {
                method,
                binding: Mutex::new(binding),
                questions: Mutex::default(),
            }),
        }
    }

    fn binding(&self) -> Arc<Binding> {
        Arc::clone(&lock(&self.exchange.binding))
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.binding().shared)
    }

    /// Whether a program's own notifications reach the caller: a legacy one always, a modern one if both sides declared
    /// [`NOTIFICATIONS_EXTENSION`](mcp_session::NOTIFICATIONS_EXTENSION).
    pub fn takes_notifications(&self) -> bool {
        self.binding().own_notifications
    }

    /// The request's id; a question of an input round has none, and the next round of a request has another.
    pub fn id(&self) -> Option<RequestId> {
        self.binding().id.clone()
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        &self.exchange.method
    }

    /// Who asks, and under which terms.
    pub fn caller(&self) -> Arc<Caller> {
        Arc::clone(&self.binding().caller)
    }

    /// The revision the request is made under.
    pub fn version(&self) -> ProtocolVersion {
        self.binding().caller.version
    }

    /// The era the request belongs to.
    pub fn era(&self) -> Era {
        self.version().era()
    }

    /// What is known about the connection, of one type: its headers, say, or the peer's principal.
    ///
    /// After an input round, that of the connection on which the round came.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.binding().shared.identity.extension()
    }

    /// Whether a log message of that level would be sent.
    pub fn logs(&self, level: LogLevel) -> bool {
        let binding = self.binding();
        self.log_threshold(&binding)
            .is_some_and(|threshold| level >= threshold)
    }

    fn log_threshold(&self, binding: &Binding) -> Option<LogLevel> {
        match binding.caller.version.era() {
            Era::Modern => binding.log_level,
            Era::Legacy => binding.shared.legacy_log_level(),
        }
    }

    /// Sends a log message if its level is wanted; `params` is only called then and makes a `LogMessageParams`.
    ///
    /// Waits while the connection is slow.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message is not sent.
    pub async fn log(&self, level: LogLevel, params: impl FnOnce() -> Option<RawJson>) -> Delivery {
        let binding = self.binding();
        let sent = async {
            binding.active()?;
            if self
                .log_threshold(&binding)
                .is_none_or(|threshold| level < threshold)
            {
                return Err(NotSent::Unwanted);
            }
            // Whatever the engine refuses later, nobody hears of.
            let params = params().filter(has_form).ok_or(NotSent::Params)?;
            let related = Some(binding.key);
            let bytes = params.len();
            binding
                .send(
                    bytes,
                    Command::Log {
                        related,
                        level,
                        params,
                    },
                )
                .await
        };
        sent.await.into()
    }

    /// Whether the caller wants progress.
    pub fn wants_progress(&self) -> bool {
        self.binding().progress_token.is_some()
    }

    /// Reports progress, if the caller wants it and it is more than was reported before; the next round of a request begins anew.
    ///
    /// Waits while the connection is slow.
    ///
    /// # Cancel safety
    /// If the future is dropped, the report is not sent.
    pub async fn progress(
        &self,
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    ) -> Delivery {
        let binding = self.binding();
        let sent = async {
            binding.may_report(*lock(&binding.phase))?;
            let Some(token) = &binding.progress_token else {
                return Err(NotSent::Unwanted);
            };
            binding.increases(progress)?;
            let bytes = message.as_ref().map_or(0, String::len);
            let command = match &binding.task {
                None => Command::Progress {
                    key: binding.key,
                    progress,
                    total,
                    message,
                },
                Some(task) => {
                    let mut report = Progress::new(token.clone(), progress);
                    (report.total, report.message) = (total, message);
                    let mut meta = Meta::default();
                    meta.set(key::RELATED_TASK, &**task);
                    report.meta = Some(meta);
                    Command::TaskProgress {
                        caller: Arc::clone(&binding.caller),
                        report: Box::new(report),
                    }
                }
            };
            binding.send(bytes, command).await
        };
        sent.await.into()
    }

    /// Sends a notification on behalf of the request.
    ///
    /// A program's own types reach a legacy peer always, a modern one if both sides declared
    /// [`NOTIFICATIONS_EXTENSION`](mcp_session::NOTIFICATIONS_EXTENSION). Waits while the connection is slow.
    ///
    /// # Errors
    /// [`NotSent`]: nothing was sent.
    ///
    /// # Cancel safety
    /// If the future is dropped, the notification may or may not be sent.
    pub async fn notify<N: Notification>(&self, params: &N::Params) -> Result<(), NotSent> {
        let binding = self.binding();
        binding.active()?;
        let method = MethodName::from(N::METHOD);
        let core = method.is_core();
        if !core && !binding.own_notifications {
            return Err(NotSent::NotNegotiated);
        }
        let params = ObjectBuf::encode(params).map_err(|_| NotSent::Params)?;
        let params = (!params.is_empty()).then(|| params.finish());
        // What the engine refuses is told of the protocol's own notifications only.
        if !core && !params.as_ref().is_none_or(has_form) {
            return Err(NotSent::Params);
        }
        let bytes = params.as_ref().map_or(0, RawJson::len);
        let related = Some(binding.key);
        // Of these, the engine knows which may go out here.
        let (reply, verdict) = if core {
            let (reply, verdict) = oneshot::channel();
            (Some(reply), Some(verdict))
        } else {
            (None, None)
        };
        let command = Command::Notify {
            related,
            method,
            params,
            reply,
        };
        binding.send(bytes, command).await?;
        match verdict {
            None => Ok(()),
            Some(verdict) => verdict.await.unwrap_or(Err(NotSent::Closed)),
        }
    }

    /// Asks the caller for something: a sampling, an elicitation, its roots.
    ///
    /// Legacy: a request to the client. Modern: the request being served ends with the question, and the answer comes
    /// with its next round, on which whatever is sent later goes out.
    ///
    /// # Errors
    /// [`RequestError::Misuse`] if the caller did not declare the capability or cannot be asked here; the other variants
    /// as for any request.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn ask(
        &self,
        method: &'static str,
        params: ObjectBuf,
        options: CallOptions,
    ) -> Result<RawJson, RequestError> {
        self.ask_as(None, method, params, options).await
    }

    /// Asks as [`ask`](Self::ask) does, under a key of the caller's choosing, where a question has one: in an input round.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn ask_as(
        &self,
        key: Option<Arc<str>>,
        method: &'static str,
        params: ObjectBuf,
        options: CallOptions,
    ) -> Result<RawJson, RequestError> {
        let binding = self.binding();
        let name = MethodName::from_static(method);
        let phase = *lock(&binding.phase);
        if !matches!(phase, Phase::Active | Phase::Detached) {
            return Err(mcp_session::ApiMisuse::Ended.into());
        }
        if binding.caller.version.era() == Era::Legacy {
            let raw = params.finish();
            may_ask(&binding.caller, &name, &raw)?;
            let params = ObjectBuf::from_raw(raw).unwrap_or_default();
            let mut options = options;
            options.related = (phase == Phase::Active).then_some(binding.key);
            return binding
                .shared
                .call(
                    name,
                    params,
                    options,
                    ProgressPolicy::default(),
                    &mut |_| (),
                )
                .await;
        }
        let params = params.finish();
        may_ask(&binding.caller, &name, &params)?;
        let (reply, answer) = oneshot::channel();
        let taker = {
            let mut questions = lock(&self.exchange.questions);
            if !questions.taken || !takes_input(&self.exchange.method) {
                return Err(
                    mcp_session::ApiMisuse::NoInputHere(self.exchange.method.clone()).into(),
                );
            }
            let method = name;
            questions.open.push(Question {
                key,
                method,
                params,
                reply,
            });
            questions.taker.take()
        };
        if let Some(taker) = taker {
            taker.wake();
        }
        answer.await.unwrap_or(Err(RequestError::Cancelled))
    }

    /// Takes the handler's questions from now on, as long as what this gives back is there, to end the request with them; see
    /// [`Rounds`].
    pub fn rounds(&self) -> Rounds {
        lock(&self.exchange.questions).taken = true;
        Rounds {
            context: self.clone(),
        }
    }

    /// Completes when the request has ended: answered, cancelled, or its connection gone.
    ///
    /// One that was answered with questions has not while whoever holds its [`Rounds`] may resume it: then the next round is
    /// what has to end. Nor has one whose handler was [detached](Rounds::detach), before the handler has.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let exchange = Arc::clone(&self.exchange);
        async move {
            loop {
                let binding = Arc::clone(&lock(&exchange.binding));
                let ended = binding.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                // Looked at behind that: what changes from here on is heard.
                if *lock(&binding.phase) == Phase::Ended {
                    return;
                }
                let bound = Arc::ptr_eq(&binding, &lock(&exchange.binding));
                if bound {
                    ended.await;
                }
            }
        }
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("method", &self.exchange.method)
            .field("id", &self.id())
            .finish()
    }
}

/// The questions of a modern request's handler, for whoever parks handlers between rounds.
///
/// When the handler is pending and has asked, the request is answered with the questions and the handler is kept. The
/// next round is another request: [`resume`](Self::resume) binds the handler to it, then the questions are answered.
#[derive(Debug)]
pub struct Rounds {
    context: RequestContext,
}

/// One thing a handler wants to know.
#[derive(Debug)]
pub struct Question {
    /// What it is called in an input round, if whoever asks cares.
    pub key: Option<Arc<str>>,
    /// `sampling/createMessage`, `elicitation/create` or `roots/list`.
    pub method: MethodName,
    /// Its parameters, an object.
    pub params: RawJson,
    reply: oneshot::Sender<Result<RawJson, RequestError>>,
}

impl Question {
    /// Hands the answer to the handler; it goes nowhere if the handler does not wait any more.
    pub fn answer(self, answer: Result<RawJson, RequestError>) {
        let _ = self.reply.send(answer);
    }

    /// Whether the handler does not wait for the answer any more.
    pub fn is_withdrawn(&self) -> bool {
        self.reply.is_closed()
    }
}

impl Rounds {
    /// What was asked since the last time; asks to be woken at the next question.
    pub fn poll_questions(&self, cx: &Context<'_>) -> Vec<Question> {
        let mut questions = lock(&self.context.exchange.questions);
        questions.open.retain(|question| !question.is_withdrawn());
        // Registered whatever there is: what is taken now may be withdrawn before anybody looks at it.
        questions.taker = Some(cx.waker().clone());
        std::mem::take(&mut questions.open)
    }

    /// Lets the handler go on although its request is about to be answered otherwise: it may still ask, and a legacy client
    /// is asked by a request of its own. If the answer is a task of 2025-11-25, it may report progress, too, as before, until the
    /// connection comes to its end; it cannot send anything else.
    pub fn detach(&self, task: Option<RelatedTask>) {
        let binding = self.context.binding();
        let reported = binding.last_progress.load(Ordering::Relaxed);
        let token = binding.progress_token.clone();
        *lock(&self.context.exchange.binding) = Arc::new(Binding {
            shared: Arc::clone(&binding.shared),
            key: binding.key,
            id: binding.id.clone(),
            caller: Arc::clone(&binding.caller),
            progress_token: token.filter(|_| task.is_some()),
            task: task.map(Box::new),
            last_progress: AtomicU64::new(reported),
            own_notifications: binding.own_notifications,
            log_level: None,
            phase: Mutex::new(Phase::Detached),
            ended: Notify::new(),
        });
    }

    /// Notes that a handler that was detached, or is not resumed any more, has ended; whoever still asks on its behalf is told.
    pub fn end(&self) {
        self.context.binding().end();
        self.close();
    }

    /// Takes no question any more: whoever asks on the handler's behalf is told.
    fn close(&self) {
        let mut questions = lock(&self.context.exchange.questions);
        questions.taken = false;
        let open = std::mem::take(&mut questions.open);
        drop(questions);
        for question in open {
            question.answer(Err(RequestError::Cancelled));
        }
    }

    /// Lets the handler go on with the request that `context` stands for.
    pub fn resume(&self, context: &RequestContext) {
        let next = context.binding();
        let before = std::mem::replace(&mut *lock(&self.context.exchange.binding), next);
        before.ended.notify_waiters();
    }
}

/// A request that waits for input waits in vain when nobody can resume it any more, and so does whoever asks on behalf of a
/// handler that is gone. One that was detached goes on with other [`Rounds`].
impl Drop for Rounds {
    fn drop(&mut self) {
        let phase = *lock(&self.context.binding().phase);
        match phase {
            Phase::Detached => {}
            Phase::Parked => self.end(),
            Phase::Active | Phase::Ended => self.close(),
        }
    }
}
