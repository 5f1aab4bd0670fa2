//! `mcp doctor`: it finds nothing where nothing is wrong, and what is wrong where something is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::{Web, everything, run, with_everything};

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
    let cases = [
        ("0.2", &["cat"][..], "no answer within 200ms"),
        (
            "60",
            &["sh", "-c", "read -r _"],
            "it has closed the connection",
        ),
        ("60", &["/no/such/program"], "No such file"),
    ];
    for (timeout, server, said) in cases {
        let mut args = vec!["doctor", "--timeout", timeout, "--"];
        args.extend(server);
        let ran = run(&args);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
}

#[test]
fn what_a_server_writes_to_stderr_is_not_promised() {
    let ran = run(&["doctor", "--stderr", "--", "cat"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("shows nothing"), "{ran:?}");
}

#[test]
fn who_talks_of_something_else_all_the_time_does_not_answer() {
    let line = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;
    let script = format!("for i in $(seq 600); do echo '{line}'; sleep 0.1; done");
    let begun = Instant::now();
    let ran = run(&["doctor", "--timeout", "0.3", "--", "sh", "-c", &script]);
    assert_eq!(ran.code, 2, "{ran:?}");
    // It would be so after a minute, too, when the server has ended.
    assert!(begun.elapsed() < Duration::from_secs(30), "{ran:?}");
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
    // Nobody waits for long for what a later answer has overtaken.
    let deaf = ill(|line| match line.contains("-32700") {
        true => vec![],
        false => vec![line],
    });
    let ran = run(&["doctor", "--timeout", "600", &deaf]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let reason = "  warn  REQ-ERR-07     what is no JSON is refused\n";
    assert!(ran.out.contains(reason), "{ran:?}");
    let reason = "no answer, though a later request has one";
    assert!(ran.out.contains(reason), "{ran:?}");
}

fn diagnosed((rule, verdict, symptom): &Case) {
    found(rule, verdict, &ill(*symptom));
}

/// That the doctor says so.
fn found(rule: &str, verdict: &str, target: &str) {
    let ran = run(&["doctor", "--json", "--timeout", "10", target]);
    let lines = ran.out.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found = lines
        .iter()
        .find(|line| line["rule"] == *rule && line["verdict"] == *verdict);
    let found = found.unwrap_or_else(|| {
        panic!(
            "{rule} {verdict} is not among: {}",
            ran.out
                .lines()
                .filter(|l| !l.contains("\"pass\""))
                .collect::<String>()
        )
    });
    assert!(found["reason"].is_string(), "{found}");
    let ok = lines.last().unwrap()["ok"] == true;
    assert_eq!(ran.code, if ok { 0 } else { 3 }, "{ran:?}");
}

/// A server of the web behind a wire that changes what it says; bytes are replaced by as many.
fn ill_web(scheme: &str, from: &'static [u8], to: &'static [u8]) -> (Web, String) {
    assert_eq!(from.len(), to.len());
    let server = Web::everything(scheme);
    let path = server.url.split('/').skip(3).collect::<Vec<_>>().join("/");
    let address = server.url.split('/').nth(2).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}/{path}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let Ok(server) = TcpStream::connect(&address) else {
                return;
            };
            let copy = |mut from: TcpStream,
                        mut to: TcpStream,
                        change: Option<(&'static [u8], &'static [u8])>| {
                std::thread::spawn(move || {
                    let mut buffer = [0; 65536];
                    while let Ok(n) = from.read(&mut buffer)
                        && n > 0
                    {
                        let mut bytes = buffer[..n].to_vec();
                        if let Some((old, new)) = change {
                            for at in 0..(n + 1).saturating_sub(old.len()) {
                                if bytes[at..].starts_with(old) {
                                    bytes[at..at + old.len()].copy_from_slice(new);
                                }
                            }
                        }
                        if to.write_all(&bytes).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            };
            let (client2, server2) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            copy(client, server2, None);
            copy(server, client2, Some((from, to)));
        }
    });
    (server, url)
}

#[test]
fn over_the_web_it_is_in_good_health_too() {
    for (scheme, least) in [("http", 150), ("ws", 135)] {
        let server = Web::everything(scheme);
        let ran = run(&["doctor", "--strict", "--verbose", &server.url]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        let passed = ran.out.lines().filter(|line| line.starts_with("  pass  "));
        let (passed, last) = (passed.count(), ran.out.lines().last().unwrap());
        assert!(passed > least, "{passed}");
        assert!(last.contains(" 0 broken, 0 warnings"), "{last}");
    }
    let ran = run(&["doctor", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = run(&["doctor", "ws://127.0.0.1:1"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_subprotocol_that_was_not_offered_is_told() {
    let (_server, url) = ill_web("ws", b": mcp\r\n", b": mcq\r\n");
    let ran = run(&["doctor", &url]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("SubProtocol"), "{ran:?}");
}

#[test]
fn what_is_wrong_with_the_web_is_found() {
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        &'static [u8],
        &'static [u8],
    );
    let cases: &[Case] = &[
        ("http", "REQ-HTTPM-14", "fail", b" 403 ", b" 200 "),
        ("http", "REQ-HTTPM-18", "warn", b" 403 ", b" 200 "),
        ("http", "REQ-HTTPM-08", "fail", b"-32020", b"-32000"),
        ("http", "REQ-HTTPM-05", "fail", b" 400 ", b" 422 "),
        ("http", "REQ-HTTPM-09", "fail", b" 404 ", b" 400 "),
        ("http", "REQ-HTTPL-04", "fail", b" 404 ", b" 400 "),
        ("http", "REQ-HTTPL-02", "fail", b" 202 ", b" 200 "),
        ("http", "REQ-HTTPM-03", "fail", b" 202 ", b" 200 "),
        ("http", "REQ-HTTPM-02", "warn", b" 415 ", b" 200 "),
        ("http", "REQ-HTTPM-01", "warn", b" 405 ", b" 404 "),
        (
            "http",
            "REQ-HTTPL-01",
            "fail",
            b"text/event-stream",
            b"application/json ",
        ),
        (
            "http",
            "REQ-HTTPM-11",
            "warn",
            b"x-accel-buffering: no",
            b"x-accel-buffering: on",
        ),
        ("http", "REQ-JRPC-13", "fail", b"-32601", b"-32000"),
        ("ws", "RFC6455-4.2.2", "fail", b" 426 ", b" 400 "),
        ("ws", "REQ-SEC-01", "fail", b" 403 ", b" 400 "),
        ("ws", "RFC6455-5.1", "warn", b"\x03\xea", b"\x03\xe8"),
        ("ws", "RFC6455-8.1", "warn", b"\x03\xef", b"\x03\xe8"),
        ("ws", "RFC6455-7.4.1", "warn", b"\x03\xeb", b"\x03\xe8"),
        ("ws", "RFC6455-5.5.2", "fail", b"mcp-doctor", b"mcp-patent"),
        ("ws", "REQ-JRPC-09", "fail", b"resultType", b"resultTipe"),
    ];
    for cases in cases.chunks(7) {
        std::thread::scope(|scope| {
            for (scheme, rule, verdict, from, to) in cases {
                scope.spawn(move || {
                    let (_server, url) = ill_web(scheme, from, to);
                    found(rule, verdict, &url);
                });
            }
        });
    }
}
