//! Each feature in each of the five revisions, every message on the wire valid by that revision's schema.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use mcp_server::types::{
    AudioContent, CacheScope, ContentBlock, GetPromptResult, ImageContent, PromptMessage,
    ProtocolVersion, Resource, ResourceContents,
};
use mcp_server::{
    Cached, Cx, Elicited, Json, JsonSchema, Sampling, Server, ServerConnection, ToolError, prompt,
    resource, tool,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{ALL, Hand, code, text};

use ProtocolVersion as V;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Tone {
    Formal,
    Friendly,
}

#[derive(Deserialize, JsonSchema)]
struct Letter {
    /// To whom
    to: String,
    tone: Option<Tone>,
}

fn letter(args: Letter) -> [PromptMessage; 2] {
    let tone = match args.tone {
        Some(Tone::Formal) => "formal",
        Some(Tone::Friendly) | None => "friendly",
    };
    let ask = format!("Write a {tone} letter to {}.", args.to);
    let sound = ContentBlock::Audio(AudioContent::new("AAAA", "audio/wav"));
    [
        PromptMessage::user(ContentBlock::text(ask)),
        PromptMessage::assistant(sound),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    id: u32,
    lang: Option<String>,
}

async fn item(cx: Cx, item: Item) -> Option<Json<Value>> {
    cx.log().info(format!("reading {}", item.id)).await;
    (item.id < 100).then(|| Json(json!({ "id": item.id, "lang": item.lang })))
}

#[derive(Deserialize, JsonSchema)]
struct Shirt {
    /// Which size
    size: String,
    #[schemars(range(min = 1, max = 9))]
    count: u8,
}

async fn shirt(cx: Cx) -> Result<String, ToolError> {
    Ok(match cx.elicit::<Shirt>("Which shirt?").await? {
        Elicited::Accepted(shirt) => format!("{} of {}", shirt.count, shirt.size),
        Elicited::Declined => "declined".to_owned(),
        Elicited::Cancelled => "cancelled".to_owned(),
    })
}

async fn page(cx: Cx) -> Result<String, ToolError> {
    let opened = cx
        .elicit_url("Sign in", "https://example.com/sign-in")
        .await?;
    Ok(format!("{opened:?}"))
}

async fn ask_all(cx: Cx) -> Result<String, ToolError> {
    let reply = cx
        .sample(Sampling::user("Capital of France?").max_tokens(10))
        .await?;
    let roots = cx.roots().await?;
    Ok(format!("{} {}", reply.to_text(), roots[0].uri))
}

async fn asking_resource(cx: Cx) -> Result<String, ToolError> {
    let reply = cx
        .sample(Sampling::user("Contents?").max_tokens(10))
        .await?;
    Ok(reply.to_text())
}

async fn asking_prompt(cx: Cx) -> Result<GetPromptResult, ToolError> {
    let reply = cx.sample(Sampling::user("Prompt?").max_tokens(10)).await?;
    let message = PromptMessage::user(ContentBlock::text(reply.to_text()));
    Ok(GetPromptResult::new([message]).description("asked"))
}

async fn work(cx: Cx) -> &'static str {
    let progress = cx.progress().total(2);
    progress.step("half").await;
    cx.log().logger("work").warning(json!({ "at": 1 })).await;
    // Less than there was: neither sent, nor where the next step starts.
    progress.at(0, None).await;
    progress.step("done").await;
    "worked"
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

fn content() -> [ContentBlock; 5] {
    let contents = ResourceContents::text("test://embedded", "text").mime_type("text/plain");
    [
        ContentBlock::text("text"),
        ImageContent::from_bytes([1], "image/png").into(),
        AudioContent::from_bytes([2], "audio/wav").into(),
        Resource::new("test://linked", "linked")
            .title("Linked")
            .size(7)
            .into(),
        ContentBlock::resource(contents),
    ]
}

fn server() -> ServerConnection {
    Server::new("matrix", "1.0.0")
        .instructions("Try everything.")
        .tool(
            tool("content", content)
                .describe("All kinds of content")
                .title("Content"),
        )
        .tool(tool("sum", || Json(Sum { sum: 7 })))
        .tool(tool("list", || Json(vec![1, 2])))
        .tool(tool("fails", || Err::<(), _>(ToolError::new("on purpose"))))
        .tool(tool("work", work))
        .tool(tool("ask", ask_all))
        .tool(tool("shirt", shirt))
        .tool(tool("page", page))
        .resource(
            resource("test://text", || "Hello.")
                .name("text")
                .title("Text")
                .mime_type("text/plain"),
        )
        .resource(
            resource("test://bytes", || vec![0u8, 255])
                .name("bytes")
                .mime_type("a/b"),
        )
        .resource(resource("test://asking", asking_resource).name("asking"))
        .resource(
            resource("test://item/{id}{?lang}", item)
                .name("item")
                .complete_from("lang", ["de", "en", "es"]),
        )
        .prompt(
            prompt("letter", letter)
                .describe("Writes a letter")
                .complete("to", names),
        )
        .prompt(prompt("asking", asking_prompt))
        .cache(Cached::Tools, Duration::from_secs(5), CacheScope::Public)
        .extension("com.example/feature", json!({ "depth": 2 }))
        .start()
}

fn names(typed: String) -> Vec<String> {
    (0..250).map(|i| format!("{typed}{i}")).collect()
}

fn answers(hand: &mut Hand) {
    let since_tools = hand.version >= V::V2025_11_25;
    hand.answer("sampling/createMessage", |params| {
        let asked = &params["messages"][0]["content"];
        let asked = asked.as_array().map_or(asked, |blocks| &blocks[0]);
        let text = format!("re: {}", asked["text"].as_str().unwrap());
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
    });
    hand.answer(
        "roots/list",
        |_| json!({ "roots": [{ "uri": "file:///root" }] }),
    );
    hand.answer("elicitation/create", move |params| {
        if params["mode"] == "url" {
            assert_eq!(params["url"], "https://example.com/sign-in");
            return json!({ "action": "accept" });
        }
        assert_eq!(params["mode"] == "form", since_tools, "{params}");
        let schema = &params["requestedSchema"];
        assert_eq!(schema["properties"]["size"]["description"], "Which size");
        assert_eq!(schema["properties"]["count"]["maximum"], 9);
        assert_eq!(schema["required"], json!(["size", "count"]));
        json!({ "action": "accept", "content": { "size": "M", "count": 2 } })
    });
}

async fn hand(version: V) -> Hand {
    let mut hand = Hand::connect(&server(), version).await;
    answers(&mut hand);
    hand
}

/// Says that something was checked, unless the schemas are not there.
fn done(hand: &Hand) {
    println!("{}: {} messages are valid", hand.version, hand.checked);
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_those_of_what_is_there() {
    for version in ALL {
        let hand = hand(version).await;
        for kind in ["tools", "resources", "prompts", "logging"] {
            assert!(
                hand.offered.get(kind).is_some(),
                "{version} {}",
                hand.offered
            );
        }
        let completions = hand.offered.get("completions").is_some();
        assert_eq!(completions, version >= V::V2025_03_26);
        let feature = &hand.offered["extensions"]["com.example/feature"];
        assert_eq!(feature, &json!({ "depth": 2 }), "{version}");
        let mut bare = Hand::connect(&Server::new("bare", "1").start(), version).await;
        for kind in ["tools", "resources", "prompts", "completions"] {
            assert_eq!(bare.offered.get(kind), None);
        }
        let reference = json!({ "type": "ref/prompt", "name": "p" });
        for (method, params) in [
            ("tools/list", json!({})),
            ("tools/call", json!({ "name": "x" })),
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({ "uri": "x:y" })),
            ("prompts/list", json!({})),
            ("prompts/get", json!({ "name": "x" })),
            (
                "completion/complete",
                json!({ "ref": reference, "argument": { "name": "a", "value": "" } }),
            ),
        ] {
            assert_eq!(code(bare.call(method, params).await), -32601, "{method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lists() {
    for version in ALL {
        let mut hand = hand(version).await;
        let tools = hand.call("tools/list", json!({})).await.unwrap();
        let of = |name: &str| {
            let mut tools = tools["tools"].as_array().unwrap().iter();
            tools.find(|tool| tool["name"] == name).unwrap()
        };
        assert_eq!(tools["tools"][0]["name"], "content");
        assert_eq!(
            of("content").get("title").is_some(),
            version >= V::V2025_06_18
        );
        assert_eq!(
            of("sum").get("outputSchema").is_some(),
            version >= V::V2025_06_18
        );
        assert_eq!(
            of("list").get("outputSchema").is_some(),
            version >= V::V2026_07_28
        );
        let resources = hand.call("resources/list", json!({})).await.unwrap();
        assert_eq!(resources["resources"].as_array().unwrap().len(), 3);
        let templates = hand
            .call("resources/templates/list", json!({}))
            .await
            .unwrap();
        let template = &templates["resourceTemplates"][0];
        assert_eq!(template["uriTemplate"], "test://item/{id}{?lang}");
        let prompts = hand.call("prompts/list", json!({})).await.unwrap();
        let letter = &prompts["prompts"][0];
        let to = json!({ "name": "to", "description": "To whom", "required": true });
        assert_eq!(letter["arguments"], json!([to, { "name": "tone" }]));
        let hints = [&tools, &resources, &templates, &prompts]
            .map(|list| (list["ttlMs"].clone(), list["cacheScope"].clone()));
        let minute = (json!(60_000), json!("private"));
        let expected = match hand.is_modern() {
            true => [
                (json!(5000), json!("public")),
                (json!(0), json!("private")),
                minute.clone(),
                minute,
            ],
            false => [const { (Value::Null, Value::Null) }; 4],
        };
        assert_eq!(hints, expected);
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_tools() {
    for version in ALL {
        let mut hand = hand(version).await;
        let call = |name: &str| json!({ "name": name });
        let result = hand.call("tools/call", call("content")).await.unwrap();
        let blocks = result["content"].as_array().unwrap();
        let kinds: Vec<_> = blocks.iter().map(|b| b["type"].as_str().unwrap()).collect();
        let audio = if version >= V::V2025_03_26 {
            "audio"
        } else {
            "resource"
        };
        let link = if version >= V::V2025_06_18 {
            "resource_link"
        } else {
            "text"
        };
        assert_eq!(
            kinds,
            ["text", "image", audio, link, "resource"],
            "{version}"
        );
        let result = hand.call("tools/call", call("sum")).await.unwrap();
        assert_eq!(text(&result), r#"{"sum":7}"#);
        let structured = result.get("structuredContent").is_some();
        assert_eq!(structured, version >= V::V2025_06_18);
        let result = hand.call("tools/call", call("list")).await.unwrap();
        assert_eq!(text(&result), "[1,2]");
        assert_eq!(result.get("structuredContent").is_some(), hand.is_modern());
        let result = hand.call("tools/call", call("fails")).await.unwrap();
        assert_eq!(
            (text(&result), &result["isError"]),
            ("on purpose", &json!(true))
        );
        assert_eq!(code(hand.call("tools/call", call("none")).await), -32602);
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn logs_and_progress() {
    for version in ALL {
        let mut hand = hand(version).await;
        hand.log_level = Some("info");
        let params = json!({ "name": "work", "_meta": { "progressToken": "p" } });
        let result = hand.call("tools/call", params).await.unwrap();
        assert_eq!(text(&result), "worked");
        let heard = hand.heard();
        assert_eq!(
            heard,
            ["progress 1", r#"log {"at":1}"#, "progress 2"],
            "{version}"
        );
        let message = hand.seen[0]["params"].get("message").is_some();
        assert_eq!(message, version >= V::V2025_03_26);
        let read = json!({ "uri": "test://item/7" });
        hand.call("resources/read", read).await.unwrap();
        assert_eq!(hand.heard()[3], r#"log "reading 7""#);
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn resources() {
    for version in ALL {
        let mut hand = hand(version).await;
        let read = |uri: &str| json!({ "uri": uri });
        let result = hand
            .call("resources/read", read("test://text"))
            .await
            .unwrap();
        let expected = json!({ "uri": "test://text", "mimeType": "text/plain", "text": "Hello." });
        assert_eq!(result["contents"], json!([expected]));
        assert_eq!(result.get("ttlMs"), hand.is_modern().then_some(&json!(0)));
        let result = hand
            .call("resources/read", read("test://bytes"))
            .await
            .unwrap();
        let expected = json!({ "uri": "test://bytes", "mimeType": "a/b", "blob": "AP8=" });
        assert_eq!(result["contents"], json!([expected]));
        let uri = "test://item/7?lang=de";
        let result = hand.call("resources/read", read(uri)).await.unwrap();
        let contents = &result["contents"][0];
        assert_eq!(
            (&contents["uri"], &contents["mimeType"]),
            (&json!(uri), &json!("application/json"))
        );
        assert_eq!(contents["text"], r#"{"id":7,"lang":"de"}"#);
        // REQ-RES-01: nobody has such a URI, a template has and its handler says no.
        let missing = if hand.is_modern() { -32602 } else { -32002 };
        for uri in ["test://none", "test://item/100"] {
            let error = hand.call("resources/read", read(uri)).await.unwrap_err();
            assert_eq!(
                (&error["code"], &error["data"]),
                (&json!(missing), &json!({ "uri": uri }))
            );
        }
        // A variable that is not of its type.
        let error = hand
            .call("resources/read", read("test://item/x"))
            .await
            .unwrap_err();
        assert_eq!(error["code"], -32602);
        assert!(
            error["message"].as_str().unwrap().contains("`id`"),
            "{error}"
        );
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn prompts() {
    for version in ALL {
        let mut hand = hand(version).await;
        let get = |arguments: Value| json!({ "name": "letter", "arguments": arguments });
        let ok = get(json!({ "to": "Ada", "tone": "formal" }));
        let result = hand.call("prompts/get", ok).await.unwrap();
        let said = &result["messages"][0]["content"]["text"];
        assert_eq!(said, "Write a formal letter to Ada.");
        // REQ-PRM-01
        for (params, said) in [
            (json!({ "name": "none" }), "none"),
            (json!({ "name": "letter" }), "to"),
            (get(json!({ "to": "Ada", "tone": "rude" })), "tone"),
        ] {
            let error = hand.call("prompts/get", params).await.unwrap_err();
            assert_eq!(error["code"], -32602);
            assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        }
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn completion() {
    let letter = json!({ "type": "ref/prompt", "name": "letter" });
    let item = json!({ "type": "ref/resource", "uri": "test://item/{id}{?lang}" });
    let complete = |reference: &Value, name: &str, value: &str| json!({ "ref": reference, "argument": { "name": name, "value": value } });
    for version in ALL {
        let mut hand = hand(version).await;
        let mut ask = async |params| hand.call("completion/complete", params).await;
        let result = ask(complete(&letter, "to", "A")).await.unwrap();
        let completion = &result["completion"];
        // REQ-CMP-01
        assert_eq!(completion["values"].as_array().unwrap().len(), 100);
        assert_eq!(
            (&completion["total"], &completion["hasMore"]),
            (&json!(250), &json!(true))
        );
        for (params, values) in [
            (
                complete(&letter, "tone", "F"),
                json!(["formal", "friendly"]),
            ),
            (complete(&item, "lang", "e"), json!(["en", "es"])),
            (complete(&item, "id", "1"), json!([])),
        ] {
            let result = ask(params).await.unwrap();
            assert_eq!(result["completion"]["values"], values);
        }
        // REQ-CMP-04
        let none = json!({ "type": "ref/prompt", "name": "none" });
        let nowhere = json!({ "type": "ref/resource", "uri": "test://text" });
        for params in [
            complete(&none, "to", ""),
            complete(&nowhere, "id", ""),
            complete(&letter, "none", ""),
        ] {
            assert_eq!(code(ask(params).await), -32602);
        }
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn questions_from_tools_resources_and_prompts() {
    for version in ALL {
        let mut hand = hand(version).await;
        let result = hand
            .call("tools/call", json!({ "name": "ask" }))
            .await
            .unwrap();
        assert_eq!(text(&result), "re: Capital of France? file:///root");
        let read = json!({ "uri": "test://asking" });
        let result = hand.call("resources/read", read).await.unwrap();
        assert_eq!(result["contents"][0]["text"], "re: Contents?");
        let result = hand
            .call("prompts/get", json!({ "name": "asking" }))
            .await
            .unwrap();
        assert_eq!(result["messages"][0]["content"]["text"], "re: Prompt?");
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn forms_and_pages() {
    for version in ALL {
        let mut hand = hand(version).await;
        let form = hand
            .call("tools/call", json!({ "name": "shirt" }))
            .await
            .unwrap();
        let page = hand
            .call("tools/call", json!({ "name": "page" }))
            .await
            .unwrap();
        match version {
            // What a revision lacks is an error of the tool's that the model can read.
            V::V2024_11_05 | V::V2025_03_26 => assert!(text(&form).contains("cannot be asked")),
            _ => assert_eq!(text(&form), "2 of M"),
        }
        match version {
            V::V2025_11_25 | V::V2026_07_28 => assert_eq!(text(&page), "Accepted(())"),
            _ => assert_eq!(page["isError"], true),
        }
        for (action, said) in [("decline", "declined"), ("cancel", "cancelled")] {
            if version >= V::V2025_06_18 {
                hand.answer("elicitation/create", move |_| json!({ "action": action }));
                let form = hand
                    .call("tools/call", json!({ "name": "shirt" }))
                    .await
                    .unwrap();
                assert_eq!(text(&form), said);
            }
        }
        if version >= V::V2025_06_18 {
            // REQ-ELIC-05: an answer that is none to the form never reaches the handler.
            let wrong =
                |_: &Value| json!({ "action": "accept", "content": { "size": "M", "count": 10 } });
            hand.answer("elicitation/create", wrong);
            let form = hand
                .call("tools/call", json!({ "name": "shirt" }))
                .await
                .unwrap();
            assert_eq!(
                (text(&form), &form["isError"]),
                ("The tool failed.", &json!(true))
            );
        }
        done(&hand);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_asked() {
    for version in ALL {
        let mut hand = Hand::connect_as(&server(), version, json!({})).await;
        let tool = hand.call("tools/call", json!({ "name": "ask" })).await;
        let read = hand
            .call("resources/read", json!({ "uri": "test://asking" }))
            .await;
        let get = hand.call("prompts/get", json!({ "name": "asking" })).await;
        if hand.is_modern() {
            for outcome in [tool, read, get] {
                let error = outcome.unwrap_err();
                assert_eq!(error["code"], -32021);
                assert_eq!(
                    error["data"]["requiredCapabilities"],
                    json!({ "sampling": {} })
                );
            }
        } else {
            assert_eq!(tool.unwrap()["isError"], true);
            assert_eq!((code(read), code(get)), (-32602, -32602));
        }
        done(&hand);
    }
}
