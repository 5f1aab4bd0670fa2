//! Nothing is left behind, however often and however it ends. A file of its own: it counts what the whole process holds.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_transport_stdio::{ChildProcess, ChildTransport, Exited, Stderr};
use mcp_types::{Inbound, Message};

const CYCLES: usize = 500;

/// How many are under way at a time: more than there are processors.
const AT_ONCE: usize = 10;

/// Cycles in which the client itself is killed: a whole process each.
const KILLED_CLIENTS: usize = 20;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(50);

/// A variable of the environment by which the processes of one test are known, whoever their parent is by now.
const MARK: &str = "MCP_CYCLES";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// The client closes, the server ends with its stdin.
    Closed,
    /// The client drops the transport.
    Dropped,
    /// The server ignores the end of its stdin and SIGTERM.
    Stubborn,
    /// The server has started others, which run on.
    Forked,
    /// The server is killed in the middle of its answer.
    Killed,
    /// The server exits in the middle of its answer, and others keep its stdout open.
    Exited,
}

const ENDINGS: [Ending; 6] = [
    Ending::Closed,
    Ending::Dropped,
    Ending::Stubborn,
    Ending::Forked,
    Ending::Killed,
    Ending::Exited,
];

impl Ending {
    fn script(self) -> &'static str {
        match self {
            Self::Closed | Self::Dropped => "exec cat",
            Self::Stubborn => {
                "trap '' TERM; read -r line; echo \"$line\"; while :; do sleep 1000; done"
            }
            Self::Forked => "sleep 1000 & (sleep 1000 &) ; exec cat",
            Self::Killed => {
                "read -r line; echo \"$line\"; read -r line; printf '{\"jsonrpc\":\"2.0\",'; kill -KILL $$"
            }
            Self::Exited => {
                "sleep 1000 & read -r line; echo \"$line\"; read -r line; printf '{\"jsonrpc\"'; exit 3"
            }
        }
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it hangs")
}

async fn echoed(child: &mut ChildTransport, n: usize) {
    let ping = Message::request(n as i64, "ping", None);
    within(child.send(ping.clone().into())).await.unwrap();
    assert_eq!(
        within(child.next()).await.unwrap().unwrap(),
        Inbound::Message(ping)
    );
}

async fn cycle(n: usize, mark: &str) {
    let ending = ENDINGS[n % ENDINGS.len()];
    let mut child = ChildProcess::new("/bin/sh")
        .args(["-c", ending.script()])
        .env(MARK, mark)
        .stderr(Stderr::Capture(1));
    if n.is_multiple_of(7) {
        child = child.die_with_parent();
    }
    child = match ending {
        Ending::Stubborn | Ending::Exited => child.grace(SHORT, SHORT),
        // Who ends in good order does so when there is a processor for it.
        _ => child.grace(LONG, LONG),
    };
    let mut child = child.spawn().unwrap();
    echoed(&mut child, n).await;
    let mut monitor = child.monitor();
    match ending {
        Ending::Dropped => {}
        Ending::Closed | Ending::Stubborn | Ending::Forked => within(child.close()).await.unwrap(),
        Ending::Killed | Ending::Exited => {
            let ping = Message::request(1, "ping", None);
            within(child.send(ping.into())).await.unwrap();
            let broken = loop {
                match within(child.next()).await.unwrap() {
                    // Half an answer is no message.
                    Ok(item) => assert!(matches!(item, Inbound::Malformed(_)), "{item:?}"),
                    Err(error) => break Exited::of(&error).unwrap().clone(),
                }
            };
            assert!(broken.status.is_some(), "{broken}");
        }
    }
    drop(child);
    let status = within(monitor.wait()).await.unwrap();
    let expected = match ending {
        Ending::Closed | Ending::Forked => (Some(0), None),
        Ending::Exited => (Some(3), None),
        Ending::Dropped | Ending::Stubborn | Ending::Killed => (None, Some(9)),
    };
    assert_eq!((status.code(), status.signal()), expected, "{ending:?}");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Of this process: running or not yet reaped.
fn children() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Processes with the mark, whoever their parent is.
fn marked(mark: &str) -> Vec<String> {
    let mark = format!("{MARK}={mark}\0");
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environment = [b"\0", &*environment].concat();
            let mark = [b"\0", mark.as_bytes()].concat();
            environment.windows(mark.len()).any(|part| part == mark)
        })
        .collect()
}

/// What a function returns once it has come to `goal`: who is told to end closes what they hold a moment later.
async fn settled<T: PartialEq>(goal: &T, what: impl Fn() -> T) -> T {
    for _ in 0..2000 {
        if what() == *goal {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    what()
}

#[tokio::test]
async fn many_cycles_leave_no_process_and_no_descriptor() {
    let mark = std::process::id().to_string();
    // The first one has also made what the runtime keeps.
    cycle(0, &mark).await;
    assert_eq!(settled(&Vec::new(), children).await, [""; 0]);
    let before = descriptors();
    let cycles = futures::stream::iter(1..CYCLES).map(|n| cycle(n, &mark));
    cycles.buffer_unordered(AT_ONCE).collect::<()>().await;
    assert_eq!(settled(&before, descriptors).await, before);
    assert_eq!(settled(&Vec::new(), children).await, [""; 0]);
    assert_eq!(settled(&Vec::new(), || marked(&mark)).await, [""; 0]);
    killed_clients().await;
}

/// A client that is killed; run below.
#[test]
#[ignore = "not a test by itself"]
fn client_to_be_killed() {
    let mark = std::env::var(MARK).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut children = Vec::new();
        for ending in [Ending::Stubborn, Ending::Forked, Ending::Closed] {
            let child = ChildProcess::new("/bin/sh").args(["-c", ending.script()]);
            let mut child = child.env(MARK, &mark).die_with_parent().spawn().unwrap();
            echoed(&mut child, 1).await;
            children.push(child);
        }
        println!("\nready");
        std::future::pending::<()>().await;
    });
}

async fn killed_clients() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mark = format!("{}-killed", std::process::id());
    for n in 0..KILLED_CLIENTS {
        let mut client = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "client_to_be_killed", "--nocapture"])
            .env(MARK, &mark)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
        let ready = async { while lines.next_line().await.unwrap().unwrap() != "ready" {} };
        within(ready).await;
        if n == 0 {
            // The client, three servers, and what two of them have started.
            assert!(marked(&mark).len() >= 6, "{:?}", marked(&mark));
        }
        client.kill().await.unwrap();
    }
    assert_eq!(settled(&Vec::new(), || marked(&mark)).await, [""; 0]);
}
