//! Several clients, one connection to a server: whose message is whose, as a value.
//!
//! Requests get ids of our own, which are unique among the clients, and progress tokens with them. The handshake is made once,
//! by the first client; the others are told its result. What a server says that belongs to no request is said to all who have
//! shaken hands. A modern client is told what may be about its request, and is asked nothing: its era knows no such thing.

use std::collections::{HashMap, HashSet, VecDeque};

use mcp_client::types::{
    ErrorObject, Message, ObjectBuf, RawJson, RequestId, RequestMessage, ResponseMessage, meta::key,
};

/// Requests that may be open, those of the clients and those of the server; who makes one more is refused.
pub(crate) const OPEN: usize = 1 << 16;

/// One of the clients.
pub(crate) type ClientId = u64;

/// A message, and to whom it goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Routed {
    ToServer(Message),
    ToClient(ClientId, Message),
}

/// Whose message is whose.
#[derive(Debug, Default)]
pub(crate) struct Mux {
    /// In the order in which they came.
    clients: Vec<ClientId>,
    next: i64,
    /// Requests of clients that are not answered, by our id.
    open: HashMap<i64, Open>,
    /// Requests of the server's that are not answered, and whom they were put to.
    asked: HashMap<RequestId, ClientId>,
    handshake: Handshake,
    /// Who has shaken hands.
    sessions: HashSet<ClientId>,
    /// Whether the server has been told that the handshake is done.
    initialized: bool,
    /// Who has made a legacy request last: most likely the one whom the server wants to ask.
    latest: Option<ClientId>,
}

#[derive(Debug)]
struct Open {
    client: ClientId,
    id: RequestId,
    token: Option<RawJson>,
    initialize: bool,
    /// A modern subscription, which its server ends by a notification.
    subscription: bool,
    era: Modern,
}

/// What a request says of the modern era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modern {
    /// It is not of it.
    No,
    Yes,
    /// It is, and wants log messages (REQ-LOG-04).
    WithLogs,
}

#[derive(Debug, Default)]
enum Handshake {
    #[default]
    None,
    /// Who else waits for it.
    Under(Vec<(ClientId, RequestId)>),
    Done(RawJson),
}

/// The keys of `_meta` and of parameters that hold an id or a token.
const TOKEN: &str = "progressToken";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

impl Mux {
    pub(crate) fn join(&mut self, client: ClientId) {
        self.clients.push(client);
    }

    /// A client has gone: nobody waits for what it has asked for, and nobody answers what it was asked.
    pub(crate) fn leave(&mut self, client: ClientId) -> Vec<Routed> {
        self.clients.retain(|other| *other != client);
        self.sessions.remove(&client);
        let gone: Vec<i64> = self
            .open
            .iter()
            .filter(|(_, open)| open.client == client && !open.initialize)
            .map(|(id, _)| *id)
            .collect();
        let mut out: Vec<_> = gone
            .iter()
            .map(|id| cancelled(RequestId::Number(*id)))
            .collect();
        for id in gone {
            self.open.remove(&id);
        }
        let unanswered: Vec<RequestId> = self
            .asked
            .iter()
            .filter(|(_, asked)| **asked == client)
            .map(|(id, _)| id.clone())
            .collect();
        for id in unanswered {
            self.asked.remove(&id);
            let error = ErrorObject::internal("the client that was asked has gone");
            out.push(Routed::ToServer(Message::error(Some(id), error)));
        }
        if self.latest == Some(client) {
            self.latest = None;
        }
        out
    }

