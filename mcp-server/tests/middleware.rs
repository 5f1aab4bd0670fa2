//! What is done around requests and notifications.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_server::types::{
    ErrorCode, ErrorObject, Initialized, NotificationMessage, ProtocolVersion,
};
use mcp_server::{
    Answer, Cx, Delivery, Extensions, Link, Middleware, Next, NotSent, Notification, Principal,
    Request, Server, Serving, ToolError, tool,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{ALL, Hand, code, text};

type Lines = Arc<Mutex<Vec<String>>>;

/// Writes down what passes by.
struct Scribe(&'static str, Lines);

impl Middleware for Scribe {
    fn handle(&self, request: Request, next: &Next) -> Serving {
        let Self(name, lines) = self;
        let (name, lines) = (*name, Arc::clone(lines));
        lines
            .lock()
            .unwrap()
            .push(format!("{name} {}", request.method));
        let answer = next.handle(request);
        Box::pin(async move {
            let answer = answer.await;
            let what = match &answer {
                Answer::Result(_) => "result",
                Answer::Error(_) => "error",
                Answer::InputRequired(_) => "questions",
            };
            lines.lock().unwrap().push(format!("{name} {what}"));
            answer
        })
    }

    fn notification(&self, notification: &NotificationMessage, _: &Link) -> bool {
        let Self(name, lines) = self;
        let method = notification.method.as_str();
        lines.lock().unwrap().push(format!("{name} {method}"));
        true
    }
}

/// Lets nobody call tools who is not known, and nobody at all send secrets.
struct Guard;

impl Middleware for Guard {
    fn handle(&self, request: Request, next: &Next) -> Serving {
        let known = request.context.extension::<Principal>().is_some();
        if request.method == "tools/call" && !known {
            let error = ErrorObject::new(ErrorCode(-32001), "who are you?");
            return Box::pin(std::future::ready(Answer::Error(error)));
        }
        next.handle(request)
    }

    fn notification(&self, notification: &NotificationMessage, from: &Link) -> bool {
        notification.method != "secret" && from.extension::<Principal>().is_some()
    }
}

#[derive(Serialize, Deserialize)]
struct Note {
    n: u32,
}

struct Noted;
impl Notification for Noted {
    const METHOD: &'static str = "noted";
    type Params = Note;
}

struct Secret;
impl Notification for Secret {
    const METHOD: &'static str = "secret";
    type Params = Note;
}

async fn ask(cx: Cx) -> Result<String, ToolError> {
    Ok(cx.roots().await?[0].uri.clone())
}

#[tokio::test(start_paused = true)]
async fn what_is_around_sees_what_goes_in_and_what_comes_out() {
    for version in ALL {
        let lines = Lines::default();
        let [heard, opened] = [(); 2].map(|()| Arc::clone(&lines));
        let server = Server::new("guarded", "1.0.0")
            .around(Scribe("outer", Arc::clone(&lines)))
            .around(Guard)
            .around(Scribe("inner", Arc::clone(&lines)))
            .around(|request: Request, next: &Next| next.handle(request))
            .on_notification::<Noted>(move |note, from| {
                assert!(!from.is_closed());
                heard.lock().unwrap().push(format!("heard {}", note.n));
            })
            .on_notification::<Initialized>(move |_, _| {
                opened.lock().unwrap().push("heard initialized".to_owned());
            })
            .on_notification::<Secret>(|_, _| panic!("nobody hears it"))
            .tool(tool("ask", ask))
            .start();
        let request = json!({ "name": "ask" });
        let mut stranger = Hand::connect(&server, version).await;
        assert_eq!(
            code(stranger.call("tools/call", request.clone()).await),
            -32001
        );
        let seen = std::mem::take(&mut *lines.lock().unwrap());
        assert!(seen.ends_with(&["outer tools/call".to_owned(), "outer error".to_owned()]));
        let alice = Extensions::new().with(Principal::new("alice"));
        let mut hand = Hand::connect_with(&server, version, support::everything(), alice).await;
        lines.lock().unwrap().clear();
        hand.answer(
            "roots/list",
            |_| json!({ "roots": [{ "uri": "file:///r" }] }),
        );
        for (method, n) in [("noted", 1), ("secret", 2), ("noted", 3)] {
            hand.send(json!({ "jsonrpc": "2.0", "method": method, "params": { "n": n } }))
                .await;
        }
        let result = hand.call("tools/call", request).await.unwrap();
        assert_eq!(text(&result), "file:///r");
        let call = ["outer tools/call", "inner tools/call"];
        let mut expected = Vec::new();
        if !hand.is_modern() {
            let method = [
                "outer notifications/initialized",
                "inner notifications/initialized",
            ];
            expected.extend(method);
            expected.push("heard initialized");
        }
        expected.extend(["outer noted", "inner noted", "heard 1", "outer secret"]);
        expected.extend(["outer noted", "inner noted", "heard 3"]);
        expected.extend(call);
        if hand.is_modern() {
            expected.extend(["inner questions", "outer questions"]);
            expected.extend(call);
        }
        expected.extend(["inner result", "outer result"]);
        assert_eq!(*lines.lock().unwrap(), expected, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_log_messages_are_counted_and_not_sent() {
    let server = Server::new("talkative", "1.0.0")
        .limit_logs(10, 3)
        .tool(tool("talk", async |cx: Cx| {
            let mut sent = 0;
            for i in 0..10 {
                match cx.log().info(i).await {
                    Delivery::Sent => sent += 1,
                    Delivery::NotSent(why) => assert_eq!(why, NotSent::TooMany),
                }
            }
            sent.to_string()
        }))
        .start();
    for version in [ALL[0], ProtocolVersion::V2026_07_28] {
        let mut hand = Hand::connect(&server, version).await;
        hand.log_level = Some("debug");
        let talk = json!({ "name": "talk" });
        let result = hand.call("tools/call", talk.clone()).await.unwrap();
        assert_eq!(text(&result), "3");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let result = hand.call("tools/call", talk.clone()).await.unwrap();
        assert_eq!(text(&result), "2");
        let told = r#"log "7 log messages were not sent: too many at once""#;
        let expected = ["log 0", "log 1", "log 2", told, "log 0", "log 1"];
        assert_eq!(hand.heard(), expected);
    }
}
