//! Runs all benchmarks and writes `RESULTS.md`: `cargo run --release -p benches [-- --quick] [FILTER]`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use benches::Failure;
use benches::load::{Load, Measured, cold_start};
use benches::process;
use benches::report::{Goal, Row, median, table};
use benches::task::{Outcome, Task, Tool};
use benches::wire::Era;

/// The makes, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Make {
    Floor,
    Ours,
    Rmcp,
    /// rmcp over the stdio transport that its documentation shows first.
    Plain,
}

const SERVERS: [Make; 4] = [Make::Floor, Make::Ours, Make::Rmcp, Make::Plain];
const CLIENTS: [Make; 3] = [Make::Floor, Make::Ours, Make::Rmcp];
const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

impl Make {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Rmcp | Self::Plain => "rmcp",
        }
    }
}

struct Bench {
    programs: PathBuf,
    quick: bool,
    filter: Option<String>,
    /// What was lost or out of order, in the words of the report.
    faults: BTreeMap<String, String>,
}

/// What is measured of one make, once for each repetition.
type Samples<T> = BTreeMap<Make, Vec<T>>;

fn main() -> Result<(), Failure> {
    let mut quick = false;
    let mut filter = None;
    for arg in std::env::args().skip(1) {
        match &*arg {
            "--quick" => quick = true,
            _ => filter = Some(arg),
        }
    }
    let programs = build()?;
    let mut bench = Bench {
        programs,
        quick,
        filter,
        faults: BTreeMap::new(),
    };
    let loads = vec![process::load()];
    let report = bench.report(loads)?;
    print!("{report}");
    if bench.filter.is_none() && !bench.quick {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md"), report)?;
    }
    Ok(())
}

/// The makes, beginning with another one each round: who comes first also comes after the last one's end.
fn turns(makes: &[Make], round: usize) -> impl Iterator<Item = Make> {
    let len = makes.len();
    makes.iter().copied().cycle().skip(round % len).take(len)
}

