//! Down-conversion: what a type must become before it is sent to a peer of a revision (inventory §3.11).

use memchr::memmem;

use crate::annotations::Annotations;
use crate::cache::CacheScope;
use crate::capabilities::{ClientCapabilities, ElicitationCapability, ServerCapabilities};
use crate::completion::{CompleteParams, CompletionRef};
use crate::content::{ContentBlock, EmbeddedResource, SamplingContent, TextContent, join};
use crate::elicitation::{ElicitParams, ElicitSchema, EnumSchema, EnumStyle, PrimitiveSchema};
use crate::error::{ErrorCode, ErrorObject};
use crate::lifecycle::{DiscoverResult, Implementation, InitializeParams, InitializeResult};
use crate::meta::Meta;
use crate::progress::ProgressParams;
use crate::prompts::{
    GetPromptParams, GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage,
};
use crate::raw::RawJson;
use crate::resources::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceParams, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate,
};
use crate::roots::{ListRootsResult, Root};
use crate::rounds::{InputRequest, InputRequests, InputRequiredResult};
use crate::sampling::{CreateMessageParams, CreateMessageResult, SamplingMessage};
use crate::scan::known_members;
use crate::tasks::{CancelTaskResult, CreateTaskResult, ListTasksResult, Task, TaskDesign};
use crate::tools::{CallToolParams, CallToolResult, ListToolsResult, Tool};
use crate::version::ProtocolVersion::{
    self, V2025_03_26 as V2, V2025_06_18 as V3, V2025_11_25 as V4, V2026_07_28 as V5,
};

/// What can be sent to a peer of any revision, once it is made to fit.
///
/// What a revision lacks is left out, or said in another way where it has one: a link to a resource becomes a text,
/// titled options become `enumNames`. What 2026-07-28 demands and nobody set gets its safe value: `ttlMs` 0, private.
///
/// ```
/// use mcp_types::{CallToolResult, ForRevision, ProtocolVersion};
///
/// let result = CallToolResult::new().structured([1, 2]);
/// let old = result.for_revision(ProtocolVersion::V2025_11_25);
/// assert_eq!(old.structured_content, None); // an object, or nothing, in that revision
/// assert_eq!(old.to_text(), "[1,2]");
/// ```
pub trait ForRevision: Sized {
    /// The same, as far as the revision can say it.
    #[must_use]
    fn for_revision(self, version: ProtocolVersion) -> Self;

    /// Why a revision cannot say this at all; `None` if it can, perhaps with less detail.
    ///
    /// The sender must then refuse, or do without: [`ForRevision::for_revision`] would change what is meant.
    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        let _ = version;
        None
    }
}

/// Leaves out what is there in the revisions from `since` on only.
fn since<T>(version: ProtocolVersion, since: ProtocolVersion, field: &mut Option<T>) {
    if version < since {
        *field = None;
    }
}

/// Leaves out what is there in one revision only.
fn only<T>(version: ProtocolVersion, only: ProtocolVersion, field: &mut Option<T>) {
    if version != only {
        *field = None;
    }
}

/// Cache hints: required since 2026-07-28, absent before (REQ-CACHE-01).
fn cache(version: ProtocolVersion, ttl_ms: &mut Option<u64>, scope: &mut Option<CacheScope>) {
    if version < V5 {
        (*ttl_ms, *scope) = (None, None);
    } else {
        ttl_ms.get_or_insert(0);
        scope.get_or_insert(CacheScope::Private);
    }
}

fn each<T: ForRevision>(version: ProtocolVersion, items: Vec<T>) -> Vec<T> {
    // The items are moved through the same allocation.
    items
        .into_iter()
        .map(|item| item.for_revision(version))
        .collect()
}

impl<T: ForRevision> ForRevision for Option<T> {
    fn for_revision(self, version: ProtocolVersion) -> Self {
        self.map(|item| item.for_revision(version))
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        self.as_ref()?.inexpressible(version)
    }
}

/// A code that the revision must not see is said by another (REQ-ERR-03, REQ-ELIC-10); the rest of the error stays.
impl ForRevision for ErrorObject {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.code = match self.code {
            ErrorCode::RESOURCE_NOT_FOUND if version >= V5 => ErrorCode::INVALID_PARAMS,
            ErrorCode::URL_ELICITATION_REQUIRED if version != V4 => ErrorCode::INTERNAL_ERROR,
            // These are for the protocol to give a meaning to, and it has not.
            ErrorCode(-32099..=-32023) if version >= V5 => ErrorCode::INTERNAL_ERROR,
            code => code,
        };
        self
    }
}

