//! What a call over HTTP costs, and an open stream: writes `RESULTS-http.md`, or prints only with `--quick`.

use std::fmt::Write;
use std::path::Path;

use benches::http::Make;
use benches::http::load::{Calls, Server};
use benches::report::{median, number};
use benches::wire::Era;
use benches::{Failure, process};

const CONNECTIONS: [usize; 3] = [1, 64, 1000];

/// What was measured of each make, in the order of [`Make::ALL`].
type Rounds = [Vec<Calls>; 4];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, calls, streams) = if quick {
        (1, 2_000, 500)
    } else {
        (9, 10_000, 10_000)
    };
    let program = std::env::current_exe()?.with_file_name("http-server");
    let mut out = String::new();
    let _ = writeln!(out, "{HEADER}");
    let _ = writeln!(out, "* Machine: {}", process::machine());
    let _ = writeln!(out, "* Versions: {}", versions());
    let load = process::load();
    let _ = writeln!(out, "* Load average when it began: {load:.2}\n");

    let mut measured = Vec::new();
    for era in [Era::Modern, Era::Legacy] {
        for connections in CONNECTIONS {
            let each = (calls / connections).clamp(5, 5_000);
            let name = format!("{era}, {connections}");
            let all = take_turns(&program, rounds, era, connections, each).await;
            let all = all.map_err(|e| format!("{name}: {e}"))?;
            measured.push((name, all));
        }
    }
    let _ = writeln!(out, "## Calls\n");
    let _ = writeln!(
        out,
        "A call of `echo` with 16 bytes; {calls} calls in each of {rounds} rounds (at least 5 on each connection), in which the makes take turns. The medians, of ratios within a round too. The server's CPU time for each call, in µs:\n"
    );
    let _ = writeln!(
        out,
        "| era, connections | floor | ours | rmcp | rmcp, JSON | ours/floor | rmcp/ours | rmcp, JSON/ours | rmcp/floor | goals |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    );
    for (name, rounds) in &measured {
        let _ = writeln!(out, "| {name} | {} |", costs(rounds).join(" | "));
    }
    let _ = writeln!(
        out,
        "\nAll connections together, and what 99 % of the calls took at most:\n"
    );
    let _ = writeln!(
        out,
        "| era, connections | calls/s: floor | ours | rmcp | rmcp, JSON | ms: floor | ours | rmcp | rmcp, JSON |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for (name, rounds) in &measured {
        let rates = medians(rounds, |calls| calls.rate);
        let p99s = medians(rounds, |calls| calls.p99 / 1e6);
        let cells: Vec<_> = rates.into_iter().chain(p99s).map(number).collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }

    let _ = writeln!(out, "\n## Open streams\n");
    let _ = writeln!(
        out,
        "KiB of resident memory for each of {streams} streams: `subscriptions/listen` in the modern era, a session and its GET in the legacy one.\n"
    );
    let _ = writeln!(out, "| era | floor | ours | rmcp |\n|---|---:|---:|---:|");
    for era in [Era::Modern, Era::Legacy] {
        let mut cells = Vec::new();
        for make in [Make::Floor, Make::Ours, Make::Rmcp] {
            eprintln!("{streams} streams, {era}, {make}");
            let server = Server::start(&program, make).await?;
            let bytes = server.streams(era, streams).await;
            cells.push(match bytes {
                Ok(bytes) => number(bytes / 1024.0),
                Err(error) => {
                    eprintln!("{make}: {error}");
                    "–".to_owned()
                }
            });
        }
        let _ = writeln!(out, "| {era} | {} |", cells.join(" | "));
    }
    print!("{out}");
    if !quick {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS-http.md");
        std::fs::write(results, out)?;
    }
    Ok(())
}

const HEADER: &str = "# Results over HTTP

Written by `cargo run --release -p benches`. Each make is a process on one thread; the load is another one, which writes
HTTP/1.1 by hand on connections that it keeps, one request at a time on each, and never sleeps: to be woken by an answer would take
CPU time of the server, which a client on another machine does not. The floor is hyper and serde_json: it reads a body, parses it once and answers,
and checks nothing. rmcp answers by a stream of events, which is how it comes, or by JSON. Where rmcp/floor is below 3, nothing that stands on hyper
takes three times less than rmcp: the floor does not. CPU time is the server's, of the kernel's part too, from `/proc/PID/task/*/schedstat`. Ratios mean
something on a loaded machine, times do not.
";

async fn take_turns(
    program: &Path,
    rounds: usize,
    era: Era,
    connections: usize,
    each: usize,
) -> Result<Rounds, Failure> {
    let mut all = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        for (make, calls) in Make::ALL.into_iter().zip(&mut all) {
            eprintln!("{era}, {connections} connections, {make}");
            let measured = async {
                let server = Server::start(program, make).await?;
                server.calls(era, connections, each).await
            };
            let measured = measured.await.map_err(|e| format!("{make}: {e}"))?;
            calls.push(measured);
        }
    }
    Ok(all)
}

fn medians(rounds: &Rounds, figure: fn(&Calls) -> f64) -> [f64; 4] {
    let make = |calls: &Vec<Calls>| median(calls.iter().map(figure).collect());
    rounds.each_ref().map(make)
}

/// What a call costs each make, and how that compares.
fn costs(rounds: &Rounds) -> Vec<String> {
    let ratio = |of: &[Calls], to: &[Calls]| {
        let rounds = of.iter().zip(to);
        median(rounds.map(|(of, to)| of.cpu / to.cpu).collect())
    };
    let [floor, ours, rmcp, json] = rounds;
    let above_floor = ratio(ours, floor);
    let below_rmcp = [rmcp, json].map(|rmcp| ratio(rmcp, ours));
    let mut cells: Vec<_> = medians(rounds, |calls| calls.cpu / 1e3).map(number).into();
    let floor_below_rmcp = ratio(rmcp, floor);
    let ratios = [above_floor, below_rmcp[0], below_rmcp[1], floor_below_rmcp];
    cells.extend(ratios.map(number));
    let mark = |met| if met { "✓" } else { "✗" };
    let [floor, rmcp, json] = [
        mark(above_floor <= 2.0),
        mark(below_rmcp[0] >= 3.0),
        mark(below_rmcp[1] >= 3.0),
    ];
    cells.push(format!("floor ×2 {floor}, rmcp ÷3 {rmcp}, JSON ÷3 {json}"));
    cells
}

/// What the lock file says.
fn versions() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let package = lock.split("[[package]]").find(|package| {
            package
                .lines()
                .any(|line| line == format!("name = \"{name}\""))
        });
        let line = package.and_then(|package| package.lines().find(|l| l.starts_with("version")));
        let version = line.and_then(|line| line.split('"').nth(1));
        format!("{name} {}", version.unwrap_or("?"))
    };
    ["rmcp", "hyper", "hyper-util", "tokio", "serde_json"]
        .map(version)
        .join(", ")
}
