//! What ties a method's name, its parameters and its result together.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::raw::RawJson;

/// A method that is answered.
///
/// The protocol's own methods and a program's are the same to every layer:
///
/// ```
/// use mcp_types::Request;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Move { to: String }
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Board { moves: u32 }
///
/// struct PlayMove;
/// impl Request for PlayMove {
///     const METHOD: &'static str = "com.example.chess/move";
///     type Params = Move;
///     type Result = Board;
/// }
/// ```
pub trait Request: 'static {
    /// The name on the wire, exactly.
    const METHOD: &'static str;
    /// A struct that serialises as a JSON object, or `()` for none.
    type Params: Serialize + DeserializeOwned + Send + 'static;
    /// A struct that serialises as a JSON object, or `()` for the empty one.
    type Result: Serialize + DeserializeOwned + Send + 'static;
    /// Values of `resultType` that an answer may have besides the protocol's own: those of an extension that the client declares,
    /// for `Result` to tell apart. An answer with any other one is an error (REQ-JRPC-11).
    const RESULT_TYPES: &'static [&'static str] = &[];

    /// Reads a result as [`RawJson::decode`] does, for some methods faster.
    ///
    /// # Errors
    /// It has another shape.
    fn read_result(result: &RawJson) -> Result<Self::Result, serde_json::Error> {
        result.decode()
    }
}

/// A method that is not answered.
///
/// ```
/// use mcp_types::Notification;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Said { room: String, text: String }
///
/// struct MessageReceived;
/// impl Notification for MessageReceived {
///     const METHOD: &'static str = "chat.message_received";
///     type Params = Said;
/// }
/// ```
pub trait Notification: 'static {
    /// The name on the wire, exactly.
    const METHOD: &'static str;
    /// A struct that serialises as a JSON object, or `()` for none.
    type Params: Serialize + DeserializeOwned + Send + 'static;

    /// Reads parameters as [`RawJson::decode`] does, for some methods faster.
    ///
    /// # Errors
    /// They have another shape.
    fn read_params(params: &RawJson) -> Result<Self::Params, serde_json::Error> {
        params.decode()
    }
}

/// A method's name; the protocol's own names cost no allocation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MethodName(Cow<'static, str>);

impl MethodName {
    /// A name that is known when the program is written.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the protocol itself defines this name, in any revision or official extension.
    pub fn is_core(&self) -> bool {
        known(&self.0).is_some()
    }
}

macro_rules! names {
    ($($name:literal)*) => {
        /// The names of every revision, so that reading one of them does not allocate.
        fn known(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some($name),)*
                _ => None,
            }
        }
    };
}

names! {
    "initialize" "server/discover" "ping" "tools/list" "tools/call" "resources/list"
    "resources/templates/list" "resources/read" "resources/subscribe" "resources/unsubscribe"
    "prompts/list" "prompts/get" "completion/complete" "logging/setLevel" "subscriptions/listen"
    "sampling/createMessage" "roots/list" "elicitation/create" "tasks/get" "tasks/result"
    "tasks/list" "tasks/cancel" "tasks/update"
    "notifications/initialized" "notifications/cancelled" "notifications/progress"
    "notifications/message" "notifications/resources/list_changed" "notifications/resources/updated"
    "notifications/tools/list_changed" "notifications/prompts/list_changed"
    "notifications/roots/list_changed" "notifications/elicitation/complete"
    "notifications/tasks/status" "notifications/tasks" "notifications/subscriptions/acknowledged"
}

impl From<&str> for MethodName {
    fn from(name: &str) -> Self {
        Self(match known(name) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(name.to_owned()),
        })
    }
}

impl From<String> for MethodName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl std::ops::Deref for MethodName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for MethodName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for MethodName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for MethodName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MethodName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for MethodName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|name| Self::from(&*name))
    }
}
