//! What decoding and encoding cost, against three others that do it on the same bytes in the same run, as a table of ratios.
//!
//! * *floor*: `serde_json` reads the members of the envelope as `&RawValue` and builds nothing.
//! * *Value*: `serde_json::Value`.
//! * *rmcp*: the message types of the official SDK.
//!
//! `cargo bench -p mcp-codec --bench codec`, with a name behind `--` for a part of it. `RESULTS.md` keeps a table.

#![expect(clippy::unwrap_used, reason = "a bench fails by a panic")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use mcp_codec::LineCodec;
use mcp_types::{Inbound, Message, ParseLimits};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The envelope as `serde_json` finds it when it skips what is in it.
#[derive(Serialize, Deserialize)]
struct Floor<'a> {
    #[serde(borrow)]
    jsonrpc: &'a RawValue,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    method: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}

const OURS: &str = "mcp-codec";
const FLOOR: &str = "floor";
const VALUE: &str = "Value";
const RMCP: &str = "rmcp";

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(60)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .without_plots()
        .configure_from_args();
    let started = SystemTime::now();
    let call = call();
    assert_eq!(call.len(), 214);
    message::<ClientJsonRpcMessage>(&mut criterion, "1 call of 214 bytes", &call);
    for (name, text) in [
        ("2 list of 100 tools", tools()),
        ("3 text of 70 KB", text(70_000)),
        ("4 text of 1 MiB", text(1 << 20)),
    ] {
        message::<ServerJsonRpcMessage>(&mut criterion, name, &text);
    }
    flood(&mut criterion, "5 flood of 1000 logs");
    print_table(started);
    criterion.final_summary();
}

fn call() -> String {
    let text = "Hello, is anybody there? I do wait for an answer to my message.";
    json!({
        "jsonrpc": "2.0", "id": 1234, "method": "tools/call",
        "params": {
            "name": "send_message", "_meta": { "progressToken": 1234 },
            "arguments": { "room": "main", "text": text },
        },
    })
    .to_string()
}

fn tools() -> String {
    let tools: Vec<_> = (0..100)
        .map(|n| {
            json!({
                "name": format!("search_{n}"), "title": "Search the documents",
                "description": "Finds the documents in which all of the words occur.\nThe newest come first.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "words": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                        "limit": { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 },
                        "folder": { "type": "string", "description": "Where to search; everywhere if absent." },
                    },
                    "required": ["words"],
                },
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            })
        })
        .collect();
    json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string()
}

/// The result of a tool that has read a file of so many bytes.
fn text(len: usize) -> String {
    let line = "and then they went on along the river until it \"was\" dark enough to see.\n";
    let text: String = line.chars().cycle().take(len).collect();
    json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [{ "type": "text", "text": text }] } })
        .to_string()
}

fn log(n: usize) -> String {
    json!({
        "jsonrpc": "2.0", "method": "notifications/message",
        "params": { "level": "info", "logger": "indexer", "data": { "event": "indexed", "file": format!("src/{n}.rs"), "ms": n } },
    })
    .to_string()
}

fn group<'c>(
    criterion: &'c mut Criterion,
    name: String,
    len: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(len as u64));
    group
}

