//! The symbol thread: windows of addresses in, windows with names out.
use super::resolve::{Frames, Resolver};
use super::window::{Window, WindowBuilder, WindowProcess};
use crate::fold::{Counters, RawWindow};
use crate::heap;
use crate::start::clock_ns;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A window of addresses, to be named.
pub struct Job {
    pub burst: String,
    pub hz: u32,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC when the window ended.
    pub epoch_ns: u64,
    pub window: RawWindow,
}

/// The way to the symbol thread.
pub struct Names {
    jobs: Sender<Job>,
    /// Windows that were sent and have no names yet.
    waiting: Arc<AtomicUsize>,
    /// The thread's id, once it runs.
    thread: Arc<AtomicU32>,
}

/// Finished windows, until somebody drains them.
#[derive(Default)]
pub struct Mailbox {
    windows: VecDeque<Window>,
    bytes: usize,
}

/// Windows without names: beyond, those that are being filled go on.
const MOST_WITHOUT_NAMES: usize = 4;
/// Windows nobody drained beyond these bytes are dropped, oldest first, and told as lost in the next.
const MOST_WAITING_BYTES: usize = 16 << 20;
/// Tables of symbols that are read and forgotten again leave holes between what stays: half of what is in use, after an hour.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// Behind everything a user runs; on a node with many more tasks than CPUs that is close to never, so that windows wait:
/// then among all others, until none waits.
const NICENESS: i32 = 10;
const NICENESS_LATE: i32 = 0;

impl Names {
    /// Starts the symbol thread, which ends when nobody can send any more.
    pub fn start(mailbox: Arc<Mutex<Mailbox>>) -> io::Result<Names> {
        let (jobs, received) = channel();
        let names = Names { jobs, waiting: Arc::default(), thread: Arc::default() };
        let (waiting, thread) = (names.waiting.clone(), names.thread.clone());
        std::thread::Builder::new().name("jobsight-names".into()).spawn(move || {
            // SAFETY: no arguments.
            thread.store(unsafe { libc::gettid() } as u32, Ordering::Relaxed);
            run(&received, &waiting, &mailbox);
        })?;
        Ok(names)
    }

    /// False while the thread lags behind (it has a low priority): a window may then go on instead of ending.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MOST_WITHOUT_NAMES
    }

    pub fn send(&self, job: Job) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) > 0 {
            // Also in the middle of a window: the first one, with all files new, is the longest.
            set_niceness(self.thread.load(Ordering::Relaxed), NICENESS_LATE);
        }
        // The thread catches its panics and ends after us.
        let _ = self.jobs.send(job);
    }
}

impl Mailbox {
    pub fn take(&mut self) -> Vec<Window> {
        self.bytes = 0;
        self.windows.drain(..).collect()
    }

    fn put(&mut self, window: Window) {
        self.bytes += window.bytes();
        self.windows.push_back(window);
        while self.bytes > MOST_WAITING_BYTES && self.windows.len() > 1 {
            let Some(old) = self.windows.pop_front() else { return };
            self.bytes -= old.bytes();
            if let Some(next) = self.windows.front_mut() {
                next.counters.lost += old.counters.samples + old.counters.lost;
            }
        }
    }
}

/// Of one of our threads; 0 is the calling one. Without CAP_SYS_NICE there is no way back up, which costs nothing but time.
fn set_niceness(thread: u32, niceness: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, niceness) };
}

fn run(jobs: &Receiver<Job>, waiting: &AtomicUsize, mailbox: &Mutex<Mailbox>) {
    let (mut resolver, mut trimmed) = (Resolver::default(), Instant::now());
    while let Ok(Job { burst, hz, epoch_ns, window }) = jobs.recv() {
        if waiting.load(Ordering::Relaxed) <= 1 {
            set_niceness(0, NICENESS);
        }
        let started = clock_ns(libc::CLOCK_THREAD_CPUTIME_ID);
        let counters = window.counters;
        let attempt = catch_unwind(AssertUnwindSafe(|| name_window(&mut resolver, window, epoch_ns)));
        let mut named = attempt.unwrap_or_else(|_| {
            // A file that some parser cannot stand costs this window its stacks, not the sampler its life.
            resolver = Resolver::default();
            let lost = counters.lost + counters.samples;
            Window { counters: Counters { lost, samples: 0, ..counters }, ..WindowBuilder::new().build() }
        });
        (named.burst, named.hz) = (burst, hz);
        named.counters.own_cpu_ns += clock_ns(libc::CLOCK_THREAD_CPUTIME_ID) - started;
        mailbox.lock().unwrap_or_else(|poison| poison.into_inner()).put(named);
        waiting.fetch_sub(1, Ordering::Relaxed);
        if resolver.read_tables && trimmed.elapsed() >= TRIM_EVERY {
            resolver.read_tables = false;
            trimmed = Instant::now();
            heap::trim();
        }
    }
}

fn name_window(resolver: &mut Resolver, raw: RawWindow, epoch_ns: u64) -> Window {
    resolver.start_window(&raw.binaries);
    let resolved: Vec<(Frames, bool)> = raw
        .places
        .iter()
        .map(|place| resolver.resolve(*place, &raw.binaries))
        .map(|resolved| (resolved.frames, resolved.named))
        .collect();
    let mut builder = WindowBuilder::new();
    let numbers: Vec<Vec<u32>> =
        resolved.iter().map(|(frames, _)| frames.iter().map(|frame| builder.frame(frame)).collect()).collect();
    let mut counters = raw.counters;
    let threads: Vec<u32> = raw.threads.iter().map(|name| builder.string(&Rc::from(&**name))).collect();
    let places = |stack: u32| {
        let (from, to) = (raw.offsets[stack as usize] as usize, raw.offsets[stack as usize + 1] as usize);
        &raw.stack_places[from..to]
    };
    let mut scratch = Vec::new();
    for sample in &raw.samples {
        scratch.clear();
        for &place in places(sample.stack) {
            counters.frames += u64::from(sample.count);
            counters.named_frames += u64::from(sample.count) * u64::from(resolved[place as usize].1);
            // Neighbours without a name of their own (a kernel that hides its addresses) are one frame.
            let frames = &numbers[place as usize];
            if resolved[place as usize].1 || scratch.last() != frames.last() {
                scratch.extend_from_slice(frames);
            }
        }
        let stack = builder.stack(&scratch);
        builder.sample(sample.process, threads[sample.thread as usize], stack, sample.period_ns, sample.count);
    }
    let mut window = builder.build();
    window.counters = counters;
    window.start_ms = epoch_ns.wrapping_add(raw.start_ns) as f64 / 1e6;
    window.end_ms = epoch_ns.wrapping_add(raw.end_ns) as f64 / 1e6;
    window.processes = raw
        .processes
        .iter()
        .map(|p| WindowProcess {
            pid: p.pid,
            start_ms: p.start_ms as f64,
            name: p.name.to_string(),
            cgroup: p.cgroup.to_string(),
        })
        .collect();
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_nobody_drains_are_counted() {
        let window = |samples: u64| Window {
            stack_frames: vec![0; MOST_WAITING_BYTES / 10],
            counters: Counters { samples, ..Counters::default() },
            ..Window::default()
        };
        let mut mailbox = Mailbox::default();
        for samples in [1, 2, 4, 8] {
            mailbox.put(window(samples));
        }
        let waiting = mailbox.take();
        let drawn: Vec<_> = waiting.iter().map(|window| (window.counters.samples, window.counters.lost)).collect();
        assert_eq!(drawn, [(4, 3), (8, 0)]);
        mailbox.put(window(16));
        assert_eq!(mailbox.take().len(), 1);
    }
}
