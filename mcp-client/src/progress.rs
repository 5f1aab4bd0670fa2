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
        loop {
            if let Some(outcome) = self.outcome.take() {
                return outcome;
            }
            // Else they would be kept until then.
            self.next().await;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_testing::{RawPeer, soon};
    use serde_json::json;

    use super::*;
    use crate::{Client, EraChoice};

    #[tokio::test(start_paused = true)]
    async fn updates_that_nobody_takes_are_not_kept() {
        let (left, right) = tokio::io::duplex(64 * 1024);
        let mut server = RawPeer::new(right);
        let connecting = Client::builder("c", "1")
            .era(EraChoice::Modern)
            .connect(mcp_codec::framed(left));
        let serving = async {
            let request = soon(server.next()).await.unwrap().unwrap();
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} });
            let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
            server.send(&answer).await.unwrap();
        };
        let (client, ()) = tokio::join!(connecting, serving);
        let client = client.unwrap();
        let call = client.call_tool("t", ()).progress_stream();
        let updates = Arc::clone(&call.updates);
        let serving = async {
            let request = soon(server.next()).await.unwrap().unwrap();
            let method = "notifications/progress";
            let token = &request["params"]["_meta"]["progressToken"];
            for progress in 1..=3 {
                let params = json!({ "progressToken": token, "progress": progress });
                let update = json!({ "jsonrpc": "2.0", "method": method, "params": params });
                server.send(&update).await.unwrap();
            }
            // By then they have come.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(lock(&updates).is_empty());
            let result = json!({ "content": [] });
            let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
            server.send(&answer).await.unwrap();
        };
        let (result, ()) = tokio::join!(call.result(), serving);
        result.unwrap();
    }
}
