//! Texts from elsewhere, made fit for a terminal.

use std::fmt;

use console::measure_text_width;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde_json::Value;

/// A text without anything that a terminal would obey: control characters are written as their escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A text in lines of at most `width` columns, broken at white space where there is some; without a width, as it is.
/// What a line begins with stays, as far as there is room for more.
pub(crate) fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else {
        return text.lines().map(str::to_owned).collect();
    };
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for mut word in words(paragraph, width / 2) {
            let full = measure_text_width(&line) + 1 + measure_text_width(word) > width;
            if full && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            // A word that is longer than a line has to be cut somewhere.
            while full && cut(word, width).len() < word.len() {
                let (head, tail) = word.split_at(cut(word, width).len());
                lines.push(head.to_owned());
                word = tail;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The words of a line; the first has the blanks before it, but not more of them than that.
fn words(line: &str, most: usize) -> impl Iterator<Item = &str> {
    let text = line.trim_start_matches(' ');
    let blanks = line.len() - text.len();
    let start = match text {
        "" => blanks,
        _ => blanks.saturating_sub(most),
    };
    let end = text.find(' ').map_or(line.len(), |at| blanks + at);
    std::iter::once(&line[start..end]).chain(line[end..].split(' ').skip(1))
}

/// As much of a text as fits into `width` columns; at least one character, so that whoever cuts comes to an end.
fn cut(text: &str, width: usize) -> &str {
    let mut columns = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        columns += measure_text_width(c.encode_utf8(&mut [0; 4]));
        (columns > width && at > 0).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

/// A text that fits into `width` columns; `…` stands for what was cut off.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    format!("{}…", cut(text, width.saturating_sub(1)))
}

/// The longest text within JSON that is cut short that stays as it is, in characters.
const LONG: usize = 48;

/// JSON whose long texts are cut short; no JSON any more, but its shape can be seen.
pub(super) fn abridged(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, quoted) = rest.split_at(start);
        let end = end_of_string(quoted);
        let (quoted, after) = quoted.split_at(end);
        out.push_str(before);
        match quoted.char_indices().nth(LONG) {
            Some((at, _)) if quoted[at..].chars().count() > LONG / 4 => {
                out.push_str(&quoted[..at]);
                out.push_str("…\"");
            }
            _ => out.push_str(quoted),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where a string that starts with its quote ends.
fn end_of_string(quoted: &str) -> usize {
    let mut escaped = false;
    let end = quoted.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(quoted.len(), |at| at + 2)
}

/// The members of a JSON object in the order in which they were sent.
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A value as a person reads it: a text without quotes, a list of simple things with commas.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if items.iter().all(|i| !i.is_array() && !i.is_object()) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            items.join(", ")
        }
        other => printable(&other.to_string()),
    }
}

/// Serialises something by its text.
pub(super) fn as_text<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Serialises something, if it is there, by its text.
pub(super) fn as_text_or_null<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_drive_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\rc\u{9b}d"),
            "a\\u{1b}[2Jb\\u{d}c\\u{9b}d"
        );
        assert_eq!(printable("tab\there\nnext ä →"), "tab here\nnext ä →");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_nowhere_else_if_possible() {
        assert_eq!(wrap("one two three", Some(7)), ["one two", "three"]);
        assert_eq!(wrap("one two three", None), ["one two three"]);
        assert_eq!(wrap("a\nb", Some(7)), ["a", "b"]);
        assert_eq!(wrap("    a  b c", Some(9)), ["    a  b", "c"]);
        assert_eq!(wrap("      a", Some(4)), ["  a"], "there is room");
        assert_eq!(wrap("   \n\n a ", Some(4)), ["", "", " a "]);
        assert_eq!(wrap("abcdefghij kl", Some(4)), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("世界世界", Some(4)), ["世界", "世界"]);
        // A word as long as a message may be, which is not to be copied for each line.
        let long = wrap(&"x".repeat(1 << 20), Some(16));
        assert_eq!(long, vec!["x".repeat(16); 1 << 16]);
        // Narrower than a character: one a line, and an end.
        assert_eq!(wrap("世界", Some(1)), ["世", "界"]);
    }

    #[test]
    fn what_is_cut_short_says_so() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(shorten("世界世界", 5), "世界…");
    }

    #[test]
    fn long_texts_in_json_are_cut_and_short_ones_are_not() {
        let long = "x".repeat(200);
        let json = format!(r#"{{"a\"b":"short","state":"{long}","n":[1,"\\"]}}"#);
        let short = abridged(&json);
        assert!(
            short.starts_with(r#"{"a\"b":"short","state":"xxx"#),
            "{short}"
        );
        assert!(short.ends_with(r#"xxx…","n":[1,"\\"]}"#), "{short}");
        assert!(short.chars().count() < 120);
        assert_eq!(abridged(r#"{"a":"b"}"#), r#"{"a":"b"}"#);
        assert_eq!(abridged("\"never ends"), "\"never ends");
    }

    #[test]
    fn fields_keep_their_order() {
        let Fields(fields) = serde_json::from_str(r#"{"z":1,"a":["x","y"],"m":[]}"#).unwrap();
        let text: Vec<_> = fields
            .iter()
            .map(|(k, v)| format!("{k}={}", plain(v)))
            .collect();
        assert_eq!(text, ["z=1", "a=x, y", "m=none"]);
    }
}
