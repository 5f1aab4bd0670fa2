//! HTTP+SSE, the transport of 2024-11-05: by hand, and between this crate's two sides.

#![cfg(feature = "http-sse")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{SinkExt as _, StreamExt as _};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_client::types::{CreateMessageResult, Era, Inbound, LogLevel, Message, Principal, RawJson};
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Sampling, Server, ToolError, tool};
use mcp_transport_http::{
    Denied, HttpClient, HttpClientOptions, HttpConnection, HttpOptions, HttpService,
};
use serde_json::json;
use support::{Running, Wire, get, initialize, legacy, request, serve, soon};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_service::Service as _;

async fn everything(cx: Cx) -> Result<String, ToolError> {
    cx.progress().total(2).step("asking").await;
    cx.log().info("asking").await;
    let capital = cx.sample(Sampling::user("The capital?")).await?;
    Ok(capital.to_text())
}

async fn flood(cx: Cx) -> &'static str {
    for n in 0..1000 {
        cx.log().info(format!("{n} {}", "x".repeat(1000))).await;
    }
    "Done."
}

fn service() -> HttpService {
    let server = Server::new("old", "1.0.0")
        .tool(tool("hello", || "Hello."))
        .tool(tool("everything", everything))
        .tool(tool("flood", flood))
        .start();
    HttpService::new(move |c| server.serve_with(c.transport, c.extensions)).http_sse()
}

// ---- the server, by hand ----

fn open() -> String {
    let headers = "Accept: text/event-stream\nContent-Type:";
    request("GET", headers, "")
}

/// A session's stream, and the query by which it is posted to.
async fn session(server: &Running, open: &str) -> (Wire, String) {
    let mut stream = server.connect().await;
    stream.send(open.as_bytes()).await;
    let head = stream.head().await;
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    // REQ-SSE1-01
    let first = stream.event().await.unwrap();
    let query = first
        .strip_prefix("event: endpoint\ndata: ")
        .unwrap()
        .trim_end();
    let (_, id) = query.split_once("sessionId=").unwrap();
    assert_eq!(id.len(), 32);
    (stream, query.to_owned())
}

/// The same request, posted beside a stream.
fn beside(query: &str, request: &str) -> String {
    request.replacen("/mcp ", &format!("/mcp{query} "), 1)
}

