//! The types against those of an independent implementation: what is written here it reads, what it writes is read here, and
//! nothing is lost on the way.
//!
//! Values are random, made fit for the revision, and completed as the engine completes them; messages written by hand
//! go the same way. Where the other implementation holds less than it is sent, a [`Limit`] says so, with a
//! message that shows it: a limit that is none any more fails the test.
//!
//! Each run has a seed of its own, which a failure prints; `PEER_TYPES_SEED` sets it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::cell::RefCell;
use std::fmt::Debug;

use mcp_types::strategies::*;
use mcp_types::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use ProtocolVersion::{
    V2024_11_05 as V1, V2025_03_26 as V2, V2025_06_18 as V3, V2025_11_25 as V4, V2026_07_28 as V5,
};

/// A value in the one form that all its spellings share: numbers as floats, nothing that says no more than its absence.
fn settled(value: &Value) -> Value {
    // False by default, and left out here.
    let idle = ["isError", "required", "listChanged", "subscribe"];
    let says_nothing = |key: &str, value: &Value| match value {
        Value::Bool(false) => idle.contains(&key),
        Value::Null => key != "structuredContent" && key != "data",
        _ => false,
    };
    match value {
        Value::Number(n) => n.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(settled).collect(),
        Value::Object(members) => {
            let said = members
                .iter()
                .filter(|(key, value)| !says_nothing(key, value));
            let settled = said.map(|(key, value)| match (key.as_str(), settled(value)) {
                // One block may stand alone.
                ("content", block @ Value::Object(_)) => (key.clone(), json!([block])),
                (_, value) => (key.clone(), value),
            });
            Value::Object(settled.collect())
        }
        other => other.clone(),
    }
}

/// What the other implementation cannot hold, though we send it.
struct Limit {
    /// The revisions in which that is so.
    versions: &'static [ProtocolVersion],
    why: &'static str,
    /// Takes it out of what is sent: a body, by the name of its method or type.
    without: fn(&str, &mut Value),
}

/// Visits every object in a value, the outer ones first.
fn objects(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| objects(item, visit)),
        Value::Object(members) => {
            visit(members);
            members.values_mut().for_each(|value| objects(value, visit));
        }
        _ => {}
    }
}

fn numbers(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_u64() && !n.is_i64() => *value = json!(i64::MAX),
        Value::Array(items) => items.iter_mut().for_each(numbers),
        Value::Object(members) => members.values_mut().for_each(numbers),
        _ => {}
    }
}

fn whole(value: &mut Value) {
    let partial = |value: &Value| value.is_null() || value.is_f64();
    match value {
        Value::Array(items) => {
            items.retain(|item| !partial(item));
            items.iter_mut().for_each(whole);
        }
        Value::Object(members) => {
            members.retain(|_, value| !partial(value));
            members.values_mut().for_each(whole);
        }
        _ => {}
    }
}

fn schemas(value: &mut Value, edit: impl Fn(&mut Map<String, Value>)) {
    objects(value, &mut |it| {
        for key in ["inputSchema", "outputSchema"] {
            if let Some(Value::Object(schema)) = it.get_mut(key) {
                edit(schema);
            }
        }
    });
}

