//! What the tests of the program share: the program itself, servers for it to talk to, a terminal.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses a part of it"
)]

#[cfg(unix)]
pub(crate) mod terminal;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
pub(crate) fn mcp(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp"));
    command
        .args(args)
        .stdin(Stdio::null())
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_remove("MCP_LOG")
        .env_remove("MCP_CONFIG")
        .env_remove("MCP_LLM_KEY")
        .env_remove("OPENAI_API_KEY")
        .env("NO_COLOR", "1");
    command
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The lines that `--json` writes to stderr.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.err.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

pub(crate) fn run(args: &[&str]) -> Ran {
    mcp(args).output().unwrap().into()
}

pub(crate) fn run_with_stdin(args: &[&str], stdin: &str) -> Ran {
    let mut child = mcp(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

/// Waits until it ends by itself; the bound is for one that never does.
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks a process to end.
pub(crate) fn terminate(child: &Child) {
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
}

/// Runs against the server with everything.
pub(crate) fn with_everything(args: &[&str]) -> Ran {
    let server = everything();
    let mut all = args.to_vec();
    all.extend(["--", server]);
    run(&all)
}

/// The server with everything, built if it is not.
pub(crate) fn everything() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        cargo.args(["build", "--quiet", "--manifest-path", manifest]);
        cargo.args(["--package", "examples", "--bin", "everything"]);
        assert!(cargo.status().unwrap().success());
        let here = PathBuf::from(env!("CARGO_BIN_EXE_mcp"));
        // Tests are run in other profiles, too; cargo has built this one.
        let profile = here.parent().unwrap();
        let built = profile.parent().unwrap().join("debug/everything");
        built.to_str().unwrap().to_owned()
    })
}

/// The server with everything as one of the web; it ends with this.
pub(crate) struct Web {
    server: std::process::Child,
    pub(crate) url: String,
}

impl Web {
    /// Over `http` or `ws`.
    pub(crate) fn everything(scheme: &str) -> Self {
        let mut server = Command::new(everything());
        server.args([&format!("--{scheme}"), "127.0.0.1:0"]);
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(server.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let url = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Self { server, url }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// A directory of the test's own, empty.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It fails the first time.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A server that says what a test has written down: for each line that comes in, the lines that go out.
pub(crate) struct Scripted {
    /// Where it listens, as a target.
    pub(crate) target: String,
    /// Every line that came in.
    pub(crate) lines: Receiver<Value>,
}

impl Scripted {
    /// One connection over TCP.
    pub(crate) fn new(mut script: impl FnMut(&Value) -> Vec<Value> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("tcp://{}", listener.local_addr().unwrap());
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut writer = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                let line: Value = serde_json::from_str(&line).unwrap();
                for reply in script(&line) {
                    writeln!(writer, "{reply}").unwrap();
                }
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        Self { target, lines }
    }

    /// Waits for a line of a method; the bound is for one that never comes.
    pub(crate) fn heard(&self, method: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|e| panic!("no {method}: {e}"));
            if line["method"] == method {
                return line;
            }
        }
    }
}

/// The answer of a legacy server to `initialize`, and to nothing else.
pub(crate) fn legacy(request: &Value, capabilities: Value) -> Option<Value> {
    let id = &request["id"];
    match request["method"].as_str()? {
        "server/discover" => Some(serde_json::json!({
            "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no such method" },
        })),
        "initialize" => Some(result(
            request,
            serde_json::json!({
                "protocolVersion": "2025-11-25", "capabilities": capabilities,
                "serverInfo": { "name": "scripted", "version": "1" },
            }),
        )),
        _ => None,
    }
}

pub(crate) fn result(request: &Value, result: Value) -> Value {
    serde_json::json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
}

pub(crate) fn notification(method: &str, params: Value) -> Value {
    serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params })
}
