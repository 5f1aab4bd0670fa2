//! Servers of the TypeScript SDKs: `server-everything`, made with the first, and `servers/typescript.mjs`, with the second.

use std::time::Duration;

use mcp_client::types::{
    CompleteParams, CompletionRef, ErrorCode, ResourceUpdated, SubscriptionFilter, ToolListChanged,
};
use mcp_client::{Client, EraChoice, RequestError};
use mcp_testing::soon;
use mcp_transport_stdio::{ChildProcess, Stderr};
use serde_json::{Value, json};

use crate::{Seen, builder, completed, folder, texts};

#[tokio::test]
#[ignore = "needs interop/stdio/run"]
async fn every_feature_of_server_everything() {
    for era in [EraChoice::Legacy, EraChoice::Auto] {
        println!("{era:?}");
        let (builder, seen) = builder(era);
        let builder = builder.capabilities(|c| {
            let elicitation = c.elicitation.take().unwrap_or_default();
            c.elicitation = Some(elicitation.form().url());
        });
        let client = soon(builder.connect(everything().spawn().unwrap()))
            .await
            .unwrap();
        assert_eq!(client.server().version.as_str(), "2025-11-25");
        let info = client.server().server_info.clone().unwrap();
        assert_eq!(info.name, "mcp-servers/everything");
        typescript_lists(&client).await;
        typescript_calls(&client).await;
        typescript_asks(&client, &seen).await;
        typescript_changes(&client, &seen).await;
        soon(client.close()).await;
    }
}

fn everything() -> ChildProcess {
    let server =
        folder().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    ChildProcess::new("node").arg(server).stderr(Stderr::Null)
}

async fn typescript_lists(client: &Client) {
    // The server adds some when it has seen what the client can do.
    let tools = soon(client.list_tools()).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    for name in [
        "echo",
        "get-sum",
        "get-structured-content",
        "trigger-sampling-request",
        "trigger-url-elicitation",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let resources = soon(client.list_resources()).await.unwrap();
    assert_eq!(resources.len(), 7);
    for resource in &resources {
        let read = soon(client.read_resource(&resource.uri)).await.unwrap();
        assert!(!read.contents[0].as_text().unwrap().is_empty());
    }
    let templates = soon(client.list_resource_templates()).await.unwrap();
    let uris: Vec<_> = templates.iter().map(|t| t.uri_template.as_str()).collect();
    let expected =
        ["text", "blob"].map(|kind| format!("demo://resource/dynamic/{kind}/{{resourceId}}"));
    assert_eq!(uris, expected);
    let read = soon(client.read_resource("demo://resource/dynamic/text/7"))
        .await
        .unwrap();
    assert!(
        read.contents[0]
            .as_text()
            .unwrap()
            .starts_with("Resource 7")
    );
    let prompts = soon(client.list_prompts()).await.unwrap();
    let names: Vec<_> = prompts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "simple-prompt",
            "args-prompt",
            "completable-prompt",
            "resource-prompt"
        ]
    );
    let arguments = json!({ "city": "Paris", "state": "Texas" });
    let prompt = soon(client.get_prompt("args-prompt", arguments))
        .await
        .unwrap();
    assert_eq!(
        prompt.messages[0].content.as_text(),
        Some("What's weather in Paris, Texas?")
    );
    let arguments = json!({ "resourceType": "Blob", "resourceId": "2" });
    let prompt = soon(client.get_prompt("resource-prompt", arguments))
        .await
        .unwrap();
    assert_eq!(prompt.messages.len(), 2);

    let prompt = || CompletionRef::prompt("completable-prompt");
    let ask = CompleteParams::new(prompt(), "department", "S");
    assert_eq!(completed(client, ask).await, ["Sales", "Support"]);
    let ask = CompleteParams::new(prompt(), "name", "").context("department", "Sales");
    assert_eq!(completed(client, ask).await, ["David", "Eve", "Frank"]);
    let template = CompletionRef::resource(&templates[0].uri_template);
    assert_eq!(
        completed(client, CompleteParams::new(template, "resourceId", "4")).await,
        ["4"]
    );
}

async fn typescript_calls(client: &Client) {
    assert_eq!(
        texts(client, "echo", json!({ "message": "é\u{1f600}\u{2028}" })).await,
        "Echo: é\u{1f600}\u{2028}"
    );
    assert_eq!(
        texts(client, "get-sum", json!({ "a": 2, "b": 3 })).await,
        "The sum of 2 and 3 is 5."
    );
    let wrong = soon(client.call_tool("get-sum", json!({ "a": "x" })))
        .await
        .unwrap();
    assert!(
        wrong.is_error && wrong.to_text().contains("number"),
        "{wrong:?}"
    );
    let missing = soon(client.call_tool("nothing", json!({}))).await;
    assert!(missing.is_err() || missing.unwrap().is_error);
    let weather = client.call_tool("get-structured-content", json!({ "location": "Chicago" }));
    let weather: Value = soon(weather)
        .await
        .unwrap()
        .structured_content
        .unwrap()
        .decode()
        .unwrap();
    assert_eq!(weather["humidity"], 82);
    for (tool, arguments, blocks) in [
        ("get-tiny-image", json!({}), 3),
        (
            "get-annotated-message",
            json!({ "messageType": "error", "includeImage": true }),
            2,
        ),
        ("get-resource-links", json!({ "count": 4 }), 5),
        (
            "get-resource-reference",
            json!({ "resourceType": "Blob", "resourceId": 3 }),
            3,
        ),
        (
            "gzip-file-as-resource",
            json!({ "name": "a.gz", "data": "data:text/plain,a", "outputType": "resource" }),
            1,
        ),
        ("get-env", json!({}), 1),
    ] {
        let result = soon(client.call_tool(tool, arguments)).await.unwrap();
        assert_eq!(
            (result.is_error, result.content.len()),
            (false, blocks),
            "{tool}: {result:?}"
        );
    }
    let mut progress = Vec::new();
    let work = client
        .call_tool(
            "trigger-long-running-operation",
            json!({ "duration": 0.2, "steps": 5 }),
        )
        .on_progress(|update| progress.push(update.to_string()));
    soon(work).await.unwrap();
    assert_eq!(progress, ["1/5", "2/5", "3/5", "4/5", "5/5"]);

    // Given up: the server hears of it, and the next call is answered.
    let arguments = json!({ "duration": 60, "steps": 1 });
    let given_up = client
        .call_tool("trigger-long-running-operation", arguments)
        .timeout(Duration::from_millis(50));
    assert!(matches!(
        soon(given_up).await,
        Err(RequestError::TimedOut(_))
    ));
    soon(client.ping()).await.unwrap();
}

