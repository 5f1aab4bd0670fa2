//! What a client posts: by which rules it is judged, and what becomes of it (inventory 3.4).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use mcp_types::meta::key;
use mcp_types::{
    ErrorCode, ErrorObject, Inbound, Malformed, MalformedKind, Message, OneRequest, ParseLimits,
    ProtocolVersion, RawJson, RequestId, RequestMessage,
};

use super::body::Body;
use super::exchange::{Exchange, First, asked, within};
use super::headers::{self, Claim, Said};
use super::lanes::{FirstOfLane, Reader, Unreadable};
use super::reply::{self, Refusal};
use super::service::{Client, Inner, unavailable};
use super::session::{self, NotTaken, Session, Streams};
use super::shutdown::Ending;
use super::transport::{HttpTransport, Kind};
use crate::head;
use crate::param::{self, Room};

/// What becomes of a message.
enum Posted {
    /// It is a connection of its own, and is answered.
    Exchange(Exchange, Status),
    /// It is one, and is not.
    Note(Exchange),
    /// A session's, and it is answered there.
    Ask(Arc<Session>, RequestMessage),
    AskAll(
        Arc<Session>,
        Vec<Result<Message, Malformed>>,
        Vec<RequestId>,
    ),
    /// A session's, and nobody waits for an answer.
    Tell(Arc<Session>, Inbound),
    Initialize(Client, RequestMessage),
}

/// With what status an error is sent.
type Status = fn(&ErrorObject) -> StatusCode;

/// Of a modern error; `None` where it is an answer like any other (TRAP-19).
fn modern_status(code: ErrorCode) -> Option<StatusCode> {
    match code {
        ErrorCode::METHOD_NOT_FOUND => Some(StatusCode::NOT_FOUND),
        ErrorCode::HEADER_MISMATCH
        | ErrorCode::MISSING_CLIENT_CAPABILITY
        | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => Some(StatusCode::BAD_REQUEST),
        _ => None,
    }
}

