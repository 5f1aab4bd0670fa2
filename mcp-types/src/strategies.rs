//! Random values of the types, for property tests (feature `proptest`).
//!
//! The larger strategies are boxed: nested by value, they and the values they simplify would not fit a thread's stack.
//!
//! Every value can be sent: what is written is read again as the same value. Texts contain what escapes go wrong with.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use crate::*;

/// Any JSON, a few levels deep; its floats are finite.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        float().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// A JSON object.
pub fn object() -> impl Strategy<Value = RawJson> {
    vec((text(), json()), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()).into())
}

/// Any JSON as text, with white space and order of its own.
pub fn raw_json() -> impl Strategy<Value = RawJson> {
    (json(), any::<bool>()).prop_map(|(value, pretty)| {
        let text = if pretty {
            format!("{value:#}")
        } else {
            value.to_string()
        };
        RawJson::parse(text).expect("serde_json writes JSON")
    })
}

/// A text: short, with quotes, controls, line separators and signs beyond the basic plane among its characters.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 /_.:-]{0,12}",
        1 => vec(select(vec!['"', '\\', '\n', '\r', '\u{0}', '\u{7f}', '\u{2028}', 'é', '\u{1F980}']), 0..6)
            .prop_map(|characters| characters.into_iter().collect()),
    ]
}

/// A finite float whose text reads as the same float.
pub fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-1_000_000i64..1_000_000).prop_map(|n| n as f64 / 64.0),
        Just(0.0),
        Just(1e300),
        Just(-1.5e-300),
    ]
}

/// A `_meta`.
pub fn meta() -> impl Strategy<Value = Meta> {
    vec((text(), json()), 0..3)
        .prop_map(|members| Meta(members.into_iter().collect::<Map<_, _>>()))
        .boxed()
}

/// A request id.
pub fn request_id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        any::<i64>().prop_map(RequestId::from),
        text().prop_map(RequestId::from)
    ]
}

/// A progress token.
pub fn progress_token() -> impl Strategy<Value = ProgressToken> {
    prop_oneof![
        any::<i64>().prop_map(ProgressToken::from),
        text().prop_map(ProgressToken::from)
    ]
}

/// A method name of the protocol, or of nobody.
pub fn method_name() -> impl Strategy<Value = MethodName> {
    prop_oneof![
        select(vec![
            "tools/call",
            "ping",
            "notifications/progress",
            "notifications/message",
            "initialize"
        ])
        .prop_map(MethodName::from),
        text().prop_map(MethodName::from),
    ]
}

/// An error of a known or unknown code.
pub fn error_object() -> impl Strategy<Value = ErrorObject> {
    let code = prop_oneof![select(vec![-32700i64, -32602, -32022, -1]), any::<i64>()];
    (code, text(), of(raw_json())).prop_map(|(code, message, data)| {
        let mut error = ErrorObject::new(code, message);
        error.data = data;
        error
    })
}

/// A message of any kind.
pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (request_id(), method_name(), of(object())).prop_map(|(id, method, params)| {
            Message::Request(RequestMessage { id, method, params })
        }),
        (method_name(), of(object())).prop_map(|(method, params)| Message::Notification(
            NotificationMessage { method, params }
        )),
        (request_id(), object()).prop_map(|(id, result)| {
            Message::Response(ResponseMessage {
                id: Some(id),
                outcome: Ok(result),
            })
        }),
        (of(request_id()), error_object()).prop_map(|(id, error)| Message::Response(
            ResponseMessage {
                id,
                outcome: Err(error)
            }
        )),
    ]
}

/// A revision.
pub fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(ProtocolVersion::ALL.to_vec())
}

/// A role.
pub fn role() -> impl Strategy<Value = Role> {
    select(Role::ALL)
}

/// A log level.
pub fn log_level() -> impl Strategy<Value = LogLevel> {
    select(LogLevel::ALL)
}

/// Annotations.
pub fn annotations() -> impl Strategy<Value = Annotations> {
    (of(vec(role(), 0..3)), of(float()), of(text()))
        .prop_map(|(audience, priority, last_modified)| Annotations {
            audience,
            priority,
            last_modified,
        })
        .boxed()
}

/// An icon.
pub fn icon() -> impl Strategy<Value = Icon> {
    let theme = prop_oneof![Just("light".to_owned()), Just("dark".to_owned()), text()];
    (text(), of(text()), of(vec(text(), 0..3)), of(theme))
        .prop_map(|(src, mime_type, sizes, theme)| Icon {
            src,
            mime_type,
            sizes,
            theme: theme.map(IconTheme::from),
        })
        .boxed()
}

/// A program's name.
pub fn implementation() -> impl Strategy<Value = Implementation> {
    (
        text(),
        text(),
        of(text()),
        of(text()),
        of(vec(icon(), 0..2)),
        of(text()),
    )
        .prop_map(|(name, version, title, description, icons, website_url)| {
            let mut it = Implementation::new(name, version);
            (it.title, it.description, it.icons, it.website_url) =
                (title, description, icons, website_url);
            it
        })
        .boxed()
}

