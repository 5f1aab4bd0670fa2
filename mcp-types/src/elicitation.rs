//! Elicitation: a server asks the client's user, by a form or by a page to open (since 2025-06-18).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};

use crate::meta::Meta;
use crate::names::{closed_enum, methods, open_enum, setters};
use crate::raw::{RawJson, present};
use crate::tasks::TaskMetadata;

/// The parameters of `elicitation/create`: told apart by `mode`, whose absence means a form (REQ-ELIC-02).
#[derive(Debug, Clone, PartialEq, DeriveDeserialize)]
#[serde(try_from = "AnyParams")]
#[non_exhaustive]
pub enum ElicitParams {
    /// Asks for values.
    Form(ElicitFormParams),
    /// Asks the user to open a page (since 2025-11-25).
    Url(ElicitUrlParams),
}

/// Asks the user for values. Never for secrets (REQ-ELIC-06).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitFormParams {
    /// Always [`ElicitMode::Form`]; absent in 2025-06-18, which has no other, and allowed to be absent everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ElicitMode>,
    /// What to say to the user.
    pub message: String,
    /// What values are wanted: a JSON Schema of a flat object (REQ-ELIC-03), which [`ElicitSchema`] reads and writes.
    pub requested_schema: RawJson,
    /// Asks for a task (2025-11-25 only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskMetadata>,
    /// The request's `_meta` (legacy only: an input request has none).
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// Asks the user to open a page (since 2025-11-25). The client shows the whole URL and asks first (REQ-ELIC-07).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitUrlParams {
    /// Always [`ElicitMode::Url`].
    pub mode: ElicitMode,
    /// What to say to the user.
    pub message: String,
    /// The page.
    pub url: String,
    /// What `notifications/elicitation/complete` will name it by (2025-11-25 only, and required there).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elicitation_id: Option<String>,
    /// Asks for a task (2025-11-25 only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskMetadata>,
    /// The request's `_meta` (legacy only: an input request has none).
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

closed_enum! {
    /// How a user is asked.
    ElicitMode, "elicitation mode" {
        /// By a form.
        Form = "form",
        /// By a page to open.
        Url = "url",
    }
}

impl ElicitParams {
    /// Asks for values: a sentence for the user, and an [`ElicitSchema`] or a JSON Schema as `serde_json::Value`.
    pub fn form(message: impl Into<String>, schema: impl Into<RawJson>) -> Self {
        Self::Form(ElicitFormParams {
            mode: Some(ElicitMode::Form),
            message: message.into(),
            requested_schema: schema.into(),
            task: None,
            meta: None,
        })
    }

    /// Asks to open a page: a sentence for the user, and the page.
    pub fn url(message: impl Into<String>, url: impl Into<String>) -> Self {
        Self::Url(ElicitUrlParams {
            mode: ElicitMode::Url,
            message: message.into(),
            url: url.into(),
            elicitation_id: None,
            task: None,
            meta: None,
        })
    }

    /// What to say to the user.
    pub fn message(&self) -> &str {
        match self {
            Self::Form(form) => &form.message,
            Self::Url(url) => &url.message,
        }
    }

    /// How the user is asked.
    pub fn mode(&self) -> ElicitMode {
        match self {
            Self::Form(_) => ElicitMode::Form,
            Self::Url(_) => ElicitMode::Url,
        }
    }

    /// Sets `elicitation_id` where a page is to be opened (2025-11-25 only).
    #[must_use]
    pub fn elicitation_id(mut self, id: impl Into<String>) -> Self {
        if let Self::Url(url) = &mut self {
            url.elicitation_id = Some(id.into());
        }
        self
    }

    /// Sets `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: Meta) -> Self {
        match &mut self {
            Self::Form(form) => form.meta = Some(meta),
            Self::Url(url) => url.meta = Some(meta),
        }
        self
    }
}

impl ElicitFormParams {
    /// The schema, typed.
    ///
    /// # Errors
    /// The schema is not an object with `properties`.
    pub fn schema(&self) -> Result<ElicitSchema, serde_json::Error> {
        self.requested_schema.decode()
    }
}

impl Serialize for ElicitParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Form(form) => form.serialize(serializer),
            Self::Url(url) => url.serialize(serializer),
        }
    }
}

/// Every member that the parameters may have, read in one pass.
#[derive(DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
struct AnyParams {
    #[serde(default)]
    mode: Option<ElicitMode>,
    message: String,
    #[serde(default)]
    requested_schema: Option<RawJson>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    elicitation_id: Option<String>,
    #[serde(default)]
    task: Option<TaskMetadata>,
    #[serde(rename = "_meta", default)]
    meta: Option<Meta>,
}

