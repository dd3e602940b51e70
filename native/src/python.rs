//! Frames of Python functions in native stacks.
//!
//! CPython runs Python functions in one C function, `_PyEval_EvalFrameDefault`, and keeps their frames on a stack of its
//! own, which no stack copy holds. So it is read from the process, as soon as the sample is there: the engine wakes when it
//! expects one of Python.
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
pub mod layout;
pub mod memory;
pub mod merge;

use crate::maps::{Maps, Resolved};
use crate::modules::{BinaryKind, Modules};
use crate::unwind::frame::{Ending, Place};
use code::Codes;
use interpreter::{Interpreter, Program};
use memory::Memory;
use rustc_hash::FxHashMap;
use std::rc::Rc;

const MOST_PROCESSES: usize = 4096;

#[derive(Default)]
pub struct Python {
    /// By binary id: what makes a file an interpreter; None for one that looked like it.
    programs: FxHashMap<u32, Option<Rc<Program>>>,
    processes: FxHashMap<u64, Known>,
    codes: Codes,
    memory: Memory,
}

/// Whose stack it is.
pub struct Sampled<'a> {
    pub serial: u64,
    pub pid: u32,
    pub tid: u32,
    pub maps: &'a Maps,
    /// The sample waited so long that its process is elsewhere by now: its stack stays native.
    pub is_old: bool,
}

/// A stack that was walked, leaf first.
pub struct Stack<'a> {
    pub places: &'a mut Vec<Place>,
    pub ending: &'a mut Ending,
}

struct Known {
    maps: u64,
    interpreter: Option<Interpreter>,
}

impl Python {
    /// What was read of processes is old now.
    pub fn start_drain(&mut self) {
        self.memory.forget();
    }

    /// Called once a window.
    pub fn tidy(&mut self) {
        if self.processes.len() > MOST_PROCESSES {
            self.processes.clear();
        }
        self.programs.clear();
        self.codes.tidy();
    }

    /// Puts Python frames in the place of the interpreter's, in a stack that was just walked. False for a stack
    /// without any.
    pub fn merge(&mut self, process: &Sampled<'_>, modules: &mut Modules, stack: &mut Stack<'_>) -> bool {
        let known = self.processes.get(&process.serial).is_some_and(|known| known.maps == process.maps.version());
        if !known {
            let Some(interpreter) = self.find(process.maps) else { return false };
            self.processes.insert(process.serial, Known { maps: process.maps.version(), interpreter });
        }
        let Some(Known { interpreter: Some(interpreter), .. }) = self.processes.get_mut(&process.serial) else {
            return false;
        };
        let (binary, program) = (interpreter.binary, interpreter.program.clone());
        let is_eval = |place: &Place| place.binary == binary && program.eval.contains(&place.address);
        if !stack.places.iter().any(is_eval) {
            return false;
        }
        if process.is_old {
            return true;
        }
        let segments = interpreter.stack(process.pid, process.tid, &mut self.memory).unwrap_or_default();
        let mut place = |frame| self.codes.place(process, frame, &mut self.memory, modules);
        let segments: Vec<Vec<Place>> =
            segments.into_iter().map(|segment| segment.into_iter().filter_map(&mut place).collect()).collect();
        if !segments.is_empty() {
            merge::merge(stack, binary, is_eval, &segments);
        }
        true
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
                return Some(Some(Interpreter::new(id, program, map.start.wrapping_sub(vaddr))));
            }
        }
        is_open.then_some(None)
    }
}
