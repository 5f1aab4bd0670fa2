//! `mcp demo`, run as a process, in each era.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_os = "linux")]
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use serde_json::Value;

fn mcp(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("MCP_LOG")
        .env("NO_COLOR", "");
    command
}

fn run(args: &[&str]) -> (Output, String) {
    let output = mcp(args).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// Runs with `--json`; every line of the output has to be an object with a kind and a time.
fn json(args: &[&str]) -> (i32, Vec<Value>) {
    let mut all = vec!["demo", "--json"];
    all.extend(args);
    let (output, text) = run(&all);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(lines.iter().all(|line| line["kind"].is_string()));
    let times: Vec<f64> = lines.iter().map(|l| l["ms"].as_f64().unwrap()).collect();
    assert!(times.is_sorted());
    (output.status.code().unwrap(), lines)
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// The messages of one direction.
fn wire<'a>(lines: &'a [Value], direction: &str) -> Vec<&'a Value> {
    of_kind(lines, "wire")
        .into_iter()
        .filter(|line| line["direction"] == direction)
        .map(|line| &line["message"])
        .collect()
}

fn with_method<'a>(messages: &[&'a Value], method: &str) -> Vec<&'a Value> {
    let messages = messages.iter().copied();
    messages.filter(|m| m["method"] == method).collect()
}

const ERAS: [(&str, &str, &str); 3] = [
    ("legacy", "legacy", "2025-11-25"),
    ("modern", "modern", "2026-07-28"),
    ("auto", "modern", "2026-07-28"),
];

