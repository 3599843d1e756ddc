//! What this process uses, as Linux tells it.

use std::time::Duration;

/// `/proc` counts CPU time in these (USER_HZ, the same on every Linux).
const TICKS_PER_SECOND: u64 = 100;

/// CPU, memory and files of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// What this process uses now; `None` where there is no `/proc`.
pub fn usage() -> Option<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(Usage { cpu: cpu(&stat)?, resident_bytes: resident(&status)?, open_files })
}

/// Fields 14 and 15, counted from after the name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        let stat = "1 (a b) c) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 7 1 1";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\ta\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 0 && usage.open_files > 0);
    }
}
