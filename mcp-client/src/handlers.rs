//! What the server may ask of a client, whichever way it asks.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use mcp_peer::types::{ErrorObject, ObjectBuf, Request};
use mcp_peer::{Answer, Handler, HandlerFuture, RequestContext};

type Serve = Arc<dyn Fn(mcp_peer::Request) -> HandlerFuture + Send + Sync>;

/// The program's answers to the server's requests, by method.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    by_method: HashMap<&'static str, Serve>,
}

impl Handlers {
    /// Answers a method with an async function.
    pub(crate) fn add<M, F, Fut>(&mut self, handler: F)
    where
        M: Request,
        F: Fn(RequestContext, M::Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Result, ErrorObject>> + Send + 'static,
    {
        let serve = move |request: mcp_peer::Request| -> HandlerFuture {
            let answer = match request.params::<M::Params>() {
                Ok(params) => handler(request.context, params),
                Err(error) => return Box::pin(std::future::ready(Answer::Error(error))),
            };
            Box::pin(async move {
                let result = match answer.await {
                    Ok(result) => result,
                    Err(error) => return Answer::Error(error),
                };
                ObjectBuf::encode(&result)
                    .map_err(|e| ErrorObject::internal(e.to_string()))
                    .into()
            })
        };
        self.by_method.insert(M::METHOD, Arc::new(serve));
    }
}

impl Handler for Handlers {
    fn handle(&self, request: mcp_peer::Request) -> HandlerFuture {
        match self.by_method.get(request.method.as_str()) {
            Some(serve) => serve(request),
            None => {
                let error = ErrorObject::method_not_found(&request.method);
                Box::pin(std::future::ready(Answer::Error(error)))
            }
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_method.keys()).finish()
    }
}
