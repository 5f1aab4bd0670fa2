//! Forms from types: flat objects of texts, numbers, booleans and choices (REQ-ELIC-03).

use mcp_peer::types::{ElicitSchema, PrimitiveSchema};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::schema::flat_schema_of;

/// What a value of a form, or an argument of a prompt, can be.
#[derive(Debug, PartialEq)]
pub(crate) enum Primitive {
    Text,
    Number,
    Boolean,
    /// One of these, each with its title.
    One(Vec<(String, Option<String>)>),
    /// Some of these.
    Several(Vec<(String, Option<String>)>),
}

/// What a schema without `$ref` describes; `None` if nothing of the kind.
pub(crate) fn primitive(schema: &Value) -> Option<Primitive> {
    if let Some(choices) = choices(schema) {
        return Some(Primitive::One(choices));
    }
    if let Some(inner) = without_null(schema) {
        return primitive(inner);
    }
    match kind(schema)? {
        "string" => Some(Primitive::Text),
        "integer" | "number" => Some(Primitive::Number),
        "boolean" => Some(Primitive::Boolean),
        "array" => choices(schema.get("items")?).map(Primitive::Several),
        _ => None,
    }
}

/// The one type of a schema, `null` aside.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            let kind = kinds.find(|kind| *kind != "null")?;
            kinds.all(|other| other == "null").then_some(kind)
        }
        _ => None,
    }
}

/// The other one of two alternatives of which one is `null`.
fn without_null(schema: &Value) -> Option<&Value> {
    let alternatives = schema.get("anyOf")?.as_array()?;
    let mut some = alternatives
        .iter()
        .filter(|schema| schema.get("type").is_none_or(|kind| kind != "null"));
    let one = some.next()?;
    some.next().is_none().then_some(one)
}

/// The texts that a schema leaves to choose from.
fn choices(schema: &Value) -> Option<Vec<(String, Option<String>)>> {
    if let Some(values) = schema.get("enum") {
        let values = values.as_array()?.iter().filter(|value| !value.is_null());
        return values
            .map(|value| Some((value.as_str()?.to_owned(), None)))
            .collect();
    }
    if let Some(value) = schema.get("const") {
        let text = |key| schema.get(key).and_then(Value::as_str).map(str::to_owned);
        let title = text("title").or_else(|| text("description"));
        return Some(vec![(value.as_str()?.to_owned(), title)]);
    }
    let variants = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    let mut all = Vec::new();
    for variant in variants.as_array()? {
        if variant.get("type").is_none_or(|kind| kind != "null") {
            all.extend(choices(variant)?);
        }
    }
    Some(all)
}

/// The form that a type describes.
///
/// # Errors
/// Which field cannot be in a form.
pub(crate) fn form_of<T: JsonSchema>() -> Result<(ElicitSchema, Value), String> {
    let whole = flat_schema_of::<T>();
    let name = T::schema_name();
    let properties = whole.get("properties").and_then(Value::as_object);
    let properties = properties
        .ok_or_else(|| format!("a form is an object with fields, which `{name}` is not"))?;
    let mut form = ElicitSchema::new();
    for (field, schema) in properties {
        let value = field_of(schema).ok_or_else(|| {
            format!("a form has texts, numbers, booleans and choices, which `{field}` of `{name}` is not")
        })?;
        form = form.optional(field, value);
    }
    let required = whole.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    form.required = required.map(str::to_owned).collect();
    Ok((form, whole))
}

