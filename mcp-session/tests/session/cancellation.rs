//! Cancellation in every crossing.

use mcp_session::ApiMisuse;

use crate::support::{Side, decode};

fn clients() -> [Side; 2] {
    [
        Side::modern_client(|_| {}),
        Side::legacy_client("2025-11-25", |_| {}),
    ]
}

#[test]
fn cancel_before_response() {
    // REQ-CANC-02, REQ-CANC-04, REQ-CANC-06, REQ-CANC-08
    for mut client in clients() {
        client.call(1, "tools/call", "{}");
        client.forget();
        client.cancel(1, Some("enough"));
        client
            .says(&[r#"{"method":"notifications/cancelled","params":{"requestId":2,"reason":"enough"}}"#])
            .tells(&[])
            .hear(r#"{"id":2,"result":{}}"#)
            .tells(&["misbehaved: response to no request"])
            .is_idle();
    }
}

#[test]
fn cancel_after_response() {
    // REQ-CANC-04, REQ-CANC-08: the answer was faster, the peer is not told.
    for mut client in clients() {
        client.call(1, "tools/call", "{}");
        client.forget();
        client.hear(r#"{"id":2,"result":{}}"#);
        client.cancel(1, None);
        client.says(&[]).tells(&["answer 1: {}"]).is_idle();
    }
}

#[test]
fn cancel_twice_and_cancel_of_nothing() {
    for mut client in clients() {
        client.call(1, "tools/call", "{}");
        client.forget();
        client.cancel(2, None);
        client.cancel(1, None);
        client.cancel(1, None);
        client
            .says(&[r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#])
            .tells(&[])
            .is_idle();
    }
}

#[test]
fn cancel_and_timeout() {
    // REQ-TMO-01: whichever comes first, the peer is told once.
    for mut client in clients() {
        client.call(1, "tools/call", "{}");
        client.call(2, "tools/call", "{}");
        client.forget();
        client.cancel(1, None);
        client.wait(60.0);
        client.cancel(2, None);
        client
            .says(&[
                r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#,
                r#"{"method":"notifications/cancelled","params":{"requestId":3,"reason":"timed out"}}"#,
            ])
            .tells(&["answer 2: no answer within 60s"])
            .is_idle();
    }
}

#[test]
fn nothing_is_told_of_a_cancelled_call() {
    let mut client = Side::modern_client(|_| {});
    client.call_with(1, "tools/call", "{}", |o| o.progress = true);
    client.call_with(2, "tools/call", "{}", |o| o.progress = true);
    client.forget();
    client
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#)
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":3,"progress":1}}"#);
    client.call(3, "subscriptions/listen", r#"{"notifications":{}}"#);
    client.hear(r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":4}}}"#);
    // What waits in the queue is taken back too.
    client.cancel(1, None);
    client.cancel(3, None);
    client
        .tells(&["progress 2: 1"])
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":2}}"#)
        .tells(&["misbehaved: progress for no request, or not increasing"]);
}

#[test]
fn after_the_peer_has_cancelled_nothing_more_is_sent() {
    // REQ-CANC-05, TRAP-34
    for meta in [
        r#"{"_meta":{"progressToken":"t"}}"#,
        r#"{"_meta":{$M,"progressToken":"t","$L":"debug"}}"#,
    ] {
        let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |config| {
            config.capabilities =
                decode(r#"{"logging":{},"extensions":{"io.mcp-stack/notifications":{}}}"#);
        });
        server
            .hear(&format!(r#"{{"id":7,"method":"tools/call","params":{meta}}}"#))
            .hear(r#"{"method":"notifications/cancelled","params":{"requestId":7,"reason":"enough"}}"#)
            .tells(&["request 0 tools/call", "cancelled 0: enough"]);
        let key = server.key(0);
        assert_eq!(server.try_respond(0, Ok("{}")), Err(ApiMisuse::Ended));
        assert_eq!(server.try_respond(0, Err(1)), Err(ApiMisuse::Ended));
        let ended = Err(mcp_session::NotSent::Ended);
        assert_eq!(server.session.progress(key, 1.0, None, None), ended);
        let level = mcp_types::LogLevel::Error;
        assert_eq!(
            server
                .session
                .log(Some(key), level, crate::support::raw("{}")),
            ended
        );
        assert_eq!(
            server
                .session
                .notify(Some(key), "com.example/x".into(), None),
            ended
        );
        assert_eq!(
            server
                .session
                .require_input(key, mcp_session::InputRequired::default()),
            Err(ApiMisuse::Ended)
        );
        assert_eq!(
            server.try_call(1, "roots/list", "{}", |o| o.related = Some(key)),
            Err(ApiMisuse::Ended)
        );
        server.says(&[]).tells(&[]).is_idle();
    }
}

#[test]
fn what_waits_to_be_sent_for_a_modern_request_is_taken_back() {
    // REQ-CANC-05, TRAP-34
    let mut server = Side::server(|config| {
        config.capabilities = decode(r#"{"logging":{},"tools":{"listChanged":true}}"#);
    });
    let ask = |id: u32| {
        format!(
            r#"{{"id":{id},"method":"tools/call","params":{{"_meta":{{$M,"progressToken":{id},"$L":"debug"}}}}}}"#
        )
    };
    let listen =
        r#"{"id":9,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{$M}}}"#;
    server.hear(&ask(7)).hear(&ask(8)).hear(listen);
    server.tells(&["request 0 tools/call", "request 1 tools/call"]);
    let report = |server: &mut Side, n| {
        let key = server.key(n);
        server.session.progress(key, 1.0, None, None).unwrap();
        let (level, params) = (mcp_types::LogLevel::Error, crate::support::raw("{}"));
        server.session.log(Some(key), level, params).unwrap();
    };
    report(&mut server, 0);
    report(&mut server, 1);
    // A request under an id that is in use is no end of the one that has it, and neither is one that is none.
    server
        .hear(&ask(7))
        .hear(r#"{"id":7,"method":"tools/call","params":1}"#);
    for id in [7, 9] {
        let params = format!(r#"{{"requestId":{id}}}"#);
        server.hear(&format!(
            r#"{{"method":"notifications/cancelled","params":{params}}}"#
        ));
    }
    let of_8 = [
        r#"{"method":"notifications/progress","params":{"progressToken":8,"progress":1}}"#,
        r#"{"method":"notifications/message","params":{}}"#,
    ];
    let in_use = r#"{"id":7,"error":{"code":-32600,"message":"id 7 is in use"}}"#;
    let malformed = r#"{"id":7,"error":{"code":-32600,"message":"*"}}"#;
    server
        .tells(&["malformed: *", "cancelled 0"])
        .says(&[of_8[0], of_8[1], in_use, malformed]);
    // What was answered is sent, whoever has its id since.
    let key = server.key(1);
    server.session.progress(key, 2.0, None, None).unwrap();
    server.respond(1, "{}");
    server.hear(&ask(8)).tells(&["request 2 tools/call"]);
    report(&mut server, 2);
    server
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":8}}"#)
        .tells(&["cancelled 2"])
        .says(&[
            r#"{"method":"notifications/progress","params":{"progressToken":8,"progress":2}}"#,
            r#"{"id":8,"result":{"...":""}}"#,
        ])
        .is_idle();
}

#[test]
fn cancellations_of_nothing_are_ignored() {
    // REQ-CANC-07
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server
        .hear(r#"{"id":7,"method":"a"}"#)
        .hear(r#"{"id":8,"method":"b"}"#)
        .forget();
    server.respond(1, "{}");
    server.forget();
    for params in [
        r#"{"requestId":8}"#,
        r#"{"requestId":"7"}"#,
        r#"{"requestId":9}"#,
        r#"{"requestId":null}"#,
        r#"{"requestId":7.5}"#,
        r#"{"requestId":[7]}"#,
        // Only 2025-11-25 lets it be absent: a task's. There is nothing to find it by.
        r#"{"reason":"r"}"#,
        // `initialize` was request 1, and it was answered at once (REQ-LIFE-10, TRAP-36).
        r#"{"requestId":1}"#,
    ] {
        server.hear(&format!(
            r#"{{"method":"notifications/cancelled","params":{params}}}"#
        ));
        server.is_silent();
    }
    server.respond(0, "{}");
    server.says(&[r#"{"id":7,"result":{}}"#]).is_idle();
}

#[test]
fn a_cancellation_means_the_senders_own_request() {
    // REQ-CANC-01, TRAP-36: both sides have a request 2.
    let mut client = Side::legacy_client("2025-11-25", |config| {
        config.capabilities = decode(r#"{"roots":{}}"#);
    });
    client.call(1, "tools/call", "{}");
    client
        .says(&[r#"{"id":2,"method":"tools/call"}"#])
        .hear(r#"{"id":2,"method":"roots/list"}"#)
        .tells(&["request 0 roots/list"])
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#)
        .tells(&["cancelled 0"])
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&["answer 1: {}"])
        .is_idle();
}

#[test]
fn an_id_is_free_again_after_a_cancellation() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server
        .hear(r#"{"id":7,"method":"a"}"#)
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#)
        .hear(r#"{"id":7,"method":"b"}"#)
        .tells(&["request 0 a", "cancelled 0", "request 1 b"]);
    assert_eq!(server.try_respond(0, Ok("{}")), Err(ApiMisuse::Ended));
    server.respond(1, r#"{"b":1}"#);
    server.says(&[r#"{"id":7,"result":{"b":1}}"#]).is_idle();
}

#[test]
fn answering_twice_is_refused() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server.hear(r#"{"id":7,"method":"a"}"#).forget();
    server.respond(0, "{}");
    assert_eq!(server.try_respond(0, Ok("{}")), Err(ApiMisuse::Ended));
    server.says(&[r#"{"id":7,"result":{}}"#]).is_idle();
}
