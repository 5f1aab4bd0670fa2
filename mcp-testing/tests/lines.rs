//! How many lines a server's author writes, here, with the official Rust SDK and with FastMCP (Python).
//!
//! Each program in `examples/lines` is whole and formatted as its language does it. A line counts that has a letter or a digit,
//! and is neither a comment nor an attribute of the file. Those in Rust compile with this crate's tests.

use std::path::Path;

const CASES: [&str; 5] = ["hello", "ask", "template", "elicitation", "chat"];

fn lines(case: &str, file: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lines");
    let path = directory.join(case).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let counts = |line: &&str| {
        let line = line.trim();
        let comment = line.starts_with("//") || line.starts_with("# ") || line.starts_with("#!");
        !comment && line.contains(char::is_alphanumeric)
    };
    text.lines().filter(counts).count()
}

#[test]
fn no_program_is_shorter() {
    println!("{:12} {:>5} {:>5} {:>8}", "", "ours", "rmcp", "FastMCP");
    for case in CASES {
        let [ours, rmcp, python] = ["ours.rs", "rmcp.rs", "fastmcp.py"].map(|f| lines(case, f));
        println!("{case:12} {ours:5} {rmcp:5} {python:8}");
        assert!(ours <= rmcp, "{case}: {ours} lines, with rmcp {rmcp}");
        assert!(ours <= python, "{case}: {ours} lines, in Python {python}");
    }
}
