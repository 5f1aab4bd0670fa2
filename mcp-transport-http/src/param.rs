//! Values of messages in headers: what may stand there as it is, and what has to be wrapped.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use mcp_types::RawJson;
use memchr::memmem;
use serde_json::{Map, Value};

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// What of one tool may go into headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    arguments: usize,
    /// Bytes that their names, and those of what they stand in, may have together.
    names: usize,
}

impl Room {
    /// For a tool of another program: no server takes more in headers.
    pub(crate) const OTHERS: Self = Self {
        arguments: 64,
        names: 16 * 1024,
    };
    /// For a tool of this program: none of its headers goes unchecked.
    pub(crate) const OURS: Self = Self {
        arguments: usize::MAX,
        names: usize::MAX,
    };

    fn take(&mut self, annotated: &Annotated) -> Option<()> {
        self.arguments = self.arguments.checked_sub(1)?;
        self.names = self.names.checked_sub(annotated.weight())?;
        Some(())
    }
}

/// What a header says about a value of the body.
///
/// # Errors
/// It is wrapped, and not strict base64 of text (REQ-PARAM-07).
pub(crate) fn decode(header: &str) -> Result<Cow<'_, str>, Undecodable> {
    let Some(wrapped) = header
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    else {
        return Ok(Cow::Borrowed(header));
    };
    let bytes = STANDARD.decode(wrapped).map_err(|_| Undecodable)?;
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| Undecodable)
}

/// The header's value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// The header for a value (REQ-PARAM-05).
pub(crate) fn encode(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b))
        && value.trim_ascii() == value
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX));
    let wrapped;
    let text = if plain {
        value
    } else {
        wrapped = format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(value));
        &wrapped
    };
    HeaderValue::from_str(text).expect("visible ASCII and spaces only")
}

/// Below this, each whole number is a `f64` (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One argument of a tool that goes into a header as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotated {
    /// What follows `Mcp-Param-`.
    pub(crate) header: String,
    /// The keys that lead to it.
    path: Vec<String>,
}

/// The arguments that a tool's input schema wants in headers.
///
/// # Errors
/// The annotation breaks a rule of REQ-PARAM-02, or there is no room for all; what it says is for a log.
pub(crate) fn annotated(schema: &RawJson, mut room: Room) -> Result<Vec<Annotated>, String> {
    // Nearly no schema has one, and finding that out should cost next to nothing.
    if memmem::find(schema.as_bytes(), b"x-mcp-header").is_none() {
        return Ok(Vec::new());
    }
    let schema: Value = schema.decode().map_err(|e| e.to_string())?;
    let mut found: Vec<Annotated> = Vec::new();
    visit(&schema, &mut Vec::new(), true, &mut found, &mut room)?;
    let mut names = HashSet::new();
    for Annotated { header, .. } in &found {
        if !names.insert(header.to_ascii_lowercase()) {
            return Err(format!("`{header}` stands twice"));
        }
    }
    Ok(found)
}

/// Looks everywhere: an annotation where it has no meaning is a fault, too.
fn visit(
    schema: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<Annotated>,
    room: &mut Room,
) -> Result<(), String> {
    match schema {
        Value::Array(members) => members
            .iter()
            .try_for_each(|member| visit(member, path, false, found, room)),
        Value::Object(members) => {
            if let Some(name) = members.get("x-mcp-header") {
                if !reachable || path.is_empty() {
                    return Err("`x-mcp-header` stands where no argument is".to_owned());
                }
                let annotated = Annotated {
                    header: checked(name, members)?,
                    path: path.clone(),
                };
                room.take(&annotated).ok_or("too much goes into headers")?;
                found.push(annotated);
            }
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            path.push(name.clone());
                            visit(property, path, reachable, found, room)?;
                            path.pop();
                        }
                    }
                    // Values, and not schemas.
                    ("x-mcp-header" | "default" | "const" | "enum" | "examples", _) => {}
                    (_, member) => visit(member, path, false, found, room)?,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn checked(name: &Value, property: &Map<String, Value>) -> Result<String, String> {
    let name = name.as_str().unwrap_or_default();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no header name"));
    }
    match property.get("type").and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => Ok(name.to_owned()),
        _ => Err(format!(
            "`{name}` is neither a string, an integer nor a boolean"
        )),
    }
}

impl Annotated {
    fn weight(&self) -> usize {
        self.header.len() + self.path.iter().map(String::len).sum::<usize>()
    }

    /// The value among a call's arguments, as text; none if it is absent or null (REQ-PARAM-04).
    pub(crate) fn value(&self, arguments: &RawJson) -> Option<Param> {
        let mut value = arguments.clone();
        for key in &self.path {
            value = value.member(key)?;
        }
        match value.decode::<Value>().ok()? {
            Value::String(text) => Some(Param::Text(text)),
            Value::Number(number) => Some(Param::Number(number)),
            Value::Bool(is) => Some(Param::Text(is.to_string())),
            _ => None,
        }
    }
}

/// A value that goes into a header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Param {
    Text(String),
    Number(serde_json::Number),
}

