//! JSON text that is known to be valid and is decoded only by whoever knows its type.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;

use crate::scan::{self, ScanError, ScanErrorKind};
use crate::words::write_json;

/// Prepared, for that costs more than the search.
pub(crate) static RESULT_TYPE: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new("resultType"));
/// A result of so many bytes is left to the search for the member, which takes no longer.
const NEAR: usize = 4096;

/// Valid JSON text, not decoded: `params`, `result`, schemas, and whatever else is passed on untouched.
///
/// A clone shares the text. The text of a received message is a slice of the buffer it arrived in, unless it is a small part
/// of a long one; [`RawJson::compact`] lets go of that buffer.
///
/// ```
/// use mcp_types::RawJson;
///
/// let raw = RawJson::encode(&["a", "b"])?;
/// assert_eq!(raw.as_str(), r#"["a","b"]"#);
/// assert_eq!(raw.decode::<Vec<String>>()?, ["a", "b"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawJson(Bytes);

/// A longer text is not copied, in bytes.
const LONG: usize = 4 << 10;

impl RawJson {
    /// The text `{}`.
    pub const EMPTY_OBJECT: Self = Self(Bytes::from_static(b"{}"));
    /// The text `null`.
    pub const NULL: Self = Self(Bytes::from_static(b"null"));

    /// Takes text from outside after checking that it is one JSON value, white space around it removed.
    ///
    /// # Errors
    /// [`ScanError`] where the text is not UTF-8, not JSON, nested more than 127 levels, or goes on behind the value.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, ScanError> {
        let text = text.into();
        if let Err(e) = std::str::from_utf8(&text) {
            let offset = e.valid_up_to();
            let kind = ScanErrorKind::Utf8;
            return Err(ScanError { offset, kind });
        }
        let start = scan::space(&text, 0);
        let end = scan::value(&text, start, scan::MAX_DEPTH)?;
        let rest = scan::space(&text, end);
        if rest != text.len() {
            let kind = ScanErrorKind::Byte;
            return Err(ScanError { offset: rest, kind });
        }
        Ok(Self(text.slice(start..end)))
    }

    /// A part of text that is known to be valid, in an allocation of its own; `None` if it is nested too deep.
    pub(crate) fn copy_part(text: &[u8]) -> Option<Self> {
        (!scan::too_deep(text)).then(|| Self::from_valid(Bytes::copy_from_slice(text)))
    }

    /// Serialises a value.
    ///
    /// # Errors
    /// What `T`'s own `Serialize` returns, or a map with keys that are not strings.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Self::write(|text| write_json(text, value))
    }

    /// What a serialiser writes, in one allocation of its length: where it is written stays for the next one.
    pub(crate) fn write(
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
    ) -> Result<Self, serde_json::Error> {
        thread_local! {
            static PLACE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // Whoever writes within this finds none, and makes one.
        let mut place = PLACE.take();
        place.clear();
        write(&mut place)?;
        if place.len() > LONG {
            return Ok(Self(place.into()));
        }
        let text = Bytes::copy_from_slice(&place);
        if place.capacity() <= 2 * LONG {
            PLACE.set(place);
        }
        Ok(Self(text))
    }

    /// For text that a scan or a serialiser of this crate has produced.
    pub(crate) fn from_valid(text: Bytes) -> Self {
        debug_assert!(scan::is_valid(&text));
        Self(text)
    }

    /// Decodes the text into a type that may borrow from it.
    ///
    /// # Errors
    /// The text is JSON, so what fails is its shape: `serde_json` names the field and the position.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, serde_json::Error> {
        // Checked at once: of bytes, serde_json would check each string by itself.
        serde_json::from_str(self.as_str())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a RawJson is made from checked UTF-8 only")
    }

    /// The JSON text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length of the text in bytes.
    #[expect(clippy::len_without_is_empty, reason = "valid JSON is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is a JSON object.
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Whether this is nested deeper than so many levels. Nobody reads more than 127, an envelope around it included.
    pub fn is_deeper_than(&self, levels: usize) -> bool {
        scan::deeper_than(&self.0, levels)
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        &self.0[..] == b"null"
    }

    /// The string that this is, borrowed unless something in it is escaped; `None` if it is no string.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        scan::unquoted(self.as_str())
    }

    /// The values of the named top-level members of this object, each a slice of the same text.
    ///
    /// All `None` if this is not an object. Of a key that stands twice, the last one counts.
    pub fn members<const N: usize>(&self, names: [&str; N]) -> [Option<RawJson>; N] {
        self.members_past(names, None)
    }

    /// The same, for whoever knows an object that may well be the value of one of them, whether named or not: one that is to the
    /// byte the same is not looked through again.
    pub fn members_past<const N: usize>(
        &self,
        names: [&str; N],
        seen: Option<&RawJson>,
    ) -> [Option<RawJson>; N] {
        let mut found = [const { None }; N];
        self.find(&names, seen, &mut found);
        found
    }

    /// Once for all numbers of names: code is in a cache, too.
    fn find(&self, names: &[&str], seen: Option<&RawJson>, found: &mut [Option<RawJson>]) {
        if !self.is_object() {
            return;
        }
        let seen = seen.filter(|seen| seen.is_object());
        for member in scan::known_members(&self.0, seen.map_or(b"", RawJson::as_bytes)) {
            for (name, found) in names.iter().zip(&mut *found) {
                if member.is(&self.0, name) {
                    *found = Some(Self(self.0.slice(member.value.clone())));
                }
            }
        }
    }

    /// The value of one top-level member of this object.
    pub fn member(&self, name: &str) -> Option<RawJson> {
        let [found] = self.members([name]);
        found
    }

    /// Whether a modern result says once, in so many letters and nothing in it escaped, that it is complete: then it is. One
    /// that does not may be complete, too; most do, and to see that takes a quarter of the time of looking for the member.
    pub fn is_plainly_complete(&self) -> bool {
        let text = self.as_bytes();
        let near = text.len() < NEAR;
        let Some(at) = near.then(|| RESULT_TYPE.find(text)).flatten() else {
            return false;
        };
        let (before, from) = text.split_at(at);
        before.ends_with(b"\"")
            && from.starts_with(b"resultType\":\"complete\"")
            && RESULT_TYPE.find(&from[1..]).is_none()
            && memchr::memchr(b'\\', text).is_none()
    }

    /// The same text in an allocation of its own, for keeping: a slice of a received buffer keeps all of that buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<RawJson> for Bytes {
    fn from(raw: RawJson) -> Bytes {
        raw.0
    }
}

