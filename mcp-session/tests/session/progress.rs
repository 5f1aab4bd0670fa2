//! Progress, on both sides.

use std::sync::Arc;

use mcp_session::{NotSent, Progress};

use crate::support::{LEGACY, Side, decode, initialize};

fn working_server(version: &str, token: &str) -> Side {
    let mut server = Side::legacy_server(version, "{}", |_| {});
    server
        .hear(&format!(
            r#"{{"id":7,"method":"tools/call","params":{{"_meta":{{"progressToken":{token}}}}}}}"#
        ))
        .tells(&["request 0 tools/call"]);
    server
}

#[test]
fn what_is_sent_increases() {
    // REQ-PROG-02, REQ-PROG-03, TRAP-01
    let mut server = working_server("2025-11-25", "\"t\"");
    let key = server.key(0);
    let cases = [
        (-3.0, Ok(())),
        (-3.0, Err(NotSent::NotIncreasing)),
        (-4.0, Err(NotSent::NotIncreasing)),
        (0.1, Ok(())),
        (0.2, Ok(())),
        (f64::NAN, Err(NotSent::NotIncreasing)),
        (f64::INFINITY, Err(NotSent::NotIncreasing)),
        (f64::NEG_INFINITY, Err(NotSent::NotIncreasing)),
        (1e300, Ok(())),
    ];
    for (value, expected) in cases {
        assert_eq!(
            server.session.progress(key, value, None, None),
            expected,
            "{value}"
        );
    }
    server.says(&[
        r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":-3}}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":0.1}}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":0.2}}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":1e300}}"#,
    ]);
}

#[test]
fn a_task_reports_under_the_token_of_its_request() {
    // REQ-PROG-07
    let mut report = Progress::new("t", 2.0).total(f64::NAN).message("half");
    report.meta = Some(decode(
        r#"{"io.modelcontextprotocol/related-task":{"taskId":"x"}}"#,
    ));
    for (version, expected) in [
        ("2025-11-25", Ok(())),
        ("2025-06-18", Err(NotSent::NoSession)),
    ] {
        let mut server = working_server(version, "\"t\"");
        server.respond(0, "{}");
        server.forget();
        let caller = Arc::clone(&server.asked[0].caller);
        assert_eq!(server.session.task_progress(&caller, &report), expected);
        let sent = r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":2,"message":"half","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"x"}}}}"#;
        let sent: Vec<_> = expected.iter().map(|()| sent).collect();
        server.says(&sent);
        let endless = Progress::new("t", f64::INFINITY);
        assert!(server.session.task_progress(&caller, &endless).is_err());
        server.says(&[]);
        // The next client may give the same token to a request of its own.
        server.hear(&initialize(8, version, "{}")).forget();
        let sent = server.session.task_progress(&caller, &report);
        assert_eq!(sent, Err(NotSent::NoSession));
        server.says(&[]);
    }
}

#[test]
fn progress_stands_before_the_response_and_never_behind_it() {
    // REQ-PROG-04, REQ-PROG-10, TRAP-37
    let mut server = working_server("2025-11-25", "9");
    let key = server.key(0);
    server
        .session
        .progress(key, 1.0, Some(2.0), Some("half"))
        .unwrap();
    server.respond(0, "{}");
    assert_eq!(
        server.session.progress(key, 2.0, None, None),
        Err(NotSent::Ended)
    );
    server.says(&[
        r#"{"method":"notifications/progress","params":{"progressToken":9,"progress":1,"total":2,"message":"half"}}"#,
        r#"{"id":7,"result":{}}"#,
    ]);
}

#[test]
fn it_goes_out_on_the_stream_of_its_request() {
    let mut server = working_server("2025-11-25", "9");
    let key = server.key(0);
    server.session.progress(key, 1.0, None, None).unwrap();
    let sent = server.take_sent();
    assert_eq!(sent[0].related_to, Some(7.into()));
}

#[test]
fn the_first_revision_has_no_message() {
    for version in LEGACY {
        let mut server = working_server(version, "9");
        let key = server.key(0);
        server
            .session
            .progress(key, 1.0, Some(f64::NAN), Some("m"))
            .unwrap();
        let message = if version == "2024-11-05" {
            ""
        } else {
            r#","message":"m""#
        };
        server.says(&[&format!(
            r#"{{"method":"notifications/progress","params":{{"progressToken":9,"progress":1{message}}}}}"#
        )]);
    }
}

