//! Our server with tools that behave and tools that do not, and the ends of connections to it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io;

use mcp_server::{
    Cx, Json, JsonSchema, NotSent, Sampling, ServeError, Server, ToolError, tool, types,
};
use mcp_testing::{Journal, RawPeer, soon};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

/// A server at work on bytes in memory.
pub(crate) type ServerTask = JoinHandle<Result<(), ServeError<io::Error>>>;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Files {
    file_ids: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) count: usize,
    pub(crate) summary: String,
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only decoding it is of interest")]
struct Order {
    customer: Customer,
    lines: Vec<OrderLine>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only decoding it is of interest")]
struct Customer {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only decoding it is of interest")]
struct OrderLine {
    amount: u32,
}

/// A notification that is no part of the protocol.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) room: String,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn hello() -> Self {
        Self {
            room: "a".to_owned(),
            text: "hello".to_owned(),
        }
    }
}

pub(crate) struct MessageReceived;

impl types::Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Said;
}

/// What the tool `batch` asks the client's model, as the double's does.
pub(crate) fn question(count: usize) -> String {
    format!("Summarise {count} files")
}

/// The counterpart of the double's tool of that name, written once for both eras.
async fn batch(cx: Cx, args: Files) -> Result<Json<Report>, ToolError> {
    let count = args.file_ids.len();
    let progress = cx.progress().total(count);
    for id in &args.file_ids {
        let done = format!("processed {id}");
        cx.log().logger("files").info(&done).await;
        progress.step(done).await;
    }
    let reply = cx.sample(Sampling::user(question(count))).await?;
    Ok(Json(Report {
        count,
        summary: reply.to_text(),
    }))
}

async fn say(cx: Cx) -> Result<String, NotSent> {
    cx.notify::<MessageReceived>(&Said::hello()).await?;
    Ok("said".to_owned())
}

/// What the tool `hold` has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Started,
    Dropped,
}

struct Holding(Journal<Held>);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.push(Held::Dropped);
    }
}

/// What the server's tools have come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    pub(crate) held: Journal<Held>,
}

/// * `batch`, `echo` and `fail` are what the double's tools of these names are;
/// * `order` wants nested arguments;
/// * `say` sends a notification of the program's own;
/// * `hold` never returns, and notes when it starts and when it is dropped;
/// * `panic_at_once` and `panic_later` panic, before and after their first await; `panic_before` does not even make a future;
/// * `panic_after_asking` panics when its question is answered;
/// * `private` fails with an error whose text is nobody's business.
pub(crate) fn server() -> (Server, Watch) {
    let watch = Watch::default();
    let held = watch.held.clone();
    let hold = move || {
        let holding = Holding(held.clone());
        async move {
            holding.0.push(Held::Started);
            std::future::pending::<String>().await
        }
    };
    let server = Server::new("ours", "1.0.0")
        .instructions("Call batch.")
        .with_notifications()
        .tool(tool("batch", batch).describe("Processes files one by one and summarises them"))
        .tool(tool("fail", async || -> Result<(), ToolError> {
            Err(ToolError::new("it fails"))
        }))
        .tool(tool("echo", async |args: Echo| args.text))
        .tool(tool("order", async |_: Order| "ordered"))
        .tool(tool("say", say))
        .tool(tool("hold", hold))
        .tool(tool("panic_before", panic_before))
        .tool(tool("panic_at_once", async || -> String {
            panic!("the tool `panic_at_once` panics, as it is meant to")
        }))
        .tool(tool("panic_later", async || -> String {
            tokio::task::yield_now().await;
            panic!("the tool `panic_later` panics, as it is meant to")
        }))
        .tool(tool("panic_after_asking", panic_after_asking))
        .tool(tool("private", async || -> Result<String, io::Error> {
            Err(io::Error::other(SECRET))
        }));
    (server, watch)
}

/// What must not reach the other side.
pub(crate) const SECRET: &str = "password of the database";

async fn panic_after_asking(cx: Cx) -> Result<String, ToolError> {
    let answer = cx.sample(Sampling::user("?")).await?;
    panic!("the tool panics at {answer:?}, as it is meant to")
}

fn panic_before() -> std::future::Ready<String> {
    panic!("the tool `panic_before` panics, as it is meant to")
}

/// Serves one connection in a task of its own.
pub(crate) fn serve(server: Server, io: DuplexStream) -> ServerTask {
    tokio::spawn(server.serve(mcp_codec::framed(io)))
}

/// The state of a connection, as far as the server sees one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// After an `initialize`.
    Legacy,
    /// No handshake: each request says what it is.
    Modern,
}

pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// What a modern request says of its sender.
pub(crate) fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    })
}

/// A client played by hand, and the server it talks to.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) peer: RawPeer<DuplexStream>,
    pub(crate) serving: ServerTask,
    pub(crate) era: Era,
}

impl ByHand {
    /// Opens a connection of that era to a server; each direction buffers so many bytes.
    pub(crate) async fn connect(server: Server, era: Era, capacity: usize) -> Self {
        let (left, right) = tokio::io::duplex(capacity);
        let serving = serve(server, right);
        let peer = RawPeer::new(left);
        let mut by_hand = Self { peer, serving, era };
        if era == Era::Legacy {
            by_hand.initialize("2025-11-25").await;
        }
        by_hand
    }

    pub(crate) async fn initialize(&mut self, version: &str) {
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        });
        let request =
            json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params});
        self.send(&request).await;
        let reply = self.next().await;
        assert_eq!(reply["result"]["protocolVersion"], version);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    /// A request of the connection's era; what `params` has of `_meta` stays.
    pub(crate) fn request(&self, id: impl Into<Value>, method: &str, mut params: Value) -> Value {
        if self.era == Era::Modern {
            for (key, value) in modern_meta().as_object().into_iter().flatten() {
                let meta = &mut params["_meta"];
                if meta.get(key).is_none() {
                    meta[key] = value.clone();
                }
            }
        }
        json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        soon(self.peer.send(message)).await.expect(LIVES);
    }

    /// The next message from the server.
    pub(crate) async fn next(&mut self) -> Value {
        soon(self.peer.next()).await.expect(LIVES).expect(LIVES)
    }

    /// Sends a request and returns its answer, which must be the next message.
    pub(crate) async fn ask(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let request = self.request(id, method, params);
        self.send(&request).await;
        let reply = self.next().await;
        assert_eq!(reply["id"], request["id"], "{reply}");
        reply
    }

    pub(crate) async fn call(&mut self, id: impl Into<Value>, tool: &str, args: Value) -> Value {
        let params = json!({"name": tool, "arguments": args});
        self.ask(id, "tools/call", params).await
    }

    /// A good call is answered, by the next message.
    pub(crate) async fn lives(&mut self) {
        let reply = self.call("alive?", "echo", json!({"text": "yes"})).await;
        assert_eq!(text(&reply), "yes");
    }

    /// Ends the connection, and expects the server to have nothing to say to that.
    pub(crate) async fn close(mut self) {
        soon(self.peer.finish()).await.expect(LIVES);
        assert_eq!(soon(self.peer.next()).await.expect(LIVES), None);
        soon(self.serving).await.expect(LIVES).expect(LIVES);
    }
}

const LIVES: &str = "the connection should live";

/// The text of a tool's result.
pub(crate) fn text(reply: &Value) -> &str {
    let text = reply["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text in {reply}"))
}