impl Inner {
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would keep what it is given twice"
    )]
    pub(super) fn post<B>(
        self: Arc<Self>,
        client: Client,
        body: B,
    ) -> impl Future<Output = Result<Response<Body>, Refusal>> + Send
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: fmt::Display + Send,
    {
        async move {
            headers::check_post(&client.headers)?;
            let body = self.read(pin!(body)).await?;
            let posted = self.judge(client, Inbound::parse(body, ParseLimits::default()))?;
            match posted {
                Posted::Exchange(exchange, status) => Ok(self.answer(exchange, status).await),
                Posted::Note(exchange) => {
                    exchange.finish().await;
                    Ok(reply::empty(StatusCode::ACCEPTED))
                }
                Posted::Tell(session, inbound) => tell(&session, inbound).await,
                Posted::Ask(session, request) => {
                    let id = request.id.clone();
                    let reader = ask(&session, request).await?;
                    match reader.first(self.options.legacy_patience, true).await {
                        FirstOfLane::Answer(answer) => Ok(reply::json(StatusCode::OK, answer)),
                        FirstOfLane::Stream(stream) => Ok(reply::events(Body::lane(stream))),
                        FirstOfLane::Nothing => Err(no_session().about(Some(id))),
                    }
                }
                Posted::AskAll(session, members, ids) => {
                    let batch = Inbound::Batch(members);
                    let slot = session.slot(batch.weight()).await?;
                    let reader = open(&session, &ids)?;
                    slot.send(batch);
                    match reader.first(self.options.legacy_patience, false).await {
                        FirstOfLane::Stream(stream) => Ok(reply::events(Body::lane(stream))),
                        FirstOfLane::Answer(_) | FirstOfLane::Nothing => Err(no_session()),
                    }
                }
                // Once in a session, and larger than all others.
                Posted::Initialize(client, request) => {
                    Box::pin(self.initialize(client, request)).await
                }
            }
        }
    }

    /// By which rules a message is judged, and what becomes of it.
    fn judge(&self, client: Client, inbound: Inbound) -> Result<Posted, Refusal> {
        let claim = Claim::of(&client.headers);
        let claim = claim.map_err(|refusal| refusal.about(asked(&inbound)))?;
        let request = match inbound {
            Inbound::Malformed(reason) => {
                let session = is_answer(&reason).then(|| self.session(&client, claim));
                return match session {
                    Some(Ok(session)) => Ok(Posted::Tell(session, Inbound::Malformed(reason))),
                    _ => Err(malformed(&reason)),
                };
            }
            Inbound::Message(Message::Request(request)) => request,
            Inbound::Message(Message::Notification(notification)) => {
                let version = head::modern_version(notification.params.as_ref());
                let modern = version.is_some() || matches!(claim, Claim::Other(_));
                // REQ-HTTPM-05
                let version = version.as_ref().and_then(RawJson::text);
                headers::same(&client.headers, &head::VERSION, version.as_deref())?;
                let inbound = Inbound::Message(Message::Notification(notification));
                return match modern {
                    // REQ-HTTPM-03
                    true => Ok(Posted::Note(self.start(client, inbound))),
                    // REQ-HTTPL-02
                    false => Ok(Posted::Tell(self.session(&client, claim)?, inbound)),
                };
            }
            Inbound::Message(Message::Response(_)) if matches!(claim, Claim::Other(_)) => {
                let message = "a client posts requests and notifications only";
                return Err(Refusal::bad_request(message));
            }
            inbound @ Inbound::Message(Message::Response(_)) => {
                return Ok(Posted::Tell(self.session(&client, claim)?, inbound));
            }
            Inbound::Batch(members) => return self.batch(&client, claim, members),
        };
        let said = Said::by(&request, &self.last_meta);
        match claim {
            Claim::None if said.is_modern() => {
                let message = format!("the header `{}` is missing", head::VERSION);
                Err(Refusal::header_mismatch(message).about(Some(request.id)))
            }
            _ if said.is_modern() => self.modern(client, request, &said),
            // Without the mark it would open a legacy session, or be taken to belong to one.
            Claim::Other(_) => {
                let key = key::PROTOCOL_VERSION;
                let error = ErrorObject::invalid_params(format!("`_meta.{key}` is missing"));
                Err(Refusal::bad_request("")
                    .error(error)
                    .about(Some(request.id)))
            }
            Claim::None | Claim::Legacy => self.legacy(client, request),
        }
    }

    /// Reads a body, but neither for ever nor without end.
    pub(super) async fn read<B>(&self, mut body: Pin<&mut B>) -> Result<Bytes, Refusal>
    where
        B: http_body::Body + Send,
        B::Error: fmt::Display,
    {
        let limit = self.options.body_bytes;
        let too_long = || {
            let message = format!("a body has {limit} bytes at most");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        // As it was announced.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_long());
        }
        let reading = pin!(async {
            let mut first = Bytes::new();
            let mut rest = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| Refusal::bad_request(format!("the body: {e}")))?;
                let Ok(mut data) = frame.into_data() else {
                    continue;
                };
                if first.len() + rest.len() + data.remaining() > limit {
                    return Err(too_long());
                }
                // Most bodies come in one piece, which need not be copied.
                if first.is_empty() && rest.is_empty() {
                    first = data.copy_to_bytes(data.remaining());
                    continue;
                }
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    rest.extend_from_slice(chunk);
                    let length = chunk.len();
                    data.advance(length);
                }
            }
            Ok(if rest.is_empty() {
                first
            } else {
                rest.freeze()
            })
        });
        let read = within(self.options.body_time, reading).await;
        read.unwrap_or_else(|| {
            let message = "the body did not arrive in time";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, message))
        })
    }

    // ---- modern ----

    fn modern(
        &self,
        client: Client,
        request: RequestMessage,
        said: &Said,
    ) -> Result<Posted, Refusal> {
        let complete = said.is_complete();
        // The engine says what is missing; until then, there is nothing that headers could be compared with (REQ-STATE-07).
        if complete {
            self.check_headers(&client, &request, said)
                .map_err(|refusal| refusal.about(Some(request.id.clone())))?;
        }
        let status: Status = match complete {
            true => |error| modern_status(error.code).unwrap_or(StatusCode::OK),
            false => |error| match error.code {
                ErrorCode::INVALID_PARAMS => StatusCode::BAD_REQUEST,
                code => modern_status(code).unwrap_or(StatusCode::OK),
            },
        };
        Ok(self.exchange(client, request, status))
    }

    fn check_headers(
        &self,
        client: &Client,
        request: &RequestMessage,
        said: &Said,
    ) -> Result<(), Refusal> {
        headers::check_modern(&client.headers, request, said)?;
        if request.method != "tools/call" || self.schemas.is_none() {
            return Ok(());
        }
        let params = request.params.as_ref();
        let [name, arguments] = params
            .map(|params| params.members(["name", "arguments"]))
            .unwrap_or_default();
        let name = name.as_ref().and_then(RawJson::text);
        let Some(schema) = name.and_then(|name| self.schema(&name)) else {
            return Ok(());
        };
        // A schema whose annotations are wrong has none.
        let annotated = param::annotated(&schema, Room::OURS).unwrap_or_default();
        headers::check_params(&client.headers, &annotated, arguments.as_ref())
    }

    /// One request as a connection of its own.
    fn exchange(&self, client: Client, request: RequestMessage, status: Status) -> Posted {
        let inbound = Inbound::Message(Message::Request(request));
        Posted::Exchange(self.start(client, inbound), status)
    }

    async fn answer(&self, exchange: Exchange, status: Status) -> Response<Body> {
        let options = &self.options;
        let first = exchange.first(options.patience, options.keep_alive, &self.resting);
        match first.await {
            First::Answer(message) => {
                let status = match &message {
                    Message::Response(response) => match &response.outcome {
                        Err(error) => status(error),
                        Ok(_) => StatusCode::OK,
                    },
                    _ => StatusCode::OK,
                };
                reply::json(status, reply::encode(&message))
            }
            First::Stream(stream) => reply::events(Body::exchange(stream)),
            First::Untaken(id) => {
                let refusal = unavailable("the server takes no more connections");
                refusal.about(id).into()
            }
            // What it has done by then nobody knows: what says when to come back, or why not, would say that it was nothing.
            First::Nothing => {
                tracing::debug!("a request was cut off");
                reply::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn start(&self, client: Client, inbound: Inbound) -> Exchange {
        let ending = Ending::new(self.shutdown.clone());
        let mut extensions = client.into_extensions().with(OneRequest);
        if let Some(mut rested) = self.resting.take() {
            match rested.driving.renew(extensions) {
                Ok(()) => return Exchange::again(rested, inbound, ending),
                Err(refused) => extensions = refused,
            }
        }
        let (transport, exchange) = Exchange::new(inbound, ending);
        let transport = HttpTransport(Kind::Exchange(transport));
        exchange.drive(self.connect(transport, extensions))
    }

    // ---- legacy ----

    fn legacy(&self, client: Client, request: RequestMessage) -> Result<Posted, Refusal> {
        let about = |refusal: Refusal| refusal.about(Some(request.id.clone()));
        let Some(session) = headers::session(&client.headers).map_err(about)? else {
            if request.method == "initialize" {
                return Ok(Posted::Initialize(client, request));
            }
            // The engine knows what to say, to clients of either era (inventory 3.4, rows 4 and 9).
            let status: Status = |error| match error.code {
                ErrorCode::INVALID_PARAMS => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            };
            return Ok(self.exchange(client, request, status));
        };
        let session = self.session_of(&client, session).map_err(about)?;
        Ok(Posted::Ask(session, request))
    }

    async fn initialize(
        &self,
        client: Client,
        request: RequestMessage,
    ) -> Result<Response<Body>, Refusal> {
        let id = request.id.clone();
        let session = self
            .begin(client, session::Kind::Streamable)
            .await
            .map_err(|refusal| refusal.about(Some(id.clone())))?;
        let first = match ask(&session, request).await {
            Ok(reader) => reader.first(self.options.patience, true).await,
            Err(_) => FirstOfLane::Nothing,
        };
        let answer = match first {
            FirstOfLane::Answer(answer) => answer,
            _ => {
                session.end();
                return Err(unavailable("the session was not opened").about(Some(id)));
            }
        };
        let mut response = reply::json(StatusCode::OK, answer);
        match session.lanes.version() {
            Some(_) => {
                let id = HeaderValue::try_from(&session.id).expect("hexadecimal digits");
                response.headers_mut().insert(head::SESSION, id);
            }
            // It was refused: there is nothing to come back to.
            None => session.end(),
        }
        Ok(response)
    }

    /// Opens a session, and drives it.
    pub(super) async fn begin(
        &self,
        client: Client,
        kind: session::Kind,
    ) -> Result<Arc<Session>, Refusal> {
        let full = || unavailable("too many sessions");
        let room = self.sessions.room().await.ok_or_else(full)?;
        let principal = client.principal.clone();
        let limits = self.lane_limits();
        let opened = self.sessions.open(kind, principal, limits, &self.shutdown);
        let (session, transport) = opened.map_err(|error| {
            tracing::error!(%error, "no random bytes for a session's id");
            full()
        })?;
        let streams = Streams {
            lanes: Arc::clone(&session.lanes),
        };
        let extensions = client.into_extensions().with(streams);
        let driving = self.connect(HttpTransport(Kind::Session(transport)), extensions);
        let sessions = Arc::clone(&self.sessions);
        tokio::spawn(sessions.drive(Arc::clone(&session), driving, room));
        Ok(session)
    }

    fn batch(
        &self,
        client: &Client,
        claim: Claim<'_>,
        members: Vec<Result<Message, Malformed>>,
    ) -> Result<Posted, Refusal> {
        let only = || Refusal::bad_request("batches exist in 2025-03-26 sessions only");
        if headers::session(&client.headers)?.is_none() {
            return Err(only());
        }
        let session = self.session(client, claim)?;
        if session.lanes.version() != Some(ProtocolVersion::V2025_03_26) {
            return Err(only());
        }
        if let Some(Err(malformed)) = members.iter().find(|member| member.is_err()) {
            return Err(Refusal::bad_request(malformed.to_string()));
        }
        let ids: Vec<_> = members
            .iter()
            .filter_map(|member| match member {
                Ok(Message::Request(request)) => Some(request.id.clone()),
                _ => None,
            })
            .collect();
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            return Err(Refusal::bad_request("an id stands twice in the batch"));
        }
        if ids.is_empty() {
            return Ok(Posted::Tell(session, Inbound::Batch(members)));
        }
        Ok(Posted::AskAll(session, members, ids))
    }

    /// The session that a request names (REQ-HTTPL-04).
    fn session(&self, client: &Client, claim: Claim<'_>) -> Result<Arc<Session>, Refusal> {
        if let Claim::Other(version) = claim {
            // REQ-HTTPL-06
            let message = format!("no session is of revision {version:?}");
            return Err(Refusal::bad_request(message));
        }
        let Some(id) = headers::session(&client.headers)? else {
            let message = format!("the header `{}` is missing", head::SESSION);
            return Err(Refusal::bad_request(message));
        };
        self.session_of(client, id)
    }

    fn session_of(&self, client: &Client, id: &str) -> Result<Arc<Session>, Refusal> {
        self.sessions
            .find(id, session::Kind::Streamable, client.principal.as_ref())
            .ok_or_else(no_session)
    }

    /// GET: a session's standing stream, or the rest of one that was lost.
    pub(super) fn listen(&self, client: &Client) -> Result<Response<Body>, Refusal> {
        headers::check_accept(&client.headers, &["text/event-stream"])?;
        let session = self.session(client, Claim::of(&client.headers)?)?;
        let reader = match headers::last_event(&client.headers)? {
            None => session.lanes.listen(),
            Some(event) => session.lanes.resume(event),
        };
        let reader = reader.map_err(|why| {
            let status = match why {
                Unreadable::Taken => StatusCode::CONFLICT,
                Unreadable::Lost => StatusCode::BAD_REQUEST,
            };
            Refusal::new(status, why.to_string())
        })?;
        Ok(reply::events(Body::lane(reader.stream())))
    }

    /// DELETE: the session's end (REQ-HTTPL-05).
    pub(super) fn delete(&self, client: &Client) -> Result<Response<Body>, Refusal> {
        let claim = Claim::of(&client.headers)?;
        self.session(client, claim)?.end();
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }
}

/// Whether somebody may wait for it, who would wait in vain if it was refused and nothing else.
pub(super) fn is_answer(malformed: &Malformed) -> bool {
    matches!(malformed.kind, MalformedKind::Response(_))
}

/// Hands the program what it does not answer.
pub(super) async fn tell(session: &Session, inbound: Inbound) -> Result<Response<Body>, Refusal> {
    let refusal = match &inbound {
        Inbound::Malformed(reason) => Some(malformed(reason)),
        _ => None,
    };
    session.deliver(inbound).await?;
    match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(reply::empty(StatusCode::ACCEPTED)),
    }
}

