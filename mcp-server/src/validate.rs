//! Arguments and results against their schemas, beyond what decoding guarantees.

use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use mcp_peer::types::RawJson;
use mcp_peer::types::schema::{Unchecked, steps};
use serde_json::Value;

use crate::context::Cx;
use crate::decode::{Texts, fault};
use crate::error::HandlerError;
use crate::handler::{Kind, Running};

/// Bytes of a schema; one more is refused (REQ-SCH-03).
const MAX_SCHEMA: usize = 256 * 1024;
/// Bytes of a compiled pattern. Patterns are of the kind that takes linear time.
const MAX_PATTERN: usize = 1024 * 1024;
/// Faults that are told at once.
const MAX_FAULTS: usize = 3;
/// Steps of a check that looks for faults one by one: it may take each of them once for each level.
const MAX_STEPS: u64 = 10_000;
/// Levels of such a check, which any thread's stack has room for.
const MAX_LEVELS: usize = 1_000;

/// A compiled schema.
pub(crate) struct Check {
    schema: RawJson,
    validator: Validator,
    /// Whether `{}` is valid, which is what most calls of a tool without arguments send.
    empty: bool,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

impl Check {
    /// Compiles a schema of the dialect that it names, 2020-12 if none (REQ-SCH-01). Nothing is fetched (REQ-SCH-02).
    pub(crate) fn compile(schema: &RawJson) -> Result<Self, String> {
        if schema.len() > MAX_SCHEMA {
            return Err(format!("larger than {MAX_SCHEMA} bytes"));
        }
        let decoded: Value = schema.decode().map_err(|e| e.to_string())?;
        jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN))
            .build(&decoded)
            .map(|validator| Self {
                empty: validator.is_valid(&serde_json::json!({})),
                validator,
                schema: schema.clone(),
            })
            .map_err(|e| e.to_string())
    }

    /// What is wrong with a value, a sentence a fault.
    pub(crate) fn faults(&self, value: &RawJson) -> Option<String> {
        if self.empty && value.as_bytes() == b"{}" {
            return None;
        }
        let value: Value = match value.decode() {
            Ok(value) => value,
            Err(e) => return Some(fault("", &e.to_string())),
        };
        if self.validator.is_valid(&value) {
            return None;
        }
        // All faults are made before the first is told, those under each branch of an `anyOf` too.
        // Where a schema refers to itself for the same value, each level of it multiplies them.
        let schema: Value = match self.schema.decode() {
            Ok(schema) => schema,
            Err(e) => return Some(fault("", &e.to_string())),
        };
        let unsaid = match steps(&schema, &value, MAX_STEPS, MAX_LEVELS) {
            Ok(_) => None,
            Err(Unchecked::Reference(_)) => Some("cannot be told where"),
            Err(_) => Some("too much to say where"),
        };
        if let Some(why) = unsaid {
            let text = format!("not as their schema demands, and {why}");
            return Some(fault("", &text));
        }
        let faults = self
            .validator
            .iter_errors(&value)
            .take(MAX_FAULTS)
            .map(|error| {
                let path = dotted(error.instance_path().as_str());
                let text = match (error.kind(), &value) {
                    // That of a tool without arguments; the error itself does not name them.
                    (ValidationErrorKind::FalseSchema, Value::Object(all)) if path.is_empty() => {
                        let names: Vec<_> = all.keys().map(|name| format!("`{name}`")).collect();
                        format!("{} not expected", names.join(", "))
                    }
                    _ => error.to_string(),
                };
                fault(&path, &text)
            });
        Some(faults.collect::<Vec<_>>().join(" "))
    }
}

/// What runs with texts.
pub(crate) type TextRun<K> = Arc<dyn Fn(Cx, Texts) -> Running<<K as Kind>::Output> + Send + Sync>;

