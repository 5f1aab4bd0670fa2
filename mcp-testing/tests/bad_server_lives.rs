//! What our client makes of a server that never ends something: a list, a line, a silence, a conversation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::IntoFuture;
use std::time::Duration;

use mcp_client::types::{CreateMessageResult, MalformedKind};
use mcp_client::{Client, ClientBuilder, ConnectError, EraChoice, Limits, RequestError};
use mcp_peer::session::PeerMisbehaved;
use mcp_testing::{RawPeer, soon};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::Instant;

type Server = RawPeer<DuplexStream>;

const ERAS: [EraChoice; 2] = [EraChoice::Legacy, EraChoice::Modern];

async fn next(server: &mut Server) -> Value {
    server.next().await.unwrap().unwrap()
}

async fn answer(server: &mut Server, result: Value) -> Value {
    let request = next(server).await;
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    server.send(&answer).await.unwrap();
    request
}

async fn connect(builder: ClientBuilder, era: EraChoice) -> (Client, Server) {
    let (left, right) = tokio::io::duplex(64 * 1024);
    let mut server = RawPeer::new(right);
    let connecting = builder.era(era).connect(mcp_codec::framed(left));
    let serving = async {
        let tools = json!({"tools": {}});
        if era == EraChoice::Modern {
            let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": tools});
            answer(&mut server, result).await;
        } else {
            let info = json!({"name": "raw", "version": "1"});
            let result =
                json!({"protocolVersion": "2025-11-25", "capabilities": tools, "serverInfo": info});
            answer(&mut server, result).await;
            next(&mut server).await;
        }
    };
    let (client, ()) = soon(async { tokio::join!(connecting, serving) }).await;
    (client.unwrap(), server)
}

fn builder() -> ClientBuilder {
    Client::builder("tester", "1")
}

async fn lives(client: &Client, server: &mut Server) {
    let calling = client.call_tool("a", json!({})).into_future();
    let answering = answer(
        server,
        json!({"content": [{"type": "text", "text": "good"}]}),
    );
    let (outcome, _) = soon(async { tokio::join!(calling, answering) }).await;
    assert_eq!(outcome.unwrap().to_text(), "good");
}

/// REQ-PAG-05
#[tokio::test]
async fn lists_that_do_not_end() {
    // The cursor of each page, and how many pages are asked for.
    type Cursors = fn(usize) -> Value;
    #[rustfmt::skip]
    let cases: [(_, Cursors, usize); 4] = [
        ("the same cursor for ever", |_| json!("a"), 2),
        ("an empty cursor for ever", |_| json!(""), 2),
        ("a cycle of three", |page| json!((page % 3).to_string()), 4),
        ("a new cursor for ever", |page| json!(page.to_string()), 10_001),
    ];
    let runs = ERAS.into_iter().zip([false, true]);
    for (era, as_stream) in runs.chain([(EraChoice::Modern, false)]) {
        for (what, cursors, asked) in cases {
            println!("{era:?}: {what}");
            let (client, mut server) = connect(builder(), era).await;
            let mut pages = 0;
            let outcome = {
                let listing = async {
                    if !as_stream {
                        return client.list_tools().await;
                    }
                    let mut tools = client.list_tools().items();
                    let first = tools.next().await.expect("an error");
                    assert_eq!(tools.next().await, None, "behind the error");
                    first.map(|tool| vec![tool])
                };
                let serving = async {
                    loop {
                        let page = json!({"tools": [], "nextCursor": cursors(pages)});
                        answer(&mut server, page).await;
                        pages += 1;
                    }
                };
                soon(async {
                    tokio::select! {
                        outcome = listing => outcome,
                        () = serving => unreachable!("it serves for ever"),
                    }
                })
                .await
            };
            let endless = PeerMisbehaved::EndlessList {
                method: "tools/list".into(),
                pages: asked,
            };
            assert_eq!(outcome, Err(RequestError::Misbehaved(endless)));
            assert_eq!(pages, asked);
            lives(&client, &mut server).await;
        }
    }
}

/// 64 MiB before the line ends, four times what a message may have.
#[tokio::test]
async fn a_line_that_does_not_end_is_not_kept() {
    const LINE: usize = 64 << 20;
    for era in ERAS {
        let (client, mut server) = connect(builder(), era).await;
        let before = memory();
        let calling = client.call_tool("a", json!({})).into_future();
        let answering = async {
            let id = next(&mut server).await["id"].clone();
            let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"a":""#);
            server.send_bytes(head.as_bytes()).await.unwrap();
            let chunk = vec![b'x'; 1 << 20];
            for _ in 0..LINE >> 20 {
                server.send_bytes(&chunk).await.unwrap();
            }
            server.send_bytes(b"\"}}\n").await.unwrap();
        };
        let (outcome, ()) = soon(async { tokio::join!(calling, answering) }).await;
        let too_long =
            PeerMisbehaved::UnreadableResponse(MalformedKind::TooLong { limit: 16 << 20 });
        assert_eq!(outcome, Err(RequestError::Misbehaved(too_long)));
        // What it may have, and as much again while the buffer grows.
        let grown = memory().saturating_sub(before);
        assert!(grown < 48 << 20, "{} MiB", grown >> 20);
        lives(&client, &mut server).await;
    }
}

