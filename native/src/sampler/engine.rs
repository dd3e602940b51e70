//! The sampler's thread: wakes, drains the rings in the order of time, ends windows.
use super::session::{Session, SessionOptions};
use super::state::State;
use crate::family::descendants;
use crate::perf::open::Target;
use crate::perf::record::{Moment, parse_time};
use crate::perf::ring::{Ring, fetch_ahead};
use crate::start::clock_ns;
use crate::symbols::thread::{Job, Names};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread::park_timeout;
use std::time::Duration;

pub enum Command {
    Start { id: u32, options: SessionOptions, reply: Sender<Result<Opened, String>> },
    Stop { id: u32 },
    Quit,
}

/// What a session was granted.
pub struct Opened {
    pub id: u32,
    pub clock: &'static str,
    /// Samples a second and CPU.
    pub hz: u32,
}

/// Without a session.
const IDLE_NS: u64 = 500_000_000;
/// Where rings are so small that a quarter of one is less.
const SHORTEST_NS: u64 = 1_000_000;
const FOLLOW_CPUS_NS: u64 = 5_000_000_000;
/// How long a window that should have ended goes on before its end is tried again.
const LAGGING_NS: u64 = 50_000_000;

/// Beside the continuous profile: each costs the node as much as itself, at a higher rate.
const MOST_BURSTS: usize = 8;

pub struct Engine {
    pub commands: Receiver<Command>,
    pub names: Names,
    pub state: State,
    pub sessions: Vec<Session>,
    pub followed_cpus_ns: u64,
    pub own_cpu_ns: u64,
    /// Samples that came and whose stacks must be read while they stand.
    pub came: Vec<Moment>,
}

