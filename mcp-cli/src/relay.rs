//! Joins a client and a server whose transports differ, without looking into what they say.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_client::types::{
    ErrorObject, Inbound, Malformed, MalformedKind, Message, Outbound, ProtocolVersion, RequestId,
};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::render::tell;
use crate::target::{Boxed, Broken, Client};

/// Who has sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Client,
    Server,
}

/// Why it ended before both sides had said all they had to say.
#[derive(Debug)]
pub(crate) enum Ended {
    /// One side's connection broke.
    Broken(Side, Broken),
    /// Nobody has said anything for so long.
    Idle(Duration),
    /// It was told to.
    Stopped,
}

/// How long a connection may stand still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long the server may say nothing.
    pub(crate) silent: Duration,
    /// How long the client may take nothing of what it is told.
    pub(crate) unread: Duration,
}

/// How long a server may stay silent after its client has gone, before it is given up.
const LINGER: Duration = Duration::from_secs(60);
/// How long a server that takes nothing any more is still listened to.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a server may take to end, with all that is still to be written to it; a process is killed before that.
pub(crate) const ENDING: Duration = Duration::from_secs(5);
/// Requests of a client whose answers are waited for when it has said all it has to say; those over it are not.
const AWAITED: usize = 4096;

/// Passes on whatever comes until the server has closed its end; `see` sees each item first.
///
/// The server's end is closed when the client has said all it has to say and has its answers: many a server ends there and then.
///
/// Each direction waits until the other side has taken a message before it takes the next: a slow reader slows its writer
/// down, and nothing is kept here. A client that takes none has left without a word, and would keep its place for ever; whether
/// the server has ended is seen behind what it has said. What is no message goes no further; its sender is told.
pub(crate) async fn relay(
    client: Client,
    server: Boxed,
    Patience { silent, unread }: Patience,
    mut stop: watch::Receiver<bool>,
    see: impl Fn(Side, &Inbound),
) -> Result<(), Ended> {
    let half_closes = client.half_closes;
    let (to_client, mut from_client) = client.transport.split();
    let (mut to_server, mut from_server) = server.split();
    let to_client = tokio::sync::Mutex::new(to_client);
    // Replies to what is no message go out here, too.
    let tell_client = async |message| {
        let telling = async { to_client.lock().await.send(message).await };
        let told = timeout(unread, telling).await;
        told.unwrap_or_else(|_| Err(Broken::new("it takes nothing any more")))
            .map_err(|e| Ended::Broken(Side::Client, e))
    };
    let gone = Notify::new();
    let (open, mut answered) = watch::channel(HashSet::new());
    let batches = Batches::default();
    let see = |side, item: &Inbound| {
        batches.see(side, item);
        see(side, item);
    };
    let result = {
        let to_server = &mut to_server;
        let rightwards = async {
            while let Some(item) = from_client.next().await {
                let item = item.map_err(|e| Ended::Broken(Side::Client, e))?;
                see(Side::Client, &item);
                let (messages, replies) = sorted(Side::Client, item, &batches);
                for message in messages {
                    asked(&open, &message.message);
                    to_server
                        .send(message)
                        .await
                        .map_err(|e| Ended::Broken(Side::Server, e))?;
                }
                for reply in replies {
                    tell_client(reply).await?;
                }
            }
            if !half_closes {
                return Err(Ended::Stopped);
            }
            gone.notify_one();
            // It fails if `open` is gone, which outlives this.
            let _ = answered.wait_for(HashSet::is_empty).await;
            to_server
                .close()
                .await
                .map_err(|e| Ended::Broken(Side::Server, e))
        };
        let leftwards = async {
            let mut patience = silent;
            loop {
                let item = tokio::select! {
                    item = timeout(patience, from_server.next()) => item,
                    () = gone.notified() => {
                        patience = LINGER.min(silent);
                        continue;
                    }
                };
                let item = match item {
                    Ok(Some(item)) => item.map_err(|e| Ended::Broken(Side::Server, e))?,
                    Ok(None) => break,
                    Err(_) => return Err(Ended::Idle(patience)),
                };
                // What stands for an answer that has not come is what the client is told, and so what is seen.
                let item = match item {
                    Inbound::Malformed(lost) if lost.kind == MalformedKind::Lost => {
                        unreadable(lost).map_or(Inbound::Batch(Vec::new()), Inbound::Message)
                    }
                    item => item,
                };
                see(Side::Server, &item);
                let (messages, _) = sorted(Side::Server, item, &batches);
                for message in messages {
                    let answers = message.related_to.clone();
                    tell_client(message).await?;
                    if let Some(id) = answers {
                        open.send_if_modified(|open| open.remove(&id));
                    }
                }
            }
            let mut to_client = to_client.lock().await;
            to_client
                .close()
                .await
                .map_err(|e| Ended::Broken(Side::Client, e))
        };
        let (mut rightwards, leftwards) = (pin!(rightwards), pin!(leftwards));
        let both = async {
            let mut leftwards = leftwards;
            tokio::select! {
                done = &mut rightwards => {
                    if let Err(Ended::Broken(Side::Server, _)) = done {
                        // What it has said before is its client's.
                        let _ = timeout(LAST_WORDS, leftwards).await;
                        return done;
                    }
                    done?;
                    leftwards.await
                }
                // A server that has closed its end takes nothing any more.
                done = &mut leftwards => done,
            }
        };
        tokio::select! {
            result = both => result,
            _ = stop.wait_for(|stop| *stop) => Err(Ended::Stopped),
        }
    };
    // A child ends by this, by and by; that it has ended already is no error.
    let _ = timeout(ENDING, to_server.close()).await;
    result
}

