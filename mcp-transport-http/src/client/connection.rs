//! A connection: what goes out becomes requests, what they bring comes in.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Sink, Stream, StreamExt};
use http::StatusCode;
use mcp_types::{
    CancelledParams, Inbound, Message, NotificationMessage, Outbound, RequestId, RequestMessage,
};
use tokio::time::Sleep;

use super::exchange::Shared;
use crate::queue;

/// Bytes of notifications and responses that wait for their turn.
const POSTS: usize = 256 * 1024;
/// What is left to be posted when a connection is closed has this together, and then the DELETE as much again: nobody
/// waits for a server that is gone.
pub(super) const CLOSE_TIME: Duration = Duration::from_secs(5);

/// A client's connection to a server over HTTP: a stream of [`Inbound`], a sink of [`Outbound`].
///
/// Each request is a POST, and so is each notification and response, one after the other. It has no task of its own:
/// whoever polls it runs all of them. Closed, it posts what is left, for 5 s at most, gives up requests that have no answer
/// yet, and ends a legacy session with a DELETE; that is the end of the stream, too.
#[must_use = "a connection does nothing by itself"]
pub struct HttpConnection {
    shared: Arc<Shared>,
    inbound: queue::Receiver<Result<Inbound, HttpError>>,
    /// Requests under way, and a legacy session's standing stream.
    work: FuturesUnordered<BoxFuture<'static, Option<RequestId>>>,
    running: HashMap<RequestId, AbortHandle>,
    probe: Option<AbortHandle>,
    /// What has no answer goes out in order.
    posts: VecDeque<Message>,
    /// What these weigh.
    posts_weight: usize,
    posting: Option<Posting>,
    /// The time that is left for these, once the connection is being closed.
    closing: Option<Pin<Box<Sleep>>>,
    goodbye: Option<BoxFuture<'static, ()>>,
    closed: bool,
    /// Who waits in the stream and who in the sink, if they do. These may be two tasks, and what is under way is run by both.
    reader: Option<Waker>,
    sender: Option<Waker>,
}

struct Posting {
    future: BoxFuture<'static, ()>,
    /// The session may be used when it is through: servers may insist (TRAP-28).
    opens: bool,
}

/// How a connection breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The server asks for authorization that there is none for. Where that is why a connection could not be opened, it is the
    /// source of `mcp_client::ConnectError::Transport`.
    #[error("the server asks for authorization")]
    Unauthorized {
        /// The value of `WWW-Authenticate`; several are joined by commas, which says the same.
        challenge: Option<String>,
    },
    /// The connection could not be opened: the server does not let this client in.
    #[error("the server answered 403")]
    Forbidden,
    /// The server has ended the session, or forgotten it; a new connection makes a new one.
    #[error("the server has ended the session")]
    SessionEnded,
    /// The connection could not be opened: a status that says nothing of the protocol.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The connection could not be opened: the network failed, or what came by it ended early; with the server's host and port
    /// where it is the network that says why.
    #[error("{0}")]
    Network(String),
    /// The connection could not be opened: what the server sent is longer than a message may be.
    #[error("the server's message is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl HttpError {
    /// Whether nothing else will fare better on the same connection.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::SessionEnded)
    }
}

