//! The client that the conformance suite runs against its mock servers: `conformance_client URL`, what it is to do in
//! `MCP_CONFORMANCE_SCENARIO`, in which revision in `MCP_CONFORMANCE_PROTOCOL_VERSION`.

use std::env;
use std::error::Error;

use mcp_client::types::{
    CreateMessageResult, ElicitParams, ElicitResult, ProtocolVersion, RawJson, Root, Tool,
};
use mcp_client::{Client, EraChoice};
use mcp_transport_http::HttpClient;
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let url = env::args().next_back().unwrap_or_default();
    let scenario = env::var("MCP_CONFORMANCE_SCENARIO")?;
    let version = env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default();
    let era = match ProtocolVersion::from_name(&version) {
        Some(ProtocolVersion::V2026_07_28) => EraChoice::Modern,
        _ => EraChoice::Legacy,
    };
    let client = Client::builder("conformance-client", env!("CARGO_PKG_VERSION"))
        .era(era)
        .on_elicitation(|params| async move { Ok(fill(params)) })
        .on_sampling(|_| async { Ok(CreateMessageResult::text("none", "Hello.")) })
        .roots([Root::new("file:///conformance")])
        .connect(HttpClient::new().connect(&url)?)
        .await?;
    run(&scenario, &client).await?;
    client.close().await;
    Ok(())
}

async fn run(scenario: &str, client: &Client) -> Outcome {
    let tools = client.list_tools().await?;
    match scenario {
        "initialize" | "request-metadata" | "json-schema-ref-no-deref" => Ok(()),
        "tools_call" => call(client, "add_numbers", json!({ "a": 5, "b": 3 })).await,
        "elicitation-sep1034-client-defaults" => {
            call(client, "test_client_elicitation_defaults", json!({})).await
        }
        "sse-retry" => call(client, "test_reconnection", json!({})).await,
        "sep-2322-client-request-state" => {
            for tool in &tools {
                call(client, &tool.name, json!({})).await?;
            }
            Ok(())
        }
        "http-standard-headers" => everything(client, &tools).await,
        "http-custom-headers" => headers(client).await,
        "http-invalid-tool-headers" => {
            call(client, "valid_tool", json!({ "region": "here" })).await
        }
        "json-schema-2020-12-preservation" => {
            let schema = tools.iter().find(|t| t.name == "json_schema_2020_12_tool");
            let schema = schema.ok_or("the tool is missing")?.input_schema.clone();
            call(client, "json_schema_echo", Echo { schema }).await
        }
        other => Err(format!("no such scenario: {other}").into()),
    }
}

#[derive(serde::Serialize)]
struct Echo {
    schema: RawJson,
}

async fn call(client: &Client, tool: &str, arguments: impl serde::Serialize) -> Outcome {
    client.call_tool(tool, arguments).await?;
    Ok(())
}

/// Uses everything that is listed, once.
async fn everything(client: &Client, tools: &[Tool]) -> Outcome {
    for tool in tools {
        call(client, &tool.name, json!({})).await?;
    }
    for resource in client.list_resources().await? {
        client.read_resource(resource.uri).await?;
    }
    for prompt in client.list_prompts().await? {
        client.get_prompt(&prompt.name, json!({})).await?;
    }
    Ok(())
}

/// Makes the calls that the suite asks for.
async fn headers(client: &Client) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Context {
        tool_calls: Vec<ToolCall>,
    }
    #[derive(Deserialize)]
    struct ToolCall {
        name: String,
        arguments: RawJson,
    }
    let context: Context = serde_json::from_str(&env::var("MCP_CONFORMANCE_CONTEXT")?)?;
    for ToolCall { name, arguments } in context.tool_calls {
        call(client, &name, arguments).await?;
    }
    Ok(())
}

/// Accepts a form as it is: with its defaults, and something that fits where there is none.
fn fill(params: ElicitParams) -> ElicitResult {
    #[derive(Deserialize)]
    struct Form {
        properties: Map<String, Value>,
    }
    let ElicitParams::Form(form) = params else {
        return ElicitResult::accept_url();
    };
    let Ok(form) = form.requested_schema.decode::<Form>() else {
        return ElicitResult::cancel();
    };
    let filled = form.properties.into_iter().map(|(name, property)| {
        let value = match (property.get("default"), property["type"].as_str()) {
            (Some(default), _) => default.clone(),
            (None, Some("boolean")) => json!(true),
            (None, Some("integer" | "number")) => json!(1),
            (None, Some("array")) => json!([]),
            _ => property["enum"].get(0).cloned().unwrap_or(json!("text")),
        };
        (name, value)
    });
    ElicitResult::accept(filled.collect::<Map<_, _>>())
}
