//! The routing table of inventory 3.4: under which terms a server takes a request.

use mcp_types::{Era, ProtocolVersion, RawJson};

use crate::support::{LEGACY, Side, decode, initialize, long, raw};

/// What becomes of a request: its error's code, `legacy` or `modern` if the program is asked, `answered` if the engine is.
fn route(server: &mut Side, request: &str) -> String {
    server.hear(&format!(r#"{{"id":"r",{request}}}"#));
    let lines = server.take_lines();
    let asked = server.asked.len();
    server.take_events();
    match (&lines[..], server.asked.get(asked)) {
        ([], Some(incoming)) => match incoming.caller.version.era() {
            Era::Legacy => "legacy".to_owned(),
            Era::Modern => "modern".to_owned(),
        },
        ([line], None) => {
            assert_eq!(line["id"], "r", "REQ-ID-04");
            match line.get("error") {
                Some(error) => error["code"].to_string(),
                None => "answered".to_owned(),
            }
        }
        other => panic!("{request}: {other:?}"),
    }
}

fn logging(config: &mut mcp_session::ServerConfig) {
    config.capabilities = decode(r#"{"logging":{},"tools":{}}"#);
}

/// Marked requests, and what becomes of them whether or not there is a legacy session beside.
const MARKED: &[(&str, &str)] = &[
    // Row 1: the marker decides, whatever its value and the method (TRAP-23, REQ-PING-03).
    (r#""method":"initialize","params":{"_meta":{$M}}"#, "-32601"),
    (r#""method":"ping","params":{"_meta":{$M}}"#, "-32601"),
    (
        r#""method":"logging/setLevel","params":{"level":"info","_meta":{$M}}"#,
        "-32601",
    ),
    (
        r#""method":"resources/subscribe","params":{"_meta":{$M}}"#,
        "-32601",
    ),
    (
        r#""method":"resources/unsubscribe","params":{"_meta":{$M}}"#,
        "-32601",
    ),
    (
        r#""method":"sampling/createMessage","params":{"_meta":{$M}}"#,
        "-32601",
    ),
    (r#""method":"tasks/list","params":{"_meta":{$M}}"#, "-32601"),
    (
        r#""method":"ping","params":{"_meta":{"$V":1,"$C":{}}}"#,
        "-32602",
    ),
    (
        r#""method":"ping","params":{"_meta":{"$V":null,"$C":{}}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{"$V":["2026-07-28"],"$C":{}}}"#,
        "-32602",
    ),
    // The marker under escapes is the marker.
    (
        r#""method":"ping","params":{"_meta":{"io.modelcontextprotocol\/protocolVersio\u006e":"2026-07-28","$C":{}}}"#,
        "-32601",
    ),
    (r#""method":"ping","params":{"\u005fmeta":{$M}}"#, "-32601"),
    // REQ-META-02: what is required must be there, and have its form.
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"2026-07-28"}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"2026-07-28","$C":[]}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"2026-07-28","$C":null}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"2026-07-28","$C":{"sampling":1}}}"#,
        "-32602",
    ),
    // REQ-STATE-07: before the version, before the method.
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"v999.0.0"}}"#,
        "-32602",
    ),
    // REQ-VER-01: a version that is none, or one that is not for single requests.
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"v999.0.0","$C":{}}}"#,
        "-32022",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{"$V":"2025-11-25","$C":{}}}"#,
        "-32022",
    ),
    (
        r#""method":"unknown/method","params":{"_meta":{"$V":"v999.0.0","$C":{}}}"#,
        "-32022",
    ),
    (
        r#""method":"initialize","params":{"_meta":{"$V":"v999.0.0","$C":{}}}"#,
        "-32022",
    ),
    // REQ-LOG-06
    (
        r#""method":"tools/list","params":{"_meta":{$M,"$L":"loud"}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"$L":3}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"$L":"debug"}}"#,
        "modern",
    ),
    // REQ-PROG-01
    (
        r#""method":"tools/list","params":{"_meta":{$M,"progressToken":1.5}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"progressToken":null}}"#,
        "-32602",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"progressToken":"t"}}"#,
        "modern",
    ),
    // REQ-META-03, TRAP-30: who the client is does not matter, not even if it says so in no form that is known.
    (r#""method":"tools/list","params":{"_meta":{$M}}"#, "modern"),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"$I":{"name":"c","version":"1"}}}"#,
        "modern",
    ),
    (
        r#""method":"tools/list","params":{"_meta":{$M,"$I":7}}"#,
        "modern",
    ),
    // REQ-JRPC-07: nobody minds what is not known.
    (
        r#""method":"tools/list","params":{"x":1,"_meta":{$M,"com.example/x":[]}}"#,
        "modern",
    ),
    // The program's own methods, and those of the protocol that the program knows or not.
    (
        r#""method":"com.example/own","params":{"_meta":{$M}}"#,
        "modern",
    ),
    (
        r#""method":"tools/call","params":{"name":"t","_meta":{$M}}"#,
        "modern",
    ),
    (
        // Nothing here can be listened to (REQ-SUB-12).
        r#""method":"subscriptions/listen","params":{"_meta":{$M}}"#,
        "-32601",
    ),
    // REQ-VER-03
    (
        r#""method":"server/discover","params":{"_meta":{$M}}"#,
        "answered",
    ),
    (
        r#""method":"server/discover","params":{"_meta":{"$V":"2026-07-28"}}"#,
        "-32602",
    ),
];

