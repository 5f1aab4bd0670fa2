//! Watches one side of a [`Pair`](super::Pair): what it was sent, what it sends, what its program is told.

use std::collections::{HashMap, HashSet};

use mcp_types::meta::key;
use mcp_types::{
    CancelledParams, Era, Inbound, Malformed, Message, NotificationMessage, Outbound, ParseLimits,
    ProgressParams, ProgressToken, ProtocolVersion, RequestId, RequestMessage, ResponseMessage,
};

use crate::error::RequestError;
use crate::event::{CallKey, Cancellation, Event, IncomingKey};
use crate::session::{Role, Session};

/// Everything that has been seen of one side, and the rules.
#[derive(Debug, Default)]
pub(super) struct Referee {
    /// Requests of the program's that have not ended.
    pub(super) calls: HashSet<CallKey>,
    /// Requests that the program has been asked, oldest first.
    pub(super) open: Vec<Open>,
    /// Ids of requests that went out, and whether each may still be cancelled.
    sent: HashMap<RequestId, bool>,
    /// How many answers are owed at most, by id: more than one if the peer used the id twice.
    owed: HashMap<RequestId, usize>,
    /// As a client: an `initialize` went out. As a server: one was accepted.
    initialized: bool,
    pub(super) tally: Tally,
}

/// How often each kind of thing was told to a program: what a run has reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the events")]
pub struct Tally {
    pub opened: u32,
    pub failed: u32,
    pub requests: u32,
    pub questions: u32,
    pub retries: u32,
    pub cancelled: u32,
    pub answers: u32,
    pub refusals: u32,
    pub timeouts: u32,
    pub losses: u32,
    pub broken: u32,
    pub progress: u32,
    pub notifications: u32,
    pub malformed: u32,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.failed += other.failed;
        self.requests += other.requests;
        self.questions += other.questions;
        self.retries += other.retries;
        self.cancelled += other.cancelled;
        self.answers += other.answers;
        self.refusals += other.refusals;
        self.timeouts += other.timeouts;
        self.losses += other.losses;
        self.broken += other.broken;
        self.progress += other.progress;
        self.notifications += other.notifications;
        self.malformed += other.malformed;
    }
}

/// A request that the program has been asked.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) key: IncomingKey,
    id: Option<RequestId>,
    era: Era,
    logs: bool,
    token: Option<ProgressToken>,
    last_progress: f64,
}

impl Referee {
    /// Notes what the side is about to hear.
    pub(super) fn hears(&mut self, session: &Session, inbound: &Inbound) {
        match inbound {
            Inbound::Message(message) => self.hears_message(message),
            Inbound::Malformed(malformed) => self.hears_malformed(malformed),
            Inbound::Batch(members)
                if session.legacy_version() == Some(ProtocolVersion::V2025_03_26) =>
            {
                for member in members {
                    match member {
                        Ok(message) => self.hears_message(message),
                        Err(malformed) => self.hears_malformed(malformed),
                    }
                }
            }
            // Refused as a whole, so that nothing of it was heard.
            Inbound::Batch(_) => {}
        }
    }

    fn hears_message(&mut self, message: &Message) {
        match message {
            Message::Request(request) => *self.owed.entry(request.id.clone()).or_default() += 1,
            // What is answered is not cancelled any more (REQ-CANC-04).
            Message::Response(response) => {
                if let Some(id) = &response.id {
                    self.sent.entry(id.clone()).and_modify(|live| *live = false);
                }
            }
            Message::Notification(_) => {}
        }
    }

    fn hears_malformed(&mut self, malformed: &Malformed) {
        if let (Some(id), Some(_)) = (&malformed.id, malformed.reply()) {
            *self.owed.entry(id.clone()).or_default() += 1;
        }
    }

    /// Judges what the side sends, as the peer will read it.
    pub(super) fn says(&mut self, session: &Session, outbound: &Outbound) {
        let text = outbound.message.to_string();
        assert!(!text.contains(['\n', '\r']));
        let parsed = Inbound::parse(text.clone().into(), ParseLimits::default());
        assert_eq!(parsed, Inbound::Message(outbound.message.clone()), "{text}");
        match &outbound.message {
            Message::Request(request) => self.says_request(session, request, &text),
            Message::Response(response) => self.says_response(session, response, &text),
            Message::Notification(n) => {
                if let Some(id) = &outbound.related_to {
                    let open = self.open.iter().any(|open| open.id.as_ref() == Some(id));
                    assert!(open, "nothing is sent for a request that has ended: {text}");
                }
                self.says_notification(session, n, outbound.related_to.as_ref(), &text);
            }
        }
    }

    fn says_request(&mut self, session: &Session, request: &RequestMessage, text: &str) {
        let handshake = matches!(&*request.method, "server/discover" | "initialize");
        let first = self.sent.insert(request.id.clone(), !handshake).is_none();
        assert!(first, "ids are used once: {text}");
        let marked = request
            .params
            .as_ref()
            .and_then(|params| params.member("_meta"))
            .is_some_and(|meta| meta.member(key::PROTOCOL_VERSION).is_some());
        match (session.role(), session.established()) {
            (Role::Server, _) => assert!(self.initialized, "nobody to ask: {text}"),
            (Role::Client, None) => {
                assert!(handshake, "nothing before the handshake: {text}");
                assert_eq!(marked, request.method == "server/discover", "{text}");
                self.initialized |= request.method == "initialize";
            }
            (Role::Client, Some(established)) => {
                assert_ne!(request.method, "initialize", "REQ-LIFE-13");
                assert_eq!(marked, established.version.era() == Era::Modern, "{text}");
            }
        }
    }

