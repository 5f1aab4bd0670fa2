//! The progress of a call as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use mcp_peer::ProgressUpdate;
use mcp_peer::session::RequestError;
use mcp_peer::types::Request;

use crate::call::Call;

/// A call under way, as a stream of its progress; made by [`Call::progress_stream`].
///
/// It is cancelled on the wire when it is dropped.
#[must_use = "a call gets on only while it is polled"]
pub struct Progressing<'a, M: Request> {
    call: <Call<'a, M> as IntoFuture>::IntoFuture,
    /// Filled while `call` is polled, and emptied before it is polled again: no longer than the queue behind it.
    updates: Arc<Mutex<VecDeque<ProgressUpdate>>>,
    outcome: Option<Result<M::Result, RequestError>>,
}

impl<'a, M: Request> Progressing<'a, M> {
    pub(crate) fn new(call: Call<'a, M>) -> Self {
        let updates = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&updates);
        let call = call.on_progress(move |update| lock(&queue).push_back(update));
        Self {
            call: call.into_future(),
            updates,
            outcome: None,
        }
    }

    /// The next update; `None` when the call has ended and there are no more.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<ProgressUpdate> {
        std::future::poll_fn(|cx| self.poll_update(cx)).await
    }

    /// The result; updates that were not taken are dropped.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call on the wire.
    pub async fn result(mut self) -> Result<M::Result, RequestError> {
        match self.outcome.take() {
            Some(outcome) => outcome,
            None => self.call.await,
        }
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<ProgressUpdate>> {
        let waiting = lock(&self.updates).pop_front();
        if waiting.is_some() || self.outcome.is_some() {
            return Poll::Ready(waiting);
        }
        match self.call.as_mut().poll(cx) {
            Poll::Ready(outcome) => self.outcome = Some(outcome),
            Poll::Pending if lock(&self.updates).is_empty() => return Poll::Pending,
            Poll::Pending => {}
        }
        Poll::Ready(lock(&self.updates).pop_front())
    }
}

/// Nothing panics while it holds the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Request> Stream for Progressing<'_, M>
where
    M::Result: Unpin,
{
    type Item = ProgressUpdate;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ProgressUpdate>> {
        self.get_mut().poll_update(cx)
    }
}

impl<M: Request> fmt::Debug for Progressing<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progressing")
            .field("method", &M::METHOD)
            .finish_non_exhaustive()
    }
}
