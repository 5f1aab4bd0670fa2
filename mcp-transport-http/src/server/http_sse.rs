//! HTTP+SSE, the transport of 2024-11-05: a GET opens a session and is the one stream of it; what the client says comes by
//! POSTs beside it, and is answered on the stream.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Response, Uri};
use mcp_types::{Inbound, ParseLimits};

use super::body::Body;
use super::headers;
use super::lanes::LaneStream;
use super::post::{is_answer, malformed, no_session, tell};
use super::reply::{self, Refusal};
use super::service::{Client, Inner};
use super::session::{Kind, Session};
use crate::sse;

/// What the query of a URL calls a session.
const QUERY: &str = "sessionId";

/// The session that a URL names.
pub(super) fn named(uri: &Uri) -> Option<&str> {
    let parameters = uri.query()?.split('&');
    let mut parameters = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, id) = parameters.find(|(name, _)| *name == QUERY)?;
    Some(id)
}

impl Inner {
    /// GET: a session, and its stream (REQ-SSE1-01).
    pub(super) async fn open_stream(
        self: Arc<Self>,
        uri: Uri,
        client: Client,
    ) -> Result<Response<Body>, Refusal> {
        headers::check_accept(&client.headers, &["text/event-stream"])?;
        let session = self.begin(client, Kind::HttpSse).await?;
        let Ok(reader) = session.lanes.listen() else {
            return Err(no_session());
        };
        let mut endpoint = BytesMut::new();
        // Relative to the URL that was asked for, whatever the service is mounted at, and with what that says.
        let (said, and) = match uri.query() {
            None | Some("") => ("", ""),
            Some(said) => (said, "&"),
        };
        let url = format!("?{said}{and}{QUERY}={}", session.id);
        sse::write_event(&mut endpoint, "endpoint", &url);
        let stream = SessionStream {
            events: reader.stream().after(endpoint.freeze()),
            session,
        };
        Ok(reply::events(Body::session(stream)))
    }

    /// POST: one message, whose answer comes on the stream.
    pub(super) async fn post_beside<B>(
        &self,
        client: &Client,
        session: &str,
        body: B,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body + Send,
        B::Error: fmt::Display,
    {
        headers::check_content(&client.headers)?;
        let session = self
            .sessions
            .find(session, Kind::HttpSse, client.principal.as_ref())
            .ok_or_else(no_session)?;
        let body = self.read(pin!(body)).await?;
        match Inbound::parse(body, ParseLimits::default()) {
            Inbound::Malformed(reason) if !is_answer(&reason) => Err(malformed(&reason)),
            inbound => tell(&session, inbound).await,
        }
    }
}

/// The stream of a session, which ends with it: nobody can come back.
pub(super) struct SessionStream {
    events: LaneStream,
    session: Arc<Session>,
}

impl SessionStream {
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.events.poll_data(cx)
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        self.session.end();
    }
}
