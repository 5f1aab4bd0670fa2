//! Rules of HTTP itself: heads, statuses, sessions.

use mcp_transport_ws::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST, ORIGIN};
use mcp_transport_ws::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::lists::NOTHING;
use super::report::{Fault, Report, Verdict};
use super::web::{METHOD, NAME, Reply, SESSION, Server, VERSION, Whole, add, kind, post_headers};
use super::{FOREIGN, Patient, is_local, legacy, modern};
use crate::target::Url;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// One server, to which requests are put that are not quite right.
struct Desk<'a> {
    patient: &'a Patient<'a>,
    server: Server,
}

impl Desk<'_> {
    async fn send(&self, method: Method, headers: HeaderMap, body: &str) -> Result<Reply, Fault> {
        let sent = tokio::time::timeout(
            self.patient.timeout,
            self.server.send(method, headers, body),
        );
        sent.await.map_err(|_| self.late())?
    }

    /// A response whose body ends by itself; of a stream, the head alone.
    async fn whole(&self, reply: Reply) -> Result<Whole, Fault> {
        if reply.kind() == EVENTS && reply.status.is_success() {
            return Ok(Whole {
                status: reply.status,
                headers: reply.headers,
                text: String::new(),
            });
        }
        let whole = tokio::time::timeout(self.patient.timeout, reply.whole());
        whole.await.map_err(|_| self.late())?
    }

    async fn post(&self, headers: HeaderMap, body: &Value) -> Result<Whole, Fault> {
        let reply = self.send(Method::POST, headers, &body.to_string()).await?;
        self.whole(reply).await
    }

    fn late(&self) -> Fault {
        Fault::silent(format!("no answer within {:?}", self.patient.timeout))
    }

    /// That this is refused with a status, and an error of a code.
    async fn refused(&self, headers: HeaderMap, body: &Value, status: u16, code: i64) -> Verdict {
        let whole = self.post(headers, body).await?;
        has_status(&whole, &[status])?;
        let json: Value = serde_json::from_str(&whole.text).unwrap_or_default();
        match json["error"]["code"].as_i64() {
            Some(found) if found == code => Ok(()),
            _ => Err(Fault::new(format!("the code is not {code}"), &whole.text)),
        }
    }

    /// Whoever makes a browser ask is refused (REQ-HTTPM-14, REQ-HTTPM-18).
    async fn strangers(&self, headers: &HeaderMap, body: &Value, report: &mut Report) {
        let with = |name: &'static str, value: &str| {
            let mut headers = headers.clone();
            add(&mut headers, name, value);
            headers
        };
        let origin = with(ORIGIN.as_str(), &format!("https://{FOREIGN}"));
        let verdict = self
            .post(origin, body)
            .await
            .and_then(|whole| has_status(&whole, &[403]));
        report.must(
            "REQ-HTTPM-14",
            "a page of another site is refused with 403",
            verdict,
        );
        let what = "a name that is none of this machine's is refused";
        if is_local(self.server.uri.host().unwrap_or_default()) {
            let host = with(HOST.as_str(), FOREIGN);
            let verdict = self.post(host, body).await.and_then(|whole| {
                match whole.status.is_client_error() {
                    true => Ok(()),
                    false => Err(wrong_status(&whole, "4xx")),
                }
            });
            report.should("REQ-HTTPM-18", what, verdict);
        } else {
            report.skip("REQ-HTTPM-18", what, "the server is not on this machine");
        }
    }
}

/// A header for `NOTHING` that has to be decoded first.
const NOTHING_WRAPPED: &str = "=?base64?bWNwLWRvY3Rvci1uby1zdWNoLXRoaW5n?=";

