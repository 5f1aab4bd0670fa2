//! Rules of the modern era: no handshake, every request stands for itself.

use serde_json::{Value, json};

use super::report::{Fault, Report, Verdict};
use super::visit::{Answer, Visit};
use super::{Patient, legacy, lists};
use crate::exit::Failure;

pub(super) const VERSION: &str = "2026-07-28";
pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

pub(super) fn meta() -> Value {
    json!({ VERSION_KEY: VERSION, CAPABILITIES_KEY: {} })
}

async fn visit(patient: &Patient<'_>) -> Result<Visit, Failure> {
    let mut visit = patient.visit().await?;
    visit.meta = Some(meta());
    Ok(visit)
}

/// Whether the server says what it is.
pub(super) async fn spoken(patient: &Patient<'_>) -> Result<Verdict, Failure> {
    let mut visit = visit(patient).await?;
    let answer = visit.ask("server/discover", json!({})).await;
    Ok(answer.and_then(|answer| answer.result().map(drop)))
}

pub(super) async fn examine(patient: &Patient<'_>, report: &mut Report) -> Result<(), Failure> {
    report.era("modern", VERSION);
    let mut visit = visit(patient).await?;
    let discovered = visit.ask("server/discover", json!({})).await;
    let capabilities = match &discovered {
        Ok(answer) => answer.json["result"]["capabilities"].clone(),
        Err(_) => Value::Null,
    };
    let supported = match &discovered {
        Ok(answer) => answer.json["result"]["supportedVersions"].clone(),
        Err(_) => Value::Null,
    };
    report.must(
        "REQ-DISC-01",
        "server/discover tells versions, capabilities, and how long that holds",
        discovered.and_then(|answer| described(&answer)),
    );
    metas(&mut visit, &supported, report).await;
    for id in [json!("a text"), json!("1"), json!(0), json!(-7)] {
        let verdict = visit
            .ask_as(&id, "server/discover", json!({}))
            .await
            .map(drop);
        report.must(
            "REQ-ID-04",
            &format!("an answer bears the id {id}, as it was sent"),
            verdict,
        );
    }
    let refused = |answer: Answer| answer.error(&[-32601]);
    let verdict = visit.ask("mcp/doctor", json!({})).await.and_then(refused);
    report.must(
        "REQ-JRPC-13",
        "a method that is not known is refused with -32601",
        verdict,
    );
    for method in ["ping", "initialize", "logging/setLevel"] {
        let verdict = visit.ask(method, json!({})).await.and_then(refused);
        report.must(
            "REQ-PING-03",
            &format!("{method} is none of this era, and is refused with -32601"),
            verdict,
        );
    }
    for (rule, what, text) in [
        (
            "REQ-JRPC-05",
            "a notification that is not known is not answered",
            r#"{"jsonrpc":"2.0","method":"notifications/mcp/doctor"}"#,
        ),
        (
            "REQ-JRPC-14",
            "an answer to nothing is ignored",
            r#"{"jsonrpc":"2.0","id":424242,"result":{}}"#,
        ),
        (
            "REQ-CANC-07",
            "the cancellation of a request that is not there is ignored",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":424242}}"#,
        ),
    ] {
        let verdict = visit.unanswered(text, "server/discover").await;
        report.must(rule, what, verdict);
    }
    legacy::malformed(&mut visit, "server/discover", report).await;
    let batch = json!([{ "jsonrpc": "2.0", "id": "b", "method": "server/discover", "params": { "_meta": meta() } }]);
    let batch = batch.to_string();
    let verdict = match visit.try_out(&batch, "server/discover").await {
        Ok(()) => visit
            .answer_to(&Value::Null)
            .await
            .and_then(|answer| answer.error(&[-32600])),
        Err(fault) => Err(fault),
    };
    report.must("REQ-BATCH-06", "a batch is refused with -32600", verdict);
    lists::examine(&mut visit, &capabilities, true, report).await;
    subscriptions(&mut visit, &capabilities, report).await;
    visit.finish(report, true).await;
    Ok(())
}

fn described(answer: &Answer) -> Verdict {
    let result = answer.result()?;
    let versions = result["supportedVersions"].as_array();
    let fault =
        if !versions.is_some_and(|versions| versions.iter().any(|version| version == VERSION)) {
            "supportedVersions does not name this version"
        } else if !result["capabilities"].is_object() {
            "capabilities is no object"
        } else if !result["ttlMs"].is_u64() {
            "ttlMs is no whole number"
        } else if !matches!(result["cacheScope"].as_str(), Some("public" | "private")) {
            "cacheScope is neither public nor private"
        } else {
            return Ok(());
        };
    Err(answer.fault(fault))
}

