//! The types against the official JSON Schemas: what is read from the specification's examples, and what is written for each
//! revision, is valid there.
//!
//! The schemas are found in the directory that `MCP_SPEC_DIR` names, or in `../../shared/spec/schema`; without them these
//! tests say that they were skipped.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use mcp_types::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn spec_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("MCP_SPEC_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/spec/schema"),
        PathBuf::from,
    );
    if dir.is_dir() {
        return Some(dir);
    }
    println!("skipped: no schemas in {}", dir.display());
    None
}

/// The definitions of one revision, each compiled when it is first asked for.
struct Schema {
    document: Value,
    key: &'static str,
    compiled: BTreeMap<String, Option<Validator>>,
}

impl Schema {
    fn load(dir: &Path, version: ProtocolVersion) -> Self {
        let path = dir.join(version.as_str()).join("schema.json");
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let document: Value = serde_json::from_str(&text).unwrap();
        let key = if document.get("$defs").is_some() {
            "$defs"
        } else {
            "definitions"
        };
        Self {
            document,
            key,
            compiled: BTreeMap::new(),
        }
    }

    /// Why an instance is invalid; `None` if the revision has no such definition.
    fn check(&mut self, definition: &str, instance: &Value) -> Option<Result<(), String>> {
        let (document, key) = (&self.document, self.key);
        let validator = self
            .compiled
            .entry(definition.to_owned())
            .or_insert_with(|| {
                document[key].get(definition)?;
                let schema = json!({
                    "$schema": document["$schema"],
                    key: document[key],
                    "$ref": format!("#/{key}/{definition}"),
                });
                Some(
                    jsonschema::validator_for(&schema)
                        .unwrap_or_else(|e| panic!("{definition}: {e}")),
                )
            });
        let validator = validator.as_ref()?;
        let errors: Vec<_> = validator
            .iter_errors(instance)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        Some(if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.join("; "))
        })
    }
}

/// Reads a value as a type and writes it again.
fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
    let text = value.to_string();
    let typed: T = serde_json::from_str(&text)?;
    let written = serde_json::to_string(&typed)?;
    let again: T = serde_json::from_str(&written)?;
    assert_eq!(serde_json::to_string(&again)?, written, "writing is stable");
    let by_value: T = serde_json::from_value(value.clone())?;
    assert_eq!(
        serde_json::to_value(&by_value)?,
        serde_json::to_value(&typed)?,
        "a Value reads as its text does"
    );
    serde_json::from_str(&written)
}

/// The member `at` of a message, read as a type and written again.
fn member<T: DeserializeOwned + Serialize>(
    message: &Value,
    at: &str,
) -> Result<Value, serde_json::Error> {
    let mut message = message.clone();
    if let Some(value) = message.get_mut(at) {
        *value = through::<T>(value)?;
    }
    Ok(message)
}

/// A result as the engine would send it: `resultType` is no member of the types.
fn result<T: DeserializeOwned + Serialize>(result: &Value) -> Result<Value, serde_json::Error> {
    if result["resultType"] == "input_required" {
        return through::<InputRequiredResult>(result);
    }
    let mut written = through::<T>(result)?;
    if let Some(kind) = result.get("resultType") {
        written["resultType"] = kind.clone();
    }
    Ok(written)
}

fn response<T: DeserializeOwned + Serialize>(message: &Value) -> Result<Value, serde_json::Error> {
    let mut message = message.clone();
    message["result"] = result::<T>(&message["result"])?;
    Ok(message)
}

fn request<R: Request>(message: &Value) -> Result<Value, serde_json::Error> {
    assert_eq!(message["method"], R::METHOD);
    member::<R::Params>(message, "params")
}

fn notification<N: Notification>(message: &Value) -> Result<Value, serde_json::Error> {
    assert_eq!(message["method"], N::METHOD);
    member::<N::Params>(message, "params")
}

