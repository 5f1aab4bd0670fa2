//! What a client is to do, and what became of it.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::wire::Era;

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
}

impl Tool {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sum => "sum",
            Self::Flood => "flood",
            Self::Progress => "progress",
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
        let tool = [Tool::Echo, Tool::Sum, Tool::Flood, Tool::Progress]
            .into_iter()
            .find(|t| t.name() == tool);
        Ok(Self {
            era,
            tool: tool.ok_or("no tool")?,
            count: usize::from_str(&next()?)?,
            window: usize::from_str(&next()?)?,
            bytes: usize::from_str(&next()?)?,
        })
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

    /// Stops; `count` messages were to come.
    pub fn stop(self, count: usize, seen: Sequence) -> Outcome {
        Outcome {
            cpu: own_cpu() - self.cpu,
            wall: self.wall.elapsed().as_nanos() as u64,
            lost: count.saturating_sub(seen.count),
            disordered: seen.disordered,
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

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_args().join(" "))
    }
}
