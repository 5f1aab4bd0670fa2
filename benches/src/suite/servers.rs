//! Servers under load.

use std::collections::BTreeMap;
use std::path::PathBuf;

use benches::load::{Link, Load, Measured, Pace, cold_start};
use benches::report::{Goal, Row, median};
use benches::task::{Task, Tool};
use benches::wire::Era;

use super::{
    ERAS, FLAT, FLOOD, LARGE, MEMORY, Make, PIPELINED, SEQUENTIAL, Samples, Suite, calls, flood,
    mixed, row,
};

/// What a server is to do, and how it is reached.
struct Scenario {
    name: String,
    task: Task,
    link: Link,
    connections: usize,
    pace: Pace,
    /// For the CPU time.
    goal: Goal,
}

impl Scenario {
    fn new(name: String, task: Task, goal: Goal) -> Self {
        Self {
            name,
            task,
            link: Link::Stdio,
            connections: 1,
            pace: Pace::Steady,
            goal,
        }
    }

    /// Who can be reached so.
    fn makes(&self) -> &'static [Make] {
        match self.link {
            Link::Stdio => &[Make::Floor, Make::Ours, Make::Rmcp, Make::Plain],
            Link::Unix => &[Make::Floor, Make::Ours, Make::Rmcp],
            Link::Ws => &[Make::Floor, Make::Ours],
        }
    }
}

/// A scenario that was measured: for each make the median of each figure.
pub(crate) struct Served {
    scenario: Scenario,
    cpu: Samples<f64>,
    wall: Samples<f64>,
    p50: Samples<f64>,
    p99: Samples<f64>,
    rss: Samples<f64>,
}

impl Served {
    fn new(scenario: Scenario, samples: &Samples<(usize, Measured)>) -> Self {
        let medians = |figure: &dyn Fn(usize, &Measured) -> f64| {
            let of = |samples: &[(usize, Measured)]| {
                let figures = samples.iter().map(|(count, m)| figure(*count, m));
                vec![median(figures.collect())]
            };
            let figures = samples.iter().map(|(make, samples)| (*make, of(samples)));
            figures.collect::<BTreeMap<_, _>>()
        };
        let quantile = |measured: &Measured, q: f64| {
            let mut sorted = measured.latencies.clone();
            sorted.sort_unstable();
            let at = (sorted.len() as f64 * q) as usize;
            sorted.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
        };
        Self {
            scenario,
            cpu: medians(&|count, m| m.outcome.cpu as f64 / 1e3 / count as f64),
            wall: medians(&|count, m| m.outcome.wall as f64 / 1e3 / count as f64),
            p50: medians(&|_, m| quantile(m, 0.5)),
            p99: medians(&|_, m| quantile(m, 0.99)),
            rss: medians(&|_, m| m.outcome.rss as f64 / 1024.0),
        }
    }

    pub(crate) fn is_sequential(&self) -> bool {
        let task = self.scenario.task;
        task.window == 1 && task.tool == Tool::Echo && task.bytes < 1024
    }

    pub(crate) fn era(&self) -> Era {
        self.scenario.task.era
    }

    /// Calls in flight, if that is what it is about.
    pub(crate) fn in_flight(&self) -> Option<usize> {
        let task = self.scenario.task;
        let small = task.tool == Tool::Echo && task.bytes < 1024;
        (small && self.scenario.link == Link::Stdio).then_some(task.window)
    }

    pub(crate) fn connections(&self) -> usize {
        self.scenario.connections
    }

    fn row(&self, goal: Goal, samples: &Samples<f64>) -> Row {
        row(self.scenario.name.clone(), goal, samples)
    }

    pub(crate) fn cpu(&self) -> Row {
        self.row(self.scenario.goal, &self.cpu)
    }

    /// As [`cpu`](Self::cpu), for a table of how it grows.
    pub(crate) fn flat(&self) -> Row {
        self.row(FLAT, &self.cpu)
    }

    pub(crate) fn wall(&self) -> Row {
        self.row(Goal::default(), &self.wall)
    }

    pub(crate) fn p50(&self) -> Row {
        self.row(SEQUENTIAL, &self.p50)
    }

    pub(crate) fn p99(&self) -> Row {
        self.row(Goal::default(), &self.p99)
    }

    pub(crate) fn rss(&self) -> Row {
        // There is nobody to compare with over WebSocket.
        let goal = match self.scenario.link {
            Link::Ws => Goal::default(),
            Link::Stdio | Link::Unix => MEMORY,
        };
        self.row(goal, &self.rss)
    }
}

impl Suite {
    /// Calls on one connection over stdio, of all kinds.
    pub(crate) fn calls(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        for era in ERAS {
            for (window, what) in WINDOWS {
                let (name, count, goal) = match window {
                    1 => ("`echo` one after the other".into(), 5000, Goal::default()),
                    _ => (format!("`echo`, {what} in flight"), 50_000, PIPELINED),
                };
                let task = calls(era, count, window, 16);
                all.extend(self.serve(Scenario::new(format!("{name}, {era}"), task, goal)));
            }
            let task = Task {
                tool: Tool::Sum,
                ..calls(era, 50_000, 64, 0)
            };
            let name = format!("`sum`, 64 in flight, {era}");
            all.extend(self.serve(Scenario::new(name, task, PIPELINED)));
        }
        all
    }

