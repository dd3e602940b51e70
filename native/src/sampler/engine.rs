//! The sampler's thread: drains the rings in the order of time, walks each stack, folds it.
use super::session::{Session, SessionOptions};
use crate::arch::{DWARF_REGISTERS, REGISTERS};
use crate::fold::{Fold, SampledProcess};
use crate::modules::{BinaryKind, CUT, KERNEL, Modules, RUNTIME};
use crate::perf::open::{CpuEvent, Events};
use crate::perf::record::{Record, Sample, parse_record, parse_time};
use crate::process::Processes;
use crate::python::{Python, Sampled, Stack};
use crate::start::clock_ns;
use crate::symbols::thread::{Job, Names};
use crate::unwind::walk::{Ending, Frame, Place, StackCopy, Walk};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

pub enum Command {
    Start { id: u32, options: SessionOptions, reply: Sender<Result<&'static str, String>> },
    Stop { id: u32 },
    Quit,
}

/// Rings are drained at least this often, full or not.
const FLUSH_NS: u64 = 1_000_000_000;
const FOLLOW_CPUS_NS: u64 = 5_000_000_000;
/// How long a window that should have ended goes on before its end is tried again.
const LAGGING_NS: u64 = 50_000_000;
const SHORT_NS: u64 = 100_000_000;
/// Addresses of CUT frames.
pub const CUT_TRUNCATED: u64 = 0;
pub const CUT_LOST: u64 = 1;

pub struct Engine {
    pub commands: Receiver<Command>,
    pub wake: Arc<OwnedFd>,
    pub names: Names,
    pub state: State,
    pub sessions: Vec<Session>,
    pub followed_cpus_ns: u64,
    pub own_cpu_ns: u64,
}

/// What all sessions share.
#[derive(Default)]
pub struct State {
    pub processes: Processes,
    pub modules: Modules,
    pub python: Python,
    places: Vec<Place>,
    /// The last stack was completed from the process itself.
    extended: bool,
}

impl Engine {
    pub fn run(mut self) {
        run_at_once_when_woken();
        loop {
            self.wait();
            if !self.obey() {
                return;
            }
            self.drain();
            let now = clock_ns(libc::CLOCK_MONOTONIC);
            self.end_sessions(|session| session.ends_ns.is_some_and(|end| end <= now));
            self.follow_cpus(now);
        }
    }

    fn end_sessions(&mut self, over: impl Fn(&Session) -> bool) {
        for index in (0..self.sessions.len()).rev().filter(|&index| over(&self.sessions[index])).collect::<Vec<_>>() {
            self.end_window(index, clock_ns(libc::CLOCK_MONOTONIC));
            self.sessions.remove(index);
        }
    }

