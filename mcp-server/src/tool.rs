//! Tools: plain functions with a name and a schema.

use std::fmt;
use std::sync::{Arc, OnceLock};

use mcp_peer::types::{
    CallToolResult, Icon, Meta, RawJson, TaskSupport, Tool, ToolAnnotations, ToolExecution,
};

use crate::context::Cx;
use crate::handler::{Handler, Running, kind};
use crate::validate::{Check, says_more_than_its_type};

/// A tool: what the client sees of it, and what runs.
#[derive(Clone)]
pub struct ToolDef {
    pub(crate) tool: Tool,
    pub(crate) run: Run,
    input: Input,
    /// Whether the output schema is that of the handler's own type.
    output_derived: bool,
    /// Whether the handler says when a call becomes a task.
    asks: bool,
}

type Run = Arc<dyn Fn(Cx, RawJson) -> Running<CallToolResult> + Send + Sync>;

/// What has to be seen to before a tool runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Nothing that decoding does not see to.
    Decoded,
    /// The schema has constraints.
    Constrained,
}

/// Makes a tool of a function, async or not.
///
/// It starts in the connection's own task: what computes for long holds up the connection, and belongs in
/// `tokio::task::spawn_blocking`, or the server's [`Options::dispatch`](crate::Options::dispatch) is
/// [`Dispatch::Spawn`](crate::Dispatch::Spawn).
///
/// The function takes a [`Cx`], its arguments, both in this order, or nothing; [`with`](crate::with) puts state before
/// them. The arguments are a struct that derives `Deserialize` and `JsonSchema`; its doc comments describe the fields, and
/// what its schema demands besides (a minimum, a pattern) holds when the function runs. (What `JsonSchema` derives needs
/// `schemars` in scope: this crate's own will do.) What may be returned is in [`IntoToolResult`](crate::IntoToolResult).
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
pub fn tool<M, H: Handler<kind::Tool, M>>(name: impl Into<String>, handler: H) -> ToolDef {
    let schema = H::input_schema();
    let input = if says_more_than_its_type(&schema) {
        Input::Constrained
    } else {
        Input::Decoded
    };
    let mut tool = Tool::new(name, schema);
    tool.output_schema = H::output_schema();
    ToolDef {
        tool,
        run: Arc::new(move |cx, arguments| handler.start(cx, arguments)),
        input,
        output_derived: true,
        asks: false,
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

    /// Gives icons to choose from.
    #[must_use]
    pub fn icons(mut self, icons: impl Into<Vec<Icon>>) -> Self {
        self.tool.icons = Some(icons.into());
        self
    }

    /// Sets the tool's `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: Meta) -> Self {
        self.tool.meta = Some(meta);
        self
    }

    /// Lets calls become tasks, whose result the client fetches later, if the client knows how to.
    ///
    /// A 2025-11-25 client says for which call; a modern one declares the extension, and then each call becomes one that is
    /// not done at once. With [`TaskSupport::Required`] other clients are refused. A task outlives its connection; it can
    /// ask, but not log, and its progress is told to a 2025-11-25 client alone, as long as that is connected.
    ///
    /// ```
    /// use mcp_server::{Server, TaskSupport, tool};
    ///
    /// async fn build() -> &'static str {
    ///     tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    ///     "built"
    /// }
    ///
    /// let server = Server::new("builder", "1.0.0").tool(tool("build", build).task(TaskSupport::Optional));
    /// ```
    #[must_use]
    pub fn task(mut self, support: TaskSupport) -> Self {
        let supported = support != TaskSupport::Forbidden;
        self.tool.execution = supported.then(|| ToolExecution::new().task_support(support));
        self
    }

    /// Lets the handler say, by [`Cx::become_task`], when a modern client's call becomes a task, after it has asked, say.
    #[must_use]
    pub fn task_when_asked(mut self, support: TaskSupport) -> Self {
        self.asks = true;
        self.task(support)
    }

    /// Whether calls may become tasks, and whether the handler says when.
    pub(crate) fn task_support(&self) -> Option<(&TaskSupport, bool)> {
        let support = self.tool.execution.as_ref()?.task_support.as_ref()?;
        Some((support, self.asks))
    }

    /// Replaces the JSON Schema of the arguments, for a function that takes `serde_json::Value`, say.
    ///
    /// Every keyword reaches the client; the arguments are valid by it when the function runs.
    #[must_use]
    pub fn input_schema(mut self, schema: impl Into<RawJson>) -> Self {
        self.tool.input_schema = schema.into();
        self.input = Input::Constrained;
        self
    }

    /// Sets the JSON Schema of the structured result, where the return type does not say it.
    #[must_use]
    pub fn output_schema(mut self, schema: impl Into<RawJson>) -> Self {
        self.tool.output_schema = Some(schema.into());
        self.output_derived = false;
        self
    }

    /// What the client sees of it.
    pub fn definition(&self) -> &Tool {
        &self.tool
    }

    /// Compiles what there is to check.
    pub(crate) fn offer(self) -> Result<OfferedTool, String> {
        let schema = &self.tool.input_schema;
        let root = schema.member("type");
        if root.is_none_or(|root| root.as_str() != "\"object\"") {
            return Err("its input schema does not say `\"type\": \"object\"`".to_owned());
        }
        let input = match self.input {
            Input::Decoded => None,
            Input::Constrained => {
                Some(Check::compile(schema).map_err(|e| format!("its input schema: {e}"))?)
            }
        };
        let output = OnceLock::new();
        if let Some(schema) = &self.tool.output_schema
            && !self.output_derived
        {
            let check = Check::compile(schema).map_err(|e| format!("its output schema: {e}"))?;
            output.get_or_init(|| Ok(check));
        }
        Ok(OfferedTool {
            def: self,
            input,
            output,
        })
    }
}

impl fmt::Debug for ToolDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolDef").field(&self.tool).finish()
    }
}

/// A tool that is ready to be called.
#[derive(Debug)]
pub(crate) struct OfferedTool {
    pub(crate) def: ToolDef,
    input: Option<Check>,
    /// Of a type's own schema, made with the first result: the first check that is made takes several megabytes of code and tables
    /// into memory, and a millisecond.
    output: OnceLock<Result<Check, String>>,
}

impl OfferedTool {
    /// What is wrong with the arguments that decoding would not notice.
    pub(crate) fn input_faults(&self, arguments: &RawJson) -> Option<String> {
        self.input.as_ref()?.faults(arguments)
    }

    /// What is wrong with a result (REQ-TOOL-05); one that says `isError` needs none (REQ-TOOL-15).
    pub(crate) fn output_faults(&self, result: &CallToolResult) -> Option<String> {
        let schema = self.def.tool.output_schema.as_ref()?;
        match &result.structured_content {
            _ if result.is_error => None,
            Some(value) => match self.output.get_or_init(|| Check::compile(schema)) {
                Ok(check) => check.faults(value),
                Err(error) => Some(format!("The schema of its results is none: {error}")),
            },
            None => Some("`structuredContent` is missing.".to_owned()),
        }
    }
}
