//! Legacy sessions: messages that belong together, by many requests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use mcp_server::types::{Principal, RequestId};
use mcp_server::{Cx, Server, ToolError, tool, with};
use mcp_transport_http::{Denied, HttpOptions, HttpService, ListenerOptions, Streams};
use support::{Running, Wire, get, initialize, legacy, request, serve, serve_with, soon};
use tokio::sync::Notify;

/// What a test and a handler tell each other.
#[derive(Default)]
struct Signals {
    started: Notify,
    go_on: Notify,
}

async fn wait(signals: Arc<Signals>) -> &'static str {
    signals.started.notify_one();
    signals.go_on.notified().await;
    "Done."
}

async fn log(cx: Cx) -> &'static str {
    for n in 0..3 {
        cx.log().info(n).await;
    }
    "Logged."
}

async fn capital(cx: Cx) -> Result<String, ToolError> {
    let ask = mcp_server::Sampling::user("The capital?").max_tokens(10);
    Ok(cx.sample(ask).await?.to_text())
}

/// Says something, lets go of its stream if it may, and goes on when it is told to.
async fn hang_up(signals: Arc<Signals>, cx: Cx) -> &'static str {
    let streams = cx.extension::<Streams>().unwrap();
    cx.log().info("before").await;
    signals.started.notify_one();
    signals.go_on.notified().await;
    let hung_up = streams.hang_up(&cx.request_id().unwrap());
    assert!(!streams.hang_up(&RequestId::from("another")));
    signals.started.notify_one();
    signals.go_on.notified().await;
    cx.log().info("after").await;
    if hung_up { "Done." } else { "Stayed." }
}

/// Says much before it is done.
async fn flood(cx: Cx) -> &'static str {
    for n in 0..1000 {
        cx.log().info(format!("{n} {}", "x".repeat(1000))).await;
    }
    "Done."
}

fn service(signals: &Arc<Signals>) -> HttpService {
    let server = Server::new("legacy", "1.0.0")
        .tool(tool("hello", || "Hello."))
        .tool(tool("log", log))
        .tool(tool("capital", capital))
        .tool(tool("flood", flood))
        .tool(tool("wait", with(Arc::clone(signals), wait)))
        .tool(tool("hang_up", with(Arc::clone(signals), hang_up)))
        .start();
    HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
}

async fn server() -> (Running, Arc<Signals>) {
    let signals = Arc::new(Signals::default());
    (serve(service(&signals)).await, signals)
}

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

async fn start(server: &Running, request: &str) -> Wire {
    let mut wire = server.connect().await;
    wire.send(request.as_bytes()).await;
    wire
}

/// The id and the data of an event.
fn parts(event: &str) -> (&str, &str) {
    let field = |name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
    };
    (field("id: "), field("data: "))
}

#[tokio::test]
async fn a_session_begins_with_initialize_and_ends_with_delete() {
    // REQ-HTTPL-02, REQ-HTTPL-03, REQ-HTTPL-04, REQ-HTTPL-05
    let (server, _) = server().await;
    let session = server.session("2025-11-25").await;
    assert_eq!(session.len(), 32);
    assert_ne!(session, server.session("2025-11-25").await);
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let reply = server.ask(legacy(&session, initialized).as_bytes()).await;
    assert_eq!((reply.status, &*reply.body), (202, ""));
    let reply = server
        .ask(legacy(&session, &call(1, "hello")).as_bytes())
        .await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.body.contains("Hello."), "{reply:?}");
    // Begun anew, which supergateway does, it is of the revision that was agreed upon last.
    let batch = legacy(&session, &format!("[{}]", call(1, "hello")));
    assert_eq!(server.ask(batch.as_bytes()).await.status, 400);
    let again =
        initialize("2025-03-26").replace("Host:", &format!("Mcp-Session-Id: {session}\r\nHost:"));
    let reply = server.ask(again.as_bytes()).await;
    assert!(reply.body.contains("2025-03-26"), "{reply:?}");
    let refused = r#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}"#;
    let reply = server.ask(legacy(&session, refused).as_bytes()).await;
    assert!(reply.body.contains("-32602"), "{reply:?}");
    let reply = server.ask(batch.as_bytes()).await;
    assert!(reply.body.contains("Hello."), "{reply:?}");
    let delete = request("DELETE", &format!("Mcp-Session-Id: {session}"), "");
    assert_eq!(server.ask(delete.as_bytes()).await.status, 204);
    for gone in [
        legacy(&session, &call(2, "hello")),
        get(&session, ""),
        delete,
    ] {
        assert_eq!(server.ask(gone.as_bytes()).await.status, 404, "{gone}");
    }
}

