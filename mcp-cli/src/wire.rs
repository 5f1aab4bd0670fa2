//! What the messages themselves say about how the two sides talked.

use std::collections::HashMap;
use std::fmt;

use mcp_client::types::{Inbound, Message, MethodName, RawJson, RequestId, ResponseMessage};
use mcp_peer::Direction;
use serde::Serialize;

/// Follows a client's connection and notes what only one era does.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// Requests that wait for their answer, by who sent them.
    open: HashMap<(Sender, RequestId), MethodName>,
    state: Option<RawJson>,
    proof: Proof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sender {
    Client,
    Server,
}

/// What was seen on the wire.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Proof {
    /// The ids under which the client sent `tools/call`.
    pub(crate) tool_calls: Vec<RequestId>,
    /// The ids under which the server sent `sampling/createMessage`, as only the legacy era allows.
    pub(crate) sampling_requests: Vec<RequestId>,
    /// The calls that were answered `input_required`, as only the modern era does.
    pub(crate) input_required: Vec<RequestId>,
    /// Whether each of them was made again with the very state that the answer had handed out.
    pub(crate) request_state_echoed: bool,
}

/// How the server got its sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    /// A request of its own.
    ServerRequest,
    /// A question in place of a result.
    InputRound,
    /// It asked for none.
    None,
}

impl Observer {
    /// Notes a message; returns a name for it that is shorter than its JSON.
    pub(crate) fn see(&mut self, direction: Direction, item: &Inbound) -> String {
        let sender = match direction {
            Direction::Out => Sender::Client,
            Direction::In => Sender::Server,
        };
        match item {
            Inbound::Message(message) => self.message(sender, message),
            Inbound::Batch(items) => format!("batch of {}", items.len()),
            Inbound::Malformed(_) => "malformed".to_owned(),
        }
    }

    /// What was seen so far.
    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    fn message(&mut self, sender: Sender, message: &Message) -> String {
        match message {
            Message::Notification(notification) => notification.method.to_string(),
            Message::Request(request) => {
                let id = &request.id;
                let name = format!("{} #{}", request.method, Id(id));
                match (sender, request.method.as_str()) {
                    (Sender::Client, "tools/call") => {
                        let state = request
                            .params
                            .as_ref()
                            .and_then(|p| p.member("requestState"));
                        if let Some(expected) = self.state.take() {
                            self.proof.request_state_echoed = state.as_ref() == Some(&expected);
                        }
                        self.proof.tool_calls.push(id.clone());
                    }
                    (Sender::Server, "sampling/createMessage") => {
                        self.proof.sampling_requests.push(id.clone());
                    }
                    _ => {}
                }
                self.open
                    .insert((sender, id.clone()), request.method.clone());
                name
            }
            Message::Response(response) => self.response(sender, response),
        }
    }

    fn response(&mut self, sender: Sender, response: &ResponseMessage) -> String {
        let Some(id) = &response.id else {
            return "error".to_owned();
        };
        let asker = match sender {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        };
        let method = self.open.remove(&(asker, id.clone()));
        let result = match &response.outcome {
            Err(error) => return format!("error {} #{}", error.code.0, Id(id)),
            Ok(result) => result,
        };
        let [kind, state] = result.members(["resultType", "requestState"]);
        let asks = kind.is_some_and(|kind| kind.as_str() == r#""input_required""#);
        if !asks {
            return format!("result #{}", Id(id));
        }
        if method.is_some_and(|method| method == "tools/call") {
            self.proof.input_required.push(id.clone());
            self.state = state;
        }
        format!("input_required #{}", Id(id))
    }
}

impl Proof {
    /// How the server got its sampling.
    pub(crate) fn route(&self) -> Route {
        match (&*self.sampling_requests, &*self.input_required) {
            ([_, ..], _) => Route::ServerRequest,
            ([], [_, ..]) => Route::InputRound,
            ([], []) => Route::None,
        }
    }

    /// What it proves, in sentences.
    pub(crate) fn explained(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.route() {
            Route::None => return vec!["No sampling was asked for.".to_owned()],
            Route::ServerRequest => {
                lines.push(format!(
                    "← sampling/createMessage {}: the server asked with a request of its own, which only the legacy era allows.",
                    ids(&self.sampling_requests),
                ));
                lines.push(format!(
                    "→ tools/call {}: went out once and waited until the question was answered.",
                    ids(&self.tool_calls),
                ));
            }
            Route::InputRound => {
                lines.push(format!(
                    "← input_required {}: the server asked by ending the call, as only the modern era does.",
                    ids(&self.input_required),
                ));
                let again = self.tool_calls.get(1..).unwrap_or_default();
                let state = match self.request_state_echoed {
                    true => "the answer and the same requestState",
                    false => "the answer, but another requestState (!)",
                };
                lines.push(format!(
                    "→ tools/call {}: the same call again, under a new id, with {state}.",
                    ids(again),
                ));
            }
        }
        lines.push(
            "The tool is one function and so is the client's answer: neither knows the era."
                .to_owned(),
        );
        lines
    }
}

fn ids(ids: &[RequestId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!("#{}", Id(id))).collect();
    ids.join(", ")
}

/// An id as it is read aloud: without quotes.
struct Id<'a>(&'a RequestId);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RequestId::Number(number) => number.fmt(f),
            RequestId::String(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: serde_json::Value) -> RawJson {
        RawJson::from(json)
    }

    fn see(observer: &mut Observer, direction: Direction, message: Message) -> String {
        observer.see(direction, &Inbound::Message(message))
    }

    #[test]
    fn a_legacy_call_is_seen_as_such() {
        use Direction::{In, Out};
        let mut wire = Observer::default();
        assert_eq!(
            see(&mut wire, Out, Message::request(1, "tools/call", None)),
            "tools/call #1"
        );
        // Each side counts for itself.
        let ask = Message::request(1, "sampling/createMessage", None);
        assert_eq!(see(&mut wire, In, ask), "sampling/createMessage #1");
        see(&mut wire, Out, Message::result(1, RawJson::EMPTY_OBJECT));
        assert_eq!(
            see(&mut wire, In, Message::result(1, RawJson::EMPTY_OBJECT)),
            "result #1"
        );
        let proof = wire.proof();
        assert_eq!(
            (proof.route(), proof.tool_calls.len()),
            (Route::ServerRequest, 1)
        );
        assert!(proof.explained()[0].contains("legacy"));
    }

    #[test]
    fn a_modern_call_is_seen_as_such() {
        use Direction::{In, Out};
        for (echo, echoed) in [("s1", true), ("s2", false)] {
            let mut wire = Observer::default();
            see(&mut wire, Out, Message::request(1, "tools/call", None));
            let ask =
                raw(serde_json::json!({ "resultType": "input_required", "requestState": "s1" }));
            assert_eq!(
                see(&mut wire, In, Message::result(1, ask)),
                "input_required #1"
            );
            let again = raw(serde_json::json!({ "requestState": echo }));
            see(
                &mut wire,
                Out,
                Message::request(2, "tools/call", Some(again)),
            );
            let proof = wire.proof();
            assert_eq!(
                (proof.route(), proof.request_state_echoed),
                (Route::InputRound, echoed)
            );
            assert_eq!(proof.tool_calls.len(), 2);
            assert!(proof.explained()[1].contains("#2"));
        }
    }
}
