//! Hints for whoever shows content: for whom it is, how important, how old.

use serde::{Deserialize, Serialize};

use crate::names::{closed_enum, setters};

closed_enum! {
    /// Who speaks, or whom content is for.
    Role, "role" {
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}

/// Hints about a resource or a block of content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Annotations {
    /// For whom it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Vec<Role>>,
    /// How important it is, from 0 (optional) to 1 (required).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// When it was last changed, ISO 8601 (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Annotations {
    /// No hints.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        audience: into Vec<Role>;
        priority: f64;
        last_modified: into String;
    }
}
