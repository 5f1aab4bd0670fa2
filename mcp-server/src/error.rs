//! Why a handler failed, and how that is told.

use std::error::Error;
use std::fmt;

use mcp_peer::session::{ApiMisuse, NotSent, RequestError};
use mcp_peer::types::{CallToolResult, Era, ErrorCode, ErrorObject, ProtocolVersion};
use serde_json::json;

use crate::room::{NotJoined, NotPublished};

/// Why a handler failed.
///
/// [`HandlerError::new`] and [`shown`](HandlerError::shown) have a text for the model to read. Any other error becomes one by
/// `?`, and its text stays on this side: it is logged by `tracing`, and the client learns only that the handler failed. Errors of
/// this crate (a refused or unanswered question, a missing capability, `NotSent`, `NotJoined`, `NotPublished` but for a
/// backplane's) are told to the client in full.
///
/// A tool's failure is a result that says `isError`; those of resources, prompts and completions are JSON-RPC errors.
pub struct HandlerError {
    kind: Fault,
}

/// What the handler of a tool fails with.
pub type ToolError = HandlerError;

enum Fault {
    Visible(String),
    Invalid(String),
    NotFound,
    Private(Box<dyn Error + Send + Sync>),
    Protocol(ErrorObject),
}

impl HandlerError {
    /// A failure whose text the client and its model may read.
    pub fn new(text: impl Into<String>) -> Self {
        Fault::Visible(text.into()).into()
    }

    /// A failure with the text of another error, which the client and its model may read.
    ///
    /// ```
    /// # use mcp_server::ToolError;
    /// fn number(text: &str) -> Result<i64, ToolError> {
    ///     text.parse().map_err(ToolError::shown)
    /// }
    /// ```
    pub fn shown(error: impl fmt::Display) -> Self {
        Self::new(error.to_string())
    }

    /// A failure whose text stays on this side, as that of an error that becomes one by `?`; for what is no
    /// [`Error`] itself, as `anyhow::Error` and boxed errors are.
    pub fn hidden(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Fault::Private(error.into()).into()
    }

    /// An argument that cannot be; the text says which and why. Outside of tools -32602.
    pub fn invalid(text: impl Into<String>) -> Self {
        Fault::Invalid(text.into()).into()
    }

    /// There is no such resource: -32002 to a legacy client, -32602 to a modern one, with its URI (REQ-RES-01).
    pub fn not_found() -> Self {
        Fault::NotFound.into()
    }

    /// A failure that is answered with this JSON-RPC error.
    pub fn protocol(error: ErrorObject) -> Self {
        Fault::Protocol(error).into()
    }
}

impl From<Fault> for HandlerError {
    fn from(kind: Fault) -> Self {
        Self { kind }
    }
}

// `HandlerError` is no `Error` itself, which leaves room for this.
impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Fault::Private(Box::new(error)).into()
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_tuple("HandlerError");
        match &self.kind {
            Fault::Visible(text) | Fault::Invalid(text) => f.field(text),
            Fault::NotFound => f.field(&"not found"),
            Fault::Private(error) => f.field(error),
            Fault::Protocol(error) => f.field(error),
        };
        f.finish()
    }
}

