//! What client and server say to each other.

use mcp_server::{JsonSchema, Notification, schemars};
use serde::{Deserialize, Serialize};

/// Something that somebody said in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The room.
    pub room: String,
    /// Its number in the room: one more than that of the message before.
    pub id: u64,
    /// Who said it.
    pub by: String,
    /// What was said.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Somebody has said something in a room that the client is in.
#[derive(Debug)]
pub enum MessageReceived {}

impl Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Message;
}

/// Somebody has come into a room that the client is in, or has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChanged {
    /// The room.
    pub room: String,
    /// Who.
    pub name: String,
    /// Whether they are there now.
    pub present: bool,
    /// Everybody who is there now.
    pub members: Vec<String>,
}

impl Notification for MemberChanged {
    const METHOD: &'static str = "chat.member_changed";
    type Params = Self;
}

/// What `join` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Joined {
    /// The room.
    pub room: String,
    /// Who is there.
    pub members: Vec<String>,
    /// What was said: since the number that was given, or lately.
    pub messages: Vec<Message>,
    /// There is more: to be asked for by joining again, since the last of these.
    pub more: bool,
}

/// What `say` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The message's number in the room.
    pub id: u64,
}

/// What `match` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Matched {
    /// A room for two.
    pub(crate) room: String,
}

/// What `who` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Present {
    /// Who is there.
    pub(crate) members: Vec<String>,
}

/// What `summarise` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// What the asking client's model makes of the conversation.
    pub summary: String,
}

/// One of the rooms in which something was said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RoomInfo {
    /// The room.
    pub(crate) room: String,
    /// How many messages it has.
    pub(crate) messages: u64,
}

/// The resource `chat://rooms`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rooms {
    /// By name.
    pub(crate) rooms: Vec<RoomInfo>,
}