impl Param {
    /// As the header has it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            // 42.0 is the integer 42.
            Self::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
                    Cow::Owned(format!("{float:.0}"))
                }
                _ => Cow::Owned(number.to_string()),
            },
        }
    }

    /// Whether a header says the same; numbers are compared as numbers (REQ-PARAM-06).
    pub(crate) fn is(&self, header: &str) -> bool {
        match self {
            Self::Text(text) => text == header,
            Self::Number(_) => without_zeros(&self.text()) == without_zeros(header),
        }
    }
}

/// A whole number without the fraction that says nothing.
fn without_zeros(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// REQ-PARAM-05, REQ-PARAM-07
    #[test]
    fn values_survive_the_way_through_a_header() {
        for (value, header) in [
            ("Hello", "Hello"),
            ("", ""),
            ("two words", "two words"),
            (" edge", "=?base64?IGVkZ2U=?="),
            ("edge\t", "=?base64?ZWRnZQk=?="),
            ("Grüße", "=?base64?R3LDvMOfZQ==?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
            ("=?base64?x", "=?base64?x"),
            ("=?BASE64?eA==?=", "=?BASE64?eA==?="),
        ] {
            assert_eq!(encode(value), header, "{value:?}");
            assert_eq!(decode(header).unwrap(), value, "{header:?}");
        }
    }

    #[test]
    fn base64_is_strict() {
        for header in [
            "=?base64?SGVsbG8?=",
            "=?base64?SGVs!!!bG8=?=",
            "=?base64?SGVsbG8=\n?=",
            "=?base64?/w==?=",
        ] {
            assert!(decode(header).is_err(), "{header:?}");
        }
    }

    fn of(properties: Value) -> Result<Vec<Annotated>, String> {
        let schema = json!({"type": "object", "properties": properties});
        annotated(&RawJson::from(schema), Room::OTHERS)
    }

    /// REQ-PARAM-02
    #[test]
    fn annotations_have_to_keep_the_rules() {
        let region = |name: &str, kind: &str| json!({"type": kind, "x-mcp-header": name});
        let good = of(
            json!({"a": region("A", "string"), "n": {"type": "object", "properties": {"b": region("B", "integer")}}}),
        );
        let good = good.unwrap();
        assert_eq!(
            (good.len(), &good[1].path[..]),
            (2, &["n".to_owned(), "b".to_owned()][..])
        );
        for bad in [
            json!({"a": region("", "string")}),
            json!({"a": region("A B", "string")}),
            json!({"a": region("A:", "string")}),
            json!({"a": region("Ä", "string")}),
            json!({"a": region("A\u{1}", "string")}),
            json!({"a": region("A", "number")}),
            json!({"a": region("A", "object")}),
            json!({"a": region("A", "array")}),
            json!({"a": region("A", "null")}),
            json!({"a": {"x-mcp-header": "A"}}),
            json!({"a": {"type": "string", "x-mcp-header": 1}}),
            json!({"a": region("A", "string"), "b": region("a", "string")}),
            json!({"a": {"type": "array", "items": region("A", "string")}}),
            json!({"a": {"anyOf": [region("A", "string")]}}),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_tool_wants_more_in_headers_than_they_have_room_for() {
        for (count, length, good) in [
            (64, 50, true),
            (65, 50, false),
            (10_000, 50, false),
            (1, 16 * 1024, false),
        ] {
            let long = "x".repeat(length);
            let argument = |at| json!({"type": "string", "x-mcp-header": format!("{at}")});
            let arguments = (0..count).map(|at| (format!("{long}{at}"), argument(at)));
            let found = of(Value::Object(arguments.collect()));
            assert_eq!(found.is_ok(), good, "{count} {length}");
        }
    }

    /// REQ-PARAM-04, REQ-PARAM-06
    #[test]
    fn arguments_are_compared_by_what_they_mean() {
        let one = |value: Value| {
            let found = of(json!({"a": {"type": "integer", "x-mcp-header": "A"}})).unwrap();
            found[0].value(&RawJson::from(json!({"a": value})))
        };
        assert_eq!(one(json!(null)), None);
        assert_eq!(one(json!([])), None);
        assert_eq!(one(json!(true)).unwrap().text(), "true");
        assert_eq!(one(json!(1e15)).unwrap().text(), "1000000000000000");
        for (value, header, expected) in [
            (json!(42), "42", true),
            (json!(42), "42.0", true),
            (json!(42.0), "42", true),
            (json!(42), "43", false),
            (json!(42), "42.", false),
            (json!(42.5), "42.5", true),
            (json!(1e15), "1000000000000000.0", true),
            (json!(9_007_199_254_740_992.0), "9007199254740992", true),
            (json!(9_007_199_254_740_992.0), "9007199254740992.0", true),
            (json!(9_007_199_254_740_994.0), "9007199254740992", false),
            (json!(9_007_199_254_740_993_i64), "9007199254740992", false),
            (json!("a"), "A", false),
            (json!("a"), "a", true),
        ] {
            assert_eq!(
                one(value.clone()).unwrap().is(header),
                expected,
                "{value} {header}"
            );
        }
    }
}
