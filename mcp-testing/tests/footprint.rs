//! What a program takes on with a client over child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// Ours and all others, with default features.
const AT_MOST: usize = 40;

#[test]
fn a_client_over_child_processes_is_of_few_crates() {
    let crates: BTreeSet<String> = ["mcp-client", "mcp-transport-stdio"]
        .map(tree)
        .concat()
        .into_iter()
        .collect();
    assert!(crates.contains("mcp-codec"), "{crates:?}");
    assert!(
        crates.len() <= AT_MOST,
        "{} crates: {crates:?}",
        crates.len()
    );
    for heavy in [
        "jsonschema",
        "schemars",
        "hyper",
        "rustls",
        "regex",
        "url",
        "uuid",
        "chrono",
    ] {
        assert!(!crates.contains(heavy), "{heavy}");
    }
}

/// The names of what a package needs to run, itself included.
fn tree(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--package",
            package,
            "--edges",
            "normal",
        ])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}