    pub(crate) fn client_said(&mut self, client: ClientId, message: Message) -> Vec<Routed> {
        match message {
            Message::Request(request) => self.request(client, request),
            Message::Response(response) => {
                let asked = response.id.as_ref().and_then(|id| self.asked.get(id));
                if asked != Some(&client) {
                    return Vec::new();
                }
                if let Some(id) = &response.id {
                    self.asked.remove(id);
                }
                vec![Routed::ToServer(Message::Response(response))]
            }
            Message::Notification(mut notification) => match notification.method.as_str() {
                "notifications/initialized" if std::mem::replace(&mut self.initialized, true) => {
                    Vec::new()
                }
                "notifications/cancelled" => {
                    let id = notification
                        .params
                        .as_ref()
                        .and_then(|params| params.member("requestId")?.decode().ok());
                    let ours = |id: &RequestId| {
                        self.open
                            .iter()
                            .find(|(_, open)| open.client == client && open.id == *id)
                    };
                    let Some((&ours, open)) = id.as_ref().and_then(ours) else {
                        return Vec::new();
                    };
                    // That must not be cancelled (REQ-CANC-01), and others wait for it.
                    if open.initialize {
                        return Vec::new();
                    }
                    // Who has cancelled does not want the answer, and there may be none.
                    self.open.remove(&ours);
                    let ours = RawJson::from(serde_json::Value::from(ours));
                    notification.params = notification
                        .params
                        .map(|params| with(params, "requestId", ours));
                    vec![Routed::ToServer(Message::Notification(notification))]
                }
                _ => vec![Routed::ToServer(Message::Notification(notification))],
            },
        }
    }

    fn request(&mut self, client: ClientId, mut request: RequestMessage) -> Vec<Routed> {
        let meta = request
            .params
            .as_ref()
            .and_then(|params| params.member("_meta"));
        let member = |name| meta.as_ref().and_then(|meta| meta.member(name));
        let era = match (member(key::PROTOCOL_VERSION), member(key::LOG_LEVEL)) {
            (None, _) => Modern::No,
            (Some(_), None) => Modern::Yes,
            (Some(_), Some(_)) => Modern::WithLogs,
        };
        let initialize = era == Modern::No && request.method == "initialize";
        if self.open.len() >= OPEN {
            return vec![refused(client, request.id, too_many())];
        }
        let known = initialize && !self.sessions.insert(client);
        // The server is in a session by now, this client is not.
        if era == Modern::No
            && !self.sessions.contains(&client)
            && !matches!(self.handshake, Handshake::None)
            && request.method != "ping"
        {
            let reason = format!("neither `_meta.{}` nor initialize", key::PROTOCOL_VERSION);
            let error = ErrorObject::invalid_params(reason);
            return vec![refused(client, request.id, error)];
        }
        if initialize {
            match &mut self.handshake {
                Handshake::None => self.handshake = Handshake::Under(Vec::new()),
                // Or one client could fill the list.
                Handshake::Under(_) if known => {
                    let error = ErrorObject::invalid_request("the handshake is under way");
                    return vec![refused(client, request.id, error)];
                }
                Handshake::Under(waiting) => {
                    waiting.push((client, request.id));
                    return Vec::new();
                }
                Handshake::Done(result) => {
                    let message = Message::result(request.id, result.clone());
                    return vec![Routed::ToClient(client, message)];
                }
            }
        }
        if era == Modern::No {
            self.latest = Some(client);
        }
        // It is kept as long as the request is open, and all else of the message is not.
        let token = member(TOKEN).map(|token| token.compact());
        self.next += 1;
        let ours = self.next;
        if let (Some(meta), Some(_)) = (meta, &token) {
            let meta = with(meta, TOKEN, serde_json::Value::from(ours).into());
            request.params = request.params.map(|params| with(params, "_meta", meta));
        }
        let subscription = era != Modern::No && request.method == "subscriptions/listen";
        let id = std::mem::replace(&mut request.id, RequestId::Number(ours));
        self.open.insert(
            ours,
            Open {
                client,
                id,
                token,
                initialize,
                subscription,
                era,
            },
        );
        vec![Routed::ToServer(Message::Request(request))]
    }

