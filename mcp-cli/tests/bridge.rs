//! `mcp bridge`, `mcp record` and `mcp replay`, run as processes.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{directory, everything, mcp, run, with_everything};

const ERAS: [&str; 2] = ["legacy", "modern"];
const MCP: &str = env!("CARGO_BIN_EXE_mcp");

/// A bridge that listens somewhere; killed if the test forgets it.
struct Bridge {
    child: Child,
    stderr: BufReader<ChildStderr>,
    target: String,
}

impl Bridge {
    fn start(args: &[&str]) -> Self {
        let mut child = mcp(args).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let target = line
            .strip_prefix("listening at ")
            .unwrap_or_else(|| panic!("{line}"));
        let target = target.trim_end().to_owned();
        Self {
            child,
            stderr,
            target,
        }
    }

    fn to_everything(listen: &str, args: &[&str]) -> Self {
        let mut all = vec!["bridge", listen];
        all.extend(args);
        all.extend(["--", everything()]);
        Self::start(&all)
    }

    fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.target.strip_prefix("tcp://").unwrap()).unwrap()
    }

    /// Asks it to stop, and returns its exit code and what else it has said.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        let status = wait(&mut self.child);
        let mut said = String::new();
        while self.stderr.read_line(&mut said).unwrap() > 0 {}
        (status, said)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It fails if it has ended, as it has if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says a line, and reads the answer.
fn ask(mut stream: impl Write, reader: &mut impl BufRead, line: &str) -> Value {
    writeln!(stream, "{line}").unwrap();
    read(reader)
}

