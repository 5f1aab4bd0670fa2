//! One way to hear of changes, in both eras.

use std::future::IntoFuture;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use mcp_client::types::{
    CacheScope, Implementation, PromptListChanged, PromptsCapability, ResourceListChanged,
    ResourceUpdated, ResourceUpdatedParams, ResourcesCapability, ServerCapabilities,
    SubscriptionFilter, ToolListChanged, ToolsCapability,
};
use mcp_client::{Client, EraChoice, NotSent, Notification};
use mcp_peer::session::ServerConfig;
use mcp_peer::{Duplex, NoHandler, Options, Peer, duplex};
use mcp_server::{Cached, Cx, Server, ToolError, notification, tool};
use mcp_testing::{Journal, soon};

const ERAS: [EraChoice; 2] = [EraChoice::Legacy, EraChoice::Modern];

fn serve(capabilities: ServerCapabilities) -> (Duplex, Peer) {
    let (left, right) = duplex(16);
    let mut config = ServerConfig::new(Implementation::new("server", "1"));
    config.capabilities = capabilities;
    let serving = mcp_peer::server(right, config, Arc::new(NoHandler), Options::default());
    tokio::spawn(serving.driver);
    (left, serving.peer)
}

#[tokio::test]
async fn changes_are_heard_of_in_both_eras_while_somebody_wants_to() {
    // REQ-SUB-02, REQ-SUB-05, REQ-SUB-14, REQ-RES-06
    for era in ERAS {
        let (left, server) = serve(
            ServerCapabilities::new()
                .tools(ToolsCapability::new().list_changed(true))
                .resources(ResourcesCapability::new().subscribe(true)),
        );
        let client = soon(Client::builder("client", "1").era(era).connect(left))
            .await
            .unwrap();
        let mut lists = client.notifications::<ToolListChanged>();
        let mut updates = client.notifications::<ResourceUpdated>();
        let mut filter = SubscriptionFilter::new().resource("file:///a");
        filter.tools_list_changed = true;
        filter.resources_list_changed = true;
        let subscription = soon(client.subscribe(filter)).await.unwrap();
        assert!(subscription.filter().tools_list_changed);
        assert!(!subscription.filter().resources_list_changed, "not offered");
        soon(server.notify::<ToolListChanged>(&Default::default()))
            .await
            .unwrap();
        soon(lists.recv()).await.unwrap().unwrap();
        let update = ResourceUpdatedParams::new("file:///a/b");
        soon(server.notify::<ResourceUpdated>(&update))
            .await
            .unwrap();
        assert_eq!(
            soon(updates.recv()).await.unwrap().unwrap().uri,
            "file:///a/b"
        );
        let other = ResourceUpdatedParams::new("file:///b");
        assert_eq!(
            soon(server.notify::<ResourceUpdated>(&other)).await,
            Err(NotSent::Unwanted)
        );
        soon(subscription.end()).await.unwrap();
        // What is asked now is behind the end of the subscription.
        let _ = soon(client.subscribe(SubscriptionFilter::new()))
            .await
            .unwrap();
        assert_eq!(
            soon(server.notify::<ResourceUpdated>(&update)).await,
            Err(NotSent::Unwanted)
        );
    }
}

