//! Tables for people.

use console::measure_text_width;

use super::text::{printable, wrap};

/// The narrowest a last column gets.
const NARROWEST: usize = 20;

/// The widest that any other gets. A cell that is wider is in nobody's way but its own row's: with columns of what width a
/// server likes, many rows would be mostly blanks.
pub(super) const WIDEST: usize = 60;

/// Rows of cells, each column as wide as it must be, the last one wrapped; without a width nothing is wrapped.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], width: Option<usize>) -> String {
    let cells: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.clone().map(|cell| printable(&cell).replace('\n', " ")))
        .collect();
    let mut widths = [0; N];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            let wide = Some(measure_text_width(cell)).filter(|wide| *wide <= WIDEST);
            *width = (*width).max(wide.unwrap_or(0));
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
        let mut taken = 0;
        for (cell, column) in first.iter().zip(widths) {
            line.push_str(cell);
            taken += column + 2;
            match column.checked_sub(measure_text_width(cell)) {
                Some(rest) => line.push_str(&" ".repeat(rest + 2)),
                // What follows is below it, unless lines have no end.
                None if width.is_some() => {
                    put(&mut out, &line);
                    line = " ".repeat(taken);
                }
                None => line.push_str("  "),
            }
        }
        let indent = if below { 4 } else { before };
        if below {
            put(&mut out, &line);
            line = " ".repeat(indent);
        }
        let room = width.map(|width| width.saturating_sub(indent).max(NARROWEST));
        let mut lines = wrap(text, room);
        if lines.is_empty() {
            lines.push(String::new());
        }
        for text in lines {
            line.push_str(&text);
            put(&mut out, &line);
            line = " ".repeat(indent);
        }
    }
    out
}

/// Adds a line, unless nothing is in it.
fn put(out: &mut String, line: &str) {
    let line = line.trim_end();
    if !line.is_empty() {
        out.push_str(line);
        out.push('\n');
    }
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

    #[test]
    fn a_cell_that_is_too_wide_widens_no_other_row() {
        let long = "x".repeat(WIDEST + 1);
        let rows = [["a", "b", "one"], [&long, "c", "two"], ["d", &long, ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table(&rows, None),
            format!("a  b  one\n{long}  c  two\nd  {long}\n")
        );
        assert_eq!(
            table(&rows, Some(80)),
            format!("a  b  one\n{long}\n   c  two\nd  {long}\n")
        );
    }
}
