//! What a tool's handler may return.

use std::error::Error;
use std::fmt;

use mcp_peer::session::{ApiMisuse, RequestError};
use mcp_peer::types::{CallToolResult, ContentBlock, Era, ErrorCode, ErrorObject, RawJson};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::tool::schema_of;

/// A structured result: `structuredContent` by its type's schema, and the same as text for clients that know no better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

/// Something that a tool's handler may return.
pub trait IntoToolResult {
    /// The JSON Schema of `structuredContent`, if there is one.
    fn output_schema() -> Option<RawJson> {
        None
    }

    /// The result.
    ///
    /// # Errors
    /// What the handler said, or that its result does not serialise.
    fn into_tool_result(self) -> Result<CallToolResult, ToolError>;
}

impl IntoToolResult for CallToolResult {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(self)
    }
}

impl IntoToolResult for () {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(CallToolResult::new())
    }
}

impl IntoToolResult for String {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(CallToolResult::text(self))
    }
}

impl IntoToolResult for &str {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(CallToolResult::text(self))
    }
}

impl IntoToolResult for ContentBlock {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(CallToolResult::new().block(self))
    }
}

impl IntoToolResult for Vec<ContentBlock> {
    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        Ok(CallToolResult::new().content(self))
    }
}

impl<T: Serialize + JsonSchema> IntoToolResult for Json<T> {
    fn output_schema() -> Option<RawJson> {
        Some(schema_of::<T>())
    }

    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        let value = RawJson::encode(&self.0).map_err(ToolError::from)?;
        // The text is for clients from before structured results, and for models (REQ-TOOL-06).
        let mut result = CallToolResult::text(value.as_str());
        result.structured_content = Some(value);
        Ok(result)
    }
}

impl<T: IntoToolResult, E: Into<ToolError>> IntoToolResult for Result<T, E> {
    fn output_schema() -> Option<RawJson> {
        T::output_schema()
    }

    fn into_tool_result(self) -> Result<CallToolResult, ToolError> {
        self.map_err(Into::into)?.into_tool_result()
    }
}

/// Why a tool failed.
///
/// [`ToolError::new`] has a text for the model to read. Any other error becomes one by `?`, and its text stays on this side:
/// it is logged, and the client learns only that the tool failed. What a client's refusal or lack of a capability
/// did to a question of the handler's is told as what it is.
pub struct ToolError {
    kind: Kind,
}

enum Kind {
    Visible(String),
    Private(Box<dyn Error + Send + Sync>),
    Protocol(ErrorObject),
}

impl ToolError {
    /// A failure whose text the client and its model may read.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Visible(text.into()),
        }
    }

    /// A failure that is answered with a JSON-RPC error instead of a result.
    pub fn protocol(error: ErrorObject) -> Self {
        Self {
            kind: Kind::Protocol(error),
        }
    }

    /// What the client gets: a result that says `isError`, or an error.
    pub(crate) fn answer(self, tool: &str, era: Era) -> Result<CallToolResult, ErrorObject> {
        match self.kind {
            Kind::Visible(text) => Ok(CallToolResult::error(text)),
            Kind::Protocol(error) => Err(error),
            Kind::Private(error) => match error.downcast_ref::<RequestError>() {
                Some(RequestError::Misuse(
                    missing @ ApiMisuse::MissingCapability { capability, .. },
                )) if era == Era::Modern => Err(missing_capability(missing, capability)),
                Some(
                    error @ (RequestError::Misuse(_)
                    | RequestError::Refused(_)
                    | RequestError::TimedOut(_)),
                ) => Ok(CallToolResult::error(format!(
                    "The client did not answer: {error}"
                ))),
                _ => {
                    tracing::error!(tool, error = &*error as &dyn Error, "tool failed");
                    Ok(CallToolResult::error("The tool failed."))
                }
            },
        }
    }
}

/// -32021 with the capabilities that are missing, as an object (TRAP-18).
fn missing_capability(missing: &ApiMisuse, capability: &str) -> ErrorObject {
    let required = capability
        .rsplit('.')
        .fold(json!({}), |inner, name| json!({ name: inner }));
    ErrorObject::new(ErrorCode::MISSING_CLIENT_CAPABILITY, missing.to_string())
        .with_data(&json!({ "requiredCapabilities": required }))
}

// `ToolError` is no `Error` itself, which leaves room for this.
impl<E: Error + Send + Sync + 'static> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self {
            kind: Kind::Private(Box::new(error)),
        }
    }
}

impl fmt::Debug for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Visible(text) => f.debug_tuple("ToolError").field(text).finish(),
            Kind::Private(error) => f.debug_tuple("ToolError").field(error).finish(),
            Kind::Protocol(error) => f.debug_tuple("ToolError").field(error).finish(),
        }
    }
}