/// Notes which requests a client waits for. A subscription is none: it has no answer until it is given up.
fn asked(open: &watch::Sender<HashSet<RequestId>>, message: &Message) {
    match message {
        Message::Request(request) if request.method != "subscriptions/listen" => {
            open.send_modify(|open| {
                if open.len() < AWAITED {
                    open.insert(request.id.clone());
                }
            });
        }
        Message::Notification(note) if note.method == "notifications/cancelled" => {
            let id = note.params.as_ref().and_then(|p| p.member("requestId"));
            if let Some(id) = id.and_then(|id| id.decode().ok()) {
                open.send_if_modified(|open| open.remove(&id));
            }
        }
        _ => {}
    }
}

/// Messages to pass on, and what is to be said to the sender of what is no message.
///
/// A server is not told of its faults: it has no place where it would listen. But whoever waits for its answer is.
pub(crate) fn sorted(
    from: Side,
    item: Inbound,
    batches: &Batches,
) -> (Vec<Outbound>, Vec<Outbound>) {
    let (mut messages, mut replies) = (Vec::new(), Vec::new());
    let mut sort = |item: Result<Message, Malformed>| match (item, from) {
        (Ok(message), _) => messages.push(addressed(message)),
        (Err(malformed), Side::Client) => replies.extend(malformed.reply().map(addressed)),
        (Err(malformed), Side::Server) => messages.extend(unreadable(malformed).map(addressed)),
    };
    match item {
        Inbound::Message(message) => sort(Ok(message)),
        Inbound::Malformed(malformed) => sort(Err(malformed)),
        // A batch goes on message by message, as its receiver may answer it.
        Inbound::Batch(members) if batches.are_legal() => members.into_iter().for_each(sort),
        Inbound::Batch(_) => {
            let error = ErrorObject::invalid_request("batches exist in 2025-03-26 sessions only");
            if from == Side::Server {
                lost(&error.message);
            }
            replies.push(addressed(Message::error(None, error)));
        }
    }
    (messages, replies)
}

/// What stands for an answer of a server's that is none or does not come, lest its request stay open for ever.
fn unreadable(malformed: Malformed) -> Option<Message> {
    if malformed.kind == MalformedKind::Lost {
        tell(&format!("mcp: {malformed}"));
        let error = ErrorObject::internal(malformed.to_string());
        return Some(Message::error(malformed.id, error));
    }
    lost(&malformed.to_string());
    let no_answer = matches!(
        malformed.kind,
        // The connection ends within it, and the client's with it: whoever waits is told by that, as without a bridge.
        MalformedKind::Truncated | MalformedKind::Request(_) | MalformedKind::Notification(_)
    );
    let id = malformed.id.filter(|_| !no_answer)?;
    let reason = format!("the server's answer cannot be read: {}", malformed.kind);
    Some(Message::error(Some(id), ErrorObject::internal(reason)))
}

fn lost(reason: &str) {
    tell(&format!("mcp: the server's message is lost: {reason}"));
}

