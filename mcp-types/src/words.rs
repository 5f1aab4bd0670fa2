//! Writing JSON: what serde_json does, but for long strings, of which it looks at each byte by itself.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::raw::{AS_IT_IS, AsItIs};
use crate::scan::write_string;

/// A string of so many bytes is written by words, and then handed to serde_json as it is.
const LONG: usize = 1024;

/// Appends a value, as `serde_json::to_writer` does.
pub(crate) fn write_json<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), serde_json::Error> {
    value.serialize(Words(&mut serde_json::Serializer::new(out)))
}

/// A serialiser of serde_json's that sees long strings first.
struct Words<S>(S);

/// A part of a value, which is to be serialised in the same way.
struct Part<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Part<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Words(serializer))
    }
}

fn long_string<S: Serializer>(serializer: S, text: &str) -> Result<S::Ok, S::Error> {
    if !*AS_IT_IS {
        return serializer.serialize_str(text);
    }
    let mut quoted = Vec::with_capacity(text.len() + text.len() / 16 + 2);
    write_string(&mut quoted, text);
    let quoted = String::from_utf8(quoted).map_err(S::Error::custom)?;
    AsItIs(&quoted).serialize(serializer)
}

macro_rules! as_it_does {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty;)*) => {
        $(#[inline]
        fn $name(self, $($arg: $ty),*) -> Result<$ok, S::Error> {
            self.0.$name($($arg),*)
        })*
    };
}

macro_rules! in_parts {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ident;)*) => {
        $(#[inline]
        fn $name(self, $($arg: $ty),*) -> Result<Self::$ok, S::Error> {
            self.0.$name($($arg),*).map(Words)
        })*
    };
}

impl<S: Serializer> Serializer for Words<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Words<S::SerializeSeq>;
    type SerializeTuple = Words<S::SerializeTuple>;
    type SerializeTupleStruct = Words<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Words<S::SerializeTupleVariant>;
    type SerializeMap = Words<S::SerializeMap>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = Fields<S::SerializeStructVariant>;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        match text.len() < LONG {
            true => self.0.serialize_str(text),
            false => long_string(self.0, text),
        }
    }

    as_it_does! {
        serialize_bool(v: bool) -> S::Ok;
        serialize_i8(v: i8) -> S::Ok;
        serialize_i16(v: i16) -> S::Ok;
        serialize_i32(v: i32) -> S::Ok;
        serialize_i64(v: i64) -> S::Ok;
        serialize_i128(v: i128) -> S::Ok;
        serialize_u8(v: u8) -> S::Ok;
        serialize_u16(v: u16) -> S::Ok;
        serialize_u32(v: u32) -> S::Ok;
        serialize_u64(v: u64) -> S::Ok;
        serialize_u128(v: u128) -> S::Ok;
        serialize_f32(v: f32) -> S::Ok;
        serialize_f64(v: f64) -> S::Ok;
        serialize_char(v: char) -> S::Ok;
        serialize_bytes(v: &[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(name: &'static str) -> S::Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> S::Ok;
    }

    in_parts! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Part(value))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Part(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0
            .serialize_newtype_variant(name, index, variant, &Part(value))
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let raw = name.starts_with("$serde_json::private::");
        let fields = self.0.serialize_struct(name, len)?;
        Ok(Fields { fields, raw })
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let fields = self.0.serialize_struct_variant(name, index, variant, len)?;
        Ok(Fields { fields, raw: false })
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// The members of a struct, or of a variant that has some.
struct Fields<C> {
    fields: C,
    /// It is none, but text that serde_json writes as it is.
    raw: bool,
}

macro_rules! fields {
    ($($kind:ident,)*) => {
        $(impl<C: $kind> $kind for Fields<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                if self.raw {
                    return self.fields.serialize_field(key, value);
                }
                self.fields.serialize_field(key, &Part(value))
            }

            #[inline]
            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.fields.skip_field(key)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.fields.end()
            }
        })*
    };
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<C: SerializeMap> SerializeMap for Words<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.0.serialize_key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.0.serialize_value(&Part(value))
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}

macro_rules! elements {
    ($($kind:ident::$element:ident,)*) => {
        $(impl<C: $kind> $kind for Words<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.0.$element(&Part(value))
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.0.end()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::raw::RawJson;

    #[derive(serde::Serialize)]
    enum Form<'a> {
        Unit,
        One(&'a str),
        Two(&'a str, Option<&'a str>),
        Named { text: &'a str, at: (u8, f64) },
    }

    #[derive(serde::Serialize)]
    struct All<'a> {
        forms: [Form<'a>; 4],
        map: BTreeMap<u64, &'a str>,
        letter: char,
        none: Option<()>,
        raw: RawJson,
        #[serde(flatten)]
        more: BTreeMap<&'a str, Value>,
    }

    proptest! {
        /// Long strings and short ones, wherever they stand.
        #[test]
        fn it_is_written_as_serde_json_does(text in any::<String>(), times in 0..400_usize) {
            let long = text.repeat(times);
            let value = All {
                forms: [
                    Form::Unit,
                    Form::One(&long),
                    Form::Two(&text, Some(&long)),
                    Form::Named { text: &long, at: (1, 0.5) },
                ],
                map: BTreeMap::from([(7, &*long)]),
                letter: 'é',
                none: None,
                raw: RawJson::from(json!({ "a": long })),
                more: BTreeMap::from([("b", json!([long, { "c": long }, null, -1]))]),
            };
            let mut out = Vec::new();
            write_json(&mut out, &value).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
        }
    }
}
