//! Tables for people.

use console::measure_text_width;

use super::text::{printable, wrap};

/// The narrowest a last column gets.
const NARROWEST: usize = 20;

/// Rows of cells, each column as wide as it must be, the last one wrapped; without a width nothing is wrapped.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], width: Option<usize>) -> String {
    let cells: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.clone().map(|cell| printable(&cell).replace('\n', " ")))
        .collect();
    let mut widths = [0; N];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let before: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    let last = width.map(|width| width.saturating_sub(before));
    // No room beside the others: below them, then.
    let below = last.is_some_and(|last| last < NARROWEST);
    let mut out = String::new();
    for row in &cells {
        let [first @ .., text] = row.as_slice() else {
            continue;
        };
        let mut line = String::new();
        for (cell, width) in first.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - measure_text_width(cell) + 2));
        }
        let indent = if below { 4 } else { before };
        if below {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
        }
        let room = width.map(|width| width.saturating_sub(indent).max(NARROWEST));
        let mut lines = wrap(text, room);
        if lines.is_empty() {
            lines.push(String::new());
        }
        for text in lines {
            line.push_str(&text);
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_wrapped_beside_or_below_the_others() {
        let rows = [["a", "one two three four five six"], ["longer", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table(&rows, None),
            "a       one two three four five six\nlonger  x\n"
        );
        assert_eq!(
            table(&rows, Some(30)),
            "a       one two three four\n        five six\nlonger  x\n"
        );
        assert_eq!(
            table(&rows, Some(24)),
            "a\n    one two three four\n    five six\nlonger\n    x\n"
        );
    }
}
