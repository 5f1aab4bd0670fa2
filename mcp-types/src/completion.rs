//! Completion: what an argument of a prompt or a resource template may go on with.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::meta::Meta;
use crate::names::{methods, setters};
use crate::numbers::known;
use crate::raw::RawJson;

/// The parameters of `completion/complete`.
///
/// ```
/// use mcp_types::{CompleteParams, CompletionRef};
///
/// let ask = CompleteParams::new(CompletionRef::prompt("review"), "language", "py").context("style", "short");
/// assert_eq!(ask.argument.value, "py");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CompleteParams {
    /// What the argument belongs to.
    #[serde(rename = "ref")]
    pub reference: CompletionRef,
    /// The argument and what is typed of it.
    pub argument: CompletionArgument,
    /// What is known besides (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<CompletionContext>,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CompleteParams {
    /// Completes an argument of something, from what is typed of it.
    pub fn new(
        reference: impl Into<CompletionRef>,
        argument: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self {
            reference: reference.into(),
            argument: CompletionArgument {
                name: argument.into(),
                value: value.into(),
            },
            context: None,
            meta: None,
        }
    }

    /// Tells an argument that is filled in already (since 2025-06-18).
    #[must_use]
    pub fn context(mut self, argument: impl Into<String>, value: impl Into<String>) -> Self {
        self.context
            .get_or_insert_default()
            .arguments
            .get_or_insert_default()
            .insert(argument.into(), value.into());
        self
    }

    setters! { meta: Meta; }
}

/// What an argument belongs to; on the wire told apart by `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum CompletionRef {
    /// A prompt.
    #[serde(rename = "ref/prompt")]
    Prompt(PromptReference),
    /// A resource template.
    #[serde(rename = "ref/resource")]
    Resource(ResourceTemplateReference),
    /// Something else: the object, as it was read.
    #[serde(untagged)]
    Unknown(RawJson),
}

impl CompletionRef {
    /// A prompt of a name.
    pub fn prompt(name: impl Into<String>) -> Self {
        Self::Prompt(PromptReference {
            name: name.into(),
            title: None,
        })
    }

    /// A resource template.
    pub fn resource(uri: impl Into<String>) -> Self {
        Self::Resource(ResourceTemplateReference { uri: uri.into() })
    }
}

impl<'de> Deserialize<'de> for CompletionRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::deserialize(deserializer)?;
        let kind = raw.member("type");
        let kind = kind.as_ref().and_then(RawJson::text);
        match kind.as_deref() {
            Some("ref/prompt") => raw.decode().map(Self::Prompt).map_err(D::Error::custom),
            Some("ref/resource") => raw.decode().map(Self::Resource).map_err(D::Error::custom),
            Some(_) => Ok(Self::Unknown(raw)),
            None => Err(D::Error::missing_field("type")),
        }
    }
}

/// A prompt, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PromptReference {
    /// Its name.
    pub name: String,
    /// Its name for people (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A resource or resource template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceTemplateReference {
    /// The URI or URI template.
    pub uri: String,
}

/// An argument and what is typed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CompletionArgument {
    /// Its name.
    pub name: String,
    /// What is typed.
    pub value: String,
}

/// What is known when an argument is completed (since 2025-06-18).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CompletionContext {
    /// The arguments that are filled in already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<BTreeMap<String, String>>,
}

/// The result of `completion/complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CompleteResult {
    /// What the argument may become.
    pub completion: Completion,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// What an argument may become.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Completion {
    /// The best values first, at most [`Completion::MAX_VALUES`] (REQ-CMP-01).
    pub values: Vec<String>,
    /// How many there are in all, if known.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub total: Option<u64>,
    /// Whether there are more than these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
}

impl Completion {
    /// The most values that a result may have.
    pub const MAX_VALUES: usize = 100;

    /// These values, cut to [`Completion::MAX_VALUES`]; if it had to cut, `total` and `has_more` say so.
    pub fn new<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        let total = values.len();
        values.truncate(Self::MAX_VALUES);
        let cut = total > values.len();
        Self {
            values,
            total: cut.then_some(total as u64),
            has_more: cut.then_some(true),
        }
    }

    setters! {
        total: u64;
        has_more: bool;
    }
}

impl CompleteResult {
    /// These values, cut to [`Completion::MAX_VALUES`].
    pub fn new<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Self {
        Completion::new(values).into()
    }

    setters! { meta: Meta; }
}

impl From<Completion> for CompleteResult {
    fn from(completion: Completion) -> Self {
        Self {
            completion,
            meta: None,
        }
    }
}

methods! {
    /// every revision; what an argument may become.
    request Complete("completion/complete"): CompleteParams => CompleteResult;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart_by_their_type() {
        for json in [
            r#"{"type":"ref/prompt","name":"n","title":"t"}"#,
            r#"{"type":"ref/resource","uri":"a:{b}"}"#,
            r#"{"name":"n","type":"ref/dream"}"#,
        ] {
            let reference: CompletionRef = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&reference).unwrap(), json);
        }
        for bad in [r#"{"name":"n"}"#, r#"{"type":"ref/prompt","uri":"a"}"#, "7"] {
            assert!(serde_json::from_str::<CompletionRef>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_result_has_at_most_100_values() {
        // REQ-CMP-01
        let result = CompleteResult::new((0..101).map(|n| n.to_string()));
        assert_eq!(result.completion.values.len(), 100);
        assert_eq!(result.completion.total, Some(101));
        assert_eq!(result.completion.has_more, Some(true));
        assert_eq!(CompleteResult::new(["a"]).completion.total, None);
    }
}
