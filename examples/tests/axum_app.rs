//! The example `axum_app` answers over both transports, and ends when it is told to, but not before what it owes an answer.

#![cfg(unix)]

use std::process::Stdio;
use std::time::Duration;

use mcp_client::Client;
use mcp_transport_http::HttpClient;
use mcp_transport_ws::connect;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::oneshot;

/// Fails when something hangs, and decides nothing else.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.expect("it hangs")
}

fn client() -> mcp_client::ClientBuilder {
    Client::builder("client", "1.0.0")
}

#[tokio::test]
async fn it_answers_over_both_and_ends_when_it_is_told() {
    for signalled_over_http in [true, false] {
        let mut app = Command::new(env!("CARGO_BIN_EXE_axum_app"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(app.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        let address = line.strip_prefix("listening on ").unwrap();
        let (at_mcp, at_ws) = (
            format!("http://{address}/mcp"),
            format!("ws://{address}/ws"),
        );

        let nobody = HttpClient::new().connect(&at_mcp).unwrap();
        let error = soon(client().connect(nobody)).await.unwrap_err();
        assert!(error.to_string().contains("authorization"), "{error}");
        let error = soon(async { connect(at_ws.clone()).await }).await;
        assert!(error.unwrap_err().to_string().contains("401"));

        let http = HttpClient::new().token(|_| async { Some("alices-token".to_owned()) });
        let over_http = soon(client().connect(http.connect(&at_mcp).unwrap()));
        let (name, value) = ("authorization", "Bearer alices-token");
        let socket = connect(at_ws).header(name.parse().unwrap(), value.parse().unwrap());
        let socket = soon(async { socket.await }).await.unwrap();
        let over_ws = soon(client().connect(socket)).await.unwrap();
        let over_http = over_http.await.unwrap();
        for client in [&over_http, &over_ws] {
            let result = soon(client.call_tool("report", json!({})).into_future()).await;
            assert_eq!(result.unwrap().to_text(), "for alice");
        }

        let last = if signalled_over_http {
            &over_http
        } else {
            &over_ws
        };
        let (begun, begins) = oneshot::channel::<()>();
        let mut begun = Some(begun);
        let call = last
            .call_tool("report", json!({}))
            .on_progress(move |_| drop(begun.take()));
        let id = app.id().unwrap().to_string();
        let ending = async {
            let _ = begins.await;
            assert!(
                Command::new("kill")
                    .arg(id)
                    .status()
                    .await
                    .unwrap()
                    .success()
            );
        };
        let (result, ()) = soon(async { tokio::join!(call.into_future(), ending) }).await;
        assert_eq!(result.unwrap().to_text(), "for alice");
        assert!(soon(app.wait()).await.unwrap().success());
    }
}
