//! A validating scan over JSON text that builds nothing: where does a value end, where are its members.
//!
//! The scan does not recurse. Its stack of open containers is one bit each in a `u128`, which is also
//! why nesting is limited to [`MAX_DEPTH`].

use std::borrow::Cow;
use std::ops::Range;

use bytes::BufMut;

/// The deepest nesting that is ever accepted, the message itself included; the same as serde_json's.
pub(crate) const MAX_DEPTH: usize = 127;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ScanError {
    /// The position of the offending byte, from the start of the text.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ScanErrorKind,
}

/// What is wrong with a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// The text ends inside a value.
    #[error("unexpected end")]
    End,
    /// A byte that cannot stand here.
    #[error("unexpected byte")]
    Byte,
    /// More containers inside each other than the limit allows.
    #[error("nesting too deep")]
    Depth,
    /// The text is not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
}

fn fail<T>(offset: usize, text: &[u8]) -> Result<T, ScanError> {
    let kind = if offset >= text.len() {
        ScanErrorKind::End
    } else {
        ScanErrorKind::Byte
    };
    Err(ScanError { offset, kind })
}

/// The position of the next byte that is not white space.
pub(crate) fn space(text: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(pos) {
        pos += 1;
    }
    pos
}

/// The position behind the value that starts at `start`.
pub(crate) fn value(text: &[u8], start: usize, max_depth: usize) -> Result<usize, ScanError> {
    let max_depth = max_depth.min(MAX_DEPTH);
    // One bit for each open container, the innermost lowest: 1 is an object, 0 an array.
    let mut open: u128 = 0;
    let mut depth = 0;
    let mut pos = start;
    loop {
        let Some(&first) = text.get(pos) else {
            return fail(pos, text);
        };
        pos = match first {
            b'{' | b'[' => {
                if depth == max_depth {
                    let kind = ScanErrorKind::Depth;
                    return Err(ScanError { offset: pos, kind });
                }
                let object = first == b'{';
                let inside = space(text, pos + 1);
                if text.get(inside) == Some(if object { &b'}' } else { &b']' }) {
                    inside + 1
                } else {
                    open = open << 1 | u128::from(object);
                    depth += 1;
                    pos = if object { key(text, inside)?.1 } else { inside };
                    continue;
                }
            }
            b'"' => string(text, pos)?,
            b'-' | b'0'..=b'9' => number(text, pos)?,
            b't' => literal(text, pos, b"true")?,
            b'f' => literal(text, pos, b"false")?,
            b'n' => literal(text, pos, b"null")?,
            _ => return fail(pos, text),
        };
        // A value has ended: close what ends with it, until there is a next one.
        loop {
            if depth == 0 {
                return Ok(pos);
            }
            let object = open & 1 == 1;
            let at = space(text, pos);
            match text.get(at) {
                Some(b',') => {
                    pos = space(text, at + 1);
                    if object {
                        pos = key(text, pos)?.1;
                    }
                    break;
                }
                Some(b'}') if object => pos = at + 1,
                Some(b']') if !object => pos = at + 1,
                _ => return fail(at, text),
            }
            open >>= 1;
            depth -= 1;
        }
    }
}

/// A member's key, quotes included, and the position of its value.
fn key(text: &[u8], pos: usize) -> Result<(Range<usize>, usize), ScanError> {
    if text.get(pos) != Some(&b'"') {
        return fail(pos, text);
    }
    let end = string(text, pos)?;
    let colon = space(text, end);
    if text.get(colon) != Some(&b':') {
        return fail(colon, text);
    }
    Ok((pos..end, space(text, colon + 1)))
}

/// The position behind the string that opens at `pos`.
fn string(text: &[u8], pos: usize) -> Result<usize, ScanError> {
    let mut pos = pos + 1;
    loop {
        pos = plain(text, pos);
        match text.get(pos) {
            Some(b'"') => return Ok(pos + 1),
            Some(b'\\') => pos = escape(text, pos)?,
            _ => return fail(pos, text),
        }
    }
}

