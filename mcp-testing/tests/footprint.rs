//! What a program takes on with a client over child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// Ours and all others: with default features, and with nothing but child processes.
#[rustfmt::skip]
const AT_MOST: [(&[&str], usize); 2] = [
    (&[], 39),
    (&["--no-default-features", "--features", "child"], 38),
];

#[test]
fn a_client_over_child_processes_is_of_few_crates() {
    for (features, at_most) in AT_MOST {
        let transport = tree("mcp-transport-stdio", features);
        let crates: BTreeSet<_> = tree("mcp-client", &[])
            .into_iter()
            .chain(transport)
            .collect();
        assert!(crates.contains("mcp-codec"), "{crates:?}");
        let count = crates.len();
        assert!(count <= at_most, "{count} crates: {crates:?}");
        no_heavy(&crates);
    }
}

/// What takes longer to build than all that is ours, or brings what a client has no use for.
fn no_heavy(crates: &BTreeSet<String>) {
    for heavy in [
        "futures-util",
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
fn tree(package: &str, features: &[&str]) -> Vec<String> {
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
        .args(features)
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