#[test]
fn marked_requests_are_modern_whatever_else_there_is() {
    for (request, expected) in MARKED {
        let mut fresh = Side::server(logging);
        assert_eq!(route(&mut fresh, request), *expected, "{request}");
        for version in LEGACY {
            let mut server = Side::legacy_server(version, "{}", logging);
            assert_eq!(
                route(&mut server, request),
                *expected,
                "{version}: {request}"
            );
        }
    }
}

#[test]
fn unmarked_requests_need_a_legacy_session() {
    let initialize = r#""method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    // Before `initialize`, and in each of the four sessions it opens.
    let cases = [
        // Row 3
        (initialize, ["answered"; 5]),
        (r#""method":"initialize""#, ["-32602"; 5]),
        (
            r#""method":"initialize","params":{"protocolVersion":1}"#,
            ["-32602"; 5],
        ),
        // Row 4, REQ-LIFE-08, REQ-PING-01
        (r#""method":"ping""#, ["answered"; 5]),
        (
            r#""method":"ping","params":{"_meta":{"progressToken":1}}"#,
            ["answered"; 5],
        ),
        // Rows 5 and 9
        (
            r#""method":"tools/list""#,
            ["-32602", "legacy", "legacy", "legacy", "legacy"],
        ),
        (
            r#""method":"com.example/own","params":{}"#,
            ["-32602", "legacy", "legacy", "legacy", "legacy"],
        ),
        (
            r#""method":"tools/list","params":{"_meta":{"$C":{}}}"#,
            ["-32602", "legacy", "legacy", "legacy", "legacy"],
        ),
        (
            r#""method":"tools/list","params":{"_meta":7}"#,
            ["-32602"; 5],
        ),
        (
            r#""method":"tools/list","params":{"_meta":{"progressToken":{}}}"#,
            ["-32602"; 5],
        ),
        // REQ-LIFE-09: what the version does not have.
        (
            r#""method":"server/discover""#,
            ["-32602", "-32601", "-32601", "-32601", "-32601"],
        ),
        (
            r#""method":"subscriptions/listen""#,
            ["-32602", "-32601", "-32601", "-32601", "-32601"],
        ),
        (
            r#""method":"tasks/get""#,
            ["-32602", "-32601", "-32601", "-32601", "legacy"],
        ),
        (
            r#""method":"elicitation/create""#,
            ["-32602", "-32601", "-32601", "legacy", "legacy"],
        ),
        // REQ-LOG-03
        (
            r#""method":"logging/setLevel","params":{"level":"error"}"#,
            ["-32602", "answered", "answered", "answered", "answered"],
        ),
        (
            r#""method":"logging/setLevel","params":{"level":"loud"}"#,
            ["-32602"; 5],
        ),
        (r#""method":"logging/setLevel""#, ["-32602"; 5]),
    ];
    for (request, expected) in cases {
        let mut fresh = Side::server(logging);
        assert_eq!(route(&mut fresh, request), expected[0], "{request}");
        for (version, expected) in LEGACY.into_iter().zip(&expected[1..]) {
            let mut server = Side::legacy_server(version, "{}", logging);
            assert_eq!(
                route(&mut server, request),
                *expected,
                "{version}: {request}"
            );
        }
    }
}

#[test]
fn an_unmarked_request_before_initialize_is_told_both_ways_in() {
    // Row 9, REQ-VER-06
    let mut server = Side::server(|_| {});
    server.hear(r#"{"id":1,"method":"tools/list"}"#).says(&[
        r#"{"id":1,"error":{"code":-32602,"message":"no session: send `initialize` first, or set `$V` and `$C` in `_meta`","data":{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}}}"#,
    ]);
    server.tells(&[]).is_idle();
}

#[test]
fn an_unsupported_version_is_told_the_supported_ones() {
    // REQ-VER-01, REQ-VER-05: the same list as that of `server/discover`.
    let mut server = Side::server(|_| {});
    server
        .hear(r#"{"id":1,"method":"tools/list","params":{"_meta":{"$V":"2099-01-01","$C":{}}}}"#)
        .hear(r#"{"id":2,"method":"server/discover","params":{"_meta":{$M}}}"#)
        .says(&[
            r#"{"id":1,"error":{"code":-32022,"message":"*","data":{"supported":["2026-07-28"],"requested":"2099-01-01"}}}"#,
            r#"{"id":2,"result":{"supportedVersions":["2026-07-28"],"...":0}}"#,
        ]);
}

#[test]
fn a_server_need_not_speak_every_version() {
    // REQ-VER-01, REQ-VER-05: no request of its own can be of a version that `initialize` opens.
    let of = |versions: &[ProtocolVersion]| {
        let versions = versions.to_vec();
        Side::server(move |config| config.versions = versions)
    };
    let list = r#"{"id":2,"method":"tools/list","params":{"_meta":{$M}}}"#;
    let discover = list.replace("tools/list", "server/discover");
    let alone = r#"{"id":3,"method":"tools/list"}"#;
    let legacy = [ProtocolVersion::V2025_03_26, ProtocolVersion::V2025_06_18];
    for (asked, agreed) in [
        ("2024-11-05", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2025-11-25", "2025-06-18"),
        ("2026-07-28", "2025-06-18"),
    ] {
        let opened = format!(r#"{{"id":1,"result":{{"protocolVersion":"{agreed}","...":0}}}}"#);
        let refused = r#"{"id":2,"error":{"code":-32022,"message":"*","data":{"supported":["2025-06-18","2025-03-26"],"requested":"2026-07-28"}}}"#;
        let nowhere = r#"{"id":3,"error":{"code":-32602,"message":"no session: send `initialize` first","data":{"supported":["2025-06-18","2025-03-26"]}}}"#;
        of(&legacy)
            .hear(list)
            .hear(&discover)
            .hear(alone)
            .hear(&initialize(1, asked, "{}"))
            .says(&[refused, refused, nowhere, &opened]);
    }
    // REQ-VER-06
    let refused = r#"{"id":1,"error":{"code":-32022,"message":"*","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}}"#;
    let nowhere =
        r#"{"id":3,"error":{"code":-32602,"message":"*","data":{"supported":["2026-07-28"]}}}"#;
    of(&[ProtocolVersion::V2026_07_28])
        .hear(&initialize(1, "2025-11-25", "{}"))
        .hear(alone)
        .hear(&discover)
        .says(&[
            refused,
            nowhere,
            r#"{"id":2,"result":{"supportedVersions":["2026-07-28"],"...":0}}"#,
        ]);
}

#[test]
fn discovery_says_everything_that_is_required() {
    // REQ-DISC-01, REQ-DISC-02, REQ-META-04, REQ-JRPC-09
    let mut server = Side::server(|config| {
        config.capabilities = decode(r#"{"tools":{"listChanged":true},"com.example/x":{"y":1}}"#);
        config.instructions = Some("Be kind.".to_owned());
    });
    server
        .hear(r#"{"id":"d","method":"server/discover","params":{"_meta":{$M}}}"#)
        .says(&[
            r#"{"id":"d","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"com.example/x":{"y":1}},"instructions":"Be kind.","ttlMs":0,"cacheScope":"private","_meta":{"$S":{"name":"s","version":"1"}}}}"#,
        ])
        .tells(&[])
        .is_idle();
}

#[test]
fn initialize_is_answered_with_the_version_asked_for_or_the_newest() {
    // REQ-LIFE-03, REQ-LIFE-12, TRAP-24
    let cases = [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ];
    for (asked, answered) in cases {
        let mut server = Side::server(|config| {
            config.capabilities = decode(r#"{"completions":{},"prompts":{}}"#);
            config.instructions = Some("i".to_owned());
        });
        // REQ-CAP-01: `completions` came with the second revision.
        let capabilities = match answered {
            "2024-11-05" => r#"{"prompts":{}}"#,
            _ => r#"{"completions":{},"prompts":{}}"#,
        };
        server.hear(&initialize(0, asked, "{}")).says(&[&format!(
            r#"{{"id":0,"result":{{"protocolVersion":"{answered}","capabilities":{capabilities},"serverInfo":{{"name":"s","version":"1"}},"instructions":"i"}}}}"#
        )]);
        server.tells(&[]).is_idle();
    }
}

#[test]
fn a_second_initialize_begins_the_session_anew() {
    // FastMCP keeps a process for its next client, and supergateway shakes hands before the client behind it does.
    let mut server = Side::legacy_server("2025-03-26", r#"{"roots":{}}"#, |config| {
        config.capabilities = decode(r#"{"logging":{},"resources":{"subscribe":true}}"#);
    });
    let updated = |server: &mut Side| {
        let params = Some(raw(r#"{"uri":"file:///a"}"#));
        (server.session).notify(None, "notifications/resources/updated".into(), params)
    };
    server
        .hear(r#"{"id":2,"method":"resources/subscribe","params":{"uri":"file:///a"}}"#)
        .hear(r#"{"id":3,"method":"logging/setLevel","params":{"level":"error"}}"#)
        .hear(r#"{"id":4,"method":"tools/list"}"#)
        .hear(r#"{"id":5,"method":"tools/list","params":{"_meta":{$M}}}"#);
    server.call(0, "roots/list", "{}");
    server.take_sent();
    server.tells(&[
        "subscribed",
        "level error",
        "request 0 tools/list",
        "request 1 tools/list",
    ]);
    let broken = r#"{"id":6,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    server
        .hear(broken)
        .says(&[r#"{"id":6,"error":{"code":-32602,"...":0}}"#]);
    updated(&mut server).unwrap();
    server.says(&[r#"{"method":"notifications/resources/updated","params":{"uri":"file:///a"}}"#]);

    // What was under way ends, and its ids are free; what is modern goes on.
    server
        .hear(&initialize(6, "2025-11-25", "{}"))
        .says(&[
            r#"{"id":4,"error":{"code":-32603,"message":"the session was begun anew"}}"#,
            r#"{"id":6,"result":{"protocolVersion":"2025-11-25","...":0}}"#,
        ])
        .hear(r#"{"id":4,"method":"tools/list"}"#)
        .tells(&[
            "cancelled 0 SessionEnded",
            "answer 0: connection lost before the answer: the session was begun anew",
            "level info",
            "request 2 tools/list",
        ])
        .hear(r#"{"id":1,"result":{"roots":[]}}"#)
        .tells(&["misbehaved: response to no request"]);
    updated(&mut server).unwrap_err();
    server.try_respond(0, Ok("{}")).unwrap_err();
    server.is_silent();
    server.respond(1, "{}");
    server.respond(2, "{}");
    server.says(&[
        r#"{"id":5,"result":{"resultType":"complete","...":0}}"#,
        r#"{"id":4,"result":{}}"#,
    ]);
    server.is_idle();
    let [before, after] = [0, 2].map(|at| &server.asked[at].caller);
    assert_eq!(before.version.as_str(), "2025-03-26");
    assert!(before.capabilities.lists_roots());
    assert_eq!(after.version.as_str(), "2025-11-25");
    assert!(!after.capabilities.lists_roots());
}

#[test]
fn an_initialize_that_fails_opens_nothing() {
    let mut server = Side::server(|_| {});
    server
        .hear(r#"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#)
        .hear(r#"{"id":2,"method":"tools/list"}"#)
        .hear(&initialize(3, "2025-06-18", "{}"))
        .says(&[
            r#"{"id":1,"error":{"code":-32602,"...":0}}"#,
            r#"{"id":2,"error":{"code":-32602,"...":0}}"#,
            r#"{"id":3,"result":{"protocolVersion":"2025-06-18","...":0}}"#,
        ]);
}

#[test]
fn requests_are_served_before_initialized() {
    // REQ-LIFE-08, TRAP-28
    let mut server = Side::server(|_| {});
    server
        .hear(&initialize(1, "2025-06-18", "{}"))
        .hear(r#"{"id":2,"method":"tools/list"}"#)
        .tells(&["request 0 tools/list"])
        .hear(r#"{"method":"notifications/initialized"}"#)
        .tells(&["notified notifications/initialized"]);
}

#[test]
fn two_eras_share_a_connection_and_nothing_else() {
    // REQ-STATE-01, REQ-STATE-02, REQ-CAP-04, REQ-LOG-07, TRAP-29, TRAP-31
    let mut server = Side::legacy_server("2025-11-25", r#"{"sampling":{}}"#, logging);
    server
        .hear(r#"{"id":2,"method":"logging/setLevel","params":{"level":"error"}}"#)
        .hear(r#"{"id":3,"method":"tools/call","params":{"name":"l"}}"#)
        .hear(r#"{"id":4,"method":"tools/call","params":{"name":"m","_meta":{"$V":"2026-07-28","$C":{"roots":{}},"$L":"debug"}}}"#)
        .hear(r#"{"id":5,"method":"tools/call","params":{"name":"m","_meta":{$M}}}"#)
        .hear(r#"{"id":6,"method":"tools/call","params":{"name":"l"}}"#)
        .tells(&[
            "level error",
            "request 0 tools/call",
            "request 1 tools/call",
            "request 2 tools/call",
            "request 3 tools/call",
        ])
        .says(&[r#"{"id":2,"result":{}}"#]);
    let seen: Vec<_> = server
        .asked
        .iter()
        .map(|asked| {
            let declared = &asked.caller.capabilities;
            (
                asked.caller.version.era(),
                declared.samples(),
                declared.lists_roots(),
                asked.log_level.map(|level| level.as_str()),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Era::Legacy, true, false, Some("error")),
            (Era::Modern, false, true, Some("debug")),
            (Era::Modern, false, false, None),
            (Era::Legacy, true, false, Some("error")),
        ]
    );
    // Each answer has the form of its own era (REQ-JRPC-08, REQ-JRPC-09, TRAP-11).
    for n in 0..4 {
        server.respond(n, "{}");
    }
    server.says(&[
        r#"{"id":3,"result":{}}"#,
        r#"{"id":4,"result":{"resultType":"complete","_meta":{"$S":{"name":"s","version":"1"}}}}"#,
        r#"{"id":5,"result":{"resultType":"complete","_meta":{"$S":{"name":"s","version":"1"}}}}"#,
        r#"{"id":6,"result":{}}"#,
    ]);
    server.is_idle();
}

#[test]
fn what_a_caller_says_of_itself_holds_for_that_request_only() {
    // REQ-CAP-04: also when the text is the same but for one part of it.
    let mut server = Side::server(|_| {});
    let describe = |id: u32, capabilities: &str, info: &str| {
        format!(
            r#"{{"id":{id},"method":"m","params":{{"_meta":{{"$V":"2026-07-28","$C":{capabilities}{info}}}}}}}"#
        )
    };
    let ann = r#","$I":{"name":"ann","version":"1"}"#;
    server
        .hear(&describe(1, r#"{"roots":{}}"#, ann))
        .hear(&describe(2, r#"{"roots":{}}"#, ""))
        .hear(&describe(3, "{}", ann))
        .hear(&describe(4, r#"{"roots":{}}"#, ann))
        .hear(&describe(5, r#"{"roots":{}}"#, ann))
        .forget();
    let seen: Vec<_> = server
        .asked
        .iter()
        .map(|asked| {
            let caller = &asked.caller;
            (caller.capabilities.lists_roots(), caller.info.is_some())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (true, true),
            (true, false),
            (false, true),
            (true, true),
            (true, true)
        ]
    );
}

#[test]
fn a_result_keeps_what_the_program_has_put_into_it() {
    // REQ-JRPC-09, REQ-META-04, REQ-META-09
    let cases = [
        ("{}", r#"{"resultType":"complete","_meta":{"$S":"*"}}"#),
        (
            r#"{"resultType":"complete"}"#,
            r#"{"resultType":"complete","_meta":{"$S":"*"}}"#,
        ),
        (
            r#"{"resultType":"task","taskId":"t"}"#,
            r#"{"resultType":"task","taskId":"t","_meta":{"$S":"*"}}"#,
        ),
        // No type at all.
        (
            r#"{"resultType":7}"#,
            r#"{"resultType":"complete","_meta":{"$S":"*"}}"#,
        ),
        (
            r#"{"a":1,"_meta":{"com.example/x":12345678901234567890123}}"#,
            r#"{"a":1,"resultType":"complete","_meta":{"com.example/x":12345678901234567890123,"$S":"*"}}"#,
        ),
        (
            r#"{"_meta":{"$S":{"name":"impostor","version":"0"}}}"#,
            r#"{"resultType":"complete","_meta":{"$S":{"name":"s","version":"1"}}}"#,
        ),
        (
            r#"{"_meta":[]}"#,
            r#"{"resultType":"complete","_meta":{"$S":"*"}}"#,
        ),
    ];
    for (result, expected) in cases {
        let mut server = Side::server(|_| {});
        server
            .hear(r#"{"id":1,"method":"tools/call","params":{"_meta":{$M}}}"#)
            .tells(&["request 0 tools/call"]);
        server.respond(0, result);
        server.says(&[&format!(r#"{{"id":1,"result":{expected}}}"#)]);
    }
}

#[test]
fn an_error_has_a_code_that_the_revision_knows() {
    // REQ-ERR-03, REQ-ELIC-10, inventory 1.6: what the program answers with; what clients of 2025-06-18, 2025-11-25 and modern ones get.
    for (code, expected) in [
        (-31999, [-31999; 3]),
        (-32001, [-32001; 3]),
        (-32002, [-32002, -32002, -32602]),
        (-32021, [-32021; 3]),
        (-32023, [-32023, -32023, -32603]),
        (-32042, [-32603, -32042, -32603]),
        (-32099, [-32099, -32099, -32603]),
        (-32100, [-32100; 3]),
        (-32603, [-32603; 3]),
    ] {
        for ((version, meta), expected) in [
            ("2025-06-18", ""),
            ("2025-11-25", ""),
            ("2025-11-25", r#""_meta":{$M}"#),
        ]
        .into_iter()
        .zip(expected)
        {
            let mut server = Side::legacy_server(version, "{}", |_| {});
            server
                .hear(&format!(
                    r#"{{"id":7,"method":"tools/call","params":{{{meta}}}}}"#
                ))
                .tells(&["request 0 tools/call"]);
            server.respond_error(0, code);
            server.says(&[&format!(
                r#"{{"id":7,"error":{{"code":{expected},"message":"no"}}}}"#
            )]);
            server.is_idle();
        }
    }
}

#[test]
fn ids_come_back_as_they_came() {
    // REQ-ID-01, REQ-ID-04, TRAP-02: `7` and `"7"` are two requests.
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    let ids = ["7", "\"7\"", "-1", "\"\"", "9007199254740993"];
    for id in ids {
        server.hear(&format!(r#"{{"id":{id},"method":"m"}}"#));
    }
    server.take_events();
    for (n, id) in ids.into_iter().enumerate() {
        server.respond(n, "{}");
        server.says(&[&format!(r#"{{"id":{id},"result":{{}}}}"#)]);
    }
}

#[test]
fn the_second_of_two_equal_ids_is_refused() {
    // REQ-ID-02, REQ-ID-03: the one that runs is answered by the program.
    for meta in ["{}", r#"{"_meta":{$M}}"#] {
        let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
        server
            .hear(&format!(r#"{{"id":7,"method":"a","params":{meta}}}"#))
            .hear(&format!(r#"{{"id":7,"method":"b","params":{meta}}}"#))
            .hear(r#"{"id":7,"method":"ping"}"#)
            .tells(&["request 0 a"])
            .says(&[
                r#"{"id":7,"error":{"code":-32600,"message":"id 7 is in use"}}"#,
                r#"{"id":7,"error":{"code":-32600,"message":"id 7 is in use"}}"#,
            ]);
        server.respond(0, r#"{"r":1}"#);
        server.says(&[r#"{"id":7,"result":{"r":1,"...":0}}"#]);
        // Once it is answered the id is free; that it should not be used again is the peer's business.
        server
            .hear(r#"{"id":7,"method":"c"}"#)
            .tells(&["request 1 c"]);
    }
}

#[test]
fn one_request_too_many_is_refused_and_counted() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
        config.limits.incoming_requests = 2;
    });
    server
        .hear(r#"{"id":2,"method":"a"}"#)
        .hear(r#"{"id":3,"method":"a"}"#)
        .hear(r#"{"id":4,"method":"a"}"#)
        // What the engine answers itself takes no room.
        .hear(r#"{"id":5,"method":"ping"}"#)
        .tells(&["request 0 a", "request 1 a"])
        .says(&[
            r#"{"id":4,"error":{"code":-32603,"message":"more than 2 requests in flight"}}"#,
            r#"{"id":5,"result":{}}"#,
        ]);
    assert_eq!(server.session.counters().refused_requests, 1);
    server.respond(0, "{}");
    server
        .hear(r#"{"id":4,"method":"a"}"#)
        .tells(&["request 2 a"]);
}

#[test]
fn what_a_request_says_of_its_client_weighs_what_it_takes() {
    // REQ-SEC-06
    let mut server = Side::server(|config| config.limits.incoming_bytes = 100_000);
    let many: Vec<String> = (0..1000).map(|n| format!(r#""{n}":{{}}"#)).collect();
    let capabilities = format!(r#"{{"experimental":{{{}}}}}"#, many.join(","));
    let ask = |id: u32, capabilities: &str| {
        let meta = format!(r#"{{"$V":"2026-07-28","$C":{capabilities}}}"#);
        format!(r#"{{"id":{id},"method":"tools/call","params":{{"_meta":{meta}}}}}"#)
    };
    server
        .hear(&ask(1, &capabilities))
        .hear(&ask(2, &capabilities))
        .tells(&["request 0 tools/call"])
        .says(&[r#"{"id":2,"error":{"code":-32603,"message":"more than 100000 bytes of requests in flight"}}"#]);
    server.respond(0, "{}");
    server.forget();
    let caller = &server.asked[0].caller;
    assert_eq!(std::sync::Arc::strong_count(caller), 1, "and is forgotten");
    // Of one that is short, all requests are by the same.
    for id in 3..100 {
        server.hear(&ask(id, "{}"));
    }
    assert_eq!(server.take_events().len(), 97);
    let callers = server.asked[1..].iter().map(|asked| &asked.caller);
    assert!(callers.is_sorted_by(|one, next| std::sync::Arc::ptr_eq(one, next)));

    // An icon of some size takes what it is long, and so do not very many that are short.
    let icon = format!(r#"{{"src":"data:,{}"}}"#, "x".repeat(100 << 10));
    let icons = [r#"{"src":""}"#; 10_000].join(",");
    for (icons, bytes, taken) in [(&icon, 64 << 20, 100), (&icons, 1 << 20, 1)] {
        let mut server = Side::server(|config| config.limits.incoming_bytes = bytes);
        for id in 0..100 {
            let info = format!(r#"{{"name":"c","version":"1","icons":[{icons}]}}"#);
            let meta = format!(r#"{{"$V":"2026-07-28","$C":{{}},"$I":{info}}}"#);
            server.hear(&format!(
                r#"{{"id":{id},"method":"tools/call","params":{{"_meta":{meta}}}}}"#
            ));
        }
        assert_eq!(server.take_events().len(), taken);
    }
}

#[test]
fn requests_in_flight_are_bounded_in_bytes_too() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
        config.limits.incoming_bytes = 100;
    });
    let params = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
    let request =
        |id: u32, bytes| format!(r#"{{"id":{id},"method":"a","params":{}}}"#, params(bytes));
    let refused = |id: u32| {
        format!(
            r#"{{"id":{id},"error":{{"code":-32603,"message":"more than 100 bytes of requests in flight"}}}}"#
        )
    };
    server
        .hear(&request(2, 60))
        .hear(&request(3, 39))
        .hear(&request(4, 38))
        .tells(&["request 0 a", "request 1 a"])
        .says(&[&refused(3)]);
    server.respond(0, "{}");
    server.respond(1, "{}");
    server.says(&[r#"{"id":2,"result":{}}"#, r#"{"id":4,"result":{}}"#]);
    // One alone has the limit on messages, and nothing comes beside it; ids weigh, too.
    let long = "y".repeat(100);
    server
        .hear(&request(5, 1000))
        .hear(&request(6, 60))
        .tells(&["request 2 a"])
        .says(&[&refused(6)]);
    server.respond(2, "{}");
    server
        .says(&[r#"{"id":5,"result":{}}"#])
        .hear(&format!(r#"{{"id":"{long}","method":"a"}}"#))
        .hear(r#"{"id":7,"method":"a"}"#)
        .tells(&["request 3 a"])
        .says(&[&refused(7)]);
    assert_eq!(server.session.counters().refused_requests, 3);
}

#[test]
fn notifications_are_never_answered() {
    // REQ-JRPC-05, REQ-JRPC-13, TRAP-22
    let mut server = Side::server(|_| {});
    server
        .hear(r#"{"method":"com.example/unknown"}"#)
        .tells(&["notified com.example/unknown"])
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":{}}}"#)
        .hear(r#"{"method":"notifications/cancelled"}"#)
        .hear(r#"{"method":"notifications/initialized"}"#)
        .tells(&[])
        .hear(r#"{"method":"m","params":[]}"#)
        .hear_raw(r#"{"method":"m"}"#)
        .tells(&[
            "malformed: invalid notification: `params` must be an object",
            "malformed: invalid notification: `jsonrpc` must be \"2.0\"",
        ])
        .says(&[]);
}

#[test]
fn legacy_notifications_need_a_legacy_session() {
    // Row 6
    let changed = r#"{"method":"notifications/roots/list_changed"}"#;
    let status = r#"{"method":"notifications/tasks/status","params":{}}"#;
    let initialized = r#"{"method":"notifications/initialized"}"#;
    let told = [
        "notified notifications/roots/list_changed",
        "notified notifications/tasks/status {}",
        "notified notifications/initialized",
    ];
    for (mut side, told) in [
        (Side::server(|_| {}), &[][..]),
        (Side::legacy_server("2025-11-25", "{}", |_| {}), &told[..]),
        // A server says nothing of this kind.
        (Side::legacy_client("2025-11-25", |_| {}), &told[..2]),
    ] {
        side.hear(changed)
            .hear(status)
            .hear(initialized)
            .says(&[])
            .tells(told);
    }
}

#[test]
fn a_server_answers_what_it_cannot_read() {
    // REQ-ERR-07, REQ-ID-07, REQ-ID-09, REQ-BATCH-07, TRAP-03
    let cases = [
        ("nonsense", r#"{"error":{"code":-32700,"...":0}}"#),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
            r#"{"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#,
            r#"{"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"m","params":null}"#,
            r#"{"id":7,"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}"#,
            r#"{"id":7,"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"m","result":{}}"#,
            r#"{"id":7,"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"id":7,"error":{"code":-32600,"...":0}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"#,
            r#"{"id":7,"error":{"code":-32700,"...":0}}"#,
        ),
        ("[]", r#"{"error":{"code":-32600,"...":0}}"#),
        ("7", r#"{"error":{"code":-32600,"...":0}}"#),
    ];
    for (line, answer) in cases {
        for mut server in [
            Side::server(|_| {}),
            Side::legacy_server("2025-11-25", "{}", |_| {}),
        ] {
            server
                .hear_raw(line)
                .says(&[answer])
                .tells(&["malformed: *"]);
            assert_eq!(server.session.counters().malformed, 1, "{line}");
            // And goes on (REQ-ERR-07).
            server
                .hear(r#"{"id":8,"method":"ping"}"#)
                .says(&[r#"{"id":8,"result":{}}"#]);
        }
    }
}

#[test]
fn a_broken_answer_is_not_mistaken_for_a_request() {
    // REQ-ID-05: the client has a request 1 of its own, which an error under this id would end.
    let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |_| {});
    server.call(1, "roots/list", "{}");
    server.says(&[r#"{"id":1,"method":"roots/list"}"#]);
    server
        .hear_raw(r#"{"jsonrpc":"2.0","id":1,"result":{"roots":["#)
        .says(&[r#"{"error":{"code":-32700,"...":0}}"#])
        .tells(&["malformed: invalid JSON"])
        // That one cannot be anything but the answer.
        .hear_raw(r#"{"jsonrpc":"2.0","id":1,"result":[]}"#)
        .says(&[])
        .tells(&[
            "answer 1: the peer misbehaved: malformed response: `result` must be an object",
            "malformed: invalid response: `result` must be an object",
        ])
        .is_idle();
}

#[test]
fn a_response_to_nothing_is_dropped() {
    // Row 8, REQ-JRPC-14, REQ-ID-10
    let mut server = Side::server(|_| {});
    server
        .hear(r#"{"id":1,"result":{}}"#)
        .hear(r#"{"id":"x","error":{"code":1,"message":"m"}}"#)
        .says(&[])
        .tells(&["misbehaved: response to no request"; 2]);
    assert_eq!(server.session.counters().unknown_responses, 2);
    server
        .hear(r#"{"error":{"code":-32700,"message":"m"}}"#)
        .tells(&["peer error -32700"]);
}

#[test]
fn what_the_last_request_said_of_itself_is_not_taken_for_what_the_next_one_says() {
    let ask = |server: &mut Side, id: u32, meta: &str| {
        let params = format!(r#"{{"name":"t","_meta":{{{meta}}}}}"#);
        server.hear(&format!(
            r#"{{"id":{id},"method":"tools/call","params":{params}}}"#
        ));
        server.take_events();
        server.asked.pop().expect("a request")
    };
    let plain = r#""$V":"2026-07-28","$C":{}"#;
    let rich = r#""$V":"2026-07-28","$C":{"sampling":{}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}"#;
    let long = format!(
        r#""$V":"2026-07-28","$C":{{"sampling":{{}},"experimental":{{"{}":{{}}}}}}"#,
        "x".repeat(5000)
    );
    let metas = [
        (plain, false, None, false),
        (rich, true, Some("c"), false),
        (&format!(r#"{plain},"progressToken":1"#), false, None, true),
        (
            &format!(r#"{rich},"progressToken":"x""#),
            true,
            Some("c"),
            true,
        ),
        // Too long to be remembered.
        (&long, true, None, false),
        (&format!(r#"{long},"progressToken":1"#), true, None, true),
    ];
    for (before, ..) in metas {
        for (meta, samples, name, token) in metas {
            let mut server = Side::server(|_| {});
            ask(&mut server, 1, before);
            let incoming = ask(&mut server, 2, meta);
            let caller = incoming.caller;
            assert_eq!(caller.capabilities.sampling.is_some(), samples, "{meta}");
            let info = caller.info.as_ref().map(|info| info.name.as_str());
            assert_eq!(info, name, "{meta}");
            assert_eq!(incoming.progress_token.is_some(), token, "{meta}");
        }
    }
}

/// What has been looked for once goes on to whoever serves the request: of this message, and not of the one before.
#[test]
fn a_request_brings_its_meta_with_it() {
    let mut server = Side::legacy_server("2025-11-25", "{}", logging);
    let metas = [
        r#"{"$V":"2026-07-28","$C":{}}"#,
        r#"{"$V":"2026-07-28","$C":{}}"#,
        r#"{"$V":"2026-07-28","$C":{},"progressToken":7}"#,
        r#"{"$V":"2026-07-28","$C":{},"own/key":[1]}"#,
        r#"{"progressToken":1}"#,
        "{}",
    ];
    for (id, meta) in (2..).zip(metas.map(long)) {
        server.hear(&format!(
            r#"{{"id":{id},"method":"tools/list","params":{{"a":{{}},"_meta":{meta},"b":"_meta"}}}}"#
        ));
        server.take_events();
        let incoming = server.asked.last().unwrap();
        assert_eq!(incoming.meta.as_ref().map(RawJson::as_str), Some(&*meta));
    }
    for params in ["", r#","params":{}"#, r#","params":{"_meta":null}"#] {
        server.hear(&format!(
            r#"{{"id":"x{}","method":"tools/list"{params}}}"#,
            params.len()
        ));
        server.take_events();
        assert_eq!(server.asked.last().unwrap().meta, None, "{params}");
    }
    assert_eq!(server.asked.len(), metas.len() + 3);
}

#[test]
fn a_refusal_repeats_no_more_than_a_person_reads() {
    let mut server = Side::server(logging);
    let long = "é".repeat(10_000);
    let requests = [
        format!(r#""method":"x","params":{{"_meta":{{"$V":"{long}","$C":{{}}}}}}"#),
        format!(
            r#""method":"x","params":{{"_meta":{{"$V":"2026-07-28","$C":{{"sampling":"{long}"}}}}}}"#
        ),
        format!(
            r#""method":"initialize","params":{{"protocolVersion":"1","capabilities":"{long}"}}"#
        ),
        format!(r#""method":"{long}","params":{{}}"#),
    ];
    for request in requests {
        server.hear(&format!(r#"{{"id":1,{}}}"#, crate::support::long(&request)));
        assert!(
            (1..1000).contains(&server.session.transmit_bytes()),
            "{request:.80}"
        );
        server.forget();
        assert_eq!(server.session.transmit_bytes(), 0);
    }
    // An id comes back as it is, but not in what is said of it.
    let request = format!(r#"{{"id":"{long}","method":"x","params":{{"_meta":{{$M}}}}}}"#);
    server.hear(&request).forget();
    server.hear(&request);
    let said = server.session.transmit_bytes();
    assert!((1..1000).contains(&(said - long.len())), "{said}");
}
