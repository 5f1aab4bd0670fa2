//! What a transport knows about a connection, for the handlers at the other end of the stack.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Values of any types, at most one of each: headers, a peer's address, a [`Principal`].
///
/// A transport, or whoever accepts connections, puts them in; handlers take them out. A clone shares the values. These
/// are not the protocol's extensions, which are named in the capabilities.
///
/// ```
/// use mcp_types::{Extensions, Principal};
///
/// let extensions = Extensions::new().with(Principal::new("alice"));
/// assert_eq!(extensions.get::<Principal>().unwrap().as_str(), "alice");
/// assert!(extensions.get::<u16>().is_none());
/// ```
#[derive(Clone, Default)]
pub struct Extensions {
    // There are few: a search is as fast as a map, and nothing at all costs nothing.
    values: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Extensions {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, in the place of the one of its type.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.insert(value);
        self
    }

    /// Adds a value, in the place of the one of its type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.values
            .retain(|value| (**value).type_id() != TypeId::of::<T>());
        self.values.push(Arc::new(value));
    }

    /// The value of a type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let id = TypeId::of::<T>();
        let found = self.values.iter().find(|value| (***value).type_id() == id);
        found.and_then(|value| Arc::clone(value).downcast().ok())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever it is may be secret.
        write!(f, "Extensions({})", self.values.len())
    }
}

/// Who is at the other end, as whoever accepted the connection has made sure.
///
/// What a server keeps for one principal, such as a request that waits for input, is not handed to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// The principal of that name; names are compared byte by byte.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says that a connection is there for one request, and ends with it, as it does where a modern client speaks HTTP.
///
/// The transport puts it in. What is sent to such a connection later reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneRequest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_type() {
        let mut extensions = Extensions::new().with(1u8).with("one").with(2u8);
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&2));
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"one"));
        let before = extensions.clone();
        extensions.insert(3u8);
        assert_eq!(before.get::<u8>().as_deref(), Some(&2));
        assert_eq!(format!("{extensions:?}"), "Extensions(2)");
    }
}