fn parse(frame: Bytes) -> Message {
    match Inbound::parse(frame, ParseLimits::default()) {
        Inbound::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

/// One message: from a frame, and to a line in a buffer that is kept.
fn message<R: Serialize + DeserializeOwned>(criterion: &mut Criterion, name: &str, text: &str) {
    let bytes = text.as_bytes();
    let frame = Bytes::copy_from_slice(bytes);

    let mut decode = group(criterion, format!("decode/{name}"), text.len());
    decode.bench_function(OURS, |b| b.iter(|| parse(black_box(&frame).clone())));
    decode.bench_function(FLOOR, |b| {
        b.iter(|| black_box(serde_json::from_slice::<Floor<'_>>(black_box(bytes)).unwrap()).id);
    });
    decode.bench_function(VALUE, |b| {
        b.iter(|| serde_json::from_slice::<Value>(black_box(bytes)).unwrap());
    });
    decode.bench_function(RMCP, |b| {
        b.iter(|| serde_json::from_slice::<R>(black_box(bytes)).unwrap());
    });
    decode.finish();

    let ours = parse(frame.clone());
    let floor: Floor<'_> = serde_json::from_slice(bytes).unwrap();
    let value: Value = serde_json::from_slice(bytes).unwrap();
    let rmcp: R = serde_json::from_slice(bytes).unwrap();
    let mut encode = group(criterion, format!("encode/{name}"), text.len());
    encode.bench_function(OURS, |b| {
        let (mut codec, mut out) = (LineCodec::new(), BytesMut::new());
        b.iter(|| {
            out.clear();
            codec.write(black_box(&ours), &mut out);
        });
    });
    encode.bench_function(FLOOR, |b| to_line(b, &floor));
    encode.bench_function(VALUE, |b| to_line(b, &value));
    encode.bench_function(RMCP, |b| to_line(b, &rmcp));
    encode.finish();
}

fn to_line<T: Serialize>(b: &mut criterion::Bencher<'_>, message: &T) {
    let mut out = Vec::new();
    b.iter(|| {
        out.clear();
        serde_json::to_writer(&mut out, black_box(message)).unwrap();
        out.push(b'\n');
    });
}

/// Many short lines in one buffer, as they come from a socket.
fn flood(criterion: &mut Criterion, name: &str) {
    let lines: Vec<String> = (0..1000).map(log).collect();
    let bytes = lines.join("\n") + "\n";
    let bytes = bytes.as_bytes();

    let mut decode = group(criterion, format!("decode/{name}"), bytes.len());
    decode.bench_function(OURS, |b| {
        let buffer = || (LineCodec::new(), BytesMut::from(bytes));
        b.iter_batched_ref(
            buffer,
            |(codec, buffer)| {
                let count = std::iter::from_fn(|| codec.read(buffer))
                    .map(black_box)
                    .count();
                assert_eq!(count, 1000);
            },
            BatchSize::SmallInput,
        );
    });
    decode.bench_function(FLOOR, |b| each_line::<Floor<'_>>(b, bytes));
    decode.bench_function(VALUE, |b| each_line::<Value>(b, bytes));
    decode.bench_function(RMCP, |b| each_line::<ServerJsonRpcMessage>(b, bytes));
    decode.finish();

    let ours: Vec<_> = lines
        .iter()
        .map(|line| parse(Bytes::from(line.clone())))
        .collect();
    let floor: Vec<Floor<'_>> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let value: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rmcp: Vec<ServerJsonRpcMessage> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut encode = group(criterion, format!("encode/{name}"), bytes.len());
    encode.bench_function(OURS, |b| {
        let (mut codec, mut out) = (LineCodec::new(), BytesMut::new());
        b.iter(|| {
            out.clear();
            for message in black_box(&ours) {
                codec.write(message, &mut out);
            }
        });
    });
    encode.bench_function(FLOOR, |b| to_lines(b, &floor));
    encode.bench_function(VALUE, |b| to_lines(b, &value));
    encode.bench_function(RMCP, |b| to_lines(b, &rmcp));
    encode.finish();
}

fn each_line<'a, T: Deserialize<'a>>(b: &mut criterion::Bencher<'_>, bytes: &'a [u8]) {
    b.iter(|| {
        let mut rest = black_box(bytes);
        while let Some(end) = memchr::memchr(b'\n', rest) {
            black_box(serde_json::from_slice::<T>(&rest[..end]).unwrap());
            rest = &rest[end + 1..];
        }
    });
}

fn to_lines<T: Serialize>(b: &mut criterion::Bencher<'_>, messages: &[T]) {
    let mut out = Vec::new();
    b.iter(|| {
        out.clear();
        for message in black_box(messages) {
            serde_json::to_writer(&mut out, message).unwrap();
            out.push(b'\n');
        }
    });
}

/// The table of what this run has measured: of each sample the fastest, for whatever else the machine does only ever adds.
fn print_table(started: SystemTime) {
    let mut rows: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for sample in samples(&criterion_dir()) {
        let fresh = sample.metadata().and_then(|file| file.modified());
        if fresh.is_ok_and(|modified| modified < started) {
            continue;
        }
        let read = |path: &Path| -> Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let name = read(&sample.with_file_name("benchmark.json"));
        let sample = read(&sample);
        let times = sample["times"].as_array().unwrap().iter();
        let each = times.zip(sample["iters"].as_array().unwrap());
        let fastest = each.map(|(time, count)| time.as_f64().unwrap() / count.as_f64().unwrap());
        rows.entry(name["group_id"].as_str().unwrap().to_owned())
            .or_default()
            .insert(
                name["function_id"].as_str().unwrap().to_owned(),
                fastest.fold(f64::INFINITY, f64::min),
            );
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "\n| | mcp-codec | of the floor | Value takes | rmcp takes |"
    );
    let _ = writeln!(out, "|---|---:|---:|---:|---:|");
    for (name, times) in rows {
        let Some(ours) = times.get(OURS) else {
            continue;
        };
        let times = |other| times.get(other).map_or(f64::NAN, |time| time / ours);
        let name: String = name
            .replace('/', " ")
            .split(' ')
            .enumerate()
            .filter(|(n, _)| *n != 1)
            .map(|(_, word)| word.to_owned() + " ")
            .collect();
        let _ = writeln!(
            out,
            "| {}| {:.0} ns | {:.2}× | {:.1}× | {:.1}× |",
            name,
            ours,
            1.0 / times(FLOOR),
            times(VALUE),
            times(RMCP)
        );
    }
}

/// Where criterion writes what it has measured.
fn criterion_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned());
    std::env::var_os("CRITERION_HOME").map_or_else(
        || {
            target
                .or_else(beside)
                .unwrap_or_else(|| "target".into())
                .join("criterion")
        },
        PathBuf::from,
    )
}

/// The files named `new/sample.json` below `dir`.
fn samples(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(samples(&path));
        } else if path.ends_with("new/sample.json") {
            found.push(path);
        }
    }
    found
}