    fn wait(&self) {
        let now = clock_ns(libc::CLOCK_MONOTONIC);
        let late_ns = if self.names.has_room() { 0 } else { now + LAGGING_NS };
        let window_end = self.sessions.iter().map(|session| session.wakes_ns().max(late_ns)).min();
        let expected = self.sessions.iter().flat_map(Session::expected_ns).min();
        let wake_ns = window_end.into_iter().chain(expected).min().map_or(FLUSH_NS, |at| at.saturating_sub(now));
        let wait_ns = wake_ns.min(FLUSH_NS);
        let timeout = libc::timespec {
            tv_sec: (wait_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (wait_ns % 1_000_000_000) as libc::c_long,
        };
        let rings = self.sessions.iter().flat_map(|session| session.events.per_cpu.iter().map(|event| event.ring.fd()));
        // No ring fills in so short a time: they hold two seconds.
        let rings = rings.filter(|_| wait_ns > SHORT_NS);
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds: Vec<libc::pollfd> = std::iter::once(self.wake.as_raw_fd()).chain(rings).map(entry).collect();
        // SAFETY: fds and timeout outlive the call. An interrupted or failed poll only makes this drain early.
        let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, &timeout, std::ptr::null()) };
        if ready > 0 && fds[1..].iter().any(|fd| fd.revents & (libc::POLLERR | libc::POLLHUP) != 0) {
            // An event whose task or CPU has gone is ready for ever.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// False when it is time to end.
    fn obey(&mut self) -> bool {
        let mut counter = 0u64;
        // SAFETY: reads eight bytes of an eventfd, which never blocks.
        unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut counter).cast(), 8) };
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Quit => return false,
                Command::Start { id, options, reply } => {
                    let opened = Session::open(id, options);
                    // Nobody waits for the reply any more: the session is stopped by its owner's Stop.
                    let _ = reply.send(opened.as_ref().map(|s| s.events.clock()).map_err(|error| error.to_string()));
                    self.sessions.extend(opened.ok());
                }
                Command::Stop { id } => {
                    self.drain();
                    self.end_sessions(|session| session.id == id);
                }
            }
        }
        true
    }

    /// Takes every record written until now, of all rings, oldest first: a fork is seen before its child's samples.
    fn drain(&mut self) {
        let until = clock_ns(libc::CLOCK_MONOTONIC);
        self.state.modules.live.start_drain();
        self.state.python.start_drain();
        let mut heads = BinaryHeap::new();
        for (s, session) in self.sessions.iter_mut().enumerate() {
            for (c, event) in session.events.per_cpu.iter_mut().enumerate() {
                event.ring.refresh();
                heads.extend(event.ring.peek().map(|bytes| Reverse((parse_time(bytes), s, c))));
            }
        }
        while let Some(Reverse((time_ns, s, c))) = heads.pop() {
            if time_ns > until {
                // Written while we drain; another ring may not have shown what came before it.
                continue;
            }
            if time_ns >= self.sessions[s].window_end_ns {
                self.end_windows_before(s, time_ns);
            }
            self.state.take_record(&mut self.sessions[s], c, time_ns);
            let next = self.sessions[s].events.per_cpu[c].ring.peek();
            heads.extend(next.map(|bytes| Reverse((parse_time(bytes), s, c))));
        }
        for s in 0..self.sessions.len() {
            self.end_windows_before(s, until);
            self.sessions[s].events.per_cpu.iter_mut().for_each(|event| event.expected.passed(until));
        }
    }

    fn end_windows_before(&mut self, index: usize, time_ns: u64) {
        let session = &self.sessions[index];
        // While names lag behind, what comes is folded into the window that should have ended.
        if time_ns < session.window_end_ns || !self.names.has_room() {
            return;
        }
        // Windows without any record, of a machine that was suspended, are one.
        let late = (time_ns - session.window_end_ns) / session.options.window_ns * session.options.window_ns;
        let end_ns = session.window_end_ns + late;
        self.end_window(index, end_ns);
    }

    fn end_window(&mut self, index: usize, end_ns: u64) {
        let cpu_ns = clock_ns(libc::CLOCK_THREAD_CPUTIME_ID);
        let session = &mut self.sessions[index];
        session.fold.counters().own_cpu_ns += cpu_ns - self.own_cpu_ns;
        self.own_cpu_ns = cpu_ns;
        for process in session.fold.processes() {
            self.state.processes.describe(process);
        }
        let burst = session.options.burst.clone();
        let window = session.end_window(end_ns);
        let epoch_ns = clock_ns(libc::CLOCK_REALTIME).wrapping_sub(clock_ns(libc::CLOCK_MONOTONIC));
        self.names.send(Job { burst, epoch_ns, window });
        if index == 0 {
            self.state.processes.tidy();
            self.state.modules.tidy();
            self.state.python.tidy();
        }
    }

    fn follow_cpus(&mut self, now: u64) {
        if now - self.followed_cpus_ns >= FOLLOW_CPUS_NS {
            self.followed_cpus_ns = now;
            self.sessions.iter_mut().for_each(|session| session.events.follow_cpus());
        }
    }
}

/// Real-time priority, the lowest: the thread runs for microseconds at a time, but then at once. Otherwise a full node would
/// let the rings overflow, and let Python run on to its next system call before its frames are read.
fn run_at_once_when_woken() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: changes only this thread. Without the right to it (CAP_SYS_NICE) the thread stays as it is.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters) };
}

impl State {
    /// Takes the oldest record of one ring.
    fn take_record(&mut self, session: &mut Session, event: usize, time_ns: u64) {
        let Session { options, events: Events { attr, per_cpu, .. }, fold, .. } = session;
        let CpuEvent { cpu, ring, cycles, expected, .. } = &mut per_cpu[event];
        let Some(bytes) = ring.peek() else { return };
        let size = bytes.len();
        match parse_record(bytes, attr) {
            Some(Record::Sample(sample)) => {
                let nominal_ns = 1_000_000_000 / u64::from(options.wanted.hz.max(1));
                let period_ns = match cycles {
                    Some(clock) => clock.nanoseconds(sample.period, sample.time_ns, nominal_ns),
                    None => sample.period,
                };
                let (pid, tid) = self.processes.task(sample.pid, sample.tid, sample.cpu);
                if options.wants(pid) && self.sample(fold, &sample, pid, tid, period_ns) {
                    expected.after(sample.time_ns, nominal_ns, cycles.is_none());
                }
            }
            Some(Record::Lost(count)) => fold.counters().lost += count,
            Some(Record::Throttle) => fold.counters().throttled += 1,
            Some(record) => self.processes.apply(&record, time_ns, *cpu),
            None => fold.counters().lost += 1,
        }
        ring.advance(size);
    }

