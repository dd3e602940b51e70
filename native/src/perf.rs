//! Capture: one perf event per CPU whose ring brings samples and the side-band that explains them.
//! https://man7.org/linux/man-pages/man2/perf_event_open.2.html
pub mod attr;
pub mod clock;
pub mod counting;
pub mod cpus;
pub mod expected;
pub mod open;
pub mod record;
pub mod refusal;
pub mod ring;
