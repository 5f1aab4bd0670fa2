//! A request that is about to be made.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use mcp_peer::session::{ApiMisuse, CallOptions, RequestError};
use mcp_peer::types::{CallTool, LogLevel, Meta, MethodName, ObjectBuf, RawJson, Request};
use mcp_peer::{Calling, ProgressPolicy, ProgressUpdate, TaskProgress};
use serde::Serialize;
use tokio::time::Instant;

use crate::cancel::Cancel;
use crate::client::Client;
use crate::progress::Progressing;
use crate::reconnect::{Backoff, Reconnect};
use crate::tasks::followed;

/// A request that is sent when it is awaited; every method of [`Client`](crate::Client) that makes one returns this.
///
/// Dropping the future cancels the request on the wire. Questions that the server asks on the way go to the handlers of
/// the builder, however many rounds that takes.
///
/// Awaiting it fails with a [`RequestError`], by whose fault it is.
#[must_use = "a request is sent when it is awaited"]
pub struct Call<'a, M> {
    pub(crate) request: Unsent<'a>,
    of: PhantomData<fn() -> M>,
}

/// A request of whatever type: what sends it is compiled once, and not for each type in each program.
pub(crate) struct Unsent<'a> {
    pub(crate) client: &'a Client,
    method: &'static str,
    pub(crate) params: Result<ObjectBuf, RequestError>,
    pub(crate) options: CallOptions,
    progress: ProgressPolicy,
    on_progress: Option<Box<dyn FnMut(ProgressUpdate) + Send + 'a>>,
    idempotent: bool,
    /// Whether it waits for the end of the task that it may become.
    pub(crate) follows: bool,
    cancel: Option<Cancel>,
    /// What is still told when it has been answered with a task of 2025-11-25.
    pub(crate) task_progress: Option<TaskProgress>,
}

/// How often an idempotent request is sent in all.
const SENDINGS: u32 = 3;

impl<'a, M: Request> Call<'a, M> {
    /// `params` serialises as the method's parameters.
    pub(crate) fn new<P: Serialize + ?Sized>(client: &'a Client, params: &P) -> Self {
        Self::of(client, mcp_peer::encode_params(M::METHOD, params))
    }

    /// The parameters are a name, and arguments that serialise as an object.
    pub(crate) fn named<A: Serialize>(client: &'a Client, name: &str, arguments: &A) -> Self {
        let mut params = ObjectBuf::new();
        params.insert_str("name", name);
        let params = match params.insert_members("arguments", arguments) {
            Ok(()) => Ok(params),
            Err(e) => {
                let (method, reason) = (M::METHOD.into(), e.to_string());
                Err(ApiMisuse::Params { method, reason }.into())
            }
        };
        Self::of(client, params)
    }

    fn of(client: &'a Client, params: Result<ObjectBuf, RequestError>) -> Self {
        let mut options = CallOptions::default();
        options.result_types = M::RESULT_TYPES;
        let request = Unsent {
            client,
            method: M::METHOD,
            params,
            options,
            progress: ProgressPolicy::default(),
            on_progress: None,
            idempotent: false,
            follows: M::METHOD == CallTool::METHOD && client.takes_tasks(),
            cancel: None,
            task_progress: None,
        };
        Self {
            request,
            of: PhantomData,
        }
    }

    /// Asks for progress and calls back for each update, all of them before the result is there; of what a
    /// [task](Self::as_task) has to tell, [`TaskHandle::result_with`](crate::TaskHandle::result_with) calls back.
    ///
    /// Where their place among logs and other notifications matters,
    /// [`on_notification::<Progress>`](crate::ClientBuilder::on_notification) has them in the order of the wire.
    ///
    /// Updates that nobody polls for are coalesced once there are thousands of them; the last one is never lost.
    pub fn on_progress(mut self, callback: impl FnMut(ProgressUpdate) + Send + 'a) -> Self {
        self.request.options.progress = true;
        self.request.on_progress = Some(Box::new(callback));
        self
    }

    /// Makes a stream of its progress, with the result behind it; the request is sent when that is first polled.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client::Client) -> Result<(), mcp_client::RequestError> {
    /// let mut build = client.call_tool("build", serde_json::json!({})).progress_stream();
    /// while let Some(update) = build.next().await {
    ///     println!("{update}");
    /// }
    /// println!("{}", build.result().await?.to_text());
    /// # Ok(()) }
    /// ```
    pub fn progress_stream(self) -> Progressing<'a, M> {
        Progressing::new(self)
    }

    /// Leaves no update out however late they are taken: while thousands wait, nothing more is read from the connection. Behind
    /// its answer, if that is a [task](Self::as_task), the newest update replaces the one before it then, and nothing waits.
    pub fn lossless_progress(mut self) -> Self {
        self.request.progress = ProgressPolicy::Lossless;
        self
    }

    /// Sets how long to wait for the answer, 60 s by default; if that is a [task](crate::ClientBuilder::with_tasks), the wait for
    /// its end is [`max_total`](Self::max_total)'s matter.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.options.timeout = Some(timeout);
        self
    }

    /// Sets how long to wait in all, whatever prolongs the wait: for a connection, and however often it is sent; 1 h by default.
    pub fn max_total(mut self, total: Duration) -> Self {
        self.request.options.total = Some(total);
        self
    }

    /// Starts the wait again with each progress update.
    pub fn reset_on_progress(mut self) -> Self {
        self.request.options.reset_on_progress = true;
        self
    }

    /// Sets the log level for this call alone, which only modern servers can do.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.request.options.log_level = Some(level);
        self
    }

    /// Adds keys to the request's `_meta`.
    pub fn meta(mut self, meta: Meta) -> Self {
        self.request.options.meta = Some(meta);
        self
    }

    /// Says that it does no harm to do this twice: it is sent again, twice at most, if it is [lost](RequestError::Lost) alone, or
    /// the connection is and [opened again](crate::ClientBuilder::reconnect). Its progress starts again then.
    pub fn idempotent(mut self) -> Self {
        self.request.idempotent = true;
        self
    }

    /// Lets somebody else cancel it, on the wire too; it fails with [`RequestError::Cancelled`] then.
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.request.cancel = Some(cancel.clone());
        self
    }
}

