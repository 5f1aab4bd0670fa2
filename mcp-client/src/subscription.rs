//! Hearing of changes, in either era.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_peer::session::{ApiMisuse, Established, NOTIFICATIONS_EXTENSION, RequestError};
use mcp_peer::types::{
    Era, PromptListChanged, Request, ResourceListChanged, ResourceUpdated, ResourceUpdatedParams,
    Subscribe, SubscribeParams, SubscriptionFilter, TASKS_EXTENSION, ToolListChanged, Unsubscribe,
};
use mcp_peer::{Listening, Peer};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::reconnect::{Backoff, Reconnect};

/// What the server tells of, as long as this value lives; made by [`Client::subscribe`].
///
/// What is told reaches [`Client::notifications`] and the callbacks of the builder, by its type; once, however many
/// subscriptions it is about, but for each of them when the connection has been opened again.
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription {
    filter: SubscriptionFilter,
    /// Dropped before the shares: who counts for nothing any more asks for nothing.
    stream: Stream,
    shares: Shares,
}

/// How many subscriptions there are to each resource: a legacy server knows of one, which ends with the last of them.
#[derive(Debug, Default)]
pub(crate) struct Subscribed {
    counts: Mutex<HashMap<String, usize>>,
    /// Held while a legacy server is told, so that it is told in the order of the counting.
    telling: Arc<Telling>,
}

type Telling = tokio::sync::Mutex<()>;

/// What a subscription counts for, as long as it lives.
struct Shares {
    client: Client,
    uris: Vec<String>,
}

impl Shares {
    fn new(client: &Client, filter: &SubscriptionFilter) -> Self {
        let shares = Self {
            client: client.clone(),
            uris: filter.resource_subscriptions.clone().unwrap_or_default(),
        };
        let mut counts = shares.counts();
        for uri in &shares.uris {
            *counts.entry(uri.clone()).or_default() += 1;
        }
        drop(counts);
        shares
    }

    /// Gives one of them up: its resource, and whether it was the last to that.
    fn give_up(&mut self) -> Option<(String, bool)> {
        let uri = self.uris.pop()?;
        let mut counts = self.counts();
        // It was counted when this was made.
        let count = counts.get_mut(&uri)?;
        *count -= 1;
        let last = *count == 0;
        if last {
            counts.remove(&uri);
        }
        drop(counts);
        Some((uri, last))
    }

    /// Nothing panics while it holds the lock.
    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        let counts = self.client.subscribed().counts.lock();
        counts.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        while self.give_up().is_some() {}
    }
}

enum Stream {
    /// As long as the connection lasts.
    Once(Source),
    /// Opened again with the connection.
    Kept {
        task: AbortHandle,
        ended: watch::Receiver<Option<Result<(), RequestError>>>,
    },
}

/// Where what is told comes from.
enum Source {
    /// A stream of the modern era.
    Listening(Listening),
    /// The connection itself, as long as it lasts.
    Connection,
}

impl Client {
    /// Asks the server to tell of changes, and waits until it has agreed: of a resource, by its URI, or of whatever a
    /// [`SubscriptionFilter`] names.
    ///
    /// Modern: a `subscriptions/listen` stream. Legacy: `resources/subscribe` for each resource; of its lists a legacy
    /// server tells unasked. What is fetched after this is at least as new as what is not told of (REQ-SUB-14).
    ///
    /// With a connection that is [opened again](crate::ClientBuilder::reconnect) the server is asked again, and then every
    /// change that it agreed to tell of is told once, lists and resources, for it may have happened in between. So it is when
    /// the stream breaks off and the connection does not, and when the server ends it in good order, as one does that is started
    /// anew: over HTTP nothing else tells that it has been.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_client::types::ResourceUpdated;
    ///
    /// let mut updates = client.notifications::<ResourceUpdated>();
    /// let subscription = client.subscribe("file:///log").await?;
    /// while let Some(update) = updates.recv().await {
    ///     let now = client.read_resource(update?.uri).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is; [`ApiMisuse::MissingCapability`], if a modern server tells of nothing of all
    /// that was asked for.
    ///
    /// # Cancel safety
    /// Modern: dropping the future takes the wish back. Legacy: resources that were subscribed to stay so.
    pub async fn subscribe(
        &self,
        to: impl Into<SubscriptionFilter>,
    ) -> Result<Subscription, RequestError> {
        let filter = to.into();
        let peer = self.open_peer(None).await?.observer();
        let server = peer.established().unwrap_or_else(|| self.server());
        let shares = Shares::new(self, &filter);
        let telling = &self.subscribed().telling;
        let (era, honoured) = ask(&peer, &server, &filter, telling).await?;
        // Legacy servers tell of what they do not declare, too.
        if server.version.era() == Era::Modern
            && honoured.is_empty()
            && let Some(capability) = capability_for(&filter)
        {
            let method = mcp_peer::types::Listen::METHOD.into();
            return Err(ApiMisuse::MissingCapability { method, capability }.into());
        }
        let stream = match self.reconnect() {
            None => Stream::Once(era),
            Some(policy) => {
                let (sender, ended) = watch::channel(None);
                let wish = Wish {
                    filter,
                    stands: false,
                    policy: policy.clone(),
                    telling: Arc::clone(telling),
                };
                let keeping = async move {
                    let outcome = wish.keep(&peer, server, Ok(era)).await;
                    sender.send_replace(Some(outcome));
                };
                let task = tokio::spawn(keeping).abort_handle();
                Stream::Kept { task, ended }
            }
        };
        Ok(Subscription {
            filter: honoured,
            stream,
            shares,
        })
    }
}

