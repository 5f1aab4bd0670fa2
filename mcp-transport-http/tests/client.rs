//! The client, against the server of this crate and against scripts of others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use mcp_client::types::{
    CreateMessageResult, ElicitResult, Era, Inbound, LogLevel, MalformedKind, Message, Outbound,
};
use mcp_client::{Client, EraChoice, PeerMisbehaved, RequestError};
use mcp_server::{Cx, JsonSchema, Sampling, Server, ToolError, schemars, tool, with};
use mcp_transport_http::{
    Denied, HttpClient, HttpClientOptions, HttpConnection, HttpError, HttpService, PeerAddr,
    UrlError,
};
use serde::Deserialize;
use serde_json::json;
use support::{Running, Wire, serve, soon};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;
use tokio::time::Instant;

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// The same in either era, and nothing of it knows of HTTP.
async fn everything(cx: Cx) -> Result<String, ToolError> {
    let progress = cx.progress().total(2);
    progress.step("asking").await;
    cx.log().info("asking").await;
    let capital = cx
        .sample(Sampling::user("The capital?").max_tokens(10))
        .await?;
    let name = cx.elicit::<Name>("Your name?").await?.accepted();
    cx.progress().at(2, None).await;
    Ok(format!("{}, {}", capital.to_text(), name.unwrap().name))
}

async fn wait((started, ended): (Arc<Notify>, Arc<Notify>)) -> &'static str {
    struct Ended(Arc<Notify>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let _ended = Ended(ended);
    started.notify_one();
    std::future::pending().await
}

#[derive(Deserialize, JsonSchema)]
struct Located {
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
    #[serde(default)]
    #[schemars(extend("x-mcp-header" = "Count"))]
    count: i64,
}

async fn server() -> (Running, Arc<Notify>, Arc<Notify>) {
    let signals = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (started, ended) = signals.clone();
    let server = Server::new("server", "1.0.0")
        .tool(tool("everything", everything))
        .tool(tool(
            "wait",
            with(signals, |s: (Arc<Notify>, Arc<Notify>)| wait(s)),
        ))
        .tool(tool("located", |l: Located| {
            format!("{} {}", l.region, l.count)
        }))
        .start();
    let catalog = server.catalog();
    let service = HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
        .tool_schemas(move |tool| catalog.input_schema(tool));
    (serve(service).await, started, ended)
}

async fn connect(server: &Running, era: EraChoice) -> Client {
    let connection = HttpClient::new().connect(&server.url()).unwrap();
    let client = Client::builder("client", "1.0.0")
        .era(era)
        .log_level(LogLevel::Info)
        .on_sampling(|_| async { Ok(CreateMessageResult::text("m", "Paris")) })
        .on_elicitation(|_| async { Ok(ElicitResult::accept(json!({ "name": "Ada" }))) })
        .connect(connection);
    soon(client).await.unwrap()
}

#[tokio::test]
async fn the_same_handlers_serve_either_era() {
    let (server, ..) = server().await;
    for (era, expected) in [
        (EraChoice::Auto, Era::Modern),
        (EraChoice::Modern, Era::Modern),
        (EraChoice::Legacy, Era::Legacy),
    ] {
        let client = connect(&server, era).await;
        assert_eq!(client.era(), expected);
        let mut logs = client.logs();
        let steps = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&steps);
        let call = client
            .call_tool("everything", json!({}))
            .on_progress(move |update| seen.lock().unwrap().push(update.progress));
        let result = soon(call.into_future()).await.unwrap();
        assert_eq!(result.to_text(), "Paris, Ada");
        // What goes by one request is there before its answer.
        assert_eq!(steps.lock().unwrap()[0], 1.0);
        assert_eq!(
            soon(logs.recv()).await.unwrap().unwrap().data,
            json!("asking").into()
        );
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled() {
    let (server, started, ended) = server().await;
    for era in [EraChoice::Modern, EraChoice::Legacy] {
        let client = connect(&server, era).await;
        let call = client.call_tool("wait", json!({})).into_future();
        tokio::select! {
            _ = call => panic!("it does not end"),
            () = soon(started.notified()) => {}
        }
        soon(ended.notified()).await;
    }
}

#[tokio::test]
async fn arguments_go_into_headers_whether_the_tools_were_listed_or_not() {
    // REQ-PARAM-01, REQ-PARAM-04, REQ-PARAM-05
    let (server, ..) = server().await;
    for listed in [true, false] {
        let client = connect(&server, EraChoice::Modern).await;
        if listed {
            client.list_tools().await.unwrap();
        }
        let arguments = json!({ "region": " Köln", "count": 42 });
        let result = client.call_tool("located", &arguments).await.unwrap();
        assert_eq!(result.to_text(), " Köln 42");
        let arguments = json!({ "region": "" });
        let result = client.call_tool("located", &arguments).await.unwrap();
        assert_eq!(result.to_text(), " 0");
    }
}

#[tokio::test]
async fn a_tool_that_breaks_the_rules_for_headers_is_left_out_where_there_are_such_rules() {
    // REQ-PARAM-03
    let tools = r#"{"resultType":"complete","tools":[{"name":"a","inputSchema":{"type":"object","x-mcp-header":"A"}},{"name":"b","inputSchema":{"type":"object"}}],"ttlMs":0,"cacheScope":"private"}"#;
    for (probe, expected) in [(BARE_400, 2), ("", 1)] {
        let legacy = old(probe, |head, body, _| match head.starts_with("POST") {
            true => json_answer(&result(body, tools)),
            false => answer("405 No", "", ""),
        });
        let script = Script::start(move |head, body, n| match n {
            0 if probe.is_empty() => discovered(body),
            _ if probe.is_empty() => json_answer(&result(body, tools)),
            _ => legacy(head, body, n),
        })
        .await;
        let client = client(&HttpClient::new(), &script.url).await.unwrap();
        let tools = soon(client.list_tools().into_future()).await.unwrap();
        assert_eq!(tools.len(), expected);
    }
}

#[test]
fn only_urls_of_servers_are_connected_to() {
    let http = HttpClient::new();
    assert!(http.connect("http://localhost:1/mcp").is_ok());
    for url in [
        "not a url",
        "http://localhost:99999/",
        "http://localhost:8x/",
        "http://name:secret@localhost/",
    ] {
        assert!(
            matches!(http.connect(url), Err(UrlError::Syntax(_))),
            "{url}"
        );
    }
    assert!(http.connect("http://[::1]/@me?mail=a@b").is_ok());
    for url in ["ftp://localhost/", "/mcp", "localhost:80"] {
        assert!(
            matches!(http.connect(url), Err(UrlError::Scheme(_))),
            "{url}"
        );
    }
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(
        http.connect("https://a/"),
        Err(UrlError::Scheme(_))
    ));
}

