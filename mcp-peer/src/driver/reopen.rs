//! A client's connection that outlives its transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use mcp_session::{CallKey, ConnectError, EraChoice, Established, Event, NotSent, RequestError};
use mcp_types::RawJson;

use crate::closed::Closed;
use crate::driver::{Ahead, Driver, Reading, now};
use crate::inbox::deliver;
use crate::outbox::Command;
use crate::stall::Stall;
use crate::transport::Transport;

type Outcome = Result<RawJson, RequestError>;

/// What becomes of a connection whose transport is gone.
#[derive(Debug, PartialEq)]
pub(super) enum Reopens {
    /// It has ended.
    Never,
    /// It was not open yet: it may be opened again if the question for the era, or the transport, was what ended it.
    IfProbed(Option<Closed>),
    /// It may be opened again; until then it says here why it has to be.
    Always(Option<Closed>),
}

impl Reopens {
    pub(super) fn opened(&mut self) {
        if *self != Self::Never {
            *self = Self::Always(None);
        }
    }

    /// Whether it may be opened again when it could not be opened.
    pub(super) fn after(&self, error: &ConnectError) -> bool {
        match self {
            Self::Never => false,
            Self::IfProbed(_) => match error {
                ConnectError::Transport(_) => true,
                ConnectError::NotMcp { after, .. } => self.after(after),
                error => error.is_lost_probe(),
            },
            Self::Always(_) => true,
        }
    }
}

impl<T: Transport> Driver<T> {
    /// Makes a client's connection outlive its transport: handles, receivers and callbacks stay as they are while it is
    /// [reopened](Self::reopen) on another one.
    ///
    /// When the transport is gone, the driver completes as it always does, every request in flight fails, and
    /// [`lost`](Self::lost) says why. It ends for good when the program closes it or cuts it off, whatever ends the transport
    /// then, when the driver is dropped, and when it could not be opened the first time, unless
    /// [`ConnectError::ProbeLost`] or [`ConnectError::Transport`] was the reason.
    pub fn reopenable(mut self) -> Self {
        self.reopens = Reopens::IfProbed(None);
        self
    }

    /// Goes on over another transport; nothing happens on it until the driver is polled.
    ///
    /// Without effect on one that is not [lost](Self::lost).
    pub fn reopen(&mut self, transport: T, era: EraChoice) {
        if self.lost().is_none() {
            return;
        }
        self.now = now();
        let Some(session) = self.session.reopened(era, self.now) else {
            return;
        };
        *self.session = session;
        self.transport = Some(Box::pin(transport));
        self.ping_at = (self.shared.options.keep_alive)
            .and_then(|keep_alive| self.now.checked_add(keep_alive.interval));
        if let Reopens::IfProbed(why) | Reopens::Always(why) = &mut self.reopens {
            *why = None;
        }
    }