/// Runs only with texts that are as their schema demands, where that is more than decoding guarantees.
///
/// # Errors
/// The schema is none.
pub(crate) fn constrained<K: Kind<Input = Texts>>(
    run: TextRun<K>,
    schema: &Value,
) -> Result<TextRun<K>, String> {
    // What a handler that takes nothing is given besides has never been in its way.
    if !says_more_than_its_type(schema) || *schema == K::no_input() {
        return Ok(run);
    }
    let schema = schema.clone();
    let check = Check::compile(&schema.clone().into());
    let check = check.map_err(|e| format!("the schema of its handler's argument: {e}"))?;
    Ok(Arc::new(move |cx, texts| {
        match check.faults(&texts.to_object(&schema)) {
            Some(faults) => Box::pin(std::future::ready(Err(HandlerError::invalid(faults)))),
            None => run(cx, texts),
        }
    }))
}

/// `/a/0/b` as `a[0].b`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&part.replace("~1", "/").replace("~0", "~"));
    }
    path
}

/// Whether a schema that was derived from a type says more than decoding that type guarantees.
///
/// What a type is, which fields it must have, and how large a number of so many bits can be, decoding has seen to. It has not
/// for any keyword that is not known here, so that nothing slips through.
pub(crate) fn says_more_than_its_type(schema: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return *schema == Value::Bool(false);
    };
    let format = schema.get("format").and_then(Value::as_str);
    schema
        .iter()
        .any(|(keyword, value)| match keyword.as_str() {
            "$schema" | "$id" | "$comment" | "title" | "description" | "default" | "examples"
            | "deprecated" | "readOnly" | "writeOnly" | "type" | "required" | "$ref" => false,
            // Of the formats, those of numbers are only a type's width; the others are no constraints by default.
            "format" => false,
            "minimum" => !is_bound(format, value, 0),
            "maximum" => !is_bound(format, value, 1),
            "properties" | "$defs" => match value {
                Value::Object(inner) => inner.values().any(says_more_than_its_type),
                _ => true,
            },
            "items" | "additionalProperties" => says_more_than_its_type(value),
            "anyOf" => match value {
                Value::Array(inner) => inner.iter().any(says_more_than_its_type),
                _ => true,
            },
            _ => true,
        })
}