/// Builds the programs that are measured, each a process of its own; says where they are.
fn build() -> Result<PathBuf, Failure> {
    if cfg!(debug_assertions) {
        return Err("only with --release is there something to measure".into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--bins", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .status()?;
    if !status.success() {
        return Err("the programs do not build".into());
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().map(Path::to_owned).ok_or("no directory")?)
}

impl Bench {
    fn report(&mut self, mut loads: Vec<f64>) -> Result<String, Failure> {
        let mut out = String::new();
        let calls = self.calls()?;
        let floods = self.floods()?;
        let payloads = self.payloads()?;
        loads.push(process::load());
        let cold = self.cold()?;
        let clients = self.clients()?;
        let pairs = self.pairs()?;
        let idle = self.idle()?;
        loads.push(process::load());

        let loads: Vec<String> = loads.iter().map(|load| format!("{load:.1}")).collect();
        writeln!(out, "# What a message costs\n")?;
        writeln!(
            out,
            "Written by `cargo run --release -p benches`. {}; rustc {}; rmcp {}, tokio {}, serde_json {}. Load average at the start, in between \
             and at the end: {}; where it exceeds the number of cores, others ran too, and only the ratios mean something.\n",
            process::machine(),
            rustc(),
            version("rmcp"),
            version("tokio"),
            version("serde_json"),
            loads.join(", "),
        )?;
        writeln!(
            out,
            "Every figure is the median of {} repetitions, in each of which the makes take turns. *floor* is tokio and serde_json \
             without an SDK, *rmcp* is the official SDK over `stdio_pipes()`, *plain stdio* the same over `stdio()`. All run on one thread.\n",
            self.repetitions()
        )?;
        writeln!(out, "## Server: CPU of the process for each message, µs\n")?;
        let all: Vec<&Served> = calls.iter().chain(&floods).chain(&payloads).collect();
        table(
            &mut out,
            "over stdio",
            &rows(&all, |served| served.cpu.clone()),
        );
        writeln!(out, "## Server: wall time\n")?;
        let sequential: Vec<&Served> = calls.iter().filter(|s| s.sequential).collect();
        table(
            &mut out,
            "one after the other, p50, µs",
            &rows(&sequential, |s| s.p50.clone()),
        );
        table(
            &mut out,
            "one after the other, p99, µs",
            &rows(&sequential, |s| s.p99.clone()),
        );
        table(
            &mut out,
            "for each message, µs",
            &rows(&all, |s| s.wall.clone()),
        );
        table(
            &mut out,
            "from the start of the process to the first answer, ms",
            &cold,
        );
        writeln!(out, "## Server: memory\n")?;
        table(&mut out, "peak RSS, MiB", &rows(&all, |s| s.rss.clone()));
        table(&mut out, "heap of an idle connection, KiB", &idle);
        writeln!(out, "## Client: CPU of the process for each message, µs\n")?;
        table(&mut out, "against the floor's server, over stdio", &clients);
        writeln!(
            out,
            "## Client and server in one process: CPU for each message, µs\n"
        )?;
        table(&mut out, "in memory", &pairs);
        writeln!(
            out,
            "What the profile shows where a goal is missed is in [PROFILE.md](PROFILE.md).\n\n## Loss and order\n"
        )?;
        if self.faults.is_empty() {
            writeln!(out, "Nothing was lost, nothing came out of order.")?;
        }
        for (what, fault) in &self.faults {
            writeln!(out, "* {what}: {fault}")?;
        }
        Ok(out)
    }

    fn repetitions(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    /// How many of something that the floor does in a tenth of a second or less.
    fn count(&self, make: Make, count: usize) -> usize {
        let count = if self.quick { count / 10 } else { count };
        match make {
            Make::Floor | Make::Ours => count,
            Make::Rmcp => count / 5,
            Make::Plain => count / 10,
        }
        .max(4)
    }

    fn wants(&self, name: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter))
    }

    fn server(&self, make: Make) -> (PathBuf, &'static [&'static str]) {
        let args: &[&str] = match make {
            Make::Rmcp => &["--pipes"],
            _ => &[],
        };
        (self.programs.join(format!("server-{}", make.name())), args)
    }

    fn calls(&mut self) -> Result<Vec<Served>, Failure> {
        let mut all = Vec::new();
        for era in ERAS {
            for window in [1, 8, 64, 1024] {
                let goal = match window {
                    1 => Goal::default(),
                    _ => Goal {
                        floor: Some(4.0),
                        rmcp: Some(10.0),
                        absolute: None,
                    },
                };
                let name = match window {
                    1 => format!("`echo` one after the other, {era}"),
                    window => format!("`echo`, {window} in flight, {era}"),
                };
                let count = if window == 1 { 5_000 } else { 50_000 };
                let task = Task {
                    era,
                    tool: Tool::Echo,
                    count,
                    window,
                    bytes: 16,
                };
                all.extend(self.serve(name, task, goal)?);
            }
            let goal = Goal {
                floor: Some(4.0),
                rmcp: Some(10.0),
                absolute: None,
            };
            let task = Task {
                era,
                tool: Tool::Sum,
                count: 50_000,
                window: 64,
                bytes: 0,
            };
            all.extend(self.serve(format!("`sum`, 64 in flight, {era}"), task, goal)?);
        }
        Ok(all)
    }

    fn floods(&mut self) -> Result<Vec<Served>, Failure> {
        let mut all = Vec::new();
        let goal = Goal {
            floor: None,
            rmcp: Some(25.0),
            absolute: Some(0.5),
        };
        for era in ERAS {
            for (tool, what) in [
                (Tool::Flood, "log line"),
                (Tool::Progress, "progress update"),
            ] {
                let task = Task {
                    era,
                    tool,
                    count: 100_000,
                    window: 1,
                    bytes: 0,
                };
                all.extend(self.serve(format!("{what} of a flood, {era}"), task, goal)?);
            }
        }
        Ok(all)
    }

    fn payloads(&mut self) -> Result<Vec<Served>, Failure> {
        let mut all = Vec::new();
        for era in ERAS {
            for (bytes, what, count, window) in [
                (1 << 10, "1 KiB", 20_000, 8),
                (64 << 10, "64 KiB", 1000, 4),
                (1 << 20, "1 MiB", 60, 1),
                (8 << 20, "8 MiB", 8, 1),
            ] {
                let mut goal = Goal::default();
                if bytes == 1 << 20 {
                    goal.floor = Some(1.5);
                }
                let task = Task {
                    era,
                    tool: Tool::Echo,
                    count,
                    window,
                    bytes,
                };
                all.extend(self.serve(format!("`echo` of {what}, {era}"), task, goal)?);
            }
        }
        Ok(all)
    }

    fn serve(&mut self, name: String, task: Task, goal: Goal) -> Result<Option<Served>, Failure> {
        if !self.wants(&name) {
            return Ok(None);
        }
        let mut samples: Samples<(usize, Measured)> = BTreeMap::new();
        for round in 0..self.repetitions() {
            for make in turns(&SERVERS, round) {
                let count = self.count(make, task.count);
                let (program, args) = self.server(make);
                let mut load = Load::start(&program, args)?;
                load.open(task.era)?;
                let measured = load.measure(Task { count, ..task });
                let measured = measured.map_err(|e| format!("{name}, {make:?}: {e}"))?;
                self.note(&name, make, &measured.outcome);
                samples.entry(make).or_default().push((count, measured));
            }
        }
        eprintln!("{name}");
        Ok(Some(Served::new(
            name,
            task.window == 1 && !task.tool.is_flood() && task.bytes < 1024,
            goal,
            samples,
        )))
    }

    fn note(&mut self, name: &str, make: Make, outcome: &Outcome) {
        if outcome.lost > 0 || outcome.disordered > 0 {
            let fault = format!("{} lost, {} out of order", outcome.lost, outcome.disordered);
            self.faults
                .insert(format!("{name}, {}", make.name()), fault);
        }
    }

    fn cold(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for era in ERAS {
            let name = format!("{era}");
            if !self.wants("cold") {
                continue;
            }
            let mut samples: Samples<f64> = BTreeMap::new();
            for round in 0..if self.quick { 4 } else { 40 } {
                for make in turns(&SERVERS, round) {
                    let (program, args) = self.server(make);
                    let outcome = cold_start(&program, args, era)?;
                    samples
                        .entry(make)
                        .or_default()
                        .push(outcome.wall as f64 / 1e6);
                }
            }
            let goal = Goal {
                floor: Some(1.5),
                ..Goal::default()
            };
            rows.push(row(name, goal, &samples));
        }
        Ok(rows)
    }

    fn clients(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        let server = self.programs.join("server-floor");
        for (name, task, goal) in client_tasks() {
            let name = format!("{name}, {}", task.era);
            if !self.wants(&format!("client {name}")) {
                continue;
            }
            let mut samples: Samples<f64> = BTreeMap::new();
            for round in 0..self.repetitions() {
                for make in turns(&CLIENTS, round) {
                    let task = Task {
                        count: self.count(make, task.count),
                        ..task
                    };
                    let program = self.programs.join(format!("client-{}", make.name()));
                    let outcome = run(Command::new(program).arg(&server).args(task.to_args()))?;
                    self.note(&format!("client, {name}"), make, &outcome);
                    let cpu = outcome.cpu as f64 / 1e3 / task.count as f64;
                    samples.entry(make).or_default().push(cpu);
                }
            }
            eprintln!("client {name}");
            rows.push(row(name, goal, &samples));
        }
        Ok(rows)
    }

    fn pairs(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for (name, task, _) in client_tasks() {
            let name = format!("{name}, {}", task.era);
            if !self.wants(&format!("pair {name}")) {
                continue;
            }
            let mut samples: Samples<f64> = BTreeMap::new();
            for round in 0..self.repetitions() {
                for make in turns(&[Make::Ours, Make::Rmcp], round) {
                    let task = Task {
                        count: self.count(make, task.count),
                        ..task
                    };
                    let program = self.programs.join("pair");
                    let outcome = run(Command::new(program).arg(make.name()).args(task.to_args()))?;
                    self.note(&format!("in memory, {name}"), make, &outcome);
                    let cpu = outcome.cpu as f64 / 1e3 / task.count as f64;
                    samples.entry(make).or_default().push(cpu);
                }
            }
            eprintln!("pair {name}");
            rows.push(row(name, Goal::default(), &samples));
        }
        Ok(rows)
    }

    fn idle(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for era in ERAS {
            if !self.wants("idle") {
                continue;
            }
            let mut samples: Samples<f64> = BTreeMap::new();
            for make in CLIENTS {
                let mut command = Command::new(self.programs.join("idle"));
                command.args([make.name(), &era.to_string()]);
                let bytes: f64 = printed(&mut command)?.trim().parse()?;
                samples.entry(make).or_default().push(bytes / 1024.0);
            }
            let goal = Goal {
                absolute: Some(8.0),
                ..Goal::default()
            };
            rows.push(row(format!("{era}"), goal, &samples));
        }
        Ok(rows)
    }
}

