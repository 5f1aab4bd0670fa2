//! Lists that come in pages.

use std::collections::HashSet;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use mcp_peer::session::{PeerMisbehaved, RequestError};
use mcp_peer::types::{
    Cursor, ListPrompts, ListPromptsResult, ListResourceTemplates, ListResourceTemplatesResult,
    ListResources, ListResourcesResult, ListTools, ListToolsResult, PaginatedParams, Prompt,
    Request, Resource, ResourceTemplate, Tool,
};
use tokio::time::Instant;

use crate::call::Call;
use crate::client::Client;

/// A method whose result is one page of a list.
pub trait Paged: Request<Params = PaginatedParams> {
    /// What the list is of.
    type Item: Clone + Send + Sync + 'static;

    /// The page's items, and what there is to know of them.
    fn into_page(result: Self::Result) -> Page<Self::Item>;
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one starts.
    pub next: Option<Cursor>,
    /// For how many milliseconds it may be kept.
    pub ttl_ms: u64,
}

macro_rules! paged {
    ($($method:ident($result:ident).$items:ident: $item:ident;)*) => {
        $(impl Paged for $method {
            type Item = $item;

            fn into_page(result: $result) -> Page<$item> {
                Page {
                    items: result.$items,
                    next: result.next_cursor,
                    ttl_ms: result.ttl_ms.unwrap_or(0),
                }
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

/// A list of the server's: awaited it is the whole list, which may have been [kept](crate::ClientBuilder::keep_lists);
/// [`next_page`](Self::next_page) takes it page by page.
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
    /// Until when all of it may be kept.
    until: Option<Instant>,
    fresh: bool,
    method: std::marker::PhantomData<fn() -> M>,
}

impl<'a, M: Paged> List<'a, M> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self {
            client,
            next: Some(PaginatedParams::default()),
            seen: HashSet::new(),
            until: None,
            fresh: false,
            method: std::marker::PhantomData,
        }
    }

    /// Asks the server for all of it, whatever is kept.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// The next page, always from the server; `None` behind the last one.
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
        let Page {
            items,
            next,
            ttl_ms,
        } = M::into_page(result);
        let until = Instant::now().checked_add(Duration::from_millis(ttl_ms));
        self.until = self.until.into_iter().chain(until).min();
        #[cfg(feature = "schema")]
        self.client.remember_schemas(&items);
        // An empty cursor is a cursor (REQ-PAG-03).
        self.next = match next {
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
            let client = self.client;
            if !self.fresh
                && let Some(items) = client.lists().of::<M>(client.peer())
            {
                return Ok(items);
            }
            let asked = client.lists().asks(client.peer());
            let mut all = Vec::new();
            while let Some(page) = self.next_page().await? {
                all.extend(page);
            }
            if let (Some(asked), Some(until)) = (asked, self.until)
                && until > Instant::now()
            {
                client.lists().keep::<M>(asked, &all, until);
            }
            Ok(all)
        })
    }
}
