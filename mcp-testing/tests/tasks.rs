//! Calls that become tasks, in both designs.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use mcp_client::types::{ElicitResult, ProtocolVersion, TaskState};
use mcp_client::{Cancel, Client, ClientBuilder, RequestError, Started, TaskHandle};
use mcp_peer::duplex;
use mcp_server::{
    Cx, HandlerError, JsonSchema, Server, ServerConnection, TaskSupport, ToolError, schemars, tool,
};
use mcp_testing::soon;
use serde::Deserialize;
use serde_json::json;

const DESIGNS: [ProtocolVersion; 2] = [ProtocolVersion::V2025_11_25, ProtocolVersion::V2026_07_28];

/// What a person is asked.
#[derive(Debug, Deserialize, JsonSchema)]
struct Name {
    name: String,
}

async fn slow(cx: Cx) -> &'static str {
    let progress = cx.progress();
    for quarter in 1..=4 {
        tokio::time::sleep(Duration::from_secs(25)).await;
        progress.at(quarter, None).await;
    }
    "slept"
}

async fn asking(cx: Cx) -> Result<String, ToolError> {
    let mut names = String::new();
    for key in ["one", "two"] {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let answer = cx.named(key).elicit::<Name>(key).await?;
        names += &answer
            .accepted()
            .ok_or_else(|| ToolError::new("refused"))?
            .name;
    }
    Ok(names)
}

async fn failing(_: Cx) -> Result<String, ToolError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(HandlerError::protocol(mcp_client::types::ErrorObject::new(
        7, "seven",
    )))
}

fn server() -> ServerConnection {
    let server = Server::new("tasks", "1.0.0");
    server
        .tool(tool("slow", slow).task(TaskSupport::Optional))
        .tool(tool("asking", asking).task(TaskSupport::Optional))
        .tool(tool("failing", failing).task(TaskSupport::Optional))
        .tool(tool("plain", || "at once"))
        .start()
}

async fn connect(server: &ServerConnection, version: ProtocolVersion) -> Client {
    let (left, right) = duplex(16);
    let connection = server.connect(right).expect("a connection");
    tokio::spawn(async move {
        let _peer = connection.peer;
        connection.driver.await
    });
    let client: ClientBuilder = Client::builder("client", "1")
        .era(version)
        .with_tasks()
        .on_elicitation(async |asked| {
            let name = format!("{} ", asked.message());
            Ok(ElicitResult::accept(json!({ "name": name })))
        });
    soon(client.connect(left)).await.expect("connects")
}

async fn start(client: &Client, name: &str) -> TaskHandle {
    match soon(client.call_tool(name, ()).as_task().into_future()).await {
        Ok(Started::Task(task)) => task,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_has_the_result_that_its_call_would_have_had() {
    // REQ-TSKL-02, REQ-TSKX-03
    for version in DESIGNS {
        let server = server();
        let client = connect(&server, version).await;
        let mut task = start(&client, "slow").await;
        assert_eq!(task.task().status, TaskState::Working, "{version}");
        let again = client.task(task.id()).await.expect("it is known");
        assert_eq!(
            task.refresh().await.expect("it is known").status,
            TaskState::Working
        );
        assert_eq!(task.result().await.expect("ends").to_text(), "slept");
        assert_eq!(again.result().await.expect("ended").to_text(), "slept");
        // Its questions are answered by the handlers, once each.
        let asking = start(&client, "asking").await;
        assert_eq!(asking.result().await.expect("ends").to_text(), "one two ");
        let failed = start(&client, "failing").await.result().await;
        assert!(matches!(failed, Err(RequestError::Refused(e)) if e.code.0 == 7));
        let cancelled = start(&client, "slow").await;
        cancelled.cancel().await.expect("it goes on");
        assert!(matches!(
            cancelled.result().await,
            Err(RequestError::Refused(_))
        ));
        match client.call_tool("plain", ()).as_task().await {
            Ok(Started::Done(result)) => assert_eq!(result.to_text(), "at once"),
            // A legacy server is asked for a task.
            Err(RequestError::Refused(error)) => assert_eq!(error.code.0, -32601),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            client.task("unknown").await,
            Err(RequestError::Refused(_))
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_2025_11_25_tells_how_far_it_is() {
    // REQ-PROG-07; a modern one does not.
    for (version, quarters) in DESIGNS.into_iter().zip([4, 0]) {
        let server = server();
        let client = connect(&server, version).await;
        let call = client.call_tool("slow", ()).on_progress(|update| {
            panic!("{update} before it is a task");
        });
        let Ok(Started::Task(task)) = call.as_task().await else {
            panic!("a task");
        };
        let mut told = 0;
        let result = task.result_with(|_| told += 1).await.expect("ends");
        assert_eq!((result.to_text().as_str(), told), ("slept", quarters));
        assert_eq!(client.peer().counters().stray_progress, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_task_and_takes_it_along() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let hold = move |_: Cx| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending::<&'static str>().await
        }
    };
    let server = Server::new("tasks", "1.0.0")
        .tool(tool("slow", slow).task(TaskSupport::Optional))
        .tool(tool("asking", asking).task(TaskSupport::Optional))
        .tool(tool("hold", hold).task(TaskSupport::Optional))
        .start();
    let client = connect(&server, ProtocolVersion::V2026_07_28).await;
    let slept = client.call_tool("slow", ()).await.expect("ends");
    assert_eq!(slept.to_text(), "slept");
    let asked = client.call_tool("asking", ()).await.expect("ends");
    assert_eq!(asked.to_text(), "one two ");
    let held = Arc::strong_count(&alive);
    let gone = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&alive), held, "its task has ended, too");
    };
    let hour = Duration::from_secs(3600);
    // The limit is that of any call, unless it has another.
    for (call, limit) in [
        (client.call_tool("hold", ()), hour),
        (client.call_tool("hold", ()).max_total(hour / 2), hour / 2),
    ] {
        assert_eq!(call.await, Err(RequestError::TimedOut(limit)));
        gone().await;
    }
    let cancel = Cancel::new();
    let call = client.call_tool("hold", ()).cancelled_by(&cancel);
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(call.into_future(), cancelling);
    assert_eq!(outcome, Err(RequestError::Cancelled));
    gone().await;
}
