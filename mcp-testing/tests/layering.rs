//! The crates lie on each other as they are meant to: arrows point down only, and each knows no more than it needs.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

/// What a crate may depend on, for its library and its build; tests may use what they like.
struct Rule {
    name: &'static str,
    /// Crates of this workspace.
    ours: &'static [&'static str],
    /// All others.
    theirs: &'static [&'static str],
    /// Others behind a feature that is off by default and not for programs: random values, bodies of fuzz targets.
    for_tests: &'static [&'static str],
}

/// Whoever needs more writes it down here, with the reason in the commit.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { name: "mcp-types", ours: &[], theirs: &["base64", "bytes", "memchr", "serde", "serde_json", "thiserror"], for_tests: &["proptest"] },
    Rule { name: "mcp-codec", ours: &["mcp-types"], theirs: &["bytes", "futures-core", "futures-sink", "memchr", "tokio", "tokio-util"], for_tests: &["serde_json"] },
    Rule { name: "mcp-session", ours: &["mcp-types"], theirs: &["serde", "serde_json", "thiserror"], for_tests: &[] },
    Rule { name: "mcp-peer", ours: &["mcp-session", "mcp-types"], theirs: &["atomic-waker", "futures-core", "futures-sink", "pin-project-lite", "serde", "serde_json", "thiserror", "tokio", "tokio-util", "tracing"], for_tests: &[] },
    Rule { name: "mcp-macros", ours: &[], theirs: &["proc-macro2", "quote", "syn"], for_tests: &[] },
    Rule { name: "mcp-server", ours: &["mcp-macros", "mcp-peer", "mcp-session", "mcp-types"], theirs: &["base64", "chacha20poly1305", "futures-util", "getrandom", "humantime", "jsonschema", "regex", "schemars", "serde", "serde_json", "serde_path_to_error", "sha2", "thiserror", "tokio", "tower-layer", "tower-service", "tracing"], for_tests: &[] },
    Rule { name: "mcp-client", ours: &["mcp-peer", "mcp-session", "mcp-types"], theirs: &["futures-core", "jsonschema", "serde", "serde_json", "thiserror", "tokio", "tracing"], for_tests: &[] },
    Rule { name: "mcp-transport-http", ours: &["mcp-types"], theirs: &["base64", "bytes", "futures-util", "getrandom", "http", "http-body", "http-body-util", "httpdate", "hyper", "hyper-rustls", "hyper-util", "memchr", "rustls", "rustls-native-certs", "serde", "serde_json", "socket2", "thiserror", "tokio", "tokio-util", "tower-service", "tracing"], for_tests: &[] },
    Rule { name: "mcp-transport-stdio", ours: &["mcp-codec", "mcp-types"], theirs: &["bytes", "futures-core", "futures-sink", "rustix", "thiserror", "tokio", "tokio-util", "tracing"], for_tests: &[] },
    Rule { name: "mcp-transport-ws", ours: &["mcp-codec", "mcp-types"], theirs: &["base64", "bytes", "futures-util", "getrandom", "http", "httparse", "hyper", "hyper-util", "memchr", "rustls-native-certs", "sha1", "thiserror", "tokio", "tokio-rustls", "tokio-util", "tracing", "tungstenite"], for_tests: &[] },
];

/// Where everything meets, and nobody depends on: these may use what they like.
const TOPS: &[&str] = &["mcp-cli", "mcp-testing", "examples", "chat", "benches"];