/// Hands a request to the program; what comes of it is read where it says.
async fn ask(session: &Arc<Session>, request: RequestMessage) -> Result<Reader, Refusal> {
    let id = request.id.clone();
    let about = |refusal: Refusal| refusal.about(Some(id.clone()));
    let opens = request.method == "initialize";
    let request = Message::Request(request);
    // Only then is there a lane: somebody who goes away while waiting would leave one that nobody writes to.
    let slot = session.slot(request.weight()).await;
    let slot = slot.map_err(|why| about(why.into()))?;
    let reader = open(session, std::slice::from_ref(&id)).map_err(about)?;
    if opens {
        session.lanes.opened_by(&id);
    }
    slot.send(Inbound::Message(request));
    Ok(reader)
}

/// REQ-ID-02
fn open(session: &Session, requests: &[RequestId]) -> Result<Reader, Refusal> {
    session
        .lanes
        .open(requests)
        .ok_or_else(|| Refusal::bad_request("a request of that id is in flight"))
}

/// What is said of a body that is no message.
pub(super) fn malformed(malformed: &Malformed) -> Refusal {
    // What is no request has no id that an error could name.
    let (id, error) = match malformed.reply() {
        Some(Message::Response(response)) => (response.id, response.outcome.err()),
        _ => (None, None),
    };
    let message = malformed.kind.to_string();
    let error = error.unwrap_or(ErrorObject::invalid_request(message));
    Refusal::bad_request("").error(error).about(id)
}

