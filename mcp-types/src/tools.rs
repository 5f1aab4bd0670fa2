//! Tools: what a server lets the model do.

use serde::{Deserialize, Serialize};

use crate::cache::{CacheScope, ttl};
use crate::content::{ContentBlock, join};
use crate::icons::Icon;
use crate::meta::Meta;
use crate::names::{flag, is_false, methods, open_enum, setters};
use crate::object::ObjectBuf;
use crate::pagination::{Cursor, EmptyParams, PaginatedParams};
use crate::raw::{RawJson, present};
use crate::rounds::InputResponses;
use crate::scan::{Known, escaped, write_string};
use crate::tasks::TaskMetadata;

/// A tool that can be called.
///
/// ```
/// use mcp_types::{Tool, ToolAnnotations};
/// use serde_json::json;
///
/// let tool = Tool::new("now", json!({ "type": "object", "additionalProperties": false }))
///     .title("Current time")
///     .annotations(ToolAnnotations::new().read_only_hint(true));
/// assert_eq!(tool.display_name(), "Current time");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Tool {
    /// A name for programs, unique on its server: 1 to 128 of `[A-Za-z0-9_.-]` (REQ-TOOL-01), but whatever a server sends is accepted.
    pub name: String,
    /// A name for people (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON Schema of the arguments, with `"type": "object"`; every keyword is kept (REQ-SCH-04).
    pub input_schema: RawJson,
    /// A JSON Schema of the structured result (since 2025-06-18; of any type since 2026-07-28, of objects before).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<RawJson>,
    /// Hints about what it does (since 2025-03-26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
    /// Icons to choose from (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<Vec<Icon>>,
    /// How it may be run (2025-11-25 only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ToolExecution>,
    /// The tool's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Tool {
    /// A tool and the JSON Schema of its arguments.
    pub fn new(name: impl Into<String>, input_schema: impl Into<RawJson>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            input_schema: input_schema.into(),
            output_schema: None,
            annotations: None,
            icons: None,
            execution: None,
            meta: None,
        }
    }

    setters! {
        title: into String;
        description: into String;
        output_schema: into RawJson;
        annotations: ToolAnnotations;
        icons: into Vec<Icon>;
        execution: ToolExecution;
        meta: Meta;
    }

    /// The name to show: the title, or else that of the annotations, or else the name.
    pub fn display_name(&self) -> &str {
        let hinted = || self.annotations.as_ref().and_then(|a| a.title.as_deref());
        self.title.as_deref().or_else(hinted).unwrap_or(&self.name)
    }
}

/// Hints about what a tool does (since 2025-03-26); those of an untrusted server are untrusted (REQ-TOOL-10).
///
/// A hint that is absent has a default that is not always `false` (TRAP-13): ask the methods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolAnnotations {
    /// A name for people; [`Tool::title`] goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// It changes nothing. Absent: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// It may destroy something, rather than only add. Absent: `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Calling it again with the same arguments does no more. Absent: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It reaches beyond the server's own world. Absent: `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

impl ToolAnnotations {
    /// No hints.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        title: into String;
        read_only_hint: bool;
        destructive_hint: bool;
        idempotent_hint: bool;
        open_world_hint: bool;
    }

    /// Whether it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.read_only_hint.unwrap_or(false)
    }

    /// Whether it may destroy something; a tool that changes nothing may not.
    pub fn is_destructive(&self) -> bool {
        !self.is_read_only() && self.destructive_hint.unwrap_or(true)
    }

    /// Whether calling it again does no more; so it is with a tool that changes nothing.
    pub fn is_idempotent(&self) -> bool {
        self.is_read_only() || self.idempotent_hint.unwrap_or(false)
    }

    /// Whether it reaches beyond the server's own world.
    pub fn is_open_world(&self) -> bool {
        self.open_world_hint.unwrap_or(true)
    }
}

/// How a tool may be run (2025-11-25 only).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolExecution {
    /// Whether a call may become a task. Absent: it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_support: Option<TaskSupport>,
}

impl ToolExecution {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { task_support: into TaskSupport; }
}

open_enum! {
    /// Whether a call may become a task (2025-11-25 only).
    TaskSupport, "task support" {
        /// It may not.
        Forbidden = "forbidden",
        /// As the caller wishes.
        Optional = "optional",
        /// It must.
        Required = "required",
    }
}