/// The position of the first byte from `pos` on that does not stand for itself in a string: a quote, a backslash, a
/// control character, or the end.
fn plain(text: &[u8], mut pos: usize) -> usize {
    // Most strings are short: they are read eight bytes at a time, and the long ones are left to memchr.
    let near = pos + 64;
    while let Some(word) = text.get(pos..).and_then(<[u8]>::first_chunk) {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return pos + special.trailing_zeros() as usize / 8;
        }
        pos += 8;
        if pos >= near {
            return plain_long(text, pos);
        }
    }
    // The last bytes make a word of their own, filled up with what is plain.
    let rest = text.get(pos..).unwrap_or_default();
    let fill = ONES * u64::from(b' ');
    let word = match (rest, text.last_chunk()) {
        ([], _) => return pos,
        // What stands before them is shifted out.
        (_, Some(word)) => {
            let missing = 64 - 8 * rest.len();
            u64::from_le_bytes(*word) >> missing | fill << (64 - missing)
        }
        (_, None) => (rest.iter().rev()).fold(fill, |word, &byte| word << 8 | u64::from(byte)),
    };
    let special = special(word);
    if special == 0 {
        return pos + rest.len();
    }
    pos + special.trailing_zeros() as usize / 8
}

fn plain_long(text: &[u8], pos: usize) -> usize {
    let rest = &text[pos..];
    let run = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    // Without an early exit this loop is vectorised; only if it finds one is it worth asking where.
    let control = rest[..run]
        .iter()
        .fold(false, |found, &b| found | (b < 0x20));
    let first = |b: &u8| *b < 0x20;
    pos + if control {
        rest.iter().position(first).unwrap_or(run)
    } else {
        run
    }
}

/// Writes a string as serde_json would, which looks at each byte by itself.
pub(crate) fn write_string(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (run, special) = rest.split_at(plain(rest, 0));
        out.put_slice(run);
        let Some((&special, behind)) = special.split_first() else {
            break;
        };
        let short = match special {
            b'"' | b'\\' => special,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            control => {
                let digits = b"0123456789abcdef";
                out.put_slice(b"\\u00");
                out.put_u8(digits[usize::from(control >> 4)]);
                out.put_u8(digits[usize::from(control & 15)]);
                rest = behind;
                continue;
            }
        };
        out.put_slice(&[b'\\', short]);
        rest = behind;
    }
    out.put_u8(b'"');
}

/// The high bit of each byte that is a quote, a backslash or a control character. Above the lowest of them there may be
/// false ones, by the borrow of the subtractions.
fn special(word: u64) -> u64 {
    quote_or_backslash(word) | below(word, 0x20)
}

/// The same for quotes and backslashes alone.
fn quote_or_backslash(word: u64) -> u64 {
    below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1)
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// The high bit of each byte below `n`, up to 0x80.
fn below(word: u64, n: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(n)) & !word & HIGHS
}

/// The position behind the escape that starts with the backslash at `pos`.
fn escape(text: &[u8], pos: usize) -> Result<usize, ScanError> {
    match text.get(pos + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(pos + 2),
        Some(b'u') => {
            for at in pos + 2..pos + 6 {
                if !text.get(at).is_some_and(u8::is_ascii_hexdigit) {
                    return fail(at, text);
                }
            }
            Ok(pos + 6)
        }
        _ => fail(pos + 1, text),
    }
}

fn number(text: &[u8], mut pos: usize) -> Result<usize, ScanError> {
    let digits = |mut pos: usize| {
        let start = pos;
        while text.get(pos).is_some_and(u8::is_ascii_digit) {
            pos += 1;
        }
        if pos == start {
            fail(pos, text)
        } else {
            Ok(pos)
        }
    };
    if text[pos] == b'-' {
        pos += 1;
    }
    pos = if text.get(pos) == Some(&b'0') {
        pos + 1
    } else {
        digits(pos)?
    };
    if text.get(pos) == Some(&b'.') {
        pos = digits(pos + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(pos) {
        pos += 1;
        if let Some(b'+' | b'-') = text.get(pos) {
            pos += 1;
        }
        pos = digits(pos)?;
    }
    Ok(pos)
}

fn literal(text: &[u8], pos: usize, word: &[u8]) -> Result<usize, ScanError> {
    for (i, b) in word.iter().enumerate() {
        if text.get(pos + i) != Some(b) {
            return fail(pos + i, text);
        }
    }
    Ok(pos + word.len())
}

/// One member of an object: where its key (quotes included) and its value stand in the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    /// Whether anything in the key may be escaped.
    escaped: bool,
}

impl Member {
    /// The key as it is written, without its quotes.
    pub(crate) fn key<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.key.start + 1..self.key.end - 1]
    }

    /// Whether the key is `name`, however it is escaped.
    pub(crate) fn is(&self, text: &[u8], name: &str) -> bool {
        let key = self.key(text);
        key == name.as_bytes() || (self.escaped && self.is_escaped(text, name))
    }

    #[cold]
    fn is_escaped(&self, text: &[u8], name: &str) -> bool {
        let key = self.key(text);
        // Whatever is escaped is longer for it.
        key.len() > name.len()
            && escaped(key)
            && serde_json::from_slice::<String>(&text[self.key.clone()])
                .is_ok_and(|key| key == name)
    }
}

