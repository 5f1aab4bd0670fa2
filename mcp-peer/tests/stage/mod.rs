//! Connections whose other end is played by hand.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use mcp_peer::session::{CallOptions, ClientConfig, EraChoice, RequestError, ServerConfig};
use mcp_peer::types::{
    Implementation, Inbound, Message, Notification, ObjectBuf, RawJson, ServerCapabilities,
};
use mcp_peer::{
    Answer, Connection, ConnectionError, Duplex, DuplexError, Handler, HandlerFuture, Options,
    Peer, Request, duplex,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A peer that is played by hand: JSON in, JSON out.
pub(crate) struct Stage(pub(crate) Duplex);

impl Stage {
    pub(crate) async fn send(&mut self, message: Value) {
        self.0.send(parse(&message).into()).await.unwrap();
    }

    /// Answers a request.
    pub(crate) async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }))
            .await;
    }

    /// The next message, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        match self.0.next().await? {
            Ok(Inbound::Message(message)) => Some(json_of(&message)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn expect(&mut self, method: &str) -> Value {
        let message = self.next().await.unwrap();
        assert_eq!(message["method"], method, "{message}");
        message
    }

    /// Opens the session of a client that speaks legacy.
    pub(crate) async fn accept(&mut self) {
        let hello = self.expect("initialize").await;
        let result = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "stage", "version": "1" },
        });
        self.answer(&hello, result).await;
        self.expect("notifications/initialized").await;
    }

    /// Opens a legacy session with a server.
    pub(crate) async fn initialize(&mut self) {
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": { "sampling": {} },
            "clientInfo": { "name": "stage", "version": "1" },
        });
        self.send(
            json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params }),
        )
        .await;
        assert_eq!(self.next().await.unwrap()["id"], "init");
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
    }
}

pub(crate) fn parse(message: &Value) -> Message {
    let frame = message.to_string();
    let Inbound::Message(message) = Inbound::parse(frame.into(), Default::default()) else {
        panic!("{message} is no message");
    };
    message
}

pub(crate) fn json_of(message: &Message) -> Value {
    serde_json::from_str(&message.to_string()).unwrap()
}

pub(crate) type Driving = JoinHandle<Result<(), ConnectionError<DuplexError>>>;

pub(crate) fn client_config() -> ClientConfig {
    let mut config = ClientConfig::new(Implementation::new("client", "1"));
    config.era = EraChoice::Legacy;
    config.capabilities.sampling = Some(Default::default());
    config
}

pub(crate) fn server_config() -> ServerConfig {
    let mut config = ServerConfig::new(Implementation::new("server", "1"));
    config.capabilities = ServerCapabilities::default().logging();
    config
}

/// A client with an open legacy session, and the server's end to be played.
pub(crate) async fn client_with(handler: impl Handler, options: Options) -> (Driving, Peer, Stage) {
    let (ours, theirs) = duplex(64);
    let Connection { peer, driver } =
        mcp_peer::client(ours, client_config(), Arc::new(handler), options);
    let driving = tokio::spawn(driver);
    let mut stage = Stage(theirs);
    stage.accept().await;
    peer.opened().await.unwrap();
    (driving, peer, stage)
}

pub(crate) async fn client(handler: impl Handler) -> (Peer, Stage) {
    let (_driving, peer, stage) = client_with(handler, Options::default()).await;
    (peer, stage)
}

/// A server with an open legacy session, and the client's end to be played.
pub(crate) async fn server_with(handler: impl Handler, options: Options) -> (Driving, Peer, Stage) {
    let (ours, theirs) = duplex(64);
    let Connection { peer, driver } =
        mcp_peer::server(ours, server_config(), Arc::new(handler), options);
    let driving = tokio::spawn(driver);
    let mut stage = Stage(theirs);
    stage.initialize().await;
    (driving, peer, stage)
}

pub(crate) async fn server(handler: impl Handler) -> (Driving, Peer, Stage) {
    server_with(handler, Options::default()).await
}

/// A handler made of an async function.
pub(crate) fn serve<F, Fut>(f: F) -> impl Handler
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    move |request| -> HandlerFuture { Box::pin(f(request)) }
}

pub(crate) fn ok() -> Answer {
    Answer::Result(ObjectBuf::new())
}

pub(crate) async fn call(peer: &Peer) -> Result<RawJson, RequestError> {
    peer.request_raw(
        "x/call".into(),
        ObjectBuf::new(),
        CallOptions::default(),
        |_| (),
    )
    .await
}

pub(crate) struct Ticked;
impl Notification for Ticked {
    const METHOD: &'static str = "x/ticked";
    type Params = Value;
}

pub(crate) fn tick(n: usize) -> Value {
    json!({ "jsonrpc": "2.0", "method": "x/ticked", "params": { "n": n } })
}

/// Tasks that the runtime has.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}
