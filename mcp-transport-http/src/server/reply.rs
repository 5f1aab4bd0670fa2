//! Answers that need no server: refusals, and messages as bodies.

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use mcp_types::{ErrorCode, ErrorObject, Message, RequestId};

use super::body::Body;

pub(super) fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::with_capacity(message.weight() + 64);
    message.write(&mut out);
    out.freeze()
}

/// A message as the whole body.
pub(super) fn json(status: StatusCode, message: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(message));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A stream of events.
pub(super) fn events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that collect a response before they pass it on would hold back every event (REQ-HTTPM-11).
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A request that is not taken, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) id: Option<RequestId>,
    pub(super) error: ErrorObject,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            id: None,
            error: ErrorObject::new(ErrorCode::INVALID_REQUEST, message),
            header: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// REQ-HTTPM-08
    pub(super) fn header_mismatch(message: impl Into<String>) -> Self {
        let mut refusal = Self::bad_request(message);
        refusal.error.code = ErrorCode::HEADER_MISMATCH;
        refusal
    }

    pub(super) fn error(mut self, error: ErrorObject) -> Self {
        self.error = error;
        self
    }

    pub(super) fn about(mut self, id: Option<RequestId>) -> Self {
        self.id = id;
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let message = Message::error(refusal.id, refusal.error);
        let mut response = json(refusal.status, encode(&message));
        if let Some((name, value)) = refusal.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