/// Asks on the connection that there is, and says what the server has agreed to.
async fn ask(
    peer: &Peer,
    server: &Established,
    filter: &SubscriptionFilter,
    telling: &Telling,
) -> Result<(Source, SubscriptionFilter), RequestError> {
    if server.version.era() == Era::Modern {
        let listening = peer.listen(filter.clone()).await?;
        let honoured = listening.filter().clone();
        return Ok((Source::Listening(listening), honoured));
    }
    let filter = offered(filter, server);
    let _telling = telling.lock().await;
    for uri in filter.resource_subscriptions.iter().flatten() {
        let params = SubscribeParams::new(uri);
        peer.request::<Subscribe>(&params, Default::default())
            .await?;
    }
    Ok((Source::Connection, filter))
}

/// What a server would have to declare to tell of a filter; `None` if that is of nothing.
fn capability_for(filter: &SubscriptionFilter) -> Option<&'static str> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    [
        (filter.tools_list_changed, "tools.listChanged"),
        (filter.prompts_list_changed, "prompts.listChanged"),
        (filter.resources_list_changed, "resources.listChanged"),
        (some(&filter.resource_subscriptions), "resources.subscribe"),
        (some(&filter.notifications), NOTIFICATIONS_EXTENSION),
        (some(&filter.task_ids), TASKS_EXTENSION),
    ]
    .into_iter()
    .find_map(|(wanted, capability)| wanted.then_some(capability))
}

/// What a server can tell of a filter.
fn offered(filter: &SubscriptionFilter, server: &Established) -> SubscriptionFilter {
    let mut filter = filter.clone();
    let (era, server) = (server.version.era(), &server.capabilities);
    let resources = server.resources.as_ref();
    filter.tools_list_changed &= server.tools.as_ref().is_some_and(|t| t.list_changed);
    filter.prompts_list_changed &= server.prompts.as_ref().is_some_and(|p| p.list_changed);
    filter.resources_list_changed &= resources.is_some_and(|r| r.list_changed);
    if !resources.is_some_and(|r| r.subscribe) {
        filter.resource_subscriptions = None;
    }
    match era {
        // A program's own are told unasked.
        Era::Legacy => filter.task_ids = None,
        Era::Modern if server.extension(NOTIFICATIONS_EXTENSION).is_none() => {
            filter.notifications = None;
        }
        Era::Modern => {}
    }
    filter
}

/// Has the callbacks of the builder told of changes as long as there is a connection; returns when the server has agreed.
pub(crate) async fn stand(
    peer: &Peer,
    server: &Arc<Established>,
    filter: SubscriptionFilter,
    policy: Reconnect,
) {
    let wish = Wish {
        filter,
        stands: true,
        policy,
        // Of no resources.
        telling: Arc::default(),
    };
    // It ends with the connection, and does not keep it.
    let (peer, server) = (peer.observer(), Arc::clone(server));
    let asked = wish.ask(&peer, &server).await.map(|(era, _)| era);
    tokio::spawn(async move {
        let ended = wish.keep(&peer, server, asked).await;
        if let Err(error) = ended
            && !peer.is_closed()
        {
            tracing::warn!(%error, "the server tells of no more changes");
        }
    });
}

/// How long a server that has ended a stream in good order, and tells of nothing any more, may take to close the connection:
/// longer than it gives its handlers, unless it was told otherwise.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is to be told, whatever happens to the connection.
struct Wish {
    filter: SubscriptionFilter,
    /// Whether it is of the builder: then a server that can tell nothing of it is not asked.
    stands: bool,
    policy: Reconnect,
    telling: Arc<Telling>,
}

impl Wish {
    async fn ask(
        &self,
        peer: &Peer,
        server: &Established,
    ) -> Result<(Source, SubscriptionFilter), RequestError> {
        if self.stands {
            let filter = offered(&self.filter, server);
            match filter.is_empty() {
                true => Ok((Source::Connection, filter)),
                false => ask(peer, server, &filter, &self.telling).await,
            }
        } else {
            ask(peer, server, &self.filter, &self.telling).await
        }
    }

