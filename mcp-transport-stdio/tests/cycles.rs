//! Nothing is left behind, however often. A file of its own: it counts what the whole process holds.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_transport_stdio::{ChildProcess, Stderr};
use mcp_types::{Inbound, Message};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Running or not yet reaped.
fn children() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn many_cycles_leave_no_process_and_no_descriptor() {
    let mut before = None;
    for n in 0..60 {
        let cat = ChildProcess::new("cat").stderr(Stderr::Capture(1));
        let cat = if n % 3 == 0 {
            cat.die_with_parent()
        } else {
            cat
        };
        let mut cat = cat.spawn().unwrap();
        let ping = Message::request(n, "ping", None);
        cat.send(ping.clone().into()).await.unwrap();
        assert_eq!(cat.next().await.unwrap().unwrap(), Inbound::Message(ping));
        let mut monitor = cat.monitor();
        if n % 2 == 0 {
            cat.close().await.unwrap();
        }
        drop(cat);
        let status = monitor.wait().await.unwrap();
        assert_eq!(status.success(), n % 2 == 0);
        // The first one has also made what the runtime keeps.
        if n == 0 {
            before = Some(settled(0).await);
        }
    }
    let before = before.unwrap();
    assert_eq!(settled(before).await, before);
    assert_eq!(children(), [""; 0]);
}

/// The count once it has come down to `goal`; tasks that end close what they hold a moment later.
async fn settled(goal: usize) -> usize {
    for _ in 0..if goal == 0 { 20 } else { 2000 } {
        if descriptors() == goal {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    descriptors()
}
