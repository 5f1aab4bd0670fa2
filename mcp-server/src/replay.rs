//! Handlers that run again from the top in each input round, so that any node of a server can serve it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_peer::session::{self, InputRequired};
use mcp_peer::types::{ErrorObject, ObjectBuf, RawJson};
use mcp_peer::{Answer, HandlerFuture, Question, RequestContext, Rounds};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{Sleep, sleep_until};

use crate::rounds::{Answers, Bound, key_of};
use crate::seal::ReplayKeys;
use crate::time::after;

/// Keeps nothing between the input rounds of modern clients: what a handler has learned travels with the client, sealed.
///
/// In each round the handler runs again from the top, and each question that it has asked before is answered at once with
/// what the client answered then. So what it does before a question must have no effect, or the same one when it is done
/// again; and it must ask the same questions in the same order, or its call fails with -32603: at once if it asks something
/// else, after [`time`](Self::time) if it waits for an answer and does not ask what was asked beside it. What it logs and
/// reports is sent again, too.
///
/// A state is good for the method, the arguments and the principal of its request, for a time, and on one node only once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replay {
    /// What states are sealed with.
    pub keys: ReplayKeys,
    /// How long a client may take for a round, by the nodes' clocks, and a handler to ask again what it has asked before.
    /// Default 10 min.
    pub time: Duration,
    /// Bytes of a state at most; a call whose answers come to more fails. Default 1 MiB.
    pub bytes: usize,
    /// States that a node remembers to have seen, so that none is used twice; of more, those that expire first are
    /// forgotten. Default 65,536.
    pub seen: usize,
}

impl Replay {
    /// With the defaults for everything but the keys.
    pub fn new(keys: ReplayKeys) -> Self {
        Self {
            keys,
            time: Duration::from_secs(600),
            bytes: 1024 * 1024,
            seen: 65_536,
        }
    }
}

/// What serves rounds by replaying them.
#[derive(Debug)]
pub(crate) struct Replayer {
    settings: Replay,
    /// By when they expire, in milliseconds since 1970.
    seen: Mutex<BTreeSet<(u64, [u8; 24])>>,
}

/// What a handler has asked so far, and what it was answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// In the order in which they were asked.
    questions: Vec<Asked>,
    /// For each round the answers that it brought, by the number of their question.
    rounds: Vec<BTreeMap<usize, RawJson>>,
    /// In milliseconds since 1970.
    expires: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    key: String,
    method: String,
    /// Of the parameters that are the handler's alone.
    digest: [u8; 32],
}

/// A round: completes with the handler's answer, or with its questions.
struct Replaying {
    handler: HandlerFuture,
    asking: Rounds,
    bound: Bound,
    recording: Recording,
    /// How much of it is replayed: questions asked, rounds answered.
    asked: usize,
    answered: usize,
    open: BTreeMap<usize, Question>,
    /// What is answered before it is asked.
    answers: Answers,
    /// Until when a question waits for those that were asked beside it before.
    patience: Option<Pin<Box<Sleep>>>,
    replayer: Arc<Replayer>,
}

/// The handler does not ask what it has asked before.
struct Strayed;

impl Replayer {
    pub(crate) fn new(settings: Replay) -> Arc<Self> {
        Arc::new(Self {
            settings,
            seen: Mutex::default(),
        })
    }

    /// Opens a state, for good.
    ///
    /// # Errors
    /// -32602 if it is none of this server's for this request, or has been seen before, or has expired.
    pub(crate) fn open(&self, state: &str, bound: &Bound) -> Result<Recording, ErrorObject> {
        let refused = || ErrorObject::invalid_params("`requestState` is unknown, used, or expired");
        if state.len() > self.settings.bytes {
            return Err(refused());
        }
        let context = bound.context().ok_or_else(refused)?;
        let (nonce, text) = (self.settings.keys.open(state, &context)).ok_or_else(refused)?;
        let recording: Recording = serde_json::from_slice(&text).map_err(|_| refused())?;
        let now = now();
        if recording.expires <= now {
            return Err(refused());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while seen.first().is_some_and(|(expires, _)| *expires <= now) {
            seen.pop_first();
        }
        if !seen.insert((recording.expires, nonce)) {
            return Err(refused());
        }
        if seen.len() > self.settings.seen {
            seen.pop_first();
        }
        Ok(recording)
    }

    /// Serves a round.
    pub(crate) fn serve(
        self: &Arc<Self>,
        context: &RequestContext,
        bound: Bound,
        mut answers: Answers,
        recording: Option<Recording>,
        handler: HandlerFuture,
    ) -> HandlerFuture {
        let recording = match recording {
            None => Recording::default(),
            Some(mut recording) => {
                recording.answer(&mut answers);
                // What is left of them may be old, and must not answer what is asked under the same key now.
                answers = Answers::default();
                recording
            }
        };
        Box::pin(Replaying {
            handler,
            asking: context.rounds(),
            bound,
            recording,
            asked: 0,
            answered: 0,
            open: BTreeMap::new(),
            answers,
            patience: None,
            replayer: Arc::clone(self),
        })
    }

    fn seal(&self, mut recording: Recording, bound: &Bound) -> Result<String, ErrorObject> {
        recording.expires = now().saturating_add(millis(self.settings.time));
        let sealed = bound.context().and_then(|context| {
            let text = serde_json::to_vec(&recording).ok()?;
            self.settings.keys.seal(&text, &context)
        });
        let Some(sealed) = sealed else {
            tracing::error!("a state cannot be sealed");
            return Err(ErrorObject::internal("the server cannot ask for input now"));
        };
        if sealed.len() > self.settings.bytes {
            return Err(ErrorObject::internal("the answers so far are too long"));
        }
        Ok(sealed)
    }
}

impl Recording {
    /// Adds a round's answers to what is open. Keys that nobody asked for are ignored (REQ-MRTR-13).
    fn answer(&mut self, answers: &mut Answers) {
        let round = self.unanswered().filter_map(|(number, question)| {
            Some((number, answers.take(&question.key, &question.method)?))
        });
        let round = round.collect();
        self.rounds.push(round);
    }