const LIMITS: &[Limit] = &[
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "integers are of 64 bits, with a sign",
        without: |_, body| numbers(body),
    },
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "an optional list without items is left out",
        without: |_, body| {
            let lists = [
                "audience",
                "icons",
                "sizes",
                "hints",
                "arguments",
                "stopSequences",
                "required",
                "resourceSubscriptions",
            ];
            objects(body, &mut |it| {
                let tools = it.contains_key("maxTokens");
                it.retain(|key, value| {
                    let optional = lists.contains(&key.as_str()) || (tools && key == "tools");
                    !(optional && *value == json!([]))
                });
            });
        },
    },
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "a block of an unknown type is refused",
        without: |_, body| {
            let known = |block: &Value| {
                !block["type"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("x-"))
            };
            objects(body, &mut |it| match it.get_mut("content") {
                Some(Value::Array(blocks)) => blocks.retain(known),
                Some(block) if !known(block) => *block = json!({ "type": "text", "text": "" }),
                _ => {}
            });
        },
    },
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "a tool's input is an object, and its schema says so (REQ-TOOL-03)",
        without: |_, body| {
            schemas(body, |schema| {
                schema.insert("type".to_owned(), json!("object"));
            })
        },
    },
    Limit {
        versions: &[V1, V2, V3, V4],
        why: "of a tool's schema the type, the properties and what is required are kept",
        without: |_, body| schemas(body, |schema| schema.retain(|key, _| key == "type")),
    },
    Limit {
        versions: &[V1, V2, V3],
        why: "requests and notifications have no `_meta`",
        without: |name, body| {
            if !name.contains("::") {
                body.as_object_mut().unwrap().remove("_meta");
            }
        },
    },
    Limit {
        versions: &[V4],
        why: "what is about a task, or a finished elicitation, has no `_meta`",
        without: |name, body| {
            if [
                "tasks/get",
                "tasks/result",
                "tasks/cancel",
                "notifications/elicitation/complete",
            ]
            .contains(&name)
            {
                body.as_object_mut().unwrap().remove("_meta");
            }
            objects(body, &mut |it| {
                if it.contains_key("taskId") && !name.contains("::Task") {
                    it.remove("_meta");
                }
            });
        },
    },
    Limit {
        versions: &[V5],
        why: "what a client answers in a round has no `_meta`",
        without: |name, body| {
            if ["ListRootsResult", "CreateMessageResult", "ElicitResult"]
                .iter()
                .any(|it| name.ends_with(it))
            {
                body.as_object_mut().unwrap().remove("_meta");
            }
        },
    },
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "a capability that is not in the schema is lost",
        without: |_, body| {
            fn without(capability: &mut Value) {
                if let Value::Object(it) = capability {
                    it.retain(|key, _| !key.starts_with("x-"));
                    it.values_mut().for_each(without);
                }
            }
            let Some(Value::Object(capabilities)) = body.get_mut("capabilities") else {
                return;
            };
            capabilities.retain(|key, _| !key.starts_with("x-"));
            for (key, value) in capabilities {
                if key != "extensions" && key != "experimental" {
                    without(value);
                }
            }
        },
    },
    Limit {
        versions: &[V1, V2, V3, V4],
        why: "extensions were negotiated before their schema came (SEP-2133), which is not foreseen",
        without: |_, body| {
            if let Some(capabilities) = body.get_mut("capabilities") {
                capabilities.as_object_mut().unwrap().remove("extensions");
            }
        },
    },
    Limit {
        versions: &[V5],
        why: "a filter's member that is not in the schema is lost",
        without: |_, body| {
            if let Some(Value::Object(filter)) = body.get_mut("notifications") {
                filter.retain(|key, _| {
                    [
                        "toolsListChanged",
                        "promptsListChanged",
                        "resourcesListChanged",
                        "resourceSubscriptions",
                    ]
                    .contains(&key.as_str())
                });
            }
        },
    },
    Limit {
        versions: &[V3, V4, V5],
        why: "an enumeration is read as the first that fits it, a plain string without options (TRAP-08)",
        without: |_, body| {
            objects(body, &mut |it| {
                if it.contains_key("enum") || it.contains_key("oneOf") || it.contains_key("items") {
                    it.retain(|key, _| key == "type");
                    it.insert("type".to_owned(), json!("string"));
                }
            })
        },
    },
    Limit {
        versions: &[V3, V4, V5],
        why: "a form's values are what the schema says, and whole numbers (TRAP-12)",
        without: |name, body| {
            if let Some(Value::Object(content)) = body
                .get_mut("content")
                .filter(|_| name.ends_with("ElicitResult"))
            {
                content
                    .retain(|_, value| value.is_string() || value.is_boolean() || value.is_i64());
            }
        },
    },
    Limit {
        versions: &[V5],
        why: "what is answered in a round is one of three results",
        without: |_, body| {
            if let Some(Value::Object(answers)) = body.get_mut("inputResponses") {
                answers
                    .values_mut()
                    .for_each(|answer| *answer = json!({ "action": "cancel" }));
            }
        },
    },
    Limit {
        versions: &ProtocolVersion::ALL,
        why: "enumerations are closed",
        without: |_, body| {
            let names: [(&str, &[&str]); 5] = [
                ("mode", &["auto", "required", "none", "form", "url"]),
                ("includeContext", &["none", "thisServer", "allServers"]),
                ("taskSupport", &["forbidden", "optional", "required"]),
                ("theme", &["light", "dark"]),
                (
                    "status",
                    &[
                        "working",
                        "input_required",
                        "completed",
                        "failed",
                        "cancelled",
                    ],
                ),
            ];
            objects(body, &mut |it| {
                for (key, known) in names {
                    if let Some(Value::String(name)) = it.get_mut(key)
                        && !known.contains(&name.as_str())
                    {
                        *name = known[0].to_owned();
                    }
                }
            });
        },
    },
    Limit {
        versions: &[V4],
        why: "a task is never kept for ever: `ttl` is no null, though the schema has it",
        without: |_, body| {
            objects(body, &mut |it| {
                if it.contains_key("taskId") && it.get("ttl") == Some(&Value::Null) {
                    it.insert("ttl".to_owned(), json!(1));
                }
            })
        },
    },
    Limit {
        versions: &[V5],
        why: "a structured content of null is lost",
        without: |_, body| {
            objects(body, &mut |it| {
                if it.get("structuredContent") == Some(&Value::Null) {
                    it.remove("structuredContent");
                }
            })
        },
    },
    Limit {
        versions: &[V4],
        why: "an elicitation by URL has an id (REQ-ELIC-10)",
        without: |_, body| {
            objects(body, &mut |it| {
                if it.get("mode") == Some(&json!("url")) {
                    it.entry("elicitationId").or_insert(json!("1"));
                }
            })
        },
    },
    Limit {
        versions: &[V5],
        why: "open JSON that is no structured content has neither nulls nor fractions",
        without: |_, body| {
            objects(body, &mut |it| {
                for key in ["metadata", "extensions", "experimental"] {
                    it.get_mut(key).into_iter().for_each(whole);
                }
            })
        },
    },
];

