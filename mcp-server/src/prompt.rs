//! Prompts: conversations that are prepared for the user to begin with.

use std::fmt;
use std::sync::Arc;

use mcp_peer::types::{
    ContentBlock, GetPromptResult, Icon, Meta, Prompt, PromptArgument, PromptMessage, RawJson,
};
use serde_json::Value;

use crate::complete::{Completer, Completers};
use crate::error::HandlerError;
use crate::form::{Primitive, primitive};
use crate::handler::{Handler, IntoOutput, kind};
use crate::validate::{TextRun, constrained};

/// A prompt: what the client sees of it, and what runs.
#[derive(Clone)]
pub struct PromptDef {
    pub(crate) prompt: Prompt,
    pub(crate) run: TextRun<kind::Prompt>,
    pub(crate) completers: Completers,
    schema: Value,
    /// Why the handler's argument cannot be a prompt's, if so.
    fault: Option<String>,
}

/// Makes a prompt of a function, async or not.
///
/// Its arguments are a struct that derives `Deserialize` and `JsonSchema`: of texts, and of what can be read from one, for
/// on the wire all arguments are texts. Doc comments describe the fields, and what may be left out is an `Option`. An
/// enumeration is completed from its variants. What the schema demands besides (a length, a pattern, one of these names) holds
/// when the function runs: what serde would take beyond it (`other`, `alias`) is refused, as for tools. What may be returned is in [`IntoPrompt`].
///
/// ```
/// use mcp_server::{JsonSchema, prompt, schemars};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Review {
///     /// The code to review
///     code: String,
///     /// What to look at first
///     focus: Option<String>,
/// }
///
/// fn review(args: Review) -> String {
///     format!("Review this, {} first:\n{}", args.focus.as_deref().unwrap_or("errors"), args.code)
/// }
///
/// let review = prompt("review", review)
///     .describe("Reviews code")
///     .complete_from("focus", ["errors", "speed", "style"]);
/// ```
pub fn prompt<M, H: Handler<kind::Prompt, M>>(name: impl Into<String>, handler: H) -> PromptDef {
    let mut def = PromptDef {
        prompt: Prompt::new(name),
        run: Arc::new(move |cx, arguments| handler.start(cx, arguments)),
        completers: Completers::default(),
        schema: H::input_schema(),
        fault: None,
    };
    match arguments(&def.schema) {
        Ok(arguments) => {
            for (argument, values) in arguments {
                if !values.is_empty() {
                    def = def.complete_from(argument.name.clone(), values);
                }
                def.prompt = def.prompt.argument(argument);
            }
        }
        Err(fault) => def.fault = Some(fault),
    }
    def
}

/// The arguments that a schema describes, each with the values it may have if they are few.
fn arguments(schema: &Value) -> Result<Vec<(PromptArgument, Vec<String>)>, String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|r| r.iter().any(|field| field == name));
    let argument = |(name, schema): (&String, &Value)| {
        let values = match primitive(schema) {
            Some(Primitive::One(values)) => values,
            Some(Primitive::Text | Primitive::Number | Primitive::Boolean) => Vec::new(),
            Some(Primitive::Several(_)) | None => {
                return Err(format!("its argument `{name}` cannot be read from a text"));
            }
        };
        let mut argument = PromptArgument::new(name);
        let text = |key| schema.get(key).and_then(Value::as_str).map(str::to_owned);
        argument.title = text("title");
        argument.description = text("description");
        argument.required = is_required(name);
        Ok((argument, values.into_iter().map(|(v, _)| v).collect()))
    };
    properties.iter().map(argument).collect()
}

impl PromptDef {
    /// Says what the prompt is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.prompt.description = Some(description.into());
        self
    }

    /// Gives the prompt a name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.prompt.title = Some(title.into());
        self
    }

    /// Gives icons to choose from.
    #[must_use]
    pub fn icons(mut self, icons: impl Into<Vec<Icon>>) -> Self {
        self.prompt.icons = Some(icons.into());
        self
    }

    /// Sets the prompt's `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: Meta) -> Self {
        self.prompt.meta = Some(meta);
        self
    }

    /// Completes an argument by a function, async or not, of what is typed: a `String`, or [`Typed`](crate::Typed).
    ///
    /// What it may return is in [`IntoCompletion`](crate::IntoCompletion).
    #[must_use]
    pub fn complete<M, H: Handler<kind::Completion, M>>(
        mut self,
        argument: impl Into<String>,
        handler: H,
    ) -> Self {
        self.completers
            .add(argument.into(), Completer::new(handler));
        self
    }

    /// Completes an argument from these values: those that begin with what is typed.
    #[must_use]
    pub fn complete_from<V: Into<String>>(
        mut self,
        argument: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.completers
            .add(argument.into(), Completer::from_values(values));
        self
    }

    /// What the client sees of it.
    pub fn definition(&self) -> &Prompt {
        &self.prompt
    }

    pub(crate) fn offer(mut self) -> Result<Self, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.run = constrained::<kind::Prompt>(self.run, &self.schema)?;
        let arguments = self.prompt.arguments.iter().flatten();
        let arguments: Vec<&str> = arguments.map(|a| a.name.as_str()).collect();
        self.completers.check(&arguments)?;
        Ok(self)
    }
}

impl fmt::Debug for PromptDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PromptDef").field(&self.prompt).finish()
    }
}

/// Something that a prompt's handler may return: messages, or what is one message of the user's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a prompt",
    note = "return a text, a block of content, a `PromptMessage` or several, a `GetPromptResult`, or a `Result` of one of these"
)]
pub trait IntoPrompt {
    /// The result.
    ///
    /// # Errors
    /// What the handler said.
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError>;
}

impl<T: IntoPrompt + Send + 'static> IntoOutput<kind::Prompt> for T {
    fn schema() -> Option<RawJson> {
        None
    }

    fn into_output(self) -> Result<GetPromptResult, HandlerError> {
        self.into_prompt()
    }
}

impl IntoPrompt for GetPromptResult {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        Ok(self)
    }
}

impl IntoPrompt for Vec<PromptMessage> {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        Ok(GetPromptResult::new(self))
    }
}

impl<const N: usize> IntoPrompt for [PromptMessage; N] {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        Ok(GetPromptResult::new(self))
    }
}

impl IntoPrompt for PromptMessage {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        [self].into_prompt()
    }
}

impl IntoPrompt for ContentBlock {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        PromptMessage::user(self).into_prompt()
    }
}

impl IntoPrompt for String {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        ContentBlock::text(self).into_prompt()
    }
}

impl IntoPrompt for &str {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        ContentBlock::text(self).into_prompt()
    }
}

impl<T: IntoPrompt, E: Into<HandlerError>> IntoPrompt for Result<T, E> {
    fn into_prompt(self) -> Result<GetPromptResult, HandlerError> {
        self.map_err(Into::into)?.into_prompt()
    }
}
