//! Our server driven by rmcp's client, and our client driving rmcp's server, over bytes in memory.
//!
//! What rmcp does on the wire, and what it wants, is in `interop/NOTES.md`.

#![expect(
    deprecated,
    reason = "rmcp deprecates logging and sampling with revision 2026-07-28, and they are what we test"
)]

mod interop;
mod ours;

use std::future::IntoFuture;

use interop::rmcp::{self as theirs, Received, RmcpClient, Seen, Serving, rmcp_client_with};
use mcp_client::types::{CreateMessageResult, Era, LogLevel, LogMessageParams};
use mcp_client::{Client, ClientBuilder, EraChoice, NotSent, ProgressUpdate, RequestError};
use mcp_testing::{Direction, Journal, Line, Log, Wire, soon};
use ours::{Held, MessageReceived, Report, Said, ServerTask, Watch, question, serve, server};
use rmcp::ServiceError;
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ErrorCode,
    ExtensionCapabilities, LoggingLevel, ProtocolVersion,
};
use serde_json::{Value, json};

/// By which both sides say that modern requests may carry notifications of a program's own.
const EXTENSION: &str = "io.mcp-stack/notifications";

/// The direction and method of each message, responses as `result`, `input_required` or `error`.
fn outline(wire: &Log) -> Vec<String> {
    let kind = |line: &Line| {
        let message = line.json();
        let kind = match &message {
            _ if message["method"].is_string() => message["method"].as_str(),
            _ if message["result"]["resultType"] == "input_required" => Some("input_required"),
            _ if message["result"].is_object() => Some("result"),
            _ if message["error"].is_object() => Some("error"),
            _ => None,
        };
        format!("{} {}", line.direction, kind.unwrap_or("?"))
    };
    wire.lines().iter().map(kind).collect()
}

fn with_method(wire: &Log, direction: Direction, method: &str) -> Vec<Value> {
    let mut messages = wire.messages(direction);
    messages.retain(|message| message["method"] == method);
    messages
}

/// Sampling went by a request of the server's, and the call was made once.
fn asked_by_request(wire: &Log) {
    let asked = with_method(wire, Direction::RightToLeft, "sampling/createMessage");
    assert_eq!(asked.len(), 1);
    let calls = with_method(wire, Direction::LeftToRight, "tools/call");
    assert_eq!(calls.len(), 1);
    for message in wire.messages(Direction::RightToLeft) {
        assert_eq!(message["result"]["resultType"], Value::Null, "{message}");
    }
}

/// Sampling went by a question in the result, and the call was made again under a new id, with the state as it was given.
fn asked_by_input_required(wire: &Log) {
    let from_server = wire.messages(Direction::RightToLeft);
    let asked: Vec<_> = from_server
        .iter()
        .filter(|message| message["method"].is_string() && message.get("id").is_some())
        .collect();
    assert_eq!(
        asked,
        Vec::<&Value>::new(),
        "a modern server makes no requests"
    );

    let calls = with_method(wire, Direction::LeftToRight, "tools/call");
    let [call, retry] = calls.as_slice() else {
        panic!("called twice, not {} times", calls.len());
    };
    let answer = |id: &Value| from_server.iter().find(|message| message["id"] == *id);
    let asked = answer(&call["id"]).expect("the first call is answered");
    assert_eq!(asked["result"]["resultType"], "input_required");
    let questions = asked["result"]["inputRequests"].as_object();
    let questions: Vec<_> = questions.into_iter().flatten().collect();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].1["method"], "sampling/createMessage");
    let result = answer(&retry["id"]).expect("the second call is answered");
    assert_eq!(result["result"]["resultType"], "complete");

    assert_ne!(retry["id"], call["id"], "REQ-MRTR-07");
    let (call, retry) = (&call["params"], &retry["params"]);
    assert_eq!(retry["name"], call["name"]);
    assert_eq!(retry["arguments"], call["arguments"]);
    assert_eq!(retry["requestState"], asked["result"]["requestState"]);
    assert_eq!(retry["inputResponses"][questions[0].0]["model"], "stub");
    assert_eq!(call["requestState"], Value::Null);
}

fn files() -> Value {
    json!({"file_ids": ["a", "b", "c"]})
}

// ---- their client, our server ----

struct TheirClient {
    client: RmcpClient,
    serving: ServerTask,
    watch: Watch,
    wire: Log,
}

