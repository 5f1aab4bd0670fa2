//! Whoever reads a lane, and what of it goes out.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{LONG, Lanes, State};
use crate::server::exchange::KeepAlive;
use crate::sse;

/// Whoever reads a lane; dropped, the lane waits for another one.
#[derive(Debug)]
pub(in crate::server) struct Reader {
    pub(super) lanes: Arc<Lanes>,
    pub(super) lane: u64,
    pub(super) generation: u64,
}

/// What there is to say first on a lane.
pub(in crate::server) enum FirstOfLane {
    /// One answer, and nothing else.
    Answer(Bytes),
    Stream(LaneStream),
    /// The session has ended.
    Nothing,
}

impl Reader {
    /// Waits until something is said, or for `patience`.
    ///
    /// `whole` says that one answer alone may be the whole body.
    pub(in crate::server) async fn first(self, patience: Duration, whole: bool) -> FirstOfLane {
        let mut until = Some(Instant::now() + patience.min(LONG));
        poll_fn(|cx| {
            let mut state = self.lanes.lock();
            let State {
                lanes,
                clock,
                closed,
                ..
            } = &mut *state;
            let Some(lane) = lanes.get_mut(&self.lane) else {
                return Poll::Ready(());
            };
            // The first time it begins to wait, and later it has waited long enough if the clock says so.
            let waits = until.is_some() || lane.patience.is_some();
            let over = lane.is_finished(self.lane) || *closed;
            if lane.last > 0 || lane.hung_up || over || !waits {
                lane.patience = None;
                return Poll::Ready(());
            }
            lane.waker = Some(cx.waker().clone());
            if let Some(until) = until.take() {
                lane.patience = Some(until);
                clock.look_at(until);
            }
            Poll::Pending
        })
        .await;
        let mut state = self.lanes.lock();
        if let Some(lane) = state.lanes.get(&self.lane)
            && whole
            && lane.is_finished(self.lane)
            && lane.last == 1
            && let Some(answer) = lane.events.front()
        {
            let answer = answer.data.clone();
            state.remove(self.lane);
            state.wake_writer();
            return FirstOfLane::Answer(answer);
        }
        let lane = state.lanes.get(&self.lane);
        if state.closed && lane.is_none_or(|lane| lane.last == 0) {
            return FirstOfLane::Nothing;
        }
        drop(state);
        FirstOfLane::Stream(self.stream())
    }

    /// The lane as events.
    pub(in crate::server) fn stream(self) -> LaneStream {
        let limits = self.lanes.limits;
        let mut state = self.lanes.lock();
        let primes = state.primes();
        let mut head = BytesMut::new();
        if let Some(lane) = state.lanes.get_mut(&self.lane)
            && !lane.is_over(self.lane)
        {
            lane.resumable = true;
            if primes {
                let id = format!("{}-{}", self.lane, lane.read);
                sse::write_primer(&mut head, &id, limits.retry.as_millis());
            }
        }
        drop(state);
        LaneStream {
            reader: self,
            head: head.freeze(),
            keep_alive: KeepAlive::new(limits.keep_alive),
        }
    }

    /// Everything that is there, as events; none if nothing more will come.
    pub(super) fn poll_events(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lanes.lock();
        let state = &mut *state;
        let closed = state.closed;
        let Some(lane) = state.lanes.get_mut(&self.lane) else {
            return Poll::Ready(None);
        };
        if lane.reader != Some(self.generation) || lane.hung_up {
            return Poll::Ready(None);
        }
        let unread = lane.unread();
        if unread == 0 {
            if closed || lane.is_finished(self.lane) {
                return Poll::Ready(None);
            }
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // What each weighs has room for its fields.
        let mut out = BytesMut::with_capacity(unread);
        let mut id = String::new();
        let read = lane.read;
        for event in (lane.events.iter()).skip_while(|event| event.number <= read) {
            id.clear();
            let _ = write!(id, "{}-{}", self.lane, event.number);
            let id = (!self.lanes.merged).then_some(&*id);
            sse::write_message(&mut out, id, &event.data);
        }
        lane.read = lane.last;
        state.held.reader -= unread;
        state.held.again += unread;
        state.forget(&self.lanes.limits);
        state.wake_writer();
        Poll::Ready(Some(out.freeze()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.lanes.lock();
        let state = &mut *state;
        state.used = Instant::now();
        let Some(lane) = state.lanes.get_mut(&self.lane) else {
            return;
        };
        if lane.reader != Some(self.generation) {
            return;
        }
        state.held.take(lane);
        lane.reader = None;
        lane.waker = None;
        lane.patience = None;
        lane.hung_up = false;
        state.held.add(lane);
        state.discard(self.lane);
        state.forget(&self.lanes.limits);
        state.wake_writer();
    }
}

/// A lane as the body of a response.
#[derive(Debug)]
pub(in crate::server) struct LaneStream {
    pub(super) reader: Reader,
    /// What has to be sent before anything else.
    head: Bytes,
    keep_alive: KeepAlive,
}

impl LaneStream {
    /// The same, after something else.
    #[cfg(feature = "http-sse")]
    pub(in crate::server) fn after(mut self, head: Bytes) -> Self {
        self.head = head;
        self
    }

    pub(in crate::server) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.head.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.head)));
        }
        match self.reader.poll_events(cx) {
            Poll::Pending => self.keep_alive.poll(cx).map(Some),
            Poll::Ready(events) => {
                self.keep_alive.restart();
                Poll::Ready(events)
            }
        }
    }
}
