//! What the system knows of a process.

use std::fs;
use std::io;

/// CPU time of a process in nanoseconds: of all the threads it has.
///
/// # Errors
/// There is no such process, or no such file system.
pub fn cpu(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu = times.split(' ').next().and_then(|n| n.parse::<u64>().ok());
        sum += on_cpu.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(sum)
}

/// The most memory a process has had, in KiB.
///
/// # Errors
/// There is no such process, or no such file system.
pub fn peak_rss(pid: u32) -> io::Result<u64> {
    memory(pid, "VmHWM:")
}

/// The memory a process has, in KiB.
///
/// # Errors
/// There is no such process, or no such file system.
pub fn rss(pid: u32) -> io::Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, key: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    line.ok_or(io::ErrorKind::InvalidData.into())
}

/// The processor, with its family, for one name is given to several, and how many of it.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |name: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(field, _)| field.trim() == name);
        field.map_or("unknown", |(_, value)| value.trim())
    };
    let count = std::thread::available_parallelism().map_or(0, |n| n.get());
    let (model, family) = (of("model name"), of("cpu family"));
    format!("{count} cores, {model} (family {family})")
}

/// Processes that ran or wanted to, on average over the last minute.
pub fn load() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(f64::NAN)
}

/// What the processors have done so far, in the ticks of the system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ticks {
    all: u64,
    /// Of `all`, those in which a process ran.
    busy: u64,
    /// Of `busy`, those of this process and of those that it started and that have ended.
    own: u64,
}

impl Ticks {
    /// Until now; nothing where there is no such file system.
    pub fn now() -> Self {
        // What is no number counts nothing, and keeps its place.
        let numbers = |text: &str| -> Vec<u64> {
            let words = text.split_whitespace();
            words.map(|word| word.parse().unwrap_or(0)).collect()
        };
        // A name; then user, nice, system, idle, waiting for devices, two of interrupts, and what the host took.
        let all = fs::read_to_string("/proc/stat").unwrap_or_default();
        let all = numbers(all.lines().next().unwrap_or_default());
        let all = all.get(1..9).unwrap_or_default();
        // Behind the name, which may hold anything: the 14th to the 17th field are user and system time, the children's last.
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let own = numbers(own.rsplit_once(')').map_or("", |(_, rest)| rest));
        let idle: u64 = all.get(3..5).unwrap_or_default().iter().sum();
        let sum: u64 = all.iter().sum();
        Self {
            all: sum,
            busy: sum - idle,
            own: own.get(11..15).unwrap_or_default().iter().sum(),
        }
    }

    /// The share of the processors' time that others have had since then.
    pub fn others(&self) -> f64 {
        let now = Self::now();
        let busy = now.busy.saturating_sub(self.busy) as f64;
        let own = now.own.saturating_sub(self.own) as f64;
        (busy - own).max(0.0) / now.all.saturating_sub(self.all).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_does_is_its_own() {
        let before = Ticks::now();
        assert!(before.all >= before.busy && before.busy >= before.own);
        let mut now = before;
        while now.own < before.own + 5 {
            now = Ticks::now();
        }
        assert!(now.busy > before.busy);
        assert!((0.0..=1.0).contains(&before.others()));
    }
}
