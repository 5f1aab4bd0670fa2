//! Request ids and progress tokens: strings or integers, and never one for the other.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::numbers::exact;

/// The id of a JSON-RPC request: a string or an integer, echoed exactly as it came.
///
/// `1` and `"1"` are different ids (REQ-ID-04). Integers are those of 64 bits with a sign, and keep
/// all of them; a greater one is refused. A float with an integral value is read as that integer, as a tolerance; it is never
/// written.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestId {
    /// A JSON integer.
    Number(i64),
    /// A JSON string.
    String(Arc<str>),
}

/// A token that ties progress notifications to the request that asked for them: a string or an integer.
///
/// It has the same form and the same identity rules as a [`RequestId`] (REQ-PROG-01), but is never one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProgressToken {
    /// A JSON integer.
    Number(i64),
    /// A JSON string.
    String(Arc<str>),
}

macro_rules! string_or_integer {
    ($name:ident, $what:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Number(n) => write!(f, "{n}"),
                    Self::String(s) => write!(f, "{s:?}"),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }

        impl From<i64> for $name {
            fn from(n: i64) -> Self {
                Self::Number(n)
            }
        }

        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                Self::String(s.into())
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self::String(s.into())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Number(n) => serializer.serialize_i64(*n),
                    Self::String(s) => serializer.serialize_str(s),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Form;
                impl Visitor<'_> for Form {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($what, ", a string or an integer"))
                    }

                    fn visit_i64<E: de::Error>(self, n: i64) -> Result<$name, E> {
                        Ok($name::Number(n))
                    }

                    fn visit_u64<E: de::Error>(self, n: u64) -> Result<$name, E> {
                        i64::try_from(n)
                            .map($name::Number)
                            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(n), &self))
                    }

                    fn visit_f64<E: de::Error>(self, n: f64) -> Result<$name, E> {
                        exact(n)
                            .map($name::Number)
                            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(n), &self))
                    }

                    fn visit_str<E: de::Error>(self, s: &str) -> Result<$name, E> {
                        Ok($name::String(s.into()))
                    }
                }
                deserializer.deserialize_any(Form)
            }
        }
    };
}

string_or_integer!(RequestId, "a request id");
string_or_integer!(ProgressToken, "a progress token");

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Result<RequestId, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn strings_and_integers_are_different_ids() {
        // REQ-ID-01, REQ-ID-04, TRAP-02
        assert_eq!(id("7").unwrap(), RequestId::Number(7));
        assert_eq!(id("\"7\"").unwrap(), RequestId::String("7".into()));
        assert_ne!(id("7").unwrap(), id("\"7\"").unwrap());
        assert_eq!(
            id("9223372036854775807").unwrap(),
            RequestId::Number(i64::MAX)
        );
        assert_eq!(id("3.0").unwrap(), RequestId::Number(3));
    }

    #[test]
    fn other_values_are_no_ids() {
        for json in [
            "null",
            "true",
            "1.5",
            "[1]",
            "{}",
            "1e300",
            "9223372036854775808",
        ] {
            assert!(id(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_id_is_written_as_it_was_read() {
        for json in ["0", "-5", "9223372036854775807", "\"\"", "\"a\\\"b\""] {
            assert_eq!(serde_json::to_string(&id(json).unwrap()).unwrap(), json);
        }
    }
}
