//! Requests that nobody should send, and what each gets.

mod support;

use std::time::Duration;

use mcp_server::types::Principal;
use mcp_server::{JsonSchema, Server, schemars, tool};
use mcp_transport_http::{Denied, HttpOptions, HttpService, ListenerOptions};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use support::{META, Running, request, serve_with};

#[derive(Deserialize, JsonSchema)]
struct Located {
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

/// More than a client takes from a server that it does not know.
fn wide() -> Value {
    let argument = |at| json!({"type": "string", "x-mcp-header": format!("A{at}")});
    let arguments: Map<_, _> = (0..65).map(|at| (format!("a{at}"), argument(at))).collect();
    json!({"type": "object", "properties": arguments})
}

/// A server of which little is too much already.
async fn server() -> Running {
    let server = Server::new("hostile", "1.0.0")
        .tool(tool("hello", || "Hello."))
        .tool(tool("located", |located: Located| located.region))
        .tool(tool("wide", || "Wide.").input_schema(wide()))
        .start();
    let catalog = server.catalog();
    let mut options = HttpOptions::default();
    options.body_bytes = 4096;
    options.body_time = Duration::from_millis(300);
    let service = HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
        .tool_schemas(move |tool| catalog.input_schema(tool))
        .authenticate(|parts| {
            let token = parts.headers.get("authorization").cloned();
            async move {
                match token.as_ref().map(|token| token.to_str()) {
                    None => Ok(None),
                    Some(Ok("Bearer alice")) => Ok(Some(Principal::new("alice"))),
                    Some(Ok("Bearer mallory")) => Err(Denied::Forbidden),
                    Some(_) => Err(Denied::Unauthorized {
                        challenge: "Bearer realm=\"m\"".to_owned(),
                    }),
                }
            }
        })
        .path("/mcp")
        .options(options);
    let mut options = ListenerOptions::default();
    options.head_bytes = 8192;
    options.headers = 20;
    options.head_time = Duration::from_millis(300);
    serve_with(service, options).await
}

const V: &str = "MCP-Protocol-Version: 2026-07-28";
const LIST: &str = "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/list";
const CALL: &str = "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call";

/// A body: `$M` is a modern `_meta`.
fn body(text: &str) -> String {
    text.replace("$M", META)
}

const P: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const L: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{$M}}"#;
const H: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello",$M}}"#;
const R: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"located","arguments":{"region":"Köln"},$M}}"#;

