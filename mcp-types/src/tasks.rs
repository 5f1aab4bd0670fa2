//! Tasks: requests whose result comes later, in two designs (inventory §1.7).

use serde::{Deserialize, Serialize};

use crate::names::setters;

/// What a request says that wants to become a task (2025-11-25 only).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TaskMetadata {
    /// For how long the task is wanted, in milliseconds from its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
}

impl TaskMetadata {
    /// A task of whatever length.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { ttl: u64; }
}
