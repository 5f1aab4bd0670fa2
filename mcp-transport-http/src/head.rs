//! The protocol's headers, and what of a message they repeat.

use http::HeaderName;
use mcp_types::RawJson;
use mcp_types::meta::key;

pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// What marks a modern message: the version that it is sent under.
pub(crate) fn modern_version(params: Option<&RawJson>) -> Option<RawJson> {
    let meta = params?.member("_meta")?;
    meta.member(key::PROTOCOL_VERSION)
}

/// The parameter that `Mcp-Name` repeats (REQ-HTTPM-06).
pub(crate) fn named(method: &str) -> Option<&'static str> {
    Some(match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    })
}
