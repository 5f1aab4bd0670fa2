//! Does one thing so many times, for callgrind to count its instructions: `instructions WHAT COUNT`.
//!
//! `benches/count` runs it with two counts and takes the difference, so that what is done once does not show.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use benches::http::{servers, wire};
use benches::served::Served;
use benches::task::{Task, Tool};
use benches::wire::{Era, batch};
use benches::{Failure, ours};
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use mcp_client::Client;
use mcp_codec::LineCodec;
use mcp_peer::session::{
    CallKey, CallOptions, ClientConfig, EraChoice, Event, Limits, ServerConfig, Session,
};
use mcp_peer::types::{Implementation, Inbound, Message, ObjectBuf, RawJson};
use mcp_server::{ServerConnection, tool};

/// Calls that are written once, whatever the count, which is a multiple of it.
const BATCH: usize = 500;

/// What can be counted; the first four without any connection. Those with a number are a client's calls among so many that wait for
/// their answers, and on so many connections in turn.
const NAMES: [&str; 19] = [
    "decode",
    "encode",
    "session-legacy",
    "session-modern",
    "echo-legacy",
    "echo-modern",
    "sum-legacy",
    "sum-modern",
    "log-legacy",
    "log-modern",
    "progress-legacy",
    "pair-legacy",
    "pair-modern",
    "waiting-1-modern",
    "waiting-10000-modern",
    "connections-1-modern",
    "connections-1000-modern",
    "http-legacy",
    "http-modern",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let Some(what) = args.next() else {
        println!("{}", NAMES.join("\n"));
        return Ok(());
    };
    let count: usize = args.next().ok_or("how many times?")?.parse()?;
    let era = match what.ends_with("-modern") {
        true => Era::Modern,
        false => Era::Legacy,
    };
    let tool = match what.split('-').next() {
        Some("sum") => Tool::Sum,
        Some("log") => Tool::Flood,
        Some("progress") => Tool::Progress,
        _ => Tool::Echo,
    };
    let task = Task {
        era,
        tool,
        count,
        window: 64,
        bytes: 16,
    };
    match what.split('-').next() {
        Some("decode") => decode(task),
        Some("encode") => encode(count),
        Some("session") => session(task),
        Some("waiting") => waiting(number(&what)?, count).await?,
        Some("http") => http(era, count).await?,
        Some("connections") => connections(number(&what)?, count).await?,
        Some("pair") => {
            let (left, right) = mcp_peer::duplex(64);
            tokio::spawn(ours::server().serve(right));
            let outcome = ours::call(left, task).await?;
            assert_eq!(outcome.lost, 0);
        }
        _ => {
            let calls = Task {
                count: BATCH,
                ..task
            };
            let batch = batch(if tool.is_flood() { task } else { calls }, 0);
            let mut served = Served::start(era).await?;
            for _ in 0..if tool.is_flood() { 1 } else { count / BATCH } {
                served.run(task, &batch).await?;
            }
            served.end().await?;
        }
    }
    Ok(())
}

/// Lines become messages.
fn decode(task: Task) {
    let lines = batch(
        Task {
            count: BATCH,
            ..task
        },
        0,
    )
    .bytes;
    let mut codec = LineCodec::new();
    for _ in 0..task.count / BATCH {
        let mut buffer = BytesMut::from(&lines[..]);
        while let Some(inbound) = codec.read(&mut buffer) {
            black_box(inbound);
        }
    }
}

