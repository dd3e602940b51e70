//! Frames that were read of late, for samples at whose tick nobody looked.
//!
//! Where Python is rare, only every fourth tick is looked at. A sample between is given the frames of the last look that found
//! its thread in the same situation, so a look stands for as many samples as there are ticks between two, and functions are
//! said to call what they were seen to call:
//!
//! ```text
//!   looked at                           between                        told
//!   sin  < math_sin  < eval  area       sin  < math_sin  < eval  ?     sin  < math_sin  < area
//!   float_mul        < eval  total      float_mul        < eval  ?     float_mul        < total
//!                                       tuple_alloc      < eval  ?     tuple_alloc      < total    as any other code of the interpreter
//!                                       write < os_write < eval  ?     write < os_write < eval     no look found it in that library
//! ```
use super::{InterpreterPlace, Segments};
use crate::modules::KERNEL;
use crate::perf::record::Moment;
use crate::unwind::frame::Place;
use rustc_hash::{FxHashMap, FxHasher};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// Looks at a thread that are remembered, and for how long.
const MOST_LOOKS: usize = 32;
const MOST_NS: u64 = 10_000_000_000;
const MOST_THREADS: usize = 4096;

/// Where in native code a thread is, as seen from its innermost evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The functions that lead there.
    calls: u64,
    /// The library that is called from the interpreter, and how many evaluations stand.
    library: u64,
}

impl Situation {
    /// Of a stack, leaf first; `start_of` tells where the function around an address of the interpreter begins.
    pub fn of(
        places: &[Place],
        interpreter: u32,
        is_eval: impl Fn(&Place) -> bool,
        start_of: impl Fn(u64) -> Option<u64>,
    ) -> Situation {
        let user = places.iter().position(|place| place.binary != KERNEL).unwrap_or(places.len());
        let innermost = places.iter().position(&is_eval).unwrap_or(places.len()).max(user);
        let called = &places[user..innermost];
        let library = called.iter().rfind(|place| place.binary != interpreter).map(|place| place.binary);
        let evaluations = places.iter().filter(|place| is_eval(place)).count();
        let mut hasher = FxHasher::default();
        (user > 0, evaluations, library).hash(&mut hasher);
        let library = hasher.finish();
        for (depth, place) in called.iter().enumerate() {
            // Of other libraries the calls are known, and not where the processor is in the leaf.
            let called_at = (depth > 0).then_some(place.address);
            let function = if place.binary == interpreter { start_of(place.address) } else { None };
            (place.binary, function.or(called_at)).hash(&mut hasher);
        }
        Situation { calls: hasher.finish(), library }
    }
}

struct Look {
    place: InterpreterPlace,
    time_ns: u64,
    situation: Situation,
    segments: Segments,
}

/// By thread, the last look first.
#[derive(Default)]
pub struct Lately {
    threads: FxHashMap<u32, VecDeque<Look>>,
    newest_ns: u64,
}

impl Lately {
    pub fn remember(&mut self, place: InterpreterPlace, moment: Moment, situation: Situation, segments: &Segments) {
        if self.threads.len() >= MOST_THREADS {
            self.threads.clear();
        }
        self.newest_ns = self.newest_ns.max(moment.time_ns);
        let looks = self.threads.entry(moment.tid).or_default();
        looks.truncate(MOST_LOOKS - 1);
        looks.push_front(Look { place, time_ns: moment.time_ns, situation, segments: segments.clone() });
    }

    pub fn find(&self, place: InterpreterPlace, moment: Moment, situation: Situation) -> Option<Segments> {
        let looks = self.threads.get(&moment.tid)?;
        let last = |alike: &dyn Fn(&Situation) -> bool| {
            looks.iter().find(|look| {
                look.place == place && alike(&look.situation) && moment.time_ns.abs_diff(look.time_ns) <= MOST_NS
            })
        };
        let found =
            last(&|seen| seen.calls == situation.calls).or_else(|| last(&|seen| seen.library == situation.library));
        found.map(|look| look.segments.clone())
    }

    /// Whether a look at this thread is remembered.
    pub fn knows(&self, place: InterpreterPlace, tid: u32) -> bool {
        self.threads.get(&tid).and_then(VecDeque::front).is_some_and(|look| look.place == place)
    }

