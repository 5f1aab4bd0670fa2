//! The same chat in a terminal.

use std::future::IntoFuture;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_client::types::{
    CreateMessageParams, CreateMessageResult, ErrorObject, SubscriptionFilter,
};
use mcp_client::{
    Client, ConnectError, Established, Notification, OpenError, Reconnect, RequestError,
};
use mcp_transport_ws::Connect;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};

use crate::protocol::{Joined, MemberChanged, MessageReceived};

/// A client that shows a room, and says there what is typed.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Where the server is.
    pub server: Connect,
    /// What to be called.
    pub name: String,
    /// The room.
    pub room: String,
    /// A command that answers for a model: it gets the question on its stdin.
    pub model: Option<String>,
}

/// Why the terminal has given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TerminalError {
    /// The server cannot be reached, or does not speak MCP.
    #[error(transparent)]
    Connect(#[from] OpenError<mcp_transport_ws::ConnectError>),
    /// The connection was lost, and could not be made again.
    #[error(transparent)]
    Lost(#[from] ConnectError),
    /// The server does not do what a chat does.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The room cannot be entered.
    #[error("{0}")]
    Refused(String),
    /// stdin failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

const HELP: &str = "/who  /summarise  /quit";

impl Terminal {
    /// Runs until stdin ends, or `/quit`.
    ///
    /// # Errors
    /// [`TerminalError`]. A connection that is lost is made again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the chat.
    pub async fn run(self) -> Result<(), TerminalError> {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        // Numbers begin at 1.
        let last = Arc::new(AtomicU64::new(0));
        let mut unsent = None;
        let server = self.server.clone();
        let client = self
            .client()
            .reconnect(Reconnect::default().attempts(u32::MAX))
            .connect_with(move || server.clone().into_future())
            .await?;
        // Not with the builder, which would have it told by itself: that is asked for anew before each joining.
        let shown = Arc::clone(&last);
        let peer = client.peer();
        peer.on_notification::<MessageReceived>(move |message| show(&shown, &message));
        peer.on_notification::<MemberChanged>(|change| {
            let what = if change.present {
                "is here"
            } else {
                "has left"
            };
            eprintln!("* {} {what}", printable(&change.name));
        });
        loop {
            let connection = client.server();
            let attended = self.attend(&client, &connection, &last, &mut lines, &mut unsent);
            match attended.await {
                Ok(()) => {
                    client.close().await;
                    return Ok(());
                }
                Err(TerminalError::Request(RequestError::ConnectionLost(_))) => {
                    client.peer().opened_after(&connection).await?;
                    eprintln!("* the connection was lost, and is open again");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Is in the room until stdin ends, or the connection does: where one is, is the connection's.
    async fn attend(
        &self,
        client: &Client,
        connection: &Arc<Established>,
        last: &AtomicU64,
        lines: &mut Lines<BufReader<Stdin>>,
        unsent: &mut Option<Value>,
    ) -> Result<(), TerminalError> {
        let filter = SubscriptionFilter::new()
            .notification(MessageReceived::METHOD)
            .notification(MemberChanged::METHOD);
        // Before joining, so that nothing falls between what was said before and what is told from now on.
        let _subscription = client.subscribe(filter).await?;
        self.join(client, last).await?;
        self.talk(client, connection, lines, unsent).await
    }

    fn client(&self) -> mcp_client::ClientBuilder {
        let builder =
            Client::builder("chat-terminal", env!("CARGO_PKG_VERSION")).with_notifications();
        match self.model.clone() {
            None => builder,
            Some(model) => builder.on_sampling(move |params| answer(model.clone(), params)),
        }
    }

    /// Says what is typed, until that ends or the connection does.
    async fn talk(
        &self,
        client: &Client,
        connection: &Arc<Established>,
        lines: &mut Lines<BufReader<Stdin>>,
        unsent: &mut Option<Value>,
    ) -> Result<(), TerminalError> {
        let lost = || RequestError::ConnectionLost("another one is open".to_owned());
        let is_lost = || {
            let now = client.peer().established();
            !now.is_some_and(|now| Arc::ptr_eq(&now, connection))
        };
        let mut reopened = pin!(client.peer().opened_after(connection));
        loop {
            if let Some(message) = unsent {
                match client.call_tool("say", &*message).await {
                    Err(error @ RequestError::ConnectionLost(_)) => return Err(error.into()),
                    // Nobody has joined on the next connection yet.
                    Ok(result) if result.is_error && is_lost() => return Err(lost().into()),
                    Err(error) => eprintln!("* {}", printable(&error.to_string())),
                    Ok(result) if result.is_error => {
                        eprintln!("* {}", printable(&result.to_text()))
                    }
                    Ok(_) => {}
                }
                *unsent = None;
            }
            let line = tokio::select! {
                line = lines.next_line() => line?,
                _ = &mut reopened => return Err(lost().into()),
            };
            let here = json!({ "room": self.room });
            match line.as_deref().map(str::trim) {
                None | Some("/quit") => return Ok(()),
                Some("") => {}
                Some(tool @ ("/who" | "/summarise")) => {
                    match client.call_tool(&tool[1..], here).await {
                        Ok(result) => eprintln!("* {}", printable(&result.to_text())),
                        Err(error) => eprintln!("* {}", printable(&error.to_string())),
                    }
                }
                Some(command) if command.starts_with('/') => eprintln!("* {HELP}"),
                Some(text) => {
                    // The key makes it harmless to say it again, if the connection is lost in between.
                    let key = format!("{}-{:?}", std::process::id(), std::time::Instant::now());
                    let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
                    *unsent = Some(json!({ "room": self.room, "text": text, "key": key }));
                }
            }
        }
    }

    /// Joins the room, and shows what was missed.
    async fn join(&self, client: &Client, last: &AtomicU64) -> Result<(), TerminalError> {
        loop {
            let mut join = json!({ "room": self.room, "name": self.name });
            match last.load(Ordering::Relaxed) {
                0 => {}
                last => join["since"] = last.into(),
            }
            let result = client.call_tool("join", join).await?;
            let text = result.to_text();
            let content = result.structured_content.filter(|_| !result.is_error);
            let joined = content.and_then(|content| content.decode::<Joined>().ok());
            let joined = joined.ok_or(TerminalError::Refused(text))?;
            for message in &joined.messages {
                show(last, message);
            }
            if !joined.more {
                let members = joined.members.join(", ");
                let here = format!("in {} with {members}", joined.room);
                eprintln!("* {}; {HELP}", printable(&here));
                return Ok(());
            }
        }
    }
}

/// Shows a message once, however often it comes.
fn show(last: &AtomicU64, message: &crate::Message) {
    if last.fetch_max(message.id, Ordering::Relaxed) < message.id {
        println!(
            "{}",
            printable(&format!("{}: {}", message.by, message.text))
        );
    }
}

/// What others write, without anything that a terminal would obey.
fn printable(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && c != '\n';
    text.replace(obeyed, "\u{fffd}")
}

/// Has the command answer.
async fn answer(
    command: String,
    params: CreateMessageParams,
) -> Result<CreateMessageResult, ErrorObject> {
    let question = params.messages.iter().map(|message| message.to_text());
    let question = question.collect::<Vec<_>>().join("\n");
    let failed =
        |error: std::io::Error| ErrorObject::internal(format!("the model failed: {error}"));
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let asking = async {
        if let Some(mut stdin) = stdin {
            // One that answers without having read everything is a model, too.
            let _ = stdin.write_all(question.as_bytes()).await;
        }
    };
    // At once, as it may answer before it has read everything.
    let ((), output) = tokio::join!(asking, child.wait_with_output());
    let output = output.map_err(failed)?;
    if !output.status.success() {
        return Err(failed(std::io::Error::other(output.status.to_string())));
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(CreateMessageResult::text(command, text))
}

#[cfg(test)]
mod tests {
    use mcp_client::types::Sampling;
    use mcp_testing::soon;

    use super::*;

    #[tokio::test]
    async fn a_model_may_answer_while_it_reads_and_has_to_succeed() {
        // More than there is room for in a pipe.
        let long = "x".repeat(1 << 20);
        let ask = |command: &str| {
            let question = Sampling::user(long.as_str());
            soon(answer(command.to_owned(), question))
        };
        assert_eq!(ask("cat").await.unwrap().to_text(), long);
        assert_eq!(ask("echo fine").await.unwrap().to_text(), "fine");
        assert!(ask("exit 3").await.is_err());
    }

    #[test]
    fn nobody_else_drives_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nä"), "a\u{fffd}[2Jb\u{fffd}\nä");
    }
}
