//! Which pids there are, and what the kernel tells of each without a file.
use std::io;
use std::path::Path;

/// All processes of that /proc.
pub fn list(proc: &Path) -> io::Result<Vec<i32>> {
    let pid_of = |entry: io::Result<std::fs::DirEntry>| match entry {
        Ok(entry) => entry.file_name().to_str()?.parse().ok().map(Ok),
        Err(error) => Some(Err(error)),
    };
    std::fs::read_dir(proc)?.filter_map(pid_of).collect()
}

/// The pid that was given out last, to a process or a thread: the last word of loadavg, which proc_loadavg(5) has.
pub fn read_newest(proc: &Path) -> Option<i32> {
    std::fs::read_to_string(proc.join("loadavg")).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Nanoseconds of all threads of a process. None where it is gone, and for a thread but the one that asks.
pub fn read_clock(pid: i32) -> Option<u64> {
    // CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it; that asks the kernel once more whether there is one
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes that one struct.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    (!failed).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Whether the pids of that /proc are those that we would use: in a container, those of the host's are others.
pub fn is_own_namespace(proc: &Path) -> bool {
    let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    pids.split_ascii_whitespace().eq([std::process::id().to_string().as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_no_process() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // SAFETY: always is one.
            tell.send(unsafe { libc::gettid() }).unwrap();
            let _ = ended.recv();
        });
        assert_eq!(read_clock(told.recv().unwrap()), None);
        drop(end);
        thread.join().unwrap();
    }
}
