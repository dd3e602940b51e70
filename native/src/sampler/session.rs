//! One profile being taken: its events, its window, and what it asks of a sample.
use crate::fold::{Counters, Fold, RawWindow};
use crate::perf::expected::{Rarity, Rhythm};
use crate::perf::open::{Events, Wanted};
use crate::perf::record::{Moment, parse_moment};
use crate::perf::refusal::OpenError;
use crate::start::clock_ns;
use rustc_hash::FxHashSet;

/// Samples that are taken together cost less each: 40 us at 19 Hz in half a second, 28 in a second. A program in Python that began
/// since is noticed only when they are taken, and files that only a process in a container saw are out of reach once it has ended.
const FLUSH_NS: u64 = 1_000_000_000;
/// Where what lies beyond the copies of stacks is gone when it is read, so often that more of the samples than this stay cut: of
/// a database's threads every second deep stack was cut after a second, every third after a tenth.
const FLUSH_CUT_NS: u64 = 100_000_000;
const CUT_SHARE: f64 = 0.01;
/// During a closer look, of which a second is much.
const FLUSH_CLOSE_NS: u64 = 20_000_000;

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

pub struct Session {
    pub id: u32,
    pub options: SessionOptions,
    pub events: Events,
    pub rhythm: Rhythm,
    /// Processes whose stacks must be read while they stand.
    pub awaited: FxHashSet<u32>,
    /// Of their samples.
    pub rarity: Rarity,
    /// Many stacks of the last window stayed cut.
    cut: bool,
    pub fold: Fold,
    pub window_end_ns: u64,
    pub ends_ns: Option<u64>,
}

impl Session {
    pub fn open(id: u32, options: SessionOptions) -> Result<Session, OpenError> {
        let events = Events::open(&options.wanted)?;
        let now = clock_ns(libc::CLOCK_MONOTONIC);
        let ends_ns = options.duration_ns.map(|duration| now + duration);
        let window_end_ns = window_end(now, options.first_window_ns, ends_ns);
        let rhythm = Rhythm {
            period_ns: events.period_ns(),
            margin_ns: events.margin_ns(),
            regular: events.clock() == "cpu-clock",
            together: events.ticks_together(),
            close: !options.burst.is_empty(),
            rare: false,
        };
        let (awaited, fold) = (FxHashSet::default(), Fold::new(now));
        let (rarity, cut) = (Rarity::since(now), false);
        Ok(Session { id, options, events, rhythm, awaited, rarity, cut, fold, window_end_ns, ends_ns })
    }

    /// How long samples wait in their rings.
    pub fn flush_ns(&self) -> u64 {
        match (self.rhythm.close, self.cut) {
            (true, _) => FLUSH_CLOSE_NS,
            (false, true) => FLUSH_CUT_NS,
            (false, false) => FLUSH_NS,
        }
    }

    /// When the session needs its thread at the latest.
    pub fn wakes_ns(&self) -> u64 {
        self.ends_ns.unwrap_or(u64::MAX).min(self.window_end_ns)
    }

    /// When samples are expected whose stacks must be read while they stand.
    pub fn expected_ns(&self) -> impl Iterator<Item = u64> {
        self.events.per_cpu.iter().filter_map(|event| event.expected.at_ns())
    }

    /// Adds to `came` the samples expected until `now_ns` whose processes are awaited. They stay in the rings.
    pub fn look_for_awaited(&mut self, now_ns: u64, came: &mut Vec<Moment>) {
        if !self.expected_ns().any(|at_ns| at_ns <= now_ns) {
            return;
        }
        let Session { events, awaited, rhythm, .. } = self;
        let before = came.len();
        for event in &mut events.per_cpu {
            let known = came.len();
            event.ring.look(|head| came.extend(parse_moment(head).filter(|moment| awaited.contains(&moment.pid))));
            event.expected.passed(now_ns);
            // Where all tick together, the first speaks for all.
            if let Some(last) = came[known..].last().filter(|_| !rhythm.together) {
                event.expected.after(last.time_ns, *rhythm);
            }
        }
        if let (Some(last), Some(first)) =
            (came[before..].last(), events.per_cpu.first_mut().filter(|_| rhythm.together))
        {
            first.expected.after(last.time_ns, *rhythm);
        }
    }

    /// CPUs come and go.
    pub fn follow_cpus(&mut self) {
        self.events.follow_cpus();
        self.rhythm.margin_ns = self.events.margin_ns();
    }

    /// Called after each drain.
    pub fn rate(&mut self, now_ns: u64) {
        self.rhythm.rare = self.rarity.is_rare(now_ns, self.rhythm.period_ns);
    }

    /// Ends the window at `end_ns` and starts the next.
    pub fn end_window(&mut self, end_ns: u64) -> RawWindow {
        for event in &mut self.events.per_cpu {
            self.fold.counters().lost += std::mem::take(&mut event.ring.corrupt);
        }
        self.window_end_ns = window_end(end_ns, self.options.window_ns, self.ends_ns);
        self.cut = many_are_cut(self.fold.counters());
        self.fold.take(end_ns)
    }
}

fn many_are_cut(counters: &Counters) -> bool {
    counters.truncated as f64 > CUT_SHARE * counters.samples as f64
}

/// A last window that would be left with less than a quarter of its length is one with the window before.
fn window_end(start_ns: u64, window_ns: u64, session_ends_ns: Option<u64>) -> u64 {
    let end_ns = start_ns + window_ns;
    session_ends_ns.filter(|&ends_ns| ends_ns < end_ns + window_ns / 4).map_or(end_ns, |_| u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Counters, many_are_cut, window_end};

    #[test]
    fn one_cut_stack_in_a_hundred_is_not_many() {
        let cut =
            |truncated, extended| many_are_cut(&Counters { samples: 100, truncated, extended, ..Counters::default() });
        assert!(!cut(1, 99), "what was read from the process in time is whole");
        assert!(cut(2, 0));
        assert!(!many_are_cut(&Counters::default()));
    }

    #[test]
    fn the_last_window_of_a_burst_takes_the_rest() {
        assert_eq!(window_end(100, 10, None), 110);
        assert_eq!(window_end(100, 10, Some(130)), 110);
        assert_eq!(window_end(100, 10, Some(111)), u64::MAX);
        assert_eq!(window_end(100, 10, Some(110)), u64::MAX);
    }
}
