//! A call that waits for its answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use mcp_session::{CallKey, Progress, RequestError};
use mcp_types::RawJson;

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

/// How many updates wait for a caller who does not poll; then the newest replaces the one before it.
const PROGRESS_QUEUE: usize = 8192;

/// Shared by a call's future and the driver.
pub(crate) struct PendingCall {
    pub(crate) key: CallKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    progress: VecDeque<ProgressUpdate>,
    outcome: Option<Result<RawJson, RequestError>>,
    caller: Option<Waker>,
}

impl PendingCall {
    pub(crate) fn new(key: CallKey) -> Self {
        Self {
            key,
            state: Mutex::default(),
        }
    }

    /// Queues an update; the last one is never lost.
    pub(crate) fn progress(&self, progress: Progress) {
        let mut state = self.lock();
        let mut update = ProgressUpdate {
            progress: progress.progress,
            total: progress.total,
            message: progress.message,
            skipped: 0,
        };
        if state.progress.len() >= PROGRESS_QUEUE
            && let Some(last) = state.progress.pop_back()
        {
            update.skipped = last.skipped + 1;
        }
        state.progress.push_back(update);
        Self::wake(state);
    }

    /// Ends the call; the first outcome counts.
    pub(crate) fn finish(&self, outcome: Result<RawJson, RequestError>) {
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
        on_progress: &mut dyn FnMut(ProgressUpdate),
    ) -> Poll<Result<RawJson, RequestError>> {
        loop {
            let mut state = self.lock();
            if state.progress.is_empty() {
                return match state.outcome.take() {
                    Some(outcome) => Poll::Ready(outcome),
                    None => {
                        state.caller = Some(cx.waker().clone());
                        Poll::Pending
                    }
                };
            }
            let updates = std::mem::take(&mut state.progress);
            // The callback is the program's: it must not run under the lock.
            drop(state);
            updates.into_iter().for_each(&mut *on_progress);
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

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_types::ProgressToken;

    #[test]
    fn the_newest_update_replaces_the_one_before_when_nobody_reads() {
        let call = PendingCall::new(CallKey(1));
        let count = PROGRESS_QUEUE + 10;
        for i in 0..count {
            call.progress(Progress::new(ProgressToken::Number(1), i as f64));
        }
        call.finish(Ok(RawJson::EMPTY_OBJECT));
        let mut seen = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.poll(&mut cx, &mut |u| seen.push(u)).is_ready());
        assert_eq!(seen.len(), PROGRESS_QUEUE);
        let last = seen.last().unwrap();
        assert_eq!((last.progress, last.skipped), ((count - 1) as f64, 10));
        assert_eq!(
            seen.len() as u64 + seen.iter().map(|u| u.skipped).sum::<u64>(),
            count as u64
        );
    }
}