impl From<serde_json::Value> for RawJson {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *AS_IT_IS {
            return AsItIs(self.as_str()).serialize(serializer);
        }
        serde_json::from_slice::<&RawValue>(&self.0)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

/// Text that `serde_json` is to write as it is.
///
/// It makes a `RawValue` of text after a check only, which would come to one check for each write of what was checked when it
/// was read. What it recognises is a struct of this name with one member, of the same name.
pub(crate) struct AsItIs<'a>(pub(crate) &'a str);

impl Serialize for AsItIs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NAME: &str = "$serde_json::private::RawValue";
        let mut raw = serializer.serialize_struct(NAME, 1)?;
        raw.serialize_field(NAME, self.0)?;
        raw.end()
    }
}

/// The name is no promise of `serde_json`: should it ever be another one, the way with the check remains.
pub(crate) static AS_IT_IS: LazyLock<bool> =
    LazyLock::new(|| serde_json::to_string(&AsItIs("[1]")).is_ok_and(|text| text == "[1]"));

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // serde_json skips a raw value without a limit on its nesting; everything else here has one.
        let text = Bytes::from(Box::<str>::from(raw).into_string());
        if scan::too_deep(&text) {
            return Err(D::Error::custom(ScanErrorKind::Depth));
        }
        Ok(Self(text))
    }
}

