//! The one task of a connection.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt;
use mcp_session::{
    Cancellation, ClientConfig, Event, IncomingKey, RequestError, ServerConfig, Session,
};
use mcp_types::Outbound;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use crate::context::{Binding, RequestContext};
use crate::dispatch::{Answer, Handler, Request, Serving};
use crate::outbox::Command;
use crate::peer::{Peer, Shared};
use crate::pending::PendingCall;
use crate::transport::Transport;

/// Bounds and times of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Bytes that handles and handlers may queue before they have to wait; a message counts 256 more than its body. Default 1 MiB.
    pub outbox_bytes: u32,
    /// How long handlers may go on when the peer has closed its end. Default 5 s.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            outbox_bytes: 1024 * 1024,
            drain: Duration::from_secs(5),
        }
    }
}

/// A connection that is ready to be driven.
#[derive(Debug)]
pub struct Connection<T> {
    /// The program's handle.
    pub peer: Peer,
    /// What has to be polled for anything to happen.
    pub driver: Driver<T>,
}

/// A client's end of a connection.
pub fn client<T: Transport>(
    transport: T,
    config: ClientConfig,
    handler: Arc<dyn Handler>,
    options: Options,
) -> Connection<T> {
    let session = Session::client(config, now());
    connection(transport, session, handler, options)
}

/// A server's end of a connection.
pub fn server<T: Transport>(
    transport: T,
    config: ServerConfig,
    handler: Arc<dyn Handler>,
    options: Options,
) -> Connection<T> {
    connection(transport, Session::server(config), handler, options)
}

fn connection<T: Transport>(
    transport: T,
    session: Session,
    handler: Arc<dyn Handler>,
    options: Options,
) -> Connection<T> {
    let shared = Shared::new(options.outbox_bytes);
    let peer = Peer::new(&shared);
    let driver = Driver {
        transport: Box::pin(transport),
        session,
        handler,
        shared,
        options,
        commands: VecDeque::new(),
        done: 0,
        calls: HashMap::new(),
        running: HashMap::new(),
        reading: Reading::Open,
        closing: false,
        drain_by: None,
        timer: None,
        now: now(),
    };
    Connection { peer, driver }
}

/// How a connection broke.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError<E: std::error::Error> {
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(#[source] E),
}

/// The one task of a connection: it owns session and transport, and whoever polls it runs the connection.
///
/// In each turn it sends what is to be sent, then does what the program wants, then reads one message, so that a flood
/// coming in cannot hold up what goes out. Everything that is ready is fed to the transport, which is then flushed once.
///
/// It completes when the connection has ended: the peer closed its end and every request was answered (or
/// [`Options::drain`] was over), or the program closed it and everything queued was sent, or the transport failed.
#[must_use = "nothing happens on a connection unless its driver is polled"]
pub struct Driver<T> {
    transport: Pin<Box<T>>,
    session: Session,
    handler: Arc<dyn Handler>,
    shared: Arc<Shared>,
    options: Options,
    /// Taken from the outbox, not done yet.
    commands: VecDeque<(Command, u32)>,
    /// What the commands did cost that are done and not given back for yet.
    done: u32,
    calls: HashMap<mcp_session::CallKey, Arc<PendingCall>>,
    running: HashMap<IncomingKey, Running>,
    reading: Reading,
    /// The program wants no more of it.
    closing: bool,
    /// When handlers that outlive the peer's end are dropped.
    drain_by: Option<Instant>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    /// The time, read once for many turns: asking for it costs more than some of what a turn does.
    now: Instant,
}

/// A handler that was not ready at once.
struct Running {
    binding: Arc<Binding>,
    task: AbortHandle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
}

/// Messages that may wait for the transport before commands wait for them: enough to keep it busy.
const SEND_AHEAD: usize = 128;
/// Messages that may wait for the transport before reading waits for them: what is read may have to be answered.
const REPLY_AHEAD: usize = 4096;
/// Turns before other tasks get theirs.
const TURNS: usize = 256;

/// Why calls fail when the peer has closed its end.
const CLOSED_BY_PEER: &str = "the peer closed the connection";

/// Now, by the runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

enum Turn {
    Progressed,
    Idle,
}

