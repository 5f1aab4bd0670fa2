//! The chat as an MCP server: tools to come, go and speak, resources to read, notifications of what happens.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mcp_server::{
    Cx, Hub, Json, JsonSchema, Presence, Room, RoomOptions, Sampling, Server, ToolError, resource,
    schemars, tool, with,
};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::protocol::{
    Joined, Matched, MemberChanged, Message, MessageReceived, Present, Rooms, Said, Summary,
};
use crate::store::{Store, StoreError};

/// The server; connections of any transport share its rooms.
pub fn server(store: Store) -> Server {
    let chat = Chat(Arc::new(Inner {
        store,
        order: tokio::sync::Mutex::default(),
        waiting: Mutex::default(),
    }));
    Server::new("chat", env!("CARGO_PKG_VERSION"))
        .instructions("A chat. Join a room, then say something; what others say comes as chat.message_received.")
        .with_notifications()
        .tool(tool("join", with(chat.clone(), join)).describe("Enters a room, and returns what was said there"))
        .tool(tool("leave", leave).describe("Leaves a room"))
        .tool(tool("say", with(chat.clone(), say)).describe("Says something to everybody in a room"))
        .tool(tool("who", who).describe("Tells who is in a room"))
        .tool(tool("match", with(chat.clone(), meet)).describe("Waits for somebody else who waits, and names a room for two"))
        .tool(tool("summarise", with(chat.clone(), summarise)).describe("Has your model summarise what was said in a room"))
        .resource(
            resource("chat://rooms", with(chat.clone(), rooms))
                .name("rooms")
                .describe("The rooms in which something was said lately")
                .mime_type("application/json"),
        )
        .resource(
            resource("chat://rooms/{room}{?since}", with(chat, history))
                .name("history")
                .describe("What was said in a room: lately, or since a message's number")
                .mime_type("application/json"),
        )
}

/// Messages that come with joining a room.
const LATELY: usize = 100;
/// Messages that come at once to who has missed some.
const PAGE: usize = 500;
/// Messages that a summary is made of.
const SUMMARISED: usize = 50;
/// Rooms that are listed.
const LISTED: usize = 100;

#[derive(Clone)]
struct Chat(Arc<Inner>);

struct Inner {
    store: Store,
    /// Held while a message is kept and sent, so that everybody gets them in the order of their numbers.
    order: tokio::sync::Mutex<()>,
    /// Who waits for somebody to talk to: they are told the room.
    waiting: Mutex<Option<oneshot::Sender<String>>>,
}

impl Chat {
    /// Asks the database, in a thread that may wait for the disk.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let inner = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || what(&inner.store)).await;
        let failed = || ToolError::new("the history cannot be reached");
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store failed");
                Err(failed())
            }
            Err(_) => Err(failed()),
        }
    }
}

fn room(hub: &Hub, name: &str) -> Room {
    hub.room_with(name, RoomOptions::default().on_presence(changed))
}

fn changed(room: &Room, presence: Presence<'_>) {
    let (member, present) = match presence {
        Presence::Joined(member) => (member, true),
        Presence::Left(member, _) => (member, false),
        _ => return,
    };
    let params = MemberChanged {
        room: room.name().to_owned(),
        name: member.name().to_owned(),
        present,
        members: members(room),
    };
    if let Err(error) = room.try_send::<MemberChanged>(&params) {
        tracing::warn!(%error, "nobody hears who has come or gone");
    }
}

/// Somebody may be there twice, in two windows, or because the connection they have lost is not known to be lost yet.
fn members(room: &Room) -> Vec<String> {
    let names = room.members().into_iter();
    let names: BTreeSet<_> = names.map(|member| member.name().to_owned()).collect();
    names.into_iter().collect()
}

#[derive(Deserialize, JsonSchema)]
struct Join {
    /// The room: letters, digits, - and _
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,40}$"))]
    room: String,
    /// What you are called
    #[schemars(length(min = 1, max = 40))]
    name: String,
    /// The number of the last message that you have
    since: Option<u64>,
}

async fn join(chat: Chat, cx: Cx, args: Join) -> Result<Json<Joined>, ToolError> {
    let room = room(cx.hub(), &args.room);
    // First, so that nothing falls between what was said before and what is told from now on.
    let member = room.join_as(&cx, args.name)?;
    let name = args.room.clone();
    let messages = chat
        .ask(move |store| match args.since {
            Some(id) => store.after(&name, id, PAGE),
            None => store.latest(&name, LATELY),
        })
        .await?;
    cx.log()
        .debug(format!("{} is in {}", member.name(), args.room))
        .await;
    Ok(Json(Joined {
        more: args.since.is_some() && messages.len() == PAGE,
        members: members(&room),
        room: args.room,
        messages,
    }))
}

