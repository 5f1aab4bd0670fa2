//! What the transport yields: told apart here, acted upon elsewhere.

use std::time::Instant;

use mcp_types::{
    EnvelopeFault, ErrorObject, Inbound, Malformed, MalformedKind, Message, NotificationMessage,
    Outbound, ProtocolVersion, RequestId, ResponseMessage,
};

use crate::error::{Cause, ConnectError, PeerMisbehaved, RequestError};
use crate::event::Event;
use crate::session::{Session, Side};

impl Session {
    pub(crate) fn route(&mut self, now: Instant, inbound: Inbound) {
        match inbound {
            Inbound::Message(message) => self.handle_message(now, message),
            Inbound::Malformed(malformed) => self.handle_malformed(now, malformed),
            Inbound::Batch(members) => self.handle_batch(now, members),
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Request(request) => self.handle_request(request),
            Message::Notification(notification) => self.handle_notification(now, notification),
            Message::Response(response) => self.handle_response(now, response),
        }
    }

    fn handle_notification(&mut self, now: Instant, notification: NotificationMessage) {
        match notification.method.as_str() {
            "notifications/cancelled" => self.handle_cancelled(notification.params.as_ref()),
            "notifications/progress" => self.handle_progress(now, notification.params.as_ref()),
            // Only a client says it.
            "notifications/initialized" if matches!(self.side, Side::Client(_)) => {}
            "notifications/subscriptions/acknowledged" => {
                self.handle_acknowledged(notification.params.as_ref());
            }
            // All else that the protocol lets a client say belongs to a legacy session (inventory 3.4, row 6).
            _ if notification.method.is_core()
                && matches!(self.side, Side::Server(_))
                && self.legacy_version().is_none() => {}
            _ if self.is_told_already(&notification) => {}
            _ => self.emit(Event::Notification(notification)),
        }
    }

    fn handle_response(&mut self, now: Instant, response: ResponseMessage) {
        match (response.id, response.outcome) {
            (Some(id), outcome) => {
                if let Some(outcome) = self.handle_handshake_response(now, &id, outcome) {
                    self.handle_call_response(now, &id, outcome);
                }
            }
            (None, Err(error)) => self.handle_error_without_id(now, error),
            (None, Ok(_)) => self.unknown_response(),
        }
    }

    pub(crate) fn unknown_response(&mut self) {
        self.counters.unknown_responses += 1;
        self.emit(Event::Misbehaved(PeerMisbehaved::UnknownResponse));
    }

    fn handle_malformed(&mut self, now: Instant, malformed: Malformed) {
        if malformed.kind == MalformedKind::Lost {
            return self.handle_lost(malformed);
        }
        self.counters.malformed += 1;
        let awaited = malformed.id.as_ref().filter(|id| self.awaits(id));
        match (&self.side, Reading::of(malformed.kind), awaited) {
            // Whoever waits for this answer must hear that it was none.
            (_, Reading::Response(fault), Some(id)) => {
                let what = PeerMisbehaved::MalformedResponse(fault);
                self.handle_broken_response(now, &id.clone(), what);
            }
            // The connection ends within it: that is what whoever waits is told of, and it is no fault of the server's.
            (Side::Client(_), _, Some(_)) if malformed.kind == MalformedKind::Truncated => {}
            // From a server it is nearly always the answer, and if it is not, nobody can tell; better than to wait for nothing.
            (Side::Client(_), Reading::Unclear, Some(id)) => {
                let what = PeerMisbehaved::UnreadableResponse(malformed.kind);
                self.handle_broken_response(now, &id.clone(), what);
            }
            // From a client it is a request or our answer: under this id an error would hit a request of the client's
            // that has nothing to do with it (REQ-ID-05).
            (Side::Server(_), Reading::Unclear, Some(_)) => {
                let nameless = Malformed {
                    id: None,
                    ..malformed.clone()
                };
                self.transmit_reply(&nameless);
            }
            (Side::Server(_), Reading::Request | Reading::Unclear, _) => {
                self.transmit_reply(&malformed);
            }
            // A modern client never sends a response (REQ-JRPC-12), and what a server prints by mistake is no request.
            (Side::Client(_), Reading::Request | Reading::Unclear, _)
                if malformed.id.is_some()
                    && matches!(malformed.kind, MalformedKind::Request(_))
                    && self.legacy_version().is_some() =>
            {
                self.transmit_reply(&malformed);
            }
            _ => self.note_babble(&malformed.excerpt),
        }
        self.emit(Event::Malformed(malformed));
    }

    /// The transport knows that no answer will come (REQ-ERR-06, REQ-HTTPM-13); it is not the peer that has said so.
    fn handle_lost(&mut self, lost: Malformed) {
        let Some(id) = &lost.id else {
            return;
        };
        if self.is_handshake(id) {
            // Nor did it end by what it was asked.
            return self.fail(ConnectError::Transport(Cause::new(lost)));
        }
        if let Some(key) = self.outgoing.call_of(id) {
            self.end_call(key, Err(RequestError::Lost(lost.excerpt)));
        }
    }

    fn transmit_reply(&mut self, malformed: &Malformed) {
        if let Some(message) = malformed.reply() {
            // Under an id that is in use it is not the answer to the one that has it.
            let related_to = (malformed.id.clone()).filter(|id| !self.incoming.has(id));
            self.transmit(Outbound {
                message,
                related_to,
            });
        }
    }

    /// Whether a request of ours, the handshake's included, waits under this id.
    fn awaits(&self, id: &RequestId) -> bool {
        self.is_handshake(id) || self.outgoing.call_of(id).is_some()
    }

    fn handle_batch(&mut self, now: Instant, members: Vec<Result<Message, Malformed>>) {
        if self.legacy_version() != Some(ProtocolVersion::V2025_03_26) {
            // REQ-BATCH-06: refused as a whole, without an id; a client has nobody to refuse it to.
            if matches!(self.side, Side::Server(_)) {
                let error =
                    ErrorObject::invalid_request("batches exist in 2025-03-26 sessions only");
                self.transmit(Message::error(None, error).into());
            }
            return self.emit(Event::Misbehaved(PeerMisbehaved::Batch));
        }
        for member in members {
            match member {
                // REQ-BATCH-03
                Ok(Message::Request(r)) if r.method == "initialize" => {
                    let error = ErrorObject::invalid_request("`initialize` must not be in a batch");
                    self.transmit_answer(r.id, Err(error));
                }
                Ok(message) => self.handle_message(now, message),
                Err(malformed) => self.handle_malformed(now, malformed),
            }
        }
    }
}

/// What something malformed was meant to be.
enum Reading {
    Request,
    Notification,
    Response(EnvelopeFault),
    /// It broke before that could be seen, or has neither method nor answer.
    Unclear,
}

impl Reading {
    fn of(kind: MalformedKind) -> Self {
        match kind {
            MalformedKind::Request(EnvelopeFault::Method) => Self::Unclear,
            MalformedKind::Request(_) => Self::Request,
            MalformedKind::Notification(_) => Self::Notification,
            MalformedKind::Response(fault) => Self::Response(fault),
            _ => Self::Unclear,
        }
    }
}
