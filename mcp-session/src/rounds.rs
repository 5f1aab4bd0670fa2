//! Input rounds: a modern server asks by ending a request, a client answers by making it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mcp_types::{ErrorObject, MethodName, ObjectBuf, RawJson};
use serde::{Deserialize, Serialize};

use crate::error::{ApiMisuse, PeerMisbehaved, RequestError};
use crate::event::{CallKey, IncomingKey};
use crate::methods::{is_question, takes_input};
use crate::outgoing::{Call, CallState};
use crate::permission::missing_capability;
use crate::session::Session;
use crate::text;

/// What a server answers instead of a result: questions, and a state that it wants to see again.
#[derive(Debug, Clone, Default)]
pub struct InputRequired {
    /// The questions, by a key that the answer will carry.
    pub questions: BTreeMap<String, Question>,
    /// What the client echoes without looking at it.
    pub state: Option<String>,
}

/// One question of an input round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// `sampling/createMessage`, `elicitation/create` or `roots/list`.
    pub method: MethodName,
    /// Its parameters, an object.
    #[serde(default = "empty")]
    pub params: RawJson,
}

impl Question {
    fn is_one(&self) -> bool {
        is_question(&self.method) && self.params.is_object()
    }
}

const EMPTY: &str = "neither questions nor a state";
const NO_QUESTION: &str = "something that is no question";

fn empty() -> RawJson {
    RawJson::EMPTY_OBJECT
}

impl InputRequired {
    /// Whether the protocol knows such a round; what the client has declared is checked elsewhere.
    pub(crate) fn check(&self) -> Result<(), ApiMisuse> {
        if self.questions.is_empty() && self.state.is_none() {
            return Err(ApiMisuse::InputRound(EMPTY));
        }
        match self.questions.values().all(Question::is_one) {
            true => Ok(()),
            false => Err(ApiMisuse::InputRound(NO_QUESTION)),
        }
    }

    pub(crate) fn into_object(self) -> ObjectBuf {
        let mut result = ObjectBuf::new();
        if !self.questions.is_empty() {
            text::insert(&mut result, "inputRequests", &self.questions);
        }
        if let Some(state) = &self.state {
            text::insert(&mut result, "requestState", state);
        }
        result
    }
}

/// The answers of a round that is not complete yet.
#[derive(Debug)]
pub(crate) struct Gathering {
    /// Questions that the program has not answered.
    open: Vec<IncomingKey>,
    answers: BTreeMap<String, RawJson>,
    /// Echoed byte for byte (REQ-MRTR-06): the text of the JSON string, quotes included.
    state: Option<RawJson>,
}

impl Session {
    /// A request of ours was answered with questions: they go to the program, the request waits.
    pub(crate) fn start_round(
        &mut self,
        now: Instant,
        key: CallKey,
        result: &RawJson,
    ) -> Result<(), RequestError> {
        let invalid = |what| Err(PeerMisbehaved::InputRound(what).into());
        let limit = self.limits.rounds;
        let Some(call) = self.outgoing.get_mut(key) else {
            return Ok(());
        };
        if !takes_input(&call.method) {
            return invalid("the method takes no input");
        }
        call.round += 1;
        if call.round > limit {
            return Err(PeerMisbehaved::TooManyRounds(limit).into());
        }
        let [questions, state] = result.members(["inputRequests", "requestState"]);
        if questions.is_none() && state.is_none() {
            return invalid(EMPTY);
        }
        if state
            .as_ref()
            .is_some_and(|s| s.as_bytes().first() != Some(&b'"'))
        {
            return invalid("`requestState` is not a string");
        }
        self.gather(now, key, questions.as_ref(), state)
    }

