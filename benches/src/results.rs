//! Everything that was measured, in Markdown and as a plot.

use std::fmt::Write;
use std::process::Command;

use benches::Failure;
use benches::plot::Plot;
use benches::process::{self, Ticks};
use benches::report::{Row, goals, grow, table};
use benches::wire::Era;

use crate::suite::{Clients, Served, Suite, printed};

/// What all parts of the suite have measured.
#[derive(Default)]
pub(crate) struct Results {
    calls: Vec<Served>,
    floods: Vec<Served>,
    payloads: Vec<Served>,
    connections: Vec<Served>,
    web_sockets: Vec<Served>,
    cold_starts: Vec<Row>,
    clients: Clients,
    pairs: Clients,
    idle: Vec<Row>,
    /// Load averages: before each part, and at the end.
    loads: Vec<f64>,
    /// The share of the processors' time that other processes had.
    others: f64,
}

/// With more for others, figures are not to be trusted.
const DISTURBED: f64 = 0.1;

impl Results {
    /// Measures; what does not work is noted in the suite. After each part `save` sees what there is until then: a run that is
    /// broken off has not been for nothing.
    pub(crate) fn measure(
        suite: &mut Suite,
        mut save: impl FnMut(&Self, &Suite) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let before = Ticks::now();
        let mut all = Self::default();
        let parts: [fn(&mut Self, &mut Suite); 9] = [
            |all, suite| all.calls = suite.calls(),
            |all, suite| all.floods = suite.floods(),
            |all, suite| all.payloads = suite.payloads(),
            |all, suite| all.connections = suite.connections(),
            |all, suite| all.web_sockets = suite.web_sockets(),
            |all, suite| all.cold_starts = suite.cold_starts(),
            |all, suite| all.clients = suite.clients(),
            |all, suite| all.pairs = suite.pairs(),
            |all, suite| all.idle = suite.idle(),
        ];
        for measure in parts {
            all.loads.push(process::load());
            measure(&mut all, suite);
            all.others = before.others();
            save(&all, suite)?;
        }
        all.loads.push(process::load());
        Ok(all)
    }

