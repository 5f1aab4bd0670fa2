//! Lists that come in pages.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mcp_peer::session::{Established, PeerMisbehaved, RequestError};
use mcp_peer::types::{
    Cursor, ErrorCode, ErrorObject, ListPrompts, ListPromptsResult, ListResourceTemplates,
    ListResourceTemplatesResult, ListResources, ListResourcesResult, ListTools, ListToolsResult,
    PaginatedParams, Prompt, Request, Resource, ResourceTemplate, Tool,
};
use tokio::time::Instant;

use crate::call::Call;
use crate::client::Client;

/// A method whose result is one page of a list; there are these four.
pub trait Paged: Request<Params = PaginatedParams> {
    /// What the list is of.
    type Item: Clone + Send + Sync + Unpin + 'static;

    /// The page's items, and what there is to know of them, in a type that nobody else can name.
    #[doc(hidden)]
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

/// How often a list that is wanted as a whole is begun again when the connection is lost between two of its pages, or the server
/// does not know its cursor any more.
const RESTARTS: u32 = 2;

/// Bytes that the pages of a list may have on the wire if it is wanted as a whole: sixteen times what one message may have.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A list of the server's: awaited it is the whole list, which may have been [kept](crate::ClientBuilder::keep_lists), begun again,
/// twice at most, if the connection is lost between two of its pages and opened again, or the server refuses its own cursor;
/// [`items`](Self::items) is a stream of what is on it, and [`next_page`](Self::next_page) takes it page by page.
///
/// ```no_run
/// # async fn run(client: mcp_client::Client) -> Result<(), mcp_client::RequestError> {
/// for tool in client.list_tools().await? {
///     println!("{}", tool.name);
/// }
/// // One page in memory at a time, and no more asked for than is looked at.
/// let mut resources = client.list_resources().items();
/// while let Some(resource) = resources.next().await {
///     println!("{}", resource?.uri);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a list is asked for when it is awaited"]
pub struct List<'a, M> {
    client: &'a Client,
    next: Option<PaginatedParams>,
    /// On which connection it was begun: the cursors are of use on no other (REQ-PAG-04).
    server: Option<Arc<Established>>,
    /// Hashes of the cursors so far: a cursor may be as long as a message.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Of the pages so far, on the wire.
    bytes: usize,
    /// Until when all of it may be kept.
    until: Option<Instant>,
    fresh: bool,
    /// By which its schemas are told from those of other lists.
    #[cfg(feature = "schema")]
    number: u64,
    method: std::marker::PhantomData<fn() -> M>,
}

impl<'a, M: Paged> List<'a, M> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self {
            client,
            next: Some(PaginatedParams::default()),
            server: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            bytes: 0,
            until: None,
            fresh: false,
            #[cfg(feature = "schema")]
            number: 0,
            method: std::marker::PhantomData,
        }
    }

    /// Asks the server for all of it, whatever is kept.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// What is on it, one after the other, always from the server: a page is asked for when the one before has been taken.
    pub fn items(self) -> Items<'a, M> {
        Items {
            page: Vec::new().into_iter(),
            state: State::Between(self),
        }
    }

    /// The next page, always from the server; `None` behind the last one.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is. A server that repeats a cursor, or whose list has more than 10,000 pages,
    /// has misbehaved by [`EndlessList`](PeerMisbehaved::EndlessList); the list ends there, and so it does, by
    /// [`ConnectionLost`](RequestError::ConnectionLost), when the connection has been opened again since its first page.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request; the same page comes with the next call.
    pub async fn next_page(&mut self) -> Result<Option<Vec<M::Item>>, RequestError> {
        let Some(params) = &self.next else {
            return Ok(None);
        };
        let open = self.client.open_peer(None).await?.established();
        if self.is_cut_off(&open) {
            self.next = None;
            let why = "the list was begun on another connection";
            return Err(RequestError::ConnectionLost(why.to_owned()));
        }
        if params.cursor.is_none() {
            self.server = open.clone();
            #[cfg(feature = "schema")]
            {
                self.number = self.client.schemas().begin(open);
            }
        }
        let result = Call::<M>::new(self.client, params)
            .request
            .finished()
            .await?;
        self.bytes = self.bytes.saturating_add(result.len());
        let Page {
            items,
            next,
            ttl_ms,
        } = M::into_page(mcp_peer::decode_result(M::METHOD, &result)?);
        let until = Instant::now().checked_add(Duration::from_millis(ttl_ms));
        self.until = self.until.into_iter().chain(until).min();
        #[cfg(feature = "schema")]
        self.client
            .remember_schemas(self.number, &items, next.is_none());
        // An empty cursor is a cursor (REQ-PAG-03).
        self.next = match next {
            None => None,
            Some(cursor) => {
                let pages = self.seen.len() + 1;
                if pages > MAX_PAGES || !self.seen.insert(self.hasher.hash_one(&cursor)) {
                    self.next = None;
                    return Err(endless::<M>(pages));
                }
                let mut params = PaginatedParams::default();
                params.cursor = Some(cursor);
                Some(params)
            }
        };
        Ok(Some(items))
    }

    /// Whether there is more of it, and another connection is open than the one on which it was begun.
    fn is_cut_off(&self, open: &Option<Arc<Established>>) -> bool {
        let more = self.next.as_ref().is_some_and(|p| p.cursor.is_some());
        let address = |server: &Option<Arc<_>>| server.as_ref().map(Arc::as_ptr);
        more && address(open) != address(&self.server)
    }

    /// Whether its next page was refused, so that only its beginning can be asked for (REQ-CACHE-08).
    fn is_unknown_cursor(&self, error: &RequestError) -> bool {
        let more = self.next.as_ref().is_some_and(|p| p.cursor.is_some());
        let refused = |e: &ErrorObject| e.code == ErrorCode::INVALID_PARAMS;
        more && matches!(error, RequestError::Refused(error) if refused(error))
    }
}

