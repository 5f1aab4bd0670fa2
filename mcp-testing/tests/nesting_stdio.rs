//! A request within a request within a request, both ways, with a real child process on its stdin and stdout.
//!
//! The child is this binary, which therefore does without the usual harness: that would write on the child's stdout.

use std::sync::{Arc, OnceLock};

use mcp_peer::session::{CallOptions, ClientConfig, EraChoice, RequestError, ServerConfig};
use mcp_peer::types::{ErrorObject, Implementation, ObjectBuf, RawJson};
use mcp_peer::{Answer, Closed, HandlerFuture, Options, Peer, Request};
use mcp_testing::soon;
use mcp_transport_stdio::ChildProcess;
use serde_json::{Value, json};

const MARK: &str = "MCP_TESTING_NESTING_CHILD";

#[tokio::main]
async fn main() {
    if std::env::var_os(MARK).is_some() {
        return serve().await;
    }
    three_levels_over_stdio().await;
    println!("three levels over stdio ... ok");
}

fn depth(request: &Request) -> u64 {
    let params = request.params::<Value>().expect("an object");
    params["depth"].as_u64().expect("a depth")
}

fn params(depth: u64) -> ObjectBuf {
    // Longer than a pipe holds, so that both sides are always in the middle of something.
    let params = json!({ "depth": depth, "text": "x".repeat(100_000) });
    ObjectBuf::encode(&params).expect("an object")
}

fn answer(outcome: Result<RawJson, RequestError>) -> Answer {
    match outcome {
        Ok(_) => Answer::Result(ObjectBuf::new()),
        Err(error) => Answer::Error(ErrorObject::internal(error.to_string())),
    }
}

/// The child: its tool asks the client to sample.
async fn serve() {
    let tool = |request: Request| -> HandlerFuture {
        Box::pin(async move {
            match depth(&request) {
                0 => Answer::Result(ObjectBuf::new()),
                depth => {
                    let (method, options) = ("sampling/createMessage", CallOptions::default());
                    answer(
                        request
                            .context
                            .ask(method, params(depth - 1), options)
                            .await,
                    )
                }
            }
        })
    };
    let transport = mcp_transport_stdio::stdio().expect("stdin and stdout are open");
    let config = ServerConfig::new(Implementation::new("child", "1"));
    let connection = mcp_peer::server(transport, config, Arc::new(tool), Options::default());
    connection.driver.await.expect("the pipes hold");
}

/// The parent: its sampler calls the child's tool again.
async fn three_levels_over_stdio() {
    let handle: Arc<OnceLock<Peer>> = Arc::default();
    let own = Arc::clone(&handle);
    let sampler = move |request: Request| -> HandlerFuture {
        let peer = own.get().expect("set before the first call").clone();
        Box::pin(async move {
            match depth(&request) {
                0 => Answer::Result(ObjectBuf::new()),
                depth => {
                    let options = CallOptions::default();
                    answer(
                        peer.request_raw("x".into(), params(depth - 1), options, |_| ())
                            .await,
                    )
                }
            }
        })
    };
    let this = std::env::current_exe().expect("this binary has a path");
    let child = ChildProcess::new(this).env(MARK, "1").spawn();
    let mut config = ClientConfig::new(Implementation::new("parent", "1"));
    config.era = EraChoice::Legacy;
    config.capabilities.sampling = Some(Default::default());
    let child = child.expect("this binary starts");
    let connection = mcp_peer::client(child, config, Arc::new(sampler), Options::default());
    let driving = tokio::spawn(connection.driver);
    let peer = connection.peer;
    soon(peer.opened()).await.expect("the child answers");
    assert!(handle.set(peer.clone()).is_ok());
    // Several at a time, each three levels deep on either side.
    let calls =
        (0..5).map(|_| peer.request_raw("x".into(), params(6), CallOptions::default(), |_| ()));
    for outcome in soon(futures::future::join_all(calls)).await {
        assert_eq!(outcome.expect("no level fails").as_str(), "{}");
    }
    peer.close();
    assert_eq!(soon(peer.closed()).await, Closed::ByUs);
    soon(driving)
        .await
        .expect("no panic")
        .expect("the child ends well");
}
