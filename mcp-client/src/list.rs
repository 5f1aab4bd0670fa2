//! Lists that come in pages.

use std::collections::HashSet;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use mcp_peer::session::{PeerMisbehaved, RequestError};
use mcp_peer::types::{
    Cursor, ListPrompts, ListPromptsResult, ListResourceTemplates, ListResourceTemplatesResult,
    ListResources, ListResourcesResult, ListTools, ListToolsResult, PaginatedParams, Prompt,
    Request, Resource, ResourceTemplate, Tool,
};

use crate::call::Call;
use crate::client::Client;

/// A method whose result is one page of a list.
pub trait Paged: Request<Params = PaginatedParams> {
    /// What the list is of.
    type Item: Send + 'static;

    /// The page's items, and where the next page starts.
    fn into_page(result: Self::Result) -> (Vec<Self::Item>, Option<Cursor>);
}

macro_rules! paged {
    ($($method:ident($result:ident).$items:ident: $item:ident;)*) => {
        $(impl Paged for $method {
            type Item = $item;

            fn into_page(result: $result) -> (Vec<$item>, Option<Cursor>) {
                (result.$items, result.next_cursor)
            }
        })*
    };
}

paged! {
    ListTools(ListToolsResult).tools: Tool;
    ListResources(ListResourcesResult).resources: Resource;
    ListResourceTemplates(ListResourceTemplatesResult).resource_templates: ResourceTemplate;
    ListPrompts(ListPromptsResult).prompts: Prompt;
}

/// Pages that a list may have, against a server that never ends it (REQ-PAG-05).
const MAX_PAGES: usize = 10_000;

/// A list of the server's: awaited it is the whole list, [`next_page`](Self::next_page) takes it page by page.
///
/// ```no_run
/// # async fn run(client: mcp_client::Client) -> Result<(), mcp_client::RequestError> {
/// for tool in client.list_tools().await? {
///     println!("{}", tool.name);
/// }
/// let mut resources = client.list_resources();
/// while let Some(page) = resources.next_page().await? {
///     println!("{} more", page.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a list is asked for when it is awaited"]
pub struct List<'a, M> {
    client: &'a Client,
    next: Option<PaginatedParams>,
    seen: HashSet<Cursor>,
    method: std::marker::PhantomData<fn() -> M>,
}

impl<'a, M: Paged> List<'a, M> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self {
            client,
            next: Some(PaginatedParams::default()),
            seen: HashSet::new(),
            method: std::marker::PhantomData,
        }
    }

    /// The next page; `None` behind the last one.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is. A server that repeats a cursor, or whose list has more than 10,000 pages,
    /// misbehaves; the list ends there.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request; the same page comes with the next call.
    pub async fn next_page(&mut self) -> Result<Option<Vec<M::Item>>, RequestError> {
        let Some(params) = &self.next else {
            return Ok(None);
        };
        let result = Call::<M>::new(self.client, params).await?;
        let (items, cursor) = M::into_page(result);
        // An empty cursor is a cursor (REQ-PAG-03).
        self.next = match cursor {
            None => None,
            Some(cursor) => {
                if self.seen.len() >= MAX_PAGES || !self.seen.insert(cursor.clone()) {
                    self.next = None;
                    return Err(endless::<M>());
                }
                let mut params = PaginatedParams::default();
                params.cursor = Some(cursor);
                Some(params)
            }
        };
        Ok(Some(items))
    }
}

fn endless<M: Request>() -> RequestError {
    RequestError::Misbehaved(PeerMisbehaved::ResultShape {
        method: M::METHOD.into(),
        reason: "the list does not end".to_owned(),
    })
}

impl<'a, M: Paged> IntoFuture for List<'a, M> {
    type Output = Result<Vec<M::Item>, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut all = Vec::new();
            while let Some(page) = self.next_page().await? {
                all.extend(page);
            }
            Ok(all)
        })
    }
}