fn sampling() -> ClientCapabilities {
    ClientCapabilities::builder().enable_sampling().build()
}

async fn their_client(capabilities: ClientCapabilities, era: theirs::Era) -> TheirClient {
    let (left, right, wire) = Wire::tap(64 * 1024);
    let (server, watch) = server();
    let serving = serve(server, right);
    let client = soon(rmcp_client_with(capabilities, left, era)).await;
    TheirClient {
        client: client.expect("rmcp should connect"),
        serving,
        watch,
        wire,
    }
}

impl TheirClient {
    async fn close(self) {
        soon(self.client.close()).await;
        let served = soon(self.serving).await.expect("no panic");
        served.expect("a clean end");
    }

    /// Lists and calls; what the client sees is the same in both eras, but for what its revision does not know.
    async fn lists_and_calls(&mut self, structured: bool, messages: bool) {
        let tools = soon(self.client.list_tools()).await.expect("tools");
        assert_eq!(tools[..3], ["batch", "fail", "echo"]);

        let set = soon(self.client.set_log_level(LoggingLevel::Info)).await;
        set.expect("a level is accepted");
        let result = soon(self.client.call("batch", files())).await;
        let result = result.expect("batch should succeed");
        let report = json!({"count": 3, "summary": format!("stub: {}", question(3))});
        assert_eq!(
            result.structured_content,
            structured.then(|| report.clone())
        );
        assert_eq!(
            serde_json::from_str::<Value>(first_text(&result)).ok(),
            Some(report)
        );
        assert_ne!(result.is_error, Some(true));

        let is_log = |seen: &Seen| matches!(seen, Seen::Log { .. });
        let logs = soon(self.client.seen().find_many(3, is_log)).await;
        let log = |id| Seen::Log {
            level: LoggingLevel::Info,
            logger: Some("files".to_owned()),
            data: json!(format!("processed {id}")),
        };
        assert_eq!(logs, ["a", "b", "c"].map(log));

        let is_progress = |seen: &Seen| matches!(seen, Seen::Progress { .. });
        let progress = soon(self.client.seen().find_many(3, is_progress)).await;
        let calls = with_method(&self.wire, Direction::LeftToRight, "tools/call");
        let step = |(done, id)| Seen::Progress {
            token: calls[0]["params"]["_meta"]["progressToken"].clone(),
            progress: done,
            total: Some(3.0),
            message: messages.then(|| format!("processed {id}")),
        };
        assert_eq!(progress, [(1.0, "a"), (2.0, "b"), (3.0, "c")].map(step));

        let mut asked = self.client.seen().entries();
        asked.retain(|seen| matches!(seen, Seen::Sampled { .. }));
        let question = question(3);
        assert_eq!(asked, [Seen::Sampled { question }], "asked once");
    }
}

fn first_text(result: &CallToolResult) -> &str {
    let text = result.content.first().and_then(ContentBlock::as_text);
    text.map_or("", |text| &text.text)
}

#[tokio::test]
async fn their_legacy_client_is_asked_by_a_request() {
    let mut pair = their_client(sampling(), theirs::Era::LEGACY).await;
    assert_eq!(pair.client.era(), theirs::Era::LEGACY);
    pair.lists_and_calls(true, true).await;
    assert_eq!(
        outline(&pair.wire),
        [
            "-> initialize",
            "<- result",
            "-> notifications/initialized",
            "-> tools/list",
            "<- result",
            "-> logging/setLevel",
            "<- result",
            "-> tools/call",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- sampling/createMessage",
            "-> result",
            "<- result",
        ]
    );
    asked_by_request(&pair.wire);
    pair.close().await;
}

