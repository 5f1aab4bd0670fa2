//! The one task of a connection.

mod program;
mod renew;
mod reopen;
mod wire;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::iter::successors;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mcp_session::{
    CallKey, CallOptions, Cancellation, Cause, ClientConfig, ConnectError, Counters, Event,
    Incoming, IncomingKey, KeyMap, NotSent, RequestError, ServerSetup, Session,
};
use mcp_types::{ErrorObject, Malformed, ObjectBuf};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use self::reopen::Reopens;
use crate::closed::{Closed, ConnectionError};
use crate::context::{Binding, RequestContext};
use crate::dispatch::{Answer, Handler, Request, Serving};
use crate::inbox::{deliver, deliver_progress, guarded};
use crate::limits::{Dispatch, KeepAlive, Options};
use crate::link::Link;
use crate::outbox::Command;
use crate::peer::{Peer, Shared};
use crate::pending::PendingCall;
use crate::stall::Stall;
use crate::trace::{Trace, misbehaviour};
use crate::transport::Transport;

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

/// A server's end of a connection; its setup is a [`ServerConfig`](mcp_session::ServerConfig), or shared with other connections.
pub fn server<T: Transport>(
    transport: T,
    setup: impl Into<Arc<ServerSetup>>,
    handler: Arc<dyn Handler>,
    options: Options,
) -> Connection<T> {
    connection(transport, Session::server(setup), handler, options)
}

fn connection<T: Transport>(
    transport: T,
    session: Session,
    handler: Arc<dyn Handler>,
    options: Options,
) -> Connection<T> {
    let now = now();
    let shared = Shared::new(options, session.limits());
    let peer = Peer::new(&shared);
    let ping_at =
        (shared.options.keep_alive).and_then(|keep_alive| now.checked_add(keep_alive.interval));
    let driver = Driver {
        transport: Some(Box::pin(transport)),
        session: Box::new(session),
        handler,
        shared,
        commands: VecDeque::new(),
        taken_at: now,
        done: 0,
        ahead: Ahead::default(),
        calls: KeyMap::default(),
        running: KeyMap::default(),
        reading: Reading::Open,
        closing: false,
        unwanted: false,
        ending: false,
        gone: false,
        not_opened: None,
        drain_by: None,
        stall: Stall::default(),
        ping_at,
        heard: false,
        unresponsive: false,
        counted: Counters::default(),
        warned: false,
        timer: None,
        now,
        reopens: Reopens::Never,
    };
    Connection { peer, driver }
}

/// The one task of a connection: it owns session and transport, and whoever polls it runs the connection.
///
/// In each turn it does what the program wants, then sends what is to be sent, then reads one message, so that a flood
/// coming in cannot hold up what goes out. Everything that is ready is fed to the transport, which is then flushed once.
///
/// It completes when the connection has ended: the peer closed its end and every request was answered (or
/// [`Options::drain`] was over), or the program closed it, its handlers are done (or that time over) and everything queued
/// was sent, or it broke, which [`ConnectionError`] tells.
///
/// What a peer can make it keep is bounded: half a message by the transport's limit on messages, requests by
/// [`Limits::incoming_requests`](mcp_session::Limits::incoming_requests), notifications and progress by the queues that the
/// program asked for, answers that the peer does not read by [`Options::answer_bytes`], which is when nothing more is read.
/// A peer that stalls in the middle of a message may do so for ever, unless [`Options::keep_alive`] says otherwise.
#[must_use = "nothing happens on a connection unless its driver is polled"]
pub struct Driver<T> {
    /// `None` between two of them.
    transport: Option<Pin<Box<T>>>,
    /// Apart, because a future that awaits a driver often has room for it twice.
    session: Box<Session>,
    handler: Arc<dyn Handler>,
    shared: Arc<Shared>,
    /// Taken from the outbox, not done yet.
    commands: VecDeque<(Command, u32)>,
    /// When they were taken.
    taken_at: Instant,
    /// What the commands did cost that are done and not given back for yet.
    done: u32,
    ahead: Ahead,
    calls: KeyMap<CallKey, Arc<PendingCall>>,
    running: KeyMap<IncomingKey, Running>,
    reading: Reading,
    /// Nothing new is taken: the program wants no more of it, or it could not be opened.
    closing: bool,
    /// The program wants no more of it, on whatever transport.
    unwanted: bool,
    /// The transport is being closed: it takes nothing any more.
    ending: bool,
    /// The peer has closed its end and takes nothing any more.
    gone: bool,
    not_opened: Option<ConnectError>,
    /// When handlers that outlive the end are dropped.
    drain_by: Option<Instant>,
    stall: Stall,
    /// When to see whether the peer has been silent.
    ping_at: Option<Instant>,
    /// Something came in since that was seen last, or since it was asked.
    heard: bool,
    /// A ping has not been answered.
    unresponsive: bool,
    /// The session's counters as the handles know them.
    counted: Counters,
    /// Of input that is no message.
    warned: bool,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    /// The time, read once for many turns: asking for it costs more than some of what a turn does.
    now: Instant,
    reopens: Reopens,
}