#[tokio::test]
async fn a_session_that_begins_anew_ends_what_was_under_way() {
    let (server, signals) = server().await;
    let session = server.session("2025-11-25").await;
    let mut waiting = start(&server, &legacy(&session, &call(7, "wait"))).await;
    soon(signals.started.notified()).await;
    let again =
        initialize("2025-11-25").replace("Host:", &format!("Mcp-Session-Id: {session}\r\nHost:"));
    let reply = server.ask(again.as_bytes()).await;
    assert!(reply.body.contains("2025-11-25"), "{reply:?}");
    let reply = waiting.reply().await;
    assert!(reply.body.contains("begun anew"), "{reply:?}");
    let reply = server
        .ask(legacy(&session, &call(7, "hello")).as_bytes())
        .await;
    assert!(reply.body.contains("Hello."), "{reply:?}");
}

#[tokio::test]
async fn an_initialize_that_is_refused_leaves_no_session() {
    let (server, _) = server().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    let reply = server.ask(request("POST", "", body).as_bytes()).await;
    assert_eq!(reply.header("mcp-session-id"), None);
    assert!(reply.body.contains("-32602"));
}

#[tokio::test]
async fn what_belongs_to_a_request_goes_on_its_stream() {
    // REQ-HTTPL-07, REQ-HTTPL-11
    let (server, signals) = server().await;
    let session = server.session("2025-11-25").await;
    let mut waiting = start(&server, &legacy(&session, &call(1, "wait"))).await;
    soon(signals.started.notified()).await;
    let reply = server
        .ask(legacy(&session, &call(2, "log")).as_bytes())
        .await;
    let events: Vec<_> = reply.body.split_terminator("\n\n").collect();
    // Primed, for its client is one that comes back (REQ-HTTPL-09).
    assert_eq!(events[0], "id: 3-0\nretry: 500\ndata: ", "{reply:?}");
    let ids: Vec<_> = events[1..].iter().map(|event| parts(event).0).collect();
    // Each stream has a number; the first was that of `initialize`.
    assert_eq!(ids, ["3-1", "3-2", "3-3", "3-4"]);
    assert!(events[4].contains("Logged."));
    signals.go_on.notify_one();
    let reply = waiting.reply().await;
    assert!(reply.body.contains(r#""id":1,"result""#), "{reply:?}");
    assert!(!reply.body.contains("notifications/message"));
}

#[tokio::test]
async fn who_has_waited_long_enough_gets_the_head_of_a_stream() {
    // Several at a time, and one after the other: all have one timer.
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.legacy_patience = Duration::from_millis(1);
    let server = serve(service(&signals).options(options)).await;
    let session = server.session("2025-11-25").await;
    for round in 0..3 {
        let mut waiting = Vec::new();
        for id in [10 * round + 2, 10 * round + 3] {
            let mut wire = start(&server, &legacy(&session, &call(id, "wait"))).await;
            soon(signals.started.notified()).await;
            let head = soon(wire.head()).await;
            assert_eq!(head.header("content-type"), Some("text/event-stream"));
            waiting.push(wire);
        }
        for mut wire in waiting {
            signals.go_on.notify_one();
            while !wire.event().await.unwrap().contains("result") {}
            assert_eq!(wire.event().await, None);
        }
    }
}

#[tokio::test]
async fn an_older_client_gets_no_event_without_data() {
    // REQ-HTTPL-09, TRAP-42
    let (server, _) = server().await;
    let session = server.session("2025-06-18").await;
    let request = legacy(&session, &call(2, "log")).replace("2025-11-25", "2025-06-18");
    let reply = server.ask(request.as_bytes()).await;
    let first = reply.body.split("\n\n").next().unwrap();
    assert!(
        parts(first).1.contains("notifications/message"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn a_question_is_answered_by_another_request() {
    let (server, _) = server().await;
    let session = server.session("2025-11-25").await;
    let paris = r#"{"role":"assistant","model":"m","content":{"type":"text","text":"Paris"}}"#;
    // What cannot be read is an answer all the same to whoever waits for one.
    for (outcome, status, told) in [(paris, 202, "Paris"), ("1", 400, "\"isError\":true")] {
        let mut asking = start(&server, &legacy(&session, &call(1, "capital"))).await;
        asking.head().await;
        let mut question = asking.event().await.unwrap();
        while !question.contains("sampling/createMessage") {
            question = asking.event().await.unwrap();
        }
        let id = question.split(r#""id":"#).nth(1).unwrap();
        let id = id.split(',').next().unwrap();
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{outcome}}}"#);
        let reply = server.ask(legacy(&session, &answer).as_bytes()).await;
        assert_eq!(reply.status, status);
        let last = soon(asking.event()).await.unwrap();
        assert!(last.contains(told), "{last}");
        assert_eq!(asking.event().await, None);
    }
}

#[tokio::test]
async fn a_stream_that_is_hung_up_or_lost_is_taken_up_where_it_was() {
    // REQ-HTTPL-08, REQ-HTTPL-09
    let (server, signals) = server().await;
    let session = server.session("2025-11-25").await;
    let mut wire = start(&server, &legacy(&session, &call(1, "hang_up"))).await;
    wire.head().await;
    let mut before = wire.event().await.unwrap();
    let primer = parts(before.split("\n\n").next().unwrap()).0.to_owned();
    while !before.contains("before") {
        before = wire.event().await.unwrap();
    }
    soon(signals.started.notified()).await;
    signals.go_on.notify_one();
    soon(signals.started.notified()).await;
    assert_eq!(wire.event().await, None, "it was hung up");

    let from = |event: &str| get(&session, &format!("Last-Event-ID: {event}"));
    // From the start, and then lost.
    let mut wire = start(&server, &from(&primer)).await;
    wire.head().await;
    let mut again = wire.event().await.unwrap();
    while !again.contains("before") {
        again = wire.event().await.unwrap();
    }
    let id = parts(
        again
            .split("\n\n")
            .last()
            .filter(|e| !e.is_empty())
            .unwrap_or(again.trim_end().split("\n\n").last().unwrap()),
    )
    .0
    .to_owned();
    drop(wire);
    signals.go_on.notify_one();
    // From where it was.
    let mut wire = start(&server, &from(&id)).await;
    let rest = wire.reply().await;
    assert_eq!(rest.status, 200);
    assert!(!rest.body.contains("before"), "{rest:?}");
    assert!(
        rest.body.contains("after") && rest.body.contains("Done."),
        "{rest:?}"
    );
    // The answer, once more, for whoever has lost that.
    let rest = server.ask(from(&id).as_bytes()).await;
    assert!(rest.body.contains("Done."), "{rest:?}");

    for event in [
        "",
        "x",
        "1",
        "-",
        "99-0",
        "1-99",
        "0-0",
        "2-18446744073709551615",
    ] {
        let event = if event.is_empty() { "%" } else { event };
        let reply = server.ask(from(event).as_bytes()).await;
        assert_eq!(reply.status, 400, "{event}");
        assert!(
            reply.body.contains("names no event that is kept"),
            "{reply:?}"
        );
    }
    // Another session has other events.
    let other = server.session("2025-11-25").await;
    let foreign = get(&other, &format!("Last-Event-ID: {id}"));
    assert_eq!(server.ask(foreign.as_bytes()).await.status, 400);
}

#[tokio::test]
async fn an_older_client_keeps_its_stream_until_the_answer() {
    // REQ-HTTPL-10
    let (server, signals) = server().await;
    for version in ["2025-03-26", "2025-06-18"] {
        let session = server.session(version).await;
        let request = legacy(&session, &call(1, "hang_up")).replace("2025-11-25", version);
        let mut wire = start(&server, &request).await;
        wire.head().await;
        while !wire.event().await.unwrap().contains("before") {}
        for _ in ["it hangs up", "it goes on"] {
            soon(signals.started.notified()).await;
            signals.go_on.notify_one();
        }
        while !soon(wire.event()).await.unwrap().contains("Stayed.") {}
    }
}

#[tokio::test]
async fn a_request_goes_on_without_its_stream() {
    let (server, signals) = server().await;
    let session = server.session("2025-11-25").await;
    let wire = start(&server, &legacy(&session, &call(1, "wait"))).await;
    soon(signals.started.notified()).await;
    // REQ-ID-02
    let reply = server
        .ask(legacy(&session, &call(1, "hello")).as_bytes())
        .await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("a request of that id is in flight"));
    drop(wire);
    signals.go_on.notify_one();
    // It is done when its id is free again.
    loop {
        let reply = soon(server.ask(legacy(&session, &call(1, "hello")).as_bytes())).await;
        if reply.status == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn a_request_that_is_cancelled_ends_its_stream_and_frees_its_id() {
    // REQ-CANC-05
    let (server, signals) = server().await;
    let session = server.session("2025-11-25").await;
    let mut wire = start(&server, &legacy(&session, &call(1, "wait"))).await;
    soon(signals.started.notified()).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let reply = server.ask(legacy(&session, cancel).as_bytes()).await;
    assert_eq!((reply.status, &*reply.body), (202, ""));
    let reply = soon(wire.reply()).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("result"), "{reply:?}");
    let again = legacy(&session, &call(1, "hello"));
    assert_eq!(server.ask(again.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_session_whose_driver_panics_is_gone() {
    let panic = Arc::new(Notify::new());
    let server = Server::new("legacy", "1.0.0").start();
    let panics = Arc::clone(&panic);
    let service = HttpService::new(move |accepted| {
        let serving = server.serve_with(accepted.transport, accepted.extensions);
        let panics = Arc::clone(&panics);
        async move {
            tokio::select! {
                ended = serving => ended,
                () = panics.notified() => panic!("as the test wants"),
            }
        }
    });
    let server = serve(service).await;
    let session = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&session, "")).await;
    assert_eq!(stream.head().await.status, 200);
    panic.notify_one();
    while stream.event().await.is_some() {}
    let reply = server.ask(get(&session, "").as_bytes()).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn sessions_end_with_the_last_clone_of_their_service() {
    let server = Server::new("legacy", "1.0.0").start();
    let ended = Arc::new(Notify::new());
    let ends = Arc::clone(&ended);
    let service = HttpService::new(move |accepted| {
        let serving = server.serve_with(accepted.transport, accepted.extensions);
        let ends = Arc::clone(&ends);
        async move {
            let ended = serving.await;
            ends.notify_one();
            ended
        }
    });
    let server = serve(service).await;
    server.session("2025-11-25").await;
    drop(server);
    soon(ended.notified()).await;
}

#[tokio::test]
async fn there_is_one_standing_stream() {
    let (server, _) = server().await;
    let session = server.session("2025-11-25").await;
    let mut wire = start(&server, &get(&session, "")).await;
    assert_eq!(wire.head().await.status, 200);
    assert_eq!(
        wire.event().await.unwrap(),
        "id: 0-0\nretry: 500\ndata: \n\n"
    );
    let second = server.ask(get(&session, "").as_bytes()).await;
    assert_eq!(second.status, 409);
    // Whoever has lost it takes it over.
    let mut third = start(&server, &get(&session, "Last-Event-ID: 0-0")).await;
    assert_eq!(third.head().await.status, 200);
    assert_eq!(wire.event().await, None);
    // It ends with the session.
    let delete = request("DELETE", &format!("Mcp-Session-Id: {session}"), "");
    server.ask(delete.as_bytes()).await;
    assert!(third.event().await.unwrap().starts_with("id: 0-0"));
    assert_eq!(third.event().await, None);
}

#[tokio::test]
async fn a_batch_is_answered_on_one_stream_in_its_revision_only() {
    // REQ-BATCH-01, REQ-BATCH-05
    let (server, _) = server().await;
    let batch = format!("[{},{}]", call(1, "hello"), call(2, "hello"));
    let session = server.session("2025-03-26").await;
    let post = |session: &str, body: &str| {
        legacy(session, body)
            .replace("2025-11-25", "2025-03-26")
            .into_bytes()
    };
    let reply = server.ask(&post(&session, &batch)).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.body.matches("Hello.").count(), 2, "{reply:?}");
    for unanswered in [
        r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
        r#"[{"jsonrpc":"2.0","id":98,"result":{}},{"jsonrpc":"2.0","id":99,"result":{}}]"#,
    ] {
        let reply = server.ask(&post(&session, unanswered)).await;
        assert_eq!((reply.status, &*reply.body), (202, ""), "{unanswered}");
    }
    let twice = format!("[{},{}]", call(3, "hello"), call(3, "hello"));
    assert_eq!(server.ask(&post(&session, &twice)).await.status, 400);
    let broken = format!("[{},{{}}]", call(3, "hello"));
    assert_eq!(server.ask(&post(&session, &broken)).await.status, 400);
    let later = server.session("2025-11-25").await;
    assert_eq!(
        server.ask(legacy(&later, &batch).as_bytes()).await.status,
        400
    );
}

#[tokio::test]
async fn a_session_is_open_to_its_principal_alone() {
    // REQ-HTTPL-12
    let signals = Arc::new(Signals::default());
    let service = service(&signals).authenticate(|parts| {
        let name = parts.headers.get("authorization").cloned();
        async move {
            let name = name.ok_or(Denied::Forbidden)?;
            Ok(Some(Principal::new(name.to_str().unwrap())))
        }
    });
    let server = serve(service).await;
    let by = |name: &str, request: String| {
        let name = format!("Authorization: {name}\r\nHost:");
        request.replacen("Host:", &name, 1).into_bytes()
    };
    let reply = server.ask(&by("alice", initialize("2025-11-25"))).await;
    let session = reply.header("mcp-session-id").unwrap();
    let requests = [
        legacy(session, &call(1, "hello")),
        get(session, "Last-Event-ID: 0-0"),
        request("DELETE", &format!("Mcp-Session-Id: {session}"), ""),
    ];
    for request in requests {
        assert_eq!(server.ask(&by("bob", request)).await.status, 404);
    }
    let reply = server
        .ask(&by("alice", legacy(session, &call(1, "hello"))))
        .await;
    assert_eq!(reply.status, 200);
    let reply = server
        .ask(legacy(session, &call(1, "hello")).as_bytes())
        .await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.session_idle = Duration::from_millis(50);
    let server = serve(service(&signals).options(options)).await;
    let session = server.session("2025-11-25").await;
    // One with a stream is in use.
    let used = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&used, "")).await;
    assert_eq!(stream.head().await.status, 200);
    // Asking for it is using it, so each time it is left alone for longer.
    let mut pause = Duration::from_millis(100);
    let request = legacy(&session, &call(1, "hello"));
    let gone = async {
        while server.ask(request.as_bytes()).await.status != 404 {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    };
    soon(gone).await;
    let reply = server
        .ask(legacy(&used, &call(1, "hello")).as_bytes())
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn times_may_be_for_ever() {
    let mut options = HttpOptions::default();
    let mut listening = ListenerOptions::default();
    for time in [
        &mut options.body_time,
        &mut options.session_idle,
        &mut options.retry,
        &mut options.keep_alive,
        &mut options.patience,
        &mut options.legacy_patience,
        &mut listening.head_time,
        &mut listening.write_time,
        &mut listening.shutdown_time,
    ] {
        *time = Duration::MAX;
    }
    let server = serve_with(service(&Arc::default()).options(options), listening).await;
    let session = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&session, "")).await;
    assert_eq!(soon(stream.head()).await.status, 200);
    for tool in ["hello", "log"] {
        let request = legacy(&session, &call(1, tool));
        assert_eq!(soon(server.ask(request.as_bytes())).await.status, 200);
    }
    server.end().await;
}

#[tokio::test]
async fn of_too_many_sessions_the_idlest_goes() {
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.sessions = 10_000;
    let server = serve(service(&signals).options(options)).await;
    let mut wire = server.connect().await;
    let mut sessions = Vec::new();
    let request = initialize("2025-11-25");
    // The first has a stream open.
    let first = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&first, "")).await;
    assert_eq!(stream.head().await.status, 200);
    for _ in 0..10_001 {
        wire.send(request.as_bytes()).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        sessions.push(reply.header("mcp-session-id").unwrap().to_owned());
    }
    let mut status = async |session: &str| {
        wire.send(legacy(session, &call(1, "hello")).as_bytes())
            .await;
        wire.reply().await.status
    };
    assert_eq!(status(&first).await, 200);
    assert_eq!(status(&sessions[0]).await, 404);
    assert_eq!(status(&sessions[1]).await, 404);
    assert_eq!(status(&sessions[2]).await, 200);
    assert_eq!(status(&sessions[10_000]).await, 200);
}

#[tokio::test]
async fn too_many_sessions_that_are_all_in_use_are_refused() {
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.sessions = 1;
    let server = serve(service(&signals).options(options)).await;
    let session = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&session, "")).await;
    assert_eq!(stream.head().await.status, 200);
    let reply = server.ask(initialize("2025-11-25").as_bytes()).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    assert!(reply.body.contains("too many sessions"), "{reply:?}");
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_slows_its_own_session_only() {
    let signals = Arc::new(Signals::default());
    let mut options = HttpOptions::default();
    options.stream_bytes = 10_000;
    options.replay_bytes = 10_000;
    let server = serve(service(&signals).options(options)).await;
    let session = server.session("2025-11-25").await;
    let mut slow = start(&server, &legacy(&session, &call(1, "flood"))).await;
    slow.head().await;
    let other = server.session("2025-11-25").await;
    let reply = server
        .ask(legacy(&other, &call(1, "hello")).as_bytes())
        .await;
    assert_eq!(reply.status, 200);
    let mut body = String::new();
    while let Some(event) = slow.event().await {
        body.push_str(&event);
    }
    assert_eq!(body.matches("notifications/message").count(), 1000);
    assert!(body.contains("Done."));
    // Only the last of it is kept, and the answer is.
    let rest = server
        .ask(get(&session, "Last-Event-ID: 2-0").as_bytes())
        .await;
    assert!(rest.body.contains("Done."), "{rest:?}");
    assert!(rest.body.matches("notifications/message").count() < 20);
}

#[tokio::test]
async fn the_end_ends_sessions_and_their_streams() {
    let (server, _) = server().await;
    let session = server.session("2025-11-25").await;
    let mut stream = start(&server, &get(&session, "")).await;
    assert_eq!(stream.head().await.status, 200);
    assert!(stream.event().await.is_some());
    let ending = tokio::spawn(server.end());
    assert_eq!(stream.event().await, None);
    soon(ending).await.unwrap();
}
