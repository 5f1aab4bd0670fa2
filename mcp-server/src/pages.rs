//! Lists, page by page, and how long they may be kept.

use std::sync::Arc;
use std::time::Duration;

use mcp_peer::types::{CacheScope, Cursor, ErrorObject};

use crate::shelf::Shelf;

/// How many things a page has if nothing else is said. Many clients never ask for a second page.
pub(crate) const PAGE_SIZE: usize = 1000;

/// A result that clients may keep for a while (since 2026-07-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cached {
    /// The list of tools. Default one minute.
    Tools,
    /// The list of prompts. Default one minute.
    Prompts,
    /// The list of resources. Default not at all.
    Resources,
    /// The list of resource templates. Default one minute.
    Templates,
    /// What a resource contains, unless the handler's result says otherwise. Default not at all.
    Contents,
}

/// How long, and for whom, each of them may be kept.
#[derive(Debug, Clone)]
pub(crate) struct CacheHints([(u64, CacheScope); 5]);

impl Default for CacheHints {
    fn default() -> Self {
        let minute = (60_000, CacheScope::Private);
        let not = (0, CacheScope::Private);
        Self([minute, minute, not, minute, not])
    }
}

impl CacheHints {
    pub(crate) fn set(&mut self, what: Cached, ttl: Duration, scope: CacheScope) {
        let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        // Beyond this, JSON numbers are not exact everywhere.
        self.0[what as usize] = (ms.min((1 << 53) - 1), scope);
    }

    pub(crate) fn of(&self, what: Cached) -> (u64, CacheScope) {
        self.0[what as usize]
    }
}

/// One page of a list.
pub(crate) struct Page<R> {
    pub(crate) items: Vec<R>,
    pub(crate) next: Option<Cursor>,
}

/// Cuts a page out of a shelf; `tag` keeps the cursors of one list from being taken for those of another.
///
/// A cursor holds the number of the first thing of its page, not a position, so that what comes and goes between two pages
/// neither repeats nor hides anything. Another node understands it if the same was added there in the same order, what is gone by
/// now included.
///
/// # Errors
/// -32602 for a cursor that this list never gave out (REQ-PAG-02).
pub(crate) fn page<T, R>(
    shelf: &Shelf<T>,
    tag: char,
    size: usize,
    cursor: Option<&Cursor>,
    mut show: impl FnMut(&Arc<T>) -> R,
) -> Result<Page<R>, ErrorObject> {
    let first = match cursor {
        None => 0,
        Some(cursor) => number(cursor, tag)
            .filter(|number| shelf.knows(*number))
            .ok_or_else(|| {
                ErrorObject::invalid_params(format!("unknown cursor {:?}", cursor.as_str()))
            })?,
    };
    let mut items = Vec::new();
    let mut next = None;
    for (number, item) in shelf.from(first) {
        if items.len() == size {
            next = Some(Cursor::from(format!("{tag}{number:x}")));
            break;
        }
        items.push(show(item));
    }
    Ok(Page { items, next })
}

/// The number in a cursor, in the one way it is written.
fn number(cursor: &Cursor, tag: char) -> Option<u64> {
    let digits = cursor.as_str().strip_prefix(tag)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (format!("{number:x}") == digits).then_some(number)
}
