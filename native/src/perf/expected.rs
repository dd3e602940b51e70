//! When samples will be there whose stacks must be read while they stand.
//!
//! ```text
//!   the software clock is a timer, the same on all CPUs:   samples ---- 52.6 ms ---- samples ---- 52.6 ms ---- samples
//!                                                                           ^ wake here, a little later
//! ```
//!
//! A cycle counter, or an event that comes and goes with its thread, is not as regular: there the rings are looked at more
//! often for a while.

const IRREGULAR_NS: u64 = 5_000_000;
/// At a high rate one look serves several samples, except in a closer look: their stacks are a few milliseconds late then.
const SELDOM_NS: u64 = 4_000_000;
/// Where few ticks are of interest, most looks find nothing, and each is a waking: about what three samples cost.
const RARELY_NS: u64 = 200_000_000;
/// How long is looked without a sample of interest: others may have the CPU meanwhile. Where one look serves all CPUs it
/// costs little, and each sample that is missed is a Python function that is not told.
const PATIENCE_NS: u64 = 300_000_000;
const PATIENCE_TOGETHER_NS: u64 = 5_000_000_000;

/// How a session's samples come.
#[derive(Clone, Copy)]
pub struct Rhythm {
    pub period_ns: u64,
    /// How long after a sample the rings are looked at, so that one look serves all CPUs.
    pub margin_ns: u64,
    /// The software clock.
    pub regular: bool,
    /// On all CPUs at the same time.
    pub together: bool,
    /// A closer look: each sample counts.
    pub close: bool,
    /// Less than every second tick brings a sample of interest.
    pub rare: bool,
}

impl Rhythm {
    fn every_ns(self) -> u64 {
        match (self.regular, self.close) {
            (false, _) => self.period_ns.min(IRREGULAR_NS),
            (true, true) => self.period_ns,
            (true, false) => {
                let seldom_ns = if self.rare { RARELY_NS } else { SELDOM_NS };
                seldom_ns.div_ceil(self.period_ns.max(1)).max(1) * self.period_ns
            }
        }
    }

    fn patience_ns(self) -> u64 {
        if self.together { PATIENCE_TOGETHER_NS } else { PATIENCE_NS }
    }
}

/// Whether samples of interest are rare, as the last seconds tell.
pub struct Rarity {
    /// Such samples since the last question.
    pub found: u32,
    /// A program of interest came since. It is looked at often until it is known how much of the time it takes.
    pub begun: bool,
    a_tick: f64,
    asked_ns: u64,
}

const RARE_A_TICK: f64 = 0.5;
const REMEMBERED_NS: f64 = 2e9;

impl Rarity {
    pub fn since(now_ns: u64) -> Rarity {
        Rarity { found: 0, begun: false, a_tick: RARE_A_TICK, asked_ns: now_ns }
    }

    pub fn is_rare(&mut self, now_ns: u64, period_ns: u64) -> bool {
        let past_ns = now_ns - self.asked_ns;
        if past_ns >= period_ns {
            let a_tick = f64::from(std::mem::take(&mut self.found)) * period_ns as f64 / past_ns as f64;
            self.a_tick += (a_tick - self.a_tick) * (past_ns as f64 / REMEMBERED_NS).min(1.0);
            self.asked_ns = now_ns;
        }
        if std::mem::take(&mut self.begun) {
            self.a_tick = 1.0;
        }
        self.a_tick < RARE_A_TICK
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
        let (every_ns, margin_ns) = (rhythm.every_ns(), rhythm.margin_ns);
        let asked =
            self.at_ns.filter(|&at_ns| rhythm.regular && every_ns == self.every_ns && at_ns > time_ns + margin_ns);
        // A look that is asked for stays where it is, at a tick as the last sample tells them.
        let wait_ns = asked.map_or(every_ns, |at_ns| {
            let period_ns = rhythm.period_ns.max(1);
            ((at_ns - margin_ns - time_ns + period_ns / 2) / period_ns).max(1) * period_ns
        });
        self.every_ns = every_ns;
        self.at_ns = Some(time_ns + wait_ns + margin_ns);
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

    const ALONE: Rhythm =
        Rhythm { period_ns: 50_000_000, margin_ns: 200_000, regular: true, together: false, close: false, rare: false };

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

    #[test]
    fn what_less_than_every_second_tick_brings_is_rare() {
        const PERIOD_NS: u64 = 50_000_000;
        let mut rarity = Rarity::since(0);
        let mut rare_after = |seconds: u64, found: u32| {
            let mut rare = false;
            for _ in 0..2 * seconds {
                rarity.found += found;
                rare = rarity.is_rare(rarity.asked_ns + 500_000_000, PERIOD_NS);
            }
            rare
        };
        assert!(!rare_after(1, 6), "6 of 10 ticks");
        assert!(rare_after(1, 2), "2 of 10");
        assert!(rare_after(10, 2));
        assert!(!rare_after(2, 10), "a program that runs all the time is noticed soon");
        assert!(rare_after(2, 0));
        rarity.begun = true;
        assert!(!rarity.is_rare(rarity.asked_ns, PERIOD_NS), "nobody knows yet how much it takes");
        assert!(rarity.is_rare(rarity.asked_ns + 2_000_000_000, PERIOD_NS));
        rarity.found = 1;
        assert!(rarity.is_rare(rarity.asked_ns + PERIOD_NS - 1, PERIOD_NS) && rarity.found == 1, "not a tick yet");
    }

    #[test]
    fn looks_at_every_fourth_tick_where_few_are_of_interest() {
        let mut expected = Expected::default();
        let rare = Rhythm { rare: true, ..ALONE };
        expected.after(1_000_000_000, rare);
        assert_eq!(expected.at_ns(), Some(1_200_200_000));
        expected.after(1_050_000_100, rare);
        assert_eq!(expected.at_ns(), Some(1_200_200_100), "samples between do not put it off");
        expected.passed(1_200_200_100);
        expected.after(1_200_000_000, rare);
        assert_eq!(expected.at_ns(), Some(1_400_200_000));
        expected.after(1_250_000_000, ALONE);
        assert_eq!(expected.at_ns(), Some(1_300_200_000));
    }
}
