//! From a sample's period to nanoseconds on a CPU.
//!
//! The software clock counts nanoseconds already. A cycle counter does not, and its frequency moves with turbo and
//! power capping, so it is learnt per CPU from the samples themselves:
//!
//! ```text
//!   busy CPU:   |--- 52 ms ---|--- 52 ms ---|      period / gap = cycles a nanosecond: the frequency
//!   idle gap:   |-------- 400 ms --------|         period / gap is far below it: not a frequency, only a lower bound
//! ```
//!
//! So the frequency is the largest ratio of the last samples, and no sample weighs more than the gap before it.

const REMEMBERED: usize = 16;
/// Ratios of short gaps say nothing: right after the start the kernel is still searching for its period.
const SHORTEST_GAP_NS: u64 = 200_000;

#[derive(Clone, Default)]
pub struct CycleClock {
    last_time_ns: u64,
    ratios: [f32; REMEMBERED],
    next: usize,
}

impl CycleClock {
    /// `nominal_ns` is what a sample weighs until the frequency is known: one over the sampling rate.
    pub fn nanoseconds(&mut self, period: u64, time_ns: u64, nominal_ns: u64) -> u64 {
        let gap = time_ns.saturating_sub(self.last_time_ns);
        let first = self.last_time_ns == 0;
        self.last_time_ns = time_ns;
        if first {
            return nominal_ns;
        }
        if gap >= SHORTEST_GAP_NS {
            self.ratios[self.next % REMEMBERED] = (period as f64 / gap as f64) as f32;
            self.next += 1;
        }
        let frequency = self.ratios.iter().copied().fold(0f32, f32::max);
        if frequency <= 0.0 {
            return nominal_ns.min(gap);
        }
        ((period as f64 / f64::from(frequency)) as u64).min(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighs_busy_time_only() {
        let mut clock = CycleClock::default();
        let mut time = 1_000_000_000;
        clock.nanoseconds(1, time, 10_000_000);
        // 3 GHz, busy: each gap of 10 ms is 30 M cycles.
        for _ in 0..4 {
            time += 10_000_000;
            assert_eq!(clock.nanoseconds(30_000_000, time, 10_000_000), 10_000_000);
        }
        // 90 ms idle and 10 ms busy: the same cycles, so the same weight.
        time += 100_000_000;
        assert_eq!(clock.nanoseconds(30_000_000, time, 10_000_000), 10_000_000);
    }

    #[test]
    fn never_weighs_more_than_the_gap() {
        let mut clock = CycleClock::default();
        clock.nanoseconds(1, 1_000_000, 10_000_000);
        assert_eq!(clock.nanoseconds(1, 1_001_000, 10_000_000), 1_000);
    }
}
