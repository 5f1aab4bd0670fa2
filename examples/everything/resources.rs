//! Resources, a family of them, and prompts.

use mcp_server::types::{ContentBlock, PromptMessage, ResourceContents};
use mcp_server::{JsonSchema, PromptDef, ResourceDef, prompt, resource, schemars};
use serde::Deserialize;
use serde_json::json;

use crate::content::PNG;

pub(crate) fn resources() -> Vec<ResourceDef> {
    vec![
        resource(
            "test://static-text",
            || "This is the content of the static text resource.",
        )
        .name("static-text")
        .describe("A text")
        .mime_type("text/plain"),
        resource("test://static-binary", || ResourceContents::blob("", PNG))
            .name("static-binary")
            .describe("An image")
            .mime_type("image/png"),
        resource("test://watched-resource", || "Nothing has happened yet.")
            .name("watched-resource")
            .describe("A text to watch")
            .mime_type("text/plain"),
        resource("test://template/{id}/data", data)
            .name("template")
            .describe("Data by id")
            .mime_type("application/json")
            .complete_from("id", ["1", "12", "123"]),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Data {
    id: String,
}

fn data(Data { id }: Data) -> String {
    json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string()
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// The first argument
    arg1: String,
    /// The second argument
    arg2: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    /// The resource's URI
    resource_uri: String,
}

pub(crate) fn prompts() -> Vec<PromptDef> {
    vec![
        prompt(
            "test_simple_prompt",
            || "This is a simple prompt for testing.",
        )
        .describe("A prompt without arguments"),
        prompt("test_prompt_with_arguments", |two: Two| {
            format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                two.arg1, two.arg2
            )
        })
        .describe("A prompt with two arguments")
        .complete_from("arg1", ["test", "testing", "tested"]),
        prompt("test_prompt_with_embedded_resource", embedded)
            .describe("A prompt about a resource"),
        prompt("test_prompt_with_image", image).describe("A prompt about an image"),
    ]
}

fn embedded(Embedded { resource_uri }: Embedded) -> [PromptMessage; 2] {
    let text = "Embedded resource content for testing.";
    let contents = ResourceContents::text(resource_uri, text).mime_type("text/plain");
    [
        PromptMessage::user(ContentBlock::resource(contents)),
        PromptMessage::user(ContentBlock::text(
            "Please process the embedded resource above.",
        )),
    ]
}

fn image() -> [PromptMessage; 2] {
    [
        PromptMessage::user(ContentBlock::image(PNG, "image/png")),
        PromptMessage::user(ContentBlock::text("Please analyze the image above.")),
    ]
}
