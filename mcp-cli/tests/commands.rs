//! The commands that talk to a server, run as processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::{
    Scripted, Web, directory, everything, legacy, mcp, notification, result, run, run_with_stdin,
    terminate, wait, with_everything,
};

const ERAS: [&str; 2] = ["legacy", "modern"];

#[test]
fn what_a_server_offers_is_listed() {
    for era in ERAS {
        let ran = with_everything(&["list", "--era", era]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        for line in [
            &format!("({era} era)\n"),
            "resources (3)\n",
            "  test_sampling prompt=  ",
            "resources (3)\n",
            "  test://template/{id}/data  Data by id\n",
            "  test_prompt_with_arguments arg1= arg2=  ",
        ] {
            assert!(ran.out.contains(line), "{line}: {}", ran.out);
        }
        let ran = with_everything(&["list", "--era", era, "--json"]);
        let offer = ran.json();
        assert_eq!(offer["tools"][0]["name"], "test_simple_text");
        assert_eq!(offer["resourceTemplates"].as_array().unwrap().len(), 1);
        let ran = with_everything(&["list", "--era", era, "--only", "prompts", "--long"]);
        assert!(
            ran.out.contains("      arg1=  The first argument\n"),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains("tools"));
    }
}

#[test]
fn an_address_without_a_path_is_told_of_it() {
    let server = Web::everything("http");
    let machine = server.url.strip_suffix("/mcp").unwrap();
    for (path, told) in [("", true), ("/", true), ("/else", false)] {
        let ran = run(&["list", &format!("{machine}{path}")]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert_eq!(ran.err.contains("most often /mcp"), told, "{ran:?}");
    }
}

#[test]
fn arguments_are_typed_by_the_schema() {
    let directory = directory("arguments");
    let file = directory.join("args.json");
    fs::write(&file, r#"{"phone":"2","contactMethod":"phone"}"#).unwrap();
    let from_file = format!("@{}", file.display());
    let tool = "json_schema_2020_12_tool";
    for (args, expected) in [
        // Digits are a text where a text is wanted, and an object is read as one.
        (
            &[
                "phone=1",
                "contactMethod=phone",
                r#"address={"street":"s"}"#,
            ][..],
            json!({ "phone": "1", "contactMethod": "phone", "address": { "street": "s" } }),
        ),
        (
            &["--args", &from_file, "phone=3"],
            json!({ "phone": "3", "contactMethod": "phone" }),
        ),
        (
            &[r#"{"email":"e"}"#, r#"name:="n""#],
            json!({ "email": "e", "name": "n" }),
        ),
    ] {
        let mut all = vec!["call", tool];
        all.extend(args);
        let ran = with_everything(&all);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.json(), expected);
    }
    let server = everything();
    let ran = run_with_stdin(
        &["call", tool, "--args", "-", "--", server],
        r#"{"email":"e"}"#,
    );
    assert_eq!(ran.json(), json!({ "email": "e" }));
}

#[test]
fn every_exit_code_is_as_documented() {
    let endless = [
        "call",
        "batch_process",
        "file_ids=endless.txt",
        "--timeout",
        "0.3",
        "--",
        env!("CARGO_BIN_EXE_mcp"),
        "demo-server",
    ];
    for (args, code, told) in [
        (&["call", "test_simple_text", "--", everything()][..], 0, ""),
        (&["--help"], 0, ""),
        (&["call"], 1, "what to talk to is missing"),
        (&["call", "nowhere", "tool"], 1, "`nowhere` is no address"),
        (
            &["call", "gopher://x", "tool"],
            1,
            "gopher:// is not supported",
        ),
        (
            &["call", "--", everything()],
            1,
            "the name of a tool is missing",
        ),
        (
            &["call", "no_such_tool", "--", everything()],
            1,
            "no tool `no_such_tool`",
        ),
        (
            &["call", "test_sampling", "--", everything()],
            1,
            "`test_sampling` needs prompt=",
        ),
        (
            &["read", "a", "b", "--", everything()],
            1,
            "`b` is one word too many",
        ),
        (&["ping", "--no-such-option"], 1, "unexpected argument"),
        // REQ-ROOT-01
        (
            &["ping", "--root", "https://x/y"],
            1,
            "a root is a directory",
        ),
        (&["ping", "--", "/no/such/program"], 2, "no program"),
        (
            &["ping", "--", "sh", "-c", "echo last words >&2; exit 7"],
            2,
            "last words",
        ),
        (&["ping", "tcp://127.0.0.1:1"], 2, "could not connect"),
        (&["read", "test://none", "--", everything()], 3, "refused"),
        (
            &["call", "test_missing_capability", "--", everything()],
            3,
            r#"{"sampling":{}}"#,
        ),
        (
            &["call", "test_elicitation", "message=m", "--", everything()],
            3,
            "note       a server's questions to the user are answered on a terminal, or by --answer",
        ),
        (
            &[
                "call",
                "test_sampling",
                "prompt=p",
                "--era",
                "legacy",
                "--",
                everything(),
            ],
            4,
            "or by --llm-url or --llm-command",
        ),
        (
            &["call", "no_such_tool", "--args", "{}", "--", everything()],
            3,
            "refused",
        ),
        (
            &["call", "test_error_handling", "--", everything()],
            4,
            "intentionally returns an error",
        ),
        (&endless, 5, "timeout: "),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.err.contains(told), "{args:?}: {ran:?}");
        if code != 0 {
            assert_eq!(ran.out, "", "{args:?}");
        }
    }
}

#[test]
fn with_json_results_are_as_they_were_sent_and_events_are_lines() {
    let ran = with_everything(&["call", "test_tool_with_progress", "--json"]);
    assert_eq!(ran.json()["content"][0]["text"], "Progress was reported.");
    let events = ran.events();
    assert_eq!(
        events.iter().filter(|e| e["kind"] == "progress").count(),
        3,
        "{events:?}"
    );
    let ran = with_everything(&["call", "test_error_handling", "--json"]);
    assert_eq!((ran.code, &ran.json()["isError"]), (4, &Value::Bool(true)));
    let ran = with_everything(&["read", "test://none", "--json"]);
    let failed = &ran.events()[0];
    assert_eq!(
        (&failed["kind"], &failed["exit_code"]),
        (&json!("failed"), &json!(3))
    );
    let ran = with_everything(&["read", "test://static-text", "--json"]);
    assert!(ran.json()["contents"][0]["text"].is_string());
}

#[test]
fn logs_and_progress_go_to_stderr_and_never_into_a_result() {
    for era in ERAS {
        let ran = with_everything(&["call", "test_tool_with_logging", "--era", era]);
        assert_eq!(ran.out, "Log messages were sent.\n");
        let logs = "info       Tool execution started\ninfo       Tool processing data\ninfo       Tool execution completed\n";
        assert_eq!(ran.err, logs);
        let ran = with_everything(&[
            "call",
            "test_tool_with_logging",
            "--era",
            era,
            "--log-level",
            "warning",
        ]);
        assert_eq!(ran.err, "");
        let ran = with_everything(&["call", "test_tool_with_progress", "--era", era]);
        assert_eq!(
            ran.err,
            "progress   0/100\nprogress   50/100\nprogress   100/100\n"
        );
    }
}

#[test]
fn images_are_saved_and_named_and_nothing_is_overwritten() {
    let directory = directory("images");
    let save = directory.to_str().unwrap();
    for n in 1..=2 {
        let ran = with_everything(&["call", "test_image_content", "--save", save]);
        let path = directory.join(format!("test_image_content-{n}.png"));
        assert_eq!(
            ran.out,
            format!("[image image/png, 70 bytes, saved as {}]\n", path.display())
        );
        assert!(fs::read(path).unwrap().starts_with(b"\x89PNG"));
    }
    // Bytes go to a file as they are.
    let mut read = mcp(&["read", "test://static-binary", "--", everything()]);
    let output = read.output().unwrap();
    assert!(output.stdout.starts_with(b"\x89PNG"), "{output:?}");
}

#[test]
fn prompts_completions_and_pings_are_answered() {
    for era in ERAS {
        let ran = with_everything(&[
            "prompt",
            "test_prompt_with_arguments",
            "arg1=one",
            "arg2=two",
            "--era",
            era,
        ]);
        assert!(
            ran.out.starts_with("user:\n") && ran.out.contains("one"),
            "{ran:?}"
        );
        let ran = with_everything(&[
            "complete",
            "test_prompt_with_arguments",
            "arg1=test",
            "--era",
            era,
        ]);
        assert_eq!(ran.out, "test\ntesting\ntested\n");
        let ran = with_everything(&["ping", "-c", "2", "--interval", "0", "--json", "--era", era]);
        let method = if era == "legacy" {
            "ping"
        } else {
            "server/discover"
        };
        let lines: Vec<Value> = ran
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line["method"] == method),
            "{lines:?}"
        );
    }
}

