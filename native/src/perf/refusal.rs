//! What the kernel refuses, and what to do about it.
use std::fmt;
use std::io;

#[derive(Debug)]
pub struct OpenError(pub String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Of an event.
pub fn refusal(error: &io::Error) -> OpenError {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    OpenError(match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => format!(
            "the kernel refuses perf_event_open for the whole node ({error}; kernel.perf_event_paranoid is {}). Run the \
             collector as root, or give it CAP_PERFMON and CAP_SYS_PTRACE (CAP_SYS_ADMIN before Linux 5.8), or run \
             `sysctl kernel.perf_event_paranoid=0`; in a container its seccomp profile must allow perf_event_open",
            paranoid.trim()
        ),
        Some(libc::ENOSYS) => "this kernel has no perf events (CONFIG_PERF_EVENTS)".to_string(),
        Some(libc::EMFILE | libc::ENFILE) => {
            format!("too few file descriptors for one event per CPU ({error}): raise LimitNOFILE (ulimit -n)")
        }
        _ => format!("perf_event_open failed: {error}"),
    })
}

/// Of a ring.
pub fn mmap_refusal(error: &io::Error, bytes: usize) -> OpenError {
    OpenError(format!(
        "the kernel refuses a ring of {} KiB per CPU ({error}): run `sysctl kernel.perf_event_mlock_kb=2048` or give the \
         collector CAP_IPC_LOCK",
        bytes >> 10
    ))
}

/// Whether this CPU has no such counter.
pub fn is_absent_counter(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV))
}

/// The kernel refuses higher rates, and lowers this one itself where interrupts take it long.
pub fn read_fastest_hz() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate").unwrap_or_default();
    text.trim().parse().unwrap_or(u32::MAX).max(1)
}
