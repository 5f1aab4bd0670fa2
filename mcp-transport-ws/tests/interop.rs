//! Our client against a server of an official SDK, which `interop/ws/run` starts.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use mcp_client::types::CreateMessageResult;
use mcp_client::{Client, EraChoice};
use mcp_testing::soon;
use mcp_transport_ws::connect;
use mcp_types::Era;
use serde_json::json;

#[tokio::test]
#[ignore = "needs the server that interop/ws/run starts"]
async fn their_server() {
    let url = std::env::var("INTEROP_WS_URL").expect("interop/ws/run sets it");
    for era in [EraChoice::Legacy, EraChoice::Auto] {
        soon(everything(&url, era)).await;
    }
}

async fn everything(url: &str, era: EraChoice) {
    let logs = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&logs);
    let client = Client::builder("client", "1")
        .era(era)
        .on_log(move |log| seen.lock().unwrap().push(log.data.to_string()))
        .on_sampling(async |params| {
            let heard = format!("heard {}", params.messages[0].to_text());
            Ok(CreateMessageResult::text("none", heard))
        })
        .connect(connect(url).await.unwrap())
        .await
        .unwrap();
    assert_eq!(client.era(), Era::Legacy, "it knows no other");
    let tools = client.list_tools().await.unwrap();
    assert_eq!(tools[0].name, "work");

    let mut progress = Vec::new();
    let result = client
        .call_tool("work", json!({ "prompt": "a question" }))
        .on_progress(|update| progress.push(update.message.unwrap_or_default()))
        .await
        .unwrap();
    assert_eq!(result.to_text(), "heard a question");
    assert_eq!(progress, ["step 1", "step 2", "step 3"]);
    assert_eq!(*logs.lock().unwrap(), ["\"started\""]);

    let long = "é".repeat(100_000);
    let prompts = (0..50).map(|i| i.to_string()).chain([long]);
    let many = prompts.map(async |prompt| {
        let call = client.call_tool("work", json!({ "prompt": &prompt }));
        assert_eq!(call.await.unwrap().to_text(), format!("heard {prompt}"));
    });
    join_all(many).await;
    let failed = client.call_tool("work", json!({})).await.unwrap();
    assert!(failed.is_error);
    client.close().await;
}