/// A definition's example through the type that stands for it.
fn typed(definition: &str, example: &Value) -> Result<Value, serde_json::Error> {
    match definition {
        "AudioContent" | "EmbeddedResource" | "ImageContent" | "ResourceLink" | "TextContent" => {
            let block: ContentBlock = serde_json::from_value(example.clone())?;
            assert!(
                !matches!(block, ContentBlock::Unknown(_)),
                "{definition} is known"
            );
            through::<ContentBlock>(example)
        }
        "ToolResultContent" | "ToolUseContent" => {
            let block: SamplingContent = serde_json::from_value(example.clone())?;
            assert!(
                !matches!(block, SamplingContent::Unknown(_)),
                "{definition} is known"
            );
            through::<SamplingContent>(example)
        }
        "BlobResourceContents" | "TextResourceContents" => through::<ResourceContents>(example),
        "BooleanSchema"
        | "NumberSchema"
        | "StringSchema"
        | "TitledMultiSelectEnumSchema"
        | "TitledSingleSelectEnumSchema"
        | "UntitledMultiSelectEnumSchema"
        | "UntitledSingleSelectEnumSchema" => {
            let schema: PrimitiveSchema = serde_json::from_value(example.clone())?;
            assert_eq!(
                definition.contains("Enum"),
                matches!(schema, PrimitiveSchema::Enum(_)),
                "TRAP-08: {definition}"
            );
            assert!(
                !matches!(schema, PrimitiveSchema::Unknown(_)),
                "{definition} is known"
            );
            through::<PrimitiveSchema>(example)
        }
        "CallToolRequest" => request::<CallTool>(example),
        "CallToolRequestParams" => through::<CallToolParams>(example),
        "CallToolResult" => result::<CallToolResult>(example),
        "CallToolResultResponse" => response::<CallToolResult>(example),
        "CancelledNotification" => notification::<Cancelled>(example),
        "CancelledNotificationParams" => through::<CancelledParams>(example),
        "ClientCapabilities" => through::<ClientCapabilities>(example),
        "CompleteRequest" => request::<Complete>(example),
        "CompleteRequestParams" => through::<CompleteParams>(example),
        "CompleteResult" => result::<CompleteResult>(example),
        "CompleteResultResponse" => response::<CompleteResult>(example),
        "CreateMessageRequest" | "ElicitRequest" | "ListRootsRequest" => {
            let request: InputRequest = serde_json::from_value(example.clone())?;
            assert!(
                !matches!(request, InputRequest::Other { .. }),
                "{definition} is known"
            );
            let mut written = through::<InputRequest>(example)?;
            for surplus in ["id", "jsonrpc"] {
                if let Some(value) = example.get(surplus) {
                    written[surplus] = value.clone(); // X9: ignored
                }
            }
            Ok(written)
        }
        "CreateMessageRequestParams" => through::<CreateMessageParams>(example),
        "CreateMessageResult" => result::<CreateMessageResult>(example),
        "DiscoverRequest" => request::<Discover>(example),
        "DiscoverResult" => result::<DiscoverResult>(example),
        "DiscoverResultResponse" => response::<DiscoverResult>(example),
        "ElicitRequestFormParams" => {
            let ElicitParams::Form(form) = serde_json::from_value(example.clone())? else {
                panic!("{example} is a form");
            };
            let mut written = through::<ElicitParams>(example)?;
            written["requestedSchema"] = serde_json::to_value(form.schema()?)?;
            Ok(written)
        }
        "ElicitRequestURLParams" => through::<ElicitParams>(example),
        "ElicitResult" => result::<ElicitResult>(example),
        "GetPromptRequest" => request::<GetPrompt>(example),
        "GetPromptRequestParams" => through::<GetPromptParams>(example),
        "GetPromptResult" => result::<GetPromptResult>(example),
        "GetPromptResultResponse" => response::<GetPromptResult>(example),
        "HeaderMismatchError"
        | "MissingRequiredClientCapabilityError"
        | "UnsupportedProtocolVersionError" => member::<ErrorObject>(example, "error"),
        "InternalError" | "InvalidParamsError" | "MethodNotFoundError" | "ParseError" => {
            through::<ErrorObject>(example)
        }
        "InputRequests" => through::<InputRequests>(example),
        "InputRequiredResult" => through::<InputRequiredResult>(example),
        "InputResponses" => through::<InputResponses>(example),
        "ListPromptsRequest" => request::<ListPrompts>(example),
        "ListPromptsResult" => result::<ListPromptsResult>(example),
        "ListPromptsResultResponse" => response::<ListPromptsResult>(example),
        "ListResourceTemplatesRequest" => request::<ListResourceTemplates>(example),
        "ListResourceTemplatesResult" => result::<ListResourceTemplatesResult>(example),
        "ListResourceTemplatesResultResponse" => response::<ListResourceTemplatesResult>(example),
        "ListResourcesRequest" => request::<ListResources>(example),
        "ListResourcesResult" => result::<ListResourcesResult>(example),
        "ListResourcesResultResponse" => response::<ListResourcesResult>(example),
        "ListRootsResult" => result::<ListRootsResult>(example),
        "ListToolsRequest" => request::<ListTools>(example),
        "ListToolsResult" => result::<ListToolsResult>(example),
        "ListToolsResultResponse" => response::<ListToolsResult>(example),
        "LoggingMessageNotification" => notification::<LogMessage>(example),
        "LoggingMessageNotificationParams" => through::<LogMessageParams>(example),
        "ModelPreferences" => through::<ModelPreferences>(example),
        "PaginatedRequestParams" => through::<PaginatedParams>(example),
        "ProgressNotification" => notification::<Progress>(example),
        "ProgressNotificationParams" => through::<ProgressParams>(example),
        "PromptListChangedNotification" => notification::<PromptListChanged>(example),
        "ReadResourceRequest" => request::<ReadResource>(example),
        "ReadResourceResult" => result::<ReadResourceResult>(example),
        "ReadResourceResultResponse" => response::<ReadResourceResult>(example),
        "Resource" => through::<Resource>(example),
        "ResourceListChangedNotification" => notification::<ResourceListChanged>(example),
        "ResourceUpdatedNotification" => notification::<ResourceUpdated>(example),
        "ResourceUpdatedNotificationParams" => through::<ResourceUpdatedParams>(example),
        "Root" => through::<Root>(example),
        "SamplingMessage" => through::<SamplingMessage>(example),
        "ServerCapabilities" => through::<ServerCapabilities>(example),
        "SubscriptionsAcknowledgedNotification" => {
            notification::<SubscriptionAcknowledged>(example)
        }
        "SubscriptionsListenRequest" => request::<Listen>(example),
        "SubscriptionsListenResult" => result::<ListenResult>(example),
        "SubscriptionsListenResultResponse" => response::<ListenResult>(example),
        "Tool" => through::<Tool>(example),
        "ToolListChangedNotification" => notification::<ToolListChanged>(example),
        unknown => panic!("no type stands for {unknown}"),
    }
}

