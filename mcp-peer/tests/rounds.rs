//! Requests that are answered with questions, and go on with another request.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod stage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use mcp_peer::session::{ApiMisuse, CallOptions, InputRequired, RequestError};
use mcp_peer::types::ObjectBuf;
use mcp_peer::{Answer, Options, Peer, RequestContext, Rounds};
use serde_json::json;
use stage::{Stage, ok, serve, server_with};

/// What was seen of a request that was parked.
type Parked = Arc<Mutex<Option<(RequestContext, Rounds)>>>;

/// Parks the first request; resumes it with the next one that has the state.
async fn parking(parked: &Parked) -> (Peer, Stage) {
    let parked = Arc::clone(parked);
    let handler = serve(move |request| {
        let mut parked = parked.lock().unwrap();
        let answer = match &*parked {
            Some((_, rounds)) => {
                rounds.resume(&request.context);
                ok()
            }
            None => {
                *parked = Some((request.context.clone(), request.context.rounds()));
                Answer::InputRequired(InputRequired {
                    questions: BTreeMap::new(),
                    state: Some("parked".to_owned()),
                })
            }
        };
        std::future::ready(answer)
    });
    let (_driving, peer, stage) = server_with(handler, Options::default()).await;
    (peer, stage)
}

async fn request(stage: &mut Stage, id: u64) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "roots": {} },
    });
    let params = json!({ "name": "t", "_meta": meta });
    stage
        .send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
        .await;
}

async fn call(stage: &mut Stage, id: u64) {
    request(stage, id).await;
    let answer = stage.next().await.unwrap();
    let kind = if id == 1 {
        "input_required"
    } else {
        "complete"
    };
    assert_eq!(answer["result"]["resultType"], kind, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_input_has_ended_when_its_last_round_has() {
    for resumed in [true, false] {
        let parked = Parked::default();
        let (_peer, mut stage) = parking(&parked).await;
        call(&mut stage, 1).await;
        let context = parked.lock().unwrap().as_ref().unwrap().0.clone();
        let mut before = Box::pin(context.ended());
        assert!(before.as_mut().now_or_never().is_none());
        match resumed {
            true => call(&mut stage, 2).await,
            false => *parked.lock().unwrap() = None,
        }
        assert!(before.now_or_never().is_some());
        assert!(context.ended().now_or_never().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_handler_that_is_gone_is_told() {
    let (contexts, mut came) = tokio::sync::mpsc::unbounded_channel();
    let handler = serve(move |request| {
        let rounds = request.context.rounds();
        contexts.send(request.context).unwrap();
        async move {
            let _rounds = rounds;
            std::future::pending().await
        }
    });
    let (_driving, _peer, mut stage) = server_with(handler, Options::default()).await;
    request(&mut stage, 1).await;
    let context = came.recv().await.unwrap();
    let ask = || context.ask("roots/list", ObjectBuf::new(), CallOptions::default());
    let mut asking = Box::pin(ask());
    assert!(asking.as_mut().now_or_never().is_none());
    let cancel = json!({ "requestId": 1 });
    stage
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel }))
        .await;
    context.ended().await;
    tokio::task::yield_now().await;
    assert_eq!(asking.now_or_never(), Some(Err(RequestError::Cancelled)));
    let late = ask().await;
    assert_eq!(late, Err(ApiMisuse::Ended.into()));
}
