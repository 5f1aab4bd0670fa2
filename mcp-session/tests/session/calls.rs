//! Requests of ours and their answers: each ends exactly once.

use mcp_session::{ApiMisuse, CallKey, NotSent};
use mcp_types::{LogLevel, Meta};

use crate::support::{Side, decode, nested, raw};

#[test]
fn a_legacy_request_is_as_plain_as_it_can_be() {
    // TRAP-05: no `params` where there are none.
    let mut client = Side::legacy_client("2025-06-18", |_| {});
    client.call(1, "tools/list", "{}");
    client.call(2, "tools/call", r#"{"name":"t"}"#);
    client.call_with(3, "tools/list", "{}", |options| options.progress = true);
    client.says(&[
        r#"{"id":2,"method":"tools/list"}"#,
        r#"{"id":3,"method":"tools/call","params":{"name":"t"}}"#,
        r#"{"id":4,"method":"tools/list","params":{"_meta":{"progressToken":4}}}"#,
    ]);
    client
        .hear(r#"{"id":3,"result":{"content":[]}}"#)
        .hear(r#"{"id":2,"error":{"code":-32603,"message":"m"}}"#)
        // A legacy result has no type, whatever it says (TRAP-10).
        .hear(r#"{"id":4,"result":{"resultType":"input_required"}}"#)
        .tells(&[
            r#"answer 2: {"content":[]}"#,
            "answer 1: refused -32603",
            r#"answer 3: {"resultType":"input_required"}"#,
        ])
        .is_idle();
}

#[test]
fn a_request_that_is_lost_ends_alone_and_is_not_refused() {
    // REQ-ERR-06, REQ-HTTPM-13
    for mut client in [
        Side::modern_client(|_| {}),
        Side::legacy_client("2025-11-25", |_| {}),
    ] {
        client.call(1, "tools/list", "{}");
        client.call(2, "tools/list", "{}");
        client.forget();
        client
            // The second one is none of anybody's.
            .lose(2)
            .lose(2)
            .tells(&["answer 1: request lost: cut"])
            .says(&[])
            .hear(r#"{"id":3,"result":{}}"#)
            .tells(&["answer 2: {}"])
            .is_idle();
    }
    let mut client = Side::client(|_| {});
    client.forget();
    client
        .lose(1)
        .tells(&["failed: could not connect: request lost: cut"])
        .is_idle();
}

#[test]
fn an_answer_within_which_the_connection_ends_is_lost_with_it() {
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    client.call(1, "tools/list", "{}");
    client.forget();
    client
        .hear_cut(r#"{"jsonrpc":"2.0","id":2,"result":{"#)
        .tells(&["malformed: truncated message"]);
    client.session.handle_disconnected("gone");
    client
        .tells(&["answer 1: connection lost before the answer: gone"])
        .is_idle();
    let mut client = Side::client(|_| {});
    client.forget();
    client
        .hear_cut(r#"{"jsonrpc":"2.0","id":1,"result":{"#)
        .tells(&["malformed: truncated message"]);
    client.session.handle_disconnected("gone");
    client
        .tells(&["failed: connection lost before `server/discover` was answered: gone"])
        .is_idle();
}

#[test]
fn a_modern_request_describes_itself() {
    // REQ-JRPC-04, REQ-META-01, REQ-META-03, REQ-LOG-07
    let mut client = Side::modern_client(|config| {
        config.log_level = Some(mcp_types::LogLevel::Error);
    });
    client.call(1, "tools/list", "{}");
    client.call_with(2, "tools/list", r#"{"cursor":""}"#, |options| {
        options.progress = true;
        options.log_level = Some(mcp_types::LogLevel::Debug);
    });
    client.says(&[
        r#"{"id":2,"method":"tools/list","params":{"_meta":{$M,"$I":{"name":"c","version":"1"},"$L":"error"}}}"#,
        r#"{"id":3,"method":"tools/list","params":{"cursor":"","_meta":{$M,"$I":{"name":"c","version":"1"},"progressToken":3,"$L":"debug"}}}"#,
    ]);
}

#[test]
fn keys_of_meta_are_the_programs_but_for_the_reserved() {
    // REQ-META-09; a legacy request is never marked (inventory 3.2, step 6).
    let own = r#"{"name":"t","_meta":{"a":1,"b":12345678901234567890123,"progressToken":"x","$V":"v","$C":1,"$I":1,"$L":"x"}}"#;
    let options: Meta = decode(r#"{"a":2,"c":3,"progressToken":"y","$V":"w"}"#);
    let mut client = Side::modern_client(|_| {});
    client.call_with(1, "tools/call", own, |o| o.meta = Some(options.clone()));
    client.says(&[r#"{"id":2,"method":"tools/call","params":{"name":"t","_meta":{$M,"$I":"*","a":2,"b":12345678901234567890123,"c":3}}}"#]);
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    client.call_with(1, "tools/call", own, |o| o.meta = Some(options));
    client.says(&[r#"{"id":2,"method":"tools/call","params":{"name":"t","_meta":{"a":2,"b":12345678901234567890123,"c":3}}}"#]);
}

#[test]
fn the_type_of_a_modern_result_counts() {
    // REQ-JRPC-10, REQ-JRPC-11
    let cases = [
        (r#"{"a":1}"#, r#"answer 1: {"a":1}"#),
        (
            r#"{"resultType":"complete"}"#,
            r#"answer 1: {"resultType":"complete"}"#,
        ),
        (
            r#"{"resultType":"complet\u0065"}"#,
            r#"answer 1: {"resultType":"complet\u0065"}"#,
        ),
        (
            r#"{"resultType":"task"}"#,
            r#"answer 1: the peer misbehaved: unknown result type "task""#,
        ),
        (
            r#"{"resultType":"x"}"#,
            r#"answer 1: the peer misbehaved: unknown result type "x""#,
        ),
        (
            r#"{"resultType":null}"#,
            r#"answer 1: the peer misbehaved: unknown result type "null""#,
        ),
        (
            r#"{"resultType":7}"#,
            r#"answer 1: the peer misbehaved: unknown result type "7""#,
        ),
    ];
    for (result, expected) in cases {
        let mut client = Side::modern_client(|_| {});
        client.call(1, "tools/call", "{}");
        client
            .hear(&format!(r#"{{"id":2,"result":{result}}}"#))
            .tells(&[expected])
            .is_idle();
    }
    let mut client = Side::modern_client(|config| {
        config.capabilities = decode(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
    });
    client.call(1, "tools/call", "{}");
    client
        .hear(r#"{"id":2,"result":{"resultType":"task"}}"#)
        .tells(&[r#"answer 1: {"resultType":"task"}"#]);
    // The one who asks may know more of them.
    for (kind, told) in [
        ("x", r#"{"resultType":"x"}"#),
        ("y", r#"the peer misbehaved: unknown result type "y""#),
    ] {
        let mut client = Side::modern_client(|_| {});
        client.call_with(1, "tools/call", "{}", |o| o.result_types = &["w", "x"]);
        client
            .hear(&format!(r#"{{"id":2,"result":{{"resultType":"{kind}"}}}}"#))
            .tells(&[&format!("answer 1: {told}")]);
    }
}

#[test]
fn a_response_that_nobody_waits_for_is_dropped_and_counted() {
    // REQ-ID-04, REQ-ID-10, REQ-CANC-06
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    client.call(1, "tools/list", "{}");
    client.says(&[r#"{"id":2,"method":"tools/list"}"#]);
    for stranger in ["3", "\"2\"", "-2", "1"] {
        client
            .hear(&format!(r#"{{"id":{stranger},"result":{{}}}}"#))
            .tells(&["misbehaved: response to no request"]);
    }
    client
        .hear(r#"{"id":2,"result":{}}"#)
        .hear(r#"{"id":2,"result":{}}"#)
        .hear(r#"{"id":2,"error":{"code":1,"message":"m"}}"#)
        .tells(&[
            "answer 1: {}",
            "misbehaved: response to no request",
            "misbehaved: response to no request",
        ])
        .says(&[])
        .is_idle();
    assert_eq!(client.session.counters().unknown_responses, 6);
}

#[test]
fn a_malformed_response_ends_the_request_it_names() {
    // REQ-JRPC-06, TRAP-04
    let cases = [
        r#"{"jsonrpc":"2.0","id":2,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":"x","message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{},"error":{"code":1,"message":"m"}}"#,
        r#"{"id":2,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":2}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":["#,
    ];
    for text in cases {
        for mut client in [
            Side::modern_client(|_| {}),
            Side::legacy_client("2025-11-25", |_| {}),
        ] {
            client.call(1, "tools/list", "{}");
            client.forget();
            client.hear_raw(text).says(&[]);
            let told = client.take_events();
            assert!(
                told[0].starts_with("answer 1: the peer misbehaved: "),
                "{told:?}"
            );
            assert!(told[1].starts_with("malformed: "), "{told:?}");
            client.is_idle();
        }
    }
    // Deeper than anything is decoded.
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":2,"result":{{"a":{}{}}}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let mut client = Side::modern_client(|_| {});
    client.call(1, "tools/list", "{}");
    client.forget();
    client.hear_raw(&deep).tells(&[
        "answer 1: the peer misbehaved: unreadable response: nested deeper than 127 levels",
        "malformed: nested deeper than 127 levels",
    ]);
}

#[test]
fn a_malformed_message_under_another_id_ends_nothing() {
    for mut client in [
        Side::modern_client(|_| {}),
        Side::legacy_client("2025-11-25", |_| {}),
    ] {
        client.call(1, "tools/list", "{}");
        client.forget();
        client
            .hear_raw("Listening on stdio …")
            .hear_raw(r#"{"jsonrpc":"2.0","id":9,"result":[]}"#)
            .hear_raw(r#"{"jsonrpc":"2.0","id":"2","result":[]}"#)
            .hear_raw(r#"{"jsonrpc":"2.0","result":{}}"#)
            .says(&[])
            .tells(&["malformed: *"; 4])
            .hear(r#"{"id":2,"result":{}}"#)
            .tells(&["answer 1: {}"]);
        assert_eq!(client.session.counters().malformed, 4);
    }
}

#[test]
fn a_client_answers_broken_requests_in_the_legacy_era_only() {
    // REQ-JRPC-12, REQ-JRPC-14
    let text = r#"{"jsonrpc":"2.0","id":"x","method":"roots/list","params":[]}"#;
    Side::modern_client(|_| {})
        .hear_raw(text)
        .says(&[])
        .tells(&["malformed: invalid request: `params` must be an object"]);
    Side::client(|_| {})
        .hear_raw(text)
        .says(&[r#"{"id":1,"method":"server/discover","...":0}"#]);
    Side::legacy_client("2025-11-25", |_| {})
        .hear_raw(text)
        .says(&[r#"{"id":"x","error":{"code":-32600,"...":0}}"#])
        .hear_raw(r#"{"jsonrpc":"2.0","id":"x","method":7}"#)
        .says(&[r#"{"id":"x","error":{"code":-32600,"...":0}}"#])
        // A line of log on the wrong stream is no request.
        .hear_raw("Traceback (most recent call last):")
        .says(&[]);
}

#[test]
fn an_error_without_an_id_belongs_to_no_call() {
    // REQ-ID-09
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    client.call(1, "tools/list", "{}");
    client.forget();
    client
        .hear(r#"{"error":{"code":-32700,"message":"m"}}"#)
        .hear(r#"{"id":null,"error":{"code":-32600,"message":"m"}}"#)
        .tells(&["peer error -32700", "peer error -32600"])
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&["answer 1: {}"]);
}

#[test]
fn ids_are_never_used_again() {
    // REQ-ID-02, REQ-ID-03, REQ-ID-06, TRAP-35
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    for key in 0..100 {
        client.call(key, "tools/list", "{}");
        match key % 3 {
            0 => client.cancel(key, None),
            1 => drop(client.hear(&format!(r#"{{"id":{},"result":{{}}}}"#, key + 2))),
            _ => drop(client.wait(60.0)),
        }
    }
    let ids: Vec<_> = client
        .take_lines()
        .iter()
        .filter_map(|line| line.get("id")?.as_i64())
        .collect();
    assert_eq!(ids, (2..102).collect::<Vec<_>>());
    client.is_idle();
}

#[test]
fn a_key_that_is_in_use_is_refused() {
    let mut client = Side::legacy_client("2025-11-25", |_| {});
    client.call(1, "tools/list", "{}");
    assert_eq!(
        client.try_call(1, "tools/call", "{}", |_| {}),
        Err(ApiMisuse::KeyInUse(CallKey(1)))
    );
    client
        .says(&[r#"{"id":2,"method":"tools/list"}"#])
        .wait(60.0)
        .tells(&["answer 1: no answer within 60s"])
        .is_idle();
}

#[test]
fn one_call_too_many_is_refused() {
    let mut client = Side::legacy_client("2025-11-25", |config| {
        config.limits.outgoing_requests = 2;
    });
    client.call(1, "a", "{}");
    client.call(2, "b", "{}");
    client.forget();
    assert_eq!(
        client.try_call(3, "c", "{}", |_| {}),
        Err(ApiMisuse::TooManyRequests(2))
    );
    client.is_silent();
    client.cancel(1, None);
    client.call(3, "c", "{}");
    assert_eq!(client.session.calls_in_flight(), 2);
}

#[test]
fn only_requests_of_the_version_in_force_go_out() {
    // REQ-LIFE-09, REQ-LIFE-10, REQ-LIFE-13
    let allowed =
        |side: &mut Side, key: u64, method: &str| match side.try_call(key, method, "{}", |_| {}) {
            Ok(()) => true,
            Err(ApiMisuse::NotInVersion { .. }) => false,
            Err(other) => panic!("{method}: {other}"),
        };
    // One letter a revision, oldest first.
    let cases = [
        ("initialize", "-----"),
        ("ping", "xxxx-"),
        ("logging/setLevel", "xxxx-"),
        ("resources/subscribe", "xxxx-"),
        ("tasks/result", "---x-"),
        ("tasks/get", "---xx"),
        ("server/discover", "----x"),
        ("subscriptions/listen", "----x"),
        ("tools/list", "xxxxx"),
        ("com.example/own", "xxxxx"),
    ];
    for (method, expected) in cases {
        let mut found = String::new();
        for version in crate::support::LEGACY {
            let mut client = Side::legacy_client(version, |_| {});
            found.push(if allowed(&mut client, 1, method) {
                'x'
            } else {
                '-'
            });
        }
        let mut client = Side::modern_client(|_| {});
        found.push(if allowed(&mut client, 1, method) {
            'x'
        } else {
            '-'
        });
        assert_eq!(found, expected, "{method}");
    }
}

#[test]
fn the_end_of_the_connection_ends_every_call_and_no_request() {
    let mut client = Side::legacy_client("2025-11-25", |config| {
        config.capabilities = decode(r#"{"roots":{}}"#);
    });
    client.call(7, "a", "{}");
    client.call(5, "b", "{}");
    client.hear(r#"{"id":1,"method":"roots/list"}"#).forget();
    client.session.handle_disconnected("gone");
    client.tells(&[
        "answer 5: connection lost before the answer: gone",
        "answer 7: connection lost before the answer: gone",
    ]);
    assert_eq!(
        client.try_call(8, "c", "{}", |_| {}),
        Err(ApiMisuse::NotOpen)
    );
    // What the peer asked may still be answered: it may have closed its end only.
    client.respond(0, "{}");
    client.says(&[r#"{"id":1,"result":{}}"#]);
    client.session.handle_disconnected("again");
    client
        .wait(1e6)
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&["misbehaved: response to no request"])
        .is_idle();
}

#[test]
fn requests_of_both_sides_may_have_the_same_ids() {
    // REQ-ID-05
    let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |_| {});
    server.hear(r#"{"id":1,"method":"m"}"#).forget();
    server.call(1, "roots/list", "{}");
    server
        .says(&[r#"{"id":1,"method":"roots/list"}"#])
        .hear(r#"{"id":1,"result":{"roots":[]}}"#)
        .tells(&[r#"answer 1: {"roots":[]}"#]);
    server.respond(0, "{}");
    server.says(&[r#"{"id":1,"result":{}}"#]).is_idle();
}

#[test]
fn a_call_goes_out_on_behalf_of_the_request_it_belongs_to() {
    // Transports with one stream a request route by it; so do the cancellations.
    let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |_| {});
    server.hear(r#"{"id":"a","method":"tools/call"}"#).forget();
    let related = server.key(0);
    for key in [1, 2] {
        server.call_with(key, "roots/list", "{}", |o| o.related = Some(related));
    }
    server.cancel(1, None);
    server.respond(0, "{}");
    // Its stream has ended.
    server.cancel(2, None);
    let routes: Vec<_> = server
        .take_sent()
        .into_iter()
        .map(|out| out.related_to.map(|id| id.to_string()))
        .collect();
    let a = || Some("\"a\"".to_owned());
    assert_eq!(routes, [a(), a(), a(), a(), None]);
    assert_eq!(
        server.try_call(3, "roots/list", "{}", |o| o.related = Some(related)),
        Err(ApiMisuse::Ended)
    );
}

#[test]
fn what_is_nested_deeper_than_anybody_reads_is_not_sent() {
    for (levels, fits) in [(126, true), (127, false)] {
        let body = nested(levels);
        let mut client = Side::legacy_client("2025-11-25", |_| {});
        let called = client.try_call(1, "tools/call", &body, |_| {});
        assert_eq!(called.is_ok(), fits, "{called:?}");
        assert_eq!(client.session.calls_in_flight(), usize::from(fits));
        // With what the program says besides, too.
        let meta: Meta = decode(&nested(levels - 1));
        let called = client.try_call(2, "tools/call", "{}", |o| o.meta = Some(meta));
        assert_eq!(called.is_ok(), fits, "{called:?}");
        assert_eq!(client.take_lines().len(), if fits { 2 } else { 0 });

        let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
            config.capabilities = decode(r#"{"logging":{}}"#);
        });
        server.hear(r#"{"id":2,"method":"tools/call"}"#).forget();
        let session = &mut server.session;
        let sent = if fits { Ok(()) } else { Err(NotSent::Params) };
        let notified = session.notify(None, "a".into(), Some(raw(&body)));
        assert_eq!(notified, sent);
        let logged = session.log(None, LogLevel::Emergency, raw(&body));
        assert_eq!(logged, sent);
        server.forget();
        server.respond(0, &body);
        server.says(&[if fits {
            r#"{"id":2,"result":{"...":1}}"#
        } else {
            r#"{"id":2,"error":{"code":-32603,"message":"the answer is nested too deep"}}"#
        }]);
    }
}
