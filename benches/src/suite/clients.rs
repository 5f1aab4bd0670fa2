//! Clients at work, clients and servers in one process, and connections that nobody uses.

use std::process::Command;

use benches::Failure;
use benches::report::{Goal, Row, grow};
use benches::task::{Outcome, Task, Tool};
use benches::wire::Era;

use super::{
    ERAS, FLAT, FLOOD, LARGE, MEMORY, Make, PIPELINED, SEQUENTIAL, Samples, Suite, calls, flood,
    mixed, printed, row, run,
};

/// What was measured of clients, a row for each task.
#[derive(Default)]
pub(crate) struct Clients {
    /// In microseconds for each message.
    pub(crate) cpu: Vec<Row>,
    /// In microseconds for each message.
    pub(crate) wall: Vec<Row>,
    /// In MiB.
    pub(crate) rss: Vec<Row>,
    /// What `cpu` has of small calls, by what is in flight, an era each.
    pub(crate) in_flight: [Vec<Row>; 2],
}

const CLIENTS: [Make; 3] = [Make::Floor, Make::Ours, Make::Rmcp];

impl Suite {
    /// Clients against the floor's server.
    pub(crate) fn clients(&mut self) -> Clients {
        let server = self.programs.join("server-floor");
        self.tasks("client", &CLIENTS, |suite, make, task| {
            let program = suite.programs.join(format!("client-{}", make.name()));
            run(Command::new(program).arg(&server).args(task.to_args()))
        })
    }

    /// Clients and servers in one process.
    pub(crate) fn pairs(&mut self) -> Clients {
        self.tasks(
            "in memory",
            &[Make::Ours, Make::Rmcp],
            |suite, make, task| {
                let program = suite.programs.join("pair");
                run(Command::new(program).arg(make.name()).args(task.to_args()))
            },
        )
    }

    fn tasks(
        &mut self,
        what: &str,
        makes: &[Make],
        measure: impl Fn(&Self, Make, Task) -> Result<Outcome, Failure>,
    ) -> Clients {
        let mut all = Clients::default();
        for (name, task, task_goal) in tasks() {
            let name = format!("{what}: {name}, {}", task.era);
            if !self.wants(&name) {
                continue;
            }
            let repetitions = self.repetitions();
            let samples = self.rounds(&name, makes, repetitions, |suite, make| {
                let count = suite.count(make, task);
                let outcome = measure(suite, make, Task { count, ..task })?;
                suite.note(&name, make, &outcome);
                Ok((count, outcome))
            });
            let figures = |figure: &dyn Fn(&Outcome, f64) -> f64| -> Samples<f64> {
                let of = |samples: &Vec<(usize, Outcome)>| {
                    let figures = samples.iter();
                    figures.map(|(count, o)| figure(o, *count as f64)).collect()
                };
                samples.iter().map(|(make, all)| (*make, of(all))).collect()
            };
            // In one process there is no floor, and no goal.
            let goal = |goal| match what {
                "client" => goal,
                _ => Goal::default(),
            };
            let small = task.tool == Tool::Echo && task.bytes < 1024;
            let sequential = match small && task.window == 1 {
                true => SEQUENTIAL,
                false => Goal::default(),
            };
            let cpu = figures(&|outcome, count| outcome.cpu as f64 / 1e3 / count);
            let wall = figures(&|outcome, count| outcome.wall as f64 / 1e3 / count);
            let rss = figures(&|outcome, _| outcome.rss as f64 / 1024.0);
            if small {
                all.in_flight[usize::from(task.era == Era::Modern)].push(row(
                    name.clone(),
                    goal(FLAT),
                    &cpu,
                ));
            }
            all.cpu.push(row(name.clone(), goal(task_goal), &cpu));
            all.wall.push(row(name.clone(), goal(sequential), &wall));
            all.rss.push(row(name, goal(MEMORY), &rss));
        }
        all.in_flight.iter_mut().for_each(|rows| grow(rows));
        all
    }

    /// Heap of a connection that was used once, in KiB.
    pub(crate) fn idle(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for era in ERAS {
            let name = format!("idle, {era}");
            if !self.wants(&name) {
                continue;
            }
            let samples = self.rounds(&name, &CLIENTS, 1, |suite, make| {
                let mut command = Command::new(suite.programs.join("idle"));
                command.args([make.name(), &era.to_string()]);
                let bytes: f64 = printed(&mut command)?.trim().parse()?;
                Ok(bytes / 1024.0)
            });
            let goal = Goal {
                of: "heap of an idle connection, KiB",
                absolute: Some(8.0),
                ..Goal::default()
            };
            rows.push(row(name, goal, &samples));
        }
        rows
    }
}

fn tasks() -> Vec<(&'static str, Task, Goal)> {
    let mut tasks = Vec::new();
    for era in ERAS {
        let none = Goal::default();
        tasks.extend([
            ("`echo` one after the other", calls(era, 5000, 1, 16), none),
            (
                "`echo`, 64 in flight",
                calls(era, 50_000, 64, 16),
                PIPELINED,
            ),
            (
                "`echo`, 1,024 in flight",
                calls(era, 50_000, 1024, 16),
                PIPELINED,
            ),
            (
                "`echo`, 10,000 in flight",
                calls(era, 50_000, 10_000, 16),
                PIPELINED,
            ),
            (
                "log line of a flood",
                flood(era, Tool::Flood, 100_000),
                FLOOD,
            ),
            (
                "progress update of a flood",
                flood(era, Tool::Progress, 100_000),
                FLOOD,
            ),
            ("calls, log lines and progress at once", mixed(era), none),
            ("`echo` of 1 MiB", calls(era, 60, 1, 1 << 20), LARGE),
        ]);
    }
    tasks
}
