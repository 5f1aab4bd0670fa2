//! A stream on which a modern server tells of changes.

use std::fmt;
use std::future::poll_fn;

use mcp_session::{CallOptions, RequestError};
use mcp_types::{Listen, ListenParams, MethodName, Request, SubscriptionFilter};

use crate::calling::Kept;
use crate::limits::ProgressPolicy;
use crate::peer::{Peer, encode_params};

/// A stream on which a modern server tells of changes, as long as this value lives; made by [`Peer::listen`].
///
/// What is told reaches whoever receives notifications of its type, once, though the server tells it on each stream that asks
/// for it. Dropping it ends the stream on the wire.
#[must_use = "a stream that is dropped has ended"]
pub struct Listening {
    call: Kept,
    filter: SubscriptionFilter,
    /// Apart, because most have not.
    ended: Option<Box<Result<(), RequestError>>>,
}

impl Peer {
    /// Asks a modern server to tell of changes, and waits for its acknowledgement.
    ///
    /// What is fetched after this is at least as new as what the stream does not tell of (REQ-SUB-14).
    ///
    /// # Errors
    /// [`RequestError::Misuse`] in the legacy era, which has no streams; [`RequestError::Refused`] if the server has
    /// nothing to tell; the other variants as for any request.
    ///
    /// # Cancel safety
    /// Dropping the future ends the stream on the wire.
    pub async fn listen(&self, filter: SubscriptionFilter) -> Result<Listening, RequestError> {
        let params = encode_params(Listen::METHOD, &ListenParams::new(filter))?;
        let method = MethodName::from_static(Listen::METHOD);
        let (options, policy) = (CallOptions::default(), ProgressPolicy::default());
        let mut calling = self.shared.call(method, params, options, policy, |_| ());
        let acknowledged =
            poll_fn(|cx| calling.poll_for(cx, |pending, _, cx| pending.poll_acknowledged(cx)));
        let filter = acknowledged.await?;
        Ok(Listening {
            call: calling.keep(),
            filter,
            ended: None,
        })
    }
}

impl Listening {
    /// What the server has agreed to tell: what was asked for, without what it does not offer (REQ-SUB-09).
    pub fn filter(&self) -> &SubscriptionFilter {
        &self.filter
    }

    /// Waits until the server ends the stream, or the connection is lost: then it may be asked for again (REQ-SUB-08).
    ///
    /// # Errors
    /// [`RequestError`]: the stream did not end in good order.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Result<(), RequestError> {
        if let Some(ended) = &self.ended {
            return Result::clone(ended);
        }
        let Kept { shared, pending } = &self.call;
        let outcome = poll_fn(|cx| pending.poll(cx, shared, &mut |_| ())).await;
        let ended = outcome.map(drop);
        self.ended = Some(Box::new(ended.clone()));
        ended
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
