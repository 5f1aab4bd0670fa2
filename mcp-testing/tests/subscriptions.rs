//! One way to hear of changes, in both eras.

use mcp_client::types::{
    Implementation, ResourceUpdated, ResourceUpdatedParams, ResourcesCapability,
    ServerCapabilities, SubscriptionFilter, ToolListChanged, ToolsCapability,
};
use mcp_client::{Client, EraChoice, NotSent};
use mcp_peer::session::ServerConfig;
use mcp_peer::{NoHandler, Options, duplex};
use mcp_testing::soon;

#[tokio::test]
async fn changes_are_heard_of_in_both_eras_while_somebody_wants_to() {
    // REQ-SUB-02, REQ-SUB-05, REQ-SUB-14, REQ-RES-06
    for era in [EraChoice::Legacy, EraChoice::Modern] {
        let (left, right) = duplex(16);
        let mut config = ServerConfig::new(Implementation::new("server", "1"));
        config.capabilities = ServerCapabilities::new()
            .tools(ToolsCapability::new().list_changed(true))
            .resources(ResourcesCapability::new().subscribe(true));
        let serving = mcp_peer::server(
            right,
            config,
            std::sync::Arc::new(NoHandler),
            Options::default(),
        );
        tokio::spawn(serving.driver);
        let server = serving.peer;
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
