//! How a client opens its connection (inventory 3.2).

use mcp_session::{Cause, EraChoice};
use mcp_types::ProtocolVersion;

use crate::support::{LEGACY, Side, decode};

const PROBE: &str = r#"{"id":1,"method":"server/discover","params":{"_meta":{$M,"$I":{"name":"c","version":"1"}}}}"#;

fn initialize(id: u32, version: &str) -> String {
    format!(
        r#"{{"id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    )
}

fn initialized(id: u32, version: &str) -> String {
    format!(
        r#"{{"id":{id},"result":{{"protocolVersion":"{version}","capabilities":{{}},"serverInfo":{{"name":"s","version":"2"}}}}}}"#
    )
}

fn of_era(era: EraChoice) -> Side {
    Side::client(|config| config.era = era)
}

#[test]
fn a_modern_server_is_found_by_asking() {
    // Steps 1 and 2; REQ-META-01, REQ-META-03, REQ-JRPC-04
    for era in [EraChoice::Auto, EraChoice::Modern] {
        let mut client = of_era(era);
        client.says(&[PROBE]).tells(&[]);
        assert!(client.session.established().is_none());
        client
            .hear(r#"{"id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{}},"instructions":"i","ttlMs":0,"cacheScope":"public","_meta":{"$S":{"name":"s","version":"2"}}}}"#)
            .says(&[])
            .tells(&["opened 2026-07-28"])
            .is_idle();
        let established = client.session.established().unwrap();
        assert!(established.capabilities.tools.is_some());
        assert_eq!(established.instructions.as_deref(), Some("i"));
        assert_eq!(established.server_info.as_ref().unwrap().version, "2");
    }
}

#[test]
fn a_modern_server_need_not_say_who_it_is() {
    // REQ-META-04 is a SHOULD; TRAP-30: in the body it counts for nothing.
    let mut client = of_era(EraChoice::Auto);
    client
        .hear(r#"{"id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"serverInfo":{"name":"s","version":"2"}}}"#)
        .tells(&["opened 2026-07-28"]);
    assert!(client.session.established().unwrap().server_info.is_none());
}

/// Answers to a probe after which the same connection is opened by `initialize` (steps 3 to 5, TRAP-21, TRAP-25).
const NOT_MODERN: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"m"}}"#,
    // Results of something that is not the method.
    r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":"all","capabilities":{}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#,
    // No response at all.
    r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
    r#"{"jsonrpc":"2.0","id":1}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":"no such method"}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#,
    r#"{"id":1,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"#,
    // What could not be read was the probe: there is nothing else (TRAP-03).
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#,
];