/// What failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failed<'a> {
    Tool(&'a str),
    /// By its URI.
    Resource(&'a str),
    Prompt(&'a str),
    /// By the argument.
    Completion(&'a str),
}

/// What a tool's caller gets for a failure: a result that says `isError`, or an error (inventory 3.10).
pub(crate) fn tool_failed(
    error: HandlerError,
    name: &str,
    version: ProtocolVersion,
) -> Result<CallToolResult, ErrorObject> {
    told(error, Failed::Tool(name), version).map(|(_, text)| CallToolResult::error(text))
}

/// What the caller of anything else gets for a failure.
pub(crate) fn failed(
    error: HandlerError,
    failed: Failed<'_>,
    version: ProtocolVersion,
) -> ErrorObject {
    let (code, text) = match told(error, failed, version) {
        Ok(said) => said,
        Err(error) => return error,
    };
    let error = ErrorObject::new(code, text);
    match failed {
        Failed::Resource(uri) => error.with_data(&json!({ "uri": uri })),
        _ => error,
    }
}

/// What is said of a failure, with the code that it has outside of tools, or the error that it is in any case; a code that the
/// caller's revision must not see is changed where the answer leaves.
fn told(
    error: HandlerError,
    failed: Failed<'_>,
    version: ProtocolVersion,
) -> Result<(ErrorCode, String), ErrorObject> {
    let modern = version.era() == Era::Modern;
    let internal = |text| Ok((ErrorCode::INTERNAL_ERROR, text));
    let invalid = |text| Ok((ErrorCode::INVALID_PARAMS, text));
    match error.kind {
        Fault::Visible(text) => internal(text),
        Fault::Invalid(text) => invalid(text),
        Fault::NotFound => match failed {
            Failed::Resource(uri) => Err(resource_not_found(uri, version)),
            _ => invalid("not found".to_owned()),
        },
        Fault::Protocol(error) => Err(error),
        Fault::Private(error) => match error.downcast_ref::<RequestError>() {
            Some(RequestError::Misuse(ApiMisuse::MissingCapability { capability, .. }))
                if modern =>
            {
                Err(missing_capability(capability))
            }
            Some(RequestError::Misuse(misuse)) => {
                let text = format!("The client cannot be asked: {misuse}");
                match misuse {
                    ApiMisuse::MissingCapability { .. } => invalid(text),
                    _ => internal(text),
                }
            }
            Some(error @ (RequestError::Refused(_) | RequestError::TimedOut(_))) => {
                internal(format!("The client did not answer: {error}"))
            }
            _ if let Some(text) = own(&*error) => internal(text),
            _ => {
                let (kind, name) = failed.name();
                tracing::error!(kind, name, error = &*error as &dyn Error, "handler failed");
                let text = match failed {
                    Failed::Tool(_) => "The tool failed.",
                    Failed::Resource(_) => "the resource cannot be read",
                    Failed::Prompt(_) => "the prompt failed",
                    Failed::Completion(_) => "the completion failed",
                };
                internal(text.to_owned())
            }
        },
    }
}

impl Failed<'_> {
    fn name(&self) -> (&'static str, &str) {
        match self {
            Self::Tool(name) => ("tool", name),
            Self::Resource(uri) => ("resource", uri),
            Self::Prompt(name) => ("prompt", name),
            Self::Completion(argument) => ("completion", argument),
        }
    }
}

/// What an error of this crate's own says, which has no secrets.
fn own(error: &(dyn Error + 'static)) -> Option<String> {
    let sent = error.downcast_ref::<NotSent>().map(NotSent::to_string);
    let joined = error.downcast_ref::<NotJoined>().map(NotJoined::to_string);
    let published = match error.downcast_ref::<NotPublished>() {
        // What that says is the program's.
        None | Some(NotPublished::Backplane(_)) => None,
        Some(error) => Some(error.to_string()),
    };
    sent.or(joined).or(published)
}

/// REQ-RES-01, REQ-ERR-03
pub(crate) fn resource_not_found(uri: &str, version: ProtocolVersion) -> ErrorObject {
    let code = match version.era() {
        Era::Legacy => ErrorCode::RESOURCE_NOT_FOUND,
        Era::Modern => ErrorCode::INVALID_PARAMS,
    };
    ErrorObject::new(code, "resource not found").with_data(&json!({ "uri": uri }))
}

/// -32021 for a capability by its dotted name (TRAP-18).
fn missing_capability(dotted: &str) -> ErrorObject {
    let names = dotted.rsplit('.');
    let required = names.fold(json!({}), |inner, name| json!({ name: inner }));
    // An object by a name is always a set of capabilities.
    let required = serde_json::from_value(required).unwrap_or_default();
    ErrorObject::missing_client_capability(required)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_peer::types::MethodName;

    const LEGACY: ProtocolVersion = ProtocolVersion::V2025_06_18;
    const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

    fn code(make: fn() -> HandlerError, of: Failed<'_>, version: ProtocolVersion) -> i64 {
        failed(make(), of, version).code.0
    }

    fn missing() -> HandlerError {
        let method = MethodName::from_static("sampling/createMessage");
        let capability = "sampling.tools";
        RequestError::from(ApiMisuse::MissingCapability { method, capability }).into()
    }

    /// Inventory 3.10, a line a row: what happened, to whom; then a tool's code (none: `isError`), and that of the others.
    #[test]
    fn errors_are_mapped_by_era_and_kind() {
        type Make = fn() -> HandlerError;
        let broken: Make = || std::io::Error::other("secret").into();
        let refused: Make =
            || RequestError::Refused(ErrorObject::new(ErrorCode::SAMPLING_REJECTED, "no")).into();
        let own: Make = || HandlerError::protocol(ErrorObject::new(7, "seven"));
        #[rustfmt::skip]
        let cases: [(Make, ProtocolVersion, Option<i64>, i64, i64); 12] = [
            (|| HandlerError::new("a"), LEGACY, None, -32603, -32603),
            (|| HandlerError::new("a"), MODERN, None, -32603, -32603),
            (|| HandlerError::invalid("a"), LEGACY, None, -32602, -32602),
            (|| HandlerError::invalid("a"), MODERN, None, -32602, -32602),
            (HandlerError::not_found, LEGACY, None, -32002, -32602),
            (HandlerError::not_found, MODERN, None, -32602, -32602),
            (broken, LEGACY, None, -32603, -32603),
            (broken, MODERN, None, -32603, -32603),
            (missing, LEGACY, None, -32602, -32602),
            (missing, MODERN, Some(-32021), -32021, -32021),
            (refused, LEGACY, None, -32603, -32603),
            (own, MODERN, Some(7), 7, 7),
        ];
        for (i, (make, version, tool, resource, prompt)) in cases.into_iter().enumerate() {
            let result = tool_failed(make(), "t", version);
            assert!(result.as_ref().is_ok_and(|result| result.is_error) || result.is_err());
            assert_eq!(result.err().map(|error| error.code.0), tool, "{i}");
            for (of, expected) in [
                (Failed::Resource("x:y"), resource),
                (Failed::Prompt("p"), prompt),
                (Failed::Completion("a"), prompt),
            ] {
                assert_eq!(code(make, of, version), expected, "{i}");
            }
        }
    }

    #[test]
    fn private_text_stays_here_and_data_names_what_is_missing() {
        let boxed: Box<dyn Error + Send + Sync> = "secret".into();
        for secret in [
            std::io::Error::other("secret").into(),
            HandlerError::hidden(boxed),
        ] {
            let shown = format!("{:?}", tool_failed(secret, "t", MODERN));
            assert!(!shown.contains("secret"), "{shown}");
        }
        for open in [
            HandlerError::shown(std::io::Error::other("io.mcp-stack/notifications")),
            NotJoined::NotNegotiated.into(),
            NotSent::NotNegotiated.into(),
        ] {
            let shown = format!("{:?}", tool_failed(open, "t", MODERN));
            assert!(shown.contains("io.mcp-stack/notifications"), "{shown}");
        }
        let error = tool_failed(missing(), "t", MODERN).expect_err("an error");
        let data = error.data.map(|data| data.to_string());
        let expected = r#"{"requiredCapabilities":{"sampling":{"tools":{}}}}"#;
        assert_eq!(data.as_deref(), Some(expected));
    }
}
