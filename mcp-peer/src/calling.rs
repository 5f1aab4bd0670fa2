//! A request of ours on its way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mcp_session::{CallOptions, RequestError};
use mcp_types::{MethodName, ObjectBuf, RawJson};

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
    shared: &'a Shared,
    /// Nobody else has it before it is queued.
    pending: Arc<PendingCall>,
    stage: Stage<'a>,
    trace: Trace,
    on_progress: F,
}

enum Stage<'a> {
    Unsent,
    /// Waits for room in the queue.
    Crowded(Pin<Box<dyn Future<Output = Result<Room<'a>, Gone>> + Send + 'a>>),
    /// Waits for the answer.
    Queued,
    Ended,
}

impl Shared {
    /// Makes a request and waits for its answer; every progress update before it is handed over first.
    pub(crate) fn call<F: FnMut(ProgressUpdate)>(
        &self,
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
        };
        Calling {
            shared: self,
            pending: Arc::new(PendingCall::new(asked, policy)),
            stage: Stage::Unsent,
            trace: Trace::default(),
            on_progress,
        }
    }
}

impl<F> Calling<'_, F> {
    /// Sets the policy for its progress, unless it has been polled.
    pub fn with_progress(mut self, policy: ProgressPolicy) -> Self {
        if let Some(pending) = Arc::get_mut(&mut self.pending) {
            pending.policy = policy;
        }
        self
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
            Stage::Ended => return Poll::Pending,
        };
        room.push(Command::Call(Arc::clone(&self.pending)))?;
        self.stage = Stage::Queued;
        Poll::Ready(Ok(()))
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
        let outcome = match ready!(this.poll_queued(cx)) {
            Ok(()) => {
                let _entered = this.trace.enter();
                ready!(this.pending.poll(cx, this.shared, &mut this.on_progress))
            }
            Err(Gone) => Err(this.shared.lost()),
        };
        this.stage = Stage::Ended;
        this.trace.called(outcome.as_ref().map(drop));
        Poll::Ready(outcome)
    }
}

/// Tells the peer that nobody waits for the answer any more.
///
/// The cancellation may cross the answer: then the engine does not know the key any more, and nothing is sent.
impl<F> Drop for Calling<'_, F> {
    fn drop(&mut self) {
        if let Stage::Queued = self.stage {
            self.pending.abandon(self.shared);
            // If the driver is gone, so is the request.
            let _ = self.shared.outbox.push(Command::Cancel(self.pending.key));
        }
    }
}

impl<F> fmt::Debug for Calling<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Unsent => "unsent",
            Stage::Crowded(_) => "waits for room",
            Stage::Queued => "queued",
            Stage::Ended => "ended",
        };
        f.debug_struct("Calling")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
