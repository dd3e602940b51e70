//! Counting events as JavaScript sees them: conversions only. collector/counting.ts holds the same shapes as types.
use crate::perf::counting::{Count, Counting, Event};
use napi::bindgen_prelude::{Float64Array, Int32Array, Uint32Array};
use napi::{Error, Result};
use napi_derive::napi;

#[napi]
pub struct NativeCounting {
    counting: Option<Counting>,
}

/// type, config, config1, config2 (low word first), CPU, whether it follows the leader before it.
const WORDS: usize = 9;

fn event_of(words: &[u32]) -> Event {
    let wide = |at: usize| u64::from(words[at]) | u64::from(words[at + 1]) << 32;
    Event {
        kind: words[0],
        config: wide(1),
        config1: wide(3),
        config2: wide(5),
        cpu: words[7] as i32,
        follows: words[8] != 0,
    }
}

#[napi]
impl NativeCounting {
    /// `events`: nine words each. An event that cannot be had is told by `errors`.
    #[napi(constructor)]
    pub fn new(events: Uint32Array) -> Result<Self> {
        if !events.len().is_multiple_of(WORDS) {
            return Err(Error::from_reason("events are nine words each"));
        }
        let events: Vec<Event> = events.chunks_exact(WORDS).map(event_of).collect();
        Ok(NativeCounting { counting: Some(Counting::open(&events)) })
    }

    /// errno of each event; 0 where it counts.
    #[napi]
    pub fn errors(&self) -> Int32Array {
        self.counting.as_ref().map(Counting::errors).unwrap_or_default().into()
    }

    /// value, nanoseconds enabled, nanoseconds running of each event; NaN where it cannot be read.
    #[napi]
    pub fn read(&self) -> Float64Array {
        let counts = self.counting.as_ref().map(Counting::read).unwrap_or_default();
        let numbers = |count: Option<Count>| match count {
            Some(count) => [count.value as f64, count.enabled_ns as f64, count.running_ns as f64],
            None => [f64::NAN; 3],
        };
        counts.into_iter().flat_map(numbers).collect::<Vec<f64>>().into()
    }

    #[napi]
    pub fn close(&mut self) {
        self.counting = None;
    }
}
