//! Tables of what was measured, and of what was to be reached.

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
    /// What it is the goal of, in words that many rows share.
    pub of: &'static str,
    /// At most so many times the floor.
    pub floor: Option<f64>,
    /// At least so many times better than rmcp, over either of its transports.
    pub rmcp: Option<f64>,
    /// At most so much.
    pub absolute: Option<f64>,
    /// At most so many times the least of the rows before it.
    pub growth: Option<f64>,
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
    /// How many times the least of the rows before it: the floor, and this toolkit.
    pub growth: Option<[f64; 2]>,
    /// What it was to reach.
    pub goal: Goal,
}

/// A figure of a row.
pub type Figure = fn(&Row) -> f64;

/// The columns of figures.
const MAKES: [(&str, Figure); 4] = [
    ("floor", |row| row.floor),
    ("ours", |row| row.ours),
    ("rmcp", |row| row.rmcp),
    ("rmcp, plain stdio", |row| row.plain),
];

/// What a figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    Nothing,
    Floor,
    Rmcp,
    Plain,
    Growth,
}

const ALL: [Against; 5] = [
    Against::Nothing,
    Against::Floor,
    Against::Rmcp,
    Against::Plain,
    Against::Growth,
];

/// One goal of a row.
struct Judged {
    /// What it was to be.
    bound: f64,
    /// What it is.
    value: f64,
    met: bool,
}

impl Judged {
    /// By how much it falls short: one is just met, and more is missed.
    fn shortfall(&self, against: Against) -> f64 {
        match against.at_least() {
            true => self.bound / self.value,
            false => self.value / self.bound,
        }
    }
}

impl Against {
    fn at_least(self) -> bool {
        matches!(self, Self::Rmcp | Self::Plain)
    }

    fn sign(self) -> char {
        if self.at_least() { '≥' } else { '≤' }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Nothing => "ours",
            Self::Floor => "ours/floor",
            Self::Rmcp => "rmcp/ours",
            Self::Plain => "plain/ours",
            Self::Growth => "ours, growth",
        }
    }

    fn words(self, bound: f64) -> String {
        match self {
            Self::Nothing => format!("≤ {bound}"),
            Self::Floor => format!("≤ {bound}× the floor"),
            Self::Rmcp if bound == 1.0 => "≤ rmcp".to_owned(),
            Self::Plain if bound == 1.0 => "≤ rmcp, plain stdio".to_owned(),
            Self::Rmcp => format!("≥ {bound}× better than rmcp"),
            Self::Plain => format!("≥ {bound}× better than rmcp, plain stdio"),
            Self::Growth => format!("≤ {bound}× the least with fewer"),
        }
    }
}

impl Row {
    fn value(&self, against: Against) -> f64 {
        match against {
            Against::Nothing => self.ours,
            Against::Floor => self.ours / self.floor,
            Against::Rmcp => self.rmcp / self.ours,
            Against::Plain => self.plain / self.ours,
            Against::Growth => self.growth.map_or(f64::NAN, |[_, ours]| ours),
        }
    }

    /// Nothing if it has no such goal; what was not measured is not reached.
    fn judged(&self, against: Against) -> Option<Judged> {
        let bound = match against {
            Against::Nothing => self.goal.absolute,
            Against::Floor => self.goal.floor,
            Against::Rmcp => self.goal.rmcp,
            Against::Plain => self.goal.rmcp.filter(|_| !self.plain.is_nan()),
            Against::Growth => self.goal.growth.filter(|_| self.growth.is_some()),
        }?;
        let value = self.value(against);
        let met = match against.at_least() {
            true => value >= bound,
            false => value <= bound,
        };
        Some(Judged { bound, value, met })
    }
}

/// Sets in each row how much its figures have grown since the least of the rows before it.
pub fn grow(rows: &mut [Row]) {
    let mut least: Option<[f64; 2]> = None;
    for row in rows {
        let now = [row.floor, row.ours];
        row.growth = least.map(|least| [now[0] / least[0], now[1] / least[1]]);
        least = Some(least.map_or(now, |least| [least[0].min(now[0]), least[1].min(now[1])]));
    }
}

fn mark(met: bool) -> char {
    if met { '✓' } else { '✗' }
}

/// A table in Markdown, with a column for each kind of goal beside what it is about; what no row has is left out.
pub fn table(out: &mut String, what: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    // The heading of a column, and what stands there in a row.
    type Column<'a> = (&'a str, Box<dyn Fn(&Row) -> String>);
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (name, figure) in MAKES {
        if rows.iter().any(|row| !figure(row).is_nan()) {
            columns.push((name, Box::new(move |row| number(figure(row)))));
        }
        if name == "ours" {
            columns.extend(goal_column(rows, Against::Nothing));
        }
    }
    for against in [Against::Floor, Against::Rmcp, Against::Plain] {
        let shown = |row: &Row| !row.value(against).is_nan() || row.judged(against).is_some();
        if rows.iter().any(shown) {
            let value = move |row: &Row| number(row.value(against));
            columns.push((against.column(), Box::new(value)));
            columns.extend(goal_column(rows, against));
        }
    }
    if rows.iter().any(|row| row.growth.is_some()) {
        let floor = |row: &Row| number(row.growth.map_or(f64::NAN, |[floor, _]| floor));
        columns.push(("floor, growth", Box::new(floor)));
        let ours = |row: &Row| number(row.value(Against::Growth));
        columns.push((Against::Growth.column(), Box::new(ours)));
        columns.extend(goal_column(rows, Against::Growth));
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rule = "---:|".repeat(columns.len());
    let _ = writeln!(out, "| {what} | {} |\n|---|{rule}", names.join(" | "));
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(row)).collect();
        let _ = writeln!(out, "| {} | {} |", row.name, cells.join(" | "));
    }
    out.push('\n');
}