/// One revision of the other implementation.
struct Peer {
    version: ProtocolVersion,
    seed: u64,
    exchanged: usize,
    failed: Vec<String>,
    /// The limits that were met: without them, an exchange has failed.
    met: RefCell<Vec<&'static str>>,
}

/// A message's body on its way there and back.
struct Body<'a> {
    /// The name of the method or the type.
    name: &'a str,
    /// Completed as the engine does it.
    complete: &'a dyn Fn(Value) -> Value,
    /// The way through both types.
    through: &'a dyn Fn(&Value) -> Result<Value, String>,
}

impl Peer {
    fn new(version: ProtocolVersion) -> Self {
        let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let seed = std::env::var("PEER_TYPES_SEED").ok();
        Self {
            version,
            seed: seed.map_or(clock.as_micros() as u64, |seed| seed.parse().unwrap()),
            exchanged: 0,
            failed: Vec::new(),
            met: RefCell::default(),
        }
    }

    fn done(self) {
        for limit in self.limits() {
            // The values are random: that none of them met a limit this time says little.
            if !self.met.borrow().contains(&limit.why) {
                println!("{}: not met this time: {}", self.version, limit.why);
            }
        }
        let failed = self.failed.join("\n");
        let (version, seed) = (self.version, self.seed);
        assert!(
            failed.is_empty(),
            "{version}, PEER_TYPES_SEED={seed}:\n{failed}"
        );
        println!("{version}: {} messages", self.exchanged);
        assert!(self.exchanged > 1000);
    }

