//! An application of axum that has MCP beside its own routes, over HTTP at `/mcp` and over WebSocket at `/ws`:
//! `axum_app [ADDRESS]`. Who has a token is somebody, and a signal ends all of it in good order.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use mcp_server::types::{Extensions, Principal};
use mcp_server::{Cx, Server, ServerConnection, tool};
use mcp_transport_http::{Denied, HttpService};
use mcp_transport_stdio::shutdown_signal;
use mcp_transport_ws::{AcceptOptions, Refusal, upgrade};

/// Says who asks, after some work
#[tool]
async fn report(cx: Cx) -> String {
    cx.progress().step("at work").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let who = cx.extension::<Principal>();
    who.map_or("for nobody".into(), |who| format!("for {who}"))
}

/// Where a real one would look the token up.
fn principal(headers: &HeaderMap) -> Option<Principal> {
    match headers.get("authorization")?.to_str().ok()? {
        "Bearer alices-token" => Some(Principal::new("alice")),
        _ => None,
    }
}

async fn websocket(
    State((server, options)): State<(ServerConnection, AcceptOptions)>,
    mut request: Request,
) -> impl IntoResponse {
    let upgrade = upgrade(&mut request, &options).await;
    if let Some(pending) = upgrade.pending {
        tokio::spawn(async move {
            // How a connection ends is its client's matter.
            if let Ok(client) = pending.accept().await {
                let _ = server.serve_with(client.socket, client.extensions).await;
            }
        });
    }
    upgrade.response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let server = Server::new("app", "1.0.0").tool(report::tool()).start();

    let serving = server.clone();
    let http = HttpService::renewing(move |c| serving.serve_with(c.transport, c.extensions))
        .authenticate(|parts| {
            let denied = || Denied::Unauthorized {
                challenge: "Bearer".into(),
            };
            std::future::ready(principal(&parts.headers).map(Some).ok_or_else(denied))
        });
    let options = AcceptOptions::new().authorize(|handshake| {
        let known = principal(&handshake.headers).map(|who| Extensions::new().with(who));
        let refused = || Refusal::unauthorized(HeaderValue::from_static("Bearer"));
        std::future::ready(known.ok_or_else(refused))
    });

    let app = Router::new()
        .route("/health", get(|| async { "well" }))
        .route_service("/mcp", http.clone())
        .route("/ws", get(websocket))
        .with_state((server.clone(), options));
    let listener = tokio::net::TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let listener = listener.await?;
    println!("listening on {}", listener.local_addr()?);
    // Without it, messages in a row wait for the peer's delayed acknowledgement: 40 ms.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    let end = async move {
        let _ = shutdown_signal().await;
        // The streams over HTTP, and whatever else there is, WebSockets among it: calls are answered first.
        tokio::join!(http.shutdown(), server.shutdown(Duration::from_secs(10)));
    };
    Ok(axum::serve(listener, app)
        .with_graceful_shutdown(end)
        .await?)
}
