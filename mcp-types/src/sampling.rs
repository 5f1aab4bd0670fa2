//! Sampling: a server asks the client's model (deprecated since 2026-07-28, and served all the same).

use std::collections::BTreeSet;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::annotations::Role;
use crate::content::{SamplingContent, join};
use crate::meta::Meta;
use crate::names::{methods, open_enum, setters};
use crate::numbers::limit;
use crate::raw::RawJson;
use crate::tasks::TaskMetadata;
use crate::tools::Tool;

/// The parameters of `sampling/createMessage`.
///
/// ```
/// use mcp_types::Sampling;
///
/// let ask = Sampling::user("Sum this up.").max_tokens(200).temperature(0.2);
/// assert_eq!(ask.messages.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateMessageParams {
    /// The conversation so far.
    pub messages: Vec<SamplingMessage>,
    /// The most tokens to generate (REQ-SAMP-07).
    #[serde(deserialize_with = "limit")]
    pub max_tokens: u64,
    /// Which model to prefer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_preferences: Option<ModelPreferences>,
    /// The system prompt; the client may change or ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Which servers' context to include; other than `none` it needs `sampling.context` (since 2025-11-25) and is deprecated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_context: Option<IncludeContext>,
    /// The temperature, in the model's own scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Texts that end the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_sequences: Option<Vec<String>>,
    /// Whatever the model's provider understands, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<RawJson>,
    /// Tools the model may ask to have called (since 2025-11-25); needs `sampling.tools` (REQ-SAMP-02).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
    /// Whether it may, or must (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Asks for a task (2025-11-25 only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskMetadata>,
    /// The request's `_meta` (legacy only: an input request has none).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// What a server asks a model for.
pub type Sampling = CreateMessageParams;

impl CreateMessageParams {
    /// The limit on tokens where none is set.
    pub const DEFAULT_MAX_TOKENS: u64 = 1024;

    /// A conversation, to be continued by the model, with [`Self::DEFAULT_MAX_TOKENS`].
    pub fn new(messages: impl Into<Vec<SamplingMessage>>) -> Self {
        Self {
            messages: messages.into(),
            max_tokens: Self::DEFAULT_MAX_TOKENS,
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: None,
            metadata: None,
            tools: None,
            tool_choice: None,
            task: None,
            meta: None,
        }
    }

    /// One question of the user.
    pub fn user(content: impl Into<SamplingContent>) -> Self {
        Self::new([SamplingMessage::user(content)])
    }

    /// Appends a message to the conversation.
    #[must_use]
    pub fn message(mut self, message: SamplingMessage) -> Self {
        self.messages.push(message);
        self
    }

    /// Sets `max_tokens`.
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: u64) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// What is wrong with the uses of tools in the conversation and their results; `None` if nothing is (REQ-SAMP-03, REQ-SAMP-04).
    ///
    /// What has used tools is followed by one message of the user's that has a result for each of them, and nothing else; there are
    /// no other results. To be asked before a model is: a server does not send what is unbalanced, a client answers it with -32602.
    pub fn unbalanced(&self) -> Option<&'static str> {
        let mut open = BTreeSet::new();
        for message in &self.messages {
            let (mut uses, mut results) = (BTreeSet::new(), BTreeSet::new());
            for block in &message.content {
                match block {
                    SamplingContent::ToolUse(wish) => {
                        uses.insert(wish.id.as_str());
                    }
                    SamplingContent::ToolResult(result) => {
                        results.insert(result.tool_use_id.as_str());
                    }
                    _ => {}
                }
            }
            let is_result = |block| matches!(block, &SamplingContent::ToolResult(_));
            let alone = message.content.iter().all(is_result) && message.role == Role::User;
            if !results.is_empty() && !alone {
                return Some("a message with results of tools has those only, and is the user's");
            }
            if results != open {
                return Some("uses of tools and their results, in the next message, do not match");
            }
            open = uses;
        }
        (!open.is_empty()).then_some("the last uses of tools have no results")
    }

    setters! {
        model_preferences: ModelPreferences;
        system_prompt: into String;
        include_context: into IncludeContext;
        temperature: f64;
        stop_sequences: into Vec<String>;
        metadata: into RawJson;
        tools: into Vec<Tool>;
        tool_choice: ToolChoice;
        task: TaskMetadata;
        meta: Meta;
    }
}