#[expect(clippy::type_complexity, reason = "a column as `table` has them")]
fn goal_column(
    rows: &[Row],
    against: Against,
) -> Option<(&'static str, Box<dyn Fn(&Row) -> String>)> {
    let any = rows.iter().any(|row| row.judged(against).is_some());
    any.then(|| {
        let cell = move |row: &Row| match row.judged(against) {
            Some(judged) => format!("{} {} {}", against.sign(), judged.bound, mark(judged.met)),
            None => String::new(),
        };
        ("goal", Box::new(cell) as Box<dyn Fn(&Row) -> String>)
    })
}

/// A table of the goals: in how many of the rows each is reached, and where it is reached least.
pub fn goals(out: &mut String, rows: &[Row]) {
    let _ = writeln!(
        out,
        "| of | goal | reached | least | where |\n|---|---|---:|---:|---|"
    );
    let mut named: Vec<&str> = Vec::new();
    for row in rows {
        if !named.contains(&row.goal.of) {
            named.push(row.goal.of);
        }
    }
    for of in named {
        for against in ALL {
            let judged: Vec<(Judged, &str)> = rows
                .iter()
                .filter(|row| row.goal.of == of)
                .filter_map(|row| Some((row.judged(against)?, &*row.name)))
                .collect();
            let met = judged.iter().filter(|(judged, _)| judged.met).count();
            let least = judged.iter().max_by(|(a, _), (b, _)| {
                f64::total_cmp(&a.shortfall(against), &b.shortfall(against))
            });
            let Some((least, name)) = least else {
                continue;
            };
            let _ = writeln!(
                out,
                "| {of} | {} | {} {met} of {} | {} | {name} |",
                against.words(least.bound),
                mark(met == judged.len()),
                judged.len(),
                number(least.value),
            );
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ours: f64) -> Row {
        Row {
            name: name.into(),
            floor: 1.0,
            ours,
            rmcp: 45.0,
            plain: 90.0,
            growth: None,
            goal: Goal {
                of: "calls",
                floor: Some(4.0),
                rmcp: Some(10.0),
                ..Goal::default()
            },
        }
    }

    #[test]
    fn a_row_says_whether_it_reached_its_goals() {
        let mut out = String::new();
        table(&mut out, "x", &[row("call", 4.5)]);
        let expected = "\
            | x | floor | ours | rmcp | rmcp, plain stdio | ours/floor | goal | rmcp/ours | goal | plain/ours | goal |\n\
            |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n\
            | call | 1.00 | 4.50 | 45.0 | 90.0 | 4.50 | ≤ 4 ✗ | 10.0 | ≥ 10 ✓ | 20.0 | ≥ 10 ✓ |\n\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn what_no_row_has_is_no_column() {
        let mut out = String::new();
        let mut row = row("call", 4.5);
        (row.rmcp, row.plain, row.goal) = (f64::NAN, f64::NAN, Goal::default());
        table(&mut out, "x", &[row]);
        assert_eq!(
            out,
            "| x | floor | ours | ours/floor |\n|---|---:|---:|---:|\n| call | 1.00 | 4.50 | 4.50 |\n\n"
        );
    }

    #[test]
    fn growth_is_since_the_least_before() {
        let mut rows = [row("1", 4.0), row("10", 2.0), row("100", 3.0)];
        grow(&mut rows);
        assert_eq!(
            rows.map(|row| row.growth),
            [None, Some([1.0, 0.5]), Some([1.0, 1.5])]
        );
    }

    #[test]
    fn a_goal_is_as_far_as_its_worst_row() {
        let mut out = String::new();
        goals(&mut out, &[row("few", 3.0), row("many", 4.5)]);
        assert!(
            out.contains("| calls | ≤ 4× the floor | ✗ 1 of 2 | 4.50 | many |"),
            "{out}"
        );
        assert!(
            out.contains("| calls | ≥ 10× better than rmcp | ✓ 2 of 2 | 10.0 | many |"),
            "{out}"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        let mut out = String::new();
        table(&mut out, "x", &[row("call", f64::NAN)]);
        assert!(out.contains("≤ 4 ✗"), "{out}");
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![2.0, 1.0]), 1.0);
        assert!(median(Vec::new()).is_nan());
    }
}