/// REQ-SUB-05, REQ-SUB-06: whatever parts of a program want to hear of it.
#[tokio::test]
async fn a_change_is_told_once_however_many_have_asked() {
    for era in ERAS {
        let (left, server) = serve(
            ServerCapabilities::new()
                .tools(ToolsCapability::new().list_changed(true))
                .resources(ResourcesCapability::new().subscribe(true)),
        );
        let told = Journal::new();
        let [tools, updates] = [(); 2].map(|()| told.clone());
        let client = Client::builder("client", "1")
            .era(era)
            .on_tools_changed(move || tools.push("tools".to_owned()))
            .on_resource_updated(move |update| updates.push(update.uri))
            .connect(left);
        let client = soon(client).await.unwrap();
        let mut filter = SubscriptionFilter::new().resource("file:///a");
        filter.tools_list_changed = true;
        let first = soon(client.subscribe(filter)).await.unwrap();
        let _second = soon(client.subscribe("file:///a")).await.unwrap();
        let _marker = soon(client.subscribe("file:///marker")).await.unwrap();
        let mut first = Some(first);
        for round in 1..=2 {
            for uri in ["file:///a", "file:///marker"] {
                soon(server.notify::<ToolListChanged>(&Default::default()))
                    .await
                    .unwrap();
                let update = ResourceUpdatedParams::new(uri);
                soon(server.notify::<ResourceUpdated>(&update))
                    .await
                    .unwrap();
            }
            soon(told.find_many(round, |what| what == "file:///marker")).await;
            let expected = ["tools", "file:///a", "tools", "file:///marker"].repeat(round);
            assert_eq!(told.entries(), expected, "{era:?}");
            if let Some(first) = first.take() {
                soon(first.end()).await.unwrap();
                // What is asked now is behind its end.
                let _ = soon(client.subscribe("file:///b")).await.unwrap();
            }
        }
    }
}

#[notification("chat.said")]
struct Said {
    text: String,
}

async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

#[tokio::test]
async fn a_callback_for_a_programs_own_hears_rooms_and_broadcasts_in_both_eras() {
    // REQ-EXT-02
    for era in ERAS {
        for offered in [true, false] {
            let server = Server::new("server", "1").tool(tool("join", join));
            let server = match offered {
                true => server.with_notifications(),
                false => server,
            };
            let server = server.start();
            let (left, right) = duplex(16);
            let connection = server.connect(right).expect("a connection");
            tokio::spawn(connection.driver);
            let told = Journal::new();
            let tell = told.clone();
            let client = Client::builder("client", "1")
                .era(era)
                .on_notification::<Said>(move |said| tell.push(said.text))
                .connect(left);
            let client = soon(client).await.unwrap();
            // What is told once is not told twice.
            let filter = SubscriptionFilter::new().notification(Said::METHOD);
            let again = soon(client.subscribe(filter)).await;
            assert_eq!(again.is_ok(), offered || era == EraChoice::Legacy);
            let joined = soon(client.call_tool("join", ())).await.unwrap();
            // A legacy client gets them anyway.
            let reached = offered || era == EraChoice::Legacy;
            assert_eq!(joined.ok().is_ok(), reached, "{era:?}");
            if reached {
                let hub = server.hub();
                let lobby = hub.room("lobby");
                let said = |text: &str| Said {
                    text: text.to_owned(),
                };
                lobby.send::<Said>(&said("room")).await.unwrap();
                hub.broadcast::<Said>(&said("all")).await.unwrap();
                soon(told.find(|said| said == "all")).await;
                assert_eq!(told.entries(), ["room", "all"], "{era:?}");
            }
        }
    }
}

/// REQ-SUB-03
#[tokio::test]
async fn to_subscribe_to_nothing_that_a_modern_server_offers_is_an_error() {
    for era in ERAS {
        let tools = ToolsCapability::new().list_changed(true);
        let (left, _server) = serve(ServerCapabilities::new().tools(tools));
        let client = soon(Client::builder("client", "1").era(era).connect(left))
            .await
            .unwrap();
        // A legacy server tells of what it does not declare, and of a program's own unasked.
        let legacy = era == EraChoice::Legacy;
        let told = soon(client.subscribe("file:///a")).await;
        match told {
            Ok(_) => assert!(legacy),
            Err(refused) => assert!(
                !legacy && refused.to_string().contains("`resources.subscribe`"),
                "{refused}"
            ),
        }
        let own = SubscriptionFilter::new().notification(Said::METHOD);
        let told = soon(client.subscribe(own)).await;
        assert_eq!(told.is_ok(), legacy);
    }
}

