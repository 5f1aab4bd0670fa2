//! HTTP+SSE, the transport of 2024-11-05: one stream for all that a server says, and POSTs beside it (inventory 3.3, row 8).

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Method, StatusCode, Uri};
use mcp_types::{Inbound, Message, ParseLimits, RequestMessage};

use super::connection::HttpError;
use super::exchange::{Events, Failure, Kind, Shared, encode, failure, unanswered};
use super::port;
use super::send::add_post;

impl Shared {
    /// Opens the stream of a server that did not take a POST of `initialize`, and posts it where the stream says.
    ///
    /// Returns at the stream's end, which is the connection's.
    pub(super) async fn open_stream(
        &self,
        request: &RequestMessage,
        refused: StatusCode,
    ) -> Result<(), Failure> {
        let time = self.options().accept_time;
        let opening = tokio::time::timeout(time, self.endpoint_event()).await;
        // Whatever this server is, it is none of these.
        let (endpoint, mut events) = match opening {
            Ok(Ok(Some(opened))) => opened,
            Ok(Err(error)) => return Err(error.into()),
            _ => return Err(failure(refused)),
        };
        self.set_endpoint(endpoint);
        self.post_beside(request).await?;
        let mut answered = false;
        while let Some(event) = events.next().await? {
            if event.name.is_some_and(|name| name != "message") || event.data.is_empty() {
                continue;
            }
            let inbound = Inbound::parse(event.data.into(), ParseLimits::default());
            match answered {
                true => self.to_program(inbound).await,
                false => answered = self.deliver(request, inbound).await,
            }
        }
        if !answered {
            return Err(unanswered());
        }
        self.break_off(HttpError::SessionEnded).await;
        Ok(())
    }

    /// The stream, and where it says that messages are to be posted to (REQ-SSE1-01).
    async fn endpoint_event(&self) -> Result<Option<(Uri, Events)>, HttpError> {
        let accept = HeaderValue::from_static("text/event-stream");
        let headers = [(ACCEPT, accept)].into_iter().collect();
        let response = self
            .send(Method::GET, &self.uri, &headers, Bytes::new())
            .await?;
        if response.status() != StatusCode::OK || !matches!(Kind::of(&response), Kind::Events) {
            return Ok(None);
        }
        let mut events = self.events(response);
        while let Some(event) = events.next().await? {
            if event.name.as_deref() == Some("endpoint") {
                let endpoint = resolve(&self.uri, &event.data).ok_or_else(|| {
                    let message = format!("the server's endpoint is elsewhere: {:?}", event.data);
                    HttpError::Network(message)
                })?;
                return Ok(Some((endpoint, events)));
            }
        }
        Ok(None)
    }

    /// Posts a request whose answer comes on the stream.
    pub(super) async fn post_beside(&self, request: &RequestMessage) -> Result<(), Failure> {
        let mut headers = self.session_headers();
        add_post(&mut headers);
        let body = encode(&Message::Request(request.clone()));
        let target = self.target();
        let response = self.send(Method::POST, &target, &headers, body).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(failure(status)),
        }
    }
}

/// A reference that a server has given, as long as it leads to the same server (REQ-SSE1-02).
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let origin = |uri: &Uri| {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let host = uri.host()?.to_ascii_lowercase();
        Some((scheme, host, port(uri)?))
    };
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let path = base.path();
    let absolute = reference
        .split_once(':')
        .is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let whole = match reference {
        _ if absolute => reference.to_owned(),
        _ if reference.starts_with("//") => format!("{scheme}:{reference}"),
        _ if reference.starts_with('/') => format!("{scheme}://{authority}{reference}"),
        _ if reference.starts_with('?') => format!("{scheme}://{authority}{path}{reference}"),
        _ => {
            let directory = &path[..=path.rfind('/')?];
            format!("{scheme}://{authority}{directory}{reference}")
        }
    };
    let uri: Uri = whole.parse().ok()?;
    (origin(&uri)? == origin(base)?).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REQ-SSE1-02
    #[test]
    fn an_endpoint_is_on_the_same_server() {
        let base: Uri = "http://h.example:8000/mcp/sse?key=1".parse().unwrap();
        for (reference, expected) in [
            ("?sessionId=1", Some("/mcp/sse?sessionId=1")),
            ("/messages/?session_id=1", Some("/messages/?session_id=1")),
            ("messages?a=b:c", Some("/mcp/messages?a=b:c")),
            ("http://h.example:8000/m", Some("/m")),
            ("HTTP://H.example:8000/m", Some("/m")),
            ("//h.example:8000/m", Some("/m")),
            ("https://h.example:8000/m", None),
            ("http://h.example/m", None),
            ("http://evil.example:8000/m", None),
            ("//evil.example/m", None),
            ("http://h.example:8000@evil.example/m", None),
            ("file:///etc/passwd", None),
            ("/a b", None),
        ] {
            let resolved = resolve(&base, reference);
            let resolved = resolved.as_ref().and_then(Uri::path_and_query);
            assert_eq!(resolved.map(|p| p.as_str()), expected, "{reference}");
        }
        let base: Uri = "https://h.example/sse".parse().unwrap();
        assert!(resolve(&base, "https://h.example:443/m").is_some());
        let base: Uri = "http://h.example/sse".parse().unwrap();
        for (reference, same) in [
            ("http://h.example:/m", true),
            ("http://h.example:80/m", true),
            ("http://h.example:80x/m", false),
            ("http://h.example:65616/m", false),
        ] {
            assert_eq!(resolve(&base, reference).is_some(), same, "{reference}");
        }
    }
}
