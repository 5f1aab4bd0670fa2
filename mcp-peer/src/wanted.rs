//! What resources a peer asks to be told of, for whoever tells many.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use mcp_types::{
    CancelledParams, Inbound, ListenParams, Message, RawJson, RequestId, SubscribeParams,
};

/// The resources that a peer's own messages ask for: all that its session tells it of, and maybe some that were refused.
///
/// The session's own knowledge is the driver's; this is for those who fill a queue before the driver looks at it.
#[derive(Default)]
pub(crate) struct Wanted(OnceLock<Box<Mutex<Asked>>>);

#[derive(Default)]
struct Asked {
    /// By the stream that they are for; a legacy session's are for none.
    uris: HashMap<Option<RequestId>, HashSet<String>>,
    bytes: usize,
    /// It has asked for more than is kept here: whatever it is, it may want it.
    all: bool,
}

/// Bytes that are kept of what one peer asks for.
const KEPT: usize = 4 * 1024 * 1024;

/// What a URI counts, so that their number is bounded, too.
fn size(uri: &str) -> usize {
    uri.len() + 128
}

fn id_len(id: &RequestId) -> usize {
    match id {
        RequestId::Number(_) => 0,
        RequestId::String(id) => id.len(),
    }
}

impl Wanted {
    /// Whether the peer has never asked for any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    /// Whether a change to that resource may be one that the peer is to be told of (REQ-RES-06).
    pub(crate) fn wants(&self, uri: &str) -> bool {
        let Some(asked) = self.0.get() else {
            return false;
        };
        let asked = lock(asked);
        asked.all || asked.uris.values().any(|uris| covers(uris, uri))
    }

    /// Takes note of what has come in, before the session has it.
    pub(crate) fn see(&self, inbound: &Inbound) {
        match inbound {
            Inbound::Message(message) => {
                self.see_asked(message);
                self.see_taken_back(message);
            }
            // It may be refused, with what it takes back.
            Inbound::Batch(members) => {
                for message in members.iter().flatten() {
                    self.see_asked(message);
                }
            }
            Inbound::Malformed(_) => {}
        }
    }

    fn see_asked(&self, message: &Message) {
        let Message::Request(request) = message else {
            return;
        };
        let params = request.params.as_ref();
        match request.method.as_str() {
            "resources/subscribe" => {
                if let Some(Ok(params)) = params.map(RawJson::decode::<SubscribeParams>) {
                    self.asked().add(None, vec![params.uri]);
                }
            }
            "subscriptions/listen" => {
                if let Some(Ok(params)) = params.map(RawJson::decode::<ListenParams>)
                    && let Some(uris) = params.notifications.resource_subscriptions
                    && !uris.is_empty()
                {
                    self.asked().add(Some(request.id.clone()), uris);
                }
            }
            _ => {}
        }
    }

    fn see_taken_back(&self, message: &Message) {
        let params = message.body();
        match message {
            Message::Request(request) if request.method == "resources/unsubscribe" => {
                if let Some(asked) = self.0.get()
                    && let Some(Ok(params)) = params.map(RawJson::decode::<SubscribeParams>)
                {
                    lock(asked).remove(&params.uri);
                }
            }
            Message::Notification(cancelled) if cancelled.method == "notifications/cancelled" => {
                if let Some(asked) = self.0.get()
                    && let Some(Ok(params)) = params.map(RawJson::decode::<CancelledParams>)
                    && let Some(stream) = params.request_id
                {
                    lock(asked).close(stream);
                }
            }
            _ => {}
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        lock(self.0.get_or_init(Box::default))
    }
}

impl Asked {
    fn add(&mut self, stream: Option<RequestId>, uris: Vec<String>) {
        if self.all {
            return;
        }
        let known = self.uris.entry(stream).or_insert_with_key(|stream| {
            self.bytes += stream.as_ref().map_or(0, id_len);
            HashSet::new()
        });
        for uri in uris {
            let bytes = size(&uri);
            if known.insert(uri) {
                self.bytes += bytes;
            }
        }
        if self.bytes > KEPT {
            (self.all, self.uris) = (true, HashMap::new());
        }
    }

    fn remove(&mut self, uri: &str) {
        if let Some(uris) = self.uris.get_mut(&None)
            && uris.remove(uri)
        {
            self.bytes -= size(uri);
        }
    }

    fn close(&mut self, stream: RequestId) {
        let id = id_len(&stream);
        if let Some(uris) = self.uris.remove(&Some(stream)) {
            self.bytes -= id + uris.iter().map(|uri| size(uri)).sum::<usize>();
        }
    }
}

/// Whether a resource is among these, or below one of them.
fn covers(uris: &HashSet<String>, uri: &str) -> bool {
    let above = |(at, _)| uris.contains(&uri[..at]) || uris.contains(&uri[..=at]);
    uris.contains(uri) || uri.match_indices('/').any(above)
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    // Nothing under this lock can panic.
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use mcp_types::ParseLimits;

    use super::*;

    fn see(wanted: &Wanted, text: &str) {
        let limits = ParseLimits::default();
        wanted.see(&Inbound::parse(text.to_owned().into(), limits));
    }

    fn request(id: u32, method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    #[test]
    fn what_is_asked_for_is_wanted_with_what_is_below_it_until_it_is_taken_back() {
        let wanted = Wanted::default();
        see(&wanted, &request(1, "tools/list", "{}"));
        assert!(wanted.is_empty() && !wanted.wants("test://a"));
        let uri = |uri| format!(r#"{{"uri":"{uri}"}}"#);
        see(
            &wanted,
            &request(2, "resources/subscribe", &uri("test://a")),
        );
        see(&wanted, &request(3, "resources/subscribe", &uri("all:/")));
        for (uri, expected) in [
            ("test://a", true),
            ("test://a/below", true),
            ("test://ab", false),
            ("test://", false),
            ("all:/x", true),
            ("all:", false),
        ] {
            assert_eq!(wanted.wants(uri), expected, "{uri}");
        }
        let filter = r#"{"notifications":{"resourceSubscriptions":["test://a","test://b"]}}"#;
        see(&wanted, &request(4, "subscriptions/listen", filter));
        see(
            &wanted,
            &request(5, "resources/unsubscribe", &uri("test://a")),
        );
        assert!(wanted.wants("test://a") && wanted.wants("test://b"));
        let cancelled =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#;
        see(&wanted, cancelled);
        assert!(!wanted.wants("test://a") && !wanted.wants("test://b") && wanted.wants("all:/x"));
    }

    #[test]
    fn who_asks_for_more_than_is_kept_may_want_anything() {
        let wanted = Wanted::default();
        let uri = "x".repeat(KEPT / 4);
        for i in 0..4 {
            assert!(!wanted.wants("test://a"));
            let uri = format!(r#"{{"uri":"{i}{uri}"}}"#);
            see(&wanted, &request(i, "resources/subscribe", &uri));
        }
        assert!(wanted.wants("test://a"));
        assert!(lock(wanted.0.get().unwrap()).uris.is_empty());
    }
}
