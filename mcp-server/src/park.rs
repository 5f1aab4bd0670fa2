//! Handlers that wait between two input rounds.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use mcp_peer::session::{self, InputRequired, RequestError, may_ask};
use mcp_peer::types::{ErrorObject, MethodName};
use mcp_peer::{Answer, HandlerFuture, Question, RequestContext, Rounds};
use sha2::{Digest, Sha256};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::rounds::{Answers, Bound, key_of, unguessable};
use crate::time::after;

/// Bounds on handlers that wait between two input rounds of modern clients.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParkLimits {
    /// How many may wait at a time; the next one fails its call. Default 1,024.
    pub count: usize,
    /// Bytes of their requests' parameters, of which they keep what they need, together. Default 64 MiB.
    pub bytes: usize,
    /// How long one may wait before it is dropped. Default 10 min.
    pub time: Duration,
}

impl Default for ParkLimits {
    fn default() -> Self {
        Self {
            count: 1024,
            bytes: 64 * 1024 * 1024,
            time: Duration::from_secs(600),
        }
    }
}

/// Where handlers wait, by the state that the client is to bring back.
///
/// It belongs to the server and not to a connection: the next round may come on another one.
#[derive(Debug)]
pub(crate) struct Lot {
    limits: ParkLimits,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    parked: HashMap<String, Parked>,
    bytes: usize,
    /// The task that looks after what expires, if there was anything; it ends with its runtime.
    sweeper: Option<AbortHandle>,
}

/// A handler that waits.
struct Parked {
    work: Work,
    method: MethodName,
    /// Of what every further round must have in common with the first, so that comparing takes no time under the lock.
    digest: Option<[u8; 32]>,
    /// How long the parameters were.
    bytes: usize,
    expires: Instant,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked")
            .field("method", &self.method)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A handler that may ask, from round to round.
struct Work {
    handler: HandlerFuture,
    rounds: Rounds,
    /// What is asked and not answered, by key.
    open: BTreeMap<String, Question>,
    /// How many questions there were.
    asked: usize,
}

/// A round of a handler: completes with its answer, or with its questions.
struct Round {
    work: Option<Work>,
    bound: Bound,
    /// What is answered before it is asked.
    answers: Answers,
    lot: Arc<Lot>,
}

impl Work {
    fn ask(&mut self, question: Question, answers: &mut Answers) -> bool {
        self.asked += 1;
        let key = key_of(&question, self.asked, |key| self.open.contains_key(key));
        if let Some(answer) = answers.take(&key, &question.method) {
            question.answer(Ok(answer));
            return true;
        }
        self.open.insert(key, question);
        false
    }

    fn expire(self) {
        for (_, question) in self.open {
            question.answer(Err(RequestError::Cancelled));
        }
    }
}

impl Future for Round {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        let Some(work) = &mut this.work else {
            return Poll::Pending;
        };
        loop {
            if let Poll::Ready(answer) = work.handler.as_mut().poll(cx) {
                this.work = None;
                return Poll::Ready(answer);
            }
            let mut answered = false;
            for question in work.rounds.poll_questions(cx) {
                answered |= work.ask(question, &mut this.answers);
            }
            if !answered {
                break;
            }
        }
        work.open.retain(|_, question| !question.is_withdrawn());
        if work.open.is_empty() {
            return Poll::Pending;
        }
        let questions = work
            .open
            .iter()
            .map(|(key, question)| {
                let method = question.method.clone();
                let params = question.params.clone();
                (key.clone(), session::Question { method, params })
            })
            .collect();
        let Some(work) = this.work.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match this.lot.park(work, &this.bound) {
            Ok(state) => Answer::InputRequired(InputRequired {
                questions,
                state: Some(state),
            }),
            Err(error) => Answer::Error(error),
        })
    }
}