/// Contents of a resource.
pub fn resource_contents() -> impl Strategy<Value = ResourceContents> {
    let contents = prop_oneof![
        (text(), text()).prop_map(|(uri, text)| ResourceContents::text(uri, text)),
        (text(), vec(any::<u8>(), 0..16))
            .prop_map(|(uri, bytes)| ResourceContents::from_bytes(uri, bytes)),
    ];
    (contents, of(text()), of(meta()))
        .prop_map(|(contents, mime_type, meta)| {
            let contents = match mime_type {
                Some(mime_type) => contents.mime_type(mime_type),
                None => contents,
            };
            match meta {
                Some(meta) => contents.meta(meta),
                None => contents,
            }
        })
        .boxed()
}

/// A resource, or a link to one.
pub fn resource() -> impl Strategy<Value = Resource> {
    (text(), text(), of(any::<u64>()), described())
        .prop_map(|(uri, name, size, described)| {
            let mut it = Resource::new(uri, name);
            it.size = size;
            (
                (it.title, it.description, it.mime_type),
                (it.annotations, it.icons, it.meta),
            ) = described;
            it
        })
        .boxed()
}

/// A template of resources.
pub fn resource_template() -> impl Strategy<Value = ResourceTemplate> {
    (text(), text(), described()).prop_map(|(uri_template, name, described)| {
        let mut it = ResourceTemplate::new(uri_template, name);
        (
            (it.title, it.description, it.mime_type),
            (it.annotations, it.icons, it.meta),
        ) = described;
        it
    })
}

/// What resources and their templates have in common.
#[expect(clippy::type_complexity, reason = "taken apart where it is used")]
fn described() -> impl Strategy<
    Value = (
        (Option<String>, Option<String>, Option<String>),
        (Option<Annotations>, Option<Vec<Icon>>, Option<Meta>),
    ),
> {
    (
        (of(text()), of(text()), of(text())),
        (of(annotations()), of(vec(icon(), 0..2)), of(meta())),
    )
        .boxed()
}

/// A block of a type nobody knows.
fn unknown_block() -> impl Strategy<Value = RawJson> {
    // Members before and after the type, and no key twice.
    (
        btree_map("[a-z]{1,6}", json(), 0..4),
        "x-[a-z]{1,6}",
        0..4usize,
    )
        .prop_map(|(mut members, kind, at)| {
            members.remove("type");
            let mut block = ObjectBuf::new();
            let mut members = members.iter();
            for (key, value) in members.by_ref().take(at) {
                block.insert(key, value).expect("JSON serialises");
            }
            block.insert("type", &kind).expect("a string serialises");
            for (key, value) in members {
                block.insert(key, value).expect("JSON serialises");
            }
            block.finish()
        })
        .boxed()
}

fn text_content() -> impl Strategy<Value = TextContent> {
    (text(), of(annotations()), of(meta()))
        .prop_map(|(text, annotations, meta)| TextContent {
            text,
            annotations,
            meta,
        })
        .boxed()
}

/// A block of content, of a known or unknown type.
pub fn content_block() -> impl Strategy<Value = ContentBlock> {
    let bytes = || vec(any::<u8>(), 0..16);
    prop_oneof![
        text_content().prop_map(ContentBlock::from),
        (bytes(), text()).prop_map(|(bytes, kind)| ImageContent::from_bytes(bytes, kind).into()),
        (bytes(), text()).prop_map(|(bytes, kind)| AudioContent::from_bytes(bytes, kind).into()),
        resource().prop_map(ContentBlock::from),
        (resource_contents(), of(annotations()), of(meta())).prop_map(
            |(resource, annotations, meta)| {
                EmbeddedResource {
                    resource,
                    annotations,
                    meta,
                }
                .into()
            }
        ),
        unknown_block().prop_map(ContentBlock::Unknown),
    ]
    .boxed()
}

/// A block of a conversation with a model.
pub fn sampling_content() -> impl Strategy<Value = SamplingContent> {
    let result = (
        text(),
        vec(content_block(), 0..3),
        of(raw_json()),
        any::<bool>(),
        of(meta()),
    );
    prop_oneof![
        text_content().prop_map(SamplingContent::from),
        (text(), text(), object(), of(meta())).prop_map(|(id, name, input, meta)| ToolUseContent {
            id,
            name,
            input,
            meta
        }
        .into()),
        result.prop_map(
            |(tool_use_id, content, structured_content, is_error, meta)| {
                ToolResultContent {
                    tool_use_id,
                    content,
                    structured_content,
                    is_error,
                    meta,
                }
                .into()
            }
        ),
        unknown_block().prop_map(SamplingContent::Unknown),
    ]
    .boxed()
}

/// A message of a conversation with a model.
pub fn sampling_message() -> impl Strategy<Value = SamplingMessage> {
    (role(), vec(sampling_content(), 0..3), of(meta()))
        .prop_map(|(role, content, meta)| SamplingMessage {
            role,
            content,
            meta,
        })
        .boxed()
}

