//! A chat over MCP: what the server offers, where it keeps it, the page it serves, and a client for the terminal.

mod protocol;
mod server;
mod store;
mod terminal;
mod web;

pub use protocol::{Joined, MemberChanged, Message, MessageReceived, Said, Summary};
pub use server::server;
pub use store::{Store, StoreError};
pub use terminal::{Terminal, TerminalError};
pub use web::router;
