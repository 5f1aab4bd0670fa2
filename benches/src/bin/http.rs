//! What a call over HTTP costs, and an open stream: writes `RESULTS-http.md`, or prints only with `--quick`.

use std::fmt::Write;
use std::path::Path;

use benches::http::Make;
use benches::http::load::{Calls, Server};
use benches::report::{median, number};
use benches::wire::Era;
use benches::{Failure, process};

const CONNECTIONS: [usize; 3] = [1, 64, 1000];

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

    let _ = writeln!(out, "## Calls\n");
    let _ = writeln!(
        out,
        "A call of `echo` with 16 bytes; {calls} calls in each of {rounds} rounds (at least 5 on each connection), in which the makes take turns. The medians, of ratios within a round too:\n"
    );
    let _ = writeln!(
        out,
        "| era, connections | CPU µs: floor | ours | rmcp | ours/floor | rmcp/ours | calls/s: floor | ours | rmcp | p99 ms: floor | ours | rmcp | goals |"
    );
    let _ = writeln!(
        out,
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    );
    for era in [Era::Modern, Era::Legacy] {
        for connections in CONNECTIONS {
            let each = (calls / connections).clamp(5, 5_000);
            let name = format!("{era}, {connections}");
            match take_turns(&program, rounds, era, connections, each).await {
                Ok(measured) => row(&mut out, &name, &measured),
                Err(error) => drop(writeln!(out, "| {name} | {error} |")),
            }
        }
    }

    let _ = writeln!(out, "\n## Open streams\n");
    let _ = writeln!(
        out,
        "KiB of resident memory for each of {streams} streams: `subscriptions/listen` in the modern era, a session and its GET in the legacy one.\n"
    );
    let _ = writeln!(out, "| era | floor | ours | rmcp |\n|---|---:|---:|---:|");
    for era in [Era::Modern, Era::Legacy] {
        let mut cells = Vec::new();
        for make in Make::ALL {
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
HTTP/1.1 by hand on connections that it keeps, one request at a time on each. The floor is hyper and serde_json: it reads a body, parses
it once and answers, and checks nothing. CPU time is the server's, of the kernel's part too, from `/proc/PID/task/*/schedstat`.
Ratios mean something on a loaded machine, times do not.
";

async fn take_turns(
    program: &Path,
    rounds: usize,
    era: Era,
    connections: usize,
    each: usize,
) -> Result<[Vec<Calls>; 3], Failure> {
    let mut all = [const { Vec::new() }; 3];
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

fn row(out: &mut String, name: &str, rounds: &[Vec<Calls>; 3]) {
    let ratio = |of: &[Calls], to: &[Calls]| {
        let rounds = of.iter().zip(to);
        median(rounds.map(|(of, to)| of.cpu / to.cpu).collect())
    };
    let [floor, ours, rmcp] = rounds;
    let (against_floor, against_rmcp) = (ratio(ours, floor), ratio(rmcp, ours));
    let [floor, ours, rmcp] = &rounds.each_ref().map(|calls| {
        let of = |figure: fn(&Calls) -> f64| median(calls.iter().map(figure).collect());
        Calls {
            cpu: of(|calls| calls.cpu),
            rate: of(|calls| calls.rate),
            p99: of(|calls| calls.p99),
        }
    });
    let mark = |met| if met { "✓" } else { "✗" };
    let mut cells = vec![name.to_owned()];
    let us = |calls: &Calls| number(calls.cpu / 1e3);
    cells.extend([us(floor), us(ours), us(rmcp)]);
    cells.extend([number(against_floor), number(against_rmcp)]);
    cells.extend([floor, ours, rmcp].map(|calls| number(calls.rate)));
    cells.extend([floor, ours, rmcp].map(|calls| number(calls.p99 / 1e6)));
    cells.push(format!(
        "floor ×2 {}, rmcp ÷3 {}",
        mark(against_floor <= 2.0),
        mark(against_rmcp >= 3.0)
    ));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
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
