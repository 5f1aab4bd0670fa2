//! What a client is to do, and what became of it.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::wire::Era;
use crate::{Failure, process};

/// The tools that every server here has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Returns its `text`.
    Echo,
    /// Returns `a + b`.
    Sum,
    /// Logs `n` lines.
    Flood,
    /// Reports progress `n` times.
    Progress,
    /// No tool of its own: one `flood`, one `progress` and many calls of `echo` at the same time, each a third of the messages.
    Mixed,
}

impl Tool {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sum => "sum",
            Self::Flood => "flood",
            Self::Progress => "progress",
            Self::Mixed => "mixed",
        }
    }

    /// Whether one call of it makes all the messages.
    pub fn is_flood(self) -> bool {
        matches!(self, Self::Flood | Self::Progress)
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The era of its requests.
    pub era: Era,
    /// The tool that is called.
    pub tool: Tool,
    /// Calls, or notifications of one call.
    pub count: usize,
    /// Calls in flight.
    pub window: usize,
    /// Length of what is echoed, in bytes.
    pub bytes: usize,
}

impl Task {
    /// As arguments of a program.
    pub fn to_args(self) -> [String; 5] {
        [
            self.era.to_string(),
            self.tool.name().to_owned(),
            self.count.to_string(),
            self.window.to_string(),
            self.bytes.to_string(),
        ]
    }

    /// From arguments of a program.
    ///
    /// # Errors
    /// One is missing, or is not what it should be.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut next = || args.next().ok_or("era, tool, count, window, bytes");
        let era = match &*next()? {
            "legacy" => Era::Legacy,
            "modern" => Era::Modern,
            other => return Err(format!("no era: {other}").into()),
        };
        let tool = next()?;
        let tools = [
            Tool::Echo,
            Tool::Sum,
            Tool::Flood,
            Tool::Progress,
            Tool::Mixed,
        ];
        let tool = tools.into_iter().find(|t| t.name() == tool);
        Ok(Self {
            era,
            tool: tool.ok_or("no tool")?,
            count: usize::from_str(&next()?)?,
            window: usize::from_str(&next()?)?,
            bytes: usize::from_str(&next()?)?,
        })
    }

    /// Which tool each of its calls is of, and for how many messages.
    pub fn calls(self) -> Vec<(Tool, usize)> {
        let third = self.count / 3;
        match self.tool {
            Tool::Flood | Tool::Progress => vec![(self.tool, self.count)],
            Tool::Echo | Tool::Sum => vec![(self.tool, 1); self.count],
            Tool::Mixed => [(Tool::Flood, third), (Tool::Progress, third)]
                .into_iter()
                .chain((0..third).map(|_| (Tool::Echo, 1)))
                .collect(),
        }
    }

    /// What an echo is asked to return.
    pub fn text(self) -> String {
        "0123456789abcdef"
            .chars()
            .cycle()
            .take(self.bytes)
            .collect()
    }
}

/// What a program measured of itself.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// CPU time in nanoseconds, of all threads.
    pub cpu: u64,
    /// Wall time in nanoseconds.
    pub wall: u64,
    /// Messages that did not come.
    pub lost: usize,
    /// Messages that came before one that was sent earlier.
    pub disordered: usize,
    /// The most memory it has had, in KiB.
    pub rss: u64,
}

/// Starts when it is made.
#[derive(Debug)]
pub struct Watch {
    cpu: u64,
    wall: Instant,
}

impl Watch {
    /// Starts.
    #[expect(clippy::new_without_default, reason = "it starts a clock")]
    pub fn new() -> Self {
        Self {
            cpu: own_cpu(),
            wall: Instant::now(),
        }
    }

    /// Stops; a task was to be done.
    pub fn stop(self, task: Task, seen: &Seen) -> Outcome {
        Outcome {
            cpu: own_cpu() - self.cpu,
            wall: self.wall.elapsed().as_nanos() as u64,
            lost: seen.lost(task),
            disordered: seen.disordered(),
            rss: process::peak_rss(std::process::id()).unwrap_or(0),
        }
    }
}

/// CPU time of this process in nanoseconds.
fn own_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Numbers that should come one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequence {
    /// How many came.
    pub count: usize,
    /// How many were less than one before them.
    pub disordered: usize,
    next: u64,
}

impl Sequence {
    /// One has come.
    pub fn see(&mut self, number: u64) {
        self.count += 1;
        self.disordered += usize::from(number < self.next);
        self.next = self.next.max(number + 1);
    }
}

/// What has come of a task.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Lines of a flood.
    pub log: Sequence,
    /// Updates.
    pub progress: Sequence,
    /// Answers, but those that end a flood, which come whenever it ends.
    pub answers: Sequence,
}

impl Seen {
    /// Messages of a task that did not come.
    pub fn lost(&self, task: Task) -> usize {
        let to_come = task.calls().into_iter().fold([0; 3], |mut sum, (tool, n)| {
            sum[match tool {
                Tool::Flood => 0,
                Tool::Progress => 1,
                Tool::Echo | Tool::Sum | Tool::Mixed => 2,
            }] += n;
            sum
        });
        let came = [self.log, self.progress, self.answers].map(|sequence| sequence.count);
        let pairs = to_come.into_iter().zip(came);
        pairs
            .map(|(to_come, came)| to_come.saturating_sub(came))
            .sum()
    }

    /// Messages that came before one that was sent earlier.
    pub fn disordered(&self) -> usize {
        [self.log, self.progress, self.answers]
            .map(|sequence| sequence.disordered)
            .into_iter()
            .sum()
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_args().join(" "))
    }
}
