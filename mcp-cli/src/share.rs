//! One connection to a server for several clients.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_client::types::{Inbound, Message, Outbound};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::exit::Failure;
use crate::mux::{ClientId, Mux, Routed};
use crate::relay::{Batches, ENDING, Ended, LAST_WORDS, LINGER, Side, addressed, sorted};
use crate::render::tell;
use crate::target::{Boxed, Broken, Client, Server};

/// Messages that wait for a client. One that has more to read than that is let go: the others would wait for it.
const TO_CLIENT: usize = 4096;
/// Messages that wait for the server; then nothing more is read from the clients.
const TO_SERVER: usize = 256;
/// Answers that may wait for a server that asks much and reads nothing, before it is given up.
const UNREAD: usize = 4096;

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
    /// It has asked all it wants to, and waits for what is not answered yet.
    Finished(ClientId),
    Left(ClientId),
}

impl Shared {
    /// Lets a client talk to the server until one of them goes, or the client has asked all it wants to and has its answers.
    pub(crate) async fn serve(
        &self,
        number: ClientId,
        client: Client,
        server: &Server,
        mut stop: watch::Receiver<bool>,
        see: impl Fn(Side, &Inbound),
    ) -> Result<Result<(), Ended>, Failure> {
        let events = self.events(server).await?;
        let (send, mut messages) = mpsc::channel(TO_CLIENT);
        let gone = || Ended::Broken(Side::Server, Broken::new("the server has gone"));
        if events.send(Event::Joined(number, send)).await.is_err() {
            return Ok(Err(gone()));
        }
        let half_closes = client.half_closes;
        let (to_client, mut from_client) = client.transport.split();
        let to_client = Mutex::new(to_client);
        let finished = Notify::new();
        let batches = Batches::default();
        let see = |side, item: &Inbound| {
            batches.see(item);
            see(side, item);
        };
        let told = async |message: Outbound| {
            let sent = to_client.lock().await.send(message).await;
            sent.map_err(|e| Ended::Broken(Side::Client, e))
        };
        let listening = async {
            while let Some(item) = from_client.next().await {
                let item = item.map_err(|e| Ended::Broken(Side::Client, e))?;
                see(Side::Client, &item);
                let (said, replies) = sorted(Side::Client, item, &batches);
                for message in said {
                    let event = Event::Said(number, message.message);
                    events.send(event).await.map_err(|_| gone())?;
                }
                for reply in replies {
                    told(reply).await?;
                }
            }
            if !half_closes {
                return Err(Ended::Stopped);
            }
            finished.notify_one();
            let event = Event::Finished(number);
            events.send(event).await.map_err(|_| gone())
        };
        let telling = async {
            let mut patience = Duration::MAX;
            loop {
                let message = tokio::select! {
                    biased;
                    () = finished.notified() => {
                        patience = LINGER;
                        continue;
                    }
                    message = timeout(patience, messages.recv()) => message,
                };
                match message {
                    Ok(Some(message)) => {
                        see(Side::Server, &Inbound::Message(message.clone()));
                        told(addressed(message)).await?;
                    }
                    Ok(None) if patience == Duration::MAX || events.is_closed() => {
                        return Err(gone());
                    }
                    // It has all its answers,
                    Ok(None) => return Ok(()),
                    // or they do not come.
                    Err(_) => return Err(Ended::Idle(patience)),
                }
            }
        };
        let both = async {
            let mut telling = pin!(telling);
            tokio::select! {
                listened = listening => listened?,
                told = &mut telling => return told,
            }
            // Not begun anew: it may be amid a message.
            telling.await
        };
        let ended = tokio::select! {
            ended = both => ended,
            _ = stop.wait_for(|stop| *stop) => Err(Ended::Stopped),
        };
        // The hub may be gone; then nothing is open there. Or its server does not read, and it is to stop.
        tokio::select! {
            biased;
            _ = events.send(Event::Left(number)) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(ended)
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
        let mut finished: HashSet<ClientId> = HashSet::new();
        let mut unsent: VecDeque<Message> = VecDeque::new();
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
                    Some(Event::Finished(client)) => {
                        finished.insert(client);
                        Vec::new()
                    }
                    Some(Event::Left(client)) => {
                        clients.remove(&client);
                        finished.remove(&client);
                        mux.leave(client)
                    }
                },
                item = from_server.next() => match item {
                    None => return Err(Broken::new("the server has closed its end")),
                    Some(item) => {
                        let item = item?;
                        batches.see(&item);
                        let (messages, _) = sorted(Side::Server, item, &batches);
                        messages.into_iter().flat_map(|message| mux.server_said(message.message)).collect()
                    }
                },
            };
            for routed in routed {
                match routed {
                    Routed::ToServer(message) => {
                        batches.passed(&message);
                        unsent.push_back(message);
                    }
                    Routed::ToClient(client, message) => {
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
            // Its end of the queue goes when it has got all that is in it.
            finished.retain(|client| {
                let awaits = mux.awaits(*client);
                if !awaits {
                    clients.remove(client);
                }
                awaits
            });
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
    use mcp_codec::framed;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::target::boxed;

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
