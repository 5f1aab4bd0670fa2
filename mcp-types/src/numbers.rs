//! Integers, however they are written; and counts, which no schema bounds, though one below zero means nothing.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a whole number, however it is written.
pub(crate) struct Count {
    /// What one below zero counts as.
    pub(crate) below_zero: Option<u64>,
}

impl<'de> Visitor<'de> for Count {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Self::Value, E> {
        Ok(Some(n))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(n).ok().or(self.below_zero))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Self::Value, E> {
        match n < 0.0 {
            true => Ok(self.below_zero),
            false => Ok(Some(n as u64)), // saturates
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

/// The largest integer that a double keeps apart from its neighbours: floats beyond it are taken for none.
const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

/// The integer that a float is, if it is one.
pub(crate) fn exact(n: f64) -> Option<i64> {
    (n.fract() == 0.0 && n.abs() <= EXACT_IN_F64).then_some(n as i64)
}

/// Reads an integer.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Integer;

    impl Visitor<'_> for Integer {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E: Error>(self, n: i64) -> Result<i64, E> {
            Ok(n)
        }

        fn visit_u64<E: Error>(self, n: u64) -> Result<i64, E> {
            i64::try_from(n).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
        }

        fn visit_f64<E: Error>(self, n: f64) -> Result<i64, E> {
            exact(n).ok_or_else(|| E::invalid_value(Unexpected::Float(n), &self))
        }
    }
    deserializer.deserialize_any(Integer)
}

/// Reads a count that may be unknown; one below zero is.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Count { below_zero: None })
}

/// Reads a limit; one below zero is none.
pub(crate) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let below_zero = Some(u64::MAX);
    let limit = deserializer.deserialize_any(Count { below_zero })?;
    limit.ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &"a whole number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Completion, CreateMessageParams, Resource, TaskMetadata};

    #[test]
    fn counts_are_read_however_they_are_written() {
        for (written, known, limit) in [
            (json!(7), Some(7), 7),
            (json!(1024.0), Some(1024), 1024),
            (json!(1e300), Some(u64::MAX), u64::MAX),
            (json!(-1), None, u64::MAX),
            (json!(-1.0), None, u64::MAX),
        ] {
            let resource = json!({ "uri": "a:b", "name": "n", "size": written });
            let resource: Resource = serde_json::from_value(resource).unwrap();
            assert_eq!(resource.size, known, "{written}");
            let completion = json!({ "values": [], "total": written });
            let completion: Completion = serde_json::from_value(completion).unwrap();
            assert_eq!(completion.total, known, "{written}");
            let task: TaskMetadata = serde_json::from_value(json!({ "ttl": written })).unwrap();
            assert_eq!(task.ttl, known, "{written}");
            let sampling = json!({ "messages": [], "maxTokens": written });
            let sampling: CreateMessageParams = serde_json::from_value(sampling).unwrap();
            assert_eq!(sampling.max_tokens, limit, "{written}");
        }
        for bad in [
            json!({ "messages": [] }),
            json!({ "messages": [], "maxTokens": null }),
            json!({ "messages": [], "maxTokens": "7" }),
        ] {
            assert!(serde_json::from_value::<CreateMessageParams>(bad).is_err());
        }
    }
}
