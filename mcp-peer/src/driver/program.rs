//! What the program wants: its handles, and its handlers with their answers.

use std::sync::Arc;
use std::task::Context;

use mcp_session::{ApiMisuse, CallOptions, IncomingKey, RequestError};
use mcp_types::{ErrorObject, RequestId};

use super::reopen::Reopens;
use super::{Ahead, Driver, Reading, SEND_AHEAD, Turn};
use crate::closed::Closed;
use crate::dispatch::Answer;
use crate::feed::Follower;
use crate::inbox::deliver;
use crate::outbox::Command;
use crate::pending::PendingCall;
use crate::transport::Transport;

impl<T: Transport> Driver<T> {
    /// Does what the program wants, as long as the transport keeps up.
    pub(super) fn command(&mut self, cx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::Idle;
        if self.commands.is_empty() {
            self.shared.outbox.take(&mut self.commands);
            self.taken_at = self.now;
        }
        while self.keeps_up()
            && let Some((command, cost)) = self.commands.pop_front()
        {
            self.done += cost;
            let (waiting, bytes) = (self.session.transmit_len(), self.session.transmit_bytes());
            self.execute(command);
            self.events(cx);
            let added = self.session.transmit_len().saturating_sub(waiting);
            if added > 0 {
                self.ahead.waiting = waiting + added;
                self.ahead.messages += added;
                self.ahead.bytes += self.session.transmit_bytes().saturating_sub(bytes);
            }
            turn = Turn::Progressed;
        }
        // Room is given back in larger pieces: a handler that waits for it is woken for many messages and not for each.
        if self.commands.is_empty() || self.done >= self.shared.options.outbox_bytes / 4 {
            self.shared.outbox.release(std::mem::take(&mut self.done));
        }
        turn
    }

    /// Whether the transport keeps up with what the program wants, so that more of it can be done.
    ///
    /// However much it has to take besides: a peer that always has some more answered by the engine does not hold up the program.
    fn keeps_up(&self) -> bool {
        let Ahead {
            messages, bytes, ..
        } = self.ahead;
        messages == 0 || (messages < SEND_AHEAD && bytes < self.outbox_bytes())
    }

    fn outbox_bytes(&self) -> usize {
        self.shared.options.outbox_bytes as usize
    }

    fn execute(&mut self, command: Command) {
        match command {
            // A handler may still be at work; that is no reason to send anything, nor is it the caller's mistake.
            Command::Call(pending) if self.reading == Reading::Ended => {
                pending.finish(Err(RequestError::ConnectionLost(
                    Closed::ByPeer.to_string(),
                )));
            }
            Command::Call(pending) => self.call(pending),
            Command::Cancel(key) => {
                self.calls.remove(key);
                self.session.cancel(key, None);
            }
            Command::Answer { key, answer } => {
                self.running.remove(key);
                self.shared.outbox.answer_taken(&answer);
                self.answer(key, answer);
            }
            Command::Notify {
                related,
                method,
                params,
                reply,
            } => {
                let sent = self.session.notify(related, method, params);
                if let Some(reply) = reply {
                    let _ = reply.send(sent);
                }
            }
            // None that was taken out of the queue is still open.
            Command::Mail { follower, end } => self.mail(follower, end.unwrap_or_default()),
            Command::Log {
                related,
                level,
                params,
            } => {
                // Whether it is wanted was seen where it was made; it may have changed on the way here.
                let _ = self.session.log(related, level, params);
            }
            Command::Progress {
                key,
                progress,
                total,
                message,
            } => {
                let _ = self
                    .session
                    .progress(key, progress, total, message.as_deref());
            }
            Command::TaskProgress { caller, report } => {
                let _ = self.session.task_progress(&caller, &report);
            }
            Command::Deliver(notification) => deliver(&self.shared, &notification),
            Command::SetCapabilities(capabilities) => self.session.set_capabilities(*capabilities),
            Command::Close => {
                self.unwanted = true;
                self.close();
            }
        }
    }

    fn call(&mut self, pending: Arc<PendingCall>) {
        // Each call is queued once.
        let Some(asked) = pending.take_asked() else {
            return;
        };
        let options = asked
            .options
            .map_or_else(CallOptions::default, |boxed| *boxed);
        let since = asked.since.unwrap_or(self.now);
        let called = (self.session).call(since, pending.key, asked.method, asked.params, options);
        match called {
            Ok(()) => {
                if let Some(id) = self.watched_id(&pending) {
                    pending.span.record("id", tracing::field::display(id));
                }
                self.calls.insert(pending.key, pending);
            }
            // Made for a connection that is gone, and read on the next one before that is open.
            Err(ApiMisuse::NotOpen) if self.reopens != Reopens::Never => {
                pending.finish(Err(RequestError::ConnectionLost(
                    "it is not open again yet".to_owned(),
                )));
            }
            Err(misuse) => pending.finish(Err(misuse.into())),
        }
    }

    /// Sends what waits for a follower, as much as the transport may be ahead of; the rest waits where it was.
    fn mail(&mut self, follower: Follower, end: u64) {
        let messages = SEND_AHEAD.saturating_sub(self.ahead.messages);
        let bytes = self.outbox_bytes().saturating_sub(self.ahead.bytes);
        let taken = follower.take(end, messages, bytes);
        let messages = taken.notice.into_iter().chain(taken.first);
        let unwanted = self.session.notify_each(messages.chain(taken.more));
        follower.unwanted(unwanted);
        if taken.left {
            let end = Some(end);
            self.commands
                .push_front((Command::Mail { follower, end }, 0));
        }
    }

    /// Takes nothing new; handlers that are at work may go on for a while, and hear what they ask the peer for.
    pub(super) fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.session.end_subscriptions();
            self.session.cancel_subscriptions();
            self.drain();
        }
    }

    /// From now on handlers have [their time](Options::drain) to finish; for ever, if that is beyond all time. Tasks, which outlive
    /// the connection, do not hold up its end.
    pub(super) fn drain(&mut self) {
        self.shared.set_draining(true);
        let by = || self.now.checked_add(self.shared.options.drain);
        self.drain_by = self.drain_by.or_else(by);
    }

    /// The id on the wire of a call that somebody watches.
    fn watched_id(&self, pending: &PendingCall) -> Option<RequestId> {
        (!pending.span.is_none()).then(|| self.session.wire_id(pending.key))?
    }

    /// A request that was cancelled meanwhile takes no answer; that is as it should be.
    pub(super) fn answer(&mut self, key: IncomingKey, answer: Answer) {
        let refused = match answer {
            Answer::Result(result) => self.session.respond(self.now, key, Ok(result)),
            Answer::Error(error) => self.session.respond(self.now, key, Err(error)),
            Answer::InputRequired(input) => {
                self.session.require_input(key, input).or_else(|misuse| {
                    tracing::error!(%misuse, "a handler's questions cannot be asked");
                    let error = ErrorObject::internal("the handler failed");
                    self.session.respond(self.now, key, Err(error))
                })
            }
        };
        if let Err(misuse) = refused {
            tracing::debug!(%misuse, "an answer came too late");
        }
    }
}