// Lifecycle.

impl ForRevision for Implementation {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.title);
        since(version, V4, &mut self.icons);
        since(version, V4, &mut self.description);
        since(version, V4, &mut self.website_url);
        self
    }
}

impl ForRevision for ClientCapabilities {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        if let Some(roots) = &mut self.roots {
            roots.list_changed &= version < V5;
        }
        if let Some(sampling) = &mut self.sampling {
            since(version, V4, &mut sampling.context);
            since(version, V4, &mut sampling.tools);
        }
        if version < V4 && self.elicitation.is_some() {
            // What knows no modes has forms only, and says so with `{}`.
            self.elicitation = self.elicits_form().then(ElicitationCapability::new);
        }
        since(version, V3, &mut self.elicitation);
        only(version, V4, &mut self.tasks);
        self
    }
}

impl ForRevision for ServerCapabilities {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V2, &mut self.completions);
        only(version, V4, &mut self.tasks);
        self
    }
}

impl ForRevision for InitializeParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.capabilities = self.capabilities.for_revision(version);
        self.client_info = self.client_info.for_revision(version);
        self
    }
}

impl ForRevision for InitializeResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.capabilities = self.capabilities.for_revision(version);
        self.server_info = self.server_info.for_revision(version);
        self
    }
}

impl ForRevision for DiscoverResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.capabilities = self.capabilities.for_revision(version);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

impl ForRevision for ProgressParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V2, &mut self.message);
        self
    }
}

// Content.

impl ForRevision for Annotations {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.last_modified);
        self
    }
}

/// What every block has.
fn block(version: ProtocolVersion, annotations: &mut Option<Annotations>, meta: &mut Option<Meta>) {
    *annotations = annotations.take().for_revision(version);
    since(version, V3, meta);
}

impl ForRevision for ResourceContents {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        match &mut self {
            Self::Text(text) => since(version, V3, &mut text.meta),
            Self::Blob(blob) => since(version, V3, &mut blob.meta),
        }
        self
    }
}

impl ForRevision for ContentBlock {
    /// Sound becomes an embedded resource where a revision has none, a link to a resource a text.
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        match self {
            Self::Audio(audio) if version < V2 => {
                let contents = ResourceContents::blob("audio:block", audio.data);
                let mut embedded = EmbeddedResource::new(contents.mime_type(audio.mime_type));
                embedded.annotations = audio.annotations;
                return Self::Resource(embedded).for_revision(version);
            }
            Self::ResourceLink(link) if version < V3 => {
                let mut text = format!("{}: {}", link.display_name(), link.uri);
                if let Some(description) = &link.description {
                    text.push('\n');
                    text.push_str(description);
                }
                let mut text = TextContent::new(text);
                text.annotations = link.annotations;
                return Self::Text(text).for_revision(version);
            }
            Self::Text(ref mut text) => block(version, &mut text.annotations, &mut text.meta),
            Self::Image(ref mut image) => block(version, &mut image.annotations, &mut image.meta),
            Self::Audio(ref mut audio) => block(version, &mut audio.annotations, &mut audio.meta),
            Self::ResourceLink(link) => return Self::ResourceLink(link.for_revision(version)),
            Self::Resource(mut embedded) => {
                block(version, &mut embedded.annotations, &mut embedded.meta);
                embedded.resource = embedded.resource.for_revision(version);
                return Self::Resource(embedded);
            }
            Self::Unknown(_) => {}
        }
        self
    }
}

/// Structured results: none, objects, or anything. What goes, and what old clients do not know, is there as text, unless there is
/// text already (REQ-TOOL-07).
fn structured(
    version: ProtocolVersion,
    structured: &mut Option<RawJson>,
    content: &mut Vec<ContentBlock>,
) {
    let Some(value) = structured else { return };
    let old = version >= V3 && value.is_object();
    if !old && !content.iter().any(|block| block.as_text().is_some()) {
        content.push(ContentBlock::text(value.as_str()));
    }
    structured.take_if(|_| !old && version < V5);
}

