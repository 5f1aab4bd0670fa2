//! A request of ours on its way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mcp_session::{CallOptions, RequestError};
use mcp_types::{MethodName, ObjectBuf, RawJson};
use tokio::time::Sleep;

use crate::limits::ProgressPolicy;
use crate::outbox::{Command, Gone, Room};
use crate::peer::Shared;
use crate::pending::{Asked, PendingCall, ProgressUpdate};
use crate::trace::Trace;

/// A request that is made when it is polled first, and cancelled on the wire if it is dropped before it has ended; made by
/// [`Peer::request_raw`](crate::Peer::request_raw).
///
/// It is small, and what is asked for is not in it: a program may have very many of them.
#[must_use = "a request is made when it is polled"]
pub struct Calling<'a, F> {
    shared: &'a Arc<Shared>,
    /// Nobody else has it before it is queued.
    pub(crate) pending: Arc<PendingCall>,
    stage: Stage<'a>,
    /// Watches the time while the driver cannot take it; the engine does afterwards, with what is left of it.
    late: Option<Pin<Box<Sleep>>>,
    trace: Trace,
    on_progress: F,
}

enum Stage<'a> {
    Unsent,
    /// Waits for room in the queue.
    Crowded(Pin<Box<dyn Future<Output = Result<Room<'a>, Gone>> + Send + 'a>>),
    /// Waits for the answer.
    Queued,
    /// Has an answer, and is kept for what still comes of it.
    Open,
    Ended,
}

impl Shared {
    /// Makes a request and waits for its answer; every progress update before it is handed over first.
    pub(crate) fn call<F: FnMut(ProgressUpdate)>(
        self: &Arc<Self>,
        method: MethodName,
        params: ObjectBuf,
        options: CallOptions,
        policy: ProgressPolicy,
        on_progress: F,
    ) -> Calling<'_, F> {
        let asked = Asked {
            method,
            params,
            options: (!options.is_plain()).then(|| Box::new(options)),
            since: None,
        };
        Calling {
            shared: self,
            pending: Arc::new(PendingCall::new(asked, policy)),
            stage: Stage::Unsent,
            late: None,
            trace: Trace::default(),
            on_progress,
        }
    }
}