#[derive(Deserialize, JsonSchema)]
struct InRoom {
    /// The room
    room: String,
}

async fn leave(cx: Cx, args: InRoom) -> &'static str {
    match room(cx.hub(), &args.room).leave(&cx) {
        true => "left",
        false => "you were not there",
    }
}

async fn who(cx: Cx, args: InRoom) -> Json<Present> {
    let members = members(&room(cx.hub(), &args.room));
    Json(Present { members })
}

#[derive(Deserialize, JsonSchema)]
struct Say {
    /// A room that you are in
    room: String,
    /// What to say
    #[schemars(length(min = 1, max = 4000))]
    text: String,
    /// Anything unique: with the same again, the message is not said again
    #[schemars(length(max = 64))]
    key: Option<String>,
}

async fn say(chat: Chat, cx: Cx, args: Say) -> Result<Json<Said>, ToolError> {
    let room = room(cx.hub(), &args.room);
    if !room.has(&cx) {
        return Err(ToolError::new("join the room first"));
    }
    let by = room.join(&cx)?.name().to_owned();
    // A task of its own: who loses the connection in between has still said it, and everybody hears it.
    let said = tokio::spawn(async move {
        let _order = chat.0.order.lock().await;
        let kept = chat
            .ask(move |store| store.add(&args.room, &by, &args.text, args.key.as_deref()))
            .await?;
        if kept.is_new {
            room.send::<MessageReceived>(&kept.message)
                .await
                .map_err(|error| {
                    tracing::error!(%error, "nobody hears a message");
                    ToolError::new("kept, but not told")
                })?;
        }
        Ok::<_, ToolError>(kept.message.id)
    });
    let id = said
        .await
        .map_err(|_| ToolError::new("it could not be said"))??;
    cx.log().debug(format!("message {id}")).await;
    Ok(Json(Said { id }))
}

#[derive(Deserialize, JsonSchema)]
struct Match {
    /// What you are called
    #[schemars(length(min = 1, max = 40))]
    name: String,
}

async fn meet(chat: Chat, cx: Cx, args: Match) -> Result<Json<Matched>, ToolError> {
    let (send, receive) = oneshot::channel();
    let name = {
        let mut waiting = chat
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = room_for_two();
        // Who has given up meanwhile does not take it.
        let met = waiting
            .take()
            .is_some_and(|other| other.send(name.clone()).is_ok());
        if !met {
            *waiting = Some(send);
        }
        met.then_some(name)
    };
    let name = match name {
        Some(name) => name,
        None => {
            cx.log().info("waiting for somebody").await;
            receive.await.map_err(|_| ToolError::new("nobody came"))?
        }
    };
    room(cx.hub(), &name).join_as(&cx, args.name)?;
    Ok(Json(Matched { room: name }))
}

/// A name that nobody guesses, so that two stay alone.
fn room_for_two() -> String {
    // Its keys are random.
    format!("two-{:016x}", RandomState::new().hash_one(Instant::now()))
}

async fn summarise(chat: Chat, cx: Cx, args: InRoom) -> Result<Json<Summary>, ToolError> {
    let name = args.room.clone();
    let messages = chat
        .ask(move |store| store.latest(&name, SUMMARISED))
        .await?;
    if messages.is_empty() {
        return Err(ToolError::new("nothing was said there"));
    }
    let mut prompt = "Summarise this conversation in one or two sentences.\n".to_owned();
    for Message { by, text, .. } in messages {
        // Writing to a string does not fail.
        let _ = write!(prompt, "\n{by}: {text}");
    }
    let reply = cx.sample(Sampling::user(prompt).max_tokens(300)).await?;
    Ok(Json(Summary {
        summary: reply.to_text(),
    }))
}

async fn rooms(chat: Chat) -> Result<Json<Rooms>, ToolError> {
    let mut rooms = chat.ask(|store| store.rooms(LISTED)).await?;
    // Rooms for two are theirs alone.
    rooms.retain(|room| !room.room.starts_with("two-"));
    rooms.sort_by(|a, b| a.room.cmp(&b.room));
    Ok(Json(Rooms { rooms }))
}

#[derive(Deserialize, JsonSchema)]
struct History {
    room: String,
    since: Option<u64>,
}

async fn history(chat: Chat, args: History) -> Result<Json<Vec<Message>>, ToolError> {
    let messages = chat
        .ask(move |store| match args.since {
            Some(id) => store.after(&args.room, id, PAGE),
            None => store.latest(&args.room, LATELY),
        })
        .await?;
    Ok(Json(messages))
}