impl TryFrom<AnyParams> for ElicitParams {
    type Error = &'static str;

    fn try_from(any: AnyParams) -> Result<Self, Self::Error> {
        Ok(match any.mode {
            None | Some(ElicitMode::Form) => Self::Form(ElicitFormParams {
                mode: any.mode,
                message: any.message,
                requested_schema: any
                    .requested_schema
                    .ok_or("a form has no requestedSchema")?,
                task: any.task,
                meta: any.meta,
            }),
            Some(ElicitMode::Url) => Self::Url(ElicitUrlParams {
                mode: ElicitMode::Url,
                message: any.message,
                url: any.url.ok_or("mode url has no url")?,
                elicitation_id: any.elicitation_id,
                task: any.task,
                meta: any.meta,
            }),
        })
    }
}

/// What values a form asks for, in the order to show them.
///
/// ```
/// use mcp_types::{ElicitParams, ElicitSchema, PrimitiveSchema, StringSchema, EnumSchema};
///
/// let schema = ElicitSchema::new()
///     .required("name", StringSchema::new().title("Your name"))
///     .optional("size", EnumSchema::new(["S", "M", "L"]).default_value("M"));
/// let ask = ElicitParams::form("Order a shirt", schema.clone());
/// # let ElicitParams::Form(form) = ask else { unreachable!() };
/// assert_eq!(form.schema()?, schema);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ElicitSchema {
    /// The dialect, `$schema` (since 2025-11-25).
    pub dialect: Option<String>,
    /// The values by name.
    pub properties: Vec<(String, PrimitiveSchema)>,
    /// The names of those that must be there.
    pub required: Vec<String>,
}

impl ElicitSchema {
    /// Asks for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a value that may be left out.
    #[must_use]
    pub fn optional(mut self, name: impl Into<String>, schema: impl Into<PrimitiveSchema>) -> Self {
        self.properties.push((name.into(), schema.into()));
        self
    }

    /// Asks for a value that must be there.
    #[must_use]
    pub fn required(mut self, name: impl Into<String>, schema: impl Into<PrimitiveSchema>) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.optional(name, schema)
    }

    /// What a value must be.
    pub fn property(&self, name: &str) -> Option<&PrimitiveSchema> {
        self.properties
            .iter()
            .find_map(|(key, schema)| (key == name).then_some(schema))
    }
}

impl Serialize for ElicitSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Properties<'a>(&'a [(String, PrimitiveSchema)]);
        impl Serialize for Properties<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
            }
        }
        let mut map = serializer.serialize_map(None)?;
        if let Some(dialect) = &self.dialect {
            map.serialize_entry("$schema", dialect)?;
        }
        map.serialize_entry("type", "object")?;
        map.serialize_entry("properties", &Properties(&self.properties))?;
        if !self.required.is_empty() {
            map.serialize_entry("required", &self.required)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ElicitSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Properties(Vec<(String, PrimitiveSchema)>);
        impl<'de> Deserialize<'de> for Properties {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct InOrder;
                impl<'de> Visitor<'de> for InOrder {
                    type Value = Properties;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object of schemas")
                    }

                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Properties, A::Error> {
                        let mut properties = Vec::new();
                        while let Some(property) = map.next_entry()? {
                            properties.push(property);
                        }
                        Ok(Properties(properties))
                    }
                }
                deserializer.deserialize_map(InOrder)
            }
        }
        #[derive(DeriveDeserialize)]
        struct Wire {
            #[serde(rename = "$schema", default)]
            dialect: Option<String>,
            properties: Properties,
            #[serde(default)]
            required: Option<Vec<String>>,
        }
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self {
            dialect: wire.dialect,
            properties: wire.properties.0,
            required: wire.required.unwrap_or_default(),
        })
    }
}

impl From<ElicitSchema> for RawJson {
    fn from(schema: ElicitSchema) -> Self {
        Self::encode(&schema).expect("strings, numbers and their maps serialise")
    }
}

/// What one value of a form must be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PrimitiveSchema {
    /// A text.
    String(StringSchema),
    /// A number.
    Number(NumberSchema),
    /// Yes or no.
    Boolean(BooleanSchema),
    /// One of several texts, or some of them.
    Enum(EnumSchema),
    /// Anything else: the schema, as it was read.
    Unknown(RawJson),
}

