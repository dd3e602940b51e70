//! When a process started, in ms since the epoch: boot time plus the ticks of field 22 of /proc/PID/stat, so that the
//! sampler and the process table agree on the key (pid, start) to the millisecond.
use std::sync::OnceLock;

pub struct StartClock {
    boot_ms: u64,
    ticks_per_second: u64,
}

pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time outlives the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl StartClock {
    pub fn read() -> StartClock {
        static BOOT_MS: OnceLock<u64> = OnceLock::new();
        let boot_ms = *BOOT_MS.get_or_init(|| {
            let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
            let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
            boot.and_then(|seconds| seconds.trim().parse::<u64>().ok()).unwrap_or(0) * 1000
        });
        // SAFETY: no arguments that matter.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        StartClock { boot_ms, ticks_per_second: u64::try_from(ticks).unwrap_or(100).max(1) }
    }

    /// None when the process is gone.
    pub fn of_process(&self, pid: u32) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(self.of_ticks(parse_start_ticks(&stat)?))
    }

    /// From the time of its FORK record, on CLOCK_MONOTONIC; ticks count on CLOCK_BOOTTIME.
    pub fn of_fork(&self, fork_ns: u64) -> u64 {
        let asleep = clock_ns(libc::CLOCK_BOOTTIME).saturating_sub(clock_ns(libc::CLOCK_MONOTONIC));
        self.of_ticks((fork_ns + asleep) / (1_000_000_000 / self.ticks_per_second))
    }

    fn of_ticks(&self, ticks: u64) -> u64 {
        self.boot_ms + (ticks * 1000 + self.ticks_per_second / 2) / self.ticks_per_second
    }
}

/// The name in brackets may hold blanks and brackets itself: what counts follows the last one.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_names_with_brackets() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 100 200";
        assert_eq!(parse_start_ticks(stat), Some(9876));
    }
}