    pub(crate) fn server_said(&mut self, message: Message) -> Vec<Routed> {
        match message {
            Message::Response(response) => self.response(response),
            // It asks whether its connection is alive, not whether one of the clients is.
            Message::Request(request) if request.method == "ping" => {
                let pong = Message::result(request.id, RawJson::EMPTY_OBJECT);
                vec![Routed::ToServer(pong)]
            }
            Message::Request(request) => {
                let known = |client: &ClientId| self.clients.contains(client);
                let mut sessions = self.clients.iter().filter(|c| self.sessions.contains(c));
                match self.latest.filter(known).or(sessions.next().copied()) {
                    Some(_) if self.asked.len() >= OPEN => {
                        let refusal = Message::error(Some(request.id), too_many());
                        vec![Routed::ToServer(refusal)]
                    }
                    Some(client) => {
                        self.asked.insert(request.id.clone(), client);
                        vec![Routed::ToClient(client, Message::Request(request))]
                    }
                    None => {
                        let error = ErrorObject::internal("there is no client to be asked");
                        vec![Routed::ToServer(Message::error(Some(request.id), error))]
                    }
                }
            }
            Message::Notification(mut notification) => {
                let params = notification.params.take();
                let [token, request, meta] = params.as_ref().map_or([None, None, None], |params| {
                    params.members([TOKEN, "requestId", "_meta"])
                });
                let subscription = meta.as_ref().and_then(|meta| meta.member(SUBSCRIPTION));
                let open = |id: &Option<RawJson>| {
                    id.as_ref().and_then(|id| self.open.get(&id.decode().ok()?))
                };
                let (client, params) = match (
                    notification.method.as_str(),
                    open(&token),
                    open(&subscription),
                ) {
                    ("notifications/progress", Some(open), _) => {
                        let theirs = open.token.clone().unwrap_or(RawJson::NULL);
                        (
                            Some(open.client),
                            params.map(|params| with(params, TOKEN, theirs)),
                        )
                    }
                    // Of a request that nobody waits for any more.
                    ("notifications/progress", None, _) => return Vec::new(),
                    ("notifications/cancelled", ..) => {
                        let id: Option<RequestId> =
                            request.as_ref().and_then(|id| id.decode().ok());
                        if let Some(client) = id.as_ref().and_then(|id| self.asked.remove(id)) {
                            (Some(client), params)
                        } else if let Some(RequestId::Number(ours)) = id
                            && self.open.get(&ours).is_some_and(|open| open.subscription)
                            && let Some(open) = self.open.remove(&ours)
                        {
                            let theirs = RawJson::encode(&open.id).unwrap_or(RawJson::NULL);
                            let params = params.map(|params| with(params, "requestId", theirs));
                            (Some(open.client), params)
                        } else {
                            return Vec::new();
                        }
                    }
                    (_, _, Some(open)) => {
                        let theirs = RawJson::encode(&open.id).unwrap_or(RawJson::NULL);
                        let meta = meta
                            .map(|meta| with(meta, SUBSCRIPTION, theirs))
                            .unwrap_or(RawJson::EMPTY_OBJECT);
                        (
                            Some(open.client),
                            params.map(|params| with(params, "_meta", meta)),
                        )
                    }
                    _ if subscription.is_some() => return Vec::new(),
                    _ => (None, params),
                };
                notification.params = params;
                let to = match client {
                    Some(client) => vec![client],
                    None => self.concerned(&notification.method),
                };
                let message = Message::Notification(notification);
                to.into_iter()
                    .map(|client| Routed::ToClient(client, message.clone()))
                    .collect()
            }
        }
    }

    /// Who may be meant by a notification that says nothing of a request: sessions, and of the modern requests under way the
    /// latest. Which one a server has in mind it does not say (REQ-LOG-10).
    fn concerned(&self, method: &str) -> Vec<ClientId> {
        let wants = |open: &Open| match open.era {
            Modern::No => false,
            Modern::Yes => method != "notifications/message",
            Modern::WithLogs => true,
        };
        let modern = self.open.iter().filter(|(_, open)| wants(open));
        let modern = match is_of_session(method) {
            true => None,
            false => modern
                .max_by_key(|(id, _)| **id)
                .map(|(_, open)| open.client),
        };
        let meant = |client: &&ClientId| self.sessions.contains(client) || modern == Some(**client);
        self.clients.iter().filter(meant).copied().collect()
    }

