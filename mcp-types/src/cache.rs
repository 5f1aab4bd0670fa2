//! For how long, and for whom, a result may be kept (since 2026-07-28).

use std::fmt;

use serde::de::Deserializer;

use crate::names::NameVisitor;
use crate::numbers::Count;

/// Who may share a cached result.
///
/// Absence, and any scope this crate does not know, is to be taken as private (REQ-CACHE-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// Anyone.
    Public,
    /// Only the authorization context that asked (REQ-CACHE-03).
    Private,
}

impl<'de> serde::Deserialize<'de> for CacheScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor {
            what: "cache scope",
            read: |name: &str| {
                Ok(match name {
                    "public" => Self::Public,
                    _ => Self::Private,
                })
            },
        })
    }
}

impl fmt::Display for CacheScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Public => "public",
            Self::Private => "private",
        })
    }
}

/// Reads `ttlMs`; a negative one counts as 0 (REQ-CACHE-05).
pub(crate) fn ttl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let below_zero = Some(0);
    deserializer.deserialize_any(Count { below_zero })
}