/// The string that text which is known to be JSON is, borrowed unless something in it is escaped.
pub(crate) fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if escaped(inner.as_bytes()) {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Whether anything in a string is escaped.
pub(crate) fn escaped(raw: &[u8]) -> bool {
    memchr::memchr(b'\\', raw).is_some()
}

/// The members of an object in text that is known to be JSON, which is several times faster than to check it again.
///
/// A value that is to the byte as the object `seen` is not looked through; there is none if `seen` is empty. In other text it
/// finds something else, or nothing, but it neither panics nor goes on for ever.
pub(crate) fn known_members(text: &[u8], seen: &[u8]) -> impl Iterator<Item = Member> {
    debug_assert!(seen.is_empty() || seen.first() == Some(&b'{'));
    let mut pos = 1;
    std::iter::from_fn(move || {
        let mut start = space(text, pos);
        if text.get(start) == Some(&b',') {
            start = space(text, start + 1);
        }
        if text.get(start) != Some(&b'"') {
            return None;
        }
        let inner = ordinary(text, start + 1);
        let escaped = text.get(inner) != Some(&b'"');
        let end = match escaped {
            true => skip_string(text, start),
            false => inner + 1,
        };
        let value = space(text, space(text, end) + 1);
        pos = match text.get(value..) {
            // It ends where its last brace is, whatever follows.
            Some(rest) if !seen.is_empty() && rest.starts_with(seen) => value + seen.len(),
            _ => skip(text, value),
        };
        let member = Member {
            key: start..end,
            value: value..pos,
            escaped,
        };
        (value < pos).then_some(member)
    })
}

/// Reads text that is known to be JSON piece by piece, as it mostly is: whoever finds something else there leaves it to serde.
///
/// In other text it finds something else, or nothing, but it neither panics nor goes on for ever.
pub(crate) struct Known<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Known<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0 }
    }

    /// Goes into the object or the array that opens here; `None` if there is none.
    pub(crate) fn enter(&mut self, bracket: u8) -> Option<()> {
        (self.text.get(self.pos) == Some(&bracket)).then(|| self.pos += 1)
    }

    /// Goes to the next element or member; false behind the last one.
    pub(crate) fn next(&mut self) -> bool {
        self.pos = space(self.text, self.pos);
        if self.text.get(self.pos) == Some(&b',') {
            self.pos = space(self.text, self.pos + 1);
        }
        let more = !matches!(self.text.get(self.pos), Some(b'}' | b']') | None);
        self.pos += usize::from(!more);
        more
    }

    /// The next member's key, as it is written; `None` behind the last one.
    pub(crate) fn key(&mut self) -> Option<&'a [u8]> {
        if !self.next() {
            return None;
        }
        let start = self.pos + 1;
        let end = skip_string(self.text, self.pos);
        self.pos = space(self.text, space(self.text, end) + 1);
        self.text.get(start..end - 1)
    }

    /// The value that stands here, as it is written.
    pub(crate) fn value(&mut self) -> &'a [u8] {
        let start = self.pos;
        self.pos = skip(self.text, start);
        self.text.get(start..self.pos).unwrap_or_default()
    }

    /// Goes behind the object that stands here if it is the same, to the byte.
    pub(crate) fn skip_same(&mut self, object: &[u8]) -> bool {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let same = rest.starts_with(object);
        self.pos += if same { object.len() } else { 0 };
        same
    }

    /// The string that stands here, if nothing in it is escaped.
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        let start = self.pos + 1;
        let end = ordinary(self.text, start);
        let quotes = [self.pos, end].map(|at| self.text.get(at));
        if quotes != [Some(&b'"'); 2] {
            return None;
        }
        self.pos = end + 1;
        std::str::from_utf8(&self.text[start..end]).ok()
    }

    /// The string that stands here.
    pub(crate) fn string(&mut self) -> Option<String> {
        match self.plain_string() {
            Some(text) => Some(text.to_owned()),
            None => serde_json::from_slice(self.value()).ok(),
        }
    }

    /// The number that stands here.
    pub(crate) fn number(&mut self) -> Option<f64> {
        let text = self.value();
        match few_digits(text) {
            Some(number) => Some(number as f64),
            None => serde_json::from_slice(text).ok(),
        }
    }
}

/// The number that a text of nothing but a few digits stands for.
pub(crate) fn few_digits(text: &[u8]) -> Option<i64> {
    let few = matches!(text.len(), 1..=15) && text.iter().all(u8::is_ascii_digit);
    let digits = text.iter().map(|digit| i64::from(digit - b'0'));
    few.then(|| digits.fold(0, |n, digit| 10 * n + digit))
}

