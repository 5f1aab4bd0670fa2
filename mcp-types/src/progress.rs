//! How far a request has come, and that it is no longer wanted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ProgressToken, RequestId};
use crate::meta::Meta;
use crate::names::{methods, setters};
use crate::scan::{Known, few_digits};

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

    /// Reads what has a number for its token, no `_meta` and no escaped names, which is most of it.
    fn read(params: &[u8]) -> Option<Self> {
        let (mut token, mut progress, mut total, mut message) = (None, None, None, None);
        let mut params = Known::new(params);
        params.enter(b'{')?;
        while let Some(key) = params.key() {
            let again = match key {
                b"progressToken" => token.replace(few_digits(params.value())?).is_some(),
                b"progress" => progress.replace(params.number()?).is_some(),
                b"total" => total.replace(params.number()?).is_some(),
                b"message" => message.replace(params.string()?).is_some(),
                _ => true,
            };
            if again {
                return None;
            }
        }
        Some(Self {
            progress_token: ProgressToken::Number(token?),
            progress: progress?,
            total,
            message,
            meta: None,
        })
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
    notification Progress("notifications/progress"): ProgressParams, read ProgressParams::read;
    /// legacy, both directions; modern, from the client, and from the server about a `subscriptions/listen` only.
    notification Cancelled("notifications/cancelled"): CancelledParams;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Notification;
    use crate::raw::RawJson;

    /// What is usual is read by a way of its own; what is not, and what is wrong, by serde alone.
    #[test]
    fn both_ways_read_the_same() {
        for text in [
            r#"{"progressToken":1,"progress":17,"total":100}"#,
            r#"{ "message" : "\"half\"" , "progress":0.1, "progressToken" : 123456789012345 }"#,
            r#"{"progressToken":9007199254740993,"progress":1e300,"total":null}"#,
            r#"{"progressToken":"a","progress":-1.5,"total":123456789012345678901}"#,
            r#"{"progressToken":1,"progress":2,"_meta":{"a":1},"x":[2]}"#,
            r#"{"progressToken":1,"progr\u0065ss":2,"message":"a"}"#,
            r#"{"progressToken":1,"progress":2,"progress":3}"#,
            r#"{"progressToken":1,"progress":"2"}"#,
            r#"{"progressToken":1,"progress":1e999}"#,
            r#"{"progressToken":1}"#,
            "{}",
            "7",
        ] {
            let raw = RawJson::parse(text).unwrap();
            let ways = [Progress::read_params(&raw), raw.decode()];
            let [read, decoded] = ways.map(|way| way.map_err(|e| e.to_string()));
            assert_eq!(read, decoded, "{text}");
        }
    }
}
