//! What is done around every request and every notification.

use std::sync::Arc;

use mcp_peer::types::NotificationMessage;
use mcp_peer::{Handler, HandlerFuture, Link, Request};

/// Something around what a server does: it sees each request before its handler does, and each answer after it.
///
/// It may look at a request, answer it by itself, hand it on, and look at the answer. A function of the two parameters of
/// [`handle`](Self::handle) is one, too. What the engine answers by itself does not come by: `initialize`,
/// `server/discover`, `ping`, `logging/setLevel`, and who subscribes to what.
///
/// ```
/// use std::time::Instant;
/// use mcp_server::{Server, Middleware, Next, Request, Serving};
///
/// struct Timing;
///
/// impl Middleware for Timing {
///     fn handle(&self, request: Request, next: &Next) -> Serving {
///         let (began, method) = (Instant::now(), request.method.clone());
///         let answer = next.handle(request);
///         Box::pin(async move {
///             let answer = answer.await;
///             println!("{method}: {:?}", began.elapsed());
///             answer
///         })
///     }
/// }
///
/// let server = Server::new("timed", "1.0.0").around(Timing);
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Serves a request, by handing it on or not.
    ///
    /// It is called for each round of a request that takes input; an answer may be [`Answer::InputRequired`](crate::Answer).
    fn handle(&self, request: Request, next: &Next) -> Serving;

    /// Sees a notification of a client's before whoever asked for its type; it goes no further if this is false.
    ///
    /// It runs within the connection's driver: it should return quickly.
    fn notification(&self, notification: &NotificationMessage, from: &Link) -> bool {
        let _ = (notification, from);
        true
    }
}

impl<F> Middleware for F
where
    F: Fn(Request, &Next) -> Serving + Send + Sync + 'static,
{
    fn handle(&self, request: Request, next: &Next) -> Serving {
        self(request, next)
    }
}

/// An answer on its way.
pub type Serving = HandlerFuture;

/// What a [`Middleware`] is around: another one, or the server's handlers; clones may go to other tasks.
#[derive(Clone)]
pub struct Next(Arc<dyn Handler>);

impl Next {
    /// Hands a request on.
    pub fn handle(&self, request: Request) -> Serving {
        self.0.handle(request)
    }
}

/// A middleware with what it is around.
struct Around<M> {
    middleware: M,
    next: Next,
}

/// Puts a middleware around a handler.
pub(crate) fn around(middleware: impl Middleware, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
    let next = Next(handler);
    Arc::new(Around { middleware, next })
}

impl<M: Middleware> Handler for Around<M> {
    fn handle(&self, request: Request) -> HandlerFuture {
        self.middleware.handle(request, &self.next)
    }

    fn notification(&self, notification: &NotificationMessage, from: &Link) -> bool {
        self.middleware.notification(notification, from)
            && self.next.0.notification(notification, from)
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next(..)")
    }
}
