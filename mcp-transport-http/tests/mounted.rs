//! The service in another web server, and over HTTP/2.

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use mcp_server::{Cx, Server, tool};
use mcp_transport_http::{HttpClient, HttpService, ListenerOptions};
use support::{META, serve_with, soon};
use tokio::net::TcpListener;
use tower_service::Service;

async fn steps(cx: Cx) -> &'static str {
    let progress = cx.progress();
    for _ in 0..3 {
        progress.step("step").await;
    }
    "Done."
}

/// Takes longer than the end of a server would let it.
async fn slow(cx: Cx) -> &'static str {
    cx.progress().step("step").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    "Done."
}

fn service() -> HttpService {
    let server = Server::new("mounted", "1.0.0")
        .tool(tool("steps", steps))
        .tool(tool("slow", slow))
        .start();
    HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions))
}

#[tokio::test]
async fn axum_serves_it_beside_other_things() {
    let app = Router::new()
        .route_service("/mcp", service())
        .route("/health", get(|| async { "well" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    for era in [mcp_client::EraChoice::Legacy, mcp_client::EraChoice::Modern] {
        let client = mcp_client::Client::builder("client", "1.0.0")
            .era(era)
            .connect(HttpClient::new().connect(&url).unwrap());
        let client = soon(client).await.unwrap();
        let mut seen = 0;
        let call = client
            .call_tool("steps", serde_json::json!({}))
            .on_progress(|_| seen += 1);
        assert_eq!(soon(call.into_future()).await.unwrap().to_text(), "Done.");
        assert_eq!(seen, 3);
        soon(client.close()).await;
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_outlives_the_value_that_was_asked() {
    let meta = META.replacen('{', r#"{"progressToken":1,"#, 1);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"slow",{meta}}}}}"#
    );
    let request = Request::post("http://localhost/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "slow")
        .body(Full::<Bytes>::from(body))
        .unwrap();
    let response = service().call(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("step") && body.contains("Done."), "{body}");
}

#[tokio::test]
async fn http_2_carries_many_requests_on_one_connection() {
    // Whatever times it has.
    let mut options = ListenerOptions::default();
    options.head_time = Duration::MAX;
    options.write_time = Duration::MAX;
    let server = serve_with(service(), options).await;
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let request = || {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"steps",{META}}}}}"#
        );
        Request::post(server.url())
            .version(Version::HTTP_2)
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "steps")
            .body(Full::from(body))
            .unwrap()
    };
    let requests = (0..20).map(|_| http.request(request()));
    for response in soon(futures::future::join_all(requests)).await {
        let response = response.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, Version::HTTP_2)
        );
        let body = soon(response.into_body().collect())
            .await
            .unwrap()
            .to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("Done."));
    }
}
