//! Blocks of content: what tools return, prompts consist of and models say.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::annotations::Annotations;
use crate::blob::{self, InvalidBase64};
use crate::meta::Meta;
use crate::names::{NameVisitor, flag, is_false, setters};
use crate::object::ObjectBuf;
use crate::raw::{RawJson, present};
use crate::resources::{Resource, ResourceContents};
use crate::scan::{self, Known};

/// A block of a tool's result or of a prompt's message.
///
/// A block of a type without a variant here survives as [`ContentBlock::Unknown`].
///
/// ```
/// use mcp_types::ContentBlock;
///
/// let block: ContentBlock = serde_json::from_str(r#"{"type":"text","text":"hello"}"#)?;
/// assert_eq!(block, ContentBlock::text("hello"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentBlock {
    /// Text.
    Text(TextContent),
    /// An image.
    Image(ImageContent),
    /// Sound (since 2025-03-26).
    Audio(AudioContent),
    /// A resource to read where the reader wants to (since 2025-06-18).
    ResourceLink(Resource),
    /// A resource's contents.
    Resource(EmbeddedResource),
    /// A block of another type: the object, as it was read.
    #[serde(untagged)]
    Unknown(RawJson),
}

/// Reads blocks of content. Mostly there is one, and the room that a vector makes for the first four is a kilobyte.
pub(crate) fn blocks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ContentBlock>, D::Error> {
    struct Blocks;

    impl<'de> Visitor<'de> for Blocks {
        type Value = Vec<ContentBlock>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut blocks = Vec::new();
            while let Some(block) = seq.next_element()? {
                if blocks.is_empty() {
                    blocks.reserve_exact(1);
                }
                blocks.push(block);
            }
            Ok(blocks)
        }
    }

    deserializer.deserialize_seq(Blocks)
}

/// A block of a sampling message: what goes to a model and comes from it.
///
/// A block of a type without a variant here survives as [`SamplingContent::Unknown`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SamplingContent {
    /// Text.
    Text(TextContent),
    /// An image.
    Image(ImageContent),
    /// Sound (since 2025-03-26).
    Audio(AudioContent),
    /// The model wants a tool called (since 2025-11-25).
    ToolUse(ToolUseContent),
    /// What the tool answered (since 2025-11-25).
    ToolResult(ToolResultContent),
    /// A block of another type: the object, as it was read.
    #[serde(untagged)]
    Unknown(RawJson),
}

/// Text. On the wire it is a [`ContentBlock`] or a [`SamplingContent`], which add its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TextContent {
    /// The text.
    pub text: String,
    /// For whom it is, how important, how old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// The block's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl TextContent {
    /// A text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            annotations: None,
            meta: None,
        }
    }

    setters! {
        annotations: Annotations;
        meta: Meta;
    }
}

macro_rules! media {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            /// The bytes in base64; checked by `bytes`, not before.
            pub data: String,
            /// The media type.
            pub mime_type: String,
            /// For whom it is, how important, how old.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub annotations: Option<Annotations>,
            /// The block's `_meta` (since 2025-06-18).
            #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
            pub meta: Option<Meta>,
        }

        impl $name {
            /// Data that is in base64 already, and its media type.
            pub fn new(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
                Self {
                    data: data.into(),
                    mime_type: mime_type.into(),
                    annotations: None,
                    meta: None,
                }
            }

            /// Bytes and their media type.
            pub fn from_bytes(bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
                Self::new(blob::encode(bytes.as_ref()), mime_type)
            }

            setters! {
                annotations: Annotations;
                meta: Meta;
            }

            /// The bytes.
            ///
            /// # Errors
            /// [`InvalidBase64`] if the peer sent something else.
            pub fn bytes(&self) -> Result<Vec<u8>, InvalidBase64> {
                blob::decode(&self.data)
            }
        }
    };
}

media! {
    /// An image.
    ImageContent
}

media! {
    /// Sound (since 2025-03-26).
    AudioContent
}