impl Engine {
    pub fn run(mut self) {
        run_at_once_when_woken();
        loop {
            let goes_on = match self.wait() {
                Ok(command) => self.obey(command),
                Err(error) => error == TryRecvError::Empty,
            };
            if !goes_on {
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
            let session = self.sessions.remove(index);
            self.state.processes.families.forget(session.id);
        }
    }

    /// Until the rings are due, or somebody asks for something and unparks the thread: a channel's own wait costs a third more.
    ///
    /// To take a sample means to find nothing of what is known of it in the caches, so that many taken together cost less each. What
    /// must be read while it stands is read at its tick, and the sample stays in its ring; a tick that brought nothing of the kind
    /// is the most frequent, and does least.
    fn wait(&mut self) -> Result<Command, TryRecvError> {
        let drain_ns = self.drain_ns();
        let mut now = clock_ns(libc::CLOCK_MONOTONIC);
        loop {
            let told = self.commands.try_recv();
            if now >= drain_ns.start || !matches!(told, Err(TryRecvError::Empty)) {
                return told;
            }
            let expected_ns = self.sessions.iter().flat_map(Session::expected_ns).min().unwrap_or(u64::MAX);
            park_timeout(Duration::from_nanos(wake_ns(&drain_ns, expected_ns).saturating_sub(now)));
            now = clock_ns(libc::CLOCK_MONOTONIC);
            self.came.clear();
            for session in &mut self.sessions {
                session.look_for_awaited(now, &mut self.came);
            }
            if !self.came.is_empty() {
                self.state.read_awaited(&self.came, now);
            }
        }
    }

    /// From when on the rings are to be drained, whatever is in them, and until when at the latest.
    fn drain_ns(&self) -> Range<u64> {
        let sessions = || self.sessions.iter();
        // Rings are looked at long before they are full: nothing needs to be told by the kernel, and a wait for nothing but
        // commands and time is the cheapest there is.
        let ring_ns = |session: &Session| (session.events.ring_ns() / 4).max(SHORTEST_NS);
        let flush_ns = sessions().map(|session| session.flush_ns().min(ring_ns(session))).min().unwrap_or(IDLE_NS);
        let late_ns = if self.names.has_room() { 0 } else { self.state.drained_ns + LAGGING_NS };
        let window_end_ns = sessions().map(|session| session.wakes_ns().max(late_ns)).min();
        let due_ns = window_end_ns.unwrap_or(u64::MAX).min(self.state.drained_ns + flush_ns);
        due_ns..due_ns + flush_ns / 4
    }

    /// False when it is time to end.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Quit => return false,
            Command::Start { id, options, reply } => {
                // Nobody waits for the reply any more: the session is stopped by its owner's Stop.
                let _ = reply.send(self.open(id, options));
            }
            Command::Stop { id } => {
                self.drain();
                self.end_sessions(|session| session.id == id);
            }
        }
        true
    }

    fn open(&mut self, id: u32, mut options: SessionOptions) -> Result<Opened, String> {
        if self.sessions.len() > MOST_BURSTS {
            return Err(format!("{MOST_BURSTS} bursts run on this node already: wait until one ends"));
        }
        if let Target::Processes(pids) = &mut options.wanted.target {
            // What was forked until now must not be told again.
            self.drain();
            *pids = descendants(pids);
            self.state.processes.families.watch(id, pids);
        }
        let session = Session::open(id, options).map_err(|error| {
            self.state.processes.families.forget(id);
            error.to_string()
        })?;
        let opened = Opened { id, clock: session.events.clock(), hz: session.events.hz() };
        self.sessions.push(session);
        Ok(opened)
    }

    /// Takes every record written until now, of all rings, oldest first: a fork is seen before its child's samples.
    fn drain(&mut self) {
        let until = clock_ns(libc::CLOCK_MONOTONIC);
        self.state.start_drain(until);
        let mut heads = BinaryHeap::new();
        for (s, session) in self.sessions.iter_mut().enumerate() {
            for (c, event) in session.events.per_cpu.iter_mut().enumerate() {
                event.ring.refresh();
                heads.extend(oldest(&mut event.ring, s, c));
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
            heads.extend(oldest(&mut self.sessions[s].events.per_cpu[c].ring, s, c));
        }
        for s in 0..self.sessions.len() {
            self.end_windows_before(s, until);
            self.sessions[s].events.per_cpu.iter_mut().for_each(|event| event.expected.passed(until));
            self.sessions[s].rate(until);
        }
        self.state.end_drain();
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
        let (burst, hz) = (session.options.burst.clone(), session.events.hz());
        let window = session.end_window(end_ns);
        let epoch_ns = clock_ns(libc::CLOCK_REALTIME).wrapping_sub(clock_ns(libc::CLOCK_MONOTONIC));
        self.names.send(Job { burst, hz, epoch_ns, window });
        if index == 0 {
            // The dead are forgotten now, and windows of bursts that go on have some of them.
            for process in self.sessions.iter_mut().flat_map(|session| session.fold.processes()) {
                self.state.processes.describe(process);
            }
            self.state.processes.tidy();
            for session in &mut self.sessions {
                session.awaited.retain(|&pid| self.state.processes.has(pid));
            }
            self.state.modules.tidy();
            self.state.python.tidy();
        }
    }

    fn follow_cpus(&mut self, now: u64) {
        if now - self.followed_cpus_ns >= FOLLOW_CPUS_NS {
            self.followed_cpus_ns = now;
            self.sessions.iter_mut().for_each(Session::follow_cpus);
        }
    }
}

/// When the oldest record of ring `c` of session `s` was written: its turn comes when it is the first of all rings.
fn oldest(ring: &mut Ring, s: usize, c: usize) -> Option<Reverse<(u64, usize, usize)>> {
    let record = ring.peek()?;
    fetch_ahead(record);
    Some(Reverse((parse_time(record), s, c)))
}

/// One waking for both, where a tick that must be read comes soon after the rings are due.
fn wake_ns(drain_ns: &Range<u64>, expected_ns: u64) -> u64 {
    if expected_ns < drain_ns.end { expected_ns } else { drain_ns.start }
}

/// Real-time priority, the lowest: the thread runs for microseconds at a time, but then at once. Otherwise a full node would
/// let the rings overflow, and let Python run on to its next system call before its frames are read.
fn run_at_once_when_woken() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: changes only this thread. Without the right to it (CAP_SYS_NICE) the thread stays as it is.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters) };
}

#[cfg(test)]
mod tests {
    use super::wake_ns;

    #[test]
    fn wakes_once_for_a_tick_that_comes_soon_after_the_rings_are_due() {
        let drawn = [90, 100, 120, 125, u64::MAX].map(|expected_ns| wake_ns(&(100..125), expected_ns));
        assert_eq!(drawn, [90, 100, 120, 100, 100]);
    }
}