impl Lot {
    pub(crate) fn new(limits: ParkLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            places: Mutex::default(),
        })
    }

    /// Serves the first round of a request whose handler may ask.
    pub(crate) fn serve(
        self: &Arc<Self>,
        context: &RequestContext,
        bound: Bound,
        answers: Answers,
        handler: HandlerFuture,
    ) -> HandlerFuture {
        let work = Work {
            handler,
            rounds: context.rounds(),
            open: BTreeMap::new(),
            asked: 0,
        };
        Box::pin(Round {
            work: Some(work),
            bound,
            answers,
            lot: Arc::clone(self),
        })
    }

    /// Serves a further round.
    ///
    /// # Errors
    /// -32602 if the state is not one that waits, or belongs to another request (REQ-MRTR-09); nothing runs then.
    pub(crate) fn resume(
        self: &Arc<Self>,
        state: &str,
        bound: Bound,
        context: &RequestContext,
        mut answers: Answers,
    ) -> Result<HandlerFuture, ErrorObject> {
        let mut work = self.take(state, &bound)?;
        work.rounds.resume(context);
        let caller = context.caller();
        // Keys that nobody asked for are ignored; questions without an answer are asked again (REQ-MRTR-13), unless this
        // round's client has not declared what they need (REQ-MRTR-04).
        for (key, question) in std::mem::take(&mut work.open) {
            if let Some(answer) = answers.take(&key, &question.method) {
                question.answer(Ok(answer));
            } else if let Err(misuse) = may_ask(&caller, &question.method, &question.params) {
                question.answer(Err(misuse.into()));
            } else {
                work.open.insert(key, question);
            }
        }
        Ok(Box::pin(Round {
            work: Some(work),
            bound,
            // What is left of them may be old, and must not answer what is asked under the same key now.
            answers: Answers::default(),
            lot: Arc::clone(self),
        }))
    }

    fn park(self: &Arc<Self>, work: Work, bound: &Bound) -> Result<String, ErrorObject> {
        let state = unguessable().map_err(|e| {
            tracing::error!(error = %e, "no randomness");
            ErrorObject::internal("the server cannot ask for input now")
        })?;
        let bytes = bound.params.len();
        let expires = after(self.limits.time);
        let parked = Parked {
            work,
            method: bound.method.clone(),
            digest: digest(bound),
            bytes,
            expires,
        };
        let mut places = self.lock();
        // Before anything is refused: what was there may have expired.
        if places.sweeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let first = places.parked.values().map(|parked| parked.expires).min();
            let sweeper = tokio::spawn(sweep(Arc::downgrade(self), first.unwrap_or(expires)));
            places.sweeper = Some(sweeper.abort_handle());
        }
        if places.parked.len() >= self.limits.count || places.bytes + bytes > self.limits.bytes {
            return Err(ErrorObject::internal("too many requests wait for input"));
        }
        places.bytes += bytes;
        places.parked.insert(state.clone(), parked);
        Ok(state)
    }

    /// Takes a handler out, for good: a state is good for one use (REQ-MRTR-11). One that is refused leaves it waiting.
    fn take(&self, state: &str, bound: &Bound) -> Result<Work, ErrorObject> {
        let refused = || ErrorObject::invalid_params("`requestState` is unknown, used, or expired");
        let digest = digest(bound).ok_or_else(refused)?;
        let mut places = self.lock();
        let parked = places.parked.get(state).ok_or_else(refused)?;
        if parked.expires <= Instant::now() || parked.digest != Some(digest) {
            return Err(refused());
        }
        let parked = places.parked.remove(state).ok_or_else(refused)?;
        places.bytes -= parked.bytes;
        Ok(parked.work)
    }

    /// Drops what has expired; when something else will, if anything is left.
    fn drop_expired(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut places = self.lock();
        let expired: Vec<_> = places
            .parked
            .extract_if(|_, parked| parked.expires <= now)
            .collect();
        places.bytes -= expired
            .iter()
            .map(|(_, parked)| parked.bytes)
            .sum::<usize>();
        let next = places.parked.values().map(|parked| parked.expires).min();
        if next.is_none() {
            places.sweeper = None;
        }
        drop(places);
        // Handlers are the program's: what their drop does must not happen under the lock.
        for (_, parked) in expired {
            let method = parked.method;
            let dropping = AssertUnwindSafe(|| parked.work.expire());
            if catch_unwind(dropping).is_err() {
                // There may be others, and there will be.
                tracing::error!(%method, "a handler that has expired panicked when it was dropped");
            }
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(bound: &Bound) -> Option<[u8; 32]> {
    bound.context().map(|bytes| Sha256::digest(bytes).into())
}

/// Looks after what expires as long as anything waits; the server itself is not kept alive by it.
async fn sweep(lot: Weak<Lot>, first: Instant) {
    let mut next = Some(first);
    while let Some(at) = next {
        tokio::time::sleep_until(at).await;
        next = lot.upgrade().and_then(|lot| lot.drop_expired());
    }
}