/// The most this process has ever had, in bytes; 0 where nobody says.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

#[tokio::test(start_paused = true)]
async fn silence_has_an_end() {
    let start = Instant::now();
    let (left, _silent) = tokio::io::duplex(1024);
    let silent = builder().connect(mcp_codec::framed(left)).await;
    // 10 s for the question of the era, 30 s for the handshake.
    assert_eq!(
        silent.unwrap_err(),
        ConnectError::TimedOut(Duration::from_secs(30))
    );
    assert_eq!(start.elapsed(), Duration::from_secs(40));
    for era in ERAS {
        let (client, mut server) = connect(builder(), era).await;
        let start = Instant::now();
        let silent = client.call_tool("a", json!({})).await;
        assert_eq!(silent, Err(RequestError::TimedOut(Duration::from_secs(60))));
        assert_eq!(start.elapsed(), Duration::from_secs(60));
        // A server that reports progress and nothing else is silent in the end, too.
        let minute = Duration::from_secs(60);
        let call = client.call_tool("a", json!({})).on_progress(|_| ());
        let call = call
            .reset_on_progress()
            .max_total(10 * minute)
            .into_future();
        let reporting = async {
            let token = loop {
                let call = next(&mut server).await;
                let token = &call["params"]["_meta"]["progressToken"];
                if !token.is_null() {
                    break token.clone();
                }
            };
            for progress in 0.. {
                let params = json!({"progressToken": token, "progress": progress});
                let note =
                    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                server.send(&note).await.unwrap();
                tokio::time::sleep(minute / 2).await;
            }
        };
        let start = Instant::now();
        tokio::select! {
            outcome = call => assert!(matches!(outcome, Err(RequestError::TimedOut(_)))),
            () = reporting => unreachable!("it reports for ever"),
        }
        assert_eq!(start.elapsed(), 10 * minute);
    }
}

#[tokio::test]
async fn a_conversation_of_10_001_rounds() {
    let mut limits = Limits::default();
    limits.rounds = 10_001;
    let (client, mut server) = connect(builder().limits(limits), EraChoice::Modern).await;
    let calling = client.call_tool("a", json!({})).into_future();
    let asking = async {
        for round in 1..=10_001 {
            let result = json!({"resultType": "input_required", "requestState": round.to_string()});
            answer(&mut server, result).await;
        }
        let last = answer(&mut server, json!({"content": []})).await;
        assert_eq!(last["params"]["requestState"], "10001");
    };
    let (outcome, ()) = soon(async { tokio::join!(calling, asking) }).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    lives(&client, &mut server).await;
}

/// What comes once the client has gone hurts nobody, and does not keep it.
#[tokio::test]
async fn a_server_that_goes_on_after_the_end() {
    for era in ERAS {
        let builder = builder().on_sampling(async |_| Ok(CreateMessageResult::text("m", "no")));
        let (client, mut server) = connect(builder, era).await;
        let talking = async {
            for id in 0.. {
                let params = json!({"messages": [], "maxTokens": 1});
                let request = json!({"jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": params});
                if server.send(&request).await.is_err() {
                    break;
                }
            }
        };
        soon(async { tokio::join!(client.close(), talking) }).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_with_the_connection() {
    for era in ERAS {
        let (client, mut server) = connect(builder(), era).await;
        let calling = client.call_tool("a", json!({})).into_future();
        let breaking = async {
            let id = next(&mut server).await["id"].clone();
            let half = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"cont"#);
            server.send_bytes(half.as_bytes()).await.unwrap();
            drop(server);
        };
        let (outcome, ()) = soon(async { tokio::join!(calling, breaking) }).await;
        assert!(outcome.is_err(), "{outcome:?}");
        assert!(soon(client.call_tool("a", json!({}))).await.is_err());
    }
}

/// The official TypeScript client loses up to a third of them.
#[tokio::test]
async fn all_progress_right_before_an_answer_is_seen() {
    const UPDATES: usize = 200;
    const CALLS: usize = 1000;
    for era in ERAS {
        let (client, mut server) = connect(builder(), era).await;
        let serving = async {
            for _ in 0..CALLS {
                let call = next(&mut server).await;
                let token = &call["params"]["_meta"]["progressToken"];
                let mut burst = String::new();
                for progress in 1..=UPDATES {
                    burst += &format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}}}}}"#
                    );
                    burst.push('\n');
                }
                burst += &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#,
                    call["id"]
                );
                server.send_text(&burst).await.unwrap();
            }
        };
        let calling = async {
            let mut seen = 0;
            for _ in 0..CALLS {
                let call = client.call_tool("a", json!({})).on_progress(|_| seen += 1);
                call.await.unwrap();
            }
            seen
        };
        let (seen, ()) = soon(async { tokio::join!(calling, serving) }).await;
        assert_eq!(seen, UPDATES * CALLS);
    }
}
