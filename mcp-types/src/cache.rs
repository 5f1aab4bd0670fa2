//! For how long, and for whom, a result may be kept (since 2026-07-28).

use std::fmt;

use serde::de::{self, Deserializer, Visitor};

use crate::names::NameVisitor;

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
    struct Ttl;
    impl<'de> Visitor<'de> for Ttl {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of milliseconds")
        }

        fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Self::Value, E> {
            Ok(Some(ms))
        }

        fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Self::Value, E> {
            Ok(Some(u64::try_from(ms).unwrap_or(0)))
        }

        fn visit_f64<E: de::Error>(self, ms: f64) -> Result<Self::Value, E> {
            Ok(Some(ms as u64)) // saturates: negative and NaN become 0
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            d.deserialize_any(self)
        }
    }
    deserializer.deserialize_any(Ttl)
}
