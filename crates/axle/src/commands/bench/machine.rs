//! What the machine is, and what a process of it has used. Linux only: read from `/proc`.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// `/proc/PID/stat` counts in clock ticks, of which Linux has shown user space 100 a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// The machine a figure was measured on.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
}

impl Machine {
    pub(super) fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib(&meminfo, "MemTotal") / 1024,
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// User and system time that a process has used since it started.
pub(super) fn cpu_time(pid: u32) -> Result<Duration, std::io::Error> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command name may hold anything; fields are counted from behind its closing parenthesis.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND)),
        _ => Err(std::io::Error::other(format!("/proc/{pid}/stat is not as expected"))),
    }
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu_time() -> Result<Duration, std::io::Error> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| std::io::Error::other("/proc/thread-self/schedstat is empty"))
}

/// Resident memory of a process, in MiB.
pub(super) fn resident_mib(pid: u32) -> Result<f64, std::io::Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(kib(&status, "VmRSS") as f64 / 1024.0)
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(text: &str, name: &str) -> u64 {
    field(text, name).and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let before = thread_cpu_time().unwrap();
        let mut sum = 0u64;
        while thread_cpu_time().unwrap() < before + Duration::from_millis(30) {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        std::hint::black_box(sum);
        assert!(cpu_time(std::process::id()).unwrap() >= Duration::from_millis(10));
        assert!(resident_mib(std::process::id()).unwrap() > 1.0);
    }
}
