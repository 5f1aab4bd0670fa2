//! Messages as requests of HTTP, one each.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_transport_http::sse::{Event, Reader};
use mcp_transport_ws::http::header::{ACCEPT, CONTENT_TYPE};
use mcp_transport_ws::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::report::{Fault, Report, Verdict};
use crate::exit::Failure;
use crate::target::Url;

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// The headers of the protocol.
pub(super) const VERSION: &str = "mcp-protocol-version";
pub(super) const METHOD: &str = "mcp-method";
pub(super) const NAME: &str = "mcp-name";
pub(super) const SESSION: &str = "mcp-session-id";

/// The key of `_meta` that marks a request of the modern era.
const MARK: &str = "io.modelcontextprotocol/protocolVersion";

/// The longest body that is read, in bytes, and texts that wait to be looked at.
const LONGEST: usize = 16 << 20;
const WAITING: usize = 1024;

/// A server behind a URL.
#[derive(Clone)]
pub(super) struct Server {
    client: Client<Connector, Full<Bytes>>,
    pub(super) uri: Uri,
    /// What is sent along with everything.
    headers: HeaderMap,
}

/// A response as far as it is here.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: hyper::body::Incoming,
}

/// A response, all of it.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Server {
    pub(super) fn new(url: &Url) -> Result<Self, Failure> {
        let uri: Uri = url
            .url
            .parse()
            .map_err(|e| Failure::Usage(format!("{}: {e}", url.url)))?;
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector()),
            uri,
            headers: url.headers.iter().cloned().collect(),
        })
    }

    /// Sends a request; the headers given stand in the place of those that are always sent.
    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: &str,
    ) -> Result<Reply, Fault> {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for (name, value) in &headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let sent = self.client.request(request).await;
        let (parts, body) = sent.map(Response::into_parts).map_err(|e| {
            Fault::silent(format!(
                "the request failed: {}",
                crate::exit::with_causes(&e)
            ))
        })?;
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

#[cfg(not(feature = "tls"))]
fn connector() -> Connector {
    HttpConnector::new()
}

#[cfg(feature = "tls")]
fn connector() -> Connector {
    // Trusts whom the system trusts; what is wrong with that is found out by the first connection.
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build()
}

impl Reply {
    /// What it is a body of, without parameters.
    pub(super) fn kind(&self) -> &str {
        kind(&self.headers)
    }

    /// The whole body of one that ends.
    pub(super) async fn whole(self) -> Result<Whole, Fault> {
        let limited = http_body_util::Limited::new(self.body, LONGEST);
        let body = limited
            .collect()
            .await
            .map_err(|e| Fault::silent(format!("the body breaks off: {e}")))?;
        Ok(Whole {
            status: self.status,
            headers: self.headers,
            text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    }
}

/// The events of a stream.
struct Events<B> {
    body: B,
    /// What may be the first half of a character.
    bytes: Vec<u8>,
    reader: Reader,
}

impl<B: Body<Data = Bytes, Error: Display> + Unpin> Events<B> {
    fn of(body: B) -> Self {
        Self {
            body,
            bytes: Vec::new(),
            reader: Reader::new(LONGEST),
        }
    }

    /// The next one; none at the end.
    async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            let next = self.reader.next_event();
            if let Some(event) = next.map_err(|_| Fault::silent("an event is too long"))? {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|e| Fault::silent(format!("the stream breaks off: {e}")))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.reader.feed(&data);
            self.bytes.extend_from_slice(&data);
            let whole = match std::str::from_utf8(&self.bytes) {
                Ok(text) => text.len(),
                Err(e) if e.error_len().is_none() => e.valid_up_to(),
                Err(_) => return Err(Fault::silent("the stream is not UTF-8")),
            };
            self.bytes.drain(..whole);
        }
    }
}

pub(super) fn kind(headers: &HeaderMap) -> &str {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim()
}

/// A connection: what is said goes out as a request, what comes of all of them comes in.
pub(super) struct Web {
    server: Server,
    session: Option<HeaderValue>,
    /// What `initialize` has settled on.
    version: Option<String>,
    inbox: mpsc::Receiver<Result<String, Fault>>,
    heard: mpsc::Sender<Result<String, Fault>>,
    responses: JoinSet<()>,
    notes: Arc<Mutex<Notes>>,
}

/// What is found out beside the messages.
#[derive(Debug, Default)]
struct Notes {
    event_ids: HashSet<String>,
    twice: Option<Fault>,
    /// A response on the stream that is for none.
    astray: Option<Fault>,
    listened: bool,
}

impl Notes {
    /// Looks at an event; `standing` says that it came on the stream that is for no request.
    fn note(&mut self, event: &Event, standing: bool) {
        if let Some(id) = &event.id
            && !self.event_ids.insert(id.clone())
        {
            let fault = Fault::new(format!("{id:?} comes twice"), &event.data);
            self.twice.get_or_insert(fault);
        }
        let json: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if standing && (json.get("result").is_some() || json.get("error").is_some()) {
            let fault = Fault::new("this came there", &event.data);
            self.astray.get_or_insert(fault);
        }
    }
}

impl Web {
    pub(super) fn open(url: &Url) -> Result<Self, Failure> {
        let (heard, inbox) = mpsc::channel(WAITING);
        Ok(Self {
            server: Server::new(url)?,
            session: None,
            version: None,
            inbox,
            heard,
            responses: JoinSet::new(),
            notes: Arc::default(),
        })
    }

    /// What a client sends along with a message.
    pub(super) fn headers(&self, message: &Value) -> HeaderMap {
        let mut headers = post_headers();
        let params = &message["params"];
        match params["_meta"].get(MARK) {
            Some(version) => {
                let version = version.as_str().unwrap_or("2026-07-28");
                add(&mut headers, VERSION, version);
                add(
                    &mut headers,
                    METHOD,
                    message["method"].as_str().unwrap_or_default(),
                );
                let named = params["name"].as_str().or(params["uri"].as_str());
                if let Some(name) = named {
                    add(&mut headers, NAME, name);
                }
            }
            None => {
                if let Some(version) = &self.version {
                    add(&mut headers, VERSION, version);
                }
                if let Some(session) = &self.session {
                    headers.insert(SESSION, session.clone());
                }
            }
        }
        headers
    }

    pub(super) async fn say(&mut self, text: &str) -> Verdict {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let headers = self.headers(&message);
        let method = message["method"].as_str().unwrap_or_default();
        let asks = message.get("id").is_some() && !method.is_empty();
        if method == "initialize" && message["params"]["_meta"].get(MARK).is_none() {
            return self.initialize(headers, text).await;
        }
        if asks || message.is_array() {
            let (server, text) = (self.server.clone(), text.to_owned());
            let (heard, notes) = (self.heard.clone(), Arc::clone(&self.notes));
            self.responses.spawn(async move {
                let reply = server.send(Method::POST, headers, &text).await;
                let read = match reply {
                    Ok(reply) => answers(reply, &heard, &notes, false).await,
                    Err(fault) => Err(fault),
                };
                if let Err(fault) = read {
                    // Nobody is there any more.
                    let _ = heard.send(Err(fault)).await;
                }
            });
            return Ok(());
        }
        let reply = self.server.send(Method::POST, headers, text).await?;
        let whole = reply.whole().await?;
        // What says nothing of a request may be refused, with an error that is about none (REQ-HTTPM-03).
        let refused = whole.status.is_client_error() && message.is_object();
        if !refused && !whole.text.trim().is_empty() {
            let text = as_message(whole)?;
            // It never fails: the other end is here.
            let _ = self.heard.send(Ok(text)).await;
        }
        if method == "notifications/initialized" {
            self.listen();
        }
        Ok(())
    }

    /// Opens a session; all else may need its id.
    async fn initialize(&mut self, headers: HeaderMap, text: &str) -> Verdict {
        let reply = self.server.send(Method::POST, headers, text).await?;
        let session = reply.headers.get(SESSION).cloned();
        let (heard, mut answer) = mpsc::channel(WAITING);
        answers(reply, &heard, &self.notes, false).await?;
        drop(heard);
        while let Some(item) = answer.recv().await {
            if let Ok(text) = &item {
                let json: Value = serde_json::from_str(text).unwrap_or_default();
                let version = json["result"]["protocolVersion"].as_str();
                if let (Some(version), None) = (version, &self.version) {
                    self.version = Some(version.to_owned());
                    self.session = session.clone();
                }
            }
            let _ = self.heard.send(item).await;
        }
        Ok(())
    }

    /// The stream for what is no answer, if the server has one.
    fn listen(&mut self) {
        let mut headers = self.headers(&Value::Null);
        headers.remove(CONTENT_TYPE);
        add(&mut headers, ACCEPT.as_str(), "text/event-stream");
        let server = self.server.clone();
        let (heard, notes) = (self.heard.clone(), Arc::clone(&self.notes));
        self.responses.spawn(async move {
            if let Ok(reply) = server.send(Method::GET, headers, "").await
                && reply.status == StatusCode::OK
            {
                lock(&notes).listened = true;
                // It breaks off when the session ends.
                let _ = answers(reply, &heard, &notes, true).await;
            }
        });
    }

    pub(super) async fn hear(&mut self) -> Result<String, Fault> {
        match self.inbox.recv().await {
            Some(heard) => heard,
            // Never: a sender is here.
            None => Err(Fault::silent("it has closed the connection")),
        }
    }

    /// Ends the session; returns what else was said.
    pub(super) async fn finish(mut self, time: Duration, report: &mut Report) -> Vec<String> {
        let _ = timeout(time, self.end()).await;
        self.responses.abort_all();
        let mut rest = Vec::new();
        while let Ok(heard) = self.inbox.try_recv() {
            rest.extend(heard.ok());
        }
        let notes = lock(&self.notes);
        if !notes.event_ids.is_empty() {
            let verdict = notes.twice.clone().map_or(Ok(()), Err);
            report.must(
                "REQ-HTTPL-08",
                "no two events of a session have the same id",
                verdict,
            );
        }
        if notes.listened {
            let verdict = notes.astray.clone().map_or(Ok(()), Err);
            report.must(
                "REQ-HTTPL-07",
                "no answer comes on the stream that is for none",
                verdict,
            );
        }
        drop(notes);
        rest
    }

    async fn end(&mut self) {
        if let Some(session) = self.session.take() {
            let mut headers = self.headers(&Value::Null);
            headers.insert(SESSION, session);
            headers.remove(CONTENT_TYPE);
            // Servers need not take it.
            let _ = self.server.send(Method::DELETE, headers, "").await;
        }
    }
}

impl Drop for Web {
    /// A session that is forgotten is one that the server has to keep.
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) =
            (self.session.take(), tokio::runtime::Handle::try_current())
        {
            let mut headers = self.headers(&Value::Null);
            headers.insert(SESSION, session);
            headers.remove(CONTENT_TYPE);
            let server = self.server.clone();
            runtime.spawn(async move { server.send(Method::DELETE, headers, "").await.map(drop) });
        }
    }
}