/// Parameters of `sampling/createMessage`.
pub fn create_message_params() -> impl Strategy<Value = CreateMessageParams> {
    let context =
        select(vec!["none", "thisServer", "allServers", "x"]).prop_map(IncludeContext::from);
    let choice = of(select(vec!["auto", "required", "none", "x"])).prop_map(|mode| ToolChoice {
        mode: mode.map(ToolChoiceMode::from),
    });
    let options = (
        of(text()),
        of(float()),
        of(vec(text(), 0..2)),
        of(object()),
        of(vec(tool(), 0..2)),
    );
    let more = (of(model_preferences()), of(context), of(choice));
    (
        vec(sampling_message(), 0..3),
        any::<u64>(),
        options,
        more,
        of(task_metadata()),
        of(meta()),
    )
        .prop_map(|(messages, max_tokens, options, more, task, meta)| {
            let mut it = CreateMessageParams::new(messages).max_tokens(max_tokens);
            (
                it.system_prompt,
                it.temperature,
                it.stop_sequences,
                it.metadata,
                it.tools,
            ) = options;
            (it.model_preferences, it.include_context, it.tool_choice) = more;
            (it.task, it.meta) = (task, meta);
            it
        })
        .boxed()
}

/// What is wanted of a model.
pub fn model_preferences() -> impl Strategy<Value = ModelPreferences> {
    let hint = of(text()).prop_map(|name| ModelHint { name });
    (of(vec(hint, 0..3)), of(float()), of(float()), of(float()))
        .prop_map(|(hints, cost, speed, intelligence)| {
            let mut it = ModelPreferences::new();
            it.hints = hints;
            (
                it.cost_priority,
                it.speed_priority,
                it.intelligence_priority,
            ) = (cost, speed, intelligence);
            it
        })
        .boxed()
}

/// Results of `sampling/createMessage`.
pub fn create_message_result() -> impl Strategy<Value = CreateMessageResult> {
    (
        text(),
        vec(sampling_content(), 0..3),
        of(text()),
        of(meta()),
    )
        .prop_map(|(model, content, stop_reason, meta)| {
            let mut it = CreateMessageResult::new(model, content);
            it.stop_reason = stop_reason.map(StopReason::from);
            it.meta = meta;
            it
        })
}

/// A tool.
pub fn tool() -> impl Strategy<Value = Tool> {
    let hint = || of(any::<bool>());
    let hints = (of(text()), hint(), hint(), hint(), hint()).prop_map(
        |(title, read_only, destructive, idempotent, open_world)| {
            let mut it = ToolAnnotations::new();
            it.title = title;
            (it.read_only_hint, it.destructive_hint) = (read_only, destructive);
            (it.idempotent_hint, it.open_world_hint) = (idempotent, open_world);
            it
        },
    );
    let execution =
        of(select(vec!["forbidden", "optional", "required", "x"])).prop_map(|task_support| {
            let mut it = ToolExecution::new();
            it.task_support = task_support.map(TaskSupport::from);
            it
        });
    let words = (of(text()), of(text()));
    (
        text(),
        object(),
        of(object()),
        words,
        of(hints),
        of(vec(icon(), 0..2)),
        of(execution),
        of(meta()),
    )
        .prop_map(
            |(name, input, output, words, hints, icons, execution, meta)| {
                let mut it = Tool::new(name, input);
                (it.title, it.description) = words;
                (it.output_schema, it.annotations, it.icons) = (output, hints, icons);
                (it.execution, it.meta) = (execution, meta);
                it
            },
        )
        .boxed()
}

/// A task asked for with a request.
pub fn task_metadata() -> impl Strategy<Value = TaskMetadata> {
    of(any::<u64>()).prop_map(|ttl| {
        let mut it = TaskMetadata::new();
        it.ttl = ttl;
        it
    })
}

/// Answers to what a server has asked for in a round.
pub fn input_responses() -> impl Strategy<Value = InputResponses> {
    btree_map(text(), object(), 0..3).prop_map(InputResponses)
}

/// Parameters of `tools/call`.
pub fn call_tool_params() -> impl Strategy<Value = CallToolParams> {
    (
        text(),
        of(object()),
        of(input_responses()),
        of(text()),
        of(task_metadata()),
        of(meta()),
    )
        .prop_map(
            |(name, arguments, input_responses, request_state, task, meta)| {
                let mut it = CallToolParams::new(name);
                (it.arguments, it.input_responses, it.request_state) =
                    (arguments, input_responses, request_state);
                (it.task, it.meta) = (task, meta);
                it
            },
        )
}

/// Results of `tools/call`.
pub fn call_tool_result() -> impl Strategy<Value = CallToolResult> {
    (
        vec(content_block(), 0..4),
        of(raw_json()),
        any::<bool>(),
        of(meta()),
    )
        .prop_map(
            |(content, structured_content, is_error, meta)| CallToolResult {
                content,
                structured_content,
                is_error,
                meta,
            },
        )
}