    /// As it stands in `RESULTS.md`.
    pub(crate) fn markdown(&self, suite: &Suite) -> String {
        let mut out = String::new();
        let rows = |all: &[&[Served]], figure: fn(&Served) -> Row| -> Vec<Row> {
            all.iter().copied().flatten().map(figure).collect()
        };
        let stdio: [&[Served]; 3] = [&self.calls, &self.floods, &self.payloads];
        let everywhere: Vec<&[Served]> = stdio
            .into_iter()
            .chain([&*self.connections, &*self.web_sockets])
            .collect();
        let sequential: Vec<&Served> = everywhere
            .iter()
            .copied()
            .flatten()
            .filter(|served| served.is_sequential())
            .collect();
        let p50: Vec<Row> = sequential.iter().map(|served| served.p50()).collect();
        let p99: Vec<Row> = sequential.iter().map(|served| served.p99()).collect();
        let cpu = rows(&stdio, Served::cpu);
        let rss = rows(&everywhere, Served::rss);
        let mut in_flight = Vec::new();
        let mut connections = Vec::new();
        for era in [Era::Legacy, Era::Modern] {
            in_flight.extend(self.in_flight(era));
            connections.extend(self.connections(era));
        }
        let client_in_flight = self.clients.in_flight.concat();

        self.head(&mut out, suite);
        let parts: [&[Row]; 11] = [
            &cpu,
            &p50,
            &self.cold_starts,
            &rss,
            &self.idle,
            &in_flight,
            &connections,
            &self.clients.cpu,
            &self.clients.wall,
            &self.clients.rss,
            &client_in_flight,
        ];
        line(&mut out, "## Goals\n");
        line(&mut out, GOALS);
        goals(&mut out, &parts.concat());
        line(&mut out, MISSED);
        line(
            &mut out,
            "## Server: CPU of the process for each message, µs\n",
        );
        table(&mut out, "over stdio", &cpu);
        line(
            &mut out,
            "Growth is against the least of the rows with fewer, of the same era.\n",
        );
        table(&mut out, "calls in flight, over stdio", &in_flight);
        line(&mut out, BURSTS);
        table(&mut out, "connections, over Unix sockets", &connections);
        line(
            &mut out,
            "rmcp has no WebSocket; the floor's is tokio-tungstenite.\n",
        );
        let web_sockets = rows(&[&self.web_sockets], Served::cpu);
        table(&mut out, "over WebSocket", &web_sockets);
        line(&mut out, "## Server: time\n");
        table(&mut out, "one after the other, p50, µs", &p50);
        table(&mut out, "one after the other, p99, µs", &p99);
        let what = "from the start of the process to the first answer, ms";
        table(&mut out, what, &self.cold_starts);
        folded(&mut out, "Wall time for each message, µs", |out| {
            table(out, "", &rows(&everywhere, Served::wall));
        });
        line(&mut out, "## Server: memory\n");
        table(&mut out, "heap of an idle connection, KiB", &self.idle);
        folded(&mut out, "Peak RSS, MiB", |out| table(out, "", &rss));
        line(
            &mut out,
            "## Client: CPU of the process for each message, µs\n",
        );
        let what = "against the floor's server, over stdio";
        table(&mut out, what, &self.clients.cpu);
        table(&mut out, "calls in flight", &client_in_flight);
        folded(&mut out, "Wall time for each message, µs", |out| {
            table(out, "", &self.clients.wall);
        });
        folded(&mut out, "Peak RSS, MiB", |out| {
            table(out, "", &self.clients.rss);
        });
        line(
            &mut out,
            "## Client and server in one process: CPU for each message, µs\n",
        );
        table(
            &mut out,
            "no floor: nothing is serialised but bodies",
            &self.pairs.cpu,
        );
        line(&mut out, "## Loss and order\n");
        if suite.faults.is_empty() {
            line(&mut out, "Nothing was lost, nothing came out of order.");
        }
        for (what, fault) in &suite.faults {
            line(&mut out, &format!("* {what}: {fault}"));
        }
        out
    }

    /// What it was measured on, and how quiet it was.
    fn head(&self, out: &mut String, suite: &Suite) {
        line(out, "# What a message costs\n");
        line(
            out,
            &format!(
                "Written by `cargo run --release -p benches`. {}; rustc {}; rmcp {}, tokio {}, serde_json {}, tokio-tungstenite {}.\n",
                process::machine(),
                rustc(),
                version("rmcp"),
                version("tokio"),
                version("serde_json"),
                version("tokio-tungstenite"),
            ),
        );
        let loads: Vec<String> = self.loads.iter().map(|load| format!("{load:.1}")).collect();
        let verdict = if self.others > DISTURBED {
            "**It was not quiet**: times are too long, and only ratios within a row mean something"
        } else {
            "It was quiet"
        };
        line(
            out,
            &format!(
                "Load average at the start, between the parts and at the end: {}; the benchmarks themselves make up to two. Other processes had {:.0} % of the \
                 processors' time. {verdict}.\n",
                loads.join(", "),
                100.0 * self.others,
            ),
        );
        line(
            out,
            &format!(
                "Every figure is the median of {} repetitions, a cold start's of {}, in each of which the makes take turns; the heap of an idle connection \
                 was counted once. *floor* is tokio and serde_json \
                 without an SDK, *rmcp* is the official SDK over `stdio_pipes()`, *plain stdio* the same over `stdio()`. All run on one thread.\n",
                suite.repetitions(),
                suite.starts(),
            ),
        );
        line(out, PICTURE);
    }