/// Name, method, headers, body; status and body of the answer, where an error stands as `code: message`.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("put", "PUT", "", P, 405, "-32600: POST, GET or DELETE"),
    ("patch", "PATCH", "", P, 405, "-32600: POST, GET or DELETE"),
    ("head", "HEAD", "", "", 405, ""),
    ("options", "OPTIONS", "Origin: http://localhost", "", 405, "-32600: POST, GET or DELETE"),
    ("a method of its own", "BREW", "", "", 405, "-32600: POST, GET or DELETE"),
    ("no content type", "POST", "Content-Type:", P, 415, "-32600: a body has to be `application/json` in UTF-8"),
    ("another content type", "POST", "Content-Type: text/plain", P, 415, "-32600: a body has to be `application/json` in UTF-8"),
    ("a form", "POST", "Content-Type: application/x-www-form-urlencoded", P, 415, "-32600: a body has to be `application/json` in UTF-8"),
    ("another charset", "POST", "Content-Type: application/json; charset=latin1", P, 415, "-32600: a body has to be `application/json` in UTF-8"),
    ("the right charset", "POST", "Content-Type: Application/JSON; charset=\"UTF-8\"", P, 200, "a result"),
    ("two content types", "POST", "Content-Type: application/json\nContent-Type: text/plain", P, 400, "-32600: `content-type` stands twice"),
    ("compressed", "POST", "Content-Encoding: gzip", P, 415, "-32600: a body has to come as it is, without an encoding"),
    ("encoded as it is", "POST", "Content-Encoding: identity", P, 200, "a result"),
    ("accepts nothing", "POST", "Accept:", P, 200, "a result"),
    ("accepts JSON only", "POST", "Accept: application/json", P, 406, "-32600: `Accept` has to name application/json and text/event-stream"),
    ("accepts events only", "POST", "Accept: text/event-stream", P, 406, "-32600: `Accept` has to name application/json and text/event-stream"),
    ("accepts web pages", "POST", "Accept: text/html", P, 406, "-32600: `Accept` has to name application/json and text/event-stream"),
    ("accepts everything", "POST", "Accept: */*", P, 200, "a result"),
    ("accepts groups", "POST", "Accept: application/*;q=0.5, text/*", P, 200, "a result"),
    ("accepts all but events", "POST", "Accept: */*, text/event-stream;q=0", P, 406, "-32600: `Accept` has to name application/json and text/event-stream"),
    ("accepts events not at all", "POST", "Accept: application/json, text/event-stream;q=0", P, 406, "-32600: `Accept` has to name application/json and text/event-stream"),
    ("another origin", "POST", "Origin: https://evil.example", P, 403, "-32600: that origin is not allowed"),
    ("an origin that looks local", "POST", "Origin: http://localhost.evil.example", P, 403, "-32600: that origin is not allowed"),
    ("an origin with a local user", "POST", "Origin: http://localhost@evil.example", P, 403, "-32600: that origin is not allowed"),
    ("no origin in particular", "POST", "Origin: null", P, 403, "-32600: that origin is not allowed"),
    ("an origin that is none", "POST", "Origin: %%%", P, 403, "-32600: that origin is not allowed"),
    ("two origins", "POST", "Origin: http://localhost\nOrigin: http://localhost", P, 400, "-32600: `Origin` stands twice"),
    ("a local origin", "POST", "Origin: http://localhost:5173", P, 200, "a result"),
    ("a local origin of IPv6", "POST", "Origin: https://[::1]:5173", P, 200, "a result"),
    ("another host", "POST", "Host: evil.example", P, 403, "-32600: this server is not reached by that name"),
    ("a host that looks local", "POST", "Host: 127.0.0.1.evil.example", P, 403, "-32600: this server is not reached by that name"),
    ("a host with two ports", "POST", "Host: localhost:80:80", P, 403, "-32600: this server is not reached by that name"),
    ("no host", "POST", "Host:", P, 400, "-32600: one `Host` header is needed"),
    ("two hosts", "POST", "Host: localhost\nHost: localhost", P, 400, "-32600: one `Host` header is needed"),
    ("any local address", "POST", "Host: 0.0.0.0", P, 403, "-32600: this server is not reached by that name"),
    ("localhost", "POST", "Host: LOCALHOST:1", P, 200, "a result"),
    ("a token that is none", "POST", "Authorization: Bearer nobody", P, 401, ""),
    ("somebody who may not", "POST", "Authorization: Bearer mallory", P, 403, ""),
    ("no body", "POST", "", "", 400, "-32700: invalid JSON"),
    ("white space", "POST", "", "   ", 400, "-32700: invalid JSON"),
    ("half an object", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"pi"#, 400, "#-32700: invalid JSON"),
    ("not JSON", "POST", "", "hello", 400, "-32700: invalid JSON"),
    ("two messages", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#, 400, "-32700: invalid JSON"),
    ("a number", "POST", "", "42", 400, "-32600: not a JSON-RPC message"),
    ("null", "POST", "", "null", 400, "-32600: not a JSON-RPC message"),
    ("a string", "POST", "", r#""ping""#, 400, "-32600: not a JSON-RPC message"),
    ("an empty batch", "POST", "", "[]", 400, "-32600: empty batch"),
    ("a batch without a session", "POST", "", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, "-32600: batches exist in 2025-03-26 sessions only"),
    ("an empty object", "POST", "", "{}", 400, r##"-32600: invalid request: `jsonrpc` must be "2.0""##),
    ("another version of JSON-RPC", "POST", "", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, r##"#-32600: invalid request: `jsonrpc` must be "2.0""##),
    ("a request without a method", "POST", "", r#"{"jsonrpc":"2.0","id":1}"#, 400, "#-32600: invalid request: `method` must be a string"),
    ("a method that is a number", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":1}"#, 400, "#-32600: invalid request: `method` must be a string"),
    ("an id that is null", "POST", "", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, "-32600: invalid request: `id` must be a string or an integer"),
    ("an id that is a fraction", "POST", "", r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, 400, "-32600: invalid request: `id` must be a string or an integer"),
    ("params that are a list", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, 400, "#-32600: invalid request: `params` must be an object"),
    ("a request that is an answer", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, 400, "#-32600: invalid request: `method`, `result` and `error` exclude each other"),
    ("a malformed notification", "POST", "", r#"{"jsonrpc":"2.0","method":"x","params":1}"#, 400, "-32600: invalid notification: `params` must be an object"),
    ("a malformed response", "POST", "", r#"{"jsonrpc":"2.0","id":1,"result":1}"#, 400, "-32600: invalid response: `result` must be an object"),
    ("a ping without a session", "POST", "", P, 200, "a result"),
    ("anything else without a session", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, 400, "#-32602: no session: send `initialize` first, or set `io.modelcontextprotocol/protocolVersion` and `io.modelcontextprotocol/clientCapabilities` in `_meta` +"),
    ("a notification without a session", "POST", "", r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, 400, "-32600: the header `mcp-session-id` is missing"),
    ("a response without a session", "POST", "", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, 400, "-32600: the header `mcp-session-id` is missing"),
    ("initialize without parameters", "POST", "", r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#, 200, "#-32602: initialize: missing field `protocolVersion` at line 1 column 2"),
    ("a session that never was", "POST", "Mcp-Session-Id: 00000000000000000000000000000000", P, 404, "#-32600: there is no such session"),
    ("a session of another alphabet", "POST", "Mcp-Session-Id: ../../etc/passwd", P, 404, "#-32600: there is no such session"),
    ("two sessions", "POST", "Mcp-Session-Id: a\nMcp-Session-Id: b", P, 400, "#-32600: `mcp-session-id` stands twice"),
    ("a session of another era", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Session-Id: a", P, 400, "#-32602: `_meta.io.modelcontextprotocol/protocolVersion` is missing"),
    ("a revision that never was", "POST", "MCP-Protocol-Version: 1999-12-31", P, 400, "#-32602: `_meta.io.modelcontextprotocol/protocolVersion` is missing"),
    ("two revisions", "POST", "MCP-Protocol-Version: 2025-11-25\nMCP-Protocol-Version: 2026-07-28", P, 400, "#-32020: `mcp-protocol-version` stands twice"),
    ("GET without a session", "GET", "", "", 400, "-32600: the header `mcp-session-id` is missing"),
    ("GET of a session that never was", "GET", "Mcp-Session-Id: x", "", 404, "-32600: there is no such session"),
    ("GET of web pages", "GET", "Accept: text/html", "", 406, "-32600: `Accept` has to name text/event-stream"),
    ("DELETE without a session", "DELETE", "", "", 400, "-32600: the header `mcp-session-id` is missing"),
    ("DELETE of a session that never was", "DELETE", "Mcp-Session-Id: x", "", 404, "-32600: there is no such session"),
    ("modern without its header", "POST", "Mcp-Method: tools/list", L, 400, "#-32020: the header `mcp-protocol-version` is missing"),
    ("modern in another version", "POST", "MCP-Protocol-Version: 2025-11-25\nMcp-Method: tools/list", L, 400, r##"#-32020: the header `mcp-protocol-version` says "2025-11-25", the body says "2026-07-28""##),
    ("modern under a legacy header without the mark", "POST", "MCP-Protocol-Version: 2025-11-25\nMcp-Method: tools/list", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, 400, "#-32602: no session: send `initialize` first, or set `io.modelcontextprotocol/protocolVersion` and `io.modelcontextprotocol/clientCapabilities` in `_meta` +"),
    ("modern without the mark", "POST", V, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#, 400, "#-32602: `_meta.io.modelcontextprotocol/protocolVersion` is missing"),
    ("modern without capabilities", "POST", LIST, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#, 400, "#-32602: `_meta.io.modelcontextprotocol/clientCapabilities` is missing"),
    ("modern with a version that is a number", "POST", LIST, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}"#, 400, "#-32602: `_meta.io.modelcontextprotocol/protocolVersion` must be a string"),
    ("a version from the future", "POST", "MCP-Protocol-Version: 2999-01-01\nMcp-Method: tools/list", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2999-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#, 400, r##"#-32022: protocol version "2999-01-01" is not supported here +"##),
    ("no Mcp-Method", "POST", V, L, 400, "#-32020: the header `mcp-method` is missing"),
    ("another Mcp-Method", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: prompts/list", L, 400, r##"#-32020: the header `mcp-method` says "prompts/list", the body says "tools/list""##),
    ("Mcp-Method in capitals", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: TOOLS/LIST", L, 400, r##"#-32020: the header `mcp-method` says "TOOLS/LIST", the body says "tools/list""##),
    ("Mcp-Method in base64", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: =?base64?dG9vbHMvbGlzdA==?=", L, 200, "a result"),
    ("Mcp-Method twice", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/list\nMcp-Method: tools/list", L, 400, "#-32020: `mcp-method` stands twice"),
    ("no Mcp-Name", "POST", CALL, H, 400, "#-32020: the header `mcp-name` is missing"),
    ("another Mcp-Name", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: goodbye", H, 400, r##"#-32020: the header `mcp-name` says "goodbye", the body says "hello""##),
    ("Mcp-Name twice", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: hello\nMcp-Name: hello", H, 400, "#-32020: `mcp-name` stands twice"),
    ("Mcp-Name in base64", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: =?base64?aGVsbG8=?=", H, 200, "a result"),
    ("Mcp-Name in bad base64", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: =?base64?aGVsbG8?=", H, 400, "#-32020: the header `mcp-name` is not valid base64 of UTF-8"),
    ("Mcp-Name with spaces around", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name:    hello  ", H, 200, "a result"),
    ("no Mcp-Param", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located", R, 400, "#-32020: the header `mcp-param-region` is missing"),
    ("another Mcp-Param", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located\nMcp-Param-Region: Bonn", R, 400, r##"#-32020: the header `mcp-param-region` says "Bonn", the body says "Köln""##),
    ("Mcp-Param in bytes of another charset", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located\nMcp-Param-Region: LATIN1", R, 400, "#-32020: `mcp-param-region` is not UTF-8"),
    ("Mcp-Param in base64", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located\nMcp-Param-Region: =?base64?S8O2bG4=?=", R, 200, "a result"),
    ("Mcp-Param in base64 of no text", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located\nMcp-Param-Region: =?base64?/w==?=", R, 400, "#-32020: the header `mcp-param-region` is not valid base64 of UTF-8"),
    ("Mcp-Param for nothing", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: located\nMcp-Param-Region: x", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"located","arguments":{"region":null},$M}}"#, 400, r##"#-32020: the header `mcp-param-region` says "x", the body says "nothing""##),
    ("another Mcp-Param of many", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: wide\nMcp-Param-A64: x", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wide","arguments":{"a64":"y"},$M}}"#, 400, r##"#-32020: the header `mcp-param-a64` says "x", the body says "y""##),
    ("a method of the other era", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: initialize", r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{$M}}"#, 404, "#-32601: method not found: initialize"),
    ("a method of nobody", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: no/such", r#"{"jsonrpc":"2.0","id":1,"method":"no/such","params":{$M}}"#, 404, "#-32601: method not found: no/such"),
    ("a tool of nobody", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: none", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none",$M}}"#, 200, r##"#-32602: unknown tool "none""##),
    ("a tool that is a number", "POST", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: 1", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1,$M}}"#, 200, "#-32602: invalid params of `tools/call`: `name` must be a string"),
    ("a modern response", "POST", V, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, 400, "-32600: a client posts requests and notifications only"),
    ("a modern batch", "POST", V, r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, "-32600: batches exist in 2025-03-26 sessions only"),
    ("a modern notification without its header", "POST", "", r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#, 400, "-32020: the header `mcp-protocol-version` is missing"),
    ("a modern notification in another version", "POST", "MCP-Protocol-Version: 2025-06-18", r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#, 400, r##"-32020: the header `mcp-protocol-version` says "2025-06-18", the body says "2026-07-28""##),
    ("a modern notification", "POST", V, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, 202, ""),
];

/// The answer as the table has it.
fn told(body: &str) -> String {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let error = &body["error"];
    let Some(message) = error["message"].as_str() else {
        return "a result".to_owned();
    };
    let id = if body["id"].is_null() { "" } else { "#" };
    let data = if error["data"].is_null() { "" } else { " +" };
    format!("{id}{}: {message}{data}", error["code"])
}

#[tokio::test]
async fn each_gets_what_it_deserves() {
    let server = server().await;
    let mut wrong = Vec::new();
    for (name, method, headers, text, status, answer) in CASES {
        let headers = format!("{headers}\nConnection: close");
        let request = request(method, &headers, &body(text));
        let request = request.replace("LATIN1", "K\u{0}ln").into_bytes();
        let request: Vec<u8> = (request.iter())
            .map(|byte| if *byte == 0 { 0xf6 } else { *byte })
            .collect();
        let reply = server.ask(&request).await;
        let told = told(&reply.body);
        if (reply.status, &*told) != (*status, answer) {
            wrong.push(format!("{name}: {} {told:?}", reply.status));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // After all of that, whoever is polite is served.
    let reply = server.ask(request("POST", "", P).as_bytes()).await;
    assert_eq!(reply.body, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
}

/// Bytes that are hardly HTTP, whether the client has finished then, and what they get.
type Bytes = (&'static str, String, bool, u16, &'static str);

#[tokio::test]
async fn bytes_that_are_hardly_http() {
    let server = server().await;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}\r\n{body}"
        )
    };
    let many = |count: usize| -> String { (0..count).map(|n| format!("X-{n}: 1\r\n")).collect() };
    let long = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}",
        "x".repeat(4096)
    );
    let chunks = |body: &str, size: usize| -> String {
        let pieces: Vec<_> = (body.as_bytes().chunks(size))
            .map(|piece| {
                format!(
                    "{:x}\r\n{}\r\n",
                    piece.len(),
                    String::from_utf8_lossy(piece)
                )
            })
            .collect();
        pieces.concat()
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    const TOO_LONG: &str = "-32600: a body has 4096 bytes at most";
    const LATE: &str = "-32600: the body did not arrive in time";
    const NOTHING: &str = "";
    #[rustfmt::skip]
    let cases: Vec<Bytes> = vec![
        ("no HTTP at all", "hello\r\n\r\n".into(), false, 400, NOTHING),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}".into(), true, 400, NOTHING),
        ("HTTP of another century", "GET /mcp HTTP/0.9\r\n\r\n".into(), false, 400, NOTHING),
        ("nothing", String::new(), false, 0, NOTHING),
        ("a byte that HTTP/2 might begin with", "P".into(), false, 0, NOTHING),
        ("most of what HTTP/2 begins with", "PRI * HTTP/2.0\r\n\r\nSM".into(), false, 0, NOTHING),
        ("half a head", "POST /mcp HTTP/1.1\r\nHost: loc".into(), false, 0, NOTHING),
        ("half a head and the end", "POST /mcp HTTP/1.1\r\nHost: loc".into(), true, 0, NOTHING),
        ("another path", post("", "").replace("/mcp", "/"), false, 404, "-32600: nothing is served here"),
        ("a path that goes up", post("", "").replace("/mcp", "/../mcp"), false, 404, "-32600: nothing is served here"),
        ("too many headers", post(&many(40), P), false, 431, NOTHING),
        ("headers that are too long", post(&format!("X: {}\r\n", "x".repeat(10_000)), P), false, 431, NOTHING),
        ("a header with a space in its name", post("Content Length: 1\r\n", P), false, 400, NOTHING),
        ("a header with a line break", post("X: a\r\n b\r\n", P), false, 400, NOTHING),
        ("two lengths", post("Content-Length: 40\r\nContent-Length: 41\r\n", P), false, 400, NOTHING),
        ("a length that is none", post("Content-Length: -1\r\n", P), false, 400, NOTHING),
        ("a length with a sign", post("Content-Length: +40\r\n", P), false, 400, NOTHING),
        ("a length beyond all numbers", post("Content-Length: 99999999999999999999\r\n", P), false, 400, NOTHING),
        ("a length beyond the limit", post("Content-Length: 4097\r\n", ""), false, 413, TOO_LONG),
        ("a body that is shorter", post("Content-Length: 41\r\n", P), false, 408, LATE),
        ("a body that ends too early", post("Content-Length: 41\r\n", P), true, 400, "-32600: the body: error reading a body from connection"),
        ("a body that does not begin", post("Content-Length: 40\r\n", ""), false, 408, LATE),
        ("a body in chunks", post(chunked, &(chunks(P, 7) + "0\r\n\r\n")), false, 200, "a result"),
        ("a body in chunks of a byte", post(chunked, &(chunks(P, 1) + "0\r\n\r\n")), false, 200, "a result"),
        ("chunks beyond the limit", post(chunked, &(chunks(&long, 1000) + "0\r\n\r\n")), false, 413, TOO_LONG),
        ("chunks without an end", post(chunked, &chunks(P, 7)), false, 408, LATE),
        ("chunks that break off", post(chunked, &chunks(P, 7)), true, 400, "-32600: the body: error reading a body from connection"),
        ("a chunk that is longer", post(chunked, "2\r\n{}}\r\n0\r\n\r\n"), false, 400, "-32600: the body: error reading a body from connection"),
        ("a chunk of a size that is none", post(chunked, "x\r\n{}\r\n0\r\n\r\n"), false, 400, "-32600: the body: error reading a body from connection"),
        ("a chunk beyond all sizes", post(chunked, "ffffffffffffffffff\r\n{}\r\n"), false, 400, "-32600: the body: error reading a body from connection"),
        ("chunks with a trailer", post(chunked, &(chunks(P, 7) + "0\r\nX: 1\r\n\r\n")), false, 200, "a result"),
        ("chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", &(chunks(P, 7) + "0\r\n\r\n")), false, 200, "a result"),
        ("another coding", post("Transfer-Encoding: gzip\r\n", P), false, 400, NOTHING),
        ("chunks under another coding", post("Transfer-Encoding: chunked, gzip\r\n", P), false, 400, NOTHING),
        ("a length in HTTP/1.0", post("Content-Length: 40\r\n", P).replace("1.1", "1.0"), false, 200, "a result"),
        ("waiting to be told to go on", post("Content-Length: 40\r\nExpect: 100-continue\r\n", P), false, 100, NOTHING),
        ("a proxy's request", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".into(), false, 404, "-32600: nothing is served here"),
        ("an upgrade", post("Content-Length: 40\r\nUpgrade: websocket\r\n", P), false, 200, "a result"),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, finished, status, answer) in cases {
        let mut wire = server.connect().await;
        wire.send(bytes.as_bytes()).await;
        if finished {
            wire.finish().await;
        }
        let reply = wire.reply().await;
        let told = told(&reply.body);
        if (reply.status, &*told) != (status, answer) {
            wrong.push(format!("{name}: {} {told:?}", reply.status));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_connection_that_idles_is_closed() {
    let server = server().await;
    let mut wire = server.connect().await;
    wire.send(request("POST", "", P).as_bytes()).await;
    assert_eq!(wire.reply().await.status, 200);
    assert_eq!(wire.read_until("more").await, None);
}

/// One that is fed byte by byte has no more time for it.
#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let server = server().await;
    let mut wire = server.connect().await;
    let dripping = async {
        for byte in request("POST", "", P).bytes() {
            wire.send(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        wire.reply().await.status
    };
    assert_eq!(dripping.await, 0);
}
