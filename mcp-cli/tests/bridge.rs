//! `mcp bridge`, `mcp record` and `mcp replay`, run as processes.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{directory, everything, mcp, run, run_with_stdin, terminate, wait, with_everything};

const ERAS: [&str; 2] = ["legacy", "modern"];
const MCP: &str = env!("CARGO_BIN_EXE_mcp");

/// A bridge that listens somewhere; killed if the test forgets it.
struct Bridge {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
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
            stderr: Some(stderr),
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
        terminate(&self.child);
        let status = wait(&mut self.child);
        let mut said = String::new();
        if let Some(stderr) = &mut self.stderr {
            stderr.read_to_string(&mut said).unwrap();
        }
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

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
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
fn a_server_says_no_longer_messages_than_are_passed_on() {
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"x":"{}"}}}}"#,
        "x".repeat(2000)
    );
    let script = format!("read x; echo '{long}'; read x");
    for shared in ["--shared", "--max-clients=1"] {
        let listen = [
            "bridge",
            "tcp://127.0.0.1:0",
            shared,
            "--max-message",
            "1000",
        ];
        let bridge = Bridge::start(&[&listen[..], &["--", "sh", "-c", &script]].concat());
        let stream = bridge.tcp();
        let answer = ask(&stream, &mut BufReader::new(&stream), PING);
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(1), &json!(-32603))
        );
    }
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
fn a_bridge_goes_on_when_nobody_reads_what_it_says() {
    let mut bridge = Bridge::start(&["bridge", "tcp://127.0.0.1:0", "--", "/no/such/program"]);
    bridge.stderr = None;
    for _ in 0..2 {
        let ended = bridge.tcp().read(&mut [0]);
        assert_eq!(ended.unwrap(), 0, "its server cannot be started");
    }
    assert_eq!(bridge.stop().0, Some(0));
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
    let mut bridge = mcp(&["bridge", "stdio", "--", "false"]);
    let mut bridge = bridge.stdin(Stdio::piped()).spawn().unwrap();
    // Its client is there until the end.
    let _stdin = bridge.stdin.take();
    assert_eq!(wait(&mut bridge), Some(3));
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

#[test]
fn one_server_serves_several_clients() {
    let path = directory("bridge-shared").join("s");
    let listen = format!("unix:{}", path.display());
    // A server that says with each connection that it was started.
    let script = format!(
        "echo started >>{}; exec {}",
        path.with_extension("log").display(),
        everything()
    );
    let bridge = Bridge::start(&["bridge", &listen, "--shared", "--", "sh", "-c", &script]);
    std::thread::scope(|scope| {
        for era in ERAS.iter().cycle().take(6) {
            let listen = &listen;
            scope.spawn(move || {
                let ran = run(&["call", listen, "test_tool_with_progress", "--era", era]);
                assert_eq!(ran.out, "Progress was reported.\n", "{ran:?}");
                assert_eq!(
                    ran.err,
                    "progress   0/100\nprogress   50/100\nprogress   100/100\n"
                );
            });
        }
    });
    // Each says for itself what it can do; in the legacy era the first one has said it for all.
    let ran = run(&[
        "call",
        &listen,
        "test_sampling",
        "prompt=p",
        "--llm-command",
        "echo yes",
        "--yes",
        "--era",
        "modern",
    ]);
    assert_eq!(ran.out, "LLM response: yes\n", "{ran:?}");
    assert_eq!(bridge.stop(), (Some(0), String::new()));
    assert_eq!(
        fs::read_to_string(path.with_extension("log")).unwrap(),
        "started\n"
    );
}

#[test]
fn servers_of_the_web_are_targets_and_bridges_make_them() {
    for (scheme, shared) in [
        ("ws", "--shared"),
        ("ws", "--wire"),
        ("http", "--shared"),
        ("http", "--wire"),
    ] {
        let bridge = Bridge::to_everything(&format!("{scheme}://127.0.0.1:0"), &[shared]);
        for era in ERAS {
            let ran = run(&[
                "call",
                &bridge.target,
                "test_tool_with_progress",
                "--era",
                era,
            ]);
            assert_eq!(
                (ran.out.as_str(), ran.err.as_str()),
                (
                    "Progress was reported.\n",
                    "progress   0/100\nprogress   50/100\nprogress   100/100\n"
                ),
                "{scheme} {era} {ran:?}"
            );
            let ran = run(&[
                "call",
                &bridge.target,
                "test_tool_with_logging",
                "--era",
                era,
            ]);
            assert!(
                ran.err.contains("Tool execution started"),
                "{scheme} {era} {ran:?}"
            );
            let ran = run(&[
                "list",
                &bridge.target,
                "--era",
                era,
                "--header",
                "X-Test: 1",
            ]);
            assert!(ran.out.contains("resources (3)"), "{scheme} {era} {ran:?}");
        }
        let ran = run(&["ping", &bridge.target, "--header", "nonsense"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let (code, said) = bridge.stop();
        assert_eq!(code, Some(0));
        assert!(shared == "--wire" || said.is_empty(), "{said}");
        // There and back again: a process that stands for a server of the web.
        let bridge = Bridge::to_everything(&format!("{scheme}://127.0.0.1:0"), &["--shared"]);
        let ran = run(&[
            "read",
            "test://static-text",
            "--",
            MCP,
            "bridge",
            "stdio",
            &bridge.target,
        ]);
        assert_eq!(ran.code, 0, "{scheme} {ran:?}");
        // It ends when its client has, in either era.
        for said in [INITIALIZE, DISCOVER] {
            let ran = run_with_stdin(&["bridge", "stdio", &bridge.target], &format!("{said}\n"));
            assert_eq!(ran.code, 0, "{scheme} {ran:?}");
            assert!(ran.out.contains(r#""id":1,"result""#), "{scheme} {ran:?}");
        }
    }
    for target in ["ws://127.0.0.1:1", "http://127.0.0.1:1"] {
        let ran = run(&["ping", target]);
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

/// Posts to a bridge, and returns the head of the response, the body as far as `enough` says, and the connection.
fn post(
    target: &str,
    headers: &str,
    body: &str,
    enough: impl Fn(&str) -> bool,
) -> (String, TcpStream) {
    let address = target.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(
        &stream,
        "POST / HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let (mut response, mut buffer) = (String::new(), [0; 4096]);
    while !enough(&response) {
        let n = (&stream).read(&mut buffer).unwrap();
        assert!(n > 0, "{response}");
        response.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    (response, stream)
}

/// A legacy session of a client without a standing stream.
fn session(target: &str, capabilities: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"t","version":"1"}}}}}}"#
    );
    let (response, _) = post(target, "", &body, |r| r.contains("serverInfo"));
    let id = response
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    let session = format!(
        "mcp-session-id: {}\r\nmcp-protocol-version: 2025-11-25\r\n",
        id.unwrap()
    );
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    post(target, &session, initialized, |r| {
        r.starts_with("HTTP/1.1 202")
    });
    session
}

#[test]
fn questions_find_the_session_they_are_for_whoever_else_has_asked_since() {
    for shared in ["--shared", "--wire"] {
        let bridge = Bridge::to_everything("http://127.0.0.1:0", &[shared]);
        let session = session(&bridge.target, r#"{"sampling":{}}"#);
        // Requests that stand for themselves come and go, and one is given up by its client.
        for _ in 0..3 {
            let ran = run(&[
                "call",
                &bridge.target,
                "test_simple_text",
                "--era",
                "modern",
            ]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        let head = "mcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";
        let listen = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let acknowledged = |r: &str| r.contains("notifications/subscriptions/acknowledged");
        drop(post(&bridge.target, head, listen, acknowledged));
        // The question comes on the request's own stream, as the client has no other.
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"test_sampling","arguments":{"prompt":"p"}}}"#;
        let (asked, stream) = post(&bridge.target, &session, call, |r| {
            r.contains("sampling/createMessage")
        });
        let question = asked
            .split("data: ")
            .find(|data| data.contains("createMessage"))
            .unwrap();
        let question: Value = serde_json::from_str(question.lines().next().unwrap()).unwrap();
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": {
            "role": "assistant", "model": "m", "content": { "type": "text", "text": "42" },
        } });
        post(&bridge.target, &session, &answer.to_string(), |r| {
            r.starts_with("HTTP/1.1 202")
        });
        let mut rest = String::new();
        let mut reader = BufReader::new(&stream);
        while !rest.contains("LLM response: 42") {
            assert_ne!(reader.read_line(&mut rest).unwrap(), 0, "{rest}");
        }
        assert_eq!(bridge.stop().0, Some(0));
    }
}

