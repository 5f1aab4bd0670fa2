//! Subscriptions (since 2026-07-28): one request that stays open, and what comes on its behalf.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize as DeriveDeserialize, Serialize as DeriveSerialize};

use crate::id::RequestId;
use crate::meta::{Meta, key};
use crate::names::{methods, setters};
use crate::pagination::EmptyResult;
use crate::raw::RawJson;

/// The filter's member of the extension that carries a program's own notifications, and the extension's identifier.
pub const NOTIFICATIONS_EXTENSION: &str = "io.mcp-stack/notifications";

/// What a subscriber wants to hear of, and what a server grants of it.
///
/// What is not asked for is not sent (REQ-SUB-01). Extensions add members; those without a field here are kept in `other`.
///
/// ```
/// use mcp_types::SubscriptionFilter;
///
/// let filter = SubscriptionFilter::new().tools_list_changed(true).resource("file:///a").notification("chat.message");
/// assert_eq!(
///     serde_json::to_string(&filter)?,
///     r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a"],"io.mcp-stack/notifications":["chat.message"]}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionFilter {
    /// That the list of tools changed.
    pub tools_list_changed: bool,
    /// That the list of prompts changed.
    pub prompts_list_changed: bool,
    /// That the list of resources changed.
    pub resources_list_changed: bool,
    /// That one of these resources changed.
    pub resource_subscriptions: Option<Vec<String>>,
    /// How these tasks go (extension `io.modelcontextprotocol/tasks`).
    pub task_ids: Option<Vec<String>>,
    /// A program's own notifications, by method name (extension [`NOTIFICATIONS_EXTENSION`]).
    pub notifications: Option<Vec<String>>,
    /// Members without a field here, as they were read.
    pub other: BTreeMap<String, RawJson>,
}

impl SubscriptionFilter {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        tools_list_changed: flag;
        prompts_list_changed: flag;
        resources_list_changed: flag;
        resource_subscriptions: into Vec<String>;
        task_ids: into Vec<String>;
        notifications: into Vec<String>;
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.resource_subscriptions
            .get_or_insert_default()
            .push(uri.into());
        self
    }

    /// Adds a program's own notification.
    #[must_use]
    pub fn notification(mut self, method: impl Into<String>) -> Self {
        self.notifications
            .get_or_insert_default()
            .push(method.into());
        self
    }

    /// Whether nothing at all is wanted.
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        !self.tools_list_changed
            && !self.prompts_list_changed
            && !self.resources_list_changed
            && none(&self.resource_subscriptions)
            && none(&self.task_ids)
            && none(&self.notifications)
            && self.other.is_empty()
    }
}

/// A resource, by its URI.
impl From<&str> for SubscriptionFilter {
    fn from(uri: &str) -> Self {
        Self::new().resource(uri)
    }
}

/// A resource, by its URI.
impl From<String> for SubscriptionFilter {
    fn from(uri: String) -> Self {
        Self::new().resource(uri)
    }
}

const TOOLS: &str = "toolsListChanged";
const PROMPTS: &str = "promptsListChanged";
const RESOURCES: &str = "resourcesListChanged";
const URIS: &str = "resourceSubscriptions";
const TASKS: &str = "taskIds";

impl Serialize for SubscriptionFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, wanted) in [
            (TOOLS, self.tools_list_changed),
            (PROMPTS, self.prompts_list_changed),
            (RESOURCES, self.resources_list_changed),
        ] {
            if wanted {
                map.serialize_entry(key, &true)?;
            }
        }
        for (key, list) in [
            (URIS, &self.resource_subscriptions),
            (TASKS, &self.task_ids),
            (NOTIFICATIONS_EXTENSION, &self.notifications),
        ] {
            if let Some(list) = list {
                map.serialize_entry(key, list)?;
            }
        }
        for (key, value) in &self.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for SubscriptionFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = SubscriptionFilter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a subscription filter, an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut filter = SubscriptionFilter::new();
                while let Some(key) = map.next_key::<String>()? {
                    let flag = match key.as_str() {
                        TOOLS => &mut filter.tools_list_changed,
                        PROMPTS => &mut filter.prompts_list_changed,
                        RESOURCES => &mut filter.resources_list_changed,
                        URIS => {
                            filter.resource_subscriptions = map.next_value()?;
                            continue;
                        }
                        TASKS => {
                            filter.task_ids = map.next_value()?;
                            continue;
                        }
                        NOTIFICATIONS_EXTENSION => {
                            filter.notifications = map.next_value()?;
                            continue;
                        }
                        _ => {
                            let value = map.next_value()?;
                            filter.other.insert(key, value);
                            continue;
                        }
                    };
                    *flag = map.next_value::<Option<bool>>()?.unwrap_or_default();
                }
                Ok(filter)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The parameters of `subscriptions/listen`.
#[derive(Debug, Clone, Default, PartialEq, DeriveSerialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListenParams {
    /// What is wanted; required, though it may be empty (REQ-SUB-11).
    pub notifications: SubscriptionFilter,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListenParams {
    /// Asks for what the filter names.
    pub fn new(notifications: SubscriptionFilter) -> Self {
        Self {
            notifications,
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

/// The result of `subscriptions/listen`, when the server ends it; `_meta` names the subscription (REQ-SUB-07).
pub type ListenResult = EmptyResult;

/// What a server grants of a filter: the first notification of every subscription (REQ-SUB-02).
#[derive(Debug, Clone, Default, PartialEq, DeriveSerialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubscriptionAcknowledgedParams {
    /// What is granted; what is not supported is left out (REQ-SUB-03).
    pub notifications: SubscriptionFilter,
    /// The notification's `_meta`, which names the subscription.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SubscriptionAcknowledgedParams {
    /// Grants these to a subscription.
    pub fn new(subscription: &RequestId, notifications: SubscriptionFilter) -> Self {
        let mut meta = Meta::new();
        meta.set(key::SUBSCRIPTION_ID, subscription);
        Self {
            notifications,
            meta: Some(meta),
        }
    }

    setters! { meta: Meta; }

    /// The subscription that is granted.
    pub fn subscription_id(&self) -> Option<RequestId> {
        self.meta.as_ref()?.get(key::SUBSCRIPTION_ID)
    }
}

methods! {
    /// modern; stays open, while notifications come on its behalf.
    request Listen("subscriptions/listen"): ListenParams => ListenResult;
    /// modern; what is granted, first of all.
    notification SubscriptionAcknowledged("notifications/subscriptions/acknowledged"): SubscriptionAcknowledgedParams;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_unknown_extensions_survive() {
        let json = r#"{"toolsListChanged":true,"taskIds":["a"],"com.example/x":{"b":1}}"#;
        let filter: SubscriptionFilter = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), json);
        assert!(!filter.is_empty());
    }

    #[test]
    fn false_is_absence() {
        // REQ-SUB-11
        let json =
            r#"{"toolsListChanged":false,"promptsListChanged":null,"resourceSubscriptions":[]}"#;
        let filter: SubscriptionFilter = serde_json::from_str(json).unwrap();
        assert!(filter.is_empty());
        assert!(serde_json::from_str::<ListenParams>("{}").is_err());
    }

    #[test]
    fn the_id_of_a_subscription_keeps_its_type() {
        // REQ-SUB-04, TRAP-02
        for id in [RequestId::from(7), RequestId::from("7")] {
            let granted = SubscriptionAcknowledgedParams::new(&id, SubscriptionFilter::new());
            assert_eq!(granted.subscription_id(), Some(id));
        }
    }
}
