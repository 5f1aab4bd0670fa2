//! Clients over HTTP, as connections like any other.
//!
//! A connection over HTTP belongs to the response that carries it: that polls it, and drops it when its client goes away. What
//! joins a client to a server is a task of its own. So there is a pair in memory between the two:
//!
//! ```text
//!   response ── polls ──▶ carry ═══ HttpTransport     carry ═══ Duplex ═══ Connection ──▶ a relay, or one server for all
//! ```

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_client::types::{Inbound, Message, Outbound, ProgressToken, RawJson, RequestId};
use mcp_peer::{Duplex, DuplexError, duplex};
use mcp_transport_http::{
    Accepted, HttpListener, HttpOptions, HttpService, HttpTransport, Streams,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::listen::{Admission, Client};
use super::{Broken, boxed};
use crate::relay::{Batches, Side, sorted};

/// Requests under way for each client that there may be, open streams among them; one more is answered 503.
const REQUESTS_PER_CLIENT: usize = 64;

/// Messages that wait between a response and a relay.
const UNDER_WAY: usize = 16;

/// Clients over HTTP: legacy sessions, and modern requests, each of which stands for itself.
pub(crate) struct HttpClients {
    address: SocketAddr,
    path: String,
    clients: mpsc::Receiver<Client>,
    end: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl HttpClients {
    /// # Errors
    /// The address cannot be listened at.
    pub(crate) async fn bind(
        address: &str,
        path: &str,
        admission: &Admission,
    ) -> std::io::Result<Self> {
        let listener = HttpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (arrived, clients) = mpsc::channel(1);
        let mut options = HttpOptions::default();
        options.body_bytes = admission.max_message;
        options.session_idle = admission.idle;
        options.sessions = admission.max_clients;
        options.requests = admission.max_clients.saturating_mul(REQUESTS_PER_CLIENT);
        let service = HttpService::new(move |accepted| join(accepted, arrived.clone()));
        let mut service = service.options(options);
        if path != "/" {
            service = service.path(path);
        }
        if !admission.hosts.is_empty() {
            service = service.hosts(LOCAL.into_iter().chain(names(&admission.hosts)));
        }
        if !admission.origins.is_empty() {
            service = service.origins(LOCAL.into_iter().chain(names(&admission.origins)));
        }
        let (end, mut ended) = watch::channel(false);
        let serving = tokio::spawn(listener.serve(service, async move {
            // The sender is kept until then.
            let _ = ended.wait_for(|end| *end).await;
        }));
        Ok(Self {
            address,
            path: path.to_owned(),
            clients,
            end,
            serving,
        })
    }

    /// The next client; none if nobody listens any more.
    pub(crate) async fn accept(&mut self) -> Option<Client> {
        self.clients.recv().await
    }

    /// Takes no more clients, and lets those who are there know.
    pub(crate) fn close(&mut self) {
        self.end.send_replace(true);
        self.clients.close();
    }

    /// Waits until all responses are through, once it is closed.
    pub(crate) async fn ended(self) {
        // It does not panic; if it did, it has ended.
        let _ = self.serving.await;
    }
}

impl std::fmt::Display for HttpClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.trim_end_matches('/');
        write!(f, "http://{}{path}", self.address)
    }
}

/// This machine, whatever other names there are for it.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn names(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str)
}

/// Hands a client over, and carries its messages until either side has had enough.
async fn join(accepted: Accepted, arrived: mpsc::Sender<Client>) -> Result<(), DuplexError> {
    let (near, far) = duplex(UNDER_WAY);
    let done = Arc::new(AtomicBool::new(false));
    let client = Client {
        transport: boxed(Connection {
            duplex: far,
            done: Arc::clone(&done),
        }),
        single: accepted.extensions.get::<Streams>().is_none(),
        half_closes: true,
    };
    arrived.send(client).await.map_err(|_| DuplexError)?;
    carry(accepted.transport, near, &done).await;
    Ok(())
}

async fn carry(client: HttpTransport, bridge: Duplex, done: &AtomicBool) {
    let kinship = Mutex::new(Kinship::default());
    let batches = Batches::default();
    let kinship = || kinship.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut to_client, mut from_client) = client.split();
    let (mut to_bridge, mut from_bridge) = bridge.split();
    let hearing = async {
        while let Some(Ok(item)) = from_client.next().await {
            // What is no message was refused before it came here.
            batches.see(Side::Client, &item);
            let (messages, _) = sorted(Side::Client, item, &batches);
            for message in messages {
                kinship().asked(&message.message);
                if to_bridge.send(message).await.is_err() {
                    return;
                }
            }
        }
        done.store(true, Ordering::Release);
        // It fails if nobody is there, who then has nothing to say.
        let _ = to_bridge.close().await;
    };
    let telling = async {
        while let Some(Ok(item)) = from_bridge.next().await {
            batches.see(Side::Server, &item);
            let (messages, _) = sorted(Side::Server, item, &batches);
            for Outbound { message, .. } in messages {
                let related_to = kinship().of(&message);
                let outbound = Outbound {
                    message,
                    related_to,
                };
                // It never fails: whoever is gone ends all this.
                let _ = to_client.send(outbound).await;
            }
        }
    };
    let mut telling = pin!(telling);
    tokio::select! {
        () = &mut telling => return,
        () = hearing => {}
    }
    telling.await;
}

