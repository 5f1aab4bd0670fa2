//! What a server offers: pages, changes while it serves, groups, arguments and results by their schemas.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_server::types::{
    CallToolResult, ErrorCode, IncludeContext, ProtocolVersion, SamplingContent, SamplingMessage,
    ToolResultContent, ToolUseContent,
};
use mcp_server::{
    Cx, Extensions, Group, HandlerError, Json, JsonSchema, Offer, Principal, PromptDef, Refused,
    ResourceDef, Sampling, Server, TaskSupport, ToolDef, Typed, prompt, resource, tool, with,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{ALL, Hand, code, text};

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

fn named(name: impl Into<String>) -> ToolDef {
    tool(name, || "ok")
}

fn names(list: &Value, of: &str) -> Vec<String> {
    let items = list[of].as_array().unwrap().iter();
    items
        .map(|i| i["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a tool asks about a conversation with the use of a tool, which may be answered.
async fn converse(cx: Cx, args: Conversation) -> Result<String, HandlerError> {
    let wish = ToolUseContent::new("1", "n", json!({}));
    let result = ToolResultContent::new(args.answered, []);
    let ask = Sampling::user("?")
        .message(SamplingMessage::assistant(SamplingContent::ToolUse(wish)))
        .message(SamplingMessage::user(SamplingContent::ToolResult(result)))
        .include_context(IncludeContext::AllServers);
    Ok(cx.sample(ask).await?.to_text())
}

#[derive(Deserialize, JsonSchema)]
struct Conversation {
    /// The id of the result
    answered: String,
}

#[tokio::test(start_paused = true)]
async fn what_a_client_must_not_be_asked_is_not_sent() {
    // REQ-SAMP-02 to REQ-SAMP-04
    let server = Server::new("asks", "1.0.0")
        .tool(tool("converse", converse))
        .start();
    let call =
        |answered: &str| json!({ "name": "converse", "arguments": { "answered": answered } });
    for version in [ProtocolVersion::V2025_11_25, MODERN] {
        for (sampling, includes) in [
            (json!({}), Value::Null),
            (json!({ "context": {} }), "allServers".into()),
        ] {
            let capabilities = json!({ "sampling": sampling });
            let mut hand = Hand::connect_as(&server, version, capabilities).await;
            let asked = Arc::new(AtomicUsize::new(0));
            let times = Arc::clone(&asked);
            hand.answer("sampling/createMessage", move |params| {
                times.fetch_add(1, Ordering::SeqCst);
                assert_eq!(params["includeContext"], includes);
                let said = json!({ "type": "text", "text": "said" });
                json!({ "role": "assistant", "model": "m", "content": said })
            });
            let good = hand.call("tools/call", call("1")).await.unwrap();
            assert_eq!(text(&good), "said");
            let bad = hand.call("tools/call", call("2")).await.unwrap();
            assert_eq!(bad["isError"], true, "{bad}");
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_no_file_is_left_out() {
    // REQ-ROOT-01
    async fn uris(cx: Cx) -> Result<String, HandlerError> {
        let roots = cx.roots().await?;
        let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
        Ok(uris.join(" "))
    }
    let server = Server::new("asks", "1.0.0")
        .tool(tool("uris", uris))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    hand.answer(
        "roots/list",
        |_| json!({ "roots": [{ "uri": "https://a" }, { "uri": "file:///b" }] }),
    );
    let call = hand.call("tools/call", json!({ "name": "uris" })).await;
    assert_eq!(text(&call.unwrap()), "file:///b");
}

#[test]
fn an_extension_that_is_none_is_not_declared() {
    // REQ-EXT-01
    for (id, settings) in [("feature", json!({})), ("com.example/feature", json!([]))] {
        let declare = || drop(Server::new("x", "1").extension(id, settings));
        assert!(std::panic::catch_unwind(declare).is_err(), "{id}");
    }
}

#[test]
#[should_panic(expected = "one revision at least")]
fn a_server_that_speaks_no_revision_is_refused() {
    let _ = Server::new("x", "1").versions([]);
}

#[tokio::test(start_paused = true)]
async fn handlers_know_who_is_at_the_other_end() {
    let whoami = async |cx: Cx| match cx.extension::<Principal>() {
        Some(principal) => principal.to_string(),
        None => "nobody".to_owned(),
    };
    let server = Server::new("who", "1.0.0")
        .tool(tool("whoami", whoami))
        .start();
    for version in ALL {
        for name in ["alice", "bob"] {
            let extensions = Extensions::new().with(Principal::new(name));
            let mut hand = Hand::connect_with(&server, version, json!({}), extensions).await;
            let result = hand
                .call("tools/call", json!({ "name": "whoami" }))
                .await
                .unwrap();
            assert_eq!(text(&result), name);
        }
        let mut hand = Hand::connect(&server, version).await;
        let result = hand
            .call("tools/call", json!({ "name": "whoami" }))
            .await
            .unwrap();
        assert_eq!(text(&result), "nobody");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_survive_what_comes_and_goes() {
    for version in ALL {
        let mut server = Server::new("pages", "1.0.0").page_size(3);
        for i in 0..7 {
            server = server
                .tool(named(format!("t{i}")))
                .prompt(prompt(format!("p{i}"), || "x"))
                .resource(resource(format!("test://r{i}"), || "x").name(format!("r{i}")))
                .resource(resource(format!("test://f{i}/{{x}}"), any).name(format!("f{i}")));
        }
        let server = server.start();
        let catalog = server.catalog();
        let mut hand = Hand::connect(&server, version).await;
        for (method, of, letter) in [
            ("tools/list", "tools", "t"),
            ("prompts/list", "prompts", "p"),
            ("resources/list", "resources", "r"),
            ("resources/templates/list", "resourceTemplates", "f"),
        ] {
            let mut params = json!({});
            let mut all = Vec::new();
            loop {
                let page = hand.call(method, params).await.unwrap();
                all.extend(names(&page, of));
                let Some(cursor) = page.get("nextCursor") else {
                    break;
                };
                params = json!({ "cursor": cursor });
            }
            assert_eq!(
                all,
                (0..7).map(|i| format!("{letter}{i}")).collect::<Vec<_>>()
            );
        }
        // Between two pages: one of the first page goes, the first of the second page goes, one comes.
        let first = hand.call("tools/list", json!({})).await.unwrap();
        assert!(catalog.remove_tool("t0") && catalog.remove_tool("t3"));
        catalog.add(named("t7")).unwrap();
        let cursor = &first["nextCursor"];
        let second = hand
            .call("tools/list", json!({ "cursor": cursor }))
            .await
            .unwrap();
        assert_eq!(names(&second, "tools"), ["t4", "t5", "t6"]);
        let cursor = &second["nextCursor"];
        let third = hand
            .call("tools/list", json!({ "cursor": cursor }))
            .await
            .unwrap();
        assert_eq!(names(&third, "tools"), ["t7"]);
        assert_eq!(third.get("nextCursor"), None);
        // REQ-PAG-02, and one of another list
        let foreign = hand.call("prompts/list", json!({})).await.unwrap();
        for bad in [
            "",
            "t",
            "x",
            "t03",
            "t+3",
            "T3",
            "tffffffffffffffffff",
            "tff",
        ] {
            let outcome = hand.call("tools/list", json!({ "cursor": bad })).await;
            assert_eq!(code(outcome), -32602, "{bad}");
        }
        let cursor = &foreign["nextCursor"];
        assert_eq!(
            code(hand.call("tools/list", json!({ "cursor": cursor })).await),
            -32602
        );
    }
}

#[derive(Deserialize, JsonSchema)]
struct Any {
    x: String,
}

fn any(any: Any) -> String {
    any.x
}

#[tokio::test(start_paused = true)]
async fn things_come_and_go_while_it_serves() {
    for version in ALL {
        let server = Server::new("live", "1.0.0")
            .tool(named("a"))
            .will_offer(Offer::Prompts);
        let catalog = server.catalog();
        let mut changes = catalog.changes();
        let server = server.start();
        let mut hand = Hand::connect(&server, version).await;
        assert!(hand.offered.get("prompts").is_some());
        let list = hand.call("prompts/list", json!({})).await.unwrap();
        assert_eq!(list["prompts"], json!([]));
        catalog.add(prompt("p", || "hello")).unwrap();
        catalog.add(named("b")).unwrap();
        assert_eq!(
            catalog.add(named("b")).unwrap_err().to_string(),
            "there is a tool \"b\" already"
        );
        let list = hand.call("tools/list", json!({})).await.unwrap();
        assert_eq!(names(&list, "tools"), ["a", "b"]);
        let got = hand
            .call("prompts/get", json!({ "name": "p" }))
            .await
            .unwrap();
        assert_eq!(got["messages"][0]["content"]["text"], "hello");
        assert!(changes.has_changed().unwrap());
        let seen = *changes.borrow_and_update();
        assert_eq!((seen.tools, seen.prompts, seen.resources), (2, 1, 0));
        // What is gone is unknown; the method stays, for the client was told of it.
        assert!(catalog.remove_tool("a") && catalog.remove_tool("b") && !catalog.remove_tool("b"));
        assert_eq!(
            code(hand.call("tools/call", json!({ "name": "a" })).await),
            -32602
        );
        let list = hand.call("tools/list", json!({})).await.unwrap();
        assert_eq!(list["tools"], json!([]));
        assert_eq!(changes.borrow_and_update().tools, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_mounted_whole_and_taken_away() {
    let inner = || Group::new().tool(named("deep"));
    let files = || {
        Group::new()
            .tool(named("list"))
            .prompt(prompt("tidy", || "Tidy."))
            .resource(resource("test://files", || "x").name("files"))
            .mount("in.", inner())
    };
    let server = Server::new("groups", "1.0.0")
        .tool(named("list"))
        .mount("files.", files());
    let catalog = server.catalog();
    let server = server.start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let list = hand.call("tools/list", json!({})).await.unwrap();
    assert_eq!(
        names(&list, "tools"),
        ["list", "files.list", "files.in.deep"]
    );
    let get = json!({ "name": "files.tidy" });
    hand.call("prompts/get", get).await.unwrap();
    // A second one of them would share the resource: nothing of it is there then.
    let refused = catalog.mount("more.", files()).unwrap_err();
    let (kind, name) = ("resource", "test://files".to_owned());
    assert_eq!(refused, Refused::Taken { kind, name });
    assert!(!catalog.remove_tool("more.list"));
    let mounted = catalog.mount("x.", inner()).unwrap();
    assert_eq!(
        text(
            &hand
                .call("tools/call", json!({ "name": "x.deep" }))
                .await
                .unwrap()
        ),
        "ok"
    );
    catalog.unmount(mounted);
    assert_eq!(
        code(hand.call("tools/call", json!({ "name": "x.deep" })).await),
        -32602
    );
    // What has come in the place of what was mounted stays.
    assert!(catalog.remove_resource("test://files"));
    let mounted = catalog.mount("x.", files()).unwrap();
    assert!(catalog.remove_tool("x.list") && catalog.remove_resource("test://files"));
    catalog.add(named("x.list")).unwrap();
    catalog.add(resource("test://files", || "y")).unwrap();
    catalog.unmount(mounted);
    assert!(catalog.remove_tool("x.list") && catalog.remove_resource("test://files"));
    assert!(!catalog.remove_tool("x.in.deep") && !catalog.remove_prompt("x.tidy"));
}

#[test]
fn what_cannot_be_offered_says_why() {
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    struct Nested {
        inner: Vec<u8>,
    }
    fn nested(_: Nested) -> &'static str {
        ""
    }
    let tools: [(ToolDef, &str); 5] = [
        (named(""), "1 to 128"),
        (named("a b"), "1 to 128"),
        (named("x".repeat(129)), "1 to 128"),
        (
            named("a").input_schema(json!({ "type": "string" })),
            "object",
        ),
        (
            named("a").output_schema(json!({ "$ref": "https://example.com/x" })),
            "output schema",
        ),
    ];
    let resources: [(ResourceDef, &str); 5] = [
        (resource("no-scheme", || ""), "scheme"),
        (resource("a:{x", any), "never closed"),
        (resource("a:{y}", any), "needs `x`"),
        (resource("a:{x}{y}", any), "no variable `y`"),
        (
            resource("a:{x}", any).complete_from("y", ["z"]),
            "completes `y`",
        ),
    ];
    let prompts: [(PromptDef, &str); 2] = [
        (prompt("p", nested), "`inner` cannot be read from a text"),
        (
            prompt("p", || "").complete_from("x", ["y"]),
            "completes `x`",
        ),
    ];
    let catalog = Server::new("refused", "1.0.0").catalog();
    let check = |refused: Result<(), Refused>, said: &str| {
        let error = refused.expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
    };
    tools
        .into_iter()
        .for_each(|(def, said)| check(catalog.add(def), said));
    resources
        .into_iter()
        .for_each(|(def, said)| check(catalog.add(def), said));
    prompts
        .into_iter()
        .for_each(|(def, said)| check(catalog.add(def), said));
    let panic =
        std::panic::catch_unwind(|| Server::new("x", "1").tool(named("a")).tool(named("a")));
    assert!(panic.is_err());
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    #[schemars(range(min = 1, max = 10))]
    count: u32,
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    country: String,
}

/// REQ-TOOL-04, REQ-TOOL-11: the handler never sees what its schema forbids.
#[tokio::test(start_paused = true)]
async fn arguments_are_valid_when_a_handler_runs() {
    let runs = Arc::new(AtomicUsize::new(0));
    fn order(runs: Arc<AtomicUsize>, order: Order) -> String {
        runs.fetch_add(1, Ordering::SeqCst);
        format!("{} to {}", order.count, order.country)
    }
    let echo = |args: Value| args.to_string();
    let schema = json!({ "type": "object", "properties": { "kind": { "enum": ["a", "b"] } },
        "additionalProperties": false, "x-keyword": [1] });
    let server = Server::new("valid", "1.0.0")
        .tool(tool("order", with(Arc::clone(&runs), order)))
        .tool(tool("echo", echo).input_schema(schema.clone()))
        .tool(named("none"))
        .tool(tool("any", |args: Value| args.to_string()))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    for (name, arguments, said) in [
        (
            "order",
            json!({ "count": 0, "country": "CH" }),
            "`count`: 0 is less than",
        ),
        (
            "order",
            json!({ "count": 11, "country": "CH" }),
            "`count`: 11 is greater",
        ),
        (
            "order",
            json!({ "count": 1, "country": "ch" }),
            "`country`: ",
        ),
        (
            "order",
            json!({ "count": "1", "country": "CH" }),
            "`count`: ",
        ),
        ("order", json!({ "count": 1 }), "country"),
        ("echo", json!({ "kind": "c" }), "`kind`: "),
        ("echo", json!({ "other": 1 }), "other"),
        ("none", json!({ "other": 1 }), "other"),
    ] {
        let result = hand
            .call("tools/call", call(name, arguments))
            .await
            .unwrap();
        assert_eq!(result["isError"], true, "{result}");
        assert!(text(&result).contains(said), "{result}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let good = call("order", json!({ "count": 10, "country": "CH" }));
    assert_eq!(
        text(&hand.call("tools/call", good).await.unwrap()),
        "10 to CH"
    );
    let good = call("echo", json!({ "kind": "a" }));
    assert_eq!(
        text(&hand.call("tools/call", good).await.unwrap()),
        r#"{"kind":"a"}"#
    );
    for params in [call("none", json!({})), json!({ "name": "none" })] {
        assert_eq!(text(&hand.call("tools/call", params).await.unwrap()), "ok");
    }
    // REQ-SCH-04: every keyword reaches the client.
    let list = hand.call("tools/list", json!({})).await.unwrap();
    assert_eq!(list["tools"][1]["inputSchema"], schema);
    // mcpadapt takes the properties of every tool, and OpenAI no function without them.
    for tool in [2, 3] {
        let schema = &list["tools"][tool]["inputSchema"];
        assert_eq!(schema["properties"], json!({}), "{schema}");
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_checked_where_that_is_asked_for() {
    #[derive(Serialize, JsonSchema)]
    struct Small {
        #[schemars(range(max = 9))]
        size: u32,
    }
    let schema = json!({ "type": "object", "required": ["a"] });
    let bare = || CallToolResult::text("none");
    let failed = || CallToolResult::error("failed");
    for check in [true, false] {
        let server = Server::new("results", "1.0.0")
            .tool(tool("large", || Json(Small { size: 10 })))
            .tool(tool("small", || Json(Small { size: 9 })))
            .tool(tool("bare", bare).output_schema(schema.clone()))
            .tool(tool("failed", failed).output_schema(schema.clone()))
            .check_results(check)
            .start();
        let mut hand = Hand::connect(&server, MODERN).await;
        for (name, good) in [
            ("large", false),
            ("small", true),
            ("bare", false),
            ("failed", true),
        ] {
            let outcome = hand.call("tools/call", json!({ "name": name })).await;
            match outcome {
                Ok(_) => assert!(good || !check, "{name}"),
                Err(error) => {
                    assert!(!good && check, "{name}");
                    assert_eq!(error["code"], ErrorCode::INTERNAL_ERROR.0);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_schema_is_that_of_what_is_written() {
    #[derive(Default, Serialize, JsonSchema)]
    struct Written {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<u32>,
        #[serde(skip_serializing)]
        #[expect(dead_code, reason = "only its schema counts")]
        secret: u32,
        #[serde(rename(serialize = "out", deserialize = "in"))]
        renamed: u32,
    }
    let server = Server::new("written", "1.0.0")
        .tool(tool("write", || Json(Written::default())))
        .check_results(true)
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let call = json!({ "name": "write" });
    let result = hand.call("tools/call", call).await.unwrap();
    assert_eq!(result["structuredContent"], json!({ "out": 0 }));
    let list = hand.call("tools/list", json!({})).await.unwrap();
    let schema = &list["tools"][0]["outputSchema"];
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["left_out", "out"]);
    assert_eq!(schema["required"], json!(["out"]));
}

#[tokio::test(start_paused = true)]
async fn any_subset_of_state_context_and_arguments() {
    type S = Arc<AtomicUsize>;
    async fn none() {}
    async fn cx(cx: Cx) -> String {
        cx.version().to_string()
    }
    async fn args(any: Any) -> String {
        any.x
    }
    async fn both(cx: Cx, any: Any) -> Result<String, HandlerError> {
        cx.log().debug("x").await;
        Ok(any.x)
    }
    async fn state(s: S) -> String {
        s.load(Ordering::SeqCst).to_string()
    }
    async fn state_cx(s: S, _: Cx) -> String {
        state(s).await
    }
    async fn state_args(s: S, any: Any) -> String {
        any.x + &state(s).await
    }
    async fn all(s: S, _: Cx, any: Any) -> String {
        state_args(s, any).await
    }
    fn sync(s: S, _: Cx, any: Any) -> String {
        any.x + &s.load(Ordering::SeqCst).to_string()
    }
    async fn typed(s: S, _: Cx, typed: Typed) -> Vec<String> {
        vec![format!(
            "{}{}{:?}",
            typed.value,
            state(s).await,
            typed.others
        )]
    }
    let s = Arc::new(AtomicUsize::new(7));
    let w = || Arc::clone(&s);
    let server = Server::new("subsets", "1.0.0")
        .tool(tool("none", none))
        .tool(tool("cx", cx))
        .tool(tool("args", args))
        .tool(tool("both", both))
        .tool(tool("state", with(w(), state)))
        .tool(tool("state_cx", with(w(), state_cx)))
        .tool(tool("state_args", with(w(), state_args)))
        .tool(tool("all", with(w(), all)))
        .tool(tool("sync", with(w(), sync)))
        .resource(resource("test://{x}", with(w(), all)))
        .prompt(prompt("all", with(w(), all)).complete("x", with(w(), typed)))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    for (name, said) in [
        ("cx", "2026-07-28"),
        ("args", "a"),
        ("both", "a"),
        ("state", "7"),
        ("state_cx", "7"),
        ("state_args", "a7"),
        ("all", "a7"),
        ("sync", "a7"),
    ] {
        let takes = matches!(name, "args" | "both" | "state_args" | "all" | "sync");
        let arguments = if takes {
            json!({ "x": "a" })
        } else {
            json!({})
        };
        let params = json!({ "name": name, "arguments": arguments });
        assert_eq!(text(&hand.call("tools/call", params).await.unwrap()), said);
    }
    let result = hand
        .call("tools/call", json!({ "name": "none" }))
        .await
        .unwrap();
    assert_eq!(result["content"], json!([]));
    let result = hand
        .call("resources/read", json!({ "uri": "test://a" }))
        .await
        .unwrap();
    assert_eq!(result["contents"][0]["text"], "a7");
    let get = json!({ "name": "all", "arguments": { "x": "a" } });
    let result = hand.call("prompts/get", get).await.unwrap();
    assert_eq!(result["messages"][0]["content"]["text"], "a7");
    let complete = json!({ "ref": { "type": "ref/prompt", "name": "all" },
        "argument": { "name": "x", "value": "b" }, "context": { "arguments": { "y": "z" } } });
    let result = hand.call("completion/complete", complete).await.unwrap();
    assert_eq!(result["completion"]["values"], json!([r#"b7{"y": "z"}"#]));
}

/// REQ-MRTR-01: these take no input rounds.
#[tokio::test(start_paused = true)]
async fn a_completion_cannot_ask() {
    async fn ask(cx: Cx, _: String) -> Result<Vec<String>, HandlerError> {
        Ok(vec![cx.roots().await?[0].uri.clone()])
    }
    let server = Server::new("asks", "1.0.0")
        .prompt(prompt("p", any).complete("x", ask))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let params = json!({ "ref": { "type": "ref/prompt", "name": "p" },
        "argument": { "name": "x", "value": "" } });
    assert_eq!(code(hand.call("completion/complete", params).await), -32603);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_is_not_said_back_at_length() {
    // REQ-ERR-02
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "nothing is fit for it")]
    struct Small {
        n: Option<u8>,
        #[serde(default)]
        by_name: std::collections::BTreeMap<String, u8>,
    }
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "nothing is fit for it")]
    struct Line {
        n: u8,
    }
    let slow = async |_: Small| std::future::pending::<String>().await;
    let server = Server::new("brief", "1.0.0")
        .tool(tool("small", slow).task(TaskSupport::Optional))
        .resource(resource("test://{n}", |_: Line| "x"))
        .prompt(prompt("line", |_: Line| "x").complete_from("n", ["1"]))
        .start();
    let long = "\"".repeat(1024 * 1024);
    let complete = |reference: Value, argument: &str| json!({ "ref": reference, "argument": { "name": argument, "value": "" } });
    let cases = [
        ("tools/call", json!({ "name": long })),
        (
            "tools/call",
            json!({ "name": "small", "arguments": { "n": long } }),
        ),
        (
            "tools/call",
            json!({ "name": "small", "arguments": { "by_name": { (&long): "x" } } }),
        ),
        (
            "tools/call",
            json!({ "name": "small", "task": { "ttl": long } }),
        ),
        ("prompts/get", json!({ "name": long })),
        (
            "prompts/get",
            json!({ "name": "line", "arguments": { "n": long } }),
        ),
        ("tools/list", json!({ "cursor": long })),
        ("tasks/get", json!({ "taskId": long })),
        ("tasks/get", json!({ "taskId": [long] })),
        (
            "completion/complete",
            complete(json!({ "type": "ref/prompt", "name": long }), "n"),
        ),
        (
            "completion/complete",
            complete(json!({ "type": "ref/resource", "uri": long }), "n"),
        ),
        (
            "completion/complete",
            complete(json!({ "type": "ref/prompt", "name": "line" }), &long),
        ),
        ("completion/complete", json!({ "ref": long })),
    ];
    let mut hand = Hand::connect(&server, ProtocolVersion::V2025_11_25).await;
    for (case, (method, params)) in cases.into_iter().enumerate() {
        let id = hand.send_unchecked(method, params).await;
        let said = match hand.outcome(id).await {
            Ok(result) => {
                assert_eq!(result["isError"], true, "{case}");
                result.to_string()
            }
            Err(error) => error.to_string(),
        };
        assert!(said.len() < 1024, "{case}: {} bytes", said.len());
    }
}
