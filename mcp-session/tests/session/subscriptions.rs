//! Streams of modern clients, subscriptions of legacy ones.

use mcp_session::{Event, NotSent};
use mcp_types::NotificationMessage;

use crate::support::{Side, decode, raw};

const ALL: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"extensions":{"io.mcp-stack/notifications":{}}}"#;
const OWN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.mcp-stack/notifications":{}}}}"#;
const TOOLS: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";
const SAID: &str = "chat.message_received";

fn server(capabilities: &str) -> Side {
    Side::server(|config| config.capabilities = decode(capabilities))
}

fn listen(id: &str, filter: &str, meta: &str) -> String {
    format!(
        r#"{{"id":{id},"method":"subscriptions/listen","params":{{"notifications":{filter},{meta}}}}}"#
    )
}

fn publish(side: &mut Side, method: &str, params: &str) -> Result<(), NotSent> {
    side.session.notify(None, method.into(), Some(raw(params)))
}

#[test]
fn a_stream_is_acknowledged_first_and_tagged_throughout() {
    // REQ-SUB-01, REQ-SUB-02, REQ-SUB-03, REQ-SUB-04, REQ-SUB-06, REQ-SUB-10, TRAP-38, TRAP-39: the tag keeps its JSON type.
    let mut server = server(ALL);
    let filter = r#"{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["file:///a"],"taskIds":["t"],"com.example/x":1}"#;
    server.hear(&listen(r#""s""#, filter, r#""_meta":{$M}"#)).says(&[
        r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]},"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
    ]);
    server.hear(&listen("7", r#"{"toolsListChanged":true}"#, r#""_meta":{$M}"#)).says(&[
        r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#,
    ]);
    publish(&mut server, TOOLS, "{}").unwrap();
    server.says(&[
        r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
        r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#,
    ]);
    publish(
        &mut server,
        UPDATED,
        r#"{"uri":"file:///a/b","_meta":{"x":1}}"#,
    )
    .unwrap();
    server.says(&[
        r#"{"method":"notifications/resources/updated","params":{"uri":"file:///a/b","_meta":{"x":1,"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
    ]);
    for (method, params) in [
        ("notifications/prompts/list_changed", "{}"),
        ("notifications/resources/list_changed", "{}"),
        (UPDATED, r#"{"uri":"file:///b"}"#),
        (SAID, "{}"),
    ] {
        assert_eq!(
            publish(&mut server, method, params),
            Err(NotSent::Unwanted),
            "{method}"
        );
    }
    server.says(&[]).tells(&["subscribed"]);
}

