//! Rules of the legacy era: a handshake, then requests.

use mcp_client::types::{Era, ProtocolVersion};
use serde_json::{Value, json};

use super::report::{Fault, Report, Verdict};
use super::visit::{Answer, Visit};
use super::{Patient, lists};
use crate::exit::Failure;

pub(super) const NEWEST: &str = "2025-11-25";

fn legacy_versions() -> impl Iterator<Item = &'static str> {
    ["2024-11-05", "2025-03-26", "2025-06-18", NEWEST].into_iter()
}

fn is_legacy(version: &str) -> bool {
    ProtocolVersion::from_name(version).is_some_and(|version| version.era() == Era::Legacy)
}

/// What a client says of itself.
pub(super) fn introduction(version: &str) -> Value {
    json!({
        "protocolVersion": version, "capabilities": {},
        "clientInfo": { "name": "mcp-doctor", "version": env!("CARGO_PKG_VERSION") },
    })
}

async fn initialize(visit: &mut Visit, version: &str) -> Result<Answer, Fault> {
    visit.ask("initialize", introduction(version)).await
}

/// Opens a session; what the server is able to do comes with it.
async fn session(patient: &Patient<'_>, version: &str) -> Result<(Visit, Value), Failure> {
    let mut visit = patient.visit().await?;
    let lost = |fault: Fault| Failure::Connect(fault.reason);
    let answer = initialize(&mut visit, version).await.map_err(lost)?;
    let capabilities = answer.json["result"]["capabilities"].clone();
    visit
        .notify("notifications/initialized", json!({}))
        .await
        .map_err(lost)?;
    Ok((visit, capabilities))
}

/// Whether the server shakes hands.
pub(super) async fn spoken(patient: &Patient<'_>) -> Result<Verdict, Failure> {
    let mut visit = patient.visit().await?;
    let answer = initialize(&mut visit, NEWEST).await;
    Ok(answer.and_then(|answer| answer.result().map(drop)))
}

pub(super) async fn examine(patient: &Patient<'_>, report: &mut Report) -> Result<(), Failure> {
    report.era("legacy", NEWEST);
    handshakes(patient, report).await?;
    let (mut visit, capabilities) = session(patient, NEWEST).await?;
    envelopes(&mut visit, report).await;
    lists::examine(&mut visit, &capabilities, false, report).await;
    rest(&mut visit, &capabilities, report).await;
    visit.finish(report, false).await;
    batches(patient, report).await
}

async fn handshakes(patient: &Patient<'_>, report: &mut Report) -> Result<(), Failure> {
    for version in legacy_versions() {
        let mut visit = patient.visit().await?;
        let answer = initialize(&mut visit, version).await;
        let verdict = answer.and_then(|answer| {
            let result = answer.result()?;
            let chosen = result["protocolVersion"].as_str().unwrap_or_default();
            if chosen != version && !is_legacy(chosen) {
                return Err(answer.fault(format!("it answers with version {chosen:?}")));
            }
            let whole = result["capabilities"].is_object()
                && result["serverInfo"]["name"].is_string()
                && result["serverInfo"]["version"].is_string();
            match whole {
                true => Ok(()),
                false => Err(answer.fault("capabilities or serverInfo is missing")),
            }
        });
        report.must(
            "REQ-LIFE-03",
            &format!("initialize with {version} is answered with it, or another legacy version"),
            verdict,
        );
    }
    for (rule, version) in [("REQ-LIFE-03", "1999-01-01"), ("REQ-LIFE-12", "2026-07-28")] {
        let mut visit = patient.visit().await?;
        let answer = initialize(&mut visit, version).await;
        let verdict =
            answer.and_then(
                |answer| match answer.json["result"]["protocolVersion"].as_str() {
                    None => answer.error(&[]),
                    Some(chosen) if is_legacy(chosen) => Ok(()),
                    Some(chosen) => {
                        Err(answer.fault(format!("it answers with version {chosen:?}")))
                    }
                },
            );
        report.must(
            rule,
            &format!("initialize with {version} is answered with a legacy version, or refused"),
            verdict,
        );
    }
    let mut visit = patient.visit().await?;
    let what = "ping is answered before initialize";
    if visit.is_of_http() {
        report.skip(
            "REQ-LIFE-08",
            what,
            "a request without a session is another matter",
        );
        return Ok(());
    }
    let verdict = visit
        .ask("ping", json!({}))
        .await
        .and_then(|answer| answer.result().map(drop));
    report.should("REQ-LIFE-08", what, verdict);
    Ok(())
}

