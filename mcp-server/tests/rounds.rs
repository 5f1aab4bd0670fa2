//! Handlers that wait between the rounds of a modern client: what is refused, what is freed, what is bounded.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_server::types::ProtocolVersion;
use mcp_server::{
    Cx, Extensions, JsonSchema, ParkLimits, Principal, Server, ServerConnection, ToolError, tool,
    with,
};
use mcp_server::{prompt, resource};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{Hand, code, text};

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

/// What handlers have done: how many began, went on after an answer, and are still there.
#[derive(Default)]
struct Counts {
    began: AtomicUsize,
    went_on: AtomicUsize,
    alive: AtomicUsize,
}

impl Counts {
    fn all(&self) -> [usize; 3] {
        [&self.began, &self.went_on, &self.alive].map(|count| count.load(Ordering::SeqCst))
    }
}

/// Counts a handler as long as it is there.
struct Alive(Arc<Counts>);

impl Alive {
    fn begin(counts: Arc<Counts>) -> Self {
        counts.began.fetch_add(1, Ordering::SeqCst);
        counts.alive.fetch_add(1, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Deserialize, JsonSchema)]
struct Times {
    /// How often to ask
    times: u32,
    /// Something large to keep
    #[serde(default)]
    #[expect(dead_code, reason = "it only weighs")]
    ballast: String,
}

async fn ask(counts: Arc<Counts>, cx: Cx, args: Times) -> Result<String, ToolError> {
    let alive = Alive::begin(counts);
    let mut answers = Vec::new();
    for _ in 0..args.times {
        answers.push(cx.roots().await?[0].uri.clone());
        alive.0.went_on.fetch_add(1, Ordering::SeqCst);
    }
    Ok(answers.join(" "))
}

async fn ask_once(counts: Arc<Counts>, cx: Cx) -> Result<String, ToolError> {
    let times = 1;
    let ballast = String::new();
    ask(counts, cx, Times { times, ballast }).await
}

fn server(limits: ParkLimits) -> (ServerConnection, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let server = Server::new("rounds", "1.0.0")
        .tool(tool("ask", with(Arc::clone(&counts), ask)))
        .tool(tool("other", with(Arc::clone(&counts), ask)))
        .resource(resource("test://a", with(Arc::clone(&counts), ask_once)))
        .resource(resource("test://b", with(Arc::clone(&counts), ask_once)))
        .prompt(prompt("ask", with(Arc::clone(&counts), ask_once)))
        .park_limits(limits)
        .start();
    (server, counts)
}

fn call(times: u32) -> Value {
    json!({ "name": "ask", "arguments": { "times": times } })
}

/// The same request with answers to a round's questions and its state.
fn retry(request: &Value, round: &Value, uri: &str) -> Value {
    let mut retry = request.clone();
    for key in round["inputRequests"].as_object().unwrap().keys() {
        retry["inputResponses"][key] = json!({ "roots": [{ "uri": uri }] });
    }
    retry["requestState"] = round["requestState"].clone();
    retry
}

async fn open(hand: &mut Hand, method: &str, request: &Value) -> Value {
    let round = hand.once(method, request.clone()).await.unwrap();
    assert_eq!(round["resultType"], "input_required");
    round
}

#[tokio::test(start_paused = true)]
async fn a_state_is_good_for_one_use_of_the_request_it_belongs_to() {
    let (server, counts) = server(ParkLimits::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(2);
    let round = open(&mut hand, "tools/call", &request).await;
    let good = retry(&request, &round, "file:///1");
    let state = round["requestState"].as_str().unwrap();
    let with_state = |state: String| {
        let mut tampered = good.clone();
        tampered["requestState"] = state.into();
        tampered
    };
    let flipped = if state.ends_with('0') { "1" } else { "0" };
    let mut other_name = good.clone();
    other_name["name"] = "other".into();
    let mut other_arguments = good.clone();
    other_arguments["arguments"]["times"] = 3.into();
    for tampered in [
        with_state(String::new()),
        with_state(format!("{state}-TAMPERED")),
        with_state(format!("{}{flipped}", &state[..state.len() - 1])),
        with_state(state.to_uppercase() + " "),
        other_name,
        other_arguments,
    ] {
        // REQ-MRTR-09
        assert_eq!(code(hand.once("tools/call", tampered).await), -32602);
        assert_eq!(
            counts.all(),
            [1, 0, 1],
            "nothing runs, and the handler waits on"
        );
    }
    // Of another method, whose parameters even look alike.
    let mut prompt = json!({ "name": "ask" });
    prompt["requestState"] = state.into();
    prompt["inputResponses"] = good["inputResponses"].clone();
    assert_eq!(code(hand.once("prompts/get", prompt).await), -32602);
    // Of another server.
    let (elsewhere, nothing) = self::server(ParkLimits::default());
    let mut other = Hand::connect(&elsewhere, MODERN).await;
    assert_eq!(code(other.once("tools/call", good.clone()).await), -32602);
    assert_eq!((counts.all(), nothing.all()), ([1, 0, 1], [0, 0, 0]));
    // The true one, on another connection.
    let mut second = Hand::connect(&server, MODERN).await;
    let next = second.once("tools/call", good.clone()).await.unwrap();
    assert_eq!(counts.all(), [1, 1, 1]);
    assert_ne!(next["requestState"], round["requestState"]);
    // REQ-MRTR-11: used up.
    assert_eq!(code(hand.once("tools/call", good).await), -32602);
    assert_eq!(counts.all(), [1, 1, 1]);
    let last = retry(&request, &next, "file:///2");
    let result = hand.once("tools/call", last.clone()).await.unwrap();
    assert_eq!(text(&result), "file:///1 file:///2");
    assert_eq!(counts.all(), [1, 2, 0]);
    assert_eq!(code(hand.once("tools/call", last).await), -32602);
}

#[tokio::test(start_paused = true)]
async fn resources_and_prompts_are_bound_as_tools_are() {
    let (server, counts) = server(ParkLimits::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    let read = json!({ "uri": "test://a" });
    let get = json!({ "name": "ask" });
    let a = open(&mut hand, "resources/read", &read).await;
    let p = open(&mut hand, "prompts/get", &get).await;
    let foreign = json!({ "uri": "test://b" });
    for (method, request, round) in [
        ("resources/read", &foreign, &a),
        ("resources/read", &read, &p),
        ("prompts/get", &get, &a),
    ] {
        let retry = retry(request, round, "file:///x");
        assert_eq!(code(hand.once(method, retry).await), -32602);
    }
    assert_eq!(counts.all(), [2, 0, 2]);
    let read = retry(&read, &a, "file:///x");
    let result = hand.once("resources/read", read).await.unwrap();
    assert_eq!(result["contents"][0]["text"], "file:///x");
    // REQ-MRTR-17
    assert_eq!(result["ttlMs"], 0);
    let get = retry(&get, &p, "file:///y");
    let result = hand.once("prompts/get", get).await.unwrap();
    assert_eq!(result["messages"][0]["content"]["text"], "file:///y");
    assert_eq!(counts.all(), [2, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again() {
    // REQ-MRTR-13
    let (server, counts) = server(ParkLimits::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let first = open(&mut hand, "tools/call", &request).await;
    let mut last = first.clone();
    let key = first["inputRequests"].as_object().unwrap().keys().next();
    let key = key.unwrap().as_str();
    for answers in [json!({}), json!({ "unknown": { "roots": [] } })] {
        let mut wrong = request.clone();
        wrong["inputResponses"] = answers;
        wrong["requestState"] = last["requestState"].clone();
        let again = hand.once("tools/call", wrong).await.unwrap();
        assert_eq!(again["inputRequests"], first["inputRequests"]);
        assert_ne!(again["requestState"], last["requestState"]);
        last = again;
    }
    // What cannot be an answer is none.
    for answer in [json!(42), json!(null), json!({ "roots": 7 })] {
        let mut wrong = request.clone();
        wrong["inputResponses"][key] = answer;
        wrong["requestState"] = last["requestState"].clone();
        let id = hand.send_unchecked("tools/call", wrong).await;
        let again = hand.outcome(id).await.unwrap();
        assert_eq!(again["inputRequests"], first["inputRequests"]);
        last = again;
    }
    let mut wrong = request.clone();
    wrong["inputResponses"] = json!(null);
    wrong["requestState"] = last["requestState"].clone();
    let id = hand.send_unchecked("tools/call", wrong).await;
    assert_eq!(code(hand.outcome(id).await), -32602, "and uses nothing up");
    let second = last;
    let result = hand
        .once("tools/call", retry(&request, &second, "file:///x"))
        .await;
    assert_eq!(text(&result.unwrap()), "file:///x");
    assert_eq!(counts.all(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_state_is_for_the_principal_whose_request_it_was() {
    // REQ-MRTR-10
    let (server, counts) = server(ParkLimits::default());
    let mut hands = Vec::new();
    for name in ["alice", "bob"] {
        let known = Extensions::new().with(Principal::new(name));
        hands.push(Hand::connect_with(&server, MODERN, support::everything(), known).await);
    }
    let mut nobody = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let round = open(&mut hands[0], "tools/call", &request).await;
    let good = retry(&request, &round, "file:///x");
    for hand in [&mut hands[1], &mut nobody] {
        assert_eq!(code(hand.once("tools/call", good.clone()).await), -32602);
    }
    assert_eq!(counts.all(), [1, 0, 1]);
    hands[0].once("tools/call", good).await.unwrap();
    assert_eq!(counts.all(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn abandonment_frees_everything() {
    let mut limits = ParkLimits::default();
    limits.time = Duration::from_secs(600);
    let (server, counts) = server(limits);
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let round = open(&mut hand, "tools/call", &request).await;
    open(&mut hand, "resources/read", &json!({ "uri": "test://a" })).await;
    open(&mut hand, "prompts/get", &json!({ "name": "ask" })).await;
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!(counts.all(), [3, 0, 3]);
    // Whether the connection lives or not makes no difference.
    drop(hand);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(counts.all(), [3, 0, 0], "their futures are dropped");
    let mut hand = Hand::connect(&server, MODERN).await;
    let late = retry(&request, &round, "file:///x");
    assert_eq!(code(hand.once("tools/call", late).await), -32602);
    assert_eq!(counts.all(), [3, 0, 0]);
}

/// A runtime in which time only passes when there is nothing else to do.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

#[test]
fn what_waits_expires_though_the_runtime_it_came_from_has_ended() {
    let mut limits = ParkLimits::default();
    limits.count = 2;
    let time = limits.time;
    let (server, counts) = server(limits);
    runtime().block_on(async {
        let mut hand = Hand::connect(&server, MODERN).await;
        for _ in 0..2 {
            open(&mut hand, "tools/call", &call(1)).await;
        }
    });
    runtime().block_on(async {
        let mut hand = Hand::connect(&server, MODERN).await;
        // Nobody looked after those that wait, until now.
        assert_eq!(code(hand.once("tools/call", call(1)).await), -32603);
        tokio::time::sleep(time).await;
        open(&mut hand, "tools/call", &call(1)).await;
        assert_eq!(counts.all(), [4, 0, 1]);
    });
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_leaves_no_other_waiting() {
    struct Panicking;

    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("as it should");
        }
    }

    async fn panicking(cx: Cx) -> Result<&'static str, ToolError> {
        let _panicking = Panicking;
        cx.roots().await?;
        Ok("")
    }

    let mut limits = ParkLimits::default();
    (limits.count, limits.time) = (3, Duration::from_secs(1));
    let counts = Arc::new(Counts::default());
    let server = Server::new("rounds", "1.0.0")
        .tool(tool("ask", with(Arc::clone(&counts), ask)))
        .tool(tool("panicking", panicking))
        .park_limits(limits)
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    for began in [1, 2] {
        let panicking = json!({ "name": "panicking" });
        for call in [&panicking, &call(1), &panicking] {
            open(&mut hand, "tools/call", call).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(counts.all(), [began, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_state_is_refused_before_anything_is_swept() {
    let mut limits = ParkLimits::default();
    limits.time = Duration::from_secs(1);
    let (server, counts) = server(limits);
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let round = open(&mut hand, "tools/call", &request).await;
    // The clock moves, but no other task has run yet.
    tokio::time::advance(Duration::from_secs(1)).await;
    let late = retry(&request, &round, "file:///x");
    assert_eq!(code(hand.once("tools/call", late).await), -32602);
    assert_eq!(counts.all()[1], 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts.all(), [1, 0, 0]);
}

/// Asks twice, and each time a task of its own waits for the end.
async fn watched(ends: Arc<AtomicUsize>, cx: Cx) -> Result<&'static str, ToolError> {
    for _ in 0..2 {
        let (ends, watched) = (Arc::clone(&ends), cx.clone());
        tokio::spawn(async move {
            watched.ended().await;
            ends.fetch_add(1, Ordering::SeqCst);
        });
        // So that it waits before the question ends the round.
        tokio::time::sleep(Duration::from_millis(1)).await;
        cx.roots().await?;
    }
    Ok("")
}

#[tokio::test(start_paused = true)]
async fn a_request_has_ended_with_its_last_round() {
    let ends = Arc::new(AtomicUsize::new(0));
    let server = Server::new("rounds", "1.0.0")
        .tool(tool("watched", with(Arc::clone(&ends), watched)))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let mut request = json!({ "name": "watched" });
    for _ in 0..2 {
        let asked = open(&mut hand, "tools/call", &request).await;
        request = retry(&request, &asked, "file:///x");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ends.load(Ordering::SeqCst), 0);
    }
    hand.once("tools/call", request).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ends.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_wait_for_ever() {
    let mut limits = ParkLimits::default();
    limits.time = Duration::MAX;
    let (server, counts) = server(limits);
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let round = open(&mut hand, "tools/call", &request).await;
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    let late = retry(&request, &round, "file:///x");
    hand.once("tools/call", late).await.unwrap();
    assert_eq!(counts.all(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_server_takes_its_waiting_handlers_with_it() {
    let (server, counts) = server(ParkLimits::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    open(&mut hand, "tools/call", &call(1)).await;
    drop((hand, server));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counts.all(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let mut limits = ParkLimits::default();
    limits.count = 2;
    let (server, counts) = server(limits);
    let mut hand = Hand::connect(&server, MODERN).await;
    let request = call(1);
    let first = open(&mut hand, "tools/call", &request).await;
    open(&mut hand, "tools/call", &request).await;
    assert_eq!(code(hand.once("tools/call", request.clone()).await), -32603);
    assert_eq!(counts.all(), [3, 0, 2], "the third is dropped");
    hand.once("tools/call", retry(&request, &first, "file:///x"))
        .await
        .unwrap();
    open(&mut hand, "tools/call", &request).await;
    assert_eq!(counts.all(), [4, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_may_be() {
    let mut limits = ParkLimits::default();
    limits.bytes = 2000;
    let (server, counts) = server(limits);
    let mut hand = Hand::connect(&server, MODERN).await;
    let large = |bytes: usize| {
        let ballast = "x".repeat(bytes);
        json!({ "name": "ask", "arguments": { "times": 1, "ballast": ballast } })
    };
    assert_eq!(code(hand.once("tools/call", large(2000)).await), -32603);
    let request = large(1000);
    let round = open(&mut hand, "tools/call", &request).await;
    assert_eq!(code(hand.once("tools/call", request.clone()).await), -32603);
    let done = retry(&request, &round, "file:///x");
    hand.once("tools/call", done).await.unwrap();
    open(&mut hand, "tools/call", &request).await;
    assert_eq!(counts.all(), [4, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_answer_any_more_is_not_asked_again() {
    // REQ-MRTR-04, REQ-CAP-03, TRAP-29
    let (server, counts) = server(ParkLimits::default());
    let mut hand = Hand::connect(&server, MODERN).await;
    let mut request = call(1);
    let round = open(&mut hand, "tools/call", &request).await;
    request["requestState"] = round["requestState"].clone();
    hand.capabilities = json!({});
    let error = hand.once("tools/call", request).await.unwrap_err();
    assert_eq!(error["code"], -32021);
    let required = json!({ "requiredCapabilities": { "roots": {} } });
    assert_eq!(error["data"], required);
    assert_eq!(counts.all(), [1, 0, 0]);
}

/// Asks under keys of its own.
async fn keyed(cx: Cx) -> Result<String, ToolError> {
    let first = cx.named("first").roots().await?[0].uri.clone();
    let second = cx.named("second").roots().await?[0].uri.clone();
    Ok(format!("{first} {second}"))
}

#[tokio::test(start_paused = true)]
async fn a_question_with_a_key_is_not_asked_if_the_answer_is_there() {
    let server = Server::new("keys", "1.0.0")
        .tool(tool("keyed", keyed))
        .start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let roots = |uri: &str| json!({ "roots": [{ "uri": uri }] });
    let call = json!({ "name": "keyed" });
    let keys = |round: &Value| -> Vec<String> {
        let asked = round["inputRequests"].as_object().unwrap();
        asked.keys().cloned().collect()
    };
    let round = open(&mut hand, "tools/call", &call).await;
    assert_eq!(keys(&round), ["first"]);
    let next = retry(&call, &round, "file:///1");
    let round = open(&mut hand, "tools/call", &next).await;
    assert_eq!(keys(&round), ["second"]);
    let last = retry(&call, &round, "file:///2");
    let result = hand.once("tools/call", last).await.unwrap();
    assert_eq!(text(&result), "file:///1 file:///2");

    let mut at_once = call.clone();
    at_once["inputResponses"] = json!({ "first": roots("file:///a"), "unknown": roots("x:") });
    let round = open(&mut hand, "tools/call", &at_once).await;
    assert_eq!(keys(&round), ["second"]);
    at_once["inputResponses"]["second"] = roots("file:///b");
    let result = hand.once("tools/call", at_once).await.unwrap();
    assert_eq!(text(&result), "file:///a file:///b");
}
