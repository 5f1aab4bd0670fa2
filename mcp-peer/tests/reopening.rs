//! Connections that outlive their transport, until the program wants no more of them.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod stage;

use std::sync::Arc;

use futures::{FutureExt, SinkExt, StreamExt};
use mcp_peer::session::{ConnectError, EraChoice};
use mcp_peer::types::{Inbound, Message, NotificationMessage};
use mcp_peer::{
    Closed, Connection, ConnectionError, Driver, Duplex, DuplexError, Handler, MailboxLimits,
    NoHandler, NotPosted, Options, Peer, duplex,
};
use serde_json::json;
use stage::{Stage, Ticked, client_config, ok, serve};
use tokio::sync::Notify;

/// Drives until the other end has played its part.
async fn until<T>(driver: &mut Driver<Duplex>, part: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        ended = driver => panic!("{ended:?}"),
        done = part => done,
    }
}

/// A client that may be opened again, and is open; the server's end is to be played.
async fn opened(handler: impl Handler) -> (Driver<Duplex>, Peer, Stage) {
    let (ours, theirs) = duplex(64);
    let Connection { peer, driver } =
        mcp_peer::client(ours, client_config(), Arc::new(handler), Options::default());
    let (mut driver, mut stage) = (driver.reopenable(), Stage(theirs));
    until(&mut driver, stage.accept()).await;
    (driver, peer, stage)
}

