//! How much work a JSON Schema can make, before anybody does it.

use std::iter::once;

use serde_json::Value;

/// Bytes of a text that take as long as one schema does.
const STEP: usize = 64;

/// Why a schema is not checked against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unchecked {
    /// It can take more work than there may be, or refers to itself without going into the value.
    #[error("it takes too much work to check")]
    Work,
    /// What a reference leads to cannot be told by looking for it from the root of the schema.
    #[error("`{0}` is no JSON Pointer from the root of the schema")]
    Reference(String),
}

/// How many schemas are applied at most to a value and to what is in it, if every one is applied that can be, as often as it is
/// referred to. An entry of a keyword counts as a schema does, and so does each 64 bytes of a text that a keyword reads.
///
/// No validator takes more steps than that, whether or not it remembers what it has checked: a schema that refers to itself
/// twice can make twice as many with each level of the value (REQ-SCH-03). Nor does it take more to compile the schema.
///
/// # Errors
/// [`Unchecked::Work`] beyond so many steps, or if schemas lie deeper than so many levels in each other;
/// [`Unchecked::Reference`] if it refers to something by another way than a pointer that begins with `#`, or does from within a
/// schema that has a name of its own, from which such a pointer counts: by `$id`, or by `id` if any is of draft 4.
pub fn steps(schema: &Value, value: &Value, most: u64, levels: usize) -> Result<u64, Unchecked> {
    let mut walk = Walk {
        root: schema,
        ids: &IDS[..1],
        left: most,
        open: Vec::new(),
    };
    if walk.within().any(|(schema, _)| is_of_draft_4(schema)) {
        walk.ids = &IDS;
    }
    let at = Place {
        levels,
        weight: 1,
        again: 0,
        named: false,
        name: 0,
    };
    // To ask what others have evaluated is prepared for when a schema is compiled, whether or not it is ever applied.
    let asking: Vec<_> = walk.within().filter(|(schema, _)| asks(schema)).collect();
    for (schema, named) in asking {
        walk.apply(schema, &Value::Null, Place { named, ..at })?;
    }
    walk.apply(schema, value, at)?;
    while let Some((pairs, at)) = walk.open.last_mut() {
        let at = *at;
        match pairs.next() {
            Some((schema, value)) => walk.apply(schema, value, at)?,
            None => drop(walk.open.pop()),
        }
    }
    Ok(most - walk.left)
}

struct Walk<'a> {
    root: &'a Value,
    /// What a schema may have a name by.
    ids: &'static [&'static str],
    left: u64,
    /// What is still to be done, the innermost last: a call each would take more of the stack than there may be.
    open: Vec<(Pairs<'a>, Place)>,
}

/// Schemas, each with what it is applied to.
type Pairs<'a> = Box<dyn Iterator<Item = (&'a Value, &'a Value)> + 'a>;