    fn response(&mut self, mut response: ResponseMessage) -> Vec<Routed> {
        let ours = match &response.id {
            Some(RequestId::Number(ours)) => self.open.remove(ours),
            _ => None,
        };
        // Nobody waits for it any more, or nobody ever did.
        let Some(open) = ours else {
            return Vec::new();
        };
        let mut out = VecDeque::new();
        if open.initialize
            && let Handshake::Under(waiting) = std::mem::take(&mut self.handshake)
        {
            let refused = response.outcome.is_err();
            if refused {
                self.sessions.remove(&open.client);
            }
            for (client, id) in waiting {
                if refused {
                    self.sessions.remove(&client);
                }
                let response = ResponseMessage {
                    id: Some(id),
                    outcome: response.outcome.clone(),
                };
                out.push_back(Routed::ToClient(client, Message::Response(response)));
            }
            if let Ok(result) = &response.outcome {
                self.handshake = Handshake::Done(result.clone());
            }
        }
        if let Ok(result) = &mut response.outcome
            && let Some(meta) = result.member("_meta")
            && meta.member(SUBSCRIPTION).is_some()
        {
            let theirs = RawJson::encode(&open.id).unwrap_or(RawJson::NULL);
            *result = with(result.clone(), "_meta", with(meta, SUBSCRIPTION, theirs));
        }
        response.id = Some(open.id);
        out.push_front(Routed::ToClient(open.client, Message::Response(response)));
        out.into()
    }
}

/// Whether a notification is about what a server offers, and so about no request; modern clients subscribe to these.
pub(crate) fn is_of_session(method: &str) -> bool {
    matches!(
        method,
        "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/resources/updated"
    )
}

fn too_many() -> ErrorObject {
    ErrorObject::internal(format!("{OPEN} requests are not answered yet"))
}

fn refused(client: ClientId, id: RequestId, error: ErrorObject) -> Routed {
    Routed::ToClient(client, Message::error(Some(id), error))
}

fn cancelled(id: RequestId) -> Routed {
    let params = serde_json::json!({ "requestId": id, "reason": "the client has gone" });
    Routed::ToServer(Message::notification(
        "notifications/cancelled",
        Some(params.into()),
    ))
}

