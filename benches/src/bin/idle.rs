//! What connections cost on the heap that have been opened, used once and left: `idle floor|ours|rmcp legacy|modern [HOW MANY]`.

use std::alloc::System;

use benches::task::{Task, Tool};
use benches::wire::{Era, OPENING, batch};
use benches::{Failure, floor, ours, theirs};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the pipe of a connection holds, in bytes; it is no part of what is measured.
const PIPE: usize = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let which = args.next().ok_or("floor, ours or rmcp?")?;
    let era = match args.next().as_deref() {
        Some("legacy") => Era::Legacy,
        Some("modern") => Era::Modern,
        _ => return Err("legacy or modern?".into()),
    };
    let connections = args.next().map_or(Ok(1000), |n| n.parse())?;
    let server = ours::server().start();
    let mut kept = Vec::with_capacity(connections + 1);
    // The first one pays for what all share.
    kept.push(connection(&which, era, &server).await?);
    let region = Region::new(GLOBAL);
    for _ in 0..connections {
        kept.push(connection(&which, era, &server).await?);
    }
    let with_pipes = in_use(&region);
    let region = Region::new(GLOBAL);
    let mut pipes = Vec::with_capacity(connections);
    let vector = in_use(&region);
    for _ in 0..connections {
        let (mut left, mut right) = tokio::io::duplex(PIPE);
        transfer(&mut left, &mut right, era).await?;
        pipes.push((left, right));
    }
    let pipes_alone = in_use(&region) - vector;
    drop(kept);
    println!("{}", (with_pipes - pipes_alone) / connections as isize);
    Ok(())
}

fn in_use(region: &Region<'_, System>) -> isize {
    let change = region.change();
    change.bytes_allocated as isize - change.bytes_deallocated as isize
}

async fn connection(
    which: &str,
    era: Era,
    server: &mcp_server::ServerConnection,
) -> Result<DuplexStream, Failure> {
    let (left, right) = tokio::io::duplex(PIPE);
    match which {
        "ours" => {
            let connection = server.connect(mcp_codec::framed(right))?;
            // With its last handle a connection closes.
            let serve = async move { (connection.driver.await, connection.peer) };
            drop(tokio::spawn(serve));
        }
        "rmcp" => drop(tokio::spawn(theirs::serve(right))),
        _ => {
            let (read, write) = tokio::io::split(right);
            drop(tokio::spawn(floor::serve(read, write)));
        }
    }
    let mut client = BufReader::with_capacity(256, left);
    let mut line = String::new();
    for request in requests(era) {
        client.get_mut().write_all(&request).await?;
        if request.windows(4).any(|w| w == b"\"id\"") {
            line.clear();
            client.read_line(&mut line).await?;
        }
    }
    // Whatever is to be done after the answer.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Ok(client.into_inner())
}

/// The same bytes through the same kind of pipe, with nobody at either end.
async fn transfer(
    left: &mut DuplexStream,
    right: &mut DuplexStream,
    era: Era,
) -> Result<(), Failure> {
    for request in requests(era) {
        let mut received = vec![0; request.len()];
        left.write_all(&request).await?;
        right.read_exact(&mut received).await?;
        right.write_all(&request).await?;
        left.read_exact(&mut received).await?;
    }
    Ok(())
}

fn requests(era: Era) -> Vec<Vec<u8>> {
    let task = Task {
        era,
        tool: Tool::Echo,
        count: 1,
        window: 1,
        bytes: 16,
    };
    let opening = OPENING.iter().filter(|_| era == Era::Legacy);
    opening
        .map(|line| line.as_bytes().to_vec())
        .chain([batch(task, 1).bytes])
        .collect()
}