#[tokio::test(start_paused = true)]
async fn what_is_posted_to_a_lost_connection_takes_no_room_on_the_next_one() {
    let limits = MailboxLimits {
        messages: 4,
        bytes: 1 << 20,
    };
    let (mut driver, peer, stage) = opened(NoHandler).await;
    let mailbox = peer.link().mailbox(limits);
    let post = |method: &str| {
        let (method, params) = (method.into(), None);
        mailbox.post(&NotificationMessage { method, params })
    };
    drop(stage);
    (&mut driver).await.unwrap();
    for _ in 0..2 {
        for _ in 0..4 {
            post("x/lost").unwrap();
        }
        assert_eq!(post("x/lost"), Err(NotPosted::Full));
        assert!(driver.unwanted().now_or_never().is_none());
        assert!(mailbox.is_empty());
    }
    assert_eq!(mailbox.counts().unwanted, 8);
    let (ours, theirs) = duplex(64);
    driver.reopen(ours, EraChoice::Legacy);
    let mut stage = Stage(theirs);
    until(&mut driver, async {
        stage.accept().await;
        post("x/open").unwrap();
        stage.expect("x/open").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_closes_is_lost_and_what_the_program_closes_too_is_not() {
    for wanted in [true, false] {
        let done = Arc::new(Notify::new());
        let handler = {
            let done = Arc::clone(&done);
            serve(move |_| {
                let done = Arc::clone(&done);
                async move {
                    done.notified().await;
                    ok()
                }
            })
        };
        let (mut driver, peer, mut stage) = opened(handler).await;
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage" });
        stage.send(request).await;
        stage.0.close().await.unwrap();
        // The handler is at work, and the end of the stream is read.
        assert!(futures::poll!(&mut driver).is_pending());
        if !wanted {
            peer.close();
        }
        done.notify_one();
        (&mut driver).await.unwrap();
        assert_eq!(driver.lost().is_some(), wanted);
        assert_eq!(peer.is_closed(), !wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_breaks_while_it_is_closed_is_not_replaced() {
    // With more than the pipe holds, the driver does not come to the wish to close it.
    for queued in [1, 100] {
        let (mut driver, peer, stage) = opened(NoHandler).await;
        for _ in 0..queued {
            assert!(peer.notify::<Ticked>(&json!({})).now_or_never().is_none());
        }
        if queued > 1 {
            assert!(futures::poll!(&mut driver).is_pending());
        }
        peer.close();
        drop(stage);
        let ended = (&mut driver).await;
        assert!(
            matches!(ended, Err(ConnectionError::Transport(DuplexError))),
            "{ended:?}"
        );
        assert_eq!(driver.lost(), None);
        assert!(peer.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_lost_is_opened_again() {
    let (mut driver, peer, mut stage) = opened(NoHandler).await;
    // It is open.
    let mut calling = Box::pin(stage::call(&peer));
    assert!(futures::poll!(&mut calling).is_pending());
    let request = until(&mut driver, stage.expect("x/call")).await;
    let (ours, _theirs) = duplex(64);
    driver.reopen(ours, EraChoice::Legacy);
    stage.answer(&request, json!({})).await;
    until(&mut driver, calling).await.unwrap();
    // It has ended for good.
    peer.close();
    (&mut driver).await.unwrap();
    let (ours, mut theirs) = duplex(64);
    driver.reopen(ours, EraChoice::Legacy);
    (&mut driver).await.unwrap();
    assert!(theirs.next().now_or_never().flatten().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_while_the_program_closes_it_is_not_asked_for_again() {
    let (mut driver, peer, stage) = opened(NoHandler).await;
    drop(stage);
    (&mut driver).await.unwrap();
    assert_eq!(driver.lost(), Some(&Closed::ByPeer));
    // There is room for the question, and none for the answer to the ping, so that it is not over at once.
    let (ours, theirs) = duplex(1);
    driver.reopen(ours, EraChoice::Legacy);
    let mut stage = Stage(theirs);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let refusal =
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32603, "message": "no" } });
    until(&mut driver, async {
        stage.send(ping).await;
        stage.send(refusal).await;
        tokio::task::yield_now().await;
    })
    .await;
    assert!(futures::poll!(&mut driver).is_pending());
    peer.close();
    assert!(futures::poll!(&mut driver).is_pending());
    stage.expect("initialize").await;
    (&mut driver).await.unwrap();
    assert_eq!(driver.lost(), None);
    let why = peer.close_reason();
    let refused = Closed::NotOpened(ConnectError::Refused(
        mcp_peer::types::ErrorObject::internal("no"),
    ));
    assert_eq!(why, Some(refused));
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_does_not_come_back() {
    // While it is open.
    let (mut driver, peer, _stage) = opened(NoHandler).await;
    peer.link().disconnect();
    let ended = (&mut driver).await;
    assert!(matches!(ended, Err(ConnectionError::CutOff)), "{ended:?}");
    assert_eq!(driver.lost(), None);
    assert_eq!(peer.close_reason(), Some(Closed::CutOff));
    // While the other end has not answered, for the first time and for the second.
    for again in [false, true] {
        let (mut driver, peer, stage) = opened(NoHandler).await;
        let (ours, theirs) = duplex(64);
        let (mut driver, peer) = if again {
            drop(stage);
            (&mut driver).await.unwrap();
            driver.reopen(ours, EraChoice::Auto);
            (driver, peer)
        } else {
            let (mut config, options) = (client_config(), Options::default());
            config.era = EraChoice::Auto;
            let connection = mcp_peer::client(ours, config, Arc::new(NoHandler), options);
            (connection.driver.reopenable(), connection.peer)
        };
        until(&mut driver, Stage(theirs).expect("server/discover")).await;
        peer.link().disconnect();
        let ended = (&mut driver).await;
        assert!(matches!(ended, Err(ConnectionError::CutOff)), "{ended:?}");
        assert_eq!(driver.lost(), None);
        assert_eq!(peer.close_reason(), Some(Closed::CutOff));
    }
    // While it is to be opened again.
    let (mut driver, peer, stage) = opened(NoHandler).await;
    drop(stage);
    (&mut driver).await.unwrap();
    assert!(driver.lost().is_some());
    peer.link().disconnect();
    driver.unwanted().await;
    assert_eq!(driver.lost(), None);
    assert_eq!(peer.close_reason(), Some(Closed::CutOff));
}

/// What comes through a pipe with noise in it, and how that breaks.
fn noisy(item: Result<Inbound, DuplexError>) -> Result<Inbound, Noise> {
    match item {
        Ok(Inbound::Message(Message::Notification(note))) if note.method == "x/noise" => {
            Ok(Inbound::parse("Usage"[..].into(), Default::default()))
        }
        Ok(Inbound::Message(Message::Notification(note))) if note.method == "x/broken" => {
            Err(Noise)
        }
        item => item.map_err(|_| Noise),
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("broken by noise")]
struct Noise;

#[tokio::test(start_paused = true)]
async fn a_transport_that_breaks_by_itself_is_replaced_whatever_was_said_before() {
    for (said, is_lost) in [
        (&["x/noise", "x/broken"][..], true),
        (&["x/broken"], true),
        (&["x/noise"], false),
    ] {
        let pipe = || {
            let (ours, theirs) = duplex(64);
            let ours = ours.sink_map_err(|_| Noise);
            (ours.map(noisy as fn(_) -> _), Stage(theirs))
        };
        let (ours, mut stage) = pipe();
        let Connection { peer, driver } = mcp_peer::client(
            ours,
            client_config(),
            Arc::new(NoHandler),
            Options::default(),
        );
        let mut driver = driver.reopenable();
        for method in said {
            stage
                .send(json!({ "jsonrpc": "2.0", "method": method }))
                .await;
        }
        stage.0.close().await.unwrap();
        let _ = (&mut driver).await;
        assert_eq!(driver.lost().is_some(), is_lost, "{said:?}");
        assert_eq!(peer.is_closed(), !is_lost);
        if !is_lost {
            continue;
        }
        let (ours, mut stage) = pipe();
        driver.reopen(ours, EraChoice::Legacy);
        tokio::select! {
            biased;
            ended = &mut driver => panic!("{ended:?}"),
            () = stage.accept() => {}
        }
        peer.opened().await.unwrap();
    }
}
