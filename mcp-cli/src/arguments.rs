//! Arguments from the command line, typed by a schema.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::exit::Failure;

/// What the command line says, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// `key=value`: what type the value is of is the schema's matter.
    Typed(String, String),
    /// `key:=JSON`
    Json(String, Value),
    /// `{…}`: several at once.
    Object(Map<String, Value>),
}

/// Reads `key=value`, `key:=JSON` and `{…}`.
///
/// # Errors
/// [`Failure::Usage`]: it is none of them.
pub(crate) fn words(words: &[String]) -> Result<Vec<Word>, Failure> {
    words.iter().map(|word| self::word(word)).collect()
}

fn word(word: &str) -> Result<Word, Failure> {
    if word.starts_with('{') {
        return object(word).map(Word::Object);
    }
    let Some((key, value)) = word.split_once('=') else {
        let usage = format!("`{word}` is none of key=value, key:=JSON and {{JSON}}");
        return Err(Failure::Usage(usage));
    };
    match key.strip_suffix(':') {
        None => Ok(Word::Typed(key.to_owned(), value.to_owned())),
        Some(key) => match serde_json::from_str(value) {
            Ok(json) => Ok(Word::Json(key.to_owned(), json)),
            Err(e) => Err(Failure::Usage(format!("`{key}`: {value} is no JSON: {e}"))),
        },
    }
}

/// Reads a JSON object.
///
/// # Errors
/// [`Failure::Usage`]: it is none.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text)
        .map_err(|e| Failure::Usage(format!("the arguments are no JSON object: {e}")))
}

/// Whether the schema is needed to understand the words.
pub(crate) fn need_schema(words: &[Word]) -> bool {
    words.iter().any(|word| matches!(word, Word::Typed(..)))
}

/// Puts words together to an object; those that name an array's member twice append to it, else the last one counts.
///
/// # Errors
/// [`Failure::Usage`]: a value is not of the type that the schema asks for, or the schema has no such member.
pub(crate) fn typed(words: Vec<Word>, schema: &Value) -> Result<Map<String, Value>, Failure> {
    let mut object = Map::new();
    for word in words {
        match word {
            Word::Object(members) => object.extend(members),
            Word::Json(key, value) => {
                object.insert(key, value);
            }
            Word::Typed(key, text) => {
                known(&key, schema)?;
                let value = value(&text, property(schema, &key), schema).map_err(|kinds| {
                    Failure::Usage(format!("`{key}` is to be of type {kinds}, not `{text}`"))
                })?;
                match (object.get_mut(&key), value) {
                    (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
                    (_, value) => {
                        object.insert(key, value);
                    }
                }
            }
        }
    }
    Ok(object)
}

fn known(key: &str, schema: &Value) -> Result<(), Failure> {
    let is_own = schema["properties"].get(key).is_some();
    let patterns = schema.get("patternProperties").is_some();
    let others = &schema["additionalProperties"];
    let allows_others = patterns || !matches!(others, Value::Null | Value::Bool(false));
    if let Some((outer, inner)) = key.split_once('.')
        && !is_own
        && !allows_others
        && kinds(property(schema, outer), schema).contains(&"object")
    {
        return Err(Failure::Usage(format!(
            "no argument `{key}`; what is in `{outer}` is given as JSON: {outer}:='{{\"{inner}\": …}}'"
        )));
    }
    let open = patterns || *others != Value::Bool(false);
    let names = schema["properties"].as_object();
    if open || is_own || names.is_none() {
        return Ok(());
    }
    Err(Failure::Usage(unknown(key, schema)))
}

fn unknown(key: &str, schema: &Value) -> String {
    let names = schema["properties"].as_object().into_iter();
    let names: Vec<_> = names.flat_map(|n| n.keys()).map(String::as_str).collect();
    let there = match &*names {
        [] => "there are none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    format!("no argument `{key}`; {there}")
}

/// What is wrong with members that a schema does not list and allows only as it says nothing of others: words that are
/// mistyped are among them.
pub(crate) fn doubtful(object: &Map<String, Value>, schema: &Value) -> Vec<String> {
    const OTHERS: [&str; 12] = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "propertyNames",
        "dependentSchemas",
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "not",
    ];
    let listed = schema["properties"].as_object();
    let Some(listed) = listed.filter(|_| OTHERS.iter().all(|word| schema.get(word).is_none()))
    else {
        return Vec::new();
    };
    let others = object.keys().filter(|key| !listed.contains_key(*key));
    others.map(|key| unknown(key, schema)).collect()
}

/// The members that a schema requires and an object does not have.
pub(crate) fn missing(object: &Map<String, Value>, schema: &Value) -> Vec<String> {
    let required = schema["required"].as_array().into_iter().flatten();
    required
        .filter_map(Value::as_str)
        .filter(|name| !object.contains_key(*name))
        .map(str::to_owned)
        .collect()
}

/// The schema of a member, references followed.
pub(crate) fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    resolved(&schema["properties"][name], schema)
}