/// A resource's contents inside a message. Its annotations stand here, not inside `resource` (TRAP-14).
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EmbeddedResource {
    /// The contents.
    pub resource: ResourceContents,
    /// For whom they are, how important, how old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// The block's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl EmbeddedResource {
    /// These contents.
    pub fn new(resource: ResourceContents) -> Self {
        Self {
            resource,
            annotations: None,
            meta: None,
        }
    }

    setters! {
        annotations: Annotations;
        meta: Meta;
    }
}

/// A model's wish to have a tool called (since 2025-11-25).
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolUseContent {
    /// What the result will be known by.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, a JSON object.
    pub input: RawJson,
    /// The block's `_meta`; kept across turns (REQ-SAMP-11).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ToolUseContent {
    /// Calls a tool with arguments, a JSON object.
    pub fn new(id: impl Into<String>, name: impl Into<String>, input: impl Into<RawJson>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            input: input.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

/// What a tool answered to a model (since 2025-11-25).
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolResultContent {
    /// The id of the wish it answers.
    pub tool_use_id: String,
    /// The answer as content.
    #[serde(deserialize_with = "blocks")]
    pub content: Vec<ContentBlock>,
    /// The answer as data: an object in 2025-11-25, any JSON since 2026-07-28.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub structured_content: Option<RawJson>,
    /// Whether the tool failed.
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "is_false")]
    pub is_error: bool,
    /// The block's `_meta`; kept across turns (REQ-SAMP-11).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ToolResultContent {
    /// Answers a wish with content.
    pub fn new(tool_use_id: impl Into<String>, content: impl Into<Vec<ContentBlock>>) -> Self {
        Self {
            tool_use_id: tool_use_id.into(),
            content: content.into(),
            structured_content: None,
            is_error: false,
            meta: None,
        }
    }

    setters! {
        structured_content: into RawJson;
        is_error: flag;
        meta: Meta;
    }
}

type Strings<'a> = [Option<(&'static str, &'a str)>; 3];

fn media<'a>(kind: &'static str, data: &'a str, mime_type: &'a str) -> Strings<'a> {
    [
        Some(("type", kind)),
        Some(("data", data)),
        Some(("mimeType", mime_type)),
    ]
}

impl ContentBlock {
    /// The members of the block in their order on the wire, if they are all strings.
    pub(crate) fn as_strings(&self) -> Option<Strings<'_>> {
        match self {
            Self::Text(TextContent {
                text,
                annotations: None,
                meta: None,
            }) => Some([Some(("type", "text")), Some(("text", text)), None]),
            Self::Image(ImageContent {
                data,
                mime_type,
                annotations: None,
                meta: None,
            }) => Some(media("image", data, mime_type)),
            Self::Audio(AudioContent {
                data,
                mime_type,
                annotations: None,
                meta: None,
            }) => Some(media("audio", data, mime_type)),
            _ => None,
        }
    }

    /// Reads an array of blocks that are nothing but texts.
    pub(crate) fn read_texts(array: &mut Known<'_>) -> Option<Vec<Self>> {
        let mut blocks = Vec::new();
        array.enter(b'[')?;
        while array.next() {
            array.enter(b'{')?;
            let (mut kind, mut text) = (None, None);
            while let Some(key) = array.key() {
                let again = match key {
                    b"type" => kind.replace(array.plain_string()?).is_some(),
                    b"text" => text.replace(array.string()?).is_some(),
                    _ => true,
                };
                if again {
                    return None;
                }
            }
            if kind != Some("text") {
                return None;
            }
            if blocks.is_empty() {
                blocks.reserve_exact(1);
            }
            blocks.push(Self::text(text?));
        }
        Some(blocks)
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextContent::new(text))
    }

    /// An image, in base64, and its media type.
    pub fn image(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Image(ImageContent::new(data, mime_type))
    }

    /// Sound, in base64, and its media type.
    pub fn audio(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Audio(AudioContent::new(data, mime_type))
    }

    /// A link to a resource.
    pub fn resource_link(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self::ResourceLink(Resource::new(uri, name))
    }

    /// A resource's contents.
    pub fn resource(contents: ResourceContents) -> Self {
        Self::Resource(EmbeddedResource::new(contents))
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            _ => None,
        }
    }
}