/// The object with another value for one of its members; what is no object stays.
fn with(object: RawJson, name: &str, value: RawJson) -> RawJson {
    let Some(mut buffer) = ObjectBuf::from_raw(object.clone()) else {
        return object;
    };
    buffer.take(name);
    buffer.insert_raw(name, &value);
    buffer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message(json: Value) -> Message {
        use mcp_client::types::{Inbound, ParseLimits};
        match Inbound::parse(json.to_string().into(), ParseLimits::default()) {
            Inbound::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    fn rpc(mut body: Value) -> Message {
        body["jsonrpc"] = "2.0".into();
        message(body)
    }

    /// To whom, and what: 0 is the server.
    fn seen(routed: Vec<Routed>) -> Vec<(ClientId, Value)> {
        let mut seen: Vec<_> = routed
            .into_iter()
            .map(|routed| match routed {
                Routed::ToServer(message) => (0, message),
                Routed::ToClient(client, message) => (client, message),
            })
            .map(|(to, message)| {
                let mut json: Value = serde_json::from_str(&message.to_string()).unwrap();
                json.as_object_mut().unwrap().remove("jsonrpc");
                (to, json)
            })
            .collect();
        seen.sort_by_key(|(to, _)| *to);
        seen
    }

    fn two() -> Mux {
        let mut mux = Mux::default();
        mux.join(1);
        mux.join(2);
        mux
    }

    #[test]
    fn answers_and_progress_find_their_client_under_its_own_id_and_token() {
        let mut mux = two();
        let call = || {
            rpc(
                json!({ "id": 7, "method": "tools/call", "params": { "name": "t", "_meta": { "progressToken": 7, "x": 1 } } }),
            )
        };
        for (client, ours) in [(1, 1), (2, 2)] {
            let sent = seen(mux.client_said(client, call()));
            let expected = json!({ "id": ours, "method": "tools/call", "params": { "name": "t", "_meta": { "x": 1, "progressToken": ours } } });
            assert_eq!(sent, [(0, expected)]);
        }
        let progress = rpc(
            json!({ "method": "notifications/progress", "params": { "progressToken": 2, "progress": 1 } }),
        );
        let told = seen(mux.server_said(progress.clone()));
        assert_eq!(
            told,
            [(
                2,
                json!({ "method": "notifications/progress", "params": { "progressToken": 7, "progress": 1 } })
            )]
        );
        let told = seen(mux.server_said(rpc(json!({ "id": 2, "result": { "a": 1 } }))));
        assert_eq!(told, [(2, json!({ "id": 7, "result": { "a": 1 } }))]);
        // Late, twice, and never asked for.
        assert_eq!(seen(mux.server_said(progress)), []);
        assert_eq!(
            seen(mux.server_said(rpc(json!({ "id": 2, "result": {} })))),
            []
        );
        assert_eq!(
            seen(mux.server_said(rpc(json!({ "id": "x", "result": {} })))),
            []
        );
    }

    #[test]
    fn of_a_request_that_is_open_no_more_is_kept_than_is_needed() {
        use mcp_client::types::{Inbound, ParseLimits};
        let call = json!({
            "jsonrpc": "2.0", "id": "a", "method": "tools/call",
            "params": { "name": "t", "_meta": { "progressToken": "a" } },
        });
        let frame = bytes::Bytes::from(call.to_string());
        let Inbound::Message(message) = Inbound::parse(frame.clone(), ParseLimits::default())
        else {
            panic!("no message");
        };
        let mut mux = two();
        mux.client_said(1, message);
        assert_eq!(mux.open.len(), 1);
        assert!(frame.is_unique());
    }

    #[test]
    fn the_handshake_is_made_once() {
        let mut mux = two();
        mux.join(3);
        let initialize = || rpc(json!({ "id": "i", "method": "initialize", "params": {} }));
        assert_eq!(seen(mux.client_said(1, initialize())).len(), 1);
        assert_eq!(seen(mux.client_said(2, initialize())), []);
        for client in [1, 2] {
            let again = seen(mux.client_said(client, initialize()));
            assert_eq!(
                (again[0].0, &again[0].1["error"]["code"]),
                (client, &json!(-32600))
            );
        }
        let told = seen(mux.server_said(rpc(json!({ "id": 1, "result": { "v": 1 } }))));
        let answer = json!({ "id": "i", "result": { "v": 1 } });
        assert_eq!(told, [(1, answer.clone()), (2, answer.clone())]);
        // Again, too, by the same; and nothing without.
        for _ in 0..2 {
            let told = seen(mux.client_said(3, initialize()));
            assert_eq!(told, [(3, answer.clone())]);
        }
        mux.join(4);
        let list = || rpc(json!({ "id": 1, "method": "tools/list", "params": {} }));
        let told = seen(mux.client_said(4, list()));
        assert_eq!(
            (told[0].0, &told[0].1["error"]["code"]),
            (4, &json!(-32602))
        );
        assert_eq!(seen(mux.client_said(3, list()))[0].0, 0);
        let marked = json!({ "id": 2, "method": "initialize", "params": { "_meta": { key::PROTOCOL_VERSION: "2026-07-28" } } });
        assert_eq!(
            seen(mux.client_said(4, rpc(marked)))[0].0,
            0,
            "none of this era"
        );
        let initialized = || rpc(json!({ "method": "notifications/initialized" }));
        assert_eq!(seen(mux.client_said(1, initialized())).len(), 1);
        assert_eq!(seen(mux.client_said(2, initialized())), []);
    }

    #[test]
    fn a_handshake_that_is_refused_can_be_made_again() {
        let mut mux = two();
        let initialize = || rpc(json!({ "id": "i", "method": "initialize", "params": {} }));
        mux.client_said(1, initialize());
        mux.client_said(2, initialize());
        let error = json!({ "id": 1, "error": { "code": -32602, "message": "m" } });
        assert_eq!(seen(mux.server_said(rpc(error))).len(), 2);
        for client in [1, 2] {
            mux.server_said(rpc(
                json!({ "id": 1, "error": { "code": 1, "message": "m" } }),
            ));
            let sent = seen(mux.client_said(client, initialize()));
            assert_eq!(
                sent.iter().filter(|(to, _)| *to == client).count(),
                0,
                "{sent:?}"
            );
        }
    }

    #[test]
    fn a_handshake_cannot_be_cancelled() {
        let mut mux = two();
        let initialize = || rpc(json!({ "id": "i", "method": "initialize", "params": {} }));
        mux.client_said(1, initialize());
        mux.client_said(2, initialize());
        let cancel = json!({ "method": "notifications/cancelled", "params": { "requestId": "i" } });
        assert_eq!(seen(mux.client_said(1, rpc(cancel))), []);
        let told = seen(mux.server_said(rpc(json!({ "id": 1, "result": {} }))));
        let answer = json!({ "id": "i", "result": {} });
        assert_eq!(told, [(1, answer.clone()), (2, answer)]);
    }

    #[test]
    fn one_client_cannot_cancel_or_answer_for_another() {
        let mut mux = two();
        mux.client_said(1, rpc(json!({ "id": 7, "method": "m", "params": {} })));
        let cancel =
            || rpc(json!({ "method": "notifications/cancelled", "params": { "requestId": 7 } }));
        assert_eq!(seen(mux.client_said(2, cancel())), []);
        let cancelled =
            json!({ "method": "notifications/cancelled", "params": { "requestId": 1 } });
        assert_eq!(seen(mux.client_said(1, cancel())), [(0, cancelled)]);
        let asked = seen(mux.server_said(rpc(
            json!({ "id": 1, "method": "sampling/createMessage", "params": {} }),
        )));
        assert_eq!(asked[0].0, 1, "the one who has asked last");
        let answer = || rpc(json!({ "id": 1, "result": {} }));
        assert_eq!(seen(mux.client_said(2, answer())), []);
        assert_eq!(seen(mux.client_said(1, answer())).len(), 1);
        assert_eq!(seen(mux.client_said(1, answer())), []);
    }

    #[test]
    fn what_belongs_to_no_request_is_told_to_all_and_a_subscription_to_its_own() {
        let mut mux = two();
        let changed = || rpc(json!({ "method": "notifications/tools/list_changed" }));
        assert_eq!(seen(mux.server_said(changed())), []);
        for client in [1, 2] {
            mux.client_said(
                client,
                rpc(json!({ "id": 0, "method": "initialize", "params": {} })),
            );
        }
        mux.server_said(rpc(json!({ "id": 1, "result": {} })));
        assert_eq!(seen(mux.server_said(changed())).len(), 2);
        mux.client_said(
            2,
            rpc(json!({ "id": "l", "method": "subscriptions/listen", "params": {} })),
        );
        let on_it = |id: i64| {
            rpc(
                json!({ "method": "notifications/tools/list_changed", "params": { "_meta": { SUBSCRIPTION: id } } }),
            )
        };
        let told = seen(mux.server_said(on_it(2)));
        assert_eq!(
            told,
            [(
                2,
                json!({ "method": "notifications/tools/list_changed", "params": { "_meta": { SUBSCRIPTION: "l" } } })
            )]
        );
        assert_eq!(seen(mux.server_said(on_it(9))), []);
        let ended = seen(mux.server_said(rpc(
            json!({ "id": 2, "result": { "_meta": { SUBSCRIPTION: 2 } } }),
        )));
        assert_eq!(
            ended,
            [(
                2,
                json!({ "id": "l", "result": { "_meta": { SUBSCRIPTION: "l" } } })
            )]
        );
    }

    #[test]
    fn a_subscription_that_its_server_ends_is_ended() {
        let mut mux = two();
        let meta = json!({ key::PROTOCOL_VERSION: "2026-07-28" });
        for (id, method) in [("c", "tools/call"), ("l", "subscriptions/listen")] {
            let request = json!({ "id": id, "method": method, "params": { "_meta": meta } });
            mux.client_said(2, rpc(request));
        }
        let end = |id: Value| json!({ "method": "notifications/cancelled", "params": { "requestId": id } });
        assert_eq!(
            seen(mux.server_said(rpc(end(json!(1))))),
            [],
            "no subscription"
        );
        let told = seen(mux.server_said(rpc(end(json!(2)))));
        assert_eq!(told, [(2, end(json!("l")))]);
        assert_eq!(seen(mux.server_said(rpc(end(json!(2))))), [], "twice");
    }

    #[test]
    fn modern_requests_are_told_what_may_be_about_them_and_asked_nothing() {
        let mut mux = two();
        mux.join(3);
        mux.client_said(
            1,
            rpc(json!({ "id": 0, "method": "initialize", "params": {} })),
        );
        mux.client_said(
            1,
            rpc(json!({ "id": 1, "method": "tools/call", "params": {} })),
        );
        for (client, level) in [(2, json!("info")), (3, Value::Null)] {
            let mut meta = json!({ key::PROTOCOL_VERSION: "2026-07-28" });
            if !level.is_null() {
                meta[key::LOG_LEVEL] = level;
            }
            let call = json!({ "id": 1, "method": "tools/call", "params": { "_meta": meta } });
            mux.client_said(client, rpc(call));
        }
        let mut told = |method: &str| {
            let told = seen(mux.server_said(rpc(json!({ "method": method, "params": {} }))));
            told.into_iter().map(|(to, _)| to).collect::<Vec<_>>()
        };
        assert_eq!(told("notifications/message"), [1, 2]);
        assert_eq!(told("chat.message"), [1, 3]);
        assert_eq!(told("notifications/prompts/list_changed"), [1]);
        let asked = rpc(json!({ "id": 5, "method": "sampling/createMessage", "params": {} }));
        assert_eq!(
            seen(mux.server_said(asked))[0].0,
            1,
            "the one legacy client"
        );
    }

    #[test]
    fn a_ping_of_the_servers_is_nobody_elses_to_answer() {
        let mut mux = two();
        mux.sessions.insert(1);
        let ping = rpc(json!({ "id": "p", "method": "ping" }));
        let answer = json!({ "id": "p", "result": {} });
        assert_eq!(seen(mux.server_said(ping)), [(0, answer)]);
        assert!(mux.asked.is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_may_be_open() {
        let mut mux = two();
        let call = |id: usize| Message::request(id as i64, "tools/call", None);
        for id in 0..OPEN {
            assert!(matches!(
                &mux.client_said(1, call(id))[..],
                [Routed::ToServer(_)]
            ));
        }
        let refused = seen(mux.client_said(2, call(OPEN)));
        assert_eq!(
            (refused[0].0, &refused[0].1["error"]["code"]),
            (2, &json!(-32603))
        );
        let answer = Message::result(1, RawJson::EMPTY_OBJECT);
        assert_eq!(seen(mux.server_said(answer))[0].0, 1);
        assert_eq!(seen(mux.client_said(2, call(OPEN)))[0].0, 0);
        mux.sessions.insert(1);
        let asks = |id: usize| Message::request(id as i64, "roots/list", None);
        for id in 0..OPEN {
            assert!(matches!(
                &mux.server_said(asks(id))[..],
                [Routed::ToClient(..)]
            ));
        }
        let refused = seen(mux.server_said(asks(OPEN)));
        assert_eq!(
            (refused[0].0, &refused[0].1["error"]["code"]),
            (0, &json!(-32603))
        );
    }

    #[test]
    fn who_goes_away_leaves_nothing_open() {
        let mut mux = two();
        mux.client_said(1, rpc(json!({ "id": 7, "method": "m", "params": {} })));
        mux.server_said(rpc(json!({ "id": "s", "method": "roots/list" })));
        let left = seen(mux.leave(1));
        assert_eq!(left[0].1["params"]["requestId"], 1);
        assert_eq!(left[1].1["id"], "s");
        assert!(left[1].1["error"].is_object());
        assert!(mux.open.is_empty() && mux.asked.is_empty());
        mux.leave(2);
        let asked = seen(mux.server_said(rpc(json!({ "id": "s", "method": "roots/list" }))));
        assert_eq!(asked[0].0, 0, "nobody is there");
    }
}
