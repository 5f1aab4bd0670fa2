//! What the server may ask of a client, whichever way it asks.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use mcp_peer::types::{
    CreateMessage, CreateMessageParams, CreateMessageResult, Elicit, ElicitParams, ElicitResult,
    ElicitationCapability, ErrorObject, ForRevision, ListRoots, ListRootsResult, ObjectBuf,
    ProtocolVersion, Request, Root, RootsCapability, SamplingCapability,
};
use mcp_peer::{Answer, Handler, HandlerFuture, RequestContext};

use crate::builder::ClientBuilder;
use crate::form;
use crate::incoming::{self, Incoming};

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

/// An answer as the server's revision can say it (inventory 3.11).
fn fit<R: ForRevision>(answer: R, version: ProtocolVersion) -> Result<R, ErrorObject> {
    match answer.inexpressible(version) {
        Some(reason) => Err(ErrorObject::internal(reason))
            .inspect_err(|error| tracing::warn!(%error, "not sent")),
        None => Ok(answer.for_revision(version)),
    }
}

impl ClientBuilder {
    /// Answers the server's requests to sample from the model, and declares that capability. A conversation that is
    /// [unbalanced](CreateMessageParams::unbalanced) is refused before the handler sees it (REQ-SAMP-05).
    ///
    /// The answer is sent as the server's revision can say it: before 2025-11-25 as one block, its texts joined (REQ-SAMP-06).
    /// One that it cannot say, as the use of a tool before then, is an error. An error of the handler's goes to a legacy server as it is;
    /// in the modern era, whose wire has no form for it, it ends the call.
    pub fn on_sampling<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(CreateMessageParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<CreateMessageResult, ErrorObject>> + Send + 'static,
    {
        self.declare_sampling()
            .on_request::<CreateMessage, _, _>(move |context, params| {
                let answer = match params.unbalanced() {
                    None => Ok(handler(params)),
                    // REQ-SAMP-05
                    Some(reason) => Err(ErrorObject::invalid_params(reason)),
                };
                async move { fit(answer?.await?, context.version()) }
            })
    }

    /// As [`on_sampling`](Self::on_sampling), with a person before the model and behind it: `before` sees the request, and
    /// `after` what the model said; each may change it, or refuse it by an error (REQ-SAMP-07).
    ///
    /// ```no_run
    /// use mcp_client::types::{CreateMessageResult, ErrorObject};
    ///
    /// # async fn ask(_: &str) -> bool { true }
    /// let builder = mcp_client::Client::builder("me", "1.0.0").on_sampling_reviewed(
    ///     async |request| match ask("May the server use your model?").await {
    ///         true => Ok(request),
    ///         false => Err(ErrorObject::new(-1, "the user said no")),
    ///     },
    ///     async |request| Ok(CreateMessageResult::text("model", "…")),
    ///     async |said| Ok(said),
    /// );
    /// ```
    pub fn on_sampling_reviewed<B, BFut, F, Fut, A, AFut>(
        self,
        before: B,
        model: F,
        after: A,
    ) -> Self
    where
        B: Fn(CreateMessageParams) -> BFut + Send + Sync + 'static,
        BFut: Future<Output = Result<CreateMessageParams, ErrorObject>> + Send + 'static,
        F: Fn(CreateMessageParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<CreateMessageResult, ErrorObject>> + Send + 'static,
        A: Fn(CreateMessageResult) -> AFut + Send + Sync + 'static,
        AFut: Future<Output = Result<CreateMessageResult, ErrorObject>> + Send + 'static,
    {
        let stages = Arc::new((before, model, after));
        self.on_sampling(move |params| {
            let stages = Arc::clone(&stages);
            async move {
                let (before, model, after) = &*stages;
                after(model(before(params).await?).await?).await
            }
        })
    }

    /// Hands the server's requests to sample to a stream, and declares that capability.
    pub fn sampling_requests(self) -> (Self, Incoming<CreateMessage>) {
        let (ask, incoming) = incoming::channel();
        (self.on_sampling(move |params| ask.ask(params)), incoming)
    }

    fn declare_sampling(mut self) -> Self {
        let declared = &mut self.config.capabilities.sampling;
        declared.get_or_insert_with(SamplingCapability::default);
        self
    }

    /// Answers the server's questions to the user, and declares that capability, for forms;
    /// [`elicits_urls`](Self::elicits_urls) adds pages to visit.
    ///
    /// What a user has left out of an accepted form gets the form's defaults; an answer that does not fit the form even so
    /// is an error, and the server does not see it (REQ-ELIC-05). The `format` of a text is not checked. An error goes to a
    /// legacy server as it is; in the modern era, whose wire has no form for it, the question counts as cancelled.
    pub fn on_elicitation<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(ElicitParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ElicitResult, ErrorObject>> + Send + 'static,
    {
        let declared = &mut self.config.capabilities.elicitation;
        declared.get_or_insert_with(ElicitationCapability::default);
        self.on_request::<Elicit, _, _>(move |_, params| {
            let form = match &params {
                ElicitParams::Form(form) => Some(form.requested_schema.clone()),
                _ => None,
            };
            let answer = handler(params);
            async move {
                let answer = answer.await?;
                match form {
                    Some(form) => form::complete(&form, answer).inspect_err(|error| {
                        tracing::warn!(%error, "not sent");
                    }),
                    None => Ok(answer),
                }
            }
        })
    }

    /// Hands the server's questions to the user to a stream, and declares that capability, for forms.
    pub fn elicitation_requests(self) -> (Self, Incoming<Elicit>) {
        let (ask, incoming) = incoming::channel();
        (self.on_elicitation(move |params| ask.ask(params)), incoming)
    }

    /// Declares that the user can be sent to a page, too; the handler of [`on_elicitation`](Self::on_elicitation) is asked.
    ///
    /// A page is to be opened only when the user has seen all of its address and agreed (REQ-SEC-05).
    pub fn elicits_urls(mut self) -> Self {
        let declared = &mut self.config.capabilities.elicitation;
        *declared = Some(declared.take().unwrap_or_default().form().url());
        self
    }

    /// Tells the server these roots when it asks, and declares that capability.
    ///
    /// If one of them is no [`file://` URI](Root::is_file), none is told: that is logged, and the server gets an error (REQ-ROOT-01).
    pub fn roots(mut self, roots: impl IntoIterator<Item = Root>) -> Self {
        let roots: Vec<Root> = roots.into_iter().collect();
        let roots = match roots.iter().find(|root| !root.is_file()) {
            None => Ok(ListRootsResult::new(roots)),
            Some(root) => {
                tracing::error!(uri = root.uri, "a root that is no `file://` URI");
                Err(ErrorObject::internal(
                    "the client has a root that is no file",
                ))
            }
        };
        let declared = &mut self.config.capabilities.roots;
        declared.get_or_insert_with(RootsCapability::default);
        self.on_request::<ListRoots, _, _>(move |context, _| {
            let result = roots.clone();
            std::future::ready(result.and_then(|result| fit(result, context.version())))
        })
    }

    /// Answers a request of the program's own, which only legacy servers can send.
    pub fn on_request<M, F, Fut>(mut self, handler: F) -> Self
    where
        M: Request,
        F: Fn(RequestContext, M::Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Result, ErrorObject>> + Send + 'static,
    {
        self.handlers.add::<M, _, _>(handler);
        self
    }
}
