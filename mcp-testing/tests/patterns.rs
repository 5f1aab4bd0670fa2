//! The four patterns, with one handler, in both eras, over memory and over bytes.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use mcp_client::types::{CreateMessageResult, Era, LogLevel, Notification};
use mcp_client::{Client, EraChoice, RequestError};
use mcp_server::{Cx, Json, JsonSchema, Sampling, Server, ToolError, tool};
use mcp_testing::{Wire, soon};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Batch {
    /// Files to process
    file_ids: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, PartialEq, Debug)]
struct Report {
    count: usize,
    summary: String,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Said {
    text: String,
}

struct MessageReceived;
impl Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Said;
}

async fn batch_process(cx: Cx, args: Batch) -> Result<Json<Report>, ToolError> {
    let progress = cx.progress().total(args.file_ids.len());
    for id in &args.file_ids {
        tokio::task::yield_now().await;
        progress.step(format!("processed {id}")).await;
    }
    cx.log().info("batch done").await;
    let reply = cx
        .sample(Sampling::user("Summarise").max_tokens(200))
        .await?;
    let text = format!("{} files", args.file_ids.len());
    cx.notify::<MessageReceived>(&Said { text }).await?;
    let summary = reply.to_text();
    let count = args.file_ids.len();
    Ok(Json(Report { count, summary }))
}

fn server() -> Server {
    Server::new("files", "1.0.0")
        .with_notifications()
        .tool(tool("batch_process", batch_process).describe("Process files"))
}

async fn patterns(transport: impl mcp_client::Transport, era: EraChoice) -> (Era, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |seen: &Arc<Mutex<Vec<String>>>| {
        let seen = Arc::clone(seen);
        move |line: String| seen.lock().unwrap().push(line)
    };
    let (log, said, sampled) = (note(&seen), note(&seen), note(&seen));
    let client = Client::builder("tester", "1")
        .era(era)
        .on_log(move |m| log(format!("log {} {}", m.level, m.text())))
        .on_notification::<MessageReceived>(move |m| said(format!("said {}", m.text)))
        .on_sampling(move |params| {
            sampled(format!("sample {}", params.messages[0].to_text()));
            async { Ok(CreateMessageResult::text("stub", "short")) }
        })
        .connect(transport)
        .await
        .unwrap();
    let progress = note(&seen);
    let tools = client.list_tools().await.unwrap();
    assert_eq!(tools.len(), 1);
    assert!(tools[0].input_schema.as_str().contains("Files to process"));
    let result = client
        .call_tool("batch_process", json!({ "file_ids": ["a", "b"] }))
        .on_progress(|p| progress(format!("progress {} {}", p.progress, p.message.unwrap())))
        .await
        .unwrap();
    let report: Report = result.structured_content.unwrap().decode().unwrap();
    assert_eq!(
        report,
        Report {
            count: 2,
            summary: "short".into()
        }
    );
    let era = client.era();
    client.close().await;
    let seen = seen.lock().unwrap().clone();
    (era, seen)
}

/// What the callbacks saw; progress goes through the call's own future, so that its place among the others is not fixed.
fn check(mut seen: Vec<String>) {
    let progress: Vec<_> = seen
        .extract_if(.., |line| line.starts_with("progress"))
        .collect();
    assert_eq!(
        progress,
        ["progress 1 processed a", "progress 2 processed b"]
    );
    assert_eq!(
        seen,
        ["log info batch done", "sample Summarise", "said 2 files"]
    );
}

#[tokio::test]
async fn over_memory() {
    for (choice, expected) in [
        (EraChoice::Legacy, Era::Legacy),
        (EraChoice::Modern, Era::Modern),
        (EraChoice::Auto, Era::Modern),
    ] {
        let (left, right) = mcp_peer::duplex(4);
        let serving = tokio::spawn(server().serve(right));
        let (era, seen) = soon(patterns(left, choice)).await;
        assert_eq!(era, expected);
        check(seen);
        soon(serving).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn over_bytes_with_the_proof_on_the_wire() {
    for (choice, legacy) in [(EraChoice::Legacy, true), (EraChoice::Modern, false)] {
        for capacity in [1, 64, 65_536] {
            let (left, right, wire) = Wire::tap(capacity);
            let serving = tokio::spawn(server().serve(mcp_codec::framed(right)));
            let (_, seen) = soon(patterns(mcp_codec::framed(left), choice)).await;
            check(seen);
            soon(serving).await.unwrap().unwrap();
            let lines = wire.lines();
            let requests = |method: &str| {
                lines
                    .iter()
                    .filter(|l| l.method().as_deref() == Some(method))
                    .count()
            };
            let asked = lines
                .iter()
                .filter(|l| l.text.contains("\"input_required\""))
                .count();
            assert_eq!(requests("sampling/createMessage"), usize::from(legacy));
            assert_eq!(asked, usize::from(!legacy));
            let calls: Vec<_> = lines
                .iter()
                .filter(|l| l.method().as_deref() == Some("tools/call"))
                .collect();
            assert_eq!(calls.len(), if legacy { 1 } else { 2 });
            if !legacy {
                assert_ne!(calls[0].json()["id"], calls[1].json()["id"], "REQ-MRTR-07");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_cannot_sample_is_told_so() {
    for (choice, modern) in [(EraChoice::Legacy, false), (EraChoice::Modern, true)] {
        let (left, right) = mcp_peer::duplex(4);
        tokio::spawn(server().serve(right));
        let client = Client::builder("tester", "1")
            .era(choice)
            .log_level(LogLevel::Debug)
            .connect(left)
            .await
            .unwrap();
        let outcome = soon(
            client
                .call_tool("batch_process", json!({ "file_ids": [] }))
                .into_future(),
        )
        .await;
        match outcome {
            Err(RequestError::Refused(error)) if modern => {
                assert_eq!(error.code.0, -32021);
                assert_eq!(
                    error.data.unwrap().as_str(),
                    r#"{"requiredCapabilities":{"sampling":{}}}"#
                );
            }
            Ok(result) if !modern => assert!(result.is_error),
            other => panic!("{other:?}"),
        }
    }
}
