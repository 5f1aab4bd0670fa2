//! Legacy sessions: each is one connection, whose messages come and go by many requests.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mcp_types::{CancelledParams, Inbound, Message, Outbound, Principal, RawJson, RequestId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::driving::Driving;
use super::exchange::within;
use super::lanes::{LONG, LaneLimits, Lanes};
use super::service::bounded;
use super::shutdown::Ending;
use crate::queue::{self, Slot};

/// The sessions there are, by their ids.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
    room: Arc<Semaphore>,
    count: usize,
    idle: Duration,
    /// How long a message waits for room.
    patience: Duration,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    kind: Kind,
    /// Whoever has opened it; nobody else is let in (REQ-HTTPL-12).
    principal: Option<Principal>,
    pub(super) lanes: Arc<Lanes>,
    inbound: queue::Sender<Inbound>,
    patience: Duration,
    token: CancellationToken,
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
    inbound: queue::Receiver<Inbound>,
    /// Where answers go that the client is not asked for.
    pongs: queue::Sender<Inbound>,
    ending: Ending,
}

/// Why the program does not take a message.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// The session has ended meanwhile.
    Ended,
    /// There was no room for it in time.
    Late,
}

impl From<queue::Closed> for NotTaken {
    fn from(queue::Closed: queue::Closed) -> Self {
        Self::Ended
    }
}

impl Sessions {
    pub(super) fn new(count: usize, idle: Duration, patience: Duration) -> Self {
        let count = bounded(count);
        Self {
            by_id: Mutex::default(),
            room: Arc::new(Semaphore::new(count)),
            count,
            idle: idle.min(LONG),
            patience,
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
        session.lanes.touch();
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
            .min_by_key(|session| session.lanes.used())
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
        let (sender, receiver) = queue::queue();
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
            inbound: sender.clone(),
            patience: self.patience,
            token: token.clone(),
        });
        self.lock().insert(session.id.clone(), Arc::clone(&session));
        let transport = SessionTransport {
            lanes,
            inbound: receiver,
            pongs: sender,
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
        // However it ends: what drives it is the program's, and may panic.
        let _driven = Driven {
            sessions: &self,
            session: &session,
            _room: room,
        };
        let mut timer = std::pin::pin!(sleep_until(session.lanes.used() + self.idle));
        poll_fn(|cx| {
            if Pin::new(&mut driving).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            loop {
                // One that ends does not expire as well.
                let ends = session.token.is_cancelled();
                let expires = (!ends).then(|| session.lanes.used() + self.idle);
                let due = session.lanes.due(cx).into_iter().chain(expires).min();
                // One that is early is left as it is.
                if let Some(due) = due.filter(|due| *due < timer.deadline()) {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
                let now = Instant::now();
                session.lanes.lose_patience(now);
                if session.lanes.is_read() {
                    session.lanes.touch();
                } else if expires.is_some_and(|at| at <= now) {
                    tracing::debug!("a session has expired");
                    session.end();
                }
                timer.as_mut().reset(now + self.idle);
            }
        })
        .await;
    }

    /// Waits until there is none.
    pub(super) async fn ended(&self) {
        // The semaphore is never closed.
        let _ = self.room.acquire_many(self.count as u32).await;
    }
}

/// A session that is driven; dropped, it is gone.
struct Driven<'a> {
    sessions: &'a Sessions,
    session: &'a Session,
    _room: OwnedSemaphorePermit,
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        let session = self.session;
        session.end();
        session.lanes.close();
        self.sessions.lock().remove(&session.id);
    }
}

