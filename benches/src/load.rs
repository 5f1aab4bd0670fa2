//! The load generator: lines in, lines out, one thread, no SDK.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use memchr::{memchr, memmem};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::Failure;
use crate::process;
use crate::task::{Outcome, Sequence, Task, Tool};
use crate::wire::{Batch, Era, OPENING, batch};

/// A server's process, and the pipes to it.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    input: Vec<u8>,
    /// What of `input` has not been looked at.
    start: usize,
    end: usize,
    /// So much behind `start` holds no line end.
    searched: usize,
}

/// What was measured of a server.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The server's CPU time, and the wall time.
    pub outcome: Outcome,
    /// How long each answer took in nanoseconds, if they were waited for one by one.
    pub latencies: Vec<u64>,
    /// Peak memory in KiB.
    pub rss: u64,
}

/// Calls before the clock starts.
const WARM_UP: usize = 200;

impl Load {
    /// Starts a server.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, args: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // These are flags of this end of the pipes only.
        fcntl_setfl(&stdin, fcntl_getfl(&stdin)? | OFlags::NONBLOCK)?;
        fcntl_setfl(&stdout, fcntl_getfl(&stdout)? | OFlags::NONBLOCK)?;
        Ok(Self {
            child,
            stdin,
            stdout,
            input: vec![0; 256 << 10],
            start: 0,
            end: 0,
            searched: 0,
        })
    }

    /// Shakes hands, if the era does.
    ///
    /// # Errors
    /// The server goes away or refuses.
    pub fn open(&mut self, era: Era) -> Result<(), Failure> {
        if era == Era::Legacy {
            for line in OPENING {
                let answers = usize::from(line.contains("\"id\""));
                let batch = Batch {
                    bytes: line.as_bytes().to_vec(),
                    ends: vec![line.len()],
                };
                self.run(&batch, 1, answers, &mut |line| {
                    memmem::find(line, b"\"result\"").is_some()
                })?;
            }
        }
        Ok(())
    }

    /// Measures a task on a connection that is open.
    ///
    /// # Errors
    /// The server goes away, or answers with an error.
    pub fn measure(&mut self, task: Task) -> Result<Measured, Failure> {
        let warm_up = Task {
            tool: Tool::Echo,
            count: WARM_UP,
            window: 8,
            bytes: 16,
            ..task
        };
        self.calls(warm_up, 0)?;
        let large = Task {
            count: task.count.min(3),
            window: task.window.min(3),
            ..task
        };
        self.calls(large, WARM_UP)?;
        self.calls(task, WARM_UP + 3)
    }

    fn calls(&mut self, task: Task, first: usize) -> Result<Measured, Failure> {
        let batch = batch(task, first);
        let pid = self.child.id();
        let mut seen = Sequence::default();
        let mut wrong: Option<String> = None;
        let mut latencies = Vec::new();
        let mut answered = vec![false; batch.ends.len()];
        let cpu = process::cpu(pid)?;
        let started = Instant::now();
        let mut last = started;
        let flood = task.tool.is_flood();
        self.run(
            &batch,
            task.window,
            batch.ends.len(),
            &mut |line| match read(line, task.tool) {
                Line::Notification(number) => {
                    seen.see(number);
                    false
                }
                Line::Answer(id) => {
                    let fresh = (id as usize)
                        .checked_sub(first)
                        .and_then(|at| answered.get_mut(at))
                        .is_some_and(|answered| !std::mem::replace(answered, true));
                    if !fresh || (task.tool == Tool::Echo && line.len() < task.bytes) {
                        wrong.get_or_insert_with(|| excerpt(line));
                    }
                    if !flood {
                        seen.see(id);
                    }
                    if task.window == 1 {
                        let now = Instant::now();
                        latencies.push((now - last).as_nanos() as u64);
                        last = now;
                    }
                    true
                }
                Line::Other => {
                    wrong.get_or_insert_with(|| excerpt(line));
                    true
                }
            },
        )?;
        let wall = started.elapsed().as_nanos() as u64;
        if let Some(line) = wrong {
            return Err(format!("unexpected: {line}").into());
        }
        Ok(Measured {
            outcome: Outcome {
                cpu: process::cpu(pid)? - cpu,
                wall,
                lost: task.count.saturating_sub(seen.count),
                disordered: seen.disordered,
            },
            latencies,
            rss: process::peak_rss(pid)?,
        })
    }

    /// Writes the lines of a batch, no more than `window` of them unanswered, until there are so many answers.
    ///
    /// `see` is given each line that comes, and says whether it is an answer.
    fn run(
        &mut self,
        batch: &Batch,
        window: usize,
        answers: usize,
        see: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Failure> {
        let (mut written, mut answered) = (0, 0);
        loop {
            let until = batch.ends[(answered + window).min(batch.ends.len()) - 1];
            let mut idle = true;
            if written < until
                && let Some(n) = unblocked(self.stdin.write(&batch.bytes[written..until]))?
            {
                written += n;
                idle = false;
            }
            if let Some(n) = unblocked(self.stdout.read(&mut self.input[self.end..]))? {
                if n == 0 {
                    return Err("the server went away".into());
                }
                self.end += n;
                idle = false;
                self.lines(&mut |line| answered += usize::from(see(line)));
            }
            if answered >= answers && written == batch.bytes.len() {
                return Ok(());
            }
            if idle {
                let mut fds = [
                    PollFd::new(&self.stdout, PollFlags::IN),
                    PollFd::new(&self.stdin, PollFlags::OUT),
                ];
                let fds = if written < until {
                    &mut fds[..]
                } else {
                    &mut fds[..1]
                };
                poll(fds, None)?;
            }
        }
    }

    fn lines(&mut self, see: &mut dyn FnMut(&[u8])) {
        while let Some(at) = memchr(b'\n', &self.input[self.start + self.searched..self.end]) {
            let end = self.start + self.searched + at;
            see(&self.input[self.start..end]);
            self.start = end + 1;
            self.searched = 0;
        }
        self.searched = self.end - self.start;
        self.input.copy_within(self.start..self.end, 0);
        self.end -= std::mem::take(&mut self.start);
        if self.end == self.input.len() {
            self.input.resize(2 * self.input.len(), 0);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the start of the process to the first answer, in nanoseconds of wall time and of the server's CPU time.
///
/// # Errors
/// There is no answer.
pub fn cold_start(program: &Path, args: &[&str], era: Era) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut load = Load::start(program, args)?;
    let batch = match era {
        Era::Legacy => Batch {
            bytes: OPENING[0].as_bytes().to_vec(),
            ends: vec![OPENING[0].len()],
        },
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
    load.run(&batch, 1, 1, &mut |line| {
        memmem::find(line, b"\"result\"").is_some()
    })?;
    let wall = started.elapsed().as_nanos() as u64;
    Ok(Outcome {
        cpu: process::cpu(load.child.id())?,
        wall,
        lost: 0,
        disordered: 0,
    })
}

fn unblocked(n: io::Result<usize>) -> io::Result<Option<usize>> {
    match n {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

enum Line {
    /// With its place in the sequence.
    Notification(u64),
    Answer(u64),
    Other,
}

/// What a line is, found without parsing all of it: the generator has to be faster than what it measures.
fn read(line: &[u8], tool: Tool) -> Line {
    let id = b"{\"jsonrpc\":\"2.0\",\"id\":";
    if let Some(rest) = line.strip_prefix(id)
        && let Some((id, rest)) = digits(rest)
        && rest.starts_with(b",\"result\":")
    {
        return Line::Answer(id);
    }
    let before: &[u8] = match tool {
        Tool::Flood => b"\"line ",
        _ => b"\"progress\":",
    };
    let number = memmem::find(line, before).and_then(|at| digits(&line[at + before.len()..]));
    match number {
        Some((number, _)) => Line::Notification(number),
        None => Line::Other,
    }
}

fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let number = digits
        .iter()
        .fold(0u64, |n, b| n.wrapping_mul(10) + u64::from(b - b'0'));
    (len > 0).then_some((number, rest))
}

fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned()
}
