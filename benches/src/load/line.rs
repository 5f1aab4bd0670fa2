//! What a line is, found without parsing all of it: the generator has to be faster than what it measures.

use memchr::memmem;

/// A line of a server's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of a flood, with its place in it.
    Log(u64),
    /// An update, with its place among them.
    Progress(u64),
    /// The answer to a call.
    Answer(u64),
    /// An error, or something that nobody asked for.
    Other,
}

pub(super) fn read(line: &[u8]) -> Line {
    known(line).unwrap_or(Line::Other)
}

fn known(line: &[u8]) -> Option<Line> {
    let rest = line.strip_prefix(b"{\"jsonrpc\":\"2.0\",\"")?;
    if let Some(rest) = rest.strip_prefix(b"id\":") {
        let (id, rest) = digits(rest)?;
        return rest
            .starts_with(b",\"result\":")
            .then_some(Line::Answer(id));
    }
    let rest = rest.strip_prefix(b"method\":\"notifications/")?;
    let after = |text: &[u8]| {
        let at = memmem::find(rest, text)?;
        Some(digits(&rest[at + text.len()..])?.0)
    };
    match rest.first() {
        Some(b'm') => after(b"\"line ").map(Line::Log),
        Some(b'p') => after(b"\"progress\":").map(Line::Progress),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let number = digits
        .iter()
        .fold(0u64, |n, b| n.wrapping_mul(10) + u64::from(b - b'0'));
    (len > 0).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_how_it_begins_or_by_what_it_counts() {
        for (line, is) in [
            (r#"{"jsonrpc":"2.0","id":17,"result":{}}"#, Line::Answer(17)),
            (r#"{"jsonrpc":"2.0","id":17,"error":{}}"#, Line::Other),
            (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, Line::Other),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"line 4"}}"#,
                Line::Log(4),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":9,"total":10}}"#,
                Line::Progress(9),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
                Line::Other,
            ),
        ] {
            assert_eq!(read(line.as_bytes()), is, "{line}");
        }
    }
}