// Tools.

/// Until 2025-11-25 each property of a tool's schema is described by an object; JSON Schema itself knows `true` and `false`, too.
fn described_by_objects(schema: &mut RawJson) {
    let text = schema.as_bytes();
    let says = |word: &[u8]| memmem::find(text, word).is_some();
    if !schema.is_object() || !(says(b"true") || says(b"false")) {
        return;
    }
    let properties = known_members(text, b"").filter(|member| member.is(text, "properties"));
    let Some(at) = properties.last().map(|member| member.value) else {
        return;
    };
    if text[at.start] != b'{' {
        return;
    }
    let (mut fits, mut copied) = (Vec::new(), 0);
    for member in known_members(&text[at.clone()], b"") {
        let value = at.start + member.value.start..at.start + member.value.end;
        let object = match &text[value.clone()] {
            b"true" => &b"{}"[..],
            b"false" => br#"{"not":{}}"#,
            _ => continue,
        };
        fits.extend_from_slice(&text[copied..value.start]);
        fits.extend_from_slice(object);
        copied = value.end;
    }
    if copied > 0 {
        fits.extend_from_slice(&text[copied..]);
        *schema = RawJson::from_valid(fits.into());
    }
}

impl ForRevision for Tool {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        if version == V2 && self.title.is_some() {
            // That revision's only place for a title.
            let annotations = self.annotations.get_or_insert_default();
            if annotations.title.is_none() {
                annotations.title = self.title.take();
            }
        }
        since(version, V2, &mut self.annotations);
        since(version, V3, &mut self.title);
        since(version, V3, &mut self.meta);
        since(version, V4, &mut self.icons);
        only(version, V4, &mut self.execution);
        since(version, V3, &mut self.output_schema);
        if version < V5 {
            self.output_schema.take_if(|schema| {
                let root = schema.member("type");
                root.is_none_or(|root| root.as_str() != "\"object\"")
            });
            described_by_objects(&mut self.input_schema);
            self.output_schema.iter_mut().for_each(described_by_objects);
        }
        self
    }
}

impl ForRevision for ListToolsResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.tools = each(version, self.tools);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

impl ForRevision for CallToolParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        only(version, V4, &mut self.task);
        since(version, V5, &mut self.input_responses);
        since(version, V5, &mut self.request_state);
        self
    }
}

impl ForRevision for CallToolResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        // Before a link becomes a text, which says nothing of it.
        structured(version, &mut self.structured_content, &mut self.content);
        // No block has changed since, and most results are but blocks.
        if version < V4 {
            self.content = each(version, self.content);
        }
        self
    }
}

// Resources.

impl ForRevision for Resource {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.title);
        since(version, V4, &mut self.icons);
        block(version, &mut self.annotations, &mut self.meta);
        self
    }
}

impl ForRevision for ResourceTemplate {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.title);
        since(version, V4, &mut self.icons);
        block(version, &mut self.annotations, &mut self.meta);
        self
    }
}

impl ForRevision for ListResourcesResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.resources = each(version, self.resources);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

impl ForRevision for ListResourceTemplatesResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.resource_templates = each(version, self.resource_templates);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

impl ForRevision for ReadResourceParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V5, &mut self.input_responses);
        since(version, V5, &mut self.request_state);
        self
    }
}

impl ForRevision for ReadResourceResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.contents = each(version, self.contents);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

// Prompts and completion.

impl ForRevision for PromptArgument {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.title);
        self
    }
}

impl ForRevision for Prompt {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.title);
        since(version, V3, &mut self.meta);
        since(version, V4, &mut self.icons);
        self.arguments = self.arguments.map(|arguments| each(version, arguments));
        self
    }
}

impl ForRevision for ListPromptsResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.prompts = each(version, self.prompts);
        cache(version, &mut self.ttl_ms, &mut self.cache_scope);
        self
    }
}

impl ForRevision for GetPromptParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V5, &mut self.input_responses);
        since(version, V5, &mut self.request_state);
        self
    }
}

impl ForRevision for PromptMessage {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.content = self.content.for_revision(version);
        self
    }
}

impl ForRevision for GetPromptResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.messages = each(version, self.messages);
        self
    }
}

