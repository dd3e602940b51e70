//! One profile being taken: its events, its window, and what it asks of a sample.
use crate::fold::{Fold, RawWindow};
use crate::perf::open::{Events, OpenError, Target, Wanted};
use crate::start::clock_ns;

#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub wanted: Wanted,
    pub window_ns: u64,
    /// The first window is shorter, so that a page fills soon.
    pub first_window_ns: u64,
    /// '' for the continuous profile.
    pub burst: String,
    /// A burst ends by itself.
    pub duration_ns: Option<u64>,
}

impl SessionOptions {
    /// Whether a sample of this process belongs to it.
    pub fn wants(&self, pid: u32) -> bool {
        match self.wanted.target {
            Target::Process(wanted) => wanted == pid,
            _ => pid != 0 || self.wanted.include_idle,
        }
    }
}

pub struct Session {
    pub id: u32,
    pub options: SessionOptions,
    pub events: Events,
    pub fold: Fold,
    pub window_end_ns: u64,
    pub ends_ns: Option<u64>,
    /// Samples of windows that the symbol thread had no room for, to be told as lost in the next.
    pub carried_lost: u64,
}

impl Session {
    pub fn open(id: u32, options: SessionOptions) -> Result<Session, OpenError> {
        let events = Events::open(&options.wanted)?;
        let now = clock_ns(libc::CLOCK_MONOTONIC);
        let window_end_ns = now + options.first_window_ns;
        let (fold, ends_ns) = (Fold::new(now), options.duration_ns.map(|duration| now + duration));
        Ok(Session { id, options, events, fold, window_end_ns, ends_ns, carried_lost: 0 })
    }

    /// When the session needs its thread at the latest.
    pub fn wakes_ns(&self) -> u64 {
        self.ends_ns.unwrap_or(u64::MAX).min(self.window_end_ns)
    }

    /// Ends the window at `end_ns` and starts the next.
    pub fn end_window(&mut self, end_ns: u64) -> RawWindow {
        self.fold.counters().lost += std::mem::take(&mut self.carried_lost);
        for event in &mut self.events.per_cpu {
            self.fold.counters().lost += std::mem::take(&mut event.ring.corrupt);
        }
        self.window_end_ns = end_ns + self.options.window_ns;
        self.fold.take(end_ns)
    }
}
