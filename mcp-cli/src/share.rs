//! One connection to a server for several clients.

use std::collections::{HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_client::types::{Inbound, Message, Outbound};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::PollSender;

use crate::exit::Failure;
use crate::mux::{ClientId, Mux, OPEN, Routed};
use crate::relay::{Batches, ENDING, LAST_WORDS, Side, sorted};
use crate::render::tell;
use crate::target::{Boxed, Broken, Server};

/// Messages that wait for a client. One that has more to read than that is let go: the others would wait for it.
const TO_CLIENT: usize = 4096;
/// Messages that are passed on to clients before these get their turn to take some: they may be tasks of the same thread, and who
/// reads is not to be let go for what came at once.
const TURN: usize = 32;
/// Messages that wait for the server; then nothing more is read from the clients.
const TO_SERVER: usize = 256;
/// Messages that may wait for a server before it is given up: clients that leave cancel and answer so much at most, and more
/// comes of a server that asks much and reads nothing.
const UNREAD: usize = 2 * OPEN;

/// A server that is started with the first client, and again when it has gone.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Option<Hub>>>);

struct Hub {
    events: mpsc::Sender<Event>,
    task: JoinHandle<()>,
}

enum Event {
    Joined(ClientId, mpsc::Sender<Message>),
    Said(ClientId, Message),
    Left(ClientId),
}

/// A client's place at the hub: to a relay it is the server.
struct Seat {
    client: ClientId,
    events: PollSender<Event>,
    messages: mpsc::Receiver<Message>,
    left: bool,
}

fn gone() -> Broken {
    Broken::new("the server has gone")
}

impl Stream for Seat {
    type Item = Result<Inbound, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.messages.poll_recv(cx)) {
            Some(message) => Some(Ok(Inbound::Message(message))),
            None if self.left => None,
            None => Some(Err(gone())),
        })
    }
}

