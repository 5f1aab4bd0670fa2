//! A JSON object under construction.

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use serde::Serialize;
use serde::ser::Error as _;

use crate::raw::{RESULT_TYPE, RawJson};
use crate::scan;
use crate::words::write_json;

/// What the engine looks for in each message; to prepare a search costs more than the search.
static META: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("_meta"));

/// A JSON object under construction: serialised once, then extended in place.
///
/// The engine adds what an era demands (`_meta`, `resultType`) to what a program has serialised,
/// without decoding or copying it.
///
/// ```
/// use mcp_types::{ObjectBuf, RawJson};
///
/// let mut object = ObjectBuf::encode(&serde_json::json!({ "content": [] }))?;
/// object.insert("resultType", &"complete")?;
/// assert_eq!(object.finish().as_str(), r#"{"content":[],"resultType":"complete"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct ObjectBuf {
    /// A JSON object, its closing brace included.
    text: Vec<u8>,
}

impl ObjectBuf {
    /// The object `{}`.
    pub fn new() -> Self {
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(b"{}");
        Self { text }
    }

    /// Serialises a value that is an object; `null` (a unit) counts as the empty one.
    ///
    /// # Errors
    /// What `T`'s own `Serialize` returns, or that the value is neither an object nor `null`.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let mut text = Vec::with_capacity(128);
        write_json(&mut text, value)?;
        match text.first() {
            Some(b'{') => Ok(Self { text }),
            _ if text == b"null" => Ok(Self::new()),
            _ => Err(no_object()),
        }
    }

    /// For text that this crate has written itself.
    pub(crate) fn from_valid(text: Vec<u8>) -> Self {
        debug_assert!(scan::is_valid(&text));
        Self { text }
    }

    /// Takes over an object's text; `None` if it is not an object.
    pub fn from_raw(raw: RawJson) -> Option<Self> {
        raw.is_object().then(|| Self {
            text: bytes::Bytes::from(raw).into(),
        })
    }

    /// Whether this is `{}`.
    pub fn is_empty(&self) -> bool {
        self.text.len() == 2
            || self.text[1..self.text.len() - 1]
                .iter()
                .all(u8::is_ascii_whitespace)
    }

    /// Appends a member.
    ///
    /// The key must not be there yet: use [`ObjectBuf::take`] first where it may be.
    ///
    /// # Errors
    /// What `T`'s own `Serialize` returns.
    pub fn insert<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        // White space in an empty object goes.
        let end = if self.is_empty() { 2 } else { self.text.len() };
        self.open_member(key);
        match write_json(&mut self.text, value) {
            Ok(()) => {
                self.text.push(b'}');
                Ok(())
            }
            Err(e) => {
                self.text.truncate(end - 1);
                self.text.push(b'}');
                Err(e)
            }
        }
    }

    /// Appends a member whose value serialises as an object; `null` (a unit) counts as the empty one.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and nothing is appended.
    pub fn insert_members<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        // White space in an empty object goes.
        let before = if self.is_empty() { 2 } else { self.text.len() };
        self.insert(key, value)?;
        // What a value ends with says of which kind it is.
        let end = self.text.len() - 1;
        if self.text[end - 1] == b'}' {
            return Ok(());
        }
        let unit = self.text[..end].ends_with(b"null");
        self.text.truncate(if unit { end - 4 } else { before - 1 });
        self.text
            .extend_from_slice(if unit { b"{}}" } else { b"}" });
        match unit {
            true => Ok(()),
            false => Err(no_object()),
        }
    }

    /// Appends a member whose value is JSON already.
    pub fn insert_raw(&mut self, key: &str, value: &RawJson) {
        // Once, and not for each piece.
        self.text.reserve(key.len() + value.len() + 5);
        self.open_member(key);
        self.text.extend_from_slice(value.as_bytes());
        self.text.push(b'}');
    }

    /// Appends the members of another object, whose keys must not be there yet.
    pub fn append(&mut self, members: &ObjectBuf) {
        if members.is_empty() {
            return;
        }
        if self.is_empty() {
            self.text.clear();
            self.text.extend_from_slice(b"{}");
        }
        self.text.reserve(members.text.len());
        self.separate();
        self.text.extend_from_slice(&members.text[1..]);
    }

    /// Appends a member whose value is a string.
    pub fn insert_str(&mut self, key: &str, value: &str) {
        self.open_member(key);
        scan::write_string(&mut self.text, value);
        self.text.push(b'}');
    }

    /// Appends a member whose value is another object.
    pub fn insert_object(&mut self, key: &str, value: &ObjectBuf) {
        self.text.reserve(key.len() + value.text.len() + 5);
        self.open_member(key);
        self.text.extend_from_slice(&value.text);
        self.text.push(b'}');
    }

    /// Whether the key's text stands anywhere within; if it does not, there is no such member.
    ///
    /// A key that is written with escapes it did not need, as in text of a peer's, is not found.
    pub fn mentions(&self, key: &str) -> bool {
        let found = match key {
            "_meta" => META.find(&self.text),
            "resultType" => RESULT_TYPE.find(&self.text),
            _ => memmem::find(&self.text, key.as_bytes()),
        };
        found.is_some()
    }

    /// Removes a top-level member and returns its value; as [`mentions`](Self::mentions) has it, if it is to be found.
    pub fn take(&mut self, key: &str) -> Option<RawJson> {
        // Nearly always it is not there, and a search for the bytes says so without a scan.
        if !self.mentions(key) {
            return None;
        }
        let raw = RawJson::from_valid(std::mem::take(&mut self.text).into());
        let found = raw.member(key);
        if found.is_none() {
            self.text = bytes::Bytes::from(raw).into();
            return None;
        }
        let mut rest = Self::new();
        let text = raw.as_bytes();
        for member in scan::known_members(text, b"") {
            if !member.is(text, key) {
                rest.separate();
                rest.text.extend_from_slice(&text[member.key.clone()]);
                rest.text.push(b':');
                rest.text.extend_from_slice(&text[member.value.clone()]);
                rest.text.push(b'}');
            }
        }
        *self = rest;
        found
    }

    /// The finished object.
    pub fn finish(self) -> RawJson {
        RawJson::from_valid(self.text.into())
    }

    /// Length of the text in bytes.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    fn separate(&mut self) {
        let brace = self.text.pop();
        debug_assert_eq!(brace, Some(b'}'));
        if self.text.len() > 1 {
            self.text.push(b',');
        }
    }

    fn open_member(&mut self, key: &str) {
        if self.is_empty() {
            self.text.clear();
            self.text.extend_from_slice(b"{}");
        }
        self.separate();
        // Keys are protocol constants or names the program chose; both may need escaping in theory.
        scan::write_string(&mut self.text, key);
        self.text.push(b':');
    }
}