#[test]
fn the_doctor_finds_nothing_wrong_with_bridges() {
    let unix = format!("unix:{}", directory("bridge-doctor").join("s").display());
    for listen in ["http://127.0.0.1:0/mcp", "ws://127.0.0.1:0", &unix] {
        for shared in ["--shared", "--max-clients=9"] {
            let bridge = Bridge::to_everything(listen, &[shared]);
            let ran = run(&["doctor", "--strict", &bridge.target]);
            assert_eq!(ran.code, 0, "{listen} {shared}: {}", ran.out);
            let (code, said) = bridge.stop();
            assert_eq!((code, said.as_str()), (Some(0), ""), "{listen} {shared}");
        }
    }
}

#[test]
fn a_request_that_its_client_gives_up_is_cancelled() {
    let log = directory("bridge-cancel").join("said");
    // A server that answers nothing, and writes down what it is told.
    let script = format!("exec cat >{}", log.display());
    let bridge = Bridge::start(&["bridge", "http://127.0.0.1:0", "--", "sh", "-c", &script]);
    let address = bridge.target.strip_prefix("http://").unwrap();
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{{{meta}}}}}"#);
    let stream = TcpStream::connect(address).unwrap();
    write!(
        &stream,
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/list\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    wait_for(&log, "tools/list");
    drop(stream);
    wait_for(
        &log,
        r#""method":"notifications/cancelled","params":{"requestId":1"#,
    );
    assert_eq!(bridge.stop().0, Some(0));
}

