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
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    line.ok_or(io::ErrorKind::InvalidData.into())
}

/// The processor, and how many of it.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let count = std::thread::available_parallelism().map_or(0, |n| n.get());
    format!("{count} cores, {model}")
}

/// Processes that ran or wanted to, on average over the last minute.
pub fn load() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(f64::NAN)
}