fn post(query: &str, body: &str) -> String {
    beside(query, &request("POST", "Accept:", body))
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hello"}}"#;

#[tokio::test]
async fn what_is_posted_is_answered_on_the_stream() {
    let server = serve(service()).await;
    let (mut stream, query) = session(&server, &open()).await;
    assert_ne!(query, session(&server, &open()).await.1);
    for (body, answer) in [
        (PING, r#""id":1,"result":{}"#),
        (HELLO, "Hello."),
        (r#"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#, "-32601"),
    ] {
        if body == HELLO {
            let opening = beside(&query, &initialize("2024-11-05"));
            assert_eq!(server.ask(opening.as_bytes()).await.status, 202);
            let event = stream.event().await.unwrap();
            assert!(event.contains("2024-11-05"), "{event}");
        }
        let reply = server.ask(post(&query, body).as_bytes()).await;
        assert_eq!((reply.status, &*reply.body), (202, ""));
        let event = stream.event().await.unwrap();
        assert!(event.starts_with("event: message\ndata: {"), "{event}");
        assert!(event.contains(answer), "{event}");
    }
    // Nobody can come back to a stream that is lost: the session ends with it.
    drop(stream);
    loop {
        let reply = server.ask(post(&query, PING).as_bytes()).await;
        if reply.status == 404 {
            break;
        }
        assert_eq!(reply.status, 202);
    }
}

#[tokio::test]
async fn what_the_url_says_is_said_by_what_is_posted() {
    let service = service().authenticate(|parts| {
        let known = parts
            .uri
            .query()
            .is_some_and(|query| query.contains("key=abc"));
        async move { known.then_some(None).ok_or(Denied::Forbidden) }
    });
    let server = serve(service).await;
    let (mut stream, query) = session(&server, &beside("?key=abc", &open())).await;
    assert_eq!(server.ask(post(&query, PING).as_bytes()).await.status, 202);
    let event = stream.event().await.unwrap();
    assert!(event.contains(r#""id":1,"result":{}"#), "{event}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_one() {
    let server = serve(service()).await;
    let (mut stream, query) = session(&server, &open()).await;
    let opening = beside(&query, &initialize("2024-11-05"));
    assert_eq!(server.ask(opening.as_bytes()).await.status, 202);
    let calling = post(&query, &HELLO.replace("hello", "everything"));
    assert_eq!(server.ask(calling.as_bytes()).await.status, 202);
    let mut events = String::new();
    while !events.contains("sampling/createMessage") {
        events.push_str(&stream.event().await.unwrap());
    }
    let id = events.rsplit(r#""id":"#).next().unwrap();
    let id = id.split(',').next().unwrap();
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1}}"#);
    assert_eq!(
        server.ask(post(&query, &answer).as_bytes()).await.status,
        400
    );
    let last = soon(stream.event()).await.unwrap();
    assert!(last.contains("\"isError\":true"), "{last}");
}

#[tokio::test]
async fn each_gets_what_it_deserves() {
    let mut options = HttpOptions::default();
    options.body_bytes = 4096;
    let service = service().options(options).authenticate(|parts| {
        let token = parts.headers.get("authorization").cloned();
        async move {
            match token.as_ref().map(|token| token.to_str()) {
                None => Ok(None),
                Some(Ok(name @ ("alice" | "bob"))) => Ok(Some(Principal::new(name))),
                Some(_) => Err(Denied::Forbidden),
            }
        }
    });
    let server = serve(service).await;
    let opening = |headers: &str| {
        let headers = format!("Accept: text/event-stream\nContent-Type:\n{headers}");
        request("GET", &headers, "")
    };
    let (_stream, query) = session(&server, &opening("Authorization: alice")).await;
    let id = query.split_once('=').unwrap().1.to_owned();
    let streamable = server.session("2025-11-25").await;
    let post = |query: &str, headers: &str, body: &str| {
        beside(
            query,
            &request("POST", &format!("Accept:\n{headers}"), body),
        )
    };
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
        "x".repeat(4096)
    );
    let alice = "Authorization: alice";
    let batch = format!("[{PING}]");
    #[rustfmt::skip]
    let cases = [
        ("its own", post(&query, alice, PING), 202),
        ("a notification", post(&query, alice, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), 202),
        ("a batch, which the stream answers", post(&query, alice, &batch), 202),
        ("behind another parameter", post(&query.replace('?', "?a=b&"), alice, PING), 202),
        ("nobody's", post(&query, "", PING), 404),
        ("another's", post(&query, "Authorization: bob", PING), 404),
        ("refused", post(&query, "Authorization: mallory", PING), 403),
        ("no such session", post("?sessionId=00000000000000000000000000000000", alice, PING), 404),
        ("an empty session", post("?sessionId=", alice, PING), 404),
        ("another parameter", post("?session=1", alice, PING), 200),
        ("a session of Streamable HTTP", post(&format!("?sessionId={streamable}"), "", PING), 404),
        ("by a header", legacy(&id, PING).replace("Host:", "Authorization: alice\r\nHost:"), 404),
        ("read by a header", get(&id, alice), 404),
        ("ended by a header", request("DELETE", &format!("Mcp-Session-Id: {id}\n{alice}"), ""), 404),
        ("ended by its query", beside(&query, &request("DELETE", alice, "")), 400),
        ("read twice", beside(&query, &opening(alice)), 400),
        ("no JSON", post(&query, alice, "{"), 400),
        ("no message", post(&query, alice, r#"{"a":1}"#), 400),
        ("another content type", post(&query, "Authorization: alice\nContent-Type: text/plain", PING), 415),
        ("compressed", post(&query, "Authorization: alice\nContent-Encoding: gzip", PING), 415),
        ("too long", post(&query, alice, &long), 413),
        ("from another page", post(&query, "Authorization: alice\nOrigin: https://evil.example", PING), 403),
        ("by another name", post(&query, "Authorization: alice\nHost: evil.example", PING), 403),
        ("put", beside(&query, &request("PUT", alice, PING)), 405),
        ("opened from another page", opening("Origin: https://evil.example"), 403),
        ("opened by another name", opening("Host: evil.example"), 403),
        ("opened by somebody refused", opening("Authorization: mallory"), 403),
        ("opened by who wants no events", request("GET", "Accept: application/json\nContent-Type:", ""), 406),
    ];
    let mut wrong = Vec::new();
    for (name, request, status) in cases {
        let reply = server.ask(request.as_bytes()).await;
        if reply.status != status {
            wrong.push(format!("{name}: {} {}", reply.status, reply.body));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn sessions_are_bounded_and_end_with_the_server() {
    let mut options = HttpOptions::default();
    options.sessions = 2;
    let server = serve(service().options(options)).await;
    let (mut one, _) = session(&server, &open()).await;
    let (two, _) = session(&server, &open()).await;
    // Whoever listens is not idle, and nobody is thrown out for a third.
    assert_eq!(server.ask(open().as_bytes()).await.status, 503);
    drop(two);
    let _third = loop {
        let mut third = server.connect().await;
        third.send(open().as_bytes()).await;
        match third.head().await {
            head if head.status == 200 => break third,
            head => assert_eq!(head.status, 503),
        }
    };
    server.end().await;
    assert_eq!(one.event().await, None);
}

#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let mut options = HttpOptions::default();
    options.stream_bytes = 16 * 1024;
    let server = serve(service().options(options)).await;
    let (mut stream, query) = session(&server, &open()).await;
    let opening = beside(&query, &initialize("2024-11-05"));
    assert_eq!(server.ask(opening.as_bytes()).await.status, 202);
    let flood = HELLO.replace("hello", "flood");
    assert_eq!(
        server.ask(post(&query, &flood).as_bytes()).await.status,
        202
    );
    // Another request of the same session is taken meanwhile.
    assert_eq!(server.ask(post(&query, PING).as_bytes()).await.status, 202);
    let (mut events, mut done) = (String::new(), false);
    while !done {
        let event = stream.event().await.unwrap();
        done = event.contains("Done.");
        events.push_str(&event);
    }
    let mut expected = 0;
    for line in events
        .lines()
        .filter(|line| line.contains("notifications/message"))
    {
        assert!(line.contains(&format!("\"{expected} xxx")), "{line}");
        expected += 1;
    }
    assert_eq!(expected, 1000);
}

// ---- the client ----

/// The service, of which only HTTP+SSE is reached: as a server is that knows nothing else.
struct Old {
    url: String,
    posts: Arc<AtomicUsize>,
    service: HttpService,
    task: JoinHandle<()>,
}

impl Old {
    async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sse", listener.local_addr().unwrap());
        let posts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&posts);
        let service = service();
        let served = service.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, posts) = (served.clone(), Arc::clone(&counted));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (mut service, posts) = (service.clone(), Arc::clone(&posts));
                    async move {
                        let unknown =
                            request.method() != Method::GET && request.uri().query().is_none();
                        if unknown {
                            posts.fetch_add(1, Ordering::SeqCst);
                            let body = Full::<Bytes>::from(r#"{"detail":"not here"}"#);
                            let mut response = Response::new(Either::Right(body));
                            *response.status_mut() = status;
                            return Ok(response);
                        }
                        Ok::<_, std::convert::Infallible>(
                            service.call(request).await?.map(Either::Left),
                        )
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            url,
            posts,
            service,
            task,
        }
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(http: &HttpClient, url: &str, era: EraChoice) -> Client {
    let client = Client::builder("client", "1.0.0")
        .era(era)
        .log_level(LogLevel::Info)
        .on_sampling(|_| async { Ok(CreateMessageResult::text("m", "Paris")) })
        .connect(http.connect(url).unwrap());
    soon(client).await.unwrap()
}

#[tokio::test]
async fn a_client_finds_out_and_does_all_of_it() {
    for (status, era) in [
        (StatusCode::METHOD_NOT_ALLOWED, EraChoice::Auto),
        (StatusCode::NOT_FOUND, EraChoice::Auto),
        (StatusCode::BAD_REQUEST, EraChoice::Legacy),
    ] {
        let server = Old::start(status).await;
        let http = HttpClient::new();
        let client = connect(&http, &server.url, era).await;
        assert_eq!(client.era(), Era::Legacy);
        let mut logs = client.logs();
        let mut steps = Vec::new();
        let call = client
            .call_tool("everything", json!({}))
            .on_progress(|update| steps.push(update.progress));
        assert_eq!(soon(call.into_future()).await.unwrap().to_text(), "Paris");
        assert_eq!(steps, [1.0]);
        let log = soon(logs.recv()).await.unwrap().unwrap();
        assert_eq!(log.data, json!("asking").into());
        // Many at a time, each with its own answer.
        let calls = (0..20).map(|_| client.call_tool("hello", json!({})).into_future());
        for result in soon(futures::future::join_all(calls)).await {
            assert_eq!(result.unwrap().to_text(), "Hello.");
        }
        soon(client.close()).await;
        // Known from then on: an old server is not asked for its modern versions again.
        let asked = server.posts.load(Ordering::SeqCst);
        let client = connect(&http, &server.url, era).await;
        assert_eq!(server.posts.load(Ordering::SeqCst), asked + 1);
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_ends_the_connection() {
    let server = Old::start(StatusCode::NOT_FOUND).await;
    let client = connect(&HttpClient::new(), &server.url, EraChoice::Legacy).await;
    soon(server.service.shutdown()).await;
    let lost = soon(client.call_tool("hello", json!({})).into_future()).await;
    assert!(lost.is_err());
    soon(client.peer().closed()).await;
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const NOT_ALLOWED: &str =
    "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A server's side by hand, of a connection whose `initialize` has been answered.
struct ByHand {
    listener: TcpListener,
    stream: Wire,
    connection: HttpConnection,
}

impl ByHand {
    async fn start(outcome: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sse", listener.local_addr().unwrap());
        let mut options = HttpClientOptions::default();
        options.message_bytes = 1000;
        let http = HttpClient::with_options(options);
        let mut connection = http.connect(&url).unwrap();
        let initialize = Message::request(1, "initialize", None);
        connection.send(initialize.into()).await.unwrap();
        let server = async {
            take(&listener, NOT_ALLOWED).await;
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = Wire::from(socket);
            stream.reply().await;
            let endpoint = format!("{EVENTS}event: endpoint\ndata: ?sessionId=1\n\n");
            stream.send(endpoint.as_bytes()).await;
            take(&listener, ACCEPTED).await;
            stream.send(event(1, outcome).as_bytes()).await;
            stream
        };
        let (stream, item) = soon(futures::future::join(server, connection.next())).await;
        assert!(matches!(item, Some(Ok(Inbound::Message(_)))), "{item:?}");
        Self {
            listener,
            stream,
            connection,
        }
    }

    /// Takes what the client posts now.
    async fn posted(&mut self, message: Message) -> String {
        self.connection.send(message.into()).await.unwrap();
        tokio::select! {
            biased;
            body = soon(take(&self.listener, ACCEPTED)) => body,
            item = self.connection.next() => panic!("{item:?}"),
        }
    }
}

/// Takes a request, answers it, and returns its body.
async fn take(listener: &TcpListener, answer: &str) -> String {
    let mut wire = Wire::from(listener.accept().await.unwrap().0);
    let request = wire.reply().await;
    wire.send(answer.as_bytes()).await;
    request.body
}

fn event(id: i64, outcome: &str) -> String {
    format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}\n\n")
}

const INITIALIZED: &str = r#""result":{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"old","version":"1"}}"#;

#[tokio::test]
async fn a_call_is_cancelled_after_a_version_was_refused_too() {
    let refused = r#""error":{"code":-32602,"message":"not that version"}"#;
    let mut server = ByHand::start(refused).await;
    let initialize = Message::request(2, "initialize", None);
    assert!(server.posted(initialize).await.contains("initialize"));
    let answer = event(2, INITIALIZED);
    server.stream.send(answer.as_bytes()).await;
    let item = soon(server.connection.next()).await.unwrap();
    assert!(matches!(item, Ok(Inbound::Message(_))), "{item:?}");
    let params = RawJson::encode(&json!({ "requestId": 3 })).unwrap();
    let cancelled = Message::notification("notifications/cancelled", Some(params));
    assert!(server.posted(cancelled).await.contains("cancelled"));
}

#[tokio::test]
async fn an_event_that_is_too_long_ends_the_connection() {
    let mut server = ByHand::start(INITIALIZED).await;
    let long = event(2, &format!(r#""result":{{"x":"{}"}}"#, "x".repeat(2000)));
    server.stream.send(long.as_bytes()).await;
    let item = soon(server.connection.next()).await.unwrap();
    assert!(item.is_err(), "{item:?}");
}

/// A server that answers everything but GET with 405, and that with this.
async fn get_only(answer: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut wire = Wire::from(stream);
            let request = wire.reply().await;
            let is_get = request.head.starts_with("GET");
            wire.send(if is_get { answer } else { NOT_ALLOWED }.as_bytes())
                .await;
        }
    });
    (url, task)
}

#[tokio::test]
async fn what_is_no_such_server_is_an_error() {
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let leak = |text: String| -> &'static str { text.leak() };
    for (answer, why) in [
        (NOT_ALLOWED, "405"),
        (PAGE, "405"),
        (EVENTS, "405"),
        (
            leak(format!("{EVENTS}event: message\ndata: {{}}\n\n")),
            "405",
        ),
        // REQ-SSE1-02
        (
            leak(format!(
                "{EVENTS}event: endpoint\ndata: http://evil.example/m\n\n"
            )),
            "elsewhere",
        ),
        (
            leak(format!("{EVENTS}event: endpoint\ndata: ?sessionId=1\n\n")),
            "405",
        ),
    ] {
        let (url, task) = get_only(answer).await;
        let client = Client::builder("client", "1.0.0")
            .era(EraChoice::Legacy)
            .connect(HttpClient::new().connect(&url).unwrap());
        let error = soon(client).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        task.abort();
    }
}