    fn says_response(&mut self, session: &Session, response: &ResponseMessage, text: &str) {
        if session.role() == Role::Client {
            let modern = session
                .established()
                .is_some_and(|e| e.version.era() == Era::Modern);
            assert!(self.initialized && !modern, "REQ-JRPC-12: {text}");
        }
        match &response.id {
            None => {
                assert!(response.outcome.is_err(), "{text}");
                assert_eq!(session.role(), Role::Server, "{text}");
            }
            Some(id) => {
                let owed = self.owed.get_mut(id).filter(|owed| **owed > 0);
                *owed.unwrap_or_else(|| panic!("nobody asked for it: {text}")) -= 1;
                let accepted = response
                    .outcome
                    .as_ref()
                    .is_ok_and(|result| result.member("protocolVersion").is_some());
                self.initialized |= accepted;
            }
        }
    }

    fn says_notification(
        &mut self,
        session: &Session,
        notification: &NotificationMessage,
        related: Option<&RequestId>,
        text: &str,
    ) {
        let params = notification.params.as_ref();
        match &*notification.method {
            "notifications/cancelled" => {
                let params: CancelledParams = params
                    .and_then(|params| params.decode().ok())
                    .expect("a cancellation is one");
                let id = params.request_id.expect("it says of what");
                let live = self.sent.insert(id, false);
                assert_eq!(live, Some(true), "REQ-CANC-04, REQ-LIFE-10: {text}");
            }
            "notifications/progress" => {
                let params: ProgressParams = params
                    .and_then(|params| params.decode().ok())
                    .expect("progress is progress");
                let open = self
                    .open
                    .iter_mut()
                    .find(|open| {
                        open.token.as_ref() == Some(&params.progress_token)
                            && open.id.as_ref() == related
                    })
                    .unwrap_or_else(|| panic!("REQ-PROG-02: {text}"));
                assert!(params.progress > open.last_progress, "REQ-PROG-03: {text}");
                open.last_progress = params.progress;
            }
            "notifications/message" => {
                assert_eq!(session.role(), Role::Server, "{text}");
                let modern = self
                    .open
                    .iter()
                    .find(|open| related.is_some() && open.id.as_ref() == related)
                    .filter(|open| open.era == Era::Modern);
                match modern {
                    Some(open) => assert!(open.logs, "REQ-LOG-04: {text}"),
                    None => assert!(self.initialized, "nobody to log to: {text}"),
                }
            }
            _ => {}
        }
    }

    /// Judges what the program is told.
    pub(super) fn tells(&mut self, event: Event) {
        self.count(&event);
        match event {
            Event::Request(incoming) => self.open.push(Open {
                key: incoming.key,
                id: incoming.id,
                era: incoming.caller.version.era(),
                logs: incoming.log_level.is_some(),
                token: incoming.progress_token,
                last_progress: f64::NEG_INFINITY,
            }),
            Event::Cancelled(key, why) => {
                let open = self.close(key).expect("only what is open is cancelled");
                match (why, open.id) {
                    // Nothing is owed for it any more (REQ-CANC-05).
                    (Cancellation::ByPeer { .. }, Some(id)) => {
                        *self.owed.get_mut(&id).expect("it was asked for") -= 1;
                    }
                    // It has an answer.
                    (Cancellation::SessionEnded, Some(_)) => {}
                    (why, id) => assert!(id.is_none() && why == Cancellation::CallEnded),
                }
            }
            Event::Response { call, .. } => {
                assert!(self.calls.remove(&call), "each call ends once: {call:?}");
            }
            Event::Progress { call, .. } => {
                assert!(
                    self.calls.contains(&call),
                    "nothing after the end: {call:?}"
                );
            }
            _ => {}
        }
    }

    fn count(&mut self, event: &Event) {
        let tally = &mut self.tally;
        let kind = match event {
            Event::Opened(_) => &mut tally.opened,
            Event::Failed(_) => &mut tally.failed,
            Event::Request(incoming) if incoming.id.is_none() => &mut tally.questions,
            Event::Request(incoming) if incoming.retry.is_some() => &mut tally.retries,
            Event::Request(_) => &mut tally.requests,
            Event::Cancelled(..) => &mut tally.cancelled,
            Event::Response { outcome, .. } => match outcome {
                Ok(_) => &mut tally.answers,
                Err(RequestError::Refused(_)) => &mut tally.refusals,
                Err(RequestError::TimedOut(_)) => &mut tally.timeouts,
                Err(RequestError::ConnectionLost(_)) => &mut tally.losses,
                Err(_) => &mut tally.broken,
            },
            Event::Progress { .. } => &mut tally.progress,
            Event::Notification(_) => &mut tally.notifications,
            Event::Malformed(_) => &mut tally.malformed,
            _ => return,
        };
        *kind += 1;
    }

    /// The program has answered it.
    pub(super) fn close(&mut self, key: IncomingKey) -> Option<Open> {
        let at = self.open.iter().position(|open| open.key == key)?;
        Some(self.open.remove(at))
    }

    /// No table holds more than what is in flight.
    pub(super) fn counts(&self, session: &Session) {
        assert_eq!(session.calls_in_flight(), self.calls.len());
        assert_eq!(session.incoming_in_flight(), self.open.len());
    }
}
