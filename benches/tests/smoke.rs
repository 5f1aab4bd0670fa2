//! The programs that the benchmarks run do what they are asked: few messages, all of which come, in their order. Times are
//! measured, too, and decide nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use benches::Failure;
use benches::load::{Link, Load, Pace, cold_start};
use benches::task::{Outcome, Task, Tool};
use benches::wire::Era;

const FLOOR: &str = env!("CARGO_BIN_EXE_server-floor");
const OURS: &str = env!("CARGO_BIN_EXE_server-ours");
const RMCP: &str = env!("CARGO_BIN_EXE_server-rmcp");

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];
const TOOLS: [Tool; 5] = [
    Tool::Echo,
    Tool::Sum,
    Tool::Flood,
    Tool::Progress,
    Tool::Mixed,
];

fn task(era: Era, tool: Tool) -> Task {
    Task {
        era,
        tool,
        count: 60,
        window: 8,
        bytes: 300,
    }
}

/// All came, and in order if that is promised: rmcp hands each message to a task of its own.
fn check(what: &str, task: Task, outcome: &Outcome, ordered: bool) {
    assert_eq!(outcome.lost, 0, "{what}: {task}");
    assert!(outcome.cpu > 0 && outcome.rss > 0, "{what}: {task}");
    if ordered {
        assert_eq!(outcome.disordered, 0, "{what}: {task}");
    }
}

fn serve(server: &str, args: &[&str], link: Link, connections: usize) -> Result<(), Failure> {
    let what = format!("{server} {args:?} over {link:?}");
    for era in ERAS {
        for tool in TOOLS {
            let mut load = Load::start(Path::new(server), args, link, connections)?;
            load.open(era)?;
            for pace in [Pace::Steady, Pace::Bursts] {
                let measured = load.measure(task(era, tool), pace);
                let outcome = measured
                    .map_err(|e| format!("{what}, {tool:?}: {e}"))?
                    .outcome;
                check(&what, task(era, tool), &outcome, server != RMCP);
            }
        }
    }
    Ok(())
}

#[test]
fn servers_answer_over_stdio() -> Result<(), Failure> {
    serve(FLOOR, &[], Link::Stdio, 1)?;
    serve(OURS, &[], Link::Stdio, 1)?;
    serve(RMCP, &["--pipes"], Link::Stdio, 1)?;
    serve(RMCP, &[], Link::Stdio, 1)
}

#[test]
fn servers_answer_on_many_connections() -> Result<(), Failure> {
    for server in [FLOOR, OURS, RMCP] {
        serve(server, &[], Link::Unix, 10)?;
    }
    Ok(())
}

#[test]
fn servers_answer_over_web_sockets() -> Result<(), Failure> {
    for server in [FLOOR, OURS] {
        serve(server, &[], Link::Ws, 3)?;
    }
    Ok(())
}

#[test]
fn a_large_message_comes_back_whole() -> Result<(), Failure> {
    for (server, link) in [(OURS, Link::Stdio), (FLOOR, Link::Ws), (OURS, Link::Ws)] {
        let mut load = Load::start(Path::new(server), &[], link, 1)?;
        load.open(Era::Legacy)?;
        let large = Task {
            count: 2,
            window: 1,
            bytes: 1 << 20,
            ..task(Era::Legacy, Tool::Echo)
        };
        let measured = load.measure(large, Pace::Steady)?;
        check(server, large, &measured.outcome, true);
        assert_eq!(measured.latencies.len(), 2);
    }
    Ok(())
}

#[test]
fn servers_start() -> Result<(), Failure> {
    for server in [FLOOR, OURS, RMCP] {
        for era in ERAS {
            assert!(cold_start(Path::new(server), &[], era)?.wall > 0);
        }
    }
    Ok(())
}

#[test]
fn clients_do_their_tasks() -> Result<(), Failure> {
    for (client, first, ordered) in [
        (env!("CARGO_BIN_EXE_client-floor"), FLOOR, true),
        (env!("CARGO_BIN_EXE_client-ours"), FLOOR, true),
        (env!("CARGO_BIN_EXE_client-ours"), OURS, true),
        (env!("CARGO_BIN_EXE_client-rmcp"), FLOOR, false),
        (env!("CARGO_BIN_EXE_pair"), "ours", true),
        (env!("CARGO_BIN_EXE_pair"), "rmcp", false),
    ] {
        for era in ERAS {
            for tool in TOOLS {
                let task = task(era, tool);
                let printed = printed(Command::new(client).arg(first).args(task.to_args()))?;
                let outcome: Outcome = serde_json::from_str(&printed)?;
                check(&format!("{client} {first}"), task, &outcome, ordered);
            }
        }
    }
    Ok(())
}

#[test]
fn an_idle_connection_is_weighed() -> Result<(), Failure> {
    for make in ["floor", "ours", "rmcp"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idle"));
        let bytes: i64 = printed(command.args([make, "legacy", "20"]))?
            .trim()
            .parse()?;
        assert!(bytes > 0, "{make}: {bytes}");
    }
    Ok(())
}

fn printed(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}\n{said}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
