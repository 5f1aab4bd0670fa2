//! A client played by hand over `duplex`, in any revision; every message is checked against that revision's schema.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(
    clippy::allow_attributes,
    reason = "whether something is unused depends on the test"
)]

mod schema;

use std::collections::{BTreeMap, HashMap};

use futures::{SinkExt, StreamExt};
use mcp_peer::{Duplex, Peer, duplex};
use mcp_server::types::{Era, Inbound, Message, ParseLimits, ProtocolVersion};
use mcp_server::{Extensions, ServerConnection};
use mcp_testing::soon;
use serde_json::{Value, json};

pub(crate) use schema::Schemas;

pub(crate) const ALL: [ProtocolVersion; 5] = ProtocolVersion::ALL;

/// What a client declares that can do everything.
pub(crate) fn everything() -> Value {
    json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {} })
}

type Answer = Box<dyn Fn(&Value) -> Value + Send>;

/// A client by hand.
pub(crate) struct Hand {
    /// The connection closes with the last handle on it.
    _server: Peer,
    io: Duplex,
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: Value,
    next_id: u64,
    schemas: Option<Schemas>,
    /// The methods of requests under way, by id, for choosing the schema of their answers.
    asked: BTreeMap<String, String>,
    /// What is answered to the server's questions, by method.
    answers: HashMap<&'static str, Answer>,
    /// The notifications that came.
    pub(crate) seen: Vec<Value>,
    /// Whether requests want logs.
    pub(crate) log_level: Option<&'static str>,
    /// What the server declared.
    pub(crate) offered: Value,
    /// How many messages were checked.
    pub(crate) checked: usize,
}

impl Hand {
    /// Connects as a client that can do everything.
    pub(crate) async fn connect(server: &ServerConnection, version: ProtocolVersion) -> Self {
        Self::connect_as(server, version, everything()).await
    }

    pub(crate) async fn connect_as(
        server: &ServerConnection,
        version: ProtocolVersion,
        capabilities: Value,
    ) -> Self {
        Self::connect_with(server, version, capabilities, Extensions::new()).await
    }

    /// Connects as somebody of whom something is known.
    pub(crate) async fn connect_with(
        server: &ServerConnection,
        version: ProtocolVersion,
        capabilities: Value,
        extensions: Extensions,
    ) -> Self {
        let (left, right) = duplex(16);
        let connection = server.connect_with(right, extensions).unwrap();
        tokio::spawn(connection.driver);
        let mut hand = Self {
            _server: connection.peer,
            io: left,
            version,
            capabilities,
            next_id: 0,
            schemas: Schemas::load(version),
            asked: BTreeMap::new(),
            answers: HashMap::new(),
            seen: Vec::new(),
            log_level: None,
            offered: Value::Null,
            checked: 0,
        };
        if version.era() == Era::Legacy {
            let params = json!({
                "protocolVersion": version.as_str(),
                "capabilities": hand.capabilities,
                "clientInfo": { "name": "hand", "version": "1" },
            });
            let result = hand.call("initialize", params).await.unwrap();
            assert_eq!(result["protocolVersion"], version.as_str());
            hand.offered = result["capabilities"].clone();
            let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            hand.send(initialized).await;
        } else {
            let result = hand.call("server/discover", json!({})).await.unwrap();
            hand.offered = result["capabilities"].clone();
        }
        hand
    }

    /// Answers the server's questions of a method.
    pub(crate) fn answer(
        &mut self,
        method: &'static str,
        answer: impl Fn(&Value) -> Value + Send + 'static,
    ) {
        self.answers.insert(method, Box::new(answer));
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.version.era() == Era::Modern
    }

    /// Sends a request and returns its id.
    pub(crate) async fn request(&mut self, method: &str, mut params: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        if self.is_modern() {
            let mut meta = json!({
                "io.modelcontextprotocol/protocolVersion": self.version.as_str(),
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": { "name": "hand", "version": "1" },
            });
            if let Some(level) = self.log_level {
                meta["io.modelcontextprotocol/logLevel"] = level.into();
            }
            if let Some(own) = params.get("_meta").and_then(Value::as_object) {
                meta.as_object_mut().unwrap().extend(own.clone());
            }
            params["_meta"] = meta;
        }
        self.asked.insert(id.to_string(), method.to_owned());
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(request).await;
        id
    }