    /// Asks the program what a call of ours needs answers to; it goes out with the last of them.
    pub(crate) fn gather(
        &mut self,
        now: Instant,
        key: CallKey,
        questions: Option<&RawJson>,
        state: Option<RawJson>,
    ) -> Result<(), RequestError> {
        let invalid = |what| Err(PeerMisbehaved::InputRound(what).into());
        let questions: BTreeMap<String, Question> = match questions.map(RawJson::decode) {
            None => BTreeMap::new(),
            Some(Ok(questions)) => questions,
            Some(Err(_)) => return invalid("`inputRequests` is no map of requests"),
        };
        if questions.len() > self.limits.round_inputs {
            return invalid("too many questions");
        }
        // Each is to the program what a request on the wire is, and bounded as those are.
        let weight = |(name, question): (&String, &Question)| {
            name.len() + question.method.len() + question.params.len()
        };
        // The state is kept for as long as one of them is open.
        let state_len = state.as_ref().map_or(0, RawJson::len);
        let bytes = state_len + questions.iter().map(weight).sum::<usize>();
        if let Some(question) = questions.values().next()
            && let Some(what) = self.lacks_room(questions.len(), bytes)
        {
            return Err(RequestError::InputFailed {
                method: question.method.clone(),
                error: ErrorObject::internal(what),
            });
        }
        let Some(client) = self.as_client() else {
            return invalid("only clients are asked in rounds");
        };
        for Question { method, params } in questions.values() {
            // REQ-MRTR-04: what was not declared is not asked for.
            if missing_capability(&client.config.capabilities, method, params).is_some() {
                return invalid("it asks for an undeclared capability");
            }
        }
        if !questions.values().all(Question::is_one) {
            return invalid(NO_QUESTION);
        }
        let caller = Arc::clone(&client.server);
        let open = questions
            .into_iter()
            .map(|(name, question)| {
                let bytes = weight((&name, &question));
                self.ask_program(key, name, question, bytes, &caller)
            })
            .collect::<Vec<_>>();
        let complete = open.is_empty();
        self.incoming.keep(state_len);
        let answers = BTreeMap::new();
        let state = state.map(|state| state.compact());
        self.outgoing.start_gathering(
            key,
            Gathering {
                open,
                answers,
                state,
            },
        );
        if complete {
            self.finish_round(now, key);
        }
        Ok(())
    }

    /// The program has answered a question; with the last one the request goes out again (REQ-MRTR-05).
    pub(crate) fn answer_question(
        &mut self,
        now: Instant,
        call: CallKey,
        question: IncomingKey,
        name: String,
        method: MethodName,
        outcome: Result<ObjectBuf, ErrorObject>,
    ) {
        let answer = match outcome {
            Ok(answer) => answer.finish(),
            // An elicitation can be cancelled on the wire; the other questions have no form for a failure (REQ-SAMP-09).
            Err(_) if method == "elicitation/create" => {
                text::raw(&serde_json::json!({ "action": "cancel" }))
            }
            Err(error) => {
                return self.end_call(call, Err(RequestError::InputFailed { method, error }));
            }
        };
        let Some(CallState::Gathering(gathering)) =
            self.outgoing.get_mut(call).map(|call| &mut call.state)
        else {
            return;
        };
        gathering.open.retain(|open| *open != question);
        gathering.answers.insert(name, answer);
        if gathering.open.is_empty() {
            self.finish_round(now, call);
        }
    }

    /// Sends the request again, with this round's answers only (REQ-MRTR-15).
    pub(crate) fn finish_round(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.outgoing.get_mut(key) else {
            return;
        };
        let CallState::Gathering(gathering) = &mut call.state else {
            return;
        };
        let answers = std::mem::take(&mut gathering.answers);
        let state = gathering.state.take();
        self.incoming.let_go(state.as_ref().map_or(0, RawJson::len));
        let Some(mut params) = call.params.take().and_then(ObjectBuf::from_raw) else {
            return;
        };
        // What of `_meta` is the engine's is replaced when the request goes out.
        for stale in ["inputResponses", "requestState"] {
            params.take(stale);
        }
        if !answers.is_empty() {
            text::insert(&mut params, "inputResponses", &answers);
        }
        if let Some(state) = state {
            params.insert_raw("requestState", &state);
        }
        self.retry_call(now, key, params);
    }

    /// Questions of a call that has ended have nobody to answer to, and their state nobody to go back to.
    pub(crate) fn drop_questions_of(&mut self, ended: &Call) {
        if let CallState::Gathering(gathering) = &ended.state {
            self.incoming
                .let_go(gathering.state.as_ref().map_or(0, RawJson::len));
            for question in &gathering.open {
                self.drop_question(*question);
            }
        }
    }
}
