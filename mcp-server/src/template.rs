//! URI templates (RFC 6570, levels 1 to 3), read backwards: from a URI to the values of the variables.
//!
//! A template becomes a regular expression, which is matched in time linear in the URI's length whoever chose the URI.

use std::collections::HashSet;
use std::fmt::Write;

use regex::{Regex, RegexBuilder};

use crate::decode::Texts;

/// What a variable's value consists of: unreserved characters, anything beyond ASCII, and the rest percent-encoded.
const VALUE: &str = r"(?:[A-Za-z0-9\-._~\u{A0}-\u{10FFFF}]|%[0-9A-Fa-f]{2})";
/// The same without the dot, for several values that dots separate.
const NO_DOT: &str = r"(?:[A-Za-z0-9\-_~\u{A0}-\u{10FFFF}]|%[0-9A-Fa-f]{2})";
/// The reserved characters, which `{+var}` and `{#var}` admit besides.
const RESERVED: &str = ":/?#[]@!$&'()*+,;=";
/// What a query consists of, taken apart afterwards.
const QUERY: &str = r"(?:[A-Za-z0-9\-._~\u{A0}-\u{10FFFF}:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})";

/// Bytes of a URI that is matched at all.
const MAX_URI: usize = 64 * 1024;

/// A URI template.
#[derive(Debug, Clone)]
pub(crate) struct UriTemplate {
    regex: Regex,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone)]
struct Expression {
    operator: Option<char>,
    names: Vec<String>,
}

impl Expression {
    /// Whether it has a single capture, to be taken apart into pairs of name and value.
    fn is_query(&self) -> bool {
        matches!(self.operator, Some('?' | '&'))
    }
}

impl UriTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Why it is none, or which part of RFC 6570 it uses that is not supported: the modifiers `*` and `:n` of level 4.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let mut pattern = String::from("^");
        let mut expressions = Vec::<Expression>::new();
        let mut seen = HashSet::new();
        let mut rest = template;
        while let Some(open) = rest.find(['{', '}']) {
            pattern.push_str(&regex::escape(&rest[..open]));
            if rest[open..].starts_with('}') {
                return Err("a `}` closes nothing".to_owned());
            }
            let close = rest[open..].find('}').ok_or("a `{` is never closed")? + open;
            let expression = expression(&rest[open + 1..close])?;
            for name in &expression.names {
                if !seen.insert(name.clone()) {
                    return Err(format!("the variable `{name}` stands in it twice"));
                }
            }
            rest = &rest[close + 1..];
            match expressions.last_mut() {
                // `{?a}{&b}` is one query, whichever of them is left out.
                Some(query)
                    if open == 0 && query.is_query() && expression.operator == Some('&') =>
                {
                    query.names.extend(expression.names);
                }
                _ => {
                    expression.write(&mut pattern, rest);
                    expressions.push(expression);
                }
            }
        }
        pattern.push_str(&regex::escape(rest));
        pattern.push('$');
        let regex = RegexBuilder::new(&pattern).build();
        Ok(Self {
            regex: regex.map_err(|_| "it is too long")?,
            expressions,
        })
    }

    /// The names of the variables, in their order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        let names = self.expressions.iter().flat_map(|e| &e.names);
        names.map(String::as_str)
    }

    /// The values of the variables, decoded; `None` if the URI is not of the template. What is left out has no value.
    pub(crate) fn capture(&self, uri: &str) -> Option<Texts> {
        if uri.len() > MAX_URI {
            return None;
        }
        let captures = self.regex.captures(uri)?;
        let mut values = Vec::new();
        let mut groups = captures.iter().skip(1);
        for expression in &self.expressions {
            if expression.is_query() {
                if let Some(query) = groups.next()? {
                    pairs(expression, &query.as_str()[1..], &mut values)?;
                }
                continue;
            }
            for name in &expression.names {
                if let Some(value) = groups.next()? {
                    let value = match expression.operator {
                        Some(';') => value.as_str().trim_start_matches('='),
                        _ => value.as_str(),
                    };
                    values.push((name.clone(), decoded(value)?));
                }
            }
        }
        Some(Texts(values))
    }
}

