//! Icons of programs, tools, resources and prompts.

use serde::{Deserialize, Serialize};

use crate::names::{open_enum, setters};

/// An icon to show beside a name (since 2025-11-25).
///
/// Whoever renders it accepts `https:` and `data:` sources only and fetches without credentials (REQ-ICON-01).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Icon {
    /// A URL, `https:` or `data:`.
    pub src: String,
    /// The media type, where the source's own is missing or too general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Sizes it can be used at, each `WxH` in pixels, or `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<String>>,
    /// The background it is made for; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<IconTheme>,
}

impl Icon {
    /// An icon at a URL.
    pub fn new(src: impl Into<String>) -> Self {
        Self {
            src: src.into(),
            mime_type: None,
            sizes: None,
            theme: None,
        }
    }

    setters! {
        mime_type: into String;
        sizes: into Vec<String>;
        theme: into IconTheme;
    }
}

open_enum! {
    /// The background an icon is made for.
    IconTheme, "icon theme" {
        /// For a light background.
        Light = "light",
        /// For a dark background.
        Dark = "dark",
    }
}
