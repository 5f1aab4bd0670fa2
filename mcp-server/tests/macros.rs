//! What attributes make of functions and types, as clients see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "macros")]

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_server::types::{Icon, ProtocolVersion, ToolAnnotations};
use mcp_server::{
    Cx, IntoToolResult, Json, Notification, Server, TaskSupport, ToolError, data, notification,
    prompt, resource, tool,
};
use serde_json::{Value, json};
use support::{ALL, Hand, code, text};

/// Adds numbers
///
/// Two of them.
#[tool]
fn add(
    /// The first
    a: i64,
    /// The other; one if there is none
    b: Option<i64>,
) -> String {
    (a + b.unwrap_or(1)).to_string()
}

#[tool(
    name = "shop.count",
    title = "Counter",
    describe("Counts"),
    annotations = ToolAnnotations::new().read_only_hint(true),
    icons = [Icon::new("https://example.org/icon.png")],
    task = TaskSupport::Optional,
)]
async fn count(
    #[state] sum: Arc<AtomicU64>,
    cx: Cx,
    #[serde(default = "two")]
    #[schemars(range(max = 9))]
    r#by: u64,
) -> Result<Json<Sum>, ToolError> {
    cx.progress().step("counting").await;
    let sum = sum.fetch_add(r#by, Ordering::Relaxed) + r#by;
    Ok(Json(Sum { sum }))
}

fn two() -> u64 {
    2
}

#[data]
struct Sum {
    /// So far
    sum: u64,
}

/// Takes all arguments together.
#[tool]
async fn whole(#[args] Sum { sum }: Sum) -> String {
    sum.to_string()
}

/// Moves
#[doc = concat!("wher", "ever")]
/// to.
#[tool]
fn r#move() {}

/// The weather of a place
#[resource("weather://{city}{?days}", mime_type = "text/plain", complete_from("city", ["Basel", "Bern"]))]
async fn weather(city: String, days: Option<u8>) -> Option<String> {
    (city == "Bern").then(|| format!("{} days of rain", days.unwrap_or(1)))
}

/// The same for all
#[resource("text://motd", name = "nothing")]
fn motd() -> &'static str {
    "Hello."
}

#[prompt(title = "Review")]
fn review(
    /// What to review
    code: String,
    mut lines: Option<u32>,
) -> String {
    let lines = lines.get_or_insert(10);
    format!("Review {lines} lines of {code}")
}

/// By a name that is one
#[resource("file:///docs/{name}")]
fn document(#[schemars(regex(pattern = "^[a-z]+$"))] name: String) -> String {
    name
}

#[prompt]
fn few(#[schemars(range(min = 1, max = 9))] lines: u8, only: Option<bool>) -> String {
    format!("{lines} {only:?}")
}

/// Is a function of its own, and not what the attribute makes.
#[tool]
async fn is_send(text: String) -> String {
    text.to_uppercase()
}

/// Returns its future.
#[tool]
fn later(text: String) -> Pin<Box<dyn Future<Output = String> + Send>> {
    Box::pin(async { text })
}

#[notification("shop.sold")]
#[derive(Debug, PartialEq)]
struct Sold {
    what: String,
}

#[notification("shop.told")]
#[serde(bound = "")]
struct Told<T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static> {
    what: T,
}

#[tool]
async fn sell(cx: Cx, what: String) -> Result<(), ToolError> {
    Ok(cx.notify::<Sold>(&Sold { what }).await?)
}

/// A tool can be made where it is used, whatever its names are.
fn local() -> mcp_server::ToolDef {
    #[tool]
    fn args(args: String, #[state] args2: String) -> Result<impl IntoToolResult, ToolError> {
        Ok(args + &args2)
    }
    args::tool("!".into())
}