/// Rules about JSON-RPC itself.
async fn envelopes(visit: &mut Visit, report: &mut Report) {
    let pong = visit.ask("ping", json!({})).await.and_then(|answer| {
        let members = answer
            .result()?
            .as_object()
            .map(|o| o.keys().filter(|key| *key != "_meta").count());
        match members {
            Some(0) => Ok(()),
            _ => Err(answer.fault("the result is not empty")),
        }
    });
    report.must("REQ-PING-01", "ping is answered with an empty result", pong);
    for id in [
        json!("a \u{e4}\" text"),
        json!("1"),
        json!(0),
        json!(-7),
        json!(9_007_199_254_740_991_i64),
    ] {
        let verdict = visit.ask_as(&id, "ping", json!({})).await.map(drop);
        report.must(
            "REQ-ID-04",
            &format!("an answer bears the id {id}, as it was sent"),
            verdict,
        );
    }
    let unknown = visit
        .ask("mcp/doctor", json!({}))
        .await
        .and_then(|answer| answer.error(&[-32601]));
    report.must(
        "REQ-JRPC-13",
        "a method that is not known is refused with -32601",
        unknown,
    );
    for (what, text) in [
        (
            "a notification that is not known",
            r#"{"jsonrpc":"2.0","method":"notifications/mcp/doctor"}"#,
        ),
        (
            "a notification with parameters of the wrong shape",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
        ),
    ] {
        let verdict = visit.unanswered(text, "ping").await;
        report.must("REQ-JRPC-05", &format!("{what} is not answered"), verdict);
    }
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":424242}}"#;
    let verdict = visit.unanswered(cancelled, "ping").await;
    report.should(
        "REQ-CANC-07",
        "the cancellation of a request that is not there is ignored",
        verdict,
    );
    let stray = r#"{"jsonrpc":"2.0","id":424242,"result":{}}"#;
    let verdict = visit.unanswered(stray, "ping").await;
    report.should("REQ-ID-10", "an answer to nothing is ignored", verdict);
    let verdict = visit
        .ask(
            "ping",
            json!({ "mcpDoctor": true, "_meta": { "example.org/x": 1 } }),
        )
        .await;
    let verdict = verdict.and_then(|answer| answer.result().map(drop));
    report.must(
        "REQ-JRPC-07",
        "members that are not known are legal",
        verdict,
    );
    malformed(visit, "ping", report).await;
}

/// What is no message costs an error and not the connection.
pub(super) async fn malformed(visit: &mut Visit, method: &str, report: &mut Report) {
    let cases = [
        (
            "REQ-ERR-07",
            "what is no JSON",
            r#"{"jsonrpc":"2.0","id":77"#,
            &[-32700][..],
            Value::Null,
        ),
        (
            "REQ-JRPC-01",
            "a request of another JSON-RPC",
            r#"{"jsonrpc":"1.0","id":78,"method":"ping"}"#,
            &[-32600],
            json!(78),
        ),
        (
            "REQ-JRPC-03",
            "a request whose params are a list",
            r#"{"jsonrpc":"2.0","id":79,"method":"ping","params":[]}"#,
            &[-32600, -32602],
            json!(79),
        ),
        (
            "REQ-ID-01",
            "a request whose id is null",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            &[-32600],
            Value::Null,
        ),
    ];
    for (rule, what, text, codes, id) in cases {
        let verdict = match visit.try_out(text, method).await {
            Ok(()) => refused(visit, codes, &id).await,
            fault => fault,
        };
        report.should(rule, &format!("{what} is refused"), verdict);
        let alive = visit.ask(method, json!({})).await.map(drop);
        report.must(
            "REQ-ERR-07",
            &format!("{what} does not end the connection"),
            alive,
        );
    }
    if !visit.is_of_lines() {
        return;
    }
    // Line ends of another kind, and lines with nothing in them.
    let verdict = visit.say("\r\n   \r").await;
    let verdict = match verdict {
        Ok(()) => visit.ask(method, json!({})).await.map(drop),
        fault => fault,
    };
    report.should("REQ-STDIO-11", "blank lines are passed over", verdict);
}

