//! Input rounds: how a handler's questions reach a modern client, and its answers the handler.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_peer::session::Retry;
use mcp_peer::types::{
    CreateMessageResult, ElicitResult, Era, ErrorObject, ListRootsResult, MethodName, Principal,
    RawJson,
};
use mcp_peer::{HandlerFuture, Question, Request, RequestContext};
use serde_json::Value;

use crate::park::Lot;
use crate::replay::{Recording, Replayer};

/// What becomes of a handler between two rounds.
#[derive(Debug)]
pub(crate) enum Between {
    /// It waits.
    Park(Arc<Lot>),
    /// It is dropped, and runs again from the top.
    Replay(Arc<Replayer>),
}

/// How a round begins.
pub(crate) enum Round {
    /// A handler goes on.
    Resumed(HandlerFuture),
    /// A handler is to be started.
    Start(Start),
}

/// What a handler that is started may ask, and what is answered already.
pub(crate) struct Start {
    bound: Bound,
    answers: Answers,
    /// What it asked in the rounds before.
    recording: Option<Recording>,
}

/// What the rounds of one request have in common, and what a state is good for therefore (REQ-MRTR-10).
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) method: MethodName,
    pub(crate) params: RawJson,
    pub(crate) principal: Option<Arc<Principal>>,
}

/// The answers of one round, by key.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<String, RawJson>);

impl Between {
    /// Looks at what a request brings from the round before.
    ///
    /// # Errors
    /// -32602 if its state is not one that it may bring (REQ-MRTR-09); nothing runs then.
    pub(crate) fn round(&self, request: &Request) -> Result<Round, ErrorObject> {
        let bound = Bound::of(request);
        let Some(Retry {
            state, responses, ..
        }) = &request.retry
        else {
            let (answers, recording) = (Answers::default(), None);
            return Ok(Round::Start(Start {
                bound,
                answers,
                recording,
            }));
        };
        let answers = Answers::of(responses);
        let recording = match (state, self) {
            // Whoever knows what will be asked may answer before.
            (None, _) => None,
            (Some(state), Self::Park(lot)) => {
                return lot
                    .resume(state, bound, &request.context, answers)
                    .map(Round::Resumed);
            }
            (Some(state), Self::Replay(replayer)) => Some(replayer.open(state, &bound)?),
        };
        Ok(Round::Start(Start {
            bound,
            answers,
            recording,
        }))
    }

    /// Lets a handler ask, in its request's era's way.
    pub(crate) fn serve(
        &self,
        context: &RequestContext,
        start: Start,
        handler: HandlerFuture,
    ) -> HandlerFuture {
        let Start {
            bound,
            answers,
            recording,
        } = start;
        match self {
            _ if context.era() == Era::Legacy => handler,
            Self::Park(lot) => lot.serve(context, bound, answers, handler),
            Self::Replay(replayer) => replayer.serve(context, bound, answers, recording, handler),
        }
    }
}

impl Bound {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            params: request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT),
            principal: request.context.extension(),
        }
    }

    /// What all rounds of a request have in common, as bytes: its method, its principal, and its parameters but for what
    /// changes from round to round, so that the order of members does not count.
    pub(crate) fn context(&self) -> Option<Vec<u8>> {
        let principal = self.principal.as_ref().map(|principal| principal.as_str());
        let mut params: serde_json::Map<String, Value> = self.params.decode().ok()?;
        for changing in ["_meta", "inputResponses", "requestState"] {
            params.remove(changing);
        }
        let mut params = Value::Object(params);
        params.sort_all_objects();
        serde_json::to_vec(&(1, self.method.as_str(), params, principal)).ok()
    }
}

impl Answers {
    fn of(responses: &RawJson) -> Self {
        // That it is an object, the engine has seen.
        Self(responses.decode().unwrap_or_default())
    }

    /// The answer to a question, if there is one, for good; something that cannot be one is none (REQ-MRTR-13).
    pub(crate) fn take(&mut self, key: &str, method: &str) -> Option<RawJson> {
        let answer = self.0.remove(key)?;
        let fits = match method {
            "elicitation/create" => answer.decode::<ElicitResult>().is_ok(),
            "sampling/createMessage" => answer.decode::<CreateMessageResult>().is_ok(),
            "roots/list" => answer.decode::<ListRootsResult>().is_ok(),
            _ => false,
        };
        fits.then_some(answer)
    }
}

impl From<BTreeMap<String, RawJson>> for Answers {
    fn from(answers: BTreeMap<String, RawJson>) -> Self {
        Self(answers)
    }
}

/// A key for a question: what its author calls it, or else its number; none that is taken.
pub(crate) fn key_of(question: &Question, number: usize, taken: impl Fn(&str) -> bool) -> String {
    let numbered = |number| match &question.key {
        Some(key) => format!("{key}-{number}"),
        None => format!("q{number}"),
    };
    let own = question.key.iter().map(ToString::to_string);
    let mut keys = own.chain((number..).map(numbered));
    // There are more numbers than questions.
    keys.find(|key| !taken(key)).unwrap_or_default()
}

/// 192 random bits.
pub(crate) fn random() -> Result<[u8; 24], getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// 192 random bits as text.
pub(crate) fn unguessable() -> Result<String, getrandom::Error> {
    Ok(random()?.iter().map(|b| format!("{b:02x}")).collect())
}
