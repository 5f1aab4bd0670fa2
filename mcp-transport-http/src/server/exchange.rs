//! A request that is a connection of its own: one message in, its notifications and its answer out.
//!
//! The response owns the program's driver and polls it, so that an exchange is no task, and ends when its client goes away.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mcp_types::{Inbound, Message, Outbound, RequestId};
use tokio::time::{Instant, Sleep};

use super::driving::{Driving, Rested, Resting};
use super::reply;
use super::shutdown::Ending;
use crate::sse;

/// Bytes that may wait for the client before the program waits.
const BACKLOG: usize = 64 * 1024;

/// The program's end of an exchange.
#[derive(Debug)]
pub(super) struct ExchangeTransport {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    inbound: Option<Inbound>,
    /// The request; there is none in a notification.
    id: Option<RequestId>,
    outgoing: VecDeque<Message>,
    backlog: usize,
    answered: bool,
    /// The service wants it to end.
    ended: bool,
    /// The program's end, waiting for something to happen here.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// Of an exchange about one message.
    fn new(inbound: Inbound) -> Self {
        Self {
            id: asked(&inbound),
            inbound: Some(inbound),
            outgoing: VecDeque::new(),
            backlog: 0,
            answered: false,
            ended: false,
            reader: None,
            writer: None,
        }
    }
}

