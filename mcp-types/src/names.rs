//! What the domain files share: strings with a meaning, chainable setters, the table of methods.

use std::fmt;

/// A string that is none of the names a closed enumeration of the protocol has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no {what}")]
pub struct UnknownName {
    /// What was expected, for a person.
    pub what: &'static str,
    /// What stood there.
    pub name: String,
}

/// Reads a string and hands it on without an allocation.
pub(crate) struct NameVisitor<F> {
    pub(crate) what: &'static str,
    pub(crate) read: F,
}

impl<T, F: FnOnce(&str) -> Result<T, UnknownName>> serde::de::Visitor<'_> for NameVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
        (self.read)(name).map_err(E::custom)
    }
}

/// An enumeration of strings that the protocol closed: another string is an error.
macro_rules! closed_enum {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every value, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The value of that name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::from_name(name).ok_or_else(|| $crate::names::UnknownName {
                    what: $what,
                    name: name.to_owned(),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::names::NameVisitor {
                    what: $what,
                    read: |name: &str| name.parse(),
                })
            }
        }
    };
}

/// An enumeration of strings that peers may extend: another string survives as `Other`.
macro_rules! open_enum {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value without a name in this crate; it is written as it was read.
            Other(String),
        }

        impl $name {
            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                match name {
                    $($text => Self::$variant,)*
                    _ => Self::Other(name.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::from(name.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::names::NameVisitor {
                    what: $what,
                    read: |name: &str| Ok(Self::from(name)),
                })
            }
        }
    };
}

/// Chainable setters of optional fields, named like the field. `into T` takes whatever becomes a `T`.
macro_rules! setters {
    () => {};
    ($(#[$doc:meta])* $name:ident: into $ty:ty; $($rest:tt)*) => {
        #[doc = concat!("Sets `", stringify!($name), "`.")]
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: impl Into<$ty>) -> Self {
            self.$name = Some($name.into());
            self
        }
        setters! { $($rest)* }
    };
    ($(#[$doc:meta])* $name:ident: flag; $($rest:tt)*) => {
        #[doc = concat!("Sets `", stringify!($name), "`.")]
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: bool) -> Self {
            self.$name = $name;
            self
        }
        setters! { $($rest)* }
    };
    ($(#[$doc:meta])* $name:ident: $ty:ty; $($rest:tt)*) => {
        #[doc = concat!("Sets `", stringify!($name), "`.")]
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $ty) -> Self {
            self.$name = Some($name);
            self
        }
        setters! { $($rest)* }
    };
}

/// The markers of a domain's methods: `request Marker("name"): Params => Result;` and `notification Marker("name"): Params;`.
///
/// With `, read read` behind it what comes in is tried by that function first, which knows its usual form.
macro_rules! methods {
    () => {};
    ($(#[$doc:meta])* request $name:ident($method:literal): $params:ty => $result:ty $(, read $read:path)?; $($rest:tt)*) => {
        #[doc = concat!("The request `", $method, "`:")]
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::method::Request for $name {
            const METHOD: &'static str = $method;
            type Params = $params;
            type Result = $result;
            $(
                fn read_result(result: &$crate::raw::RawJson) -> Result<$result, serde_json::Error> {
                    $read(result.as_bytes()).map_or_else(|| result.decode(), Ok)
                }
            )?
        }
        methods! { $($rest)* }
    };
    ($(#[$doc:meta])* notification $name:ident($method:literal): $params:ty $(, read $read:path)?; $($rest:tt)*) => {
        #[doc = concat!("The notification `", $method, "`:")]
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::method::Notification for $name {
            const METHOD: &'static str = $method;
            type Params = $params;
            $(
                fn read_params(params: &$crate::raw::RawJson) -> Result<$params, serde_json::Error> {
                    $read(params.as_bytes()).map_or_else(|| params.decode(), Ok)
                }
            )?
        }
        methods! { $($rest)* }
    };
}

pub(crate) use {closed_enum, methods, open_enum, setters};

/// For `skip_serializing_if`: an absent flag means `false`.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// Reads a flag in which `null` counts as absence.
pub(crate) fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    <Option<bool> as serde::Deserialize>::deserialize(deserializer).map(Option::unwrap_or_default)
}
