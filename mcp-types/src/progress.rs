//! How far a request has come, and that it is no longer wanted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ProgressToken, RequestId};
use crate::meta::Meta;
use crate::names::{methods, setters};

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProgressParams {
    /// The token that the request carried.
    pub progress_token: ProgressToken,
    /// How much is done, in units of the sender's choice; strictly increasing (REQ-PROG-03). A finite number: JSON has no other.
    pub progress: f64,
    /// How much there is to do, in the same units; absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What is being done (since 2025-03-26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The notification's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ProgressParams {
    /// So much done, of an unknown total.
    pub fn new(token: impl Into<ProgressToken>, progress: f64) -> Self {
        Self {
            progress_token: token.into(),
            progress,
            total: None,
            message: None,
            meta: None,
        }
    }

    setters! {
        total: f64;
        message: into String;
        meta: Meta;
    }

    /// The part that is done, from 0 to 1, if the total is known and positive.
    pub fn fraction(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0.0)?;
        Some((self.progress / total).clamp(0.0, 1.0))
    }
}

impl fmt::Display for ProgressParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.progress)?;
        if let Some(total) = self.total {
            write!(f, "/{total}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " {message}")?;
        }
        Ok(())
    }
}

/// That a request is no longer wanted; nothing more is sent for it (REQ-CANC-05).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CancelledParams {
    /// Which; only 2025-11-25 allows it to be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Why, for a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The notification's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CancelledParams {
    /// Cancels a request.
    pub fn new(request_id: impl Into<RequestId>) -> Self {
        Self {
            request_id: Some(request_id.into()),
            ..Self::default()
        }
    }

    setters! {
        reason: into String;
        meta: Meta;
    }
}

methods! {
    /// legacy, both directions; modern, server to client.
    notification Progress("notifications/progress"): ProgressParams;
    /// legacy, both directions; modern, from the client, and from the server about a `subscriptions/listen` only.
    notification Cancelled("notifications/cancelled"): CancelledParams;
}