/// Messages become lines.
fn encode(count: usize) {
    let result = RawJson::parse(r#"{"content":[{"type":"text","text":"0123456789abcdef"}]}"#);
    let Ok(result) = result else { return };
    let mut codec = LineCodec::new();
    let mut buffer = BytesMut::with_capacity(4096);
    for id in 0..count {
        let message = Message::result(id as i64, result.clone());
        codec.write(&message, &mut buffer);
        if buffer.len() > 2048 {
            black_box(&buffer);
            buffer.clear();
        }
    }
}

/// A call from one session to another, as values.
fn session(task: Task) {
    let now = Instant::now();
    let mut config = ClientConfig::new(Implementation::new("bench", "1.0.0"));
    config.era = match task.era {
        Era::Legacy => EraChoice::Legacy,
        Era::Modern => EraChoice::Modern,
    };
    let mut client = Session::client(config, now);
    let mut server = Session::server(ServerConfig::new(Implementation::new("bench", "1.0.0")));
    let mut result = ObjectBuf::new();
    result.insert_raw("content", &RawJson::EMPTY_OBJECT);
    // The first turns are those of the handshake.
    for turn in 0..task.count + 4 {
        if turn >= 4 {
            let mut params = ObjectBuf::new();
            params.insert_raw("arguments", &RawJson::EMPTY_OBJECT);
            let key = CallKey(turn as u64);
            let called = client.call(
                now,
                key,
                "tools/call".into(),
                params,
                CallOptions::default(),
            );
            assert!(called.is_ok(), "{called:?}");
        }
        while let Some(out) = client.poll_transmit() {
            server.handle_inbound(now, Inbound::Message(out.message));
        }
        while let Some(event) = server.poll_event() {
            if let Event::Request(incoming) = event {
                let answered = server.respond(now, incoming.key, Ok(result.clone()));
                assert!(answered.is_ok(), "{answered:?}");
            }
        }
        while let Some(out) = server.poll_transmit() {
            client.handle_inbound(now, Inbound::Message(out.message));
        }
        while let Some(event) = client.poll_event() {
            black_box(event);
        }
    }
}

/// The number within a name.
fn number(what: &str) -> Result<usize, Failure> {
    let number = what.split('-').nth(1).ok_or("how many?")?;
    Ok(number.parse()?)
}

/// A client of a server in memory; both have time, which runs slowly here, and room for all calls.
async fn connect(server: &ServerConnection) -> Result<Client, Failure> {
    let (left, right) = mcp_peer::duplex(64);
    tokio::spawn(server.serve(right));
    let client = Client::builder("bench", "1.0.0").era(EraChoice::Modern);
    Ok(client.limits(limits()).connect(left).await?)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.incoming_requests = 20_000;
    limits.request_timeout = limits.request_total;
    limits
}

async fn echo(client: &Client) -> Result<(), Failure> {
    let text = serde_json::json!({ "text": "0123456789abcdef" });
    black_box(client.call_tool("echo", text).await?);
    Ok(())
}

/// Calls one after the other, while others wait for their answers.
async fn waiting(others: usize, count: usize) -> Result<(), Failure> {
    let begun = Arc::new(AtomicUsize::new(0));
    let wait = {
        let begun = Arc::clone(&begun);
        move || {
            begun.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>()
        }
    };
    let server = ours::server().tool(tool("wait", wait));
    let client = connect(&server.limits(limits()).start()).await?;
    for _ in 0..others {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("wait", serde_json::json!({})).await });
    }
    while begun.load(Ordering::Relaxed) < others {
        tokio::task::yield_now().await;
    }
    for _ in 0..count {
        echo(&client).await?;
    }
    Ok(())
}

/// Calls over HTTP, but for what hyper and sockets do.
async fn http(era: Era, count: usize) -> Result<(), Failure> {
    let service = TowerToHyperService::new(servers::service());
    let ask = async |bytes: &[u8]| -> Result<Option<String>, Failure> {
        let response = service.call(wire::request(bytes)?).await?;
        if !response.status().is_success() {
            return Err(response.status().to_string().into());
        }
        let session = response.headers().get("mcp-session-id");
        let session = session.map(|id| id.to_str().map(str::to_owned));
        black_box(response.into_body().collect().await?);
        Ok(session.transpose()?)
    };
    let mut session = None;
    if era == Era::Legacy {
        session = ask(&wire::initialize()).await?;
        let id = session.as_deref().ok_or("no session")?;
        ask(&wire::initialized(id)).await?;
    }
    let mut call = wire::call(era, session.as_deref());
    for id in 0..count {
        wire::renumber(&mut call, id);
        ask(&call).await?;
    }
    Ok(())
}

/// Calls one after the other, each on the next connection.
async fn connections(connections: usize, count: usize) -> Result<(), Failure> {
    let server = ours::server().start();
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(connect(&server).await?);
    }
    for client in clients.iter().cycle().take(count) {
        echo(client).await?;
    }
    Ok(())
}