pub(super) async fn examine_modern(
    patient: &Patient<'_>,
    url: &Url,
    alone: bool,
    report: &mut Report,
) {
    let Ok(server) = Server::new(url) else {
        // It has been spoken to before.
        return;
    };
    let desk = Desk { patient, server };
    let request = |method: &str, params: Value| {
        let mut params = params;
        params["_meta"] = modern::meta();
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    };
    let head = |method: &str| {
        let mut headers = post_headers();
        add(&mut headers, VERSION, modern::VERSION);
        add(&mut headers, METHOD, method);
        headers
    };
    let discover = request("server/discover", json!({}));
    let fine = head("server/discover");

    let answered = desk.post(fine.clone(), &discover).await;
    let verdict = answered.as_ref().map_err(Fault::clone).and_then(|whole| {
        has_status(whole, &[200])?;
        match kind(&whole.headers) {
            JSON | EVENTS => Ok(()),
            kind => Err(Fault::new(format!("it is {kind:?}"), &whole.text)),
        }
    });
    report.must(
        "REQ-HTTPM-04",
        "a request is answered 200, by JSON or by events",
        verdict,
    );
    let verdict = answered.and_then(|whole| match whole.headers.get(SESSION) {
        None => Ok(()),
        Some(id) => Err(Fault::silent(format!("it opens one: {id:?}"))),
    });
    report.should("REQ-HTTPM-12", "a modern request opens no session", verdict);
    let mut headers = fine.clone();
    add(&mut headers, SESSION, NOTHING);
    let verdict = desk
        .post(headers, &discover)
        .await
        .and_then(|whole| has_status(&whole, &[200]));
    report.should(
        "REQ-HTTPM-12",
        "a modern request that names a session is served as any other",
        verdict,
    );

    let note = json!({ "jsonrpc": "2.0", "method": "notifications/mcp/doctor", "params": { "_meta": modern::meta() } });
    let noted = desk.post(head("notifications/mcp/doctor"), &note).await;
    report.must(
        "REQ-HTTPM-03",
        "a notification is answered 202 without a body, or refused",
        noted.and_then(|whole| accepted(&whole, true)),
    );

    for (rule, what, name, value) in [
        (
            "REQ-HTTPM-08",
            "a request without MCP-Protocol-Version",
            VERSION,
            None,
        ),
        (
            "REQ-HTTPM-05",
            "a request whose MCP-Protocol-Version is not the body's",
            VERSION,
            Some("2025-11-25"),
        ),
        ("REQ-HTTPM-08", "a request without Mcp-Method", METHOD, None),
        (
            "REQ-HTTPM-08",
            "a request whose Mcp-Method is not the body's",
            METHOD,
            Some("tools/list"),
        ),
        (
            "REQ-HTTPM-07",
            "a request whose Mcp-Method is in capitals",
            METHOD,
            Some("SERVER/DISCOVER"),
        ),
    ] {
        let mut headers = fine.clone();
        headers.remove(name);
        if let Some(value) = value {
            add(&mut headers, name, value);
        }
        let verdict = desk.refused(headers, &discover, 400, -32020).await;
        report.must(
            rule,
            &format!("{what} is refused with 400 and -32020"),
            verdict,
        );
    }
    let call = request("tools/call", json!({ "name": NOTHING, "arguments": {} }));
    for (what, name) in [
        ("without Mcp-Name", None),
        ("whose Mcp-Name is not the body's", Some("another")),
    ] {
        let mut headers = head("tools/call");
        if let Some(name) = name {
            add(&mut headers, NAME, name);
        }
        let verdict = desk.refused(headers, &call, 400, -32020).await;
        report.must(
            "REQ-HTTPM-08",
            &format!("a call {what} is refused with 400 and -32020"),
            verdict,
        );
    }
    let mut headers = head("tools/call");
    add(&mut headers, NAME, NOTHING_WRAPPED);
    let verdict =
        desk.post(headers, &call)
            .await
            .and_then(|whole| match whole.text.contains("-32020") {
                false => Ok(()),
                true => Err(Fault::new("it is compared as it is", &whole.text)),
            });
    report.must(
        "REQ-HTTPM-08",
        "an Mcp-Name in base64 is decoded before it is compared",
        verdict,
    );

    let unknown = request("mcp/doctor", json!({}));
    let verdict = desk
        .refused(head("mcp/doctor"), &unknown, 404, -32601)
        .await;
    report.must(
        "REQ-HTTPM-09",
        "a method that is not known is answered 404 and -32601",
        verdict,
    );
    let mut future = discover.clone();
    future["params"]["_meta"][modern::VERSION_KEY] = "2999-01-01".into();
    let mut headers = fine.clone();
    add(&mut headers, VERSION, "2999-01-01");
    let verdict = desk.refused(headers, &future, 400, -32022).await;
    report.must(
        "REQ-HTTPM-09",
        "a version that is not known is answered 400 and -32022",
        verdict,
    );
    let unmarked = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {} });
    let verdict = desk.refused(fine.clone(), &unmarked, 400, -32602).await;
    report.must(
        "REQ-META-02",
        "a modern request without _meta is answered 400 and -32602",
        verdict,
    );

    accepts(&desk, &fine, &discover, report).await;
    desk.strangers(&fine, &discover, report).await;
    for method in [Method::GET, Method::DELETE] {
        let what = format!("{method} is answered 405, as there are no sessions");
        match alone {
            true => {
                let mut headers = HeaderMap::new();
                add(&mut headers, ACCEPT.as_str(), EVENTS);
                let verdict = method_refused(&desk, method, headers).await;
                report.should("REQ-HTTPM-12", &what, verdict);
            }
            false => report.skip("REQ-HTTPM-12", &what, "the server has sessions"),
        }
    }
    let verdict = method_refused(&desk, Method::PUT, fine).await;
    report.should(
        "REQ-HTTPM-01",
        "PUT is answered 405, with what is allowed",
        verdict,
    );
    subscription(&desk, &head("subscriptions/listen"), &request, report).await;
}