#[test]
fn whatever_is_no_modern_answer_is_a_legacy_one() {
    for answer in NOT_MODERN {
        let mut client = of_era(EraChoice::Auto);
        client
            .says(&[PROBE])
            .hear_raw(answer)
            .says(&[&initialize(2, "2025-11-25")]);
        client.take_events();
        // REQ-LIFE-05; the id of the probe is not used again (REQ-ID-06).
        client
            .hear(&initialized(2, "2025-06-18"))
            .says(&[r#"{"method":"notifications/initialized"}"#])
            .tells(&["opened 2025-06-18"])
            .is_idle();
    }
}

#[test]
fn a_modern_client_does_not_fall_back() {
    for answer in NOT_MODERN {
        let mut client = of_era(EraChoice::Modern);
        client.says(&[PROBE]).hear_raw(answer).says(&[]);
        assert!(client.take_events()[0].starts_with("failed: "), "{answer}");
        client.is_idle();
    }
}

/// What is pinned is asked for by what opens it, and nothing else will do.
#[test]
fn a_pinned_version_is_the_only_one() {
    let mut client = of_era(ProtocolVersion::V2024_11_05.into());
    client
        .says(&[&initialize(1, "2024-11-05")])
        .hear(&initialized(1, "2024-11-05"))
        .says(&[r#"{"method":"notifications/initialized"}"#])
        .tells(&["opened 2024-11-05"])
        .is_idle();
    let refused =
        r#"{"id":1,"error":{"code":-32602,"message":"m","data":{"supported":["2025-11-25"]}}}"#;
    for answer in [&initialized(1, "2025-11-25"), refused] {
        let mut client = of_era(ProtocolVersion::V2025_06_18.into());
        client
            .says(&[&initialize(1, "2025-06-18")])
            .hear(answer)
            .says(&[]);
        assert!(client.take_events()[0].starts_with("failed: "), "{answer}");
        client.is_idle();
    }
    for answer in NOT_MODERN {
        let mut client = of_era(ProtocolVersion::V2026_07_28.into());
        client.says(&[PROBE]).hear_raw(answer).says(&[]);
        assert!(client.take_events()[0].starts_with("failed: "), "{answer}");
        client.is_idle();
    }
}

#[test]
fn silence_is_legacy() {
    // Steps 5 and 8; the probe is not cancelled, and its late answer is dropped.
    let mut client = of_era(EraChoice::Auto);
    client
        .says(&[PROBE])
        .wait(9.9)
        .is_silent()
        .wait(0.1)
        .tells(&[])
        .says(&[&initialize(2, "2025-11-25")])
        .hear(r#"{"id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#)
        .says(&[])
        .tells(&["misbehaved: response to no request"])
        .hear(&initialized(2, "2025-11-25"))
        .says(&[r#"{"method":"notifications/initialized"}"#])
        .tells(&["opened 2025-11-25"])
        .is_idle();
    assert_eq!(client.session.counters().unknown_responses, 1);
}

#[test]
fn a_modern_server_that_starts_slowly_is_asked_again() {
    // Step 3: it has read the probe after all, and holds the connection for a modern one.
    let refusal = |id: u32| {
        format!(
            r#"{{"id":{id},"error":{{"code":-32022,"message":"m","data":{{"supported":["2026-07-28"],"requested":"2025-11-25"}}}}}}"#
        )
    };
    let late = r#"{"id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#;
    let again = PROBE.replace(r#""id":1"#, r#""id":3"#);
    let slow = || {
        let mut client = of_era(EraChoice::Auto);
        client.wait(10.0).forget();
        client.hear(late).forget();
        client.hear(&refusal(2)).says(&[&again]).tells(&[]);
        client
    };
    slow()
        .hear(&late.replace(r#""id":1"#, r#""id":3"#))
        .tells(&["opened 2026-07-28"])
        .is_idle();
    // Once.
    let lost = r#"{"id":3,"error":{"code":-32601,"message":"m"}}"#;
    slow()
        .hear(lost)
        .says(&[&initialize(4, "2025-11-25")])
        .hear(&refusal(4))
        .tells(&["failed: refused: m*"])
        .is_idle();
    slow()
        .wait(10.0)
        .says(&[&initialize(4, "2025-11-25")])
        .hear(&refusal(4))
        .tells(&["failed: refused: m*"])
        .is_idle();
    let mut client = of_era(EraChoice::Legacy);
    client.forget();
    client
        .hear(&refusal(1))
        .tells(&["failed: refused: m*"])
        .is_idle();
}

#[test]
fn the_handshake_has_its_own_times() {
    // REQ-LIFE-11, REQ-TMO-03: `initialize` is not cancelled.
    let mut client = of_era(EraChoice::Auto);
    client.forget();
    client.wait(10.0).says(&[&initialize(2, "2025-11-25")]);
    client
        .wait(29.9)
        .is_silent()
        .wait(0.1)
        .says(&[])
        .tells(&["failed: no answer to the handshake within 30s"])
        .is_idle();
    client
        .hear(&initialized(2, "2025-11-25"))
        .says(&[])
        .tells(&["misbehaved: response to no request"]);

    let mut client = of_era(EraChoice::Modern);
    client.forget();
    client
        .wait(10.0)
        .says(&[])
        .tells(&["failed: no answer to the handshake within 10s"])
        .is_idle();

    let mut client = Side::client(|config| {
        config.era = EraChoice::Legacy;
        config.limits.handshake_timeout = std::time::Duration::MAX;
    });
    client.forget();
    client.wait(1e8).is_silent();
}

#[test]
fn modern_errors_are_believed() {
    // Step 3, TRAP-25: no `initialize` after these, unless the server itself names a legacy revision (step 6, X11).
    let cases: [(&str, Result<&str, &str>); 7] = [
        (
            r#"{"code":-32022,"message":"m","data":{"supported":["2099-01-01"],"requested":"2026-07-28"}}"#,
            Err("failed: no common protocol version: the server offers 2099-01-01"),
        ),
        (
            r#"{"code":-32022,"message":"m","data":{"supported":["2099-01-01","2025-06-18","2024-11-05"]}}"#,
            Ok("2025-06-18"),
        ),
        (
            r#"{"code":-32022,"message":"m","data":{"supported":[]}}"#,
            Err("failed: no common protocol version*"),
        ),
        (
            r#"{"code":-32022,"message":"m"}"#,
            Err("failed: no common protocol version*"),
        ),
        (
            r#"{"code":-32022,"message":"m","data":[1]}"#,
            Err("failed: no common protocol version*"),
        ),
        (
            r#"{"code":-32021,"message":"m"}"#,
            Err("failed: refused: m*"),
        ),
        (
            r#"{"code":-32020,"message":"m"}"#,
            Err("failed: refused: m*"),
        ),
    ];
    for (error, expected) in cases {
        let mut client = of_era(EraChoice::Auto);
        client.forget();
        client.hear(&format!(r#"{{"id":1,"error":{error}}}"#));
        match expected {
            Ok(version) => {
                client.tells(&[]).says(&[&initialize(2, version)]);
            }
            Err(failure) => client.says(&[]).tells(&[failure]).is_idle(),
        }
        // A client that is modern by its settings never opens a session.
        let mut client = of_era(EraChoice::Modern);
        client.forget();
        client
            .hear(&format!(r#"{{"id":1,"error":{error}}}"#))
            .says(&[]);
        assert!(client.take_events()[0].starts_with("failed: "), "{error}");
    }
}

#[test]
fn a_server_that_offers_what_it_refuses_is_asked_once_more() {
    // REQ-VER-02, REQ-VER-07
    let refused = |id: u32| {
        format!(
            r#"{{"id":{id},"error":{{"code":-32022,"message":"m","data":{{"supported":["2026-07-28"]}}}}}}"#
        )
    };
    for era in [EraChoice::Auto, EraChoice::Modern] {
        let mut client = of_era(era);
        client.forget();
        client
            .hear(&refused(1))
            .says(&[&PROBE.replace(r#""id":1"#, r#""id":2"#)])
            .tells(&[]);
        client
            .hear(&refused(2))
            .says(&[])
            .tells(&["failed: no common protocol version: the server offers 2026-07-28"])
            .is_idle();
    }
}

#[test]
fn a_discovered_list_without_a_modern_version_is_chosen_from() {
    // Step 6, TRAP-27
    let cases = [
        (r#"["2025-11-25","2024-11-05"]"#, Some("2025-11-25")),
        (
            r#"["2024-11-05","2025-03-26","1999-01-01"]"#,
            Some("2025-03-26"),
        ),
        (r#"["2099-01-01"]"#, None),
        ("[]", None),
    ];
    for (list, expected) in cases {
        let mut client = of_era(EraChoice::Auto);
        client.forget();
        client.hear(&format!(
            r#"{{"id":1,"result":{{"supportedVersions":{list},"capabilities":{{}}}}}}"#
        ));
        match expected {
            Some(version) => {
                client.tells(&[]).says(&[&initialize(2, version)]);
            }
            None => {
                client
                    .says(&[])
                    .tells(&["failed: no common protocol version*"]);
            }
        }
    }
}

#[test]
fn initialize_may_be_answered_with_any_legacy_version_and_no_other() {
    // REQ-LIFE-01, REQ-LIFE-02, REQ-LIFE-04, step 9, TRAP-24
    for version in LEGACY {
        let mut client = of_era(EraChoice::Legacy);
        client
            .says(&[&initialize(1, "2025-11-25")])
            .hear(&initialized(1, version))
            .says(&[r#"{"method":"notifications/initialized"}"#])
            .tells(&[&format!("opened {version}")]);
        let established = client.session.established().unwrap();
        assert_eq!(established.server_info.as_ref().unwrap().name, "s");
    }
    for version in ["2026-07-28", "1999-01-01", "2025-11-26", ""] {
        let mut client = of_era(EraChoice::Legacy);
        client.forget();
        client
            .hear(&initialized(1, version))
            .says(&[])
            .tells(&["failed: no common protocol version: the server offers *"])
            .is_idle();
        assert_eq!(
            client.try_call(1, "tools/list", "{}", |_| {}),
            Err(mcp_session::ApiMisuse::NotOpen)
        );
    }
}

#[test]
fn initialize_may_be_refused_with_a_list_once() {
    // REQ-LIFE-11, step 9
    let refusal = |id: u32, list: &str| {
        format!(
            r#"{{"id":{id},"error":{{"code":-32602,"message":"m","data":{{"supported":{list},"requested":"2025-11-25"}}}}}}"#
        )
    };
    let mut client = of_era(EraChoice::Legacy);
    client
        .says(&[&initialize(1, "2025-11-25")])
        .hear(&refusal(1, r#"["2024-11-05","2025-03-26"]"#))
        .tells(&[])
        .says(&[&initialize(2, "2025-03-26")])
        .hear(&refusal(2, r#"["2024-11-05"]"#))
        .says(&[])
        .tells(&["failed: refused: m*"])
        .is_idle();

    for data in [r#"["2026-07-28"]"#, "[]", r#""all""#, "null"] {
        let mut client = of_era(EraChoice::Legacy);
        client.forget();
        client
            .hear(&refusal(1, data))
            .says(&[])
            .tells(&["failed: refused: m*"]);
    }
    let mut client = of_era(EraChoice::Legacy);
    client.forget();
    client
        .hear(r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#)
        .tells(&["failed: refused: m*"]);
}

#[test]
fn initialize_may_be_refused_by_an_error_without_an_id() {
    // REQ-ID-08, REQ-ID-09
    let refusal = r#"{"id":null,"error":{"code":-32600,"message":"m"}}"#;
    let unknown = r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#;
    for (era, before) in [
        (EraChoice::Legacy, None),
        (EraChoice::Auto, Some(unknown)),
        (EraChoice::Auto, Some(refusal)),
    ] {
        let mut client = of_era(era);
        // What it prints as it starts does not matter any more.
        client.hear_raw("starting…");
        if let Some(line) = before {
            client.hear(line);
        }
        client.forget();
        client
            .hear(refusal)
            .says(&[])
            .tells(&["failed: refused: m*"])
            .is_idle();
    }
    // One about a probe that was not answered says nothing of `initialize`; the answer may come by its id, too.
    for (late, told) in [
        (refusal, "peer error -32600"),
        (unknown, "misbehaved: response to no request"),
    ] {
        let mut client = of_era(EraChoice::Auto);
        client.wait(10.0).forget();
        client
            .hear(late)
            .tells(&[told])
            .hear(refusal)
            .tells(&["failed: refused: m*"])
            .is_idle();
    }
}

#[test]
fn an_answer_to_initialize_that_is_none_fails_the_connection() {
    let cases = [
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"capabilities":{},"serverInfo":{"name":"s","version":"2"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"#,
    ];
    for answer in cases {
        let mut client = of_era(EraChoice::Legacy);
        client.forget();
        client.hear_raw(answer).says(&[]);
        let told = client.take_events();
        assert!(
            told[0].starts_with("failed: the peer misbehaved: "),
            "{told:?}"
        );
        client.is_idle();
    }
}

#[test]
fn nothing_else_is_sent_before_the_handshake_is_done() {
    // REQ-LIFE-06
    for era in [EraChoice::Auto, EraChoice::Legacy, EraChoice::Modern] {
        let mut client = of_era(era);
        client.forget();
        assert_eq!(
            client.try_call(1, "tools/list", "{}", |_| {}),
            Err(mcp_session::ApiMisuse::NotOpen)
        );
        let sent = client.session.notify(None, "com.example/x".into(), None);
        assert_eq!(sent, Err(mcp_session::NotSent::NoSession));
        client.is_silent();
    }
}

#[test]
fn a_legacy_server_may_ping_and_log_before_the_end_of_the_handshake() {
    // REQ-LIFE-07, X13
    let mut client = of_era(EraChoice::Legacy);
    client.forget();
    client
        .hear(r#"{"id":"p","method":"ping"}"#)
        .says(&[r#"{"id":"p","result":{}}"#])
        .hear(r#"{"id":"r","method":"roots/list"}"#)
        .says(&[])
        .tells(&["misbehaved: request `roots/list` from a side that must not send one"])
        .hear(r#"{"method":"notifications/message","params":{"level":"info","data":"starting"}}"#)
        .tells(&[r#"notified notifications/message {"level":"info","data":"starting"}"#]);
}

#[test]
fn the_log_level_is_set_if_the_server_logs() {
    // REQ-LOG-02, inventory 3.7
    for (capabilities, set) in [(r#"{"logging":{}}"#, true), (r#"{"tools":{}}"#, false)] {
        let mut client = Side::client(|config| {
            config.era = EraChoice::Legacy;
            config.log_level = Some(mcp_types::LogLevel::Warning);
        });
        client.forget();
        client.hear(&format!(
            r#"{{"id":1,"result":{{"protocolVersion":"2025-06-18","capabilities":{capabilities},"serverInfo":{{"name":"s","version":"2"}}}}}}"#
        ));
        client.tells(&["opened 2025-06-18"]);
        if set {
            client
                .says(&[
                    r#"{"method":"notifications/initialized"}"#,
                    r#"{"id":2,"method":"logging/setLevel","params":{"level":"warning"}}"#,
                ])
                // Whatever the answer is, the program has not asked.
                .hear(r#"{"id":2,"error":{"code":-32603,"message":"m"}}"#)
                .is_silent()
                .hear(r#"{"id":2,"result":{}}"#)
                .tells(&["misbehaved: response to no request"])
                .is_idle();
        } else {
            client
                .says(&[r#"{"method":"notifications/initialized"}"#])
                .is_idle();
        }
    }
    // Without a level there is nothing to set.
    let mut client = of_era(EraChoice::Legacy);
    client.forget();
    client
        .hear(r#"{"id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"logging":{}},"serverInfo":{"name":"s","version":"2"}}}"#)
        .says(&[r#"{"method":"notifications/initialized"}"#]);
}

#[test]
fn the_end_of_the_connection_ends_the_handshake() {
    // Step 7 is the driver's, who can start the process again.
    for era in [EraChoice::Auto, EraChoice::Legacy, EraChoice::Modern] {
        let mut client = of_era(era);
        client.forget();
        client.session.handle_disconnected("end of file");
        let lost = match era {
            EraChoice::Legacy => "connection lost during the handshake",
            _ => "connection lost before `server/discover` was answered",
        };
        client
            .says(&[])
            .tells(&[&format!("failed: {lost}: end of file")])
            .is_idle();
        client.session.handle_disconnected("again");
        client.is_silent();
        // A transport that fails by itself says nothing of the server.
        let why = "could not connect: no route";
        let quoted = format!("{why}; it said \"Usage\", which is no message of the protocol");
        for (said, why) in [(None, why), (Some("Usage"), &quoted)] {
            let mut client = of_era(era);
            client.forget();
            if let Some(said) = said {
                client.hear_raw(said).take_events();
            }
            let cause = Cause::new(std::io::Error::other("no route"));
            let failed = client.session.handle_transport_failure(cause);
            assert_eq!(failed.map(|error| error.to_string()).as_deref(), Some(why));
            client.session.handle_disconnected("end of file");
            client
                .says(&[])
                .tells(&[&format!("failed: {why}")])
                .is_idle();
        }
    }
    let mut client = Side::modern_client(|_| {});
    client.forget();
    let cause = Cause::new(std::io::Error::other("no route"));
    assert_eq!(client.session.handle_transport_failure(cause), None);
    client.is_silent();
}

#[test]
fn what_is_no_server_is_quoted() {
    for (era, lost) in [
        (
            EraChoice::Auto,
            "connection lost before `server/discover` was answered",
        ),
        (EraChoice::Legacy, "connection lost during the handshake"),
    ] {
        let mut client = of_era(era);
        client.forget();
        client
            .hear_raw("Usage: cat [FILE]")
            .hear_raw("Try again")
            .take_events();
        client.session.handle_disconnected("end of file");
        let quote = "it said \"Usage: cat [FILE]\", which is no message of the protocol";
        client.tells(&[&format!("failed: {lost}: end of file; {quote}")]);
    }
    // Noise before an answer is tolerated, and is not what a later failure is about.
    let mut client = of_era(EraChoice::Auto);
    client.forget();
    client
        .hear_raw("Welcome!")
        .hear(r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#)
        .forget();
    client.session.handle_disconnected("end of file");
    client.tells(&["failed: connection lost during the handshake: end of file"]);
}

#[test]
fn an_echo_is_no_server() {
    for era in [EraChoice::Auto, EraChoice::Legacy, EraChoice::Modern] {
        let mut client = of_era(era);
        let said = client.session.poll_transmit().unwrap();
        client.session.handle_inbound(client.now, said.into());
        client
            .says(&[])
            .tells(&["failed: the other side is no server, it says back what it is told"])
            .is_idle();
    }
}

#[test]
fn a_client_starts_again_on_another_connection() {
    let mut client = Side::modern_client(|_| {});
    client.session.set_capabilities(decode(r#"{"roots":{}}"#));
    client.call(1, "tools/list", "{}");
    client.forget();
    client.session.handle_disconnected("end of file");
    client.forget();
    client.session = client
        .session
        .reopened(EraChoice::Legacy, client.now)
        .unwrap();
    // With the capabilities that it has now, and with ids of its own.
    client
        .says(&[r#"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":"*"}}"#])
        .hear(&initialized(1, "2025-11-25"))
        .says(&[r#"{"method":"notifications/initialized"}"#])
        .tells(&["opened 2025-11-25"])
        .is_idle();
    assert!(
        Side::server(|_| {})
            .session
            .reopened(EraChoice::Auto, client.now)
            .is_none()
    );
}

#[test]
fn capabilities_are_declared_where_the_era_wants_them() {
    // REQ-SAMP-01, REQ-META-01, TRAP-15, inventory 3.11: what the modern revision does not have is not declared there.
    let mut client = Side::client(|config| {
        config.capabilities = decode(
            r#"{"sampling":{},"elicitation":{"url":{}},"roots":{"listChanged":true},"tasks":{}}"#,
        );
    });
    client
        .says(&[r#"{"id":1,"method":"server/discover","params":{"_meta":{"$V":"2026-07-28","$C":{"sampling":{},"elicitation":{"url":{}},"roots":{}},"$I":"*"}}}"#])
        .hear(r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#)
        .says(&[r#"{"id":2,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{},"elicitation":{"url":{}},"roots":{"listChanged":true},"tasks":{}},"clientInfo":"*"}}"#]);
}

#[test]
fn new_capabilities_go_out_with_the_next_modern_request() {
    let mut client = Side::modern_client(|_| {});
    let capabilities = decode(r#"{"roots":{"listChanged":true}}"#);
    client.session.set_capabilities(capabilities);
    client.call(1, "tools/list", "{}");
    client.says(&[r#"{"id":2,"method":"tools/list","params":{"_meta":{"$V":"2026-07-28","$C":{"roots":{}},"$I":"*"}}}"#]);
    let mut server = Side::server(|_| {});
    server.session.set_capabilities(decode(r#"{"roots":{}}"#));
    server.is_silent();
}

#[test]
fn a_failed_client_stays_failed() {
    let mut client = of_era(EraChoice::Modern);
    client.forget();
    client
        .hear(r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#)
        .tells(&["failed: *"])
        .hear(&initialized(1, "2025-11-25"))
        .tells(&["misbehaved: response to no request"])
        .hear(r#"{"id":3,"method":"ping"}"#)
        .says(&[])
        .tells(&["misbehaved: request `ping` from a side that must not send one"])
        .wait(1e6)
        .is_silent();
}