/// For optional fields in which `null` is a value and not absence (TRAP-06): `#[serde(default, deserialize_with = "present")]`.
///
/// # Errors
/// What `T`'s own `Deserialize` returns.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_whatever_their_order_and_escapes() {
        let raw = RawJson::parse(r#" {"b" : [1, 2], "\u005fmeta":{"x":1},"a":"s"} "#).unwrap();
        let [a, meta, none] = raw.members(["a", "_meta", "c"]);
        assert_eq!(a.unwrap().as_str(), "\"s\"");
        assert_eq!(meta.unwrap().as_str(), "{\"x\":1}");
        assert!(none.is_none());
    }

    #[test]
    fn a_text_is_borrowed_where_it_can_be() {
        let text = |json: &str| {
            RawJson::parse(json.to_owned())
                .unwrap()
                .text()
                .map(Cow::into_owned)
        };
        assert_eq!(text("\"a\""), Some("a".to_owned()));
        assert_eq!(text("\"\""), Some(String::new()));
        assert_eq!(text(r#""a\u0062\"""#), Some("ab\"".to_owned()));
        assert_eq!(text(r#""\ud800""#), None);
        assert_eq!(text("1"), None);
        assert_eq!(text("[\"a\"]"), None);
        let raw = RawJson::parse("\"é\"").unwrap();
        assert!(matches!(raw.text(), Some(Cow::Borrowed("é"))));
    }

    #[test]
    fn what_is_plainly_complete_is_complete() {
        for (text, plainly) in [
            (r#"{"content":[],"resultType":"complete"}"#, true),
            (r#"{"resultType":"complete","a":"é"}"#, true),
            // Where none is said, it is complete as well.
            (r#"{"a":{"resultType":"complete"}}"#, true),
            (
                r#"{"a":{"resultType":"complete"},"resultType":"task"}"#,
                false,
            ),
            (
                r#"{"a":{"resultType":"complete"},"result\u0054ype":"task"}"#,
                false,
            ),
            (r#"{"a":"\"resultType\":\"complete\"","b":1}"#, false),
            (r#"{"resultType": "complete"}"#, false),
            (r#"{"resultType":"completed"}"#, false),
            (r#"{"myresultType":"complete"}"#, false),
            (r#"{"resultType":"input_required"}"#, false),
            ("{}", false),
        ] {
            let raw = RawJson::parse(text).unwrap();
            assert_eq!(raw.is_plainly_complete(), plainly, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let raw = RawJson::parse(r#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(raw.member("a").unwrap().as_str(), "2");
    }

    #[test]
    fn null_is_a_value_where_it_may_be_one() {
        #[derive(serde::Deserialize)]
        struct Data {
            #[serde(default, deserialize_with = "present")]
            data: Option<RawJson>,
        }
        let null: Data = serde_json::from_str(r#"{"data":null}"#).unwrap();
        assert!(null.data.unwrap().is_null());
        let absent: Data = serde_json::from_str("{}").unwrap();
        assert!(absent.data.is_none());
    }

    #[test]
    fn text_survives_a_typed_round_trip() {
        let text = r#"{"big":123456789012345678901234567890,"z":1.0,"a":[]}"#;
        let raw: RawJson = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
    }

    #[test]
    fn text_is_written_as_it_is_by_every_serializer() {
        assert!(*AS_IT_IS, "serde_json names its raw values otherwise now");
        let raw = RawJson::parse(r#"{"b": [1.50, "\u00e9"], "a": null}"#).unwrap();
        let text = raw.as_str();
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
        assert_eq!(serde_json::to_string_pretty(&raw).unwrap(), text);
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&raw).unwrap(), value);
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_by_type_too() {
        let nested = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
        for (n, fits) in [(127, true), (128, false)] {
            let text = nested(n);
            assert_eq!(serde_json::from_str::<RawJson>(&text).is_ok(), fits, "{n}");
            assert_eq!(RawJson::parse(text).is_ok(), fits, "{n}");
        }
    }
}
