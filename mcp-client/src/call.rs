//! A request that is about to be made.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use mcp_peer::session::{CallOptions, RequestError};
use mcp_peer::types::{LogLevel, Meta, ObjectBuf, Request};
use mcp_peer::{Peer, ProgressUpdate};
use serde::Serialize;

/// A request that is sent when it is awaited; every method of [`Client`](crate::Client) that makes one returns this.
///
/// Dropping the future cancels the request on the wire. Questions that the server asks on the way go to the handlers of
/// the builder, however many rounds that takes.
///
/// Awaiting it fails with a [`RequestError`], by whose fault it is.
#[must_use = "a request is sent when it is awaited"]
pub struct Call<'a, M> {
    peer: &'a Peer,
    params: Result<ObjectBuf, RequestError>,
    options: CallOptions,
    on_progress: Option<Box<dyn FnMut(ProgressUpdate) + Send + 'a>>,
    method: PhantomData<fn() -> M>,
}

impl<'a, M: Request> Call<'a, M> {
    /// `params` serialises as the method's parameters.
    pub(crate) fn new<P: Serialize + ?Sized>(peer: &'a Peer, params: &P) -> Self {
        Self {
            peer,
            params: mcp_peer::encode_params(M::METHOD, params),
            options: CallOptions::default(),
            on_progress: None,
            method: PhantomData,
        }
    }

    /// Asks for progress and calls back for each update, all of them before the result is there.
    ///
    /// Updates that nobody polls for are coalesced once there are thousands of them; the last one is never lost.
    pub fn on_progress(mut self, callback: impl FnMut(ProgressUpdate) + Send + 'a) -> Self {
        self.options.progress = true;
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Sets how long to wait for the answer, 60 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets how long to wait in all, whatever prolongs the wait; 1 h by default.
    pub fn max_total(mut self, total: Duration) -> Self {
        self.options.total = Some(total);
        self
    }

    /// Starts the wait again with each progress update.
    pub fn reset_on_progress(mut self) -> Self {
        self.options.reset_on_progress = true;
        self
    }

    /// Sets the log level for this call alone, which only modern servers can do.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.options.log_level = Some(level);
        self
    }

    /// Adds keys to the request's `_meta`.
    pub fn meta(mut self, meta: Meta) -> Self {
        self.options.meta = Some(meta);
        self
    }
}

impl<'a, M: Request> IntoFuture for Call<'a, M> {
    type Output = Result<M::Result, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            peer,
            params,
            options,
            mut on_progress,
            ..
        } = self;
        Box::pin(async move {
            let see = |update| {
                if let Some(callback) = &mut on_progress {
                    callback(update);
                }
            };
            let result = peer
                .request_raw(M::METHOD.into(), params?, options, see)
                .await?;
            mcp_peer::decode_result(M::METHOD, &result)
        })
    }
}

impl<M: Request> fmt::Debug for Call<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &M::METHOD)
            .field("params", &self.params)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