/// What a text must be.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StringSchema {
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The fewest characters.
    pub min_length: Option<u64>,
    /// The most characters.
    pub max_length: Option<u64>,
    /// What kind of text it is.
    pub format: Option<StringFormat>,
    /// What to begin with (since 2025-11-25).
    pub default_value: Option<String>,
}

open_enum! {
    /// A kind of text.
    StringFormat, "string format" {
        /// An e-mail address.
        Email = "email",
        /// A URI.
        Uri = "uri",
        /// A date, RFC 3339.
        Date = "date",
        /// A date and time, RFC 3339.
        DateTime = "date-time",
    }
}

impl StringSchema {
    /// Any text.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        title: into String;
        description: into String;
        min_length: u64;
        max_length: u64;
        format: into StringFormat;
        default_value: into String;
    }
}

/// What a number must be.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NumberSchema {
    /// Whether it must be whole.
    pub integer: bool,
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The smallest.
    pub minimum: Option<serde_json::Number>,
    /// The greatest.
    pub maximum: Option<serde_json::Number>,
    /// What to begin with (since 2025-11-25).
    pub default_value: Option<serde_json::Number>,
}

impl NumberSchema {
    /// Any number.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any whole number.
    pub fn integer() -> Self {
        Self {
            integer: true,
            ..Self::default()
        }
    }

    setters! {
        title: into String;
        description: into String;
        minimum: into serde_json::Number;
        maximum: into serde_json::Number;
        default_value: into serde_json::Number;
    }
}

/// Yes or no.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct BooleanSchema {
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What to begin with.
    pub default_value: Option<bool>,
}

impl BooleanSchema {
    /// Yes or no.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        title: into String;
        description: into String;
        default_value: bool;
    }
}

/// One of several texts, or some of them.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EnumSchema {
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What there is to choose from.
    pub options: Vec<EnumOption>,
    /// How the options' titles are written.
    pub style: EnumStyle,
    /// Whether several may be chosen (since 2025-11-25).
    pub multiple: bool,
    /// The fewest to choose, where several may be.
    pub min_items: Option<u64>,
    /// The most to choose, where several may be.
    pub max_items: Option<u64>,
    /// What to begin with (since 2025-11-25); one, unless several may be chosen.
    pub default_values: Option<Vec<String>>,
}

/// A text to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnumOption {
    /// The value.
    pub value: String,
    /// What to show for it.
    pub title: Option<String>,
}

impl EnumOption {
    /// A value shown as it is.
    pub fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            title: None,
        }
    }

    setters! { title: into String; }

    /// What to show: the title, or else the value.
    pub fn display_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.value)
    }
}

impl From<&str> for EnumOption {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for EnumOption {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

/// How the titles of options are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnumStyle {
    /// Not at all: `enum`.
    #[default]
    Plain,
    /// `oneOf` or `anyOf` of `{const, title}` (since 2025-11-25).
    Titled,
    /// `enum` and `enumNames`: the way of 2025-06-18, for one choice only.
    EnumNames,
}

impl EnumSchema {
    /// One of these texts; if any has a title, titles are written.
    pub fn new<O: Into<EnumOption>>(options: impl IntoIterator<Item = O>) -> Self {
        let options: Vec<EnumOption> = options.into_iter().map(Into::into).collect();
        let titled = options.iter().any(|option| option.title.is_some());
        Self {
            options,
            style: match titled {
                true => EnumStyle::Titled,
                false => EnumStyle::Plain,
            },
            ..Self::default()
        }
    }

    /// One of these texts, each with a title: pairs of value and title.
    pub fn titled<V: Into<String>, T: Into<String>>(
        options: impl IntoIterator<Item = (V, T)>,
    ) -> Self {
        let option = |(value, title): (V, T)| EnumOption::new(value).title(title);
        Self {
            style: EnumStyle::Titled,
            ..Self::new(options.into_iter().map(option))
        }
    }

    /// Some of the texts rather than one.
    #[must_use]
    pub fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// Adds to what to begin with.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.default_values
            .get_or_insert_default()
            .push(value.into());
        self
    }

    setters! {
        title: into String;
        description: into String;
        min_items: u64;
        max_items: u64;
    }
}

macro_rules! from {
    ($($variant:ident($schema:ty)),*) => {
        $(impl From<$schema> for PrimitiveSchema {
            fn from(schema: $schema) -> Self {
                Self::$variant(schema)
            }
        })*
    };
}