#[test]
fn no_arrow_points_up() {
    let faults = faults(&metadata());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_rule_is_about_a_crate_that_exists() {
    let names: Vec<_> = packages(&metadata())
        .map(|package| name(package).to_owned())
        .collect();
    for rule in RULES {
        assert!(names.iter().any(|name| name == rule.name), "{}", rule.name);
    }
}

/// The test of the test: it finds what it is there to find.
#[test]
fn an_arrow_that_points_up_is_found() {
    let metadata = metadata();
    #[rustfmt::skip]
    let forbidden = [
        ("mcp-types", "tokio"), ("mcp-types", "tracing"), ("mcp-types", "http"), ("mcp-types", "mcp-codec"),
        ("mcp-session", "tokio"), ("mcp-session", "futures-util"), ("mcp-session", "mcp-peer"), ("mcp-session", "mcp-codec"),
        ("mcp-codec", "mcp-session"), ("mcp-peer", "mcp-codec"), ("mcp-peer", "mcp-transport-stdio"),
        ("mcp-client", "mcp-server"), ("mcp-server", "mcp-client"),
        ("mcp-client", "mcp-transport-stdio"), ("mcp-server", "mcp-transport-stdio"),
        ("mcp-transport-http", "mcp-peer"), ("mcp-transport-http", "mcp-server"), ("mcp-transport-http", "mcp-client"),
        ("mcp-transport-stdio", "mcp-peer"), ("mcp-transport-stdio", "mcp-session"),
        ("mcp-transport-ws", "mcp-peer"), ("mcp-transport-ws", "mcp-server"), ("mcp-client", "mcp-transport-ws"),
        ("mcp-macros", "mcp-server"), ("mcp-macros", "mcp-types"), ("mcp-client", "mcp-macros"),
        ("mcp-client", "mcp-testing"), ("mcp-client", "rmcp"),
    ];
    for (from, to) in forbidden {
        for kind in [Value::Null, json!("build")] {
            let metadata = with_edge(&metadata, from, to, &kind);
            let found = faults(&metadata);
            assert_eq!(found.len(), 1, "{from} -> {to} ({kind}): {found:?}");
            assert!(
                found[0].starts_with(&format!("{from} -> {to}")),
                "{found:?}"
            );
        }
        // Tests may use what they like, but for what depends on the crate itself.
        let metadata = with_edge(&metadata, from, to, &json!("dev"));
        assert_eq!(faults(&metadata), Vec::<String>::new());
    }
    // A renamed dependency is what it is, not what it is called.
    let mut renamed = with_edge(&metadata, "mcp-session", "tokio", &Value::Null);
    let package = package_mut(&mut renamed, "mcp-session");
    let last = package["dependencies"]
        .as_array_mut()
        .and_then(|edges| edges.last_mut());
    last.expect("just added")["rename"] = json!("serde");
    assert_eq!(faults(&renamed).len(), 1);
}

#[test]
fn a_crate_without_a_place_is_found() {
    let mut metadata = metadata();
    let unknown = json!({"name": "mcp-new", "dependencies": []});
    let packages = metadata["packages"].as_array_mut();
    packages.expect("cargo lists packages").push(unknown);
    assert_eq!(faults(&metadata), ["mcp-new has no place: give it a rule"]);
}

/// What is behind a feature is tested with all the rest: `cargo test --workspace` turns each on, for somebody there needs it.
#[test]
fn every_feature_is_tested() {
    // Crates for other systems need not be there.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = cargo_metadata(&["--filter-platform", host.expect("a host")]);
    let nodes = metadata["resolve"]["nodes"].as_array();
    for package in
        packages(&metadata).filter(|package| RULES.iter().any(|r| r.name == name(package)))
    {
        let node = nodes
            .into_iter()
            .flatten()
            .find(|node| node["id"] == package["id"]);
        let on = node.expect("a crate of this workspace")["features"].as_array();
        let on: BTreeSet<_> = on.into_iter().flatten().filter_map(Value::as_str).collect();
        let features = package["features"].as_object().into_iter().flatten();
        for (feature, _) in features.filter(|(feature, _)| *feature != "fuzzing") {
            assert!(on.contains(&**feature), "{}: `{feature}`", name(package));
        }
    }
}

/// What the workspace looks like to cargo.
fn metadata() -> Value {
    cargo_metadata(&["--no-deps"])
}

fn cargo_metadata(options: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["metadata", "--offline", "--format-version", "1"]);
    command.args(options);
    let output = command.args(["--manifest-path", manifest]).output();
    let output = output.expect("cargo runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("cargo gives names")
}

/// One sentence for each edge that is not allowed.
fn faults(metadata: &Value) -> Vec<String> {
    let ours: BTreeSet<_> = packages(metadata).map(name).collect();
    let mut faults = Vec::new();
    for package in packages(metadata) {
        let from = name(package);
        if TOPS.contains(&from) {
            continue;
        }
        let Some(rule) = RULES.iter().find(|rule| rule.name == from) else {
            faults.push(format!("{from} has no place: give it a rule"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = name(dependency);
            let allowed = if ours.contains(to) {
                rule.ours
            } else {
                rule.theirs
            };
            let for_tests = dependency["optional"] == true && rule.for_tests.contains(&to);
            if dependency["kind"] != "dev" && !allowed.contains(&to) && !for_tests {
                faults.push(format!("{from} -> {to} is not allowed"));
            }
        }
    }
    faults
}

fn package_mut<'a>(metadata: &'a mut Value, wanted: &str) -> &'a mut Value {
    let packages = metadata["packages"].as_array_mut();
    let mut packages = packages.expect("cargo lists packages").iter_mut();
    let package = packages.find(|package| name(package) == wanted);
    package.expect("a crate of this workspace")
}

fn with_edge(metadata: &Value, from: &str, to: &str, kind: &Value) -> Value {
    let mut metadata = metadata.clone();
    let dependencies = package_mut(&mut metadata, from)["dependencies"].as_array_mut();
    let edge = json!({"name": to, "kind": kind, "rename": null});
    dependencies.expect("a list").push(edge);
    metadata
}
