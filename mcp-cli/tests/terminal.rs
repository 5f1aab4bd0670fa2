//! What a call looks like on a terminal, narrow and wide, and in a file.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;

use support::terminal::Terminal;
use support::{directory, mcp, run};

const CALL: [&str; 14] = [
    "call",
    "batch_process",
    r#"file_ids=["weather.txt","ferry.txt","market.txt","pier.txt","lighthouse.txt","notes.txt"]"#,
    "--log-level",
    "debug",
    "--llm-command",
    "echo in short",
    "--yes",
    "--era",
    "modern",
    "--",
    env!("CARGO_BIN_EXE_mcp"),
    "demo-server",
    "--pace=30",
];

/// Lines of the log, as they are wherever they are shown.
const LOGS: [&str; 4] = [
    "info       batch: 6 files to process",
    "debug      batch: weather.txt has 30 words",
    "warning    batch: notes.txt is empty, skipped",
    "notice     batch: summary by echo",
];

/// What stands on a screen in the end, lines that have scrolled away included.
fn screen(shown: &str, columns: u16) -> Vec<String> {
    let mut parser = vt100::Parser::new(200, columns, 0);
    parser.process(shown.as_bytes());
    let screen = parser.screen();
    let rows = screen.rows(0, columns);
    rows.map(|row| row.trim_end().to_owned())
        .filter(|row| !row.is_empty())
        .collect()
}

#[test]
fn the_bar_never_garbles_a_line() {
    for (columns, colours) in [(80, false), (80, true), (200, true)] {
        let mut command = mcp(&CALL);
        if colours {
            command.env_remove("NO_COLOR");
        }
        let file = directory(&format!("bar-{columns}-{colours}")).join("result");
        let mut terminal = Terminal::run(command, columns, Some(File::create(&file).unwrap()));
        assert_eq!(terminal.end(), Some(0), "{}", terminal.shown);
        let rows = screen(&terminal.shown, columns);
        for line in LOGS {
            assert_eq!(
                rows.iter().filter(|row| *row == line).count(),
                1,
                "{line}: {rows:#?}"
            );
        }
        // One bar, at the end, full; all else has its word in front, or belongs to the line above.
        let (bars, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row.starts_with("progress"));
        assert_eq!(bars.len(), 1, "{rows:#?}");
        assert_eq!(rows.last(), bars.last().copied(), "{rows:#?}");
        assert!(
            bars[0].contains("━━━━━━━━━━━━━━━━━━━━") && bars[0].contains("7/7"),
            "{rows:#?}"
        );
        let fine = |row: &&&String| {
            [
                "info ",
                "debug ",
                "notice ",
                "warning ",
                "sampling ",
                "notified ",
                "           ",
            ]
            .iter()
            .any(|word| row.starts_with(word))
        };
        assert!(others.iter().all(|row| fine(&row)), "{rows:#?}");
        assert_eq!(terminal.shown.contains("\u{1b}[3"), colours);
        // What the call returns is in the file, and nothing else.
        let result = std::fs::read_to_string(&file).unwrap();
        assert!(
            result.starts_with("files") && !result.contains('\u{1b}'),
            "{result}"
        );
    }
}

#[test]
fn a_file_gets_lines_and_no_bar() {
    let ran = run(&CALL);
    assert!(
        !ran.err.contains('\u{1b}') && !ran.err.contains('\r'),
        "{}",
        ran.err
    );
    for line in LOGS {
        assert!(
            ran.err.lines().any(|shown| shown == line),
            "{line}: {}",
            ran.err
        );
    }
    let progress: Vec<_> = ran
        .err
        .lines()
        .filter(|line| line.starts_with("progress   "))
        .collect();
    assert_eq!(progress.len(), 7, "{}", ran.err);
}
