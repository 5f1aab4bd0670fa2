//! The examples run, and stay as short as they are said to be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// At most so many lines, imports and blank ones included.
const LENGTHS: [(&str, usize); 3] = [
    ("patterns_server.rs", 32),
    ("patterns_client.rs", 34),
    ("client_only.rs", 30),
];

const SERVER: &str = env!("CARGO_BIN_EXE_patterns_server");

fn run(program: &str, args: &[&str]) -> (Output, String) {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[test]
fn examples_are_short() {
    for (file, most) in LENGTHS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        assert!(
            lines <= most,
            "{file} has {lines} lines, not {most} at most"
        );
    }
}

#[test]
fn the_four_patterns_go_from_process_to_process() {
    let (output, text) = run(env!("CARGO_BIN_EXE_patterns_client"), &[SERVER]);
    assert!(output.status.success(), "{output:?}");
    // Progress goes through the call, the rest through the connection: their order among each other is not fixed.
    let mut lines: Vec<_> = text.lines().collect();
    let progress: Vec<_> = lines.extract_if(.., |l| l.contains("/2 ")).collect();
    assert_eq!(progress, ["1/2 processed a.txt", "2/2 processed b.txt"]);
    let rest = [
        "[info] batch started",
        "chat: All is well.",
        r#"{"text":"All is well."} in the modern era"#,
    ];
    assert_eq!(lines, rest);
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_client_alone_lists_tools() {
    let (output, text) = run(env!("CARGO_BIN_EXE_client_only"), &[SERVER]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text,
        "modern era, protocol 2026-07-28\nbatch_process: Process files\n"
    );
}

#[test]
fn a_client_without_a_server_says_what_it_needs() {
    for client in [
        env!("CARGO_BIN_EXE_patterns_client"),
        env!("CARGO_BIN_EXE_client_only"),
    ] {
        let (output, _) = run(client, &[]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("which server?"));
    }
}

#[test]
fn the_readme_shows_the_examples_that_are_compiled_here() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(here.join("../README.md")).unwrap();
    for (file, _) in LENGTHS {
        let code = std::fs::read_to_string(here.join(file)).unwrap();
        let shown = format!("<!-- examples/{file} -->\n```rust\n{code}```\n");
        assert!(readme.contains(&shown), "the README shows another {file}");
    }
}