impl HttpConnection {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbound: queue::Receiver<Result<Inbound, HttpError>>,
    ) -> Self {
        Self {
            shared,
            inbound,
            work: FuturesUnordered::new(),
            running: HashMap::new(),
            probe: None,
            posts: VecDeque::new(),
            posts_weight: 0,
            posting: None,
            closing: None,
            goodbye: None,
            closed: false,
            reader: None,
            sender: None,
        }
    }

    fn request(&mut self, message: RequestMessage) {
        let id = message.id.clone();
        let (abort, registration) = AbortHandle::new_pair();
        match message.method.as_str() {
            "server/discover" => self.probe = Some(abort.clone()),
            // Nobody waits for the probe any more, and the connection is not to break with it.
            "initialize" => self.probe.take().iter().for_each(AbortHandle::abort),
            _ => {}
        }
        self.running.insert(id.clone(), abort);
        let exchange = Arc::clone(&self.shared).exchange(message);
        let exchange = Abortable::new(exchange, registration);
        self.work.push(exchange.map(|_| Some(id)).boxed());
    }

    fn notification(&mut self, notification: NotificationMessage) {
        if notification.method == "notifications/cancelled" {
            let params = notification.params.as_ref();
            let params = params.and_then(|params| params.decode::<CancelledParams>().ok());
            if let Some(id) = params.and_then(|params| params.request_id)
                && let Some(running) = self.running.get(&id)
            {
                running.abort();
            }
            // A modern server hears of it by the end of the stream, and takes no word of it.
            if !self.shared.has_session() {
                return;
            }
        }
        self.push(Message::Notification(notification));
    }

    fn push(&mut self, message: Message) {
        self.posts_weight += message.weight();
        self.posts.push_back(message);
    }

    /// Runs everything that is under way, for whoever waits: either of them may have gone elsewhere when it goes on.
    fn run(&mut self, cx: &Context<'_>) {
        let waker = match (&self.reader, &self.sender) {
            (Some(reader), Some(sender)) if !reader.will_wake(sender) => {
                Arc::new(Both(reader.clone(), sender.clone())).into()
            }
            // The caller is the only one.
            _ => cx.waker().clone(),
        };
        let cx = &mut Context::from_waker(&waker);
        loop {
            while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
                if let Some(id) = done {
                    self.running.remove(&id);
                }
            }
            if self.posting.is_none()
                && let Some(message) = self.posts.pop_front()
            {
                self.posts_weight -= message.weight();
                self.posting = Some(Posting {
                    opens: is_opening(&message),
                    future: Arc::clone(&self.shared).post(message).boxed(),
                });
            }
            let Some(posting) = &mut self.posting else {
                return;
            };
            if posting.future.poll_unpin(cx).is_pending() {
                return;
            }
            if posting.opens && self.shared.has_session() && !self.shared.has_stream() {
                let standing = Arc::clone(&self.shared).listen();
                self.work.push(standing.map(|()| None).boxed());
            }
            self.posting = None;
        }
    }
}

struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

fn is_opening(message: &Message) -> bool {
    message.method() == Some("notifications/initialized")
}

impl Stream for HttpConnection {
    type Item = Result<Inbound, HttpError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.reader = Some(cx.waker().clone());
        self.run(cx);
        self.inbound.poll_recv(cx)
    }
}

impl Sink<Outbound> for HttpConnection {
    type Error = HttpError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        self.sender = Some(cx.waker().clone());
        self.run(cx);
        let opening = self.posting.as_ref().is_some_and(|posting| posting.opens)
            || self.posts.iter().any(is_opening);
        if opening || self.posts_weight >= POSTS {
            return Poll::Pending;
        }
        self.sender = None;
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, outbound: Outbound) -> Result<(), HttpError> {
        match outbound.message {
            Message::Request(request) => self.request(request),
            Message::Notification(notification) => self.notification(notification),
            Message::Response(response) => self.push(Message::Response(response)),
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        self.sender = Some(cx.waker().clone());
        self.run(cx);
        self.sender = None;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        let this = &mut *self;
        this.sender = Some(cx.waker().clone());
        this.run(cx);
        if this.closed {
            return Poll::Ready(Ok(()));
        }
        if this.posting.is_some() {
            let closing = || Box::pin(tokio::time::sleep(CLOSE_TIME));
            ready!(this.closing.get_or_insert_with(closing).poll_unpin(cx));
            let left = 1 + this.posts.len();
            tracing::warn!(left, "messages were not accepted before the end");
            this.posts.clear();
            this.posts_weight = 0;
            this.posting = None;
        }
        let goodbye = this.goodbye.get_or_insert_with(|| {
            // A stream that ends by the goodbye is not to be asked for again.
            this.work.clear();
            this.running.clear();
            Arc::clone(&this.shared).end().boxed()
        });
        ready!(goodbye.poll_unpin(cx));
        this.closed = true;
        this.inbound.close();
        // That is the end of the stream, which may be another task's.
        if let Some(reader) = this.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection")
            .field("requests", &self.running.len())
            .finish_non_exhaustive()
    }
}