    /// The plot.
    pub(crate) fn plot(&self) -> Plot {
        let modern = |all: &[Served]| -> Vec<Row> {
            let all = all.iter().filter(|served| served.era() == Era::Modern);
            all.map(Served::cpu).collect()
        };
        let suffix = format!(", {}", Era::Modern);
        let mut rows = [
            modern(&self.calls),
            modern(&self.floods),
            modern(&self.payloads),
        ]
        .concat();
        for row in &mut rows {
            row.name = row.name.replace(&suffix, "").replace('`', "");
        }
        let of_modern = |all: &[Served], by: fn(&Served) -> Option<usize>| {
            let all = all.iter().filter(|served| served.era() == Era::Modern);
            all.filter_map(|served| Some((by(served)? as f64, served.flat())))
                .collect()
        };
        Plot {
            title: [
                &*process::machine(),
                "revision 2026-07-28",
                if self.others > DISTURBED {
                    "not quiet"
                } else {
                    "quiet"
                },
            ]
            .join(" · "),
            rows,
            in_flight: of_modern(&self.calls, Served::in_flight),
            connections: of_modern(&self.connections, |served| Some(served.connections())),
        }
    }

    fn in_flight(&self, era: Era) -> Vec<Row> {
        let all = self.calls.iter().filter(|served| served.era() == era);
        let mut rows: Vec<Row> = all
            .filter(|served| served.in_flight().is_some())
            .map(Served::flat)
            .collect();
        grow(&mut rows);
        rows
    }

    fn connections(&self, era: Era) -> Vec<Row> {
        let all = self.connections.iter().filter(|served| served.era() == era);
        let mut rows: Vec<Row> = all.map(Served::flat).collect();
        grow(&mut rows);
        rows
    }
}

const GOALS: &str = "Goals against rmcp are judged twice. They were set on its plain `stdio()`, the transport that its documentation shows first: \
                     21.5 µs for a pipelined call and 12 µs for a log line, before a line was written here. `stdio_pipes()` is the faster one.\n";

const MISSED: &str = "\
### Where a goal is missed

What the profile shows, and what it would take; [PROFILE.md](PROFILE.md) has the counts.

* **Against rmcp over `stdio_pipes()`**: the floor itself is 8 to 10 times better than that in instructions, and less where the kernel's part is
  large, as for one call after the other. It would take a server that does not parse what it reads.
* **Calls with few in flight, one after the other**: the system calls are the floor's, one read, one write and one wait (`strace -c`). The rest is
  twice the floor's instructions, each time with caches that have gone cold. It would take half of these instructions.
* **10,000 in flight at a client, and flat up to there and to 1,000 connections**: instructions grow by 12 and 4 %. The rest are caches: a client's call
  keeps 0.8 KiB, its future and what the tables have of it, and a server's connection 6 to 8 KiB; the floor keeps nothing for a call and 1 KiB for a
  connection. It would take calls without a future of their own, and buffers that connections share.
* **A log line of a flood, at a server**: 3,000 instructions, of which 440 are the tool's own `format!`, 520 escape it and put it into its
  envelope, 500 write the line, and 450 pass it from the handler to the driver. It would take handlers that write into the connection's buffer themselves.
* **A flood, at a client**: 2,400 of 5,900 instructions for a line check that it is JSON and find its members, 1,200 read it into a type whose texts
  are its own. It would take one pass for both, and texts that keep the buffer they came in.
* **1 MiB**: what is left are copies that an owned text needs, fresh pages for them, and two checks for UTF-8. It would take texts that borrow.
* **Peak memory**: 4.5 of 6.6 MiB are pages of the executable, of which rmcp's has 2.9: JSON Schema, with its regular expressions, is more than half
  of it, and the kernel maps 64 KiB around each page that is touched (`/proc/PID/smaps`). The heap is 68 KiB. It would take schemas behind a feature.
* **Cold start**: twice the floor's instructions, and more pages of the executable to touch and to relocate, for the same reason.
";

const BURSTS: &str = "On each connection eight calls are written at once, and the next eight when all are answered: so a server reads as many at a \
                      time however many connections there are.\n";

const PICTURE: &str = "\
<picture>
  <source media=\"(prefers-color-scheme: dark)\" srcset=\"results-dark.svg\">
  <img alt=\"CPU time of a server for each message, by what it does, by calls in flight and by connections\" src=\"results.svg\">
</picture>
";

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// A part that is there to be opened.
fn folded(out: &mut String, what: &str, part: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "<details>\n<summary>{what}</summary>\n");
    part(out);
    let _ = writeln!(out, "</details>\n");
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
