//! How often the server allocates, for each call, log line and progress update: counts, which do not flicker as times do.
//!
//! A bound that is broken is either a mistake or a decision; a count that falls well below its bound lowers it.

#![expect(clippy::unwrap_used, reason = "what the test shares fails as it does")]

use std::alloc::System;

use benches::served::Served;
use benches::task::{Task, Tool};
use benches::wire::{Era, batch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 4000;

/// Allocations and reallocations for each message, once the connection has warmed up.
async fn allocations(task: Task) -> f64 {
    let mut served = Served::start(task.era).await.unwrap();
    let calls = if task.tool.is_flood() { 1 } else { task.count };
    served.run(task, &batch(task, 0)).await.unwrap();
    let again = batch(task, calls);
    let region = Region::new(GLOBAL);
    served.run(task, &again).await.unwrap();
    let change = region.change();
    served.end().await.unwrap();
    let all = change.allocations + change.reallocations;
    all as f64 / task.count as f64
}

/// One test: the counts are those of the process.
#[tokio::test]
async fn allocations_stay_within_their_bounds() {
    let mut broken = Vec::new();
    for (era, tool, window, bound) in [
        (Era::Legacy, Tool::Echo, 64, 8.5),
        (Era::Legacy, Tool::Echo, 1, 8.5),
        (Era::Legacy, Tool::Sum, 64, 13.5),
        (Era::Legacy, Tool::Flood, 1, 2.5),
        (Era::Legacy, Tool::Progress, 1, 2.5),
        (Era::Modern, Tool::Echo, 64, 9.5),
        (Era::Modern, Tool::Echo, 1, 9.5),
        (Era::Modern, Tool::Sum, 64, 14.5),
        (Era::Modern, Tool::Flood, 1, 2.5),
        (Era::Modern, Tool::Progress, 1, 2.5),
    ] {
        let task = Task {
            era,
            tool,
            count: COUNT,
            window,
            bytes: 16,
        };
        let found = allocations(task).await;
        println!("{task}: {found:.2}");
        if found > bound {
            broken.push(format!("{task}: {found:.2}, at most {bound}"));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}
