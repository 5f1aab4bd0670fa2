//! `mcp doctor`: it finds nothing where nothing is wrong, and what is wrong where something is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use support::{everything, run, with_everything};

#[test]
fn the_server_with_everything_is_in_good_health() {
    let ran = with_everything(&["doctor", "--strict", "--verbose"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.contains("legacy era") && ran.out.contains("modern era"));
    let last = ran.out.lines().last().unwrap();
    assert!(last.contains(" 0 broken, 0 warnings"), "{last}");
    let passed = ran
        .out
        .lines()
        .filter(|line| line.starts_with("  pass  REQ-"))
        .count();
    assert!(
        last.starts_with(&format!("{passed} kept")) && passed > 100,
        "{last}"
    );
    for (era, other) in [("legacy", "modern"), ("modern", "legacy")] {
        let ran = with_everything(&["doctor", "--json", "--era", era]);
        let lines: Vec<Value> = ran
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let (summary, rules) = lines.split_last().unwrap();
        assert_eq!(summary["ok"], true);
        assert!(
            rules
                .iter()
                .all(|rule| rule["era"] == era && rule["era"] != other)
        );
    }
}

#[test]
fn who_speaks_neither_era_is_not_examined() {
    for server in [&["cat"][..], &["false"], &["/no/such/program"]] {
        let mut args = vec!["doctor", "--timeout", "0.2", "--"];
        args.extend(server);
        assert_eq!(run(&args).code, 2, "{server:?}");
    }
}

/// The server with everything, but what it says goes through a function first; any number of connections.
fn ill(symptom: fn(String) -> Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut server = Command::new(everything())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let (mut stdin, stdout) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
            let mut client = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // It ends when either of them does.
                while let Ok(n) = client.read(&mut buffer)
                    && n > 0
                    && stdin.write_all(&buffer[..n]).is_ok()
                {}
            });
            std::thread::spawn(move || {
                'lines: for line in BufReader::new(stdout).lines() {
                    for line in symptom(line.unwrap()) {
                        if line == "HANG UP" || writeln!(&stream, "{line}").is_err() {
                            break 'lines;
                        }
                    }
                }
                let _ = stream.shutdown(std::net::Shutdown::Both);
                server.wait().unwrap();
            });
        }
    });
    format!("tcp://{address}")
}

fn replace(line: &str, from: &str, to: &str) -> Vec<String> {
    vec![line.replace(from, to)]
}

/// A rule, the verdict on it, and the symptom that it is due to.
type Case = (&'static str, &'static str, fn(String) -> Vec<String>);

#[test]
fn what_is_wrong_is_found_and_shown() {
    let cases: &[Case] = &[
        ("REQ-STDIO-02", "fail", |line| {
            vec!["Listening on stdio".to_owned(), line]
        }),
        ("REQ-JRPC-01", "fail", |line| {
            replace(&line, "\"2.0\"", "\"1.0\"")
        }),
        ("REQ-JRPC-13", "fail", |line| {
            replace(&line, "-32601", "-32000")
        }),
        ("REQ-ERR-01", "fail", |line| {
            replace(&line, "\"code\":-32700", "\"code\":\"parse\"")
        }),
        ("REQ-ERR-07", "fail", |line| match line.contains("-32700") {
            true => vec!["HANG UP".to_owned()],
            false => vec![line],
        }),
        ("REQ-ERR-07", "warn", |line| match line.contains("-32700") {
            true => vec![],
            false => vec![line],
        }),
        ("REQ-ID-04", "fail", |line| {
            replace(&line, "\"id\":\"1\"", "\"id\":1")
        }),
        ("REQ-PING-01", "fail", |line| {
            replace(&line, "\"result\":{}", "\"result\":{\"pong\":true}")
        }),
        ("REQ-LIFE-12", "fail", |line| {
            replace(
                &line,
                "\"protocolVersion\":\"2025-11-25\"",
                "\"protocolVersion\":\"2026-07-28\"",
            )
        }),
        ("REQ-JRPC-09", "fail", |line| {
            replace(&line, "\"resultType\":\"complete\"", "\"x\":1")
        }),
        ("REQ-CACHE-01", "fail", |line| {
            replace(&line, "\"ttlMs\"", "\"ttl\"")
        }),
        ("REQ-DISC-01", "fail", |line| {
            replace(&line, "\"cacheScope\"", "\"scope\"")
        }),
        ("REQ-VER-01", "fail", |line| {
            replace(&line, "-32022", "-32602")
        }),
        ("REQ-VER-05", "fail", |line| {
            replace(&line, "\"requested\"", "\"wanted\"")
        }),
        ("REQ-META-04", "warn", |line| {
            replace(&line, "io.modelcontextprotocol/serverInfo", "x/y")
        }),
        ("REQ-CAP-05", "fail", |line| {
            replace(&line, "\"tools\":[", "\"tool\":[")
        }),
        ("REQ-TOOL-12", "fail", |line| {
            replace(
                &line,
                "\"inputSchema\":{",
                "\"inputSchema\":{\"type\":\"array\",\"t\":{}},\"i\":{",
            )
        }),
        ("REQ-TOOL-01", "warn", |line| {
            replace(
                &line,
                "\"name\":\"test_simple_text\"",
                "\"name\":\"simple text\"",
            )
        }),
        ("REQ-RES-01", "fail", |line| {
            replace(&line, "\"uri\":\"mcp-doctor-no-such-thing:/x\"", "\"u\":1")
                .into_iter()
                .map(|line| line.replace("-32602", "-32002"))
                .collect()
        }),
        ("REQ-JRPC-05", "fail", |line| {
            match line.contains("-32601") {
                // As if it answered the notification that follows.
                true => vec![
                    line,
                    r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"m"}}"#.to_owned(),
                ],
                false => vec![line],
            }
        }),
        ("REQ-JRPC-12", "fail", |line| {
            match line.contains("resultType") {
                true => vec![
                    r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(),
                    line,
                ],
                false => vec![line],
            }
        }),
    ];
    for cases in cases.chunks(7) {
        // At the same time, as some wait for what does not come.
        std::thread::scope(|scope| {
            for case in cases {
                scope.spawn(|| diagnosed(case));
            }
        });
    }
    // The offending bytes are shown.
    let noisy = ill(|line| vec!["Listening on stdio".to_owned(), line]);
    let ran = run(&["doctor", &noisy]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("  fail  REQ-STDIO-02 "), "{ran:?}");
    assert!(ran.out.contains("← Listening on stdio\n"), "{ran:?}");
}

fn diagnosed((rule, verdict, symptom): &Case) {
    let ran = run(&["doctor", "--json", "--timeout", "2", &ill(*symptom)]);
    let lines = ran.out.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found = lines
        .iter()
        .find(|line| line["rule"] == *rule && line["verdict"] == *verdict);
    let found = found.unwrap_or_else(|| panic!("{rule}: {ran:?}"));
    assert!(found["reason"].is_string(), "{found}");
    let ok = lines.last().unwrap()["ok"] == true;
    assert_eq!(ran.code, if ok { 0 } else { 3 }, "{ran:?}");
}
