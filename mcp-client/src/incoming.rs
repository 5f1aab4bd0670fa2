//! What the server asks, as a stream.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use mcp_peer::types::{ErrorObject, Request};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait in the stream; the handlers of more wait to put them there.
const WAITING: usize = 64;

/// Requests of the server, one after the other; made by [`sampling_requests`](crate::ClientBuilder::sampling_requests) and
/// [`elicitation_requests`](crate::ClientBuilder::elicitation_requests).
///
/// It ends when the client is gone. When it is dropped, whatever is asked is refused.
#[must_use = "what the server asks waits here"]
pub struct Incoming<M: Request> {
    asked: mpsc::Receiver<Asked<M>>,
}

impl<M: Request> Incoming<M> {
    /// The next request; `None` when there will be no more.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Asked<M>> {
        self.asked.recv().await
    }
}

impl<M: Request> Stream for Incoming<M> {
    type Item = Asked<M>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Asked<M>>> {
        self.get_mut().asked.poll_recv(cx)
    }
}

/// A request of the server that waits for its answer; dropped, it is refused.
#[must_use = "dropping it refuses it"]
pub struct Asked<M: Request> {
    /// What is asked.
    pub params: M::Params,
    respond: oneshot::Sender<Result<M::Result, ErrorObject>>,
}

impl<M: Request> Asked<M> {
    /// Answers it; false if nobody waits any more, because it was cancelled.
    pub fn answer(self, result: M::Result) -> bool {
        self.respond.send(Ok(result)).is_ok()
    }

    /// Refuses it; false if nobody waits any more.
    pub fn refuse(self, error: ErrorObject) -> bool {
        self.respond.send(Err(error)).is_ok()
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn cancelled(&mut self) {
        self.respond.closed().await;
    }
}

/// The handler's end.
pub(crate) struct Ask<M: Request>(mpsc::Sender<Asked<M>>);

pub(crate) fn channel<M: Request>() -> (Ask<M>, Incoming<M>) {
    let (sender, asked) = mpsc::channel(WAITING);
    (Ask(sender), Incoming { asked })
}

impl<M: Request> Ask<M> {
    pub(crate) fn ask(
        &self,
        params: M::Params,
    ) -> impl Future<Output = Result<M::Result, ErrorObject>> + Send + use<M> {
        let sender = self.0.clone();
        let (respond, answer) = oneshot::channel();
        async move {
            let refused = || ErrorObject::internal("nobody answers");
            let asked = Asked { params, respond };
            sender.send(asked).await.map_err(|_| refused())?;
            answer.await.map_err(|_| refused())?
        }
    }
}

impl<M: Request> fmt::Debug for Incoming<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("method", &M::METHOD)
            .finish_non_exhaustive()
    }
}

impl<M: Request> fmt::Debug for Asked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("method", &M::METHOD)
            .finish_non_exhaustive()
    }
}