// ---- by hand ----

/// A server that takes connections one by one, and a client's connection to it.
async fn by_hand() -> (TcpListener, HttpConnection) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let connection = HttpClient::new().connect(&url).unwrap();
    (listener, connection)
}

async fn accept(listener: &TcpListener) -> Wire {
    Wire::from(listener.accept().await.unwrap().0)
}

/// Runs the server's side while the client's has nothing to say.
async fn quietly<T>(connection: &mut HttpConnection, server: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = soon(server) => done,
        item = connection.next() => panic!("{item:?}"),
    }
}

fn asks(id: i64, method: &str) -> Outbound {
    Message::request(id, method, None).into()
}

#[tokio::test]
async fn a_probe_that_is_given_up_takes_nothing_with_it() {
    let (listener, mut connection) = by_hand().await;
    connection.send(asks(1, "server/discover")).await.unwrap();
    let mut probe = quietly(&mut connection, async {
        let mut probe = accept(&listener).await;
        probe.reply().await;
        probe
    })
    .await;
    connection.send(asks(2, "initialize")).await.unwrap();
    let mut wire = quietly(&mut connection, async {
        let mut wire = accept(&listener).await;
        wire.reply().await;
        probe
            .send(answer("504 Gateway Timeout", "", "").as_bytes())
            .await;
        assert_eq!(probe.read_until("\n").await, None);
        wire
    })
    .await;
    let body = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
    wire.send(json_answer(body).as_bytes()).await;
    let item = soon(connection.next()).await.unwrap();
    assert!(matches!(item, Ok(Inbound::Message(_))), "{item:?}");
}

#[tokio::test]
async fn a_connection_ends_though_nobody_takes_what_is_left() {
    let (listener, mut connection) = by_hand().await;
    connection.send(asks(1, "initialize")).await.unwrap();
    let server = async {
        let mut wire = accept(&listener).await;
        wire.reply().await;
        let body = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}"#;
        let head = "Content-Type: application/json\r\nMcp-Session-Id: s1\r\n";
        wire.send(answer("200 OK", head, body).as_bytes()).await;
    };
    let ((), item) = soon(futures::future::join(server, connection.next())).await;
    assert!(item.unwrap().is_ok());
    // The listener's queue is as far as these come.
    for _ in 0..50 {
        let left = Message::notification("notifications/roots/list_changed", None);
        connection.feed(left.into()).await.unwrap();
    }
    tokio::time::pause();
    let begun = Instant::now();
    connection.close().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn what_waits_to_be_posted_is_bounded_by_its_bytes() {
    let (_listener, mut connection) = by_hand().await;
    let long = json!({ "x": "x".repeat(50_000) });
    let mut fed = 0;
    // Nobody takes the first one.
    for note in std::iter::repeat_n(Message::notification("n", Some(long.into())), 100) {
        if connection.feed(note.into()).now_or_never().is_none() {
            break;
        }
        fed += 1;
    }
    assert_eq!(fed, 7);
}

#[tokio::test]
async fn each_half_of_a_connection_may_be_in_a_task_of_its_own() {
    let script = Script::start(|_, body, n| match n {
        0 => answer("202 Accepted", "", ""),
        _ => json_answer(&result(body, "{}")),
    })
    .await;
    let connection = HttpClient::new().connect(&script.url).unwrap();
    let (mut tx, mut rx) = connection.split();
    // Whoever sends waits for the first to be accepted; it is the other one that was there last.
    let sending = tokio::spawn(async move {
        let initialized = Message::notification("notifications/initialized", None);
        tx.send(initialized.into()).await.unwrap();
        tx.send(asks(1, "ping")).await.unwrap();
        tx
    });
    tokio::task::yield_now().await;
    assert!(rx.next().now_or_never().is_none());
    let mut tx = soon(sending).await.unwrap();
    assert!(soon(rx.next()).await.unwrap().is_ok());
    // And the other way round.
    let reading = tokio::spawn(async move { rx.next().await });
    tokio::task::yield_now().await;
    tx.send(asks(2, "ping")).await.unwrap();
    assert!(soon(reading).await.unwrap().unwrap().is_ok());
}

// ---- scripts ----

/// A server that answers by a script, and notes what it was asked.
struct Script {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Script {
    /// `answer` makes the answer to a request: head, body, and how many came before it.
    async fn start(answer: impl Fn(&str, &str, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let count = AtomicUsize::new(0);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut wire = Wire::from(stream);
                let request = wire.reply().await;
                let n = count.fetch_add(1, Ordering::SeqCst);
                let method = request.head.split(' ').next().unwrap().to_owned();
                let body: serde_json::Value =
                    serde_json::from_str(&request.body).unwrap_or_default();
                let what = body["method"].as_str().unwrap_or_default();
                noted.lock().unwrap().push(format!("{method} {what}"));
                wire.send(answer(&request.head, &request.body, n).as_bytes())
                    .await;
            }
        });
        Self { url, seen, task }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn json_answer(body: &str) -> String {
    answer("200 OK", "Content-Type: application/json\r\n", body)
}

/// The id of the request in a body.
fn id(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["id"].to_string()
}

fn result(body: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id(body))
}

const OLD: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}}"#;

