//! What a handler has at hand.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_peer::session::{ApiMisuse, CallOptions, NotSent, RequestError};
use mcp_peer::types::{
    ClientCapabilities, CreateMessage, CreateMessageParams, CreateMessageResult, Era, ForRevision,
    Implementation, ListRoots, ListRootsParams, LogLevel, LogMessageParams, Notification,
    ObjectBuf, ProtocolVersion, Request, RequestId, Root,
};
use mcp_peer::{Delivery, RequestContext};
use serde::Serialize;

use crate::hub::Hub;
use crate::logs::LogBucket;
use crate::tasks::{Wish, related};

/// The request that a handler serves: what is known of it, and what can be sent on its behalf.
///
/// A clone may go to other tasks. Whatever is sent through it is on the wire before the handler's result; once the
/// request has ended, sending says so.
#[derive(Clone)]
pub struct Cx {
    context: RequestContext,
    hub: Hub,
    /// What a question is called.
    key: Option<Arc<str>>,
    /// Set where the call may become a task.
    task: Option<Arc<Wish>>,
}

impl Cx {
    pub(crate) fn new(context: RequestContext, hub: Hub) -> Self {
        Self {
            context,
            hub,
            key: None,
            task: None,
        }
    }

    pub(crate) fn with_task(mut self, task: Arc<Wish>) -> Self {
        self.task = Some(task);
        self
    }

