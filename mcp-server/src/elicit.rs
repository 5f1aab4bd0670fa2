//! Asking the client's user: by a form that a type describes, or by a page to open.

use mcp_peer::session::{ApiMisuse, PeerMisbehaved, RequestError};
use mcp_peer::types::{
    Elicit, ElicitAction, ElicitParams, ElicitResult, ProtocolVersion, RawJson, Request,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::context::Cx;
use crate::form::form_of;
use crate::rounds::unguessable;
use crate::validate::Check;

/// What the user did with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elicited<T> {
    /// Answered: the values of the form; for a page, only that it was opened.
    Accepted(T),
    /// Refused.
    Declined,
    /// Put it away without an answer.
    Cancelled,
}

impl<T> Elicited<T> {
    /// The answer, if there is one.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(answer) => Some(answer),
            Self::Declined | Self::Cancelled => None,
        }
    }
}

impl Cx {
    /// Asks the client's user to fill in a form. Never for secrets (REQ-ELIC-06): those go by [`elicit_url`](Self::elicit_url).
    ///
    /// The form is a struct that derives `Deserialize` and `JsonSchema`, of texts, numbers, booleans, enumerations without
    /// data and `Vec`s of those; its doc comments say what to fill in. What may be left out is an `Option`. The answer is
    /// valid by the type's schema.
    ///
    /// ```
    /// use mcp_server::{Cx, Elicited, JsonSchema, ToolError, schemars};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Shirt {
    ///     /// S, M or L
    ///     size: String,
    ///     gift: bool,
    /// }
    ///
    /// async fn order(cx: Cx) -> Result<String, ToolError> {
    ///     Ok(match cx.elicit::<Shirt>("Which shirt?").await? {
    ///         Elicited::Accepted(shirt) => format!("ordered in {}", shirt.size),
    ///         Elicited::Declined | Elicited::Cancelled => "no shirt".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`sample`](Self::sample), and the client has as long; [`ApiMisuse::Params`] if the type cannot be a form, which says why;
    /// [`RequestError::Misbehaved`] if the answer is none to this form. That the user declines is no error.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn elicit<T: DeserializeOwned + JsonSchema>(
        &self,
        message: impl Into<String>,
    ) -> Result<Elicited<T>, RequestError> {
        let (form, schema) = form_of::<T>().map_err(|reason| {
            tracing::error!(reason, "a type that cannot be a form");
            misuse(reason)
        })?;
        let result = self.elicit_with(ElicitParams::form(message, form)).await?;
        answer(result, |content| {
            let content = content.unwrap_or(RawJson::EMPTY_OBJECT);
            // REQ-ELIC-05
            let check = Check::compile(&schema.into()).map_err(misuse)?;
            if let Some(faults) = check.faults(&content) {
                return Err(not_the_form(faults));
            }
            content.decode().map_err(|e| not_the_form(e.to_string()))
        })
    }

    /// Asks the client's user to open a page (since 2025-11-25).
    ///
    /// That it is accepted says that the user agreed to open it; what happens there, the page's server learns.
    ///
    /// # Errors
    /// As [`sample`](Self::sample); that the user declines is no error.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn elicit_url(
        &self,
        message: impl Into<String>,
        url: impl Into<String>,
    ) -> Result<Elicited<()>, RequestError> {
        let result = self.elicit_with(ElicitParams::url(message, url)).await?;
        answer(result, |_| Ok(()))
    }

    /// Asks the client's user, by parameters made by hand.
    ///
    /// # Errors
    /// As [`sample`](Self::sample); that the user declines is no error.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn elicit_with(
        &self,
        mut params: ElicitParams,
    ) -> Result<ElicitResult, RequestError> {
        if let ElicitParams::Url(url) = &mut params
            && url.elicitation_id.is_none()
            && self.version() == ProtocolVersion::V2025_11_25
        {
            // That revision demands one.
            url.elicitation_id = Some(unguessable().map_err(|e| misuse(e.to_string()))?);
        }
        let params = self.fit::<Elicit>(params)?;
        self.ask::<Elicit>(&params).await
    }
}

fn answer<T>(
    result: ElicitResult,
    accepted: impl FnOnce(Option<RawJson>) -> Result<T, RequestError>,
) -> Result<Elicited<T>, RequestError> {
    Ok(match result.action {
        ElicitAction::Accept => Elicited::Accepted(accepted(result.content)?),
        ElicitAction::Decline => Elicited::Declined,
        ElicitAction::Cancel => Elicited::Cancelled,
    })
}

fn misuse(reason: String) -> RequestError {
    let method = Elicit::METHOD.into();
    ApiMisuse::Params { method, reason }.into()
}

fn not_the_form(reason: String) -> RequestError {
    let method = Elicit::METHOD.into();
    PeerMisbehaved::ResultShape { method, reason }.into()
}
