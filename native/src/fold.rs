//! Samples of one window, folded while they come: equal (process, thread name, stack) become one entry.
//!
//! ```text
//!   places   0: libm+0x1c2f4   1: app+0x11a0   2: app+0x1234          addresses, not yet names
//!   stacks   0: [0 1 2]        1: [1 2]                                leaf first
//!   samples  (process 0, thread 0, stack 0) 157 894 736 ns, 3 samples
//! ```
use crate::modules::Binary;
use crate::unwind::frame::{Ending, Place};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bounds of one window's memory; a sample that does not fit is counted as lost.
const MOST_PLACES: usize = 1 << 18;
const MOST_STACK_FRAMES: usize = 1 << 21;
const MOST_SAMPLES: usize = 1 << 18;
/// Entries that a table keeps room for when it is emptied.
const KEPT_ROOM: usize = 1 << 15;

#[derive(Clone, Debug, Default)]
pub struct SampledProcess {
    pub serial: u64,
    pub pid: u32,
    /// Told at the end of the window, like the name.
    pub start_ms: u64,
    pub name: Arc<str>,
    pub cgroup: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoldedSample {
    pub process: u32,
    pub thread: u32,
    pub stack: u32,
    pub period_ns: u64,
    pub count: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Records the kernel dropped, and samples that did not fit.
    pub lost: u64,
    pub throttled: u64,
    pub samples: u64,
    pub truncated: u64,
    /// Stacks whose copy was too short, completed from the process itself.
    pub extended: u64,
    /// Stacks that end where nothing says who called.
    pub unfinished: u64,
    pub frames: u64,
    pub named_frames: u64,
    /// CPU time of the sampler's own threads.
    pub own_cpu_ns: u64,
}

/// A window of addresses, on its way to the symbol thread.
#[derive(Default)]
pub struct RawWindow {
    pub start_ns: u64,
    pub end_ns: u64,
    pub processes: Vec<SampledProcess>,
    pub threads: Vec<Arc<str>>,
    pub binaries: FxHashMap<u32, Arc<Binary>>,
    pub places: Vec<Place>,
    /// Stack i is stack_places[offsets[i] .. offsets[i + 1]).
    pub offsets: Vec<u32>,
    pub stack_places: Vec<u32>,
    pub samples: Vec<FoldedSample>,
    pub counters: Counters,
}

impl RawWindow {
    fn is_stack(&self, stack: u32, places: &[Place]) -> bool {
        let (from, to) = (self.offsets[stack as usize] as usize, self.offsets[stack as usize + 1] as usize);
        let same = |(&index, place): (&u32, &Place)| self.places[index as usize] == *place;
        to - from == places.len() && self.stack_places[from..to].iter().zip(places).all(same)
    }
}

#[derive(Default)]
pub struct Fold {
    window: RawWindow,
    process_index: FxHashMap<u64, u32>,
    thread_index: FxHashMap<Arc<str>, u32>,
    place_index: FxHashMap<Place, u32>,
    /// Hash of a stack -> its newest stack; `chain` leads to older ones with the same hash.
    stack_index: FxHashMap<u64, u32>,
    chain: Vec<u32>,
    sample_index: FxHashMap<(u32, u32, u32), u32>,
    scratch: Vec<u32>,
}

const NO_STACK: u32 = u32::MAX;

impl Fold {
    pub fn new(start_ns: u64) -> Fold {
        let window = RawWindow { start_ns, offsets: vec![0], ..RawWindow::default() };
        Fold { window, ..Fold::default() }
    }

    pub fn start_ns(&self) -> u64 {
        self.window.start_ns
    }

    pub fn counters(&mut self) -> &mut Counters {
        &mut self.window.counters
    }

    pub fn processes(&mut self) -> &mut [SampledProcess] {
        &mut self.window.processes
    }

    /// Index of the process, described by `describe` at its first sample of the window.
    pub fn process(&mut self, serial: u64, describe: impl FnOnce() -> SampledProcess) -> u32 {
        let next = self.window.processes.len() as u32;
        *self.process_index.entry(serial).or_insert_with(|| {
            self.window.processes.push(describe());
            next
        })
    }

    fn thread(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&index) = self.thread_index.get(name) {
            return index;
        }
        self.window.threads.push(name.clone());
        let index = self.window.threads.len() as u32 - 1;
        self.thread_index.insert(name.clone(), index);
        index
    }

    /// `binary` gives the binary of an id that this window has not seen.
    pub fn add(
        &mut self,
        process: u32,
        thread: &Arc<str>,
        stack: &[Place],
        period_ns: u64,
        ending: Ending,
        binary: impl Fn(u32) -> Option<Arc<Binary>>,
    ) {
        self.window.counters.samples += 1;
        match ending {
            Ending::Root => {}
            Ending::Truncated => self.window.counters.truncated += 1,
            Ending::Lost => self.window.counters.unfinished += 1,
        }
        let thread = self.thread(thread);
        let full = self.window.samples.len() >= MOST_SAMPLES;
        let Some(stack) = self.stack(stack, binary).filter(|_| !full) else {
            self.window.counters.lost += 1;
            return;
        };
        let next = self.window.samples.len() as u32;
        let index = *self.sample_index.entry((process, thread, stack)).or_insert(next);
        if index == next {
            self.window.samples.push(FoldedSample { process, thread, stack, period_ns: 0, count: 0 });
        }
        let sample = &mut self.window.samples[index as usize];
        sample.period_ns += period_ns;
        sample.count += 1;
    }