/// What stands between the braces.
fn expression(text: &str) -> Result<Expression, String> {
    let operator = text.chars().next().filter(|c| "+#./;?&=,!@|".contains(*c));
    if let Some(reserved @ ('=' | ',' | '!' | '@' | '|')) = operator {
        return Err(format!("the operator `{reserved}` has no meaning yet"));
    }
    let names = &text[operator.map_or(0, char::len_utf8)..];
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    for name in &names {
        if name.ends_with('*') || name.contains(':') {
            return Err(format!("`{name}` has a modifier, which is not supported"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if name.is_empty() || !name.chars().all(legal) {
            return Err(format!("`{name}` is no name of a variable"));
        }
    }
    Ok(Expression { operator, names })
}

impl Expression {
    /// Appends the pattern, with one group a variable, or one in all for a query; `rest` is what follows in the template.
    fn write(&self, pattern: &mut String, rest: &str) {
        let count = self.names.len();
        // What begins a query or a fragment is not part of what comes before, nor is what separates several values.
        let begun = if rest.contains("{?") {
            "?#"
        } else if rest.contains("{#") {
            "#"
        } else {
            ""
        };
        let comma = if count == 1 { "" } else { "," };
        // Each may be left out together with all that follow it.
        let nested = |pattern: &mut String, first: &str, next: &str, value: &str| {
            for i in 0..count {
                let separator = if i == 0 { first } else { next };
                let _ = write!(pattern, "(?:{separator}({value}+)");
            }
            pattern.push_str(&")?".repeat(count));
        };
        match self.operator {
            None => join(pattern, count, VALUE),
            Some('+') => join(pattern, count, &reserved(&format!("{begun}{comma}"))),
            Some('#') => nested(pattern, "#", ",", &reserved(comma)),
            Some('.') if count == 1 => nested(pattern, r"\.", "", VALUE),
            Some('.') => nested(pattern, r"\.", r"\.", NO_DOT),
            Some('/') => nested(pattern, "/", "/", VALUE),
            Some(';') => {
                for name in &self.names {
                    let name = regex::escape(name);
                    // A value that is empty has no `=`, one that is not there has no name either.
                    let _ = write!(pattern, "(?:;{name}((?:={VALUE}*)?))?");
                }
            }
            // Where all of `{?a}` is left out, `{&b}` begins with its own mark.
            Some('?') if rest.starts_with("{&") => {
                let _ = write!(pattern, r"([?&]{QUERY}*)?");
            }
            Some(mark) => {
                let _ = write!(pattern, r"(\{mark}{QUERY}*)?");
            }
        }
    }
}

/// What a value consists of that may have reserved characters, but for some.
fn reserved(but: &str) -> String {
    let marks = RESERVED.chars().filter(|mark| !but.contains(*mark));
    let marks: String = marks.flat_map(|mark| ['\\', mark]).collect();
    format!(r"(?:[A-Za-z0-9\-._~\u{{A0}}-\u{{10FFFF}}{marks}]|%[0-9A-Fa-f]{{2}})")
}

fn join(pattern: &mut String, count: usize, value: &str) {
    for i in 0..count {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(pattern, "{comma}({value}+)");
    }
}

/// `a=1&b=2` in any order; `None` if a name is unknown or stands twice.
fn pairs(expression: &Expression, query: &str, values: &mut Vec<(String, String)>) -> Option<()> {
    let before = values.len();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = expression.names.iter().find(|known| *known == name)?;
        if values[before..].iter().any(|(seen, _)| seen == name) {
            return None;
        }
        values.push((name.clone(), decoded(value)?));
    }
    Some(())
}

/// With percent-encoding undone; `None` if that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (hex, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a=1 b=2`, or `-` where the URI is not of the template.
    fn captured(template: &str, uri: &str) -> String {
        let template = UriTemplate::parse(template).unwrap();
        let Some(Texts(values)) = template.capture(uri) else {
            return "-".to_owned();
        };
        let values: Vec<_> = values.iter().map(|(n, v)| format!("{n}={v}")).collect();
        values.join(" ")
    }

    #[test]
    fn uris_are_matched() {
        #[rustfmt::skip]
        let cases = [
            // Level 1
            ("test://template/{id}/data", "test://template/123/data", "id=123"),
            ("test://template/{id}/data", "test://template//data", "-"),
            ("test://template/{id}/data", "test://template/1/2/data", "-"),
            ("test://template/{id}/data", "test://template/1/data?x", "-"),
            ("test://template/{id}/data", "Test://template/1/data", "-"),
            ("a:{x}", "a:%C3%A9%2F1", "x=é/1"),
            ("a:{x}", "a:é", "x=é"),
            ("a:{x}", "a:%C3", "-"),
            ("a:{x}", "a:%2", "-"),
            ("a:{x}", "a: ", "-"),
            ("a:{x}", "a:1\n", "-"),
            ("a.c:{x}", "abc:1", "-"),
            ("a:{x}-{y}", "a:1-2-3", "x=1-2 y=3"),
            // Level 2
            ("file:///{+path}", "file:///a/b.txt", "path=a/b.txt"),
            ("file:///{+path}", "file:///", "-"),
            ("{+base}/index", "http://x/y/index", "base=http://x/y"),
            ("a:b{#part}", "a:b#c/d", "part=c/d"),
            ("a:b{#part}", "a:b", ""),
            // Level 3
            ("a:{x,y}", "a:1,2", "x=1 y=2"),
            ("a:{x,y}", "a:1", "-"),
            ("a:{+x,y}/h", "a:1/2,3/h", "x=1/2 y=3"),
            ("a:{#x,y}", "a:#1,2", "x=1 y=2"),
            ("a:b{.x}", "a:b.tar.gz", "x=tar.gz"),
            ("a:b{.x,y}", "a:b.1.2", "x=1 y=2"),
            ("a:b{.x,y}", "a:b.1", "x=1"),
            ("a:{/x,y}/c", "a:/1/2/c", "x=1 y=2"),
            ("a:{/x,y}", "a:", ""),
            ("a:{;x,y}", "a:;x=1;y", "x=1 y="),
            ("a:{;x,y}", "a:;y=2", "y=2"),
            ("a:s{?q,lang}", "a:s?q=a%20b&lang=en", "q=a b lang=en"),
            ("a:s{?q,lang}", "a:s?lang=en", "lang=en"),
            ("a:s{?q,lang}", "a:s?lang=en&q=x", "lang=en q=x"),
            ("a:s{?q,lang}", "a:s", ""),
            ("a:s{?q}", "a:s?q", "q="),
            ("a:s{?q}", "a:s?other=1", "-"),
            ("a:s{?q}", "a:s?q=1&q=2", "-"),
            ("a:s?fixed=yes{&x}", "a:s?fixed=yes&x=1", "x=1"),
            ("a:s{?x}{&y}", "a:s?x=1&y=2", "x=1 y=2"),
            ("a:s{?x}{&y}", "a:s?y=2", "y=2"),
            ("a:s{?x}{&y}", "a:s&y=2", "y=2"),
            ("a:s{?x}{&y}", "a:s", ""),
            ("a:s{?x}/{&y}", "a:s?x=1/&y=2", "x=1 y=2"),
            ("file:///{+path}{?v}", "file:///a/b?v=2", "path=a/b v=2"),
            ("file:///{+path}{?v}", "file:///a/b", "path=a/b"),
            ("file:///{+path}{?v}", "file:///a%3Fb", "path=a?b"),
            ("file:///{+path}{?v}", "file:///a?w=2", "-"),
            ("file:///{+path}.txt{?v}", "file:///a.txt?v=.txt", "path=a v=.txt"),
            ("file:///{+path}{?v}{#at}", "file:///a?v=2#b", "path=a v=2 at=b"),
            ("file:///{+path}{?v}{#at}", "file:///a#b", "path=a at=b"),
            ("{+url}{#at}", "a:b?c#d", "url=a:b?c at=d"),
            ("{+url}", "a:b?c#d", "url=a:b?c#d"),
            ("a:{+x,y}{?v}", "a:1/2,3?v=4", "x=1/2 y=3 v=4"),
            // None at all
            ("a:b", "a:b", ""),
            ("a:b", "a:c", "-"),
        ];
        for (template, uri, expected) in cases {
            assert_eq!(captured(template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (template, said) in [
            ("a:{x", "never closed"),
            ("a:x}", "closes nothing"),
            ("a:{}", "no name"),
            ("a:{x,}", "no name"),
            ("a:{x y}", "no name"),
            ("a:{x*}", "modifier"),
            ("a:{x:3}", "modifier"),
            ("a:{=x}", "no meaning"),
            ("a:{x}{?x}", "twice"),
        ] {
            let error = UriTemplate::parse(template).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_hostile_uri_takes_no_more_than_linear_time() {
        let template = UriTemplate::parse("a:{+a}b{+b}c{+d}{e,f}{?g}!").unwrap();
        let uri = format!("a:{}", "b".repeat(MAX_URI - 2));
        assert_eq!(template.capture(&uri), None);
        assert_eq!(template.capture(&format!("{uri}b")), None);
    }
}