    /// True for a stack that was completed with frames which must be read while they stand.
    fn sample(&mut self, fold: &mut Fold, sample: &Sample<'_>, pid: u32, tid: u32, period_ns: u64) -> bool {
        self.places.clear();
        self.places.extend(sample.kernel.iter().map(|address| Place { binary: KERNEL, address }));
        let mut ending = self.walk_user(sample, pid);
        let process = self.processes.sampled(pid, sample.time_ns);
        let (serial, maps) = (process.serial, process.maps.clone().unwrap_or_default());
        let sampled = Sampled { serial, pid, tid, maps: &maps };
        let stack = &mut Stack { places: &mut self.places, ending: &mut ending };
        let is_python = self.python.merge(&sampled, &mut self.modules, stack);
        if ending != Ending::Root {
            let address = if ending == Ending::Truncated { CUT_TRUNCATED } else { CUT_LOST };
            self.places.push(Place { binary: CUT, address });
        }
        self.name_runtime_code(pid);
        let State { processes, modules, places, extended, .. } = self;
        fold.counters().extended += u64::from(std::mem::take(extended));
        let cgroup = processes.cgroup_path(pid, sample.cgroup);
        let process = fold.process(serial, || SampledProcess { serial, pid, cgroup, ..SampledProcess::default() });
        let thread = processes.thread_name(pid, tid);
        fold.add(process, &thread, places, period_ns, ending, |id| modules.by_id(id).cloned());
        is_python
    }

    fn walk_user(&mut self, sample: &Sample<'_>, pid: u32) -> Ending {
        // Kernel threads, and tasks on their way in or out of a program, have no user part: their stack is whole.
        let Some(words) = sample.registers else { return Ending::Root };
        let mut registers = [0; DWARF_REGISTERS];
        for (index, &(_, number)) in REGISTERS.iter().enumerate() {
            registers[number as usize] = words.get(index).unwrap_or(0);
        }
        let frame = Frame::leaf(registers);
        let kernel_frames = self.places.len();
        let ending = self.walk(&frame, sample, pid);
        if ending == Ending::Lost && self.processes.refresh_maps(pid, sample.time_ns) {
            self.places.truncate(kernel_frames);
            let ending = self.walk(&frame, sample, pid);
            let pc_is_gone = matches!(self.places[kernel_frames..], [Place { binary: RUNTIME, .. }]);
            if !(kernel_frames > 0 && pc_is_gone) {
                return ending;
            }
            // Inside exec, after the new program took the place of the one these registers belong to.
            self.places.truncate(kernel_frames);
            return Ending::Root;
        }
        ending
    }

    fn walk(&mut self, frame: &Frame, sample: &Sample<'_>, pid: u32) -> Ending {
        let maps = self.processes.sampled(pid, sample.time_ns).maps.clone().unwrap_or_default();
        if maps.is_empty() {
            // In the middle of exec: the registers are still those of the program before.
            return Ending::Root;
        }
        let stack = StackCopy { start: frame.stack_pointer(), bytes: sample.stack, full: sample.stack_full };
        let mut walk = Walk { modules: &mut self.modules, maps: &maps, pid, stack, copied_frames: None, beyond: false };
        let ending = walk.run(frame.clone(), &mut self.places);
        self.extended = walk.copied_frames.is_some();
        ending
    }

    /// Code made at run time belongs to its process: the same address in another is other code.
    fn name_runtime_code(&mut self, pid: u32) {
        if self.places.iter().all(|place| place.binary != RUNTIME) {
            return;
        }
        let process = self.processes.sampled(pid, 0);
        let runtime =
            process.runtime.get_or_insert_with(|| self.modules.binary("[jit]".into(), BinaryKind::Runtime { pid }));
        for place in self.places.iter_mut().filter(|place| place.binary == RUNTIME) {
            place.binary = runtime.id;
        }
    }
}