/// A message of a conversation with a model.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SamplingMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said. On the wire one block is no array; several are one since 2025-11-25 (REQ-SAMP-06).
    #[serde(with = "one_or_many")]
    pub content: Vec<SamplingContent>,
    /// The message's `_meta` (since 2025-11-25).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SamplingMessage {
    /// A message of several blocks.
    pub fn new(role: Role, content: impl Into<Vec<SamplingContent>>) -> Self {
        Self {
            role,
            content: content.into(),
            meta: None,
        }
    }

    /// The user says one thing.
    pub fn user(content: impl Into<SamplingContent>) -> Self {
        Self::new(Role::User, [content.into()])
    }

    /// The model says one thing.
    pub fn assistant(content: impl Into<SamplingContent>) -> Self {
        Self::new(Role::Assistant, [content.into()])
    }

    setters! { meta: Meta; }

    /// The text blocks, a line break between two of them.
    pub fn to_text(&self) -> String {
        join(self.content.iter().filter_map(SamplingContent::as_text))
    }
}

/// Which model to prefer; the client decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelPreferences {
    /// Names to look for, the first match wins (REQ-SAMP-10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hints: Option<Vec<ModelHint>>,
    /// How much a low price matters, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_priority: Option<f64>,
    /// How much speed matters, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_priority: Option<f64>,
    /// How much ability matters, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intelligence_priority: Option<f64>,
}

impl ModelPreferences {
    /// No preferences.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        hints: into Vec<ModelHint>;
        cost_priority: f64;
        speed_priority: f64;
        intelligence_priority: f64;
    }
}

/// A hint at a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelHint {
    /// A part of the model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ModelHint {
    /// A part of a model's name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
        }
    }
}

open_enum! {
    /// Which servers' context to include.
    IncludeContext, "context to include" {
        /// None.
        None = "none",
        /// That of the asking server.
        ThisServer = "thisServer",
        /// That of all servers.
        AllServers = "allServers",
    }
}

/// Whether the model may, or must, use tools (since 2025-11-25).
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolChoice {
    /// Absent: as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ToolChoiceMode>,
}

impl ToolChoice {
    /// A choice of a mode.
    pub fn new(mode: impl Into<ToolChoiceMode>) -> Self {
        Self {
            mode: Some(mode.into()),
        }
    }
}

open_enum! {
    /// Whether the model may, or must, use tools (since 2025-11-25).
    ToolChoiceMode, "tool choice" {
        /// As it likes.
        Auto = "auto",
        /// At least one.
        Required = "required",
        /// None.
        None = "none",
    }
}

open_enum! {
    /// Why a model stopped.
    StopReason, "stop reason" {
        /// It had said all.
        EndTurn = "endTurn",
        /// A stop sequence came.
        StopSequence = "stopSequence",
        /// It reached the limit of tokens.
        MaxTokens = "maxTokens",
        /// It wants a tool called (since 2025-11-25).
        ToolUse = "toolUse",
    }
}

/// The result of `sampling/createMessage`: what the model says.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateMessageResult {
    /// Who speaks; the assistant.
    pub role: Role,
    /// What is said. On the wire one block is no array; several are one since 2025-11-25.
    #[serde(with = "one_or_many")]
    pub content: Vec<SamplingContent>,
    /// The model's name.
    pub model: String,
    /// Why it stopped, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CreateMessageResult {
    /// A model's name and what it says.
    pub fn new(model: impl Into<String>, content: impl Into<Vec<SamplingContent>>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
            model: model.into(),
            stop_reason: None,
            meta: None,
        }
    }

    /// A model's name and one text, its turn ended.
    pub fn text(model: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(model, [SamplingContent::text(text)]).stop_reason(StopReason::EndTurn)
    }

    setters! {
        stop_reason: into StopReason;
        meta: Meta;
    }

    /// The text blocks, a line break between two of them.
    #[doc(alias = "text")]
    pub fn to_text(&self) -> String {
        join(self.content.iter().filter_map(SamplingContent::as_text))
    }
}