    /// The questions that no round has answered: those that are open, and those that were withdrawn.
    fn unanswered(&self) -> impl Iterator<Item = (usize, &Asked)> {
        let open = |number: &usize| !self.rounds.iter().any(|round| round.contains_key(number));
        let questions = self.questions.iter().enumerate();
        questions.filter(move |(number, _)| open(number))
    }

    /// The key of the question of that number, which is the same as it was, or new.
    fn ask(&mut self, number: usize, question: &Question) -> Result<String, Strayed> {
        let method = question.method.to_string();
        let digest = digest(&question.params);
        if let Some(before) = self.questions.get(number) {
            return match before.method == method && before.digest == digest {
                true => Ok(before.key.clone()),
                false => Err(Strayed),
            };
        }
        // A withdrawn question is asked again when it is replayed, and would take an answer by the same key.
        let taken = |key: &str| self.unanswered().any(|(_, asked)| asked.key == key);
        let key = key_of(question, number + 1, taken);
        self.questions.push(Asked {
            key: key.clone(),
            method,
            digest,
        });
        Ok(key)
    }
}

impl Replaying {
    /// Takes what the handler has asked, and answers what can be answered; whether anything was.
    fn exchange(&mut self, cx: &mut Context<'_>) -> Result<bool, Strayed> {
        let mut early = BTreeMap::new();
        for question in self.asking.poll_questions(cx) {
            let number = self.asked;
            self.asked += 1;
            let key = self.recording.ask(number, &question)?;
            match self.answers.take(&key, &question.method) {
                Some(answer) => {
                    early.insert(number, answer.clone());
                    question.answer(Ok(answer));
                }
                None => drop(self.open.insert(number, question)),
            }
        }
        let mut answered = !early.is_empty();
        if answered {
            self.recording.rounds.push(early);
            self.answered += 1;
        }
        // Round by round, as it was: so what is asked next comes in the same order, whatever runs side by side.
        if let Some(round) = self.recording.rounds.get(self.answered)
            && round.keys().all(|number| *number < self.asked)
        {
            for (number, answer) in round {
                if let Some(question) = self.open.remove(number) {
                    question.answer(Ok(answer.clone()));
                }
            }
            self.answered += 1;
            answered = true;
        }
        Ok(answered)
    }

    /// Takes what the handler asks, until it waits for what is not recorded.
    fn replay(&mut self, cx: &mut Context<'_>) -> Result<Poll<Answer>, Strayed> {
        loop {
            if let Poll::Ready(answer) = self.handler.as_mut().poll(cx) {
                return Ok(Poll::Ready(answer));
            }
            if !self.exchange(cx)? {
                break;
            }
            self.patience = None;
        }
        self.open.retain(|_, question| !question.is_withdrawn());
        if self.open.is_empty() {
            self.patience = None;
        } else if self.answered < self.recording.rounds.len() {
            // What was asked beside it may come yet, after something that takes its time; or it never does.
            let until = || Box::pin(sleep_until(after(self.replayer.settings.time)));
            let patience = self.patience.get_or_insert_with(until);
            if patience.as_mut().poll(cx).is_ready() {
                return Err(Strayed);
            }
        }
        Ok(Poll::Pending)
    }
}

impl Future for Replaying {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        match this.replay(cx) {
            Ok(Poll::Pending) => {}
            Ok(answered) => return answered,
            Err(Strayed) => {
                let method = this.bound.method.as_str();
                tracing::error!(
                    method,
                    "a replayed handler does not ask what it asked before"
                );
                let error = ErrorObject::internal("the handler asks something else than before");
                return Poll::Ready(Answer::Error(error));
            }
        }
        if this.open.is_empty() || this.answered < this.recording.rounds.len() {
            return Poll::Pending;
        }
        let recording = std::mem::take(&mut this.recording);
        let questions = this.open.iter().map(|(number, question)| {
            let method = question.method.clone();
            let params = question.params.clone();
            let key = recording.questions[*number].key.clone();
            (key, session::Question { method, params })
        });
        let questions = questions.collect();
        Poll::Ready(match this.replayer.seal(recording, &this.bound) {
            Ok(state) => Answer::InputRequired(InputRequired {
                questions,
                state: Some(state),
            }),
            Err(error) => Answer::Error(error),
        })
    }
}

/// Of a question's parameters, but for what goes only to clients that declare it, for another round may not declare the same.
fn digest(params: &RawJson) -> [u8; 32] {
    let mut params = ObjectBuf::from_raw(params.clone()).unwrap_or_default();
    params.take("includeContext");
    Sha256::digest(params.finish().as_bytes()).into()
}

fn now() -> u64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
