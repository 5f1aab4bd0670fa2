//! Requests as a client of either era writes them, head and all.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::Failure;
use crate::task::{Task, Tool};
use crate::wire::{Era, OPENING, batch};

/// The first id of a call: all of them have as many digits, so that one can be written over another.
pub const FIRST: usize = 1_000_000;

/// A call of `echo` with 16 bytes, whose id is to be set by [`renumber`].
pub fn call(era: Era, session: Option<&str>) -> Vec<u8> {
    let task = Task {
        era,
        tool: Tool::Echo,
        count: 1,
        window: 1,
        bytes: 16,
    };
    let body = batch(task, FIRST).bytes;
    post(era, session, "tools/call", Some("echo"), body.trim_ascii())
}

/// Sets the id of a call.
pub fn renumber(call: &mut [u8], id: usize) {
    let key = b"\"id\":";
    if let Some(at) = memchr::memmem::find(call, key) {
        let digits = (FIRST + id).to_string();
        let at = at + key.len();
        call[at..at + digits.len()].copy_from_slice(digits.as_bytes());
    }
}

/// What opens a legacy session.
pub fn initialize() -> Vec<u8> {
    let body = OPENING[0].trim_end().as_bytes();
    post(Era::Legacy, None, "initialize", None, body)
}

/// What says that a legacy session is open.
pub fn initialized(session: &str) -> Vec<u8> {
    let body = OPENING[1].trim_end().as_bytes();
    let method = "notifications/initialized";
    post(Era::Legacy, Some(session), method, None, body)
}

/// What opens a stream for changes of the list of tools: a request in the modern era, a GET in the legacy one.
pub fn listen(era: Era, session: Option<&str>) -> Vec<u8> {
    if let (Era::Legacy, Some(session)) = (era, session) {
        let head = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n\r\n"
        );
        return head.into_bytes();
    }
    let task = Task {
        era,
        tool: Tool::Echo,
        count: 1,
        window: 1,
        bytes: 0,
    };
    let call = String::from_utf8_lossy(&batch(task, FIRST).bytes).into_owned();
    let listen = call.replace("tools/call", "subscriptions/listen").replace(
        "\"name\":\"echo\",\"arguments\":{\"text\":\"\"}",
        "\"notifications\":{\"toolsListChanged\":true}",
    );
    let body = listen.trim_end().as_bytes();
    post(era, session, "subscriptions/listen", None, body)
}

/// The same as a value, for a service without a socket.
///
/// # Errors
/// It is none.
pub fn request(bytes: &[u8]) -> Result<Request<Full<Bytes>>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Err("half a request".into()),
    };
    let mut request = Request::builder()
        .method(head.method.unwrap_or_default())
        .uri(head.path.unwrap_or_default());
    for header in head.headers {
        request = request.header(header.name, header.value);
    }
    Ok(request.body(Full::from(bytes[length..].to_vec()))?)
}

fn post(era: Era, session: Option<&str>, method: &str, name: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut head = String::from(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n",
    );
    if era == Era::Modern {
        head += "MCP-Protocol-Version: 2026-07-28\r\n";
        head += &format!("Mcp-Method: {method}\r\n");
        if let Some(name) = name {
            head += &format!("Mcp-Name: {name}\r\n");
        }
    } else if let Some(session) = session {
        head += "MCP-Protocol-Version: 2025-11-25\r\n";
        head += &format!("Mcp-Session-Id: {session}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
