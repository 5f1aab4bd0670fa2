//! A server's handlers as a tower service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mcp_peer::types::{ErrorObject, NotificationMessage};
use mcp_peer::{Answer, Handler, HandlerFuture, Link, Request};
use tower_layer::Layer;
use tower_service::Service;

/// A server's handlers as a tower service, for layers to wrap; see [`Server::layer`](crate::Server::layer).
#[derive(Clone)]
pub struct RouterService(pub(crate) Arc<dyn Handler>);

/// The future of a [`RouterService`].
pub type RouterFuture = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

impl Service<Request> for RouterService {
    type Response = Answer;
    type Error = Infallible;
    type Future = RouterFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> RouterFuture {
        let answering = self.0.handle(request);
        Box::pin(async move { Ok(answering.await) })
    }
}

/// A service that layers have made.
struct Layered<S> {
    /// A clone serves each request.
    service: std::sync::Mutex<S>,
    inner: Arc<dyn Handler>,
}

/// Puts a layer around a handler.
pub(crate) fn layered<L>(layer: &L, inner: Arc<dyn Handler>) -> Arc<dyn Handler>
where
    L: Layer<RouterService>,
    L::Service: Service<Request, Response = Answer> + Clone + Send + 'static,
    <L::Service as Service<Request>>::Future: Send,
    <L::Service as Service<Request>>::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let service = layer.layer(RouterService(Arc::clone(&inner))).into();
    Arc::new(Layered { service, inner })
}

impl<S> Handler for Layered<S>
where
    S: Service<Request, Response = Answer> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    fn handle(&self, request: Request) -> HandlerFuture {
        let service = self.service.lock();
        let mut service = service
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        Box::pin(async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            let served = match ready {
                Ok(()) => service.call(request).await,
                Err(error) => Err(error),
            };
            served.unwrap_or_else(|error| {
                // What it says is this side's own matter, as with handlers.
                let error = error.into();
                tracing::error!(error = &*error as &dyn Error, "a layer failed");
                Answer::Error(ErrorObject::internal("the request could not be served"))
            })
        })
    }

    fn notification(&self, notification: &NotificationMessage, from: &Link) -> bool {
        self.inner.notification(notification, from)
    }
}

impl fmt::Debug for RouterService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouterService(..)")
    }
}
