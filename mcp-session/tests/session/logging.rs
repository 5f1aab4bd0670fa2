//! Log messages: whose level applies, and where they may go.

use mcp_session::{NotSent, ServerConfig};
use mcp_types::LogLevel;

use crate::support::{LEGACY, Side, decode, raw};

fn logs(config: &mut ServerConfig) {
    config.capabilities = decode(r#"{"logging":{}}"#);
}

fn log(server: &mut Side, related: Option<usize>, level: LogLevel) -> Result<(), NotSent> {
    let related = related.map(|n| server.key(n));
    let params = raw(&format!(r#"{{"level":"{level}","data":null}}"#));
    server.session.log(related, level, params)
}

/// The levels that get through, one letter each, lowest first.
fn passing(server: &mut Side, related: Option<usize>) -> String {
    LogLevel::ALL
        .iter()
        .map(|level| match log(server, related, *level) {
            Ok(()) => 'x',
            Err(NotSent::Unwanted) => '-',
            Err(other) => panic!("{other}"),
        })
        .collect()
}

#[test]
fn a_legacy_session_has_one_level() {
    // REQ-LOG-02
    for version in LEGACY {
        let mut server = Side::legacy_server(version, "{}", logs);
        server.hear(r#"{"id":2,"method":"tools/call"}"#).forget();
        // Before it is set the server chooses.
        assert_eq!(passing(&mut server, None), "-xxxxxxx");
        for (n, level) in LogLevel::ALL.iter().enumerate() {
            server
                .hear(&format!(
                    r#"{{"id":{},"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#,
                    n + 3
                ))
                .tells(&[&format!("level {level}")]);
            let expected = "-".repeat(n) + &"x".repeat(8 - n);
            assert_eq!(passing(&mut server, None), expected);
            // Also for a request that was there before.
            assert_eq!(passing(&mut server, Some(0)), expected);
        }
    }
}

#[test]
fn the_servers_own_choice_is_configured() {
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server.forget();
    assert_eq!(
        log(&mut server, None, LogLevel::Emergency),
        Err(NotSent::Unwanted)
    );

    let mut server = Side::server(|config| {
        logs(config);
        config.log_level = LogLevel::Alert;
    });
    server.hear(&crate::support::initialize(1, "2025-11-25", "{}"));
    server.tells(&["level alert"]);
    assert_eq!(passing(&mut server, None), "------xx");
}

#[test]
fn a_refused_level_changes_nothing() {
    // REQ-LOG-03
    let mut server = Side::legacy_server("2025-11-25", "{}", logs);
    server
        .hear(r#"{"id":2,"method":"logging/setLevel","params":{"level":"error"}}"#)
        .hear(r#"{"id":3,"method":"logging/setLevel","params":{"level":"Debug"}}"#)
        .says(&[
            r#"{"id":2,"result":{}}"#,
            r#"{"id":3,"error":{"code":-32602,"...":0}}"#,
        ])
        .tells(&["level error"]);
    assert_eq!(passing(&mut server, None), "----xxxx");
}

#[test]
fn a_modern_request_has_its_own_level_or_none() {
    // REQ-LOG-04, REQ-LOG-07, TRAP-31: beside a legacy session that wants everything.
    let mut server = Side::legacy_server("2025-11-25", "{}", |config| {
        logs(config);
        config.log_level = LogLevel::Debug;
    });
    server
        .hear(r#"{"id":2,"method":"tools/call","params":{"_meta":{$M,"$L":"warning"}}}"#)
        .hear(r#"{"id":3,"method":"tools/call","params":{"_meta":{$M}}}"#)
        .hear(r#"{"id":4,"method":"tools/call","params":{"_meta":{$M,"$L":"debug"}}}"#)
        .hear(r#"{"id":5,"method":"tools/call"}"#)
        .forget();
    assert_eq!(passing(&mut server, Some(0)), "---xxxxx");
    assert_eq!(passing(&mut server, Some(1)), "--------");
    assert_eq!(passing(&mut server, Some(2)), "xxxxxxxx");
    assert_eq!(passing(&mut server, Some(3)), "xxxxxxxx");
    let routes: Vec<_> = server
        .take_sent()
        .into_iter()
        .map(|out| out.related_to.unwrap().to_string())
        .collect();
    let expected = [("2", 5), ("4", 8), ("5", 8)];
    let expected: Vec<_> = expected.iter().flat_map(|(id, n)| vec![*id; *n]).collect();
    assert_eq!(routes, expected, "REQ-LOG-05");
}

#[test]
fn a_request_that_describes_itself_as_the_one_before_is_taken_as_that() {
    let mut server = Side::server(logs);
    let metas = [
        (r#"$M,"$L":"error""#, "----xxxx"),
        (r#"$M,"$L":"error""#, "----xxxx"),
        (r#"$M,"$L":"error","progressToken":1"#, "----xxxx"),
        (r#"$M"#, "--------"),
        (r#"$M,"$L":"error""#, "----xxxx"),
        (r#"$M,"progressToken":2"#, "--------"),
        (r#"$M,"$L":"error""#, "----xxxx"),
    ];
    for (n, (meta, levels)) in metas.into_iter().enumerate() {
        let call = r#""method":"tools/call","params":{"name":"t","_meta":"#;
        server
            .hear(&format!(r#"{{"id":{n},{call}{{{meta}}}}}}}"#))
            .forget();
        assert_eq!(passing(&mut server, Some(n)), levels, "{n}");
        let token = server.asked[n].progress_token.clone();
        assert_eq!(token.is_some(), meta.contains("progressToken"), "{n}");
        // What the era does not know stays unknown.
        let id = 100 + n;
        server
            .hear(&format!(
                r#"{{"id":{id},"method":"ping","params":{{"_meta":{{{meta}}}}}}}"#
            ))
            .forget();
        assert_eq!(server.asked.len(), n + 1);
    }
}

#[test]
fn nothing_is_logged_after_the_response() {
    // REQ-LOG-05
    for meta in ["{}", r#"{"_meta":{$M,"$L":"debug"}}"#] {
        let mut server = Side::legacy_server("2025-11-25", "{}", logs);
        server
            .hear(&format!(
                r#"{{"id":2,"method":"tools/call","params":{meta}}}"#
            ))
            .forget();
        log(&mut server, Some(0), LogLevel::Error).unwrap();
        server.respond(0, "{}");
        assert_eq!(
            log(&mut server, Some(0), LogLevel::Error),
            Err(NotSent::Ended)
        );
        server.says(&[
            r#"{"method":"notifications/message","params":{"level":"error","data":null}}"#,
            r#"{"id":2,"result":{"...":0}}"#,
        ]);
    }
}

#[test]
fn outside_of_requests_only_a_legacy_session_takes_logs() {
    // REQ-LOG-04, inventory 3.7
    let mut server = Side::server(logs);
    assert_eq!(
        log(&mut server, None, LogLevel::Emergency),
        Err(NotSent::NoSession)
    );
    server
        .hear(r#"{"id":2,"method":"tools/call","params":{"_meta":{$M,"$L":"debug"}}}"#)
        .forget();
    assert_eq!(
        log(&mut server, None, LogLevel::Emergency),
        Err(NotSent::NoSession)
    );
    log(&mut server, Some(0), LogLevel::Debug).unwrap();
}

#[test]
fn who_does_not_declare_logging_does_not_log() {
    // REQ-LOG-01
    let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
    server
        .hear(r#"{"id":2,"method":"tools/call","params":{"_meta":{$M,"$L":"debug"}}}"#)
        .hear(r#"{"id":3,"method":"logging/setLevel","params":{"level":"debug"}}"#)
        // Nor is a level of any use; what to say to that is the program's business.
        .tells(&["request 0 tools/call", "request 1 logging/setLevel"]);
    assert!(server.asked.iter().all(|asked| asked.log_level.is_none()));
    assert_eq!(
        log(&mut server, Some(0), LogLevel::Error),
        Err(NotSent::Unwanted)
    );
    assert_eq!(
        log(&mut server, None, LogLevel::Error),
        Err(NotSent::Unwanted)
    );
    server.is_silent();
    for mut client in [
        Side::legacy_client("2025-11-25", |_| {}),
        Side::modern_client(|_| {}),
    ] {
        assert_eq!(
            log(&mut client, None, LogLevel::Error),
            Err(NotSent::Forbidden)
        );
        client.is_silent();
    }
}