    /// The number of a stack; None where the window is full.
    fn stack(&mut self, places: &[Place], binary: impl Fn(u32) -> Option<Arc<Binary>>) -> Option<u32> {
        let mut hasher = FxHasher::default();
        for place in places {
            place.hash(&mut hasher);
        }
        let hash = hasher.finish();
        let newest = self.stack_index.get(&hash).copied().unwrap_or(NO_STACK);
        let mut known = newest;
        while known != NO_STACK {
            if self.window.is_stack(known, places) {
                return Some(known);
            }
            known = self.chain[known as usize];
        }
        self.number(places, binary)?;
        self.window.stack_places.extend_from_slice(&self.scratch);
        self.window.offsets.push(self.window.stack_places.len() as u32);
        self.chain.push(newest);
        let index = self.chain.len() as u32 - 1;
        self.stack_index.insert(hash, index);
        Some(index)
    }

    /// Puts the numbers of `places` into `scratch`.
    fn number(&mut self, places: &[Place], binary: impl Fn(u32) -> Option<Arc<Binary>>) -> Option<()> {
        let window = &mut self.window;
        if window.stack_places.len() + places.len() > MOST_STACK_FRAMES {
            return None;
        }
        self.scratch.clear();
        for place in places {
            let next = window.places.len() as u32;
            let index = *self.place_index.entry(*place).or_insert(next);
            if index == next {
                if window.places.len() >= MOST_PLACES {
                    self.place_index.remove(place);
                    return None;
                }
                window.places.push(*place);
                if !window.binaries.contains_key(&place.binary) {
                    window.binaries.extend(binary(place.binary).map(|binary| (place.binary, binary)));
                }
            }
            self.scratch.push(index);
        }
        Some(())
    }

    /// Ends the window and starts the next.
    pub fn take(&mut self, end_ns: u64) -> RawWindow {
        let next = RawWindow { start_ns: end_ns, offsets: vec![0], ..RawWindow::default() };
        let mut window = std::mem::replace(&mut self.window, next);
        window.end_ns = end_ns;
        // What the next window needs is about what this one needed: the tables keep their room.
        self.process_index.clear();
        self.thread_index.clear();
        self.place_index.clear();
        self.stack_index.clear();
        self.chain.clear();
        self.sample_index.clear();
        self.place_index.shrink_to(KEPT_ROOM);
        self.stack_index.shrink_to(KEPT_ROOM);
        self.sample_index.shrink_to(KEPT_ROOM);
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abc" is a stack whose leaf is a.
    fn places(stack: &str) -> Vec<Place> {
        stack.bytes().map(|letter| Place { binary: 9, address: u64::from(letter) }).collect()
    }

    fn process(pid: u32) -> SampledProcess {
        SampledProcess { serial: u64::from(pid), pid, start_ms: 1, name: "app".into(), cgroup: "".into() }
    }

    fn drawn(window: &RawWindow) -> Vec<String> {
        let name = |place: &u32| window.places[*place as usize].address as u8 as char;
        let stack = |index: u32| {
            let (from, to) = (window.offsets[index as usize], window.offsets[index as usize + 1]);
            window.stack_places[from as usize..to as usize].iter().map(name).collect::<String>()
        };
        let pid = |index: u32| window.processes[index as usize].pid;
        let thread = |index: u32| window.threads[index as usize].clone();
        let one = |s: &FoldedSample| {
            format!("{} {} {} {}ns x{}", pid(s.process), thread(s.thread), stack(s.stack), s.period_ns, s.count)
        };
        window.samples.iter().map(one).collect()
    }

    #[test]
    fn equal_samples_become_one() {
        let mut fold = Fold::new(100);
        for (pid, thread, stack) in
            [(1, "main", "abc"), (1, "main", "abc"), (1, "io", "abc"), (2, "main", "abc"), (1, "main", "bc")]
        {
            let index = fold.process(u64::from(pid), || process(pid));
            fold.add(index, &thread.into(), &places(stack), 10, Ending::Root, |_| None);
        }
        let window = fold.take(200);
        assert_eq!(
            drawn(&window),
            ["1 main abc 20ns x2", "1 io abc 10ns x1", "2 main abc 10ns x1", "1 main bc 10ns x1"]
        );
        assert_eq!((window.start_ns, window.end_ns, window.counters.samples), (100, 200, 5));
        assert_eq!((fold.start_ns(), fold.take(300).samples.len()), (200, 0));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut fold = Fold::new(0);
        let index = fold.process(1, || process(1));
        for address in 0..MOST_PLACES as u64 + 10 {
            fold.add(index, &"t".into(), &[Place { binary: 9, address }], 1, Ending::Truncated, |_| None);
        }
        let window = fold.take(1);
        assert_eq!((window.samples.len(), window.counters.lost), (MOST_PLACES, 10));
        assert_eq!(window.counters.truncated, MOST_PLACES as u64 + 10);
    }
}