#[test]
fn a_stream_has_neither_progress_nor_logs() {
    // REQ-PROG-08, TRAP-40
    let mut server = server(&ALL.replacen('{', r#"{"logging":{},"#, 1));
    let filter = r#"{"toolsListChanged":true}"#;
    let meta = r#""_meta":{$M,"progressToken":1,"$L":"debug"}"#;
    server
        .hear(&listen("2", filter, meta))
        .says(&[&acknowledged(2, filter)])
        .tells(&[]);
    let logged = server
        .session
        .log(None, mcp_types::LogLevel::Emergency, raw("{}"));
    assert_eq!(logged, Err(NotSent::NoSession));
    for method in ["notifications/progress", "notifications/message"] {
        let sent = publish(&mut server, method, r#"{"progressToken":1}"#);
        assert_eq!(sent, Err(NotSent::Forbidden));
    }
    publish(&mut server, TOOLS, "{}").unwrap();
    server.says(&[r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}"#]);
}

#[test]
fn others_see_what_a_client_has_subscribed_to() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
        config.capabilities = decode(
            r#"{"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        );
    });
    let ask = |what: &str, uri: &str| {
        format!(r#"{{"id":1,"method":"resources/{what}","params":{{"uri":"{uri}"}}}}"#)
    };
    let filter = r#"{"resourceSubscriptions":["file:///a","file:///b"],"taskIds":["t"]}"#;
    let meta = OWN.replace(
        "io.mcp-stack/notifications",
        "io.modelcontextprotocol/tasks",
    );
    // What is not subscribed to is nothing to be told of.
    server.hear(&ask("unsubscribe", "file:///a")).tells(&[]);
    server.hear(&ask("subscribe", "file:///a"));
    let subscribed = match server.session.poll_event() {
        Some(Event::Subscribed(subscribed)) => subscribed,
        other => panic!("{other:?}"),
    };
    let covers = |uris: [&str; 3]| uris.map(|uri| subscribed.covers(uri));
    let uris = ["file:///a/x", "file:///b", "file:///c"];
    assert_eq!(covers(uris), [true, false, false]);
    assert!(!subscribed.follows("t"));
    // In either era, and told of once.
    server.hear(&listen("2", filter, &meta));
    server.hear(&listen("3", filter, &meta));
    server.hear(&ask("subscribe", "file:///c")).tells(&[]);
    assert_eq!(covers(uris), [true, true, true]);
    server.hear(&ask("unsubscribe", "file:///c"));
    server.hear(&ask("unsubscribe", "file:///a"));
    server.hear(r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#);
    assert_eq!(covers(uris), [true, true, false]);
    assert!(subscribed.follows("t") && !subscribed.follows("another"));
    server.session.end_subscriptions();
    assert_eq!(covers(uris), [false; 3]);
    assert!(!subscribed.follows("t"));
}

#[test]
fn what_is_not_offered_is_not_honoured() {
    let everything = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a"],"io.mcp-stack/notifications":["notifications/tasks/status","chat.message_received"]}"#;
    for (capabilities, meta, honoured) in [
        (
            r#"{"tools":{"listChanged":true}}"#,
            r#""_meta":{$M}"#,
            r#"{"toolsListChanged":true}"#,
        ),
        (
            r#"{"prompts":{"listChanged":true}}"#,
            r#""_meta":{$M}"#,
            r#"{"promptsListChanged":true}"#,
        ),
        (
            r#"{"resources":{"listChanged":true}}"#,
            r#""_meta":{$M}"#,
            r#"{"resourcesListChanged":true}"#,
        ),
        (
            r#"{"resources":{"subscribe":true}}"#,
            r#""_meta":{$M}"#,
            r#"{"resourceSubscriptions":["a"]}"#,
        ),
        // A program's own need both sides (REQ-EXT-02, REQ-EXT-03).
        (
            r#"{"extensions":{"io.mcp-stack/notifications":{}}}"#,
            r#""_meta":{$M}"#,
            "{}",
        ),
        (
            r#"{"extensions":{"io.mcp-stack/notifications":{}}}"#,
            OWN,
            r#"{"io.mcp-stack/notifications":["chat.message_received"]}"#,
        ),
    ] {
        let mut server = server(capabilities);
        server.hear(&listen("1", everything, meta)).says(&[&format!(
            r#"{{"method":"notifications/subscriptions/acknowledged","params":{{"notifications":{honoured},"_meta":{{"io.modelcontextprotocol/subscriptionId":1}}}}}}"#
        )]);
    }
    // REQ-SUB-12: nothing at all to listen to.
    let mut server = server(r#"{"tools":{},"resources":{}}"#);
    server
        .hear(&listen("1", everything, r#""_meta":{$M}"#))
        .says(&[r#"{"id":1,"error":{"code":-32601,"message":"*"}}"#]);
}

#[test]
fn the_filter_is_required() {
    // REQ-SUB-11
    let mut server = server(ALL);
    server
        .hear(r#"{"id":1,"method":"subscriptions/listen","params":{"_meta":{$M}}}"#)
        .says(&[r#"{"id":1,"error":{"code":-32602,"message":"*"}}"#]);
    assert_eq!(publish(&mut server, TOOLS, "{}"), Err(NotSent::NoSession));
}

#[test]
fn own_notifications_reach_the_streams_that_name_them() {
    let mut server = server(ALL);
    let filter = r#"{"io.mcp-stack/notifications":["chat.message_received"]}"#;
    server.hear(&listen("1", filter, OWN)).says(&["\"*\""]);
    publish(&mut server, SAID, r#"{"text":"hi"}"#).unwrap();
    server.says(&[
        r#"{"method":"chat.message_received","params":{"text":"hi","_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    ]);
    assert_eq!(
        publish(&mut server, "chat.other", "{}"),
        Err(NotSent::Unwanted)
    );
}

#[test]
fn a_client_ends_its_stream_by_cancelling_it() {
    let mut server = server(ALL);
    server
        .hear(&listen(
            "1",
            r#"{"toolsListChanged":true}"#,
            r#""_meta":{$M}"#,
        ))
        .says(&["\"*\""]);
    server.hear(r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(publish(&mut server, TOOLS, "{}"), Err(NotSent::NoSession));
    server.tells(&[]).is_idle();
}

#[test]
fn a_server_ends_streams_with_a_result_and_a_cancellation() {
    // X1, REQ-SUB-07, TRAP-10
    let mut server = server(ALL);
    server
        .hear(&listen("1", "{}", r#""_meta":{$M}"#))
        .says(&["\"*\""]);
    server.session.end_subscriptions();
    server.says(&[
        r#"{"id":1,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":1,"$S":{"name":"s","version":"1"}}}}"#,
        r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#,
    ]);
    server.is_idle();
    // The next one would end without a word (REQ-SUB-07).
    server
        .hear(&listen("2", "{}", r#""_meta":{$M}"#))
        .says(&[r#"{"id":2,"error":{"code":-32603,"message":"the connection is being closed"}}"#])
        .is_idle();
    assert!(!server.session.is_blank());
}

#[test]
fn streams_are_counted() {
    let mut server = Side::server(|config| {
        config.capabilities = decode(ALL);
        config.limits.streams = 2;
    });
    for id in ["1", "2"] {
        server
            .hear(&listen(id, "{}", r#""_meta":{$M}"#))
            .says(&["\"*\""]);
    }
    server
        .hear(&listen("3", "{}", r#""_meta":{$M}"#))
        .says(&[r#"{"id":3,"error":{"code":-32603,"message":"more than 2 streams"}}"#]);
    assert_eq!(server.session.counters().refused_requests, 1);
}

#[test]
fn what_streams_name_is_counted_in_all_of_them() {
    // REQ-SEC-06
    let mut server = Side::server(|config| {
        config.capabilities = decode(ALL);
        config.limits.subscriptions = 3;
    });
    let two = r#"{"resourceSubscriptions":["a"],"io.mcp-stack/notifications":["b"],"taskIds":["not","offered","here"]}"#;
    server.hear(&listen("1", two, OWN)).says(&["\"*\""]);
    server
        .hear(&listen("2", two, OWN))
        .says(&[r#"{"id":2,"error":{"code":-32603,"message":"more than 3 subscriptions"}}"#]);
    server
        .hear(&listen("3", r#"{"resourceSubscriptions":["c"]}"#, OWN))
        .says(&["\"*\""]);
    assert_eq!(server.session.counters().refused_requests, 1);
    // Whoever ends one may open another.
    server.hear(r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#);
    server.hear(&listen("4", two, OWN)).says(&["\"*\""]);
}

#[test]
fn streams_are_requests_in_flight_by_their_bytes() {
    // REQ-SEC-06
    let mut server = Side::server(|config| {
        config.capabilities = decode(ALL);
        config.limits.incoming_bytes = 1000;
    });
    let long = format!(r#"{{"resourceSubscriptions":["{}"]}}"#, "a".repeat(600));
    let meta = r#""_meta":{$M}"#;
    server.hear(&listen("1", &long, meta)).says(&["\"*\""]);
    server.hear(&listen("2", &long, meta)).says(&[
        r#"{"id":2,"error":{"code":-32603,"message":"more than 1000 bytes of requests in flight"}}"#,
    ]);
    assert_eq!(server.session.counters().refused_requests, 1);
}

#[test]
fn what_a_legacy_client_subscribes_to_is_bounded_by_bytes() {
    // REQ-SEC-06
    let mut server = Side::legacy_server("2025-06-18", "{}", |config| {
        config.capabilities = decode(ALL);
        config.limits.incoming_bytes = 1000;
    });
    let ask = |id: u32, what: &str, letter: &str| {
        let uri = letter.repeat(600);
        format!(r#"{{"id":{id},"method":"resources/{what}","params":{{"uri":"{uri}"}}}}"#)
    };
    let refusal =
        r#"{"id":3,"error":{"code":-32603,"message":"more than 1000 bytes of subscriptions"}}"#;
    for (id, what, letter, answer) in [
        (1, "subscribe", "a", r#"{"id":1,"result":{}}"#),
        // What is known costs nothing more.
        (2, "subscribe", "a", r#"{"id":2,"result":{}}"#),
        (3, "subscribe", "b", refusal),
        (4, "unsubscribe", "b", r#"{"id":4,"result":{}}"#),
        (5, "unsubscribe", "a", r#"{"id":5,"result":{}}"#),
        (6, "subscribe", "b", r#"{"id":6,"result":{}}"#),
    ] {
        server.hear(&ask(id, what, letter)).says(&[answer]);
    }
}

#[test]
fn a_legacy_client_subscribes_to_single_resources_and_gets_lists_unasked() {
    // REQ-RES-06, REQ-SUB-13
    let mut server = Side::legacy_server("2025-06-18", "{}", |config| {
        config.capabilities = decode(ALL);
        config.limits.subscriptions = 1;
    });
    publish(&mut server, TOOLS, "{}").unwrap();
    server.says(&[r#"{"method":"notifications/tools/list_changed","params":{}}"#]);
    // On behalf of a request, too, it hears of those alone.
    server.hear(r#"{"id":9,"method":"tools/call","params":{}}"#);
    server.forget();
    let related = Some(server.key(0));
    let uri = r#"{"uri":"file:///a"}"#;
    let updated = |server: &mut Side| {
        [None, related].map(|related| {
            let (method, params) = (UPDATED.into(), Some(raw(uri)));
            server.session.notify(related, method, params)
        })
    };
    assert_eq!(updated(&mut server), [Err(NotSent::Unwanted); 2]);
    let subscribe = |id: u32, what: &str, uri: &str| {
        format!(r#"{{"id":{id},"method":"resources/{what}","params":{{"uri":"{uri}"}}}}"#)
    };
    server
        .hear(&subscribe(1, "subscribe", "file:///a"))
        .says(&[r#"{"id":1,"result":{}}"#]);
    server
        .hear(&subscribe(2, "subscribe", "file:///b"))
        .says(&[r#"{"id":2,"error":{"code":-32603,"message":"more than 1 subscriptions"}}"#]);
    assert_eq!(updated(&mut server), [Ok(()); 2]);
    let told = r#"{"method":"notifications/resources/updated","params":{"uri":"file:///a"}}"#;
    server.says(&[told; 2]);
    server
        .hear(&subscribe(3, "unsubscribe", "file:///a"))
        .says(&[r#"{"id":3,"result":{}}"#]);
    assert_eq!(updated(&mut server), [Err(NotSent::Unwanted); 2]);
    server.respond(0, "{}");
    server.is_idle();
}

#[test]
fn both_eras_on_one_connection_hear_of_it_each_in_its_way() {
    // Inventory 3.4: the tag decides.
    let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
        config.capabilities = decode(ALL)
    });
    server
        .hear(&listen(
            "5",
            r#"{"toolsListChanged":true}"#,
            r#""_meta":{$M}"#,
        ))
        .says(&["\"*\""]);
    publish(&mut server, TOOLS, "{}").unwrap();
    server.says(&[
        r#"{"method":"notifications/tools/list_changed","params":{}}"#,
        r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}"#,
    ]);
}

fn acknowledged(id: u64, filter: &str) -> String {
    format!(
        r#"{{"method":"notifications/subscriptions/acknowledged","params":{{"notifications":{filter},"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}

fn listening(client: &mut Side) {
    let params = r#"{"notifications":{"toolsListChanged":true}}"#;
    client.call_with(1, "subscriptions/listen", params, |options| {
        options.progress = true;
        options.reset_on_progress = true;
    });
    client.forget();
    client
        .hear(&acknowledged(2, r#"{"toolsListChanged":true}"#))
        .tells(&[r#"listening 1 {"toolsListChanged":true}"#]);
}

#[test]
fn what_is_sent_in_a_row_goes_where_each_would_go_by_itself() {
    let row = [
        (SAID, r#"{"a":1}"#),
        (SAID, r#"{"a":2}"#),
        (UPDATED, r#"{"uri":"file:///a"}"#),
        (UPDATED, r#"{"uri":"file:///b"}"#),
        (UPDATED, r#"{"uri":"file:///a"}"#),
        ("notifications/cancelled", "{}"),
        ("notifications/cancelled", "{}"),
        (TOOLS, "{}"),
        (TOOLS, "{}"),
    ];
    let side = |version: &str| match version {
        "2026-07-28" => server(ALL),
        version => Side::legacy_server(version, "{}", |config| config.capabilities = decode(ALL)),
    };
    let filter = r#"{"resourceSubscriptions":["file:///a"],"io.mcp-stack/notifications":["chat.message_received"]}"#;
    let subscribe = r#"{"id":1,"method":"resources/subscribe","params":{"uri":"file:///a"}}"#;
    for (version, asks) in [
        ("2025-11-25", vec![]),
        ("2025-11-25", vec![subscribe.to_owned()]),
        // Then both eras are at work on one connection.
        ("2025-11-25", vec![listen("2", filter, OWN)]),
        ("2026-07-28", vec![]),
        (
            "2026-07-28",
            vec![listen("2", filter, OWN), listen("3", filter, OWN)],
        ),
    ] {
        let [mut one_by_one, mut in_a_row] = [side(version), side(version)];
        for side in [&mut one_by_one, &mut in_a_row] {
            asks.iter().for_each(|ask| drop(side.hear(ask).take_sent()));
        }
        let sent = row.map(|(method, params)| publish(&mut one_by_one, method, params));
        let row = row.map(|(method, params)| NotificationMessage {
            method: method.into(),
            params: Some(raw(params)),
        });
        let unsent = in_a_row.session.notify_each(row);
        assert_eq!(
            unsent,
            sent.iter().filter(|sent| sent.is_err()).count() as u64
        );
        assert_eq!(
            in_a_row.take_sent(),
            one_by_one.take_sent(),
            "{version} {asks:?}"
        );
    }
}

#[test]
fn a_listen_request_waits_for_its_acknowledgement_and_then_for_ever() {
    // REQ-TMO-04, TRAP-44
    let mut client = Side::modern_client(|_| {});
    listening(&mut client);
    client
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#)
        .tells(&["progress 1: 1"]);
    client.wait(1e6).tells(&[]).is_silent();
    client
        .hear(r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}"#)
        .tells(&[r#"notified notifications/tools/list_changed {"_meta":{"io.modelcontextprotocol/subscriptionId":2}}"#]);
    let mut unheard = Side::modern_client(|_| {});
    unheard.call(1, "subscriptions/listen", r#"{"notifications":{}}"#);
    unheard.forget();
    unheard
        .wait(61.0)
        .tells(&["answer 1: no answer within 60s"]);
}

#[test]
fn what_is_told_on_two_streams_is_heard_once() {
    // REQ-SUB-05, REQ-SUB-06: streams 2, 3 and 4 of calls 1, 2 and 3, acknowledged in another order.
    let mut client = Side::modern_client(|_| {});
    for (call, filter) in [
        (1, r#"{"resourceSubscriptions":["file:///d"]}"#),
        (
            2,
            r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///d"],"io.mcp-stack/notifications":["said"]}"#,
        ),
        (
            3,
            r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///d","file:///d/e"],"io.mcp-stack/notifications":["said"]}"#,
        ),
    ] {
        client.call(
            call,
            "subscriptions/listen",
            &format!(r#"{{"notifications":{filter}}}"#),
        );
        if call > 1 {
            client.hear(&acknowledged(call + 1, filter));
        }
    }
    client.hear(&acknowledged(
        2,
        r#"{"resourceSubscriptions":["file:///d"]}"#,
    ));
    client.forget();
    let updated = |uri: &str| format!(r#"{UPDATED} "uri":"{uri}","#);
    let hears = |client: &mut Side, what: &str, tag: &str| {
        let (method, params) = what.split_once(' ').unwrap();
        let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{tag}}}"#);
        client.hear(&format!(
            r#"{{"method":"{method}","params":{{{params}{meta}}}}}"#
        ));
        client.take_events().len()
    };
    let tools = format!("{TOOLS} ");
    let [a, below, exact, b] =
        ["a", "d/f", "d/e", "b"].map(|end| updated(&format!("file:///{end}")));
    for (what, tag, heard) in [
        // Whichever comes first.
        (tools.as_str(), "4", 1),
        (&tools, "3", 0),
        (&a, "3", 1),
        (&a, "4", 0),
        // As often as it was said.
        ("said ", "3", 1),
        ("said ", "3", 1),
        ("said ", "4", 0),
        ("said ", "4", 0),
        ("said ", "4", 1),
        // What only one of them brings.
        (&exact, "4", 1),
        (&exact, "4", 1),
        (&below, "3", 1),
        (&below, "4", 0),
        (&below, "2", 0),
        // What nobody asked for, and tags that are no stream's.
        (&b, "4", 1),
        (&tools, r#""3""#, 1),
        (&tools, "1", 1),
        (&tools, "{}", 1),
    ] {
        assert_eq!(hears(&mut client, what, tag), heard, "{what} on {tag}");
    }
    // Nothing is left to a stream that may never bring it.
    assert_eq!(hears(&mut client, &a, "4"), 1);
    client.cancel(2, None);
    // What was on its way is not lost.
    assert_eq!(hears(&mut client, &tools, "3"), 1);
    assert_eq!(hears(&mut client, &tools, "4"), 1);
    client.hear(r#"{"id":4,"result":{}}"#).forget();
    assert_eq!(hears(&mut client, &below, "2"), 1);
}

#[test]
fn a_stream_may_end_by_result_or_by_cancellation_in_any_order() {
    // X1
    let result = r#"{"id":2,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":2}}}"#;
    let cancelled = r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#;
    let mut client = Side::modern_client(|_| {});
    listening(&mut client);
    client.hear(result);
    assert_eq!(client.take_events().len(), 1);
    client.hear(cancelled).tells(&[]);
    let mut client = Side::modern_client(|_| {});
    listening(&mut client);
    client.hear(cancelled).tells(&["answer 1: {}"]);
    client.hear(result);
    assert_eq!(client.session.counters().unknown_responses, 1);
    client.forget();
    client.is_idle();
}

#[test]
fn a_server_cannot_cancel_another_request() {
    // REQ-CANC-03
    let mut client = Side::modern_client(|_| {});
    client.call(1, "tools/call", r#"{"name":"t"}"#);
    client.forget();
    client
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#)
        .tells(&[]);
    client
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&["answer 1: {}"]);
}

#[test]
fn tasks_are_followed_by_whoever_declares_them() {
    let mut server = server(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
    let filter = r#"{"taskIds":["a","b"]}"#;
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
    server.hear(&listen("1", filter, meta)).says(&[
        r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"taskIds":["a","b"]},"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    ]);
    publish(&mut server, "notifications/tasks", r#"{"taskId":"b"}"#).unwrap();
    server.says(&[
        r#"{"method":"notifications/tasks","params":{"taskId":"b","_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    ]);
    let other = publish(&mut server, "notifications/tasks", r#"{"taskId":"c"}"#);
    assert_eq!(other, Err(NotSent::Unwanted));
    // REQ-TSKX-01
    server.hear(&listen("2", filter, r#""_meta":{$M}"#)).says(&[
        r#"{"id":2,"error":{"code":-32021,"message":"*","data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#,
    ]);
}

#[test]
fn a_client_that_closes_cancels_what_it_listens_to_and_nothing_else() {
    // REQ-SUB-07
    let mut client = Side::modern_client(|_| {});
    client.call(1, "tools/list", "{}");
    client.call(
        2,
        "subscriptions/listen",
        r#"{"notifications":{"toolsListChanged":true}}"#,
    );
    client.forget();
    client.session.cancel_subscriptions();
    client
        .says(&[r#"{"method":"notifications/cancelled","params":{"requestId":3}}"#])
        .tells(&["answer 2: *"]);
}