#[test]
fn servers_are_found_by_name_in_the_format_of_hosts() {
    let directory = directory("config");
    let file = directory.join(".mcp.json");
    let config = json!({ "mcpServers": {
        "all": { "type": "stdio", "command": everything() },
        "h:1": { "url": "h:1" },
        "env": { "command": "sh", "args": ["-c", "echo $GREETING >&2; exit 1"], "env": { "GREETING": "${HELLO:-hi} there" } },
    } });
    fs::write(&file, config.to_string()).unwrap();
    // A name with a colon is a name, and leads to no other one.
    let ran = mcp(&["ping", "h:1"])
        .current_dir(&directory)
        .output()
        .unwrap();
    let ran: support::Ran = ran.into();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("`h:1` is no address"), "{ran:?}");
    // Here, by an option, by a variable.
    let ran = mcp(&["read", "all", "test://static-text"])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let ran = run(&[
        "read",
        "--config",
        file.to_str().unwrap(),
        "all",
        "test://static-text",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = mcp(&["ping", "env"])
        .env("MCP_CONFIG", &file)
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.contains("it said: hi there"), "{told}");
    let ran = mcp(&["ping", "other"])
        .env("MCP_CONFIG", &file)
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(
        told.contains("has no server `other`; it has all, env, h:1"),
        "{told}"
    );
}