impl ForRevision for CompleteParams {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.context);
        if let CompletionRef::Prompt(prompt) = &mut self.reference {
            since(version, V3, &mut prompt.title);
        }
        self
    }
}

// What the client answers.

impl ForRevision for SamplingContent {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        match &mut self {
            Self::Text(text) => block(version, &mut text.annotations, &mut text.meta),
            Self::Image(image) => block(version, &mut image.annotations, &mut image.meta),
            Self::Audio(audio) if version < V2 => {
                return Self::text(format!("[{} sound, left out]", audio.mime_type));
            }
            Self::Audio(audio) => block(version, &mut audio.annotations, &mut audio.meta),
            Self::ToolUse(call) if version < V4 => {
                return Self::text(format!("[calls {} with {}]", call.name, call.input));
            }
            Self::ToolResult(result) => {
                structured(version, &mut result.structured_content, &mut result.content);
                result.content = each(version, std::mem::take(&mut result.content));
                if version < V4 {
                    return Self::text(join(
                        result.content.iter().filter_map(ContentBlock::as_text),
                    ));
                }
            }
            Self::ToolUse(_) | Self::Unknown(_) => {}
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        let tools = matches!(self, Self::ToolUse(_) | Self::ToolResult(_));
        (tools && version < V4).then_some("sampling knows no tools before 2025-11-25")
    }
}

impl ForRevision for SamplingMessage {
    /// Before 2025-11-25 a message is one block (REQ-SAMP-06): its texts joined, or else the first block.
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V4, &mut self.meta);
        self.content = each(version, self.content);
        if version < V4 {
            one(&mut self.content);
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        self.content
            .iter()
            .find_map(|block| block.inexpressible(version))
    }
}

fn one(content: &mut Vec<SamplingContent>) {
    if content.len() == 1 {
        return;
    }
    if content.is_empty() || content.iter().any(|block| block.as_text().is_some()) {
        let text = join(content.iter().filter_map(SamplingContent::as_text));
        *content = vec![SamplingContent::text(text)];
    }
    content.truncate(1);
}

impl ForRevision for CreateMessageParams {
    /// Before 2025-11-25 a message of several blocks becomes several messages of one (REQ-SAMP-06).
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        if version < V4 {
            let mut messages = Vec::with_capacity(self.messages.len());
            for message in self.messages {
                if message.content.len() < 2 {
                    messages.push(message);
                    continue;
                }
                for block in message.content {
                    messages.push(SamplingMessage::new(message.role, [block]));
                }
            }
            self.messages = messages;
        }
        self.messages = each(version, self.messages);
        since(version, V4, &mut self.tools);
        since(version, V4, &mut self.tool_choice);
        self.tools = self.tools.map(|tools| each(version, tools));
        only(version, V4, &mut self.task);
        if version >= V5 {
            self.meta = None; // an input request has none
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        if version < V4 && self.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
            return Some("sampling knows no tools before 2025-11-25");
        }
        self.messages
            .iter()
            .find_map(|message| message.inexpressible(version))
    }
}

impl ForRevision for CreateMessageResult {
    /// Before 2025-11-25 the answer is one block: its texts joined, or else the first block.
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.content = each(version, self.content);
        if version < V4 {
            one(&mut self.content);
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        self.content
            .iter()
            .find_map(|block| block.inexpressible(version))
    }
}

impl ForRevision for Root {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V3, &mut self.meta);
        self
    }
}

impl ForRevision for ListRootsResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.roots = each(version, self.roots);
        self
    }
}

impl ForRevision for ElicitParams {
    /// 2025-06-18 gets no mode and a simpler schema; 2025-11-25 gets what is here, so whoever sends a page to open sets its
    /// `elicitation_id` first; 2026-07-28 gets none.
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        match &mut self {
            Self::Form(form) => {
                since(version, V4, &mut form.mode);
                only(version, V4, &mut form.task);
                if version >= V5 {
                    form.meta = None; // an input request has none
                }
                if version < V4
                    && let Ok(schema) = form.schema()
                {
                    form.requested_schema = schema.for_revision(version).into();
                }
            }
            Self::Url(url) => {
                only(version, V4, &mut url.elicitation_id);
                only(version, V4, &mut url.task);
                if version >= V5 {
                    url.meta = None;
                }
            }
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        match self {
            _ if version < V3 => Some("there is no elicitation before 2025-06-18"),
            Self::Url(_) if version < V4 => Some("elicitation opens no pages before 2025-11-25"),
            Self::Form(form) if version < V4 => form.schema().ok()?.inexpressible(version),
            Self::Form(_) | Self::Url(_) => None,
        }
    }
}

