//! Load on one machine: what idle connections cost, a room of many members, and the time of a call, each beside the same wire work
//! with tokio-tungstenite and nothing else. `cargo bench -p mcp-transport-ws` prints the ratios; with `-- idle`, `-- room` or `-- call`
//! those of one part.
//!
//! Each server is a process of its own with one thread, and so is what plays all the clients; only the servers are measured.

use std::alloc::System;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use mcp_server::{Cx, Notification, Server, ServerConnection, ToolError, tool};
use mcp_transport_ws::{AcceptOptions, Listener};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<TcpStream>;

const IDLE: usize = 5000;
const MEMBERS: usize = 1000;
const MESSAGES: usize = 1000;
const CALLS: usize = 2000;
const ROUNDS: usize = 5;
/// Of calls, which are short: what disturbs one of them does not disturb the next.
const CALL_ROUNDS: usize = 10;
const TEXT: &str = "Has anybody tried the new transport? It comes back by itself.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).as_deref() {
        Some("ours") => ours().await,
        Some("raw") => raw().await,
        Some("idle") => measure_idle().await,
        Some("room") => measure_room().await,
        Some("call") => measure_call().await,
        _ => {
            measure_idle().await?;
            measure_room().await?;
            measure_call().await
        }
    }
}

async fn measure_idle() -> Result<(), Failure> {
    println!("idle: {IDLE} connections, heap of the server for each, in bytes");
    for used in [false, true] {
        let [ours, raw] = [idle("ours", used).await?, idle("raw", used).await?];
        let after = if used {
            "after a message of 64 KiB each way"
        } else {
            "after the handshake"
        };
        println!("  {after}: ours {ours}, tungstenite {raw}");
    }
    Ok(())
}

async fn measure_room() -> Result<(), Failure> {
    for burst in [1, 50] {
        println!("room: {MEMBERS} members, {MESSAGES} messages, {burst} at once");
        let mut all = [Fanout::default(); 2];
        for _ in 0..ROUNDS {
            for (all, which) in all.iter_mut().zip(["ours", "raw"]) {
                all.add(fanout(which, burst).await?);
            }
        }
        let [ours, raw] = all;
        println!(
            "  deliveries a second: ours {:.0}, tungstenite {:.0}: {:.0} %",
            ours.rate(),
            raw.rate(),
            100.0 * ours.rate() / raw.rate()
        );
        println!(
            "  CPU for each, in ns: ours {:.0}, tungstenite {:.0}: {:.2} times",
            ours.each(),
            raw.each(),
            ours.each() / raw.each()
        );
    }
    Ok(())
}

async fn measure_call() -> Result<(), Failure> {
    println!(
        "call: {CALL_ROUNDS} times {CALLS} one after the other, each with three progress notifications, in µs"
    );
    let mut all = [const { Vec::new() }; 2];
    for _ in 0..CALL_ROUNDS {
        for (all, which) in all.iter_mut().zip(["ours", "raw"]) {
            all.extend(calls(which).await?);
        }
    }
    all.iter_mut().for_each(|times| times.sort());
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let at = |times: &Vec<Duration>| {
            times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6
        };
        let [ours, raw] = all.each_ref().map(at);
        let ratio = ours / raw;
        println!("  {name}: ours {ours:.1}, tungstenite {raw:.1}: {ratio:.2} times");
    }
    Ok(())
}

/// A server in a process of its own.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    addr: String,
}

impl Process {
    fn start(which: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(which)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("piped")?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("piped")?);
        let mut addr = String::new();
        stdout.read_line(&mut addr)?;
        let addr = addr.trim().to_owned();
        Ok(Self {
            child,
            stdin,
            stdout,
            addr,
        })
    }

    /// Tells the server something, and waits for its answer.
    fn ask(&mut self, what: &str) -> Result<i64, Failure> {
        writeln!(self.stdin, "{what}")?;
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }

    /// CPU time so far, in nanoseconds.
    fn cpu(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += times.split(' ').next().ok_or("no time")?.parse::<u64>()?;
        }
        Ok(sum)
    }

    async fn connect(&self) -> Result<Socket, Failure> {
        let tcp = TcpStream::connect(&self.addr).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{}/", self.addr).into_client_request()?;
        let protocol = "mcp".parse()?;
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let mut socket = tokio_tungstenite::client_async_with_config(request, tcp, Some(small()))
            .await?
            .0;
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" },
        });
        call(&mut socket, "initialize", params).await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        socket.send(Message::text(initialized.to_string())).await?;
        Ok(socket)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So that thousands of clients fit into one process.
