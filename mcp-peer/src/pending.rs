//! A call that waits for its answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mcp_session::{CallKey, CallOptions, Progress, RequestError};
use mcp_types::{MethodName, ObjectBuf, RawJson, SubscriptionFilter};
use tracing::Span;

use crate::counters::add;
use crate::driver::now;
use crate::limits::ProgressPolicy;
use crate::outbox::Command;
use crate::peer::Shared;

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProgressUpdate {
    /// Increases with every update.
    pub progress: f64,
    /// What `progress` will be at the end, if that is known.
    pub total: Option<f64>,
    /// For a person to read.
    pub message: Option<String>,
    /// How many updates were left out right before this one, because nobody had read them in time.
    pub skipped: u64,
}

impl fmt::Display for ProgressUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.progress)?;
        if let Some(total) = self.total {
            write!(f, "/{total}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " {message}")?;
        }
        Ok(())
    }
}

/// Shared by a call's future and the driver: all that there is of a call, while the driver has not taken what is asked for.
pub(crate) struct PendingCall {
    pub(crate) key: CallKey,
    /// Where those who watch find the call; the driver adds its id.
    pub(crate) span: Span,
    pub(crate) policy: ProgressPolicy,
    /// Whether more comes of it than its answer; said before that, until it is over.
    open: AtomicBool,
    state: Mutex<State>,
}

/// What a call asks for.
pub(crate) struct Asked {
    pub(crate) method: MethodName,
    pub(crate) params: ObjectBuf,
    /// `None` for a plain call.
    pub(crate) options: Option<Box<CallOptions>>,
    /// Since when its caller sees that it waits for the driver: its time runs since then.
    pub(crate) since: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// Until the driver takes it.
    asked: Option<Asked>,
    progress: VecDeque<ProgressUpdate>,
    /// Of the updates' text.
    bytes: usize,
    /// Whether a lossless queue that is full has stopped the reading.
    pauses: bool,
    /// Nobody will poll any more.
    abandoned: bool,
    /// What a server that was asked to tell of changes has agreed to tell.
    acknowledged: Option<Box<SubscriptionFilter>>,
    outcome: Option<Result<RawJson, RequestError>>,
    caller: Option<Waker>,
}

