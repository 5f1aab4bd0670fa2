//! What is measured, of which makes, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use benches::Failure;
use benches::report::{Goal, Row, median};
use benches::task::{Outcome, Task, Tool};
use benches::wire::Era;

mod clients;
mod servers;

pub(crate) use clients::Clients;
pub(crate) use servers::Served;

/// The makes, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Make {
    Floor,
    Ours,
    Rmcp,
    /// rmcp over the stdio transport that its documentation shows first.
    Plain,
}

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

impl Make {
    /// As it stands in the names of programs.
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Rmcp | Self::Plain => "rmcp",
        }
    }
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "rmcp, plain stdio",
            make => make.name(),
        })
    }
}

/// What is measured of one make, once for each repetition.
type Samples<T> = BTreeMap<Make, Vec<T>>;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Where the programs are that are measured.
    pub(crate) programs: PathBuf,
    /// Few messages, once.
    pub(crate) quick: bool,
    /// Only what has this in its name.
    pub(crate) only: Option<String>,
    /// What was lost, out of order or did not work at all, in the words of the report.
    pub(crate) faults: BTreeMap<String, String>,
}

impl Suite {
    pub(crate) fn repetitions(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// How many messages of a task that the floor does in a tenth of a second or less.
    fn count(&self, make: Make, task: Task) -> usize {
        let count = if self.quick {
            task.count / 10
        } else {
            task.count
        };
        let count = match make {
            Make::Floor | Make::Ours => count,
            Make::Rmcp => count / 5,
            Make::Plain => count / 10,
        };
        // With less than twice as many, there are never so many in flight for long.
        count.max(2 * task.window)
    }

    fn note(&mut self, name: &str, make: Make, outcome: &Outcome) {
        let Outcome {
            lost, disordered, ..
        } = outcome;
        if *lost > 0 || *disordered > 0 {
            let fault = format!("{lost} lost, {disordered} out of order");
            self.faults.insert(format!("{name}, {make}"), fault);
        }
    }

    fn failed(&mut self, name: &str, make: Make, failure: &Failure) {
        eprintln!("{name}, {make}: {failure}");
        self.faults
            .insert(format!("{name}, {make}"), failure.to_string());
    }

    /// Measures once for each repetition and make; the makes take turns.
    fn rounds<T>(
        &mut self,
        name: &str,
        makes: &[Make],
        repetitions: usize,
        mut measure: impl FnMut(&mut Self, Make) -> Result<T, Failure>,
    ) -> Samples<T> {
        let mut samples = Samples::new();
        for round in 0..repetitions {
            for make in turns(makes, round) {
                match measure(self, make) {
                    Ok(sample) => samples.entry(make).or_insert_with(Vec::new).push(sample),
                    Err(failure) => self.failed(name, make, &failure),
                }
            }
        }
        eprintln!("{name}");
        samples
    }
}

/// The makes, beginning with another one each round, and in both directions: who comes after whom changes, too.
fn turns(makes: &[Make], round: usize) -> Vec<Make> {
    let mut turns = makes.to_vec();
    if !turns.is_empty() {
        turns.rotate_left(round / 2 % makes.len());
    }
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

fn row(name: String, goal: Goal, samples: &Samples<f64>) -> Row {
    let of = |make| {
        samples
            .get(&make)
            .map_or(f64::NAN, |values| median(values.clone()))
    };
    Row {
        name,
        floor: of(Make::Floor),
        ours: of(Make::Ours),
        rmcp: of(Make::Rmcp),
        plain: of(Make::Plain),
        growth: None,
        goal,
    }
}

/// The result that a program prints.
fn run(command: &mut Command) -> Result<Outcome, Failure> {
    let printed = printed(command)?;
    serde_json::from_str(&printed).map_err(|e| format!("{command:?}: {e}").into())
}

/// What a program prints.
pub(crate) fn printed(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

// ---- the tasks that servers and clients have in common ----

fn calls(era: Era, count: usize, window: usize, bytes: usize) -> Task {
    Task {
        era,
        tool: Tool::Echo,
        count,
        window,
        bytes,
    }
}

/// One call of `tool` that makes many messages.
fn flood(era: Era, tool: Tool, count: usize) -> Task {
    Task {
        era,
        tool,
        count,
        window: 1,
        bytes: 0,
    }
}

fn mixed(era: Era) -> Task {
    Task {
        tool: Tool::Mixed,
        ..calls(era, 90_000, 64, 16)
    }
}

const PIPELINED: Goal = Goal {
    of: "pipelined calls, CPU",
    floor: Some(4.0),
    rmcp: Some(10.0),
    absolute: None,
    growth: None,
};
const FLOOD: Goal = Goal {
    of: "floods of log lines and progress, CPU",
    floor: None,
    rmcp: Some(25.0),
    absolute: Some(0.5),
    growth: None,
};
const LARGE: Goal = Goal {
    of: "1 MiB echoed, CPU",
    floor: Some(1.5),
    rmcp: None,
    absolute: None,
    growth: None,
};
const SEQUENTIAL: Goal = Goal {
    of: "one call after the other, time to the answer",
    floor: Some(1.3),
    rmcp: None,
    absolute: None,
    growth: None,
};
const MEMORY: Goal = Goal {
    of: "peak memory",
    floor: None,
    rmcp: Some(1.0),
    absolute: None,
    growth: None,
};
const FLAT: Goal = Goal {
    of: "CPU for each call, whatever is in flight or connected",
    floor: None,
    rmcp: None,
    absolute: None,
    growth: Some(1.2),
};
