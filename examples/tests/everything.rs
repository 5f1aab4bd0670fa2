//! The example `everything` has what the conformance suite looks for by name, and what is there works.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mcp_client::types::{
    CompleteParams, CompletionRef, CreateMessageResult, ElicitParams, ElicitResult, GetPrompt,
    GetPromptParams, ListPrompts, ListResourceTemplates, ListResources, ReadResource,
    ReadResourceParams, Root,
};
use mcp_client::{Client, EraChoice};
use mcp_transport_stdio::ChildProcess;
use serde_json::json;

const TOOLS: [&str; 28] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_custom_header",
    "test_reconnection",
    "json_schema_2020_12_tool",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

/// Fills in what is asked for, whatever it is.
fn fill(params: ElicitParams) -> ElicitResult {
    let ElicitParams::Form(form) = params else {
        return ElicitResult::accept_url();
    };
    let schema = form.schema().unwrap();
    let filled = schema
        .properties
        .iter()
        .map(|(name, _)| match name.as_str() {
            "ok" | "verified" => (name.clone(), json!(true)),
            "age" | "score" => (name.clone(), json!(1)),
            "untitledMulti" | "titledMulti" => (name.clone(), json!(["one"])),
            "status" => (name.clone(), json!("active")),
            _ => (name.clone(), json!("one")),
        });
    ElicitResult::accept(filled.collect::<serde_json::Map<_, _>>())
}

async fn connect(era: EraChoice) -> Client {
    let server = ChildProcess::new(env!("CARGO_BIN_EXE_everything"));
    Client::builder("tester", "1.0.0")
        .era(era)
        .on_sampling(|_| async { Ok(CreateMessageResult::text("stub", "Paris")) })
        .on_elicitation(|params| async { Ok(fill(params)) })
        .roots([Root::new("file:///work")])
        .connect(server.spawn().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn every_tool_is_there_and_answers() {
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let client = connect(era).await;
        let tools = client.list_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, TOOLS);
        assert!(tools.iter().all(|tool| tool.description.is_some()));
        for name in TOOLS {
            let arguments = match name {
                "test_custom_header" => json!({ "value": "v" }),
                "test_sampling" => json!({ "prompt": "p" }),
                "test_elicitation" => json!({ "message": "m" }),
                "json_schema_2020_12_tool" => json!({ "phone": "1", "contactMethod": "phone" }),
                _ => json!({}),
            };
            let result = client.call_tool(name, arguments).await.unwrap();
            let failed = name == "test_error_handling";
            assert_eq!(result.is_error, failed, "{name}: {result:?}");
            assert!(!result.content.is_empty(), "{name}");
        }
        let name = "test_input_required_result_multiple_inputs";
        let text = client.call_tool(name, json!({})).await.unwrap().to_text();
        assert_eq!(text, "Paris one, with 1 roots");
        client.close().await;
    }
}

#[tokio::test]
async fn every_resource_and_prompt_is_there() {
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let client = connect(era).await;
        let list = client
            .request::<ListResources>(&Default::default())
            .await
            .unwrap();
        let uris: Vec<_> = list.resources.iter().map(|r| r.uri.as_str()).collect();
        let expected = [
            "test://static-text",
            "test://static-binary",
            "test://watched-resource",
        ];
        assert_eq!(uris, expected);
        let list = client
            .request::<ListResourceTemplates>(&Default::default())
            .await;
        let template = &list.unwrap().resource_templates[0];
        assert_eq!(template.uri_template, "test://template/{id}/data");
        for uri in expected {
            let read = ReadResourceParams::new(uri);
            client.request::<ReadResource>(&read).await.unwrap();
        }
        let read = ReadResourceParams::new("test://template/123/data");
        let read = client.request::<ReadResource>(&read).await.unwrap();
        assert!(
            read.contents[0]
                .as_text()
                .unwrap()
                .contains("Data for ID: 123")
        );
        let prompts = client
            .request::<ListPrompts>(&Default::default())
            .await
            .unwrap()
            .prompts;
        let names: Vec<_> = prompts.iter().map(|p| p.name.as_str()).collect();
        let expected = [
            "test_simple_prompt",
            "test_prompt_with_arguments",
            "test_prompt_with_embedded_resource",
            "test_prompt_with_image",
            "test_input_required_result_prompt",
        ];
        assert_eq!(names, expected);
        for prompt in prompts {
            assert!(prompt.description.is_some());
            let get = GetPromptParams::new(&prompt.name);
            let arguments = prompt.arguments.unwrap_or_default().into_iter();
            let get = arguments.fold(get, |get, a| get.argument(a.name, "x:y"));
            client.request::<GetPrompt>(&get).await.unwrap();
        }
        let reference = CompletionRef::prompt("test_prompt_with_arguments");
        let ask = CompleteParams::new(reference, "arg1", "test");
        let completed = client
            .request::<mcp_client::types::Complete>(&ask)
            .await
            .unwrap();
        assert_eq!(completed.completion.values, ["test", "testing", "tested"]);
        client.close().await;
    }
}
