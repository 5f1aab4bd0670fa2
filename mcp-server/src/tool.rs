//! Tools: plain functions with a name and a schema.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mcp_peer::types::{CallToolResult, RawJson, Tool, ToolAnnotations};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

use crate::context::Cx;
use crate::result::{IntoToolResult, ToolError};

/// A tool: what the client sees of it, and what runs.
#[derive(Clone)]
pub struct ToolDef {
    pub(crate) tool: Tool,
    pub(crate) run: Run,
}

/// A tool's call at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send>>;
pub(crate) type Run = Arc<dyn Fn(Cx, RawJson) -> Running + Send + Sync>;

/// Makes a tool of an async function.
///
/// The function takes a [`Cx`], its arguments, both in this order, or nothing. The arguments are a struct that derives
/// `Deserialize` and `JsonSchema`; its doc comments describe the fields. (What the latter derives needs `schemars` in scope: this
/// crate's own will do.) What may be returned is in [`IntoToolResult`].
///
/// ```
/// use mcp_server::{Cx, Json, JsonSchema, ToolError, schemars, tool};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Sum {
///     /// What to add up
///     numbers: Vec<i64>,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Total { sum: i64 }
///
/// async fn sum(cx: Cx, args: Sum) -> Result<Json<Total>, ToolError> {
///     cx.log().debug("adding").await;
///     let sum = args.numbers.iter().try_fold(0i64, |a, b| a.checked_add(*b));
///     Ok(Json(Total { sum: sum.ok_or_else(|| ToolError::new("too large"))? }))
/// }
///
/// let sum = tool("sum", sum).describe("Adds numbers");
/// ```
pub fn tool<M, H: ToolHandler<M>>(name: impl Into<String>, handler: H) -> ToolDef {
    let mut tool = Tool::new(name, H::input_schema());
    tool.output_schema = H::output_schema();
    let handler = Arc::new(handler);
    ToolDef {
        tool,
        run: Arc::new(move |cx, arguments| handler.call(cx, arguments)),
    }
}

impl ToolDef {
    /// Says what the tool does, for a model to read.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.tool.description = Some(description.into());
        self
    }

    /// Gives the tool a name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.tool.title = Some(title.into());
        self
    }

    /// Hints at what the tool does to the world.
    #[must_use]
    pub fn annotations(mut self, annotations: ToolAnnotations) -> Self {
        self.tool.annotations = Some(annotations);
        self
    }

    /// What the client sees of it.
    pub fn definition(&self) -> &Tool {
        &self.tool
    }
}

impl fmt::Debug for ToolDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolDef").field(&self.tool).finish()
    }
}

/// A function that can be a tool; `M` is which of its parameters it has, and never written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a tool",
    note = "a tool is an async function of a `Cx`, of arguments that derive `Deserialize` and `JsonSchema`, of both in this order, or of nothing; it returns something that is `IntoToolResult`, or a `Result` of that and an error",
    note = "its future must be `Send`: nothing that is not `Send` may live across an `.await`"
)]
pub trait ToolHandler<M>: Send + Sync + 'static {
    /// The JSON Schema of the arguments.
    fn input_schema() -> RawJson;
    /// The JSON Schema of the structured result, if there is one.
    fn output_schema() -> Option<RawJson>;
    /// Starts a call; `arguments` is an object.
    fn call(
        &self,
        cx: Cx,
        arguments: RawJson,
    ) -> Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send>>;
}

/// Marks a handler that takes arguments of type `A`.
#[derive(Debug)]
pub struct Args<A>(std::marker::PhantomData<A>);

impl<F, Fut, A> ToolHandler<(Cx, Args<A>)> for F
where
    F: Fn(Cx, A) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoToolResult,
    A: DeserializeOwned + JsonSchema + Send + 'static,
{
    fn input_schema() -> RawJson {
        arguments_schema::<A>()
    }

    fn output_schema() -> Option<RawJson> {
        Fut::Output::output_schema()
    }

    fn call(&self, cx: Cx, arguments: RawJson) -> Running {
        run(decode(&arguments).map(|arguments| self(cx, arguments)))
    }
}

impl<F, Fut, A> ToolHandler<(Args<A>,)> for F
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoToolResult,
    A: DeserializeOwned + JsonSchema + Send + 'static,
{
    fn input_schema() -> RawJson {
        arguments_schema::<A>()
    }

    fn output_schema() -> Option<RawJson> {
        Fut::Output::output_schema()
    }

    fn call(&self, _cx: Cx, arguments: RawJson) -> Running {
        run(decode(&arguments).map(self))
    }
}

impl<F, Fut> ToolHandler<(Cx,)> for F
where
    F: Fn(Cx) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoToolResult,
{
    fn input_schema() -> RawJson {
        no_arguments()
    }

    fn output_schema() -> Option<RawJson> {
        Fut::Output::output_schema()
    }

    fn call(&self, cx: Cx, _arguments: RawJson) -> Running {
        run(Ok(self(cx)))
    }
}

impl<F, Fut> ToolHandler<()> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoToolResult,
{
    fn input_schema() -> RawJson {
        no_arguments()
    }

    fn output_schema() -> Option<RawJson> {
        Fut::Output::output_schema()
    }

    fn call(&self, _cx: Cx, _arguments: RawJson) -> Running {
        run(Ok(self()))
    }
}

fn run<Fut>(started: Result<Fut, ToolError>) -> Running
where
    Fut: Future + Send + 'static,
    Fut::Output: IntoToolResult,
{
    match started {
        Ok(future) => Box::pin(async move { future.await.into_tool_result() }),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}

/// Decodes arguments; what is wrong with them is for the model to read, and names the field (X2, SEP-1303).
fn decode<A: DeserializeOwned>(arguments: &RawJson) -> Result<A, ToolError> {
    arguments.decode().map_err(|_| {
        let mut text = serde_json::Deserializer::from_slice(arguments.as_bytes());
        let error = match serde_path_to_error::deserialize::<_, A>(&mut text) {
            Ok(_) => return ToolError::new("Invalid arguments."),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let what = error.into_inner().to_string();
        // The position is that in a text which the model does not see.
        let what = what.split(" at line ").next().unwrap_or_default();
        ToolError::new(match path.as_str() {
            "." => format!("Invalid arguments: {what}."),
            path => format!("Invalid argument `{path}`: {what}."),
        })
    })
}

/// The JSON Schema (2020-12) of a type.
pub(crate) fn schema_of<T: JsonSchema>() -> RawJson {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    RawJson::from(schema.to_value())
}

/// The schema of arguments, which says `"type": "object"` whatever the type does (REQ-TOOL-12).
fn arguments_schema<A: JsonSchema>() -> RawJson {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<A>();
    schema.insert("type".to_owned(), "object".into());
    RawJson::from(schema.to_value())
}

fn no_arguments() -> RawJson {
    RawJson::from(serde_json::json!({ "type": "object", "additionalProperties": false }))
}
