//! From a message to what the server makes of it, in either era.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp_types::{
    Era, ErrorCode, ErrorObject, Inbound, Malformed, MalformedKind, Message, ParseLimits,
    ProtocolVersion, RawJson, RequestId, RequestMessage, ResponseMessage,
};
use tokio::time::Instant;

use super::connection::{CLOSE_TIME, HttpError};
use super::send::{add, add_post};
use super::tools::{Tools, may_lack_headers};
use super::{HttpClientOptions, Inner};
use crate::head::{LAST_EVENT, METHOD, SESSION, VERSION, modern_version};
use crate::queue;
use crate::sse::{self, TooLong};

/// The code of what the server has refused by HTTP, without one of the protocol's.
const TRANSPORT_ERROR: ErrorCode = ErrorCode(-32000);

/// What may be between two attempts at a standing stream, unless the server or the program wants more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What is between two attempts at a stream, however soon the server wants the next one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// What the requests of one connection share.
pub(super) struct Shared {
    pub(super) client: Arc<Inner>,
    pub(super) uri: Uri,
    inbound: queue::Sender<Result<Inbound, HttpError>>,
    session: Mutex<Session>,
    pub(super) tools: Tools,
}

/// A legacy session, once there is one.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) id: Option<HeaderValue>,
    pub(super) version: Option<ProtocolVersion>,
    /// When the server, or another at its origin, was asked for its modern versions, and had none.
    legacy_since: Option<Instant>,
    /// Where messages are posted to, if the server speaks HTTP+SSE: all it has to say comes by a stream that is open.
    endpoint: Option<Uri>,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The server has said something else, which is the answer to this request.
    Request(String),
    /// The server has said nothing of the protocol; a connection that is being opened ends with that, any other goes on.
    Connection(HttpError),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Connection(error)
    }
}

/// Whether the era is being found out: then a failure says nothing about it (inventory 3.3, rows 9 and 10).
fn opens(method: &str) -> bool {
    matches!(method, "server/discover" | "initialize")
}

