//! A request within a request within a request, both ways, over a pipe that holds a single byte.

mod stage;

use std::sync::{Arc, OnceLock};

use mcp_peer::session::{CallOptions, RequestError};
use mcp_peer::types::{ErrorObject, ObjectBuf, RawJson};
use mcp_peer::{Answer, Dispatch, Options, Peer, Request};
use serde_json::{Value, json};
use stage::{client_config, ok, serve, server_config};
use tokio::time::Instant;

fn depth(request: &Request) -> u64 {
    let params = request.params::<Value>();
    params.ok().and_then(|p| p["depth"].as_u64()).unwrap()
}

fn params(depth: u64) -> ObjectBuf {
    // Longer than the pipe by far, so that both sides are always in the middle of something.
    ObjectBuf::encode(&json!({ "depth": depth, "text": "x".repeat(300) })).unwrap()
}

fn answer(outcome: Result<RawJson, RequestError>) -> Answer {
    match outcome {
        Ok(_) => ok(),
        Err(error) => Answer::Error(ErrorObject::internal(error.to_string())),
    }
}

async fn nested(capacity: usize, options: Options) {
    let (ours, theirs) = tokio::io::duplex(capacity);
    // The server's handler asks the client to sample, …
    let tool = serve(|request: Request| async move {
        match depth(&request) {
            0 => ok(),
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
    });
    // … and the client's handler calls the server's tool again.
    let handle: Arc<OnceLock<Peer>> = Arc::default();
    let own = Arc::clone(&handle);
    let sampler = serve(move |request: Request| {
        let peer = own.get().unwrap().clone();
        async move {
            match depth(&request) {
                0 => ok(),
                depth => {
                    let options = CallOptions::default();
                    answer(
                        peer.request_raw("x".into(), params(depth - 1), options, |_| ())
                            .await,
                    )
                }
            }
        }
    });
    let (ours, theirs) = (mcp_codec::framed(ours), mcp_codec::framed(theirs));
    let server = mcp_peer::server(ours, server_config(), Arc::new(tool), options.clone());
    tokio::spawn(server.driver);
    let client = mcp_peer::client(theirs, client_config(), Arc::new(sampler), options);
    tokio::spawn(client.driver);
    client.peer.opened().await.unwrap();
    handle.set(client.peer.clone()).unwrap();
    let start = Instant::now();
    // Several at a time, each three levels deep on either side.
    let calls = (0..5).map(|_| {
        client
            .peer
            .request_raw("x".into(), params(6), CallOptions::default(), |_| ())
    });
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome.unwrap().as_str(), "{}");
    }
    assert_eq!(
        start.elapsed().as_millis(),
        0,
        "nobody has waited for a timeout"
    );
}

#[tokio::test(start_paused = true)]
async fn three_levels_through_a_pipe_of_one_byte() {
    // TRAP-43
    nested(1, Options::default()).await;
}

#[tokio::test(start_paused = true)]
async fn three_levels_through_a_pipe_of_one_byte_with_a_task_for_each_handler() {
    let mut options = Options::default();
    options.dispatch = Dispatch::Spawn;
    nested(1, options).await;
}
