//! Rules that hold in both eras: about what is offered, and about requests that ask for what is not there.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::report::{Fault, Report, Verdict};
use super::visit::Visit;

/// Pages that a list may have.
const MOST_PAGES: usize = 1000;

/// A kind of thing that a server offers.
struct Offer {
    capability: &'static str,
    method: &'static str,
    member: &'static str,
    key: &'static str,
}

const OFFERS: [Offer; 4] = [
    Offer {
        capability: "tools",
        method: "tools/list",
        member: "tools",
        key: "name",
    },
    Offer {
        capability: "resources",
        method: "resources/list",
        member: "resources",
        key: "uri",
    },
    Offer {
        capability: "resources",
        method: "resources/templates/list",
        member: "resourceTemplates",
        key: "uriTemplate",
    },
    Offer {
        capability: "prompts",
        method: "prompts/list",
        member: "prompts",
        key: "name",
    },
];

/// A name that nothing has.
pub(super) const NOTHING: &str = "mcp-doctor-no-such-thing";

pub(super) async fn examine(
    visit: &mut Visit,
    capabilities: &Value,
    modern: bool,
    report: &mut Report,
) {
    for offer in OFFERS {
        let method = offer.method;
        if capabilities.get(offer.capability).is_none() {
            let what = format!(
                "{method} is refused, as `{}` is not declared",
                offer.capability
            );
            let verdict = visit
                .ask(method, json!({}))
                .await
                .and_then(|answer| answer.error(&[-32601]));
            report.should("REQ-CAP-11", &what, verdict);
            continue;
        }
        list(visit, &offer, modern, report).await;
    }
    if capabilities.get("tools").is_some() {
        let answer = visit
            .ask("tools/call", json!({ "name": NOTHING, "arguments": {} }))
            .await;
        let verdict = answer.and_then(|answer| answer.error(&[-32602]));
        report.should(
            "REQ-TOOL-03",
            "a call of a tool that is not there is refused with -32602",
            verdict,
        );
    }
    if capabilities.get("resources").is_some() {
        let codes: &[i64] = if modern { &[-32602] } else { &[-32002, -32602] };
        let uri = format!("{NOTHING}:/x");
        let answer = visit.ask("resources/read", json!({ "uri": uri })).await;
        let verdict = answer.clone().and_then(|answer| answer.error(codes));
        let what = "a resource that is not there is refused with its code";
        if modern {
            report.must("REQ-RES-01", what, verdict);
        } else {
            report.should("REQ-RES-01", what, verdict);
        }
        let verdict = answer.and_then(|answer| match answer.json["error"]["data"]["uri"] == uri {
            true => Ok(()),
            false => Err(answer.fault("error.data.uri does not say which")),
        });
        report.should("REQ-RES-01", "and the error says which", verdict);
    }
    if capabilities.get("prompts").is_some() {
        let answer = visit.ask("prompts/get", json!({ "name": NOTHING })).await;
        let verdict = answer.and_then(|answer| answer.error(&[]));
        report.must(
            "REQ-JRPC-06",
            "a prompt that is not there is an error",
            verdict,
        );
    }
    if capabilities.get("completions").is_some() {
        let params = json!({ "ref": { "type": "ref/prompt", "name": NOTHING }, "argument": { "name": "a", "value": "" } });
        let verdict = visit.ask("completion/complete", params).await.map(drop);
        report.must(
            "REQ-CAP-11",
            "completion/complete is answered, as it is declared",
            verdict,
        );
    }
}

async fn list(visit: &mut Visit, offer: &Offer, modern: bool, report: &mut Report) {
    let Offer {
        method,
        member,
        key,
        ..
    } = offer;
    let (mut items, mut scopes, mut cursors) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut cached = Ok(());
    let mut params = json!({});
    let ended = loop {
        let answer = match visit.ask(method, params).await {
            Ok(answer) => answer,
            Err(fault) => break Err(fault),
        };
        let result = match answer.result() {
            Ok(result) => result,
            Err(fault) => break Err(fault),
        };
        let Some(page) = result[*member].as_array() else {
            break Err(answer.fault(format!("`{member}` is no array")));
        };
        if let Some(item) = page.iter().find(|item| !item[*key].is_string()) {
            break Err(Fault::new(
                format!("this one has no {key}"),
                &item.to_string(),
            ));
        }
        items.extend(page.iter().cloned());
        let scope = result["cacheScope"].as_str();
        if !result["ttlMs"].is_u64() || !matches!(scope, Some("public" | "private")) {
            cached = Err(answer.fault("ttlMs or cacheScope is missing, or none"));
        }
        scopes.insert(scope.map(str::to_owned));
        match &result["nextCursor"] {
            Value::Null => break Ok(()),
            Value::String(cursor)
                if cursors.len() < MOST_PAGES && cursors.insert(cursor.clone()) =>
            {
                params = json!({ "cursor": cursor });
            }
            cursor => {
                break Err(answer.fault(format!("the list does not end: nextCursor {cursor}")));
            }
        }
    };
    report.must(
        "REQ-CAP-05",
        &format!("{method} is answered, page by page to its end"),
        ended,
    );
    if modern {
        report.must(
            "REQ-CACHE-01",
            &format!("{method} says how long it holds, and for whom"),
            cached,
        );
        let verdict = match scopes.len() {
            0 | 1 => Ok(()),
            _ => Err(Fault::silent(format!("they say {scopes:?}"))),
        };
        report.must(
            "REQ-CACHE-04",
            &format!("all pages of {method} are for the same readers"),
            verdict,
        );
    }
    if *member == "tools" {
        tools(&items, report);
    }
    let answer = visit
        .ask(method, json!({ "cursor": format!("{NOTHING}\u{2020}") }))
        .await;
    let verdict = answer.and_then(|answer| answer.error(&[-32602]));
    report.should(
        "REQ-PAG-02",
        &format!("{method} refuses a cursor that it has not given out with -32602"),
        verdict,
    );
}

fn tools(items: &[Value], report: &mut Report) {
    let fits = |name: &str| {
        (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let odd = items
        .iter()
        .find(|tool| !tool["name"].as_str().is_some_and(fits));
    report.should(
        "REQ-TOOL-01",
        "names of tools are 1 to 128 of A-Z a-z 0-9 _ - .",
        none(odd, "this one is not"),
    );
    let mut names = HashSet::new();
    let twice = items
        .iter()
        .find(|tool| !names.insert(tool["name"].to_string()));
    report.should(
        "REQ-TOOL-01",
        "no two tools have the same name",
        none(twice, "there is another one"),
    );
    let schemaless = items
        .iter()
        .find(|tool| tool["inputSchema"]["type"] != "object");
    report.must(
        "REQ-TOOL-12",
        "every tool has an inputSchema of type object",
        none(schemaless, "this one has not"),
    );
    let invalid = items.iter().find(|tool| {
        tool.get("outputSchema")
            .is_some_and(|schema| !schema.is_object() && !schema.is_boolean())
    });
    report.must(
        "REQ-TOOL-05",
        "an outputSchema is a schema",
        none(invalid, "this one is not"),
    );
}

fn none(found: Option<&Value>, reason: &str) -> Verdict {
    match found {
        None => Ok(()),
        Some(item) => Err(Fault::new(reason, &item.to_string())),
    }
}