/// The id of a request.
pub(super) fn asked(inbound: &Inbound) -> Option<RequestId> {
    match inbound {
        Inbound::Message(Message::Request(request)) => Some(request.id.clone()),
        _ => None,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExchangeTransport {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let mut state = lock(&self.state);
        if let Some(inbound) = state.inbound.take() {
            return Poll::Ready(Some(inbound));
        }
        // Behind its answer, another request may come.
        if state.id.is_none() || state.ended {
            return Poll::Ready(None);
        }
        let waker = cx.waker();
        if !(state.reader.as_ref()).is_some_and(|reader| reader.will_wake(waker)) {
            state.reader = Some(waker.clone());
        }
        Poll::Pending
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.backlog < BACKLOG || state.answered {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes a message; behind the answer there is nothing to be said any more (REQ-HTTPM-10).
    pub(super) fn send(&mut self, outbound: Outbound) {
        let mut state = lock(&self.state);
        if state.answered {
            return tracing::debug!(
                method = outbound.message.method(),
                "nothing follows the answer"
            );
        }
        if let Message::Response(response) = &outbound.message {
            // An answer without an id is one to what could not be read.
            state.answered = response.id.is_none() || response.id == state.id;
        }
        state.backlog += outbound.message.weight();
        state.outgoing.push_back(outbound.message);
    }
}

/// The HTTP side of an exchange.
pub(super) struct Exchange {
    driving: Option<Driving>,
    state: Arc<Mutex<State>>,
    ending: Ending,
}

/// What there is to say first, which decides on the response's head.
pub(super) enum First {
    /// The answer, and nothing before it.
    Answer(Message),
    /// There will be more.
    Stream(ExchangeStream),
    /// The connection ended before the program took this request.
    Untaken(Option<RequestId>),
    /// The connection ended without a word about it.
    Nothing,
}

impl Exchange {
    /// Both ends of an exchange about one message.
    pub(super) fn new(inbound: Inbound, ending: Ending) -> (ExchangeTransport, Self) {
        let state = Arc::new(Mutex::new(State::new(inbound)));
        let transport = ExchangeTransport {
            state: Arc::clone(&state),
        };
        let exchange = Self {
            driving: None,
            state,
            ending,
        };
        (transport, exchange)
    }

    pub(super) fn drive(mut self, driving: Driving) -> Self {
        self.driving = Some(driving);
        self
    }

    /// An exchange by what drove another one, and has been renewed.
    pub(super) fn again(rested: Rested, inbound: Inbound, ending: Ending) -> Self {
        let Rested { driving, state } = rested;
        let mut last = lock(&state);
        let outgoing = std::mem::take(&mut last.outgoing);
        *last = State {
            outgoing,
            ..State::new(inbound)
        };
        drop(last);
        Self {
            driving: Some(driving),
            state,
            ending,
        }
    }

    /// Runs the program until it says something, or for `patience`.
    ///
    /// If that is the answer and nothing else, what drives it is to rest.
    pub(super) async fn first(
        mut self,
        patience: Duration,
        keep_alive: Duration,
        resting: &Resting,
    ) -> First {
        let spoken = std::future::poll_fn(|cx| {
            self.poll_drive(cx);
            let state = lock(&self.state);
            match self.driving.is_none() || !state.outgoing.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // Headers that wait for ever look to a proxy like a server that hangs.
        let _ = within(patience, spoken).await;
        let mut state = lock(&self.state);
        let alone = state.answered && state.outgoing.len() == 1;
        let answer = if alone {
            state.outgoing.pop_front()
        } else {
            None
        };
        let silent = state.outgoing.is_empty() && self.driving.is_none();
        let untaken = if silent { state.inbound.take() } else { None };
        drop(state);
        match answer {
            Some(message) => {
                if let Some(mut driving) = self.driving.take()
                    && driving.rest()
                {
                    let state = self.state;
                    resting.put(Rested { driving, state });
                }
                First::Answer(message)
            }
            None if silent => match untaken {
                Some(inbound) => First::Untaken(asked(&inbound)),
                None => First::Nothing,
            },
            None => First::Stream(ExchangeStream {
                exchange: self,
                keep_alive: KeepAlive::new(keep_alive),
            }),
        }
    }

    /// Runs the program until it has dealt with what it was told.
    pub(super) async fn finish(mut self) {
        std::future::poll_fn(|cx| {
            self.poll_drive(cx);
            match self.driving {
                None => Poll::Ready(()),
                Some(_) => Poll::Pending,
            }
        })
        .await;
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driving) = &mut self.driving
            && Pin::new(driving).poll(cx).is_ready()
        {
            self.driving = None;
        }
        // Most are answered at once, and wait for no end.
        if self.driving.is_some() && !lock(&self.state).answered {
            self.poll_ending(cx);
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) {
        let ended = lock(&self.state).ended;
        if ended || !self.ending.poll(cx) {
            return;
        }
        let mut state = lock(&self.state);
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Waits for a future, but no longer than that; if it is ready at once, there is no timer.
pub(super) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut sleep = std::pin::pin!(None);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if sleep.is_none() {
            sleep.set(Some(tokio::time::sleep(time)));
        }
        match sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// What an exchange has to say, as events.
pub(super) struct ExchangeStream {
    exchange: Exchange,
    keep_alive: KeepAlive,
}

impl ExchangeStream {
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.exchange.poll_drive(cx);
        if lock(&self.exchange.state).answered {
            // Whatever still runs for this request runs for nobody. Without the lock: a connection's end may run the program's code.
            self.exchange.driving = None;
        }
        let mut state = lock(&self.exchange.state);
        if state.outgoing.is_empty() {
            if self.exchange.driving.is_none() {
                return Poll::Ready(None);
            }
            drop(state);
            return self.keep_alive.poll(cx).map(Some);
        }
        let mut out = BytesMut::with_capacity(state.backlog + 32 * state.outgoing.len());
        // Everything that is there at once: a flush a message would cost more than the rest.
        for message in std::mem::take(&mut state.outgoing) {
            sse::write_message(&mut out, None, &reply::encode(&message));
        }
        state.backlog = 0;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        self.keep_alive.restart();
        Poll::Ready(Some(out.freeze()))
    }
}

/// Says something when nobody else has for a while.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            sleep: None,
        }
    }

    pub(super) fn restart(&mut self) {
        self.sleep = None;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let interval = self.interval;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
        std::task::ready!(sleep.as_mut().poll(cx));
        sleep.as_mut().reset(Instant::now() + interval);
        // Registers the timer that was just set.
        let _ = sleep.as_mut().poll(cx);
        Poll::Ready(sse::KEEP_ALIVE)
    }
}
