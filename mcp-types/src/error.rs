//! JSON-RPC error objects and the codes the protocol gives a meaning to.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::capabilities::ClientCapabilities;
use crate::numbers::integer;
use crate::raw::{RawJson, present};

/// The code of a JSON-RPC error; codes without a name here survive unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(#[serde(deserialize_with = "integer")] pub i64);

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

    /// -32021 with what the request needs and the client did not declare.
    ///
    /// ```
    /// use mcp_types::{ClientCapabilities, ElicitationCapability, ErrorObject, MissingClientCapability};
    ///
    /// let needed = ClientCapabilities::new().elicitation(ElicitationCapability::new().url());
    /// let error = ErrorObject::missing_client_capability(needed.clone());
    /// assert_eq!(MissingClientCapability::of(&error), Some(MissingClientCapability::new(needed)));
    /// ```
    pub fn missing_client_capability(required: ClientCapabilities) -> Self {
        let data = RawJson::encode(&required).map_or_else(|_| String::new(), |r| format!(": {r}"));
        Self::new(
            ErrorCode::MISSING_CLIENT_CAPABILITY,
            format!("the client did not declare what this request needs{data}"),
        )
        .with_data(&MissingClientCapability::new(required))
    }

    /// -32022 with the version that was asked for, and those that can be had instead.
    pub fn unsupported_protocol_version(
        requested: impl Into<String>,
        supported: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let data = UnsupportedProtocolVersion::new(requested, supported);
        Self::new(
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            format!(
                "protocol version {:?} is not supported here",
                data.requested
            ),
        )
        .with_data(&data)
    }

    /// Whether the answer to `resources/read` says by this that there is no such resource: -32002, or -32602 with the URI in its
    /// data, as modern servers say it (REQ-RES-03).
    ///
    /// A modern server may leave the URI out, which makes this say no, and may add it to what else is wrong with the parameters.
    pub fn is_resource_not_found(&self) -> bool {
        let uri = || self.data.as_ref()?.member("uri")?.text().map(drop);
        match self.code {
            ErrorCode::RESOURCE_NOT_FOUND => true,
            ErrorCode::INVALID_PARAMS => uri().is_some(),
            _ => false,
        }
    }

    /// The data of an error of that code, if it has the shape the code demands.
    fn data_of<T: DeserializeOwned>(&self, code: ErrorCode) -> Option<T> {
        let data = self.data.as_ref().filter(|_| self.code == code)?;
        data.decode().ok()
    }
}

/// The `data` of error -32021: what the request needs of the client (REQ-CAP-03).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MissingClientCapability {
    /// What is missing, and nothing else.
    pub required_capabilities: ClientCapabilities,
}

impl MissingClientCapability {
    /// These are missing.
    pub fn new(required: ClientCapabilities) -> Self {
        Self {
            required_capabilities: required,
        }
    }

    /// What is missing according to this error, if it is one of these.
    pub fn of(error: &ErrorObject) -> Option<Self> {
        error.data_of(ErrorCode::MISSING_CLIENT_CAPABILITY)
    }
}

/// The `data` of error -32022: the version that was asked for, and those that can be had (REQ-VER-01).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnsupportedProtocolVersion {
    /// The versions the server speaks, the preferred first; not all of them need be known here.
    pub supported: Vec<String>,
    /// The version of the request; empty where the server did not repeat it.
    #[serde(default)]
    pub requested: String,
}

impl UnsupportedProtocolVersion {
    /// That version is not supported, these are.
    pub fn new(
        requested: impl Into<String>,
        supported: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            supported: supported.into_iter().map(Into::into).collect(),
            requested: requested.into(),
        }
    }

    /// What can be had according to this error, if it is one of these.
    pub fn of(error: &ErrorObject) -> Option<Self> {
        error.data_of(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION)
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

    #[test]
    fn a_missing_resource_is_told_in_several_ways() {
        // REQ-RES-03, TRAP-17
        for (error, missing) in [
            (r#"{"code":-32002,"message":"m"}"#, true),
            (
                r#"{"code":-32002,"message":"m","data":{"uri":"a:b"}}"#,
                true,
            ),
            (
                r#"{"code":-32602,"message":"m","data":{"uri":"a:b"}}"#,
                true,
            ),
            (r#"{"code":-32602,"message":"m","data":{"uri":7}}"#, false),
            (r#"{"code":-32602,"message":"m","data":"uri"}"#, false),
            (r#"{"code":-32602,"message":"m"}"#, false),
            (
                r#"{"code":-32603,"message":"m","data":{"uri":"a:b"}}"#,
                false,
            ),
        ] {
            let read: ErrorObject = serde_json::from_str(error).unwrap();
            assert_eq!(read.is_resource_not_found(), missing, "{error}");
        }
    }

    #[test]
    fn the_data_of_modern_errors_has_a_shape() {
        // REQ-CAP-03, TRAP-18, REQ-VER-01: the shapes of the official examples.
        let needed: ClientCapabilities = serde_json::from_str(r#"{"elicitation":{}}"#).unwrap();
        let missing = ErrorObject::missing_client_capability(needed.clone());
        assert_eq!(missing.code, ErrorCode(-32021));
        let data = missing.data.as_ref().map(RawJson::as_str);
        assert_eq!(data, Some(r#"{"requiredCapabilities":{"elicitation":{}}}"#));
        let read = MissingClientCapability::of(&missing).unwrap();
        assert_eq!(read.required_capabilities, needed);

        let versions = ["2026-07-28", "2025-11-25"];
        let unsupported = ErrorObject::unsupported_protocol_version("1900-01-01", versions);
        assert_eq!(unsupported.code, ErrorCode(-32022));
        let data = unsupported.data.as_ref().map(RawJson::as_str);
        let expected = r#"{"supported":["2026-07-28","2025-11-25"],"requested":"1900-01-01"}"#;
        assert_eq!(data, Some(expected));
        let read = UnsupportedProtocolVersion::of(&unsupported).unwrap();
        assert_eq!(
            read,
            UnsupportedProtocolVersion::new("1900-01-01", versions)
        );

        // One is not the other, and what has another shape is neither.
        assert!(MissingClientCapability::of(&unsupported).is_none());
        assert!(UnsupportedProtocolVersion::of(&missing).is_none());
        let bare = ErrorObject::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, "no");
        assert!(UnsupportedProtocolVersion::of(&bare).is_none());
        let array = bare.clone().with_data(&["2026-07-28"]);
        assert!(UnsupportedProtocolVersion::of(&array).is_none());
        let short = bare.with_data(&serde_json::json!({ "supported": ["2026-07-28"] }));
        assert!(UnsupportedProtocolVersion::of(&short).is_some());
    }
}