    pub(crate) fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Log messages for the client.
    pub fn log(&self) -> Log<'_> {
        Log {
            cx: self,
            logger: None,
        }
    }

    /// A reporter of progress, which counts from zero: make one for a request and share it, for progress only ever increases, and
    /// what another one counts again is not sent ([`NotSent::NotIncreasing`](crate::NotSent::NotIncreasing)).
    pub fn progress(&self) -> ProgressReporter {
        ProgressReporter {
            context: self.context.clone(),
            total: None,
            done: AtomicU64::new(0f64.to_bits()),
        }
    }

    /// Asks the client's model.
    ///
    /// Legacy: a request to the client, which has ten minutes to answer, whatever
    /// [`Limits::request_timeout`](crate::Limits::request_timeout) is: a person may have to think. Modern: an input round, for
    /// which [`ParkLimits::time`](crate::ParkLimits::time) or [`Replay::time`](crate::Replay::time) is left; what is sent
    /// afterwards goes out with the next round.
    /// [`include_context`](CreateMessageParams::include_context()) is left out where the client has not declared that it includes
    /// any (REQ-SAMP-02).
    ///
    /// # Errors
    /// [`RequestError::Misuse`] if the client did not declare the capability, or the conversation is
    /// [unbalanced](CreateMessageParams::unbalanced); [`RequestError::Refused`] if it refuses; the other variants as for any request.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn sample(
        &self,
        params: CreateMessageParams,
    ) -> Result<CreateMessageResult, RequestError> {
        let mut params = self.fit::<CreateMessage>(params)?;
        let includes = self.context.caller().capabilities.samples_with_context();
        if !includes && self.version() >= ProtocolVersion::V2025_11_25 {
            // A wish, and nothing that is needed (REQ-SAMP-02).
            params.include_context = None;
        }
        if let Some(reason) = params.unbalanced() {
            return Err(misuse::<CreateMessage>(reason));
        }
        self.ask::<CreateMessage>(&params).await
    }

    /// Asks for the client's roots, which has as long to answer as with [`sample`](Self::sample). Those that are no `file://` URIs
    /// are left out (REQ-ROOT-01).
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn roots(&self) -> Result<Vec<Root>, RequestError> {
        let params = ListRootsParams::default();
        let mut roots = self.ask::<ListRoots>(&params).await?.roots;
        let told = roots.len();
        roots.retain(Root::is_file);
        if roots.len() < told {
            tracing::warn!(left_out = told - roots.len(), "roots that are no files");
        }
        Ok(roots)
    }

    /// Lets the call become a task: the request is answered with that, and the handler goes on. Says whether it is one; it is
    /// none where the client does not know tasks, or the tool does not
    /// [support](crate::ToolDef::task_when_asked) them.
    ///
    /// # Cancel safety
    /// If the future is dropped, the call may or may not become a task.
    pub async fn become_task(&self) -> bool {
        match &self.task {
            Some(task) => task.become_task().await,
            None => false,
        }
    }

    /// The same request, with a name for what is asked through it: the key of the question in an input round, which is a
    /// number otherwise. A client that knows it can answer with its first request.
    ///
    /// ```
    /// use mcp_server::{Cx, ToolError};
    ///
    /// async fn where_to(cx: Cx) -> Result<String, ToolError> {
    ///     let roots = cx.named("client_roots").roots().await?;
    ///     Ok(format!("{} roots", roots.len()))
    /// }
    /// ```
    #[must_use]
    pub fn named(&self, key: impl Into<Arc<str>>) -> Self {
        let key = Some(key.into());
        Self {
            key,
            ..self.clone()
        }
    }

    /// The parameters of a question as the revision can say them (inventory 3.11).
    pub(crate) fn fit<M: Request>(&self, params: M::Params) -> Result<M::Params, RequestError>
    where
        M::Params: ForRevision,
    {
        let version = self.version();
        if let Some(reason) = params.inexpressible(version) {
            return Err(misuse::<M>(reason));
        }
        Ok(params.for_revision(version))
    }

    pub(crate) async fn ask<M: Request>(
        &self,
        params: &M::Params,
    ) -> Result<M::Result, RequestError> {
        let mut params: ObjectBuf = mcp_peer::encode_params(M::METHOD, params)?;
        let mut options = CallOptions::default();
        // A person may have to think; the client's own limit on the whole call still holds.
        options.timeout = Some(std::time::Duration::from_secs(600));
        let legacy = self.era() == Era::Legacy;
        let task = self.task.as_ref().filter(|_| legacy);
        if let Some(id) = task.and_then(|task| task.task()) {
            let meta = params.take("_meta").and_then(ObjectBuf::from_raw);
            params.insert_raw("_meta", &related(meta.unwrap_or_default(), &id));
        }
        let waiting = match task {
            Some(task) => task.waiting().await,
            None => None,
        };
        let key = self.key.clone();
        let answer = self.context.ask_as(key, M::METHOD, params, options).await;
        if let Some(waiting) = waiting {
            waiting.over().await;
        }
        let answer = answer?;
        mcp_peer::decode_result::<M::Result>(M::METHOD, &answer)
    }

    /// Sends a notification of the program's own on behalf of the request.
    ///
    /// A legacy client gets it always; a modern one if it declared `io.mcp-stack/notifications` and so did this server
    /// ([`Server::with_notifications`](crate::Server::with_notifications)).
    ///
    /// # Errors
    /// [`NotSent`]: nothing was sent.
    ///
    /// # Cancel safety
    /// If the future is dropped, the notification may or may not be sent.
    pub async fn notify<N: Notification>(&self, params: &N::Params) -> Result<(), NotSent> {
        self.context.notify::<N>(params).await
    }

    /// Everyone who is connected to the server, and its rooms.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Completes when nobody waits for the result any more: the request was cancelled, or answered, or its connection is gone.
    ///
    /// The handler's own future is dropped at that moment, so await this only in tasks that the handler has spawned. What a handler asks a modern client is
    /// the answer of a round and not of its request, which ends with the last round, or when no further one can come. A call
    /// that [becomes a task](Self::become_task) ends with the task.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&self) {
        self.context.ended().await;
    }

    /// The request's id; after an input round, that of the round.
    pub fn request_id(&self) -> Option<RequestId> {
        self.context.id()
    }

    /// The era the request belongs to.
    pub fn era(&self) -> Era {
        self.context.era()
    }

    /// The revision the request is made under.
    pub fn version(&self) -> ProtocolVersion {
        self.context.version()
    }

    /// What is known about the connection, of one type: its headers, say, or the client's [`Principal`](crate::types::Principal).
    ///
    /// | transport | what is there |
    /// |---|---|
    /// | HTTP | `http::HeaderMap`; `PeerAddr` if the listener knows it; the `Principal` that `authenticate` made out; `Streams` in a legacy session, [`OneRequest`](crate::types::OneRequest) outside of any |
    /// | WebSocket | `Handshake`; what `authorize` returned; the `SocketAddr` of the client if a `Listener` took it |
    /// | any | what [`ServerConnection::serve_with`](crate::ServerConnection::serve_with) or `connect_with` was given, or else [`Options::extensions`](crate::Options::extensions) |
    ///
    /// After an input round, it is that of the connection on which the round came.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.context.extension()
    }

    /// Who the client says it is; nothing should depend on it.
    pub fn client_info(&self) -> Option<Implementation> {
        self.context.caller().info.clone()
    }

    /// What the client can be asked for.
    pub fn client_capabilities(&self) -> ClientCapabilities {
        self.context.caller().capabilities.clone()
    }
}

/// Parameters that cannot be sent.
fn misuse<M: Request>(reason: &str) -> RequestError {
    let (method, reason) = (M::METHOD.into(), reason.to_owned());
    ApiMisuse::Params { method, reason }.into()
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context.fmt(f)
    }
}

