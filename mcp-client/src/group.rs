//! Many servers as one.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use mcp_peer::session::RequestError;
use mcp_peer::types::{CallTool, GetPrompt, ListPrompts, ListResources, ListTools};
use mcp_peer::types::{Prompt, Resource, ServerCapabilities, Tool};
use serde::Serialize;

use crate::call::Call;
use crate::client::Client;
use crate::list::{List, Paged};

/// Connections to many servers, each under a name: their tools and prompts are merged under those names, calls find their
/// server by them, and the loss of one leaves the others as they are.
///
/// A tool `read` of a server that was added as `files` is `files__read` here. That leaves a name of letters, digits, `_` and
/// `-`, as model providers want it.
///
/// ```no_run
/// # async fn run(files: mcp_client::Client, web: mcp_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut group = mcp_client::ClientGroup::new();
/// group.add("files", files)?;
/// group.add("web", web)?;
///
/// let merged = group.list_tools().await;
/// for tool in &merged.items {
///     println!("{} of {}", tool.item.name, tool.server);
/// }
/// for failure in &merged.failed {
///     println!("nothing of {}: {}", failure.server, failure.error);
/// }
/// let result = group.call_tool("files__read", serde_json::json!({ "path": "a.txt" }))?.await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientGroup {
    /// In the order in which they were added.
    members: Vec<(String, Client)>,
}

/// What stands between the server's name and its own.
const SEPARATOR: &str = "__";

/// What all servers of a group have, and which of them could not say.
#[derive(Debug)]
pub struct Merged<T> {
    /// Those of the first server first.
    pub items: Vec<Of<T>>,
    /// The servers whose list is missing.
    pub failed: Vec<Failed>,
}

/// Something of one server of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Of<T> {
    /// The server's name in the group.
    pub server: String,
    /// What it is, under its name in the group.
    pub item: T,
}

/// A server of a group that could not say what it has.
#[derive(Debug)]
pub struct Failed {
    /// The server's name in the group.
    pub server: String,
    /// Why.
    pub error: RequestError,
}

/// Why a server cannot be added under a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameRefused {
    /// Another one has it.
    #[error("there is a server `{0}` already")]
    Taken(String),
    /// It is empty, or could not be told from what stands behind it.
    #[error("`{0}` cannot stand before `__`")]
    Ambiguous(String),
}

/// No server of the group has a name that begins like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is of no server in the group")]
pub struct UnknownServer(pub String);

impl ClientGroup {
    /// A group of none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server.
    ///
    /// # Errors
    /// [`NameRefused`]; the group is as it was.
    pub fn add(&mut self, name: impl Into<String>, client: Client) -> Result<(), NameRefused> {
        let name = name.into();
        if name.is_empty() || name.contains(SEPARATOR) || name.ends_with('_') {
            return Err(NameRefused::Ambiguous(name));
        }
        if self.client(&name).is_some() {
            return Err(NameRefused::Taken(name));
        }
        self.members.push((name, client));
        Ok(())
    }

    /// Takes a server out of the group; its connection closes with the last clone of the client.
    pub fn remove(&mut self, name: &str) -> Option<Client> {
        let at = self.members.iter().position(|(own, _)| own == name)?;
        Some(self.members.remove(at).1)
    }

    /// One server.
    pub fn client(&self, name: &str) -> Option<&Client> {
        let mut members = self.members.iter();
        members.find_map(|(own, client)| (own == name).then_some(client))
    }

    /// All servers, by their names.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.members.iter().map(|(name, client)| (&**name, client))
    }

    /// The servers whose connection is gone for good.
    pub fn lost(&self) -> Vec<&str> {
        let lost = self.clients().filter(|(_, c)| c.peer().is_closed());
        lost.map(|(name, _)| name).collect()
    }

    /// The tools of all servers that declare them, all asked at once.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the requests.
    pub async fn list_tools(&self) -> Merged<Tool> {
        let declared = |server: &ServerCapabilities| server.tools.is_some();
        self.merged::<ListTools>(declared, |server, tool| prefix(server, &mut tool.name))
            .await
    }

    /// The prompts of all servers that declare them, all asked at once.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the requests.
    pub async fn list_prompts(&self) -> Merged<Prompt> {
        let declared = |server: &ServerCapabilities| server.prompts.is_some();
        self.merged::<ListPrompts>(declared, |server, prompt| prefix(server, &mut prompt.name))
            .await
    }

    /// The resources of all servers that declare them, all asked at once; each is read from [its server](Self::client).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the requests.
    pub async fn list_resources(&self) -> Merged<Resource> {
        let declared = |server: &ServerCapabilities| server.resources.is_some();
        self.merged::<ListResources>(declared, |_, _| ()).await
    }

    /// Calls a tool by its name in the group; `arguments` serialises as an object.
    ///
    /// # Errors
    /// [`UnknownServer`]: there is nobody to call.
    pub fn call_tool<A: Serialize>(
        &self,
        name: &str,
        arguments: A,
    ) -> Result<Call<'_, CallTool>, UnknownServer> {
        let (client, own) = self.find(name)?;
        Ok(client.call_tool(own, arguments))
    }

    /// Gets a prompt by its name in the group; `arguments` serialises as an object of strings.
    ///
    /// # Errors
    /// [`UnknownServer`]: there is nobody to ask.
    pub fn get_prompt<A: Serialize>(
        &self,
        name: &str,
        arguments: A,
    ) -> Result<Call<'_, GetPrompt>, UnknownServer> {
        let (client, own) = self.find(name)?;
        Ok(client.get_prompt(own, arguments))
    }

    /// The server of a name, and what the server itself calls it.
    fn find<'n>(&self, name: &'n str) -> Result<(&Client, &'n str), UnknownServer> {
        let found = name
            .split_once(SEPARATOR)
            .and_then(|(server, own)| Some((self.client(server)?, own)));
        found.ok_or_else(|| UnknownServer(name.to_owned()))
    }

    /// Those that have declared the capability are asked (REQ-LIFE-09); the others have none.
    async fn merged<M: Paged>(
        &self,
        declared: impl Fn(&ServerCapabilities) -> bool,
        rename: impl Fn(&str, &mut M::Item),
    ) -> Merged<M::Item> {
        let members = self.members.iter();
        let asked: Vec<_> = members
            .filter(|(_, client)| declared(&client.server().capabilities))
            .collect();
        let lists = asked
            .iter()
            .map(|(_, client)| List::<M>::new(client).into_future());
        let outcomes = join_all(lists.collect()).await;
        let mut merged = Merged {
            items: Vec::new(),
            failed: Vec::new(),
        };
        for ((server, _), outcome) in asked.into_iter().zip(outcomes) {
            let server = server.clone();
            match outcome {
                Ok(items) => merged.items.extend(items.into_iter().map(|mut item| {
                    rename(&server, &mut item);
                    let server = server.clone();
                    Of { server, item }
                })),
                Err(error) => merged.failed.push(Failed { server, error }),
            }
        }
        merged
    }
}

/// Waits for all of them at once.
async fn join_all<T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut outcomes: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, outcome) in futures.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *outcome = Some(ready);
            }
        }
        match outcomes.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

fn prefix(server: &str, name: &mut String) {
    *name = format!("{server}{SEPARATOR}{name}");
}
