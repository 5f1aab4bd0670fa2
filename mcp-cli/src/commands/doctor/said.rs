//! Rules that hold for every line a server writes.

use mcp_client::types::{Inbound, Message, ParseLimits};
use serde_json::Value;

use super::report::{Fault, Level, Report};

struct Rule {
    rule: &'static str,
    level: Level,
    /// Whether it holds in the modern era only.
    modern: bool,
    what: &'static str,
    /// What is wrong with a line, if anything.
    look: fn(&str, &Value) -> Option<String>,
}

const RULES: [Rule; 7] = [
    Rule {
        rule: "REQ-STDIO-02",
        level: Level::Must,
        modern: false,
        what: "whatever it writes is a message",
        look: |line, json| match parsed(line) {
            // Each of its members is looked at, where there may be batches.
            Inbound::Malformed(malformed) if !json.is_array() => Some(malformed.kind.to_string()),
            _ => None,
        },
    },
    Rule {
        rule: "REQ-JRPC-01",
        level: Level::Must,
        modern: false,
        what: "every message says jsonrpc 2.0",
        look: |_, json| {
            let members = json
                .as_array()
                .map_or(std::slice::from_ref(json), Vec::as_slice);
            let mut messages = members.iter().filter(|member| member.is_object());
            messages
                .any(|message| message["jsonrpc"] != "2.0")
                .then(|| "it does not".to_owned())
        },
    },
    Rule {
        rule: "REQ-ERR-01",
        level: Level::Must,
        modern: false,
        what: "every error has a whole number for a code, and a message",
        look: |_, json| {
            let error = json.get("error")?;
            let whole = error["code"].is_i64() && error["message"].is_string();
            (!whole).then(|| "it has not".to_owned())
        },
    },
    Rule {
        rule: "REQ-JRPC-12",
        level: Level::Must,
        modern: true,
        what: "it sends no requests",
        look: |line, _| {
            let request = matches!(parsed(line), Inbound::Message(Message::Request(_)));
            request.then(|| "this is one".to_owned())
        },
    },
    Rule {
        rule: "REQ-JRPC-09",
        level: Level::Must,
        modern: true,
        what: "every result has a resultType",
        look: |_, json| {
            (!json.get("result")?["resultType"].is_string()).then(|| "it has none".to_owned())
        },
    },
    Rule {
        rule: "REQ-META-04",
        level: Level::Should,
        modern: true,
        what: "every result says who the server is",
        look: |_, json| {
            let info = &json.get("result")?["_meta"]["io.modelcontextprotocol/serverInfo"];
            (!info["name"].is_string()).then(|| "it does not".to_owned())
        },
    },
    Rule {
        rule: "REQ-ERR-03",
        level: Level::Must,
        modern: true,
        what: "codes that the protocol keeps for itself are used as it says",
        look: |_, json| {
            let code = json.get("error")?["code"].as_i64()?;
            let wrong = matches!(code, -32002 | -32042 | -32099..=-32023);
            wrong.then(|| format!("{code} is none of them"))
        },
    },
];

/// Looks at all lines; of each rule the first that breaks it is told.
pub(super) fn examine(lines: &[String], modern: bool, report: &mut Report) {
    let lines: Vec<(&String, Value)> = lines
        .iter()
        .map(|line| (line, serde_json::from_str(line).unwrap_or_default()))
        .collect();
    for rule in RULES.iter().filter(|rule| modern || !rule.modern) {
        let fault = lines.iter().find_map(|(line, json)| {
            let reason = (rule.look)(line, json)?;
            Some(Fault::new(reason, line))
        });
        let verdict = fault.map_or(Ok(()), Err);
        match rule.level {
            Level::Must => report.must(rule.rule, rule.what, verdict),
            Level::Should => report.should(rule.rule, rule.what, verdict),
        }
    }
}

fn parsed(line: &str) -> Inbound {
    Inbound::parse(
        bytes::Bytes::copy_from_slice(line.as_bytes()),
        ParseLimits::default(),
    )
}