    /// Resolves when the program closes a connection that is [lost](Self::lost), or cuts it off.
    ///
    /// Meanwhile whatever it wants of the connection fails at once.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn unwanted(&mut self) {
        let reason = self.lost().map(Closed::to_string).unwrap_or_default();
        poll_fn(|cx| {
            loop {
                if self.commands.is_empty() {
                    self.shared.outbox.take(&mut self.commands);
                }
                let closed = self.discard(&reason, NotSent::NoSession);
                let closed = closed.then_some(Closed::ByUs);
                let cut = || self.shared.end.is_cut().then_some(Closed::CutOff);
                if let Some(why) = closed.or_else(cut) {
                    self.reopens = Reopens::Never;
                    self.shut_down(why);
                    return Poll::Ready(());
                }
                if self.shared.outbox.sleep(cx) {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

impl<T> Driver<T> {
    /// Why the connection is to be opened again; `None` if it is open, or has ended for good.
    pub fn lost(&self) -> Option<&Closed> {
        match &self.reopens {
            Reopens::Never => None,
            Reopens::IfProbed(why) | Reopens::Always(why) => why.as_ref(),
        }
    }

    /// What was agreed on when the connection was opened last.
    pub fn established(&self) -> Option<&Arc<Established>> {
        self.session.established()
    }

    /// What is done when the transport is of no use any more.
    pub(super) fn end(&mut self, why: Closed) {
        let outcomes = self.disconnect(&why);
        let lost = self.not_opened.clone();
        let lost = lost.map_or_else(|| why.clone(), Closed::NotOpened);
        let reopens = match &lost {
            // However long handlers, the peer or the transport have held it up since.
            _ if self.unwanted || self.shared.end.is_cut() => false,
            Closed::NotOpened(error) => self.reopens.after(error),
            _ => matches!(self.reopens, Reopens::Always(_)),
        };
        // Before callers hear of it, so that they find it so.
        if reopens {
            self.shared.set_opened(None);
            self.not_opened = None;
            self.reset(&why.to_string(), lost);
        } else {
            self.reopens = Reopens::Never;
            self.shut_down(why);
        }
        for (call, outcome) in outcomes {
            if let Some(pending) = self.calls.remove(call) {
                pending.finish(outcome);
            }
        }
    }

    /// Nothing more comes from the peer: what is left of its session are the outcomes of calls, and why it could not be opened.
    pub(super) fn disconnect(&mut self, why: &Closed) -> Vec<(CallKey, Outcome)> {
        self.session.handle_disconnected(why);
        let mut outcomes = Vec::new();
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Response { call, outcome } => outcomes.push((call, outcome)),
                Event::Failed(error) => self.not_opened = Some(error),
                _ => {}
            }
        }
        outcomes
    }

    /// Makes it ready for another transport.
    fn reset(&mut self, reason: &str, why: Closed) {
        for (_, running) in self.running.drain() {
            running.binding.end();
            running.task.abort();
        }
        self.shared.set_draining(false);
        self.transport = None;
        self.ahead = Ahead::default();
        (self.closing, self.ending, self.gone) = (false, false, false);
        (self.heard, self.unresponsive) = (false, false);
        (self.reading, self.stall) = (Reading::Open, Stall::default());
        (self.drain_by, self.timer, self.ping_at) = (None, None, None);
        let mut close = self.discard(reason, NotSent::NoSession);
        // What the driver has not come to is of the same connection, and may be the wish to close it.
        self.shared.outbox.take(&mut self.commands);
        close |= self.discard(reason, NotSent::NoSession);
        if close {
            self.reopens = Reopens::Never;
            return self.shut_down(Closed::ByUs);
        }
        if let Reopens::IfProbed(lost) | Reopens::Always(lost) = &mut self.reopens {
            *lost = Some(why);
        }
    }

    /// Fails what the program wanted of a connection that is gone, if it still can be; true if it wants it closed.
    pub(super) fn discard(&mut self, reason: &str, unsent: NotSent) -> bool {
        let mut close = false;
        while let Some((command, cost)) = self.commands.pop_front() {
            self.done += cost;
            match command {
                Command::Call(pending) => {
                    pending.finish(Err(RequestError::ConnectionLost(reason.to_owned())));
                }
                Command::Notify {
                    reply: Some(reply), ..
                } => drop(reply.send(Err(unsent))),
                // None that was taken out of the queue is still open.
                Command::Mail { follower, end } => follower.forgo(end.unwrap_or_default()),
                Command::Answer { answer, .. } => {
                    self.shared.outbox.answer_taken(&answer);
                }
                Command::SetCapabilities(capabilities) => {
                    self.session.set_capabilities(*capabilities);
                }
                Command::Deliver(notification) => deliver(&self.shared, &notification),
                Command::Close => close = true,
                // What handlers say on behalf of requests that are gone.
                _ => {}
            }
        }
        self.shared.outbox.release(std::mem::take(&mut self.done));
        close
    }
}