/// References that are followed from one schema at most: they may go in a circle.
const MOST_REFERENCES: usize = 16;

fn resolved<'a>(mut schema: &'a Value, root: &'a Value) -> &'a Value {
    for _ in 0..MOST_REFERENCES {
        let pointer = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The types that a schema allows, each once; none if it does not say.
pub(crate) fn kinds<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut add = |kind: &'a str| {
        if !found.contains(&kind) {
            found.push(kind);
        }
    };
    let mut left = vec![schema];
    // By their addresses: a schema may have itself as a part, and several times.
    let mut seen = HashSet::new();
    while let Some(schema) = left.pop() {
        let schema = resolved(schema, root);
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        match &schema["type"] {
            Value::String(kind) => add(kind),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).for_each(&mut add),
            _ => {
                let constants = schema["enum"].as_array().into_iter().flatten();
                constants
                    .chain(schema.get("const"))
                    .for_each(|value| add(kind_of(value)));
            }
        }
        let parts = ["anyOf", "oneOf", "allOf"].map(|keyword| schema[keyword].as_array());
        // The first part is looked at next.
        left.extend(parts.into_iter().flatten().flatten().rev());
    }
    found
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A text as the value that a schema asks for; the error names the types that it could have been.
pub(crate) fn value(text: &str, schema: &Value, root: &Value) -> Result<Value, String> {
    item(text, schema, root, MOST_REFERENCES)
}

