//! Input rounds (since 2026-07-28): a result that asks for more, and a retry that brings it.
//!
//! Only `tools/call`, `prompts/get` and `resources/read` may be answered so (REQ-MRTR-01).

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::elicitation::{Elicit, ElicitParams};
use crate::meta::Meta;
use crate::method::{MethodName, Request};
use crate::names::{open_enum, setters};
use crate::pagination::EmptyParams;
use crate::raw::RawJson;
use crate::roots::ListRoots;
use crate::sampling::{CreateMessage, CreateMessageParams};

open_enum! {
    /// What kind of result it is: the member `resultType` of every result since 2026-07-28. Absent: complete.
    ResultType, "result type" {
        /// The result that was asked for.
        Complete = "complete",
        /// An [`InputRequiredResult`].
        InputRequired = "input_required",
        /// A task that will have the result (extension `io.modelcontextprotocol/tasks`).
        Task = "task",
    }
}

/// A result that asks the client for something; the client brings it with a retry of the request.
///
/// At least one of the two members is there (REQ-MRTR-02).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputRequiredResult {
    /// What makes it known: [`ResultType::InputRequired`].
    pub result_type: ResultType,
    /// What is asked for, by a key that the answer will carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_requests: Option<InputRequests>,
    /// What the retry hands back, exactly and unread (REQ-MRTR-06).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InputRequiredResult {
    /// Asks for these inputs.
    pub fn new(input_requests: InputRequests) -> Self {
        Self {
            result_type: ResultType::InputRequired,
            input_requests: Some(input_requests),
            request_state: None,
            meta: None,
        }
    }

    /// Asks for nothing but another try with this state.
    pub fn state(request_state: impl Into<String>) -> Self {
        Self {
            result_type: ResultType::InputRequired,
            input_requests: None,
            request_state: Some(request_state.into()),
            meta: None,
        }
    }

    setters! {
        request_state: into String;
        meta: Meta;
    }
}

/// What a server asks for in a round, by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputRequests(pub BTreeMap<String, InputRequest>);

impl InputRequests {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for one thing more.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, request: impl Into<InputRequest>) -> Self {
        self.0.insert(key.into(), request.into());
        self
    }
}

/// What a client brings in a round, by the key of what it answers.
///
/// An answer says nothing about its kind: [`InputResponses::decode`] reads it as the kind that was asked for (REQ-MRTR-18).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputResponses(pub BTreeMap<String, RawJson>);

impl InputResponses {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings one answer more: a `CreateMessageResult`, an `ElicitResult` or a `ListRootsResult`.
    ///
    /// # Errors
    /// What `T`'s own `Serialize` returns.
    pub fn answer<T: Serialize + ?Sized>(
        &mut self,
        key: impl Into<String>,
        answer: &T,
    ) -> Result<(), serde_json::Error> {
        self.0.insert(key.into(), RawJson::encode(answer)?);
        Ok(())
    }

    /// The answer under a key, read as what was asked for there; `None` if there is none.
    ///
    /// # Errors
    /// The answer has not the shape of a `T`.
    pub fn decode<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, serde_json::Error> {
        self.0.get(key).map(RawJson::decode).transpose()
    }
}

macro_rules! map {
    ($name:ident, $value:ty) => {
        impl Deref for $name {
            type Target = BTreeMap<String, $value>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl FromIterator<(String, $value)> for $name {
            fn from_iter<I: IntoIterator<Item = (String, $value)>>(entries: I) -> Self {
                Self(entries.into_iter().collect())
            }
        }

        impl IntoIterator for $name {
            type Item = (String, $value);
            type IntoIter = std::collections::btree_map::IntoIter<String, $value>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.into_iter()
            }
        }
    };
}

map!(InputRequests, InputRequest);
map!(InputResponses, RawJson);

/// One thing that a server asks the client for. On the wire: `{method, params}`, no id.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum InputRequest {
    /// `sampling/createMessage`: an answer of the client's model, a `CreateMessageResult`.
    CreateMessage(CreateMessageParams),
    /// `elicitation/create`: an answer of the client's user, an `ElicitResult`.
    Elicit(ElicitParams),
    /// `roots/list`: the client's roots, a `ListRootsResult`.
    ListRoots(EmptyParams),
    /// Something else, which the protocol does not allow (REQ-MRTR-03).
    Other {
        /// What is asked for.
        method: MethodName,
        /// About what.
        params: Option<RawJson>,
    },
}

impl InputRequest {
    /// The method that would ask the same in a legacy session.
    pub fn method(&self) -> &str {
        match self {
            Self::CreateMessage(_) => CreateMessage::METHOD,
            Self::Elicit(_) => Elicit::METHOD,
            Self::ListRoots(_) => ListRoots::METHOD,
            Self::Other { method, .. } => method,
        }
    }
}

impl From<CreateMessageParams> for InputRequest {
    fn from(params: CreateMessageParams) -> Self {
        Self::CreateMessage(params)
    }
}

impl From<ElicitParams> for InputRequest {
    fn from(params: ElicitParams) -> Self {
        Self::Elicit(params)
    }
}

impl Serialize for InputRequest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a, P> {
            method: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            params: Option<P>,
        }
        let method = self.method();
        match self {
            Self::CreateMessage(params) => Wire {
                method,
                params: Some(params),
            }
            .serialize(serializer),
            Self::Elicit(params) => Wire {
                method,
                params: Some(params),
            }
            .serialize(serializer),
            Self::ListRoots(params) => {
                let params = params.meta.is_some().then_some(params);
                Wire { method, params }.serialize(serializer)
            }
            Self::Other { params, .. } => Wire {
                method,
                params: params.as_ref(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for InputRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Other members are ignored: an example of the specification has an id here (X9).
        #[derive(Deserialize)]
        struct Wire {
            method: String,
            #[serde(default)]
            params: Option<RawJson>,
        }
        let Wire { method, params } = Wire::deserialize(deserializer)?;
        let none = RawJson::EMPTY_OBJECT;
        let given = params.as_ref().unwrap_or(&none);
        match method.as_str() {
            CreateMessage::METHOD => given.decode().map(Self::CreateMessage),
            Elicit::METHOD => given.decode().map(Self::Elicit),
            ListRoots::METHOD => given.decode().map(Self::ListRoots),
            _ => Ok(Self::Other {
                method: method.into(),
                params,
            }),
        }
        .map_err(D::Error::custom)
    }
}