impl<'a> Unsent<'a> {
    /// The request itself, if there is nothing to be done but to make it: it takes much less room then, for as long as it takes.
    fn plain(
        mut self,
    ) -> Result<Calling<'a, impl FnMut(ProgressUpdate) + Send + use<'a>>, Box<Self>> {
        let more =
            self.idempotent || self.follows || self.cancel.is_some() || self.client.reopens();
        let params = match (more, self.params) {
            (false, Ok(params)) => params,
            (_, params) => {
                self.params = params;
                return Err(Box::new(self));
            }
        };
        let mut on_progress = self.on_progress;
        let on_progress = move |update| {
            if let Some(callback) = &mut on_progress {
                callback(update);
            }
        };
        let peer = self.client.peer();
        let method = MethodName::from_static(self.method);
        let calling = peer.request_raw(method, params, self.options, on_progress);
        Ok(calling.with_progress(self.progress))
    }

    /// The result as it came.
    pub(crate) async fn finished(&mut self) -> Result<RawJson, RequestError> {
        let (client, follows) = (self.client, self.follows);
        let total = self.options.total.unwrap_or(client.total());
        let cancel = self.cancel.take();
        let began = Instant::now();
        let left = || total.saturating_sub(began.elapsed());
        let outcome = async {
            let result = self.sent(left).await?;
            match follows {
                false => Ok(result),
                true => followed(client, result, left()).await,
            }
        };
        let outcome = match cancel {
            None => outcome.await,
            Some(cancel) if cancel.is_cancelled() => Err(RequestError::Cancelled),
            // A task that has come at the same moment has to be known, to be cancelled.
            Some(cancel) => tokio::select! {
                biased;
                result = outcome => result,
                () = cancel.cancelled() => Err(RequestError::Cancelled),
            },
        };
        match outcome {
            // Else it would be what was left for the last of what it waited for.
            Err(RequestError::TimedOut(_)) if left().is_zero() => {
                Err(RequestError::TimedOut(total))
            }
            outcome => outcome,
        }
    }

    /// `left` says how much of its time it has.
    async fn sent(&mut self, left: impl Fn() -> Duration) -> Result<RawJson, RequestError> {
        let mut params = std::mem::replace(&mut self.params, Ok(ObjectBuf::new()))?;
        let mut ignore = |_| ();
        let on_progress: &mut (dyn FnMut(ProgressUpdate) + Send) = match &mut self.on_progress {
            Some(callback) => callback,
            None => &mut ignore,
        };
        let mut sendings = if self.idempotent { SENDINGS } else { 1 };
        let mut backoff = Backoff::new(Reconnect::default());
        let timeout = self.options.timeout.unwrap_or(self.client.timeout());
        let mut again = false;
        loop {
            sendings -= 1;
            if again || self.client.is_being_opened() {
                self.client.open_peer(Some(timeout.min(left()))).await?;
                // The engine knows only of what it sends from here on.
                self.options.total = Some(left());
            }
            again = true;
            let peer = self.client.peer();
            let body = match sendings {
                0 => std::mem::take(&mut params),
                _ => params.clone(),
            };
            let method = MethodName::from_static(self.method);
            let options = self.options.clone();
            let calling = peer.request_raw(method, body, options, &mut *on_progress);
            let mut calling = calling.with_progress(self.progress);
            let outcome = (&mut calling).await;
            self.task_progress = calling.into_task_progress();
            match outcome {
                Err(RequestError::ConnectionLost(_)) if sendings > 0 && self.client.reopens() => {}
                // What it was lost by may be over soon, and hardly is at once.
                Err(RequestError::Lost(_)) if sendings > 0 => {
                    let delay = backoff.next().unwrap_or_default();
                    if delay >= left() {
                        return outcome;
                    }
                    tokio::time::sleep(delay).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl<'a, M: Request> IntoFuture for Call<'a, M> {
    type Output = Result<M::Result, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        match self.request.plain() {
            Ok(mut calling) => Box::pin(std::future::poll_fn(move |cx| {
                let result = ready!(Pin::new(&mut calling).poll(cx))?;
                Poll::Ready(mcp_peer::read_result::<M>(&result))
            })),
            Err(mut request) => Box::pin(async move {
                let result = request.finished().await?;
                mcp_peer::read_result::<M>(&result)
            }),
        }
    }
}

impl<M: Request> fmt::Debug for Call<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &M::METHOD)
            .field("params", &self.request.params)
            .field("options", &self.request.options)
            .finish_non_exhaustive()
    }
}
