//! Binary data inside JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text that should be base64 and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not base64: {0}")]
pub struct InvalidBase64(String);

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    STANDARD
        .decode(text)
        .map_err(|e| InvalidBase64(e.to_string()))
}