/// What `Accept` and `Content-Type` ask for.
async fn accepts(desk: &Desk<'_>, headers: &HeaderMap, body: &Value, report: &mut Report) {
    for wanted in [JSON, EVENTS] {
        let mut headers = headers.clone();
        add(&mut headers, ACCEPT.as_str(), wanted);
        let verdict = desk.post(headers, body).await.and_then(|whole| {
            let fits = whole.status.is_success() && kind(&whole.headers) == wanted;
            match fits || whole.status == StatusCode::NOT_ACCEPTABLE {
                true => Ok(()),
                false => Err(wrong_status(&whole, "406")),
            }
        });
        let what = format!("who accepts {wanted} alone gets that, or 406");
        report.should("REQ-HTTPM-02", &what, verdict);
    }
    let mut headers = headers.clone();
    add(&mut headers, CONTENT_TYPE.as_str(), "text/plain");
    let verdict = desk
        .post(headers, body)
        .await
        .and_then(|whole| has_status(&whole, &[415, 400]));
    // A page of any site may send this without being asked whether it may.
    report.should(
        "REQ-HTTPM-02",
        "a body that is not called JSON is refused",
        verdict,
    );
}

async fn method_refused(desk: &Desk<'_>, method: Method, headers: HeaderMap) -> Verdict {
    let reply = desk.send(method, headers, "").await?;
    let whole = desk.whole(reply).await?;
    has_status(&whole, &[405])?;
    match whole.headers.contains_key(ALLOW) {
        true => Ok(()),
        false => Err(Fault::silent("there is no `Allow`")),
    }
}