/// Log messages of one request; see [`Cx::log`].
///
/// A message is sent if the client wants its level: in a legacy session that of the session, in the modern era that of
/// this request, and nothing at all if the request names none.
#[derive(Debug, Clone, Copy)]
#[must_use = "a logger sends nothing by itself"]
pub struct Log<'a> {
    cx: &'a Cx,
    logger: Option<&'a str>,
}

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident = $level:ident;)*) => {
        impl Log<'_> {
            $($(#[$doc])*
            pub async fn $name(self, data: impl Serialize) -> Delivery {
                self.at(LogLevel::$level, data).await
            })*
        }
    };
}

levels! {
    /// Sends a message for whoever debugs.
    debug = Debug;
    /// Sends a message about normal operation.
    info = Info;
    /// Sends a message about something normal but worth attention.
    notice = Notice;
    /// Sends a warning.
    warning = Warning;
    /// Sends a message about something that failed.
    error = Error;
    /// Sends a message about a failure that endangers the rest.
    critical = Critical;
    /// Sends a message that asks for action now.
    alert = Alert;
    /// Sends a message that nothing works any more.
    emergency = Emergency;
}

impl<'a> Log<'a> {
    /// Names the part of the server that speaks.
    pub fn logger(self, name: &'a str) -> Self {
        Self {
            logger: Some(name),
            ..self
        }
    }

    /// Whether a message of that level would be sent.
    pub fn wants(&self, level: LogLevel) -> bool {
        self.cx.context.logs(level)
    }

    /// Sends a message; `data` is any JSON, often a string.
    ///
    /// Waits while the connection is slow.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message is not sent.
    pub async fn at(self, level: LogLevel, data: impl Serialize) -> Delivery {
        let logger = self.logger;
        let context = &self.cx.context;
        if context.logs(level)
            && let Some(bucket) = context.extension::<LogBucket>()
        {
            match bucket.take() {
                None => return Delivery::NotSent(NotSent::TooMany),
                Some(0) => {}
                Some(dropped) => {
                    let data = format!("{dropped} log messages were not sent: too many at once");
                    let level = LogLevel::Warning.max(level);
                    context
                        .log(level, move || {
                            LogMessageParams::encode(level, None, &data).ok()
                        })
                        .await;
                }
            }
        }
        context
            .log(level, move || {
                LogMessageParams::encode(level, logger, &data).ok()
            })
            .await
    }
}

/// Reports progress of one request, if its caller wants that; see [`Cx::progress`].
#[derive(Debug)]
pub struct ProgressReporter {
    context: RequestContext,
    total: Option<f64>,
    /// The bits of an `f64`: the most that was reported.
    done: AtomicU64,
}

impl ProgressReporter {
    /// Says what progress will be at the end.
    #[must_use]
    pub fn total(mut self, total: impl Total) -> Self {
        self.total = Some(total.into_total());
        self
    }

    /// Reports one more step.
    ///
    /// Waits while the connection is slow.
    ///
    /// # Cancel safety
    /// If the future is dropped, the report is not sent, but the step counts.
    pub async fn step(&self, message: impl Into<String>) -> Delivery {
        let add = |bits| Some((f64::from_bits(bits) + 1.0).to_bits());
        let before = self
            .done
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .unwrap_or_default();
        self.context
            .progress(
                f64::from_bits(before) + 1.0,
                self.total,
                Some(message.into()),
            )
            .await
    }

    /// Reports how far it is; what does not exceed the last report is not sent (REQ-PROG-03).
    ///
    /// Waits while the connection is slow.
    ///
    /// # Cancel safety
    /// If the future is dropped, the report is not sent.
    pub async fn at(&self, progress: impl Total, message: Option<String>) -> Delivery {
        let progress = progress.into_total();
        let most = |bits| Some(f64::from_bits(bits).max(progress).to_bits());
        let _ = self
            .done
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, most);
        self.context.progress(progress, self.total, message).await
    }

    /// Whether the caller wants to know.
    pub fn is_wanted(&self) -> bool {
        self.context.wants_progress()
    }
}

/// A number that progress can be counted in.
pub trait Total {
    /// The number as JSON has it.
    fn into_total(self) -> f64;
}

macro_rules! totals {
    ($($number:ty)*) => {
        $(impl Total for $number {
            fn into_total(self) -> f64 {
                self as f64
            }
        })*
    };
}

totals! { f64 f32 usize u64 u32 u16 u8 i64 i32 }
