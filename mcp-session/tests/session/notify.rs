//! Who may send which notification, and when.

use mcp_session::NotSent;

use crate::support::{LEGACY, Side, decode, raw};

const OWN: &str = "chat.message_received";
const LOGS: &str = r#"{"logging":{},"extensions":{"io.mcp-stack/notifications":{}}}"#;
const BOTH: &str = r#"{"extensions":{"io.mcp-stack/notifications":{}}}"#;

fn notify(side: &mut Side, related: Option<usize>, method: &str) -> Result<(), NotSent> {
    let related = related.map(|n| side.key(n));
    side.session.notify(related, method.into(), Some(raw("{}")))
}

#[test]
fn what_has_a_verb_of_its_own_is_forbidden() {
    for method in [
        "notifications/cancelled",
        "notifications/progress",
        "notifications/message",
        "notifications/initialized",
        "notifications/subscriptions/acknowledged",
    ] {
        for mut side in [
            Side::server(|_| {}),
            Side::legacy_server("2025-11-25", "{}", |_| {}),
            Side::legacy_client("2025-11-25", |_| {}),
            Side::modern_client(|_| {}),
        ] {
            assert_eq!(notify(&mut side, None, method), Err(NotSent::Forbidden));
            side.is_silent();
        }
    }
}

#[test]
fn parameters_are_objects() {
    let both = |config: &mut mcp_session::ServerConfig| config.capabilities = decode(LOGS);
    let request =
        |meta: &str| format!(r#"{{"id":2,"method":"tools/call","params":{{"_meta":{{{meta}}}}}}}"#);
    let modern =
        r#""$V":"2026-07-28","$L":"debug","$C":{"extensions":{"io.mcp-stack/notifications":{}}}"#;
    for (mut server, meta) in [
        (Side::legacy_server("2025-11-25", "{}", both), ""),
        (Side::server(both), modern),
    ] {
        server.hear(&request(meta)).forget();
        for params in ["[1]", "null", "1"] {
            let mut notify = |related| {
                let method = OWN.into();
                server.session.notify(related, method, Some(raw(params)))
            };
            let key = server.asked[0].key;
            assert_eq!(notify(Some(key)), Err(NotSent::Params));
            assert_eq!(notify(None), Err(NotSent::Params));
            let level = mcp_types::LogLevel::Error;
            let logged = server.session.log(Some(key), level, raw(params));
            assert_eq!(logged, Err(NotSent::Params));
            server.says(&[]);
            let row = ["{}", params, "{}"].map(|params| mcp_types::NotificationMessage {
                method: OWN.into(),
                params: Some(raw(params)),
            });
            let sent = if meta.is_empty() { 2 } else { 0 };
            assert_eq!(server.session.notify_each(row), 3 - sent);
            assert_eq!(server.take_sent().len() as u64, sent);
        }
    }
}

#[test]
fn in_a_legacy_session_own_notifications_go_at_any_time() {
    for version in LEGACY {
        let mut server = Side::legacy_server(version, "{}", |_| {});
        server
            .hear(r#"{"id":2,"method":"tools/call"}"#)
            .tells(&["request 0 tools/call"]);
        assert!(server.asked[0].own_notifications);
        notify(&mut server, None, OWN).unwrap();
        notify(&mut server, Some(0), OWN).unwrap();
        let routes: Vec<_> = server
            .take_sent()
            .into_iter()
            .map(|o| o.related_to)
            .collect();
        assert_eq!(routes, [None, Some(2.into())]);
        server.respond(0, "{}");
        assert_eq!(notify(&mut server, Some(0), OWN), Err(NotSent::Ended));

        let mut client = Side::legacy_client(version, |_| {});
        notify(&mut client, None, OWN).unwrap();
        client.says(&[r#"{"method":"chat.message_received","params":{}}"#]);
    }
}

#[test]
fn in_the_modern_era_both_sides_must_have_agreed() {
    for (ours, theirs, expected) in [
        ("{}", "{}", Err(NotSent::NotNegotiated)),
        (BOTH, "{}", Err(NotSent::NotNegotiated)),
        ("{}", BOTH, Err(NotSent::NotNegotiated)),
        (BOTH, BOTH, Ok(())),
    ] {
        let mut server = Side::server(|config| config.capabilities = decode(ours));
        server
            .hear(&format!(
                r#"{{"id":2,"method":"tools/call","params":{{"_meta":{{"$V":"2026-07-28","$C":{theirs}}}}}}}"#
            ))
            .tells(&["request 0 tools/call"]);
        assert_eq!(server.asked[0].own_notifications, expected.is_ok());
        assert_eq!(notify(&mut server, Some(0), OWN), expected);
        // Outside of a request there is nobody (TRAP-55).
        assert_eq!(notify(&mut server, None, OWN), Err(NotSent::NoSession));
        server.respond(0, "{}");
        assert_eq!(notify(&mut server, Some(0), OWN), Err(NotSent::Ended));

        let mut client =
            Side::modern_client_of(theirs, |config| config.capabilities = decode(ours));
        assert_eq!(notify(&mut client, None, OWN), expected);
        // List changes and the like are never a client's.
        assert_eq!(
            notify(&mut client, None, "notifications/roots/list_changed"),
            Err(NotSent::Forbidden)
        );
    }
}

#[test]
fn while_it_answers_a_question_a_client_may_notify_as_ever() {
    let own = r#"{"roots":{},"extensions":{"io.mcp-stack/notifications":{}}}"#;
    for (theirs, expected) in [(BOTH, Ok(())), ("{}", Err(NotSent::NotNegotiated))] {
        let mut client = Side::modern_client_of(theirs, |config| config.capabilities = decode(own));
        client.call(1, "tools/call", "{}");
        client
            .hear(r#"{"id":2,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}}"#)
            .forget();
        assert_eq!(notify(&mut client, Some(0), OWN), expected);
    }
}

#[test]
fn nobody_is_there_before_the_handshake() {
    for mut side in [Side::server(|_| {}), Side::client(|_| {})] {
        assert_eq!(notify(&mut side, None, OWN), Err(NotSent::NoSession));
    }
}

#[test]
fn the_protocols_own_need_a_direction_a_version_and_a_capability() {
    // REQ-CAP-06, REQ-LIFE-09, REQ-ROOT-02
    let all_of_server = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true}}"#;
    let none_of_server = r#"{"tools":{},"prompts":{},"resources":{}}"#;
    // One letter a legacy revision, oldest first: as a server that declares all, one that declares none, as a client likewise.
    let cases = [
        (
            "notifications/tools/list_changed",
            ["xxxx", "----", "----", "----"],
        ),
        (
            "notifications/prompts/list_changed",
            ["xxxx", "----", "----", "----"],
        ),
        (
            "notifications/resources/list_changed",
            ["xxxx", "----", "----", "----"],
        ),
        (
            "notifications/resources/updated",
            ["xxxx", "----", "----", "----"],
        ),
        (
            "notifications/elicitation/complete",
            ["---x", "---x", "----", "----"],
        ),
        (
            "notifications/roots/list_changed",
            ["----", "----", "xxxx", "----"],
        ),
        (
            "notifications/tasks/status",
            ["---x", "---x", "---x", "---x"],
        ),
        ("notifications/tasks", ["----", "----", "----", "----"]),
    ];
    // Without the URI that a resource's update is about, nobody can have subscribed to it.
    let sent = |side: &mut Side, method: &str| match notify(side, None, method) {
        Err(NotSent::Params) if method == "notifications/resources/updated" => 'x',
        Ok(()) => 'x',
        Err(NotSent::Forbidden) => '-',
        Err(other) => panic!("{method}: {other}"),
    };
    for (method, expected) in cases {
        let servers = [all_of_server, none_of_server, "{}"].map(|capabilities| {
            LEGACY
                .iter()
                .map(|version| {
                    let mut server = Side::legacy_server(version, "{}", |config| {
                        config.capabilities = decode(capabilities);
                    });
                    sent(&mut server, method)
                })
                .collect::<String>()
        });
        let clients =
            [r#"{"roots":{"listChanged":true}}"#, r#"{"roots":{}}"#, "{}"].map(|capabilities| {
                LEGACY
                    .iter()
                    .map(|version| {
                        let mut client = Side::legacy_client(version, |config| {
                            config.capabilities = decode(capabilities);
                        });
                        sent(&mut client, method)
                    })
                    .collect::<String>()
            });
        let found = [&servers[0], &servers[1], &clients[0], &clients[1]];
        assert_eq!(found, expected.each_ref(), "{method}");
        assert_eq!([&servers[2], &clients[2]], [found[1], found[3]], "{method}");
        // On behalf of a modern request never: list changes go to listen streams (REQ-SUB-04).
        let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
            config.capabilities = decode(all_of_server);
        });
        server
            .hear(r#"{"id":2,"method":"tools/call","params":{"_meta":{$M}}}"#)
            .forget();
        assert_eq!(
            notify(&mut server, Some(0), method),
            Err(NotSent::Forbidden)
        );
    }
}