fn endless<M: Request>(pages: usize) -> RequestError {
    let method = M::METHOD.into();
    PeerMisbehaved::EndlessList { method, pages }.into()
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
            let mut asked = client.lists().asks(client.peer());
            let mut all = Vec::new();
            let mut again = RESTARTS;
            while self.next.is_some() {
                let open = client.open_peer(None).await?.established();
                let page = match again > 0 && self.is_cut_off(&open) {
                    true => None,
                    false => match self.next_page().await {
                        Err(error) if again > 0 && self.is_unknown_cursor(&error) => None,
                        page => Some(page?.unwrap_or_default()),
                    },
                };
                let Some(page) = page else {
                    again -= 1;
                    self = Self::new(client);
                    asked = client.lists().asks(client.peer());
                    all.clear();
                    continue;
                };
                all.extend(page);
                if self.bytes > MAX_BYTES && self.next.is_some() {
                    return Err(endless::<M>(self.seen.len()));
                }
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

/// What is on a list, as a stream; made by [`List::items`].
///
/// It ends behind an error. A page that is on its way is cancelled on the wire when it is dropped.
#[must_use = "pages are asked for while it is polled"]
pub struct Items<'a, M: Paged> {
    page: std::vec::IntoIter<M::Item>,
    state: State<'a, M>,
}

enum State<'a, M: Paged> {
    /// No page is on its way.
    Between(List<'a, M>),
    /// One is, and brings the list back.
    Asking(Pin<Box<dyn Future<Output = Asked<'a, M>> + Send + 'a>>),
    Ended,
}

type Asked<'a, M> = (
    List<'a, M>,
    Result<Option<Vec<<M as Paged>::Item>>, RequestError>,
);

impl<'a, M: Paged> Items<'a, M> {
    /// The next item; `None` behind the last one, and behind an error.
    ///
    /// # Errors
    /// As [`List::next_page`].
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<M::Item, RequestError>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<M::Item, RequestError>>> {
        loop {
            if let Some(item) = self.page.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Between(mut list) => {
                    self.state = State::Asking(Box::pin(async move {
                        let page = list.next_page().await;
                        (list, page)
                    }));
                }
                State::Asking(mut asking) => match asking.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Asking(asking);
                        return Poll::Pending;
                    }
                    Poll::Ready((list, Ok(Some(page)))) => {
                        self.page = page.into_iter();
                        self.state = State::Between(list);
                    }
                    Poll::Ready((_, Ok(None))) => {}
                    Poll::Ready((_, Err(error))) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }
}

impl<M: Paged> Stream for Items<'_, M> {
    type Item = Result<M::Item, RequestError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }
}

impl<M: Paged> fmt::Debug for Items<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("method", &M::METHOD)
            .finish_non_exhaustive()
    }
}