/// The same value with every number as a float: `50` and `50.0` are one number.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(floats).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (key.clone(), floats(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Without the flags that say no more than their absence does.
fn without_idle_flags(value: &Value) -> Value {
    let idle = ["isError", "required", "listChanged", "subscribe"];
    match value {
        Value::Array(items) => items.iter().map(without_idle_flags).collect(),
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(key, value)| !(idle.contains(&key.as_str()) && **value == json!(false)))
                .map(|(key, value)| (key.clone(), without_idle_flags(value)));
            Value::Object(kept.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn every_example_is_written_as_it_was_read() {
    let Some(dir) = spec_dir() else { return };
    let version = ProtocolVersion::V2026_07_28;
    let mut schema = Schema::load(&dir, version);
    let mut count = 0;
    let examples = dir.join(version.as_str()).join("examples");
    let mut definitions: Vec<_> = std::fs::read_dir(examples)
        .unwrap()
        .map(|d| d.unwrap().path())
        .collect();
    definitions.sort();
    for definition in definitions {
        let name = definition.file_name().unwrap().to_str().unwrap();
        for file in std::fs::read_dir(&definition).unwrap() {
            let file = file.unwrap().path();
            let example: Value =
                serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let at = file.display();
            let valid = schema
                .check(name, &example)
                .expect("the schema defines what it gives examples of");
            valid.unwrap_or_else(|e| panic!("{at}: the example itself: {e}"));
            let written = typed(name, &example).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(
                floats(&without_idle_flags(&written)),
                floats(&without_idle_flags(&example)),
                "{at}"
            );
            let valid = schema.check(name, &written).unwrap();
            valid.unwrap_or_else(|e| panic!("{at}: {e}: {written}"));
            count += 1;
        }
    }
    assert!(count >= 120, "only {count} examples");
}

/// Inventory §1.11: which revisions accept an instance (`T`), refuse it (`F`) or have no such type (`n`).
#[test]
fn facts_about_the_schemas() {
    let Some(dir) = spec_dir() else { return };
    let mut schemas = ProtocolVersion::ALL.map(|version| Schema::load(&dir, version));
    let call = |rest: Value| {
        let mut result = json!({ "content": [], "resultType": "complete" });
        result
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        result
    };
    let tool = |rest: Value| {
        let mut tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
        tool.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        tool
    };
    let values = vec!["x"; 101];
    for (definition, instance, verdict) in [
        ("EmptyResult", json!({}), "TTTTF"),
        ("EmptyResult", json!({ "resultType": "complete" }), "TTTTT"),
        (
            "CallToolResult",
            call(json!({ "structuredContent": null })),
            "TTFFT",
        ),
        (
            "CallToolResult",
            call(json!({ "structuredContent": [1] })),
            "TTFFT",
        ),
        (
            "CallToolResult",
            json!({ "resultType": "complete" }),
            "FFFFF",
        ),
        (
            "CallToolResult",
            call(json!({ "content": [{ "type": "audio", "data": "", "mimeType": "a/b" }] })),
            "FTTTT",
        ),
        (
            "CallToolResult",
            call(json!({ "content": [{ "type": "resource_link", "uri": "a:b", "name": "n" }] })),
            "FFTTT",
        ),
        (
            "ElicitResult",
            json!({ "action": "accept", "content": { "a": 1.5 } }),
            "nnFFF",
        ),
        (
            "ElicitResult",
            json!({ "action": "accept", "content": { "a": ["x"] } }),
            "nnFTT",
        ),
        (
            "SamplingMessage",
            json!({ "role": "user", "content": [{ "type": "text", "text": "" }] }),
            "FFFTT",
        ),
        (
            "Tool",
            tool(json!({ "inputSchema": { "type": "object", "oneOf": [] } })),
            "TTTTT",
        ),
        (
            "Tool",
            tool(json!({ "outputSchema": { "type": "array" } })),
            "TTFFT",
        ),
        (
            "ListToolsResult",
            json!({ "tools": [], "resultType": "complete" }),
            "TTTTF",
        ),
        (
            "CancelledNotification",
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {} }),
            "FFFTF",
        ),
        (
            "CompleteResult",
            json!({ "completion": { "values": values }, "resultType": "complete" }),
            "TTTTF",
        ),
        (
            "ClientCapabilities",
            json!({ "com.example/x": {}, "roots": { "listChanged": true } }),
            "TTTTT",
        ),
    ] {
        let got: String = schemas
            .iter_mut()
            .map(|schema| match schema.check(definition, &instance) {
                Some(Ok(())) => 'T',
                Some(Err(_)) => 'F',
                None => 'n',
            })
            .collect();
        assert_eq!(got, verdict, "{definition} {instance}");
    }
}