/// Whether a bound is the one that a number of such a width has anyway.
fn is_bound(format: Option<&str>, value: &Value, side: usize) -> bool {
    let bounds: [f64; 2] = match format {
        Some("uint" | "uint32" | "uint64" | "uint128") => [0.0, f64::NAN],
        Some("uint8") => [0.0, 255.0],
        Some("uint16") => [0.0, 65_535.0],
        Some("int8") => [-128.0, 127.0],
        Some("int16") => [-32_768.0, 32_767.0],
        _ => return false,
    };
    value.as_f64() == Some(bounds[side])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::object_schema_of;
    use schemars::JsonSchema;
    use serde_json::json;

    #[test]
    fn decoding_alone_guarantees_a_plain_type() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema counts")]
        struct Inner {
            flag: bool,
        }
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema counts")]
        struct Plain {
            /// A text
            text: String,
            wide: i64,
            small: u8,
            some: Option<u32>,
            list: Vec<Inner>,
            map: std::collections::BTreeMap<String, f64>,
            perhaps: Option<Inner>,
        }
        let schema = object_schema_of::<Plain>();
        assert!(!says_more_than_its_type(&schema), "{schema}");
    }

    #[test]
    fn constraints_are_more_than_a_type() {
        for schema in [
            json!({ "properties": { "a": { "type": "integer", "minimum": 1 } } }),
            json!({ "properties": { "a": { "type": "integer", "format": "uint8", "maximum": 10 } } }),
            json!({ "properties": { "a": { "pattern": "^a" } } }),
            json!({ "properties": { "a": { "enum": ["b"] } } }),
            json!({ "additionalProperties": false }),
            json!({ "$defs": { "a": { "items": { "minLength": 1 } } } }),
            json!({ "anyOf": [{ "const": 1 }] }),
            json!({ "x-unknown": 1 }),
        ] {
            assert!(says_more_than_its_type(&schema), "{schema}");
        }
    }

    #[test]
    fn faults_name_the_field_and_are_bounded() {
        let schema = json!({ "type": "object", "properties": {
            "a": { "type": "array", "items": { "properties": { "b/c": { "minimum": 1 } } } },
            "s": { "maxLength": 3 },
        }, "additionalProperties": false });
        let check = Check::compile(&schema.into()).unwrap();
        let faults = |value: Value| check.faults(&value.into());
        assert_eq!(faults(json!({ "s": "abc" })), None);
        assert_eq!(
            faults(json!({ "a": [{ "b/c": 0 }] })).unwrap(),
            "Invalid argument `a[0].b/c`: 0 is less than the minimum of 1."
        );
        let long = faults(json!({ "s": "é".repeat(10_000) })).unwrap();
        assert!(long.starts_with("Invalid argument `s`: ") && long.len() < 400);
        let unexpected = faults(json!({ "x": 1 })).unwrap();
        assert!(unexpected.contains("'x' was unexpected"), "{unexpected}");
    }

    #[test]
    fn faults_among_very_many_values_are_not_told_one_by_one() {
        let numbers = json!({ "type": "array", "items": { "minimum": 1 } });
        for schema in [
            json!({ "properties": { "a": numbers } }),
            json!({ "properties": { "a": { "anyOf": [numbers, { "type": "null" }] } } }),
        ] {
            let check = Check::compile(&schema.into()).unwrap();
            let faults = |count| {
                check
                    .faults(&json!({ "a": vec![0; count] }).into())
                    .unwrap()
            };
            let some = faults(9_000);
            assert!(some.starts_with("Invalid argument `a"), "{some}");
            let more = faults(10_000);
            assert!(more.contains("too much to say where"), "{more}");
        }
    }

    #[test]
    fn long_texts_that_nothing_reads_are_in_the_way_of_no_fault() {
        let schema =
            json!({ "properties": { "text": { "type": "string" } }, "required": ["name"] });
        let check = Check::compile(&schema.into()).unwrap();
        let faults = check.faults(&json!({ "text": "x".repeat(700_000) }).into());
        assert!(faults.unwrap().contains("\"name\" is a required property"));
    }

    #[test]
    fn faults_behind_a_name_within_are_not_told_one_by_one() {
        let named =
            json!({ "$id": "urn:a", "$ref": "#/$defs/b", "$defs": { "b": { "const": 1 } } });
        let check = Check::compile(&json!({ "properties": { "a": named } }).into()).unwrap();
        assert_eq!(check.faults(&json!({ "a": 1 }).into()), None);
        let faults = check.faults(&json!({ "a": 2 }).into()).unwrap();
        assert!(faults.contains("cannot be told where"), "{faults}");
    }

    #[test]
    fn faults_that_each_level_multiplies_are_not_told_one_by_one() {
        // REQ-SCH-03
        let (same, other) = (json!({ "$ref": "#" }), json!({ "const": 1 }));
        let [sum, product] = ["sum", "product"].map(|kind| {
            json!({ "required": ["kind"],
                    "properties": { "kind": { "const": kind }, "of": { "anyOf": [other, same] } } })
        });
        let check = Check::compile(&json!({ "oneOf": [sum, product] }).into()).unwrap();
        let nested = |levels, innermost| {
            (0..levels).fold(innermost, |of, _| json!({ "kind": "sum", "of": of }))
        };
        assert_eq!(check.faults(&nested(60, json!(1)).into()), None);
        let few = check.faults(&nested(2, json!(2)).into()).unwrap();
        assert!(few.contains("not valid under any"), "{few}");
        let many = check.faults(&nested(60, json!(2)).into()).unwrap();
        assert!(many.contains("too much to say where"), "{many}");
    }

    #[test]
    fn schemas_are_bounded_and_nothing_is_fetched() {
        // REQ-SCH-01, REQ-SCH-02, REQ-SCH-03
        for (schema, said) in [
            (
                json!({ "$ref": "https://example.com/a.json" }),
                "example.com",
            ),
            (json!({ "$ref": "file:///etc/passwd" }), "file:"),
            (json!({ "$ref": "#/$defs/none" }), "none"),
            (
                json!({ "$schema": "https://example.com/dialect" }),
                "example.com",
            ),
            (json!({ "minimum": "one" }), "one"),
            (json!({ "pattern": "(" }), "("),
            (json!({ "pattern": "((a{1000}){1000}){1000}" }), "a{1000}"),
            (
                json!({ "description": "a".repeat(MAX_SCHEMA) }),
                "larger than",
            ),
        ] {
            let error = Check::compile(&schema.into()).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }
}