    fn limits(&self) -> impl Iterator<Item = &'static Limit> + use<> {
        let version = self.version;
        LIMITS
            .iter()
            .filter(move |limit| limit.versions.contains(&version))
    }

    /// Without anything that the other implementation cannot hold, but for the limit named.
    fn within_limits(&self, name: &str, sent: &Value, but: Option<&str>) -> Value {
        let mut sent = sent.clone();
        for limit in self.limits().filter(|limit| Some(limit.why) != but) {
            (limit.without)(name, &mut sent);
        }
        sent
    }

    /// Random values of one type, and some written by hand.
    fn exchange<S>(&mut self, body: &Body<'_>, values: S, by_hand: &[Value])
    where
        S: Strategy,
        S::Value: ForRevisionIfAny + Debug,
    {
        const CASES: u32 = 64;
        let there_and_back = |sent: &Value| {
            let back = settled(&(body.through)(sent)?);
            if back == settled(sent) {
                return Ok(());
            }
            Err(format!("what they write is not what we read of it: {back}"))
        };
        let exchange = |sent: Value| {
            let sent = (body.complete)(sent);
            let within = self.within_limits(body.name, &sent, None);
            there_and_back(&within).map_err(|e| format!("{e}\n    of {within}\n    END"))?;
            for limit in self.limits() {
                if self.met.borrow().contains(&limit.why) {
                    continue;
                }
                let beyond = self.within_limits(body.name, &sent, Some(limit.why));
                if beyond != within && there_and_back(&beyond).is_err() {
                    self.met.borrow_mut().push(limit.why);
                }
            }
            Ok(())
        };
        let mut runner = TestRunner::new(Config {
            cases: CASES,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(self.seed),
            ..Config::default()
        });
        let outcome = runner.run(&values, |value| {
            let sent = value.fit(self.version);
            sent.map_or(Ok(()), exchange).map_err(TestCaseError::fail)
        });
        let by_hand_outcome = by_hand.iter().cloned().try_for_each(exchange);
        self.exchanged += by_hand.len();
        self.exchanged += CASES as usize;
        let outcome = outcome.map_err(|e| e.to_string());
        for e in [outcome, by_hand_outcome]
            .into_iter()
            .filter_map(Result::err)
        {
            let brief = e.split("\n    END").next().unwrap_or_default();
            self.failed.push(format!("{}: {brief}", body.name));
        }
    }

    fn message<Ours, Theirs>(
        &mut self,
        name: &str,
        values: impl Strategy<Value = Ours>,
        by_hand: &[Value],
    ) where
        Ours: Serialize + DeserializeOwned + ForRevisionIfAny + Debug,
        Theirs: Serialize + DeserializeOwned,
    {
        let alone = ["sampling/createMessage", "elicitation/create", "roots/list"].contains(&name);
        let stamped = self.version == V5 && !alone && !name.starts_with("notifications/");
        let complete = |mut params: Value| {
            if stamped {
                params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(V5);
                params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
            }
            params
        };
        let through = |params: &Value| {
            let message = json!({ "jsonrpc": "2.0", "id": "x", "method": name, "params": params });
            let written = through::<Theirs>(&message, &|message| {
                let params = &message["params"];
                if params.is_null() {
                    json!({})
                } else {
                    params.clone()
                }
            })?;
            read::<Ours>(&written)
        };
        let body = Body {
            name,
            complete: &complete,
            through: &through,
        };
        self.exchange(&body, values, by_hand);
    }

    fn request<R: Request, Theirs: Serialize + DeserializeOwned>(
        &mut self,
        params: impl Strategy<Value = R::Params>,
        by_hand: &[Value],
    ) where
        R::Params: ForRevisionIfAny + Debug,
    {
        self.message::<R::Params, Theirs>(R::METHOD, params, by_hand);
    }

    fn notification<N: Notification, Theirs: Serialize + DeserializeOwned>(
        &mut self,
        params: impl Strategy<Value = N::Params>,
        by_hand: &[Value],
    ) where
        N::Params: ForRevisionIfAny + Debug,
    {
        self.message::<N::Params, Theirs>(N::METHOD, params, by_hand);
    }

    fn result<Ours, Theirs>(&mut self, values: impl Strategy<Value = Ours>, by_hand: &[Value])
    where
        Ours: Serialize + DeserializeOwned + ForRevisionIfAny + Debug,
        Theirs: Serialize + DeserializeOwned,
    {
        let name = std::any::type_name::<Ours>();
        // What a client answers in a round is no result of its own.
        let alone = [
            "CreateMessageResult",
            "ListRootsResult",
            "ElicitResult",
            "InputRequiredResult",
        ];
        let stamped = self.version == V5 && !alone.iter().any(|alone| name.ends_with(alone));
        let complete = |mut result: Value| {
            if stamped {
                result["resultType"] = json!("complete");
            }
            result
        };
        let through = |result: &Value| {
            let written = through::<Theirs>(result, &Value::clone)?;
            Ok(complete(read::<Ours>(&written)?))
        };
        let body = Body {
            name,
            complete: &complete,
            through: &through,
        };
        self.exchange(&body, values, by_hand);
    }
}

/// A part of a message through the other implementation's type, which must not lose anything of it.
fn through<Theirs: Serialize + DeserializeOwned>(
    message: &Value,
    part: &dyn Fn(&Value) -> Value,
) -> Result<Value, String> {
    let theirs: Theirs =
        serde_json::from_str(&message.to_string()).map_err(|e| format!("they refuse it: {e}"))?;
    let written =
        serde_json::to_value(&theirs).map_err(|e| format!("they cannot write it: {e}"))?;
    let written = part(&written);
    if settled(&written) != settled(&part(message)) {
        return Err(format!("they lose something: {written}"));
    }
    Ok(written)
}

