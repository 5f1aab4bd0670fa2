//! What is measured, of which makes, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
        if self.quick { 1 } else { 3 }
    }

    /// Repetitions of a cold start.
    pub(crate) fn starts(&self) -> usize {
        if self.quick { 4 } else { 40 }
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

    /// Measures once for each repetition and make; the makes take turns. One that has failed is not tried again: it may have
    /// taken all the time it had.
    fn rounds<T>(
        &mut self,
        name: &str,
        makes: &[Make],
        repetitions: usize,
        mut measure: impl FnMut(&mut Self, Make) -> Result<T, Failure>,
    ) -> Samples<T> {
        let mut samples = Samples::new();
        let mut makes = makes.to_vec();
        for round in 0..repetitions {
            for make in turns(&makes, round) {
                match measure(self, make) {
                    Ok(sample) => samples.entry(make).or_insert_with(Vec::new).push(sample),
                    Err(failure) => {
                        self.failed(name, make, &failure);
                        makes.retain(|other| *other != make);
                    }
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

/// How long a program may take that measures itself; the longest one takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program prints.
pub(crate) fn printed(command: &mut Command) -> Result<String, Failure> {
    printed_within(PATIENCE, command)
}

/// What a program prints, which is ended if it takes longer.
fn printed_within(patience: Duration, command: &mut Command) -> Result<String, Failure> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("no stdout")?;
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        // Nobody waits for it any more if the program was given up.
        let _ = sender.send(stdout.read_to_string(&mut text).map(|_| text));
    });
    let printed = printed.recv_timeout(patience);
    if printed.is_err() {
        // It may have ended this very moment.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let Ok(printed) = printed else {
        return Err(format!("{command:?}: given up after {patience:?}").into());
    };
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(printed?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let mut hangs = Command::new("sleep");
        let given_up = printed_within(Duration::from_millis(50), hangs.arg("1000"));
        let error = given_up.unwrap_err().to_string();
        assert!(error.contains("given up after 50ms"), "{error}");
        let printed = printed(Command::new("echo").arg("1")).unwrap();
        assert_eq!(printed, "1\n");
    }

    #[test]
    fn what_has_failed_is_not_tried_again() {
        let mut suite = Suite {
            programs: PathBuf::new(),
            quick: false,
            only: None,
            faults: BTreeMap::new(),
        };
        let mut tried = Vec::new();
        let samples = suite.rounds("task", &[Make::Floor, Make::Ours], 3, |_, make| {
            tried.push(make);
            match make {
                Make::Ours => Err("hangs".into()),
                _ => Ok(1.0),
            }
        });
        assert_eq!(tried.iter().filter(|make| **make == Make::Ours).count(), 1);
        assert_eq!(samples[&Make::Floor].len(), 3);
        assert_eq!(suite.faults["task, ours"], "hangs");
    }
}
