//! The official JSON Schema of a revision, in the directory that `MCP_SPEC_DIR` names or in `../../shared/spec/schema`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use mcp_server::types::{Era, ProtocolVersion};
use serde_json::{Value, json};

pub(crate) struct Schemas {
    version: ProtocolVersion,
    document: Value,
    key: &'static str,
    compiled: BTreeMap<String, Validator>,
}

impl Schemas {
    /// `None`, and a line that says so, if they are not there.
    pub(crate) fn load(version: ProtocolVersion) -> Option<Self> {
        let dir = std::env::var_os("MCP_SPEC_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/spec/schema"),
            PathBuf::from,
        );
        let path = dir.join(version.as_str()).join("schema.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("skipped: no schema at {}", path.display());
            return None;
        };
        let document: Value = serde_json::from_str(&text).unwrap();
        let key = match document.get("$defs") {
            Some(_) => "$defs",
            None => "definitions",
        };
        Some(Self {
            version,
            document,
            key,
            compiled: BTreeMap::new(),
        })
    }

    pub(crate) fn check(&mut self, definition: &str, instance: &Value) {
        let (document, key, version) = (&self.document, self.key, self.version);
        let compile = || {
            assert!(
                document[key].get(definition).is_some(),
                "{version} has no {definition}: {instance}"
            );
            let schema = json!({
                "$schema": document["$schema"],
                key: document[key],
                "$ref": format!("#/{key}/{definition}"),
            });
            jsonschema::validator_for(&schema).unwrap()
        };
        let validator = self
            .compiled
            .entry(definition.to_owned())
            .or_insert_with(compile);
        let faults: Vec<_> = validator
            .iter_errors(instance)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(
            faults.is_empty(),
            "{version}, {definition}: {faults:#?} in {instance:#}"
        );
    }

    /// A message as what it is: a request or a notification of its method, or a response.
    pub(crate) fn check_message(&mut self, message: &Value) {
        let Some(method) = message["method"].as_str() else {
            if message.get("error").is_none() {
                let v4 = self.version >= ProtocolVersion::V2025_11_25;
                let whole = if v4 {
                    "JSONRPCResultResponse"
                } else {
                    "JSONRPCResponse"
                };
                return self.check(whole, message);
            }
            let old = self.version < ProtocolVersion::V2025_11_25;
            let whole = if old {
                "JSONRPCError"
            } else {
                "JSONRPCErrorResponse"
            };
            self.check(whole, message);
            if self.version.era() == Era::Modern && message["error"]["code"] == -32021 {
                self.check("MissingRequiredClientCapabilityError", message);
            }
            return;
        };
        let definition = match method {
            "initialize" => "InitializeRequest",
            "server/discover" => "DiscoverRequest",
            "logging/setLevel" => "SetLevelRequest",
            "tools/call" => "CallToolRequest",
            "tools/list" => "ListToolsRequest",
            "resources/read" => "ReadResourceRequest",
            "resources/list" => "ListResourcesRequest",
            "resources/templates/list" => "ListResourceTemplatesRequest",
            "prompts/get" => "GetPromptRequest",
            "prompts/list" => "ListPromptsRequest",
            "completion/complete" => "CompleteRequest",
            "sampling/createMessage" => "CreateMessageRequest",
            "elicitation/create" => "ElicitRequest",
            "roots/list" => "ListRootsRequest",
            "notifications/initialized" => "InitializedNotification",
            "notifications/progress" => "ProgressNotification",
            "notifications/message" => "LoggingMessageNotification",
            "notifications/cancelled" => "CancelledNotification",
            "notifications/tools/list_changed" => "ToolListChangedNotification",
            "notifications/prompts/list_changed" => "PromptListChangedNotification",
            "notifications/resources/list_changed" => "ResourceListChangedNotification",
            "notifications/resources/updated" => "ResourceUpdatedNotification",
            "notifications/tasks/status" => "TaskStatusNotification",
            "notifications/tasks" => "JSONRPCNotification",
            "resources/subscribe" => "SubscribeRequest",
            "resources/unsubscribe" => "UnsubscribeRequest",
            "subscriptions/listen" => "SubscriptionsListenRequest",
            "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
            "tasks/get" | "tasks/cancel" | "tasks/update" if self.version.era() == Era::Modern => {
                "JSONRPCRequest"
            }
            "tasks/get" => "GetTaskRequest",
            "tasks/list" => "ListTasksRequest",
            "tasks/result" => "GetTaskPayloadRequest",
            "tasks/cancel" => "CancelTaskRequest",
            own if message.get("id").is_none() && !own.starts_with("notifications/") => {
                "JSONRPCNotification"
            }
            other => panic!("no definition stands for {other}"),
        };
        self.check(definition, message);
    }

    /// A result as that of its method.
    pub(crate) fn check_result(&mut self, method: &str, result: &Value) {
        if result["resultType"] == "input_required" {
            return self.check("InputRequiredResult", result);
        }
        let modern = self.version.era() == Era::Modern;
        let definition = match method {
            // The extension has no schema here.
            _ if result["resultType"] == "task" => return,
            "tasks/get" | "tasks/cancel" | "tasks/update" if modern => return,
            "tools/call" if result.get("task").is_some() => "CreateTaskResult",
            "tasks/get" => "GetTaskResult",
            "tasks/list" => "ListTasksResult",
            "tasks/result" => "GetTaskPayloadResult",
            "tasks/cancel" => "CancelTaskResult",
            "initialize" => "InitializeResult",
            "server/discover" => "DiscoverResult",
            "tools/call" => "CallToolResult",
            "tools/list" => "ListToolsResult",
            "resources/read" => "ReadResourceResult",
            "resources/list" => "ListResourcesResult",
            "resources/templates/list" => "ListResourceTemplatesResult",
            "prompts/get" => "GetPromptResult",
            "prompts/list" => "ListPromptsResult",
            "completion/complete" => "CompleteResult",
            "sampling/createMessage" => "CreateMessageResult",
            "elicitation/create" => "ElicitResult",
            "roots/list" => "ListRootsResult",
            _ => "EmptyResult",
        };
        self.check(definition, result);
    }
}
