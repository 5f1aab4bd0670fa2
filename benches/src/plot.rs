//! The results as one picture, an SVG: what each make spends on a message, and how that grows.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Failure;
use crate::report::{Figure, Row};

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    /// What it was measured on.
    pub title: String,
    /// CPU time for each message in µs, of one thing after the other.
    pub rows: Vec<Row>,
    /// The same of a call, by how many are in flight.
    pub in_flight: Vec<(f64, Row)>,
    /// The same of a call, by how many connections there are.
    pub connections: Vec<(f64, Row)>,
}

/// Colours to be read on a page of one brightness.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    page: RGBColor,
    text: RGBColor,
    faint: RGBColor,
    grid: RGBColor,
    /// In the order of [`MAKES`].
    makes: [RGBColor; 4],
}

/// For light pages.
pub const LIGHT: Theme = Theme {
    page: RGBColor(255, 255, 255),
    text: RGBColor(31, 35, 40),
    faint: RGBColor(89, 99, 110),
    grid: RGBColor(222, 227, 232),
    makes: [
        RGBColor(129, 139, 152),
        RGBColor(9, 105, 218),
        RGBColor(188, 76, 0),
        RGBColor(188, 76, 0),
    ],
};

/// For dark pages.
pub const DARK: Theme = Theme {
    page: RGBColor(13, 17, 23),
    text: RGBColor(240, 246, 252),
    faint: RGBColor(145, 152, 161),
    grid: RGBColor(47, 53, 61),
    makes: [
        RGBColor(145, 152, 161),
        RGBColor(68, 147, 248),
        RGBColor(219, 109, 40),
        RGBColor(219, 109, 40),
    ],
};

/// The last one is drawn hollow.
const MAKES: [(&str, Figure); 4] = [
    ("floor: no SDK", |row| row.floor),
    ("this toolkit", |row| row.ours),
    ("rmcp", |row| row.rmcp),
    ("rmcp, plain stdio", |row| row.plain),
];

const WIDTH: u32 = 960;
/// Of one row of the upper part.
const ROW: u32 = 25;
/// Above the first row: titles and the legend.
const TOP: u32 = 92;
/// Below the last one: the numbers of the axis.
const AXIS: u32 = 34;
/// Of the lower part.
const CURVES: u32 = 300;
/// Left of the rows: their names.
const NAMES: u32 = 292;
const MARGIN: u32 = 28;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Plot {
    /// As an SVG.
    ///
    /// # Errors
    /// There is nothing to be drawn.
    pub fn draw(&self, theme: Theme) -> Result<String, Failure> {
        let mut svg = String::new();
        let rows = u32::try_from(self.rows.len())? * ROW;
        let upper = TOP + rows + AXIS;
        {
            let size = (WIDTH, upper + CURVES);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let pen = Pen { theme };
            root.fill(&theme.page)?;
            let (above, below) = root.split_vertically(upper);
            pen.heading(&above, &self.title)?;
            pen.rows(&above, &self.rows)?;
            let (left, right) = below.split_horizontally(WIDTH / 2);
            pen.curves(
                &left,
                "µs for each call, by calls in flight",
                &self.in_flight,
            )?;
            pen.curves(
                &right,
                "µs for each call, by connections",
                &self.connections,
            )?;
            root.present()?;
        }
        Ok(svg)
    }
}

/// Draws in the colours of a theme.
struct Pen {
    theme: Theme,
}

impl Pen {
    fn text(
        &self,
        area: &Area<'_>,
        text: &str,
        at: (i32, i32),
        size: u32,
        colour: RGBColor,
        side: HPos,
    ) -> Result<(), Failure> {
        let style = TextStyle::from(("sans-serif", size).into_font())
            .color(&colour)
            .pos(Pos::new(side, VPos::Center));
        Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
    }

    fn heading(&self, area: &Area<'_>, title: &str) -> Result<(), Failure> {
        let Theme { text, faint, .. } = self.theme;
        let left = MARGIN as i32;
        let what = "CPU time of a server for each message, µs";
        self.text(area, what, (left, 26), 20, text, HPos::Left)?;
        let right = (WIDTH - MARGIN) as i32;
        self.text(area, title, (right, 26), 12, faint, HPos::Right)?;
        let mut at = left + 6;
        for (make, (name, _)) in MAKES.iter().enumerate() {
            self.dot(area, (at, 58), make)?;
            self.text(area, name, (at + 12, 58), 14, text, HPos::Left)?;
            at += 40 + 7 * name.len() as i32;
        }
        Ok(())
    }

    fn dot(&self, area: &Area<'_>, at: (i32, i32), make: usize) -> Result<(), Failure> {
        let colour = self.theme.makes[make];
        if make + 1 == MAKES.len() {
            area.draw(&Circle::new(at, 5, self.theme.page.filled()))?;
            area.draw(&Circle::new(at, 5, colour.stroke_width(2)))?;
        } else {
            area.draw(&Circle::new(at, 5, colour.filled()))?;
        }
        Ok(())
    }