fn server() -> Server {
    Server::new("shop", "1.0.0")
        .with_notifications()
        .tool(add::tool())
        .tool(count::tool(Arc::default()))
        .tool(whole::tool())
        .tool(r#move::tool())
        .tool(sell::tool())
        .tool(local())
        .tool(is_send::tool())
        .tool(later::tool())
        .resource(weather::resource())
        .resource(document::resource())
        .prompt(review::prompt())
        .prompt(few::prompt())
}

async fn call(hand: &mut Hand, name: &str, arguments: Value) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    hand.call("tools/call", params).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_a_tool() {
    let server = server().start();
    for version in ALL {
        let mut hand = Hand::connect(&server, version).await;
        assert_eq!(
            text(&call(&mut hand, "add", json!({ "a": 1, "b": 2 })).await),
            "3"
        );
        assert_eq!(text(&call(&mut hand, "add", json!({ "a": 1 })).await), "2");
        for (name, expected) in [("is_send", "A"), ("later", "a")] {
            let called = call(&mut hand, name, json!({ "text": "a" })).await;
            assert_eq!(text(&called), expected);
        }
        let refused = call(&mut hand, "add", json!({ "a": "one" })).await;
        assert_eq!(refused["isError"], true);
        assert!(text(&refused).contains("`a`"), "{refused}");
        let refused = call(&mut hand, "shop.count", json!({ "by": 10 })).await;
        assert!(text(&refused).contains("`by`"), "{refused}");
        assert_eq!(
            text(&call(&mut hand, "whole", json!({ "sum": 4 })).await),
            "4"
        );
        assert_eq!(
            text(&call(&mut hand, "args", json!({ "args": "a" })).await),
            "a!"
        );
        call(&mut hand, "move", json!({})).await;
    }
    assert_eq!(add(1, None), "2", "and still a function");
}

#[tokio::test(start_paused = true)]
async fn state_is_one_for_all_calls() {
    let server = server().start();
    let mut hand = Hand::connect(&server, ProtocolVersion::V2025_06_18).await;
    call(&mut hand, "shop.count", json!({ "by": 3 })).await;
    let second = call(&mut hand, "shop.count", json!({})).await;
    assert_eq!(second["structuredContent"], json!({ "sum": 5 }));
}

#[tokio::test(start_paused = true)]
async fn what_is_documented_is_described() {
    let server = server().start();
    let mut hand = Hand::connect(&server, ProtocolVersion::V2025_11_25).await;
    let tools = hand.call("tools/list", json!({})).await.unwrap();
    let [add, count, whole, r#move, ..] = tools["tools"].as_array().unwrap().as_slice() else {
        panic!("{tools}");
    };
    assert_eq!(add["description"], "Adds numbers\n\nTwo of them.");
    let schema = &add["inputSchema"];
    assert_eq!(schema["properties"]["a"]["description"], "The first");
    assert_eq!(schema["required"], json!(["a"]));
    assert_eq!(schema.get("description"), None);
    assert_eq!(count["title"], "Counter");
    assert_eq!(count["description"], "Counts");
    assert_eq!(count["annotations"]["readOnlyHint"], true);
    assert_eq!(count["icons"][0]["src"], "https://example.org/icon.png");
    assert_eq!(count["execution"]["taskSupport"], "optional");
    assert_eq!(count["inputSchema"]["properties"]["by"]["default"], 2);
    let so_far = &count["outputSchema"]["properties"]["sum"];
    assert_eq!(so_far["description"], "So far");
    assert_eq!(whole["inputSchema"]["required"], json!(["sum"]));
    assert_eq!(r#move["inputSchema"]["additionalProperties"], false);
    assert_eq!(r#move["description"], "Moves\nwherever\nto.");

    let prompts = hand.call("prompts/list", json!({})).await.unwrap();
    let review = &prompts["prompts"][0];
    assert_eq!(
        (&review["name"], &review["title"]),
        (&json!("review"), &json!("Review"))
    );
    let code = json!({ "name": "code", "description": "What to review", "required": true });
    assert_eq!(review["arguments"][0], code);
    assert_ne!(review["arguments"][1]["required"], true);
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_a_family_of_resources_or_a_prompt() {
    let server = server().start();
    for version in ALL {
        let mut hand = Hand::connect(&server, version).await;
        let listed = hand
            .call("resources/templates/list", json!({}))
            .await
            .unwrap();
        let family = &listed["resourceTemplates"][0];
        assert_eq!(family["name"], "weather");
        assert_eq!(family["description"], "The weather of a place");
        assert_eq!(family["mimeType"], "text/plain");
        let read = hand
            .call("resources/read", json!({ "uri": "weather://Bern?days=2" }))
            .await;
        assert_eq!(read.unwrap()["contents"][0]["text"], "2 days of rain");
        let read = hand
            .call("resources/read", json!({ "uri": "weather://Rome" }))
            .await;
        code(read);
        let got = json!({ "name": "review", "arguments": { "code": "main", "lines": "3" } });
        let got = hand.call("prompts/get", got).await.unwrap();
        assert_eq!(
            got["messages"][0]["content"]["text"],
            "Review 3 lines of main"
        );
        let completed = json!({
            "ref": { "type": "ref/resource", "uri": "weather://{city}{?days}" },
            "argument": { "name": "city", "value": "Be" },
        });
        let completed = hand.call("completion/complete", completed).await.unwrap();
        assert_eq!(completed["completion"]["values"], json!(["Bern"]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_parameter_holds_when_the_function_runs() {
    let server = server().start();
    for version in ALL {
        let mut hand = Hand::connect(&server, version).await;
        for (name, fits) in [("readme", true), ("..%2Fetc", false), ("README", false)] {
            let uri = format!("file:///docs/{name}");
            let read = hand.call("resources/read", json!({ "uri": uri })).await;
            match fits {
                true => assert_eq!(read.unwrap()["contents"][0]["text"], name),
                false => assert_eq!(code(read), -32602, "{name}"),
            }
        }
        for (arguments, fits) in [
            (json!({ "lines": "9", "only": "true" }), true),
            (json!({ "lines": "1" }), true),
            (json!({ "lines": "10" }), false),
            (json!({ "lines": "0" }), false),
            (json!({ "lines": "few" }), false),
            (json!({ "only": "true" }), false),
            (json!({ "lines": "9", "only": "maybe" }), false),
        ] {
            let get = json!({ "name": "few", "arguments": arguments });
            let got = hand.call("prompts/get", get).await;
            match fits {
                true => assert!(got.is_ok(), "{got:?}"),
                false => assert_eq!(code(got), -32602, "{arguments}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_type_is_a_notification() {
    let server = server().start();
    let mut hand = Hand::connect(&server, ProtocolVersion::V2024_11_05).await;
    call(&mut hand, "sell", json!({ "what": "a shirt" })).await;
    let sold = &hand.seen[0];
    assert_eq!(sold["method"], Sold::METHOD);
    assert_eq!(sold["params"], json!({ "what": "a shirt" }));
    // One with parameters of its own, too.
    assert_eq!(Told::<u8>::METHOD, "shop.told");
    let told = serde_json::to_value(Told { what: 1_u8 }).unwrap();
    assert_eq!(told, json!({ "what": 1 }));
}

/// What the attribute cannot know is found when it is offered, as it is without.
#[test]
#[should_panic(expected = "its handler takes no variable")]
fn a_variable_without_a_parameter_is_refused() {
    #[resource("weather://{city}")]
    fn weather(place: Option<String>) -> String {
        place.unwrap_or_default()
    }
    let _ = Server::new("weather", "1.0.0").resource(weather::resource());
}

#[test]
fn a_resource_has_the_name_that_it_is_given() {
    assert_eq!(motd::resource().definition().name, "nothing");
    assert_eq!(motd(), "Hello.");
}
