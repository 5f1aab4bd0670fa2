//! Our client against servers of others whose tools become tasks, in either design.
//!
//! `interop/tasks/run` installs them and says by `INTEROP_TASKS` where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use mcp_client::types::{ElicitResult, TaskState};
use mcp_client::{Client, EraChoice, RequestError, Started, TaskHandle};
use mcp_testing::{Journal, soon};
use mcp_transport_stdio::{ChildProcess, Stderr};
use serde_json::json;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("INTEROP_TASKS").expect("interop/tasks/run sets it"))
}

fn python(environment: &str, server: &str) -> ChildProcess {
    ChildProcess::new(folder().join(environment).join("bin/python"))
        .arg(folder().join("servers").join(server))
}

#[tokio::test]
#[ignore = "needs interop/tasks/run"]
async fn typescript_of_2025() {
    let server = ChildProcess::new("node").arg(folder().join("servers/typescript.mjs"));
    let (client, asked) = connect(server, "2025-11-25").await;
    every_end(&client, &asked).await;
    fails_with_a_result(&client, "as it is meant to").await;
    soon(client.close()).await;
}

#[tokio::test]
#[ignore = "needs interop/tasks/run"]
async fn python_of_2025() {
    let (client, asked) = connect(python(".2025", "python.py"), "2025-11-25").await;
    every_end(&client, &asked).await;
    // Its result has nothing but `_meta`.
    let failed = soon(start(&client, "fail").await.result()).await;
    let Err(RequestError::Refused(error)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(error.message, "the task is failed: as it is meant to");
    soon(client.close()).await;
}

#[tokio::test]
#[ignore = "needs interop/tasks/run"]
async fn fastmcp_of_2025() {
    let (client, asked) = connect(python(".2025", "fastmcp3.py"), "2025-11-25").await;
    every_end(&client, &asked).await;
    fails_with_a_result(&client, "as it is meant to").await;
    soon(client.close()).await;
}

#[tokio::test]
#[ignore = "needs interop/tasks/run"]
async fn fastmcp_of_2026() {
    let (client, asked) = connect(python(".2026", "fastmcp4.py"), "2026-07-28").await;
    every_end(&client, &asked).await;
    fails_with_a_result(&client, "Error calling tool 'fail': as it is meant to").await;
    let refused = soon(start(&client, "refuse").await.result()).await;
    assert!(
        matches!(&refused, Err(RequestError::Refused(e)) if e.code.0 == 7 && e.message == "seven"),
        "{refused:?}"
    );
    // A call waits for the task that it has become, and takes it along when it is given up.
    for (tool, text) in [("slow", "slept"), ("ask", "Hello, Ann!")] {
        let result = soon(client.call_tool(tool, ())).await.unwrap();
        assert_eq!(result.to_text(), text);
    }
    let limit = Duration::from_millis(500);
    let held = soon(client.call_tool("hold", ()).max_total(limit)).await;
    assert_eq!(held, Err(RequestError::TimedOut(limit)));
    soon(client.close()).await;
}

/// A client whose user is Ann, and what she was asked.
async fn connect(server: ChildProcess, version: &str) -> (Client, Journal<String>) {
    let asked = Journal::new();
    let seen = asked.clone();
    let client = Client::builder("interop", "1.0.0")
        .era(EraChoice::Auto)
        .with_tasks()
        .on_elicitation(move |params| {
            seen.push(params.message().to_owned());
            std::future::ready(Ok(ElicitResult::accept(json!({ "name": "Ann" }))))
        });
    let server = server.stderr(Stderr::Null).spawn().unwrap();
    // An interpreter with much to import may take its time.
    let connecting = tokio::time::timeout(Duration::from_secs(60), client.connect(server));
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(client.server().version.as_str(), version);
    (client, asked)
}

async fn start(client: &Client, name: &str) -> TaskHandle {
    match soon(client.call_tool(name, ()).as_task()).await {
        Ok(Started::Task(task)) => task,
        other => panic!("{name}: {other:?}"),
    }
}

/// Tasks that are done, ask and are cancelled; a tool that is none, and a task that is not known.
async fn every_end(client: &Client, asked: &Journal<String>) {
    let mut slow = start(client, "slow").await;
    assert_eq!(slow.task().status, TaskState::Working);
    let again = soon(client.task(slow.id())).await.unwrap();
    assert_eq!(
        soon(slow.refresh()).await.unwrap().status,
        TaskState::Working
    );
    assert_eq!(soon(slow.result()).await.unwrap().to_text(), "slept");
    assert_eq!(soon(again.result()).await.unwrap().to_text(), "slept");
    assert_eq!(
        soon(slow.refresh()).await.unwrap().status,
        TaskState::Completed
    );

    let asking = start(client, "ask").await;
    assert_eq!(
        soon(asking.result()).await.unwrap().to_text(),
        "Hello, Ann!"
    );
    assert_eq!(asked.entries(), ["What is your name?"]);

    let mut held = start(client, "hold").await;
    soon(held.cancel()).await.unwrap();
    let cancelled = soon(held.result()).await;
    assert!(
        matches!(cancelled, Err(RequestError::Refused(_))),
        "{cancelled:?}"
    );
    assert_eq!(
        soon(held.refresh()).await.unwrap().status,
        TaskState::Cancelled
    );
    // While it is waited for.
    let held = start(client, "hold").await;
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        held.cancel().await
    };
    let (cancelled, acknowledged) = soon(async { tokio::join!(held.result(), cancel) }).await;
    acknowledged.unwrap();
    assert!(
        matches!(cancelled, Err(RequestError::Refused(_))),
        "{cancelled:?}"
    );

    match soon(client.call_tool("plain", ()).as_task()).await {
        Ok(Started::Done(result)) => assert!(result.is_error || result.to_text() == "at once"),
        Err(RequestError::Refused(_)) => {}
        other => panic!("{other:?}"),
    }
    let plain = soon(client.call_tool("plain", ())).await.unwrap();
    assert_eq!(plain.to_text(), "at once");
    let unknown = soon(client.task("unknown")).await;
    assert!(
        matches!(unknown, Err(RequestError::Refused(_))),
        "{unknown:?}"
    );
}

async fn fails_with_a_result(client: &Client, text: &str) {
    let failed = soon(start(client, "fail").await.result()).await.unwrap();
    assert!(failed.is_error, "{failed:?}");
    assert_eq!(failed.to_text(), text);
}
