//! From the driver to the program: bounded queues of notifications, each with a policy for the day nobody reads.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use mcp_types::{
    MethodName, Notification, NotificationMessage, ObjectBuf, Progress, ProgressParams, RawJson,
};
use serde::de::DeserializeOwned;

use crate::counters::add;
use crate::peer::Shared;

/// What happens to a queue of notifications that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest are dropped; the receiver sees [`Missed::Lagged`] in their place.
    #[default]
    DropOldest,
    /// Nothing is dropped: while the queue is full, nothing more is read from the connection, though timers and
    /// writing go on. A program that awaits a call without reading this queue stalls itself until the call times out,
    /// and one that does not read it for long may lose the connection to the other side's
    /// [`write_timeout`](crate::Options::write_timeout).
    Lossless,
}

/// Something that a receiver did not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missed {
    /// The queue was full: that many were dropped here.
    #[error("{0} notifications were dropped because nobody read them in time")]
    Lagged(u64),
    /// The parameters were not of the notification's type.
    #[error("undecodable notification: {0}")]
    Undecodable(String),
}

/// A queue of one receiver.
pub(crate) struct Inbox {
    state: Mutex<State>,
    overflow: Overflow,
    /// Notifications it holds at most.
    messages: usize,
    /// Bytes of parameters it holds at most.
    bytes: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<RawJson>,
    bytes: usize,
    lagged: u64,
    /// Of a lossless queue: whether it has stopped the reading.
    pauses: bool,
    /// Nothing more will come.
    ended: bool,
    /// Nobody will read.
    abandoned: bool,
    reader: Option<Waker>,
}

impl Inbox {
    /// False if nobody will read it.
    fn push(&self, params: Option<&RawJson>, shared: &Shared) -> bool {
        // Copied, however long: a slice would hold all of the buffer it came in, which the queue's bound knows nothing of.
        let params = params.map_or(RawJson::EMPTY_OBJECT, RawJson::compact);
        let mut state = self.lock();
        if state.abandoned {
            return false;
        }
        state.bytes += params.len();
        state.queue.push_back(params);
        let full = |state: &State| state.queue.len() > self.messages || state.bytes > self.bytes;
        match self.overflow {
            Overflow::DropOldest => {
                let mut dropped = 0;
                while full(&state) && state.queue.len() > 1 {
                    state.pop();
                    dropped += 1;
                }
                if dropped > 0 {
                    state.lagged += dropped;
                    add(&shared.tally.dropped_notifications, dropped);
                }
            }
            Overflow::Lossless => {
                if full(&state) && !state.pauses {
                    state.pauses = true;
                    shared.pause_reading();
                }
            }
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<RawJson> {
        let params = self.queue.pop_front()?;
        self.bytes -= params.len();
        Some(params)
    }
}

/// Notifications of one type, in the order of the wire.
///
/// The stream ends when the connection has ended and everything that came before is read.
#[must_use = "notifications are queued for it from now on"]
pub struct Receiver<N> {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    of: PhantomData<fn() -> N>,
}

impl<N: Notification> Receiver<N> {
    /// The next notification; `None` once the connection has ended and everything is read.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<Result<N::Params, Missed>> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// What is there already; `None` if nothing is.
    pub fn try_recv(&mut self) -> Option<Result<N::Params, Missed>> {
        match self.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<N::Params, Missed>>> {
        let mut state = self.inbox.lock();
        if state.lagged > 0 {
            let lagged = std::mem::take(&mut state.lagged);
            return Poll::Ready(Some(Err(Missed::Lagged(lagged))));
        }
        let Some(params) = state.pop() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let inbox = &self.inbox;
        let half_empty = state.queue.len() <= inbox.messages / 2 && state.bytes <= inbox.bytes / 2;
        let resumes = state.pauses && half_empty;
        if resumes {
            state.pauses = false;
        }
        drop(state);
        if resumes {
            self.shared.resume_reading();
        }
        Poll::Ready(Some(decode::<N>(&params)))
    }
}

fn decode<N: Notification>(params: &RawJson) -> Result<N::Params, Missed> {
    or_unit(params, N::read_params(params)).map_err(|e| Missed::Undecodable(e.to_string()))
}

/// Decodes a body; an object with nothing of the program's in it is also what a unit is written as.
pub(crate) fn decode_body<T: DeserializeOwned>(body: &RawJson) -> Result<T, serde_json::Error> {
    or_unit(body, body.decode())
}

/// What was read of a body; an object with nothing of the program's in it is also what a unit is written as.
pub(crate) fn or_unit<T: DeserializeOwned>(
    body: &RawJson,
    read: Result<T, serde_json::Error>,
) -> Result<T, serde_json::Error> {
    read.or_else(|e| match RawJson::NULL.decode::<T>() {
        Ok(unit) if is_bare(body) => Ok(unit),
        _ => Err(e),
    })
}

/// Whether nothing stands in an object but what the engine puts there. One of another shape is no unit: it would become the
/// `None` of an `Option` whose fields are wrong.
fn is_bare(body: &RawJson) -> bool {
    ObjectBuf::from_raw(body.clone()).is_some_and(|mut object| {
        for own in ["_meta", "resultType"] {
            object.take(own);
        }
        object.is_empty()
    })
}

impl<N: Notification> Stream for Receiver<N> {
    type Item = Result<N::Params, Missed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx)
    }
}

impl<N> Drop for Receiver<N> {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.abandoned = true;
        state.queue = VecDeque::new();
        let resumes = std::mem::take(&mut state.pauses);
        drop(state);
        if resumes {
            self.shared.resume_reading();
        }
    }
}