impl PendingCall {
    pub(crate) fn new(asked: Asked, policy: ProgressPolicy) -> Self {
        let state = State {
            asked: Some(asked),
            ..State::default()
        };
        Self {
            // It gets one when it is queued.
            key: CallKey(0),
            span: Span::none(),
            policy,
            open: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// What it asks for, as long as nobody else has seen it.
    pub(crate) fn asked(&mut self) -> Option<&Asked> {
        let state = self.state.get_mut();
        state.unwrap_or_else(PoisonError::into_inner).asked.as_ref()
    }

    /// For the driver, which does it once.
    pub(crate) fn take_asked(&self) -> Option<Asked> {
        self.lock().asked.take()
    }

    /// How long its answer may take, from the first time that this is asked; `None` once the driver has taken it.
    pub(crate) fn patience(&self, shared: &Shared) -> Option<Duration> {
        let mut state = self.lock();
        let asked = state.asked.as_mut()?;
        asked.since.get_or_insert_with(now);
        let options = asked.options.as_ref();
        let timeout = options.and_then(|options| options.timeout);
        let total = options.and_then(|options| options.total);
        let total = total.unwrap_or(shared.request_total);
        Some(timeout.unwrap_or(shared.request_timeout).min(total))
    }

    /// The driver cannot take it for the time being, which its caller is to see.
    pub(crate) fn waits(&self) {
        Self::wake(self.lock());
    }

    /// Queues an update; the last one is never lost.
    pub(crate) fn progress(&self, progress: Progress, shared: &Shared) {
        let mut state = self.lock();
        if state.abandoned {
            return;
        }
        let mut update = ProgressUpdate {
            progress: progress.progress,
            total: progress.total,
            message: progress.message,
            skipped: 0,
        };
        state.bytes += text(&update);
        let options = &shared.options;
        let full = |state: &State| {
            state.progress.len() >= options.progress_updates || state.bytes > options.progress_bytes
        };
        // Whoever has the answer may keep the task and never ask for its progress: nothing else is to wait for that.
        let policy = match self.is_open() && state.outcome.is_none() {
            true => ProgressPolicy::Coalesce,
            false => self.policy,
        };
        match policy {
            ProgressPolicy::Coalesce => {
                let mut skipped = 0;
                while full(&state)
                    && let Some(last) = state.progress.pop_back()
                {
                    state.bytes -= text(&last);
                    update.skipped += last.skipped + 1;
                    skipped += 1;
                }
                if skipped > 0 {
                    add(&shared.tally.skipped_progress, skipped);
                }
            }
            ProgressPolicy::Lossless => {
                if full(&state) && !state.pauses {
                    state.pauses = true;
                    shared.pause_reading();
                }
            }
        }
        state.progress.push_back(update);
        Self::wake(state);
    }

    /// Notes what a listen request was acknowledged with.
    pub(crate) fn acknowledge(&self, filter: SubscriptionFilter) {
        let mut state = self.lock();
        state.acknowledged = Some(Box::new(filter));
        Self::wake(state);
    }

    /// What a listen request was acknowledged with, or how it ended without.
    pub(crate) fn poll_acknowledged(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SubscriptionFilter, RequestError>> {
        let mut state = self.lock();
        if let Some(filter) = state.acknowledged.take() {
            return Poll::Ready(Ok(*filter));
        }
        match state.outcome.take() {
            Some(Err(error)) => Poll::Ready(Err(error)),
            // Answered, but never acknowledged: nothing will be told, and whoever waits for the end finds it here.
            Some(outcome) => {
                state.outcome = Some(outcome);
                Poll::Ready(Ok(SubscriptionFilter::new()))
            }
            None => {
                state.caller = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Notes the answer of a call that goes on as a task.
    pub(crate) fn go_on(&self, result: RawJson) {
        self.open.store(true, Ordering::Relaxed);
        self.answer(Ok(result));
    }

    /// Whether it goes on, for whoever has its answer.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends the call.
    pub(crate) fn finish(&self, outcome: Result<RawJson, RequestError>) {
        self.open.store(false, Ordering::Relaxed);
        self.answer(outcome);
    }

    /// Notes the outcome; the first one counts.
    fn answer(&self, outcome: Result<RawJson, RequestError>) {
        let mut state = self.lock();
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
        }
        Self::wake(state);
    }

    /// Every update that came before the outcome is handed over before it.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        shared: &Shared,
        on_progress: &mut dyn FnMut(ProgressUpdate),
    ) -> Poll<Result<RawJson, RequestError>> {
        self.poll_until(cx, shared, on_progress, |state| state.outcome.take())
    }

    /// Every update that came before the end of a call that goes on is handed over before it.
    pub(crate) fn poll_over(
        &self,
        cx: &mut Context<'_>,
        shared: &Shared,
        on_progress: &mut dyn FnMut(ProgressUpdate),
    ) -> Poll<()> {
        self.poll_until(cx, shared, on_progress, |_| (!self.is_open()).then_some(()))
    }

    fn poll_until<R>(
        &self,
        cx: &mut Context<'_>,
        shared: &Shared,
        on_progress: &mut dyn FnMut(ProgressUpdate),
        end: impl FnOnce(&mut State) -> Option<R>,
    ) -> Poll<R> {
        let mut state = self.lock();
        if !state.progress.is_empty() {
            let updates = std::mem::take(&mut state.progress);
            state.bytes = 0;
            let resumes = std::mem::take(&mut state.pauses);
            // The callback is the program's: it must not run under the lock.
            drop(state);
            if resumes {
                shared.resume_reading();
            }
            updates.into_iter().for_each(&mut *on_progress);
            state = self.lock();
            if !state.progress.is_empty() {
                // A peer that is faster than the callback does not keep the caller from what else it looks at.
                drop(state);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        match end(&mut state) {
            Some(end) => Poll::Ready(end),
            None => {
                state.caller = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody wants it any more, which the peer is told if it does not know.
    pub(crate) fn give_up(&self, shared: &Shared) {
        self.abandon(shared);
        // If the driver is gone, so is the call.
        let _ = shared.outbox.push(Command::Cancel(self.key));
    }

    /// Nobody polls any more: what is queued goes, and the reading with it if it was stopped.
    fn abandon(&self, shared: &Shared) {
        let mut state = self.lock();
        state.abandoned = true;
        state.progress = VecDeque::new();
        let resumes = std::mem::take(&mut state.pauses);
        drop(state);
        if resumes {
            shared.resume_reading();
        }
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let caller = state.caller.take();
        drop(state);
        if let Some(caller) = caller {
            caller.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(update: &ProgressUpdate) -> usize {
    update.message.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use mcp_session::Limits;
    use mcp_types::ProgressToken;

    use crate::limits::Options;

    const COALESCE: ProgressPolicy = ProgressPolicy::Coalesce;

    fn drain(call: &PendingCall, shared: &Shared) -> Vec<ProgressUpdate> {
        let mut seen = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let _ = call.poll(&mut cx, shared, &mut |u| seen.push(u));
        seen
    }

    fn pending(policy: ProgressPolicy) -> PendingCall {
        let asked = Asked {
            method: MethodName::from_static("tools/call"),
            params: ObjectBuf::new(),
            options: None,
            since: None,
        };
        PendingCall::new(asked, policy)
    }

    #[test]
    fn the_newest_update_replaces_the_one_before_when_nobody_reads() {
        let shared = Shared::new(Options::default(), &Limits::default());
        let call = pending(COALESCE);
        let bound = shared.options.progress_updates;
        let count = bound + 10;
        for i in 0..count {
            call.progress(Progress::new(ProgressToken::Number(1), i as f64), &shared);
        }
        call.finish(Ok(RawJson::EMPTY_OBJECT));
        let seen = drain(&call, &shared);
        assert_eq!(seen.len(), bound);
        let last = seen.last().unwrap();
        assert_eq!((last.progress, last.skipped), ((count - 1) as f64, 10));
        assert_eq!(
            seen.len() as u64 + seen.iter().map(|u| u.skipped).sum::<u64>(),
            count as u64
        );
        assert_eq!(shared.tally.read().skipped_progress, 10);
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn progress_that_does_not_end_lets_the_caller_look_elsewhere() {
        let shared = Shared::new(Options::default(), &Limits::default());
        let call = pending(COALESCE);
        let come = |n: u8| {
            call.progress(
                Progress::new(ProgressToken::Number(1), f64::from(n)),
                &shared,
            );
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut seen = 0;
        come(0);
        for polled in 1..=10 {
            // While the caller is told of one, the next one comes; the last brings the answer, too.
            let outcome = call.poll(&mut cx, &shared, &mut |_| {
                seen += 1;
                if seen <= 10 {
                    come(seen);
                }
                if seen == 10 {
                    call.finish(Ok(RawJson::EMPTY_OBJECT));
                }
            });
            assert!(outcome.is_pending());
            assert_eq!(
                (seen, woken.0.load(Ordering::Relaxed)),
                (polled, usize::from(polled))
            );
        }
        let outcome = call.poll(&mut cx, &shared, &mut |_| seen += 1);
        assert!(outcome.is_ready());
        assert_eq!(seen, 11);
    }

    #[test]
    fn long_texts_are_bounded_by_bytes_and_the_last_one_is_never_lost() {
        let options = Options {
            progress_bytes: 1000,
            ..Options::default()
        };
        let shared = Shared::new(options, &Limits::default());
        let call = pending(COALESCE);
        // The last one is longer than all that may be queued.
        for (i, length) in [300, 300, 300, 300, 5000].into_iter().enumerate() {
            let mut progress = Progress::new(ProgressToken::Number(1), i as f64);
            progress.message = Some("x".repeat(length));
            call.progress(progress, &shared);
        }
        let seen = drain(&call, &shared);
        let seen: Vec<_> = seen.iter().map(|u| (u.progress, u.skipped)).collect();
        assert_eq!(seen, [(4.0, 4)]);
        assert_eq!(call.lock().bytes, 0);
    }

    #[test]
    fn a_lossless_queue_stops_the_reading_until_it_is_read_or_given_up() {
        let options = Options {
            progress_updates: 3,
            ..Options::default()
        };
        let shared = Shared::new(options, &Limits::default());
        for give_up in [false, true] {
            let call = pending(ProgressPolicy::Lossless);
            for i in 0..5 {
                assert_eq!(shared.is_reading_paused(), i > 3);
                call.progress(
                    Progress::new(ProgressToken::Number(1), f64::from(i)),
                    &shared,
                );
            }
            if give_up {
                call.abandon(&shared);
            } else {
                assert_eq!(drain(&call, &shared).len(), 5);
            }
            assert!(!shared.is_reading_paused());
        }
    }

    #[test]
    fn what_a_task_tells_stops_no_reading() {
        let options = Options {
            progress_updates: 3,
            ..Options::default()
        };
        let shared = Shared::new(options, &Limits::default());
        let call = pending(ProgressPolicy::Lossless);
        let come = || {
            for i in 0..5 {
                let progress = Progress::new(ProgressToken::Number(1), f64::from(i));
                call.progress(progress, &shared);
            }
        };
        // Until its caller has the answer, which is behind all of these, nothing is left out.
        call.go_on(RawJson::EMPTY_OBJECT);
        come();
        assert!(shared.is_reading_paused());
        assert_eq!(drain(&call, &shared).len(), 5);
        come();
        assert!(!shared.is_reading_paused());
        let seen = drain(&call, &shared);
        let seen: Vec<_> = seen.iter().map(|u| (u.progress, u.skipped)).collect();
        assert_eq!(seen, [(0.0, 0), (1.0, 0), (4.0, 2)]);
    }
}
