//! The same handlers in the legacy era, parked and replayed; and what of a sealed state is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_server::types::{IncludeContext, ProtocolVersion};
use mcp_server::{
    Cx, Elicited, Extensions, JsonSchema, Principal, Replay, ReplayKeys, RequestError, Sampling,
    Server, ServerConnection, ToolError, prompt, resource, tool, with,
};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{ALL, Hand, code, text};
use tokio::sync::oneshot;

const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Asks for one thing after the other, and for two things at once.
async fn ask(cx: Cx) -> Result<String, ToolError> {
    let model = cx.sample(Sampling::user("Who?").max_tokens(9)).await?;
    let name = match cx.named("user_name").elicit::<Name>("Name?").await? {
        Elicited::Accepted(name) => name.name,
        Elicited::Declined | Elicited::Cancelled => "nobody".to_owned(),
    };
    let (roots, again) = tokio::join!(
        cx.roots(),
        cx.sample(Sampling::user("Again?").max_tokens(9))
    );
    let (roots, again) = (roots?, again?);
    Ok(format!(
        "{} {name} {} {}",
        model.to_text(),
        roots[0].uri,
        again.to_text()
    ))
}

/// Two that go on side by side, each at its own pace.
async fn side_by_side(cx: Cx) -> Result<String, ToolError> {
    let one = async {
        let first = cx
            .named("one")
            .elicit::<Name>("One?")
            .await?
            .accepted()
            .unwrap()
            .name;
        let second = cx
            .named("one_more")
            .elicit::<Name>("One more?")
            .await?
            .accepted()
            .unwrap()
            .name;
        Ok::<_, ToolError>(format!("{first}{second}"))
    };
    let two = async {
        let first = cx
            .named("two")
            .elicit::<Name>("Two?")
            .await?
            .accepted()
            .unwrap()
            .name;
        let second = cx
            .named("two_more")
            .elicit::<Name>("Two more?")
            .await?
            .accepted()
            .unwrap()
            .name;
        Ok::<_, ToolError>(format!("{first}{second}"))
    };
    let (one, two) = tokio::join!(one, two);
    Ok(format!("{} {}", one?, two?))
}

/// Asks the same again once something else is answered.
async fn again(cx: Cx) -> Result<String, ToolError> {
    let (who, other) = (cx.named("who"), cx.named("else"));
    tokio::select! {
        biased;
        _ = who.elicit::<Name>("Who?") => {}
        _ = other.elicit::<Name>("Or else?") => {}
    }
    tokio::task::yield_now().await;
    let second = who.elicit::<Name>("Who, again?").await?;
    Ok(second.accepted().unwrap().name)
}

/// How many handlers began, went on, and are there now.
#[derive(Default)]
struct Counts([AtomicUsize; 3]);

impl Counts {
    fn all(&self) -> [usize; 3] {
        [0, 1, 2].map(|i| self.0[i].load(Ordering::SeqCst))
    }
}

struct Alive(Arc<Counts>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0[2].fetch_sub(1, Ordering::SeqCst);
    }
}

async fn counted(counts: Arc<Counts>, cx: Cx) -> Result<String, ToolError> {
    let began = counts.0[0].fetch_add(1, Ordering::SeqCst);
    counts.0[2].fetch_add(1, Ordering::SeqCst);
    let alive = Alive(counts);
    let roots = cx.roots().await?;
    alive.0.0[1].fetch_add(1, Ordering::SeqCst);
    Ok(format!("{began} {}", roots[0].uri))
}

async fn fickle(counts: Arc<Counts>, cx: Cx) -> Result<String, ToolError> {
    let began = counts.0[0].fetch_add(1, Ordering::SeqCst);
    let question = format!("Number {began}?");
    Ok(cx
        .sample(Sampling::user(question).max_tokens(9))
        .await?
        .to_text())
}

async fn long(cx: Cx) -> Result<String, ToolError> {
    let first = cx.sample(Sampling::user("Long?").max_tokens(9)).await?;
    cx.roots().await?;
    Ok(first.to_text())
}

/// Leaves something behind that asks, and knows nothing of the answer itself.
async fn leaving(counts: Arc<Counts>, cx: Cx) -> Result<(), ToolError> {
    let (begins, began) = oneshot::channel();
    tokio::spawn(async move {
        let _ = begins.send(());
        let refused = cx.roots().await;
        assert!(matches!(refused, Err(RequestError::Cancelled)));
        counts.0[1].fetch_add(1, Ordering::SeqCst);
    });
    Ok(began.await?)
}

