//! Tools and a prompt that ask the client.

use mcp_server::types::{
    BooleanSchema, ElicitParams, ElicitResult, ElicitSchema, EnumSchema, NumberSchema, StringSchema,
};
use mcp_server::{Cx, JsonSchema, PromptDef, Sampling, ToolDef, ToolError, prompt, schemars, tool};
use serde::Deserialize;
use serde_json::json;

type Told = Result<String, ToolError>;

pub(crate) fn tools() -> Vec<ToolDef> {
    vec![
        tool("test_sampling", sampling).describe("Asks the client's model"),
        tool("test_elicitation", elicitation).describe("Asks the client's user"),
        tool("test_elicitation_sep1034_defaults", defaults)
            .describe("Asks by a form that has defaults"),
        tool("test_elicitation_sep1330_enums", enums).describe("Asks for choices of every kind"),
        tool("test_missing_capability", capital).describe("Needs a client that samples"),
        tool("test_streaming_elicitation", streaming).describe("Asks in the middle of its work"),
        tool("test_input_required_result_elicitation", name).describe("Asks for a name"),
        tool("test_input_required_result_sampling", capital).describe("Asks for a capital"),
        tool("test_input_required_result_list_roots", roots).describe("Asks for the roots"),
        tool("test_input_required_result_request_state", confirmed)
            .describe("Asks once, and knows again what for"),
        tool("test_input_required_result_multiple_inputs", several)
            .describe("Asks for several things at once"),
        tool("test_input_required_result_multi_round", rounds).describe("Asks twice"),
        tool("test_input_required_result_tampered_state", confirmed)
            .describe("Asks once, and tells a state that is not its own"),
        tool("test_input_required_result_capabilities", declared)
            .describe("Asks for what the client can do"),
    ]
}

pub(crate) fn prompts() -> Vec<PromptDef> {
    vec![
        prompt("test_input_required_result_prompt", context)
            .describe("A prompt that asks what it is to be about"),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Prompt {
    /// What to ask the model
    prompt: String,
}

async fn sampling(cx: Cx, args: Prompt) -> Told {
    let reply = cx
        .sample(Sampling::user(args.prompt).max_tokens(100))
        .await?;
    Ok(format!("LLM response: {}", reply.to_text()))
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    /// What to say to the user
    message: String,
}

async fn elicitation(cx: Cx, args: Message) -> Told {
    let form = ElicitSchema::new()
        .required("username", StringSchema::new().description("Your name"))
        .required("email", StringSchema::new().description("Your address"));
    let result = cx
        .elicit_with(ElicitParams::form(args.message, form))
        .await?;
    Ok(told("User response", &result))
}

fn told(what: &str, result: &ElicitResult) -> String {
    let content = result.content.as_ref().map_or("{}", |c| c.as_str());
    format!("{what}: action={}, content={content}", result.action)
}

async fn defaults(cx: Cx) -> Told {
    let status = EnumSchema::new(["active", "inactive", "pending"]).default_value("active");
    let score = serde_json::Number::from_f64(95.5);
    let mut number = NumberSchema::new();
    number.default_value = score;
    let form = ElicitSchema::new()
        .optional("name", StringSchema::new().default_value("John Doe"))
        .optional("age", NumberSchema::integer().default_value(30))
        .optional("score", number)
        .optional("status", status)
        .optional("verified", BooleanSchema::new().default_value(true));
    let result = cx
        .elicit_with(ElicitParams::form("Check these", form))
        .await?;
    Ok(told("Elicitation completed", &result))
}

async fn enums(cx: Cx) -> Told {
    let titled = || [("one", "First"), ("two", "Second"), ("three", "Third")];
    let plain = || ["one", "two", "three"];
    // `enumNames` is an older revision's way; whoever wants it today writes it out.
    let form = json!({ "type": "object", "properties": {
        "untitledSingle": typed(EnumSchema::new(plain())),
        "titledSingle": typed(EnumSchema::titled(titled())),
        "legacyEnum": { "type": "string", "enum": plain(), "enumNames": ["First", "Second", "Third"] },
        "untitledMulti": typed(EnumSchema::new(plain()).multiple()),
        "titledMulti": typed(EnumSchema::titled(titled()).multiple()),
    } });
    let result = cx.elicit_with(ElicitParams::form("Choose", form)).await?;
    Ok(told("Elicitation completed", &result))
}

fn typed(schema: EnumSchema) -> mcp_server::types::PrimitiveSchema {
    schema.into()
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

async fn name(cx: Cx) -> Told {
    let asking = cx.named("user_name");
    let name = asking
        .elicit::<Name>("What is your name?")
        .await?
        .accepted();
    Ok(name.map_or("Nobody.".to_owned(), |n| format!("Hello, {}!", n.name)))
}

async fn capital(cx: Cx) -> Told {
    let ask = Sampling::user("What is the capital of France?").max_tokens(100);
    Ok(cx.named("capital_question").sample(ask).await?.to_text())
}

async fn roots(cx: Cx) -> Told {
    let roots = cx.named("client_roots").roots().await?;
    let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
    Ok(format!("{} roots: {}", uris.len(), uris.join(" ")))
}

#[derive(Deserialize, JsonSchema)]
struct Confirm {
    ok: bool,
}

async fn confirmed(cx: Cx) -> Told {
    let asking = cx.named("confirm");
    let confirm = asking
        .elicit::<Confirm>("Is it all right?")
        .await?
        .accepted();
    Ok(format!(
        "state-ok, confirmed: {}",
        confirm.is_some_and(|c| c.ok)
    ))
}

async fn streaming(cx: Cx) -> Told {
    cx.progress().step("about to ask").await;
    confirmed(cx).await
}

async fn several(cx: Cx) -> Told {
    let greeting = Sampling::user("Write a greeting.").max_tokens(50);
    let [one, two, three] = ["user_name", "greeting", "client_roots"].map(|key| cx.named(key));
    let (name, greeting, roots) = tokio::join!(
        one.elicit::<Name>("What is your name?"),
        two.sample(greeting),
        three.roots()
    );
    let name = name?.accepted().map(|n| n.name).unwrap_or_default();
    let (greeting, roots) = (greeting?.to_text(), roots?.len());
    Ok(format!("{greeting} {name}, with {roots} roots"))
}

async fn rounds(cx: Cx) -> Told {
    let [one, two] = ["step1", "step2"].map(|key| cx.named(key));
    let first = one.elicit::<Name>("Step 1: your name?").await?.accepted();
    let second = two.elicit::<Confirm>("Step 2: are you sure?").await?;
    let second = second.accepted();
    let name = first.map(|n| n.name).unwrap_or_default();
    Ok(format!("{name}, sure: {}", second.is_some_and(|c| c.ok)))
}

async fn declared(cx: Cx) -> Told {
    let can = cx.client_capabilities();
    let mut answers = Vec::new();
    if can.elicits_form() {
        answers.push(name(cx.clone()).await?);
    }
    if can.samples() {
        answers.push(capital(cx.clone()).await?);
    }
    if can.lists_roots() {
        answers.push(roots(cx).await?);
    }
    Ok(answers.join(" "))
}

#[derive(Deserialize, JsonSchema)]
struct Context {
    /// What it is to be about
    context: String,
}

async fn context(cx: Cx) -> Told {
    let asking = cx.named("user_context");
    let context = asking
        .elicit::<Context>("What is it about?")
        .await?
        .accepted();
    let about = context.map_or("nothing".to_owned(), |c| c.context);
    Ok(format!("A prompt about {about}."))
}
