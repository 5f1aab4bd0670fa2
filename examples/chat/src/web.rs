//! The page, and the WebSocket through which it speaks MCP.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mcp_server::ServerConnection;
use mcp_transport_ws::{AcceptOptions, upgrade};

/// Everything that is served: the page at `/`, MCP at `/mcp`.
pub fn router(server: ServerConnection, options: AcceptOptions) -> Router {
    let file = |kind, text| get(move || async move { page(kind, text) });
    Router::new()
        .route("/", file("text/html", include_str!("../page/index.html")))
        .route(
            "/style.css",
            file("text/css", include_str!("../page/style.css")),
        )
        .route(
            "/chat.js",
            file("text/javascript", include_str!("../page/chat.js")),
        )
        .route(
            "/mcp.js",
            file("text/javascript", include_str!("../page/mcp.js")),
        )
        .route("/mcp", get(mcp))
        .with_state((server, options))
}

fn page(kind: &str, text: &'static str) -> Response {
    let policy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    let headers = [
        (CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy.to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text).into_response()
}

async fn mcp(
    State((server, options)): State<(ServerConnection, AcceptOptions)>,
    mut request: Request,
) -> impl IntoResponse {
    let upgrade = upgrade(&mut request, &options).await;
    if let Some(pending) = upgrade.pending {
        tokio::spawn(async move {
            let accepted = match pending.accept().await {
                Ok(accepted) => accepted,
                Err(error) => return tracing::debug!(%error, "no connection"),
            };
            let serving = server.serve_with(accepted.socket, accepted.extensions);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    upgrade.response
}