#[tokio::test]
async fn their_modern_client_is_asked_by_input_required() {
    for era in [theirs::Era::Modern, theirs::Era::Auto] {
        let mut pair = their_client(sampling(), era).await;
        assert_eq!(pair.client.era(), theirs::Era::Modern);
        pair.lists_and_calls(true, true).await;
        assert_eq!(
            outline(&pair.wire),
            [
                "-> server/discover",
                "<- result",
                "-> tools/list",
                "<- result",
                "-> tools/call",
                "<- notifications/message",
                "<- notifications/progress",
                "<- notifications/message",
                "<- notifications/progress",
                "<- notifications/message",
                "<- notifications/progress",
                "<- input_required",
                "-> tools/call",
                "<- result",
            ]
        );
        asked_by_input_required(&pair.wire);
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_in_every_legacy_revision() {
    for version in ProtocolVersion::KNOWN_VERSIONS {
        if !version.has_initialize() {
            continue;
        }
        let era = theirs::Era::Legacy(version.clone());
        let mut pair = their_client(sampling(), era.clone()).await;
        assert_eq!(pair.client.era(), era);
        // Dates, so they are in the order of their names.
        let structured = version.as_str() >= "2025-06-18";
        let messages = version.as_str() >= "2025-03-26";
        pair.lists_and_calls(structured, messages).await;
        asked_by_request(&pair.wire);
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_gets_results_and_errors() {
    for era in [theirs::Era::LEGACY, theirs::Era::Modern] {
        let pair = their_client(sampling(), era).await;
        let echo = soon(pair.client.call("echo", json!({"text": "é\n\"𝄞"}))).await;
        assert_eq!(first_text(&echo.expect("echoes")), "é\n\"𝄞");

        let fail = soon(pair.client.call("fail", Value::Null))
            .await
            .expect("a result");
        assert_eq!((fail.is_error, first_text(&fail)), (Some(true), "it fails"));

        let bad = soon(pair.client.call("echo", json!({"text": 5})))
            .await
            .expect("a result");
        assert_eq!(bad.is_error, Some(true));
        assert!(first_text(&bad).contains("`text`"), "{bad:?}");

        for (tool, code) in [
            ("unknown", ErrorCode::INVALID_PARAMS),
            ("panic_at_once", ErrorCode::INTERNAL_ERROR),
            ("panic_later", ErrorCode::INTERNAL_ERROR),
        ] {
            match soon(pair.client.call(tool, Value::Null)).await {
                Err(ServiceError::McpError(error)) => assert_eq!(error.code, code),
                other => panic!("{tool}: {other:?}"),
            }
        }
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_gets_the_logs_it_wants() {
    for (era, level, expected) in [
        (theirs::Era::LEGACY, Some(LoggingLevel::Notice), 0),
        (theirs::Era::LEGACY, Some(LoggingLevel::Debug), 3),
        (theirs::Era::LEGACY, None, 3),
        (theirs::Era::Modern, Some(LoggingLevel::Notice), 0),
        (theirs::Era::Modern, Some(LoggingLevel::Debug), 3),
        (theirs::Era::Modern, None, 0),
    ] {
        let mut pair = their_client(sampling(), era).await;
        if let Some(level) = level {
            let set = soon(pair.client.set_log_level(level)).await;
            set.expect("a level is accepted");
        }
        let result = soon(pair.client.call("batch", files())).await;
        result.expect("batch should succeed");
        let logs = with_method(&pair.wire, Direction::RightToLeft, "notifications/message");
        assert_eq!(logs.len(), expected);
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_gets_notifications_of_our_own() {
    let mut extensions = ExtensionCapabilities::new();
    extensions.insert(EXTENSION.to_owned(), Default::default());
    let extended = ClientCapabilities::builder().enable_extensions_with(extensions);
    let extended = extended.build();
    for (era, capabilities, told) in [
        (theirs::Era::LEGACY, sampling(), true),
        (theirs::Era::Modern, extended, true),
        (theirs::Era::Modern, sampling(), false),
    ] {
        let pair = their_client(capabilities, era).await;
        let result = soon(pair.client.call("say", Value::Null)).await;
        let result = result.expect("a result");
        assert_eq!(result.is_error.unwrap_or_default(), !told, "{result:?}");
        if told {
            let is_custom = |seen: &Seen| matches!(seen, Seen::Custom { .. });
            let seen = soon(pair.client.seen().find(is_custom)).await;
            let custom = Seen::Custom {
                method: "chat.message_received".to_owned(),
                params: json!(Said::hello()),
            };
            assert_eq!(seen, custom);
        }
        let sent = with_method(&pair.wire, Direction::RightToLeft, "chat.message_received");
        assert_eq!(sent.len(), usize::from(told));

        // Nobody here listens to theirs, which is no reason for trouble.
        let sent = soon(pair.client.notify("chat.typing", json!({"room": "a"}))).await;
        sent.expect("the client may");
        let echo = soon(pair.client.call("echo", json!({"text": "a"}))).await;
        assert_eq!(first_text(&echo.expect("echoes")), "a");
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_cancels_by_dropping_its_call() {
    for era in [theirs::Era::LEGACY, theirs::Era::Modern] {
        let pair = their_client(sampling(), era).await;
        {
            let call = pair.client.call("hold", Value::Null);
            let started = pair.watch.held.find(|held| *held == Held::Started);
            tokio::pin!(call);
            tokio::select! {
                outcome = &mut call => panic!("it never returns, and not {outcome:?}"),
                _ = soon(started) => {}
            }
        }
        soon(pair.watch.held.find(|held| *held == Held::Dropped)).await;
        let call = &with_method(&pair.wire, Direction::LeftToRight, "tools/call")[0];
        let cancelled = with_method(
            &pair.wire,
            Direction::LeftToRight,
            "notifications/cancelled",
        );
        assert_eq!(cancelled[0]["params"]["requestId"], call["id"]);
        let echo = soon(pair.client.call("echo", json!({"text": "a"}))).await;
        assert_eq!(first_text(&echo.expect("echoes")), "a");
        let answers = pair.wire.messages(Direction::RightToLeft);
        assert!(
            answers.iter().all(|answer| answer["id"] != call["id"]),
            "REQ-CANC-05"
        );
        pair.close().await;
    }
}

#[tokio::test]
async fn their_client_that_cannot_sample_is_not_asked() {
    let nothing = ClientCapabilities::default();
    let legacy = their_client(nothing.clone(), theirs::Era::LEGACY).await;
    let result = soon(legacy.client.call("batch", files())).await;
    assert_eq!(result.expect("a result").is_error, Some(true));
    assert!(!outline(&legacy.wire).contains(&"<- sampling/createMessage".to_owned()));
    legacy.close().await;

    let modern = their_client(nothing, theirs::Era::Modern).await;
    let result = soon(modern.client.call("batch", files())).await;
    let Err(ServiceError::McpError(error)) = result else {
        panic!("a missing capability is an error of the protocol, not {result:?}");
    };
    assert_eq!(error.code.0, -32021);
    let required = json!({"requiredCapabilities": {"sampling": {}}});
    assert_eq!(error.data, Some(required));
    modern.close().await;
}

#[tokio::test]
async fn one_round_of_our_server_as_their_client_reads_it() {
    let pair = their_client(sampling(), theirs::Era::Modern).await;
    let response = soon(pair.client.call_once("batch", files())).await;
    let Ok(CallToolResponse::InputRequired(asked)) = response else {
        panic!("the first round should ask, not {response:?}");
    };
    assert_eq!(asked.input_requests.map(|requests| requests.len()), Some(1));
    assert!(asked.request_state.is_some());
    pair.close().await;
}

// ---- our client, their server ----

struct OurClient {
    client: Client,
    serving: Serving,
    wire: Log,
    logs: Journal<LogMessageParams>,
}

fn builder(choice: EraChoice) -> ClientBuilder {
    Client::builder("tester", "1").era(choice)
}

/// A client that can sample: the answer is always `stub: <the question>`.
fn sampler(choice: EraChoice) -> ClientBuilder {
    builder(choice).on_sampling(async |params| {
        let question = params.messages.last().map(|message| message.to_text());
        let answer = format!("stub: {}", question.unwrap_or_default());
        Ok(CreateMessageResult::text("stub", answer))
    })
}

async fn our_client(builder: ClientBuilder) -> OurClient {
    let (left, right, wire) = Wire::tap(64 * 1024);
    let serving = theirs::rmcp_server().serve(right);
    let logs = Journal::new();
    let seen = logs.clone();
    let builder = builder.on_log(move |log| seen.push(log));
    let client = soon(builder.connect(mcp_codec::framed(left))).await;
    OurClient {
        client: client.expect("we should connect"),
        serving,
        wire,
        logs,
    }
}

impl OurClient {
    async fn close(self) {
        soon(self.client.close()).await;
        soon(self.serving.ended()).await.expect("a clean end");
    }

    async fn lists_and_calls(&self) {
        let tools = soon(self.client.list_tools()).await.expect("tools");
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["batch", "fail", "echo"]);
        assert!(tools[0].output_schema.is_some());

        let mut progress = Vec::new();
        let call = self.client.call_tool("batch", files());
        let call = call
            .on_progress(|update| progress.push(update))
            .into_future();
        let result = soon(call).await.expect("batch should succeed");
        let report = result.structured_content.expect("a structured result");
        let report: Report = report.decode().expect("a report");
        let summary = format!("stub: {}", theirs::question(3));
        assert_eq!(report, Report { count: 3, summary });
        assert!(!result.is_error);

        let logs: Vec<_> = self
            .logs
            .entries()
            .iter()
            .map(LogMessageParams::to_string)
            .collect();
        let log = |id| format!("[info] files: processed {id}");
        assert_eq!(logs, ["a", "b", "c"].map(log));
        let step = |update: &ProgressUpdate| {
            let message = update.message.clone().unwrap_or_default();
            (update.progress, update.total, message)
        };
        let progress: Vec<_> = progress.iter().map(step).collect();
        let expected = |(done, id)| (done, Some(3.0), format!("processed {id}"));
        assert_eq!(progress, [(1.0, "a"), (2.0, "b"), (3.0, "c")].map(expected));
    }
}

#[tokio::test]
async fn our_legacy_client_is_asked_by_a_request() {
    let pair = our_client(sampler(EraChoice::Legacy)).await;
    assert_eq!(pair.client.era(), Era::Legacy);
    pair.lists_and_calls().await;
    assert_eq!(
        outline(&pair.wire),
        [
            "-> initialize",
            "<- result",
            "-> notifications/initialized",
            "-> logging/setLevel",
            "<- result",
            "-> tools/list",
            "<- result",
            "-> tools/call",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- notifications/message",
            "<- notifications/progress",
            "<- sampling/createMessage",
            "-> result",
            "<- result",
        ]
    );
    asked_by_request(&pair.wire);
    pair.close().await;
}

#[tokio::test]
async fn our_modern_client_is_asked_by_input_required() {
    for choice in [EraChoice::Modern, EraChoice::Auto] {
        let pair = our_client(sampler(choice)).await;
        assert_eq!(pair.client.era(), Era::Modern);
        pair.lists_and_calls().await;
        assert_eq!(
            outline(&pair.wire),
            [
                "-> server/discover",
                "<- result",
                "-> tools/list",
                "<- result",
                "-> tools/call",
                "<- notifications/message",
                "<- notifications/progress",
                "<- notifications/message",
                "<- notifications/progress",
                "<- notifications/message",
                "<- notifications/progress",
                "<- input_required",
                "-> tools/call",
                "<- result",
            ]
        );
        asked_by_input_required(&pair.wire);
        pair.close().await;
    }
}

#[tokio::test]
async fn our_client_gets_results_and_errors() {
    for choice in [EraChoice::Legacy, EraChoice::Modern] {
        let pair = our_client(sampler(choice)).await;
        let echo = pair.client.call_tool("echo", json!({"text": "é\n\"𝄞"}));
        let echo = soon(echo.into_future()).await.expect("echoes");
        assert_eq!(echo.to_text(), "é\n\"𝄞");

        let fail = soon(pair.client.call_tool("fail", json!({})).into_future()).await;
        let fail = fail.expect("a result");
        assert_eq!((fail.is_error, fail.to_text().as_str()), (true, "it fails"));

        let unknown = soon(pair.client.call_tool("unknown", json!({})).into_future()).await;
        match unknown {
            Err(RequestError::Refused(error)) => assert_eq!(error.code.0, -32602),
            other => panic!("{other:?}"),
        }
        pair.close().await;
    }
}

#[tokio::test]
async fn our_client_gets_the_logs_it_wants() {
    for choice in [EraChoice::Legacy, EraChoice::Modern] {
        for (level, expected) in [
            (LogLevel::Debug, 3),
            (LogLevel::Info, 3),
            (LogLevel::Notice, 0),
        ] {
            let pair = our_client(sampler(choice).log_level(level)).await;
            let call = pair.client.call_tool("batch", files()).into_future();
            soon(call).await.expect("batch should succeed");
            assert_eq!(pair.logs.entries().len(), expected);
            let sent = with_method(&pair.wire, Direction::RightToLeft, "notifications/message");
            assert_eq!(sent.len(), expected);
            pair.close().await;
        }
    }
}

#[tokio::test]
async fn our_client_and_notifications_of_a_programs_own() {
    for choice in [EraChoice::Legacy, EraChoice::Modern] {
        let mut pair = our_client(sampler(choice)).await;
        let mut said = pair.client.notifications::<MessageReceived>();
        // The era is settled on rmcp's side only now: `server/discover` alone leaves it open.
        soon(pair.client.list_tools()).await.expect("tools");
        let sent = soon(
            pair.serving
                .notify("chat.message_received", json!(Said::hello())),
        )
        .await;
        sent.expect("the server may");
        assert_eq!(soon(said.recv()).await, Some(Ok(Said::hello())));

        let sent = soon(pair.client.notify::<MessageReceived>(&Said::hello())).await;
        if choice == EraChoice::Legacy {
            sent.expect("the client may");
            let is_custom = |received: &Received| matches!(received, Received::Custom { .. });
            let received = soon(pair.serving.received().find(is_custom)).await;
            let custom = Received::Custom {
                method: "chat.message_received".to_owned(),
                params: json!(Said::hello()),
            };
            assert_eq!(received, custom);
        } else {
            // rmcp's server does not declare the extension, so that ours says it instead of sending into the void.
            assert_eq!(sent, Err(NotSent::NotNegotiated));
        }
        pair.close().await;
    }
}

#[tokio::test]
async fn our_client_cancels_by_dropping_its_call() {
    for choice in [EraChoice::Legacy, EraChoice::Modern] {
        let pair = our_client(sampler(choice)).await;
        {
            let call = pair
                .client
                .call_tool("echo", json!({"text": "a"}))
                .into_future();
            tokio::pin!(call);
            assert!(futures::poll!(&mut call).is_pending());
        }
        cancelled(&pair).await;
        pair.close().await;
    }
}

/// The server waits for our answer when we lose interest.
#[tokio::test]
async fn our_client_cancels_a_call_that_has_asked_it() {
    let asked = Journal::new();
    let asks = asked.clone();
    let builder = builder(EraChoice::Legacy).on_sampling(move |_| {
        asks.push(());
        std::future::pending()
    });
    let pair = our_client(builder).await;
    {
        let call = pair.client.call_tool("batch", files()).into_future();
        tokio::pin!(call);
        tokio::select! {
            outcome = &mut call => panic!("it waits for an answer, and is not {outcome:?}"),
            () = soon(asked.find(|()| true)) => {}
        }
    }
    cancelled(&pair).await;
    // rmcp's tool waits for our answer still, and rmcp would wait for its tool.
    soon(pair.client.close()).await;
    pair.serving.vanish();
}

async fn cancelled(pair: &OurClient) {
    let is_cancelled = |received: &Received| matches!(received, Received::Cancelled { .. });
    let received = soon(pair.serving.received().find(is_cancelled)).await;
    let call = &with_method(&pair.wire, Direction::LeftToRight, "tools/call")[0];
    let Received::Cancelled { id, .. } = received else {
        panic!("found by its kind");
    };
    assert_eq!(id, call["id"]);
    let echo = pair
        .client
        .call_tool("echo", json!({"text": "a"}))
        .into_future();
    assert_eq!(soon(echo).await.expect("echoes").to_text(), "a");
}

#[tokio::test]
async fn our_client_that_cannot_sample_is_not_asked() {
    let legacy = our_client(builder(EraChoice::Legacy)).await;
    let result = soon(legacy.client.call_tool("batch", files()).into_future()).await;
    assert!(result.expect("a result").is_error);
    assert!(!outline(&legacy.wire).contains(&"<- sampling/createMessage".to_owned()));
    legacy.close().await;

    let modern = our_client(builder(EraChoice::Modern)).await;
    let result = soon(modern.client.call_tool("batch", files()).into_future()).await;
    match result {
        Err(RequestError::Refused(error)) => assert_eq!(error.code.0, -32021),
        other => panic!("{other:?}"),
    }
    modern.close().await;
}

/// A lost connection, as our client sees it when rmcp's server goes; which waits for its tool first, but not in real time.
#[tokio::test(start_paused = true)]
async fn their_server_that_goes_loses_us_the_call() {
    let started = Journal::new();
    let starts = started.clone();
    let builder = builder(EraChoice::Legacy).on_sampling(move |_| {
        starts.push(());
        std::future::pending()
    });
    let pair = our_client(builder).await;
    let call = pair.client.call_tool("batch", files()).into_future();
    let going = async {
        soon(started.find(|()| true)).await;
        pair.serving.vanish();
    };
    let (outcome, ()) = soon(async { tokio::join!(call, going) }).await;
    assert!(
        matches!(outcome, Err(RequestError::ConnectionLost(_))),
        "{outcome:?}"
    );
}