/// A prompt.
pub fn prompt() -> impl Strategy<Value = Prompt> {
    let argument = (text(), of(text()), of(text()), any::<bool>()).prop_map(
        |(name, title, description, required)| {
            let mut it = PromptArgument::new(name).required(required);
            (it.title, it.description) = (title, description);
            it
        },
    );
    (
        text(),
        of(text()),
        of(text()),
        of(vec(argument, 0..3)),
        of(vec(icon(), 0..2)),
        of(meta()),
    )
        .prop_map(|(name, title, description, arguments, icons, meta)| {
            let mut it = Prompt::new(name);
            (it.title, it.description, it.arguments) = (title, description, arguments);
            (it.icons, it.meta) = (icons, meta);
            it
        })
        .boxed()
}

/// Results of `prompts/get`.
pub fn get_prompt_result() -> impl Strategy<Value = GetPromptResult> {
    let message =
        (role(), content_block()).prop_map(|(role, content)| PromptMessage { role, content });
    (of(text()), vec(message, 0..3), of(meta())).prop_map(|(description, messages, meta)| {
        GetPromptResult {
            description,
            messages,
            meta,
        }
    })
}

/// Parameters of `prompts/get`.
pub fn get_prompt_params() -> impl Strategy<Value = GetPromptParams> {
    (
        text(),
        of(btree_map(text(), text(), 0..3)),
        of(input_responses()),
        of(text()),
        of(meta()),
    )
        .prop_map(|(name, arguments, input_responses, request_state, meta)| {
            let mut it = GetPromptParams::new(name);
            (it.arguments, it.input_responses) = (arguments, input_responses);
            (it.request_state, it.meta) = (request_state, meta);
            it
        })
}

fn cursor() -> impl Strategy<Value = Cursor> {
    text().prop_map(Cursor)
}

fn cache_scope() -> impl Strategy<Value = CacheScope> {
    select(vec![CacheScope::Public, CacheScope::Private])
}

/// Strategies for pages of a list.
macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident: $page:ident of $item:expr;)*) => {
        $($(#[$doc])*
        pub fn $name() -> impl Strategy<Value = $page> {
            let cache = (of(any::<u64>()), of(cache_scope()));
            (vec($item, 0..3), of(cursor()), cache, of(meta())).prop_map(
                |(items, next_cursor, cache, meta)| {
                    let mut it = $page::new(items);
                    it.next_cursor = next_cursor;
                    (it.ttl_ms, it.cache_scope) = cache;
                    it.meta = meta;
                    it
                },
            )
        })*
    };
}

pages! {
    /// Results of `tools/list`.
    list_tools_result: ListToolsResult of tool();
    /// Results of `prompts/list`.
    list_prompts_result: ListPromptsResult of prompt();
    /// Results of `resources/list`.
    list_resources_result: ListResourcesResult of resource();
    /// Results of `resources/templates/list`.
    list_resource_templates_result: ListResourceTemplatesResult of resource_template();
}

/// Parameters of the methods that list something.
pub fn paginated_params() -> impl Strategy<Value = PaginatedParams> {
    (of(cursor()), of(meta())).prop_map(|(cursor, meta)| {
        let mut it = PaginatedParams::new();
        (it.cursor, it.meta) = (cursor, meta);
        it
    })
}

/// Parameters of the methods that have none.
pub fn empty_params() -> impl Strategy<Value = EmptyParams> {
    of(meta()).prop_map(|meta| {
        let mut it = EmptyParams::new();
        it.meta = meta;
        it
    })
}

/// Results that say no more than that it is done.
pub fn empty_result() -> impl Strategy<Value = EmptyResult> {
    of(meta()).prop_map(|meta| {
        let mut it = EmptyResult::new();
        it.meta = meta;
        it
    })
}

/// Parameters of `resources/read`.
pub fn read_resource_params() -> impl Strategy<Value = ReadResourceParams> {
    (text(), of(input_responses()), of(text()), of(meta())).prop_map(
        |(uri, input_responses, request_state, meta)| {
            let mut it = ReadResourceParams::new(uri);
            (it.input_responses, it.request_state, it.meta) =
                (input_responses, request_state, meta);
            it
        },
    )
}

/// Results of `resources/read`.
pub fn read_resource_result() -> impl Strategy<Value = ReadResourceResult> {
    let cache = (of(any::<u64>()), of(cache_scope()));
    (vec(resource_contents(), 0..3), cache, of(meta())).prop_map(|(contents, cache, meta)| {
        let mut it = ReadResourceResult::new(contents);
        (it.ttl_ms, it.cache_scope) = cache;
        it.meta = meta;
        it
    })
}

/// Parameters of `resources/subscribe` and `resources/unsubscribe`.
pub fn subscribe_params() -> impl Strategy<Value = SubscribeParams> {
    (text(), of(meta())).prop_map(|(uri, meta)| {
        let mut it = SubscribeParams::new(uri);
        it.meta = meta;
        it
    })
}

/// Parameters of `notifications/resources/updated`.
pub fn resource_updated_params() -> impl Strategy<Value = ResourceUpdatedParams> {
    (text(), of(meta())).prop_map(|(uri, meta)| {
        let mut it = ResourceUpdatedParams::new(uri);
        it.meta = meta;
        it
    })
}

