//! Frames of Python functions in native stacks.
//!
//! CPython runs Python functions in one C function, `_PyEval_EvalFrameDefault`, and keeps their frames on a stack of its
//! own, which no stack copy holds. So it is read from the process, as soon as the sample is there: the engine wakes when it
//! expects one of Python, reads its frames, and leaves the sample in its ring until it takes many.
//!
//! ```text
//!   native, leaf first      interpreter, leaf first        merged
//!   sin                                                    sin
//!   math_sin                                               math_sin
//!   eval              <---  area, total | entry      --->  area, total
//!   vectorcall                                             .           (machinery between two evaluations)
//!   eval              <---  main, <module> | entry   --->  main, <module>
//!   Py_RunMain, main, _start                               Py_RunMain, main, _start
//! ```
pub mod code;
pub mod interpreter;
pub mod lately;
pub mod layout;
pub mod memory;
pub mod merge;

use crate::maps::{Maps, Resolved};
use crate::modules::{BinaryKind, Modules};
use crate::perf::record::Moment;
use crate::unwind::frame::{Ending, Place};
use code::Codes;
use interpreter::{Interpreter, Program};
use lately::{Lately, Situation};
use memory::Memory;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// For so long a thread is where it was sampled, or near: later it may have been taken off its CPU, which happens where a system
/// call ends, so that what makes system calls would be told far too often.
const FRESH_NS: u64 = 2_000_000;
/// Of a sample that waited longer nothing can be read any more.
const OLD_NS: u64 = 20_000_000;
const MOST_PROCESSES: usize = 4096;
/// Files that look like interpreters: those of a node, and their copies in its containers.
const MOST_PROGRAMS: usize = 64;
/// What no sample had to do with for so many windows is forgotten.
const ROUNDS_UNUSED: u64 = 12;

#[derive(Default)]
pub struct Python {
    /// By binary id: what makes a file an interpreter; None for one that looked like it.
    programs: FxHashMap<u32, Option<Rc<Program>>>,
    processes: FxHashMap<u64, Known>,
    codes: Codes,
    memory: Memory,
    /// What was read at the ticks of samples that are still in their rings, by thread and time.
    early: FxHashMap<(u32, u64), Early>,
    lately: Lately,
    /// Counts windows.
    round: u64,
}

/// Frames of a thread, leaf first, one segment for each evaluation in C, as they stood at a sample.
type Segments = Rc<[Vec<Place>]>;

/// Serial of a process, id of its interpreter's binary, and where that is mapped.
type InterpreterPlace = (u64, u32, u64);

struct Early {
    place: InterpreterPlace,
    fresh: bool,
    segments: Segments,
}

/// Whose stack it is.
pub struct Sampled<'a> {
    pub serial: u64,
    pub moment: Moment,
    pub maps: &'a Maps,
    /// When its process is looked at.
    pub now_ns: u64,
}

impl Sampled<'_> {
    fn waited_less(&self, ns: u64) -> bool {
        self.now_ns.saturating_sub(self.moment.time_ns) < ns
    }
}

/// A stack that was walked, leaf first.
pub struct Stack<'a> {
    pub places: &'a mut Vec<Place>,
    pub ending: &'a mut Ending,
}

struct Known {
    maps: u64,
    interpreter: Option<Interpreter>,
    /// The round of its last sample.
    used: u64,
}

impl Python {
    /// What was read of processes is old now.
    pub fn forget_memory(&mut self) {
        self.memory.forget();
    }

    /// No sample is left whose frames were read early.
    pub fn end_drain(&mut self) {
        self.early.clear();
    }

    /// Called once a window.
    pub fn tidy(&mut self) {
        self.round += 1;
        self.processes.retain(|_, known| self.round - known.used <= ROUNDS_UNUSED);
        if self.processes.len() > MOST_PROCESSES {
            self.processes.clear();
        }
        if self.programs.len() > MOST_PROGRAMS {
            self.programs.clear();
        }
        self.codes.tidy();
        self.lately.tidy();
    }

    /// Reads the frames of a thread whose sample waits in its ring, where it is known for its interpreter.
    pub fn read_early(&mut self, process: &Sampled<'_>, modules: &mut Modules) {
        let known = self.processes.get(&process.serial).is_some_and(|known| known.maps == process.maps.version());
        let Moment { tid, time_ns, .. } = process.moment;
        let Some(place) = self.place_of(process).filter(|_| known) else { return };
        let fresh = process.waited_less(FRESH_NS);
        if fresh || process.waited_less(OLD_NS) && !self.lately.knows(place, tid) {
            let segments = self.read(process, modules);
            self.early.insert((tid, time_ns), Early { place, fresh, segments });
        }
    }