/// The parameters of `tools/list`.
pub type ListToolsParams = PaginatedParams;

/// The result of `tools/list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListToolsResult {
    /// One page of tools, in the same order every time (REQ-TOOL-02).
    pub tools: Vec<Tool>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// For how long it may be kept, in milliseconds (since 2026-07-28); absent: not at all.
    #[serde(
        default,
        deserialize_with = "ttl",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl_ms: Option<u64>,
    /// Who may share it (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListToolsResult {
    /// The whole list, or its last page.
    pub fn new(tools: impl Into<Vec<Tool>>) -> Self {
        Self {
            tools: tools.into(),
            ..Self::default()
        }
    }

    setters! {
        next_cursor: into Cursor;
        ttl_ms: u64;
        cache_scope: CacheScope;
        meta: Meta;
    }
}

/// The parameters of `tools/call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallToolParams {
    /// The tool.
    pub name: String,
    /// Its arguments, a JSON object; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<RawJson>,
    /// Asks for a task (2025-11-25 only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskMetadata>,
    /// Answers to the last round's questions (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_responses: Option<InputResponses>,
    /// The last round's state, exactly (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CallToolParams {
    /// Calls a tool without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arguments: None,
            task: None,
            input_responses: None,
            request_state: None,
            meta: None,
        }
    }

    /// Sets `arguments`, anything that serialises as a JSON object. What does not serialise becomes `null`, which servers refuse.
    #[must_use]
    pub fn arguments(mut self, arguments: impl Serialize) -> Self {
        self.arguments = Some(RawJson::encode(&arguments).unwrap_or(RawJson::NULL));
        self
    }

    setters! {
        task: TaskMetadata;
        input_responses: InputResponses;
        request_state: into String;
        meta: Meta;
    }
}

