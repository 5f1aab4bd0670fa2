//! Tools that return things, and that tell how far they are.

use std::time::Duration;

use mcp_server::types::{AudioContent, ContentBlock, ImageContent, LogLevel, ResourceContents};
use mcp_server::{Cx, JsonSchema, ToolDef, ToolError, schemars, tool};
use mcp_transport_http::Streams;
use serde::Deserialize;
use serde_json::{Value, json};

/// One pixel.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// No sound at all.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Between two of whatever there are several of.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn tools() -> Vec<ToolDef> {
    vec![
        tool(
            "test_simple_text",
            || "This is a simple text response for testing.",
        )
        .describe("Returns a text"),
        tool("test_image_content", || ImageContent::new(PNG, "image/png"))
            .describe("Returns an image"),
        tool("test_audio_content", || AudioContent::new(WAV, "audio/wav"))
            .describe("Returns sound"),
        tool("test_embedded_resource", embedded).describe("Returns a resource's contents"),
        tool("test_multiple_content_types", mixed).describe("Returns content of several types"),
        tool("test_error_handling", fail).describe("Fails"),
        tool("test_tool_with_progress", progress).describe("Reports progress"),
        tool("test_tool_with_logging", logging).describe("Logs"),
        tool("test_logging_tool", log_once).describe("Logs if the request wants it"),
        tool("test_trigger_tool_change", tool_change)
            .describe("Tells that the list of tools changed"),
        tool("test_trigger_prompt_change", prompt_change)
            .describe("Tells that the list of prompts changed"),
        tool("test_custom_header", |header: Header| header.value)
            .describe("Returns what a header says, too"),
        tool("test_reconnection", reconnection).describe("Hangs up, and answers later"),
        tool("json_schema_2020_12_tool", |arguments: Value| {
            arguments.to_string()
        })
        .describe("Has a schema with many keywords")
        .input_schema(schema()),
    ]
}

fn embedded() -> ResourceContents {
    let text = "This is an embedded resource content.";
    ResourceContents::text("test://embedded-resource", text).mime_type("text/plain")
}

fn mixed() -> [ContentBlock; 3] {
    let data = ResourceContents::text(
        "test://mixed-content-resource",
        r#"{"test":"data","value":123}"#,
    );
    [
        ContentBlock::text("Multiple content types test:"),
        ContentBlock::image(PNG, "image/png"),
        ContentBlock::resource(data.mime_type("application/json")),
    ]
}

fn fail() -> Result<(), ToolError> {
    Err(ToolError::new(
        "This tool intentionally returns an error for testing",
    ))
}

async fn progress(cx: Cx) -> &'static str {
    let progress = cx.progress().total(100);
    for done in [0, 50, 100] {
        progress.at(done, None).await;
        tokio::time::sleep(PAUSE).await;
    }
    "Progress was reported."
}

async fn logging(cx: Cx) -> &'static str {
    for message in ["started", "processing data", "completed"] {
        let text = match message {
            "processing data" => format!("Tool {message}"),
            message => format!("Tool execution {message}"),
        };
        cx.log().info(text).await;
        tokio::time::sleep(PAUSE).await;
    }
    "Log messages were sent."
}

async fn log_once(cx: Cx) -> &'static str {
    if cx.log().wants(LogLevel::Info) {
        cx.log().info("The tool runs").await;
    }
    "Logged, if that was wanted."
}

fn tool_change(cx: Cx) -> &'static str {
    cx.hub().tools_changed();
    "Whoever listens is told."
}

fn prompt_change(cx: Cx) -> &'static str {
    cx.hub().prompts_changed();
    "Whoever listens is told."
}

async fn reconnection(cx: Cx) -> &'static str {
    // Only a stream over HTTP can be hung up.
    if let (Some(streams), Some(id)) = (cx.extension::<Streams>(), cx.request_id()) {
        streams.hang_up(&id);
    }
    tokio::time::sleep(2 * PAUSE).await;
    "Reconnection test completed."
}

#[derive(Deserialize, JsonSchema)]
struct Header {
    /// What the header `Mcp-Param-Value` says as well
    #[schemars(extend("x-mcp-header" = "Value"))]
    value: String,
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"],
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}