/// The position behind the value at `start` of text that is known to be JSON.
fn skip(text: &[u8], start: usize) -> usize {
    let mut pos = start;
    let mut depth = 0usize;
    while let Some(&b) = text.get(pos) {
        match b {
            b'"' => {
                pos = skip_string(text, pos);
                if depth == 0 {
                    return pos;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return pos + depth,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return pos,
            _ => {}
        }
        pos += 1;
    }
    pos
}

/// The position behind the string that opens at `pos` of text that is known to be JSON.
fn skip_string(text: &[u8], pos: usize) -> usize {
    let mut pos = pos + 1;
    loop {
        pos = ordinary(text, pos);
        match text.get(pos) {
            Some(b'"') => return pos + 1,
            Some(_) => pos += 2,
            None => return text.len(),
        }
    }
}

/// The position of the first quote or backslash from `pos` on, or the end.
fn ordinary(text: &[u8], mut pos: usize) -> usize {
    let near = pos + 64;
    while let Some(word) = text.get(pos..).and_then(<[u8]>::first_chunk) {
        let found = quote_or_backslash(u64::from_le_bytes(*word));
        if found != 0 {
            return pos + found.trailing_zeros() as usize / 8;
        }
        pos += 8;
        if pos >= near {
            let rest = &text[pos..];
            return pos + memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
    }
    let rest = text.get(pos..).unwrap_or_default();
    pos + rest
        .iter()
        .position(|b| matches!(b, b'"' | b'\\'))
        .unwrap_or(rest.len())
}

/// Whether text is one JSON value, however deep.
pub(crate) fn is_valid(text: &[u8]) -> bool {
    let valid = match value(text, 0, MAX_DEPTH) {
        Ok(end) => end == text.len(),
        Err(e) => e.kind == ScanErrorKind::Depth,
    };
    valid && std::str::from_utf8(text).is_ok()
}

/// Whether text that is known to be JSON is nested deeper than [`MAX_DEPTH`].
pub(crate) fn too_deep(text: &[u8]) -> bool {
    deeper_than(text, MAX_DEPTH)
}

/// Whether text that is known to be JSON is nested deeper than so many levels.
pub(crate) fn deeper_than(text: &[u8], levels: usize) -> bool {
    // Each level takes a bracket at either end. To count what may be one takes a fraction of the time of looking at each.
    if text.len() <= 2 * levels || opening(text) <= levels {
        return false;
    }
    let (mut pos, mut depth) = (0, 0usize);
    while let Some(&b) = text.get(pos) {
        match b {
            b'"' => {
                pos = skip_string(text, pos);
                continue;
            }
            b'{' | b'[' if depth == levels => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        pos += 1;
    }
    false
}

/// How many opening brackets stand in a text, those in strings included.
fn opening(text: &[u8]) -> usize {
    // As many at a time as fit into the byte that they are counted in, so that the loop is vectorised.
    let in_part = |part: &[u8]| part.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>();
    text.chunks(255)
        .map(|part| usize::from(in_part(part)))
        .sum()
}

/// Walks the members of the object that opens at `start`, validating what it passes.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    pos: usize,
    max_depth: usize,
    first: bool,
}

impl<'a> Members<'a> {
    /// `start` is the position of the opening brace; `max_depth` counts from that object on.
    pub(crate) fn new(text: &'a [u8], start: usize, max_depth: usize) -> Self {
        debug_assert_eq!(text.get(start), Some(&b'{'));
        Self {
            text,
            pos: start + 1,
            max_depth: max_depth.saturating_sub(1),
            first: true,
        }
    }

    /// The same from `end` on, where the first member's value has ended.
    pub(crate) fn behind_first(text: &'a [u8], end: usize, max_depth: usize) -> Self {
        Self {
            text,
            pos: end,
            max_depth: max_depth.saturating_sub(1),
            first: false,
        }
    }

    /// The next member, or `None` behind the closing brace; [`Self::end`] then tells where that is.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ScanError> {
        let at = space(self.text, self.pos);
        let at = match self.text.get(at) {
            Some(b'}') => {
                self.pos = at + 1;
                return Ok(None);
            }
            Some(b',') if !self.first => space(self.text, at + 1),
            Some(_) if self.first => at,
            _ => return fail(at, self.text),
        };
        self.first = false;
        let (key, start) = key(self.text, at)?;
        let end = value(self.text, start, self.max_depth)?;
        self.pos = end;
        let value = start..end;
        Ok(Some(Member {
            key,
            value,
            escaped: true,
        }))
    }

    /// The position behind the last thing read.
    pub(crate) fn end(&self) -> usize {
        self.pos
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &[u8]) -> bool {
        let start = space(text, 0);
        value(text, start, MAX_DEPTH).is_ok_and(|end| space(text, end) == text.len())
    }

    #[test]
    fn accepts_json_and_nothing_else() {
        for good in [
            "0",
            "-0",
            "10",
            "1.5",
            "1e5",
            "1E-5",
            "0.0e+0",
            "true",
            "false",
            "null",
            "\"\"",
            "\"\\u00e9\\n\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1,2]",
            "[[],{}]",
            "{\"a\":1}",
            "{\"a\":{\"b\":[1,{\"c\":null}]}}",
            " [ 1 , 2 ] ",
            "\"a string that is longer than the near part of a scan, with \\\" in it\"",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "tru",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "\"\u{1}\"",
            "1 2",
            "{} {}",
            "[]]",
            "'a'",
            "NaN",
            "\"a string that is longer than the near part of a scan, with a tab\there\"",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn nesting_has_a_limit_and_no_recursion() {
        let nested = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
        assert!(is_json(nested(MAX_DEPTH).as_bytes()));
        let error = value(nested(MAX_DEPTH + 1).as_bytes(), 0, MAX_DEPTH).unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Depth);
        assert_eq!(error.offset, MAX_DEPTH);
        assert!(value("[".repeat(10_000_000).as_bytes(), 0, 10_000_000).is_err());
        for (n, deep) in [(2, false), (MAX_DEPTH, false), (MAX_DEPTH + 1, true)] {
            let text = format!("[{:?},{}]", "[".repeat(300), nested(n - 1));
            assert_eq!(too_deep(text.as_bytes()), deep, "{n}");
            assert!(is_valid(text.as_bytes()), "{n}");
            // As many of the other kind, which end before.
            let wide = format!("[{}{}]", "{},".repeat(300), nested(n - 1));
            assert_eq!(too_deep(wide.as_bytes()), deep, "{n}");
        }
    }

    proptest! {
        #[test]
        fn the_end_of_plain_text_is_where_a_byte_loop_finds_it(
            text in proptest::collection::vec(prop_oneof![20 => 0x20u8..=0xff, 1 => any::<u8>()], 0..200),
            start in 0usize..8,
        ) {
            let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..=0x1f);
            let start = start.min(text.len());
            let slow = text[start..].iter().position(special).map_or(text.len(), |n| start + n);
            prop_assert_eq!(plain(&text, start), slow);
        }

        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in any::<String>(), ascii in "[\\x00-\\x7f]{0,100}") {
            for text in [text, ascii] {
                let mut written = Vec::new();
                write_string(&mut written, &text);
                prop_assert_eq!(written, serde_json::to_vec(&text).unwrap());
            }
        }

        #[test]
        fn known_members_are_those_that_a_check_finds(value in crate::strategies::object(), pretty in any::<bool>()) {
            let text = if pretty {
                format!("{:#}", value.decode::<serde_json::Value>().unwrap())
            } else {
                value.to_string()
            };
            let text = text.as_bytes();
            let mut checked = Members::new(text, 0, MAX_DEPTH);
            let mut known = known_members(text, b"");
            let mut seen = Vec::new();
            while let Some(member) = checked.next().unwrap() {
                let other = known.next().unwrap();
                seen.push(&text[other.value.clone()]);
                prop_assert_eq!((member.key, member.value), (other.key, other.value));
            }
            prop_assert!(known.next().is_none());
            let values = |seen| known_members(text, seen).map(|member| member.value);
            for object in seen.into_iter().filter(|value| value.starts_with(b"{")) {
                prop_assert!(values(object).eq(values(b"")));
            }
        }

        #[test]
        fn what_is_taken_for_json_and_is_none_does_no_harm(text in "\\{[\\[\\]{}:,\"\\\\u0-9a-e.\\-+ tfn]{0,40}") {
            let mut end = 1;
            for member in known_members(text.as_bytes(), b"{}") {
                prop_assert!(end <= member.key.start && !member.key.is_empty());
                prop_assert!(member.key.end < member.value.start && member.value.start < member.value.end);
                end = member.value.end;
            }
            prop_assert!(end <= text.len());
            too_deep(text.as_bytes());
        }

        #[test]
        fn agrees_with_serde_json_on_near_json(text in "[\\[\\]{}:,\"\\\\u0-9a-e.\\-+ tfn]{0,40}") {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(text.as_bytes()), theirs, "{}", text);
        }
    }
}