    /// Notifications over stdio, alone and among calls.
    pub(crate) fn floods(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        for era in ERAS {
            for (tool, what) in FLOODS {
                let task = flood(era, tool, 100_000);
                all.extend(self.serve(Scenario::new(format!("{what}, {era}"), task, FLOOD)));
            }
            let name = format!("calls, log lines and progress at once, {era}");
            all.extend(self.serve(Scenario::new(name, mixed(era), Goal::default())));
        }
        all
    }

    /// Large messages over stdio.
    pub(crate) fn payloads(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        for era in ERAS {
            for (bytes, what, count, window) in [
                (1 << 10, "1 KiB", 20_000, 8),
                (64 << 10, "64 KiB", 1000, 4),
                (1 << 20, "1 MiB", 60, 1),
                (8 << 20, "8 MiB", 8, 1),
            ] {
                let goal = match bytes {
                    0x10_0000 => LARGE,
                    _ => Goal::default(),
                };
                let task = calls(era, count, window, bytes);
                let name = format!("`echo` of {what}, {era}");
                all.extend(self.serve(Scenario::new(name, task, goal)));
            }
        }
        all
    }

    /// Many connections over Unix sockets, eight calls on each in one write.
    pub(crate) fn connections(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        for era in ERAS {
            for (connections, what) in [
                (1, "1 connection"),
                (10, "10 connections"),
                (100, "100 connections"),
                (1000, "1,000 connections"),
            ] {
                let name = format!("{what}, {era}");
                all.extend(self.serve(Scenario {
                    link: Link::Unix,
                    connections,
                    pace: Pace::Bursts,
                    ..Scenario::new(name, calls(era, 40_000, 8, 16), Goal::default())
                }));
            }
        }
        all
    }

    /// The same as over stdio, over WebSocket.
    pub(crate) fn web_sockets(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        for era in ERAS {
            let mut tasks = vec![
                ("`echo` one after the other", calls(era, 5000, 1, 16)),
                ("`echo`, 64 in flight", calls(era, 50_000, 64, 16)),
            ];
            tasks.extend(FLOODS.map(|(tool, what)| (what, flood(era, tool, 100_000))));
            tasks.push(("`echo` of 1 MiB", calls(era, 60, 1, 1 << 20)));
            for (what, task) in tasks {
                all.extend(self.serve(Scenario {
                    link: Link::Ws,
                    ..Scenario::new(format!("WebSocket: {what}, {era}"), task, Goal::default())
                }));
            }
        }
        all
    }

    fn serve(&mut self, scenario: Scenario) -> Option<Served> {
        let Scenario {
            name,
            task,
            link,
            connections,
            pace,
            ..
        } = &scenario;
        if !self.wants(name) {
            return None;
        }
        let repetitions = self.repetitions();
        let samples = self.rounds(name, scenario.makes(), repetitions, |suite, make| {
            let each = suite.count(make, *task).div_ceil(*connections);
            let each = each.max(2 * task.window);
            let (program, args) = suite.server(make);
            let mut load = Load::start(&program, args, *link, *connections)?;
            load.open(task.era)?;
            let measured = load.measure(
                Task {
                    count: each,
                    ..*task
                },
                *pace,
            )?;
            suite.note(name, make, &measured.outcome);
            Ok((each * connections, measured))
        });
        Some(Served::new(scenario, &samples))
    }

    fn server(&self, make: Make) -> (PathBuf, &'static [&'static str]) {
        let args: &[&str] = match make {
            Make::Rmcp => &["--pipes"],
            _ => &[],
        };
        (self.programs.join(format!("server-{}", make.name())), args)
    }

    /// From the start of the process to the first answer, in milliseconds.
    pub(crate) fn cold_starts(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        let makes = [Make::Floor, Make::Ours, Make::Rmcp, Make::Plain];
        for era in ERAS {
            let name = format!("cold start, {era}");
            if !self.wants(&name) {
                continue;
            }
            let starts = self.starts();
            let samples = self.rounds(&name, &makes, starts, |suite, make| {
                let (program, args) = suite.server(make);
                Ok(cold_start(&program, args, era)?.wall as f64 / 1e6)
            });
            let goal = Goal {
                of: "cold start to the first answer",
                floor: Some(1.5),
                ..Goal::default()
            };
            rows.push(row(name, goal, &samples));
        }
        rows
    }
}

const WINDOWS: [(usize, &str); 5] = [
    (1, "1"),
    (8, "8"),
    (64, "64"),
    (1024, "1,024"),
    (10_000, "10,000"),
];

const FLOODS: [(Tool, &str); 2] = [
    (Tool::Flood, "log line of a flood"),
    (Tool::Progress, "progress update of a flood"),
];