impl<N: Notification> fmt::Debug for Receiver<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.inbox.lock().queue.len();
        f.debug_struct("Receiver")
            .field("method", &N::METHOD)
            .field("queued", &queued)
            .finish()
    }
}

/// Who gets which notifications.
///
/// What it does not keep it gives back, to be dropped without the lock: callbacks are the program's.
#[derive(Default)]
pub(crate) struct Subscribers {
    /// Looked through: a program asks for a few types, and a peer that sends others cannot add any.
    by_method: Vec<(MethodName, Vec<Sink>)>,
    other: Option<Callback<NotificationMessage>>,
    /// Whether anybody asked for progress, which comes often and is otherwise its call's own business.
    progress: bool,
    ended: bool,
}

/// Who gets nothing any more.
#[derive(Default)]
#[must_use]
pub(crate) struct Dropped {
    _sinks: Vec<Sink>,
    _other: Option<Callback<NotificationMessage>>,
}

type Callback<T> = Box<dyn FnMut(&T) + Send>;

enum Sink {
    Queue(Arc<Inbox>),
    Callback(Callback<Option<RawJson>>),
}

impl Sink {
    fn end(&self) {
        if let Self::Queue(inbox) = self {
            inbox.end();
        }
    }

    fn is_abandoned(&self) -> bool {
        matches!(self, Self::Queue(inbox) if inbox.lock().abandoned)
    }
}

/// Hands a notification to everyone who asked for its type; nothing is kept for a type nobody asked for.
///
/// Only the driver does this, so that two deliveries never meet.
pub(crate) fn deliver(shared: &Shared, notification: &NotificationMessage) {
    let method = &notification.method;
    let (mut sinks, mut other) = shared.subscribers().take(method);
    let asked_for = !sinks.is_empty();
    sinks.retain_mut(|sink| match sink {
        Sink::Queue(inbox) => inbox.push(notification.params.as_ref(), shared),
        Sink::Callback(callback) => {
            guarded(method, || callback(&notification.params));
            true
        }
    });
    if asked_for && sinks.is_empty() {
        other = shared.subscribers().abandoned(method);
    }
    if let Some(other) = &mut other {
        guarded(method, || other(notification));
    }
    if !sinks.is_empty() || other.is_some() {
        let dropped = shared.subscribers().put_back(method, sinks, other);
        drop(dropped);
    }
}

/// Hands over the progress of a call of ours, in its place among the notifications.
pub(crate) fn deliver_progress(shared: &Shared, progress: &ProgressParams) {
    if !shared.subscribers().progress {
        return;
    }
    if let Ok(params) = RawJson::encode(progress) {
        let method = Progress::METHOD.into();
        let params = Some(params);
        deliver(shared, &NotificationMessage { method, params });
    }
}

impl Subscribers {
    pub(crate) fn queue<N: Notification>(
        &mut self,
        shared: &Arc<Shared>,
        overflow: Overflow,
    ) -> Receiver<N> {
        let inbox = Arc::new(Inbox {
            state: Mutex::default(),
            overflow,
            messages: shared.options.queue_messages,
            bytes: shared.options.queue_bytes,
        });
        // A queue is nobody's but ours.
        drop(self.add(N::METHOD, Sink::Queue(Arc::clone(&inbox))));
        Receiver {
            inbox,
            shared: Arc::clone(shared),
            of: PhantomData,
        }
    }

    pub(crate) fn callback<N: Notification>(
        &mut self,
        shared: &Arc<Shared>,
        mut callback: impl FnMut(N::Params) + Send + 'static,
    ) -> Dropped {
        // Its owner owns the callback, too.
        let shared = Arc::downgrade(shared);
        let sink = Sink::Callback(Box::new(move |params: &Option<RawJson>| {
            match decode::<N>(params.as_ref().unwrap_or(&RawJson::EMPTY_OBJECT)) {
                Ok(params) => callback(params),
                Err(error) => {
                    if let Some(shared) = shared.upgrade() {
                        add(&shared.tally.undecodable_notifications, 1);
                    }
                    tracing::debug!(
                        method = N::METHOD,
                        "notification of the wrong shape dropped"
                    );
                    // The error may quote what was sent.
                    tracing::trace!(%error, "why");
                }
            }
        }));
        self.add(N::METHOD, sink)
    }

