//! Many servers as one, also when one of them is gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::IntoFuture;

use mcp_client::{Client, ClientGroup, EraChoice, NameRefused, RequestError, UnknownServer};
use mcp_peer::duplex;
use mcp_server::{Server, prompt, resource, tool};
use mcp_testing::soon;
use serde_json::json;
use tokio::task::AbortHandle;

/// A server whose tool says its name.
async fn server(name: &'static str, era: EraChoice) -> (Client, AbortHandle) {
    let (left, right) = duplex(64);
    let server = Server::new(name, "1")
        .tool(tool("who", move || name))
        .tool(tool("a__b", move || format!("{name} a__b")))
        .prompt(prompt("greet", move || format!("{name} greets")))
        .resource(resource(format!("{name}://a"), move || name));
    let serving = tokio::spawn(server.serve(right)).abort_handle();
    let client = soon(Client::builder("c", "1").era(era).connect(left))
        .await
        .unwrap();
    (client, serving)
}

#[tokio::test]
async fn tools_are_merged_and_calls_find_their_server() {
    let mut group = ClientGroup::new();
    let (files, files_serving) = server("files", EraChoice::Legacy).await;
    let (web, _web_serving) = server("web", EraChoice::Modern).await;
    group.add("files", files.clone()).unwrap();
    group.add("web", web).unwrap();
    assert_eq!(
        group.add("web", files.clone()),
        Err(NameRefused::Taken("web".into()))
    );
    for name in ["", "a__b", "a_", "__"] {
        assert_eq!(
            group.add(name, files.clone()),
            Err(NameRefused::Ambiguous(name.into()))
        );
    }
    drop(files);

    let tools = soon(group.list_tools()).await;
    let names: Vec<_> = tools
        .items
        .iter()
        .map(|tool| tool.item.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["files__who", "files__a__b", "web__who", "web__a__b"]
    );
    assert_eq!(tools.items[2].server, "web");
    assert!(tools.failed.is_empty());
    let prompts = soon(group.list_prompts()).await;
    assert_eq!(prompts.items[1].item.name, "web__greet");
    let resources = soon(group.list_resources()).await;
    let uris: Vec<_> = resources
        .items
        .iter()
        .map(|r| r.item.uri.as_str())
        .collect();
    assert_eq!(uris, ["files://a", "web://a"]);

    let call = |name: &str| {
        group
            .call_tool(name, json!({}))
            .map(IntoFuture::into_future)
    };
    for (name, answer) in [
        ("files__who", "files"),
        ("web__who", "web"),
        ("web__a__b", "web a__b"),
    ] {
        assert_eq!(soon(call(name).unwrap()).await.unwrap().to_text(), answer);
    }
    let greeting = soon(group.get_prompt("web__greet", json!({})).unwrap())
        .await
        .unwrap();
    assert_eq!(greeting.messages[0].content.as_text(), Some("web greets"));
    for name in ["who", "mail__who", "__who", "web_who"] {
        assert_eq!(call(name).err(), Some(UnknownServer(name.into())));
    }

    // One is gone: its calls fail, its list is missing, and the other one goes on.
    let in_flight = call("files__who").unwrap();
    files_serving.abort();
    soon(group.client("files").unwrap().peer().closed()).await;
    let lost = soon(in_flight).await;
    assert!(
        matches!(lost, Err(RequestError::ConnectionLost(_))),
        "{lost:?}"
    );
    assert_eq!(group.lost(), ["files"]);
    let tools = soon(group.list_tools()).await;
    let names: Vec<_> = tools
        .items
        .iter()
        .map(|tool| tool.item.name.as_str())
        .collect();
    assert_eq!(names, ["web__who", "web__a__b"]);
    assert_eq!(tools.failed.len(), 1);
    assert_eq!(tools.failed[0].server, "files");
    assert_eq!(
        soon(call("web__who").unwrap()).await.unwrap().to_text(),
        "web"
    );

    // And another one takes its place.
    assert!(group.remove("files").is_some());
    let (again, _serving) = server("files", EraChoice::Auto).await;
    group.add("files", again).unwrap();
    let result = group.call_tool("files__who", json!({})).unwrap();
    assert_eq!(soon(result).await.unwrap().to_text(), "files");
}
