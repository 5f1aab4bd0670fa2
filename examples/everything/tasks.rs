//! Tools whose result comes later.

use std::time::Duration;

use mcp_server::types::{ErrorCode, ErrorObject};
use mcp_server::{Cx, HandlerError, JsonSchema, TaskSupport, ToolDef, ToolError, schemars, tool};
use serde::Deserialize;

pub(crate) fn tools() -> Vec<ToolDef> {
    use TaskSupport::{Optional, Required};
    vec![
        tool("greet", |name: Name| format!("Hello, {}!", name.name)).describe("Greets"),
        tool("slow_compute", slow_compute)
            .describe("Takes its time")
            .task(Optional),
        tool("failing_job", failing_job)
            .describe("Fails in the end")
            .task(Required),
        tool("protocol_error_job", protocol_error_job)
            .describe("Ends with a protocol error")
            .task(Optional),
        tool("confirm_delete", confirm_delete)
            .describe("Asks before it deletes")
            .task(Optional),
        tool("multi_input", multi_input)
            .describe("Asks two things at once")
            .task(Optional),
        tool("test_tool_with_task", name_then_task)
            .describe("Asks, and takes its time then")
            .task_when_asked(Required),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Work {
    /// How long to take
    seconds: u64,
    /// What to call it
    label: String,
}

async fn slow_compute(work: Work) -> String {
    tokio::time::sleep(Duration::from_secs(work.seconds)).await;
    format!("{} is done.", work.label)
}

async fn failing_job() -> Result<(), ToolError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(ToolError::new("The job failed."))
}

async fn protocol_error_job() -> Result<(), ToolError> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = ErrorObject::new(ErrorCode::INTERNAL_ERROR, "the job broke");
    Err(HandlerError::protocol(error))
}

#[derive(Deserialize, JsonSchema)]
struct File {
    /// What to delete
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirm {
    confirm: bool,
}

async fn confirm_delete(cx: Cx, file: File) -> Result<String, ToolError> {
    let question = format!("Delete {}?", file.filename);
    let answer = cx.elicit::<Confirm>(question).await?.accepted();
    Ok(match answer.is_some_and(|answer| answer.confirm) {
        true => format!("Deleted {}.", file.filename),
        false => "Nothing was deleted.".to_owned(),
    })
}

async fn multi_input(cx: Cx) -> Result<String, ToolError> {
    let (one, two) = tokio::join!(
        cx.elicit::<Name>("The first name?"),
        cx.elicit::<Name>("The second name?")
    );
    let names = [one?, two?].map(|name| name.accepted().map_or("nobody".to_owned(), |n| n.name));
    Ok(names.join(" and "))
}

async fn name_then_task(cx: Cx) -> Result<String, ToolError> {
    let asking = cx.named("user_name");
    let name = asking
        .elicit::<Name>("What is your name?")
        .await?
        .accepted();
    cx.become_task().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(name.map_or("Nobody.".to_owned(), |n| format!("Hello, {}!", n.name)))
}
