//! Roots: the directories a client lets a server work in. Guidance, not access control.

use serde::{Deserialize, Serialize};

use crate::meta::Meta;
use crate::names::{methods, setters};
use crate::pagination::EmptyParams;

/// A directory or file that a server may work in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Root {
    /// Where it is, a `file://` URI (REQ-ROOT-01).
    pub uri: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The root's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Root {
    /// A `file://` URI.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            name: None,
            meta: None,
        }
    }

    /// Whether its URI is a `file://` one, as it must be (REQ-ROOT-01).
    pub fn is_file(&self) -> bool {
        let scheme = self.uri.get(..7);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://"))
    }

    setters! {
        name: into String;
        meta: Meta;
    }
}

/// The parameters of `roots/list`: nothing.
pub type ListRootsParams = EmptyParams;

/// The result of `roots/list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListRootsResult {
    /// The roots; there may be none.
    pub roots: Vec<Root>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListRootsResult {
    /// These roots.
    pub fn new(roots: impl Into<Vec<Root>>) -> Self {
        Self {
            roots: roots.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

methods! {
    /// legacy, server to client; modern, inside an input round. Deprecated since 2026-07-28.
    request ListRoots("roots/list"): ListRootsParams => ListRootsResult;
    /// legacy, client to server; the roots changed.
    notification RootsListChanged("notifications/roots/list_changed"): EmptyParams;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_file() {
        // REQ-ROOT-01
        for (uri, file) in [
            ("file:///a", true),
            ("FILE:///a", true),
            ("file://host/a", true),
            ("file:/a", false),
            ("https://a", false),
            ("/a", false),
            ("é:///", false),
            ("", false),
        ] {
            assert_eq!(Root::new(uri).is_file(), file, "{uri}");
        }
    }
}
