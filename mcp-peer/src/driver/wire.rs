//! What goes out by the transport, and what comes in.

use std::pin::Pin;
use std::task::{Context, Poll};

use mcp_types::{Inbound, Outbound};

use super::reopen::Reopens;
use super::{Driver, REPLY_AHEAD, Reading, Turn};
use crate::closed::{Closed, ConnectionError};
use crate::transport::Transport;

impl<T: Transport> Driver<T> {
    pub(super) fn io(&mut self) -> Pin<&mut T> {
        // `poll` does nothing without one.
        self.transport.as_mut().expect("a transport").as_mut()
    }

    /// What writing came to; `None` if the peer has gone after it had closed its end. That breaks nothing: it has ended, and
    /// handlers have the time that they have then, though nobody hears of what they do.
    pub(super) fn written<R>(
        &mut self,
        written: Result<R, T::TransportError>,
    ) -> Result<Option<R>, ConnectionError<T::TransportError>> {
        match written {
            Ok(written) => Ok(Some(written)),
            Err(error) if self.reading == Reading::Ended => {
                tracing::debug!(%error, "the peer has gone");
                self.gone = true;
                Ok(None)
            }
            Err(error) => Err(ConnectionError::Transport(error)),
        }
    }

    /// Feeds the transport as long as it takes something.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> Result<Turn, T::TransportError> {
        let mut taken = 0;
        while self.gone && self.session.poll_transmit().is_some() {
            taken += 1;
        }
        while self.session.transmit_len() > 0 {
            match self.io().poll_ready(cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => {
                    if let Some(outbound) = self.session.poll_transmit() {
                        self.start_send(outbound)?;
                        taken += 1;
                    }
                }
            }
        }
        let ahead = &mut self.ahead;
        // Some may have been taken back.
        let waiting = self.session.transmit_len();
        ahead.waiting = ahead.waiting.saturating_sub(taken).min(waiting);
        ahead.messages = ahead.messages.min(ahead.waiting);
        if ahead.waiting == 0 {
            ahead.bytes = 0;
        }
        Ok(match taken {
            0 => Turn::Idle,
            _ => Turn::Progressed,
        })
    }

    fn start_send(&mut self, outbound: Outbound) -> Result<(), T::TransportError> {
        tracing::trace!(message = %outbound.message, "out");
        self.io().start_send(outbound)
    }

    /// Whether anything that comes would be read now.
    fn reads(&self) -> bool {
        self.reading != Reading::Ended
            && !(self.closing && self.running.is_empty())
            && self.session.transmit_len() < REPLY_AHEAD
            && self.unsent() < self.shared.options.answer_bytes
            && !self.shared.is_reading_paused()
    }

    /// Bytes of what the peer has caused to be sent and does not take, but what the program is ahead with has a bound of its own.
    fn unsent(&self) -> usize {
        let said = (self.session.transmit_bytes()).saturating_sub(self.ahead.bytes);
        said + self.shared.outbox.answers()
    }

    /// Whether a peer that is there would be heard: not if nothing is read, nor if the question may not have arrived yet.
    pub(super) fn silence_tells(&self) -> bool {
        self.reads() && !self.stall.is_watched()
    }

    /// Reads one message.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<Turn, T::TransportError> {
        if !self.reads() {
            return Ok(Turn::Idle);
        }
        match self.io().poll_next(cx) {
            Poll::Pending => Ok(Turn::Idle),
            Poll::Ready(Some(Err(error))) => {
                self.reading = Reading::Ended;
                Err(error)
            }
            Poll::Ready(Some(Ok(inbound))) => {
                self.take_in(inbound, cx);
                Ok(Turn::Progressed)
            }
            Poll::Ready(None) => {
                self.reading = Reading::Ended;
                // Before callers hear of it: however long handlers and what is queued take, what is wanted from here on is wanted
                // of the next connection.
                if matches!(self.reopens, Reopens::Always(_)) && !self.unwanted {
                    self.shared.set_opened(None);
                }
                self.drain();
                // Nobody can end them by a request any more, and whoever still reads is to know that they have.
                self.session.end_subscriptions();
                self.session.handle_disconnected(Closed::ByPeer);
                self.events(cx);
                Ok(Turn::Progressed)
            }
        }
    }

    fn take_in(&mut self, inbound: Inbound, cx: &mut Context<'_>) {
        tracing::trace!(?inbound, "in");
        self.heard = true;
        self.session.handle_inbound(self.now, inbound);
        // Before anybody hears of what came, so that whoever has an answer finds counted what came before it.
        let counters = self.session.counters();
        if counters != self.counted {
            self.shared.tally.publish(&counters);
            self.counted = counters;
        }
        self.events(cx);
    }

    /// Reads what has come from a peer that takes nothing any more, which may be the answers to what it took.
    ///
    /// That nothing more comes is no news then: what is told of the end is why writing failed.
    pub(super) fn read_rest(&mut self, cx: &mut Context<'_>) {
        if self.reading == Reading::Open {
            self.reading = Reading::Rest;
        }
        for _ in 0..REPLY_AHEAD {
            if !self.reads() {
                return;
            }
            let Poll::Ready(Some(Ok(inbound))) = self.io().poll_next(cx) else {
                return;
            };
            self.take_in(inbound, cx);
        }
    }

    /// Flushes what was fed; true if nothing is left to be written.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Result<bool, T::TransportError> {
        let flushed = self.gone || self.io().poll_flush(cx)?.is_ready();
        if flushed && self.session.transmit_len() == 0 {
            self.stall.clear();
            return Ok(true);
        }
        let waker = self.stall.watch(self.now, cx);
        let write_cx = &mut Context::from_waker(&waker);
        let ready = if self.session.transmit_len() > 0 {
            self.io().poll_ready(write_cx)?.is_ready()
        } else {
            self.io().poll_flush(write_cx)?.is_ready()
        };
        if ready {
            // It became so since it was asked last: one more turn.
            cx.waker().wake_by_ref();
        }
        Ok(false)
    }
}