impl SamplingContent {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextContent::new(text))
    }

    /// An image, in base64, and its media type.
    pub fn image(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Image(ImageContent::new(data, mime_type))
    }

    /// Sound, in base64, and its media type.
    pub fn audio(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Audio(AudioContent::new(data, mime_type))
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            _ => None,
        }
    }
}

macro_rules! from {
    ($into:ident: $($variant:ident($content:ty)),*) => {
        $(impl From<$content> for $into {
            fn from(content: $content) -> Self {
                Self::$variant(content)
            }
        })*

        impl From<&str> for $into {
            fn from(text: &str) -> Self {
                Self::text(text)
            }
        }

        impl From<String> for $into {
            fn from(text: String) -> Self {
                Self::text(text)
            }
        }
    };
}

from!(ContentBlock: Text(TextContent), Image(ImageContent), Audio(AudioContent),
    ResourceLink(Resource), Resource(EmbeddedResource));
from!(SamplingContent: Text(TextContent), Image(ImageContent), Audio(AudioContent),
    ToolUse(ToolUseContent), ToolResult(ToolResultContent));

/// Joins the text blocks, a line break between two of them.
pub(crate) fn join<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for (i, text) in texts.enumerate() {
        if i > 0 {
            all.push('\n');
        }
        all.push_str(text);
    }
    all
}

// Reading. A block is decoded in one pass, straight into the struct that its `type` names. serde's own way for tagged
// enums buffers the whole block first, which copies a text of a megabyte twice. Members that stand before `type` are the
// only ones kept aside, and of these `text` and `data` as the strings they usually are.

/// A family of blocks told apart by `type`.
trait Family: Sized {
    /// The types it knows.
    const KINDS: &'static [&'static str];

    /// Decodes a block of a type this family knows; `None` if it knows it not, and nothing has been read.
    fn read<'de, A: MapAccess<'de>>(kind: &str, members: Members<A>) -> Read<Self, A, A::Error>;

    fn unknown(block: RawJson) -> Self;
}

enum Read<T, A, E> {
    Known(Result<T, E>),
    Unknown(Members<A>),
}

macro_rules! family {
    ($name:ident { $($kind:literal => $variant:ident,)* }) => {
        impl Family for $name {
            const KINDS: &'static [&'static str] = &[$($kind),*];

            fn read<'de, A: MapAccess<'de>>(kind: &str, members: Members<A>) -> Read<Self, A, A::Error> {
                match kind {
                    $($kind => {
                        let members = de::value::MapAccessDeserializer::new(members);
                        Read::Known(Deserialize::deserialize(members).map(Self::$variant))
                    })*
                    _ => Read::Unknown(members),
                }
            }

            fn unknown(block: RawJson) -> Self {
                Self::Unknown(block)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(Block(PhantomData))
            }
        }
    };
}

family!(ContentBlock {
    "text" => Text,
    "image" => Image,
    "audio" => Audio,
    "resource_link" => ResourceLink,
    "resource" => Resource,
});
family!(SamplingContent {
    "text" => Text,
    "image" => Image,
    "audio" => Audio,
    "tool_use" => ToolUse,
    "tool_result" => ToolResult,
});

struct Block<T>(PhantomData<T>);

impl<'de, T: Family> Visitor<'de> for Block<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block of content, an object with a type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut before = Vec::new();
        let kind = loop {
            match map.next_key()? {
                None => return Err(de::Error::missing_field("type")),
                Some(Key::Type) => break map.next_value_seed(Kind(T::KINDS))?,
                Some(Key::Long(key)) => before.push((key.to_owned(), map.next_value::<Piece>()?)),
                Some(Key::Other(key)) => before.push((key, Piece::Json(map.next_value()?))),
            }
        };
        let members = Members {
            before: before.into_iter(),
            value: None,
            after: map,
        };
        match T::read(&kind, members) {
            Read::Known(read) => read,
            Read::Unknown(members) => members.into_raw(kind.as_ref()).map(T::unknown),
        }
    }
}