impl ForRevision for ElicitSchema {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        if version >= V4 {
            return self;
        }
        self.dialect = None;
        self.properties.retain(|(name, schema)| {
            let several = matches!(
                schema,
                PrimitiveSchema::Enum(EnumSchema { multiple: true, .. })
            );
            if several {
                self.required.retain(|required| required != name);
            }
            !several
        });
        for (_, schema) in &mut self.properties {
            match schema {
                PrimitiveSchema::String(schema) => schema.default_value = None,
                PrimitiveSchema::Number(schema) => schema.default_value = None,
                PrimitiveSchema::Enum(schema) => {
                    schema.default_values = None;
                    if schema.style == EnumStyle::Titled {
                        schema.style = EnumStyle::EnumNames;
                    }
                }
                PrimitiveSchema::Boolean(_) | PrimitiveSchema::Unknown(_) => {}
            }
        }
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        if version >= V4 {
            return None;
        }
        let several = self.properties.iter().any(|(name, schema)| {
            let several = matches!(
                schema,
                PrimitiveSchema::Enum(EnumSchema { multiple: true, .. })
            );
            several && self.required.contains(name)
        });
        several.then_some("a form asks for no several choices before 2025-11-25")
    }
}

// Input rounds and tasks.

impl ForRevision for InputRequest {
    fn for_revision(self, version: ProtocolVersion) -> Self {
        match self {
            Self::CreateMessage(params) => Self::CreateMessage(params.for_revision(version)),
            Self::Elicit(params) => Self::Elicit(params.for_revision(version)),
            Self::ListRoots(_) | Self::Other { .. } => self,
        }
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        match self {
            Self::CreateMessage(params) => params.inexpressible(version),
            Self::Elicit(params) => params.inexpressible(version),
            Self::ListRoots(_) => None,
            Self::Other { .. } => Some("a server may ask for sampling, elicitation and roots only"),
        }
    }
}

impl ForRevision for InputRequests {
    fn for_revision(self, version: ProtocolVersion) -> Self {
        let requests = self.into_iter();
        requests
            .map(|(key, request)| (key, request.for_revision(version)))
            .collect()
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        self.values()
            .find_map(|request| request.inexpressible(version))
    }
}

impl ForRevision for InputRequiredResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.input_requests = self.input_requests.for_revision(version);
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        if version < V5 {
            return Some("there are no input rounds before 2026-07-28");
        }
        self.input_requests.inexpressible(version)
    }
}

const NO_TASKS: &str = "there are no tasks before 2025-11-25";

impl ForRevision for Task {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        since(version, V5, &mut self.input_requests);
        since(version, V5, &mut self.result);
        since(version, V5, &mut self.error);
        self.input_requests = self.input_requests.for_revision(version);
        self.design = if version < V5 {
            TaskDesign::Core
        } else {
            TaskDesign::Extension
        };
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        (version < V4).then_some(NO_TASKS)
    }
}

impl ForRevision for CreateTaskResult {
    fn for_revision(self, version: ProtocolVersion) -> Self {
        let mut result = Self::new(self.task.for_revision(version));
        result.meta = self.meta;
        if result.task.design == TaskDesign::Extension
            && let Some(meta) = result.task.meta.take()
        {
            // The result is the task, and has one `_meta`.
            result.meta.get_or_insert_default().0.extend(meta.0);
        }
        result
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        self.task.inexpressible(version)
    }
}

impl ForRevision for CancelTaskResult {
    /// The extension acknowledges with nothing.
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        only(version, V4, &mut self.task);
        self.task = self.task.for_revision(version);
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        (version < V4).then_some(NO_TASKS)
    }
}

impl ForRevision for ListTasksResult {
    fn for_revision(mut self, version: ProtocolVersion) -> Self {
        self.tasks = each(version, self.tasks);
        self
    }

