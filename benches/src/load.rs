//! The load generator: messages in, messages out, one thread, no SDK.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use memchr::memmem;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::Failure;
use crate::process;
use crate::task::{Outcome, Seen, Task, Tool};
use crate::wire::{Batch, Era, OPENING, batch};

mod end;
mod events;
mod frame;
mod line;

use end::{End, Turn};
use events::Events;
use frame::Framing;
use line::Line;

/// What a server is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Its standard input and output.
    Stdio,
    /// Unix sockets.
    Unix,
    /// WebSockets over TCP.
    Ws,
}

/// When a connection's next calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// With each answer, the next.
    Steady,
    /// When all are answered, the whole next window in one write: so that a server reads as many at a time however many
    /// connections it has.
    Bursts,
}

/// A server's process, and the connections to it.
#[derive(Debug)]
pub struct Load {
    child: Child,
    ends: Vec<End>,
    events: Events,
    framing: Framing,
    /// The socket's file, which a server that is killed leaves behind.
    file: Option<PathBuf>,
}

/// What was measured of a server.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The server's CPU time and peak memory, and the wall time.
    pub outcome: Outcome,
    /// How long each answer took in nanoseconds, if they were waited for one by one.
    pub latencies: Vec<u64>,
}

/// What is to be written on each connection, and what is to come.
struct Plan<'a> {
    batch: &'a Batch,
    window: usize,
    pace: Pace,
    answers: usize,
}

/// Calls before the clock starts.
const WARM_UP: usize = 200;
/// What is read at a time, in bytes, of all connections together.
const INPUT: usize = 4 << 20;

impl Load {
    /// Starts a server, and connects so many times; over stdio that is once.
    ///
    /// # Errors
    /// It does not start, or does not listen.
    pub fn start(
        program: &Path,
        args: &[&str],
        link: Link,
        connections: usize,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let file = (link == Link::Unix).then(socket_file);
        match (link, &file) {
            (Link::Ws, _) => drop(command.args(["--ws", "127.0.0.1:0"])),
            (_, Some(file)) => drop(command.arg("--unix").arg(file)),
            (_, None) => {}
        }
        if link != Link::Stdio {
            // The server inherits it.
            raise_descriptors();
        }
        let child = command.spawn()?;
        let framing = match link {
            Link::Ws => Framing::WebSocket,
            Link::Stdio | Link::Unix => Framing::Lines,
        };
        let mut load = Self {
            child,
            ends: Vec::with_capacity(connections),
            events: Events::new()?,
            framing,
            file,
        };
        load.connect(link, connections)?;
        Ok(load)
    }