/// One block, or an array of them.
mod one_or_many {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        content: &[SamplingContent],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match content {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<SamplingContent>, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Vec<SamplingContent>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a block of content or an array of them")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                Ok(vec![SamplingContent::deserialize(map)?])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut content = Vec::new();
                while let Some(block) = seq.next_element()? {
                    content.push(block);
                }
                Ok(content)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

methods! {
    /// legacy, server to client; modern, inside an input round. Deprecated since 2026-07-28.
    request CreateMessage("sampling/createMessage"): CreateMessageParams => CreateMessageResult;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ToolResultContent, ToolUseContent};

    #[test]
    fn one_block_is_no_array() {
        // REQ-SAMP-06
        for json in [
            r#"{"role":"user","content":{"type":"text","text":"a"}}"#,
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"new"}]}"#,
            r#"{"role":"user","content":[]}"#,
        ] {
            let message: SamplingMessage = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
        }
        let single = r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#;
        let message: SamplingMessage = serde_json::from_str(single).unwrap();
        assert_eq!(message, SamplingMessage::user("a"));
    }

    #[test]
    fn tool_uses_and_results_are_balanced_or_not() {
        // REQ-SAMP-03, REQ-SAMP-04. A word is a message, a letter of it a block: `u`ser or `a`ssistant, then `t`ext,
        // something `n`ew, the uses of the tools `1` to `9`, and the results of `A` to `I`.
        let block = |letter| match letter {
            b't' => SamplingContent::text("t"),
            b'n' => serde_json::from_str(r#"{"type":"new"}"#).unwrap(),
            b'1'..=b'9' => {
                let id = (letter - b'0').to_string();
                SamplingContent::ToolUse(ToolUseContent::new(id, "n", RawJson::EMPTY_OBJECT))
            }
            _ => {
                let id = (letter - b'A' + 1).to_string();
                SamplingContent::ToolResult(ToolResultContent::new(id, []))
            }
        };
        let message = |word: &str| {
            let role = match word.as_bytes()[0] {
                b'u' => Role::User,
                _ => Role::Assistant,
            };
            let blocks: Vec<_> = word.bytes().skip(1).map(block).collect();
            SamplingMessage::new(role, blocks)
        };
        for (conversation, balanced) in [
            ("", true),
            ("ut at utn u", true),
            ("ut a1 uA", true),
            ("ut at12 uBA at1 uA at", true),
            ("ut a1 uAt", false),
            ("ut a1 uAn", false),
            ("ut a1 ut", false),
            ("ut a1 u uA", false),
            ("ut a1 aA", false),
            ("ut a1 at uA", false),
            ("ut a1 uB", false),
            ("ut a12 uA", false),
            ("ut a12 uA uB", false),
            ("ut a1 uAB", false),
            ("ut a1", false),
            ("ut a1 uA uA", false),
            ("uA", false),
        ] {
            let messages: Vec<_> = conversation.split_whitespace().map(message).collect();
            let fault = CreateMessageParams::new(messages).unbalanced();
            assert_eq!(fault.is_none(), balanced, "{conversation}: {fault:?}");
        }
    }

    #[test]
    fn unknown_stop_reasons_survive() {
        let json = r#"{"role":"assistant","content":{"type":"text","text":"a"},"model":"m","stopReason":"refusal"}"#;
        let result: CreateMessageResult = serde_json::from_str(json).unwrap();
        assert_eq!(
            result.stop_reason,
            Some(StopReason::Other("refusal".into()))
        );
        assert_eq!(serde_json::to_string(&result).unwrap(), json);
        assert_eq!(result.to_text(), "a");
    }
}