/// Writes samples for every revision and checks each there.
struct Writer {
    schemas: Vec<(ProtocolVersion, Schema)>,
    checked: usize,
    failed: Vec<String>,
}

impl Writer {
    fn check(&mut self, version: ProtocolVersion, definition: &str, instance: &Value) {
        let (_, schema) = self
            .schemas
            .iter_mut()
            .find(|(v, _)| *v == version)
            .unwrap();
        match schema.check(definition, instance) {
            Some(Ok(())) => self.checked += 1,
            Some(Err(e)) => self
                .failed
                .push(format!("{version} {definition}: {e}\n    {instance}")),
            None => {}
        }
    }

    fn versions(&self) -> Vec<ProtocolVersion> {
        self.schemas.iter().map(|(version, _)| *version).collect()
    }

    /// A part of a message.
    fn part<T: ForRevision + Clone + Serialize>(&mut self, definition: &str, value: &T) {
        for version in self.versions() {
            if value.inexpressible(version).is_none() {
                let written = serde_json::to_value(value.clone().for_revision(version)).unwrap();
                self.check(version, definition, &written);
            }
        }
    }

    /// A result, with what the engine adds.
    fn result<T: ForRevision + Clone + Serialize>(&mut self, definition: &str, value: &T) {
        for version in self.versions() {
            if value.inexpressible(version).is_none() {
                let mut written =
                    serde_json::to_value(value.clone().for_revision(version)).unwrap();
                if version.era() == Era::Modern {
                    written["resultType"] = json!("complete");
                }
                self.check(version, definition, &written);
            }
        }
    }

