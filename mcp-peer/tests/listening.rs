//! Streams of modern servers, and callbacks that ask for more, between two real ends in memory.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

mod stage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_peer::session::{
    ApiMisuse, CallOptions, ClientConfig, EraChoice, NOTIFICATIONS_EXTENSION, NotSent,
    RequestError, ServerConfig,
};
use mcp_peer::types::{
    Implementation, Notification, ObjectBuf, RawJson, Request, ResourceUpdated,
    ResourceUpdatedParams, ResourcesCapability, ServerCapabilities, SubscriptionFilter,
    ToolListChanged, ToolsCapability,
};
use mcp_peer::{Answer, Connection, NoHandler, Options, Peer, decode_result, duplex};
use serde_json::json;
use stage::Stage;

struct Leave;

impl Request for Leave {
    const METHOD: &'static str = "chat.leave";
    type Params = ();
    type Result = ();
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Left;

impl Notification for Left {
    const METHOD: &'static str = "chat.left";
    type Params = Self;
}

/// Lets everybody leave.
async fn leave(request: mcp_peer::Request) -> Answer {
    let left = request.params().map(|()| ObjectBuf::encode(&()).unwrap());
    left.into()
}

/// A client and a server that tells of tools and resources, connected.
async fn pair(era: EraChoice) -> (Peer, Peer) {
    let (left, right) = duplex(16);
    let mut config = ServerConfig::new(Implementation::new("server", "1"));
    config.capabilities = ServerCapabilities::new()
        .tools(ToolsCapability::new().list_changed(true))
        .resources(ResourcesCapability::new().subscribe(true));
    let extensions = &mut config.capabilities.extensions;
    extensions.insert(NOTIFICATIONS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
    let handler = Arc::new(stage::serve(leave));
    let Connection {
        peer: server,
        driver,
    } = mcp_peer::server(right, config, handler, Options::default());
    tokio::spawn(driver);
    let mut config = ClientConfig::new(Implementation::new("client", "1"));
    config.era = era;
    let extensions = &mut config.capabilities.extensions;
    extensions.insert(NOTIFICATIONS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
    let Connection {
        peer: client,
        driver,
    } = mcp_peer::client(left, config, Arc::new(NoHandler), Options::default());
    tokio::spawn(driver);
    client.opened().await.unwrap();
    (client, server)
}

fn tools() -> SubscriptionFilter {
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed = true;
    filter.prompts_list_changed = true;
    filter
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_while_the_stream_lives() {
    // REQ-SUB-01, REQ-SUB-03, REQ-SUB-09
    let (client, server) = pair(EraChoice::Modern).await;
    let mut changes = client.notifications::<ToolListChanged>();
    assert_eq!(
        server.notify::<ToolListChanged>(&Default::default()).await,
        Err(NotSent::NoSession)
    );
    let stream = client.listen(tools()).await.unwrap();
    assert!(stream.filter().tools_list_changed && !stream.filter().prompts_list_changed);
    // However long nothing happens (REQ-TMO-04).
    tokio::time::sleep(std::time::Duration::from_secs(100_000)).await;
    server
        .notify::<ToolListChanged>(&Default::default())
        .await
        .unwrap();
    changes.recv().await.unwrap().unwrap();
    let update = ResourceUpdatedParams::new("file:///a");
    assert_eq!(
        server.notify::<ResourceUpdated>(&update).await,
        Err(NotSent::Unwanted)
    );
    drop(stream);
    // The cancellation is on its way, and this comes behind it.
    let _ = client.listen(SubscriptionFilter::new()).await.unwrap();
    assert_eq!(
        server.notify::<ToolListChanged>(&Default::default()).await,
        Err(NotSent::Unwanted)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_ends_its_streams_in_good_order() {
    // REQ-SUB-07
    let (client, server) = pair(EraChoice::Modern).await;
    let mut stream = client.listen(tools()).await.unwrap();
    server.close();
    stream.ended().await.unwrap();
    client.closed().await;
    assert!(matches!(
        client.listen(tools()).await,
        Err(RequestError::ConnectionLost(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_ends_a_stream_too() {
    let (client, server) = pair(EraChoice::Modern).await;
    let mut stream = client.listen(tools()).await.unwrap();
    client.close();
    // However often it is asked.
    for _ in 0..2 {
        assert!(matches!(
            stream.ended().await,
            Err(RequestError::ConnectionLost(_))
        ));
    }
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_it_is_acknowledged_has_ended() {
    let (ours, theirs) = duplex(16);
    let mut config = stage::client_config();
    config.era = EraChoice::Modern;
    let Connection { peer, driver } =
        mcp_peer::client(ours, config, Arc::new(NoHandler), Options::default());
    tokio::spawn(driver);
    let mut stage = Stage(theirs);
    let discover = stage.expect("server/discover").await;
    let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
    stage.answer(&discover, result).await;
    peer.opened().await.unwrap();
    let serving = async {
        let listen = stage.expect("subscriptions/listen").await;
        stage.answer(&listen, json!({})).await;
    };
    let (stream, ()) = tokio::join!(peer.listen(tools()), serving);
    let mut stream = stream.unwrap();
    assert!(stream.filter().is_empty());
    let ended = tokio::time::timeout(Duration::from_secs(3600), stream.ended()).await;
    ended.expect("it has ended").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_legacy_era_has_no_streams() {
    let (client, server) = pair(EraChoice::Legacy).await;
    let refused = client.listen(tools()).await;
    assert!(
        matches!(
            refused,
            Err(RequestError::Misuse(ApiMisuse::NotInVersion { .. }))
        ),
        "{refused:?}"
    );
    // Lists are told of unasked (REQ-SUB-13).
    let mut changes = client.notifications::<ToolListChanged>();
    server
        .notify::<ToolListChanged>(&Default::default())
        .await
        .unwrap();
    changes.recv().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_callback_may_ask_for_more() {
    let (client, server) = pair(EraChoice::Legacy).await;
    let late = Arc::new(Mutex::new(None));
    let (slot, peer) = (Arc::clone(&late), client.clone());
    client.on_notification::<ToolListChanged>(move |_| {
        let mut slot = slot.lock().unwrap();
        if slot.is_none() {
            *slot = Some(peer.notifications::<ToolListChanged>());
        }
    });
    let mut all = client.notifications::<ToolListChanged>();
    for _ in 0..3 {
        server
            .notify::<ToolListChanged>(&Default::default())
            .await
            .unwrap();
    }
    for _ in 0..3 {
        all.recv().await.unwrap().unwrap();
    }
    // It gets what comes after the one it was asked for in.
    let mut late = late.lock().unwrap().take().unwrap();
    late.recv().await.unwrap().unwrap();
    late.recv().await.unwrap().unwrap();
    assert!(late.try_recv().is_none());
}

#[tokio::test(start_paused = true)]
async fn units_are_bodies_in_both_eras() {
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let (client, server) = pair(era).await;
        let mut left = client.notifications::<Left>();
        let filter = SubscriptionFilter::new().notification(Left::METHOD);
        let stream = client.listen(filter).await;
        assert_eq!(stream.is_ok(), era == EraChoice::Modern);
        let options = CallOptions::default();
        client.request::<Leave>(&(), options).await.unwrap();
        server.notify::<Left>(&Left).await.unwrap();
        left.recv().await.unwrap().unwrap();
    }
}

#[test]
fn a_unit_is_an_object_with_nothing_of_the_programs_in_it() {
    for (text, unit) in [
        ("{}", true),
        ("{ }", true),
        (r#"{"_meta":{"a":1}}"#, true),
        (r#"{"resultType":"complete","_meta":{}}"#, true),
        (r#"{"_meta":{},"headline":1}"#, false),
        ("[]", false),
    ] {
        let body = RawJson::parse(text).unwrap();
        let read = decode_result::<()>(Leave::METHOD, &body);
        assert_eq!(read.is_ok(), unit, "{text}");
        assert_eq!(decode_result::<Left>("m", &body).is_ok(), unit, "{text}");
        // Not a `None` of what has another shape.
        let read = decode_result::<Option<Implementation>>("m", &body);
        assert_eq!(read.is_ok(), unit, "{text}");
    }
}
