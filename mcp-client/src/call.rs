//! A call of a tool.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use mcp_peer::session::{CallOptions, RequestError};
use mcp_peer::types::{self, CallToolResult, LogLevel, Meta, ObjectBuf, Request};
use mcp_peer::{Peer, ProgressUpdate};
use serde::Serialize;

/// A call of a tool, sent when it is awaited; see [`Client::call_tool`](crate::Client::call_tool).
///
/// Dropping the future cancels the call on the wire.
#[must_use = "a call is sent when it is awaited"]
pub struct CallTool<'a> {
    peer: &'a Peer,
    params: Result<ObjectBuf, RequestError>,
    options: CallOptions,
    on_progress: Option<Box<dyn FnMut(ProgressUpdate) + Send + 'a>>,
}

impl<'a> CallTool<'a> {
    pub(crate) fn new<A: Serialize>(peer: &'a Peer, name: &str, arguments: &A) -> Self {
        #[derive(Serialize)]
        struct Params<'a, A> {
            name: &'a str,
            arguments: &'a A,
        }
        Self {
            peer,
            params: mcp_peer::encode_params(types::CallTool::METHOD, &Params { name, arguments }),
            options: CallOptions::default(),
            on_progress: None,
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

impl<'a> IntoFuture for CallTool<'a> {
    type Output = Result<CallToolResult, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let method = types::CallTool::METHOD;
            let mut on_progress = self.on_progress;
            let result = self
                .peer
                .request_raw(method.into(), self.params?, self.options, |update| {
                    if let Some(callback) = &mut on_progress {
                        callback(update);
                    }
                })
                .await?;
            mcp_peer::decode_result(method, &result)
        })
    }
}

impl fmt::Debug for CallTool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTool")
            .field("params", &self.params)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