#[test]
fn without_a_token_there_is_none() {
    // REQ-PROG-02, REQ-PROG-06
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server
        .hear(r#"{"id":7,"method":"tools/call"}"#)
        .hear(r#"{"id":8,"method":"tools/call","params":{"_meta":{$M}}}"#)
        .forget();
    for n in 0..2 {
        let key = server.key(n);
        assert_eq!(
            server.session.progress(key, 1.0, None, None),
            Err(NotSent::Unwanted)
        );
    }
    server.is_silent();
}

#[test]
fn what_is_received_must_increase_and_belong_to_something() {
    // REQ-PROG-03, REQ-PROG-10
    for mut client in [
        Side::modern_client(|_| {}),
        Side::legacy_client("2025-11-25", |_| {}),
    ] {
        client.call_with(1, "tools/call", "{}", |o| o.progress = true);
        client.call(2, "tools/call", "{}");
        client.forget();
        let cases = [
            (
                r#"{"progressToken":2,"progress":-1}"#,
                Some("progress 1: -1"),
            ),
            (r#"{"progressToken":2,"progress":-1}"#, None),
            (r#"{"progressToken":2,"progress":-2}"#, None),
            (
                r#"{"progressToken":2,"progress":0.5,"total":1}"#,
                Some("progress 1: 0.5/1"),
            ),
            (
                r#"{"progressToken":2,"progress":0.6,"message":"m"}"#,
                Some("progress 1: 0.6 m"),
            ),
            (r#"{"progressToken":2,"progress":1e999}"#, None),
            (r#"{"progressToken":2,"progress":"1"}"#, None),
            (r#"{"progressToken":2,"progress":null}"#, None),
            (r#"{"progressToken":2}"#, None),
            (r#"{"progress":9}"#, None),
            (r#"{"progressToken":"2","progress":9}"#, None),
            (r#"{"progressToken":4,"progress":9}"#, None),
            // It did not ask for any.
            (r#"{"progressToken":3,"progress":9}"#, None),
            (r#"{"progressToken":2,"progress":1}"#, Some("progress 1: 1")),
        ];
        let mut stray = 0;
        for (params, expected) in cases {
            client.hear(&format!(
                r#"{{"method":"notifications/progress","params":{params}}}"#
            ));
            match expected {
                Some(event) => client.tells(&[event]),
                None => {
                    stray += 1;
                    client.tells(&["misbehaved: progress for no request, or not increasing"])
                }
            };
        }
        client
            .hear(r#"{"method":"notifications/progress"}"#)
            .hear(r#"{"id":2,"result":{}}"#)
            .hear(
                r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":2}}"#,
            )
            .tells(&["misbehaved: *", "answer 1: {}", "misbehaved: *"])
            .says(&[]);
        assert_eq!(client.session.counters().stray_progress, stray + 2);
    }
}

#[test]
fn a_task_has_the_token_of_its_call_as_long_as_it_is_wanted() {
    // REQ-PROG-07
    let task = r#"{"task":{"taskId":"t"}}"#;
    let progress = |n: u32| {
        format!(
            r#"{{"method":"notifications/progress","params":{{"progressToken":2,"progress":{n}}}}}"#
        )
    };
    let called = |version: &str, progress: bool| {
        let mut client = Side::legacy_client(version, |_| {});
        client.call_with(1, "tools/call", "{}", |o| o.progress = progress);
        client.forget();
        client.hear(&format!(r#"{{"id":2,"result":{task}}}"#));
        client
    };
    let mut client = called("2025-11-25", true);
    client.tells(&[&format!("task 1: {task}")]);
    // It takes as long as it takes.
    assert_eq!(client.session.poll_timeout(), None);
    client
        .hear(&progress(1))
        .hear(&progress(1))
        .hear(&progress(2))
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&[
            "progress 1: 1",
            "misbehaved: progress for no request, or not increasing",
            "progress 1: 2",
            "misbehaved: response to no request",
        ]);
    client.cancel(1, None);
    client
        .hear(&progress(3))
        .tells(&["misbehaved: progress for no request, or not increasing"])
        .says(&[])
        .is_idle();
    let mut client = called("2025-11-25", true);
    client.session.handle_disconnected("gone");
    client
        .tells(&[
            "task 1: *",
            "answer 1: connection lost before the answer: gone",
        ])
        .is_idle();
    // Nobody has asked for it, or there are no tasks.
    for (version, wanted) in [("2025-11-25", false), ("2025-06-18", true)] {
        called(version, wanted)
            .tells(&[&format!("answer 1: {task}")])
            .is_idle();
    }
}

#[test]
fn a_legacy_client_reports_too_and_a_modern_one_cannot() {
    // REQ-PROG-09, inventory 3.7
    let mut client = Side::legacy_client("2025-11-25", |config| {
        config.capabilities = decode(r#"{"sampling":{}}"#);
    });
    client
        .hear(r#"{"id":"s","method":"sampling/createMessage","params":{"_meta":{"progressToken":"t"}}}"#)
        .tells(&["request 0 sampling/createMessage"]);
    let key = client.key(0);
    client.session.progress(key, 1.0, None, None).unwrap();
    client.says(&[
        r#"{"method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#,
    ]);

    let mut client = Side::modern_client(|config| {
        config.capabilities = decode(r#"{"sampling":{}}"#);
    });
    client.call(1, "tools/call", "{}");
    client
        .hear(r#"{"id":2,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage","params":{"_meta":{"progressToken":"t"}}}}}}"#)
        .tells(&["request 0 sampling/createMessage"]);
    let key = client.key(0);
    assert_eq!(
        client.session.progress(key, 1.0, None, None),
        Err(NotSent::Unwanted)
    );
}

#[test]
fn a_server_hears_of_its_own_requests() {
    let mut server = Side::legacy_server("2025-11-25", r#"{"sampling":{}}"#, |_| {});
    server.call_with(1, "sampling/createMessage", "{}", |o| o.progress = true);
    server
        .says(&[
            r#"{"id":1,"method":"sampling/createMessage","params":{"_meta":{"progressToken":1}}}"#,
        ])
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":1,"progress":5}}"#)
        .tells(&["progress 1: 5"]);
}
