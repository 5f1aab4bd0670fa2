//! JSON-RPC error objects and the codes the protocol gives a meaning to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::raw::{RawJson, present};

/// The code of a JSON-RPC error; codes without a name here survive unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub i64);

impl ErrorCode {
    /// The text was not JSON.
    pub const PARSE_ERROR: Self = Self(-32700);
    /// The JSON was not a message of the protocol.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// No such method, or one behind a capability that was not advertised.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// The method exists, its parameters are wrong; also an unknown tool, prompt, cursor or (modern) resource.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// The receiver failed.
    pub const INTERNAL_ERROR: Self = Self(-32603);
    /// Legacy: the user refused a sampling request.
    pub const SAMPLING_REJECTED: Self = Self(-1);
    /// Legacy: no such resource; never emitted to a modern peer (REQ-ERR-03).
    pub const RESOURCE_NOT_FOUND: Self = Self(-32002);
    /// 2025-11-25 only: the request needs URL elicitations first.
    pub const URL_ELICITATION_REQUIRED: Self = Self(-32042);
    /// Modern HTTP: a header is missing, malformed or differs from the body.
    pub const HEADER_MISMATCH: Self = Self(-32020);
    /// Modern: the request needs a client capability that it did not declare.
    pub const MISSING_CLIENT_CAPABILITY: Self = Self(-32021);
    /// Modern: the request's protocol version is not supported.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self(-32022);

    /// The code's name in the protocol, if it has one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::PARSE_ERROR => "parse error",
            Self::INVALID_REQUEST => "invalid request",
            Self::METHOD_NOT_FOUND => "method not found",
            Self::INVALID_PARAMS => "invalid params",
            Self::INTERNAL_ERROR => "internal error",
            Self::SAMPLING_REJECTED => "rejected by the user",
            Self::RESOURCE_NOT_FOUND => "resource not found",
            Self::URL_ELICITATION_REQUIRED => "URL elicitation required",
            Self::HEADER_MISMATCH => "header mismatch",
            Self::MISSING_CLIENT_CAPABILITY => "missing client capability",
            Self::UNSUPPORTED_PROTOCOL_VERSION => "unsupported protocol version",
            _ => return None,
        })
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl From<i64> for ErrorCode {
    fn from(code: i64) -> Self {
        Self(code)
    }
}

/// The `error` of a JSON-RPC error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} [{code}]")]
pub struct ErrorObject {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// One concise sentence for a person.
    pub message: String,
    /// What a program may need to know about it; any JSON.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<RawJson>,
}

impl ErrorObject {
    /// An error with a code and a sentence.
    pub fn new(code: impl Into<ErrorCode>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            data: None,
        }
    }

    /// The same error with data for a program; data that does not serialise is left out.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = RawJson::encode(data).ok();
        self
    }

    /// -32601 for a method.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("method not found: {method}"),
        )
    }

    /// -32602 with a sentence.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_PARAMS, message)
    }

    /// -32600 with a sentence.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_REQUEST, message)
    }

    /// -32603 with a sentence.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_and_null_data_survive() {
        let text = r#"{"code":-31999,"message":"m","data":null}"#;
        let error: ErrorObject = serde_json::from_str(text).unwrap();
        assert_eq!(error.code, ErrorCode(-31999));
        assert_eq!(serde_json::to_string(&error).unwrap(), text);
        assert_eq!(
            ErrorObject::internal("m").to_string(),
            "m [-32603 (internal error)]"
        );
    }
}
