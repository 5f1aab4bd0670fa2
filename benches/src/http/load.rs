//! The load: connections that are kept open, one request at a time on each, and no SDK.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::{Make, wire};
use crate::wire::Era;
use crate::{Failure, process};

/// How long anything here may take: what hangs is no figure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server's process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

/// What calls have cost.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The server's CPU time for each call, in nanoseconds.
    pub cpu: f64,
    /// Calls each second, of all connections together.
    pub rate: f64,
    /// What 99 % of the calls took at most, in nanoseconds.
    pub p99: f64,
}

impl Server {
    /// Starts `http-server` of a make.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(program: &Path, make: Make) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .arg(make.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let port = line.trim().parse()?;
        Ok(Self { child, port })
    }

    fn pid(&self) -> Result<u32, Failure> {
        Ok(self.child.id().ok_or("the server has ended")?)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.port).await
    }

    /// Calls a tool `each` times on each of so many connections, after a few times for nothing.
    ///
    /// # Errors
    /// An answer is wrong, or something takes too long.
    pub async fn calls(&self, era: Era, connections: usize, each: usize) -> Result<Calls, Failure> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut connection = self.connect().await?;
            let session = connection.begin(era).await?;
            open.push((connection, wire::call(era, session.as_deref())));
        }
        let warm = 1 + 200 / connections;
        let (open, _) = run(open, 0..warm).await?;
        let cpu = process::cpu(self.pid()?)?;
        let started = Instant::now();
        let (open, mut latencies) = run(open, warm..warm + each).await?;
        let wall = started.elapsed();
        let cpu = process::cpu(self.pid()?)? - cpu;
        drop(open);
        let count = latencies.len();
        latencies.sort_unstable();
        Ok(Calls {
            cpu: cpu as f64 / count as f64,
            rate: count as f64 / wall.as_secs_f64(),
            p99: latencies[(count * 99 / 100).min(count - 1)] as f64,
        })
    }

    /// Opens so many streams and says how many bytes of memory each takes, but for the first few.
    ///
    /// # Errors
    /// One is refused, or something takes too long.
    pub async fn streams(&self, era: Era, count: usize) -> Result<f64, Failure> {
        let mut open = Vec::with_capacity(count);
        // What all of them share is no part of it.
        let first = count.min(10);
        for _ in 0..first {
            open.push(self.stream(era).await?);
        }
        let before = process::rss(self.pid()?)?;
        for _ in first..count {
            open.push(self.stream(era).await?);
        }
        let grown = process::rss(self.pid()?)?.saturating_sub(before);
        Ok(grown as f64 * 1024.0 / (count - first).max(1) as f64)
    }

    async fn stream(&self, era: Era) -> Result<Connection, Failure> {
        let mut connection = self.connect().await?;
        let session = connection.begin(era).await?;
        let listen = wire::listen(era, session.as_deref());
        let opening = async {
            connection.stream.write_all(&listen).await?;
            let head = connection.head().await?;
            if head.status != 200 || head.length.is_some() {
                return Err(format!("no stream: {head:?}").into());
            }
            // In the modern era there is an acknowledgement, by which the server has done all it does.
            if era == Era::Modern {
                connection.chunk(&mut Vec::new()).await?;
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(PATIENCE, opening).await??;
        Ok(connection)
    }
}

type Prepared = (Connection, Vec<u8>);

/// Keeps this thread from sleeping: what wakes it would be the server's write, and cost the server what a client on
/// another machine does not.
async fn awake() -> Infallible {
    loop {
        tokio::task::yield_now().await;
    }
}

/// Makes the calls of these numbers on all connections at a time.
async fn run(
    open: Vec<Prepared>,
    numbers: std::ops::Range<usize>,
) -> Result<(Vec<Prepared>, Vec<u64>), Failure> {
    let mut tasks = JoinSet::new();
    for (mut connection, mut call) in open {
        let numbers = numbers.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(numbers.len());
            for number in numbers {
                wire::renumber(&mut call, number);
                let started = Instant::now();
                connection.stream.write_all(&call).await?;
                let (head, body) = connection.reply().await?;
                latencies.push(started.elapsed().as_nanos() as u64);
                let id = format!("\"id\":{},\"result\"", wire::FIRST + number);
                if head.status != 200 || memchr::memmem::find(&body, id.as_bytes()).is_none() {
                    let body = String::from_utf8_lossy(&body);
                    return Err(format!("not the answer: {head:?} {body}").into());
                }
            }
            Ok::<_, Failure>(((connection, call), latencies))
        });
    }
    let joined = tokio::select! {
        joined = tokio::time::timeout(PATIENCE, tasks.join_all()) => joined?,
        never = awake() => match never {},
    };
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for done in joined {
        let (prepared, latencies) = done?;
        open.push(prepared);
        all.extend(latencies);
    }
    Ok((open, all))
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

#[derive(Debug)]
struct Head {
    status: u16,
    /// Without one, the body comes in chunks.
    length: Option<usize>,
    session: Option<String>,
}

impl Connection {
    async fn open(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let buffer = BytesMut::with_capacity(1024);
        Ok(Self { stream, buffer })
    }

    /// Opens a session, if the era has any, and returns its id.
    async fn begin(&mut self, era: Era) -> Result<Option<String>, Failure> {
        if era == Era::Modern {
            return Ok(None);
        }
        let opening = async {
            self.stream.write_all(&wire::initialize()).await?;
            let (head, _) = self.reply().await?;
            let session = head.session.ok_or("no session")?;
            self.stream.write_all(&wire::initialized(&session)).await?;
            match self.reply().await?.0.status {
                202 => Ok(Some(session)),
                status => Err(format!("not initialized: {status}").into()),
            }
        };
        tokio::time::timeout(PATIENCE, opening).await?
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server went away".into()),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = response.parse(&self.buffer)? {
                let text = |name: &str| {
                    let mut headers = response.headers.iter();
                    let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
                    std::str::from_utf8(header.value).ok()
                };
                let status = response.code.unwrap_or(0);
                // Nothing follows a head that says neither.
                let chunked = text("transfer-encoding").is_some();
                let length_of_body = match text("content-length") {
                    Some(length) => Some(length.parse()?),
                    None => (!chunked).then_some(0),
                };
                let head = Head {
                    status,
                    length: length_of_body,
                    session: text("mcp-session-id").map(str::to_owned),
                };
                self.buffer.advance(length);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// Reads one chunk; false for the last one, which is empty.
    async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool, Failure> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let length = std::str::from_utf8(&self.buffer[..end])?;
                let length = usize::from_str_radix(length.trim(), 16)?;
                let whole = end + 1 + length + 2;
                while self.buffer.len() < whole {
                    self.fill().await?;
                }
                body.extend_from_slice(&self.buffer[end + 1..end + 1 + length]);
                self.buffer.advance(whole);
                return Ok(length > 0);
            }
            self.fill().await?;
        }
    }

    async fn reply(&mut self) -> Result<(Head, Vec<u8>), Failure> {
        let head = self.head().await?;
        let mut body = Vec::new();
        match head.length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.fill().await?;
                }
                body.extend_from_slice(&self.buffer[..length]);
                self.buffer.advance(length);
            }
            None => while self.chunk(&mut body).await? {},
        }
        Ok((head, body))
    }
}