/// A server of 2025-11-25 that answers calls by `call`, and `server/discover` by `probe`.
fn old(
    probe: &'static str,
    call: impl Fn(&str, &str, usize) -> String,
) -> impl Fn(&str, &str, usize) -> String {
    move |head, body, n| {
        let method = |name: &str| body.contains(&format!(r#""method":"{name}""#));
        if method("server/discover") {
            return probe.to_owned();
        }
        if method("initialize") {
            return answer(
                "200 OK",
                "Content-Type: application/json\r\nMcp-Session-Id: s1\r\n",
                &result(body, OLD),
            );
        }
        if !head.contains("mcp-session-id: s1")
            || !head.contains("mcp-protocol-version: 2025-11-25")
        {
            return answer("400 Bad Request", "", "no session");
        }
        if method("notifications/initialized") {
            return answer("202 Accepted", "", "");
        }
        call(head, body, n)
    }
}

const BARE_400: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

async fn client(http: &HttpClient, url: &str) -> Result<Client, String> {
    let connection = http.connect(url).unwrap();
    let client = Client::builder("client", "1.0.0").connect(connection);
    soon(client).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_old_server_is_found_out_once() {
    // Inventory 3.3, rows 5 and 6.
    for probe in [
        BARE_400,
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnone",
        "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 85\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":\"Server not initialized\"}}",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"none\"}}",
    ] {
        let script = Script::start(old(probe, |_, _, _| answer("405 No", "", ""))).await;
        let http = HttpClient::new();
        let first = client(&http, &script.url).await.unwrap();
        assert_eq!(first.era(), Era::Legacy, "{probe}");
        soon(first.close()).await;
        let second = client(&http, &script.url).await.unwrap();
        soon(second.close()).await;
        let probes = script
            .seen()
            .iter()
            .filter(|s| *s == "POST server/discover")
            .count();
        assert_eq!(probes, 1, "{probe}");
        // REQ-HTTPL-05
        assert_eq!(script.seen().iter().filter(|s| *s == "DELETE ").count(), 2);
    }
}

#[tokio::test]
async fn what_another_server_of_the_origin_speaks_is_no_more_than_a_guess() {
    // Inventory 3.3: it is asked again when the assumption fails.
    let legacy = old(BARE_400, |_, _, _| answer("405 No", "", ""));
    let script = Script::start(move |head, body, n| match head.split(' ').nth(1) {
        Some("/modern") if body.contains("server/discover") => discovered(body),
        Some("/modern") => {
            let error = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"no _meta"}}"#;
            answer(
                "400 Bad Request",
                "Content-Type: application/json\r\n",
                error,
            )
        }
        _ => legacy(head, body, n),
    })
    .await;
    let modern = script.url.replace("/mcp", "/modern");
    let http = HttpClient::new();
    for era in [EraChoice::Auto, EraChoice::Modern] {
        let client = client(&http, &script.url).await.unwrap();
        assert_eq!(client.era(), Era::Legacy);
        soon(client.close()).await;
        let connect = || {
            let connection = http.connect(&modern).unwrap();
            Client::builder("client", "1.0.0")
                .era(era)
                .connect(connection)
        };
        assert!(soon(connect()).await.is_err());
        assert_eq!(soon(connect()).await.unwrap().era(), Era::Modern);
    }
}

#[tokio::test]
async fn what_says_nothing_of_the_era_is_an_error() {
    // Inventory 3.3, rows 9 and 10.
    let refused = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"too many"}}"#;
    let json = "Content-Type: application/json\r\n";
    let events = "Content-Type: text/event-stream\r\n";
    let long = "x".repeat(2000);
    for (probe, expected) in [
        (answer("500 Oops", "", ""), "500"),
        (answer("502 Bad Gateway", "", ""), "502"),
        (answer("302 Found", "", ""), "302"),
        (answer("401 Unauthorized", "", ""), "authorization"),
        (answer("403 Forbidden", "", ""), "403"),
        (answer("408 Request Timeout", "", ""), "408"),
        (answer("429 Too Many Requests", "", ""), "429"),
        (answer("429 Too Many Requests", json, refused), "429"),
        (
            // Sooner than anybody takes its silence for an answer.
            answer("503 Service Unavailable", "Retry-After: 12\r\n", ""),
            "503",
        ),
        (
            answer("200 OK", json, refused).replace("Content-Length: ", "Content-Length: 1"),
            "end of file",
        ),
        (answer("200 OK", json, &long), "longer than 1000 bytes"),
        (answer("200 OK", events, ": \n\n"), "before the answer"),
        (answer("200 OK", events, &long), "longer than 1000 bytes"),
    ] {
        let mut options = HttpClientOptions::default();
        options.message_bytes = 1000;
        let http = HttpClient::with_options(options);
        let script = Script::start(move |_, _, _| probe.clone()).await;
        let error = client(&http, &script.url).await.unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(script.seen(), ["POST server/discover"]);
    }
}

/// Nothing is lost that was never there: a program that wants to sign in finds out how, and one that has the wrong port does.
#[tokio::test]
async fn who_does_not_come_in_learns_why() {
    let challenge = "WWW-Authenticate: Bearer scope=\"x\"\r\n";
    let script = Script::start(move |_, _, _| answer("401 Unauthorized", challenge, "")).await;
    let unauthorized = HttpError::Unauthorized {
        challenge: Some("Bearer scope=\"x\"".to_owned()),
    };
    let refused = HttpError::Network("127.0.0.1:1: Connection refused".to_owned());
    for era in [EraChoice::Auto, EraChoice::Modern, EraChoice::Legacy] {
        for (url, expected, text) in [
            (
                &*script.url,
                &unauthorized,
                "the server asks for authorization",
            ),
            (
                "http://127.0.0.1:1/mcp",
                &refused,
                "127.0.0.1:1: Connection refused",
            ),
        ] {
            let connection = HttpClient::new().connect(url).unwrap();
            let client = Client::builder("client", "1").era(era).connect(connection);
            let error = soon(client).await.unwrap_err();
            assert_eq!(error.to_string(), format!("could not connect: {text}"));
            let source = error.source().and_then(|source| source.downcast_ref());
            assert_eq!(source, Some(expected), "{era:?}");
        }
    }
    let url = script.url.clone();
    let connector = move || std::future::ready(HttpClient::new().connect(&url));
    let before = script.seen().len();
    let client = Client::builder("client", "1").connect_with(connector);
    let error = soon(client).await.unwrap_err();
    assert!(error.source().is_some_and(|error| error.is::<HttpError>()));
    // Nor is it taken for a legacy server, which would be asked something else.
    assert_eq!(script.seen()[before..], ["POST server/discover"; 2]);
}

#[tokio::test]
async fn a_server_that_is_asked_again_is_asked_for_its_era() {
    // Inventory 3.3, row 10.
    for (refusals, expected) in [(1, Ok(Era::Modern)), (2, Err(()))] {
        let script = Script::start(move |_, body, n| match body.contains("server/discover") {
            true if n >= refusals => discovered(body),
            _ => answer("502 Bad Gateway", "", ""),
        })
        .await;
        let (http, url) = (HttpClient::new(), script.url.clone());
        let connecting = Client::builder("client", "1.0.0")
            .connect_with(move || std::future::ready(http.connect(&url)));
        let client = soon(connecting).await;
        assert_eq!(client.map(|client| client.era()).map_err(drop), expected);
        assert_eq!(script.seen(), ["POST server/discover"; 2]);
    }
}