impl<T: Transport> Driver<T> {
    /// Feeds the transport as long as it takes something.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<Turn, T::TransportError> {
        let mut turn = Turn::Idle;
        while self.session.transmit_len() > 0 {
            match self.transport.as_mut().poll_ready(cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => {
                    if let Some(outbound) = self.session.poll_transmit() {
                        self.start_send(outbound)?;
                        turn = Turn::Progressed;
                    }
                }
            }
        }
        Ok(turn)
    }

    fn start_send(&mut self, outbound: Outbound) -> Result<(), T::TransportError> {
        tracing::trace!(message = %outbound.message, "out");
        self.transport.as_mut().start_send(outbound)
    }

    /// Does what the program wants, as long as the transport keeps up.
    fn command(&mut self, cx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::Idle;
        if self.commands.is_empty() {
            self.shared.outbox.take(&mut self.commands);
        }
        while self.session.transmit_len() < SEND_AHEAD
            && let Some((command, cost)) = self.commands.pop_front()
        {
            self.done += cost;
            self.execute(command);
            self.events(cx);
            turn = Turn::Progressed;
        }
        // Room is given back in larger pieces: a handler that waits for it is woken for many messages and not for each.
        if self.commands.is_empty() || self.done >= self.options.outbox_bytes / 4 {
            self.shared.outbox.release(std::mem::take(&mut self.done));
        }
        turn
    }

    fn execute(&mut self, command: Command) {
        match command {
            // A handler may still be at work; that is no reason to send anything, nor is it the caller's mistake.
            Command::Call { pending, .. } if self.reading == Reading::Ended => {
                pending.finish(Err(RequestError::ConnectionLost(CLOSED_BY_PEER.to_owned())));
            }
            Command::Call {
                pending,
                method,
                params,
                options,
            } => {
                match self
                    .session
                    .call(now(), pending.key, method, params, *options)
                {
                    Ok(()) => drop(self.calls.insert(pending.key, pending)),
                    Err(misuse) => pending.finish(Err(misuse.into())),
                }
            }
            Command::Cancel(key) => {
                self.calls.remove(&key);
                self.session.cancel(key, None);
            }
            Command::Answer { key, answer } => {
                self.running.remove(&key);
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
            Command::SetCapabilities(capabilities) => self.session.set_capabilities(*capabilities),
            Command::Close => self.closing = true,
        }
    }

    /// A request that was cancelled meanwhile takes no answer; that is as it should be.
    fn answer(&mut self, key: IncomingKey, answer: Answer) {
        let refused = match answer {
            Answer::Result(result) => self.session.respond(self.now, key, Ok(result)),
            Answer::Error(error) => self.session.respond(self.now, key, Err(error)),
            Answer::InputRequired(input) => {
                self.session.require_input(key, input).or_else(|misuse| {
                    tracing::error!(%misuse, "a handler's questions cannot be asked");
                    let error = mcp_types::ErrorObject::internal("the handler failed");
                    self.session.respond(self.now, key, Err(error))
                })
            }
        };
        if let Err(misuse) = refused {
            tracing::debug!(%misuse, "an answer came too late");
        }
    }

    fn events(&mut self, cx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::Idle;
        while let Some(event) = self.session.poll_event() {
            turn = Turn::Progressed;
            self.event(event, cx);
        }
        turn
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Request(incoming) => {
                let binding = Binding::new(&self.shared, &incoming);
                let key = incoming.key;
                let context = RequestContext::new(incoming.method.clone(), Arc::clone(&binding));
                let request = Request {
                    method: incoming.method,
                    params: incoming.params,
                    retry: incoming.retry,
                    context,
                };
                let mut serving = Serving::start(&*self.handler, request, Arc::clone(&binding));
                // Most handlers answer at once: they need no task.
                if Pin::new(&mut serving).poll(cx).is_pending() {
                    let task = tokio::spawn(serving).abort_handle();
                    self.running.insert(key, Running { binding, task });
                }
            }
            Event::Cancelled(key, why) => {
                if let Some(running) = self.running.remove(&key) {
                    running.binding.end();
                    running.task.abort();
                }
                if let Cancellation::ByPeer {
                    reason: Some(reason),
                } = why
                {
                    tracing::debug!(reason, "request cancelled by the peer");
                }
            }
            Event::Response { call, outcome } => {
                if let Some(pending) = self.calls.remove(&call) {
                    pending.finish(outcome);
                }
            }
            Event::Progress { call, progress } => {
                if let Some(pending) = self.calls.get(&call) {
                    self.shared
                        .subscribers()
                        .progress(&progress, &self.shared.paused);
                    pending.progress(progress);
                }
            }
            Event::Notification(notification) => {
                self.shared
                    .subscribers()
                    .deliver(&notification, &self.shared.paused);
            }
            Event::LogLevel(level) => self.shared.set_legacy_log_level(level),
            Event::Opened(established) => {
                drop(self.shared.opened.send_replace(Some(Ok(established))))
            }
            Event::Failed(error) => {
                self.shared.opened.send_replace(Some(Err(error)));
                self.closing = true;
            }
            Event::Malformed(malformed) => tracing::warn!(%malformed, "input that is no message"),
            Event::Misbehaved(what) => tracing::debug!(%what, "the peer misbehaved"),
            Event::PeerError(error) => tracing::warn!(%error, "the peer could not read something"),
            other => tracing::debug!(?other, "event"),
        }
    }

    /// Reads one message.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Turn, T::TransportError> {
        if self.reading == Reading::Ended
            || self.closing
            || self.session.transmit_len() >= REPLY_AHEAD
            || self.shared.paused.load(Ordering::Relaxed) > 0
        {
            return Ok(Turn::Idle);
        }
        match self.transport.poll_next_unpin(cx) {
            Poll::Pending => Ok(Turn::Idle),
            Poll::Ready(Some(inbound)) => {
                let inbound = inbound?;
                tracing::trace!(?inbound, "in");
                self.session.handle_inbound(self.now, inbound);
                self.events(cx);
                Ok(Turn::Progressed)
            }
            Poll::Ready(None) => {
                self.reading = Reading::Ended;
                self.drain_by = Some(self.now + self.options.drain);
                self.session.handle_disconnected(CLOSED_BY_PEER);
                self.events(cx);
                Ok(Turn::Progressed)
            }
        }
    }

    /// Does what is due; asks to be woken when the next thing is.
    fn time(&mut self, cx: &mut Context<'_>) -> Turn {
        let due = [self.session.poll_timeout(), self.drain_by]
            .into_iter()
            .flatten()
            .min();
        let Some(due) = due else {
            self.timer = None;
            return Turn::Idle;
        };
        // A timer that is early is left as it is: setting it anew for each call would cost more than waking once in vain.
        if self.timer.as_ref().is_none_or(|(set, _)| *set > due) {
            let sleep = tokio::time::sleep_until(due.into());
            self.timer = Some((due, Box::pin(sleep)));
        }
        let Some((_, sleep)) = &mut self.timer else {
            return Turn::Idle;
        };
        if sleep.as_mut().poll(cx).is_pending() {
            return Turn::Idle;
        }
        self.timer = None;
        self.now = now();
        let now = self.now;
        self.session.handle_timeout(now);
        self.events(cx);
        if self.drain_by.is_some_and(|by| by <= now) {
            self.drain_by = None;
            for (_, running) in self.running.drain() {
                running.binding.end();
                running.task.abort();
            }
        }
        Turn::Progressed
    }

    /// Whether there is nothing left to be done.
    fn is_finished(&self) -> bool {
        let served = self.closing || self.running.is_empty();
        (self.closing || self.reading == Reading::Ended)
            && served
            && self.session.transmit_len() == 0
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::TransportError>> {
        for turn in 0..TURNS {
            if turn % 64 == 0 {
                self.now = now();
            }
            let turns = [
                self.send(cx)?,
                self.command(cx),
                self.events(cx),
                self.read(cx)?,
            ];
            if turns.iter().any(|turn| matches!(turn, Turn::Progressed)) {
                continue;
            }
            if let Turn::Progressed = self.time(cx) {
                continue;
            }
            let flushed = self.transport.as_mut().poll_flush(cx)?.is_ready();
            // With commands that wait for the transport, new ones need not wake anyone.
            if self.commands.is_empty() {
                if !self.shared.outbox.sleep(cx) {
                    continue;
                }
                if flushed && self.is_finished() {
                    return self.transport.as_mut().poll_close(cx);
                }
            } else if !self.shared.outbox.sleep_regardless(cx) {
                continue;
            }
            return Poll::Pending;
        }
        // Others want to run too.
        let _ = self.transport.as_mut().poll_flush(cx)?;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> Driver<T> {
    /// Ends whatever still waits, so that nobody waits for ever.
    fn shut_down(&mut self, reason: &str) {
        self.shared.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert_with(|| reason.to_owned());
            first
        });
        for (_, running) in self.running.drain() {
            running.binding.end();
            running.task.abort();
        }
        self.session.handle_disconnected(reason);
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Response { call, outcome } => {
                    if let Some(pending) = self.calls.remove(&call) {
                        pending.finish(outcome);
                    }
                }
                Event::Failed(error) => drop(self.shared.opened.send_replace(Some(Err(error)))),
                _ => {}
            }
        }
        let left = self.shared.outbox.close();
        for (command, _) in self.commands.drain(..).chain(left) {
            if let Command::Call { pending, .. } = command {
                pending.finish(Err(RequestError::ConnectionLost(reason.to_owned())));
            }
        }
        self.shared.subscribers().end();
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = Result<(), ConnectionError<T::TransportError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.poll_turns(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                this.shut_down(if this.closing {
                    "closed"
                } else {
                    CLOSED_BY_PEER
                });
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                this.shut_down(&error.to_string());
                Poll::Ready(Err(ConnectionError::Transport(error)))
            }
        }
    }
}

/// A driver that is dropped leaves nobody waiting, and no task behind.
impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.shut_down("the driver was dropped");
    }
}

impl<T> fmt::Debug for Driver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("calls", &self.calls.len())
            .field("running", &self.running.len())
            .field("reading", &self.reading)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}