impl Sink<Outbound> for Seat {
    type Error = Broken;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.events.poll_reserve(cx).map_err(|_| gone())
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> Result<(), Broken> {
        let said = Event::Said(self.client, item.message);
        self.events.send_item(said).map_err(|_| gone())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if !self.left {
            ready!(self.as_mut().poll_ready(cx))?;
            let left = Event::Left(self.client);
            self.events.send_item(left).map_err(|_| gone())?;
            self.left = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Shared {
    /// A place at the server for a client: a connection to it as if there were no others. It is left by closing it.
    ///
    /// # Errors
    /// [`Failure::Connect`]
    ///
    /// # Cancel safety
    /// A server that is being opened is given up; whoever comes next opens it anew.
    pub(crate) async fn join(&self, client: ClientId, server: &Server) -> Result<Boxed, Failure> {
        let events = self.events(server).await?;
        let (send, messages) = mpsc::channel(TO_CLIENT);
        // A hub that has gone meanwhile is told by the place at it.
        let _ = events.send(Event::Joined(client, send)).await;
        Ok(Box::pin(Seat {
            client,
            events: PollSender::new(events),
            messages,
            left: false,
        }))
    }

    async fn events(&self, server: &Server) -> Result<mpsc::Sender<Event>, Failure> {
        let mut hub = self.0.lock().await;
        if let Some(hub) = &*hub
            && !hub.events.is_closed()
        {
            return Ok(hub.events.clone());
        }
        let server = server.open().await?;
        let (events, heard) = mpsc::channel(TO_SERVER);
        let task = tokio::spawn(async move {
            if let Err(broken) = run(server, heard).await {
                tell(&format!("mcp: {broken}"));
            }
        });
        *hub = Some(Hub {
            events: events.clone(),
            task,
        });
        Ok(events)
    }

    /// Lets the server go, and waits until it has ended.
    pub(crate) async fn end(&self) {
        if let Some(Hub { events, mut task }) = self.0.lock().await.take() {
            drop(events);
            // It does not panic; if it did, it has ended.
            if timeout(ENDING, &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
    }
}

/// Passes on messages between the server and its clients until there are no more of these.
async fn run(server: Boxed, mut events: mpsc::Receiver<Event>) -> Result<(), Broken> {
    let (mut to_server, mut from_server) = server.split();
    let (queue, mut queued) = mpsc::channel::<Message>(TO_SERVER);
    // By itself, as a server that writes much may read nothing meanwhile.
    let writing = async move {
        while let Some(message) = queued.recv().await {
            to_server.send(message.into()).await?;
        }
        to_server.close().await
    };
    let routing = async move {
        let mut mux = Mux::default();
        let batches = Batches::default();
        let mut clients: HashMap<ClientId, mpsc::Sender<Message>> = HashMap::new();
        let mut unsent: VecDeque<Message> = VecDeque::new();
        let mut told = 0;
        loop {
            let routed = tokio::select! {
                Ok(room) = queue.reserve(), if !unsent.is_empty() => {
                    if let Some(message) = unsent.pop_front() {
                        room.send(message);
                    }
                    continue;
                }
                event = events.recv(), if unsent.is_empty() => match event {
                    None => return Ok(()),
                    Some(Event::Joined(client, sender)) => {
                        clients.insert(client, sender);
                        mux.join(client);
                        continue;
                    }
                    Some(Event::Said(client, message)) => mux.client_said(client, message),
                    Some(Event::Left(client)) => {
                        clients.remove(&client);
                        mux.leave(client)
                    }
                },
                item = from_server.next() => match item {
                    None => return Err(Broken::new("the server has closed its end")),
                    Some(item) => {
                        let item = item?;
                        batches.see(Side::Server, &item);
                        let (messages, _) = sorted(Side::Server, item, &batches);
                        messages.into_iter().flat_map(|message| mux.server_said(message.message)).collect()
                    }
                },
            };
            for routed in routed {
                match routed {
                    Routed::ToServer(message) => {
                        batches.passed(Side::Client, &message);
                        unsent.push_back(message);
                    }
                    Routed::ToClient(client, message) => {
                        if told == TURN {
                            told = 0;
                            tokio::task::yield_now().await;
                        }
                        told += 1;
                        let full = clients
                            .get(&client)
                            .is_some_and(|sender| sender.try_send(message).is_err());
                        if full {
                            clients.remove(&client);
                            unsent.extend(mux.leave(client).into_iter().filter_map(|routed| {
                                match routed {
                                    Routed::ToServer(message) => Some(message),
                                    Routed::ToClient(..) => None,
                                }
                            }));
                        }
                    }
                }
            }
            if unsent.len() > UNREAD {
                return Err(Broken::new("the server asks and does not read the answers"));
            }
        }
    };
    let (mut writing, mut routing) = (pin!(writing), Box::pin(routing));
    tokio::select! {
        written = &mut writing => {
            // What the server has said before is its clients'.
            let _ = timeout(LAST_WORDS, routing).await;
            return written;
        }
        routed = &mut routing => routed?,
    }
    // With it goes the queue, and so the writing comes to its end.
    drop(routing);
    writing.await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_client::types::{RawJson, meta::key};
    use mcp_codec::framed;
    use mcp_peer::{Duplex, duplex};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::sync::watch;

    use super::*;
    use crate::relay::{Ended, Patience, addressed, relay};
    use crate::target::{Target, boxed};

    /// Two clients at one server, each joined to it by a relay; they end with these.
    async fn joined() -> (Duplex, [(Duplex, Joined); 2]) {
        let (server, to_server) = duplex(8);
        let (events, heard) = mpsc::channel(8);
        let task = tokio::spawn(async move {
            // The relays say it, too.
            let _ = run(boxed(to_server), heard).await;
        });
        let hub = Shared(Arc::new(Mutex::new(Some(Hub { events, task }))));
        let client = async |number| {
            let (client, to_client) = duplex(8);
            let seat = hub.join(number, &no_server()).await.unwrap();
            let (stop, stopped) = watch::channel(false);
            let relay = async move {
                let _stop = stop;
                let client = boxed(to_client).into();
                let patience = Patience {
                    silent: Duration::MAX,
                    unread: Duration::MAX,
                };
                relay(client, seat, patience, stopped, |_, _| {}).await
            };
            (client, tokio::spawn(relay))
        };
        (server, [client(1).await, client(2).await])
    }

    type Joined = JoinHandle<Result<(), Ended>>;

    /// One that cannot be opened.
    fn no_server() -> Server {
        Server {
            target: Target::Tcp("none".to_owned()),
            on_stderr: None,
            max_message: 1,
        }
    }

    #[tokio::test]
    async fn a_client_that_has_said_all_and_has_its_answers_does_not_wait_for_its_subscription() {
        let (mut server, [(mut client, relay), _other]) = joined().await;
        let meta = serde_json::json!({ "_meta": { key::PROTOCOL_VERSION: "2026-07-28" } });
        for (id, method) in [(7, "subscriptions/listen"), (8, "tools/call")] {
            let request = Message::request(id, method, Some(meta.clone().into()));
            client.send(request.into()).await.unwrap();
            server.next().await.unwrap().unwrap();
        }
        client.close().await.unwrap();
        let answer = Message::result(2, RawJson::EMPTY_OBJECT);
        server.send(answer.into()).await.unwrap();
        assert!(client.next().await.is_some(), "the answer");
        let ended = relay.await.unwrap();
        assert!(ended.is_ok(), "{ended:?}");
        let Inbound::Message(Message::Notification(end)) = server.next().await.unwrap().unwrap()
        else {
            panic!("its subscription goes on");
        };
        assert_eq!(end.method, "notifications/cancelled");
    }

    #[tokio::test]
    async fn what_a_server_has_said_before_it_ends_is_its_clients() {
        for _ in 0..32 {
            let (mut server, [(mut client, relay), _other]) = joined().await;
            for id in [7, 8] {
                client.send(request(id)).await.unwrap();
                server.next().await.unwrap().unwrap();
            }
            for id in [1, 2] {
                let answer = Message::result(id, RawJson::EMPTY_OBJECT);
                server.send(answer.into()).await.unwrap();
            }
            drop(server);
            // It says more before it reads.
            client.send(request(9)).await.unwrap();
            for id in [7, 8] {
                let said = client.next().await;
                let Some(Ok(Inbound::Message(Message::Response(answer)))) = said else {
                    panic!("no answer to {id}: {said:?}");
                };
                assert_eq!(answer.id, Some(id.into()));
            }
            assert!(relay.await.unwrap().is_err());
        }
    }

    fn request(id: i64) -> Outbound {
        addressed(Message::request(id, "tools/call", None))
    }

    #[tokio::test]
    async fn a_client_that_reads_is_not_let_go_for_what_comes_at_once() {
        let (far, near) = tokio::io::duplex(1 << 20);
        let (events, heard) = mpsc::channel(8);
        tokio::spawn(run(boxed(framed(near)), heard));
        let (send, mut told) = mpsc::channel(TO_CLIENT);
        assert!(events.send(Event::Joined(1, send)).await.is_ok());
        let said = Event::Said(1, Message::request(5, "initialize", None));
        assert!(events.send(said).await.is_ok());
        let (reader, mut writer) = tokio::io::split(far);
        let mut lines = BufReader::new(reader).lines();
        assert!(lines.next_line().await.unwrap().is_some());
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26"}}"#;
        let note = r#"{"jsonrpc":"2.0","method":"x"}"#;
        let notes = [note; 2 * TO_CLIENT];
        // A batch has so many members at most.
        let batches = notes
            .chunks(1024)
            .map(|notes| format!("[{}]", notes.join(",")));
        let batches: Vec<_> = batches.collect();
        for (come, many) in [
            (answer.to_owned(), 1),
            (notes.join("\n"), notes.len()),
            (batches.join("\n"), notes.len()),
        ] {
            writer.write_all(come.as_bytes()).await.unwrap();
            writer.write_all(b"\n").await.unwrap();
            for n in 0..many {
                assert!(told.recv().await.is_some(), "let go after {n}");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_much_undone_leaves_the_server_to_the_others() {
        const MANY: i64 = 5000;
        let (mut server, to_server) = duplex(8);
        let (events, heard) = mpsc::channel(8);
        tokio::spawn(run(boxed(to_server), heard));
        for client in [1, 2] {
            let (told, _) = mpsc::channel(8);
            assert!(events.send(Event::Joined(client, told)).await.is_ok());
        }
        for id in 0..MANY {
            let call = Message::request(id, "tools/call", None);
            assert!(events.send(Event::Said(1, call)).await.is_ok());
            server.next().await.unwrap().unwrap();
        }
        assert!(events.send(Event::Left(1)).await.is_ok());
        for _ in 0..MANY {
            let Some(Ok(Inbound::Message(Message::Notification(_)))) = server.next().await else {
                panic!("the server is given up");
            };
        }
        let call = Message::request(1, "tools/call", None);
        assert!(events.send(Event::Said(2, call)).await.is_ok());
        assert!(server.next().await.is_some_and(|item| item.is_ok()));
    }

    #[tokio::test]
    async fn a_server_that_asks_and_reads_nothing_is_given_up() {
        let (mut server, to_server) = duplex(8);
        let (_events, heard) = mpsc::channel(8);
        let hub = tokio::spawn(run(boxed(to_server), heard));
        let ask = || Message::request(1, "roots/list", None).into();
        while server.send(ask()).await.is_ok() {}
        assert!(hub.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_server_that_may_send_batches_may_do_so() {
        let (far, near) = tokio::io::duplex(1 << 16);
        let (events, heard) = mpsc::channel(8);
        tokio::spawn(run(boxed(framed(near)), heard));
        let (send, mut told) = mpsc::channel(8);
        assert!(events.send(Event::Joined(1, send)).await.is_ok());
        let (reader, mut writer) = tokio::io::split(far);
        let mut lines = BufReader::new(reader).lines();
        for (id, method, answer) in [
            (
                5,
                "initialize",
                r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26"}}"#,
            ),
            (6, "ping", r#"[{"jsonrpc":"2.0","id":2,"result":{}}]"#),
        ] {
            let said = Event::Said(1, Message::request(id, method, None));
            assert!(events.send(said).await.is_ok());
            assert!(lines.next_line().await.unwrap().is_some());
            writer.write_all(answer.as_bytes()).await.unwrap();
            writer.write_all(b"\n").await.unwrap();
            let answered = timeout(Duration::from_secs(60), told.recv()).await;
            let Ok(Some(Message::Response(response))) = answered else {
                panic!("no answer to {method}");
            };
            assert_eq!(response.id, Some(id.into()));
        }
    }
}