#[tokio::test]
async fn a_lost_stream_is_taken_up_where_it_was() {
    // REQ-HTTPL-08, REQ-HTTPL-09
    let lost = AtomicUsize::new(0);
    let script = Script::start(old(BARE_400, move |head, body, _| {
        let events = "Content-Type: text/event-stream\r\n";
        if head.starts_with("POST") {
            return answer("200 OK", events, "id: a\nretry: 1\ndata: \n\n: comment\n\nid: b\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\ndata: half of some");
        }
        if head.contains("last-event-id: b") && lost.fetch_add(1, Ordering::SeqCst) == 0 {
            // It has not noticed yet.
            return answer("409 Conflict", "", "");
        }
        if head.contains("last-event-id: b") {
            // Its second half, then nothing.
            return answer("200 OK", events, "id: c\ndata:\n\n");
        }
        if head.contains("last-event-id: c") {
            let answer_text = "id: d\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":3,\"result\":{\"tools\":[]}}\n\n";
            return answer("200 OK", events, answer_text);
        }
        assert!(body.is_empty());
        answer("405 Method Not Allowed", "", "")
    }))
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    assert_eq!(
        soon(client.list_tools().into_future()).await.unwrap().len(),
        0
    );
}

#[tokio::test]
async fn a_server_may_have_itself_polled_for_an_answer() {
    // REQ-HTTPL-09
    let polls = AtomicUsize::new(0);
    let script = Script::start(old(BARE_400, move |head, _, _| {
        let primer = "id: p\nretry: 1\ndata: \n\n";
        if head.starts_with("POST") {
            return event_stream(primer);
        }
        if !head.contains("last-event-id: p") {
            return answer("405 Method Not Allowed", "", "");
        }
        match polls.fetch_add(1, Ordering::SeqCst) {
            3 => answer("429 Too Many Requests", "", ""),
            8 => event_stream("data: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"tools\":[]}}\n\n"),
            _ => event_stream(primer),
        }
    }))
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    let tools = soon(client.list_tools().into_future()).await.unwrap();
    assert_eq!(tools.len(), 0);
}

#[tokio::test]
async fn a_server_may_have_itself_polled_for_a_session() {
    // REQ-HTTPL-09
    let script = Script::start(|head, body, _| {
        if body.contains(r#""method":"initialize""#) {
            let head = "Content-Type: text/event-stream\r\nMcp-Session-Id: s1\r\n";
            return answer("200 OK", head, "id: p\nretry: 1\ndata: \n\n");
        }
        if head.contains("last-event-id: p") && head.contains("mcp-session-id: s1") {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{OLD}}}"#);
            return event_stream(&format!("data: {answer}\n\n"));
        }
        BARE_400.to_owned()
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    assert_eq!(client.era(), Era::Legacy);
}

const SOON: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::from_secs(86_400);

/// A session whose standing stream is answered by a script, and a client's connection in it.
///
/// `stream` gets the id of the event that a GET names, or nothing, and how many came before it.
async fn standing(
    retry: Duration,
    stream: impl Fn(&str, usize) -> String + Send + Sync + 'static,
) -> (Script, HttpConnection) {
    let count = AtomicUsize::new(0);
    let script = Script::start(old(BARE_400, move |head, body, _| {
        if head.starts_with("DELETE") {
            return answer("204 No Content", "", "");
        }
        if !head.starts_with("GET") {
            return json_answer(&result(body, "{}"));
        }
        let event = head.lines().find_map(|l| l.strip_prefix("last-event-id: "));
        let n = count.fetch_add(1, Ordering::SeqCst);
        stream(event.unwrap_or_default(), n)
    }))
    .await;
    let mut options = HttpClientOptions::default();
    options.message_bytes = 1000;
    options.retry = retry;
    let http = HttpClient::with_options(options);
    let mut connection = http.connect(&script.url).unwrap();
    connection.send(asks(1, "initialize")).await.unwrap();
    assert_eq!(told(&mut connection).await, "");
    let initialized = Message::notification("notifications/initialized", None);
    connection.send(initialized.into()).await.unwrap();
    (script, connection)
}

/// The method of the next message; an answer has none.
async fn told(connection: &mut HttpConnection) -> String {
    let item = soon(connection.next()).await.unwrap();
    let Ok(Inbound::Message(message)) = item else {
        panic!("{item:?}")
    };
    message.method().unwrap_or_default().to_owned()
}

fn event_stream(text: &str) -> String {
    answer("200 OK", "Content-Type: text/event-stream\r\n", text)
}

fn event(fields: &str, method: &str) -> String {
    format!("{fields}data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}\n\n")
}