fn read<Ours: Serialize + DeserializeOwned>(written: &Value) -> Result<Value, String> {
    let ours: Ours = serde_json::from_str(&written.to_string())
        .map_err(|e| format!("what they write is refused: {e}\n    {written}"))?;
    Ok(serde_json::to_value(ours).unwrap())
}

/// A value for a revision, if it can be said there.
trait ForRevisionIfAny: Serialize {
    fn fit(self, version: ProtocolVersion) -> Option<Value>;
}

macro_rules! fitted {
    ($($name:ident)*) => {
        $(impl ForRevisionIfAny for $name {
            fn fit(self, version: ProtocolVersion) -> Option<Value> {
                self.inexpressible(version).is_none().then(|| serde_json::to_value(self.for_revision(version)).unwrap())
            }
        })*
    };
}

macro_rules! the_same_everywhere {
    ($($name:ident)*) => {
        $(impl ForRevisionIfAny for $name {
            fn fit(self, _: ProtocolVersion) -> Option<Value> {
                Some(serde_json::to_value(self).unwrap())
            }
        })*
    };
}

fitted! {
    InitializeParams InitializeResult DiscoverResult ProgressParams CallToolParams CallToolResult ListToolsResult
    ListResourcesResult ListResourceTemplatesResult ReadResourceParams ReadResourceResult ListPromptsResult GetPromptParams
    GetPromptResult CompleteParams CreateMessageParams CreateMessageResult ListRootsResult ElicitParams
    InputRequiredResult Task CreateTaskResult ListTasksResult
}

the_same_everywhere! {
    EmptyParams EmptyResult PaginatedParams SubscribeParams ResourceUpdatedParams SetLevelParams CancelledParams
    LogMessageParams CompleteResult ElicitResult ListenParams SubscriptionAcknowledgedParams GetTaskParams
    ElicitationCompleteParams
}