/// REQ-SUB-01, REQ-SUB-13, REQ-SUB-14: what is told once `connect` has returned is not lost.
#[tokio::test]
async fn callbacks_hear_of_changes_in_both_eras() {
    for era in ERAS {
        let (left, server) = serve(
            ServerCapabilities::new()
                .tools(ToolsCapability::new().list_changed(true))
                .prompts(PromptsCapability::new().list_changed(true))
                .resources(
                    ResourcesCapability::new()
                        .list_changed(true)
                        .subscribe(true),
                ),
        );
        let told = Journal::new();
        let [tools, prompts, resources, updates] = [(); 4].map(|()| told.clone());
        let client = Client::builder("client", "1")
            .era(era)
            .on_tools_changed(move || tools.push("tools".to_owned()))
            .on_prompts_changed(move || prompts.push("prompts".to_owned()))
            .on_resources_changed(move || resources.push("resources".to_owned()))
            .on_resource_updated(move |update| updates.push(update.uri))
            .connect(left);
        let client = soon(client).await.unwrap();
        assert!(told.entries().is_empty(), "nothing has changed yet");
        soon(server.notify::<ToolListChanged>(&Default::default()))
            .await
            .unwrap();
        soon(server.notify::<PromptListChanged>(&Default::default()))
            .await
            .unwrap();
        soon(server.notify::<ResourceListChanged>(&Default::default()))
            .await
            .unwrap();
        let update = ResourceUpdatedParams::new("file:///a");
        let unwanted = soon(server.notify::<ResourceUpdated>(&update)).await;
        assert_eq!(unwanted, Err(NotSent::Unwanted));
        let _subscription = soon(client.subscribe("file:///a")).await.unwrap();
        let wanted = soon(server.notify::<ResourceUpdated>(&update)).await;
        assert_eq!(wanted, Ok(()));
        soon(told.find(|what| what == "file:///a")).await;
        assert_eq!(
            told.entries(),
            ["tools", "prompts", "resources", "file:///a"]
        );
        // What hears of changes does not keep the connection.
        drop(_subscription);
        drop(client);
        soon(server.closed()).await;
    }
}

/// REQ-SUB-12
#[tokio::test]
async fn a_server_that_tells_of_nothing_is_not_asked() {
    for era in ERAS {
        let (left, server) = serve(ServerCapabilities::new().tools(ToolsCapability::new()));
        let asked = Journal::new();
        let seen = asked.clone();
        let transport = mcp_client::tap(left, move |direction, message| {
            if direction == mcp_client::Direction::Out {
                seen.push(format!("{message:?}"));
            }
        });
        let client = Client::builder("client", "1")
            .era(era)
            .on_tools_changed(|| panic!("told of what is not offered"))
            .connect(transport);
        let client = soon(client).await.unwrap();
        let notified = soon(server.notify::<ToolListChanged>(&Default::default())).await;
        assert!(notified.is_err(), "{notified:?}");
        let entries = asked.entries();
        let listens = |entry: &String| entry.contains("subscriptions/listen");
        assert!(!entries.iter().any(listens), "{entries:?}");
        drop(client);
    }
}

/// REQ-CACHE-01: whoever hears of a change finds no list from before it.
#[tokio::test]
async fn a_list_is_not_kept_when_the_callback_runs() {
    let (left, right) = duplex(16);
    let server = Server::new("s", "1").tool(tool("a", || "a")).cache(
        Cached::Tools,
        Duration::from_secs(60),
        CacheScope::Private,
    );
    tokio::spawn(server.serve(right));
    let client = Arc::new(OnceLock::<Client>::new());
    let (shared, kept) = (Arc::clone(&client), Journal::new());
    let seen = kept.clone();
    let connected = Client::builder("client", "1")
        .era(EraChoice::Modern)
        .on_tools_changed(move || {
            let listing = shared.get().unwrap().list_tools().into_future();
            seen.push(listing.now_or_never().is_some());
        })
        .connect(left);
    let connected = soon(connected).await.unwrap();
    soon(connected.list_tools()).await.unwrap();
    let again = connected.list_tools().into_future();
    assert!(again.now_or_never().is_some(), "it is kept");
    client.set(connected.clone()).unwrap();
    let change = Default::default();
    let told = connected.peer().deliver::<ToolListChanged>(&change);
    soon(told).await.unwrap();
    soon(kept.find(|_| true)).await;
    assert_eq!(kept.entries(), [false]);
}