    fn connect(&mut self, link: Link, connections: usize) -> Result<(), Failure> {
        let stdin = self.child.stdin.take().ok_or("no stdin")?;
        let stdout = self.child.stdout.take().ok_or("no stdout")?;
        if link == Link::Stdio {
            return self.add(stdin.into(), stdout.into(), 256 << 10);
        }
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        let address = address.trim_end();
        let buffer = (INPUT / connections.max(1)).clamp(8 << 10, 256 << 10);
        for _ in 0..connections {
            let stream = match link {
                Link::Ws => {
                    let mut tcp = TcpStream::connect(address)?;
                    tcp.set_nodelay(true)?;
                    frame::upgrade(&mut tcp, address)?;
                    tcp.into()
                }
                Link::Stdio | Link::Unix => UnixStream::connect(address)?.into(),
            };
            let stream: std::os::fd::OwnedFd = stream;
            self.add(stream.try_clone()?, stream, buffer)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        writer: std::os::fd::OwnedFd,
        reader: std::os::fd::OwnedFd,
        buffer: usize,
    ) -> Result<(), Failure> {
        let end = End::new(reader, writer, self.framing, buffer)?;
        self.events.add(self.ends.len(), &end)?;
        self.ends.push(end);
        Ok(())
    }

    /// Shakes hands on every connection, if the era does.
    ///
    /// # Errors
    /// The server goes away or refuses.
    pub fn open(&mut self, era: Era) -> Result<(), Failure> {
        if era == Era::Legacy {
            for line in OPENING {
                let mut batch = Batch::default();
                batch.push(line.as_bytes());
                let answers = usize::from(line.contains("\"id\""));
                self.run(batch, 1, Pace::Steady, answers, &mut |_, line| {
                    memmem::find(line, b"\"result\"").is_some()
                })?;
            }
        }
        Ok(())
    }

    /// Measures a task, done on each of the connections, which are open.
    ///
    /// # Errors
    /// The server goes away, or answers with an error.
    pub fn measure(&mut self, task: Task, pace: Pace) -> Result<Measured, Failure> {
        let warm_up = Task {
            tool: Tool::Echo,
            count: WARM_UP.div_ceil(self.ends.len()).max(8),
            window: 8,
            bytes: 16,
            ..task
        };
        self.calls(warm_up, pace, 0)?;
        let few = Task {
            count: task.count.min(3),
            window: task.window.min(3),
            ..task
        };
        self.calls(few, pace, warm_up.count)?;
        self.calls(task, pace, warm_up.count + 3)
    }

    fn calls(&mut self, task: Task, pace: Pace, first: usize) -> Result<Measured, Failure> {
        let calls = task.calls();
        let pid = self.child.id();
        let mut came = vec![Came::new(calls.len()); self.ends.len()];
        let mut wrong: Option<String> = None;
        let mut latencies = Vec::new();
        let one_by_one = task.window == 1 && self.ends.len() == 1;
        let batch = batch(task, first);
        let cpu = process::cpu(pid)?;
        let started = Instant::now();
        let mut last = started;
        self.run(batch, task.window, pace, calls.len(), &mut |end, line| {
            let came = &mut came[end];
            match line::read(line) {
                Line::Log(number) => came.seen.log.see(number),
                Line::Progress(number) => came.seen.progress.see(number),
                Line::Answer(id) => {
                    let call = (id as usize).wrapping_sub(first);
                    let fresh = came.answer(call, calls.get(call).map(|(tool, _)| *tool));
                    if !fresh || (task.tool == Tool::Echo && line.len() < task.bytes) {
                        wrong.get_or_insert_with(|| excerpt(line));
                    }
                    if one_by_one {
                        let now = Instant::now();
                        latencies.push((now - last).as_nanos() as u64);
                        last = now;
                    }
                    return true;
                }
                Line::Other => {
                    wrong.get_or_insert_with(|| excerpt(line));
                    return true;
                }
            }
            false
        })?;
        let wall = started.elapsed().as_nanos() as u64;
        if let Some(line) = wrong {
            return Err(format!("unexpected: {line}").into());
        }
        Ok(Measured {
            outcome: Outcome {
                cpu: process::cpu(pid)? - cpu,
                wall,
                lost: came.iter().map(|came| came.seen.lost(task)).sum(),
                disordered: came.iter().map(|came| came.seen.disordered()).sum(),
                rss: process::peak_rss(pid)?,
            },
            latencies,
        })
    }

    /// Writes the messages of a batch on each connection, no more than `window` of them unanswered, until there are so many
    /// answers.
    ///
    /// `see` is given each message that comes, and says whether it is an answer.
    fn run(
        &mut self,
        lines: Batch,
        window: usize,
        pace: Pace,
        answers: usize,
        see: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> Result<(), Failure> {
        let plan = Plan {
            batch: &self.framing.frame(lines),
            window,
            pace,
            answers,
        };
        for end in &mut self.ends {
            end.begin();
        }
        let mut open = self.ends.len();
        let mut ready: Vec<usize> = (0..open).collect();
        let mut still = Vec::with_capacity(open);
        while open > 0 {
            if ready.is_empty() {
                self.events.wait(&mut ready)?;
            }
            for at in ready.drain(..) {
                let end = &mut self.ends[at];
                let was_done = end.is_done(&plan);
                match end.turn(&plan, &mut |message| see(at, message))? {
                    Turn::Moved => still.push(at),
                    Turn::Waiting { for_room: true } => self.events.want_room(at, end)?,
                    Turn::Waiting { for_room: false } => {}
                }
                open -= usize::from(!was_done && end.is_done(&plan));
            }
            std::mem::swap(&mut ready, &mut still);
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.file {
            // The server may have removed it, or may never have made it.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// What came on one connection.
#[derive(Clone)]
struct Came {
    seen: Seen,
    answered: Vec<bool>,
}

impl Came {
    fn new(calls: usize) -> Self {
        Self {
            seen: Seen::default(),
            answered: vec![false; calls],
        }
    }

    /// Whether it is the first answer to a call that was made.
    fn answer(&mut self, call: usize, tool: Option<Tool>) -> bool {
        if tool.is_some_and(|tool| !tool.is_flood()) {
            self.seen.answers.see(call as u64);
        }
        let answered = self.answered.get_mut(call);
        answered.is_some_and(|answered| !std::mem::replace(answered, true))
    }
}

/// From the start of the process to the first answer, in nanoseconds of wall time and of the server's CPU time.
///
/// # Errors
/// There is no answer.
pub fn cold_start(program: &Path, args: &[&str], era: Era) -> Result<Outcome, Failure> {
    let first = match era {
        Era::Legacy => {
            let mut batch = Batch::default();
            batch.push(OPENING[0].as_bytes());
            batch
        }
        Era::Modern => batch(
            Task {
                era,
                tool: Tool::Sum,
                count: 1,
                window: 1,
                bytes: 0,
            },
            1,
        ),
    };
    let started = Instant::now();
    let mut load = Load::start(program, args, Link::Stdio, 1)?;
    load.run(first, 1, Pace::Steady, 1, &mut |_, line| {
        memmem::find(line, b"\"result\"").is_some()
    })?;
    let wall = started.elapsed().as_nanos() as u64;
    Ok(Outcome {
        cpu: process::cpu(load.child.id())?,
        wall,
        ..Outcome::default()
    })
}

/// A path for a socket that no other process uses.
fn socket_file() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("bench-{}-{count}", std::process::id()))
}

/// Lets this process, and those that it starts, open as many descriptors as the system allows.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it fails, so does what needs them, and says why.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned()
}
