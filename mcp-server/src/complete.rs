//! Completion: what an argument of a prompt or a variable of a template may go on with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mcp_peer::types::{CompleteResult, Completion, RawJson};
use serde_json::Value;

use crate::context::Cx;
use crate::error::HandlerError;
use crate::handler::{FromInput, Handler, IntoOutput, Kind, Running, kind};

/// What is typed of an argument, and what is known besides.
///
/// A handler that needs only what is typed takes a `String`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Typed {
    /// What is typed.
    pub value: String,
    /// The arguments that are filled in already; none from clients from before 2025-06-18.
    pub others: BTreeMap<String, String>,
}

impl Kind for kind::Completion {
    type Input = Typed;
    type Output = CompleteResult;
}

impl FromInput<kind::Completion> for Typed {
    fn schema() -> Value {
        Value::Null
    }

    fn from_input(typed: Typed) -> Result<Self, HandlerError> {
        Ok(typed)
    }
}

impl FromInput<kind::Completion> for String {
    fn schema() -> Value {
        Value::Null
    }

    fn from_input(typed: Typed) -> Result<Self, HandlerError> {
        Ok(typed.value)
    }
}

/// Something that a completion's handler may return: values, the best first, or a [`Completion`].
///
/// Of more than 100 values the first 100 are sent, with the number of all (REQ-CMP-01).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a completion",
    note = "return a `Vec` of texts, a `Completion`, or a `Result` of one of these"
)]
pub trait IntoCompletion {
    /// The result.
    ///
    /// # Errors
    /// What the handler said.
    fn into_completion(self) -> Result<Completion, HandlerError>;
}

impl<T: IntoCompletion + Send + 'static> IntoOutput<kind::Completion> for T {
    fn schema() -> Option<RawJson> {
        None
    }

    fn into_output(self) -> Result<CompleteResult, HandlerError> {
        let mut completion = self.into_completion()?;
        if completion.values.len() > Completion::MAX_VALUES {
            completion
                .total
                .get_or_insert(completion.values.len() as u64);
            completion.has_more = Some(true);
            completion.values.truncate(Completion::MAX_VALUES);
        }
        Ok(completion.into())
    }
}

impl IntoCompletion for Completion {
    fn into_completion(self) -> Result<Completion, HandlerError> {
        Ok(self)
    }
}

impl<V: Into<String>> IntoCompletion for Vec<V> {
    fn into_completion(self) -> Result<Completion, HandlerError> {
        Ok(Completion::new(self))
    }
}

impl<T: IntoCompletion, E: Into<HandlerError>> IntoCompletion for Result<T, E> {
    fn into_completion(self) -> Result<Completion, HandlerError> {
        self.map_err(Into::into)?.into_completion()
    }
}

/// The values that begin with what is typed, whatever the case of ASCII letters.
fn starting_with(typed: &str, values: &[String]) -> Completion {
    let begins = |value: &&String| {
        let start = value.as_bytes().get(..typed.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(typed.as_bytes()))
    };
    Completion::new(values.iter().filter(begins).cloned())
}

/// What completes one argument.
#[derive(Clone)]
pub(crate) struct Completer(Run);

type Run = Arc<dyn Fn(Cx, Typed) -> Running<CompleteResult> + Send + Sync>;

impl Completer {
    pub(crate) fn new<M, H: Handler<kind::Completion, M>>(handler: H) -> Self {
        Self(Arc::new(move |cx, typed| handler.start(cx, typed)))
    }

    pub(crate) fn from_values<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Self {
        let values: Box<[String]> = values.into_iter().map(Into::into).collect();
        Self::new(move |typed: String| starting_with(&typed, &values))
    }

    pub(crate) fn start(&self, cx: Cx, typed: Typed) -> Running<CompleteResult> {
        (self.0)(cx, typed)
    }
}

/// The completers of a prompt or a template, by argument.
#[derive(Clone, Default)]
pub(crate) struct Completers(BTreeMap<String, Completer>);

impl Completers {
    pub(crate) fn add(&mut self, argument: String, completer: Completer) {
        self.0.insert(argument, completer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, argument: &str) -> Option<&Completer> {
        self.0.get(argument)
    }

    /// That each is for an argument that there is.
    pub(crate) fn check(&self, arguments: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| !arguments.contains(&&***name)) {
            Some(name) => Err(format!("it completes `{name}`, which it does not have")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Completers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