    fn rows(&self, area: &Area<'_>, rows: &[Row]) -> Result<(), Failure> {
        let decades = Decades::of(rows.iter());
        let height = (rows.len() as u32 * ROW) as i32;
        let (left, right) = (NAMES as i32, (WIDTH - MARGIN) as i32);
        let (top, bottom) = (TOP as i32, TOP as i32 + height);
        let x = |value: f64| left + decades.place(value, right - left);
        for (decade, label) in decades.marks() {
            let line = [(x(decade), top - 6), (x(decade), bottom)];
            area.draw(&PathElement::new(line.to_vec(), self.theme.grid))?;
            let at = (x(decade), bottom + 14);
            self.text(area, &label, at, 12, self.theme.faint, HPos::Center)?;
        }
        for (row, y) in rows
            .iter()
            .zip((top + ROW as i32 / 2..).step_by(ROW as usize))
        {
            let name = (left - 16, y);
            self.text(area, &row.name, name, 14, self.theme.text, HPos::Right)?;
            let figures = MAKES.iter().map(|(_, figure)| figure(row));
            let placed: Vec<(usize, i32)> = figures
                .enumerate()
                .filter(|(_, value)| value.is_finite())
                .map(|(make, value)| (make, x(value)))
                .collect();
            let least = placed.iter().map(|(_, x)| *x).min();
            let most = placed.iter().map(|(_, x)| *x).max();
            if let (Some(least), Some(most)) = (least, most) {
                let line = vec![(least, y), (most, y)];
                area.draw(&PathElement::new(line, self.theme.grid.stroke_width(3)))?;
            }
            // What matters most lies on top.
            for (make, x) in placed.into_iter().rev() {
                self.dot(area, (x, y), make)?;
            }
        }
        Ok(())
    }

    fn curves(&self, area: &Area<'_>, title: &str, points: &[(f64, Row)]) -> Result<(), Failure> {
        let Theme {
            text, faint, grid, ..
        } = self.theme;
        let (width, height) = area.dim_in_pixel();
        let (left, right) = (MARGIN as i32 + 34, width as i32 - MARGIN as i32);
        let (top, bottom) = (52, height as i32 - 40);
        self.text(area, title, (MARGIN as i32, 22), 16, text, HPos::Left)?;
        let across = Decades::covering(points.iter().map(|(x, _)| *x));
        let up = Decades::of(points.iter().map(|(_, row)| row));
        let x = |value: f64| left + across.place(value, right - left);
        let y = |value: f64| bottom - up.place(value, bottom - top);
        for (decade, label) in up.marks() {
            let line = vec![(left, y(decade)), (right, y(decade))];
            area.draw(&PathElement::new(line, grid))?;
            self.text(area, &label, (left - 8, y(decade)), 12, faint, HPos::Right)?;
        }
        for (decade, label) in across.marks() {
            let line = vec![(x(decade), top), (x(decade), bottom)];
            area.draw(&PathElement::new(line, grid))?;
            let at = (x(decade), bottom + 14);
            self.text(area, &label, at, 12, faint, HPos::Center)?;
        }
        for (make, (_, figure)) in MAKES.iter().enumerate().rev() {
            let line: Vec<(i32, i32)> = points
                .iter()
                .map(|(at, row)| (*at, figure(row)))
                .filter(|(_, value)| value.is_finite())
                .map(|(at, value)| (x(at), y(value)))
                .collect();
            let style = self.theme.makes[make].stroke_width(2);
            area.draw(&PathElement::new(line.clone(), style))?;
            for at in line {
                self.dot(area, at, make)?;
            }
        }
        Ok(())
    }
}

/// A logarithmic axis of whole decades.
struct Decades {
    first: i32,
    last: i32,
}

impl Decades {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        Self::covering(rows.flat_map(|row| MAKES.map(|(_, figure)| figure(row))))
    }

    fn covering(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|v| v.is_finite() && *v > 0.0).map(f64::log10);
        let (least, most) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), log| {
            (least.min(log), most.max(log))
        });
        if least > most {
            return Self { first: 0, last: 1 };
        }
        let first = least.floor() as i32;
        Self {
            first,
            last: (most.ceil() as i32).max(first + 1),
        }
    }

    /// Where a value lies on an axis that is so long.
    fn place(&self, value: f64, length: i32) -> i32 {
        let share = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        (share * f64::from(length)).round() as i32
    }

    /// The powers of ten, and how they are written.
    fn marks(&self) -> impl Iterator<Item = (f64, String)> {
        (self.first..=self.last).map(|power| {
            let label = match power {
                ..0 => format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power)),
                0..3 => format!("{:.0}", 10f64.powi(power)),
                _ => format!("{:.0},000", 10f64.powi(power - 3)),
            };
            (10f64.powi(power), label)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Goal;

    fn row(name: &str, ours: f64) -> Row {
        Row {
            name: name.into(),
            floor: ours / 2.0,
            ours,
            rmcp: 8.0 * ours,
            plain: f64::NAN,
            growth: None,
            goal: Goal::default(),
        }
    }

    #[test]
    fn all_that_was_measured_is_drawn() -> Result<(), Failure> {
        let plot = Plot {
            title: "a machine".into(),
            rows: vec![row("log line", 0.3), row("1 MiB", 1500.0)],
            in_flight: vec![(1.0, row("", 5.0)), (10_000.0, row("", 1.5))],
            connections: vec![(1.0, row("", 5.0)), (1000.0, row("", 4.5))],
        };
        for theme in [LIGHT, DARK] {
            let svg = plot.draw(theme)?;
            for text in ["a machine", "log line", "1 MiB", "this toolkit", "10,000"] {
                assert!(svg.contains(text), "{text}");
            }
            // Of each of four in the legend, of three in each row and at each step; the hollow one is two.
            assert_eq!(svg.matches("<circle").count(), 5 + 3 * 6);
        }
        Ok(())
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() -> Result<(), Failure> {
        Plot::default().draw(LIGHT)?;
        Ok(())
    }

    #[test]
    fn marks_are_written_as_people_do() {
        let decades = Decades::covering([0.02, 40_000.0].into_iter());
        let labels: Vec<String> = decades.marks().map(|(_, label)| label).collect();
        assert_eq!(
            labels,
            [
                "0.01", "0.1", "1", "10", "100", "1,000", "10,000", "100,000"
            ]
        );
        assert_eq!(decades.place(0.01, 700), 0);
        assert_eq!(decades.place(1.0, 700), 200);
    }
}
