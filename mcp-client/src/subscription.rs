//! Hearing of changes, in either era.

use std::fmt;

use mcp_peer::session::RequestError;
use mcp_peer::types::{Era, Subscribe, SubscribeParams, SubscriptionFilter, Unsubscribe};
use mcp_peer::{Listening, Peer};

use crate::client::Client;

/// What the server tells of, as long as this value lives; made by [`Client::subscribe`].
///
/// What is told reaches [`Client::notifications`] and the callbacks of the builder, by its type.
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription {
    filter: SubscriptionFilter,
    era: InEra,
}

enum InEra {
    Modern(Listening),
    Legacy(Peer),
}

impl Client {
    /// Asks the server to tell of changes, and waits until it has agreed.
    ///
    /// Modern: a `subscriptions/listen` stream. Legacy: `resources/subscribe` for each resource; of its lists a legacy
    /// server tells unasked. What is fetched after this is at least as new as what is not told of (REQ-SUB-14).
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
        if self.era() == Era::Modern {
            let listening = self.peer().listen(filter).await?;
            return Ok(Subscription {
                filter: listening.filter().clone(),
                era: InEra::Modern(listening),
            });
        }
        let offered = self.server_capabilities();
        let mut honoured = SubscriptionFilter::new();
        honoured.tools_list_changed =
            filter.tools_list_changed && offered.tools.as_ref().is_some_and(|t| t.list_changed);
        honoured.prompts_list_changed =
            filter.prompts_list_changed && offered.prompts.as_ref().is_some_and(|p| p.list_changed);
        honoured.resources_list_changed = filter.resources_list_changed
            && offered.resources.as_ref().is_some_and(|r| r.list_changed);
        honoured.notifications = filter.notifications;
        if offered.resources.as_ref().is_some_and(|r| r.subscribe) {
            for uri in filter.resource_subscriptions.iter().flatten() {
                self.request::<Subscribe>(&SubscribeParams::new(uri))
                    .await?;
            }
            honoured.resource_subscriptions = filter.resource_subscriptions;
        }
        Ok(Subscription {
            filter: honoured,
            era: InEra::Legacy(self.peer().clone()),
        })
    }
}

impl Subscription {
    /// What the server has agreed to tell: what was asked for, without what it does not offer.
    pub fn filter(&self) -> &SubscriptionFilter {
        &self.filter
    }

    /// Waits until the server tells nothing more: it has ended the stream, or the connection is gone.
    ///
    /// # Errors
    /// [`RequestError`]: it did not end in good order.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Result<(), RequestError> {
        match &mut self.era {
            InEra::Modern(listening) => listening.ended().await,
            InEra::Legacy(peer) => {
                let why = peer.closed().await;
                Err(RequestError::ConnectionLost(why.to_string()))
            }
        }
    }

    /// Ends it, and waits until a legacy server has agreed for each resource; dropping it leaves those as they are.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Resources that were not reached stay subscribed.
    pub async fn end(self) -> Result<(), RequestError> {
        if let InEra::Legacy(peer) = &self.era {
            for uri in self.filter.resource_subscriptions.iter().flatten() {
                peer.request::<Unsubscribe>(&SubscribeParams::new(uri), Default::default())
                    .await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