fn small() -> tokio_tungstenite::tungstenite::protocol::WebSocketConfig {
    tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default().read_buffer_size(4096)
}

async fn call(socket: &mut Socket, method: &str, params: Value) -> Result<(), Failure> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Message::text(request.to_string())).await?;
    while let Some(message) = socket.next().await {
        if message?.to_text()?.contains("\"id\":1") {
            return Ok(());
        }
    }
    Err("the server has closed".into())
}

async fn idle(which: &str, used: bool) -> Result<i64, Failure> {
    let mut server = Process::start(which)?;
    // The first one pays for what all share.
    let mut kept = vec![server.connect().await?];
    let before = server.ask("heap")?;
    for _ in 0..IDLE {
        let mut socket = server.connect().await?;
        if used {
            let text = "x".repeat(64 << 10);
            let params = json!({ "name": "echo", "arguments": { "text": text } });
            call(&mut socket, "tools/call", params).await?;
            // What was kept for the next large message is let go of by small ones.
            for _ in 0..4 {
                call(&mut socket, "ping", json!({})).await?;
            }
        }
        kept.push(socket);
    }
    Ok((server.ask("heap")? - before) / i64::try_from(IDLE)?)
}

/// What a room costs, on the average of some rounds.
#[derive(Clone, Copy, Default)]
struct Fanout {
    deliveries: f64,
    /// Seconds that they took.
    time: f64,
    /// CPU time of the server, in nanoseconds.
    cpu: f64,
}

impl Fanout {
    fn add(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.time += other.time;
        self.cpu += other.cpu;
    }

    /// Deliveries a second.
    fn rate(self) -> f64 {
        self.deliveries / self.time
    }

    /// CPU for each, in nanoseconds.
    fn each(self) -> f64 {
        self.cpu / self.deliveries
    }
}

