//! Progress in its place among the logs, for those who ask for it as a notification.

use std::sync::{Arc, Mutex};

use mcp_client::types::Progress;
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Server, tool};
use mcp_testing::soon;

async fn work(cx: Cx) {
    let progress = cx.progress().total(3);
    for step in ["a", "b", "c"] {
        cx.log().info(step).await;
        progress.step(step).await;
    }
}

#[tokio::test]
async fn progress_is_a_notification_in_the_order_of_the_wire() {
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let (left, right) = mcp_peer::duplex(64);
        tokio::spawn(Server::new("s", "1").tool(tool("work", work)).serve(right));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (logs, progress) = (Arc::clone(&seen), Arc::clone(&seen));
        let client = Client::builder("tester", "1")
            .era(era)
            .on_log(move |log| logs.lock().unwrap().push(format!("log {}", log.text())))
            .on_notification::<Progress>(move |p| progress.lock().unwrap().push(p.to_string()))
            .connect(left);
        let client = soon(client).await.unwrap();
        let mut of_call = Vec::new();
        let call = client
            .call_tool("work", serde_json::json!({}))
            .on_progress(|update| of_call.push(update.to_string()));
        soon(std::future::IntoFuture::into_future(call))
            .await
            .unwrap();
        assert_eq!(of_call, ["1/3 a", "2/3 b", "3/3 c"]);
        let expected = ["log a", "1/3 a", "log b", "2/3 b", "log c", "3/3 c"];
        assert_eq!(*seen.lock().unwrap(), expected);

        // What was not asked for is not there to be seen.
        let call = client.call_tool("work", serde_json::json!({}));
        soon(std::future::IntoFuture::into_future(call))
            .await
            .unwrap();
        assert_eq!(seen.lock().unwrap().len(), expected.len() + 3);
    }
}