    /// Puts Python frames in the place of the interpreter's, in a stack that was just walked. False for a stack
    /// without any.
    pub fn merge(&mut self, process: &Sampled<'_>, modules: &mut Modules, stack: &mut Stack<'_>) -> bool {
        let known = self.processes.get(&process.serial).is_some_and(|known| known.maps == process.maps.version());
        if !known {
            let Some(interpreter) = self.find(process.maps) else { return false };
            let maps = process.maps.version();
            self.processes.insert(process.serial, Known { maps, interpreter, used: self.round });
        }
        let Some(Known { interpreter: Some(interpreter), used, .. }) = self.processes.get_mut(&process.serial) else {
            return false;
        };
        *used = self.round;
        let (module, program) = (interpreter.module.clone(), interpreter.program.clone());
        let binary = module.binary.id;
        let is_eval = |place: &Place| place.binary == binary && program.eval.contains(&place.address);
        if !stack.places.iter().any(is_eval) {
            return false;
        }
        let start_of = |address| module.cfi.borrow().table.start_of(address);
        let situation = Situation::of(stack.places, binary, is_eval, start_of);
        let segments = self.segments(process, situation, modules);
        if let Some(segments) = segments.filter(|segments| !segments.is_empty()) {
            merge::merge(stack, binary, is_eval, &segments);
        }
        true
    }

    /// The frames of a thread in this situation, as near to its sample as they were read; None where they were not.
    fn segments(&mut self, process: &Sampled<'_>, situation: Situation, modules: &mut Modules) -> Option<Segments> {
        let place = self.place_of(process)?;
        let moment = process.moment;
        let early = self.early.remove(&(moment.tid, moment.time_ns)).filter(|early| early.place == place);
        let fresh = match &early {
            Some(early) => early.fresh.then(|| early.segments.clone()),
            None => process.waited_less(FRESH_NS).then(|| self.read(process, modules)),
        };
        if let Some(segments) = fresh {
            self.lately.remember(place, moment, situation, &segments);
            return Some(segments);
        }
        let lately = self.lately.find(place, moment, situation).or(early.map(|early| early.segments));
        lately.or_else(|| process.waited_less(OLD_NS).then(|| self.read(process, modules)))
    }

    /// Frames read of another interpreter mean nothing.
    fn place_of(&self, process: &Sampled<'_>) -> Option<InterpreterPlace> {
        let interpreter = self.processes.get(&process.serial)?.interpreter.as_ref()?;
        Some((process.serial, interpreter.module.binary.id, interpreter.bias))
    }

    fn read(&mut self, process: &Sampled<'_>, modules: &mut Modules) -> Segments {
        let Python { processes, memory, codes, .. } = self;
        let interpreter = processes.get_mut(&process.serial).and_then(|known| known.interpreter.as_mut());
        let Moment { pid, tid, .. } = process.moment;
        let segments = interpreter.and_then(|interpreter| interpreter.stack(pid, tid, memory)).unwrap_or_default();
        let mut place = |frame| codes.place(process, frame, memory, modules);
        segments.into_iter().map(|segment| segment.into_iter().filter_map(&mut place).collect()).collect()
    }

    /// The interpreter in these maps, if there is one; None while its file has not been opened, since no stack went
    /// through it.
    fn find(&mut self, maps: &Maps) -> Option<Option<Interpreter>> {
        let mut is_open = true;
        for map in maps.iter().filter(|map| interpreter::looks_like_python(&map.file.path)) {
            let module = match &*map.file.module.borrow() {
                Resolved::Module(module) => module.clone(),
                Resolved::Anonymous => continue,
                Resolved::NotYet => {
                    is_open = false;
                    continue;
                }
            };
            let BinaryKind::Elf { image, elf } = &module.binary.kind else { continue };
            let id = module.binary.id;
            let program = self.programs.entry(id).or_insert_with(|| Program::read(image, elf).map(Rc::new)).clone();
            if let (Some(program), Some(vaddr)) = (program, elf.vaddr_of(map.file_offset)) {
                return Some(Some(Interpreter::new(module, program, map.start.wrapping_sub(vaddr))));
            }
        }
        is_open.then_some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_not_sampled_any_more_are_forgotten() {
        let mut python = Python::default();
        for serial in [1, 2] {
            python.processes.insert(serial, Known { maps: 7, interpreter: None, used: 0 });
        }
        for round in 1..=ROUNDS_UNUSED + 1 {
            python.tidy();
            if let Some(known) = python.processes.get_mut(&2) {
                known.used = round;
            }
        }
        assert_eq!(python.processes.keys().collect::<Vec<_>>(), [&2]);
    }
}
