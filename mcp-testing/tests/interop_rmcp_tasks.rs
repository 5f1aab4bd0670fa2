//! Tasks of the extension, with rmcp: its server and our client, its client and our server, over bytes in memory.
//!
//! rmcp had those of 2025-11-25 up to 2.2, and has none for that revision since.

mod interop;

use std::time::Duration;

use interop::rmcp::{Era, RmcpClient, rmcp_client_with};
use mcp_client::types::{ElicitResult, TaskState};
use mcp_client::{Client, EraChoice, RequestError, Started, TaskHandle};
use mcp_codec::LineCodec;
use mcp_server::{
    Cx, HandlerError, JsonSchema, Server, TaskSupport, ToolError, schemars, tool, types,
};
use mcp_testing::soon;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    ContentBlock, CreateTaskResult, GetTaskParams, GetTaskResult, InputRequest, ServerCapabilities,
    ServerConfig, TaskPayload, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskExit, TaskManager, TaskOptions};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceError, ServiceExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_util::codec::Framed;

const TICK: Duration = Duration::from_millis(60);

/// A server of theirs with the tools `slow`, `fail`, `refuse`, `ask`, `hold` and `plain`.
#[derive(Clone, Default)]
struct Theirs(TaskManager);

impl ServerHandler for Theirs {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools();
        ServerConfig::new(capabilities.enable_tasks().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = |text: &str| vec![ContentBlock::text(text.to_owned())];
        let capabilities = context.client_capabilities();
        if request.name == "plain" || !capabilities.is_some_and(|c| c.supports_tasks()) {
            return Ok(CallToolResult::success(text("at once")).into());
        }
        let options = TaskOptions::new().with_poll_interval_ms(10);
        let task = self.0.spawn(options, move |cx| {
            Box::pin(async move {
                match &*request.name {
                    "slow" => tokio::time::sleep(TICK).await,
                    "fail" => return Ok(CallToolResult::error(text("as it is meant to"))),
                    "refuse" => {
                        let error = ErrorData::invalid_request("no", None);
                        return Err(TaskExit::Error(error));
                    }
                    "ask" => {
                        let form = json!({"method": "elicitation/create", "params": {
                            "message": "What is your name?",
                            "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
                        }});
                        let form: InputRequest = serde_json::from_value(form).expect("a form");
                        let answer = cx.request_input("name", form).await?;
                        let name = answer["content"]["name"].as_str().unwrap_or("?");
                        return Ok(CallToolResult::success(text(&format!("Hello, {name}!"))));
                    }
                    _ => {
                        cx.cancelled().await;
                        return Err(TaskExit::Cancelled);
                    }
                }
                Ok(CallToolResult::success(text("slept")))
            })
        });
        Ok(CreateTaskResult::new(task).into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.0.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.cancel_task(&request.task_id)
    }
}

async fn start(client: &Client, name: &str) -> TaskHandle {
    match soon(client.call_tool(name, ()).as_task()).await {
        Ok(Started::Task(task)) => task,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn our_client_follows_tasks_of_theirs() {
    let (left, right) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let serving = ServiceExt::serve(Theirs::default(), right).await;
        serving.expect("it opens").waiting().await
    });
    let builder = Client::builder("ours", "1.0.0")
        .era(EraChoice::Auto)
        .with_tasks()
        .on_elicitation(async |_| Ok(ElicitResult::accept(json!({"name": "Ann"}))));
    let client = soon(builder.connect(Framed::new(left, LineCodec::default()))).await;
    let client = client.expect("it connects");

    let mut slow = start(&client, "slow").await;
    assert_eq!(slow.task().status, TaskState::Working);
    assert_eq!(soon(slow.result()).await.expect("ends").to_text(), "slept");
    let known = soon(slow.refresh()).await.expect("it is known");
    assert_eq!(known.status, TaskState::Completed);

    let failed = soon(start(&client, "fail").await.result()).await;
    assert!(failed.expect("it ends with a result").is_error);
    let refused = soon(start(&client, "refuse").await.result()).await;
    assert!(
        matches!(&refused, Err(RequestError::Refused(e)) if e.code.0 == -32600 && e.message == "no"),
        "{refused:?}"
    );

    let held = start(&client, "hold").await;
    soon(held.cancel()).await.expect("it is asked to stop");
    let cancelled = soon(held.result()).await;
    assert!(
        matches!(cancelled, Err(RequestError::Refused(_))),
        "{cancelled:?}"
    );

    for (tool, text) in [
        ("slow", "slept"),
        ("ask", "Hello, Ann!"),
        ("plain", "at once"),
    ] {
        let result = soon(client.call_tool(tool, ())).await.expect("it ends");
        assert_eq!(result.to_text(), text);
    }
    let unknown = soon(client.task("unknown")).await;
    assert!(
        matches!(unknown, Err(RequestError::Refused(_))),
        "{unknown:?}"
    );
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn ours() -> Server {
    let slow = async || {
        tokio::time::sleep(TICK).await;
        "slept"
    };
    // What is done at once becomes no task.
    let fail = async || {
        tokio::time::sleep(TICK).await;
        Err::<String, _>(ToolError::new("as it is meant to"))
    };
    let refuse = async || {
        tokio::time::sleep(TICK).await;
        let seven = types::ErrorObject::new(7, "seven");
        Err::<String, _>(HandlerError::protocol(seven))
    };
    let ask = async |cx: Cx| {
        let name = cx.elicit::<Name>("What is your name?").await?.accepted();
        let name = name.ok_or_else(|| ToolError::new("nobody"))?.name;
        Ok::<_, HandlerError>(format!("Hello, {name}!"))
    };
    let hold = async |_: Cx| std::future::pending::<&'static str>().await;
    Server::new("ours", "1.0.0")
        .tool(tool("slow", slow).task(TaskSupport::Required))
        .tool(tool("fail", fail).task(TaskSupport::Required))
        .tool(tool("refuse", refuse).task(TaskSupport::Required))
        .tool(tool("ask", ask).task(TaskSupport::Required))
        .tool(tool("hold", hold).task(TaskSupport::Required))
        .tool(tool("plain", || "at once"))
}

async fn theirs(io: DuplexStream, era: Era) -> RmcpClient {
    let capabilities = ClientCapabilities::builder().enable_elicitation();
    let client = rmcp_client_with(capabilities.enable_tasks().build(), io, era);
    soon(client).await.expect("it connects")
}

/// Starts one, and asks until it has ended; what it asks is answered.
async fn end(client: &RmcpClient, tool: &str) -> TaskPayload {
    let id = started(client, tool).await;
    loop {
        match status(client, &id).await {
            TaskPayload::Working => tokio::time::sleep(TICK / 4).await,
            TaskPayload::InputRequired { input_requests } => {
                let answer = json!({"action": "accept", "content": {"name": "Ann"}});
                let answers = input_requests.into_keys().map(|key| (key, answer.clone()));
                let update = UpdateTaskParams::new(&*id, answers.collect());
                let update = client.running().update_task(update);
                soon(update).await.expect("it is taken");
            }
            ended => return ended,
        }
    }
}

async fn started(client: &RmcpClient, tool: &str) -> String {
    match soon(client.call_once(tool, Value::Null)).await {
        Ok(CallToolResponse::Task(created)) => created.task.task_id,
        other => panic!("{tool}: {other:?}"),
    }
}

async fn status(client: &RmcpClient, id: &str) -> TaskPayload {
    let get = client.running().get_task(GetTaskParams::new(id));
    soon(get).await.expect("it is known").task.payload
}

#[tokio::test]
async fn their_client_follows_tasks_of_ours() {
    let (left, right) = tokio::io::duplex(64 * 1024);
    tokio::spawn(ours().serve(Framed::new(right, LineCodec::default())));
    let client = theirs(left, Era::Modern).await;

    for (tool, text, is_error) in [
        ("slow", "slept", false),
        ("fail", "as it is meant to", true),
        ("ask", "Hello, Ann!", false),
    ] {
        let TaskPayload::Completed { result } = end(&client, tool).await else {
            panic!("{tool} should complete");
        };
        assert_eq!(result["content"][0]["text"], text);
        let said = result.get("isError").and_then(Value::as_bool);
        assert_eq!(said.unwrap_or(false), is_error);
    }
    let TaskPayload::Failed { error } = end(&client, "refuse").await else {
        panic!("it should fail");
    };
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(7), &json!("seven"))
    );

    let held = started(&client, "hold").await;
    let cancel = client.running().cancel_task(CancelTaskParams::new(&*held));
    soon(cancel).await.expect("it is acknowledged");
    let working = async {
        while status(&client, &held).await == TaskPayload::Working {
            tokio::time::sleep(TICK / 4).await;
        }
    };
    soon(working).await;
    assert_eq!(status(&client, &held).await, TaskPayload::Cancelled);

    let unknown = client.running().get_task(GetTaskParams::new("unknown"));
    assert!(matches!(soon(unknown).await, Err(ServiceError::McpError(e)) if e.code.0 == -32602));
    let plain = soon(client.call("plain", Value::Null)).await;
    assert_eq!(
        plain.expect("no task").content[0],
        ContentBlock::text("at once")
    );
}
