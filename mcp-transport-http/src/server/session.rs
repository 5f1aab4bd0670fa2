//! Legacy sessions: each is one connection, whose messages come and go by many requests.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mcp_types::{Inbound, Outbound, Principal, RequestId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::driving::Driving;
use super::lanes::{LaneLimits, Lanes};
use super::service::bounded;
use super::shutdown::Ending;

/// Messages of a client that may wait for the program.
const QUEUE: usize = 64;

/// The sessions there are, by their ids.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
    room: Arc<Semaphore>,
    count: usize,
    idle: Duration,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    kind: Kind,
    /// Whoever has opened it; nobody else is let in (REQ-HTTPL-12).
    principal: Option<Principal>,
    pub(super) lanes: Arc<Lanes>,
    inbound: mpsc::Sender<Inbound>,
    token: CancellationToken,
    used: Mutex<Instant>,
}

/// By which transport a session is reached, and by no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Streamable,
    #[cfg(feature = "http-sse")]
    HttpSse,
}

/// The program's end of a session.
#[derive(Debug)]
pub(super) struct SessionTransport {
    lanes: Arc<Lanes>,
    inbound: mpsc::Receiver<Inbound>,
    ending: Ending,
}

/// The session has ended meanwhile.
#[derive(Debug)]
pub(super) struct Ended;

impl Sessions {
    pub(super) fn new(count: usize, idle: Duration) -> Self {
        let count = bounded(count);
        Self {
            by_id: Mutex::default(),
            room: Arc::new(Semaphore::new(count)),
            count,
            idle,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of that id, if it is of that kind and that principal's.
    pub(super) fn find(
        &self,
        id: &str,
        kind: Kind,
        principal: Option<&Principal>,
    ) -> Option<Arc<Session>> {
        let session = self.lock().get(id).cloned()?;
        let open = session.kind == kind && session.principal.as_ref() == principal;
        if !open || session.token.is_cancelled() {
            return None;
        }
        session.touch();
        Some(session)
    }

    /// Room for one more; the session that has been idle longest makes it, if there is no other.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(room);
        }
        let idlest = self
            .lock()
            .values()
            .filter(|session| session.lanes.is_idle() && !session.token.is_cancelled())
            .min_by_key(|session| session.used())
            .cloned()?;
        tracing::warn!("there are too many sessions: the one that was idle longest is ended");
        idlest.end();
        let room = Arc::clone(&self.room).acquire_owned();
        let room = tokio::time::timeout(Duration::from_secs(5), room).await;
        room.ok()?.ok()
    }

    /// A new session, not driven yet.
    pub(super) fn open(
        &self,
        kind: Kind,
        principal: Option<Principal>,
        limits: LaneLimits,
        shutdown: &CancellationToken,
    ) -> Result<(Arc<Session>, SessionTransport), getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let token = shutdown.child_token();
        let lanes = Arc::new(match kind {
            Kind::Streamable => Lanes::new(limits),
            #[cfg(feature = "http-sse")]
            Kind::HttpSse => Lanes::merged(limits),
        });
        let session = Arc::new(Session {
            kind,
            id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            principal,
            lanes: Arc::clone(&lanes),
            inbound: sender,
            token: token.clone(),
            used: Mutex::new(Instant::now()),
        });
        self.lock().insert(session.id.clone(), Arc::clone(&session));
        let transport = SessionTransport {
            lanes,
            inbound: receiver,
            ending: Ending::new(token),
        };
        Ok((session, transport))
    }

    /// Drives a session to its end: the program's, the client's, or that nobody has used it for too long.
    pub(super) async fn drive(
        self: Arc<Self>,
        session: Arc<Session>,
        mut driving: Driving,
        room: OwnedSemaphorePermit,
    ) {
        let mut timer = std::pin::pin!(sleep_until(session.used() + self.idle));
        poll_fn(|cx| {
            if Pin::new(&mut driving).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            loop {
                let expires = session.used() + self.idle;
                let due = session
                    .lanes
                    .due(cx)
                    .map_or(expires, |due| due.min(expires));
                // One that is early is left as it is.
                if due < timer.deadline() {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
                let now = Instant::now();
                session.lanes.lose_patience(now);
                if !session.lanes.is_idle() {
                    session.touch();
                } else if session.used() + self.idle <= now && !session.token.is_cancelled() {
                    tracing::debug!("a session has expired");
                    session.end();
                }
                timer.as_mut().reset(now + self.idle);
            }
        })
        .await;
        session.end();
        session.lanes.close();
        self.lock().remove(&session.id);
        drop(room);
    }

    /// Waits until there is none.
    pub(super) async fn ended(&self) {
        // The semaphore is never closed.
        let _ = self.room.acquire_many(self.count as u32).await;
    }
}

impl Session {
    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Hands a message to the program, as soon as it takes one.
    pub(super) async fn deliver(&self, inbound: Inbound) -> Result<(), Ended> {
        match self.inbound.try_send(inbound) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Ended),
            // Who does not have to wait needs no room for waiting.
            Err(TrySendError::Full(inbound)) => {
                let sending = Box::pin(self.inbound.send(inbound));
                sending.await.map_err(|_| Ended)
            }
        }
    }

    /// Ends the session in good order.
    pub(super) fn end(&self) {
        self.token.cancel();
    }
}

impl SessionTransport {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Inbound>> {
        if !self.ending.has_come()
            && let Poll::Ready(inbound) = self.inbound.poll_recv(cx)
        {
            return Poll::Ready(inbound);
        }
        if !self.ending.poll(cx) {
            return Poll::Pending;
        }
        // Whoever has sent something that was not taken hears that the session has ended.
        self.inbound.close();
        Poll::Ready(None)
    }

    pub(super) fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.lanes.poll_ready(cx)
    }

    pub(super) fn send(&mut self, outbound: Outbound) {
        self.lanes.push(outbound);
    }
}

/// The streams of a legacy session, for a handler that wants to let go of the one its request came on.
///
/// A value of a connection's [`Extensions`](mcp_types::Extensions); modern requests have none.
#[derive(Debug, Clone)]
pub struct Streams {
    pub(super) lanes: Arc<Lanes>,
}

impl Streams {
    /// Ends the stream of a request that is still being served; the client comes back for the rest by itself.
    ///
    /// For work that takes long: nothing is lost, and no connection is held meanwhile (REQ-HTTPL-09). False if nothing was
    /// done: the client is not one that comes back (those of 2025-11-25 do), or is not there.
    pub fn hang_up(&self, request: &RequestId) -> bool {
        self.lanes.hang_up(request)
    }
}