/// The result of `tools/call`.
///
/// ```
/// use mcp_types::CallToolResult;
///
/// let result = CallToolResult::new().structured(&[20.5, 21.0]);
/// // Clients that know no structured results find the same as text (REQ-TOOL-06).
/// assert_eq!(result.to_text(), "[20.5,21.0]");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallToolResult {
    /// The result as content; may be empty, but is always there (REQ-TOOL-09).
    #[serde(deserialize_with = "crate::content::blocks")]
    pub content: Vec<ContentBlock>,
    /// The result as data: an object since 2025-06-18, any JSON since 2026-07-28. `null` is a value (REQ-TOOL-14).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub structured_content: Option<RawJson>,
    /// Whether the tool failed; the content then says why.
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "is_false")]
    pub is_error: bool,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CallToolResult {
    /// An empty result.
    pub fn new() -> Self {
        Self::default()
    }

    /// A result of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().content([ContentBlock::text(text)])
    }

    /// A failure, and why, for the model to read.
    pub fn error(text: impl Into<String>) -> Self {
        Self::text(text).is_error(true)
    }

    /// Sets `content`.
    #[must_use]
    pub fn content(mut self, content: impl Into<Vec<ContentBlock>>) -> Self {
        self.content = content.into();
        self
    }

    /// Appends a block of content.
    #[must_use]
    pub fn block(mut self, block: impl Into<ContentBlock>) -> Self {
        self.content.push(block.into());
        self
    }

    /// Sets the result as data and, if there is no content yet, its text as content (REQ-TOOL-06).
    ///
    /// A value that does not serialise makes the result a failure that says so.
    #[must_use]
    pub fn structured(self, value: impl Serialize) -> Self {
        match RawJson::encode(&value) {
            Ok(value) if self.content.is_empty() => {
                let text = value.to_string();
                self.structured_content(value).block(text)
            }
            Ok(value) => self.structured_content(value),
            Err(e) => Self::error(format!("the result does not serialise: {e}")),
        }
    }

    setters! {
        /// Alone: [`CallToolResult::structured`] cares for the text that should go with it.
        structured_content: into RawJson;
        is_error: flag;
        meta: Meta;
    }

    /// Reads what has texts only for its content and no escaped names, which is most of it.
    fn read(result: &[u8]) -> Option<Self> {
        let (mut content, mut structured_content, mut is_error, mut meta) =
            (None, None, None, None);
        let mut result = Known::new(result);
        result.enter(b'{')?;
        while let Some(key) = result.key() {
            let again = match key {
                b"content" => {
                    let blocks = ContentBlock::read_texts(&mut result)?;
                    content.replace(blocks).is_some()
                }
                b"structuredContent" => {
                    let structured = RawJson::copy_part(result.value())?;
                    structured_content.replace(structured).is_some()
                }
                b"isError" => {
                    let flag = match result.value() {
                        b"true" => true,
                        b"false" => false,
                        _ => return None,
                    };
                    is_error.replace(flag).is_some()
                }
                b"_meta" => meta.replace(Meta::read(&mut result)?).is_some(),
                key if escaped(key) => true,
                _ => {
                    result.value();
                    false
                }
            };
            if again {
                return None;
            }
        }
        Some(Self {
            content: content?,
            structured_content,
            is_error: is_error.unwrap_or_default(),
            meta,
        })
    }

    /// The result as it goes over the wire.
    ///
    /// What [`ObjectBuf::encode`] makes of it; a result of texts and media takes a fraction of the time.
    ///
    /// # Errors
    /// None of its own: what `serde_json` returns.
    pub fn to_object(&self) -> Result<ObjectBuf, serde_json::Error> {
        let blocks = || self.content.iter().map(ContentBlock::as_strings);
        if self.meta.is_some() || blocks().any(|strings| strings.is_none()) {
            return ObjectBuf::encode(self);
        }
        let strings = || blocks().flatten().flatten().flatten();
        let structured = self.structured_content.as_ref();
        // Line breaks and quotes take two bytes each; text has few.
        let room: usize = strings().map(|(_, s)| s.len() + s.len() / 16 + 32).sum();
        let room = room + structured.map_or(0, RawJson::len);
        let mut out = Vec::with_capacity(room + 128);
        out.extend_from_slice(b"{\"content\":[");
        for (i, members) in blocks().flatten().enumerate() {
            out.extend_from_slice(if i > 0 { &b",{"[..] } else { b"{" });
            for (i, (name, value)) in members.into_iter().flatten().enumerate() {
                out.extend_from_slice(if i > 0 { &b",\""[..] } else { b"\"" });
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                write_string(&mut out, value);
            }
            out.push(b'}');
        }
        out.push(b']');
        if let Some(structured) = structured {
            out.extend_from_slice(b",\"structuredContent\":");
            out.extend_from_slice(structured.as_bytes());
        }
        if self.is_error {
            out.extend_from_slice(b",\"isError\":true");
        }
        out.push(b'}');
        Ok(ObjectBuf::from_valid(out))
    }

    /// The text blocks, a line break between two of them.
    #[doc(alias = "text")]
    pub fn to_text(&self) -> String {
        join(self.content.iter().filter_map(ContentBlock::as_text))
    }

    /// The result of a tool that has not failed.
    ///
    /// ```
    /// use mcp_types::CallToolResult;
    ///
    /// let failed = CallToolResult::error("no such city").ok();
    /// assert_eq!(failed.unwrap_err().to_string(), "the tool failed: no such city");
    /// ```
    ///
    /// # Errors
    /// [`ToolFailed`], if [`is_error`](Self::is_error) says so.
    #[doc(alias = "into_result")]
    pub fn ok(self) -> Result<Self, ToolFailed> {
        match self.is_error {
            false => Ok(self),
            true => Err(ToolFailed(Box::new(self))),
        }
    }
}

/// The result of a tool that has failed, as an error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the tool failed: {}", .0.to_text())]
pub struct ToolFailed(pub Box<CallToolResult>);

impl From<ContentBlock> for CallToolResult {
    fn from(block: ContentBlock) -> Self {
        Self::new().block(block)
    }
}

impl From<Vec<ContentBlock>> for CallToolResult {
    fn from(content: Vec<ContentBlock>) -> Self {
        Self::new().content(content)
    }
}