/// Where a schema is applied.
#[derive(Clone, Copy)]
struct Place {
    /// How many more may lie in each other.
    levels: usize,
    /// How often.
    weight: u64,
    /// How many schemas around it, at the same value, ask what those in them have evaluated: each asks once more at each level.
    again: u32,
    /// Whether it or one around it has a name of its own, from which pointers count.
    named: bool,
    /// Bytes of the longest name, where it is applied to names and not to a value.
    name: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, steps: usize, weight: u64) -> Result<(), Unchecked> {
        let steps = (steps as u64).saturating_mul(weight);
        self.left = self.left.checked_sub(steps).ok_or(Unchecked::Work)?;
        Ok(())
    }

    /// Counts a schema, and opens what it applies in turn.
    fn apply(&mut self, schema: &'a Value, value: &'a Value, at: Place) -> Result<(), Unchecked> {
        self.take(1, at.weight)?;
        let Value::Object(members) = schema else {
            return Ok(());
        };
        let levels = at.levels.checked_sub(1).ok_or(Unchecked::Work)?;
        let named = at.named || self.is_named(schema);
        let asks = ASKING.map(|keyword| u32::from(members.contains_key(keyword)));
        let again = at.again + asks.iter().sum::<u32>();
        let times = 1_u64.checked_shl(again).unwrap_or(u64::MAX);
        let here = Place {
            levels,
            weight: at.weight.saturating_mul(times),
            again,
            named,
            name: at.name,
        };
        let inside = Place {
            levels,
            weight: at.weight,
            again: 0,
            named,
            name: 0,
        };
        for (keyword, said) in members {
            let entries = match said {
                Value::Array(entries) => entries.len(),
                Value::Object(entries) => entries.len(),
                _ => 0,
            };
            self.take(entries, at.weight)?;
            self.take(read(keyword, said, value, at.name), at.weight)?;
            let (pairs, place): (Pairs<'a>, _) = match (keyword.as_str(), said, value) {
                ("$ref", Value::String(reference), _) if !named => {
                    let (found, named) = self.find(reference)?;
                    (Box::new(once((found, value))), Place { named, ..here })
                }
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference), _) => {
                    return Err(Unchecked::Reference(reference.clone()));
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas), _) => {
                    (Box::new(schemas.iter().map(move |s| (s, value))), here)
                }
                ("not" | "if" | "then" | "else" | "contentSchema", schema, _) => {
                    (Box::new(once((schema, value))), here)
                }
                ("dependentSchemas" | "dependencies", Value::Object(schemas), _) => {
                    (Box::new(schemas.values().map(move |s| (s, value))), here)
                }
                ("properties", Value::Object(schemas), Value::Object(members)) => {
                    let member = |(name, schema)| Some((schema, members.get(name)?));
                    (Box::new(schemas.iter().filter_map(member)), inside)
                }
                ("patternProperties", Value::Object(schemas), Value::Object(members)) => {
                    let all = |schema| members.values().map(move |member| (schema, member));
                    (Box::new(schemas.values().flat_map(all)), inside)
                }
                ("propertyNames", schema, Value::Object(members)) => {
                    let all = members.values().map(move |_| (schema, &Value::Null));
                    let name = members.keys().map(String::len).max().unwrap_or(0);
                    (Box::new(all), Place { name, ..inside })
                }
                (
                    "additionalProperties" | "unevaluatedProperties",
                    schema,
                    Value::Object(members),
                ) => {
                    let all = members.values().map(move |member| (schema, member));
                    (Box::new(all), inside)
                }
                ("items" | "prefixItems", Value::Array(schemas), Value::Array(items)) => {
                    (Box::new(schemas.iter().zip(items)), inside)
                }
                (
                    "items" | "additionalItems" | "unevaluatedItems" | "contains",
                    schema,
                    Value::Array(items),
                ) => {
                    let all = items.iter().map(move |item| (schema, item));
                    (Box::new(all), inside)
                }
                _ => continue,
            };
            self.open.push((pairs, place));
        }
        Ok(())
    }

    /// What a reference leads to, and whether that lies within a schema that has a name of its own.
    fn find(&self, reference: &str) -> Result<(&'a Value, bool), Unchecked> {
        let unknown = || Unchecked::Reference(reference.to_owned());
        let pointer = reference.strip_prefix('#').ok_or_else(unknown)?;
        let pointer = decoded(pointer).ok_or_else(unknown)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(unknown());
        }
        let (mut found, mut named) = (self.root, false);
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            found = match found {
                Value::Object(members) => members.get(&part),
                Value::Array(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
                _ => None,
            }
            .ok_or_else(unknown)?;
            named |= self.is_named(found);
        }
        Ok((found, named))
    }

    /// Every object in the schema, itself included, and whether it lies within one that has a name of its own.
    fn within(&self) -> impl Iterator<Item = (&'a Value, bool)> {
        let mut left = vec![(self.root, false)];
        std::iter::from_fn(move || {
            loop {
                let (schema, named) = left.pop()?;
                match schema {
                    Value::Array(items) => left.extend(items.iter().map(|item| (item, named))),
                    Value::Object(members) => {
                        let named = named || self.is_named(schema);
                        left.extend(members.values().map(|member| (member, named)));
                        return Some((schema, named));
                    }
                    _ => {}
                }
            }
        })
    }

    /// Whether it has a name of its own; that of the root changes nothing.
    fn is_named(&self, schema: &Value) -> bool {
        let is_root = std::ptr::eq(self.root, schema);
        !is_root && self.ids.iter().any(|id| schema[*id].is_string())
    }
}

