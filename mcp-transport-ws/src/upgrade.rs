//! WebSockets within an HTTP server: hyper, and what is built on it, such as axum.

use http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use mcp_types::Extensions;
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use crate::accept::{AcceptError, Accepted};
use crate::handshake::SUBPROTOCOL;
use crate::policy::{AcceptOptions, Refusal};
use crate::socket::{Limits, WebSocket};

/// What a request for a WebSocket comes to; see [`upgrade`].
#[derive(Debug)]
#[must_use = "the response must be sent"]
pub struct Upgrade {
    /// To be sent in any case: the 101, or why not.
    pub response: Response<String>,
    /// The connection, if there is to be one.
    pub pending: Option<PendingUpgrade>,
}

/// A connection that is there as soon as the response is sent.
#[derive(Debug)]
pub struct PendingUpgrade {
    on_upgrade: OnUpgrade,
    limits: Limits,
    extensions: Extensions,
}

/// Answers a request for a WebSocket within an HTTP server.
///
/// ```no_run
/// use http::{Request, Response};
/// use mcp_transport_ws::{AcceptOptions, upgrade};
///
/// async fn handler<B>(mut request: Request<B>) -> Response<String> {
///     let upgrade = upgrade(&mut request, &AcceptOptions::new()).await;
///     if let Some(pending) = upgrade.pending {
///         tokio::spawn(async move {
///             let accepted = pending.accept().await?;
///             drop(accepted.socket); // or serve it
///             Ok::<_, mcp_transport_ws::AcceptError>(())
///         });
///     }
///     upgrade.response
/// }
/// ```
///
/// # Cancel safety
/// Nothing has happened if the future is dropped.
pub async fn upgrade<B>(request: &mut Request<B>, options: &AcceptOptions) -> Upgrade {
    match admit(request, options).await {
        Ok(upgrade) => upgrade,
        Err(refusal) => Upgrade {
            response: refused(refusal),
            pending: None,
        },
    }
}

async fn admit<B>(request: &mut Request<B>, options: &AcceptOptions) -> Result<Upgrade, Refusal> {
    let is_http_1_1 = request.version() == Version::HTTP_11;
    let is_get = request.method() == Method::GET;
    let granted = options.judge(is_get, is_http_1_1, request.headers())?;
    let admitted = options.admit(request.uri().clone(), request.headers().clone());
    let admitted = timeout(options.handshake_time, admitted).await;
    let extensions = admitted.map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the handshake took too long",
        )
    })??;
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accepted = HeaderValue::try_from(derive_accept_key(granted.key.as_bytes()));
    headers.insert(
        SEC_WEBSOCKET_ACCEPT,
        accepted.expect("Base64 is a header's value"),
    );
    if granted.subprotocol {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
    }
    Ok(Upgrade {
        response,
        pending: Some(PendingUpgrade {
            on_upgrade: hyper::upgrade::on(request),
            limits: options.limits.clone(),
            extensions,
        }),
    })
}

fn refused(refusal: Refusal) -> Response<String> {
    let mut response = Response::new(refusal.reason + "\n");
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if refusal.status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if let Some(challenge) = refusal.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

impl PendingUpgrade {
    /// Waits until the response is sent; the connection is the WebSocket's then.
    ///
    /// # Errors
    /// [`AcceptError::Io`]: the connection ended before.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub async fn accept(self) -> Result<Accepted<TokioIo<Upgraded>>, AcceptError> {
        let upgraded = self.on_upgrade.await.map_err(std::io::Error::other)?;
        let io = TokioIo::new(upgraded);
        Ok(Accepted {
            // What was read behind the request comes out of `upgraded` first.
            socket: WebSocket::new(io, Role::Server, self.limits, &[]),
            extensions: self.extensions,
        })
    }
}
