//! What tools want in headers: learned from the lists that come by, and asked for when a call is refused for its headers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use hyper::body::Incoming;
use mcp_types::meta::key;
use mcp_types::{
    ErrorCode, Inbound, Message, ObjectBuf, ParseLimits, RawJson, RequestMessage, ResponseMessage,
};
use memchr::memmem;

use super::exchange::{Kind, Shared, encode};
use crate::head::{self, modern_version};
use crate::param::{self, Annotated, Room};

/// Tools with arguments that go into headers; a server that has more of them than this gets the rest without.
const TOOLS: usize = 4096;
/// Bytes that the name of such a tool may have; one with a longer name is called without.
const NAME: usize = 4096;
/// Pages of the server's list that are asked for on behalf of one call.
const PAGES: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Tools {
    by_name: Mutex<HashMap<String, Vec<Annotated>>>,
}

impl Tools {
    /// Learns from a list, and takes tools out of it whose annotations break the rules (REQ-PARAM-03).
    pub(super) fn learn(&self, result: RawJson) -> RawJson {
        // A tool that is known may have lost its annotations since.
        if memmem::find(result.as_bytes(), b"x-mcp-header").is_none() && self.lock().is_empty() {
            return result;
        }
        let tools = result.member("tools");
        let Some(tools) = tools.and_then(|tools| tools.decode::<Vec<RawJson>>().ok()) else {
            return result;
        };
        let count = tools.len();
        let mut good = tools;
        good.retain(|tool| self.learn_one(tool));
        if good.len() == count {
            return result;
        }
        let (Some(mut object), Ok(good)) =
            (ObjectBuf::from_raw(result.clone()), RawJson::encode(&good))
        else {
            return result;
        };
        object.take("tools");
        object.insert_raw("tools", &good);
        object.finish()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Annotated>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tool can be called.
    fn learn_one(&self, tool: &RawJson) -> bool {
        let [name, schema] = tool.members(["name", "inputSchema"]);
        let name = name.and_then(|name| name.text().map(Cow::into_owned));
        let (Some(name), Some(schema)) = (name, schema) else {
            // Whatever it is, it is for whoever decodes it to say.
            return true;
        };
        let annotated = match param::annotated(&schema, Room::OTHERS) {
            Ok(annotated) => annotated,
            Err(reason) => {
                tracing::warn!(
                    tool = name,
                    reason,
                    "a tool that cannot be called over HTTP"
                );
                return false;
            }
        };
        let mut tools = self.lock();
        if annotated.is_empty() {
            tools.remove(&name);
        } else if name.len() <= NAME && (tools.len() < TOOLS || tools.contains_key(&name)) {
            tools.insert(name, annotated);
        }
        true
    }

    /// Adds the headers for a call (REQ-PARAM-04, REQ-PARAM-05).
    pub(super) fn add_headers(&self, params: &RawJson, headers: &mut HeaderMap) {
        let [name, arguments] = params.members(["name", "arguments"]);
        let Some(name) = name.as_ref().and_then(RawJson::text) else {
            return;
        };
        let tools = self.lock();
        let (Some(annotated), Some(arguments)) = (tools.get(&*name), arguments) else {
            return;
        };
        for annotated in annotated {
            let header = HeaderName::try_from(format!("mcp-param-{}", annotated.header));
            if let (Ok(header), Some(value)) = (header, annotated.value(&arguments)) {
                headers.insert(header, param::encode(&value.text()));
            }
        }
    }
}

/// Whether a modern call may have been refused because of its headers, as far as HTTP says.
pub(super) fn may_lack_headers(request: &RequestMessage, response: &Response<Incoming>) -> bool {
    request.method == "tools/call"
        && response.status() == StatusCode::BAD_REQUEST
        && matches!(Kind::of(response), Kind::Json)
        && modern_version(request.params.as_ref()).is_some()
}

/// Whether a call is refused because of what its tool wants in headers.
///
/// The code says only that it is because of a header. What else is said is for people, and counts where it names another one.
fn is_for_params(refusal: &Bytes) -> bool {
    let refusal = Inbound::parse(refusal.clone(), ParseLimits::default());
    let Inbound::Message(Message::Response(ResponseMessage {
        outcome: Err(error),
        ..
    })) = refusal
    else {
        return false;
    };
    let says = error.message.to_ascii_lowercase();
    let others = [head::VERSION, head::METHOD, head::NAME];
    error.code == ErrorCode::HEADER_MISMATCH
        && (says.contains("mcp-param-") || !others.iter().any(|name| says.contains(name.as_str())))
}

impl Shared {
    /// The headers for a call that was refused with those that were sent, if its tool wants others (REQ-PARAM-08).
    pub(super) async fn other_headers(
        &self,
        call: &RequestMessage,
        sent: &HeaderMap,
        refusal: &Bytes,
    ) -> Option<HeaderMap> {
        if !is_for_params(refusal) {
            return None;
        }
        let mut params = Some(of_itself(call)?);
        let mut pages = 0..PAGES;
        loop {
            // They may be known since this call was sent, by another one's list.
            let headers = self.headers_of(call);
            if headers != *sent {
                return Some(headers);
            }
            pages.next()?;
            let list = RequestMessage {
                // The call's own is free between its two answers (REQ-ID-03).
                id: call.id.clone(),
                method: "tools/list".into(),
                params: Some(params.take()?.finish()),
            };
            let list = self.ask(list).await?;
            let cursor = list.member("nextCursor");
            params = cursor.and_then(|cursor| {
                let mut params = of_itself(call)?;
                params.insert_raw("cursor", &cursor);
                cursor.text().is_some().then_some(params)
            });
            self.tools.learn(list);
        }
    }

    /// The result of a request of this client's own; nobody waits for what else comes with it.
    async fn ask(&self, request: RequestMessage) -> Option<RawJson> {
        let headers = self.headers_of(&request);
        let id = request.id.clone();
        let body = encode(&Message::Request(request));
        let response = self.send(Method::POST, &self.uri, &headers, body).await;
        let response = response.ok()?;
        let outcome = |body| match Inbound::parse(body, ParseLimits::default()) {
            Inbound::Message(Message::Response(response)) if response.id.as_ref() == Some(&id) => {
                Some(response.outcome)
            }
            _ => None,
        };
        let outcome = match Kind::of(&response) {
            Kind::Json => outcome(self.read(response).await.ok()?)?,
            Kind::Events => {
                let mut events = self.events(response);
                loop {
                    let event = events.next().await.ok()??;
                    if let Some(outcome) = outcome(event.data.into()) {
                        break outcome;
                    }
                }
            }
            Kind::Other => return None,
        };
        outcome.ok()
    }
}

/// Parameters with what a call says of the client: its progress and its log are for the call alone.
fn of_itself(call: &RequestMessage) -> Option<ObjectBuf> {
    let mut meta = ObjectBuf::from_raw(call.params.as_ref()?.member("_meta")?)?;
    meta.take(key::PROGRESS_TOKEN);
    meta.take(key::LOG_LEVEL);
    let mut params = ObjectBuf::new();
    params.insert_object("_meta", &meta);
    Some(params)
}
