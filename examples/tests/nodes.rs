//! One server on two nodes: processes that share nothing but a key, behind a proxy that sends each request to the next of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client as Forward;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_client::types::{CreateMessageResult, ElicitParams, ElicitResult};
use mcp_client::{Client, EraChoice};
use mcp_transport_http::HttpClient;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// A process of `everything`.
struct Node {
    address: SocketAddr,
    _process: Child,
}

impl Node {
    async fn start(key: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everything"));
        command
            .args(["--http", "127.0.0.1:0"])
            .stderr(Stdio::piped());
        match key {
            Some(key) => command.env("REPLAY_KEY", key),
            None => command.env_remove("REPLAY_KEY"),
        };
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        // Whatever else it has to say must have somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let url: Uri = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        Self {
            address: url.authority().unwrap().as_str().parse().unwrap(),
            _process: process,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

/// Sends each request to the next node in turn.
struct RoundRobin {
    nodes: Vec<SocketAddr>,
    requests: AtomicUsize,
    forward: Forward<HttpConnector, BoxBody<Bytes, hyper::Error>>,
}

impl RoundRobin {
    async fn start(nodes: &[&Node]) -> (Arc<Self>, String) {
        let proxy = Arc::new(Self {
            nodes: nodes.iter().map(|node| node.address).collect(),
            requests: AtomicUsize::new(0),
            forward: Forward::builder(TokioExecutor::new()).build_http(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let serving = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let proxy = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&proxy).pass(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (proxy, url)
    }

    async fn pass(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Infallible> {
        let turn = self.requests.fetch_add(1, Ordering::SeqCst);
        let node = self.nodes[turn % self.nodes.len()];
        *request.uri_mut() = format!("http://{node}/mcp").parse().unwrap();
        let request = request.map(BodyExt::boxed);
        Ok(self.forward.request(request).await.unwrap())
    }
}

async fn client(url: &str, era: EraChoice) -> Client {
    let connecting = Client::builder("client", "1.0.0")
        .era(era)
        .on_sampling(|_| async { Ok(CreateMessageResult::text("stub", "Paris")) })
        .on_elicitation(|params| async move {
            let ElicitParams::Form(form) = params else {
                return Ok(ElicitResult::accept_url());
            };
            let properties = form.schema().unwrap().properties;
            let answers = properties.iter().map(|(name, _)| match name.as_str() {
                "ok" => (name.clone(), json!(true)),
                _ => (name.clone(), json!("Ada")),
            });
            Ok(ElicitResult::accept(
                answers.collect::<serde_json::Map<_, _>>(),
            ))
        })
        .connect(HttpClient::new().connect(url).unwrap());
    soon(connecting).await.unwrap()
}

/// Fails when something hangs, and decides nothing else.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let time = Duration::from_secs(30);
    tokio::time::timeout(time, future).await.expect("it hangs")
}

async fn call(client: &Client, tool: &str, arguments: serde_json::Value) -> Result<String, String> {
    let result = soon(client.call_tool(tool, arguments).into_future()).await;
    let result = result.map_err(|error| error.to_string())?;
    Ok(result.to_text())
}

/// Questions of each kind, and several rounds in one call.
async fn ask(client: &Client) {
    let sampled = call(client, "test_sampling", json!({ "prompt": "The capital?" })).await;
    assert_eq!(sampled.unwrap(), "LLM response: Paris");
    let elicited = call(client, "test_elicitation", json!({ "message": "Who?" })).await;
    assert!(elicited.unwrap().contains("action=accept"));
    let tool = "test_input_required_result_multi_round";
    let rounds = call(client, tool, json!({})).await.unwrap();
    assert_eq!(rounds, "Ada, sure: true");
}

const KEY: &str = "0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000";

#[tokio::test]
async fn any_node_goes_on_with_what_another_has_begun() {
    let (one, two) = (Node::start(Some(KEY)).await, Node::start(Some(KEY)).await);
    let (proxy, url) = RoundRobin::start(&[&one, &two]).await;
    let client = client(&url, EraChoice::Modern).await;
    // An odd number of requests each time: every round of every call comes to either node.
    for _ in 0..4 {
        ask(&client).await;
    }
    client.close().await;
    let requests = proxy.requests.load(Ordering::SeqCst);
    assert!(requests >= 4 * (2 + 2 + 3), "{requests}");
}

/// What makes it work is the key, and nothing else that the nodes could share.
#[tokio::test]
async fn nodes_without_a_common_key_do_not() {
    let other = KEY.replace('0', "1");
    for (first, second) in [(None, None), (Some(KEY), Some(&*other))] {
        let (one, two) = (Node::start(first).await, Node::start(second).await);
        let (_proxy, url) = RoundRobin::start(&[&one, &two]).await;
        let client = client(&url, EraChoice::Modern).await;
        let refused = call(&client, "test_sampling", json!({ "prompt": "p" })).await;
        assert!(refused.is_err(), "{refused:?}");
        client.close().await;
    }
}

/// A handler that waits for its answers needs one process, and serves either era.
#[tokio::test]
async fn one_node_keeps_its_handlers() {
    let node = Node::start(None).await;
    for era in [EraChoice::Modern, EraChoice::Legacy] {
        let client = client(&node.url(), era).await;
        ask(&client).await;
        client.close().await;
    }
}
