//! A WebSocket as a transport.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures::{Sink, Stream};
use mcp_types::{Inbound, Outbound, ParseLimits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tungstenite::protocol::Role;

use crate::close::{Close, CloseCode};
use crate::error::{Error, Violation};
use crate::frames::{Frames, Received};
use crate::keepalive::{Alarm, KeepAlive, Liveness, Silence};

/// Sizes and times of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message that is read, in bytes; a longer one closes the connection with 1009. Default 16 MiB.
    pub message: usize,
    /// The longest frame that is read, in bytes, likewise. Default 16 MiB.
    pub frame: usize,
    /// What a message may be made of.
    pub parse: ParseLimits,
    /// How a silent peer is asked if it is there. Default: after 20 s, with 20 s to answer.
    pub keep_alive: Option<KeepAlive>,
    /// How long the peer may take nothing of what is to be sent; then it is [`Error::Stalled`]. Default 30 s. Of what a stream
    /// has in a buffer of its own, as TLS has (64 KiB), it must take everything within that time.
    pub write_timeout: Duration,
    /// How long the peer has to close its end when this one has. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            frame: 16 << 20,
            parse: ParseLimits::default(),
            keep_alive: Some(KeepAlive::default()),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// A connected WebSocket: a stream of [`Inbound`] and a sink of [`Outbound`], one message a text message.
///
/// Made by [`Connect`](crate::Connect), [`accept`](crate::accept) or [`Listener`](crate::Listener). A message that comes in
/// one frame is a slice of the buffer it was read into. Sending collects up to 64 KiB until it is flushed.
///
/// A peer's close frame is answered at once and ends the stream; what is sent to it afterwards goes nowhere, for it reads
/// nothing more. Closing the sink says goodbye (1000 from a client, 1001 from a server), then waits for the peer to do so.
pub struct WebSocket<Io> {
    io: Io,
    limits: Limits,
    state: State,
    frames: Frames,
    /// Bytes have gone to `io` since it was flushed.
    unflushed: bool,
    /// Something is to be said for which no sink may come: an answer, a ping, or a goodbye.
    owes: bool,
    control: ControlRate,
    liveness: Liveness,
    /// Since when the peer takes nothing.
    blocked: Option<Instant>,
    write_alarm: Alarm,
    /// By when the connection has ended, once one side has closed it.
    end_by: Option<Instant>,
    end_alarm: Alarm,
    /// Who waits in the stream and who in the sink, if they do. These may be two tasks, and one may have gone elsewhere meanwhile.
    reader: Option<Waker>,
    sender: Option<Waker>,
    goodbye: CloseCode,
}

enum State {
    Open,
    /// This end has said goodbye.
    Closing,
    /// Both have, or the protocol was broken; what remains is to get the last frame to the peer.
    Ending(Ending),
    /// The peer has left in good order: nothing comes, and what is sent goes nowhere.
    Left,
    Ended,
}

enum Ending {
    /// The peer said why it closes.
    Peer(Close),
    /// The peer has answered this end's goodbye.
    Answered,
    /// The peer may still be sending: closing now would reset the connection and lose the close frame.
    Failed { why: Violation, shut: bool },
}

/// Control frames that are looked at before other tasks get their turn.
const CONTROL_FRAMES: usize = 64;

impl<Io> WebSocket<Io> {
    /// A connection whose handshake is done; `input` is what was read behind it.
    pub(crate) fn new(io: Io, role: Role, limits: Limits, input: &[u8]) -> Self {
        Self {
            io,
            state: State::Open,
            frames: Frames::new(role, limits.frame, limits.message, input),
            unflushed: false,
            owes: false,
            control: ControlRate::default(),
            liveness: Liveness::new(limits.keep_alive),
            blocked: None,
            write_alarm: Alarm::default(),
            end_by: None,
            end_alarm: Alarm::default(),
            reader: None,
            sender: None,
            goodbye: match role {
                Role::Client => CloseCode::NORMAL,
                Role::Server => CloseCode::GOING_AWAY,
            },
            limits,
        }
    }

    /// The stream below.
    pub fn stream(&self) -> &Io {
        &self.io
    }

    /// Says at the end why, instead of 1000 or 1001.
    pub fn set_goodbye(&mut self, code: CloseCode) {
        self.goodbye = code;
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> WebSocket<Io> {
    /// Reads until there is a message; control frames are seen to on the way.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Inbound>, Error>> {
        let mut control_frames = 0;
        while let State::Open | State::Closing = self.state {
            if let State::Closing = self.state
                && self.poll_end_time(cx).is_ready()
            {
                self.enter(State::Ended);
                break;
            }
            let before = self.frames.traffic().received;
            let received = self.frames.poll_read(&mut self.io, cx);
            if self.frames.traffic().received != before {
                self.liveness.heard(Instant::now());
            }
            match received {
                Poll::Ready(Ok(Received::Text(text))) => {
                    let inbound = Inbound::parse(text, self.limits.parse);
                    return Poll::Ready(Ok(Some(inbound)));
                }
                Poll::Ready(Ok(Received::Close(close))) => self.closed_by_peer(close),
                Poll::Ready(Ok(Received::Control)) => {
                    self.owes |= self.frames.owes_reply();
                    control_frames += 1;
                    if self.control.is_flood() {
                        self.fail(Violation::Flood);
                    } else if control_frames == CONTROL_FRAMES {
                        cx.waker().wake_by_ref();
                        return self.poll_reply(cx);
                    }
                }
                Poll::Ready(Err(Error::Violation(violation))) => self.fail(violation),
                // It answers this end's goodbye by hanging up, however the stream below tells of that.
                Poll::Ready(Err(Error::Cut | Error::Io(_)))
                    if matches!(self.state, State::Closing) =>
                {
                    self.enter(State::Ended);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                Poll::Pending => return self.poll_silence(cx),
            }
        }
        ready!(self.poll_end(cx));
        if let State::Ending(_) = self.state {
            self.wake();
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ending(Ending::Peer(close)) if !close.code.is_regular() => {
                Poll::Ready(Err(Error::Closed(close)))
            }
            State::Ending(Ending::Peer(_)) | State::Left => {
                self.state = State::Left;
                Poll::Ready(Ok(None))
            }
            State::Ending(Ending::Failed { why, .. }) => Poll::Ready(Err(why.into())),
            _ => Poll::Ready(Ok(None)),
        }
    }

    /// There is nothing to be read: answers what was asked, and asks the peer if it is silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Inbound>, Error>> {
        if let State::Open = self.state
            && let Poll::Ready(silence) = self.liveness.poll(cx)
        {
            match silence {
                Silence::Ask => {
                    self.frames.release();
                    self.frames.ping();
                    self.owes = true;
                }
                Silence::Dead(timeout) => {
                    return Poll::Ready(Err(self.broken(Error::Unresponsive(timeout))));
                }
            }
        }
        self.poll_reply(cx)
    }

    /// Sends what the stream's side has to say, without waiting for it. What the sink has taken waits for its flush: who reads
    /// after each message would write each by itself.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Inbound>, Error>> {
        if !self.owes {
            return Poll::Pending;
        }
        // Whoever waits in the sink must still be woken, and sends this, too; but he may be gone.
        let both = self.both(cx);
        match self.poll_write_out(&mut Context::from_waker(&both)) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.broken(error))),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Writes everything and flushes.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write(cx))?;
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(flushed) => flushed?,
                // It has a buffer of its own, as TLS has.
                Poll::Pending => return self.poll_stalled(cx),
            }
            (self.unflushed, self.blocked) = (false, None);
        }
        self.owes = false;
        if self.liveness.written()
            && let Some(reader) = &self.reader
        {
            reader.wake_by_ref();
        }
        // Not once a goodbye is said, which would be forgotten.
        if let State::Open = self.state {
            self.frames.release_unused();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything, as long as the peer takes something in time.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let before = self.frames.traffic().sent;
        let written = self.frames.poll_write(&mut self.io, cx);
        if self.frames.traffic().sent != before {
            self.unflushed = true;
            self.blocked = None;
        }
        match written {
            Poll::Ready(written) => Poll::Ready(written.map_err(Error::from)),
            Poll::Pending => self.poll_stalled(cx),
        }
    }

    /// The peer takes nothing: ready when that was so for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let timeout = self.limits.write_timeout;
        let since = *self.blocked.get_or_insert_with(Instant::now);
        let Some(due) = since.checked_add(timeout) else {
            return Poll::Pending;
        };
        ready!(self.write_alarm.poll(due, cx));
        Poll::Ready(Err(Error::Stalled(timeout)))
    }

    /// Gets the last frame to the peer, within the time for that; a failure on the way changes nothing.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Left | State::Ended) || self.poll_end_time(cx).is_ready() {
            return Poll::Ready(());
        }
        if ready!(self.poll_write_out(cx)).is_err() {
            return Poll::Ready(());
        }
        if let State::Ending(Ending::Failed { shut, .. }) = &mut self.state {
            if !*shut {
                if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
                *shut = true;
            }
            // What is read here belongs to nothing.
            let mut rest = [0; 1024];
            loop {
                let mut rest = ReadBuf::new(&mut rest);
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest)) {
                    Ok(()) if !rest.filled().is_empty() => {}
                    Ok(()) | Err(_) => return Poll::Ready(()),
                }
            }
        }
        let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        Poll::Ready(())
    }

    /// Ready when the time for ending is over.
    fn poll_end_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.limits.close_timeout;
        let by = self.end_by.or_else(|| Instant::now().checked_add(timeout));
        self.end_by = by;
        match by {
            Some(by) => self.end_alarm.poll(by, cx),
            None => Poll::Pending,
        }
    }

    /// The peer said goodbye, or answered it.
    fn closed_by_peer(&mut self, close: Close) {
        self.enter(State::Ending(match self.state {
            State::Closing => Ending::Answered,
            _ => Ending::Peer(close),
        }));
    }

    /// The peer broke the protocol: it is told so (RFC 6455 section 7.1.7).
    fn fail(&mut self, violation: Violation) {
        tracing::debug!(%violation, "closing the connection");
        if let State::Open = self.state {
            let close = Close::new(violation.close_code(), violation.to_string());
            self.frames.fail(close);
        }
        self.enter(State::Ending(Ending::Failed {
            why: violation,
            shut: false,
        }));
    }

    /// Nothing more can be done with it.
    fn broken(&mut self, error: Error) -> Error {
        self.enter(State::Ended);
        error
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<Io> {
    type Item = Result<Inbound, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.waits_in_stream(cx);
        let polled = match this.state {
            State::Open => this.poll_message(cx),
            _ => this.poll_message(&mut Context::from_waker(&this.both(cx))),
        };
        polled.map(Result::transpose)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Sink<Outbound> for WebSocket<Io> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        match this.state {
            State::Open if this.frames.has_room() => Poll::Ready(Ok(())),
            State::Open => this.poll_sink(cx, |this, cx| {
                let written = this.poll_write(cx);
                if written.is_pending() && this.frames.has_room() {
                    return Poll::Ready(Ok(()));
                }
                written
            }),
            // The stream tells why.
            State::Ending(Ending::Peer(_) | Ending::Failed { .. }) | State::Left => {
                Poll::Ready(Ok(()))
            }
            State::Closing | State::Ending(Ending::Answered) | State::Ended => {
                Poll::Ready(Err(Error::Ended))
            }
        }
    }

    fn start_send(self: Pin<&mut Self>, item: Outbound) -> Result<(), Error> {
        let this = self.get_mut();
        match this.state {
            State::Open => {
                this.frames.send(&item.message);
                Ok(())
            }
            State::Ending(_) | State::Left => Ok(()),
            State::Closing | State::Ended => Err(Error::Ended),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        match this.state {
            State::Open | State::Closing => this.poll_sink(cx, Self::poll_write_out),
            State::Ending(_) | State::Left | State::Ended => Poll::Ready(Ok(())),
        }
    }

    /// Says goodbye and waits, for [`Limits::close_timeout`] at most, until the peer has done so.
    ///
    /// What still comes meanwhile is dropped, unless it is taken out of the stream.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if let State::Open = this.state {
            this.frames.close(Close::new(this.goodbye, ""));
            this.enter(State::Closing);
            // This may be given up before it is out.
            this.owes = true;
        }
        this.sender = Some(cx.waker().clone());
        let both = this.both(cx);
        let cx = &mut Context::from_waker(&both);
        // A peer that does not read does not answer either; the time for ending bounds both.
        if let State::Closing = this.state
            && let Poll::Ready(Err(error)) = this.poll_write_out(cx)
        {
            return Poll::Ready(Err(this.broken(error)));
        }
        loop {
            match ready!(this.poll_message(cx)) {
                Ok(Some(_dropped)) => {}
                // How the peer took it is nothing that closing could still fail by.
                Ok(None) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<Io> WebSocket<Io> {
    /// Another state is another answer to who waits: the other side may have taken his place at the stream below.
    fn enter(&mut self, state: State) {
        self.state = state;
        self.wake();
    }

    fn wake(&self) {
        for waiting in [&self.reader, &self.sender].into_iter().flatten() {
            waiting.wake_by_ref();
        }
    }

    /// Remembers who waits in the stream.
    fn waits_in_stream(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => self.reader = Some(cx.waker().clone()),
        }
    }

    /// Writes for the sink, and remembers who waits there.
    fn poll_sink(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        let written = if self.owes {
            // Who waits in the stream waits for that, too.
            self.sender = Some(cx.waker().clone());
            let both = self.both(cx);
            write(self, &mut Context::from_waker(&both))
        } else {
            write(self, cx)
        };
        self.sender = written.is_pending().then(|| cx.waker().clone());
        if let Poll::Ready(Err(_)) = written {
            self.enter(State::Ended);
        }
        written
    }

    /// Wakes who waits in the stream and who in the sink: one of these is the caller.
    fn both(&self, cx: &Context<'_>) -> Waker {
        match (&self.reader, &self.sender) {
            (Some(reader), Some(sender)) if !reader.will_wake(sender) => {
                Arc::new(Both(reader.clone(), sender.clone())).into()
            }
            _ => cx.waker().clone(),
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

/// Counts control frames by the second.
#[derive(Debug, Default)]
struct ControlRate {
    since: Option<Instant>,
    frames: u32,
}

impl ControlRate {
    const PER_SECOND: u32 = 1000;

    fn is_flood(&mut self) -> bool {
        let now = Instant::now();
        if self
            .since
            .is_none_or(|since| now - since > Duration::from_secs(1))
        {
            self.since = Some(now);
            self.frames = 0;
        }
        self.frames += 1;
        self.frames > Self::PER_SECOND
    }
}

impl<Io: fmt::Debug> fmt::Debug for WebSocket<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("io", &self.io)
            .field("unsent", &self.frames.unsent())
            .finish_non_exhaustive()
    }
}
