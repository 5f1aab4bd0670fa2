//! How many connections a server takes.

mod support;

use std::time::Duration;

use mcp_peer::duplex;
use mcp_server::{JsonSchema, NotConnected, ServeError, Server, tool};
use serde::Deserialize;
use serde_json::json;
use support::{ALL, Hand};

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_refused_until_another_ends() {
    let server = Server::new("small", "1.0.0")
        .tool(tool("hello", || "Hello."))
        .max_connections(2)
        .start();
    // Clones count together.
    let clone = server.clone();
    for version in ALL {
        let mut first = Hand::connect(&server, version).await;
        let second = Hand::connect(&clone, version).await;
        let (left, right) = duplex(16);
        let refused = server.connect(right).err().unwrap();
        assert_eq!(refused.why, NotConnected::TooMany { limit: 2 });
        let served = clone.serve(refused.transport).await;
        let why = match served {
            Err(ServeError::NotConnected(why)) => why,
            served => panic!("{served:?}"),
        };
        assert_eq!(why, NotConnected::TooMany { limit: 2 });
        drop(left);
        // Those that there are go on.
        let hello = json!({ "name": "hello" });
        first.call("tools/call", hello).await.unwrap();
        drop((first, second));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(server.hub().connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_drives_leaves_its_place_when_it_is_dropped() {
    let server = Server::new("small", "1.0.0").max_connections(1).start();
    for _ in 0..3 {
        let (_left, right) = duplex(16);
        let connection = server.connect(right).unwrap();
        assert!(server.connect(duplex(16).1).is_err());
        drop(connection);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_shuts_down_in_good_order_and_by_its_deadline() {
    let nap = async |args: Nap| {
        tokio::time::sleep(Duration::from_secs(args.seconds)).await;
        "slept"
    };
    for (seconds, deadline, cut) in [(2, 10, 0), (4, 3, 5)] {
        let server = Server::new("sleepy", "1.0.0")
            .tool(tool("nap", nap))
            .start();
        let mut hands = Vec::new();
        for version in ALL {
            let mut hand = Hand::connect(&server, version).await;
            let params = json!({ "name": "nap", "arguments": { "seconds": seconds } });
            let id = hand.request("tools/call", params).await;
            hands.push((hand, id));
        }
        tokio::task::yield_now().await;
        let ending = tokio::spawn({
            let server = server.clone();
            async move { server.shutdown(Duration::from_secs(deadline)).await }
        });
        tokio::task::yield_now().await;
        let refused = server.connect(duplex(16).1).err().unwrap();
        assert_eq!(refused.why, NotConnected::ShuttingDown);
        assert_eq!(ending.await.unwrap(), cut);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.hub().connections(), 0);
        for (hand, id) in &mut hands {
            if cut == 0 {
                assert_eq!(support::text(&hand.outcome(*id).await.unwrap()), "slept");
            }
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Nap {
    seconds: u64,
}
