//! `_meta`: open for everyone, with names for the keys the protocol reserves.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::id::ProgressToken;

/// Reserved keys of `_meta`.
pub mod key {
    /// Request: opts in to progress notifications under this token.
    pub const PROGRESS_TOKEN: &str = "progressToken";
    /// Modern request, required: the protocol version; its presence marks the era.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Modern request, required: the client's capabilities for this request.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Modern request: who the client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Modern request: the lowest log level wanted on this request's behalf.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Modern result: who the server is.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Modern notification on a listen stream, and that stream's result: the listen request's id.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// 2025-11-25: the task a message belongs to.
    pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace context, vendor part.
    pub const TRACESTATE: &str = "tracestate";
    /// W3C baggage.
    pub const BAGGAGE: &str = "baggage";
}

/// The `_meta` object of a request, a notification, a result or an item: any keys, all of which survive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Meta(pub Map<String, Value>);

impl Meta {
    /// An empty `_meta`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key, if it is there and has the type asked for.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(|value| T::deserialize(value).ok())
    }

    /// Sets a key; a value that does not serialise leaves it as it was.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: impl Into<String>, value: &T) -> &mut Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.insert(key.into(), value);
        }
        self
    }

    /// The token under which the sender wants progress.
    pub fn progress_token(&self) -> Option<ProgressToken> {
        self.get(key::PROGRESS_TOKEN)
    }
}
