//! What a client does for its program besides sending requests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use mcp_client::types::{
    CacheScope, CallTool, CreateMessageResult, ElicitParams, ElicitResult, ErrorCode, ErrorObject,
    Inbound, InputRequiredResult, InputResponses, LogLevel, LogMessage, Message, Meta, Progress,
    ProtocolVersion, Request, Root, ToolListChanged,
};
use mcp_client::{
    Call, Cancel, Client, ClientBuilder, EraChoice, RequestError, Round, StructuredError,
};
use mcp_peer::{Duplex, duplex};
use mcp_server::{Cached, Cx, Json, JsonSchema, Sampling, Server, schemars, tool};
use mcp_testing::{Journal, soon};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const ERAS: [EraChoice; 2] = [EraChoice::Legacy, EraChoice::Modern];

fn serve(server: Server) -> Duplex {
    let (left, right) = duplex(64);
    tokio::spawn(server.serve(right));
    left
}

async fn connect(builder: ClientBuilder, server: Server) -> Client {
    soon(builder.connect(serve(server))).await.unwrap()
}

fn of_era(era: EraChoice) -> ClientBuilder {
    Client::builder("tester", "1").era(era)
}

/// REQ-VER-02, REQ-VER-06
#[tokio::test]
async fn a_client_and_a_server_meet_in_a_version_that_both_speak() {
    let (old, new) = (ProtocolVersion::V2025_06_18, ProtocolVersion::V2026_07_28);
    for (spoken, choice, agreed) in [
        (old, EraChoice::Auto, true),
        (old, EraChoice::Legacy, true),
        (old, EraChoice::Modern, false),
        (new, EraChoice::Auto, true),
        (new, EraChoice::Modern, true),
        (new, EraChoice::Legacy, false),
    ] {
        let server = Server::new("s", "1").versions([spoken]);
        let client = soon(of_era(choice).connect(serve(server))).await;
        let met = client.map(|client| client.server().version);
        assert_eq!(met.ok(), agreed.then_some(spoken), "{choice:?}");
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
struct Weather {
    degrees: i64,
}

#[tokio::test]
async fn structured_results_are_decoded() {
    for era in ERAS {
        let server = Server::new("s", "1")
            .tool(tool("weather", || Json(Weather { degrees: 21 })))
            .tool(tool("text", || "only text"))
            .tool(tool("fails", || {
                Err::<&str, _>(mcp_server::ToolError::new("broken"))
            }));
        let client = connect(of_era(era), server).await;
        let call = |name| client.call_tool(name, json!({})).structured::<Weather>();
        assert_eq!(
            soon(call("weather")).await.unwrap(),
            Weather { degrees: 21 }
        );
        assert_eq!(soon(call("text")).await, Err(StructuredError::Missing));
        let failed = soon(call("fails")).await;
        assert!(
            matches!(&failed, Err(StructuredError::Failed(result)) if result.to_text() == "broken"),
            "{failed:?}"
        );
        let other = client
            .call_tool("weather", json!({}))
            .structured::<Vec<u8>>();
        assert!(matches!(soon(other).await, Err(StructuredError::Shape(_))));
    }
}

/// REQ-TOOL-05
#[tokio::test]
async fn structured_results_are_held_to_the_output_schema() {
    for era in ERAS {
        let at_most = |degrees: i64| {
            let degrees = json!({ "type": "integer", "maximum": degrees });
            json!({ "type": "object", "properties": { "degrees": degrees } })
        };
        let weather = || Json(Weather { degrees: 21 });
        let server = Server::new("s", "1")
            .check_results(false)
            .tool(tool("right", weather).output_schema(at_most(21)))
            .tool(tool("wrong", weather).output_schema(at_most(20)));
        let client = connect(of_era(era), server).await;
        let call = |name| client.call_tool(name, json!({})).structured::<Weather>();
        // What a tool promises is known when it has been listed.
        assert!(soon(call("wrong")).await.is_ok());
        soon(client.list_tools()).await.unwrap();
        assert!(soon(call("right")).await.is_ok());
        match soon(call("wrong")).await {
            Err(StructuredError::Schema(why)) => assert!(why.contains("20"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

async fn steps(cx: Cx) -> &'static str {
    let progress = cx.progress().total(3);
    for step in ["a", "b", "c"] {
        progress.step(step).await;
    }
    "done"
}

#[tokio::test]
async fn progress_is_a_stream_with_the_result_behind_it() {
    for era in ERAS {
        let client = connect(
            of_era(era),
            Server::new("s", "1").tool(tool("steps", steps)),
        )
        .await;
        let mut call = client.call_tool("steps", json!({})).progress_stream();
        let mut seen = Vec::new();
        while let Some(update) = soon(call.next()).await {
            seen.push(update.to_string());
        }
        assert_eq!(seen, ["1/3 a", "2/3 b", "3/3 c"]);
        assert_eq!(soon(call.result()).await.unwrap().to_text(), "done");
        // Whoever wants only the result gets it all the same.
        let call = client
            .call_tool("steps", json!({}))
            .lossless_progress()
            .progress_stream();
        assert_eq!(soon(call.result()).await.unwrap().to_text(), "done");
    }
}

#[tokio::test]
async fn a_call_is_cancelled_by_a_handle() {
    for era in ERAS {
        let (started, ended) = (Journal::new(), Journal::new());
        let (starts, ends) = (started.clone(), ended.clone());
        let slow = tool("slow", move |cx: Cx| {
            let ends = ends.clone();
            starts.push(());
            tokio::spawn(async move {
                cx.ended().await;
                ends.push(());
            });
            std::future::pending::<&str>()
        });
        let client = connect(of_era(era), Server::new("s", "1").tool(slow)).await;
        let cancel = Cancel::new();
        let calls = [(); 3].map(|()| {
            client
                .call_tool("slow", json!({}))
                .cancelled_by(&cancel)
                .into_future()
        });
        let cancelling = async {
            started.find_many(3, |()| true).await;
            cancel.cancel();
        };
        let (outcomes, ()) =
            soon(async { tokio::join!(futures::future::join_all(calls), cancelling) }).await;
        assert!(
            outcomes.iter().all(|o| *o == Err(RequestError::Cancelled)),
            "{outcomes:?}"
        );
        // On the wire, too.
        soon(ended.find_many(3, |()| true)).await;
        let late = client.call_tool("slow", json!({})).cancelled_by(&cancel);
        assert_eq!(soon(late).await, Err(RequestError::Cancelled));
        assert_eq!(started.entries().len(), 3);
    }
}

/// A server that asks for a capital, and for a name.
fn asking() -> Server {
    #[derive(Deserialize, JsonSchema)]
    struct Name {
        name: String,
        #[serde(default)]
        title: String,
    }
    Server::new("s", "1")
        .tool(tool("capital", async |cx: Cx| {
            let reply = cx
                .sample(Sampling::user("The capital?").max_tokens(9))
                .await?;
            Ok::<_, mcp_server::ToolError>(reply.to_text())
        }))
        .tool(tool("name", async |cx: Cx| {
            let name = cx.elicit::<Name>("Your name?").await?.accepted();
            let name = name.map(|n| format!("{}{}", n.title, n.name));
            Ok::<_, mcp_server::ToolError>(name.unwrap_or_default())
        }))
}

#[tokio::test]
async fn questions_can_be_taken_from_a_stream() {
    for era in ERAS {
        let (builder, mut samples) = of_era(era).sampling_requests();
        let (builder, mut forms) = builder.elicitation_requests();
        let client = connect(builder, asking()).await;
        let answering = async {
            let asked = samples.next().await.unwrap();
            assert_eq!(asked.params.messages[0].to_text(), "The capital?");
            assert!(asked.answer(CreateMessageResult::text("m", "Paris")));
            assert!(
                samples
                    .next()
                    .await
                    .unwrap()
                    .refuse(ErrorObject::new(-7, "no"))
            );
            drop(samples.next().await.unwrap());
            let asked = forms.next().await.unwrap();
            assert!(asked.answer(ElicitResult::accept(json!({ "name": "Ann" }))));
        };
        let asking = async {
            let call = |name| client.call_tool(name, json!({})).into_future();
            let answered = call("capital").await.unwrap().to_text();
            // Refused, and dropped.
            for _ in 0..2 {
                let refused = call("capital").await;
                assert!(refused.is_err() || refused.unwrap().is_error);
            }
            (answered, call("name").await.unwrap().to_text())
        };
        let ((capital, name), ()) = soon(async { tokio::join!(asking, answering) }).await;
        assert_eq!((capital.as_str(), name.as_str()), ("Paris", "Ann"));
        drop(forms);
        let nobody = soon(client.call_tool("name", json!({}))).await.unwrap();
        assert_eq!(
            nobody.is_error,
            era == EraChoice::Legacy,
            "else it was cancelled"
        );
    }
}

#[tokio::test]
async fn a_cancelled_question_is_not_waited_for() {
    let (builder, mut samples) = of_era(EraChoice::Legacy).sampling_requests();
    let client = connect(builder, asking()).await;
    let cancel = Cancel::new();
    let call = client
        .call_tool("capital", json!({}))
        .cancelled_by(&cancel)
        .into_future();
    let answering = async {
        let mut asked = samples.next().await.unwrap();
        cancel.cancel();
        asked.cancelled().await;
        assert!(
            !asked.answer(CreateMessageResult::text("m", "Paris")),
            "too late"
        );
    };
    let (outcome, ()) = soon(async { tokio::join!(call, answering) }).await;
    assert_eq!(outcome, Err(RequestError::Cancelled));
}

/// REQ-SAMP-07
#[tokio::test]
async fn a_person_stands_before_and_behind_the_model() {
    for era in ERAS {
        let builder = of_era(era).on_sampling_reviewed(
            async |mut request| {
                request.max_tokens = 5;
                Ok(request)
            },
            async |request| {
                Ok(CreateMessageResult::text(
                    "m",
                    request.max_tokens.to_string(),
                ))
            },
            async |said| match said.to_text().as_str() {
                "5" => Ok(CreateMessageResult::text("m", "approved: 5")),
                other => Err(ErrorObject::new(-1, other)),
            },
        );
        let client = connect(builder, asking()).await;
        let result = soon(client.call_tool("capital", json!({}))).await.unwrap();
        assert_eq!(result.to_text(), "approved: 5");
    }
}

/// REQ-ELIC-05
#[tokio::test]
async fn a_form_that_is_filled_in_badly_is_not_sent() {
    for era in ERAS {
        let builder = of_era(era).on_elicitation(|params| {
            assert!(matches!(params, ElicitParams::Form(_)));
            std::future::ready(Ok(ElicitResult::accept(json!({ "name": 7 }))))
        });
        let client = connect(builder, asking()).await;
        let result = soon(client.call_tool("name", json!({}))).await.unwrap();
        // In the modern era, whose wire has no form for an error, it counts as cancelled.
        assert_eq!(result.is_error, era == EraChoice::Legacy);
        assert!(!result.to_text().contains('7'));
    }
}

#[tokio::test]
async fn rounds_can_be_made_one_at_a_time() {
    let builder = of_era(EraChoice::Modern).on_sampling(async |_| panic!("not asked"));
    let client = connect(builder, asking()).await;
    let call = || client.call_tool("capital", json!({}));
    let Round::InputRequired(asked) = soon(call().single_round()).await.unwrap() else {
        panic!("it asks");
    };
    let InputRequiredResult {
        input_requests,
        request_state,
        ..
    } = asked;
    let (key, request) = input_requests.as_ref().unwrap().iter().next().unwrap();
    assert_eq!(request.method(), "sampling/createMessage");
    let answer = CreateMessageResult::text("m", "Paris");
    let mut answers = InputResponses::new();
    answers.answer(key.clone(), &answer).unwrap();
    let again: Call<'_, CallTool> = call().answering(request_state.as_deref(), &answers);
    match soon(again.single_round()).await.unwrap() {
        Round::Complete(result) => assert_eq!(result.to_text(), "Paris"),
        other => panic!("{other:?}"),
    }
}

/// REQ-CACHE-01
#[tokio::test(start_paused = true)]
async fn lists_are_kept_while_the_server_lets_them_be() {
    let minute = Duration::from_secs(60);
    for (era, keep, asked) in [
        (EraChoice::Modern, true, 3),
        (EraChoice::Modern, false, 6),
        (EraChoice::Legacy, true, 6),
    ] {
        let server = Server::new("s", "1")
            .tool(tool("a", || "a"))
            .tool(tool("b", || "b"))
            .page_size(1)
            .cache(Cached::Tools, minute, CacheScope::Private);
        let pages = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pages);
        let transport = mcp_client::tap(serve(server), move |_, message| {
            let message = format!("{message:?}");
            if message.contains("tools/list") && message.contains("Request") {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let client = soon(of_era(era).keep_lists(keep).connect(transport))
            .await
            .unwrap();
        let names = async || {
            let tools = client.list_tools().await.unwrap();
            tools
                .iter()
                .map(|tool| tool.name.clone())
                .collect::<String>()
        };
        for _ in 0..3 {
            assert_eq!(soon(names()).await, "ab");
        }
        // Its time is over.
        tokio::time::advance(minute).await;
        for _ in 0..2 {
            assert_eq!(soon(names()).await, "ab");
        }
        // Asked for on purpose.
        assert_eq!(soon(client.list_tools().fresh()).await.unwrap().len(), 2);
        assert_eq!(pages.load(Ordering::Relaxed), 2 * asked, "{era:?} {keep}");
        if asked == 3 {
            // Told that it has changed.
            client
                .peer()
                .deliver::<ToolListChanged>(&Default::default())
                .await
                .unwrap();
            soon(client.call_tool("a", json!({}))).await.unwrap();
            soon(names()).await;
            assert_eq!(pages.load(Ordering::Relaxed), 2 * (asked + 1));
        }
    }
}

/// REQ-PAG-01: a page is asked for when the one before has been taken, and not before.
#[tokio::test]
async fn a_list_is_a_stream_of_its_items() {
    for era in ERAS {
        let server = ["a", "b", "c", "d", "e"]
            .into_iter()
            .fold(Server::new("s", "1"), |s, name| s.tool(tool(name, || "")))
            .page_size(2);
        let pages = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pages);
        let transport = mcp_client::tap(serve(server), move |direction, message| {
            let message = format!("{message:?}");
            if direction == mcp_client::Direction::Out && message.contains("tools/list") {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let client = soon(of_era(era).connect(transport)).await.unwrap();
        let mut tools = client.list_tools().items();
        let mut seen = Vec::new();
        while let Some(tool) = soon(tools.next()).await {
            seen.push((tool.unwrap().name, pages.load(Ordering::Relaxed)));
        }
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let expected: Vec<_> = names.into_iter().zip([1, 1, 2, 2, 3]).collect();
        assert_eq!(seen, expected);
        assert!(soon(tools.next()).await.is_none());
        // The same through the trait, as much of it as is wanted.
        let some = soon(client.list_tools().items().take(3).count()).await;
        assert_eq!((some, pages.load(Ordering::Relaxed)), (3, 5));
    }
}

/// Everything that passes, in its order, both ways.
#[tokio::test]
async fn a_tap_sees_everything() {
    for era in ERAS {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let tapped = Arc::clone(&seen);
        let server = Server::new("s", "1").tool(tool("steps", steps));
        let transport = mcp_client::tap(serve(server), move |direction, _| {
            tapped.lock().unwrap().push(direction);
        });
        let client = soon(of_era(era).connect(transport)).await.unwrap();
        let before = seen.lock().unwrap().len();
        let call = client.call_tool("steps", json!({})).on_progress(|_| ());
        soon(call).await.unwrap();
        use mcp_client::Direction::{In, Out};
        assert_eq!(seen.lock().unwrap()[before..], [Out, In, In, In, In]);
    }
}

#[tokio::test]
async fn what_nobody_asked_for_reaches_the_fallback() {
    let seen = Journal::new();
    let other = seen.clone();
    let builder = of_era(EraChoice::Legacy)
        .on_other_notification(move |note| other.push(note.method.to_string()))
        .on_notification::<LogMessage>(|_| ())
        .on_notification::<Progress>(|_| ())
        .roots([Root::new("file:///")]);
    let server = Server::new("s", "1")
        .with_notifications()
        .tool(tool("say", async |cx: Cx| {
            cx.log().info("not other").await;
            cx.notify::<Said>(&json!({ "text": "hello" }))
                .await
                .unwrap();
            "said"
        }));
    let client = connect(builder.with_notifications(), server).await;
    soon(client.call_tool("say", json!({}))).await.unwrap();
    assert_eq!(seen.entries(), ["chat.said"]);
}

struct WhereIs;

impl Request for WhereIs {
    const METHOD: &'static str = "chess/where_is";
    type Params = Value;
    type Result = Value;
}

/// A request of the program's own goes out under its name, and what the call was given with it, in the form of the era.
#[tokio::test]
async fn a_request_of_ones_own_takes_keys_and_a_level() {
    for era in ERAS {
        let sent = Journal::new();
        let seen = sent.clone();
        let transport = mcp_client::tap(serve(Server::new("s", "1")), move |_, message| {
            if let Inbound::Message(Message::Request(request)) = message
                && request.method == WhereIs::METHOD
            {
                let params = request.params.as_ref().unwrap();
                seen.push(params.decode::<Value>().unwrap());
            }
        });
        let client = soon(of_era(era).connect(transport)).await.unwrap();
        let mut meta = Meta::new();
        meta.set("com.example/trace", "abc");
        let asked = client
            .request::<WhereIs>(&json!({ "piece": "king" }))
            .meta(meta)
            .log_level(LogLevel::Debug);
        match soon(asked).await {
            Err(RequestError::Refused(error)) => {
                assert_eq!(error.code, ErrorCode::METHOD_NOT_FOUND);
            }
            other => panic!("{other:?}"),
        }
        let [params] = &sent.entries()[..] else {
            panic!("sent once")
        };
        assert_eq!(params["piece"], "king");
        assert_eq!(params["_meta"]["com.example/trace"], "abc");
        let level = match era {
            EraChoice::Modern => json!("debug"),
            _ => Value::Null,
        };
        assert_eq!(params["_meta"]["io.modelcontextprotocol/logLevel"], level);
    }
}

#[derive(Debug)]
struct Said;

impl mcp_client::Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Value;
}