from!(
    String(StringSchema),
    Number(NumberSchema),
    Boolean(BooleanSchema),
    Enum(EnumSchema)
);

/// Every member that the schema of a value may have.
#[derive(Default, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnySchema {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<StringFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<serde_json::Number>,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enum_names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Titled>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    any_of: Option<Vec<Titled>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<AnySchema>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<u64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    default: Option<RawJson>,
}

#[derive(Serialize, DeriveDeserialize)]
struct Titled {
    #[serde(rename = "const")]
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl AnySchema {
    /// The schema it is; `None` if it is none of those the protocol has.
    ///
    /// An enumeration is tried before a plain string, which would swallow it (TRAP-08).
    fn sort(self) -> Option<PrimitiveSchema> {
        let decode = |default: &RawJson| default.decode().ok();
        Some(match self.kind.as_str() {
            "string" if self.one_of.is_some() || self.values.is_some() => {
                let default_values = match &self.default {
                    Some(default) => Some(vec![default.decode().ok()?]),
                    None => None,
                };
                let (style, options) = options(self.one_of, self.values, self.enum_names)?;
                PrimitiveSchema::Enum(EnumSchema {
                    title: self.title,
                    description: self.description,
                    options,
                    style,
                    multiple: false,
                    min_items: None,
                    max_items: None,
                    default_values,
                })
            }
            "array" => {
                let default_values = match &self.default {
                    Some(default) => Some(default.decode().ok()?),
                    None => None,
                };
                let items = *self.items?;
                let (style, options) = options(items.any_of, items.values, None)?;
                PrimitiveSchema::Enum(EnumSchema {
                    title: self.title,
                    description: self.description,
                    options,
                    style,
                    multiple: true,
                    min_items: self.min_items,
                    max_items: self.max_items,
                    default_values,
                })
            }
            "string" => PrimitiveSchema::String(StringSchema {
                title: self.title,
                description: self.description,
                min_length: self.min_length,
                max_length: self.max_length,
                format: self.format,
                default_value: self.default.as_ref().and_then(|d| d.decode().ok()),
            }),
            "number" | "integer" => PrimitiveSchema::Number(NumberSchema {
                integer: self.kind == "integer",
                title: self.title,
                description: self.description,
                minimum: self.minimum,
                maximum: self.maximum,
                default_value: self.default.as_ref().and_then(|d| d.decode().ok()),
            }),
            "boolean" => PrimitiveSchema::Boolean(BooleanSchema {
                title: self.title,
                description: self.description,
                default_value: self.default.as_ref().and_then(decode),
            }),
            _ => return None,
        })
    }
}

fn options(
    titled: Option<Vec<Titled>>,
    values: Option<Vec<String>>,
    names: Option<Vec<String>>,
) -> Option<(EnumStyle, Vec<EnumOption>)> {
    if let Some(titled) = titled {
        let option = |Titled { value, title }| EnumOption { value, title };
        return Some((EnumStyle::Titled, titled.into_iter().map(option).collect()));
    }
    let mut options: Vec<_> = values?.into_iter().map(EnumOption::new).collect();
    let Some(names) = names else {
        return Some((EnumStyle::Plain, options));
    };
    for (option, name) in options.iter_mut().zip(names) {
        option.title = Some(name);
    }
    Some((EnumStyle::EnumNames, options))
}

impl From<&EnumSchema> for AnySchema {
    fn from(schema: &EnumSchema) -> Self {
        let mut any = AnySchema::default();
        match schema.style {
            EnumStyle::Titled => {
                let options = schema.options.iter().map(|option| Titled {
                    value: option.value.clone(),
                    title: Some(option.display_name().to_owned()),
                });
                let options = Some(options.collect());
                if schema.multiple {
                    any.any_of = options;
                } else {
                    any.one_of = options;
                }
            }
            EnumStyle::Plain | EnumStyle::EnumNames => {
                any.kind = "string".to_owned();
                any.values = Some(schema.options.iter().map(|o| o.value.clone()).collect());
                if schema.style == EnumStyle::EnumNames && !schema.multiple {
                    let names = schema.options.iter().map(|o| o.display_name().to_owned());
                    any.enum_names = Some(names.collect());
                }
            }
        }
        if schema.multiple {
            any = AnySchema {
                kind: "array".to_owned(),
                items: Some(Box::new(any)),
                min_items: schema.min_items,
                max_items: schema.max_items,
                default: schema.default_values.as_ref().map(text),
                ..AnySchema::default()
            };
        } else {
            any.kind = "string".to_owned();
            let default = schema
                .default_values
                .as_ref()
                .and_then(|values| values.first());
            any.default = default.map(text);
        }
        any.title.clone_from(&schema.title);
        any.description.clone_from(&schema.description);
        any
    }
}

fn text<T: Serialize>(value: &T) -> RawJson {
    RawJson::encode(value).expect("strings, numbers and booleans serialise")
}

impl Serialize for PrimitiveSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let any = match self {
            Self::String(schema) => AnySchema {
                kind: "string".to_owned(),
                title: schema.title.clone(),
                description: schema.description.clone(),
                min_length: schema.min_length,
                max_length: schema.max_length,
                format: schema.format.clone(),
                default: schema.default_value.as_ref().map(text),
                ..AnySchema::default()
            },
            Self::Number(schema) => AnySchema {
                kind: if schema.integer { "integer" } else { "number" }.to_owned(),
                title: schema.title.clone(),
                description: schema.description.clone(),
                minimum: schema.minimum.clone(),
                maximum: schema.maximum.clone(),
                default: schema.default_value.as_ref().map(text),
                ..AnySchema::default()
            },
            Self::Boolean(schema) => AnySchema {
                kind: "boolean".to_owned(),
                title: schema.title.clone(),
                description: schema.description.clone(),
                default: schema.default_value.as_ref().map(text),
                ..AnySchema::default()
            },
            Self::Enum(schema) => schema.into(),
            Self::Unknown(raw) => return raw.serialize(serializer),
        };
        any.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PrimitiveSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::deserialize(deserializer)?;
        let known = raw.decode::<AnySchema>().ok().and_then(AnySchema::sort);
        Ok(known.unwrap_or(Self::Unknown(raw)))
    }
}