/// Reads a type; one of the known ones costs no allocation.
struct Kind(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Cow<'static, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(NameVisitor {
            what: "the type of a block",
            read: |name: &str| {
                let known = self.0.iter().find(|known| **known == name);
                Ok(known.map_or_else(
                    || Cow::Owned(name.to_owned()),
                    |known| Cow::Borrowed(*known),
                ))
            },
        })
    }
}

enum Key {
    Type,
    /// A member whose value is usually a long string.
    Long(&'static str),
    Other(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor {
            what: "a member's name",
            read: |name: &str| {
                Ok(match name {
                    "type" => Self::Type,
                    "text" => Self::Long("text"),
                    "data" => Self::Long("data"),
                    _ => Self::Other(name.to_owned()),
                })
            },
        })
    }
}

/// A value read before its block's type was known.
enum Piece {
    Text(String),
    Json(RawJson),
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        /// What is no string here belongs to a block of a type yet to be invented.
        fn other<E>(value: impl Into<serde_json::Value>) -> Result<Piece, E> {
            Ok(Piece::Json(value.into().into()))
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Piece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Piece, E> {
                Ok(Piece::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Piece, E> {
                Ok(Piece::Text(text))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Piece, E> {
                other(value)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Piece, E> {
                other(value)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Piece, E> {
                other(value)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Piece, E> {
                other(value)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Piece, E> {
                other(())
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Piece, A::Error> {
                let seq = de::value::SeqAccessDeserializer::new(seq);
                serde_json::Value::deserialize(seq).and_then(other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Piece, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                serde_json::Value::deserialize(map).and_then(other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// All members of a block but its type, in their order.
struct Members<A> {
    before: std::vec::IntoIter<(String, Piece)>,
    value: Option<Piece>,
    after: A,
}

impl<'de, A: MapAccess<'de>> Members<A> {
    /// The block as an object again.
    fn into_raw(mut self, kind: &str) -> Result<RawJson, A::Error> {
        // The block is one level more around each value, and the whole must not be deeper than a RawJson may be.
        let shallow = |raw: &RawJson| {
            let end = scan::value(raw.as_bytes(), 0, scan::MAX_DEPTH - 1);
            end.map(|_| ()).map_err(de::Error::custom)
        };
        let mut block = ObjectBuf::new();
        for (key, value) in self.before {
            match value {
                Piece::Text(text) => block.insert(&key, &text).map_err(de::Error::custom)?,
                Piece::Json(raw) => {
                    shallow(&raw)?;
                    block.insert_raw(&key, &raw);
                }
            }
        }
        block.insert("type", kind).map_err(de::Error::custom)?;
        while let Some((key, value)) = self.after.next_entry::<String, RawJson>()? {
            shallow(&value)?;
            block.insert_raw(&key, &value);
        }
        Ok(block.finish())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some((key, value)) = self.before.next() else {
            return self.after.next_key_seed(seed);
        };
        self.value = Some(value);
        let key: StringDeserializer<A::Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            None => self.after.next_value_seed(seed),
            Some(Piece::Text(text)) => {
                let text: StringDeserializer<A::Error> = text.into_deserializer();
                seed.deserialize(text)
            }
            Some(Piece::Json(raw)) => {
                // From a reader, because what is kept aside does not live as long as the input.
                let mut raw = serde_json::Deserializer::from_reader(raw.as_bytes());
                seed.deserialize(&mut raw).map_err(de::Error::custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(json: &str) -> ContentBlock {
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
    }

    #[test]
    fn the_type_may_stand_anywhere() {
        let text = TextContent::new("a").annotations(Annotations::new().priority(0.5));
        for json in [
            r#"{"type":"text","text":"a","annotations":{"priority":0.5}}"#,
            r#"{"annotations":{"priority":0.5},"text":"a","type":"text"}"#,
            r#"{"x":[1],"text":"a","type":"text","annotations":{"priority":0.5},"y":null}"#,
            r#"{"annotations":{"priority":0.5},"data":7,"type":"text","text":"\u0061"}"#,
        ] {
            assert_eq!(block(json), ContentBlock::Text(text.clone()), "{json}");
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(
                serde_json::from_value::<ContentBlock>(value).unwrap(),
                ContentBlock::Text(text.clone())
            );
            let reader: ContentBlock = serde_json::from_reader(json.as_bytes()).unwrap();
            assert_eq!(reader, ContentBlock::Text(text.clone()));
        }
    }

    #[test]
    fn every_type_is_written_as_it_was_read() {
        for json in [
            r#"{"type":"text","text":"a"}"#,
            r#"{"type":"image","data":"AA==","mimeType":"image/png","_meta":{"a":1}}"#,
            r#"{"type":"audio","data":"AA==","mimeType":"audio/wav"}"#,
            r#"{"type":"resource_link","uri":"a:b","name":"n","size":3}"#,
            r#"{"type":"resource","resource":{"uri":"a:b","text":"t"},"annotations":{"audience":["user"]}}"#,
        ] {
            let block = block(json);
            assert!(!matches!(block, ContentBlock::Unknown(_)), "{json}");
            assert_eq!(serde_json::to_string(&block).unwrap(), json);
        }
        for json in [
            r#"{"type":"tool_use","id":"1","name":"n","input":{"b":1,"a":1.0}}"#,
            r#"{"type":"tool_result","toolUseId":"1","content":[{"type":"text","text":"a"}],"structuredContent":null,"isError":true}"#,
        ] {
            let content: SamplingContent = serde_json::from_str(json).unwrap();
            assert!(!matches!(content, SamplingContent::Unknown(_)), "{json}");
            assert_eq!(serde_json::to_string(&content).unwrap(), json);
        }
    }

    #[test]
    fn blocks_of_unknown_types_survive() {
        // TRAP-08; their numbers and order too
        for json in [
            r#"{"type":"hologram","depth":1.0,"text":{"z":1,"a":2},"big":123456789012345678901234567890}"#,
            r#"{"depth":1.0,"text":"t","type":"hologram","a":null}"#,
            r#"{"text":[1,{"a":null}],"data":7,"type":"hologram"}"#,
            r#"{"type":"tool_use"}"#,
        ] {
            let block = block(json);
            assert_eq!(block, ContentBlock::Unknown(RawJson::parse(json).unwrap()));
            assert_eq!(serde_json::to_string(&block).unwrap(), json);
        }
    }

    #[test]
    fn blocks_of_unknown_types_have_a_limit_of_nesting() {
        for (levels, accepted) in [(126, true), (127, false), (100_000, false)] {
            let deep = "[".repeat(levels) + &"]".repeat(levels);
            for json in [
                format!(r#"{{"type":"hologram","a":{deep}}}"#),
                format!(r#"{{"a":{deep},"type":"hologram"}}"#),
            ] {
                let block = serde_json::from_str::<ContentBlock>(&json);
                assert_eq!(block.is_ok(), accepted, "{levels} levels");
            }
        }
    }

    #[test]
    fn a_known_type_with_a_wrong_shape_is_an_error() {
        for json in [
            r#"{"type":"text"}"#,
            r#"{"type":"text","text":7}"#,
            r#"{"text":7,"type":"text"}"#,
            r#"{"type":7,"text":"a"}"#,
            r#"{"text":"a"}"#,
            r#""text""#,
            r#"[]"#,
            r#"{"type":"resource","resource":{"uri":"a:b"}}"#,
        ] {
            assert!(
                serde_json::from_str::<ContentBlock>(json).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn images_are_base64() {
        let image = ImageContent::from_bytes([1, 2, 3], "image/png");
        assert_eq!(image.data, "AQID");
        assert_eq!(image.bytes().unwrap(), [1, 2, 3]);
        assert!(ImageContent::new("*", "image/png").bytes().is_err());
    }
}
