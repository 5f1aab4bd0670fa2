//! A server on a port, and a client that writes its requests by hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(
    clippy::allow_attributes,
    reason = "whether something is unused depends on the test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use mcp_transport_http::{HttpListener, HttpService, ListenerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub(crate) async fn serve(service: HttpService) -> Running {
    serve_with(service, ListenerOptions::default()).await
}

pub(crate) async fn serve_with(service: HttpService, options: ListenerOptions) -> Running {
    serve_on(port(), service, options)
}

/// A port that nobody else has until the last clone of it is gone.
pub(crate) fn port() -> std::net::TcpListener {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    port.set_nonblocking(true).unwrap();
    port
}

pub(crate) fn serve_on(
    port: std::net::TcpListener,
    service: HttpService,
    options: ListenerOptions,
) -> Running {
    let listener = HttpListener::from(TcpListener::from_std(port).unwrap());
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let ended = async { drop(ended.await) };
    let task = tokio::spawn(listener.options(options).serve(service, ended));
    Running {
        address,
        end: Some(end),
        task,
    }
}

impl Running {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn end(mut self) {
        self.end.take();
        soon(&mut self.task).await.unwrap();
    }

    pub(crate) async fn connect(&self) -> Wire {
        TcpStream::connect(self.address).await.unwrap().into()
    }

    /// Sends a request on a connection of its own and reads its whole answer.
    pub(crate) async fn ask(&self, request: &[u8]) -> Reply {
        let mut wire = self.connect().await;
        wire.send(request).await;
        wire.reply().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fails when something hangs, and decides nothing else.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("it hangs")
}

/// A connection by hand.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Wire {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // Whoever is refused early may find that out while writing.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// True if something came.
    async fn fill(&mut self) -> bool {
        soon(self.stream.read_buf(&mut self.buffer))
            .await
            .unwrap_or(0)
            > 0
    }

    /// Reads up to and with `until`; none at the end of the stream.
    pub(crate) async fn read_until(&mut self, until: &str) -> Option<String> {
        loop {
            let found = (self.buffer.windows(until.len())).position(|w| w == until.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + until.len());
                let read = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8(read).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn take(&mut self, length: usize) -> String {
        while self.buffer.len() < length && self.fill().await {}
        let rest = self.buffer.split_off(length.min(self.buffer.len()));
        let read = std::mem::replace(&mut self.buffer, rest);
        String::from_utf8(read).unwrap()
    }

    /// Reads a response's head; its status is 0 if there is none.
    pub(crate) async fn head(&mut self) -> Reply {
        let head = self.read_until("\r\n\r\n").await.unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        Reply {
            status: status.unwrap_or(0),
            head,
            body: String::new(),
        }
    }

    /// Reads one chunk of a body that comes in chunks; none is its end.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let length = self.read_until("\r\n").await?;
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        let chunk = self.take(length + 2).await;
        (length > 0).then(|| chunk[..length].to_owned())
    }

    /// Reads the next event of a stream, comments left out; none at its end.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            let chunk = self.chunk().await?;
            if !chunk.starts_with(':') {
                return Some(chunk);
            }
        }
    }

    /// Reads a whole response.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        if let Some(length) = reply.header("content-length") {
            let length = length.parse().unwrap();
            reply.body = self.take(length).await;
        } else if reply.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await {
                reply.body.push_str(&chunk);
            }
        }
        reply
    }
}

/// A request with the headers that it needs; lines of `changes` replace them, or remove them if nothing follows the colon.
pub(crate) fn request(method: &str, changes: &str, body: &str) -> String {
    let length = body.len().to_string();
    let mut headers = vec![
        ("Host", "127.0.0.1"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    if !body.is_empty() || method == "POST" {
        headers.push(("Content-Length", &length));
    }
    let changes: Vec<_> = changes
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim_start_matches(' ')))
        .collect();
    headers.retain(|(key, _)| !changes.iter().any(|(k, _)| k.eq_ignore_ascii_case(key)));
    headers.extend(changes.into_iter().filter(|(_, value)| !value.is_empty()));
    let headers: String = headers
        .iter()
        .map(|(key, value)| format!("{key}: {value}\r\n"))
        .collect();
    format!("{method} /mcp HTTP/1.1\r\n{headers}\r\n{body}")
}

pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{},"elicitation":{}}}"#;

/// A modern request with all its headers.
pub(crate) fn modern(method: &str, name: Option<&str>, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}{META}}}}}"#
    );
    let name = name.map_or(String::new(), |name| format!("Mcp-Name: {name}"));
    let headers = format!("MCP-Protocol-Version: 2026-07-28\nMcp-Method: {method}\n{name}");
    request("POST", &headers, &body)
}

pub(crate) fn initialize(version: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{"sampling":{{}},"elicitation":{{}}}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    );
    request("POST", "", &body)
}

impl Running {
    /// Opens a legacy session and returns its id.
    pub(crate) async fn session(&self, version: &str) -> String {
        let reply = self.ask(initialize(version).as_bytes()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.header("mcp-session-id").unwrap().to_owned()
    }
}

/// A request in a legacy session.
pub(crate) fn legacy(session: &str, body: &str) -> String {
    let headers = format!("MCP-Protocol-Version: 2025-11-25\nMcp-Session-Id: {session}");
    request("POST", &headers, body)
}

pub(crate) fn get(session: &str, changes: &str) -> String {
    let headers = format!(
        "Accept: text/event-stream\nContent-Type:\nMCP-Protocol-Version: 2025-11-25\nMcp-Session-Id: {session}\n{changes}"
    );
    request("GET", &headers, "")
}