closed_enum! {
    /// What the user did.
    ElicitAction, "elicitation action" {
        /// Answered.
        Accept = "accept",
        /// Refused.
        Decline = "decline",
        /// Went away without a choice.
        Cancel = "cancel",
    }
}

/// The result of `elicitation/create`.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitResult {
    /// What the user did.
    pub action: ElicitAction,
    /// The values of an accepted form, a flat JSON object (REQ-ELIC-04). To be checked against what was asked for (REQ-ELIC-05).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<RawJson>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitResult {
    fn new(action: ElicitAction) -> Self {
        Self {
            action,
            content: None,
            meta: None,
        }
    }

    /// The user answered a form: anything that serialises as a flat JSON object. What does not serialise is no answer: `cancel`.
    pub fn accept(content: impl Serialize) -> Self {
        match RawJson::encode(&content) {
            Ok(content) => Self {
                content: (!content.is_null()).then_some(content),
                ..Self::new(ElicitAction::Accept)
            },
            Err(_) => Self::cancel(),
        }
    }

    /// The user agreed to open a page. What happens there this result cannot say.
    pub fn accept_url() -> Self {
        Self::new(ElicitAction::Accept)
    }

    /// The user refused.
    pub fn decline() -> Self {
        Self::new(ElicitAction::Decline)
    }

    /// The user went away without a choice.
    pub fn cancel() -> Self {
        Self::new(ElicitAction::Cancel)
    }

    setters! { meta: Meta; }

    /// Whether the user answered.
    pub fn is_accepted(&self) -> bool {
        self.action == ElicitAction::Accept
    }

    /// The values, if the user gave any.
    ///
    /// # Errors
    /// They have not the shape of a `T`.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        let content = self.content.as_ref().filter(|_| self.is_accepted());
        content.map(RawJson::decode).transpose()
    }
}

