//! What answers when the server asks: the command line, a model, a person at a terminal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use support::{Scripted, everything, legacy, mcp, result, with_everything};

const ERAS: [&str; 2] = ["legacy", "modern"];

/// What the form was filled in with, as the server tells it.
fn content(told: &str) -> Value {
    let (_, content) = told.split_once("action=accept, content=").unwrap();
    serde_json::from_str(content).unwrap()
}

#[test]
fn forms_are_filled_in_by_the_command_line() {
    for era in ERAS {
        let ran = with_everything(&[
            "call",
            "test_elicitation",
            "message=m",
            "--era",
            era,
            "--answer",
            r#"{"username":"5","other":1}"#,
            "--answer",
            "email=a@b",
        ]);
        assert_eq!(
            content(&ran.out),
            json!({ "email": "a@b", "username": "5" }),
            "{ran:?}"
        );
        // What is not answered is as the form would have it; types are the schema's.
        let ran = with_everything(&[
            "call",
            "test_elicitation_sep1034_defaults",
            "--era",
            era,
            "--answer",
            "age=7",
        ]);
        let expected = json!({ "age": 7, "name": "John Doe", "score": 95.5, "status": "active", "verified": true });
        assert_eq!(content(&ran.out), expected);
        let ran = with_everything(&[
            "call",
            "test_elicitation",
            "message=m",
            "--era",
            era,
            "--answer",
            "username=u",
        ]);
        assert!(
            ran.out.starts_with("User response: action=cancel"),
            "{ran:?}"
        );
        assert!(
            ran.err.contains("not answered: no --answer for email"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_program_answers_for_the_model() {
    for era in ERAS {
        let command = "sh -c 'grep -o \"Wh[a-z ]*\"; echo indeed'";
        let ran = with_everything(&[
            "call",
            "test_sampling",
            "prompt=What is it",
            "--era",
            era,
            "--llm-command",
            command,
            "--yes",
        ]);
        assert_eq!(ran.out, "LLM response: What is it\nindeed\n", "{ran:?}");
        let ran = with_everything(&[
            "call",
            "test_sampling",
            "prompt=p",
            "--era",
            era,
            "--llm-command",
            "cat",
        ]);
        assert_ne!(ran.code, 0);
        assert!(ran.err.contains("nobody is there to approve it"), "{ran:?}");
        let ran = with_everything(&[
            "call",
            "test_sampling",
            "prompt=p",
            "--era",
            era,
            "--llm-command",
            "sh -c 'echo why >&2; exit 3'",
            "--yes",
        ]);
        assert!(ran.err.contains("sh: exit status: 3: why"), "{ran:?}");
    }
    let ran = with_everything(&[
        "call",
        "test_sampling",
        "prompt=p",
        "--llm-command",
        "'",
        "--yes",
    ]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

/// An endpoint that answers one request; returns its address and what was asked.
fn endpoint(
    status: &'static str,
    answer: Value,
) -> (String, std::thread::JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = answer.to_string();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    });
    (url, serving)
}

#[test]
fn an_endpoint_answers_for_the_model() {
    let (url, asked) = endpoint(
        "200 OK",
        json!({ "model": "small-1", "choices": [{ "message": { "role": "assistant", "content": "Paris." } }] }),
    );
    let args = [
        "call",
        "test_sampling",
        "prompt=Capital?",
        "--llm-url",
        &url,
        "--llm-model",
        "small",
        "--yes",
        "--",
        everything(),
    ];
    let output = mcp(&args).env("MCP_LLM_KEY", "k-1").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "LLM response: Paris.\n"
    );
    let (head, body) = asked.join().unwrap();
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("authorization: bearer k-1\r\n"),
        "{head}"
    );
    assert_eq!(
        body,
        json!({ "model": "small", "max_tokens": 100, "messages": [{ "role": "user", "content": "Capital?" }] })
    );

    let (url, _asked) = endpoint(
        "401 Unauthorized",
        json!({ "error": { "message": "no key, no answer" } }),
    );
    let ran = with_everything(&[
        "call",
        "test_sampling",
        "prompt=p",
        "--llm-url",
        &url,
        "--llm-model",
        "m",
        "--yes",
    ]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.err.contains("401 Unauthorized: no key, no answer"),
        "{ran:?}"
    );
}

/// A server that asks this before it answers any call.
fn asks(method: &'static str, params: Value) -> Scripted {
    let mut call = Value::Null;
    Scripted::new(move |line| {
        if let Some(answer) = legacy(line, json!({ "tools": {} })) {
            return vec![answer];
        }
        match line["method"].as_str() {
            Some("tools/list") => {
                let tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
                vec![result(line, json!({ "tools": [tool] }))]
            }
            Some("tools/call") => {
                call = line.clone();
                vec![json!({ "jsonrpc": "2.0", "id": "q", "method": method, "params": params })]
            }
            None => vec![result(&call, json!({ "content": [] }))],
            Some(_) => vec![],
        }
    })
}

#[test]
fn a_server_is_not_told_why_a_model_fails() {
    let question = json!({ "messages": [], "maxTokens": 1 });
    let server = asks("sampling/createMessage", question);
    let command = "sh -c 'echo secret >&2; exit 3'";
    let args = [
        "call",
        &server.target,
        "t",
        "--yes",
        "--llm-command",
        command,
    ];
    let output = mcp(&args).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("secret"));
    let answer = server.lines.iter().find(|line| line["id"] == "q").unwrap();
    let error = json!({ "code": -32603, "message": "the model did not answer" });
    assert_eq!(answer["error"], error);
}

#[cfg(unix)]
mod at_a_terminal {
    use super::*;
    use std::process::Command;
    use support::{notification, terminal::Terminal};

    fn call(args: &[&str]) -> Terminal {
        let mut all = vec!["call"];
        all.extend(args);
        all.extend(["--", everything()]);
        Terminal::run(mcp(&all), 80, None)
    }

    #[test]
    fn a_person_fills_in_the_form() {
        for era in ERAS {
            let mut terminal = call(&["test_elicitation", "message=Who are you?", "--era", era]);
            terminal.expect("the server asks: Who are you?");
            terminal.expect("fill in the form");
            terminal.type_in("\r");
            terminal.expect("Your name");
            terminal.type_in("me\r");
            terminal.expect("Your address");
            terminal.type_in("a@b\r");
            terminal.expect("User response: action=accept");
            assert_eq!(terminal.end(), Some(0));
            let told = terminal
                .shown
                .lines()
                .find(|line| line.starts_with("User response"));
            assert_eq!(
                content(told.unwrap()),
                json!({ "email": "a@b", "username": "me" })
            );
        }
    }

    #[test]
    fn a_default_is_shown_harmless_and_sent_as_it_is() {
        let default = "a\u{9b}2Jb";
        let params = json!({ "message": "m", "requestedSchema": { "type": "object", "properties": {
            "name": { "type": "string", "default": default },
        } } });
        let server = asks("elicitation/create", params);
        let mut terminal = Terminal::run(mcp(&["call", &server.target, "t"]), 80, None);
        terminal.expect("fill in the form");
        terminal.type_in("\r");
        terminal.expect("[a\\u{9b}2Jb]");
        terminal.type_in("\r");
        assert_eq!(terminal.end(), Some(0));
        assert!(!terminal.shown.contains('\u{9b}'), "{:?}", terminal.shown);
        let answer = server.lines.iter().find(|line| line["id"] == "q").unwrap();
        assert_eq!(answer["result"]["content"]["name"], default);
    }

    #[test]
    fn a_person_declines() {
        let mut terminal = call(&["test_elicitation", "message=m"]);
        terminal.expect("fill in the form");
        terminal.type_in("\u{1b}[B\r");
        terminal.expect("User response: action=decline");
        assert_eq!(terminal.end(), Some(0));
    }

    #[test]
    fn a_person_approves_or_answers() {
        let mut terminal = call(&[
            "test_sampling",
            "prompt=Well?",
            "--llm-command",
            "echo fine",
        ]);
        terminal.expect("the server asks: Well?");
        terminal.expect("May echo answer this?");
        terminal.type_in("y");
        terminal.expect("LLM response: fine");
        assert_eq!(terminal.end(), Some(0));
        let mut terminal = call(&[
            "test_sampling",
            "prompt=Well?",
            "--llm-command",
            "echo fine",
        ]);
        terminal.expect("May echo answer this?");
        terminal.type_in("n");
        terminal.expect("the user refused");
        assert_eq!(terminal.end(), Some(3));
        let mut terminal = call(&["test_sampling", "prompt=Well?"]);
        terminal.expect("Your answer");
        terminal.type_in("by hand\r");
        terminal.expect("LLM response: by hand");
        assert_eq!(terminal.end(), Some(0));
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let mut terminal = call(&["test_sampling", "--llm-command", "echo yes", "--yes"]);
        terminal.expect("What to ask the model");
        terminal.type_in("typed\r");
        terminal.expect("LLM response: yes");
        assert_eq!(terminal.end(), Some(0));
        assert!(terminal.shown.contains("│ typed"), "{}", terminal.shown);
    }

    #[test]
    fn a_list_is_asked_for_in_words() {
        let program = env!("CARGO_BIN_EXE_mcp");
        let call = mcp(&["call", "batch_process", "--", program, "demo-server"]);
        let mut terminal = Terminal::run(call, 80, None);
        terminal.expect("Files to process; array");
        terminal.type_in("nothing.txt\r");
        terminal.expect("no file");
        assert_eq!(terminal.end(), Some(4));
    }

    #[test]
    fn what_is_said_when_nobody_waits_for_the_answer_any_more_is_shown() {
        let (seen, is_seen) = std::sync::mpsc::channel();
        let mut call = Value::Null;
        let server = Scripted::new(move |line| {
            if let Some(answer) = legacy(line, json!({ "tools": {} })) {
                return vec![answer];
            }
            match (line["method"].as_str(), line["id"].as_str()) {
                (Some("tools/list"), _) => {
                    let tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
                    vec![result(line, json!({ "tools": [tool] }))]
                }
                (Some("tools/call"), _) => {
                    call = line.clone();
                    let params = json!({ "message": "Who?", "requestedSchema": {
                        "type": "object", "properties": {},
                    } });
                    vec![
                        json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params }),
                        json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }),
                    ]
                }
                (None, Some("p")) => {
                    is_seen.recv().unwrap();
                    let content = json!({ "type": "text", "text": "gave up" });
                    vec![
                        notification("notifications/cancelled", json!({ "requestId": "q" })),
                        result(&call, json!({ "content": [content], "isError": true })),
                    ]
                }
                _ => vec![],
            }
        });
        let mut terminal = Terminal::run(mcp(&["call", &server.target, "t"]), 80, None);
        terminal.expect("fill in the form");
        seen.send(()).unwrap();
        terminal.expect("gave up");
        assert_eq!(terminal.end(), Some(4));
        terminal.is_as_it_was();
    }

    #[test]
    fn ctrl_c_at_a_question_ends_it_all_and_leaves_the_terminal_as_it_was() {
        for typed in [true, false] {
            let mut terminal = call(&["test_elicitation", "message=m"]);
            terminal.expect("fill in the form");
            terminal.expect_keys();
            if typed {
                terminal.type_in("\u{3}");
            } else {
                let interrupt = Command::new("kill")
                    .args(["-s", "INT", &terminal.id().to_string()])
                    .status();
                assert!(interrupt.unwrap().success());
            }
            assert_eq!(terminal.end(), Some(130));
            terminal.is_as_it_was();
        }
    }
}
