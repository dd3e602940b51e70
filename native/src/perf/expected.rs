//! When samples will be there whose stacks must be read while they stand.
//!
//! ```text
//!   the software clock is a timer, the same on all CPUs:   samples ---- 52.6 ms ---- samples ---- 52.6 ms ---- samples
//!                                                                           ^ wake here + 0.2 ms
//! ```
//!
//! A cycle counter, or an event that comes and goes with its thread, is not as regular: there the rings are looked at more
//! often for a while.

/// How long after a sample the rings are looked at, so that one look serves all CPUs.
const MARGIN_NS: u64 = 200_000;
const IRREGULAR_NS: u64 = 5_000_000;
/// At a high rate one look serves several samples, except in a closer look: their stacks are a few milliseconds late then.
const SELDOM_NS: u64 = 4_000_000;
/// How long is looked without a sample of interest: others may have the CPU meanwhile. Where one look serves all CPUs it
/// costs little, and each sample that is missed is a Python function that is not told.
const PATIENCE_NS: u64 = 300_000_000;
const PATIENCE_TOGETHER_NS: u64 = 5_000_000_000;

/// How a session's samples come.
#[derive(Clone, Copy)]
pub struct Rhythm {
    pub period_ns: u64,
    /// The software clock.
    pub regular: bool,
    /// On all CPUs at the same time.
    pub together: bool,
    /// A closer look: each sample counts.
    pub close: bool,
}

impl Rhythm {
    fn every_ns(self) -> u64 {
        match (self.regular, self.close) {
            (false, _) => self.period_ns.min(IRREGULAR_NS),
            (true, true) => self.period_ns,
            (true, false) => SELDOM_NS.div_ceil(self.period_ns.max(1)).max(1) * self.period_ns,
        }
    }

    fn patience_ns(self) -> u64 {
        if self.together { PATIENCE_TOGETHER_NS } else { PATIENCE_NS }
    }
}

#[derive(Default)]
pub struct Expected {
    at_ns: Option<u64>,
    every_ns: u64,
    until_ns: u64,
}

impl Expected {
    /// A sample of interest came at `time_ns`.
    pub fn after(&mut self, time_ns: u64, rhythm: Rhythm) {
        self.every_ns = rhythm.every_ns();
        self.at_ns = Some(time_ns + self.every_ns + MARGIN_NS);
        self.until_ns = time_ns + rhythm.patience_ns();
    }

    /// Called after each drain: what should have come by now did not, or was nothing of interest.
    pub fn passed(&mut self, now_ns: u64) {
        let Some(at_ns) = self.at_ns.filter(|&at_ns| at_ns <= now_ns) else { return };
        let every_ns = self.every_ns.max(1);
        let next_ns = at_ns + ((now_ns - at_ns) / every_ns + 1) * every_ns;
        self.at_ns = (next_ns < self.until_ns).then_some(next_ns);
    }

    pub fn at_ns(&self) -> Option<u64> {
        self.at_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Rhythm = Rhythm { period_ns: 50_000_000, regular: true, together: false, close: false };

    #[test]
    fn expects_a_period_later_until_patience_ends() {
        let mut expected = Expected::default();
        assert_eq!(expected.at_ns(), None);
        expected.after(1_000_000_000, ALONE);
        assert_eq!(expected.at_ns(), Some(1_050_200_000));
        expected.passed(1_050_200_000);
        assert_eq!(expected.at_ns(), Some(1_100_200_000));
        expected.passed(1_300_200_000);
        assert_eq!(expected.at_ns(), None);
        expected.after(4_000_000_000, Rhythm { regular: false, ..ALONE });
        assert_eq!(expected.at_ns(), Some(4_005_200_000));
        expected.after(6_000_000_000, Rhythm { together: true, ..ALONE });
        expected.passed(8_000_000_000);
        assert_eq!(expected.at_ns(), Some(8_000_200_000));
    }

    #[test]
    fn looks_seldom_at_a_high_rate_but_not_in_a_closer_look() {
        let mut expected = Expected::default();
        let fast = Rhythm { period_ns: 1_500_000, ..ALONE };
        expected.after(1_000_000_000, fast);
        assert_eq!(expected.at_ns(), Some(1_004_700_000));
        expected.after(1_000_000_000, Rhythm { close: true, ..fast });
        assert_eq!(expected.at_ns(), Some(1_001_700_000));
    }
}