#[test]
fn a_person_sees_the_four_patterns_in_each_era() {
    for (choice, era, version) in ERAS {
        let (output, text) = run(&["demo", "--era", choice]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        assert!(
            !text.contains('\u{1b}'),
            "no escapes where there is no terminal: {text}"
        );
        let last = text.lines().last().unwrap();
        for (pattern, line) in [
            ("log", "info       batch: 6 files to process\n"),
            ("log", "debug      batch: weather.txt has 30 words\n"),
            ("log", "warning    batch: notes.txt is empty, skipped\n"),
            ("progress", "progress   1/7 processed weather.txt\n"),
            ("progress", "progress   7/7 summarised\n"),
            (
                "sampling",
                "│ What happened today? Sum it up in two sentences.\n",
            ),
            (
                "sampling",
                "extractive-summariser (picks sentences, no language model)",
            ),
            (
                "notification",
                "notified   chat.message_received  room: harbour",
            ),
            ("result", "skipped  notes.txt\n"),
        ] {
            assert!(text.contains(line), "{pattern}, {choice}: {text}");
        }
        assert!(
            last.starts_with(&format!("done       {era} era, protocol {version}; ")),
            "{last}"
        );
        let route = if era == "legacy" {
            "sampling/createMessage"
        } else {
            "input_required"
        };
        assert!(last.contains(route), "{last}");
        assert!(!text.contains("proof"), "that is for --wire: {text}");
    }
}

#[test]
fn a_program_sees_them_in_the_order_of_the_wire() {
    for (choice, era, version) in ERAS {
        let (code, lines) = json(&["--era", choice]);
        assert_eq!(code, 0);
        let kinds: Vec<&str> = lines.iter().map(|l| l["kind"].as_str().unwrap()).collect();
        let mut expected = vec!["connected", "log"];
        expected.extend(["log", "progress"].repeat(6));
        expected.extend([
            "sampling",
            "log",
            "progress",
            "notification",
            "result",
            "done",
        ]);
        assert_eq!(kinds, expected, "{choice}");

        let connected = &lines[0];
        assert_eq!(
            (&connected["era"], &connected["version"]),
            (&era.into(), &version.into())
        );
        assert_eq!(connected["server"]["name"], "mcp-demo");
        let progress: Vec<_> = of_kind(&lines, "progress");
        let steps: Vec<_> = progress
            .iter()
            .map(|p| p["progress"].as_f64().unwrap())
            .collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert!(progress.iter().all(|p| p["total"] == 7.0));
        let levels: Vec<_> = of_kind(&lines, "log")
            .iter()
            .map(|l| l["level"].clone())
            .collect();
        for level in ["debug", "info", "notice", "warning"] {
            assert!(levels.contains(&level.into()), "{level}");
        }
        let sampling = of_kind(&lines, "sampling")[0];
        let answer = &sampling["answer"]["content"]["text"];
        let question = &sampling["question"]["messages"][0]["content"]["text"];
        for sentence in answer.as_str().unwrap().split_inclusive(". ") {
            assert!(
                question.as_str().unwrap().contains(sentence.trim()),
                "{sentence}"
            );
        }
        assert!(
            sampling["answered_by"]
                .as_str()
                .unwrap()
                .contains("no language model")
        );
        let notification = of_kind(&lines, "notification")[0];
        assert_eq!(notification["method"], "chat.message_received");
        assert_eq!(notification["params"]["room"], "harbour");
        let result = of_kind(&lines, "result")[0];
        assert_eq!(result["is_error"], false);
        assert_eq!(&result["structured"]["summary"], answer);
        let done = lines.last().unwrap();
        assert_eq!((&done["ok"], &done["exit_code"]), (&true.into(), &0.into()));
        assert_eq!(
            (&done["era"], &done["version"]),
            (&era.into(), &version.into())
        );
        assert_eq!(
            done["server_exit"], 0,
            "the server ends by itself, with its stdin"
        );
    }
}

#[test]
fn legacy_is_proved_by_a_request_of_the_server() {
    let (code, lines) = json(&["--era", "legacy", "--wire"]);
    assert_eq!(code, 0);
    let (out, back) = (wire(&lines, "out"), wire(&lines, "in"));
    assert_eq!(with_method(&out, "initialize").len(), 1);
    assert_eq!(with_method(&out, "server/discover").len(), 0);
    assert_eq!(with_method(&out, "tools/call").len(), 1);
    let asked = with_method(&back, "sampling/createMessage");
    assert_eq!(asked.len(), 1);
    let answer = out.iter().find(|m| m.get("result").is_some()).unwrap();
    assert_eq!(answer["id"], asked[0]["id"]);
    assert_eq!(answer["result"]["model"], "extractive-summariser");
    assert!(back.iter().all(|m| m["result"].get("resultType").is_none()));
    let done = lines.last().unwrap();
    assert_eq!(done["sampling"], "server_request");
    assert_eq!(
        done["proof"]["sampling_requests"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn modern_is_proved_by_a_second_round() {
    for choice in ["modern", "auto"] {
        let (code, lines) = json(&["--era", choice, "--wire"]);
        assert_eq!(code, 0);
        let (out, back) = (wire(&lines, "out"), wire(&lines, "in"));
        assert_eq!(with_method(&out, "initialize").len(), 0);
        assert!(
            back.iter()
                .all(|m| m.get("method").is_none() || m.get("id").is_none())
        );
        let calls = with_method(&out, "tools/call");
        assert_eq!(calls.len(), 2);
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        assert_eq!(
            calls[0]["params"]["arguments"],
            calls[1]["params"]["arguments"]
        );
        let asks = |m: &&Value| m["result"]["resultType"] == "input_required";
        let asked: Vec<_> = back.iter().copied().filter(asks).collect();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["id"], calls[0]["id"]);
        let state = &asked[0]["result"]["requestState"];
        assert!(state.is_string());
        assert_eq!(calls[0]["params"].get("requestState"), None);
        assert_eq!(&calls[1]["params"]["requestState"], state);
        let done = lines.last().unwrap();
        assert_eq!(done["sampling"], "input_round");
        assert_eq!(done["proof"]["request_state_echoed"], true);
    }
}

#[test]
fn both_eras_give_the_same_answers() {
    let (_, legacy) = json(&["--era", "legacy"]);
    let (_, modern) = json(&["--era", "modern"]);
    for kind in ["log", "progress", "sampling", "notification", "result"] {
        let without_time = |lines: &[Value]| -> Vec<Value> {
            let mut lines: Vec<_> = of_kind(lines, kind).into_iter().cloned().collect();
            lines.iter_mut().for_each(|line| line["ms"] = Value::Null);
            lines
        };
        assert_eq!(without_time(&legacy), without_time(&modern), "{kind}");
    }
}

#[test]
fn the_wire_is_shown_to_people_too() {
    for (choice, proof) in [
        ("legacy", "proof      ← sampling/createMessage #"),
        ("modern", "proof      ← input_required #"),
    ] {
        let (output, short) = run(&["demo", "--era", choice, "--wire"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(short.contains(proof), "{short}");
        for piece in [
            " ms → tools/call #",
            " ms ← notifications/progress  {",
            " ms ← chat.message_received  {",
        ] {
            assert!(short.contains(piece), "{piece}: {short}");
        }
        let wire = short.lines().filter(|line| line.contains(" ms "));
        assert!(wire.clone().count() > 15);
        for line in wire {
            assert!(line.chars().count() <= 200, "{line}");
        }
        let (_, full) = run(&["demo", "--era", choice, "--wire=full"]);
        let call = full
            .lines()
            .find(|line| line.contains("→ tools/call"))
            .unwrap();
        let (_, message) = call.split_once("  {").unwrap();
        let message: Value = serde_json::from_str(&format!("{{{message}")).unwrap();
        assert_eq!(message["params"]["name"], "batch_process");
    }
}

#[test]
fn failures_have_their_exit_codes() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--bad"], 1, "--bad"),
        (&["demo", "--era", "bronze"], 1, "bronze"),
        (&[], 1, "Usage"),
        (&["demo", "nothing.txt"], 4, ""),
        (&["demo", "endless.txt", "--timeout", "0.05"], 5, "timeout"),
    ];
    for (args, code, said) in cases {
        let (output, text) = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{stderr}");
        assert_eq!(
            code == 4,
            text.contains("failed     There is no file `nothing.txt`")
        );
    }
    let output = mcp(&["demo"]).env("MCP_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn failures_are_told_to_programs() {
    let (code, lines) = json(&["nothing.txt"]);
    let done = lines.last().unwrap();
    assert_eq!(
        (code, &done["exit_code"], &done["ok"]),
        (4, &4.into(), &false.into())
    );
    assert!(done["error"].as_str().unwrap().contains("nothing.txt"));
    let (code, lines) = json(&["endless.txt", "--timeout", "0.05", "--wire"]);
    let done = lines.last().unwrap();
    assert_eq!((code, &done["exit_code"]), (5, &5.into()));
    assert_eq!(done["server_exit"], 0);
    // The server is told that nobody waits any more, nor listens.
    assert_eq!(
        with_method(&wire(&lines, "out"), "notifications/cancelled").len(),
        2
    );
}

#[test]
fn help_is_there_and_no_failure() {
    for args in [&["--help"][..], &["demo", "--help"], &["--version"]] {
        let (output, text) = run(args);
        assert_eq!(output.status.code(), Some(0));
        assert!(!text.is_empty());
        assert!(!text.contains("demo-server"), "{text}");
    }
}

#[test]
fn stderr_says_more_if_asked() {
    let output = mcp(&["demo", "--json"])
        .env("MCP_LOG", "trace")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mcp_peer"));
    assert!(
        output
            .stdout
            .split(|b| *b == b'\n')
            .all(|line| line.is_empty() || line[0] == b'{')
    );
}

/// Whether a process of that id is there and is a server of ours.
#[cfg(target_os = "linux")]
fn serves(pid: u64) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    // A zombie has no command line, but a state.
    let zombie = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.contains("(mcp) Z"));
    zombie || name.is_ok_and(|name| name.contains("demo-server"))
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_behind() {
    for args in [
        &[][..],
        &["--era", "legacy"],
        &["nothing.txt"],
        &["endless.txt", "--timeout", "0.05"],
    ] {
        let (_, lines) = json(args);
        let pid = lines[0]["pid"].as_u64().unwrap();
        assert!(!serves(pid), "{args:?}");
    }
}

/// Starts a demo that does not end, and reads its lines until the tool is at work.
#[cfg(target_os = "linux")]
fn endless() -> (
    std::process::Child,
    BufReader<std::process::ChildStdout>,
    u64,
) {
    let mut demo = mcp(&["demo", "--json", "endless.txt"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    let mut pid = None;
    loop {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "ended early");
        let event: Value = serde_json::from_str(&line).unwrap();
        pid = pid.or(event["pid"].as_u64());
        if event["level"] == "error" {
            break;
        }
    }
    let pid = pid.unwrap();
    assert!(serves(pid));
    (demo, lines, pid)
}

/// Waits for a process to be gone; the bound is for a process that never goes.
#[cfg(target_os = "linux")]
fn gone(pid: u64) {
    let begun = Instant::now();
    while serves(pid) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{pid} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_killed_leaves_no_server() {
    let (mut demo, _lines, pid) = endless();
    demo.kill().unwrap();
    demo.wait().unwrap();
    gone(pid);
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_cancels_the_call_and_says_so() {
    let (mut demo, lines, pid) = endless();
    let interrupt = Command::new("kill")
        .args(["-s", "INT", &demo.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert!(!serves(pid));
    let last = lines.lines().last().unwrap().unwrap();
    let done: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        (&done["kind"], &done["exit_code"]),
        (&"done".into(), &130.into())
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut demo = mcp(&["demo", "--wire"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(demo.stdout.take());
    assert_eq!(demo.wait().unwrap().code(), Some(0));
}