#[test]
fn the_server_sees_what_it_is_meant_to_see() {
    let script = "echo \"k=$K secret=$SECRET in $(pwd)\" >&2; exit 1";
    let run = |args: &[&str]| {
        let mut all = vec!["ping", "--cwd", "/"];
        all.extend(args);
        all.extend(["--", "sh", "-c", script]);
        let output = mcp(&all).env("SECRET", "s").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let told = run(&["--env", "K=v=w"]);
    assert!(told.contains("k=v=w secret= in /\n"), "{told}");
    let told = run(&["--inherit-env"]);
    assert!(told.contains("k= secret=s in /"), "{told}");
    let told = run(&["--stderr"]);
    assert!(told.starts_with("stderr     k= secret= in /\n"), "{told}");
}

#[test]
fn the_wire_can_be_watched() {
    let ran = with_everything(&["call", "test_simple_text", "--wire=full", "--era", "legacy"]);
    for line in [
        "→ initialize #1  {\"jsonrpc\"",
        "← result #1  {\"jsonrpc\"",
        "→ notifications/initialized  ",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    assert_eq!(ran.out, "This is a simple text response for testing.\n");
}

#[test]
fn what_a_server_says_by_itself_is_heard() {
    let capabilities = json!({ "logging": {}, "resources": { "subscribe": true, "listChanged": true }, "tools": { "listChanged": true } });
    let server = |capabilities: &Value, then: fn(&Value) -> Vec<Value>| {
        let capabilities = capabilities.clone();
        Scripted::new(move |line| match legacy(line, capabilities.clone()) {
            Some(reply) => vec![reply],
            None => then(line),
        })
    };
    let watched = server(&capabilities, |line| match line["method"].as_str() {
        Some("resources/subscribe") => vec![
            result(line, json!({})),
            notification("notifications/tools/list_changed", json!({})),
            notification("notifications/resources/updated", json!({ "uri": "a:b" })),
        ],
        Some("resources/read") => vec![result(
            line,
            json!({ "contents": [{ "uri": "a:b", "text": "new" }] }),
        )],
        _ if line["id"].is_number() => vec![result(line, json!({}))],
        _ => vec![],
    });
    let ran = run(&["watch", &watched.target, "a:b", "--read", "--count", "2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .starts_with("notified   notifications/tools/list_changed"),
        "{ran:?}"
    );
    assert_eq!(
        ran.err,
        "note       waiting to hear of tools, resources, a:b; the server has not agreed to tell of prompts\n"
    );
    assert!(
        ran.out
            .contains("notified   notifications/resources/updated  uri: a:b\n"),
        "{ran:?}"
    );
    assert_eq!(watched.heard("resources/subscribe")["params"]["uri"], "a:b");

    // It tells of no changes, and nobody has to ask it for anything else.
    let chatty = server(&json!({ "logging": {} }), |line| {
        match line["method"].as_str() {
            Some("logging/setLevel") => vec![
                result(line, json!({})),
                notification(
                    "notifications/message",
                    json!({ "level": "warning", "data": "one" }),
                ),
                notification("chat.said", json!({ "text": "two" })),
            ],
            _ if line["id"].is_number() => vec![result(line, json!({}))],
            _ => vec![],
        }
    });
    let ran = run(&[
        "listen",
        &chatty.target,
        "chat.said",
        "--count",
        "2",
        "--json",
        "--log-level",
        "debug",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["data"]),
        (&json!("log"), &json!("one")),
        "{ran:?}"
    );
    assert_eq!(
        (&lines[1]["method"], &lines[1]["params"]["text"]),
        (&json!("chat.said"), &json!("two"))
    );
    let note = &ran.events()[..];
    assert!(
        matches!(note, [note] if note["kind"] == "note"),
        "once is enough: {ran:?}"
    );
    assert_eq!(chatty.heard("logging/setLevel")["params"]["level"], "debug");

    let logs = server(&capabilities, |line| match line["method"].as_str() {
        Some("logging/setLevel") => vec![
            result(line, json!({})),
            notification(
                "notifications/message",
                json!({ "level": "error", "logger": "l", "data": { "a": 1 } }),
            ),
        ],
        _ => vec![],
    });
    let ran = run(&["log", &logs.target, "--count", "1"]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "error      l: {\"a\":1}\n", "")
    );
    let ran = with_everything(&["log", "--era", "modern"]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_server_that_goes_away_is_told() {
    let server = Scripted::new(|line| match legacy(line, json!({ "tools": {} })) {
        Some(reply) => vec![reply],
        // The thread ends by this, and the connection with it.
        None if line["method"] == "tools/call" => panic!("as the test wants it"),
        None => vec![],
    });
    let ran = run(&["call", &server.target, "t", "--args", "{}"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.err.contains("connection lost before the answer"),
        "{ran:?}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_cancels_on_the_wire_and_then_exits() {
    let server = Scripted::new(|line| legacy(line, json!({ "tools": {} })).into_iter().collect());
    let call = mcp(&["call", &server.target, "slow", "--args", "{}"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = server.heard("tools/call")["id"].clone();
    let interrupt = Command::new("kill")
        .args(["-s", "INT", &call.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let cancelled = server.heard("notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], id);
    let ran: support::Ran = call.wait_with_output().unwrap().into();
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (130, "", "mcp: interrupted\n")
    );
}

#[cfg(unix)]
#[test]
fn a_server_that_answers_nothing_does_not_keep_a_command_from_ending() {
    for (args, method, code) in [
        (&["shell"][..], "tools/list", 130),
        // A signal is how this is meant to end.
        (&["watch", "a:b"], "resources/subscribe", 0),
    ] {
        let capabilities = json!({ "tools": {}, "resources": { "subscribe": true } });
        let server =
            Scripted::new(move |line| legacy(line, capabilities.clone()).into_iter().collect());
        let mut args = args.to_vec();
        args.insert(1, &server.target);
        let mut command = mcp(&args).stdin(Stdio::piped()).spawn().unwrap();
        let _stdin = command.stdin.take();
        server.heard(method);
        terminate(&command);
        assert_eq!(wait(&mut command), Some(code), "{args:?}");
    }
}

/// A server of one tool whose list is more than fits into a pipe.
fn wordy() -> Scripted {
    Scripted::new(|line| {
        vec![legacy(line, json!({ "tools": {} })).unwrap_or_else(|| {
            let about = "word ".repeat(1 << 16);
            let tool =
                json!({ "name": "t", "description": about, "inputSchema": { "type": "object" } });
            result(line, json!({ "tools": [tool] }))
        })]
    })
}

#[cfg(unix)]
#[test]
fn a_reader_that_does_not_read_does_not_keep_a_command_from_ending() {
    for signal in ["INT", "TERM"] {
        let server = wordy();
        let mut list = mcp(&["list", &server.target, "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // With the first byte of it all the pipe is full.
        let mut stdout = list.stdout.take().unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        let kill = Command::new("kill")
            .args(["-s", signal, &list.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(wait(&mut list), Some(130), "{signal}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_what_would_go_on() {
    for args in [
        &["ping", "--count", "4294967295", "--interval", "0"][..],
        &["shell"],
    ] {
        let server = Scripted::new(|line| {
            let none = || result(line, json!({ "tools": [] }));
            vec![legacy(line, json!({ "tools": {} })).unwrap_or_else(none)]
        });
        let mut command = mcp(&[args, &[&server.target]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(command.stdout.take());
        let mut stdin = command.stdin.take().unwrap();
        // A ping may have ended before it is said.
        let _ = stdin.write_all(b"help\n");
        assert_eq!(wait(&mut command), Some(0), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_one_that_nobody_reads_is_not() {
    let chatty = || {
        Scripted::new(|line| match legacy(line, json!({ "logging": {} })) {
            Some(answer) => vec![answer],
            None => vec![
                result(line, json!({})),
                notification(
                    "notifications/message",
                    json!({ "level": "error", "data": 1 }),
                ),
            ],
        })
    };
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for args in [
        &["call", "test_simple_text"][..],
        &["call", "test_simple_text", "--json"],
        &["complete", "test_prompt_with_arguments", "arg1=test"],
        &["doctor"],
        &["list"],
        &["ping"],
        &["prompt", "test_simple_prompt"],
        &["read", "test://static-text"],
        &["read", "test://static-binary"],
        &["log"],
    ] {
        let chatty = chatty();
        let mut args = args.to_vec();
        match args[0] {
            "log" => args.push(&chatty.target),
            _ => args.extend(["--", everything()]),
        }
        let ran: support::Ran = mcp(&args).stdout(full()).output().unwrap().into();
        assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
        assert!(
            ran.err.contains("stdout: No space left"),
            "{args:?}: {ran:?}"
        );
    }
    let chatty = chatty();
    let mut log = mcp(&["log", &chatty.target]);
    let mut log = log.stdout(Stdio::piped()).spawn().unwrap();
    drop(log.stdout.take());
    assert_eq!(wait(&mut log), Some(0));
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_targets_too() {
    use std::io::{BufRead, BufReader, Write};
    let path = directory("unix").join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let reply = legacy(&line, json!({}))
                .or_else(|| (line["method"] == "ping").then(|| result(&line, json!({}))));
            if let Some(reply) = reply {
                writeln!(writer, "{reply}").unwrap();
            }
        }
    });
    let target = format!("unix:{}", path.display());
    let ran = run(&["ping", &target]);
    assert!(
        ran.out.starts_with(&format!("{target} answered ping in ")),
        "{ran:?}"
    );
    server.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_killed_leaves_no_server() {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};
    // It says its id, and that of what it has started, and ends neither with its stdin nor by SIGTERM.
    let script = "trap '' TERM; sleep 1000 & echo $$ $! >&2; while :; do sleep 1000; done";
    let mut call = mcp(&["ping", "--stderr", "--", "sh", "-c", script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(call.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let ids: Vec<u32> = line
        .split(' ')
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    assert_eq!(ids.len(), 2, "{line}");
    call.kill().unwrap();
    call.wait().unwrap();
    let runs = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    let begun = Instant::now();
    while ids.iter().any(runs) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{ids:?} live on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_failure_cannot_drive_the_terminal() {
    let server = Scripted::new(|line| match legacy(line, json!({ "tools": {} })) {
        Some(answer) => vec![answer],
        None => vec![json!({
            "jsonrpc": "2.0", "id": line["id"], "error": { "code": 1, "message": "a\u{1b}[2Jb" },
        })],
    });
    let ran = run(&["call", &server.target, "t"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("a\\u{1b}[2Jb"), "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn a_server_without_templates_is_listed() {
    let server = Scripted::new(|line| match legacy(line, json!({ "resources": {} })) {
        Some(answer) => vec![answer],
        None if line["method"] == "resources/list" => {
            let resource = json!({ "uri": "a:b", "name": "b" });
            vec![result(line, json!({ "resources": [resource] }))]
        }
        None => vec![json!({
            "jsonrpc": "2.0", "id": line["id"], "error": { "code": -32601, "message": "none" },
        })],
    });
    let ran = run(&["list", &server.target]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("resources (1)"), "{ran:?}");
}

#[test]
fn a_resource_that_has_changed_is_read_before_that_counts() {
    for readable in [true, false] {
        let capabilities = json!({ "resources": { "subscribe": true } });
        let server = Scripted::new(move |line| match legacy(line, capabilities.clone()) {
            Some(answer) => vec![answer],
            None if line["method"] == "resources/subscribe" => {
                let updated = json!({ "uri": "a:b" });
                let updated = notification("notifications/resources/updated", updated);
                vec![result(line, json!({})), updated]
            }
            None if line["method"] == "resources/read" && readable => {
                let contents = json!({ "uri": "a:b", "text": "new" });
                vec![result(line, json!({ "contents": [contents] }))]
            }
            None if line["method"] == "resources/read" => vec![json!({
                "jsonrpc": "2.0", "id": line["id"], "error": { "code": 1, "message": "burnt" },
            })],
            None => vec![result(line, json!({}))],
        });
        let ran = run(&["watch", &server.target, "a:b", "--read", "--count", "1"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown = if readable { "new" } else { "burnt" };
        assert!(ran.out.contains(shown), "{ran:?}");
    }
    assert_eq!(run(&["watch", "tcp://127.0.0.1:1", "--count", "0"]).code, 1);
}