    fn inexpressible(&self, version: ProtocolVersion) -> Option<&'static str> {
        (version != V4).then_some("tasks are listed in 2025-11-25 only")
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::ProtocolVersion::V2024_11_05 as V1;
    use crate::elicitation::EnumOption;
    use crate::tools::ToolAnnotations;

    fn at<T: ForRevision + Clone + Serialize>(value: &T, version: ProtocolVersion) -> Value {
        serde_json::to_value(value.clone().for_revision(version)).unwrap()
    }

    #[test]
    fn structured_results() {
        // REQ-TOOL-08, REQ-TOOL-07
        let array = CallToolResult::new().structured_content(json!([1]));
        let text = json!({ "content": [{ "type": "text", "text": "[1]" }] });
        let mut both = text.clone();
        both["structuredContent"] = json!([1]);
        assert_eq!(at(&array, V5), both);
        // Whoever has said it in words of his own has done so.
        let said = CallToolResult::text("one").structured_content(json!(1));
        assert_eq!(at(&said, V5)["content"].as_array().unwrap().len(), 1);
        let object = CallToolResult::new().structured_content(json!({}));
        assert_eq!(at(&object, V5)["content"], json!([]));
        assert_eq!(at(&array, V4), text);
        assert_eq!(at(&array, V1), text);
        let object = CallToolResult::text("t").structured_content(json!({ "a": 1 }));
        assert_eq!(at(&object, V3)["structuredContent"], json!({ "a": 1 }));
        let text = json!({ "content": [{ "type": "text", "text": "t" }] });
        assert_eq!(at(&object, V2), text);
        // A link is no text, though it becomes one.
        let link = ContentBlock::ResourceLink(Resource::new("a:b", "n"));
        let linked = CallToolResult::from(link).structured_content(json!({ "n": 1 }));
        let texts = linked.clone().for_revision(V2).to_text();
        assert_eq!(texts, "n: a:b\n{\"n\":1}");
        let linked = linked.structured_content(json!([1])).for_revision(V5);
        assert_eq!(linked.to_text(), "[1]");
        assert_eq!(linked.content.len(), 2);
    }

    #[test]
    fn blocks_that_a_revision_lacks() {
        let audio = ContentBlock::audio("AA==", "audio/wav");
        assert_eq!(at(&audio, V2)["type"], "audio");
        let embedded = json!({ "type": "resource", "resource": { "uri": "audio:block", "mimeType": "audio/wav", "blob": "AA==" } });
        assert_eq!(at(&audio, V1), embedded);
        let link =
            ContentBlock::ResourceLink(Resource::new("a:b", "n").title("T").description("d"));
        assert_eq!(at(&link, V3)["type"], "resource_link");
        assert_eq!(
            at(&link, V2),
            json!({ "type": "text", "text": "T: a:b\nd" })
        );
    }

    #[test]
    fn tools_lose_what_a_revision_lacks() {
        let tool = Tool::new("t", json!({ "type": "object" }))
            .title("T")
            .output_schema(json!({ "type": "array" }))
            .annotations(ToolAnnotations::new().read_only_hint(true));
        assert_eq!(at(&tool, V5)["outputSchema"], json!({ "type": "array" }));
        assert_eq!(at(&tool, V4)["outputSchema"], Value::Null);
        assert_eq!(
            at(&tool, V2),
            json!({
                "name": "t", "inputSchema": { "type": "object" }, "annotations": { "title": "T", "readOnlyHint": true },
            })
        );
        assert_eq!(
            at(&tool, V1),
            json!({ "name": "t", "inputSchema": { "type": "object" } })
        );
        let object = tool.output_schema(json!({ "type": "object" }));
        assert_eq!(at(&object, V3)["outputSchema"], json!({ "type": "object" }));
    }

    #[test]
    fn properties_are_described_by_objects() {
        for (schema, fits) in [
            (
                r#"{"properties":{"b": true ,"a":{"const":true},"c":false},"type":"object","x":true}"#,
                r#"{"properties":{"b": {} ,"a":{"const":true},"c":{"not":{}}},"type":"object","x":true}"#,
            ),
            (
                r#"{"type":"object","properties":true}"#,
                r#"{"type":"object","properties":true}"#,
            ),
            (
                r#"{"type":"object","properties":{"true":{}}}"#,
                r#"{"type":"object","properties":{"true":{}}}"#,
            ),
            ("true", "true"),
        ] {
            let raw = RawJson::parse(schema).unwrap();
            let tool = Tool::new("t", raw.clone()).output_schema(raw);
            let written = |version| {
                let tool = tool.clone().for_revision(version);
                let output = tool.output_schema.as_ref();
                assert!(output.is_none_or(|output| *output == tool.input_schema));
                tool.input_schema.to_string()
            };
            assert_eq!(written(V4), fits);
            assert_eq!(written(V5), schema);
        }
    }

