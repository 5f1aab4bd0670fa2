//! How often the server allocates, for each call, log line and progress update: counts, which do not flicker as times do.
//!
//! A bound that is broken is either a mistake or a decision; a count that falls well below its bound lowers it.

use std::alloc::System;

use benches::ours;
use benches::task::{Task, Tool};
use benches::wire::{Era, OPENING, batch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 4000;

/// Allocations and reallocations for each message, once the connection has warmed up.
async fn allocations(task: Task) -> f64 {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let serving = tokio::spawn(ours::server().serve(mcp_codec::framed(server)));
    let mut input = vec![0; 64 << 10];
    if task.era == Era::Legacy {
        for line in OPENING {
            client.write_all(line.as_bytes()).await.unwrap();
        }
        answers(&mut client, &mut input, 2).await;
    }
    let calls = if task.tool.is_flood() { 1 } else { task.count };
    for first in [0, calls] {
        let batch = batch(task, first);
        let region = Region::new(GLOBAL);
        let mut start = 0;
        for ends in batch.ends.chunks(task.window) {
            let end = *ends.last().unwrap();
            client.write_all(&batch.bytes[start..end]).await.unwrap();
            start = end;
            answers(&mut client, &mut input, ends.len()).await;
        }
        let change = region.change();
        if first > 0 {
            drop(client);
            serving.await.unwrap().unwrap();
            let all = change.allocations + change.reallocations;
            return all as f64 / task.count as f64;
        }
    }
    unreachable!("the second round is measured")
}

/// Reads until there were so many answers.
async fn answers(client: &mut DuplexStream, input: &mut [u8], mut count: usize) {
    let id = b"\"id\":";
    // Of a piece that ends within a line, what is needed to find the id.
    let mut kept = 0;
    while count > 0 {
        let n = client.read(&mut input[kept..]).await.unwrap();
        assert!(n > 0, "the server went away");
        let end = kept + n;
        let found = memchr::memmem::find_iter(&input[..end], id).count();
        count -= found;
        kept = end.min(id.len() - 1);
        input.copy_within(end - kept..end, 0);
    }
}

/// One test: the counts are those of the process.
#[tokio::test]
async fn allocations_stay_within_their_bounds() {
    let mut broken = Vec::new();
    // A tenth is for buffers that grow now and then.
    for (era, tool, window, bound) in [
        (Era::Legacy, Tool::Echo, 64, 9.1),
        (Era::Legacy, Tool::Echo, 1, 9.1),
        (Era::Legacy, Tool::Sum, 64, 11.1),
        (Era::Legacy, Tool::Flood, 1, 3.1),
        (Era::Legacy, Tool::Progress, 1, 2.1),
        (Era::Modern, Tool::Echo, 64, 12.1),
        (Era::Modern, Tool::Echo, 1, 12.1),
        (Era::Modern, Tool::Sum, 64, 14.1),
        (Era::Modern, Tool::Flood, 1, 3.1),
        (Era::Modern, Tool::Progress, 1, 2.1),
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