    /// A request, with what the engine adds.
    fn request<R: Request>(&mut self, definition: &str, params: &R::Params)
    where
        R::Params: ForRevision + Clone,
    {
        for version in self.versions() {
            if params.inexpressible(version).is_some() {
                continue;
            }
            let mut params = serde_json::to_value(params.clone().for_revision(version)).unwrap();
            let message = if definition == "CreateMessageRequest" || definition == "ElicitRequest" {
                if version.era() == Era::Modern {
                    json!({ "method": R::METHOD, "params": params })
                } else {
                    json!({ "jsonrpc": "2.0", "id": 1, "method": R::METHOD, "params": params })
                }
            } else {
                if version.era() == Era::Modern {
                    params["_meta"] = json!({
                        "io.modelcontextprotocol/protocolVersion": version,
                        "io.modelcontextprotocol/clientCapabilities": {},
                    });
                }
                json!({ "jsonrpc": "2.0", "id": 1, "method": R::METHOD, "params": params })
            };
            self.check(version, definition, &message);
        }
    }

    /// What converts to nothing else.
    fn plain<T: Serialize>(&mut self, definition: &str, value: &T) {
        for version in self.versions() {
            let written = serde_json::to_value(value).unwrap();
            self.check(version, definition, &written);
        }
    }

    fn notification<N: Notification>(&mut self, definition: &str, params: &N::Params) {
        let params = serde_json::to_value(params).unwrap();
        self.plain(
            definition,
            &json!({ "jsonrpc": "2.0", "method": N::METHOD, "params": params }),
        );
    }
}

fn meta() -> Meta {
    let mut meta = Meta::new();
    meta.set("com.example/a", &1);
    meta
}

fn icons() -> [Icon; 1] {
    [Icon::new("https://example.com/i.png")
        .mime_type("image/png")
        .sizes(["48x48".to_owned()])
        .theme(IconTheme::Dark)]
}

fn annotations() -> Annotations {
    Annotations::new()
        .audience([Role::User, Role::Assistant])
        .priority(0.5)
        .last_modified("2025-01-12T15:00:58Z")
}

fn resource() -> Resource {
    Resource::new("file:///a", "a")
        .title("A")
        .description("d")
        .mime_type("text/plain")
        .size(3)
        .annotations(annotations())
        .icons(icons())
        .meta(meta())
}

fn contents() -> [ResourceContents; 2] {
    [
        ResourceContents::text("file:///a", "abc")
            .mime_type("text/plain")
            .meta(meta()),
        ResourceContents::from_bytes("file:///b", [0, 1, 2]),
    ]
}

fn blocks() -> Vec<ContentBlock> {
    let [text, blob] = contents();
    vec![
        ContentBlock::Text(
            TextContent::new("t")
                .annotations(annotations())
                .meta(meta()),
        ),
        ContentBlock::Image(ImageContent::from_bytes([1], "image/png").annotations(annotations())),
        ContentBlock::Audio(AudioContent::from_bytes([1], "audio/wav").meta(meta())),
        ContentBlock::ResourceLink(resource()),
        ContentBlock::Resource(EmbeddedResource::new(text).annotations(annotations())),
        ContentBlock::resource(blob),
    ]
}

fn tool() -> Tool {
    Tool::new(
        "t",
        json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": true }, "required": ["a"] }),
    )
    .title("T")
    .description("d")
    .output_schema(json!({ "type": "object", "properties": { "a": true, "b": false } }))
    .annotations(
        ToolAnnotations::new()
            .title("x")
            .read_only_hint(true)
            .open_world_hint(false),
    )
    .icons(icons())
    .execution(ToolExecution::new().task_support(TaskSupport::Optional))
    .meta(meta())
}

fn answers() -> InputResponses {
    let mut answers = InputResponses::new();
    answers
        .answer(
            "a",
            &ElicitResult::accept(json!({ "x": 1, "y": ["a"], "z": true })),
        )
        .unwrap();
    answers
        .answer("b", &CreateMessageResult::text("m", "t"))
        .unwrap();
    answers
        .answer("c", &ListRootsResult::new([Root::new("file:///")]))
        .unwrap();
    answers
}