fn read(reader: &mut impl BufRead) -> Value {
    let mut answer = String::new();
    reader.read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[test]
fn a_server_of_processes_becomes_one_of_a_socket() {
    let path = directory("bridge-unix").join("s");
    let listen = format!("unix:{}", path.display());
    let bridge = Bridge::to_everything(&listen, &[]);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for era in ERAS {
        // Each has a server of its own, so they can be there at the same time.
        let one = run(&["list", &listen, "--era", era]);
        assert_eq!(one.code, 0, "{one:?}");
        let _other = UnixStream::connect(&path).unwrap();
        let ran = run(&["call", &listen, "test_tool_with_progress", "--era", era]);
        assert_eq!(ran.out, "Progress was reported.\n");
        assert_eq!(
            ran.err,
            "progress   0/100\nprogress   50/100\nprogress   100/100\n"
        );
    }
    assert_eq!(bridge.stop(), (Some(0), String::new()));
    assert!(!path.exists());
}

#[test]
fn bridges_can_be_joined_and_questions_find_their_way_back() {
    let bridge = Bridge::to_everything("tcp://127.0.0.1:0", &[]);
    for era in ERAS {
        let args = [
            "call",
            "test_sampling",
            "prompt=p",
            "--llm-command",
            "echo yes",
            "--yes",
            "--era",
            era,
            "--",
            MCP,
            "bridge",
            "stdio",
            &bridge.target,
        ];
        let ran = run(&args);
        assert_eq!(ran.out, "LLM response: yes\n", "{ran:?}");
    }
    assert_eq!(bridge.stop().0, Some(0));
}

#[test]
fn what_is_no_message_goes_no_further_and_costs_no_connection() {
    let bridge = Bridge::to_everything("tcp://127.0.0.1:0", &["--max-message", "1000"]);
    let stream = bridge.tcp();
    let mut reader = BufReader::new(&stream);
    assert_eq!(ask(&stream, &mut reader, "{oops")["error"]["code"], -32700);
    assert_eq!(
        ask(&stream, &mut reader, &"x".repeat(2000))["error"]["code"],
        -32600
    );
    assert_eq!(
        ask(
            &stream,
            &mut reader,
            r#"{"jsonrpc":"1.0","id":7,"method":"m"}"#
        )["id"],
        7
    );
    assert_eq!(ask(&stream, &mut reader, PING)["id"], 1);
    drop(reader);
    drop(stream);
    assert_eq!(bridge.stop(), (Some(0), String::new()));
}

#[test]
fn one_client_more_than_the_limit_waits() {
    let bridge = Bridge::to_everything("tcp://127.0.0.1:0", &["--max-clients", "1"]);
    let first = bridge.tcp();
    let mut first_reader = BufReader::new(&first);
    assert_eq!(ask(&first, &mut first_reader, PING)["id"], 1);
    let second = bridge.tcp();
    writeln!(&second, "{PING}").unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let waits = BufReader::new(&second).read_line(&mut String::new());
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(ask(&first, &mut first_reader, PING)["id"], 1);
    drop(first_reader);
    drop(first);
    second
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(read(&mut BufReader::new(&second))["id"], 1);
}

#[test]
fn a_server_that_dies_or_is_silent_is_told() {
    let bridge = Bridge::start(&[
        "bridge",
        "tcp://127.0.0.1:0",
        "--idle",
        "0.3",
        "--",
        "sh",
        "-c",
        "read x; read y && { echo why >&2; exit 7; }; sleep 1000",
    ]);
    let stream = bridge.tcp();
    writeln!(&stream, "{PING}\n{PING}").unwrap();
    assert_eq!(
        BufReader::new(&stream)
            .read_line(&mut String::new())
            .unwrap(),
        0,
        "the end"
    );
    let silent = bridge.tcp();
    assert_eq!(
        BufReader::new(&silent)
            .read_line(&mut String::new())
            .unwrap(),
        0,
        "the end"
    );
    let (code, said) = bridge.stop();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("connection 1: `sh` ended by itself, exit status: 7; it said: why"),
        "{said}"
    );
    assert!(
        said.contains("connection 2: sh has said nothing for 300ms"),
        "{said}"
    );
    // For a client on stdin and stdout that is the exit code.
    let ran = run(&["bridge", "stdio", "--", "false"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let ran = run(&["bridge", "stdio", "tcp://127.0.0.1:1"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = run(&["bridge", "somewhere", "--", "cat"]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_session_is_recorded_and_played_back_on_either_side() {
    let directory = directory("record");
    for era in ERAS {
        let file = directory.join(format!("{era}.jsonl"));
        let file = file.to_str().unwrap();
        let ask = [
            "call",
            "test_sampling",
            "prompt=p",
            "--llm-command",
            "echo yes",
            "--yes",
            "--era",
            era,
            "--",
        ];
        let with = |server: &[&str]| {
            let mut all = ask.to_vec();
            all.extend(server);
            run(&all)
        };
        let recorded = with(&[MCP, "record", file, "--", everything()]);
        assert_eq!(
            (recorded.code, recorded.out.as_str()),
            (0, "LLM response: yes\n"),
            "{recorded:?}"
        );
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(
            lines
                .iter()
                .all(|l| l["ms"].is_number() && l["connection"] == 1 && l["message"].is_object())
        );
        let calls = lines
            .iter()
            .filter(|l| l["from"] == "client" && l["message"]["method"] == "tools/call");
        assert_eq!(calls.count(), if era == "legacy" { 1 } else { 2 });
        // As the server,
        let played = with(&[MCP, "replay", file]);
        assert_eq!((played.code, &played.out), (0, &recorded.out), "{played:?}");
        // and as the client.
        let played = run(&["replay", file, "--client", "--strict", "--", everything()]);
        assert_eq!((played.code, played.err.as_str()), (0, ""), "{played:?}");
        let other = run(&[
            "replay",
            file,
            "--client",
            "--timeout",
            "0.5",
            "--",
            MCP,
            "demo-server",
        ]);
        assert_eq!(other.code, 3, "{other:?}");
        assert!(
            other.err.contains("differs") || other.err.contains("instead came"),
            "{other:?}"
        );
        let other = run(&[
            "replay",
            file,
            "--client",
            "--timeout",
            "0.1",
            "--",
            "sleep",
            "1000",
        ]);
        assert_eq!(other.code, 5, "{other:?}");
    }
    let file = directory.join("none.jsonl");
    fs::write(&file, "{}\n").unwrap();
    let ran = run(&["replay", file.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{ran:?}");
    // What the recording does not have is told to be missing.
    let file = directory.join("modern.jsonl");
    let ran = run(&[
        "ping",
        "--era",
        "modern",
        "--timeout",
        "5",
        "--",
        MCP,
        "replay",
        "--timeout",
        "0.5",
        file.to_str().unwrap(),
    ]);
    assert_ne!(ran.code, 0, "{ran:?}");
}

#[test]
fn strict_replays_compare_bodies() {
    let file = directory("strict").join("r.jsonl");
    let file = file.to_str().unwrap();
    let ran = run(&[
        "read",
        "test://static-text",
        "--",
        MCP,
        "record",
        file,
        "--",
        everything(),
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(file)
        .unwrap()
        .replace("test://static-text", "test://watched-resource");
    // The question is another one now, and the answer that was recorded is not.
    let text = text.replacen("A text", "Another text", 1);
    fs::write(file, text).unwrap();
    let strict = run(&["replay", file, "--client", "--strict", "--", everything()]);
    let lenient = run(&["replay", file, "--client", "--", everything()]);
    assert_eq!(
        (strict.code, lenient.code),
        (3, 0),
        "{strict:?} {lenient:?}"
    );
    assert!(strict.err.contains("differs\n  recorded: {"), "{strict:?}");
}

#[test]
fn a_bridge_records_each_connection() {
    let file = directory("bridge-record").join("r.jsonl");
    let bridge = Bridge::to_everything(
        "tcp://127.0.0.1:0",
        &["--record", file.to_str().unwrap(), "--wire"],
    );
    for _ in 0..2 {
        assert_eq!(run(&["ping", &bridge.target]).code, 0);
    }
    let (_, said) = bridge.stop();
    assert!(said.contains("→ 2: server/discover  "), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    let connections: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["connection"].clone())
        .collect();
    assert!(connections.contains(&json!(1)) && connections.contains(&json!(2)));
    let ran = run(&[
        "replay",
        "--connection",
        "2",
        "--client",
        file.to_str().unwrap(),
        "--",
        everything(),
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run(&[
        "replay",
        "--connection",
        "3",
        "--client",
        file.to_str().unwrap(),
        "--",
        everything(),
    ]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(with_everything(&["ping"]).code, 0);
}
