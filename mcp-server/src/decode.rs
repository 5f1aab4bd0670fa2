//! Arguments from what a request holds, and what to say when they do not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use mcp_peer::types::{ErrorObject, RawJson};
use schemars::JsonSchema;
use serde::de::value::{MapDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde_json::Value;

use crate::error::HandlerError;
use crate::form::{Primitive, primitive};
use crate::handler::{FromInput, Kind, kind};
use crate::schema::{flat_schema_of, object_schema_of};

impl Kind for kind::Tool {
    /// The arguments, an object.
    type Input = RawJson;
    type Output = mcp_peer::types::CallToolResult;
}

impl<A: DeserializeOwned + JsonSchema + Send + 'static> FromInput<kind::Tool> for A {
    fn schema() -> Value {
        object_schema_of::<A>()
    }

    /// What is wrong is for the model to read, and names the field (X2, SEP-1303).
    fn from_input(arguments: RawJson) -> Result<Self, HandlerError> {
        arguments.decode().map_err(|_| {
            let mut text = serde_json::Deserializer::from_slice(arguments.as_bytes());
            let error = match serde_path_to_error::deserialize::<_, A>(&mut text) {
                Ok(_) => return HandlerError::invalid("Invalid arguments."),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let what = error.into_inner().to_string();
            // The position is that in a text which the model does not see.
            let what = what.split(" at line ").next().unwrap_or_default();
            HandlerError::invalid(fault(&path, what))
        })
    }
}

/// A sentence about one argument, or about all of them.
pub(crate) fn fault(path: &str, what: &str) -> String {
    let what = brief(what);
    match path {
        "" | "." => format!("Invalid arguments: {what}."),
        path => format!("Invalid argument `{}`: {what}.", brief(path)),
    }
}

/// Bytes of what is said about a client's words, which it may repeat.
const MAX_SAID: usize = 300;

/// No more of a text than a person reads (REQ-ERR-02).
fn brief(said: &str) -> Cow<'_, str> {
    match said.char_indices().find(|(at, _)| *at >= MAX_SAID) {
        Some((end, _)) => format!("{} ...", &said[..end]).into(),
        None => said.into(),
    }
}

/// An error that may repeat a client's words, but no more of them than a person reads.
pub(crate) fn briefly(error: ErrorObject) -> ErrorObject {
    let message = brief(&error.message).into_owned();
    ErrorObject { message, ..error }
}

/// Texts by name, as the arguments of a prompt and the variables of a template are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(pub(crate) Vec<(String, String)>);

impl Kind for kind::Resource {
    type Input = Texts;
    type Output = mcp_peer::types::ReadResourceResult;
}

impl Kind for kind::Prompt {
    type Input = Texts;
    type Output = mcp_peer::types::GetPromptResult;
}

impl<A: DeserializeOwned + JsonSchema + Send + 'static> FromInput<kind::Resource> for A {
    fn schema() -> Value {
        flat_schema_of::<A>()
    }

    fn from_input(variables: Texts) -> Result<Self, HandlerError> {
        variables.decode()
    }
}

impl<A: DeserializeOwned + JsonSchema + Send + 'static> FromInput<kind::Prompt> for A {
    fn schema() -> Value {
        flat_schema_of::<A>()
    }

    fn from_input(arguments: Texts) -> Result<Self, HandlerError> {
        arguments.decode()
    }
}

impl Texts {
    /// The texts of an object that has nothing else.
    pub(crate) fn from_object(object: &RawJson) -> Option<Self> {
        let texts: BTreeMap<String, String> = object.decode().ok()?;
        Some(Self(texts.into_iter().collect()))
    }

    /// The object that a schema without `$ref` describes: each text as what its property is, if it can be read as that.
    pub(crate) fn to_object(&self, schema: &Value) -> RawJson {
        let named = schema.get("properties");
        let others = schema.get("additionalProperties");
        let property = |(name, text): &(String, String)| {
            let schema = named.and_then(|all| all.get(name)).or(others);
            let value = match schema.and_then(primitive) {
                Some(Primitive::Number) => number(text),
                Some(Primitive::Boolean) => text.parse().ok().map(Value::Bool),
                _ => None,
            };
            (name.clone(), value.unwrap_or_else(|| text.clone().into()))
        };
        Value::Object(self.0.iter().map(property).collect()).into()
    }