/// What there is in every revision.
macro_rules! everywhere {
    ($peer:ident, $theirs:ident) => {
        $peer.request::<ListTools, $theirs::ListToolsRequest>(paginated_params(), &[json!({}), json!({ "cursor": "" })]);
        $peer.request::<ListPrompts, $theirs::ListPromptsRequest>(paginated_params(), &[]);
        $peer.request::<ListResources, $theirs::ListResourcesRequest>(paginated_params(), &[]);
        $peer.request::<ListResourceTemplates, $theirs::ListResourceTemplatesRequest>(paginated_params(), &[]);
        $peer.request::<CallTool, $theirs::CallToolRequest>(call_tool_params(), &[
            json!({ "name": "t" }),
            json!({ "name": "t", "arguments": { "a": [1, "x", null], "b": { "c": 0.5 } } }),
        ]);
        $peer.request::<ReadResource, $theirs::ReadResourceRequest>(read_resource_params(), &[json!({ "uri": "file:///a" })]);
        $peer.request::<GetPrompt, $theirs::GetPromptRequest>(get_prompt_params(), &[
            json!({ "name": "p", "arguments": { "a": "b" } }),
        ]);
        $peer.request::<Complete, $theirs::CompleteRequest>(complete_params(), &[
            json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": { "name": "a", "value": "" } }),
            json!({ "ref": { "type": "ref/resource", "uri": "file:///{a}" }, "argument": { "name": "a", "value": "b" } }),
        ]);
        $peer.request::<CreateMessage, $theirs::CreateMessageRequest>(create_message_params(), &[json!({
            "maxTokens": 100, "systemPrompt": "s", "temperature": 0.5, "stopSequences": ["x"],
            "messages": [{ "role": "user", "content": { "type": "text", "text": "t" } }],
            "modelPreferences": { "hints": [{ "name": "m" }], "costPriority": 0.5 },
        })]);
        $peer.request::<ListRoots, $theirs::ListRootsRequest>(empty_params(), &[json!({})]);
        $peer.notification::<Cancelled, $theirs::CancelledNotification>(cancelled_params(), &[
            json!({ "requestId": 1, "reason": "r" }),
            json!({ "requestId": "1" }),
        ]);
        $peer.notification::<Progress, $theirs::ProgressNotification>(progress_params(), &[
            json!({ "progressToken": "t", "progress": 0.5, "total": 1.0 }),
        ]);
        $peer.notification::<LogMessage, $theirs::LoggingMessageNotification>(log_message_params(), &[
            json!({ "level": "emergency", "logger": "l", "data": { "a": [null] } }),
        ]);
        $peer.notification::<ResourceUpdated, $theirs::ResourceUpdatedNotification>(resource_updated_params(), &[]);
        $peer.notification::<ResourceListChanged, $theirs::ResourceListChangedNotification>(empty_params(), &[json!({})]);
        $peer.notification::<PromptListChanged, $theirs::PromptListChangedNotification>(empty_params(), &[]);
        $peer.notification::<ToolListChanged, $theirs::ToolListChangedNotification>(empty_params(), &[]);
        $peer.result::<EmptyResult, $theirs::Result>(empty_result(), &[json!({})]);
        $peer.result::<CallToolResult, $theirs::CallToolResult>(call_tool_result(), &[json!({
            "content": [
                { "type": "text", "text": "t", "annotations": { "audience": ["user"], "priority": 0.5 } },
                { "type": "image", "data": "AA==", "mimeType": "image/png" },
                { "type": "resource", "resource": { "uri": "a:b", "text": "t", "mimeType": "text/plain" } },
                { "type": "resource", "resource": { "uri": "a:b", "blob": "AA==" } },
            ],
            "isError": true,
        })]);
        $peer.result::<GetPromptResult, $theirs::GetPromptResult>(get_prompt_result(), &[]);
        $peer.result::<CompleteResult, $theirs::CompleteResult>(complete_result(), &[
            json!({ "completion": { "values": ["a"], "total": 5, "hasMore": true } }),
        ]);
        $peer.result::<CreateMessageResult, $theirs::CreateMessageResult>(create_message_result(), &[
            json!({ "role": "assistant", "content": { "type": "text", "text": "t" }, "model": "m", "stopReason": "endTurn" }),
        ]);
        $peer.result::<ListRootsResult, $theirs::ListRootsResult>(list_roots_result(), &[
            json!({ "roots": [{ "uri": "file:///a", "name": "a" }] }),
        ]);
        $peer.result::<ListToolsResult, $theirs::ListToolsResult>(list_tools_result(), &[]);
        $peer.result::<ListPromptsResult, $theirs::ListPromptsResult>(list_prompts_result(), &[]);
        $peer.result::<ListResourcesResult, $theirs::ListResourcesResult>(list_resources_result(), &[]);
        $peer.result::<ListResourceTemplatesResult, $theirs::ListResourceTemplatesResult>(list_resource_templates_result(), &[]);
        $peer.result::<ReadResourceResult, $theirs::ReadResourceResult>(read_resource_result(), &[]);
    };
}

/// What there is in the revisions with a handshake.
macro_rules! legacy {
    ($peer:ident, $theirs:ident) => {
        everywhere!($peer, $theirs);
        $peer.request::<Initialize, $theirs::InitializeRequest>(initialize_params(), &[json!({
            "protocolVersion": "2024-11-05", "clientInfo": { "name": "n", "version": "1" },
            "capabilities": { "roots": { "listChanged": true }, "sampling": {}, "experimental": { "x": { "a": 1 } } },
        })]);
        $peer.request::<Ping, $theirs::PingRequest>(empty_params(), &[json!({})]);
        $peer.request::<Subscribe, $theirs::SubscribeRequest>(subscribe_params(), &[]);
        $peer.request::<Unsubscribe, $theirs::UnsubscribeRequest>(subscribe_params(), &[]);
        $peer.request::<SetLevel, $theirs::SetLevelRequest>(set_level_params(), &[]);
        $peer.notification::<Initialized, $theirs::InitializedNotification>(empty_params(), &[json!({})]);
        $peer.notification::<RootsListChanged, $theirs::RootsListChangedNotification>(empty_params(), &[]);
        $peer.result::<InitializeResult, $theirs::InitializeResult>(initialize_result(), &[json!({
            "protocolVersion": "2024-11-05", "serverInfo": { "name": "n", "version": "1" }, "instructions": "i",
            "capabilities": {
                "tools": { "listChanged": true }, "resources": { "subscribe": true, "listChanged": true },
                "prompts": {}, "logging": {}, "experimental": { "x": { "a": 1 } },
            },
        })]);
    };
}

