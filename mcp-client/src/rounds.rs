//! Input rounds, one at a time.

use mcp_peer::session::RequestError;
use mcp_peer::types::{InputRequiredResult, InputResponses, Request};

use crate::call::Call;

/// What a request comes to in one round.
#[derive(Debug, Clone, PartialEq)]
pub enum Round<T> {
    /// The result.
    Complete(T),
    /// The server asks something first; the answers go with the next round, [`Call::answering`].
    InputRequired(InputRequiredResult),
}

impl<M: Request> Call<'_, M> {
    /// Answers what the server asked in the round before: the same request again, with the answers and its state.
    pub fn answering(mut self, state: Option<&str>, answers: &InputResponses) -> Self {
        if let Ok(params) = &mut self.request.params {
            let added = params.insert("inputResponses", answers);
            let added = added.and_then(|()| match state {
                Some(state) => params.insert("requestState", state),
                None => Ok(()),
            });
            debug_assert!(added.is_ok(), "strings and JSON serialise");
        }
        self
    }

    /// Makes one round and no more: what the server asks goes to the caller and not to the handlers.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request on the wire.
    pub async fn single_round(mut self) -> Result<Round<M::Result>, RequestError> {
        self.request.options.single_round = true;
        let result = self.request.finished().await?;
        let kind = result.member("resultType");
        if kind.is_some_and(|kind| kind.as_bytes() == br#""input_required""#) {
            return mcp_peer::decode_result(M::METHOD, &result).map(Round::InputRequired);
        }
        mcp_peer::read_result::<M>(&result).map(Round::Complete)
    }
}