/// That what was to be done on a page is done (2025-11-25 only).
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitationCompleteParams {
    /// Which request it belongs to; unknown ones are ignored (REQ-ELIC-09).
    pub elicitation_id: String,
    /// The notification's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitationCompleteParams {
    /// This elicitation is complete.
    pub fn new(elicitation_id: impl Into<String>) -> Self {
        Self {
            elicitation_id: elicitation_id.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

/// The `data` of error -32042: pages to open before the request can succeed (2025-11-25 only).
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UrlElicitationRequired {
    /// The pages, each with its `elicitation_id` (REQ-ELIC-10).
    pub elicitations: Vec<ElicitParams>,
}

impl UrlElicitationRequired {
    /// These pages.
    pub fn new(elicitations: impl Into<Vec<ElicitParams>>) -> Self {
        Self {
            elicitations: elicitations.into(),
        }
    }
}

methods! {
    /// since 2025-06-18, server to client; modern, inside an input round.
    request Elicit("elicitation/create"): ElicitParams => ElicitResult;
    /// 2025-11-25 only; what was to be done on a page is done.
    notification ElicitationComplete("notifications/elicitation/complete"): ElicitationCompleteParams;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(json: &str) -> PrimitiveSchema {
        let schema: PrimitiveSchema = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&schema).unwrap(), json);
        schema
    }

    #[test]
    fn enumerations_are_no_plain_strings() {
        // TRAP-08
        for (json, style, multiple) in [
            (
                r#"{"type":"string","enum":["a","b"],"default":"a"}"#,
                EnumStyle::Plain,
                false,
            ),
            (
                r#"{"type":"string","title":"t","enum":["a"],"enumNames":["A"]}"#,
                EnumStyle::EnumNames,
                false,
            ),
            (
                r#"{"type":"string","oneOf":[{"const":"a","title":"A"}]}"#,
                EnumStyle::Titled,
                false,
            ),
            (
                r#"{"type":"array","items":{"type":"string","enum":["a"]},"minItems":1,"maxItems":2,"default":["a"]}"#,
                EnumStyle::Plain,
                true,
            ),
        ] {
            let PrimitiveSchema::Enum(schema) = schema(json) else {
                panic!("{json} is an enumeration");
            };
            assert_eq!((schema.style, schema.multiple), (style, multiple), "{json}");
        }
        let json = r#"{"type":"array","items":{"anyOf":[{"const":"a","title":"A"}]},"title":"t"}"#;
        let PrimitiveSchema::Enum(titled) = serde_json::from_str(json).unwrap() else {
            panic!("{json} is an enumeration");
        };
        assert!(titled.multiple);
        assert_eq!(titled.options[0].display_name(), "A");
        let options = || ["a".into(), EnumOption::new("b").title("B")];
        assert_eq!(EnumSchema::new(options()).style, EnumStyle::Titled);
        assert_eq!(EnumSchema::new(["a"]).style, EnumStyle::Plain);
    }

    #[test]
    fn other_schemas() {
        assert!(matches!(
            schema(r#"{"type":"string","format":"email"}"#),
            PrimitiveSchema::String(_)
        ));
        assert!(matches!(
            schema(r#"{"type":"string","format":"ipv6"}"#),
            PrimitiveSchema::String(_)
        ));
        assert!(matches!(
            schema(r#"{"type":"number","minimum":1.5}"#),
            PrimitiveSchema::Number(_)
        ));
        assert!(matches!(
            schema(r#"{"type":"integer","default":3}"#),
            PrimitiveSchema::Number(_)
        ));
        assert!(matches!(
            schema(r#"{"type":"boolean","default":true}"#),
            PrimitiveSchema::Boolean(_)
        ));
        for unknown in [
            r#"{"type":"object"}"#,
            "true",
            r#"{"type":["string"]}"#,
            r#"{"type":"string","enum":[1]}"#,
        ] {
            assert!(
                matches!(schema(unknown), PrimitiveSchema::Unknown(_)),
                "{unknown}"
            );
        }
    }

    #[test]
    fn no_mode_means_a_form() {
        // REQ-ELIC-02
        let json = r#"{"message":"m","requestedSchema":{"type":"object","properties":{"b":{"type":"string","pattern":"x"},"a":{"type":"boolean"}}}}"#;
        let params: ElicitParams = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&params).unwrap(), json);
        let ElicitParams::Form(form) = params else {
            panic!("a form");
        };
        let names: Vec<_> = form
            .schema()
            .unwrap()
            .properties
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["b", "a"]);
        for bad in [
            r#"{"message":"m"}"#,
            r#"{"message":"m","mode":"url"}"#,
            r#"{"message":"m","mode":"dream","url":"x:y"}"#,
        ] {
            assert!(serde_json::from_str::<ElicitParams>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_have_any_number_in_them() {
        // TRAP-12
        let json = r#"{"action":"accept","content":{"n":1.5,"s":["x"],"b":true}}"#;
        let result: ElicitResult = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&result).unwrap(), json);
        assert_eq!(
            ElicitResult::accept(serde_json::json!({ "n": 1 }))
                .decode::<serde_json::Value>()
                .unwrap()
                .unwrap()["n"],
            1
        );
        assert_eq!(
            ElicitResult::decline()
                .decode::<serde_json::Value>()
                .unwrap(),
            None
        );
    }
}