fn no_object() -> serde_json::Error {
    serde_json::Error::custom("expected a JSON object")
}

impl Default for ObjectBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ObjectBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl From<ObjectBuf> for RawJson {
    fn from(object: ObjectBuf) -> Self {
        object.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_appended_to_empty_and_full_objects() {
        let mut object = ObjectBuf::encode(&()).unwrap();
        assert!(object.is_empty());
        object.insert("a", &1).unwrap();
        object.insert_raw("q\"", &RawJson::NULL);
        object.insert_str("s", "é\n");
        assert_eq!(object.finish().as_str(), r#"{"a":1,"q\"":null,"s":"é\n"}"#);
        let spaced = RawJson::parse("{ \n }").unwrap();
        let mut object = ObjectBuf::from_raw(spaced).unwrap();
        object.insert("a", &1).unwrap();
        object.append(&ObjectBuf::new());
        object.append(&ObjectBuf::encode(&json!({ "b": 2, "c": 3 })).unwrap());
        assert_eq!(object.finish().as_str(), r#"{"a":1,"b":2,"c":3}"#);
        let mut object = ObjectBuf::new();
        object.append(&ObjectBuf::encode(&json!({ "b": 2 })).unwrap());
        assert_eq!(object.finish().as_str(), r#"{"b":2}"#);
    }

    #[test]
    fn a_member_can_be_taken_out() {
        let mut object =
            ObjectBuf::encode(&json!({ "a": 1, "b": { "_meta": 2 }, "c": 3 })).unwrap();
        assert!(object.take("_meta").is_none());
        assert_eq!(object.take("b").unwrap().as_str(), r#"{"_meta":2}"#);
        assert_eq!(object.take("a").unwrap().as_str(), "1");
        assert_eq!(object.finish().as_str(), r#"{"c":3}"#);
    }

    #[test]
    fn only_objects_are_objects() {
        for (value, expected) in [
            (json!({ "a": "null" }), Some(r#"{"k":{"a":"null"}}"#)),
            (json!({}), Some(r#"{"k":{}}"#)),
            (json!(null), Some(r#"{"k":{}}"#)),
            (json!(":null"), None),
            (json!("}"), None),
            (json!([null]), None),
            (json!(1), None),
        ] {
            let mut object = ObjectBuf::new();
            let inserted = object.insert_members("k", &value);
            assert_eq!(inserted.is_ok(), expected.is_some(), "{value}");
            assert_eq!(object.finish().as_str(), expected.unwrap_or("{}"));
        }
        assert!(ObjectBuf::encode(&[1]).is_err());
        assert!(ObjectBuf::encode("s").is_err());
        assert!(ObjectBuf::from_raw(RawJson::NULL).is_none());
    }

    #[test]
    fn a_failed_insert_leaves_the_object_as_it_was() {
        let bad = std::collections::HashMap::from([((1, 2), 3)]);
        for (text, left) in [(r#"{"a":1}"#, r#"{"a":1}"#), ("{}", "{}"), ("{ \n }", "{}")] {
            let mut object = ObjectBuf::from_raw(RawJson::parse(text).unwrap()).unwrap();
            assert!(object.insert("bad", &bad).is_err());
            assert_eq!(object.finish().as_str(), left);
        }
    }
}