    /// Asks again whenever nothing is told any more, at once when the connection is open again, else later each time;
    /// completes when nothing more will be told.
    async fn keep(
        &self,
        peer: &Peer,
        mut server: Arc<Established>,
        mut asked: Result<Source, RequestError>,
    ) -> Result<(), RequestError> {
        let lost = |why: &dyn fmt::Display| RequestError::ConnectionLost(why.to_string());
        let mut backoff = Backoff::new(self.policy.clone());
        let mut in_good_order = false;
        loop {
            let since = Instant::now();
            let ended = match &mut asked {
                Ok(Source::Listening(listening)) => listening.ended().await,
                Ok(Source::Connection) => Err(lost(&"")),
                Err(error) => Err(error.clone()),
            };
            backoff.lasted(since.elapsed());
            let was_in_good_order = std::mem::replace(&mut in_good_order, ended.is_ok());
            let mut stays = false;
            match ended {
                Err(RequestError::ConnectionLost(_)) => {}
                // It may be the server that ends, which says so of its streams first (REQ-SUB-07), and then refuses whatever
                // it is asked while its handlers finish: to ask it more often would use up the attempts.
                ended => {
                    let delay = match &ended {
                        Err(RequestError::Refused(_)) if was_in_good_order => Some(FAREWELL),
                        _ => backoff.next(),
                    };
                    let Some(delay) = delay else {
                        return ended;
                    };
                    stays = timeout(delay, peer.lost(&server)).await.is_err();
                }
            }
            if !stays {
                let opened = peer.opened_after(&server).await;
                server = opened.map_err(|why| lost(&why))?;
            }
            asked = match self.ask(peer, &server).await {
                Ok((era, honoured)) => {
                    // Behind the server's consent: what comes from here on it tells itself.
                    let told = tell_all(peer, &honoured).await;
                    told.map_err(|why| lost(&why))?;
                    Ok(era)
                }
                Err(error) => Err(error),
            };
        }
    }
}

/// Tells the program's own receivers of every change that a subscription is about.
async fn tell_all(
    peer: &Peer,
    filter: &SubscriptionFilter,
) -> Result<(), mcp_peer::session::NotSent> {
    if filter.tools_list_changed {
        peer.deliver::<ToolListChanged>(&Default::default()).await?;
    }
    if filter.prompts_list_changed {
        peer.deliver::<PromptListChanged>(&Default::default())
            .await?;
    }
    if filter.resources_list_changed {
        peer.deliver::<ResourceListChanged>(&Default::default())
            .await?;
    }
    for uri in filter.resource_subscriptions.iter().flatten() {
        peer.deliver::<ResourceUpdated>(&ResourceUpdatedParams::new(uri))
            .await?;
    }
    Ok(())
}

impl Subscription {
    /// What the server has agreed to tell: what was asked for, without what it does not offer.
    pub fn filter(&self) -> &SubscriptionFilter {
        &self.filter
    }

    /// Waits until the server tells nothing more: it has ended the stream, or the connection is gone for good.
    ///
    /// With a connection that is opened again, the server is asked again when it has ended the stream, later each time, until
    /// as many streams have ended in a row as [attempts](Reconnect::attempts) may fail. One that has ended it in good order and
    /// then refuses has ten seconds to close the connection before that counts.
    ///
    /// # Errors
    /// [`RequestError`]: it did not end in good order.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Result<(), RequestError> {
        let gone = match &mut self.stream {
            Stream::Once(Source::Listening(listening)) => return listening.ended().await,
            Stream::Once(Source::Connection) => {
                self.shares.client.peer().closed().await.to_string()
            }
            Stream::Kept { ended, .. } => match ended.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(outcome)) => return outcome.clone(),
                _ => "the runtime has ended".to_owned(),
            },
        };
        Err(RequestError::ConnectionLost(gone))
    }

    /// Ends it, and waits until a legacy server has agreed for each resource that no other subscription of this client is to;
    /// dropping it leaves those as they are.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Resources that were not reached stay subscribed.
    pub async fn end(mut self) -> Result<(), RequestError> {
        // A connection that is open again is not asked again for what is to end.
        if let Stream::Kept { task, .. } = &self.stream {
            task.abort();
        }
        let client = self.shares.client.clone();
        if client.era() == Era::Legacy && self.filter.resource_subscriptions.is_some() {
            let _telling = client.subscribed().telling.lock().await;
            while let Some((uri, last)) = self.shares.give_up() {
                if last {
                    let params = SubscribeParams::new(uri);
                    let peer = client.peer();
                    peer.request::<Unsubscribe>(&params, Default::default())
                        .await?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Self::Kept { task, .. } = self {
            task.abort();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