/// Asks for two things at once, but only for one of them when it runs again.
async fn fewer(counts: Arc<Counts>, cx: Cx) -> Result<(), ToolError> {
    let both = counts.0[0].fetch_add(1, Ordering::SeqCst) == 0;
    let roots = async {
        if both {
            cx.roots().await?;
        }
        Ok::<_, RequestError>(())
    };
    let sampled = cx.sample(Sampling::user("Both?").max_tokens(9));
    tokio::try_join!(sampled, roots)?;
    Ok(())
}

/// Has a key of its own that could be a number's.
async fn alike(cx: Cx) -> Result<String, ToolError> {
    let named = cx.named("q2");
    let sampled = named.sample(Sampling::user("Who?").max_tokens(9));
    let (model, roots) = tokio::try_join!(sampled, cx.roots())?;
    Ok(format!("{} {}", model.to_text(), roots[0].uri))
}

/// Wishes for what only some clients include.
async fn wishing(cx: Cx) -> Result<String, ToolError> {
    let wish = |text| {
        let question = Sampling::user(text).max_tokens(9);
        cx.sample(question.include_context(IncludeContext::AllServers))
    };
    let (first, second) = (wish("One?").await?, wish("Two?").await?);
    Ok(format!("{} {}", first.to_text(), second.to_text()))
}

#[derive(Default)]
struct Made {
    replay: Option<Replay>,
    counts: Arc<Counts>,
}

impl Made {
    fn replayed(replay: Replay) -> Self {
        let replay = Some(replay);
        Self {
            replay,
            ..Self::default()
        }
    }

    fn start(&self) -> ServerConnection {
        let counts = || Arc::clone(&self.counts);
        let server = Server::new("replay", "1.0.0")
            .tool(tool("ask", ask))
            .tool(tool("side_by_side", side_by_side))
            .tool(tool("again", again))
            .tool(tool("counted", with(counts(), counted)))
            .tool(tool("other", with(counts(), counted)))
            .tool(tool("fickle", with(counts(), fickle)))
            .tool(tool("long", long))
            .tool(tool("leaving", with(counts(), leaving)))
            .tool(tool("fewer", with(counts(), fewer)))
            .tool(tool("alike", alike))
            .tool(tool("wishing", wishing))
            .resource(resource("test://asking", ask))
            .prompt(prompt("asking", ask));
        match &self.replay {
            None => server.start(),
            Some(replay) => server.replay(replay.clone()).start(),
        }
    }
}

fn replay() -> Replay {
    Replay::new(ReplayKeys::new([7; 32]))
}

fn answers(hand: &mut Hand) {
    hand.answer("sampling/createMessage", |params| {
        let question = &params["messages"][0]["content"];
        let question = question.get(0).unwrap_or(question)["text"]
            .as_str()
            .unwrap();
        let text = format!("[{question}]");
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
    });
    hand.answer("elicitation/create", |params| {
        assert_eq!(params["message"], "Name?");
        json!({ "action": "accept", "content": { "name": "Ann" } })
    });
    hand.answer(
        "roots/list",
        |_| json!({ "roots": [{ "uri": "file:///r" }] }),
    );
}

#[tokio::test(start_paused = true)]
async fn one_handler_asks_in_every_way() {
    let expected = "[Who?] Ann file:///r [Again?]";
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        for version in ALL
            .into_iter()
            .filter(|v| *v >= ProtocolVersion::V2025_06_18)
        {
            let mut hand = Hand::connect(&server, version).await;
            answers(&mut hand);
            let called = hand
                .call("tools/call", json!({ "name": "ask" }))
                .await
                .unwrap();
            assert_eq!(text(&called), expected, "{version:?}");
            let read = json!({ "uri": "test://asking" });
            let read = hand.call("resources/read", read).await.unwrap();
            assert_eq!(read["contents"][0]["text"], expected);
            if version == MODERN {
                // REQ-MRTR-17
                assert_eq!(read["ttlMs"], 0);
            }
            let get = json!({ "name": "asking" });
            let got = hand.call("prompts/get", get).await.unwrap();
            assert_eq!(got["messages"][0]["content"]["text"], expected);
        }
    }
}

fn retry(request: &Value, state: &Value, answers: Value) -> Value {
    let mut retry = request.clone();
    retry["requestState"] = state.clone();
    retry["inputResponses"] = answers;
    retry
}

fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