methods! {
    /// every revision; one page of tools.
    request ListTools("tools/list"): ListToolsParams => ListToolsResult;
    /// every revision; calls a tool.
    request CallTool("tools/call"): CallToolParams => CallToolResult, read CallToolResult::read;
    /// every revision; the list of tools changed.
    notification ToolListChanged("notifications/tools/list_changed"): EmptyParams;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Request;
    use proptest::prelude::*;

    fn reads_as_serde_does(text: &str) {
        let raw = RawJson::parse(text.to_owned()).unwrap();
        let ways = [CallTool::read_result(&raw), raw.decode()];
        let [read, decoded] = ways.map(|way| way.map_err(|e| e.to_string()));
        assert_eq!(read, decoded, "{text}");
    }

    /// What is usual is read by a way of its own; what is not, and what is wrong, by serde alone.
    #[test]
    fn both_ways_read_the_same() {
        for text in [
            r#"{"content":[{"type":"text","text":"a"}]}"#,
            r#" { "content" : [ { "text" : "\u00e9\n" , "type" : "text" } , {"type":"text","text":""} ] } "#,
            r#"{"content":[],"structuredContent":null,"isError":true,"_meta":{"a":{"b":[1]}},"resultType":"complete"}"#,
            r#"{"content":[],"structuredContent":{"a":"}"},"isError":false}"#,
            r#"{"content":[{"type":"text","text":"a","annotations":{"priority":0.5}}]}"#,
            r#"{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}],"isError":null}"#,
            r#"{"content":[{"type":"hologram","text":"a"}],"_meta":null}"#,
            r#"{"c\u006fntent":[{"t\u0079pe":"t\u0065xt","text":"a"}]}"#,
            r#"{"content":[{"type":"text","text":"a","text":"b"}]}"#,
            r#"{"content":[],"content":[]}"#,
            r#"{"content":[{"type":"text"}]}"#,
            r#"{"content":[{"text":"a"}]}"#,
            r#"{"content":[{"type":"text","text":7}]}"#,
            r#"{"content":[7]}"#,
            r#"{"content":{"type":"text","text":"a"}}"#,
            r#"{"content":[],"isError":1}"#,
            r#"{"content":[],"_meta":[]}"#,
            r#"{"content":[{"type":"text","text":"\ud800"}]}"#,
            "{}",
            "[]",
        ] {
            reads_as_serde_does(text);
        }
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same_of_any_result(result in crate::strategies::call_tool_result()) {
            reads_as_serde_does(&serde_json::to_string(&result).unwrap());
        }

        #[test]
        fn its_own_way_to_write_a_result_is_no_other(
            result in crate::strategies::call_tool_result(),
            texts in proptest::collection::vec(any::<String>(), 0..3),
        ) {
            let plain = CallToolResult {
                content: texts
                    .into_iter()
                    .flat_map(|text| [ContentBlock::image(&*text, "a/b"), ContentBlock::text(text)])
                    .collect(),
                meta: None,
                ..result.clone()
            };
            for result in [result, plain] {
                let written = result.to_object().unwrap().finish();
                prop_assert_eq!(written.as_str(), serde_json::to_string(&result).unwrap());
            }
        }
    }

    #[test]
    fn null_is_a_structured_result() {
        // REQ-TOOL-14, TRAP-06
        for json in [
            r#"{"content":[],"structuredContent":null}"#,
            r#"{"content":[]}"#,
            r#"{"content":[],"structuredContent":[1.0,{"b":1,"a":2}],"isError":true}"#,
        ] {
            let result: CallToolResult = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&result).unwrap(), json);
        }
        assert!(serde_json::from_str::<CallToolResult>("{}").is_err()); // REQ-TOOL-09
    }

    #[test]
    fn a_structured_result_comes_with_its_text() {
        // REQ-TOOL-06
        let result = CallToolResult::new().structured(serde_json::json!({ "a": 1 }));
        assert_eq!(result.to_text(), r#"{"a":1}"#);
        let result = CallToolResult::text("one").structured(1).block("two");
        assert_eq!(result.to_text(), "one\ntwo");
        let bad = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(CallToolResult::new().structured(&bad).is_error);
    }

    #[test]
    fn hints_have_defaults() {
        // TRAP-13
        let none = ToolAnnotations::new();
        assert!(!none.is_read_only() && none.is_destructive());
        assert!(!none.is_idempotent() && none.is_open_world());
        assert!(!none.read_only_hint(true).is_destructive());
    }

    #[test]
    fn schemas_keep_every_keyword_and_its_order() {
        // REQ-SCH-04, TRAP-07
        let json = r##"{"name":"t","inputSchema":{"type":"object","$defs":{"z":{},"a":{"$anchor":"x"}},"oneOf":[{"$ref":"#x"}]}}"##;
        let tool: Tool = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&tool).unwrap(), json);
    }
}
