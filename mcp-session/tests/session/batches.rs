//! Arrays of messages: legal in one revision only.

use crate::support::{Side, decode};

const BATCH: &str =
    r#"[{"jsonrpc":"2.0","id":5,"method":"ping"},{"jsonrpc":"2.0","method":"com.example/x"}]"#;

#[test]
fn only_a_2025_03_26_session_takes_batches() {
    // REQ-BATCH-01, REQ-BATCH-06
    for version in crate::support::LEGACY {
        let mut server = Side::legacy_server(version, "{}", |_| {});
        let mut client = Side::legacy_client(version, |_| {});
        server.hear_raw(BATCH);
        client.hear_raw(BATCH);
        if version == "2025-03-26" {
            for mut side in [server, client] {
                side.says(&[r#"{"id":5,"result":{}}"#])
                    .tells(&["notified com.example/x"]);
            }
        } else {
            let told = ["misbehaved: batch outside of a 2025-03-26 session"];
            server
                .says(&[r#"{"error":{"code":-32600,"...":0}}"#])
                .tells(&told);
            client.says(&[]).tells(&told);
        }
    }
    Side::server(|_| {})
        .hear_raw(BATCH)
        .says(&[r#"{"error":{"code":-32600,"...":0}}"#])
        .tells(&["misbehaved: *"]);
    Side::modern_client(|_| {})
        .hear_raw(BATCH)
        .says(&[])
        .tells(&["misbehaved: *"]);
}

#[test]
fn initialize_is_never_in_a_batch() {
    // REQ-BATCH-03
    let member =
        crate::support::initialize(5, "2025-03-26", "{}").replacen('{', r#"{"jsonrpc":"2.0","#, 1);
    let mut fresh = Side::server(|_| {});
    fresh
        .hear_raw(&format!("[{member}]"))
        .says(&[r#"{"error":{"code":-32600,"...":0}}"#])
        .tells(&["misbehaved: *"])
        .hear(r#"{"id":6,"method":"tools/list"}"#)
        .says(&[r#"{"id":6,"error":{"code":-32602,"...":0}}"#]);
    let mut server = Side::legacy_server("2025-03-26", "{}", |_| {});
    server
        .hear_raw(&format!("[{member}]"))
        .says(&[
            r#"{"id":5,"error":{"code":-32600,"message":"`initialize` must not be in a batch"}}"#,
        ])
        .tells(&[]);
}

#[test]
fn each_member_is_taken_for_itself() {
    // REQ-BATCH-07, REQ-ID-03
    let mut server = Side::legacy_server("2025-03-26", r#"{"roots":{}}"#, |_| {});
    server.call(1, "roots/list", "{}");
    server.forget();
    server
        .hear_raw(
            r#"[{"jsonrpc":"2.0","id":"a","method":"tools/list"},
                1,
                {"jsonrpc":"2.0","id":"b","method":"m","params":[]},
                {"jsonrpc":"2.0","id":1,"result":{"roots":[]}},
                {"jsonrpc":"2.0","method":"m","params":[]},
                {"jsonrpc":"2.0","id":"a","method":"tools/list"},
                {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}},
                {"jsonrpc":"2.0","id":"c","method":"tools/call"}]"#,
        )
        .tells(&[
            "request 0 tools/list",
            "malformed: not a JSON-RPC message",
            "malformed: invalid request: `params` must be an object",
            r#"answer 1: {"roots":[]}"#,
            "malformed: invalid notification: `params` must be an object",
            "cancelled 0",
            "request 1 tools/call",
        ])
        .says(&[
            r#"{"error":{"code":-32600,"...":0}}"#,
            r#"{"id":"b","error":{"code":-32600,"...":0}}"#,
            r#"{"id":"a","error":{"code":-32600,"...":0}}"#,
        ]);
    server.respond(1, "{}");
    server.says(&[r#"{"id":"c","result":{}}"#]).is_idle();
}

#[test]
fn an_empty_batch_is_one_error_and_a_batch_of_notifications_none() {
    // REQ-BATCH-07
    let mut server = Side::legacy_server("2025-03-26", "{}", |_| {});
    server
        .hear_raw("[]")
        .says(&[r#"{"error":{"code":-32600,"...":0}}"#])
        .tells(&["malformed: empty batch"])
        .hear_raw(r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]"#)
        .says(&[])
        .tells(&["notified a", "notified b"]);
}

#[test]
fn answers_may_come_in_a_batch() {
    let mut client = Side::legacy_client("2025-03-26", |config| {
        config.capabilities = decode(r#"{"roots":{}}"#);
    });
    client.call(1, "a", "{}");
    client.call(2, "b", "{}");
    client.forget();
    client
        .hear_raw(r#"[{"jsonrpc":"2.0","id":3,"result":{}},{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"m"}},{"jsonrpc":"2.0","id":9,"result":{}},{"jsonrpc":"2.0","id":"r","method":"roots/list"}]"#)
        .tells(&[
            "answer 2: {}",
            "answer 1: refused 1",
            "misbehaved: response to no request",
            "request 0 roots/list",
        ]);
}