fn wait_for(file: &std::path::Path, text: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(file).is_ok_and(|said| said.contains(text)) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            fs::read_to_string(file)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_bridge_over_http_is_reached_by_local_names_and_by_those_it_was_given() {
    let bridge = Bridge::to_everything(
        "http://127.0.0.1:0/mcp",
        &["--host", "mcp.example", "--origin", "https://app.example"],
    );
    let target = bridge.target.strip_suffix("/mcp").unwrap();
    let ping = |host: &str, origin: &str, path: &str| {
        let address = target.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).unwrap();
        write!(
            &stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\naccept: text/event-stream\r\n\r\n"
        )
        .unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    for (host, origin, path, status) in [
        ("localhost", "http://localhost:3", "/mcp", "400"),
        ("mcp.example", "https://app.example", "/mcp", "400"),
        ("evil.example", "https://app.example", "/mcp", "403"),
        ("localhost", "https://evil.example", "/mcp", "403"),
        ("localhost", "http://localhost:3", "/", "404"),
    ] {
        assert_eq!(ping(host, origin, path), status, "{host} {origin} {path}");
    }
    assert_eq!(run(&["ping", &bridge.target]).code, 0);
    assert_eq!(bridge.stop().0, Some(0));
}

#[test]
fn one_server_for_all_answers_a_client_that_has_said_all_it_has_to_say() {
    let listen = format!("unix:{}", directory("bridge-half").join("s").display());
    let bridge = Bridge::to_everything(&listen, &["--shared"]);
    let stream = UnixStream::connect(bridge.target.strip_prefix("unix:").unwrap()).unwrap();
    for id in 0..50 {
        writeln!(&stream, r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers: Vec<Value> = BufReader::new(&stream)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let ids: Vec<_> = answers
        .iter()
        .map(|answer| answer["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
    assert_eq!(bridge.stop(), (Some(0), String::new()));
}

/// A line that is longer than what waits in any pipe or socket.
fn long_request() -> String {
    let x = "x".repeat(8 << 20);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"x":"{x}"}}}}"#)
}

#[test]
fn a_server_that_does_not_read_does_not_keep_a_bridge_from_ending() {
    let path = directory("bridge-unread").join("begun");
    // It reads the beginning, so that the rest is known to wait.
    let script = format!("head -c 9 >{}; exec sleep 1000", path.display());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("tcp://{}", listener.local_addr().unwrap());
    let to_process = ["--shared", "--", "sh", "-c", &script];
    let to_socket = [server.as_str()];
    for (target, signals) in [
        (&to_process[..], 1),
        (&to_socket[..], 1),
        (&to_process[..], 2),
    ] {
        let _ = fs::remove_file(&path);
        let mut bridge = Bridge::start(&[&["bridge", "tcp://127.0.0.1:0"][..], target].concat());
        let stream = bridge.tcp();
        std::thread::spawn(move || writeln!(&stream, "{}", long_request()));
        let mut taken = match target {
            [_] => Some(listener.accept().unwrap().0),
            _ => None,
        };
        match &mut taken {
            Some(stream) => stream.read_exact(&mut [0; 9]).unwrap(),
            None => wait_for(&path, "{"),
        }
        let id = bridge.child.id().to_string();
        let kill = || {
            let kill = Command::new("kill").arg(&id).status();
            // It fails when there is nobody any more.
            let _ = kill.unwrap();
        };
        kill();
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = bridge.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it hangs");
            std::thread::sleep(Duration::from_millis(50));
            if signals == 2 {
                kill();
            }
        };
        assert_eq!(code, Some(if signals == 2 { 130 } else { 0 }), "{target:?}");
    }
}

#[test]
fn a_server_that_does_not_open_does_not_keep_a_bridge_from_ending() {
    // It is connected to, and never shakes hands.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("ws://{}", listener.local_addr().unwrap());
    for shared in ["--shared", "--max-clients=1"] {
        let bridge = Bridge::start(&["bridge", "tcp://127.0.0.1:0", shared, &server]);
        let _client = bridge.tcp();
        let _opening = listener.accept().unwrap();
        assert_eq!(bridge.stop(), (Some(0), String::new()), "{shared}");
    }
}

#[test]
fn the_only_client_of_a_shared_server_lets_it_end() {
    let path = directory("bridge-shared-stdio").join("ended");
    let script = format!("cat >/dev/null; echo ended >{}", path.display());
    let ran = run(&["bridge", "stdio", "--shared", "--", "sh", "-c", &script]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "ended\n");
}

#[test]
fn a_recording_over_another_file_is_for_this_user_alone() {
    let file = directory("record-over").join("r.jsonl");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    run(&["record", file.to_str().unwrap(), "--", "true"]);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_shared_server_that_ends_before_it_has_answered_is_told() {
    // The client has said all it has to say by then.
    let script = "read x; sleep 0.5; exit 7";
    let args = ["bridge", "stdio", "--shared", "--", "sh", "-c", script];
    let ran = run_with_stdin(&args, &format!("{PING}\n"));
    assert_eq!(ran.code, 3, "{ran:?}");
}