/// The schema of one value, in the words that the protocol has for it.
fn field_of(schema: &Value) -> Option<PrimitiveSchema> {
    let inner = without_null(schema).unwrap_or(schema);
    let get = |key: &str| schema.get(key).or_else(|| inner.get(key)).cloned();
    let mut field = Map::new();
    let mut keep = |keys: &[&str]| {
        for key in keys {
            if let Some(value) = get(key).filter(|value| !value.is_null()) {
                field.insert((*key).to_owned(), value);
            }
        }
    };
    keep(&["title", "description", "default"]);
    match primitive(schema)? {
        Primitive::Text => {
            keep(&["minLength", "maxLength"]);
            let format = get("format").filter(|format| {
                let known = ["email", "uri", "date", "date-time"];
                format
                    .as_str()
                    .is_some_and(|format| known.contains(&format))
            });
            field.extend(format.map(|format| ("format".to_owned(), format)));
            field.insert("type".to_owned(), "string".into());
        }
        Primitive::Number => {
            keep(&["minimum", "maximum"]);
            field.insert("type".to_owned(), kind(inner)?.into());
        }
        Primitive::Boolean => {
            field.insert("type".to_owned(), "boolean".into());
        }
        Primitive::One(choices) => {
            field.insert("type".to_owned(), "string".into());
            let (key, value) = listed(&choices, "oneOf");
            field.insert(key.to_owned(), value);
        }
        Primitive::Several(choices) => {
            keep(&["minItems", "maxItems"]);
            field.insert("type".to_owned(), "array".into());
            let (key, value) = listed(&choices, "anyOf");
            let mut items = Map::new();
            if key == "enum" {
                items.insert("type".to_owned(), "string".into());
            }
            items.insert(key.to_owned(), value);
            field.insert("items".to_owned(), items.into());
        }
    }
    let field: PrimitiveSchema = serde_json::from_value(field.into()).ok()?;
    (!matches!(field, PrimitiveSchema::Unknown(_))).then_some(field)
}

/// Choices as `enum`, or with their titles if there are any.
fn listed<'a>(choices: &[(String, Option<String>)], titled: &'a str) -> (&'a str, Value) {
    if choices.iter().all(|(_, title)| title.is_none()) {
        return (
            "enum",
            choices.iter().map(|(value, _)| value.as_str()).collect(),
        );
    }
    let option = |(value, title): &(String, Option<String>)| json!({ "const": value, "title": title.as_ref().unwrap_or(value) });
    (titled, choices.iter().map(option).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(JsonSchema, Serialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema counts")]
    enum Size {
        Small,
        Large,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    enum Colour {
        /// Like the sky
        Blue,
        Red,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    struct Order {
        /// Your name
        #[schemars(length(min = 1, max = 40))]
        name: String,
        #[schemars(email)]
        email: Option<String>,
        #[schemars(range(min = 1, max = 9))]
        count: u32,
        price: Option<f64>,
        gift: bool,
        size: Size,
        colour: Option<Colour>,
        extras: Vec<Colour>,
    }

    #[test]
    fn a_flat_type_is_a_form() {
        let (form, _) = form_of::<Order>().unwrap();
        let expected = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "Your name", "minLength": 1, "maxLength": 40 },
                "email": { "type": "string", "format": "email" },
                "count": { "type": "integer", "minimum": 1, "maximum": 9 },
                "price": { "type": "number" },
                "gift": { "type": "boolean" },
                "size": { "type": "string", "enum": ["small", "large"] },
                "colour": { "type": "string", "oneOf": [
                    { "const": "Red", "title": "Red" }, { "const": "Blue", "title": "Like the sky" },
                ] },
                "extras": { "type": "array", "items": { "anyOf": [
                    { "const": "Red", "title": "Red" }, { "const": "Blue", "title": "Like the sky" },
                ] } },
            },
            "required": ["name", "count", "gift", "size", "extras"],
        });
        assert_eq!(serde_json::to_value(&form).unwrap(), expected);
        let names: Vec<_> = form.properties.iter().map(|(name, _)| &**name).collect();
        let written = [
            "name", "email", "count", "price", "gift", "size", "colour", "extras",
        ];
        assert_eq!(names, written, "in the order of the type");
    }

    #[test]
    fn what_is_not_flat_is_refused_by_name() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema counts")]
        struct Nested {
            order: Order,
        }
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema counts")]
        struct Listing {
            names: Vec<String>,
        }
        for (error, said) in [
            (form_of::<Nested>(), "`order` of `Nested`"),
            (form_of::<Listing>(), "`names` of `Listing`"),
            (form_of::<String>(), "`string` is not"),
        ] {
            let error = error.expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }
}