/// A client's end of the pair. Dropped by its response before all was said it breaks: there is nobody to answer to.
struct Connection {
    duplex: Duplex,
    done: Arc<AtomicBool>,
}

const GONE: &str = "the client has gone";

impl Stream for Connection {
    type Item = Result<Inbound, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.duplex.poll_next_unpin(cx));
        Poll::Ready(match item {
            Some(Ok(item)) => Some(Ok(item)),
            None if self.done.load(Ordering::Acquire) => None,
            Some(Err(_)) | None => {
                self.done.store(true, Ordering::Release);
                Some(Err(Broken::new(GONE)))
            }
        })
    }
}

impl Sink<Outbound> for Connection {
    type Error = Broken;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.duplex
            .poll_ready_unpin(cx)
            .map_err(|_| Broken::new(GONE))
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), Broken> {
        self.duplex
            .start_send_unpin(item)
            .map_err(|_| Broken::new(GONE))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.duplex
            .poll_flush_unpin(cx)
            .map_err(|_| Broken::new(GONE))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.duplex
            .poll_close_unpin(cx)
            .map_err(|_| Broken::new(GONE))
    }
}

/// Which of a client's requests a message of the server's is about, as far as other transports let know.
///
/// They have one channel for all, over HTTP each request has a stream, and clients need not have another one. What says
/// nothing of a request is taken to be about the latest (REQ-HTTPL-11); what never is about one goes to the standing stream.
#[derive(Debug, Default)]
struct Kinship {
    /// Requests that are not answered, the latest last, with their progress tokens.
    open: Vec<(RequestId, Option<ProgressToken>)>,
}

impl Kinship {
    fn asked(&mut self, message: &Message) {
        match message {
            Message::Request(request) => {
                let meta = member(&request.params, "_meta");
                let token = meta.and_then(|meta| meta.member("progressToken")?.decode().ok());
                self.open.push((request.id.clone(), token));
            }
            // It may never be answered.
            Message::Notification(n) if n.method == "notifications/cancelled" => {
                let id = member(&n.params, "requestId").and_then(|id| id.decode().ok());
                if let Some(id) = id {
                    self.answered(&id);
                }
            }
            Message::Notification(_) | Message::Response(_) => {}
        }
    }

    fn answered(&mut self, id: &RequestId) {
        self.open.retain(|(open, _)| open != id);
    }

    fn of(&mut self, message: &Message) -> Option<RequestId> {
        let latest = |open: &Self| open.open.last().map(|(id, _)| id.clone());
        match message {
            Message::Response(response) => {
                let id = response.id.clone()?;
                self.answered(&id);
                Some(id)
            }
            Message::Request(_) => latest(self),
            Message::Notification(notification) => match notification.method.as_str() {
                "notifications/progress" => {
                    let token = member(&notification.params, "progressToken")?;
                    let token: ProgressToken = token.decode().ok()?;
                    let mut open = self.open.iter();
                    open.find(|(_, known)| known.as_ref() == Some(&token))
                        .map(|(id, _)| id.clone())
                }
                method if crate::mux::is_of_session(method) => None,
                _ => latest(self),
            },
        }
    }
}

fn member(params: &Option<RawJson>, name: &str) -> Option<RawJson> {
    params.as_ref()?.member(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(mut json: Value) -> Message {
        use mcp_client::types::ParseLimits;
        json["jsonrpc"] = "2.0".into();
        match Inbound::parse(json.to_string().into(), ParseLimits::default()) {
            Inbound::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_find_the_request_that_they_are_about() {
        let mut kinship = Kinship::default();
        let log = || message(json!({ "method": "notifications/message", "params": {} }));
        assert_eq!(kinship.of(&log()), None, "nothing was asked");
        for id in [1, 2, 3] {
            let params = json!({ "_meta": { "progressToken": format!("t{id}") } });
            kinship.asked(&message(
                json!({ "id": id, "method": "tools/call", "params": params }),
            ));
        }
        let progress = |token: &str| {
            message(
                json!({ "method": "notifications/progress", "params": { "progressToken": token } }),
            )
        };
        assert_eq!(kinship.of(&progress("t1")), Some(1.into()));
        assert_eq!(kinship.of(&progress("t9")), None);
        assert_eq!(kinship.of(&log()), Some(3.into()));
        let changed = json!({ "method": "notifications/tools/list_changed" });
        assert_eq!(kinship.of(&message(changed)), None);
        let cancelled =
            json!({ "method": "notifications/cancelled", "params": { "requestId": 3 } });
        kinship.asked(&message(cancelled));
        let sampling =
            || message(json!({ "id": 7, "method": "sampling/createMessage", "params": {} }));
        assert_eq!(kinship.of(&sampling()), Some(2.into()));
        let answer = |id: i64| message(json!({ "id": id, "result": {} }));
        assert_eq!(kinship.of(&answer(2)), Some(2.into()));
        assert_eq!(kinship.of(&sampling()), Some(1.into()));
        assert_eq!(kinship.of(&answer(1)), Some(1.into()));
        assert_eq!(kinship.of(&sampling()), None);
    }
}