fn form() -> ElicitParams {
    let schema = ElicitSchema::new()
        .required(
            "s",
            StringSchema::new()
                .title("S")
                .min_length(1)
                .max_length(9)
                .format(StringFormat::Email)
                .default_value("a@b"),
        )
        .optional(
            "n",
            NumberSchema::new().minimum(1).maximum(9).default_value(2),
        )
        .optional("i", NumberSchema::integer().description("d"))
        .optional("b", BooleanSchema::new().default_value(true))
        .required(
            "e",
            EnumSchema::new(["x", "y"]).title("E").default_value("x"),
        )
        .optional(
            "t",
            EnumSchema::titled([("x", "X")])
                .description("d")
                .default_value("x"),
        )
        .optional(
            "m",
            EnumSchema::new(["x", "y"])
                .multiple()
                .min_items(1)
                .max_items(2)
                .default_value("x"),
        )
        .optional("mt", EnumSchema::titled([("x", "X")]).multiple());
    ElicitParams::form("m", schema).meta(meta())
}

fn sampling() -> CreateMessageParams {
    CreateMessageParams::user("a")
        .message(SamplingMessage::new(
            Role::Assistant,
            ["b".into(), SamplingContent::image("AA==", "image/png")],
        ))
        .message(SamplingMessage::user(SamplingContent::audio("AA==", "audio/wav")).meta(meta()))
        .model_preferences(
            ModelPreferences::new()
                .hints([ModelHint::new("m")])
                .cost_priority(0.1)
                .speed_priority(0.2)
                .intelligence_priority(1.0),
        )
        .system_prompt("s")
        .include_context(IncludeContext::ThisServer)
        .temperature(0.7)
        .stop_sequences(["x".to_owned()])
        .metadata(json!({ "a": 1 }))
        .task(TaskMetadata::new().ttl(5))
        .meta(meta())
}

fn sampling_with_tools() -> CreateMessageParams {
    let call = ToolUseContent::new("1", "t", json!({ "a": 1 })).meta(meta());
    let answer = ToolResultContent::new("1", blocks())
        .structured_content(json!([1]))
        .is_error(true)
        .meta(meta());
    sampling()
        .message(SamplingMessage::assistant(call))
        .message(SamplingMessage::user(answer))
        .tools([tool()])
        .tool_choice(ToolChoice::new(ToolChoiceMode::Required))
}

fn client_capabilities() -> ClientCapabilities {
    let requests = TaskRequestsCapability::new()
        .sampling(TaskSamplingCapability::new().create_message())
        .elicitation(TaskElicitationCapability::new().create());
    ClientCapabilities::new()
        .roots(RootsCapability::new().list_changed(true))
        .sampling(SamplingCapability::new().context().tools())
        .elicitation(ElicitationCapability::new().form().url())
        .tasks(TasksCapability::new().list().cancel().requests(requests))
        .experimental("x", RawJson::EMPTY_OBJECT)
        .extensions("com.example/x", json!({ "a": 1 }))
}

fn server_capabilities() -> ServerCapabilities {
    let requests = TaskRequestsCapability::new().tools(TaskToolsCapability::new().call());
    ServerCapabilities::new()
        .tools(ToolsCapability::new().list_changed(true))
        .resources(
            ResourcesCapability::new()
                .list_changed(true)
                .subscribe(true),
        )
        .prompts(PromptsCapability::new().list_changed(true))
        .logging()
        .completions()
        .tasks(TasksCapability::new().list().cancel().requests(requests))
        .experimental("x", json!({ "a": 1 }))
        .extensions("com.example/x", RawJson::EMPTY_OBJECT)
}

fn implementation() -> Implementation {
    Implementation::new("n", "1")
        .title("N")
        .description("d")
        .icons(icons())
        .website_url("https://example.com")
}