/// Rules about what a request must say of itself.
async fn metas(visit: &mut Visit, supported: &Value, report: &mut Report) {
    for (what, meta) in [
        (
            "without its clientCapabilities",
            json!({ VERSION_KEY: VERSION }),
        ),
        (
            "whose version is no text",
            json!({ VERSION_KEY: 1, CAPABILITIES_KEY: {} }),
        ),
        (
            "whose clientCapabilities are no object",
            json!({ VERSION_KEY: VERSION, CAPABILITIES_KEY: [] }),
        ),
    ] {
        let answer = visit.ask("server/discover", json!({ "_meta": meta })).await;
        let verdict = answer.and_then(|answer| answer.error(&[-32602]));
        report.must(
            "REQ-META-02",
            &format!("a request {what} is refused with -32602"),
            verdict,
        );
    }
    let unknown = json!({ VERSION_KEY: "2999-01-01", CAPABILITIES_KEY: {} });
    let answer = visit
        .ask("server/discover", json!({ "_meta": unknown }))
        .await;
    let verdict = answer.clone().and_then(|answer| answer.error(&[-32022]));
    report.must(
        "REQ-VER-01",
        "a version that is not known is refused with -32022",
        verdict,
    );
    let verdict =
        answer.and_then(|answer| {
            let data = &answer.json["error"]["data"];
            let known = supported.as_array().cloned().unwrap_or_default();
            let named = data["supported"]
                .as_array()
                .is_some_and(|list| !list.is_empty() && list.iter().all(|v| known.contains(v)));
            match named && data["requested"] == "2999-01-01" {
                true => Ok(()),
                false => Err(answer
                    .fault("error.data does not say what is supported and what was requested")),
            }
        });
    report.must(
        "REQ-VER-05",
        "and the error says which are, as server/discover does",
        verdict,
    );
    let meta = json!({ VERSION_KEY: VERSION, CAPABILITIES_KEY: {}, "io.modelcontextprotocol/logLevel": "loud" });
    let answer = visit.ask("server/discover", json!({ "_meta": meta })).await;
    let verdict = answer.and_then(|answer| answer.error(&[-32602]));
    report.should(
        "REQ-LOG-06",
        "a request whose log level is none is refused with -32602",
        verdict,
    );
    let meta = json!({ VERSION_KEY: VERSION, CAPABILITIES_KEY: {}, "example.org/x": [1] });
    let answer = visit
        .ask(
            "server/discover",
            json!({ "_meta": meta, "mcpDoctor": true }),
        )
        .await;
    let verdict = answer.and_then(|answer| answer.result().map(drop));
    report.must(
        "REQ-JRPC-07",
        "members that are not known are legal",
        verdict,
    );
}

async fn subscriptions(visit: &mut Visit, capabilities: &Value, report: &mut Report) {
    let (rule, what) = (
        "REQ-SUB-02",
        "a subscription is acknowledged before anything else comes on it, under its id",
    );
    let changes = |kind: &str| capabilities[kind]["listChanged"] == true;
    if !changes("tools")
        && !changes("prompts")
        && !changes("resources")
        && capabilities["resources"]["subscribe"] != true
    {
        return report.skip(
            rule,
            what,
            "the server declares nothing that could be subscribed to",
        );
    }
    let id = json!("mcp-doctor-listen");
    let filter = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": [],
    });
    let params = json!({ "_meta": meta(), "notifications": filter });
    let request =
        json!({ "jsonrpc": "2.0", "id": id, "method": "subscriptions/listen", "params": params });
    let acknowledged = async {
        visit.say(&request.to_string()).await?;
        let first = visit.hear().await?;
        if first.json["method"] != "notifications/subscriptions/acknowledged" {
            return Err(first.fault("this came first"));
        }
        if first.json["params"]["_meta"][SUBSCRIPTION_KEY] != id {
            return Err(first.fault("its subscriptionId is another"));
        }
        Ok(first)
    };
    let acknowledged = acknowledged.await;
    report.must(rule, what, acknowledged.clone().map(drop));
    let verdict = acknowledged.and_then(|answer| {
        let granted = &answer.json["params"]["notifications"];
        let beyond = [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ];
        match beyond
            .iter()
            .find(|(kind, name)| granted[name] == true && !changes(kind))
        {
            _ if !granted.is_object() => Err(answer.fault("it does not say what was granted")),
            Some((_, name)) => {
                Err(answer.fault(format!("it grants {name}, which it does not declare")))
            }
            None => Ok(()),
        }
    });
    report.must("REQ-SUB-03", "what is granted is what it declares", verdict);
    let cancel = json!({ "requestId": id });
    let ended: Result<(), Fault> = match visit.notify("notifications/cancelled", cancel).await {
        Ok(()) => visit.ask("server/discover", json!({})).await.map(drop),
        fault => fault,
    };
    report.must(
        "REQ-CANC-05",
        "a subscription that is cancelled does not end the connection",
        ended,
    );
}
