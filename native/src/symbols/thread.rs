//! The symbol thread: windows of addresses in, windows with names out.
use super::resolve::{Frames, Resolver};
use super::window::{Window, WindowBuilder, WindowProcess};
use crate::fold::{Counters, RawWindow};
use crate::sampler::engine::Job;
use crate::start::clock_ns;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

/// Finished windows, until somebody drains them.
#[derive(Default)]
pub struct Mailbox {
    windows: VecDeque<Window>,
}

/// Windows nobody drained beyond these are dropped, oldest first, and told as lost in the next.
const MOST_WAITING: usize = 12;
/// Behind everything a user runs, yet not starved on a node that is full.
const NICENESS: i32 = 10;

impl Mailbox {
    pub fn take(&mut self) -> Vec<Window> {
        self.windows.drain(..).collect()
    }

    fn put(&mut self, window: Window) {
        self.windows.push_back(window);
        if self.windows.len() > MOST_WAITING {
            let dropped = self.windows.pop_front().map_or(0, |old| old.counters.samples + old.counters.lost);
            if let Some(next) = self.windows.front_mut() {
                next.counters.lost += dropped;
            }
        }
    }
}

pub fn run(jobs: &Receiver<Job>, mailbox: &Arc<Mutex<Mailbox>>) {
    // SAFETY: changes only this thread. It may fail, which costs nothing but priority.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as libc::id_t, NICENESS) };
    let mut resolver = Resolver::default();
    while let Ok(Job { burst, epoch_ns, window }) = jobs.recv() {
        let started = clock_ns(libc::CLOCK_THREAD_CPUTIME_ID);
        let counters = window.counters;
        let attempt = catch_unwind(AssertUnwindSafe(|| name_window(&mut resolver, window, epoch_ns)));
        let mut named = attempt.unwrap_or_else(|_| {
            // A file that some parser cannot stand costs this window its stacks, not the sampler its life.
            resolver = Resolver::default();
            let lost = counters.lost + counters.samples;
            Window { counters: Counters { lost, samples: 0, ..counters }, ..WindowBuilder::new().build() }
        });
        named.burst = burst;
        named.counters.own_cpu_ns += clock_ns(libc::CLOCK_THREAD_CPUTIME_ID) - started;
        mailbox.lock().unwrap_or_else(|poison| poison.into_inner()).put(named);
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