/// What a keyword reads of a value, or of a name of so many bytes, and not only of the schemas in it; most ask for no more than
/// its type.
fn read(keyword: &str, said: &Value, value: &Value, name: usize) -> usize {
    match (keyword, said, value) {
        ("patternProperties", Value::Object(patterns), Value::Object(members))
            if !patterns.is_empty() =>
        {
            let names: usize = members.keys().map(String::len).sum();
            patterns.len().saturating_mul(names / STEP)
        }
        ("uniqueItems", Value::Bool(true), value @ Value::Array(_)) => all_of(value),
        ("const" | "enum", _, value @ (Value::Array(_) | Value::Object(_))) => all_of(value),
        (
            "const" | "enum" | "pattern" | "format" | "minLength" | "maxLength" | "contentEncoding"
            | "contentMediaType",
            _,
            value,
        ) => value.as_str().map_or(name, str::len) / STEP,
        _ => 0,
    }
}

/// All that there is in a value.
fn all_of(value: &Value) -> usize {
    let (mut steps, mut left) = (0, vec![value]);
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => {
                steps += items.len();
                left.extend(items);
            }
            Value::Object(members) => {
                steps += members.len() + members.keys().map(String::len).sum::<usize>() / STEP;
                left.extend(members.values());
            }
            Value::String(text) => steps += text.len() / STEP,
            _ => {}
        }
    }
    steps
}

/// What a schema has its name by; the second in draft 4 alone.
const IDS: [&str; 2] = ["$id", "id"];

fn is_of_draft_4(schema: &Value) -> bool {
    let dialect = schema["$schema"].as_str();
    dialect.is_some_and(|dialect| dialect.contains("draft-04"))
}

/// What a schema asks by for what those in it have evaluated.
const ASKING: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];

fn asks(schema: &Value) -> bool {
    ASKING.iter().any(|keyword| schema.get(keyword).is_some())
}