impl<F> Calling<'_, F> {
    /// Sets the policy for its progress, unless it has been polled.
    ///
    /// ```no_run
    /// # async fn run(peer: mcp_peer::Peer) -> Result<(), mcp_peer::session::RequestError> {
    /// use mcp_peer::ProgressPolicy;
    ///
    /// let mut options = mcp_peer::session::CallOptions::default();
    /// options.progress = true;
    /// let build = peer.request_raw("x/build".into(), Default::default(), options, |update| println!("{update}"));
    /// build.with_progress(ProgressPolicy::Lossless).await?;
    /// # Ok(()) }
    /// ```
    pub fn with_progress(mut self, policy: ProgressPolicy) -> Self {
        if let Some(pending) = Arc::get_mut(&mut self.pending) {
            pending.policy = policy;
        }
        self
    }

    /// What is still told of its progress, if it has been answered with a task of 2025-11-25 (REQ-PROG-07), and the
    /// connection is not gone.
    pub fn into_task_progress(self) -> Option<TaskProgress> {
        matches!(self.stage, Stage::Open).then(|| TaskProgress(self.keep()))
    }

    /// Keeps what is not over with its answer.
    pub(crate) fn keep(mut self) -> Kept {
        self.stage = Stage::Ended;
        Kept {
            shared: Arc::clone(self.shared),
            pending: Arc::clone(&self.pending),
        }
    }

    /// Waits until it is queued, and then for what `answer` looks for, or until its time is over.
    pub(crate) fn poll_for<R>(
        &mut self,
        cx: &mut Context<'_>,
        answer: impl FnOnce(&PendingCall, &mut F, &mut Context<'_>) -> Poll<Result<R, RequestError>>,
    ) -> Poll<Result<R, RequestError>> {
        let polled = match self.poll_queued(cx) {
            Poll::Ready(Ok(())) => {
                let _entered = self.trace.enter();
                answer(&self.pending, &mut self.on_progress, cx)
            }
            Poll::Ready(Err(Gone)) => Poll::Ready(Err(self.shared.lost())),
            Poll::Pending => Poll::Pending,
        };
        let waits = match self.stage {
            Stage::Crowded(_) => true,
            Stage::Queued => self.late.is_some() || self.shared.outbox.is_behind(),
            Stage::Unsent | Stage::Open | Stage::Ended => false,
        };
        let outcome = match polled {
            Poll::Ready(outcome) => outcome,
            Poll::Pending if waits => Err(ready!(self.poll_late(cx))),
            Poll::Pending => return Poll::Pending,
        };
        self.stage = match self.pending.is_open() {
            true => Stage::Open,
            false => Stage::Ended,
        };
        self.trace.called(outcome.as_ref().map(drop));
        Poll::Ready(outcome)
    }

    fn poll_queued(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let room = match &mut self.stage {
            Stage::Unsent => {
                let bytes = self.begin();
                match self.shared.outbox.room_now(bytes) {
                    Some(room) => room,
                    None => {
                        self.stage = Stage::Crowded(Box::pin(self.shared.outbox.room(bytes)));
                        return self.poll_queued(cx);
                    }
                }
            }
            Stage::Crowded(room) => ready!(room.as_mut().poll(cx))?,
            Stage::Queued => return Poll::Ready(Ok(())),
            // A future that has ended says nothing more.
            Stage::Open | Stage::Ended => return Poll::Pending,
        };
        room.push(Command::Call(Arc::clone(&self.pending)))?;
        self.stage = Stage::Queued;
        Poll::Ready(Ok(()))
    }

    /// Gives it up if the driver could not take it for as long as its answer may take.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<RequestError> {
        let Some(timeout) = self.pending.patience(self.shared) else {
            self.late = None;
            return Poll::Pending;
        };
        if self.late.is_none() {
            self.late = self.shared.timer(timeout).map(Box::pin);
        }
        let Some(late) = &mut self.late else {
            // Neither here nor where the driver is there has been a clock to go by.
            return Poll::Pending;
        };
        ready!(late.as_mut().poll(cx));
        match self.pending.take_asked() {
            Some(_) => Poll::Ready(RequestError::TimedOut(timeout)),
            // The driver was faster.
            None => Poll::Pending,
        }
    }

    /// Gives it its key, in the order in which requests are made; says how many bytes its parameters have.
    fn begin(&mut self) -> usize {
        let Some(pending) = Arc::get_mut(&mut self.pending) else {
            return 0;
        };
        let key = self.shared.next_key();
        let (mut bytes, mut method) = (0, "");
        if let Some(asked) = pending.asked() {
            (bytes, method) = (asked.params.text_len(), &asked.method);
        }
        self.trace = Trace::call(key, method, || self.shared.era());
        pending.span = self.trace.span();
        pending.key = key;
        bytes
    }
}

/// It is never pinned for what it has within.
impl<F> Unpin for Calling<'_, F> {}

impl<F: FnMut(ProgressUpdate)> Future for Calling<'_, F> {
    type Output = Result<RawJson, RequestError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let shared = this.shared;
        this.poll_for(cx, |pending, on_progress, cx| {
            pending.poll(cx, shared, on_progress)
        })
    }
}

/// Tells the peer that nobody waits for the answer any more.
///
/// The cancellation may cross the answer: then the engine does not know the key any more, and nothing is sent.
impl<F> Drop for Calling<'_, F> {
    fn drop(&mut self) {
        if let Stage::Queued | Stage::Open = self.stage {
            self.pending.give_up(self.shared);
        }
    }
}

/// A call that is not over with its answer, and is given up when this is dropped.
pub(crate) struct Kept {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pending: Arc<PendingCall>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.pending.give_up(&self.shared);
    }
}

/// What is told of a task of 2025-11-25 under the progress token of its call, as long as this value lives; made by
/// [`Calling::into_task_progress`].
#[must_use = "nothing more is told when it is dropped"]
pub struct TaskProgress(Kept);

impl TaskProgress {
    /// Hands over what has been told, and asks to be woken when there is more; ready when the connection is gone.
    ///
    /// Whatever was on the wire before the answer to another request is there when that has its answer.
    pub fn poll(
        &self,
        cx: &mut Context<'_>,
        on_progress: &mut dyn FnMut(ProgressUpdate),
    ) -> Poll<()> {
        let Kept { shared, pending } = &self.0;
        pending.poll_over(cx, shared, on_progress)
    }
}

impl fmt::Debug for TaskProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskProgress").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Calling<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Unsent => "unsent",
            Stage::Crowded(_) => "waits for room",
            Stage::Queued => "queued",
            Stage::Open => "answered, not over",
            Stage::Ended => "ended",
        };
        f.debug_struct("Calling")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
