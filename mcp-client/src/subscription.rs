//! Hearing of changes, in either era.

use std::fmt;
use std::sync::Arc;

use mcp_peer::session::{Established, RequestError};
use mcp_peer::types::{
    Era, PromptListChanged, ResourceListChanged, ResourceUpdated, ResourceUpdatedParams, Subscribe,
    SubscribeParams, SubscriptionFilter, ToolListChanged, Unsubscribe,
};
use mcp_peer::{Listening, Peer};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::client::Client;

/// What the server tells of, as long as this value lives; made by [`Client::subscribe`].
///
/// What is told reaches [`Client::notifications`] and the callbacks of the builder, by its type.
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription {
    filter: SubscriptionFilter,
    client: Client,
    stream: Stream,
}

enum Stream {
    /// As long as the connection lasts.
    Once(InEra),
    /// Opened again with the connection.
    Kept {
        task: AbortHandle,
        ended: watch::Receiver<Option<Result<(), RequestError>>>,
    },
}

enum InEra {
    Modern(Listening),
    Legacy,
}

impl Client {
    /// Asks the server to tell of changes, and waits until it has agreed.
    ///
    /// Modern: a `subscriptions/listen` stream. Legacy: `resources/subscribe` for each resource; of its lists a legacy
    /// server tells unasked. What is fetched after this is at least as new as what is not told of (REQ-SUB-14).
    ///
    /// With a connection that is [opened again](crate::ClientBuilder::reconnect) the server is asked again, and then every
    /// change that it agreed to tell of is told once, lists and resources, for it may have happened in between.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Modern: dropping the future takes the wish back. Legacy: resources that were subscribed to stay so.
    pub async fn subscribe(
        &self,
        filter: SubscriptionFilter,
    ) -> Result<Subscription, RequestError> {
        let server = self.server();
        let (era, honoured) = self.listen(&server, &filter).await?;
        let stream = if self.reopens() {
            let (sender, ended) = watch::channel(None);
            let client = self.clone();
            let keeping = async move {
                let outcome = keep(&client, server, era, filter).await;
                sender.send_replace(Some(outcome));
            };
            let task = tokio::spawn(keeping).abort_handle();
            Stream::Kept { task, ended }
        } else {
            Stream::Once(era)
        };
        Ok(Subscription {
            filter: honoured,
            client: self.clone(),
            stream,
        })
    }

    /// Asks on the connection that there is, and says what the server has agreed to.
    async fn listen(
        &self,
        server: &Established,
        filter: &SubscriptionFilter,
    ) -> Result<(InEra, SubscriptionFilter), RequestError> {
        let mut filter = filter.clone();
        if server.version.era() == Era::Modern {
            let listening = self.peer().listen(filter).await?;
            let honoured = listening.filter().clone();
            return Ok((InEra::Modern(listening), honoured));
        }
        let offered = &server.capabilities;
        let resources = offered.resources.as_ref();
        filter.tools_list_changed &= offered.tools.as_ref().is_some_and(|t| t.list_changed);
        filter.prompts_list_changed &= offered.prompts.as_ref().is_some_and(|p| p.list_changed);
        filter.resources_list_changed &= resources.is_some_and(|r| r.list_changed);
        if resources.is_some_and(|r| r.subscribe) {
            for uri in filter.resource_subscriptions.iter().flatten() {
                let params = SubscribeParams::new(uri);
                self.peer()
                    .request::<Subscribe>(&params, Default::default())
                    .await?;
            }
        } else {
            filter.resource_subscriptions = None;
        }
        Ok((InEra::Legacy, filter))
    }
}

/// Asks again whenever the connection is open again; completes when nothing more will be told.
async fn keep(
    client: &Client,
    mut server: Arc<Established>,
    mut stream: InEra,
    filter: SubscriptionFilter,
) -> Result<(), RequestError> {
    let lost = |why: &dyn fmt::Display| RequestError::ConnectionLost(why.to_string());
    loop {
        if let InEra::Modern(listening) = &mut stream {
            match listening.ended().await {
                Err(RequestError::ConnectionLost(_)) => {}
                ended => return ended,
            }
        }
        loop {
            let opened = client.peer().opened_after(&server).await;
            server = opened.map_err(|why| lost(&why))?;
            match client.listen(&server, &filter).await {
                Ok((era, honoured)) => {
                    stream = era;
                    // Behind the server's consent: what comes from here on it tells itself.
                    tell_all(client.peer(), &honoured).map_err(|why| lost(&why))?;
                    break;
                }
                Err(RequestError::ConnectionLost(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Tells the program's own receivers of every change that a subscription is about.
fn tell_all(peer: &Peer, filter: &SubscriptionFilter) -> Result<(), mcp_peer::session::NotSent> {
    if filter.tools_list_changed {
        peer.deliver::<ToolListChanged>(&Default::default())?;
    }
    if filter.prompts_list_changed {
        peer.deliver::<PromptListChanged>(&Default::default())?;
    }
    if filter.resources_list_changed {
        peer.deliver::<ResourceListChanged>(&Default::default())?;
    }
    for uri in filter.resource_subscriptions.iter().flatten() {
        peer.deliver::<ResourceUpdated>(&ResourceUpdatedParams::new(uri))?;
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
    /// # Errors
    /// [`RequestError`]: it did not end in good order.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Result<(), RequestError> {
        let gone = match &mut self.stream {
            Stream::Once(InEra::Modern(listening)) => return listening.ended().await,
            Stream::Once(InEra::Legacy) => self.client.peer().closed().await.to_string(),
            Stream::Kept { ended, .. } => match ended.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(outcome)) => return outcome.clone(),
                _ => "the runtime has ended".to_owned(),
            },
        };
        Err(RequestError::ConnectionLost(gone))
    }

    /// Ends it, and waits until a legacy server has agreed for each resource; dropping it leaves those as they are.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Resources that were not reached stay subscribed.
    pub async fn end(self) -> Result<(), RequestError> {
        if self.client.era() == Era::Legacy {
            for uri in self.filter.resource_subscriptions.iter().flatten() {
                let params = SubscribeParams::new(uri);
                let peer = self.client.peer();
                peer.request::<Unsubscribe>(&params, Default::default())
                    .await?;
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