/// With percent-encoding undone; `None` if that is no UTF-8.
fn decoded(fragment: &str) -> Option<String> {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        bytes.push(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    fn count(schema: &Value, value: &Value) -> Result<u64, Unchecked> {
        steps(schema, value, 100_000, 1_000)
    }

    #[test]
    fn a_tree_takes_as_long_as_it_is_large() {
        let schema = json!({ "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } });
        let work = |levels| count(&schema, &nested(levels)).unwrap();
        let level = work(1) - work(0);
        assert_eq!(work(100), work(0) + 100 * level);
        let value = json!({ "a": nested(3), "b": nested(4) });
        assert_eq!(count(&schema, &value), Ok(work(0) + 9 * level));
    }

    #[test]
    fn what_refers_to_itself_twice_doubles_with_each_level() {
        let same = json!({ "$ref": "#" });
        for schema in [
            json!({ "properties": { "a": { "allOf": [same, same] } } }),
            json!({ "anyOf": [
                { "properties": { "a": same } }, { "patternProperties": { "^a": same } },
            ] }),
            json!({ "not": { "additionalProperties": same }, "if": { "properties": { "a": same } } }),
            json!({ "dependentSchemas": { "properties": { "properties": { "a": { "$ref": "#" } } } },
                    "additionalProperties": same }),
        ] {
            let [some, more] = [8, 9].map(|levels| count(&schema, &nested(levels)).unwrap());
            assert!(more > 2 * some - 20, "{schema}: {some}, {more}");
            assert_eq!(count(&schema, &nested(100)), Err(Unchecked::Work));
        }
    }

    #[test]
    fn what_is_referred_to_twice_doubles_with_each_reference() {
        let chain = |links: usize| {
            let mut schemas = Map::new();
            for n in 0..links {
                let next = json!({ "$ref": format!("#/$defs/{}", n + 1) });
                schemas.insert(n.to_string(), json!({ "allOf": [next, next] }));
            }
            schemas.insert(links.to_string(), json!({ "type": "object" }));
            json!({ "$ref": "#/$defs/0", "$defs": schemas })
        };
        assert!(count(&chain(10), &json!({})).unwrap() > 1 << 10);
        assert_eq!(count(&chain(40), &json!({})), Err(Unchecked::Work));
    }

    #[test]
    fn what_asks_for_what_is_evaluated_makes_it_twice() {
        let chain = |links: usize| {
            (0..links).fold(
                json!({}),
                |inner, _| json!({ "anyOf": [inner], "unevaluatedProperties": false }),
            )
        };
        assert!(count(&chain(1), &json!({})).unwrap() < 10);
        assert!(count(&chain(4), &json!({})).unwrap() > 1 << 10);
        assert_eq!(count(&chain(40), &json!({})), Err(Unchecked::Work));
        // Though it is applied to nothing.
        let unused = json!({ "properties": { "a": chain(40) } });
        assert_eq!(count(&unused, &json!({})), Err(Unchecked::Work));
    }

    #[test]
    fn what_never_goes_into_the_value_is_refused() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#/allOf/1" }, { "not": { "$ref": "#/allOf/0" } }] }),
        ] {
            assert_eq!(count(&schema, &json!(1)), Err(Unchecked::Work), "{schema}");
        }
    }

    #[test]
    fn what_keywords_read_and_their_lists_count() {
        let long = "x".repeat(STEP * 100);
        let (text, list) = (json!(long), json!([long, long]));
        let object = json!({ long.as_str(): long });
        for (schema, value, times) in [
            (
                json!({ "allOf": [{ "pattern": "a" }, { "format": "b" }] }),
                &text,
                2,
            ),
            (
                json!({ "minLength": 1, "maxLength": 2, "enum": [], "const": "" }),
                &text,
                4,
            ),
            (
                json!({ "type": "string", "minItems": 1, "x": "a" }),
                &text,
                0,
            ),
            (
                json!({ "items": { "type": "string" }, "uniqueItems": false }),
                &list,
                0,
            ),
            (
                json!({ "items": { "pattern": "a" }, "uniqueItems": true }),
                &list,
                4,
            ),
            (json!({ "const": {} }), &object, 2),
            (
                json!({ "patternProperties": { "a": true, "b": { "pattern": "a" } } }),
                &object,
                3,
            ),
            (
                json!({ "propertyNames": { "anyOf": [{ "pattern": "a" }, { "const": "" }] } }),
                &object,
                2,
            ),
            (
                json!({ "required": ["a"], "properties": { "a": true } }),
                &object,
                0,
            ),
        ] {
            let steps = count(&schema, value).unwrap();
            assert_eq!(steps / 100, times, "{schema}: {steps}");
        }
        let schema = json!({ "items": { "enum": vec![1; 100] } });
        assert!(count(&schema, &json!([1, 1, 1])).unwrap() > 300);
    }

    #[test]
    fn references_are_pointers_into_the_schema() {
        let schemas = json!({ "a/b c": true, "r": { "$id": "r", "x": true } });
        for (reference, is_found) in [
            ("#", true),
            ("#/$defs/a~1b%20c", true),
            ("#/$defs/none", false),
            ("#/$defs/a%F", false),
            ("#anchor", false),
            ("#/$defs/r/x", true),
            ("file:///etc/passwd", false),
        ] {
            let schema = json!({ "properties": { "a": { "$ref": reference } }, "$defs": schemas });
            let found = count(&schema, &nested(1)).is_ok();
            assert_eq!(found, is_found, "{reference}");
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            let schema = json!({ keyword: "#" });
            let refused = Err(Unchecked::Reference("#".to_owned()));
            assert_eq!(count(&schema, &json!({})), refused);
        }
    }

    #[test]
    fn names_are_in_the_way_of_references_alone() {
        let named = |id: &str, inner: Value| {
            let schema = json!({ id: "a", "properties": { "a": inner } });
            json!({ "properties": { "a": schema } })
        };
        let reference = json!({ "$ref": "#" });
        let asks = json!({ "unevaluatedItems": true, "not": reference });
        for (mut schema, is_counted) in [
            (named("id", json!({})), true),
            (named("id", reference.clone()), true),
            (named("$id", json!({})), true),
            (named("$id", reference.clone()), false),
            // Though it is applied to nothing.
            (
                json!({ "$defs": { "a": named("$id", asks.clone()) } }),
                false,
            ),
            (json!({ "$defs": { "a": named("id", asks.clone()) } }), true),
            // Through what it refers to.
            (
                json!({ "$defs": named("$id", json!({})), "$ref": "#/$defs/properties/a" }),
                true,
            ),
            (
                json!({ "$defs": named("$id", json!({ "not": reference })),
                     "$ref": "#/$defs/properties/a/properties/a" }),
                false,
            ),
        ] {
            // That of the root is in nobody's way.
            schema["$id"] = json!("root");
            let counted = count(&schema, &nested(3));
            assert_eq!(counted.is_ok(), is_counted, "{schema}: {counted:?}");
        }
        // As they are in draft 4.
        let mut schema = named("id", reference);
        schema["$schema"] = json!("http://json-schema.org/draft-04/schema#");
        let refused = Err(Unchecked::Reference("#".to_owned()));
        assert_eq!(count(&schema, &nested(3)), refused);
    }
}
