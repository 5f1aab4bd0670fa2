//! Requests of the peer's on their way to the program, and back.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mcp_session::{InputRequired, Retry};
use mcp_types::{ErrorObject, MethodName, NotificationMessage, ObjectBuf, RawJson};

use crate::context::{Binding, RequestContext};
use crate::link::Link;
use crate::trace::Trace;

/// What a request is answered with.
#[derive(Debug)]
pub enum Answer {
    /// The result.
    Result(ObjectBuf),
    /// An error.
    Error(ErrorObject),
    /// Questions, to a modern client's `tools/call`, `prompts/get` or `resources/read`.
    InputRequired(InputRequired),
}

impl From<Result<ObjectBuf, ErrorObject>> for Answer {
    fn from(outcome: Result<ObjectBuf, ErrorObject>) -> Self {
        outcome.map_or_else(Self::Error, Self::Result)
    }
}

/// A request of the peer's.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub method: MethodName,
    /// With which parameters.
    pub params: Option<RawJson>,
    /// The answers of an input round, if this is the next round of an earlier request.
    pub retry: Option<Retry>,
    /// The `_meta` among the parameters, if a server is asked and there is one: it has been looked for already.
    pub meta: Option<RawJson>,
    /// What can be done on its behalf.
    pub context: RequestContext,
}

impl Request {
    /// Decodes the parameters.
    ///
    /// # Errors
    /// -32602, which says what is wrong with them; never -32601.
    pub fn params<T: serde::de::DeserializeOwned>(&self) -> Result<T, ErrorObject> {
        let params = self.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        crate::inbox::decode_body(&params).map_err(|e| {
            ErrorObject::invalid_params(format!("invalid params of `{}`: {e}", self.method))
        })
    }
}

/// A handler at work.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers the peer's requests.
///
/// The future is polled once right where the request was read. If it is ready then, it has cost no task; if not, it goes
/// on in a task of its own, and cannot hold up the connection; [`Dispatch::Spawn`](crate::Dispatch::Spawn) gives each a
/// task at once. It is dropped when the request is cancelled. A panic is answered with -32603.
///
/// No more requests than [`Limits::incoming_requests`](mcp_session::Limits::incoming_requests) are unanswered at a time;
/// one more is refused without a handler.
pub trait Handler: Send + Sync + 'static {
    /// Starts to answer a request.
    fn handle(&self, request: Request) -> HandlerFuture;

    /// Sees a notification that is not the engine's own, before whoever asked for its type; it goes no further if this is
    /// false. It runs within the driver: it should return quickly.
    fn notification(&self, notification: &NotificationMessage, from: &Link) -> bool {
        let _ = (notification, from);
        true
    }
}

impl<F> Handler for F
where
    F: Fn(Request) -> HandlerFuture + Send + Sync + 'static,
{
    fn handle(&self, request: Request) -> HandlerFuture {
        self(request)
    }
}

/// Knows no method at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHandler;

impl Handler for NoHandler {
    fn handle(&self, request: Request) -> HandlerFuture {
        let error = ErrorObject::method_not_found(&request.method);
        Box::pin(std::future::ready(Answer::Error(error)))
    }
}

/// A handler's future together with where its answer goes.
pub(crate) struct Serving {
    future: HandlerFuture,
    binding: Arc<Binding>,
    method: MethodName,
    trace: Trace,
}

impl Serving {
    /// Calls the handler; that it may panic is its own matter.
    pub(crate) fn start(
        handler: &dyn Handler,
        request: Request,
        binding: Arc<Binding>,
        trace: Trace,
    ) -> Self {
        let method = request.method.clone();
        let entered = trace.enter();
        let future =
            catch_unwind(AssertUnwindSafe(|| handler.handle(request))).unwrap_or_else(|_| {
                let answer = panicked(&method);
                Box::pin(std::future::ready(answer))
            });
        drop(entered);
        Self {
            future,
            binding,
            method,
            trace,
        }
    }
}

fn panicked(method: &str) -> Answer {
    tracing::error!(method, "a handler panicked");
    Answer::Error(ErrorObject::internal("the handler failed"))
}

/// Completes when the answer is queued.
impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let entered = this.trace.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(cx)));
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => answer,
            Err(_) => panicked(&this.method),
        };
        drop(entered);
        this.trace.answered(&answer);
        this.binding.answer(answer);
        Poll::Ready(())
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