async fn fanout(which: &str, burst: usize) -> Result<Fanout, Failure> {
    let mut server = Process::start(which)?;
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        let mut socket = server.connect().await?;
        call(
            &mut socket,
            "tools/call",
            json!({ "name": "join", "arguments": {} }),
        )
        .await?;
        members.push(tokio::spawn(async move {
            // From here on only bytes are counted: the clients are not what is measured.
            let tcp = socket.into_inner();
            let mut buffer = vec![0; 16 << 10];
            let mut end = Vec::new();
            while !end.windows(6).any(|window| window == b"\"last\"") {
                tcp.readable().await?;
                match tcp.try_read(&mut buffer) {
                    Ok(0) => return Err("the server has closed".into()),
                    Ok(read) => {
                        end.extend_from_slice(&buffer[..read]);
                        end.drain(..end.len().saturating_sub(32));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok::<_, Failure>(())
        }));
    }
    let (start, cpu) = (Instant::now(), server.cpu()?);
    server.ask(&format!("go {burst}"))?;
    for member in members {
        member.await??;
    }
    Ok(Fanout {
        deliveries: (MEMBERS * MESSAGES) as f64,
        time: start.elapsed().as_secs_f64(),
        cpu: (server.cpu()? - cpu) as f64,
    })
}

async fn calls(which: &str) -> Result<Vec<Duration>, Failure> {
    let server = Process::start(which)?;
    let mut socket = server.connect().await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        socket.send(Message::text(WORK)).await?;
        for _ in 0..4 {
            socket.next().await.ok_or("the server has closed")??;
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

const WORK: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"work","arguments":{},"_meta":{"progressToken":7}}}"#;

/// What a line on stdin asks for.
async fn commanded(mut go: impl AsyncFnMut(usize) -> Result<(), Failure>) -> Result<(), Failure> {
    use tokio::io::AsyncBufReadExt;
    let region = Region::new(GLOBAL);
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(burst) = line.strip_prefix("go ") {
            println!("0");
            go(burst.parse()?).await?;
        } else {
            // What the last connection still does is done by then.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let change = region.change();
            println!(
                "{}",
                change.bytes_allocated as i64 - change.bytes_deallocated as i64
            );
        }
    }
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Said {
    text: String,
}
impl Notification for Said {
    const METHOD: &'static str = "chat.message_received";
    type Params = Self;
}

fn text_of(message: usize) -> String {
    if message + 1 == MESSAGES {
        "last".to_owned()
    } else {
        TEXT.to_owned()
    }
}

async fn ours() -> Result<(), Failure> {
    async fn join(cx: Cx) -> Result<(), ToolError> {
        cx.hub().room("room").join(&cx)?;
        Ok(())
    }
    async fn work(cx: Cx) -> &'static str {
        let progress = cx.progress().total(3);
        for _ in 0..3 {
            progress.step("working").await;
        }
        "done"
    }
    let server = Server::new("bench", "1")
        .tool(tool("join", join))
        .tool(tool("work", work))
        .tool(tool("echo", |arguments: Value| {
            arguments["text"].as_str().unwrap_or_default().to_owned()
        }))
        .start();
    let room = server.hub().room("room");
    let mut listener = Listener::bind("127.0.0.1:0", AcceptOptions::new()).await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await;
            serve(&server, accepted);
        }
    });
    commanded(async |burst| {
        for message in 0..MESSAGES {
            room.send::<Said>(&Said {
                text: text_of(message),
            })
            .await?;
            if (message + 1) % burst == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    })
    .await
}

fn serve(
    server: &ServerConnection,
    accepted: mcp_transport_ws::Accepted<mcp_transport_ws::Tracked>,
) {
    tokio::spawn(server.serve_with(accepted.socket, accepted.extensions));
}

/// The same on the wire, with tokio-tungstenite as it comes: no session, no router, and messages that are known beforehand.
async fn raw() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (room, _) = broadcast::channel::<Message>(1024);
    let members = room.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tcp.set_nodelay(true);
            let room = members.subscribe();
            tokio::spawn(async move { raw_connection(tcp, room).await });
        }
    });
    commanded(async |burst| {
        for message in 0..MESSAGES {
            let said = json!({ "jsonrpc": "2.0", "method": Said::METHOD, "params": { "text": text_of(message) } });
            room.send(Message::text(said.to_string()))?;
            if (message + 1) % burst == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    })
    .await
}

#[expect(clippy::result_large_err, reason = "the other implementation's type")]
fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = HeaderValue::from_static("mcp");
    response
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    Ok(response)
}

async fn raw_connection(
    tcp: TcpStream,
    mut room: broadcast::Receiver<Message>,
) -> Result<(), Failure> {
    let mut socket = tokio_tungstenite::accept_hdr_async(tcp, choose).await?;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1,"total":3,"message":"working"}}"#;
    let done = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"done"}]}}"#;
    loop {
        tokio::select! {
            request = socket.next() => {
                let request = request.ok_or("closed")??;
                let Message::Text(request) = request else { continue };
                if request.as_str() == WORK {
                    for _ in 0..3 {
                        socket.feed(Message::text(progress)).await?;
                    }
                    socket.send(Message::text(done)).await?;
                } else if request.len() > 1000 {
                    socket.send(Message::Text(request)).await?;
                } else if request.contains("\"id\"") {
                    socket.send(Message::text(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).await?;
                }
            }
            said = room.recv() => {
                socket.feed(said?).await?;
                while let Ok(said) = room.try_recv() {
                    socket.feed(said).await?;
                }
                socket.flush().await?;
            }
        }
    }
}
