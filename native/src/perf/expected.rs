//! When the next sample of a CPU will be there, for stacks that must be read while they stand.
//!
//! ```text
//!   the software clock of a CPU is a timer:   sample ---- 52.6 ms ---- sample ---- 52.6 ms ---- sample
//!                                                                    ^ wake here + 0.2 ms
//! ```
//!
//! A cycle counter is not as regular: there the rings are looked at more often for a while.

/// How long after a sample its ring is looked at, so that one look serves CPUs with nearly the same phase.
const MARGIN_NS: u64 = 200_000;
const IRREGULAR_NS: u64 = 5_000_000;
/// How long the CPU is looked at without a sample of interest: others may have had it meanwhile.
const PATIENCE_NS: u64 = 300_000_000;

#[derive(Default)]
pub struct Expected {
    at_ns: Option<u64>,
    every_ns: u64,
    last_ns: u64,
}

impl Expected {
    /// A sample of interest came at `time_ns`.
    pub fn after(&mut self, time_ns: u64, period_ns: u64, regular: bool) {
        self.every_ns = if regular { period_ns } else { period_ns.min(IRREGULAR_NS) };
        self.at_ns = Some(time_ns + self.every_ns + MARGIN_NS);
        self.last_ns = time_ns;
    }

    /// Called after each drain: what should have come by now did not, or was nothing of interest.
    pub fn passed(&mut self, now_ns: u64) {
        while let Some(at_ns) = self.at_ns.filter(|&at_ns| at_ns <= now_ns) {
            let next_ns = at_ns + self.every_ns.max(1);
            self.at_ns = (next_ns < self.last_ns + PATIENCE_NS).then_some(next_ns);
        }
    }

    pub fn at_ns(&self) -> Option<u64> {
        self.at_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expects_a_period_later_until_patience_ends() {
        let mut expected = Expected::default();
        assert_eq!(expected.at_ns(), None);
        expected.after(1_000_000_000, 50_000_000, true);
        assert_eq!(expected.at_ns(), Some(1_050_200_000));
        expected.passed(1_050_200_000);
        assert_eq!(expected.at_ns(), Some(1_100_200_000));
        expected.passed(1_300_200_000);
        assert_eq!(expected.at_ns(), None);
        expected.after(4_000_000_000, 50_000_000, false);
        assert_eq!(expected.at_ns(), Some(4_005_200_000));
    }
}