    pub(crate) fn other(
        &mut self,
        callback: impl FnMut(&NotificationMessage) + Send + 'static,
    ) -> Dropped {
        let callback: Callback<_> = Box::new(callback);
        let _other = match self.ended {
            true => Some(callback),
            false => self.other.replace(callback),
        };
        Dropped {
            _other,
            ..Dropped::default()
        }
    }

    fn add(&mut self, method: &'static str, sink: Sink) -> Dropped {
        if self.ended {
            sink.end();
            return Dropped {
                _sinks: vec![sink],
                ..Dropped::default()
            };
        }
        self.progress |= method == Progress::METHOD;
        match self.of(method) {
            Some(sinks) => {
                // Of a type that does not come, nothing else shows that nobody reads them any more.
                if sinks.len() == sinks.capacity() {
                    sinks.retain(|sink| !sink.is_abandoned());
                }
                sinks.push(sink);
            }
            None => {
                let method = MethodName::from_static(method);
                self.by_method.push((method, vec![sink]));
            }
        }
        Dropped::default()
    }

    fn of(&mut self, method: &str) -> Option<&mut Vec<Sink>> {
        let mut all = self.by_method.iter_mut();
        all.find(|(of, _)| *of == *method).map(|(_, sinks)| sinks)
    }

    /// Takes out who asked for a type, to call them without the lock: they may ask for more.
    fn take(&mut self, method: &str) -> (Vec<Sink>, Option<Callback<NotificationMessage>>) {
        match self.of(method) {
            Some(sinks) => (std::mem::take(sinks), None),
            None => (Vec::new(), self.other.take()),
        }
    }

    /// Nobody is left of those who asked for a type: it is one that nobody asked for, unless somebody has meanwhile.
    fn abandoned(&mut self, method: &MethodName) -> Option<Callback<NotificationMessage>> {
        self.by_method
            .retain(|(of, sinks)| of != method || !sinks.is_empty());
        if self.of(method).is_some() {
            return None;
        }
        if *method == Progress::METHOD {
            // Its call's own business again.
            self.progress = false;
            return None;
        }
        self.other.take()
    }

    /// Puts them back, before those who have come meanwhile.
    fn put_back(
        &mut self,
        method: &MethodName,
        mut sinks: Vec<Sink>,
        mut other: Option<Callback<NotificationMessage>>,
    ) -> Dropped {
        if self.ended {
            sinks.iter().for_each(Sink::end);
        } else {
            if self.other.is_none() {
                self.other = other.take();
            }
            if let Some(newer) = self.of(method) {
                sinks.append(newer);
                *newer = std::mem::take(&mut sinks);
            }
        }
        Dropped {
            _sinks: sinks,
            _other: other,
        }
    }

    pub(crate) fn end(&mut self) -> Dropped {
        self.ended = true;
        let sinks = std::mem::take(&mut self.by_method).into_iter();
        let sinks: Vec<_> = sinks.flat_map(|(_, sinks)| sinks).collect();
        sinks.iter().for_each(Sink::end);
        Dropped {
            _sinks: sinks,
            _other: self.other.take(),
        }
    }
}

/// A callback that panics loses its notification and nothing else.
pub(crate) fn guarded<T>(method: &str, callback: impl FnOnce() -> T) -> Option<T> {
    let returned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(callback));
    if returned.is_err() {
        tracing::error!(method, "a notification callback panicked");
    }
    returned.ok()
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.by_method.iter().map(|(method, _)| method);
        f.debug_list().entries(methods).finish()
    }
}

#[cfg(test)]
mod tests {
    use mcp_session::Limits;
    use mcp_types::ToolListChanged;

    use super::*;
    use crate::limits::Options;

    #[test]
    fn receivers_that_are_dropped_are_forgotten_though_nothing_comes_for_them() {
        let shared = Shared::new(Options::default(), &Limits::default());
        let receive = || {
            let overflow = Overflow::default();
            let mut subscribers = shared.subscribers();
            subscribers.queue::<ToolListChanged>(&shared, overflow)
        };
        let kept = [(); 3].map(|()| receive());
        (0..1000).for_each(|_| drop(receive()));
        let sinks = shared
            .subscribers()
            .of(ToolListChanged::METHOD)
            .map(|s| s.len());
        assert!(
            sinks.is_some_and(|sinks| (kept.len()..10).contains(&sinks)),
            "{sinks:?}"
        );
    }
}