/// How far the program is ahead of the transport.
#[derive(Debug, Default)]
struct Ahead {
    /// Messages that wait, up to the last of the program's.
    waiting: usize,
    /// The program's among them, at most.
    messages: usize,
    /// And their bytes.
    bytes: usize,
}

/// A handler that was not ready at once.
struct Running {
    binding: Arc<Binding>,
    task: AbortHandle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// What has come from a peer that takes nothing any more.
    Rest,
    Ended,
}

/// Messages of the program's that may wait for the transport before commands wait for them: enough to keep it busy.
const SEND_AHEAD: usize = 16;
/// Messages that may wait for the transport before reading waits for them: what is read may have to be answered.
const REPLY_AHEAD: usize = 4096;
/// Turns before other tasks get theirs.
const TURNS: usize = 256;
/// How long commands may wait for the transport before those whose calls are among them are told: not each time it is full.
const BEHIND: Duration = Duration::from_millis(100);

/// The driver's own call; no handle gets that far in counting.
const PING: CallKey = CallKey(u64::MAX);

/// Now, by the runtime's clock, which tests can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

enum Turn {
    Progressed,
    Idle,
}

impl<T: Transport> Driver<T> {
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
            // Nobody takes the answer, and what it asks for would be cut short.
            Event::Request(_) if self.reading == Reading::Rest => {}
            Event::Request(incoming) if self.closing => {
                let error = ErrorObject::internal("the connection is being closed");
                self.answer(incoming.key, Answer::Error(error));
            }
            Event::Request(incoming) => self.serve(incoming, cx),
            Event::Cancelled(key, why) => {
                if let Some(running) = self.running.remove(key) {
                    running.binding.end();
                    running.task.abort();
                }
                if let Cancellation::ByPeer {
                    reason: Some(reason),
                } = why
                {
                    tracing::trace!(reason, "request cancelled by the peer");
                }
            }
            Event::Response { call, outcome } => {
                if let Some(pending) = self.calls.remove(call) {
                    pending.finish(outcome);
                } else if call == PING {
                    // An error is an answer, too.
                    let silent = matches!(outcome, Err(RequestError::TimedOut(_))) && !self.heard;
                    self.unresponsive |= silent && self.silence_tells();
                }
            }
            Event::Progress { call, progress } => {
                if let Some(pending) = self.calls.get(call) {
                    deliver_progress(&self.shared, &progress);
                    pending.progress(progress, &self.shared);
                }
            }
            Event::Task { call, result } => {
                if let Some(pending) = self.calls.get(call) {
                    pending.go_on(result);
                }
            }
            Event::Notification(notification) => {
                let from = Link::new(&self.shared);
                let see = || self.handler.notification(&notification, &from);
                if guarded(&notification.method, see).unwrap_or_default() {
                    deliver(&self.shared, &notification);
                }
            }
            Event::Subscribed(subscribed) => {
                // A session tells of it once.
                let _ = self.shared.subscribed.set(subscribed);
            }
            Event::Listening { call, filter } => {
                if let Some(pending) = self.calls.get(call) {
                    pending.acknowledge(filter);
                }
            }
            Event::LogLevel(level) => self.shared.set_legacy_log_level(level),
            Event::Opened(established) => {
                self.reopens.opened();
                self.shared.set_opened(Some(Ok(established)));
            }
            Event::Failed(error) => {
                if !self.reopens.after(&error) {
                    self.shared.set_opened(Some(Err(error.clone())));
                }
                self.not_opened = Some(error);
                self.close();
            }
            // What a message says is for trace level only, and so is whatever quotes it.
            Event::Malformed(malformed) => {
                let Malformed { kind, offset, .. } = malformed;
                // Whoever sends one may send a million.
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(%kind, offset, "input that is no message; what follows of it is told at debug level");
                } else {
                    tracing::debug!(%kind, offset, "input that is no message");
                }
                tracing::trace!(excerpt = malformed.excerpt, "what it looks like");
            }
            Event::Misbehaved(what) => {
                tracing::debug!(what = misbehaviour(&what), "the peer misbehaved");
                tracing::trace!(%what, "how");
            }
            Event::PeerError(error) => {
                tracing::debug!(code = error.code.0, "the peer could not read something");
                tracing::trace!(message = error.message, "what it says");
            }
            other => tracing::trace!(?other, "event"),
        }
    }

    /// Starts a handler.
    fn serve(&mut self, incoming: Incoming, cx: &mut Context<'_>) {
        let binding = Binding::new(&self.shared, &incoming);
        let trace = Trace::serving(&incoming);
        let key = incoming.key;
        let context = RequestContext::new(incoming.method.clone(), Arc::clone(&binding));
        let request = Request {
            method: incoming.method,
            params: incoming.params,
            retry: incoming.retry,
            meta: incoming.meta,
            context,
        };
        let task = match self.shared.options.dispatch {
            Dispatch::InPlace => {
                let handler = &*self.handler;
                let mut serving = Serving::start(handler, request, Arc::clone(&binding), trace);
                // Most handlers answer at once: they need no task.
                if Pin::new(&mut serving).poll(cx).is_ready() {
                    return;
                }
                tokio::spawn(serving)
            }
            Dispatch::Spawn => {
                let handler = Arc::clone(&self.handler);
                let binding = Arc::clone(&binding);
                // Even making the future is the handler's work. Its answer may be queued before the next line here runs,
                // but is not looked at before that.
                tokio::spawn(async move {
                    Serving::start(&*handler, request, binding, trace).await;
                })
            }
        };
        let task = task.abort_handle();
        self.running.insert(key, Running { binding, task });
    }

    /// Does what is due; asks to be woken when the next thing is.
    ///
    /// # Errors
    /// A time that the peer had is over.
    fn time(&mut self, cx: &mut Context<'_>) -> Result<Turn, ConnectionError<T::TransportError>> {
        let write_timeout = self.shared.options.write_timeout;
        let due = [
            self.session.poll_timeout(),
            self.drain_by,
            self.stall.deadline(write_timeout),
            self.behind_at(),
            self.ping_at,
        ];
        // A timer that is early, or for nothing any more, is left as it is: to set one anew for each call would cost more than
        // to wake once in vain, for a runtime that is told of an earlier time than all others has to be woken by a system call.
        let Some(due) = due.into_iter().flatten().min() else {
            return Ok(Turn::Idle);
        };
        if self.timer.as_ref().is_none_or(|(set, _)| *set > due) {
            let sleep = tokio::time::sleep_until(due.into());
            self.shared.timers.get_or_init(Handle::current);
            self.timer = Some((due, Box::pin(sleep)));
        }
        let Some((_, sleep)) = &mut self.timer else {
            return Ok(Turn::Idle);
        };
        if sleep.as_mut().poll(cx).is_pending() {
            return Ok(Turn::Idle);
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
        if self.behind_at().is_some_and(|at| at <= now) {
            self.shared.outbox.fall_behind(&self.commands);
        }
        if self
            .stall
            .deadline(write_timeout)
            .is_some_and(|at| at <= now)
        {
            return Err(ConnectionError::Stalled(write_timeout));
        }
        if let Some(keep_alive) = self.shared.options.keep_alive {
            if self.unresponsive {
                return Err(ConnectionError::Unresponsive(keep_alive.timeout));
            }
            if self.ping_at.is_some_and(|at| at <= now) {
                self.ping_at = now.checked_add(keep_alive.interval);
                self.ping(keep_alive);
            }
        }
        Ok(Turn::Progressed)
    }

    /// When those whose calls wait are to be told that the transport does not keep up, if they have not been. However often it
    /// takes a little, they wait.
    fn behind_at(&self) -> Option<Instant> {
        let untold = !self.commands.is_empty() && !self.shared.outbox.is_behind();
        untold.then(|| self.taken_at.checked_add(BEHIND)).flatten()
    }

    /// Asks the peer if it is there, unless it has just shown that it is, or is being asked.
    fn ping(&mut self, keep_alive: KeepAlive) {
        // What is heard since it was asked is as good as its answer: that is looked at when the time for that is over.
        let asking = self.session.wire_id(PING).is_some();
        if asking || std::mem::take(&mut self.heard) || !self.silence_tells() {
            return;
        }
        let mut options = CallOptions::default();
        options.timeout = Some(keep_alive.timeout);
        options.total = Some(keep_alive.timeout);
        // Refused while the session is not open, and in the modern era, which has no ping.
        let _ = self
            .session
            .call(self.now, PING, "ping".into(), ObjectBuf::new(), options);
    }

    /// Whether there is nothing left to be done.
    fn is_finished(&self) -> bool {
        (self.closing || self.reading == Reading::Ended)
            && self.running.is_empty()
            && self.session.transmit_len() == 0
    }

    fn poll_turns(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError<T::TransportError>>> {
        if self.shared.end.is_cut() {
            return Poll::Ready(Err(ConnectionError::CutOff));
        }
        if self.ending {
            return self.poll_close(cx);
        }
        for turn in 0..TURNS {
            if turn % 64 == 0 {
                self.now = now();
            }
            let (commanded, told) = (self.command(cx), self.events(cx));
            let sent = self.send(cx);
            let Some(sent) = self.written(sent)? else {
                continue;
            };
            let read = self.read(cx).map_err(ConnectionError::Transport)?;
            let turns = [commanded, told, sent, read];
            if turns.iter().any(|turn| matches!(turn, Turn::Progressed)) {
                continue;
            }
            // Before the time is looked at, for a transport that takes nothing starts a time of its own.
            let flushed = self.flush(cx);
            let Some(flushed) = self.written(flushed)? else {
                continue;
            };
            // With commands that wait for the transport, new ones need not wake anyone.
            let idle = self.commands.is_empty();
            let asleep = match idle {
                true => self.shared.outbox.sleep(cx),
                false => self.shared.outbox.sleep_regardless(cx),
            };
            if !asleep {
                // A handler or a callback may have wanted it in one of these turns: nothing wakes who is awake.
                if self.shared.end.is_cut() {
                    return Poll::Ready(Err(ConnectionError::CutOff));
                }
                continue;
            }
            // What is over needs no timer, which for a connection of a single request would be a system call of its own.
            if idle && flushed && self.is_finished() {
                self.ending = true;
                return self.poll_close(cx);
            }
            if let Turn::Progressed = self.time(cx)? {
                continue;
            }
            return Poll::Pending;
        }
        // Others want to run too. A peer that never lets the driver rest does not stop the clock by that.
        let flushed = self.flush(cx);
        self.written(flushed)?;
        self.time(cx)?;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells a transport that could not even begin from a server that has ended.
    ///
    /// What is at the other end of a pipe may have ended because it was asked for its era, whether the pipe ends or breaks. A
    /// transport that fails by an error of its own, as HTTP does, says nothing of the server (inventory 3.3, rows 9 and 10).
    fn judge(
        &mut self,
        error: ConnectionError<T::TransportError>,
    ) -> ConnectionError<T::TransportError> {
        match error {
            ConnectionError::Transport(error) if self.session.is_opening() && !is_io(&error) => {
                let cause = Cause::new(error);
                let failed = self.session.handle_transport_failure(cause.clone());
                ConnectionError::NotOpened(failed.unwrap_or(ConnectError::Transport(cause)))
            }
            error => error,
        }
    }

    /// Closes the transport, which may wait for the peer as long as for what it writes.
    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError<T::TransportError>>> {
        if self.gone {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(closed) = self.io().poll_close(cx) {
            return Poll::Ready(self.written(closed).map(|_| ()));
        }
        if !self.stall.is_watched() {
            // From here on, whatever the peer does meanwhile: that it sends something brings the end no nearer.
            self.stall.watch(self.now, cx);
        }
        // Nobody waits for as long as that takes.
        let reason = self.why().to_string();
        let unsent = match self.reopens {
            Reopens::Always(_) if !self.unwanted => NotSent::NoSession,
            _ => NotSent::Closed,
        };
        loop {
            self.shared.outbox.take(&mut self.commands);
            self.unwanted |= self.discard(&reason, unsent);
            if self.shared.end.is_cut() {
                return Poll::Ready(Err(ConnectionError::CutOff));
            }
            if self.shared.outbox.sleep(cx) {
                break;
            }
        }
        if let Turn::Progressed = self.time(cx)? {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T> Driver<T> {
    /// Why it ends, if nothing breaks.
    fn why(&self) -> Closed {
        match &self.not_opened {
            Some(error) => Closed::NotOpened(error.clone()),
            None if self.reading == Reading::Ended => Closed::ByPeer,
            None => Closed::ByUs,
        }
    }

    /// Ends whatever still waits, so that nobody waits for ever.
    fn shut_down(&mut self, why: Closed) {
        let reason = why.clone();
        if let Closed::NotOpened(error) = &why {
            self.not_opened.get_or_insert_with(|| error.clone());
        }
        let outcomes = self.disconnect(&reason);
        // Before callers and handlers hear of it, so that they find it so.
        self.shared.status.send_modify(|status| {
            status.closed.get_or_insert(why);
            // Whoever waits for it to be open waits in vain.
            if status.opened.is_none() {
                let lost = || ConnectError::ConnectionLost(reason.to_string());
                status.opened = Some(Err(self.not_opened.take().unwrap_or_else(lost)));
            }
        });
        for (_, running) in self.running.drain() {
            running.binding.end();
            running.task.abort();
        }
        for (call, outcome) in outcomes {
            if let Some(pending) = self.calls.remove(call) {
                pending.finish(outcome);
            }
        }
        self.commands.extend(self.shared.outbox.close());
        self.discard(&reason.to_string(), NotSent::Closed);
        let dropped = self.shared.subscribers().end();
        drop(dropped);
        self.shared.end.ended();
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = Result<(), ConnectionError<T::TransportError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.transport.is_none() {
            return Poll::Ready(Ok(()));
        }
        let ended = std::task::ready!(this.poll_turns(cx));
        if let Err(ConnectionError::Transport(_)) = ended {
            this.read_rest(cx);
        }
        let ended = ended.map_err(|error| this.judge(error));
        let why = match &ended {
            Err(error) if this.not_opened.is_none() => Closed::from(error),
            _ => this.why(),
        };
        this.end(why);
        Poll::Ready(ended)
    }
}

/// Whether an error stems from a stream of bytes.
fn is_io(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(|error| error.is::<io::Error>())
}

/// A driver that is dropped leaves nobody waiting, and no task behind.
impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        // Whoever has ended once has done all this.
        if self.shared.status.borrow().closed.is_some() {
            return;
        }
        let why = self.lost().cloned();
        self.shut_down(why.unwrap_or(Closed::DriverDropped));
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

#[cfg(test)]
mod tests;
