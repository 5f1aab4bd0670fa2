//! Handlers that wait between two input rounds.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use mcp_peer::session::{self, InputRequired, RequestError, Retry};
use mcp_peer::types::{ErrorObject, MethodName, RawJson};
use mcp_peer::{Answer, HandlerFuture, Question, Request, RequestContext, Rounds};
use serde_json::Value;
use tokio::time::Instant;

/// Bounds on handlers that wait between two input rounds of modern clients.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParkLimits {
    /// How many may wait at a time; the next one fails its call. Default 1,024.
    pub count: usize,
    /// Bytes of parameters that are kept for them, together. Default 64 MiB.
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
    /// Whether a task looks after what expires.
    swept: bool,
}

/// A handler that waits, with what it is bound to.
struct Parked {
    work: Work,
    expires: Instant,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked")
            .field("method", &self.work.method)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A handler that may ask, from round to round.
struct Work {
    handler: HandlerFuture,
    rounds: Rounds,
    method: MethodName,
    /// The parameters of the first round; every further one must have the same.
    params: RawJson,
    /// What is asked and not answered, by key.
    open: BTreeMap<String, Question>,
    /// The number of the last question.
    asked: u64,
}

impl Work {
    /// Takes new questions; whether one of them is answered already, by what the first round brought.
    fn take(&mut self, questions: Vec<Question>) -> bool {
        let mut answered = false;
        for question in questions {
            let given = question.key.as_deref().and_then(|key| {
                let answers = self.params.member("inputResponses")?;
                answers.member(key)
            });
            if let Some(answer) = given {
                question.answer(Ok(answer));
                answered = true;
                continue;
            }
            self.asked += 1;
            let key = match &question.key {
                Some(key) if !self.open.contains_key(&**key) => key.to_string(),
                _ => format!("q{}", self.asked),
            };
            self.open.insert(key, question);
        }
        answered
    }
}

/// A round of a handler: completes with its answer, or with its questions.
struct Round {
    work: Option<Work>,
    lot: Arc<Lot>,
}

/// Serves the first round of a request whose handler may ask.
pub(crate) fn first_round(
    lot: &Arc<Lot>,
    context: &RequestContext,
    method: MethodName,
    params: RawJson,
    handler: HandlerFuture,
) -> HandlerFuture {
    let work = Work {
        handler,
        rounds: context.rounds(),
        method,
        params,
        open: BTreeMap::new(),
        asked: 0,
    };
    Box::pin(Round {
        work: Some(work),
        lot: Arc::clone(lot),
    })
}

/// Serves a further round.
///
/// # Errors
/// -32602 if the state is not one that waits, or belongs to another request (REQ-MRTR-09); nothing runs then.
pub(crate) fn next_round(
    lot: &Arc<Lot>,
    request: &Request,
    retry: &Retry,
    state: &str,
) -> Result<HandlerFuture, ErrorObject> {
    let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
    let mut work = lot.take(state, &request.method, &params)?;
    let answers: BTreeMap<String, RawJson> = retry
        .responses
        .decode()
        .map_err(|_| ErrorObject::invalid_params("`inputResponses` must be an object"))?;
    work.rounds.resume(&request.context);
    // Keys that nobody asked for are ignored; questions without an answer are asked again (REQ-MRTR-13).
    for (key, answer) in answers {
        if let Some(question) = work.open.remove(&key) {
            question.answer(Ok(answer));
        }
    }
    Ok(Box::pin(Round {
        work: Some(work),
        lot: Arc::clone(lot),
    }))
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
            let asked = work.rounds.poll_questions(cx);
            if !work.take(asked) {
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
        Poll::Ready(match this.lot.park(work) {
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

    fn park(self: &Arc<Self>, mut work: Work) -> Result<String, ErrorObject> {
        let state = unguessable().map_err(|e| {
            tracing::error!(error = %e, "no randomness");
            ErrorObject::internal("the server cannot ask for input now")
        })?;
        work.params = work.params.compact();
        let bytes = work.params.len();
        let expires = Instant::now() + self.limits.time;
        let mut places = self.lock();
        if places.parked.len() >= self.limits.count || places.bytes + bytes > self.limits.bytes {
            return Err(ErrorObject::internal("too many requests wait for input"));
        }
        places.bytes += bytes;
        places
            .parked
            .insert(state.clone(), Parked { work, expires });
        if !std::mem::replace(&mut places.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), expires));
        }
        Ok(state)
    }

    /// Takes a handler out, for good: a state is good for one use (REQ-MRTR-11). One that is refused leaves it waiting.
    fn take(
        &self,
        state: &str,
        method: &MethodName,
        params: &RawJson,
    ) -> Result<Work, ErrorObject> {
        let refused = || ErrorObject::invalid_params("`requestState` is unknown, used, or expired");
        let mut places = self.lock();
        let parked = places.parked.get(state).ok_or_else(refused)?;
        if parked.expires <= Instant::now()
            || parked.work.method != *method
            || !same_request(&parked.work.params, params)
        {
            return Err(refused());
        }
        let parked = places.parked.remove(state).ok_or_else(refused)?;
        places.bytes -= parked.work.params.len();
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
            .map(|(_, parked)| parked.work.params.len())
            .sum::<usize>();
        let next = places.parked.values().map(|parked| parked.expires).min();
        places.swept = next.is_some();
        drop(places);
        // Handlers are the program's: what their drop does must not happen under the lock.
        for (_, parked) in expired {
            for (_, question) in parked.work.open {
                question.answer(Err(RequestError::Cancelled));
            }
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after what expires as long as anything waits; the server itself is not kept alive by it.
async fn sweep(lot: Weak<Lot>, first: Instant) {
    let mut next = Some(first);
    while let Some(at) = next {
        tokio::time::sleep_until(at).await;
        next = lot.upgrade().and_then(|lot| lot.drop_expired());
    }
}

/// 192 random bits as text.
pub(crate) fn unguessable() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Whether two parameters are the same but for what changes from round to round; the order of members does not count.
fn same_request(one: &RawJson, other: &RawJson) -> bool {
    let asked = |raw: &RawJson| {
        let mut params: serde_json::Map<String, Value> = raw.decode().ok()?;
        for changing in ["_meta", "inputResponses", "requestState"] {
            params.remove(changing);
        }
        Some(params)
    };
    asked(one).is_some_and(|one| asked(other).is_some_and(|other| one == other))
}