/// Whether a client may send batches: in a session of one revision only (REQ-BATCH-01, REQ-BATCH-06).
#[derive(Debug, Default)]
pub(crate) struct Batches(Mutex<Session>);

#[derive(Debug, Default)]
struct Session {
    /// The request that opens it, until it is answered.
    opening: Option<RequestId>,
    batches: bool,
}

impl Batches {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_legal(&self) -> bool {
        self.lock().batches
    }

    /// Looks at what goes from one side to the other.
    pub(crate) fn see(&self, from: Side, item: &Inbound) {
        if let Inbound::Message(message) = item {
            self.passed(from, message);
        }
    }

    /// The same, of a message. Each side has ids of its own.
    pub(crate) fn passed(&self, from: Side, message: &Message) {
        match (from, message) {
            (Side::Client, Message::Request(request)) if request.method == "initialize" => {
                self.lock().opening = Some(request.id.clone());
            }
            (Side::Server, Message::Response(response)) => {
                let mut session = self.lock();
                if session.opening.is_none() || session.opening != response.id {
                    return;
                }
                session.opening = None;
                let version = response.outcome.as_ref().ok();
                let version = version.and_then(|result| result.member("protocolVersion"));
                let version = version.and_then(|version| version.decode::<ProtocolVersion>().ok());
                session.batches = version == Some(ProtocolVersion::V2025_03_26);
            }
            _ => {}
        }
    }
}