/// The same, within so many arrays at most: they may be their own items.
fn item(text: &str, schema: &Value, root: &Value, depth: usize) -> Result<Value, String> {
    let kinds = kinds(schema, root);
    let json: Option<Value> = serde_json::from_str(text).ok();
    if kinds.is_empty() {
        return Ok(json.unwrap_or_else(|| text.into()));
    }
    let allows = |kind: &str| {
        kinds.contains(&kind)
            // A whole number is a number, and one that is written as 1.0 is whole.
            || kind == "integer" && kinds.contains(&"number")
            || kind == "number"
                && kinds.contains(&"integer")
                && json.as_ref().and_then(Value::as_f64).is_some_and(|n| n.fract() == 0.0)
    };
    match json {
        Some(json) if !json.is_string() && allows(kind_of(&json)) => Ok(json),
        _ if kinds.contains(&"string") => Ok(text.into()),
        _ if kinds.contains(&"array") && depth > 0 => {
            let items = &resolved(schema, root)["items"];
            item(text, items, root, depth - 1).map(|item| Value::Array(vec![item]))
        }
        _ => Err(kinds.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(list: &[&str], schema: &Value) -> Result<Value, Failure> {
        let list: Vec<String> = list.iter().map(|&word| word.to_owned()).collect();
        typed(words(&list)?, schema).map(Value::Object)
    }

    #[test]
    fn values_are_of_the_type_that_the_schema_says() {
        let schema = json!({
            "$defs": { "size": { "type": "integer" }, "loop": { "$ref": "#/$defs/loop" } },
            "properties": {
                "text": { "type": "string" }, "n": { "$ref": "#/$defs/size" }, "x": { "type": "number" },
                "on": { "type": "boolean" }, "maybe": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                "list": { "type": "array", "items": { "type": "string" } }, "map": { "type": "object" },
                "pick": { "enum": ["1", "2"] }, "either": { "type": ["string", "integer"] },
                "any": {}, "loop": { "$ref": "#/$defs/loop" },
            },
        });
        for (words, expected) in [
            (&["text=5"][..], json!({ "text": "5" })),
            (&["text=a=b"], json!({ "text": "a=b" })),
            (
                &["n=5", "x=5", "on=true"],
                json!({ "n": 5, "x": 5, "on": true }),
            ),
            (&["n=5.0"], json!({ "n": 5.0 })),
            (&["maybe=null"], json!({ "maybe": null })),
            (&["list=a", "list=5"], json!({ "list": ["a", "5"] })),
            (&[r#"list=["a","b"]"#], json!({ "list": ["a", "b"] })),
            (&[r#"map={"a":1}"#], json!({ "map": { "a": 1 } })),
            (&["pick=1"], json!({ "pick": "1" })),
            (&["either=5"], json!({ "either": 5 })),
            (&[r#"either:="5""#], json!({ "either": "5" })),
            (
                &["any=5", "loop=x", "other=y"],
                json!({ "any": 5, "loop": "x", "other": "y" }),
            ),
            (
                &[r#"{"n":1,"text":"t"}"#, "n=2"],
                json!({ "n": 2, "text": "t" }),
            ),
        ] {
            assert_eq!(parsed(words, &schema), Ok(expected), "{words:?}");
        }
        for (word, reason) in [
            ("n=five", "`n` is to be of type integer, not `five`"),
            ("n=5.5", "`n` is to be of type integer, not `5.5`"),
            ("on=yes", "`on` is to be of type boolean, not `yes`"),
            (
                "maybe=x",
                "`maybe` is to be of type integer or null, not `x`",
            ),
            ("just a word", "`just a word` is none of"),
            ("a:=b", "`a`: b is no JSON"),
            ("{", "the arguments are no JSON object"),
        ] {
            let failure = parsed(&[word], &schema).unwrap_err();
            assert!(failure.to_string().starts_with(reason), "{failure}");
        }
    }

    #[test]
    fn a_schema_that_has_itself_as_a_part_is_looked_at_once() {
        let itself = json!({ "$ref": "#" });
        let schema = json!({
            "anyOf": [itself, { "type": "null" }, itself], "oneOf": [itself, itself],
            "allOf": [itself, { "enum": [1, "a"] }],
        });
        assert_eq!(kinds(&schema, &schema), ["null", "integer", "string"]);
    }

    #[test]
    fn an_array_of_itself_has_no_end() {
        let schema = json!({ "properties": {
            "x": { "type": "array", "items": { "$ref": "#/properties/x" } },
        } });
        let failure = parsed(&["x=1"], &schema).unwrap_err().to_string();
        assert_eq!(failure, "`x` is to be of type array, not `1`");
        assert_eq!(parsed(&["x=[[]]"], &schema), Ok(json!({ "x": [[]] })));
    }

    #[test]
    fn a_closed_schema_knows_its_members() {
        let schema = json!({ "properties": { "a": {}, "b": {} }, "additionalProperties": false });
        let failure = parsed(&["c=1"], &schema).unwrap_err();
        assert_eq!(failure.to_string(), "no argument `c`; there are a, b");
        assert!(parsed(&["a=1"], &schema).is_ok());
    }

    #[test]
    fn what_an_open_schema_does_not_list_is_doubtful() {
        let object = object(r#"{"text":"hi","colour":"red"}"#).unwrap();
        let schema = json!({ "properties": { "text": {} } });
        let told = ["no argument `colour`; there are text"];
        assert_eq!(doubtful(&object, &schema), told);
        // These say themselves what others there may be, or list nothing.
        for schema in [
            json!({ "properties": { "text": {} }, "additionalProperties": true }),
            json!({ "properties": { "text": {} }, "allOf": [{ "properties": { "colour": {} } }] }),
            json!({ "type": "object" }),
        ] {
            assert!(doubtful(&object, &schema).is_empty(), "{schema}");
        }
    }

    #[test]
    fn what_is_in_an_object_is_no_argument() {
        let schema = json!({ "properties": {
            "to": { "type": "object" }, "to.own": { "type": "string" }, "text": { "type": "string" },
        } });
        let failure = parsed(&["to.street=A"], &schema).unwrap_err().to_string();
        assert!(
            failure.ends_with(r#"as JSON: to:='{"street": …}'"#),
            "{failure}"
        );
        for word in ["to.own=A", "text.x=A", "other.x=A"] {
            assert!(parsed(&[word], &schema).is_ok(), "{word}");
        }
    }

    #[test]
    fn what_is_required_and_not_there_is_missing() {
        let schema = json!({ "required": ["a", "b"] });
        let object = object(r#"{"b":null}"#).unwrap();
        assert_eq!(missing(&object, &schema), ["a"]);
    }
}
