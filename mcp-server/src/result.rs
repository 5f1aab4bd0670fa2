//! What a tool's handler may return.

use mcp_peer::types::{
    AudioContent, CallToolResult, ContentBlock, EmbeddedResource, ImageContent, RawJson, Resource,
    ResourceContents,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::HandlerError;
use crate::handler::{IntoOutput, kind};
use crate::schema::schema_of;

/// A structured result: `structuredContent` by its type's schema, and the same as text for clients that know no better.
///
/// As the contents of a resource it is a text of the media type `application/json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

/// Something that a tool's handler may return: texts, numbers and truth values as text, blocks of content, [`Json`],
/// [`CallToolResult`], or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a tool",
    note = "return a text, a number, a block of content or several, `Json(..)`, a `CallToolResult`, `()`, or a `Result` of one of these"
)]
pub trait IntoToolResult {
    /// The JSON Schema of `structuredContent`, if there is one.
    fn output_schema() -> Option<RawJson> {
        None
    }

    /// The result.
    ///
    /// # Errors
    /// What the handler said, or that its result does not serialise.
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError>;
}

impl<T: IntoToolResult + Send + 'static> IntoOutput<kind::Tool> for T {
    fn schema() -> Option<RawJson> {
        T::output_schema()
    }

    fn into_output(self) -> Result<CallToolResult, HandlerError> {
        self.into_tool_result()
    }
}

impl IntoToolResult for CallToolResult {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(self)
    }
}

impl IntoToolResult for () {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(CallToolResult::new())
    }
}

impl IntoToolResult for String {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(CallToolResult::text(self))
    }
}

impl IntoToolResult for &str {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(CallToolResult::text(self))
    }
}

macro_rules! texts {
    ($($value:ty)*) => {
        $(impl IntoToolResult for $value {
            fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
                Ok(CallToolResult::text(self.to_string()))
            }
        })*
    };
}

texts! { bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 }

/// An embedded resource.
impl IntoToolResult for ResourceContents {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        EmbeddedResource::new(self).into_tool_result()
    }
}

macro_rules! blocks {
    ($($block:ty)*) => {
        $(impl IntoToolResult for $block {
            fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
                Ok(CallToolResult::new().block(self))
            }
        })*
    };
}

// A `Resource` is a link.
blocks! { ContentBlock ImageContent AudioContent EmbeddedResource Resource }

impl IntoToolResult for Vec<ContentBlock> {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(CallToolResult::new().content(self))
    }
}

impl<const N: usize> IntoToolResult for [ContentBlock; N] {
    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        Ok(CallToolResult::new().content(self))
    }
}

impl<T: Serialize + JsonSchema> IntoToolResult for Json<T> {
    fn output_schema() -> Option<RawJson> {
        Some(schema_of::<T>().into())
    }

    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        let value = RawJson::encode(&self.0)?;
        // The text is for clients from before structured results, and for models (REQ-TOOL-06).
        let mut result = CallToolResult::text(value.as_str());
        result.structured_content = Some(value);
        Ok(result)
    }
}

impl<T: IntoToolResult, E: Into<HandlerError>> IntoToolResult for Result<T, E> {
    fn output_schema() -> Option<RawJson> {
        T::output_schema()
    }

    fn into_tool_result(self) -> Result<CallToolResult, HandlerError> {
        self.map_err(Into::into)?.into_tool_result()
    }
}