/// What a stream's head says.
async fn subscription(
    desk: &Desk<'_>,
    headers: &HeaderMap,
    request: &impl Fn(&str, Value) -> Value,
    report: &mut Report,
) {
    let (rule, what) = ("REQ-HTTPM-11", "a proxy is asked not to hold events back");
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let listen = request("subscriptions/listen", filter);
    let reply = desk
        .send(Method::POST, headers.clone(), &listen.to_string())
        .await;
    match reply {
        Ok(reply) if reply.kind() == EVENTS => {
            let verdict = match reply.headers.get("x-accel-buffering") {
                Some(no) if no == "no" => Ok(()),
                _ => Err(Fault::silent("there is no `X-Accel-Buffering: no`")),
            };
            report.should(rule, what, verdict);
        }
        _ => report.skip(rule, what, "a subscription is not answered by events"),
    }
}

pub(super) async fn examine_legacy(patient: &Patient<'_>, url: &Url, report: &mut Report) {
    let Ok(server) = Server::new(url) else {
        // It has been spoken to before.
        return;
    };
    let desk = Desk { patient, server };
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": legacy::introduction(legacy::NEWEST) });
    desk.strangers(&post_headers(), &initialize, report).await;
    let opened = async || -> Result<Whole, Fault> {
        let reply = desk
            .send(Method::POST, post_headers(), &initialize.to_string())
            .await?;
        let headers = reply.headers.clone();
        // By events or not: it is through when the answer is here.
        let whole = tokio::time::timeout(patient.timeout, reply.whole());
        let whole = whole.await.map_err(|_| desk.late())??;
        Ok(Whole { headers, ..whole })
    };
    let (rule, what) = ("REQ-HTTPL-03", "a session's id is visible ASCII");
    let (first, second) = match (opened().await, opened().await) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(fault), _) | (_, Err(fault)) => return report.must(rule, what, Err(fault)),
    };
    let id = |whole: &Whole| whole.headers.get(SESSION).cloned();
    let (Some(id), other) = (id(&first), id(&second)) else {
        return report.skip(rule, what, "the server has no sessions");
    };
    let visible = id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b));
    report.must(
        rule,
        what,
        if visible {
            Ok(())
        } else {
            Err(Fault::silent(format!("it is {id:?}")))
        },
    );
    let guessable = id.len() < 16 || Some(&id) == other.as_ref();
    let verdict = if guessable {
        Err(Fault::silent(format!("it is {id:?}")))
    } else {
        Ok(())
    };
    report.should(
        "REQ-HTTPL-03",
        "a session's id is long, and another each time",
        verdict,
    );

    let in_session = |id: Option<&str>, version: Option<&str>| {
        let mut headers = post_headers();
        if let Some(id) = id {
            add(&mut headers, SESSION, id);
        }
        if let Some(version) = version {
            add(&mut headers, VERSION, version);
        }
        headers
    };
    let id = String::from_utf8_lossy(id.as_bytes()).into_owned();
    let fine = in_session(Some(&id), Some(legacy::NEWEST));
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let verdict = desk
        .post(fine.clone(), &note)
        .await
        .and_then(|whole| accepted(&whole, false));
    report.must(
        "REQ-HTTPL-02",
        "a notification is answered 202 without a body",
        verdict,
    );
    let stray = json!({ "jsonrpc": "2.0", "id": 424_242, "result": {} });
    let verdict = desk
        .post(fine.clone(), &stray)
        .await
        .and_then(|whole| accepted(&whole, true));
    report.must(
        "REQ-HTTPL-02",
        "an answer is answered 202 without a body, or refused",
        verdict,
    );

    let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" });
    let list = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" });
    let status = async |headers: HeaderMap, body: &Value, wanted: &[u16]| {
        let whole = desk.post(headers, body).await?;
        has_status(&whole, wanted)
    };
    let verdict = status(in_session(None, Some(legacy::NEWEST)), &list, &[400]).await;
    report.should(
        "REQ-HTTPL-04",
        "a request that names no session is answered 400",
        verdict,
    );
    let verdict = status(
        in_session(Some(NOTHING), Some(legacy::NEWEST)),
        &ping,
        &[404],
    )
    .await;
    report.must(
        "REQ-HTTPL-04",
        "a session that is not there is answered 404",
        verdict,
    );
    let verdict = status(in_session(Some(&id), Some("1999-01-01")), &ping, &[400]).await;
    report.must(
        "REQ-HTTPL-06",
        "a version that is none is answered 400",
        verdict,
    );
    let verdict = status(in_session(Some(&id), None), &ping, &[200]).await;
    report.should(
        "REQ-HTTPL-06",
        "a request that says no version is served",
        verdict,
    );
    accepts(&desk, &fine, &ping, report).await;

    let stream = async |accept: &str| {
        let mut headers = fine.clone();
        headers.remove(CONTENT_TYPE);
        add(&mut headers, ACCEPT.as_str(), accept);
        desk.send(Method::GET, headers, "").await
    };
    let verdict = stream(EVENTS)
        .await
        .and_then(|reply| match reply.status.as_u16() {
            405 => Ok(()),
            200 if reply.kind() == EVENTS => Ok(()),
            status => Err(Fault::silent(format!(
                "it is answered {status} and {:?}",
                reply.kind()
            ))),
        });
    report.must("REQ-HTTPL-01", "GET is answered by events, or 405", verdict);
    let verdict = stream(JSON)
        .await
        .and_then(|reply| match reply.status.as_u16() {
            405 | 406 => Ok(()),
            status => Err(Fault::silent(format!("it is answered {status}"))),
        });
    report.should(
        "REQ-HTTPL-01",
        "GET that accepts no events is answered 405 or 406",
        verdict,
    );

    let mut headers = fine.clone();
    headers.remove(CONTENT_TYPE);
    let ended = match desk.send(Method::DELETE, headers, "").await {
        Ok(reply) => desk.whole(reply).await,
        Err(fault) => Err(fault),
    };
    let verdict = ended.as_ref().map_err(Fault::clone).and_then(|whole| {
        match whole.status.is_success() || whole.status == StatusCode::METHOD_NOT_ALLOWED {
            true => Ok(()),
            false => Err(wrong_status(whole, "2xx or 405")),
        }
    });
    report.should(
        "REQ-HTTPL-05",
        "DELETE ends a session, or is answered 405",
        verdict,
    );
    let what = "a session that has ended is answered 404";
    match ended.is_ok_and(|whole| whole.status.is_success()) {
        true => report.must("REQ-HTTPL-04", what, status(fine, &ping, &[404]).await),
        false => report.skip("REQ-HTTPL-04", what, "DELETE ends none"),
    }
    // The other one is not left behind either.
    if let Some(other) = other {
        let mut headers = in_session(None, Some(legacy::NEWEST));
        headers.insert(SESSION, other);
        headers.remove(CONTENT_TYPE);
        let _ = desk.send(Method::DELETE, headers, "").await;
    }
}

/// That something without an answer was taken: 202, and nothing.
fn accepted(whole: &Whole, may_refuse: bool) -> Verdict {
    if may_refuse && whole.status.is_client_error() {
        return Ok(());
    }
    has_status(whole, &[202])?;
    match whole.text.is_empty() && kind(&whole.headers) != EVENTS {
        true => Ok(()),
        false => Err(Fault::new("there is a body", &whole.text)),
    }
}

fn has_status(whole: &Whole, wanted: &[u16]) -> Verdict {
    match wanted.contains(&whole.status.as_u16()) {
        true => Ok(()),
        false => {
            let wanted: Vec<_> = wanted.iter().map(u16::to_string).collect();
            Err(wrong_status(whole, &wanted.join(" or ")))
        }
    }
}

fn wrong_status(whole: &Whole, wanted: &str) -> Fault {
    let reason = format!("the status is {} and not {wanted}", whole.status.as_u16());
    match whole.text.is_empty() {
        true => Fault::silent(reason),
        false => Fault::new(reason, &whole.text),
    }
}
