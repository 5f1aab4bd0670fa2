//! Programs that are no servers, started as if they were: the error says what they are.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::ready;
use std::time::Duration;

use mcp_client::{Client, ConnectError, EraChoice, OpenError, Reconnect};
use mcp_testing::soon;
use mcp_transport_stdio::{ChildProcess, SpawnError, Stderr};

fn shell(script: &str) -> ChildProcess {
    let second = Duration::from_secs(1);
    let shell = ChildProcess::new("/bin/sh").args(["-c", script]);
    shell.stderr(Stderr::Capture(5)).grace(second, second)
}

async fn error_of(server: ChildProcess, era: EraChoice) -> OpenError<SpawnError> {
    let builder = Client::builder("tester", "1")
        .era(era)
        .reconnect(Reconnect::default());
    let client = soon(builder.connect_with(move || ready(server.spawn()))).await;
    client.unwrap_err()
}

#[tokio::test]
async fn each_is_told_apart() {
    #[rustfmt::skip]
    let cases = [
        ("echo Usage: frob FILE", "it said \"Usage: frob FILE\""),
        ("echo '{\"level\":\"info\",\"msg\":\"started\"}'; read -r line", "it said \"{\\\"level\\\":\\\"info\\\",\\\"msg\\\":\\\"started\\\"}\""),
        ("printf 'no line end'", "it said \"no line end\""),
        ("exit 3", "exit status: 3"),
        ("echo wrong >&2; exit 1", "wrong"),
        ("kill -9 $$", "signal: 9"),
        ("exec cat", "says back what it is told"),
    ];
    for (script, said) in cases {
        for era in [EraChoice::Auto, EraChoice::Legacy, EraChoice::Modern] {
            println!("{era:?} {script}");
            let error = error_of(shell(script), era).await;
            assert!(
                error.to_string().contains(said),
                "{era:?} {script}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_to_start() {
    let error = error_of(ChildProcess::new("/nowhere/server"), EraChoice::Auto).await;
    assert!(
        matches!(&error, OpenError::NoTransport(SpawnError::NoProgram { .. })),
        "{error:?}"
    );
}

/// A server that is there, but ends when it is asked for its era: a shell that knows the handshake by heart.
#[tokio::test]
async fn a_server_that_ends_when_it_is_asked() {
    let script = r#"
        read -r line
        case $line in
        *'"initialize"'*) ;;
        *) exit 1 ;;
        esac
        echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"old","version":"1"}}}'
        read -r line
        read -r line
    "#;
    let server = shell(script);
    let (direct, again) = (server.clone(), server);
    let client = Client::builder("tester", "1").connect(direct.spawn().unwrap());
    let lost = soon(client).await;
    assert!(matches!(lost, Err(ConnectError::ProbeLost(_))), "{lost:?}");
    let client = Client::builder("tester", "1").connect_with(move || ready(again.spawn()));
    let client = soon(client).await.unwrap();
    assert_eq!(client.server().version.as_str(), "2024-11-05");
    soon(client.close()).await;
}

/// A server that is killed comes back as another process, and the client goes on.
#[tokio::test]
async fn a_server_that_is_killed() {
    let script = r#"
        read -r line
        echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"mortal","version":"1"}}}'
        read -r line
        read -r line
        echo '{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"'$$'"}]}}'
        read -r line
        kill -9 $$
    "#;
    let server = shell(script);
    let client = Client::builder("tester", "1")
        .era(EraChoice::Legacy)
        .reconnect(Reconnect::default().delays(Duration::from_millis(1), Duration::from_millis(10)))
        .connect_with(move || ready(server.spawn()));
    let client = soon(client).await.unwrap();
    let mut processes = Vec::new();
    for _ in 0..5 {
        let result = soon(client.call_tool("who", serde_json::json!({})))
            .await
            .unwrap();
        processes.push(result.to_text());
        let lost = soon(client.call_tool("die", serde_json::json!({}))).await;
        assert!(
            matches!(lost, Err(mcp_client::RequestError::ConnectionLost(_))),
            "{lost:?}"
        );
    }
    processes.sort();
    processes.dedup();
    assert_eq!(processes.len(), 5);
    soon(client.close()).await;
}