#[test]
fn types_of_2024_11_05() {
    use peer_2024_11_05::mcp_2024_11_05 as theirs;
    let mut peer = Peer::new(V1);
    legacy!(peer, theirs);
    peer.done();
}

#[test]
fn types_of_2025_03_26() {
    use peer_2025_03_26::mcp_2025_03_26 as theirs;
    let mut peer = Peer::new(V2);
    legacy!(peer, theirs);
    peer.done();
}

#[test]
fn types_of_2025_06_18() {
    use peer_2025_06_18::mcp_2025_06_18 as theirs;
    let mut peer = Peer::new(V3);
    legacy!(peer, theirs);
    peer.request::<Elicit, theirs::ElicitRequest>(elicit_params(), &[json!({
        "message": "m",
        "requestedSchema": { "type": "object", "properties": { "a": { "type": "string", "format": "email" } }, "required": ["a"] },
    })]);
    peer.result::<ElicitResult, theirs::ElicitResult>(
        elicit_result(),
        &[
            json!({ "action": "accept", "content": { "a": "x", "b": 1, "c": true } }),
            json!({ "action": "cancel" }),
        ],
    );
    peer.done();
}

#[test]
fn types_of_2025_11_25() {
    use peer_2025_11_25::mcp_2025_11_25 as theirs;
    let mut peer = Peer::new(V4);
    legacy!(peer, theirs);
    peer.request::<Elicit, theirs::ElicitRequest>(elicit_params(), &[
        json!({ "mode": "url", "message": "m", "url": "https://example.com", "elicitationId": "1" }),
    ]);
    peer.result::<ElicitResult, theirs::ElicitResult>(
        elicit_result(),
        &[json!({ "action": "accept", "content": { "a": "x", "b": 1, "c": true, "d": ["y"] } })],
    );
    peer.notification::<ElicitationComplete, theirs::ElicitationCompleteNotification>(
        elicitation_complete_params(),
        &[],
    );
    peer.request::<GetTask, theirs::GetTaskRequest>(get_task_params(), &[json!({ "taskId": "1" })]);
    peer.request::<TaskResult, theirs::GetTaskPayloadRequest>(
        get_task_params(),
        &[json!({ "taskId": "1" })],
    );
    peer.request::<CancelTask, theirs::CancelTaskRequest>(
        get_task_params(),
        &[json!({ "taskId": "1" })],
    );
    peer.request::<ListTasks, theirs::ListTasksRequest>(paginated_params(), &[]);
    peer.notification::<TaskStatus, theirs::TaskStatusNotification>(task(), &[]);
    peer.result::<Task, theirs::GetTaskResult>(task(), &[]);
    peer.result::<CreateTaskResult, theirs::CreateTaskResult>(create_task_result(), &[]);
    peer.result::<ListTasksResult, theirs::ListTasksResult>(list_tasks_result(), &[]);
    peer.done();
}

#[test]
fn types_of_2026_07_28() {
    use peer_2026_07_28::mcp_2026_07_28 as theirs;
    let mut peer = Peer::new(V5);
    everywhere!(peer, theirs);
    peer.result::<CallToolResult, theirs::CallToolResult>(
        call_tool_result(),
        &[
            json!({ "content": [], "structuredContent": null }),
            json!({ "content": [], "structuredContent": [1.5, null] }),
        ],
    );
    peer.request::<Discover, theirs::DiscoverRequest>(empty_params(), &[json!({})]);
    peer.result::<DiscoverResult, theirs::DiscoverResult>(discover_result(), &[]);
    peer.request::<Listen, theirs::SubscriptionsListenRequest>(listen_params(), &[
        json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["file:///a"] } }),
    ]);
    peer.notification::<SubscriptionAcknowledged, theirs::SubscriptionsAcknowledgedNotification>(
        subscription_acknowledged_params(),
        &[],
    );
    peer.request::<Elicit, theirs::ElicitRequest>(
        elicit_params(),
        &[json!({ "mode": "url", "message": "m", "url": "https://example.com" })],
    );
    peer.result::<ElicitResult, theirs::ElicitResult>(
        elicit_result(),
        &[json!({ "action": "accept", "content": { "a": "x", "b": 1, "c": true, "d": ["y"] } })],
    );
    peer.result::<InputRequiredResult, theirs::InputRequiredResult>(
        input_required_result(),
        &[json!({ "resultType": "input_required", "requestState": "s" })],
    );
    peer.done();
}
