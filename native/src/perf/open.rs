//! Opens one event per CPU, as much as this kernel and these rights allow.
use super::attr::*;
use super::clock::CycleClock;
use super::cpus::read_online_cpus;
use super::expected::Expected;
use super::refusal::{OpenError, is_absent_counter, mmap_refusal, read_fastest_hz, refusal};
use super::ring::{Ring, SAMPLE_HEAD_BYTES, SMALLEST_RING, ring_bytes};
use crate::arch::register_mask;
use crate::family::threads;
use crate::start::clock_ns;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Node,
    /// These, and all that descend from them.
    Processes(Vec<u32>),
    /// Directory of the cgroup, in the hierarchy that perf events know.
    Cgroup(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Wanted {
    pub hz: u32,
    pub stack_bytes: u32,
    pub include_idle: bool,
    /// MMAP2, COMM, FORK, EXIT and cgroup records: only the first session of a sampler needs them.
    pub side_band: bool,
    pub target: Target,
}

pub struct CpuEvent {
    pub cpu: u32,
    pub ring: Ring,
    /// Events of single threads that write into this CPU's ring.
    attached: Vec<OwnedFd>,
    /// Set where the event counts cycles.
    pub cycles: Option<CycleClock>,
    pub expected: Expected,
}

pub struct Events {
    pub attr: Attr,
    pub per_cpu: Vec<CpuEvent>,
    ring_bytes: usize,
    target: Target,
    /// When the first events were enabled, on CLOCK_MONOTONIC; 0 before.
    enabled_ns: u64,
    /// How much later than the first the last CPU ticks, at most.
    spread_ns: u64,
}

/// Processes with more events than this (threads x CPUs) are watched by events of the node, filtered by pid.
const MOST_THREAD_EVENTS: usize = 1024;
/// A sample is in its ring so soon after its tick.
const WRITTEN_NS: u64 = 15_000;
const IOC_ENABLE: libc::c_ulong = 0x2400;
const IOC_SET_OUTPUT: libc::c_ulong = 0x2405;

fn attributes(wanted: &Wanted, hardware: bool, extras: u64) -> Attr {
    let mut flags =
        FLAG_DISABLED | FLAG_FREQ | FLAG_WATERMARK | FLAG_SAMPLE_ID_ALL | FLAG_USE_CLOCKID | FLAG_EXCLUDE_HV;
    flags |= FLAG_EXCLUDE_CALLCHAIN_USER;
    if !wanted.include_idle {
        flags |= FLAG_EXCLUDE_IDLE;
    }
    if wanted.side_band {
        flags |= FLAG_MMAP | FLAG_MMAP2 | FLAG_COMM | FLAG_COMM_EXEC | FLAG_TASK;
        flags |= extras & FLAG_CGROUP;
    }
    if matches!(wanted.target, Target::Processes(_)) {
        flags |= FLAG_INHERIT;
    }
    let mut sample_type = SAMPLE_IP | SAMPLE_TID | SAMPLE_TIME | SAMPLE_CPU | SAMPLE_PERIOD | SAMPLE_CALLCHAIN;
    sample_type |= SAMPLE_REGS_USER | SAMPLE_STACK_USER;
    if extras & FLAG_CGROUP != 0 {
        sample_type |= SAMPLE_CGROUP;
    }
    Attr {
        kind: if hardware { TYPE_HARDWARE } else { TYPE_SOFTWARE },
        config: if hardware { HW_CPU_CYCLES } else { SW_CPU_CLOCK },
        sample_freq: u64::from(wanted.hz),
        sample_type,
        flags,
        sample_regs_user: register_mask(),
        sample_stack_user: (wanted.stack_bytes.min(65_528)) & !7,
        clockid: libc::CLOCK_MONOTONIC,
        ..Attr::default()
    }
}

/// Asks the kernel for everything, then for less: 4.18 (RHEL 8) knows no cgroups in records, virtual machines have no cycle
/// counter.
fn probe(wanted: &Wanted, cpu: u32) -> Result<Attr, OpenError> {
    let mut last = None;
    for hardware in [true, false] {
        for extras in [FLAG_CGROUP, 0] {
            let attr = attributes(&Wanted { target: Target::Node, ..wanted.clone() }, hardware, extras);
            match perf_event_open(&attr, -1, cpu as i32, 0) {
                Ok(_) => return Ok(attributes(wanted, hardware, extras)),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(refusal(&last.unwrap_or_else(io::Error::last_os_error)))
}

impl Events {
    pub fn open(wanted: &Wanted) -> Result<Events, OpenError> {
        let cpus = read_online_cpus();
        let first = *cpus.first().ok_or_else(|| OpenError("no CPU in /sys/devices/system/cpu/online".into()))?;
        let mut target = wanted.target.clone();
        if let Target::Processes(pids) = &target {
            let threads: usize = pids.iter().map(|&pid| threads(pid).len()).sum();
            if threads == 0 {
                return Err(OpenError("the process is gone".into()));
            }
            if threads * cpus.len() > MOST_THREAD_EVENTS {
                target = Target::Node;
            }
        }
        let wanted = Wanted { target, hz: wanted.hz.min(read_fastest_hz()), ..wanted.clone() };
        let mut attr = probe(&wanted, first)?;
        let mut ring_bytes = ring_bytes(wanted.hz, wanted.stack_bytes, cpus.len());
        loop {
            // Nobody waits for it: a wake-up is work in the interrupt of a sample.
            attr.wakeup_watermark = ring_bytes as u32;
            let target = wanted.target.clone();
            let mut events = Events { attr, per_cpu: Vec::new(), ring_bytes, target, enabled_ns: 0, spread_ns: 0 };
            match events.follow(&cpus) {
                Ok(()) => return Ok(events),
                Err(Failure::Ring(_)) if ring_bytes > SMALLEST_RING => ring_bytes /= 2,
                Err(Failure::Ring(error)) => return Err(mmap_refusal(&error, ring_bytes)),
                Err(Failure::Event(error)) => return Err(refusal(&error)),
            }
        }
    }

    /// How long a ring takes to fill.
    pub fn ring_ns(&self) -> u64 {
        let record = u64::from(self.attr.sample_stack_user) + SAMPLE_HEAD_BYTES as u64;
        self.ring_bytes as u64 / record * 1_000_000_000 / self.attr.sample_freq.max(1)
    }

    /// Samples a second and CPU, as the kernel grants them.
    pub fn hz(&self) -> u32 {
        self.attr.sample_freq as u32
    }

    /// 'cycles' where any CPU counts them, else 'cpu-clock'.
    pub fn clock(&self) -> &'static str {
        if self.per_cpu.iter().any(|event| event.cycles.is_some()) { "cycles" } else { "cpu-clock" }
    }

    /// Drops the events of CPUs that went offline and opens those of CPUs that came.
    pub fn follow_cpus(&mut self) {
        let cpus = read_online_cpus();
        let same = cpus.len() == self.per_cpu.len() && self.per_cpu.iter().all(|event| cpus.contains(&event.cpu));
        if !same && !cpus.is_empty() {
            // A CPU that cannot be had is tried again at the next look.
            let _ = self.follow(&cpus);
        }
    }

    fn follow(&mut self, cpus: &[u32]) -> Result<(), Failure> {
        self.per_cpu.retain(|event| cpus.contains(&event.cpu));
        let known = self.per_cpu.len();
        for &cpu in cpus {
            if self.per_cpu.iter().any(|event| event.cpu == cpu) {
                continue;
            }
            match self.open_cpu(cpu) {
                Ok(event) => self.per_cpu.push(event),
                // Offline since the list was read.
                Err(Failure::Event(error)) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(failure) => return Err(failure),
            }
        }
        self.enable(known);
        Ok(())
    }

    /// Starts the events from the `first` on, all at once: the timers of all CPUs then tick together, so that one look at
    /// the rings finds a fresh sample of each. A CPU that comes later is started at a tick of the others.
    fn enable(&mut self, first: usize) {
        if first == self.per_cpu.len() {
            return;
        }
        let now = clock_ns(libc::CLOCK_MONOTONIC);
        if first > 0 {
            let period_ns = self.period_ns();
            std::thread::sleep(Duration::from_nanos(period_ns - (now - self.enabled_ns) % period_ns));
        } else {
            self.enabled_ns = now;
        }
        for event in &self.per_cpu[first..] {
            for fd in std::iter::once(event.ring.fd()).chain(event.attached.iter().map(OwnedFd::as_raw_fd)) {
                // SAFETY: a perf event of ours; one whose thread has ended stays as it is.
                unsafe { libc::ioctl(fd, IOC_ENABLE, 0) };
            }
        }
        let spread_ns = (clock_ns(libc::CLOCK_MONOTONIC) - self.enabled_ns) % self.period_ns();
        self.spread_ns = self.spread_ns.max(spread_ns);
    }

    /// Between two samples of a CPU, nominally.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / self.attr.sample_freq.max(1)
    }

    /// How long after a sample of any CPU those of all are in their rings.
    pub fn margin_ns(&self) -> u64 {
        if self.ticks_together() { self.spread_ns + WRITTEN_NS } else { WRITTEN_NS }
    }

    /// Whether the CPUs tick together: not where a counter decides, nor where events come and go with their threads.
    pub fn ticks_together(&self) -> bool {
        self.target == Target::Node && self.per_cpu.iter().all(|event| event.cycles.is_none())
    }

    fn open_cpu(&self, cpu: u32) -> Result<CpuEvent, Failure> {
        let mut attr = self.attr;
        let mut opened = self.open_targets(&attr, cpu);
        if attr.kind == TYPE_HARDWARE && opened.as_ref().is_err_and(is_absent_counter) {
            (attr.kind, attr.config) = (TYPE_SOFTWARE, SW_CPU_CLOCK);
            opened = self.open_targets(&attr, cpu);
        }
        let mut fds = opened.map_err(Failure::Event)?.into_iter();
        let first = fds.next().ok_or_else(|| Failure::Event(io::Error::from_raw_os_error(libc::ESRCH)))?;
        let ring = Ring::map(first, self.ring_bytes).map_err(Failure::Ring)?;
        let attached: Vec<OwnedFd> = fds.collect();
        for fd in &attached {
            // SAFETY: both are perf events of this CPU.
            unsafe { libc::ioctl(fd.as_raw_fd(), IOC_SET_OUTPUT, ring.fd()) };
        }
        let cycles = (attr.kind == TYPE_HARDWARE).then(CycleClock::default);
        Ok(CpuEvent { cpu, ring, attached, cycles, expected: Expected::default() })
    }

    fn open_targets(&self, attr: &Attr, cpu: u32) -> io::Result<Vec<OwnedFd>> {
        match &self.target {
            Target::Node => Ok(vec![perf_event_open(attr, -1, cpu as i32, 0)?]),
            Target::Cgroup(path) => {
                let directory = std::fs::File::open(path)?;
                Ok(vec![perf_event_open(attr, directory.as_raw_fd(), cpu as i32, OPEN_PID_CGROUP)?])
            }
            Target::Processes(pids) => {
                // A thread may end between the listing and the opening.
                let open = |tid: u32| match perf_event_open(attr, tid as i32, cpu as i32, 0) {
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => None,
                    result => Some(result),
                };
                pids.iter().flat_map(|&pid| threads(pid)).filter_map(open).collect()
            }
        }
    }
}

enum Failure {
    Event(io::Error),
    Ring(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_went_is_dropped_and_sampled_again_when_it_is_back() {
        let wanted = Wanted { hz: 19, stack_bytes: 4096, include_idle: false, side_band: false, target: Target::Node };
        // Without the right to sample there is nothing to see; the tests of the addon say so.
        let Ok(mut events) = Events::open(&wanted) else { return };
        let cpus: Vec<u32> = events.per_cpu.iter().map(|event| event.cpu).collect();
        assert_eq!(cpus, read_online_cpus());
        assert!(events.follow(&cpus[..1]).is_ok());
        assert_eq!(events.per_cpu.iter().map(|event| event.cpu).collect::<Vec<_>>(), cpus[..1]);
        events.follow_cpus();
        assert_eq!(events.per_cpu.iter().map(|event| event.cpu).collect::<Vec<_>>(), cpus);
    }
}