/// Parameters of `completion/complete`.
pub fn complete_params() -> impl Strategy<Value = CompleteParams> {
    let reference = prop_oneof![
        text().prop_map(CompletionRef::prompt),
        text().prop_map(CompletionRef::resource),
    ];
    let context =
        of(btree_map(text(), text(), 0..3)).prop_map(|arguments| CompletionContext { arguments });
    (reference, text(), text(), of(context), of(meta())).prop_map(
        |(reference, name, value, context, meta)| {
            let mut it = CompleteParams::new(reference, name, value);
            (it.context, it.meta) = (context, meta);
            it
        },
    )
}

/// Results of `completion/complete`.
pub fn complete_result() -> impl Strategy<Value = CompleteResult> {
    (
        vec(text(), 0..4),
        of(any::<u64>()),
        of(any::<bool>()),
        of(meta()),
    )
        .prop_map(|(values, total, has_more, meta)| {
            let mut it = CompleteResult::new(values);
            (it.completion.total, it.completion.has_more) = (total, has_more);
            it.meta = meta;
            it
        })
}

fn version_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => version().prop_map(|v| v.as_str().to_owned()), 1 => text()]
}

/// Parameters of `initialize`.
pub fn initialize_params() -> impl Strategy<Value = InitializeParams> {
    (
        version_name(),
        client_capabilities(),
        implementation(),
        of(meta()),
    )
        .prop_map(|(version, capabilities, info, meta)| {
            let mut it = InitializeParams::new(ProtocolVersion::LATEST_LEGACY, capabilities, info);
            (it.protocol_version, it.meta) = (version, meta);
            it
        })
}

/// Results of `initialize`.
pub fn initialize_result() -> impl Strategy<Value = InitializeResult> {
    (
        version_name(),
        server_capabilities(),
        implementation(),
        of(text()),
        of(meta()),
    )
        .prop_map(|(version, capabilities, info, instructions, meta)| {
            let mut it = InitializeResult::new(ProtocolVersion::LATEST_LEGACY, capabilities, info);
            it.protocol_version = version;
            (it.instructions, it.meta) = (instructions, meta);
            it
        })
}

/// Results of `server/discover`.
pub fn discover_result() -> impl Strategy<Value = DiscoverResult> {
    (
        vec(version_name(), 0..3),
        server_capabilities(),
        of(text()),
        of(any::<u64>()),
        of(cache_scope()),
        of(meta()),
    )
        .prop_map(
            |(versions, capabilities, instructions, ttl_ms, scope, meta)| {
                let mut it = DiscoverResult::new([], capabilities);
                (it.supported_versions, it.instructions) = (versions, instructions);
                (it.ttl_ms, it.cache_scope, it.meta) = (ttl_ms, scope, meta);
                it
            },
        )
}

/// A root, or a few of them.
pub fn list_roots_result() -> impl Strategy<Value = ListRootsResult> {
    let root = (text(), of(text()), of(meta())).prop_map(|(uri, name, meta)| {
        let mut it = Root::new(uri);
        (it.name, it.meta) = (name, meta);
        it
    });
    (vec(root, 0..3), of(meta())).prop_map(|(roots, meta)| {
        let mut it = ListRootsResult::new(roots);
        it.meta = meta;
        it
    })
}

/// Parameters of `logging/setLevel`.
pub fn set_level_params() -> impl Strategy<Value = SetLevelParams> {
    (log_level(), of(meta())).prop_map(|(level, meta)| {
        let mut it = SetLevelParams::new(level);
        it.meta = meta;
        it
    })
}

/// A cancellation.
pub fn cancelled_params() -> impl Strategy<Value = CancelledParams> {
    (request_id(), of(text()), of(meta())).prop_map(|(id, reason, meta)| {
        let mut it = CancelledParams::new(id);
        (it.reason, it.meta) = (reason, meta);
        it
    })
}

/// A log message.
pub fn log_message_params() -> impl Strategy<Value = LogMessageParams> {
    (log_level(), of(text()), raw_json(), of(meta())).prop_map(|(level, logger, data, meta)| {
        LogMessageParams {
            level,
            logger,
            data,
            meta,
        }
    })
}

/// A progress notification.
pub fn progress_params() -> impl Strategy<Value = ProgressParams> {
    (
        progress_token(),
        float(),
        of(float()),
        of(text()),
        of(meta()),
    )
        .prop_map(
            |(progress_token, progress, total, message, meta)| ProgressParams {
                progress_token,
                progress,
                total,
                message,
                meta,
            },
        )
}

fn mark() -> impl Strategy<Value = Option<RawJson>> {
    of(Just(RawJson::EMPTY_OBJECT))
}

fn settings() -> impl Strategy<Value = BTreeMap<String, RawJson>> {
    btree_map("x-[a-z]{1,6}", object(), 0..3).boxed()
}

