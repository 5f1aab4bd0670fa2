//! A bar that moves: how far a call is, how fast, and how long it will take.

use std::fmt::Write;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar below the lines.
pub(super) struct Bar {
    bar: ProgressBar,
    colours: bool,
}

/// Parts of a unit; progress need not be a whole number.
const PARTS: f64 = 1000.0;

impl Bar {
    pub(super) fn new(term: &Term, colours: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(term)).with_prefix("progress");
        bar.set_style(style(false, colours));
        // The rest of the time goes down also between two updates.
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, colours }
    }

    pub(super) fn set(&self, progress: f64, total: Option<f64>, message: String) {
        let total = total.filter(|total| *total > 0.0);
        let length = total.map(parts);
        if length != self.bar.length() {
            self.bar.set_style(style(length.is_some(), self.colours));
            match length {
                Some(length) => self.bar.set_length(length),
                None => self.bar.unset_length(),
            }
        }
        let of = total.map(|total| format!("/{total}")).unwrap_or_default();
        let text = format!("{progress}{of} {message}");
        self.bar.set_message(text.trim_end().to_owned());
        self.bar.set_position(parts(progress));
    }

    /// Prints something above it.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes it off the screen for a while.
    pub(super) fn hide(&self, term: &Term) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        // The bar itself does not wipe away what it has drawn there. It fails if the terminal is gone.
        let _ = term.clear_line();
    }

    pub(super) fn reappear(&self, term: &Term) {
        self.bar.set_draw_target(target(term));
    }

    /// Leaves it on the screen as it is.
    pub(super) fn leave(&self) {
        self.bar.abandon();
    }

    /// Takes it off the screen.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn target(term: &Term) -> ProgressDrawTarget {
    ProgressDrawTarget::term(term.clone(), 20)
}

/// Nothing below zero, and nothing too large to be drawn.
fn parts(units: f64) -> u64 {
    (units * PARTS) as u64
}

fn style(known: bool, colours: bool) -> ProgressStyle {
    let template = match (known, colours) {
        (true, true) => "{prefix:10.blue} {bar:20.blue/dim} {wide_msg} {rate:.dim} {left:.dim}",
        (true, false) => "{prefix:10} {bar:20} {wide_msg} {rate} {left}",
        (false, true) => "{prefix:10.blue} {spinner:.blue} {wide_msg} {rate:.dim}",
        (false, false) => "{prefix:10} {spinner} {wide_msg} {rate}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let rate = state.per_sec() / PARTS;
            let _ = match rate {
                rate if !rate.is_normal() => Ok(()),
                rate if rate < 10.0 => write!(out, "{rate:.1}/s"),
                rate => write!(out, "{rate:.0}/s"),
            };
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn Write| {
            let seconds = state.eta().as_secs();
            let _ = match seconds {
                0 => Ok(()),
                1..60 => write!(out, "{seconds} s left"),
                60..3600 => write!(out, "{}:{:02} left", seconds / 60, seconds % 60),
                _ => write!(out, "{} h left", seconds / 3600),
            };
        })
}