async fn typescript_asks(client: &Client, seen: &Seen) {
    let arguments = json!({ "prompt": "Who?", "maxTokens": 10 });
    let sampled = texts(client, "trigger-sampling-request", arguments).await;
    assert!(
        sampled.contains("stub-model") && sampled.contains("Paris"),
        "{sampled}"
    );
    let elicited = texts(client, "trigger-elicitation-request", json!({})).await;
    assert!(elicited.contains("Name: Ann"), "{elicited}");
    let url = json!({ "url": "https://example.com/", "message": "Go there", "elicitationId": "1" });
    let elicited = texts(client, "trigger-url-elicitation", url).await;
    assert!(elicited.contains("accept"), "{elicited}");
    let url = json!({ "url": "https://example.com/", "message": "Go there", "errorPath": true });
    match soon(client.call_tool("trigger-url-elicitation", url)).await {
        Err(RequestError::Refused(error)) => {
            assert_eq!(error.code, ErrorCode::URL_ELICITATION_REQUIRED)
        }
        other => panic!("{other:?}"),
    }
    let roots = texts(client, "get-roots-list", json!({})).await;
    assert!(roots.contains("file:///work"), "{roots}");
    assert_eq!(seen.asked.entries().len(), 3, "{:?}", seen.asked.entries());
}

async fn typescript_changes(client: &Client, seen: &Seen) {
    let mut updates = client.notifications::<ResourceUpdated>();
    let uri = "demo://resource/dynamic/text/1";
    let filter = SubscriptionFilter::new().resource(uri);
    let subscription = soon(client.subscribe(filter)).await.unwrap();
    soon(
        seen.logs
            .find(|log| log.starts_with("Received Subscribe Resource request")),
    )
    .await;
    texts(client, "toggle-subscriber-updates", json!({})).await;
    assert_eq!(soon(updates.recv()).await.unwrap().unwrap().uri, uri);
    texts(client, "toggle-subscriber-updates", json!({})).await;
    soon(subscription.end()).await.unwrap();
    soon(
        seen.logs
            .find(|log| log.starts_with("Received Unsubscribe Resource request")),
    )
    .await;
    texts(client, "toggle-simulated-logging", json!({})).await;
    soon(
        seen.logs
            .find(|log| log.contains("level") && log.contains("message")),
    )
    .await;
    texts(client, "toggle-simulated-logging", json!({})).await;
}

#[tokio::test]
#[ignore = "needs interop/stdio/run"]
async fn a_modern_server() {
    for era in [EraChoice::Modern, EraChoice::Auto] {
        println!("{era:?}");
        let (builder, seen) = builder(era);
        let server = ChildProcess::new("node").arg(folder().join("servers/typescript.mjs"));
        let client = soon(builder.connect(server.spawn().unwrap()))
            .await
            .unwrap();
        assert_eq!(client.server().version.as_str(), "2026-07-28");
        let mut progress = Vec::new();
        let work = client
            .call_tool("work", json!({ "steps": 50 }))
            .on_progress(|update| progress.push(update.to_string()));
        assert_eq!(soon(work).await.unwrap().to_text(), "50 steps");
        let steps = (1..=50).map(|step| format!("step {step}"));
        assert_eq!(seen.logs.entries(), steps.collect::<Vec<_>>());
        let steps = (1..=50).map(|step| format!("{step}/50 step {step}"));
        assert_eq!(progress, steps.collect::<Vec<_>>());

        let asked = texts(&client, "ask", json!({})).await;
        assert_eq!(asked, "Ann of Paris in file:///work");
        assert_eq!(seen.asked.entries().len(), 2);
        let read = soon(client.read_resource("note://static")).await.unwrap();
        assert_eq!(read.contents[0].as_text(), Some("A static note."));

        let mut lists = client.notifications::<ToolListChanged>();
        let mut updates = client.notifications::<ResourceUpdated>();
        let mut filter = SubscriptionFilter::new().resource("note://static");
        filter.tools_list_changed = true;
        let subscription = soon(client.subscribe(filter)).await.unwrap();
        assert!(subscription.filter().tools_list_changed);
        texts(&client, "touch", json!({})).await;
        let update = soon(updates.recv()).await.unwrap().unwrap();
        assert_eq!(update.uri, "note://static");
        texts(&client, "grow", json!({})).await;
        soon(lists.recv()).await.unwrap().unwrap();
        assert_eq!(texts(&client, "grown", json!({})).await, "grown");
        soon(subscription.end()).await.unwrap();
        soon(client.close()).await;
    }
}