fn keys(round: &Value) -> Vec<&str> {
    let questions = round["inputRequests"].as_object().unwrap();
    questions.keys().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn what_runs_side_by_side_is_replayed_in_the_order_in_which_it_was() {
    let request = json!({ "name": "side_by_side" });
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        let mut state = Value::Null;
        let mut round = hand.once("tools/call", request.clone()).await.unwrap();
        for (asked, answer) in [
            (["one", "two"], ("two", "c")),
            (["one", "two_more"], ("one", "a")),
            (["one_more", "two_more"], ("unknown", "x")),
            (["one_more", "two_more"], ("two_more", "d")),
        ] {
            assert_eq!(keys(&round), asked);
            assert_ne!(round["requestState"], state);
            state = round["requestState"].clone();
            let answers = json!({ (answer.0): named(answer.1) });
            let next = retry(&request, &state, answers);
            round = hand.once("tools/call", next).await.unwrap();
        }
        assert_eq!(keys(&round), ["one_more"]);
        let last = retry(
            &request,
            &round["requestState"],
            json!({ "one_more": named("b") }),
        );
        let result = hand.once("tools/call", last).await.unwrap();
        assert_eq!(text(&result), "ab cd");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_include_in_one_round_what_it_does_not_in_the_next() {
    // REQ-SAMP-02
    let request = json!({ "name": "wishing" });
    let content = json!({ "type": "text", "text": "yes" });
    let sampled = json!({ "role": "assistant", "model": "m", "content": content });
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        for declared in [[true, false], [false, true]] {
            let mut round = Value::Null;
            for (number, includes) in declared.into_iter().enumerate() {
                let sampling = if includes {
                    json!({ "context": {} })
                } else {
                    json!({})
                };
                hand.capabilities["sampling"] = sampling;
                let asks = match number {
                    0 => request.clone(),
                    _ => retry(&request, &round["requestState"], json!({ "q1": sampled })),
                };
                round = hand.once("tools/call", asks).await.unwrap();
                let asked = &round["inputRequests"][format!("q{}", number + 1)]["params"];
                assert_eq!(asked["includeContext"].is_string(), includes);
            }
            let last = retry(&request, &round["requestState"], json!({ "q2": sampled }));
            let result = hand.once("tools/call", last).await.unwrap();
            assert_eq!(text(&result), "yes yes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_for_a_question_that_was_withdrawn() {
    let request = json!({ "name": "again" });
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        let round = hand.once("tools/call", request.clone()).await.unwrap();
        assert_eq!(keys(&round), ["else", "who"]);
        let answers = json!({ "else": named("x") });
        let next = retry(&request, &round["requestState"], answers);
        let round = hand.once("tools/call", next).await.unwrap();
        let key = keys(&round)[0];
        assert_eq!(
            round["inputRequests"][key]["params"]["message"],
            "Who, again?"
        );
        let next = retry(
            &request,
            &round["requestState"],
            json!({ (key): named("Ann") }),
        );
        let result = hand.once("tools/call", next).await.unwrap();
        assert_eq!(text(&result), "Ann");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_the_questions_answers_before() {
    let all = json!({ "one": named("a"), "one_more": named("b"), "two": named("c"), "two_more": named("d"), "x": named("x") });
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        let mut request = json!({ "name": "side_by_side" });
        request["inputResponses"] = all.clone();
        let result = hand.once("tools/call", request.clone()).await.unwrap();
        assert_eq!(text(&result), "ab cd");
        // In part, and something that is no answer.
        request["inputResponses"] = json!({ "one": named("a"), "two": named("c"), "one_more": {} });
        let id = hand.send_unchecked("tools/call", request.clone()).await;
        let round = hand.outcome(id).await.unwrap();
        assert_eq!(keys(&round), ["one_more", "two_more"]);
        let more = json!({ "one_more": named("b"), "two_more": named("d") });
        let next = retry(&request, &round["requestState"], more);
        let result = hand.once("tools/call", next).await.unwrap();
        assert_eq!(text(&result), "ab cd");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_and_any_node_goes_on() {
    let keys = ReplayKeys::new([7; 32]);
    let (here, there) = (Made::replayed(Replay::new(keys)), Made::replayed(replay()));
    let (node, other) = (here.start(), there.start());
    let request = json!({ "name": "counted" });
    let mut hand = Hand::connect(&node, MODERN).await;
    for _ in 0..3 {
        hand.once("tools/call", request.clone()).await.unwrap();
    }
    assert_eq!(
        here.counts.all(),
        [3, 0, 0],
        "abandoned, and nothing is left"
    );
    let round = hand.once("tools/call", request.clone()).await.unwrap();
    drop((hand, node));
    let mut hand = Hand::connect(&other, MODERN).await;
    let answers = json!({ "q1": { "roots": [{ "uri": "file:///r" }] } });
    let next = retry(&request, &round["requestState"], answers);
    let result = hand.once("tools/call", next).await.unwrap();
    assert_eq!(text(&result), "0 file:///r");
    assert_eq!(there.counts.all(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_tampered_with_expired_foreign_or_reused_is_refused_and_nothing_runs() {
    // REQ-MRTR-09, REQ-MRTR-10, REQ-MRTR-11
    let made = Made::replayed(replay());
    let server = made.start();
    let alice = || Extensions::new().with(Principal::new("alice"));
    let mut hand = Hand::connect_with(&server, MODERN, support::everything(), alice()).await;
    let request = json!({ "name": "counted", "arguments": {} });
    let round = hand.once("tools/call", request.clone()).await.unwrap();
    assert_eq!(made.counts.all(), [1, 0, 0]);
    let answers = json!({ "q1": { "roots": [{ "uri": "file:///r" }] } });
    let good = retry(&request, &round["requestState"], answers.clone());
    let state = round["requestState"].as_str().unwrap();
    let with_state = |state: String| retry(&request, &state.into(), answers.clone());
    let mut flipped = state.to_owned();
    let last = flipped.pop().unwrap();
    flipped.push(if last == 'A' { 'Q' } else { 'A' });
    let mut other_name = good.clone();
    other_name["name"] = "other".into();
    let mut other_arguments = good.clone();
    other_arguments["arguments"] = json!({ "more": 1 });
    for bad in [
        with_state(String::new()),
        with_state(format!("{state}-TAMPERED")),
        with_state(flipped),
        with_state(state[..state.len() / 2].to_owned()),
        with_state("x".repeat(2_000_000)),
        other_name,
        other_arguments,
    ] {
        assert_eq!(code(hand.once("tools/call", bad).await), -32602);
    }
    let prompt = retry(
        &json!({ "name": "asking" }),
        &round["requestState"],
        answers.clone(),
    );
    assert_eq!(code(hand.once("prompts/get", prompt).await), -32602);
    // Another principal, and nobody in particular.
    let bob = Extensions::new().with(Principal::new("bob"));
    for known in [bob, Extensions::new()] {
        let mut hand = Hand::connect_with(&server, MODERN, support::everything(), known).await;
        assert_eq!(code(hand.once("tools/call", good.clone()).await), -32602);
    }
    // Another server's.
    let foreign = Made::replayed(Replay::new(ReplayKeys::new([8; 32])));
    let elsewhere = foreign.start();
    let mut other = Hand::connect_with(&elsewhere, MODERN, support::everything(), alice()).await;
    assert_eq!(code(other.once("tools/call", good.clone()).await), -32602);
    assert_eq!(foreign.counts.all(), [0; 3]);
    assert_eq!(made.counts.all(), [1, 0, 0], "nothing runs");
    // The true one; the order of members does not count.
    hand.once("tools/call", good.clone()).await.unwrap();
    assert_eq!(code(hand.once("tools/call", good).await), -32602, "used");
    assert_eq!(made.counts.all(), [2, 1, 0]);
    // One that has expired.
    let mut short = replay();
    short.time = Duration::ZERO;
    let made = Made::replayed(short);
    let server = made.start();
    let mut hand = Hand::connect(&server, MODERN).await;
    let round = hand.once("tools/call", request.clone()).await.unwrap();
    let late = retry(&request, &round["requestState"], answers);
    assert_eq!(code(hand.once("tools/call", late).await), -32602);
    assert_eq!(made.counts.all(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_something_else_than_before_fails() {
    for name in ["fickle", "fewer"] {
        let mut short = replay();
        short.time = Duration::from_secs(5);
        let server = Made::replayed(short).start();
        let mut hand = Hand::connect(&server, MODERN).await;
        answers(&mut hand);
        let failed = hand.call("tools/call", json!({ "name": name })).await;
        assert_eq!(code(failed), -32603);
    }
}

#[tokio::test(start_paused = true)]
async fn no_two_questions_have_one_key() {
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        answers(&mut hand);
        let called = hand.call("tools/call", json!({ "name": "alike" })).await;
        assert_eq!(text(&called.unwrap()), "[Who?] file:///r");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_handler_that_has_answered_is_told() {
    for made in [Made::default(), Made::replayed(replay())] {
        let server = made.start();
        let mut hand = Hand::connect(&server, MODERN).await;
        let left = hand.once("tools/call", json!({ "name": "leaving" })).await;
        assert_eq!(left.unwrap()["resultType"], "complete");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(made.counts.all(), [0, 1, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_carried_than_may_be() {
    let mut small = replay();
    small.bytes = 2000;
    let made = Made::replayed(small);
    let server = made.start();
    let mut hand = Hand::connect(&server, MODERN).await;
    answers(&mut hand);
    let called = hand
        .call("tools/call", json!({ "name": "long" }))
        .await
        .unwrap();
    assert_eq!(text(&called), "[Long?]");
    hand.answer("sampling/createMessage", |_| {
        let text = "x".repeat(2000);
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
    });
    let called = hand.call("tools/call", json!({ "name": "long" })).await;
    assert_eq!(code(called), -32603);
}