/// Capabilities of a client.
pub fn client_capabilities() -> impl Strategy<Value = ClientCapabilities> {
    let roots = (any::<bool>(), settings()).prop_map(|(list_changed, other)| RootsCapability {
        list_changed,
        other,
    });
    let sampling =
        (mark(), mark(), settings()).prop_map(|(context, tools, other)| SamplingCapability {
            context,
            tools,
            other,
        });
    let elicitation = (mark(), mark(), settings())
        .prop_map(|(form, url, other)| ElicitationCapability { form, url, other });
    (
        of(roots),
        of(sampling),
        of(elicitation),
        of(tasks_capability(false)),
        settings(),
        settings(),
        settings(),
    )
        .prop_map(
            |(roots, sampling, elicitation, tasks, experimental, extensions, other)| {
                ClientCapabilities {
                    roots,
                    sampling,
                    elicitation,
                    tasks,
                    experimental,
                    extensions,
                    other,
                }
            },
        )
        .boxed()
}

/// Capabilities of a server.
pub fn server_capabilities() -> impl Strategy<Value = ServerCapabilities> {
    let tools = (any::<bool>(), settings()).prop_map(|(list_changed, other)| ToolsCapability {
        list_changed,
        other,
    });
    let resources =
        (any::<bool>(), any::<bool>(), settings()).prop_map(|(subscribe, list_changed, other)| {
            ResourcesCapability {
                subscribe,
                list_changed,
                other,
            }
        });
    let prompts = (any::<bool>(), settings()).prop_map(|(list_changed, other)| PromptsCapability {
        list_changed,
        other,
    });
    let features = (of(tools), of(resources), of(prompts), mark(), mark());
    (
        features,
        of(tasks_capability(true)),
        settings(),
        settings(),
        settings(),
    )
        .prop_map(|(features, tasks, experimental, extensions, other)| {
            let (tools, resources, prompts, logging, completions) = features;
            ServerCapabilities {
                tools,
                resources,
                prompts,
                logging,
                completions,
                tasks,
                experimental,
                extensions,
                other,
            }
        })
        .boxed()
}

/// Which requests may become tasks: those to a server, or those to a client.
pub fn tasks_capability(of_server: bool) -> impl Strategy<Value = TasksCapability> {
    let tools = (mark(), settings()).prop_map(|(call, other)| TaskToolsCapability { call, other });
    let sampling =
        (mark(), settings()).prop_map(|(create_message, other)| TaskSamplingCapability {
            create_message,
            other,
        });
    let elicitation = (mark(), settings())
        .prop_map(|(create, other)| TaskElicitationCapability { create, other });
    let requests = (of(tools), of(sampling), of(elicitation), settings()).prop_map(
        move |(tools, sampling, elicitation, other)| TaskRequestsCapability {
            tools: tools.filter(|_| of_server),
            sampling: sampling.filter(|_| !of_server),
            elicitation: elicitation.filter(|_| !of_server),
            other,
        },
    );
    (mark(), mark(), of(requests), settings())
        .prop_map(|(list, cancel, requests, other)| TasksCapability {
            list,
            cancel,
            requests,
            other,
        })
        .boxed()
}

/// What a server needs of a client and does not find.
pub fn missing_client_capability() -> impl Strategy<Value = MissingClientCapability> {
    client_capabilities().prop_map(MissingClientCapability::new)
}

/// Which versions there are instead.
pub fn unsupported_protocol_version() -> impl Strategy<Value = UnsupportedProtocolVersion> {
    (vec(text(), 0..3), text()).prop_map(|(supported, requested)| UnsupportedProtocolVersion {
        supported,
        requested,
    })
}

/// A form of a few values.
pub fn elicit_schema() -> impl Strategy<Value = ElicitSchema> {
    let string = (of(text()), of(any::<u64>()), of(text())).prop_map(
        |(title, min_length, default_value)| {
            PrimitiveSchema::String(StringSchema {
                title,
                min_length,
                default_value,
                ..StringSchema::default()
            })
        },
    );
    let number = (any::<bool>(), of(any::<i64>())).prop_map(|(integer, minimum)| {
        let minimum = minimum.map(Into::into);
        PrimitiveSchema::Number(NumberSchema {
            integer,
            minimum,
            ..NumberSchema::default()
        })
    });
    let boolean = of(any::<bool>()).prop_map(|default_value| {
        PrimitiveSchema::Boolean(BooleanSchema {
            default_value,
            ..BooleanSchema::default()
        })
    });
    let choice = (vec((text(), text()), 1..4), any::<bool>(), any::<bool>()).prop_map(
        |(options, titled, multiple)| {
            let schema = if titled {
                EnumSchema::titled(options)
            } else {
                EnumSchema::new(options.into_iter().map(|(value, _)| value))
            };
            PrimitiveSchema::Enum(EnumSchema { multiple, ..schema })
        },
    );
    let property = prop_oneof![string, number, boolean, choice];
    (of(text()), vec((text(), property), 0..4), vec(text(), 0..2))
        .prop_map(|(dialect, properties, required)| ElicitSchema {
            dialect,
            properties,
            required,
        })
        .boxed()
}

/// Parameters of `elicitation/create`.
pub fn elicit_params() -> impl Strategy<Value = ElicitParams> {
    let params = prop_oneof![
        (text(), elicit_schema()).prop_map(|(message, schema)| ElicitParams::form(message, schema)),
        (text(), text()).prop_map(|(message, url)| ElicitParams::url(message, url)),
    ];
    (params, of(meta()))
        .prop_map(|(params, meta)| match meta {
            Some(meta) => params.meta(meta),
            None => params,
        })
        .boxed()
}

