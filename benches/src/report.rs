//! Tables of what was measured.

use std::fmt::Write;

/// The middle of some values; of an even number, the lower one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}

/// A number with about three digits that count.
pub fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".to_owned(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// What a row was to reach.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    /// At most so many times the floor.
    pub floor: Option<f64>,
    /// At least so many times better than rmcp.
    pub rmcp: Option<f64>,
    /// At most so much.
    pub absolute: Option<f64>,
}

/// One thing that was measured, of each of the makes; what was not is not a number.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Without an SDK.
    pub floor: f64,
    /// This toolkit.
    pub ours: f64,
    /// rmcp, at its better.
    pub rmcp: f64,
    /// rmcp over its plain stdio, where there is a choice.
    pub plain: f64,
    /// What it was to reach.
    pub goal: Goal,
}

impl Row {
    fn verdict(&self) -> String {
        let mut parts = Vec::new();
        let mut judge = |goal: Option<f64>, text: String, met: bool| {
            if goal.is_some() {
                parts.push(format!("{text} {}", if met { "✓" } else { "✗" }));
            }
        };
        let Goal {
            floor,
            rmcp,
            absolute,
        } = self.goal;
        let (f, r, a) = (
            floor.unwrap_or_default(),
            rmcp.unwrap_or_default(),
            absolute.unwrap_or_default(),
        );
        judge(floor, format!("≤ {f}× floor"), self.ours / self.floor <= f);
        judge(rmcp, format!("≥ {r}× rmcp"), self.rmcp / self.ours >= r);
        judge(absolute, format!("≤ {a}"), self.ours <= a);
        parts.join(", ")
    }
}

/// A table in Markdown.
pub fn table(out: &mut String, what: &str, rows: &[Row]) {
    let plain = rows.iter().any(|row| !row.plain.is_nan());
    let (head, rule) = if plain {
        (" plain stdio | plain/ours |", "---:|---:|")
    } else {
        ("", "")
    };
    let _ = writeln!(
        out,
        "| {what} | floor | ours | rmcp |{head} ours/floor | rmcp/ours | goal |\n|---|---:|---:|---:|{rule}---:|---:|---|"
    );
    for row in rows {
        let plain = if plain {
            format!(
                " {} | {} |",
                number(row.plain),
                number(row.plain / row.ours)
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |{plain} {} | {} | {} |",
            row.name,
            number(row.floor),
            number(row.ours),
            number(row.rmcp),
            number(row.ours / row.floor),
            number(row.rmcp / row.ours),
            row.verdict(),
        );
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_it_reached_its_goal() {
        let mut out = String::new();
        let row = Row {
            name: "call".into(),
            floor: 1.0,
            ours: 4.5,
            rmcp: 45.0,
            plain: f64::NAN,
            goal: Goal {
                floor: Some(4.0),
                rmcp: Some(10.0),
                absolute: None,
            },
        };
        table(&mut out, "x", &[row]);
        assert!(
            out.contains(
                "| call | 1.00 | 4.50 | 45.0 | 4.50 | 10.0 | ≤ 4× floor ✗, ≥ 10× rmcp ✓ |"
            )
        );
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![2.0, 1.0]), 1.0);
        assert!(median(Vec::new()).is_nan());
    }
}
