//! What may be asked of whom.

use mcp_session::{ApiMisuse, InputRequired, Question};

use crate::support::{Side, decode, raw};

const ALL: &str = r#"{"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}},"roots":{}}"#;

/// Declared capabilities, a question, and what is missing for it.
const QUESTIONS: &[(&str, &str, &str, Option<&str>)] = &[
    ("{}", "sampling/createMessage", "{}", Some("sampling")),
    ("{}", "elicitation/create", "{}", Some("elicitation")),
    ("{}", "roots/list", "{}", Some("roots")),
    (ALL, "sampling/createMessage", "{}", None),
    (ALL, "sampling/createMessage", r#"{"tools":[]}"#, None),
    (ALL, "elicitation/create", "{}", None),
    (ALL, "elicitation/create", r#"{"mode":"url"}"#, None),
    (ALL, "roots/list", "{}", None),
    // REQ-SAMP-02, REQ-CAP-09
    (r#"{"sampling":{}}"#, "sampling/createMessage", "{}", None),
    (
        r#"{"sampling":{}}"#,
        "sampling/createMessage",
        r#"{"tools":[]}"#,
        Some("sampling.tools"),
    ),
    (
        r#"{"sampling":{}}"#,
        "sampling/createMessage",
        r#"{"toolChoice":{"mode":"auto"}}"#,
        Some("sampling.tools"),
    ),
    // REQ-ELIC-01, REQ-ELIC-02, REQ-CAP-08, REQ-CAP-10, TRAP-15
    (r#"{"elicitation":{}}"#, "elicitation/create", "{}", None),
    (
        r#"{"elicitation":{}}"#,
        "elicitation/create",
        r#"{"mode":"form"}"#,
        None,
    ),
    (
        r#"{"elicitation":{}}"#,
        "elicitation/create",
        r#"{"mode":"url"}"#,
        Some("elicitation.url"),
    ),
    (
        r#"{"elicitation":{}}"#,
        "elicitation/create",
        r#"{"mode":"u\u0072l"}"#,
        Some("elicitation.url"),
    ),
    (
        r#"{"elicitation":{"form":{}}}"#,
        "elicitation/create",
        r#"{"mode":"url"}"#,
        Some("elicitation.url"),
    ),
    (
        r#"{"elicitation":{"url":{}}}"#,
        "elicitation/create",
        r#"{"mode":"url"}"#,
        None,
    ),
    (
        r#"{"elicitation":{"url":{}}}"#,
        "elicitation/create",
        "{}",
        Some("elicitation.form"),
    ),
    (
        r#"{"elicitation":{"url":{}}}"#,
        "elicitation/create",
        r#"{"mode":"form"}"#,
        Some("elicitation.form"),
    ),
];

#[test]
fn a_server_asks_a_legacy_client_for_what_it_declared() {
    // REQ-CAP-03 has no legacy wire form: the error is local (REQ-LIFE-09, REQ-ROOT-04).
    for (declared, method, params, missing) in QUESTIONS {
        let mut server = Side::legacy_server("2025-11-25", declared, |_| {});
        let called = server.try_call(1, method, params, |_| {});
        match missing {
            None => {
                called.unwrap();
                assert_eq!(server.take_lines().len(), 1);
            }
            Some(name) => {
                let Err(ApiMisuse::MissingCapability { capability, .. }) = called else {
                    panic!("{declared} {method} {params}: {called:?}");
                };
                assert_eq!(capability, *name);
                server.is_silent().is_idle();
            }
        }
    }
}

#[test]
fn a_server_asks_a_modern_client_for_what_the_request_declared() {
    // REQ-CAP-03, REQ-CAP-04, REQ-MRTR-04: beside a legacy session that declared the opposite.
    for (declared, method, params, missing) in QUESTIONS {
        let beside = if *declared == "{}" { ALL } else { "{}" };
        let mut server = Side::legacy_server("2025-11-25", beside, |_| {});
        server
            .hear(&format!(
                r#"{{"id":2,"method":"tools/call","params":{{"_meta":{{"$V":"2026-07-28","$C":{declared}}}}}}}"#
            ))
            .forget();
        let key = server.key(0);
        let question = Question {
            method: (*method).into(),
            params: raw(params),
        };
        let input = InputRequired {
            questions: [("q".to_owned(), question)].into(),
            state: None,
        };
        let asked = server.session.require_input(key, input);
        match (missing, asked) {
            (None, Ok(())) => {
                server.says(&[&format!(
                    r#"{{"id":2,"result":{{"resultType":"input_required","inputRequests":{{"q":{{"method":"{method}","params":{params}}}}},"_meta":"*"}}}}"#
                )]);
                server.is_idle();
            }
            (Some(name), Err(ApiMisuse::MissingCapability { capability, .. })) => {
                assert_eq!(capability, *name);
                // It is still to be answered.
                server.is_silent().respond(0, "{}");
                server.is_idle();
            }
            (_, other) => panic!("{declared} {method} {params}: {other:?}"),
        }
        // As a request it can never go (REQ-JRPC-12).
        server
            .hear(r#"{"id":3,"method":"tools/call","params":{"_meta":{$M}}}"#)
            .forget();
        let key = server.key(1);
        assert_eq!(
            server.try_call(1, method, params, |o| o.related = Some(key)),
            Err(ApiMisuse::ModernClient)
        );
    }
}

#[test]
fn a_legacy_client_is_asked_for_what_it_declared() {
    // REQ-CAP-07: an undeclared method does not exist; REQ-CAP-08, REQ-CAP-09: an undeclared mode is a wrong parameter.
    for (declared, method, params, missing) in QUESTIONS {
        let mut client = Side::legacy_client("2025-11-25", |config| {
            config.capabilities = decode(declared);
        });
        client.hear(&format!(
            r#"{{"id":"x","method":"{method}","params":{params}}}"#
        ));
        match missing {
            None => client.says(&[]).tells(&[&format!("request 0 {method}")]),
            Some(name) if name.contains('.') => client
                .tells(&[])
                .says(&[r#"{"id":"x","error":{"code":-32602,"...":0}}"#]),
            Some(_) => client
                .tells(&[])
                .says(&[r#"{"id":"x","error":{"code":-32601,"...":0}}"#]),
        };
    }
}

#[test]
fn what_the_version_does_not_have_is_not_asked_for() {
    // REQ-LIFE-09: elicitation came with 2025-06-18, whatever is declared.
    for (version, expected) in [
        ("2024-11-05", false),
        ("2025-03-26", false),
        ("2025-06-18", true),
        ("2025-11-25", true),
    ] {
        let mut server = Side::legacy_server(version, ALL, |_| {});
        let called = server.try_call(1, "elicitation/create", "{}", |_| {});
        assert_eq!(called.is_ok(), expected, "{version}");
        let mut client = Side::legacy_client(version, |config| config.capabilities = decode(ALL));
        client.hear(r#"{"id":"x","method":"elicitation/create","params":{}}"#);
        if expected {
            client.tells(&["request 0 elicitation/create"]);
        } else {
            client.says(&[r#"{"id":"x","error":{"code":-32601,"...":0}}"#]);
        }
        server.call(2, "ping", "{}");
        server.call(3, "com.example/own", "{}");
    }
}

#[test]
fn a_modern_client_takes_no_requests() {
    // REQ-JRPC-12, REQ-JRPC-14
    let mut client = Side::modern_client(|config| config.capabilities = decode(ALL));
    for method in [
        "ping",
        "roots/list",
        "sampling/createMessage",
        "com.example/own",
    ] {
        client
            .hear(&format!(r#"{{"id":"x","method":"{method}"}}"#))
            .says(&[])
            .tells(&[&format!(
                "misbehaved: request `{method}` from a side that must not send one"
            )]);
    }
    client.is_idle();
}

#[test]
fn a_server_without_a_legacy_session_has_nobody_to_ask() {
    let mut server = Side::server(|_| {});
    assert_eq!(
        server.try_call(1, "ping", "{}", |_| {}),
        Err(ApiMisuse::NotOpen)
    );
    server
        .hear(r#"{"id":2,"method":"tools/call","params":{"_meta":{$M}}}"#)
        .forget();
    assert_eq!(
        server.try_call(1, "ping", "{}", |_| {}),
        Err(ApiMisuse::NotOpen)
    );
    server.is_silent();
}

#[test]
fn a_legacy_client_answers_what_a_server_asks() {
    // REQ-PING-01, REQ-ID-04
    let mut client = Side::legacy_client("2025-11-25", |config| config.capabilities = decode(ALL));
    client
        .hear(r#"{"id":0,"method":"ping"}"#)
        .says(&[r#"{"id":0,"result":{}}"#])
        .hear(r#"{"id":"r","method":"roots/list"}"#)
        .hear(r#"{"id":"t","method":"tasks/update"}"#)
        .hear(r#"{"id":"p","method":"roots/list","params":{"_meta":{"progressToken":[]}}}"#)
        .tells(&["request 0 roots/list"])
        .says(&[
            r#"{"id":"t","error":{"code":-32601,"...":0}}"#,
            r#"{"id":"p","error":{"code":-32602,"...":0}}"#,
        ]);
    client.respond(0, r#"{"roots":[]}"#);
    client
        .says(&[r#"{"id":"r","result":{"roots":[]}}"#])
        .is_idle();
}
