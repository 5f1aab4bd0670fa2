//! Times that live in the transport's own state, so that no dropped future forgets them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How a silent peer is asked if it is there, by RFC 6455 pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// It is asked when nothing came from it for that long. Default 20 s.
    pub interval: Duration,
    /// If nothing at all comes within that time then, the connection ends with [`Error::Unresponsive`](crate::Error::Unresponsive).
    /// Default 20 s.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(20),
            timeout: Duration::from_secs(20),
        }
    }
}

/// What the program should do about a peer's silence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    Ask,
    Dead(Duration),
}

/// When the peer was last heard of, and whether it has been asked.
#[derive(Debug)]
pub(crate) struct Liveness {
    times: Option<KeepAlive>,
    heard: Instant,
    asked: Asked,
    alarm: Alarm,
}

#[derive(Debug)]
enum Asked {
    No,
    /// The ping waits for the peer to take what is before it: silence says nothing yet.
    Queued,
    At(Instant),
}

impl Liveness {
    pub(crate) fn new(times: Option<KeepAlive>) -> Self {
        Self {
            times,
            heard: Instant::now(),
            asked: Asked::No,
            alarm: Alarm::default(),
        }
    }

    /// Something came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        if let Asked::At(_) = self.asked {
            self.asked = Asked::No;
        }
    }

    /// Everything that was to be sent is. If the ping is among it, [`poll`](Self::poll) has a new time to wait for.
    pub(crate) fn written(&mut self) -> bool {
        let asked = matches!(self.asked, Asked::Queued);
        if asked {
            self.asked = Asked::At(Instant::now());
        }
        asked
    }

    /// To be polled when there is nothing to be read: what was not read is no silence.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        let Some(times) = self.times else {
            return Poll::Pending;
        };
        let due = match self.asked {
            Asked::No => self.heard.checked_add(times.interval),
            Asked::Queued => None,
            Asked::At(asked) => asked.checked_add(times.timeout),
        };
        let Some(due) = due else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll(due, cx));
        if let Asked::At(_) = self.asked {
            return Poll::Ready(Silence::Dead(times.timeout));
        }
        self.asked = Asked::Queued;
        Poll::Ready(Silence::Ask)
    }
}

/// A timer for a time that moves.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at `due`. A time that has moved on is noticed when the timer fires: setting it anew for each message costs more.
    pub(crate) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}