    /// Called once a window.
    pub fn tidy(&mut self) {
        let oldest_ns = self.newest_ns.saturating_sub(MOST_NS);
        self.threads.retain(|_, looks| looks.front().is_some_and(|look| look.time_ns >= oldest_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: u32 = 10;
    const PLACE: InterpreterPlace = (1, PYTHON, 0);

    /// `e` an evaluation, `i` other code of the interpreter, `k` the kernel, others a library's; at this address. Functions have ten.
    fn situation(stack: &str) -> Situation {
        let place = |frame: &str| {
            let binary = match &frame[..1] {
                "e" | "i" => PYTHON,
                "k" => KERNEL,
                library => 100 + u32::from(library.as_bytes()[0]),
            };
            Place { binary, address: frame[1..].parse().unwrap() }
        };
        let places: Vec<Place> = stack.split(' ').map(place).collect();
        Situation::of(
            &places,
            PYTHON,
            |place| place.binary == PYTHON && place.address < 10,
            |address| Some(address / 10),
        )
    }

    #[test]
    fn a_situation_is_the_calls_from_the_innermost_evaluation() {
        assert_eq!(situation("e1 i20"), situation("e2 i30"), "wherever in the evaluation, whoever called it");
        assert_eq!(
            situation("s1 i51 e3"),
            situation("s2 i52 e4"),
            "wherever in the leaf and in the interpreter's functions"
        );
        assert_eq!(situation("k1 s1 e3"), situation("k2 k3 s1 e3"), "wherever in the kernel");
        let calls_differ = |a: &str, b: &str| situation(a).calls != situation(b).calls;
        assert!(calls_differ("s1 i51 e3", "s1 i61 e3"), "called by another function");
        assert!(calls_differ("s1 s2 e3", "s1 s3 e3"), "called from elsewhere in the library");
        assert!(calls_differ("k1 s1 e3", "s1 e3"));
        let library_differs = |a: &str, b: &str| situation(a).library != situation(b).library;
        assert!(!library_differs("e1", "i51 i61 e1"), "all of it is the interpreter's");
        assert!(library_differs("s1 e1", "i51 e1") && library_differs("s1 e1", "t1 e1"));
        assert!(!library_differs("t1 s2 e1", "s1 e1"), "whatever that library calls");
        assert!(library_differs("e1 i20", "e1 i20 e2"), "deeper");
    }

    #[test]
    fn the_last_look_at_the_thread_in_the_same_situation_counts() {
        let frames = |address| -> Segments { vec![vec![Place { binary: 99, address }]].into() };
        let at = |tid, time_ns| Moment { pid: 1, tid, time_ns };
        let (pure, sine) = (situation("e1"), situation("s1 s5 e3"));
        let mut lately = Lately::default();
        for (time_ns, situation, address) in [(1, pure, 1), (2, sine, 2), (3, pure, 3)] {
            lately.remember(PLACE, at(7, time_ns), situation, &frames(address));
        }
        let found = |lately: &Lately, place, moment, situation| {
            lately.find(place, moment, situation).map(|segments| segments[0][0].address)
        };
        assert_eq!(found(&lately, PLACE, at(7, 4), pure), Some(3));
        assert_eq!(found(&lately, PLACE, at(7, 4), sine), Some(2));
        assert_eq!(found(&lately, PLACE, at(7, 4), situation("i51 e1")), Some(3), "the interpreter's own code");
        assert_eq!(found(&lately, PLACE, at(7, 4), situation("s1 s6 e3")), Some(2), "elsewhere in the library");
        assert_eq!(found(&lately, PLACE, at(7, 4), situation("t1 e3")), None, "in another library");
        assert_eq!(found(&lately, PLACE, at(8, 4), pure), None, "another thread");
        assert_eq!(found(&lately, (1, PYTHON, 4096), at(7, 4), pure), None, "another program since");
        assert_eq!(found(&lately, PLACE, at(7, 4 + MOST_NS), pure), None, "long ago");
        for time_ns in 10..10 + MOST_LOOKS as u64 {
            lately.remember(PLACE, at(7, time_ns), pure, &frames(9));
        }
        assert_eq!(found(&lately, PLACE, at(7, 30), sine), None, "so many are remembered");
        lately.remember(PLACE, at(8, 100 + MOST_NS), pure, &frames(1));
        lately.tidy();
        assert_eq!(lately.threads.keys().collect::<Vec<_>>(), [&8]);
    }
}