/// The same for the client alone and for both sides in memory.
fn client_tasks() -> Vec<(&'static str, Task, Goal)> {
    let mut tasks = Vec::new();
    for era in ERAS {
        let call = |count, window, bytes| Task {
            era,
            tool: Tool::Echo,
            count,
            window,
            bytes,
        };
        let pipelined = Goal {
            floor: Some(4.0),
            rmcp: Some(10.0),
            absolute: None,
        };
        let flood = Goal {
            floor: None,
            rmcp: Some(25.0),
            absolute: Some(0.5),
        };
        let large = Goal {
            floor: Some(1.5),
            ..Goal::default()
        };
        let notifications = |tool| Task {
            era,
            tool,
            count: 100_000,
            window: 1,
            bytes: 0,
        };
        tasks.extend([
            (
                "`echo` one after the other",
                call(5_000, 1, 16),
                Goal::default(),
            ),
            ("`echo`, 64 in flight", call(50_000, 64, 16), pipelined),
            ("`echo`, 1024 in flight", call(50_000, 1024, 16), pipelined),
            ("log line of a flood", notifications(Tool::Flood), flood),
            (
                "progress update of a flood",
                notifications(Tool::Progress),
                flood,
            ),
            ("`echo` of 1 MiB", call(60, 1, 1 << 20), large),
        ]);
    }
    tasks
}