    fn decode<A: DeserializeOwned>(self) -> Result<A, HandlerError> {
        let texts = self.0.into_iter().map(|(name, text)| (name, Text(text)));
        let texts = MapDeserializer::<_, serde::de::value::Error>::new(texts);
        serde_path_to_error::deserialize(texts).map_err(|error| {
            let path = error.path().to_string();
            HandlerError::invalid(fault(&path, &error.into_inner().to_string()))
        })
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(natural) = text.parse::<u64>() {
        return Some(natural.into());
    }
    let number = serde_json::Number::from_f64(text.parse().ok()?);
    number.map(Value::Number)
}

/// A text that is read as what its field is: a number, a boolean, a variant.
struct Text(String);

type Fault = serde::de::value::Error;

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty, $what:literal $(, $fits:path)?;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse::<$type>() {
                Ok(value) $(if $fits(value))? => visitor.$visit(value),
                _ => Err(not(&self.0, $what)),
            }
        })*
    };
}

fn not(text: &str, what: &str) -> Fault {
    serde::de::Error::invalid_value(serde::de::Unexpected::Str(text), &Expected(what))
}

struct Expected<'a>(&'a str);

impl serde::de::Expected for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de> Deserializer<'de> for Text {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.0)
    }

    parse! {
        deserialize_bool visit_bool bool, "`true` or `false`";
        deserialize_i8 visit_i8 i8, "a whole number of 8 bits";
        deserialize_i16 visit_i16 i16, "a whole number of 16 bits";
        deserialize_i32 visit_i32 i32, "a whole number of 32 bits";
        deserialize_i64 visit_i64 i64, "a whole number of 64 bits";
        deserialize_i128 visit_i128 i128, "a whole number of 128 bits";
        deserialize_u8 visit_u8 u8, "a natural number of 8 bits";
        deserialize_u16 visit_u16 u16, "a natural number of 16 bits";
        deserialize_u32 visit_u32 u32, "a natural number of 32 bits";
        deserialize_u64 visit_u64 u64, "a natural number of 64 bits";
        deserialize_u128 visit_u128 u128, "a natural number of 128 bits";
        deserialize_f32 visit_f32 f32, "a number", f32::is_finite;
        deserialize_f64 visit_f64 f64, "a number", f64::is_finite;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let text: StringDeserializer<Fault> = self.0.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Typed {
        name: String,
        count: Option<u8>,
        size: Size,
        #[serde(default)]
        exact: bool,
        ratio: Option<f64>,
        rough: Option<f32>,
        wide: Option<i128>,
        long: Option<u128>,
    }

    fn typed(texts: &[(&str, &str)]) -> Result<Typed, String> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let decoded = Texts(texts.iter().map(own).collect()).decode();
        decoded.map_err(|error: HandlerError| format!("{error:?}"))
    }

    #[test]
    fn texts_are_read_as_what_their_fields_are() {
        let read = typed(&[
            ("name", "7"),
            ("count", "8"),
            ("size", "small"),
            ("ratio", "5e-1"),
            ("wide", "-5"),
            ("long", "340282366920938463463374607431768211455"),
            ("x", ""),
        ]);
        let (name, size) = ("7".to_owned(), Size::Small);
        let expected = Typed {
            name,
            count: Some(8),
            size,
            exact: false,
            ratio: Some(0.5),
            rough: None,
            wide: Some(-5),
            long: Some(u128::MAX),
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (texts, said) in [
            (&[("name", "a")][..], "missing field `size`"),
            (
                &[("name", "a"), ("size", "large")],
                "`size`: unknown variant",
            ),
            (&[("count", "256")], "`count`: invalid value"),
            (&[("exact", "maybe")], "`exact`: invalid value"),
            (&[("ratio", "NaN")], "`ratio`: invalid value"),
            (&[("ratio", "1e999")], "`ratio`: invalid value"),
            (&[("rough", "-inf")], "`rough`: invalid value"),
            (&[("long", "-1")], "`long`: invalid value"),
        ] {
            let error = typed(texts).expect_err("it does not fit");
            assert!(error.contains(said), "{error}");
        }
    }
}
