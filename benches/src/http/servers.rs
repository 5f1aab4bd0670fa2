//! The servers, each on one thread.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{once, pending};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mcp_transport_http::{HttpListener, HttpService};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::Make;
use crate::{Failure, floor, ours, theirs};

/// Serves until the process is ended.
///
/// # Errors
/// The listener breaks.
pub async fn serve(make: Make, listener: TcpListener) -> Result<(), Failure> {
    match make {
        Make::Floor => serve_by_hyper(listener, service_fn(floor_answer)).await,
        Make::Ours => {
            let listener = HttpListener::from(listener);
            listener.serve(service(), std::future::pending()).await;
            Ok(())
        }
        Make::Rmcp | Make::RmcpJson => {
            let json = make == Make::RmcpJson;
            let config = StreamableHttpServerConfig::default().with_json_response(json);
            let sessions = Arc::new(LocalSessionManager::default());
            let service = StreamableHttpService::new(|| Ok(theirs::server()), sessions, config);
            serve_by_hyper(listener, TowerToHyperService::new(service)).await
        }
    }
}

/// Ours, for whatever listens.
pub fn service() -> HttpService {
    let server = ours::server().start();
    HttpService::renewing(move |c| server.serve_with(c.transport, c.extensions)).path("/mcp")
}

async fn serve_by_hyper<S, B>(listener: TcpListener, service: S) -> Result<(), Failure>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Failure>,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // It ends when its client goes away, in whichever way.
            let _ = connection.await;
        });
    }
}

type Events = UnsyncBoxBody<Bytes, Infallible>;

/// Reads the whole body, parses it once, and looks at the headers that say the same.
async fn floor_answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Events>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.method == Method::GET {
        return Ok(floor_events(Bytes::from_static(b": open\n\n")));
    }
    let body = body.collect().await.map(|body| body.to_bytes());
    let body = body.unwrap_or_default();
    let named = head.headers.get("mcp-method");
    let listens = named.is_some_and(|method| method == "subscriptions/listen");
    let answer = floor::reply(&body).await.unwrap_or_default();
    if listens {
        let event = [b"event: message\ndata: ", answer.trim_ascii_end(), b"\n\n"].concat();
        return Ok(floor_events(event.into()));
    }
    let status = match answer.is_empty() {
        true => StatusCode::ACCEPTED,
        false => StatusCode::OK,
    };
    let mut response = Response::new(Either::Left(Full::from(answer)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    if named.is_none() && !head.headers.contains_key("mcp-session-id") {
        static SESSIONS: AtomicUsize = AtomicUsize::new(0);
        let id = HeaderValue::from(SESSIONS.fetch_add(1, Ordering::Relaxed));
        response.headers_mut().insert("mcp-session-id", id);
    }
    Ok(response)
}

/// One event, and then nothing more.
fn floor_events(first: Bytes) -> Response<Either<Full<Bytes>, Events>> {
    let events = once(std::future::ready(first)).chain(pending());
    let events = StreamBody::new(events.map(|data| Ok(Frame::data(data))));
    let mut response = Response::new(Either::Right(events.boxed_unsync()));
    let events = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, events);
    response
}
