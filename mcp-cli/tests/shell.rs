//! `mcp shell`, and what is generated: completions and the manual.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::{
    Scripted, directory, everything, legacy, mcp, notification, result, run, run_with_stdin,
};

#[test]
fn lines_are_run_one_after_the_other() {
    let server = everything();
    let lines = "list\ncall test_simple_text\njson_schema_2020_12_tool email='a b' contactMethod=email\n\nread test://static-text\nprompt test_simple_prompt\nexit\nnever\n";
    let ran = run_with_stdin(&["shell", "--", server], lines);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    for text in [
        "tool      test_simple_text\n",
        "template  test://template/{id}/data\n",
        "\nThis is a simple text response for testing.\n",
        "\"email\":\"a b\"",
        "user:\n",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    for (lines, code) in [
        ("test_error_handling\ntest_simple_text\n", 4),
        ("no_such\n", 1),
        ("read test://none\n", 3),
        ("unwatch x\n", 1),
        ("'\n", 1),
        ("", 0),
    ] {
        let ran = run_with_stdin(&["shell", "--", server], lines);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{lines}: {ran:?}");
    }
    let ran = run_with_stdin(&["shell", "--json", "--", server], "test_simple_text\n");
    assert!(ran.json()["content"].is_array());
}

#[test]
fn completions_and_manual_are_generated() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("doctor"), "{shell}");
    }
    assert_eq!(run(&["completions", "dos"]).code, 1);
    let page = run(&["man"]).out;
    assert!(page.starts_with(".ie") && page.contains("mcp"), "{page}");
    let directory = directory("man");
    assert_eq!(run(&["man", "--dir", directory.to_str().unwrap()]).code, 0);
    for page in ["mcp.1", "mcp-call.1", "mcp-doctor.1"] {
        assert!(directory.join(page).exists(), "{page}");
    }
    assert!(!directory.join("mcp-demo-server.1").exists());
}

#[cfg(unix)]
#[test]
fn a_script_can_be_stopped_between_its_lines_and_amid_one() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    use support::{terminate, wait};

    for (line, shown) in [("help", "Lines:"), ("t", "progress   1")] {
        // A tool that is never done.
        let server = Scripted::new(|line| match legacy(line, json!({ "tools": {} })) {
            Some(answer) => vec![answer],
            None if line["method"] == "tools/list" => {
                let tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
                vec![result(line, json!({ "tools": [tool] }))]
            }
            None if line["method"] == "tools/call" => {
                let token = &line["params"]["_meta"]["progressToken"];
                let params = json!({ "progressToken": token, "progress": 1 });
                vec![notification("notifications/progress", params)]
            }
            None => vec![],
        });
        let mut shell = mcp(&["shell", &server.target]);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        writeln!(stdin, "{line}").unwrap();
        let mut out = BufReader::new(shell.stdout.take().unwrap());
        let mut err = BufReader::new(shell.stderr.take().unwrap());
        let mut told = String::new();
        match line {
            "help" => out.read_line(&mut told).unwrap(),
            _ => err.read_line(&mut told).unwrap(),
        };
        assert!(told.starts_with(shown), "{told}");
        terminate(&shell);
        assert_eq!(wait(&mut shell), Some(130), "{line}");
    }
}

#[cfg(unix)]
mod at_a_terminal {
    use super::*;
    use std::process::Command;
    use support::terminal::Terminal;

    #[test]
    fn names_and_arguments_are_completed_and_a_failure_is_not_the_end() {
        let mut terminal = Terminal::run(mcp(&["shell", "--", everything()]), 80, None);
        terminal.expect("mcp> ");
        terminal.type_in("test_simple_te\t");
        terminal.expect("test_simple_text ");
        terminal.type_in("\r");
        terminal.expect("This is a simple text response");
        terminal.expect("mcp> ");
        terminal.type_in("test_error_handling\r");
        terminal.expect("intentionally returns an error");
        terminal.expect("mcp> ");
        terminal.type_in("json_schema_2020_12_tool contactM\t");
        terminal.expect("contactMethod=");
        terminal.type_in("em\t");
        terminal.expect("contactMethod=email ");
        terminal.type_in("email=e\r");
        terminal.expect("\"email\":\"e\"");
        terminal.expect("mcp> ");
        // This is the server's own suggestion.
        terminal.type_in("prompt test_prompt_with_arguments arg1=teste\t");
        terminal.expect("arg1=tested ");
        terminal.type_in("arg2=x\r");
        terminal.expect("user:");
        terminal.expect("mcp> ");
        terminal.type_in("\u{4}");
        assert_eq!(terminal.end(), Some(0));
    }

    #[test]
    fn ctrl_c_cancels_a_call_and_not_the_shell() {
        let program = env!("CARGO_BIN_EXE_mcp");
        let mut terminal = Terminal::run(mcp(&["shell", "--", program, "demo-server"]), 80, None);
        terminal.expect("mcp> ");
        terminal.type_in("batch_process file_ids=endless.txt\r");
        terminal.expect("endless.txt");
        terminal.expect("endless.txt");
        signal(&terminal, "INT");
        terminal.expect("interrupted");
        terminal.expect("mcp> ");
        terminal.type_in("exit\r");
        assert_eq!(terminal.end(), Some(0));
    }

    #[test]
    fn what_is_asked_at_the_prompt_is_asked_after_the_line() {
        let capabilities = json!({ "prompts": {}, "completions": {} });
        let server = Scripted::new(move |line| {
            match (legacy(line, capabilities.clone()), line["method"].as_str()) {
                (Some(answer), _) => vec![answer],
                (None, Some("prompts/list")) => {
                    let prompt = json!({ "name": "p", "arguments": [{ "name": "a" }] });
                    vec![result(line, json!({ "prompts": [prompt] }))]
                }
                // By this it is known that a person is at the prompt.
                (None, Some("completion/complete")) => {
                    let params = json!({ "message": "Who?", "requestedSchema": {
                        "type": "object", "properties": { "name": { "type": "string" } },
                    } });
                    vec![
                        json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params }),
                        result(line, json!({ "completion": { "values": ["one"] } })),
                    ]
                }
                (None, _) => vec![],
            }
        });
        let mut terminal = Terminal::run(mcp(&["shell", &server.target]), 80, None);
        terminal.expect("mcp> ");
        terminal.type_in("prompt p a=\t");
        terminal.expect("the server asks: Who?");
        terminal.expect("press Enter to answer");
        // A line that is thrown away.
        terminal.type_in("\u{15}no_such_tool\u{15}\r");
        terminal.expect("fill in the form");
        terminal.type_in("\r");
        terminal.expect("name");
        terminal.type_in("abcdefghijklmnop\r");
        let answer = server.lines.iter().find(|line| line["id"] == "q").unwrap();
        assert_eq!(answer["result"]["content"]["name"], "abcdefghijklmnop");
        terminal.expect("mcp> ");
        terminal.type_in("exit\r");
        assert_eq!(terminal.end(), Some(0));
        assert!(!terminal.shown.contains("no tool"), "{}", terminal.shown);
    }

    #[test]
    fn the_terminal_is_as_it_was_after_a_signal() {
        let mut terminal = Terminal::run(mcp(&["shell", "--", everything()]), 80, None);
        terminal.expect("mcp> ");
        assert!(!terminal.is_cooked());
        signal(&terminal, "TERM");
        assert_eq!(terminal.end(), Some(130));
        terminal.is_as_it_was();
    }

    fn signal(terminal: &Terminal, name: &str) {
        let id = terminal.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }
}
