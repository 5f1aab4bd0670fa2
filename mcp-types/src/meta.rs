//! `_meta`: open for everyone, with names for the keys the protocol reserves.

use std::cell::RefCell;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::capabilities::ClientCapabilities;
use crate::id::{ProgressToken, RequestId};
use crate::lifecycle::Implementation;
use crate::logging::LogLevel;
use crate::scan::Known;
use crate::tasks::RelatedTask;
use crate::version::ProtocolVersion;

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

/// The `_meta` object of a request, a notification, a result or an item: any keys, all of which survive; numbers as far as an
/// integer of 64 bits or a float can hold them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Meta(pub Map<String, Value>);

/// The longest one that is kept to compare the next one with, in bytes.
const KEPT: usize = 512;

impl Meta {
    /// An empty `_meta`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the one that stands next. A peer says the same of itself with each message: what is to the byte as the last one that
    /// this thread has read is a copy of that, which takes a third of the time.
    pub(crate) fn read(next: &mut Known<'_>) -> Option<Self> {
        thread_local!(static LAST: RefCell<(Vec<u8>, Meta)> = RefCell::default());
        LAST.with_borrow_mut(|(last, meta)| {
            if !last.is_empty() && next.skip_same(last) {
                return Some(meta.clone());
            }
            let text = next.value();
            let read: Self = serde_json::from_slice(text).ok()?;
            if text.len() <= KEPT {
                last.clear();
                last.extend_from_slice(text);
                meta.clone_from(&read);
            }
            Some(read)
        })
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

    /// The protocol version of a modern request; `None` also if it is a version that is not known here.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.get(key::PROTOCOL_VERSION)
    }

    /// What the client of a modern request is able to do.
    pub fn client_capabilities(&self) -> Option<ClientCapabilities> {
        self.get(key::CLIENT_CAPABILITIES)
    }

    /// Who the client of a modern request is.
    pub fn client_info(&self) -> Option<Implementation> {
        self.get(key::CLIENT_INFO)
    }

    /// The lowest level of logs that a modern request wants.
    pub fn log_level(&self) -> Option<LogLevel> {
        self.get(key::LOG_LEVEL)
    }

    /// Who the server of a modern result is.
    pub fn server_info(&self) -> Option<Implementation> {
        self.get(key::SERVER_INFO)
    }

    /// The id of the `subscriptions/listen` request to which a notification belongs.
    pub fn subscription_id(&self) -> Option<RequestId> {
        self.get(key::SUBSCRIPTION_ID)
    }

    /// The task to which a message of 2025-11-25 belongs.
    pub fn related_task(&self) -> Option<RelatedTask> {
        self.get(key::RELATED_TASK)
    }

    /// The sender's place in a trace, as W3C Trace Context writes it.
    pub fn traceparent(&self) -> Option<&str> {
        self.0.get(key::TRACEPARENT)?.as_str()
    }

    /// What the vendors of a trace add to it.
    pub fn tracestate(&self) -> Option<&str> {
        self.0.get(key::TRACESTATE)?.as_str()
    }

    /// What an application hands on with a trace, as W3C Baggage writes it.
    pub fn baggage(&self) -> Option<&str> {
        self.0.get(key::BAGGAGE)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_keys_have_types_and_others_survive() {
        let text = r#"{"baggage":"b","com.example/x":[1],"io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"n","version":"1"},"io.modelcontextprotocol/logLevel":"notice","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/related-task":{"taskId":"t"},"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2"},"io.modelcontextprotocol/subscriptionId":"7","progressToken":7,"traceparent":"00-1","tracestate":"a=b"}"#;
        let meta: Meta = serde_json::from_str(text).unwrap();
        assert_eq!(meta.progress_token(), Some(ProgressToken::Number(7)));
        assert_eq!(meta.protocol_version(), Some(ProtocolVersion::V2026_07_28));
        assert!(meta.client_capabilities().unwrap().lists_roots());
        assert_eq!(meta.client_info().unwrap().name, "n");
        assert_eq!(meta.server_info().unwrap().version, "2");
        assert_eq!(meta.log_level(), Some(LogLevel::Notice));
        assert_eq!(meta.subscription_id(), Some("7".into()));
        assert_eq!(meta.related_task().unwrap().task_id, "t");
        assert_eq!(
            (meta.traceparent(), meta.tracestate(), meta.baggage()),
            (Some("00-1"), Some("a=b"), Some("b"))
        );
        assert_eq!(serde_json::to_string(&meta).unwrap(), text);

        // Of several that are read one after the other, each is what it says.
        for text in [text, text, r#"{"a":1}"#, r#"{"a":12}"#, r#"{"a":1}"#, text] {
            let read = Meta::read(&mut Known::new(text.as_bytes())).unwrap();
            assert_eq!(read, serde_json::from_str(text).unwrap());
        }

        // What has another shape is not there for those who want the type, and still there for the rest.
        let odd: Meta = serde_json::from_str(r#"{"progressToken":null,"traceparent":1}"#).unwrap();
        assert!(odd.progress_token().is_none() && odd.traceparent().is_none());
        assert_eq!(odd.0.len(), 2);
    }
}
