//! One request over HTTP: its headers, and whether it has to be sent again.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use mcp_types::RequestMessage;
use tokio::time::Instant;

use super::connection::HttpError;
use super::exchange::Shared;
use super::token::Another;
use crate::head::{METHOD, NAME, SESSION, VERSION, modern_version, named};
use crate::param;

/// How long a server may ask to be left alone when it is asked for its era: who hears nothing for 10 s takes it for a
/// legacy one.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

impl Shared {
    /// Sends a request, again if the server wants another token, or some time.
    pub(super) async fn send(
        &self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, HttpError> {
        let source = self.client.token.as_deref();
        // What is sent in place of a token that was refused: what others have got by then, twice, and then what is made of the
        // challenge, once.
        let mut another = None;
        let (mut looks, mut refreshed) = (0_u8, false);
        let mut attempts = 0;
        let begun = Instant::now();
        let probes = (headers.get(METHOD)).is_some_and(|method| method == "server/discover");
        loop {
            let token = match (another.take(), source) {
                (Some(token), _) => token,
                (None, Some(source)) => source.current().await,
                (None, None) => None,
            };
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = self.client.headers.clone();
            request.headers_mut().extend(headers.clone());
            if let Some(token) = &token
                && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
            {
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            let response = self.client.wire.request(request).await;
            let response = response.map_err(|error| lost(uri, &error))?;
            match response.status() {
                StatusCode::UNAUTHORIZED => {
                    let asked = response.headers().get_all(WWW_AUTHENTICATE).iter();
                    let asked: Vec<_> = asked.filter_map(|asked| asked.to_str().ok()).collect();
                    let challenge = (!asked.is_empty()).then(|| asked.join(", "));
                    let Some(source) = source.filter(|_| !refreshed) else {
                        return Err(HttpError::Unauthorized { challenge });
                    };
                    drop(response);
                    let challenge = challenge.unwrap_or_default();
                    another = match source.instead_of(token, looks < 2, challenge).await {
                        Another::Current(token) => {
                            looks += 1;
                            Some(token)
                        }
                        Another::Refreshed(token) => {
                            refreshed = true;
                            Some(token)
                        }
                    };
                }
                StatusCode::FORBIDDEN => return Err(HttpError::Forbidden),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                    if attempts < self.options().attempts =>
                {
                    let mut patience = self.options().patience;
                    if probes {
                        patience = patience.min(PROBE_PATIENCE.saturating_sub(begun.elapsed()));
                    }
                    let pause = retry_after(&response);
                    let Some(pause) = pause.filter(|pause| *pause <= patience) else {
                        return Ok(response);
                    };
                    attempts += 1;
                    // With what of it has not come yet, it would hold a connection.
                    drop(response);
                    tokio::time::sleep(pause).await;
                }
                _ => return Ok(response),
            }
        }
    }

    pub(super) fn headers_of(&self, request: &RequestMessage) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let params = request.params.as_ref();
        match modern_version(params) {
            None if request.method == "initialize" => {}
            None => headers = self.session_headers(),
            Some(version) => {
                add(&mut headers, VERSION, version.decode().ok());
                add(&mut headers, METHOD, Some(request.method.to_string()));
                let name = named(&request.method).and_then(|key| params?.member(key));
                add(&mut headers, NAME, name.and_then(|name| name.decode().ok()));
                if let Some(params) = params.filter(|_| request.method == "tools/call") {
                    self.tools.add_headers(params, &mut headers);
                }
            }
        }
        add_post(&mut headers);
        headers
    }

    /// REQ-HTTPL-04, REQ-HTTPL-06
    pub(super) fn session_headers(&self) -> HeaderMap {
        let session = self.session();
        let mut headers = HeaderMap::new();
        if let Some(id) = &session.id {
            headers.insert(SESSION, id.clone());
        }
        if let Some(version) = session.version {
            headers.insert(VERSION, HeaderValue::from_static(version.as_str()));
        }
        headers
    }

    /// Reads a body that is not longer than a message may be.
    pub(super) async fn read(&self, response: Response<Incoming>) -> Result<Bytes, HttpError> {
        let limit = self.options().message_bytes;
        let mut body = response.into_body();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| lost(&self.uri, &error))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > limit {
                    return Err(HttpError::TooLong { limit });
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    }
}

pub(super) fn add_post(headers: &mut HeaderMap) {
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(ACCEPT, accept);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

pub(super) fn add(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value {
        headers.insert(name, param::encode(&value));
    }
}

/// How long a server wants to be left alone: a number of seconds, or a date, which may be over (RFC 9110, 10.2.3).
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(after).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// What a failure comes down to, in plain words, and where it was.
fn lost(uri: &Uri, error: &(dyn Error + 'static)) -> HttpError {
    let place = uri.authority().map_or("", |authority| authority.as_str());
    HttpError::Network(format!("{place}: {}", plain(root(error))))
}

/// What an error stems from, through errors of I/O, too, which do not name the one they hold as their source.
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    loop {
        let held = error.downcast_ref().and_then(io::Error::get_ref);
        error = match held
            .map(|held| held as &(dyn Error + 'static))
            .or(error.source())
        {
            Some(cause) => cause,
            None => return error,
        };
    }
}

fn plain(error: &(dyn Error + 'static)) -> String {
    #[cfg(feature = "rustls")]
    if let Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) =
        error.downcast_ref()
    {
        return "the server does not speak TLS".to_owned();
    }
    let text = error.to_string();
    let error = error.downcast_ref::<io::Error>();
    // Without the system's number of it, which the standard library adds.
    let number = error.and_then(io::Error::raw_os_error);
    let number = number.map(|number| format!(" (os error {number})"));
    let plain = number.and_then(|number| text.strip_suffix(&number));
    plain.map(str::to_owned).unwrap_or(text)
}