pub(super) fn post_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    add(&mut headers, CONTENT_TYPE.as_str(), "application/json");
    add(
        &mut headers,
        ACCEPT.as_str(),
        "application/json, text/event-stream",
    );
    headers
}

/// Sets a header; a value that cannot stand there is left out.
pub(super) fn add(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What comes on a response, as it comes.
async fn answers(
    reply: Reply,
    heard: &mpsc::Sender<Result<String, Fault>>,
    notes: &Mutex<Notes>,
    standing: bool,
) -> Verdict {
    if reply.kind() != "text/event-stream" {
        let text = as_message(reply.whole().await?)?;
        // It fails when nobody is there any more.
        let _ = heard.send(Ok(text)).await;
        return Ok(());
    }
    let mut events = Events::of(reply.body);
    while let Some(event) = events.next().await? {
        lock(notes).note(&event, standing);
        // An event without data is there for its id (REQ-HTTPL-09).
        if !event.data.is_empty() && heard.send(Ok(event.data)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The message that a body is.
fn as_message(whole: Whole) -> Result<String, Fault> {
    let json = serde_json::from_str::<Value>(&whole.text);
    match json {
        Ok(json) if json.is_object() || json.is_array() => Ok(whole.text),
        _ => Err(Fault::new(
            format!("it answers {}, and no message", whole.status),
            &whole.text,
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    async fn read(frames: &[&'static [u8]]) -> Result<Vec<(Option<String>, String)>, Fault> {
        let frames = frames.iter().map(|frame| Ok(Frame::data((*frame).into())));
        let frames: Vec<Result<_, Infallible>> = frames.collect();
        let mut events = Events::of(StreamBody::new(futures::stream::iter(frames)));
        let mut read = Vec::new();
        while let Some(event) = events.next().await? {
            read.push((event.id, event.data));
        }
        Ok(read)
    }

    #[tokio::test]
    async fn events_are_read_as_the_web_reads_them() {
        let frames: [&[u8]; 4] = [
            b": a comment\r\nid: 1-2\r",
            b"\ndata: {\"\xc3",
            b"\xa4\":\ndata:1}\r\n\r",
            b"\ndata: 2\r\rdata: half",
        ];
        let events = [
            (Some("1-2".to_owned()), "{\"ä\":\n1}".to_owned()),
            (None, "2".to_owned()),
        ];
        assert_eq!(read(&frames).await.unwrap(), events);
        let fault = read(&[b"data: \xc3", b"\x28\n\n"]).await.unwrap_err();
        assert_eq!(fault.reason, "the stream is not UTF-8");
    }
}