#[test]
fn what_is_written_for_a_revision_is_valid_there() {
    let Some(dir) = spec_dir() else { return };
    let schemas = ProtocolVersion::ALL.map(|version| (version, Schema::load(&dir, version)));
    let mut to = Writer {
        schemas: schemas.into(),
        checked: 0,
        failed: Vec::new(),
    };

    to.part("Implementation", &implementation());
    to.part("ClientCapabilities", &client_capabilities());
    to.part("ServerCapabilities", &server_capabilities());
    let version = ProtocolVersion::V2025_11_25;
    to.request::<Initialize>(
        "InitializeRequest",
        &InitializeParams::new(version, client_capabilities(), implementation()).meta(meta()),
    );
    to.result(
        "InitializeResult",
        &InitializeResult::new(version, server_capabilities(), implementation()).instructions("i"),
    );
    to.result(
        "DiscoverResult",
        &DiscoverResult::new(ProtocolVersion::ALL, server_capabilities()).instructions("i"),
    );
    to.plain("SetLevelRequest", &json!({ "jsonrpc": "2.0", "id": "a", "method": SetLevel::METHOD, "params": SetLevelParams::new(LogLevel::Alert) }));
    to.plain("PingRequest", &json!({ "jsonrpc": "2.0", "id": "a", "method": Ping::METHOD, "params": EmptyParams::new().meta(meta()) }));

    for block in blocks() {
        to.part("ContentBlock", &block);
        to.part("PromptMessage", &PromptMessage::user(block));
    }
    to.part("Tool", &tool());
    to.part("Tool", &tool().output_schema(json!({ "type": "array" })));
    to.result(
        "ListToolsResult",
        &ListToolsResult::new([tool()])
            .next_cursor("")
            .ttl_ms(5)
            .cache_scope(CacheScope::Public)
            .meta(meta()),
    );
    let call = CallToolParams::new("t")
        .arguments(json!({ "a": 1 }))
        .input_responses(answers())
        .request_state("s");
    to.request::<CallTool>("CallToolRequest", &call.task(TaskMetadata::new().ttl(5)));
    for structured in [json!({ "a": 1 }), json!([1]), json!(null), json!(1.5)] {
        let result = CallToolResult::new()
            .content(blocks())
            .structured_content(structured.clone())
            .is_error(true);
        to.result("CallToolResult", &result.meta(meta()));
        to.result(
            "CallToolResult",
            &CallToolResult::new().structured(structured),
        );
    }
    to.result("CallToolResult", &CallToolResult::new());

    to.part("Resource", &resource());
    let template = ResourceTemplate::new("file:///{a}", "a")
        .title("A")
        .description("d")
        .mime_type("a/b");
    let template = template
        .annotations(annotations())
        .icons(icons())
        .meta(meta());
    to.part("ResourceTemplate", &template);
    to.result(
        "ListResourcesResult",
        &ListResourcesResult::new([resource()]).next_cursor("c"),
    );
    to.result(
        "ListResourceTemplatesResult",
        &ListResourceTemplatesResult::new([template]),
    );
    to.request::<ReadResource>(
        "ReadResourceRequest",
        &ReadResourceParams::new("file:///a")
            .input_responses(answers())
            .request_state("s"),
    );
    to.result(
        "ReadResourceResult",
        &ReadResourceResult::new(contents()).meta(meta()),
    );
    to.notification::<ResourceUpdated>(
        "ResourceUpdatedNotification",
        &ResourceUpdatedParams::new("file:///a"),
    );
    to.notification::<ResourceListChanged>("ResourceListChangedNotification", &EmptyParams::new());
    to.plain("SubscribeRequest", &json!({ "jsonrpc": "2.0", "id": 1, "method": Subscribe::METHOD, "params": SubscribeParams::new("file:///a") }));

    let argument = PromptArgument::new("a")
        .title("A")
        .description("d")
        .required(true);
    let prompt = Prompt::new("p")
        .title("P")
        .description("d")
        .argument(argument)
        .icons(icons())
        .meta(meta());
    to.part("Prompt", &prompt);
    to.result(
        "ListPromptsResult",
        &ListPromptsResult::new([prompt]).next_cursor("c"),
    );
    to.request::<GetPrompt>(
        "GetPromptRequest",
        &GetPromptParams::new("p")
            .argument("a", "b")
            .input_responses(answers()),
    );
    let messages: Vec<_> = blocks().into_iter().map(PromptMessage::assistant).collect();
    to.result(
        "GetPromptResult",
        &GetPromptResult::new(messages).description("d"),
    );
    for reference in [
        CompletionRef::prompt("p"),
        CompletionRef::resource("file:///{a}"),
    ] {
        to.request::<Complete>(
            "CompleteRequest",
            &CompleteParams::new(reference, "a", "v").context("b", "w"),
        );
    }
    for version in ProtocolVersion::ALL {
        let mut result = serde_json::to_value(CompleteResult::new(["a"; 101])).unwrap();
        result["resultType"] = json!("complete");
        to.check(version, "CompleteResult", &result);
    }

    to.request::<CreateMessage>("CreateMessageRequest", &sampling());
    to.request::<CreateMessage>("CreateMessageRequest", &sampling_with_tools());
    to.part(
        "CreateMessageResult",
        &CreateMessageResult::text("m", "t").meta(meta()),
    );
    to.part(
        "CreateMessageResult",
        &CreateMessageResult::new(
            "m",
            ["a".into(), SamplingContent::audio("AA==", "audio/wav")],
        ),
    );
    to.part(
        "CreateMessageResult",
        &CreateMessageResult::new("m", [ToolUseContent::new("1", "t", json!({})).into()])
            .stop_reason("toolUse"),
    );
    to.part(
        "ListRootsResult",
        &ListRootsResult::new([Root::new("file:///a").name("n").meta(meta())]),
    );
    to.request::<Elicit>("ElicitRequest", &form());
    to.request::<Elicit>(
        "ElicitRequest",
        &ElicitParams::url("m", "https://example.com").elicitation_id("1"),
    );
    for result in [
        ElicitResult::accept(json!({ "a": "x", "b": 1, "c": true })),
        ElicitResult::decline(),
        ElicitResult::cancel(),
    ] {
        to.plain("ElicitResult", &result);
    }

    let requests = InputRequests::new()
        .with("a", form())
        .with("b", sampling_with_tools())
        .with("c", InputRequest::ListRoots(EmptyParams::new()));
    to.part(
        "InputRequiredResult",
        &InputRequiredResult::new(requests)
            .request_state("s")
            .meta(meta()),
    );
    to.part("InputRequiredResult", &InputRequiredResult::state("s"));
    to.plain("InputResponses", &answers());

    let filter = SubscriptionFilter::new()
        .tools_list_changed(true)
        .resource("file:///a")
        .notification("x")
        .task_ids(["1".to_owned()]);
    to.plain("SubscriptionFilter", &filter);
    let granted = SubscriptionAcknowledgedParams::new(&7.into(), filter);
    to.notification::<SubscriptionAcknowledged>("SubscriptionsAcknowledgedNotification", &granted);

    to.notification::<LogMessage>(
        "LoggingMessageNotification",
        &LogMessageParams::new(LogLevel::Info, json!(null))
            .logger("l")
            .meta(meta()),
    );
    let progress = ProgressParams::new("t", 0.5)
        .total(1.0)
        .message("m")
        .meta(meta());
    for version in ProtocolVersion::ALL {
        let params = progress.clone().for_revision(version);
        to.check(
            version,
            "ProgressNotification",
            &json!({ "jsonrpc": "2.0", "method": Progress::METHOD, "params": params }),
        );
    }
    to.notification::<Cancelled>(
        "CancelledNotification",
        &CancelledParams::new(7).reason("r").meta(meta()),
    );
    to.notification::<Initialized>("InitializedNotification", &EmptyParams::new());
    to.notification::<RootsListChanged>(
        "RootsListChangedNotification",
        &EmptyParams::new().meta(meta()),
    );
    to.notification::<ElicitationComplete>(
        "ElicitationCompleteNotification",
        &ElicitationCompleteParams::new("1"),
    );

    let task = Task::new("1", "2025-11-25T10:30:00Z")
        .status(TaskState::Failed)
        .status_message("m")
        .poll_interval(5);
    for task in [task.clone().ttl(5), task] {
        to.part("Task", &task);
        to.part("GetTaskResult", &task);
        to.part(
            "CancelTaskResult",
            &CancelTaskResult::new().task(task.clone()),
        );
        to.part(
            "CreateTaskResult",
            &CreateTaskResult::new(task.clone()).meta(meta()),
        );
        to.part(
            "ListTasksResult",
            &ListTasksResult::new([task.clone()]).next_cursor("c"),
        );
        to.notification::<TaskStatus>("TaskStatusNotification", &task);
    }
    let required = UrlElicitationRequired::new([
        ElicitParams::url("m", "https://example.com").elicitation_id("1")
    ]);
    let error = ErrorObject::new(ErrorCode::URL_ELICITATION_REQUIRED, "m").with_data(&required);
    to.plain(
        "URLElicitationRequiredError",
        &json!({ "jsonrpc": "2.0", "id": 1, "error": error }),
    );

    assert!(
        to.failed.is_empty(),
        "{} of {}:\n{}",
        to.failed.len(),
        to.checked + to.failed.len(),
        to.failed.join("\n")
    );
    assert!(to.checked > 200, "only {} checks", to.checked);
    println!("{} messages are valid", to.checked);
}