/// A scenario on a server, for each make the median of each figure.
struct Served {
    name: String,
    sequential: bool,
    goal: Goal,
    cpu: BTreeMap<Make, f64>,
    wall: BTreeMap<Make, f64>,
    p50: BTreeMap<Make, f64>,
    p99: BTreeMap<Make, f64>,
    rss: BTreeMap<Make, f64>,
}

impl Served {
    fn new(
        name: String,
        sequential: bool,
        goal: Goal,
        samples: Samples<(usize, Measured)>,
    ) -> Self {
        let medians = |figure: &dyn Fn(usize, &Measured) -> f64| {
            samples
                .iter()
                .map(|(make, samples)| {
                    let figures = samples
                        .iter()
                        .map(|(count, measured)| figure(*count, measured));
                    (*make, median(figures.collect()))
                })
                .collect()
        };
        let quantile = |measured: &Measured, q: f64| {
            let mut sorted = measured.latencies.clone();
            sorted.sort_unstable();
            let at = (sorted.len() as f64 * q) as usize;
            sorted.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
        };
        Self {
            name,
            sequential,
            goal,
            cpu: medians(&|count, m| m.outcome.cpu as f64 / 1e3 / count as f64),
            wall: medians(&|count, m| m.outcome.wall as f64 / 1e3 / count as f64),
            p50: medians(&|_, m| quantile(m, 0.5)),
            p99: medians(&|_, m| quantile(m, 0.99)),
            rss: medians(&|_, m| m.rss as f64 / 1024.0),
        }
    }
}

fn rows(all: &[&Served], figure: impl Fn(&Served) -> BTreeMap<Make, f64>) -> Vec<Row> {
    all.iter()
        .map(|served| {
            let figures = figure(served);
            // What a goal is about: the answer times of sequential calls, the CPU time of all others.
            let goal = if figures == served.p50 {
                Goal {
                    floor: Some(1.3),
                    ..Goal::default()
                }
            } else if figures == served.cpu {
                served.goal
            } else {
                Goal::default()
            };
            let samples = figures
                .into_iter()
                .map(|(make, value)| (make, vec![value]))
                .collect();
            row(served.name.clone(), goal, &samples)
        })
        .collect()
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
        goal,
    }
}

fn run(command: &mut Command) -> Result<Outcome, Failure> {
    let printed = printed(command)?;
    serde_json::from_str(&printed).map_err(|e| format!("{command:?}: {e}").into())
}

fn printed(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The version of a dependency, as it is locked.
fn version(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = lock
        .split_once(&entry)
        .and_then(|(_, rest)| rest.split('"').next());
    version.unwrap_or("?").to_owned()
}

fn rustc() -> String {
    let version = printed(Command::new("rustc").arg("--version")).unwrap_or_default();
    version.split(' ').nth(1).unwrap_or("?").to_owned()
}