impl Shared {
    pub(super) fn new(
        client: Arc<Inner>,
        uri: Uri,
        inbound: queue::Sender<Result<Inbound, HttpError>>,
    ) -> Self {
        Self {
            client,
            uri,
            inbound,
            session: Mutex::default(),
            tools: Tools::default(),
        }
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection is a legacy session.
    pub(super) fn has_session(&self) -> bool {
        let session = self.session();
        session.version.is_some() || session.endpoint.is_some()
    }

    fn has_batches(&self) -> bool {
        self.session().version == Some(ProtocolVersion::V2025_03_26)
    }

    /// Whether all that the server says comes by one stream.
    pub(super) fn has_stream(&self) -> bool {
        self.session().endpoint.is_some()
    }

    #[cfg(feature = "http-sse")]
    pub(super) fn set_endpoint(&self, endpoint: Uri) {
        self.session().endpoint = Some(endpoint);
    }

    /// Where messages are posted to.
    pub(super) fn target(&self) -> Uri {
        let endpoint = self.session().endpoint.clone();
        endpoint.unwrap_or_else(|| self.uri.clone())
    }

    pub(super) fn options(&self) -> &HttpClientOptions {
        &self.client.options
    }

    // ---- what goes out ----

    /// Sends a request and delivers what comes of it: messages, and its answer at last, or an error in its place.
    pub(super) async fn exchange(self: Arc<Self>, request: RequestMessage) {
        let era_time = self.options().era_time;
        if request.method == "server/discover"
            && let Some(since) = self.client.origins.take_legacy(&self.uri, era_time)
        {
            self.session().legacy_since = Some(since);
            let error = ErrorObject::method_not_found(&request.method);
            return self.answer(&request, Err(error)).await;
        }
        let Err(failure) = self.try_exchange(&request).await else {
            return;
        };
        let id = request.id.clone();
        let lost = match failure {
            Failure::Connection(error) if opens(&request.method) || error.is_final() => {
                return self.break_off(error).await;
            }
            // REQ-ERR-06, REQ-HTTPM-13
            Failure::Connection(HttpError::Network(why)) => Ok(Malformed::lost(id, why)),
            Failure::Connection(error @ HttpError::Status(status)) if !refuses(status) => {
                Ok(Malformed::lost(id, error.to_string()))
            }
            // As on every other transport.
            Failure::Connection(HttpError::TooLong { limit }) => {
                let kind = MalformedKind::TooLong { limit };
                Ok(Malformed::new(kind, Some(id), limit, &[]))
            }
            Failure::Request(why) => Err(ErrorObject::new(TRANSPORT_ERROR, why)),
            Failure::Connection(error) => Err(ErrorObject::new(TRANSPORT_ERROR, error.to_string())),
        };
        match lost {
            Ok(malformed) => self.to_program(Inbound::Malformed(malformed)).await,
            Err(refused) => self.answer(&request, Err(refused)).await,
        }
    }

    async fn try_exchange(&self, request: &RequestMessage) -> Result<(), Failure> {
        #[cfg(feature = "http-sse")]
        if self.has_stream() {
            return self.post_beside(request).await;
        }
        let headers = self.headers_of(request);
        let body = encode(&Message::Request(request.clone()));
        let mut response = self.send(Method::POST, &self.uri, &headers, body).await?;
        if may_lack_headers(request, &response) {
            let status = response.status();
            let refusal = self.read(response).await?;
            let Some(headers) = self.other_headers(request, &headers, &refusal).await else {
                return self.whole(request, status, refusal).await;
            };
            // Once, whatever it says to these.
            let body = encode(&Message::Request(request.clone()));
            response = self.send(Method::POST, &self.uri, &headers, body).await?;
        }
        drop(headers);
        let status = response.status();
        if request.method == "initialize" && status.is_success() {
            self.session().id = response.headers().get(&SESSION).cloned();
        }
        match (status, Kind::of(&response)) {
            (StatusCode::OK, Kind::Events) => self.follow(request, response).await,
            (StatusCode::NOT_FOUND, _) if self.is_of_session(request) => {
                Err(HttpError::SessionEnded.into())
            }
            (_, Kind::Json) => {
                let body = self.read(response).await?;
                self.whole(request, status, body).await
            }
            // Who says when to come back has not lost it.
            _ if !opens(&request.method) && response.headers().contains_key(RETRY_AFTER) => {
                Err(Failure::Request(format!("the server answered {status}")))
            }
            _ => self.refused(request, status).await,
        }
    }

    /// Goes on where a status is all that the server has said.
    #[cfg_attr(
        not(feature = "http-sse"),
        expect(unused_variables, reason = "nothing else is tried")
    )]
    async fn refused(&self, request: &RequestMessage, status: StatusCode) -> Result<(), Failure> {
        #[cfg(feature = "http-sse")]
        if request.method == "initialize" && status.is_client_error() && !is_passing(status) {
            return self.open_stream(request, status).await;
        }
        Err(failure(status))
    }

    /// Whether the request named a session to the server.
    fn is_of_session(&self, request: &RequestMessage) -> bool {
        self.session().id.is_some()
            && request.method != "initialize"
            && modern_version(request.params.as_ref()).is_none()
    }

    /// Sends what has no answer.
    pub(super) async fn post(self: Arc<Self>, message: Message) {
        let mut headers = self.session_headers();
        add_post(&mut headers);
        if let Message::Notification(notification) = &message
            && let Some(version) = modern_version(notification.params.as_ref())
        {
            add(&mut headers, VERSION, version.decode().ok());
            add(&mut headers, METHOD, Some(notification.method.to_string()));
        }
        let target = self.target();
        let body = encode(&message);
        let send = || self.send(Method::POST, &target, &headers, body.clone());
        let posting = async {
            let sent = send().await;
            if !may_be_lost(&sent) || !may_come_twice(&message) {
                return sent;
            }
            // The other end may just have closed a connection that was kept.
            drop(sent);
            send().await
        };
        let method = message.method();
        match tokio::time::timeout(self.options().accept_time, posting).await {
            Ok(Ok(response)) if response.status().is_success() => {}
            Ok(Ok(response)) => {
                let status = response.status();
                if status == StatusCode::NOT_FOUND && self.session().id.is_some() {
                    return self.break_off(HttpError::SessionEnded).await;
                }
                tracing::warn!(%status, method, "the server refused a message");
            }
            Ok(Err(error)) => tracing::warn!(%error, method, "a message did not arrive"),
            Err(_) => tracing::warn!(method, "a message was not accepted in time"),
        }
    }

    /// Ends a legacy session (REQ-HTTPL-05).
    pub(super) async fn end(self: Arc<Self>) {
        if self.session().id.is_none() {
            return;
        }
        let headers = self.session_headers();
        let goodbye = self.send(Method::DELETE, &self.uri, &headers, Bytes::new());
        // Servers need not take it.
        let time = self.options().accept_time.min(CLOSE_TIME);
        let _ = tokio::time::timeout(time, goodbye).await;
    }

    // ---- what comes back ----

    /// An answer that is the whole body.
    async fn whole(
        &self,
        request: &RequestMessage,
        status: StatusCode,
        body: Bytes,
    ) -> Result<(), Failure> {
        match Inbound::parse(body, ParseLimits::default()) {
            Inbound::Message(Message::Response(response)) => {
                // An error may be about what could not be read.
                if response.id.as_ref().is_some_and(|id| *id != request.id) {
                    return Err(Failure::Request(
                        "the answer is one to another request".into(),
                    ));
                }
                if is_passing(status) && opens(&request.method) {
                    return Err(failure(status));
                }
                self.answer(request, response.outcome).await;
                Ok(())
            }
            // Whoever knows the protocol judges what is no message, if the status says that it is to be one.
            inbound if status == StatusCode::OK => match self.deliver(request, inbound).await {
                true => Ok(()),
                false => Err(Failure::Request("the answer is none".to_owned())),
            },
            _ => self.refused(request, status).await,
        }
    }

    /// An answer that is a stream; taken up again if it ends too early (REQ-HTTPL-09, REQ-HTTPM-13).
    async fn follow(
        &self,
        request: &RequestMessage,
        response: Response<Incoming>,
    ) -> Result<(), Failure> {
        let mut position = Position::default();
        if self.stream(response, &mut position, Some(request)).await? {
            return Ok(());
        }
        let mut attempts = 0;
        while attempts < self.options().attempts {
            let of_session = self.has_session() || request.method == "initialize";
            let Some(event) = position.id.clone().filter(|_| of_session) else {
                break;
            };
            attempts += 1;
            tokio::time::sleep(position.retry.unwrap_or(self.options().retry)).await;
            match self.resume(Some(event)).await {
                Ok(Resumed::Stream(response)) => {
                    let before = position.events;
                    if self.stream(response, &mut position, Some(request)).await? {
                        return Ok(());
                    }
                    if position.events > before {
                        attempts = 0;
                    }
                }
                Ok(Resumed::Later) => {}
                // It is the rest of the stream that is refused, and not the request.
                Ok(Resumed::Status(status)) => return Err(HttpError::Status(status).into()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(unanswered())
    }

    /// The standing stream of a legacy session, for as long as the server keeps one.
    pub(super) async fn listen(self: Arc<Self>) {
        let mut position = Position::default();
        let mut pause = self.options().retry;
        let mut opened = false;
        loop {
            match self.resume(position.id.clone()).await {
                Ok(Resumed::Stream(response)) => {
                    opened = true;
                    match self.stream(response, &mut position, None).await {
                        Ok(_) => pause = position.retry.unwrap_or(self.options().retry),
                        // Taken up where it was, it would begin with the same.
                        Err(error) => {
                            tracing::warn!(%error, "an event of the standing stream is left out");
                            position.id = None;
                        }
                    }
                }
                Ok(Resumed::Later) => {}
                // There is none, which is normal, unless it is only about where to go on.
                Ok(Resumed::Status(status)) => {
                    if position.id.take().is_none() {
                        return tracing::debug!(%status, "the server has no standing stream");
                    }
                    tracing::warn!(%status, "the standing stream cannot go on where it was");
                }
                // Some servers let nothing but POST through.
                Err(error)
                    if error == HttpError::Forbidden
                        || (error == HttpError::SessionEnded && !opened) =>
                {
                    return tracing::debug!(%error, "the server has no standing stream");
                }
                Err(error) => return self.break_off(error).await,
            }
            tokio::time::sleep(pause).await;
            // For the case that there is no stream again.
            let longer = pause.saturating_mul(2).min(LONGEST_PAUSE);
            pause = longer.max(pause).max(self.options().retry);
        }
    }

    async fn resume(&self, event: Option<HeaderValue>) -> Result<Resumed, HttpError> {
        let mut headers = self.session_headers();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(event) = event {
            headers.insert(LAST_EVENT, event);
        }
        let response = match self
            .send(Method::GET, &self.uri, &headers, Bytes::new())
            .await
        {
            Ok(response) => response,
            Err(HttpError::Network(_)) => return Ok(Resumed::Later),
            Err(error) => return Err(error),
        };
        match (response.status(), Kind::of(&response)) {
            (StatusCode::OK, Kind::Events) => Ok(Resumed::Stream(response)),
            // Until it notices that a stream is lost, a server may say that there is one already.
            (StatusCode::CONFLICT, _) => Ok(Resumed::Later),
            (status, _) if is_passing(status) => Ok(Resumed::Later),
            (StatusCode::NOT_FOUND, _) if self.session().id.is_some() => {
                Err(HttpError::SessionEnded)
            }
            (status, _) => Ok(Resumed::Status(status)),
        }
    }

    /// Delivers a stream's messages; true if the answer was among them.
    async fn stream(
        &self,
        response: Response<Incoming>,
        position: &mut Position,
        request: Option<&RequestMessage>,
    ) -> Result<bool, HttpError> {
        let mut events = self.events(response);
        while let Some(event) = events.next().await? {
            position.pass(event.id, event.retry);
            let is_message = event.name.is_none_or(|name| name == "message");
            if event.data.is_empty() || !is_message {
                continue;
            }
            let inbound = Inbound::parse(event.data.into(), ParseLimits::default());
            let answered = match request {
                Some(request) => self.deliver(request, inbound).await,
                None => {
                    self.to_program(inbound).await;
                    false
                }
            };
            if answered {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn events(&self, response: Response<Incoming>) -> Events {
        Events {
            body: response.into_body(),
            reader: sse::Reader::new(self.options().message_bytes),
        }
    }

    /// Delivers a message; true if it is the answer, or all there will be of it.
    pub(super) async fn deliver(&self, request: &RequestMessage, inbound: Inbound) -> bool {
        let is_answer = |id: Option<&RequestId>| id.is_some_and(|id| *id == request.id);
        let answered = match inbound {
            Inbound::Message(Message::Response(response)) if is_answer(response.id.as_ref()) => {
                self.answer(request, response.outcome).await;
                return true;
            }
            Inbound::Malformed(ref malformed) => is_answer(malformed.id.as_ref()),
            // Where there are none, nobody takes an answer out of one (REQ-BATCH-06).
            Inbound::Batch(ref members) if self.has_batches() => {
                members.iter().flatten().any(|member| {
                    matches!(member, Message::Response(response) if is_answer(response.id.as_ref()))
                })
            }
            Inbound::Batch(_) | Inbound::Message(_) => false,
        };
        self.to_program(inbound).await;
        answered
    }

    /// Delivers the answer, and learns from it.
    async fn answer(&self, request: &RequestMessage, outcome: Result<RawJson, ErrorObject>) {
        if request.method == "server/discover" && outcome.is_err() {
            self.session().legacy_since.get_or_insert_with(Instant::now);
        }
        let outcome = outcome.map(|result| match request.method.as_str() {
            "initialize" => {
                let version = result.member("protocolVersion");
                let version = version.and_then(|raw| raw.decode::<ProtocolVersion>().ok());
                let version = version.filter(|version| version.era() == Era::Legacy);
                let mut session = self.session();
                session.version = version;
                if let (Some(since), Some(_)) = (session.legacy_since, version) {
                    self.client.origins.note_legacy(&self.uri, since);
                }
                result
            }
            "tools/list" if modern_version(request.params.as_ref()).is_some() => {
                self.tools.learn(result)
            }
            _ => result,
        });
        let response = ResponseMessage {
            id: Some(request.id.clone()),
            outcome,
        };
        self.to_program(Inbound::Message(Message::Response(response)))
            .await;
    }

    pub(super) async fn to_program(&self, inbound: Inbound) {
        self.queue(inbound.weight(), Ok(inbound)).await;
    }

    pub(super) async fn break_off(&self, error: HttpError) {
        self.queue(0, Err(error)).await;
    }

    async fn queue(&self, weight: usize, item: Result<Inbound, HttpError>) {
        // Without a program there is nobody to tell.
        if let Ok(slot) = self.inbound.slot(weight).await {
            slot.send(item);
        }
    }
}

/// The events of a response.
pub(super) struct Events {
    body: Incoming,
    reader: sse::Reader,
}

impl Events {
    /// The next event; none at the end of the stream, and a stream that breaks ends like one that is closed.
    pub(super) async fn next(&mut self) -> Result<Option<sse::Event>, HttpError> {
        loop {
            let event = self.reader.next_event();
            let event = event.map_err(|TooLong { limit }| HttpError::TooLong { limit })?;
            if event.is_some() {
                return Ok(event);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.reader.feed(&data);
                    }
                }
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// Where a reader of a stream is.
#[derive(Debug, Default)]
struct Position {
    /// How many there were so far, those without a message included: a server may have itself polled by them.
    events: u64,
    id: Option<HeaderValue>,
    retry: Option<Duration>,
}

impl Position {
    /// Goes on behind an event; `retry` is in milliseconds.
    fn pass(&mut self, id: Option<String>, retry: Option<u64>) {
        self.events += 1;
        if let Some(id) = id {
            // With an empty one the server says that there is none, and one that cannot be sent is as good as that.
            let id = HeaderValue::try_from(id).ok();
            self.id = id.filter(|id| !id.is_empty());
        }
        let retry = retry.map(|retry| Duration::from_millis(retry).max(SHORTEST_PAUSE));
        self.retry = retry.or(self.retry);
    }
}

enum Resumed {
    Stream(Response<Incoming>),
    /// Perhaps another time.
    Later,
    Status(StatusCode),
}

pub(super) enum Kind {
    Json,
    Events,
    Other,
}

impl Kind {
    pub(super) fn of(response: &Response<Incoming>) -> Self {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            kind if kind.eq_ignore_ascii_case("application/json") => Self::Json,
            kind if kind.eq_ignore_ascii_case("text/event-stream") => Self::Events,
            _ => Self::Other,
        }
    }
}

/// Whether what was sent may not have arrived.
fn may_be_lost(sent: &Result<Response<Incoming>, HttpError>) -> bool {
    match sent {
        Ok(response) => is_passing(response.status()),
        Err(error) => matches!(error, HttpError::Network(_)),
    }
}

/// Whether it does no harm to say it twice, and much not to have said it: the other end waits for it.
fn may_come_twice(message: &Message) -> bool {
    match message.method() {
        None => true,
        Some(method) => matches!(
            method,
            "notifications/initialized" | "notifications/cancelled"
        ),
    }
}

/// Whether the status says only that it is not the time.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Whether the status says that the server has not taken the request, and will not take the same one now.
fn refuses(status: StatusCode) -> bool {
    status.is_redirection() || status == StatusCode::TOO_MANY_REQUESTS
}

pub(super) fn failure(status: StatusCode) -> Failure {
    match is_passing(status) || status.is_redirection() {
        true => HttpError::Status(status).into(),
        false => Failure::Request(format!("the server answered {status}")),
    }
}

pub(super) fn unanswered() -> Failure {
    HttpError::Network("the server ended the response before the answer".to_owned()).into()
}

pub(super) fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::with_capacity(message.weight() + 64);
    message.write(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REQ-HTTPL-09
    #[test]
    fn a_stream_goes_on_where_its_last_event_says() {
        let mut position = Position::default();
        for (id, retry, from, pause) in [
            (Some("a"), None, Some("a"), None),
            (None, Some(0), Some("a"), Some(100)),
            (None, Some(500), Some("a"), Some(500)),
            (Some("b"), None, Some("b"), Some(500)),
            (Some(""), None, None, Some(500)),
            (Some("c"), None, Some("c"), Some(500)),
            (Some("\u{1}"), None, None, Some(500)),
        ] {
            position.pass(id.map(str::to_owned), retry);
            let found = position.id.as_ref().map(|id| id.to_str().unwrap());
            assert_eq!(found, from, "{id:?}");
            assert_eq!(
                position.retry,
                pause.map(Duration::from_millis),
                "{retry:?}"
            );
        }
    }
}