/// A transport with a stream for each request finds the one for a response by this.
pub(crate) fn addressed(message: Message) -> Outbound {
    let related_to = match &message {
        Message::Response(response) => response.id.clone(),
        Message::Request(_) | Message::Notification(_) => None,
    };
    Outbound {
        message,
        related_to,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use mcp_client::types::{ParseLimits, RawJson};
    use mcp_peer::{Duplex, duplex};

    use super::*;
    use crate::target::boxed;

    /// A client, a server, and what joins them.
    fn joined() -> (Duplex, Duplex, impl Future<Output = Result<(), Ended>>) {
        let ((client, to_client), (server, to_server)) = (duplex(8), duplex(8));
        let relay = async {
            let (_stop, stopped) = watch::channel(false);
            let (client, server) = (boxed(to_client).into(), boxed(to_server));
            relay(client, server, PATIENCE, stopped, |_, _| {}).await
        };
        (client, server, relay)
    }

    const PATIENCE: Patience = Patience {
        silent: Duration::MAX,
        unread: Duration::from_secs(60),
    };

    fn request(id: i64, method: &str) -> Outbound {
        addressed(Message::request(id, method, None))
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_an_error() {
        for (line, answered) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, true),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1}}"#, true),
            (r#"{"jsonrpc":"2.0","id":7,"result":{},}"#, true),
            (r#"{"jsonrpc":"2.0","id":7,"method":1}"#, false),
            ("?", false),
        ] {
            let item = Inbound::parse(line.into(), ParseLimits::default());
            let (messages, _) = sorted(Side::Server, item, &Batches::default());
            let ids: Vec<_> = messages.iter().map(|m| m.related_to.clone()).collect();
            let expected = answered.then_some(Some(RequestId::Number(7)));
            assert_eq!(ids, Vec::from_iter(expected), "{line}");
        }
        let cut = Malformed::new(MalformedKind::Truncated, Some(7.into()), 0, b"{");
        let (messages, _) = sorted(Side::Server, Inbound::Malformed(cut), &Batches::default());
        assert_eq!(messages, [], "the connection ends with it");
        let lost = Inbound::Malformed(Malformed::lost(7.into(), "cut"));
        let (messages, _) = sorted(Side::Server, lost, &Batches::default());
        let error = ErrorObject::internal("request lost: cut");
        assert_eq!(messages, [addressed(Message::error(Some(7.into()), error))]);
    }

    #[test]
    fn an_answer_to_the_server_is_none_to_its_client() {
        let batches = Batches::default();
        batches.passed(Side::Client, &Message::request(1, "initialize", None));
        let opened = serde_json::json!({ "protocolVersion": "2025-03-26" });
        for (from, result, legal) in [
            (Side::Client, RawJson::EMPTY_OBJECT, false),
            (Side::Server, opened.into(), true),
        ] {
            batches.passed(from, &Message::result(1, result));
            assert_eq!(batches.are_legal(), legal, "{from:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go_and_one_that_is_slow_is_not() {
        let (mut client, mut server, relay) = joined();
        let saying = async {
            let note = || addressed(Message::notification("x", None));
            while server.send(note()).await.is_ok() {}
        };
        let taking = async {
            for _ in 0..8 {
                client.next().await.unwrap().unwrap();
                tokio::time::sleep(PATIENCE.unread / 2).await;
            }
            tokio::time::Instant::now()
        };
        let all = async { tokio::join!(relay, saying, taking) };
        let (ended, (), last) = timeout(100 * PATIENCE.unread, all).await.expect("an end");
        assert!(
            matches!(ended, Err(Ended::Broken(Side::Client, _))),
            "{ended:?}"
        );
        assert!(last.elapsed() <= PATIENCE.unread);
    }

    #[tokio::test]
    async fn what_a_server_has_said_before_it_ends_is_passed_on() {
        // Which of both directions comes first is left to chance.
        for _ in 0..32 {
            let (mut client, mut server, relay) = joined();
            client.send(request(1, "ping")).await.unwrap();
            let answer = addressed(Message::result(0, RawJson::EMPTY_OBJECT));
            server.send(answer).await.unwrap();
            drop(server);
            let _ = relay.await;
            assert!(client.next().await.is_some());
        }
    }

    #[tokio::test]
    async fn a_request_that_is_lost_is_answered_once_and_seen_so() {
        let ((mut client, to_client), (mut server, to_server)) = (duplex(8), duplex(8));
        let to_server = to_server.map(|item| {
            let Ok(Inbound::Message(Message::Response(response))) = item else {
                return item;
            };
            let id = response.id.unwrap();
            Ok(Inbound::Malformed(Malformed::lost(id, "cut")))
        });
        let seen = Mutex::new(Vec::new());
        let relay = async {
            let (_stop, stopped) = watch::channel(false);
            let (client, server) = (boxed(to_client).into(), boxed(to_server));
            let see = |side, item: &Inbound| seen.lock().unwrap().push((side, item.clone()));
            relay(client, server, PATIENCE, stopped, see).await
        };
        let playing = async {
            client.send(request(1, "ping")).await.unwrap();
            client.close().await.unwrap();
            server.next().await.unwrap().unwrap();
            let answer = Message::result(1, RawJson::EMPTY_OBJECT);
            server.send(addressed(answer)).await.unwrap();
            let told = client.next().await.unwrap().unwrap();
            // The client has its answer: the server is let go.
            assert!(server.next().await.is_none());
            server.close().await.unwrap();
            assert!(client.next().await.is_none());
            told
        };
        let (ended, told) = tokio::join!(relay, playing);
        assert!(ended.is_ok());
        let error = ErrorObject::internal("request lost: cut");
        assert_eq!(
            told,
            Inbound::Message(Message::error(Some(1.into()), error))
        );
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[1..], [(Side::Server, told)]);
    }

    #[tokio::test]
    async fn a_server_is_let_go_when_its_client_has_all_its_answers() {
        let (mut client, mut server, relay) = joined();
        let mut relay = pin!(relay);
        for message in [
            request(1, "tools/call"),
            request(2, "ping"),
            request(3, "subscriptions/listen"),
        ] {
            client.send(message).await.unwrap();
        }
        let cancelled = RawJson::from(serde_json::json!({ "requestId": 2 }));
        let cancelled = Message::notification("notifications/cancelled", Some(cancelled));
        client.send(addressed(cancelled)).await.unwrap();
        client.close().await.unwrap();
        assert!(relay.as_mut().now_or_never().is_none());
        for _ in 0..4 {
            assert!(server.next().await.is_some());
        }
        assert!(relay.as_mut().now_or_never().is_none());
        assert!(server.next().now_or_never().is_none(), "closed");
        let answer = addressed(Message::result(1, RawJson::EMPTY_OBJECT));
        server.send(answer.clone()).await.unwrap();
        assert!(relay.as_mut().now_or_never().is_none());
        let answered = client.next().await.unwrap().unwrap();
        assert_eq!(answered, Inbound::Message(answer.message));
        let ending = async {
            assert!(server.next().await.is_none());
            server.close().await.unwrap();
        };
        let (ended, ()) = tokio::join!(relay, ending);
        assert!(ended.is_ok());
    }
}
