//! What a message to a room costs for each member, against a floor that writes the same lines: `rooms [members] [messages]`.
//!
//! All ends are in one process and on one thread, over Unix sockets: reading costs both the same. The floor is a bounded
//! channel and a task for each member, which writes all that it finds in the channel at once.

use std::time::{Duration, Instant};

use benches::Failure;
use benches::wire::OPENING;
use mcp_server::types::Notification;
use mcp_server::{Cx, RoomOptions, Server, ToolError, WhenFull, tool};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Serialize, Deserialize)]
struct Said {
    by: String,
    text: String,
    number: u64,
}

impl Notification for Said {
    const METHOD: &'static str = "chat.said";
    type Params = Self;
}

fn said(number: u64) -> Said {
    Said {
        by: "somebody".to_owned(),
        text: "A line of a chat, neither very short nor very long, as people write them."
            .to_owned(),
        number,
    }
}

/// Messages that wait for one member at most.
const QUEUE: usize = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(Ok(default), |arg| arg.parse::<u64>());
    let (members, messages) = (number(100)?, number(10_000)?);
    println!("{members} members, {messages} messages; ns for each delivery");
    let per = |time: Duration| time.as_nanos() as f64 / (members * messages) as f64;
    for round in 1..=5 {
        let (floor, ours) = (
            floor(members, messages).await?,
            ours(members, messages).await?,
        );
        let ratio = floor.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{round}: floor {:.0}, ours {:.0}: {:.0} % of the floor's rate",
            per(floor),
            per(ours),
            ratio * 100.0
        );
    }
    Ok(())
}

async fn floor(members: u64, messages: u64) -> Result<Duration, Failure> {
    let mut senders = Vec::new();
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..members {
        let (mut server, client) = UnixStream::pair()?;
        let (sender, mut receiver) = mpsc::channel::<bytes::Bytes>(QUEUE);
        writers.spawn(async move {
            let mut output = Vec::new();
            while let Some(line) = receiver.recv().await {
                output.extend_from_slice(&line);
                while let Ok(line) = receiver.try_recv() {
                    output.extend_from_slice(&line);
                }
                server.write_all(&output).await?;
                output.clear();
            }
            Ok::<_, std::io::Error>(())
        });
        readers.spawn(read(client, messages));
        senders.push(sender);
    }
    let began = Instant::now();
    for number in 0..messages {
        let params = serde_json::to_string(&said(number))?;
        let method = Said::METHOD;
        let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}\n");
        let line = bytes::Bytes::from(line);
        for sender in &senders {
            // A send that awaits yields now and then, however much room there is: the writers would write less at a time.
            if let Err(mpsc::error::TrySendError::Full(line)) = sender.try_send(line.clone()) {
                sender.send(line).await?;
            }
        }
    }
    drop(senders);
    while let Some(read) = readers.join_next().await {
        read??;
    }
    Ok(began.elapsed())
}

async fn join(cx: Cx) -> Result<(), ToolError> {
    cx.hub().room("lobby").join(&cx)?;
    Ok(())
}

async fn ours(members: u64, messages: u64) -> Result<Duration, Failure> {
    let mut options = RoomOptions::default();
    (options.when_full, options.messages) = (WhenFull::Wait, QUEUE);
    let server = Server::new("rooms", "1.0.0")
        .rooms(options)
        .tool(tool("join", join))
        .start();
    let (mut readers, mut kept) = (JoinSet::new(), Vec::new());
    for _ in 0..members {
        let (ours, mut client) = UnixStream::pair()?;
        let connection = server.connect(mcp_codec::framed(ours))?;
        tokio::spawn(connection.driver);
        kept.push(connection.peer);
        for line in OPENING {
            client.write_all(line.as_bytes()).await?;
        }
        let call =
            r#"{"jsonrpc":"2.0","id":"join","method":"tools/call","params":{"name":"join"}}"#;
        client.write_all(format!("{call}\n").as_bytes()).await?;
        let mut input = Vec::new();
        while !input.ends_with(b"\n") || !input.windows(6).any(|text| text == b"\"join\"") {
            client.read_buf(&mut input).await?;
        }
        readers.spawn(read(client, messages));
    }
    let lobby = server.hub().room("lobby");
    if lobby.members().len() as u64 != members {
        return Err("not everybody is in".into());
    }
    let began = Instant::now();
    for number in 0..messages {
        lobby.send::<Said>(&said(number)).await?;
    }
    while let Some(read) = readers.join_next().await {
        read??;
    }
    Ok(began.elapsed())
}

/// Reads so many lines.
async fn read(mut from: UnixStream, mut lines: u64) -> Result<(), Failure> {
    let mut input = vec![0; 64 * 1024];
    while lines > 0 {
        let n = from.read(&mut input).await?;
        if n == 0 {
            return Err("a member lost its connection".into());
        }
        lines -= memchr::memchr_iter(b'\n', &input[..n]).count() as u64;
    }
    Ok(())
}