pub(super) fn no_session() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such session")
}

impl From<NotTaken> for Refusal {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Ended => no_session(),
            NotTaken::Late => unavailable("the session takes nothing more for now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio_util::sync::CancellationToken;

    use crate::server::lanes::LaneLimits;
    use crate::server::session::{SessionTransport, Sessions};

    /// A session whose program takes nothing, and has no room for more.
    async fn full() -> (Arc<Session>, SessionTransport) {
        let limits = LaneLimits {
            backlog: 1000,
            replay: 1000,
            retry: Duration::from_secs(1),
            keep_alive: Duration::from_secs(1),
        };
        let sessions = Sessions::new(1, Duration::from_secs(60), Duration::from_secs(30));
        let shutdown = CancellationToken::new();
        let (session, transport) = sessions
            .open(session::Kind::Streamable, None, limits, &shutdown)
            .expect("random bytes");
        let told = || Inbound::Message(Message::notification("x", None));
        while session.deliver(told()).now_or_never().is_some() {}
        (session, transport)
    }

    fn request() -> RequestMessage {
        RequestMessage {
            id: 1.into(),
            method: "x".into(),
            params: None,
        }
    }

    #[tokio::test]
    async fn who_goes_away_before_the_program_is_asked_leaves_no_lane() {
        let (session, _transport) = full().await;
        assert!(ask(&session, request()).now_or_never().is_none());
        assert!(session.lanes.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_for_room_long_enough_is_to_come_again() {
        let (session, transport) = full().await;
        let begun = tokio::time::Instant::now();
        let told = Inbound::Message(Message::notification("x", None));
        let late = [
            ask(&session, request()).await.err(),
            tell(&session, told).await.err(),
        ];
        assert_eq!(begun.elapsed().as_secs(), 60);
        for refusal in late {
            let status = refusal.map(|refusal| refusal.status);
            assert_eq!(status, Some(StatusCode::SERVICE_UNAVAILABLE));
        }
        assert!(session.lanes.is_idle());
        // Who hears that the session has ended does not wait.
        drop(transport);
        let ended = ask(&session, request()).await.err();
        let status = ended.map(|refusal| refusal.status);
        assert_eq!(status, Some(StatusCode::NOT_FOUND));
    }
}