    /// Sends a request that no schema allows.
    pub(crate) async fn send_unchecked(&mut self, method: &str, params: Value) -> u64 {
        let schemas = self.schemas.take();
        let id = self.request(method, params).await;
        self.schemas = schemas;
        id
    }

    /// Makes a request, answers what the server asks on the way, and returns the result or the error.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let mut outcome = self.once(method, params.clone()).await;
        for _ in 0..10 {
            let result = outcome?;
            if result["resultType"] != "input_required" {
                return Ok(result);
            }
            let mut retry = params.clone();
            for (key, question) in result["inputRequests"].as_object().unwrap() {
                retry["inputResponses"][key] = self.reply(question);
            }
            retry["requestState"] = result["requestState"].clone();
            outcome = self.once(method, retry).await;
        }
        panic!("{method} asks for ever");
    }

    /// Makes a single round.
    pub(crate) async fn once(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.request(method, params).await;
        self.outcome(id).await
    }

    /// The outcome of a request.
    pub(crate) async fn outcome(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let message = self.next().await;
            if message.get("method").is_none() {
                assert_eq!(message["id"], id, "{message}");
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].clone()),
                };
            }
            if message.get("id").is_none() {
                self.seen.push(message);
                continue;
            }
            let result = self.reply(&message);
            let response = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
            let method = message["method"].as_str().unwrap().to_owned();
            self.check_result(&method, &result);
            self.send(response).await;
        }
    }

    fn reply(&self, question: &Value) -> Value {
        let method = question["method"].as_str().unwrap();
        let answer = self.answers.get(method);
        answer.unwrap_or_else(|| panic!("no answer to {question}"))(&question["params"])
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.check(&message);
        let inbound = Inbound::parse(message.to_string().into(), ParseLimits::default());
        let Inbound::Message(message) = inbound else {
            panic!("{message} is no message");
        };
        soon(self.io.send(message.into())).await.unwrap();
    }

    /// The next message of the server's.
    pub(crate) async fn next(&mut self) -> Value {
        let item = soon(self.io.next()).await;
        let Inbound::Message(message) = item.expect("the connection lives").unwrap() else {
            panic!("only messages come over a duplex");
        };
        let method = match &message {
            Message::Response(response) => {
                let id = response.id.as_ref().map(ToString::to_string);
                id.and_then(|id| self.asked.remove(&id))
            }
            Message::Request(_) | Message::Notification(_) => None,
        };
        let message: Value = serde_json::from_str(&message.to_string()).unwrap();
        self.check(&message);
        if let (Some(method), Some(result)) = (method, message.get("result")) {
            self.check_result(&method, result);
        }
        message
    }

    fn check(&mut self, message: &Value) {
        if let Some(schemas) = &mut self.schemas {
            schemas.check_message(message);
            self.checked += 1;
        }
    }

    fn check_result(&mut self, method: &str, result: &Value) {
        if let Some(schemas) = &mut self.schemas {
            schemas.check_result(method, result);
        }
    }

    /// The texts of the log messages and progress reports that came, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        let line = |message: &Value| match message["method"].as_str().unwrap() {
            "notifications/message" => format!("log {}", message["params"]["data"]),
            "notifications/progress" => {
                let progress = message["params"]["progress"].as_f64().unwrap();
                format!("progress {progress}")
            }
            other => other.to_owned(),
        };
        self.seen.iter().map(line).collect()
    }
}

/// The text of a result's first block.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// The code of an error, which is what was expected.
pub(crate) fn code(outcome: Result<Value, Value>) -> i64 {
    match outcome {
        Err(error) => error["code"].as_i64().unwrap(),
        Ok(result) => panic!("no error, but {result}"),
    }
}