/// Results of `elicitation/create`.
pub fn elicit_result() -> impl Strategy<Value = ElicitResult> {
    prop_oneof![
        object().prop_map(ElicitResult::accept),
        Just(ElicitResult::decline()),
        Just(ElicitResult::cancel()),
    ]
}

/// What a server asks for in a round.
pub fn input_requests() -> impl Strategy<Value = InputRequests> {
    let request = prop_oneof![
        create_message_params().prop_map(InputRequest::CreateMessage),
        elicit_params().prop_map(InputRequest::Elicit),
        Just(InputRequest::ListRoots(EmptyParams::new())),
    ];
    btree_map(text(), request, 0..3)
        .prop_map(InputRequests)
        .boxed()
}

/// Results that ask for input first.
pub fn input_required_result() -> impl Strategy<Value = InputRequiredResult> {
    (of(input_requests()), of(text()), of(meta())).prop_map(|(requests, state, meta)| {
        let mut it = InputRequiredResult::state("");
        (it.input_requests, it.request_state, it.meta) = (requests, state, meta);
        it
    })
}

/// A subscription's filter.
pub fn subscription_filter() -> impl Strategy<Value = SubscriptionFilter> {
    let list = || of(vec(text(), 0..3));
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        list(),
        list(),
        list(),
        settings(),
    )
        .prop_map(
            |(tools, prompts, resources, uris, task_ids, notifications, other)| {
                SubscriptionFilter {
                    tools_list_changed: tools,
                    prompts_list_changed: prompts,
                    resources_list_changed: resources,
                    resource_subscriptions: uris,
                    task_ids,
                    notifications,
                    other,
                }
            },
        )
}

/// A task of either design.
pub fn task() -> impl Strategy<Value = Task> {
    let state = prop_oneof![
        Just("working".to_owned()),
        Just("failed".to_owned()),
        text()
    ];
    let core = (
        text(),
        text(),
        state,
        of(any::<u64>()),
        of(any::<u64>()),
        of(meta()),
    )
        .prop_map(|(id, at, state, ttl, poll_interval, meta)| {
            let mut it = Task::new(id, at).status(state.into());
            (it.ttl, it.poll_interval, it.meta) = (ttl, poll_interval, meta);
            it
        });
    (
        core,
        any::<bool>(),
        of(input_requests()),
        of(object()),
        of(error_object()),
    )
        .prop_map(|(mut it, extension, input_requests, result, error)| {
            if extension {
                it.design = TaskDesign::Extension;
                (it.input_requests, it.result, it.error) = (input_requests, result, error);
            }
            it
        })
        .boxed()
}

/// The task to which a message belongs.
pub fn related_task() -> impl Strategy<Value = RelatedTask> {
    text().prop_map(RelatedTask::new)
}

/// Results of `tasks/cancel`: the task of the one design, nothing in the other.
pub fn cancel_task_result() -> impl Strategy<Value = CancelTaskResult> {
    let cancelled = task().prop_map(|task| {
        let mut it = CancelTaskResult::new();
        it.task = Some(task);
        it
    });
    let acknowledged = of(meta()).prop_map(|meta| {
        let mut it = CancelTaskResult::new();
        it.meta = meta;
        it
    });
    prop_oneof![cancelled, acknowledged].boxed()
}

/// Pages that a user has to see first.
pub fn url_elicitation_required() -> impl Strategy<Value = UrlElicitationRequired> {
    vec(elicit_params(), 0..3).prop_map(UrlElicitationRequired::new)
}

/// Parameters of `subscriptions/listen`.
pub fn listen_params() -> impl Strategy<Value = ListenParams> {
    (subscription_filter(), of(meta())).prop_map(|(filter, meta)| {
        let mut it = ListenParams::new(filter);
        it.meta = meta;
        it
    })
}

/// What of a subscription was granted.
pub fn subscription_acknowledged_params() -> impl Strategy<Value = SubscriptionAcknowledgedParams> {
    (request_id(), subscription_filter())
        .prop_map(|(id, filter)| SubscriptionAcknowledgedParams::new(&id, filter))
}

/// Results that say that a task was created.
pub fn create_task_result() -> impl Strategy<Value = CreateTaskResult> {
    (task(), of(meta())).prop_map(|(task, meta)| {
        let mut it = CreateTaskResult::new(task);
        it.meta = meta;
        // Of the extension's design the result is the task, and has one `_meta`.
        if it.task.design == TaskDesign::Extension {
            it.task.meta = None;
        }
        it
    })
}

/// Parameters of `tasks/get`, `tasks/result` and `tasks/cancel`.
pub fn get_task_params() -> impl Strategy<Value = GetTaskParams> {
    (text(), of(meta())).prop_map(|(id, meta)| {
        let mut it = GetTaskParams::new(id);
        it.meta = meta;
        it
    })
}

/// Parameters of `tasks/update`.
pub fn update_task_params() -> impl Strategy<Value = UpdateTaskParams> {
    (text(), input_responses(), of(meta())).prop_map(|(id, responses, meta)| {
        let mut it = UpdateTaskParams::new(id, responses);
        it.meta = meta;
        it
    })
}