async fn refused(visit: &mut Visit, codes: &[i64], id: &Value) -> Verdict {
    loop {
        let answer = visit.hear().await?;
        if answer
            .json
            .get("result")
            .or(answer.json.get("error"))
            .is_none()
        {
            continue;
        }
        let found = answer.json.get("id").unwrap_or(&Value::Null);
        // Who could not read the id says none.
        if found != id && !found.is_null() {
            return Err(answer.fault(format!("it is answered under the id {found}")));
        }
        return answer.error(codes);
    }
}

async fn rest(visit: &mut Visit, capabilities: &Value, report: &mut Report) {
    let rule = "REQ-LOG-03";
    let what = "a log level that is none is refused with -32602";
    if capabilities.get("logging").is_some() {
        let verdict = visit
            .ask("logging/setLevel", json!({ "level": "loud" }))
            .await;
        report.should(
            rule,
            what,
            verdict.and_then(|answer| answer.error(&[-32602])),
        );
        let verdict = visit
            .ask("logging/setLevel", json!({ "level": "error" }))
            .await;
        report.must(
            "REQ-LOG-02",
            "the log level can be set",
            verdict.and_then(|answer| answer.result().map(drop)),
        );
    } else {
        report.skip(rule, what, "logging is not declared");
    }
    // Whether it is answered or refused, no revision says.
    let again = initialize(visit, NEWEST).await.map(drop);
    report.should("REQ-LIFE-13", "a second initialize is answered", again);
    let alive = visit.ask("ping", json!({})).await.map(drop);
    report.must("REQ-LIFE-13", "and does not end the session", alive);
}

async fn batches(patient: &Patient<'_>, report: &mut Report) -> Result<(), Failure> {
    let batch = r#"[{"jsonrpc":"2.0","id":"b1","method":"ping"},{"jsonrpc":"2.0","id":"b2","method":"ping"}]"#;
    let (mut visit, _) = session(patient, NEWEST).await?;
    let served = batch_served(&mut visit, batch).await;
    let verdict = match &served {
        Ok(()) => Err(Fault::silent("both of its members were answered")),
        Err(_) => visit.ask("ping", json!({})).await.map(drop),
    };
    report.must(
        "REQ-BATCH-06",
        "a batch is not served, and does not end the session",
        verdict,
    );
    let verdict = match served {
        Err(Fault {
            bytes: Some(bytes), ..
        }) if bytes.contains("-32600") => Ok(()),
        Err(fault) => Err(fault),
        Ok(()) => Err(Fault::silent("it was served")),
    };
    report.should("REQ-BATCH-06", "a batch is refused with -32600", verdict);

    let mut visit = patient.visit().await?;
    let (rule, what) = (
        "REQ-BATCH-01",
        "a batch is served in a session of 2025-03-26",
    );
    match initialize(&mut visit, "2025-03-26").await {
        Ok(answer) if answer.json["result"]["protocolVersion"] == "2025-03-26" => {
            let verdict = batch_served(&mut visit, batch).await;
            report.must(rule, what, verdict);
        }
        _ => report.skip(rule, what, "the server does not speak it"),
    }
    Ok(())
}

async fn batch_served(visit: &mut Visit, batch: &str) -> Verdict {
    visit.notify("notifications/initialized", json!({})).await?;
    visit.try_out(batch, "ping").await?;
    let mut missing = vec![json!("b1"), json!("b2")];
    while !missing.is_empty() {
        let answer = visit.hear().await?;
        let members = answer
            .json
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![answer.json.clone()]);
        for member in members {
            if member.get("error").is_some() {
                return Err(answer.fault("it is refused"));
            }
            missing.retain(|id| member["id"] != *id);
        }
    }
    Ok(())
}