#[tokio::test]
async fn what_may_be_said_twice_is_said_again_if_it_was_lost() {
    let lost = answer("502 Bad Gateway", "", "");
    let cancelled = "notifications/cancelled";
    let changed = "notifications/roots/list_changed";
    let notes = |method: &str| Message::notification(method, None);
    for (message, said, times) in [
        (Message::result(7, json!({}).into()), String::new(), 2),
        (Message::result(7, json!({}).into()), lost.clone(), 2),
        (notes("notifications/initialized"), String::new(), 2),
        (notes(cancelled), lost.clone(), 2),
        // The server has refused it.
        (notes(cancelled), BARE_400.to_owned(), 1),
        // It may have arrived.
        (notes(changed), String::new(), 1),
        (notes(changed), lost.clone(), 1),
    ] {
        let script = Script::start(move |head, body, n| match n {
            0 => json_answer(&result(body, OLD)),
            _ if head.starts_with("DELETE") => answer("204 No Content", "", ""),
            _ => said.clone(),
        })
        .await;
        let mut connection = HttpClient::new().connect(&script.url).unwrap();
        connection.send(asks(1, "initialize")).await.unwrap();
        assert_eq!(told(&mut connection).await, "");
        let method = message.method().unwrap_or_default().to_owned();
        connection.send(message.into()).await.unwrap();
        connection.close().await.unwrap();
        let mut seen = script.seen();
        seen.retain(|seen| *seen == format!("POST {method}"));
        assert_eq!(seen.len(), times, "{method}");
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_has_ended() {
    // REQ-HTTPL-05
    let (script, mut connection) = standing(SOON, |_, n| match n {
        0 => event_stream(&event("", "first")),
        _ => event_stream(": keep-alive\n\n"),
    })
    .await;
    assert_eq!(told(&mut connection).await, "first");
    connection.close().await.unwrap();
    assert!(soon(connection.next()).await.is_none());
    let seen = script.seen();
    let last = |what: &str| seen.iter().rposition(|s| s == what).unwrap();
    assert!(last("GET ") < last("DELETE "), "{seen:?}");
    // Without a session, and while somebody else waits for something.
    let (listener, mut connection) = by_hand().await;
    connection.send(asks(1, "tools/list")).await.unwrap();
    quietly(&mut connection, accept(&listener)).await;
    let (mut tx, mut rx) = connection.split();
    let reading = tokio::spawn(async move { rx.next().await });
    tokio::task::yield_now().await;
    tx.close().await.unwrap();
    assert!(soon(reading).await.unwrap().is_none());
}

#[tokio::test]
async fn a_standing_stream_that_cannot_go_on_begins_anew() {
    let (_script, mut connection) = standing(SOON, |from, n| match (from, n) {
        ("", 0) => event_stream(&event("id: a\n", "first")),
        ("a", 1) => answer("429 Too Many Requests", "", ""),
        ("a", 2) => answer("408 Request Timeout", "", ""),
        ("a", 3) => answer("409 Conflict", "", ""),
        ("a", 4) => answer("400 Bad Request", "", "no such event"),
        ("", 5) => event_stream(&event("", "second")),
        _ => answer("405 Method Not Allowed", "", ""),
    })
    .await;
    assert_eq!(told(&mut connection).await, "first");
    assert_eq!(told(&mut connection).await, "second");
}

#[tokio::test]
async fn a_server_that_takes_nothing_but_posts_needs_no_standing_stream() {
    let refusals: [fn(&str, usize) -> String; 2] = [
        |_, _| answer("403 Forbidden", "", ""),
        |_, _| answer("404 Not Found", "", ""),
    ];
    for refusal in refusals {
        let (script, mut connection) = standing(SOON, refusal).await;
        for id in 2.. {
            let refused = script.seen().contains(&"GET ".to_owned());
            connection.send(asks(id, "tools/list")).await.unwrap();
            assert_eq!(told(&mut connection).await, "");
            if refused {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_standing_stream_that_is_cut_is_soon_there_again() {
    // However quiet it was, and as soon as the server wants.
    let (_script, mut connection) = standing(SOON, |_, n| match n {
        0..20 => event_stream(": keep-alive\n\n"),
        _ => event_stream(&event("", "told")),
    })
    .await;
    assert_eq!(told(&mut connection).await, "told");
    let (_script, mut connection) = standing(NEVER, |_, n| match n {
        0 => event_stream("retry: 1\n\n"),
        _ => event_stream(&event("", "told")),
    })
    .await;
    assert_eq!(told(&mut connection).await, "told");
}

#[tokio::test]
async fn an_event_that_is_too_long_is_passed_over() {
    let (_script, mut connection) = standing(SOON, |from, n| match (from, n) {
        ("", 0) => event_stream(&event("id: a\n", "first")),
        ("a", _) => event_stream(&event("id: b\n", &"x".repeat(2000))),
        _ => event_stream(&event("", "second")),
    })
    .await;
    assert_eq!(told(&mut connection).await, "first");
    assert_eq!(told(&mut connection).await, "second");
}

#[tokio::test]
async fn what_is_no_stream_is_not_asked_for_again() {
    for status in ["200 OK", "204 No Content", "302 Found"] {
        let (script, mut connection) = standing(SOON, move |_, _| answer(status, "", "")).await;
        for id in 2..10 {
            connection.send(asks(id, "tools/list")).await.unwrap();
            assert_eq!(told(&mut connection).await, "");
        }
        let asked = script.seen().iter().filter(|s| *s == "GET ").count();
        assert_eq!(asked, 1, "{status}");
    }
}

#[tokio::test]
async fn a_call_that_is_forbidden_fails_alone() {
    let script = Script::start(|_, body, n| match n {
        0 => discovered(body),
        1 => answer("403 Forbidden", "", ""),
        _ => json_answer(&result(body, LISTED)),
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    let error = soon(client.list_tools().into_future()).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    assert!(soon(client.list_tools().into_future()).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_never_comes_is_an_error_of_its_request() {
    // Nor is it to be had by taking up where there is nothing.
    let said = [": nothing\n\n", "id: a\ndata:\n\nid:\ndata:\n\n"];
    let calls = AtomicUsize::new(0);
    let script = Script::start(old(BARE_400, move |head, _, _| {
        match head.starts_with("POST") {
            true => event_stream(said[calls.fetch_add(1, Ordering::SeqCst)]),
            false => answer("405 Method Not Allowed", "", ""),
        }
    }))
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    for _ in said {
        let error = soon(client.list_tools().into_future()).await.unwrap_err();
        let lost = matches!(&error, RequestError::Lost(why) if why.contains("before the answer"));
        assert!(lost, "{error}");
    }
}

#[tokio::test]
async fn a_request_that_is_lost_may_be_made_again() {
    // REQ-ERR-06, REQ-HTTPM-13
    let done = r#"{"resultType":"complete","content":[]}"#;
    let cut = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\n: ";
    let gone = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"gone"}}"#;
    for (said, lost) in [
        (answer("502 Bad Gateway", "", ""), Some("502")),
        (cut.to_owned(), Some("before the answer")),
        (String::new(), Some("connection closed")),
        // What the server itself says is no loss.
        (json_answer(gone), None),
        // Nor is one that has said where else to ask, or when.
        (
            answer("308 Permanent Redirect", "Location: /b\r\n", ""),
            None,
        ),
        (answer("429 Too Many Requests", "", ""), None),
        (
            answer("503 Service Unavailable", "Retry-After: 3600\r\n", ""),
            None,
        ),
    ] {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ids);
        // All are lost but the second attempt of the second call.
        let script = Script::start(move |_, body, n| {
            if n == 0 {
                return discovered(body);
            }
            seen.lock().unwrap().push(id(body));
            match n {
                3 => json_answer(&result(body, done)),
                _ => said.clone(),
            }
        })
        .await;
        let client = client(&HttpClient::new(), &script.url).await.unwrap();
        let call = || client.call_tool("a", json!({}));
        let once = soon(call().into_future()).await;
        match lost {
            None => {
                assert!(matches!(once, Err(RequestError::Refused(_))), "{once:?}");
                let twice = soon(call().idempotent().into_future()).await;
                assert!(matches!(twice, Err(RequestError::Refused(_))), "{twice:?}");
                assert_eq!(ids.lock().unwrap().len(), 2);
            }
            Some(expected) => {
                let why = matches!(&once, Err(RequestError::Lost(why)) if why.contains(expected));
                assert!(why, "{once:?}");
                let twice = soon(call().idempotent().into_future()).await;
                assert!(twice.is_ok(), "{twice:?}");
                // No more than three times in all.
                let never = soon(call().idempotent().into_future()).await;
                assert!(matches!(never, Err(RequestError::Lost(_))), "{never:?}");
                let mut ids = ids.lock().unwrap().clone();
                ids.dedup();
                assert_eq!(ids.len(), 1 + 2 + 3);
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_lost_and_not_made_again() {
    // REQ-ERR-06
    let runs = Arc::new(AtomicUsize::new(0));
    let started = Arc::new(Notify::new());
    let signals = (Arc::clone(&runs), Arc::clone(&started));
    let mut options = mcp_server::Options::default();
    options.drain = Duration::ZERO;
    let server = Server::new("server", "1.0.0")
        .options(options)
        .tool(tool(
            "work",
            with(
                signals,
                async |(runs, started): (Arc<AtomicUsize>, Arc<Notify>)| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    started.notify_one();
                    std::future::pending::<&str>().await
                },
            ),
        ))
        .start();
    let service = move || {
        let server = server.clone();
        HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
    };
    let port = support::port();
    let serve = |port| support::serve_on(port, service(), Default::default());
    let first = serve(port.try_clone().unwrap());
    let url = first.url();
    let client = client(&HttpClient::new(), &url).await.unwrap();
    let call = client.call_tool("work", json!({})).into_future();
    let restarting = async {
        started.notified().await;
        first.end().await;
        serve(port)
    };
    let (result, _second) = soon(futures::future::join(call, restarting)).await;
    let error = result.unwrap_err();
    assert!(matches!(error, RequestError::Lost(_)), "{error}");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_session_that_is_gone_ends_the_connection() {
    // REQ-HTTPL-04
    let script = Script::start(old(BARE_400, |_, _, _| answer("404 Not Found", "", ""))).await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    let error = soon(client.list_tools().into_future()).await.unwrap_err();
    assert!(error.to_string().contains("ended the session"), "{error}");
}

const LISTED: &str = r#"{"resultType":"complete","tools":[],"ttlMs":0,"cacheScope":"private"}"#;

fn discovered(body: &str) -> String {
    json_answer(&result(
        body,
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
    ))
}

#[tokio::test]
async fn a_server_that_wants_time_gets_it() {
    let script = Script::start(|_, body, n| match n {
        0 => answer("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        1 => answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        2 => answer(
            "503 Service Unavailable",
            "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "",
        ),
        3 => discovered(body),
        // Longer than anybody waits.
        4 => answer("503 Service Unavailable", "Retry-After: 3600\r\n", ""),
        5 => answer(
            "503 Service Unavailable",
            "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
            "",
        ),
        _ => answer("503 Service Unavailable", "Retry-After: later\r\n", ""),
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    assert_eq!(client.era(), Era::Modern);
    for seen in [5, 6, 7] {
        let error = soon(client.list_tools().into_future()).await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        assert_eq!(script.seen().len(), seen);
    }
}

#[tokio::test]
async fn who_waits_to_come_back_holds_no_connection() {
    let (listener, mut connection) = by_hand().await;
    connection.send(asks(1, "tools/list")).await.unwrap();
    let end = quietly(&mut connection, async {
        let mut wire = accept(&listener).await;
        wire.reply().await;
        let refusal = "HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 9\r\n\r\nLater";
        wire.send(refusal.as_bytes()).await;
        wire.read_until("\n").await
    });
    assert_eq!(end.await, None);
}

/// What a request came with: a header, and the address of its connection.
async fn origin(cx: Cx) -> Result<String, ToolError> {
    let headers = cx.extension::<http::HeaderMap>().unwrap();
    let key = headers.get("x-key").map_or("", |key| key.to_str().unwrap());
    let PeerAddr(peer) = *cx.extension::<PeerAddr>().unwrap();
    Ok(format!("{key} from {peer}"))
}

#[tokio::test]
async fn each_request_carries_the_program_s_headers_on_a_connection_that_is_kept() {
    let server = Server::new("server", "1.0.0")
        .tool(tool("origin", origin))
        .start();
    let server = serve(HttpService::renewing(move |c| {
        server.serve_with(c.transport, c.extensions)
    }))
    .await;
    let key = http::HeaderValue::from_static("k1");
    let http = HttpClient::new().header(http::HeaderName::from_static("x-key"), key);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let connection = http.connect(&server.url()).unwrap();
        let client = Client::builder("client", "1.0.0").connect(connection);
        let client = soon(client).await.unwrap();
        for _ in 0..5 {
            let result = client.call_tool("origin", json!({})).await.unwrap();
            seen.insert(result.to_text());
        }
        soon(client.close()).await;
    }
    // One socket for all of them.
    let seen = Vec::from_iter(seen);
    assert!(
        seen.len() == 1 && seen[0].starts_with("k1 from 127.0.0.1"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_token_is_asked_for_again_when_it_is_refused() {
    let script = Script::start(
        |head, body, _| match head.contains("authorization: Bearer good") {
            true => discovered(body),
            false => answer(
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"r\"\r\nWWW-Authenticate: Bearer scope=\"x\"\r\n",
                "",
            ),
        },
    )
    .await;
    let http = HttpClient::new().token(|challenge| async move {
        Some(match challenge.as_deref() {
            Some("Basic realm=\"r\", Bearer scope=\"x\"") => "good".to_owned(),
            _ => "stale".to_owned(),
        })
    });
    assert!(client(&http, &script.url).await.is_ok());
    assert_eq!(script.seen().len(), 2);
    let http = HttpClient::new().token(|_| async { Some("bad".to_owned()) });
    let error = client(&http, &script.url).await.unwrap_err();
    assert!(error.contains("authorization"), "{error}");
    // Twice, and not for ever.
    assert_eq!(script.seen().len(), 4);
}

/// A refresh token that is good for once makes one token of eight refusals.
#[tokio::test]
async fn many_that_are_refused_with_one_token_have_it_refreshed_once() {
    let all = Arc::new(Barrier::new(8));
    let server = Server::new("server", "1")
        .tool(tool("greet", || "Hello."))
        .start();
    let service = HttpService::new(move |c| server.serve_with(c.transport, c.extensions));
    let service = service.authenticate(move |parts| {
        let token = parts.headers.get("authorization").cloned();
        let is_call = parts
            .headers
            .get("mcp-method")
            .is_some_and(|m| m == "tools/call");
        let all = Arc::clone(&all);
        async move {
            match token.unwrap().to_str().unwrap() {
                "Bearer 0" if is_call => {
                    all.wait().await;
                    Err(Denied::Unauthorized {
                        challenge: "Bearer".to_owned(),
                    })
                }
                "Bearer 0" | "Bearer 1" => Ok(None),
                other => panic!("{other}"),
            }
        }
    });
    let server = serve(service).await;
    let held = Arc::new(AtomicUsize::new(0));
    let kept = Arc::clone(&held);
    let http = HttpClient::new().token(move |challenge| {
        let kept = Arc::clone(&kept);
        async move {
            if challenge.is_some() {
                tokio::task::yield_now().await;
                kept.fetch_add(1, Ordering::SeqCst);
            }
            Some(kept.load(Ordering::SeqCst).to_string())
        }
    });
    let client = client(&http, &server.url()).await.unwrap();
    let calls = (0..8).map(|_| client.call_tool("greet", json!({})).into_future());
    for result in soon(futures::future::join_all(calls)).await {
        assert_eq!(result.unwrap().to_text(), "Hello.");
    }
    assert_eq!(held.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_beyond_the_limit_are_not_kept() {
    let mut options = HttpClientOptions::default();
    options.message_bytes = 1000;
    let script = Script::start(|_, body, n| match n {
        0 => discovered(body),
        1 => json_answer(&format!("{{\"x\":\"{}\"}}", "x".repeat(2000))),
        _ => {
            let event = format!("data: {}\n\n", "x".repeat(2000));
            answer("200 OK", "Content-Type: text/event-stream\r\n", &event)
        }
    })
    .await;
    let client = client(&HttpClient::with_options(options), &script.url)
        .await
        .unwrap();
    let too_long = PeerMisbehaved::UnreadableResponse(MalformedKind::TooLong { limit: 1000 });
    for _ in ["as JSON", "as an event"] {
        let error = soon(client.list_tools().into_future()).await.unwrap_err();
        assert_eq!(error, RequestError::Misbehaved(too_long.clone()));
    }
}

#[tokio::test]
async fn nonsense_for_an_answer_is_an_error_of_its_request() {
    let script = Script::start(|_, body, n| match n {
        0 => discovered(body),
        1 => json_answer("nonsense"),
        2 => json_answer(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
        3 => answer("200 OK", "Content-Type: text/html\r\n", "<p>"),
        4 => answer("202 Accepted", "", ""),
        5 => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            .to_owned(),
        6 => "no HTTP".to_owned(),
        7 => json_answer(&format!("[{}]", result(body, LISTED))),
        _ => json_answer(&result(body, LISTED)),
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    for n in 1..8 {
        let listed = soon(client.list_tools().into_future()).await;
        assert!(listed.is_err(), "{n}");
    }
    assert!(soon(client.list_tools().into_future()).await.is_ok());
}

// ---- what tools want in headers ----

/// A server's word that headers and body do not say the same.
fn mismatch(body: &str, message: &str) -> String {
    let error = format!(r#"{{"code":-32020,"message":"{message}"}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id(body));
    answer(
        "400 Bad Request",
        "Content-Type: application/json\r\n",
        &body,
    )
}

/// A page with a tool whose argument goes into a header, unless that has no name; `more` goes on.
fn page(tool: &str, header: &str, more: &str) -> String {
    let wanted = match header {
        "" => String::new(),
        header => format!(r#","x-mcp-header":"{header}""#),
    };
    format!(
        r#"{{"resultType":"complete","tools":[{{"name":"{tool}","inputSchema":{{"type":"object","properties":{{"a":{{"type":"string"{wanted}}}}}}}}}],"ttlMs":0,"cacheScope":"private"{more}}}"#
    )
}

const CALLED: &str = r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#;

fn asked(method: &str, body: &str) -> bool {
    body.contains(&format!(r#""method":"{method}""#))
}

#[tokio::test]
async fn a_call_that_is_refused_for_its_headers_is_sent_once_more_with_those_that_are_wanted() {
    // REQ-PARAM-08
    for events in [false, true] {
        let wanted = Arc::new(Mutex::new("One"));
        let now = Arc::clone(&wanted);
        let script = Script::start(move |head, body, _| {
            let wanted = *now.lock().unwrap();
            if asked("server/discover", body) {
                return discovered(body);
            }
            if asked("tools/list", body) {
                // It is the client that asks, and not the call.
                assert!(head.contains("mcp-method: tools/list"), "{head}");
                assert!(body.contains("protocolVersion"), "{body}");
                assert!(!body.contains("progressToken"), "{body}");
                assert!(!body.contains("logLevel"), "{body}");
                let list = match body.contains(r#""cursor":"2""#) {
                    false => page("other", "Zero", r#","nextCursor":"2""#),
                    true => page("t", wanted, r#","nextCursor":"3""#),
                };
                let list = result(body, &list);
                return match events {
                    true => event_stream(&format!(
                        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"n\"}}\n\ndata: {list}\n\n"
                    )),
                    false => json_answer(&list),
                };
            }
            let header = format!("mcp-param-{}: x\r\n", wanted.to_lowercase());
            match head.contains(&header) && head.matches("mcp-param").count() == 1 {
                true => json_answer(&result(body, CALLED)),
                false => mismatch(body, "Header mismatch"),
            }
        })
        .await;
        let connection = HttpClient::new().connect(&script.url).unwrap();
        let client = Client::builder("client", "1.0.0")
            .log_level(LogLevel::Info)
            .connect(connection);
        let client = soon(client).await.unwrap();
        // It has never listed; it knows by now; what it knows is old.
        for (header, again) in [("One", true), ("One", false), ("Two", true)] {
            *wanted.lock().unwrap() = header;
            let before = script.seen().len();
            let call = client.call_tool("t", json!({ "a": "x" })).on_progress(drop);
            assert_eq!(soon(call.into_future()).await.unwrap().to_text(), "done");
            let expected: &[&str] = match again {
                true => &[
                    "POST tools/call",
                    "POST tools/list",
                    "POST tools/list",
                    "POST tools/call",
                ],
                false => &["POST tools/call"],
            };
            assert_eq!(script.seen()[before..], *expected, "{header}");
        }
    }
}

#[tokio::test]
async fn a_tool_whose_annotation_is_gone_is_called_without_its_header() {
    // REQ-PARAM-04
    let wanted = Arc::new(Mutex::new("One"));
    let now = Arc::clone(&wanted);
    let script = Script::start(move |head, body, _| {
        if asked("server/discover", body) {
            return discovered(body);
        }
        if asked("tools/list", body) {
            return json_answer(&result(body, &page("t", &now.lock().unwrap(), "")));
        }
        let there = head.contains("mcp-param-one: x");
        assert_eq!(there, *now.lock().unwrap() == "One", "{head}");
        json_answer(&result(body, CALLED))
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    for header in ["One", ""] {
        *wanted.lock().unwrap() = header;
        soon(client.list_tools().into_future()).await.unwrap();
        let call = client.call_tool("t", json!({ "a": "x" }));
        assert_eq!(soon(call.into_future()).await.unwrap().to_text(), "done");
    }
}

#[tokio::test]
async fn a_call_is_not_sent_a_third_time() {
    // REQ-PARAM-08
    let lists: [fn(&str, usize) -> String; 5] = [
        // Whatever header it is, it is the wrong one.
        |body, _| json_answer(&result(body, &page("t", "One", ""))),
        |body, n| json_answer(&result(body, &page("t", &format!("H{n}"), ""))),
        // It knows no more than the client does.
        |body, _| json_answer(&result(body, &page("t", "", ""))),
        |body, _| json_answer(&result(body, &page("other", "One", r#","nextCursor":"x""#))),
        |_, _| answer("500 Oops", "", ""),
    ];
    for (list, expected) in lists
        .into_iter()
        .zip([(1, 2), (1, 2), (1, 1), (100, 1), (1, 1)])
    {
        let script = Script::start(move |_, body, n| match body {
            body if asked("server/discover", body) => discovered(body),
            body if asked("tools/list", body) => list(body, n),
            body => mismatch(body, &format!("refused at {n}")),
        })
        .await;
        let client = client(&HttpClient::new(), &script.url).await.unwrap();
        let call = client.call_tool("t", json!({ "a": "x" }));
        let error = soon(call.into_future()).await.unwrap_err().to_string();
        let seen = script.seen();
        let count = |what: &str| seen.iter().filter(|seen| *seen == what).count();
        let found = (count("POST tools/list"), count("POST tools/call"));
        assert_eq!(found, expected, "{seen:?}");
        // It is the last refusal that counts.
        let last = seen.iter().rposition(|seen| seen == "POST tools/call");
        let last = format!("refused at {}", last.unwrap());
        assert!(error.contains(&last), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_the_answer() {
    let script = Script::start(|head, body, _| {
        if asked("server/discover", body) {
            return discovered(body);
        }
        let name = head.lines().find_map(|l| l.strip_prefix("mcp-name: "));
        match name.unwrap() {
            "params" => mismatch(body, "bad").replace("-32020", "-32602"),
            "mcp-param-a" => mismatch(body, "bad").replace("400 Bad Request", "200 OK"),
            name => mismatch(body, &format!("Header mismatch: {name} header value 'a'")),
        }
    })
    .await;
    let client = client(&HttpClient::new(), &script.url).await.unwrap();
    for name in [
        "Mcp-Name",
        "Mcp-Method",
        "MCP-Protocol-Version",
        "params",
        "mcp-param-a",
    ] {
        let before = script.seen().len();
        let call = client.call_tool(name, json!({ "a": "x" }));
        assert!(soon(call.into_future()).await.is_err());
        assert_eq!(script.seen()[before..], ["POST tools/call"], "{name}");
    }
    let before = script.seen().len();
    let read = client.read_resource("mcp-param-a:");
    assert!(soon(read.into_future()).await.is_err());
    assert_eq!(script.seen()[before..], ["POST resources/read"]);
}

/// Takes the next request, which is to be of a method.
async fn takes(listener: &TcpListener, method: &str) -> (Wire, support::Reply) {
    let mut wire = accept(listener).await;
    let request = wire.reply().await;
    assert!(asked(method, &request.body), "{}", request.body);
    (wire, request)
}

#[tokio::test]
async fn a_call_that_ends_before_it_is_sent_again_is_not_sent_again() {
    // REQ-PARAM-08
    let (listener, connection) = by_hand().await;
    let client = Client::builder("client", "1.0.0").connect(connection);
    let opening = async {
        let (mut wire, request) = takes(&listener, "server/discover").await;
        wire.send(discovered(&request.body).as_bytes()).await;
    };
    let (client, ()) = soon(futures::future::join(client, opening)).await;
    let client = client.unwrap();
    // Up to the list, which does not come.
    let refusing = async || {
        let (mut wire, request) = takes(&listener, "tools/call").await;
        let refusal = mismatch(&request.body, "Header mismatch");
        wire.send(refusal.as_bytes()).await;
        takes(&listener, "tools/list").await.0
    };
    let call = || client.call_tool("t", json!({ "a": "x" }));
    let timed = call().timeout(Duration::from_millis(500)).into_future();
    let (error, mut list) = soon(futures::future::join(timed, refusing())).await;
    let error = error.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut(_)), "{error}");
    assert_eq!(soon(list.read_until("\n")).await, None);
    let dropped = call().into_future();
    let mut list = tokio::select! {
        _ = dropped => panic!("it has no answer"),
        list = soon(refusing()) => list,
    };
    assert_eq!(soon(list.read_until("\n")).await, None);
    // Nothing has come since.
    let answering = async {
        let (mut wire, request) = takes(&listener, "resources/list").await;
        wire.send(BARE_400.as_bytes()).await;
        drop(request);
    };
    let listing = client.list_resources().into_future();
    let (listed, ()) = soon(futures::future::join(listing, answering)).await;
    assert!(listed.is_err());
}

#[tokio::test]
async fn what_one_call_has_found_out_another_one_need_not_ask_for() {
    // REQ-PARAM-08
    let (listener, mut connection) = by_hand().await;
    let params = json!({
        "name": "t",
        "arguments": { "a": "x" },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    for id in [1, 2] {
        let call = Message::request(id, "tools/call", Some(params.clone().into()));
        connection.feed(call.into()).await.unwrap();
    }
    let server = async {
        let (mut first, one) = takes(&listener, "tools/call").await;
        let (mut second, two) = takes(&listener, "tools/call").await;
        first.send(mismatch(&one.body, "no").as_bytes()).await;
        let (mut wire, request) = takes(&listener, "tools/list").await;
        let list = result(&request.body, &page("t", "A", ""));
        wire.send(json_answer(&list).as_bytes()).await;
        let mut again = Vec::from([takes(&listener, "tools/call").await]);
        second.send(mismatch(&two.body, "no").as_bytes()).await;
        again.push(takes(&listener, "tools/call").await);
        for (wire, request) in &mut again {
            assert_eq!(request.header("mcp-param-a"), Some("x"));
            let called = result(&request.body, CALLED);
            wire.send(json_answer(&called).as_bytes()).await;
        }
    };
    let client = async { [told(&mut connection).await, told(&mut connection).await] };
    let ((), told) = soon(futures::future::join(server, client)).await;
    assert_eq!(told, ["", ""]);
}