impl Session {
    /// Room for a message of that weight to the program, as soon as it takes one.
    pub(super) async fn slot(&self, weight: usize) -> Result<Slot<'_, Inbound>, NotTaken> {
        if let Some(slot) = self.inbound.try_slot(weight)? {
            return Ok(slot);
        }
        // Who does not have to wait needs no room for waiting.
        let waiting = Box::pin(within(self.patience, self.inbound.slot(weight)));
        Ok(waiting.await.ok_or(NotTaken::Late)??)
    }

    /// Hands a message to the program.
    pub(super) async fn deliver(&self, inbound: Inbound) -> Result<(), NotTaken> {
        self.slot(inbound.weight()).await?.send(inbound);
        Ok(())
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
            inbound.iter().for_each(|inbound| self.see(inbound));
            return Poll::Ready(inbound);
        }
        if !self.ending.poll(cx) {
            return Poll::Pending;
        }
        // Whoever has sent something that was not taken hears that the session has ended.
        self.inbound.close();
        Poll::Ready(None)
    }

    /// What the program is told to stop is not answered, and its stream would wait for ever.
    fn see(&self, inbound: &Inbound) {
        let see = |message: &Message| {
            if let Message::Notification(notification) = message
                && notification.method == "notifications/cancelled"
                && let Some(params) = &notification.params
                && let Ok(CancelledParams {
                    request_id: Some(id),
                    ..
                }) = params.decode()
            {
                self.lanes.cancel(&id);
            }
        };
        match inbound {
            Inbound::Message(message) => see(message),
            Inbound::Batch(members) => members.iter().flatten().for_each(see),
            Inbound::Malformed(_) => {}
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.lanes.poll_ready(cx)
    }

    pub(super) fn send(&mut self, outbound: Outbound) {
        if !self.answers(&outbound) {
            self.lanes.push(outbound);
        }
    }

    /// Answers a ping that nobody would see: no client has to keep a stream open for what belongs to no request, and one that is
    /// silent for too long is the matter of [`HttpOptions::session_idle`](super::HttpOptions::session_idle).
    fn answers(&self, outbound: &Outbound) -> bool {
        let Outbound {
            message: Message::Request(request),
            related_to: None,
        } = outbound
        else {
            return false;
        };
        if request.method != "ping" || self.lanes.is_listened_to() {
            return false;
        }
        // If there is no room, that is because the client was heard of.
        let Ok(Some(slot)) = self.pongs.try_slot(0) else {
            return false;
        };
        let pong = Message::result(request.id.clone(), RawJson::EMPTY_OBJECT);
        slot.send(Inbound::Message(pong));
        true
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
    /// For work that takes long: no connection is held meanwhile (REQ-HTTPL-09), and what is said waits within
    /// [`HttpOptions::replay_bytes`](super::HttpOptions::replay_bytes), the answer longest. False if nothing was done: the
    /// client is not one that comes back (those of 2025-11-25 do), or is not there.
    pub fn hang_up(&self, request: &RequestId) -> bool {
        self.lanes.hang_up(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::server::lanes::FirstOfLane;
    use futures::task::noop_waker_ref;
    use mcp_types::{Extensions, Renew};

    /// Does not end when it is told to.
    struct Stubborn(Arc<AtomicUsize>);

    impl Future for Stubborn {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }
    }

    impl Renew for Stubborn {
        fn rest(&mut self) -> bool {
            false
        }

        fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions> {
            Err(extensions)
        }
    }

    fn limits() -> LaneLimits {
        LaneLimits {
            backlog: 1000,
            replay: 1000,
            retry: Duration::from_secs(1),
            keep_alive: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn a_ping_that_nobody_would_see_is_answered_here() {
        let sessions = Sessions::new(1, Duration::from_secs(60), Duration::from_secs(30));
        let (session, mut transport, _room) = opened(&sessions).await;
        let mut cx = Context::from_waker(noop_waker_ref());
        let mut answered = |id: i64, related_to: Option<RequestId>| {
            let message = Message::request(id, "ping", None);
            transport.send(Outbound {
                message,
                related_to,
            });
            match transport.poll_next(&mut cx) {
                Poll::Ready(Some(Inbound::Message(Message::Response(pong)))) => {
                    pong.id == Some(id.into()) && pong.outcome.is_ok()
                }
                _ => false,
            }
        };
        assert!(answered(1, None));
        // The client is asked if it can be.
        let _asking = session.lanes.open(&[7.into()]).expect("the id is free");
        assert!(!answered(2, Some(7.into())));
        assert!(answered(3, None));
        let _standing = session.lanes.listen().expect("nobody reads");
        assert!(!answered(4, None));
    }

    async fn opened(sessions: &Sessions) -> (Arc<Session>, SessionTransport, OwnedSemaphorePermit) {
        let room = sessions.room().await.expect("there is room");
        let (session, transport) = sessions
            .open(Kind::Streamable, None, limits(), &CancellationToken::new())
            .expect("random bytes");
        (session, transport, room)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_in_use_until_its_last_stream_ends() {
        let sessions = Arc::new(Sessions::new(
            1,
            Duration::from_secs(60),
            Duration::from_secs(30),
        ));
        let (session, _transport, room) = opened(&sessions).await;
        let mut reader = session.lanes.listen().ok();
        let driving = Box::new(Stubborn(Arc::default()));
        tokio::spawn(Arc::clone(&sessions).drive(Arc::clone(&session), driving, room));
        for (passes, ends) in [(119, false), (59, false), (2, true)] {
            tokio::time::sleep(Duration::from_secs(passes)).await;
            assert_eq!(session.token.is_cancelled(), ends, "{passes}");
            reader.take();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_has_expired_waits_for_its_program() {
        let sessions = Arc::new(Sessions::new(
            1,
            Duration::from_secs(60),
            Duration::from_secs(30),
        ));
        let (session, _transport, room) = opened(&sessions).await;
        // A request that is still at work does not keep it.
        let reader = session.lanes.open(&[1.into()]).expect("the id is free");
        drop(reader);
        let polls = Arc::new(AtomicUsize::new(0));
        let driving = Box::new(Stubborn(Arc::clone(&polls)));
        let driven = tokio::spawn(Arc::clone(&sessions).drive(Arc::clone(&session), driving, room));
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(61)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(session.token.is_cancelled());
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls < 10, "{polls}");
        // However it ends, the session is gone.
        driven.abort();
        assert!(driven.await.is_err());
        assert!(sessions.lock().is_empty());
        let reader = session.lanes.listen().expect("nobody reads");
        let first = reader.first(Duration::MAX, false).await;
        assert!(matches!(first, FirstOfLane::Nothing));
    }
}