/// Results of `tasks/list`.
pub fn list_tasks_result() -> impl Strategy<Value = ListTasksResult> {
    (vec(task(), 0..3), of(cursor()), of(meta())).prop_map(|(tasks, next_cursor, meta)| {
        let mut it = ListTasksResult::new(tasks);
        (it.next_cursor, it.meta) = (next_cursor, meta);
        it
    })
}

/// The end of an elicitation by URL.
pub fn elicitation_complete_params() -> impl Strategy<Value = ElicitationCompleteParams> {
    (text(), of(meta())).prop_map(|(id, meta)| {
        let mut it = ElicitationCompleteParams::new(id);
        it.meta = meta;
        it
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Written and read, a value is the same; so it is through a `Value`, which sorts its members.
    fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let text = serde_json::to_string(value).unwrap();
        let again: T = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(&again, value, "{text}");
        let sorted: Value = serde_json::from_str(&text).unwrap();
        let sorted: T = serde_json::from_value(sorted).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(
            serde_json::to_value(sorted).unwrap(),
            serde_json::to_value(value).unwrap()
        );
    }

    /// What is made fit for a revision fits: doing it again changes nothing, and it can still be read.
    fn settles<T: ForRevision + Serialize + DeserializeOwned + Clone + PartialEq + Debug>(
        value: &T,
    ) {
        survives(value);
        for version in ProtocolVersion::ALL {
            let once = value.clone().for_revision(version);
            survives(&once);
            assert_eq!(once.clone().for_revision(version), once, "{version}");
        }
    }

    macro_rules! properties {
        ($($name:ident: $strategy:expr => $check:ident;)*) => {
            proptest! {
                #![proptest_config(ProptestConfig::with_cases(64))]
                $(#[test]
                fn $name(value in $strategy) {
                    $check(&value);
                })*
            }
        };
    }

    properties! {
        any_raw_json: raw_json() => survives;
        any_meta: meta() => survives;
        any_error_object: error_object() => survives;
        any_resource_contents: resource_contents() => settles;
        any_resource: resource() => settles;
        any_content_block: content_block() => settles;
        any_sampling_content: sampling_content() => settles;
        any_sampling_message: sampling_message() => settles;
        any_create_message_params: create_message_params() => settles;
        any_create_message_result: create_message_result() => settles;
        any_tool: tool() => settles;
        any_call_tool_params: call_tool_params() => settles;
        any_call_tool_result: call_tool_result() => settles;
        any_prompt: prompt() => settles;
        any_get_prompt_result: get_prompt_result() => settles;
        any_implementation: implementation() => settles;
        any_log_message: log_message_params() => survives;
        any_progress: progress_params() => settles;
        any_client_capabilities: client_capabilities() => settles;
        any_server_capabilities: server_capabilities() => settles;
        any_elicit_schema: elicit_schema() => settles;
        any_elicit_params: elicit_params() => settles;
        any_elicit_result: elicit_result() => survives;
        any_input_requests: input_requests() => settles;
        any_subscription_filter: subscription_filter() => survives;
        any_task: task() => settles;
        any_resource_template: resource_template() => settles;
        any_model_preferences: model_preferences() => survives;
        any_input_responses: input_responses() => survives;
        any_get_prompt_params: get_prompt_params() => settles;
        any_list_of_tools: list_tools_result() => settles;
        any_list_of_prompts: list_prompts_result() => settles;
        any_list_of_resources: list_resources_result() => settles;
        any_list_of_templates: list_resource_templates_result() => settles;
        any_paginated_params: paginated_params() => survives;
        any_empty_params: empty_params() => survives;
        any_empty_result: empty_result() => survives;
        any_read_resource_params: read_resource_params() => settles;
        any_read_resource_result: read_resource_result() => settles;
        any_subscribe_params: subscribe_params() => survives;
        any_resource_updated: resource_updated_params() => survives;
        any_complete_params: complete_params() => settles;
        any_complete_result: complete_result() => survives;
        any_initialize_params: initialize_params() => settles;
        any_initialize_result: initialize_result() => settles;
        any_discover_result: discover_result() => settles;
        any_list_of_roots: list_roots_result() => settles;
        any_set_level: set_level_params() => survives;
        any_cancellation: cancelled_params() => survives;
        any_input_required: input_required_result() => settles;
        any_listen_params: listen_params() => survives;
        any_acknowledgement: subscription_acknowledged_params() => survives;
        any_created_task: create_task_result() => settles;
        any_task_params: get_task_params() => survives;
        any_task_update: update_task_params() => survives;
        any_list_of_tasks: list_tasks_result() => settles;
        any_end_of_an_elicitation: elicitation_complete_params() => survives;
        any_missing_capability: missing_client_capability() => survives;
        any_unsupported_version: unsupported_protocol_version() => survives;
        any_related_task: related_task() => survives;
        any_cancelled_task: cancel_task_result() => settles;
        any_pages_to_see_first: url_elicitation_required() => survives;
    }
}
