//! The server of the Python SDK, `servers/python.py`.

use mcp_client::types::{
    CompleteParams, CompletionRef, ResourceContents, ResourceUpdated, SubscriptionFilter,
    ToolListChanged,
};
use mcp_client::{Client, EraChoice, RequestError};
use mcp_testing::soon;
use mcp_transport_stdio::{ChildProcess, Stderr};
use serde_json::json;

use crate::{Seen, builder, completed, folder, texts};

#[tokio::test]
#[ignore = "needs interop/stdio/run"]
async fn every_feature_in_every_era() {
    for era in [EraChoice::Legacy, EraChoice::Modern, EraChoice::Auto] {
        println!("{era:?}");
        let server = ChildProcess::new(folder().join(".venv/bin/python"))
            .arg(folder().join("servers/python.py"))
            .env("PYTHONWARNINGS", "ignore")
            .stderr(Stderr::Null);
        let (builder, seen) = builder(era);
        let client = soon(builder.connect(server.spawn().unwrap()))
            .await
            .unwrap();
        let modern = era != EraChoice::Legacy;
        let version = if modern { "2026-07-28" } else { "2025-11-25" };
        assert_eq!(client.server().version.as_str(), version);
        assert_eq!(
            client.server().instructions.as_deref(),
            Some("Try everything.")
        );
        let info = client.server().server_info.clone().unwrap();
        assert_eq!(info.name, "python-everything");
        python_lists(&client).await;
        python_calls(&client, &seen).await;
        python_changes(&client, modern).await;
        soon(client.close()).await;
    }
}

async fn python_lists(client: &Client) {
    let tools = soon(client.list_tools()).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let expected = [
        "add", "fail", "work", "greet", "capital", "roots", "touch", "grow",
    ];
    assert_eq!(names, expected);
    assert!(tools[0].output_schema.is_some());
    let resources = soon(client.list_resources()).await.unwrap();
    let uris: Vec<_> = resources.iter().map(|r| r.uri.as_str()).collect();
    assert_eq!(uris, ["note://static", "note://bytes"]);
    let templates = soon(client.list_resource_templates()).await.unwrap();
    assert_eq!(templates[0].uri_template, "note://of/{name}");
    let prompts = soon(client.list_prompts()).await.unwrap();
    assert_eq!(prompts[0].name, "review");

    for (uri, text) in [
        ("note://static", "A static note."),
        ("note://of/ann", "The note of ann."),
    ] {
        let read = soon(client.read_resource(uri)).await.unwrap();
        assert_eq!(read.contents[0].as_text(), Some(text));
    }
    let read = soon(client.read_resource("note://bytes")).await.unwrap();
    match &read.contents[0] {
        ResourceContents::Blob(blob) => {
            assert_eq!(blob.bytes().unwrap(), [0, 1, 255]);
        }
        other => panic!("{other:?}"),
    }
    let missing = soon(client.read_resource("note:nothing")).await;
    assert!(
        matches!(missing, Err(RequestError::Refused(_))),
        "{missing:?}"
    );

    let arguments = json!({ "language": "rust" });
    let prompt = soon(client.get_prompt("review", arguments)).await.unwrap();
    assert_eq!(
        prompt.messages[0].content.as_text(),
        Some("Review this rust: none")
    );
    let missing = soon(client.get_prompt("nothing", json!({}))).await;
    assert!(
        matches!(missing, Err(RequestError::Refused(_))),
        "{missing:?}"
    );

    let ask = CompleteParams::new(CompletionRef::prompt("review"), "language", "p");
    assert_eq!(completed(client, ask).await, ["python", "perl"]);
    let ask = CompleteParams::new(CompletionRef::resource("note://of/{name}"), "name", "a");
    let ask = ask.context("language", "rust");
    assert_eq!(completed(client, ask).await, ["ann", "name of rust"]);
}

async fn python_calls(client: &Client, seen: &Seen) {
    let sum = soon(client.call_tool("add", json!({ "a": 2, "b": 3 })))
        .await
        .unwrap();
    assert_eq!(sum.structured_content.unwrap().as_str(), r#"{"total":5}"#);
    let wrong = soon(client.call_tool("add", json!({ "a": "x" }))).await;
    assert!(wrong.unwrap().is_error);
    assert!(
        soon(client.call_tool("fail", json!({})))
            .await
            .unwrap()
            .is_error
    );
    let missing = soon(client.call_tool("nothing", json!({}))).await;
    assert!(missing.is_err() || missing.unwrap().is_error);

    let mut progress = Vec::new();
    let call = client
        .call_tool("work", json!({ "steps": 50 }))
        .on_progress(|update| progress.push(update.to_string()));
    assert_eq!(soon(call).await.unwrap().to_text(), "50 steps");
    // Before the answer, all of it.
    let steps = (1..=50).map(|step| format!("step {step}"));
    assert_eq!(seen.logs.entries(), steps.collect::<Vec<_>>());
    let steps = (1..=50).map(|step| format!("{step}/50 step {step}"));
    assert_eq!(progress, steps.collect::<Vec<_>>());

    assert_eq!(texts(client, "greet", json!({})).await, "Hello, Ann!");
    assert_eq!(
        texts(client, "capital", json!({})).await,
        "Paris, says stub-model"
    );
    assert_eq!(
        texts(client, "roots", json!({}))
            .await
            .trim_end_matches('/'),
        "file:///work"
    );
    let asked = ["What is your name?", "What is the capital of France?"];
    assert_eq!(seen.asked.entries(), asked);
}

async fn python_changes(client: &Client, modern: bool) {
    let mut lists = client.notifications::<ToolListChanged>();
    let mut updates = client.notifications::<ResourceUpdated>();
    let mut filter = SubscriptionFilter::new().resource("note://static");
    filter.tools_list_changed = true;
    let subscription = soon(client.subscribe(filter)).await.unwrap();
    // A legacy one says that it tells of nothing, and does.
    assert_eq!(subscription.filter().tools_list_changed, modern);
    assert_eq!(
        subscription.filter().resource_subscriptions.is_some(),
        modern
    );
    texts(client, "touch", json!({ "uri": "note://static" })).await;
    let update = soon(updates.recv()).await.unwrap().unwrap();
    assert_eq!(update.uri, "note://static");
    texts(client, "grow", json!({})).await;
    soon(lists.recv()).await.unwrap().unwrap();
    assert_eq!(texts(client, "grown", json!({})).await, "grown");
    soon(subscription.end()).await.unwrap();
}