    #[test]
    fn cache_hints_are_required_or_absent() {
        // REQ-CACHE-01
        let list = ListToolsResult::new([]);
        assert_eq!(
            at(&list, V5),
            json!({ "tools": [], "ttlMs": 0, "cacheScope": "private" })
        );
        assert_eq!(at(&list.ttl_ms(5), V4), json!({ "tools": [] }));
    }

    #[test]
    fn conversations_of_one_block_a_message() {
        // REQ-SAMP-06
        let two = SamplingMessage::new(crate::Role::User, ["a".into(), "b".into()]);
        let ask = CreateMessageParams::new([two.clone()]);
        assert_eq!(at(&ask, V4)["messages"].as_array().unwrap().len(), 1);
        let split = at(&ask, V3);
        assert_eq!(
            split["messages"][1],
            json!({ "role": "user", "content": { "type": "text", "text": "b" } })
        );
        assert_eq!(
            at(&two, V3)["content"],
            json!({ "type": "text", "text": "a\nb" })
        );
        let answer = CreateMessageResult::new("m", []);
        assert_eq!(
            at(&answer, V3)["content"],
            json!({ "type": "text", "text": "" })
        );
        let tools = ask.tools([Tool::new("t", json!({ "type": "object" }))]);
        assert!(tools.inexpressible(V3).is_some());
        assert!(tools.inexpressible(V4).is_none());
    }

    #[test]
    fn forms_for_2025_06_18() {
        let x = EnumOption::new("x").title("X");
        let schema = ElicitSchema::new()
            .required("a", EnumSchema::new([x]).default_value("x"))
            .optional("b", EnumSchema::new(["x"]).multiple());
        let form = ElicitParams::form("m", schema);
        assert_eq!(
            at(&form, V3),
            json!({
                "message": "m",
                "requestedSchema": {
                    "type": "object",
                    "properties": { "a": { "type": "string", "enum": ["x"], "enumNames": ["X"] } },
                    "required": ["a"],
                },
            })
        );
        let latest = at(&form, V4);
        assert_eq!(latest["mode"], "form");
        let a = &latest["requestedSchema"]["properties"]["a"];
        assert_eq!(a["oneOf"], json!([{ "const": "x", "title": "X" }]));
        assert!(form.inexpressible(V3).is_none());
        assert!(form.inexpressible(V2).is_some());
        assert!(
            ElicitParams::url("m", "https://a")
                .inexpressible(V3)
                .is_some()
        );
        let several = ElicitSchema::new().required("b", EnumSchema::new(["x"]).multiple());
        assert!(several.inexpressible(V3).is_some());
    }

    #[test]
    fn capabilities_of_a_client() {
        let all = r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}},"tasks":{}}"#;
        let all: ClientCapabilities = serde_json::from_str(all).unwrap();
        assert_eq!(
            at(&all, V5),
            json!({ "roots": {}, "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} } })
        );
        assert_eq!(
            at(&all, V3),
            json!({ "roots": { "listChanged": true }, "sampling": {}, "elicitation": {} })
        );
        assert_eq!(
            at(&all, V1),
            json!({ "roots": { "listChanged": true }, "sampling": {} })
        );
        let url = ClientCapabilities::new().elicitation(ElicitationCapability::new().url());
        assert_eq!(at(&url, V3), json!({}));
    }

    #[test]
    fn tasks_change_their_names() {
        let created = CreateTaskResult::new(Task::new("1", "now").ttl(5).result(json!({})));
        assert_eq!(at(&created, V4)["task"]["ttl"], 5);
        assert_eq!(at(&created, V4)["task"]["result"], Value::Null);
        let flat = at(&created, V5);
        assert_eq!(
            (&flat["ttlMs"], &flat["resultType"]),
            (&json!(5), &json!("task"))
        );
    }
}
