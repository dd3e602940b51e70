//! The walk up one stack.
use super::cfi::{Cfa, Expression, Found, Row, Rule};
use super::frame::{Ending, Frame, Place, Registers, StackCopy};
use super::live::{Border, Call, call_before};
use super::steps::Step;
use crate::arch::{self, DWARF_REGISTERS, FP, RA, SP};
use crate::maps::Maps;
use crate::modules::{BinaryKind, Module, Modules, RUNTIME};
use std::rc::Rc;

/// Deeper stacks are cut here: a runaway recursion must not fill the window.
const MOST_FRAMES: usize = 1024;
const LARGEST_STACK: u64 = 1 << 32;

pub struct Walk<'a> {
    modules: &'a mut Modules,
    maps: &'a Maps,
    pid: u32,
    stack: StackCopy<'a>,
    /// Of the last exact frame.
    registers: Registers,
    /// Where the walk stands; once it has gone beyond the copy, the last frame in it.
    border: Border,
    /// Frames found in the copy, once the walk has gone beyond it.
    copied_frames: Option<usize>,
    /// A word beyond the copy was wanted.
    beyond: bool,
}

impl<'a> Walk<'a> {
    pub fn new(modules: &'a mut Modules, maps: &'a Maps, pid: u32, tid: u32, stack: StackCopy<'a>) -> Walk<'a> {
        let border = Border { pid, tid, maps: maps.version(), ..Border::default() };
        let registers = [0; DWARF_REGISTERS];
        Walk { modules, maps, pid, stack, registers, border, copied_frames: None, beyond: false }
    }

    /// Appends the stack of code with these registers to `places`, leaf first.
    pub fn run(&mut self, registers: &Registers, places: &mut Vec<Place>) -> Ending {
        self.modules.live.start_stack();
        self.registers = *registers;
        let ending = self.climb(Frame::exact(registers), places);
        let Some(copied) = self.copied_frames else { return ending };
        if ending == Ending::Root {
            self.modules.live.remember_above(self.border, &places[copied..]);
            return ending;
        }
        // What was read from the process in place of the copy led nowhere: the copy counts, and what stood above it before.
        places.truncate(copied);
        if let Some(above) = self.modules.live.above(&self.border, true) {
            places.extend_from_slice(above);
            return Ending::Root;
        }
        self.copied_frames = None;
        if self.stack.full { Ending::Truncated } else { Ending::Lost }
    }

    /// Whether frames were found beyond the copy.
    pub fn went_beyond(&self) -> bool {
        self.copied_frames.is_some()
    }

    fn climb(&mut self, mut frame: Frame, places: &mut Vec<Place>) -> Ending {
        for _ in 0..MOST_FRAMES {
            // A return address may be the first byte behind a function that never returns, so look one byte before.
            let pc = frame.pc.wrapping_sub(u64::from(!frame.exact));
            if !self.beyond {
                (self.border.sp, self.border.pc) = (frame.sp, pc);
            }
            let step = match self.modules.steps.get(self.maps.version(), pc) {
                Some((place, step)) => {
                    places.push(place);
                    match step {
                        Step::Row(row) => self.step_row(&frame, &row, &[]),
                        Step::FramePointer => self.step_frame_pointer(&frame),
                    }
                }
                None => self.step_anew(&frame, pc, places),
            };
            let leaves = self.beyond && self.copied_frames.is_none();
            if leaves {
                self.copied_frames = Some(places.len());
                if let Some(above) = self.modules.live.above(&self.border, false) {
                    places.extend_from_slice(above);
                    return Ending::Root;
                }
            }
            frame = match step {
                Ok(caller) if leaves && !self.calls(&caller, pc) => return Ending::Truncated,
                Ok(caller) => caller,
                Err(ending) => return ending,
            };
        }
        Ending::Truncated
    }

    /// The step from an address that was not seen of late.
    fn step_anew(&mut self, frame: &Frame, pc: u64, places: &mut Vec<Place>) -> Result<Frame, Ending> {
        let Some(map) = self.maps.find(pc) else {
            // An address that is mapped nowhere is a guess of the walk and no frame, unless the processor was there.
            if frame.exact {
                places.push(Place { binary: RUNTIME, address: pc });
            }
            return Err(Ending::Lost);
        };
        let module = self.modules.resolve(map, self.pid);
        let place = map.place(module.as_deref(), pc);
        places.push(place);
        let Some(module) = module else { return self.step_frame_pointer(frame) };
        let mut cfi = module.cfi.borrow_mut();
        match self.modules.loader.find(&mut cfi, place.address) {
            Found::Row { signal: true, .. } => self.step_signal(frame),
            Found::Row { row, .. } => {
                if !row.uses_expressions() {
                    self.modules.steps.put(self.maps.version(), pc, place, Step::Row(row));
                }
                self.step_row(frame, &row, &cfi.table.expressions)
            }
            _ if is_signal_return(&module, place.address) => self.step_signal(frame),
            _ => {
                self.modules.steps.put(self.maps.version(), pc, place, Step::FramePointer);
                self.step_frame_pointer(frame)
            }
        }
    }

    /// Whether the instruction before the caller's address is a call of the function around `callee_pc`.
    fn calls(&mut self, caller: &Frame, callee_pc: u64) -> bool {
        let (maps, pc) = (self.maps.version(), caller.pc);
        let known = self.modules.live.known_call(maps, pc, callee_pc);
        known.unwrap_or_else(|| {
            let is_call = self.reads_as_call(pc, callee_pc);
            self.modules.live.remember_call(maps, pc, callee_pc, is_call);
            is_call
        })
    }

    fn reads_as_call(&mut self, pc: u64, callee_pc: u64) -> bool {
        let callee = self.located(callee_pc);
        let (Some((callee, callee_address)), Some((module, address))) = (callee, self.located(pc.wrapping_sub(1)))
        else {
            return false;
        };
        let BinaryKind::Elf { image, elf } = &module.binary.kind else { return false };
        let mut code = [0; 8];
        let offset = elf.offset_of(address.wrapping_sub(7)).map(|(offset, _)| offset);
        if offset.and_then(|offset| image.read_exact_at(offset, &mut code)).is_none() {
            return false;
        }
        match call_before(address.wrapping_add(1), &code) {
            Call::Indirect => true,
            // Into another file the call goes by a stub.
            Call::Direct(_) if module.binary.id != callee.binary.id => true,
            // Without CFI (Go) nobody knows where the function below begins.
            Call::Direct(target) => {
                callee.cfi.borrow().table.start_of(callee_address).is_none_or(|start| start == target)
            }
            Call::None => false,
        }
    }

    fn located(&mut self, pc: u64) -> Option<(Rc<Module>, u64)> {
        let map = self.maps.find(pc)?;
        let module = self.modules.resolve(map, self.pid)?;
        let address = map.place(Some(&module), pc).address;
        Some((module, address))
    }

    fn step_row(&mut self, frame: &Frame, row: &Row, expressions: &[Expression]) -> Result<Frame, Ending> {
        let cfa = match row.cfa {
            Cfa::Register(number, offset) => self.register(frame, number)?.wrapping_add_signed(i64::from(offset)),
            Cfa::Expression(index) => self.evaluate(frame, expressions, index)?,
            Cfa::Plt(threshold) => {
                let pushed = frame.pc & 15 >= u64::from(threshold);
                frame.sp.wrapping_add(if pushed { 16 } else { 8 })
            }
            Cfa::Unsupported => return Err(Ending::Lost),
        };
        let pc = match row.ra {
            Rule::Undefined => return Err(Ending::Root),
            Rule::Same if !arch::RA_IN_REGISTER => self.read(cfa.wrapping_sub(8))?,
            Rule::Same if !frame.exact => return Err(Ending::Lost),
            rule => self.value(frame, expressions, cfa, rule, RA)?,
        };
        // A frame pointer that is lost matters only when the caller needs it; 0 is one that leads nowhere.
        let fp = match self.value(frame, expressions, cfa, row.fp, FP) {
            Err(Ending::Truncated) => return Err(Ending::Truncated),
            fp => fp.unwrap_or(0),
        };
        self.caller(frame, pc, cfa, fp)
    }

    fn register(&self, frame: &Frame, number: u8) -> Result<u64, Ending> {
        match usize::from(number) {
            SP => Ok(frame.sp),
            FP => Ok(frame.fp),
            number if frame.exact => Ok(self.registers[number]),
            _ => Err(Ending::Lost),
        }
    }

    fn evaluate(&mut self, frame: &Frame, expressions: &[Expression], index: u16) -> Result<u64, Ending> {
        let expression = expressions.get(index as usize).ok_or(Ending::Lost)?;
        let mut value = self.register(frame, expression.register)?.wrapping_add_signed(expression.offset);
        if expression.dereference {
            value = self.read(value)?;
        }
        Ok(value.wrapping_add_signed(expression.add))
    }

    /// The caller's value of register `own`.
    fn value(
        &mut self,
        frame: &Frame,
        expressions: &[Expression],
        cfa: u64,
        rule: Rule,
        own: usize,
    ) -> Result<u64, Ending> {
        match rule {
            Rule::Same => self.register(frame, own as u8),
            Rule::Offset(offset) => self.read(cfa.wrapping_add_signed(i64::from(offset))),
            Rule::Register(number) => self.register(frame, number),
            Rule::Expression(index) => {
                let address = self.evaluate(frame, expressions, index)?;
                self.read(address)
            }
            Rule::Undefined | Rule::Unsupported => Err(Ending::Lost),
        }
    }

    /// Without CFI: the convention that a frame pointer points at the caller's, with the return address above.
    fn step_frame_pointer(&mut self, frame: &Frame) -> Result<Frame, Ending> {
        let fp = frame.fp;
        if fp == 0 {
            return Err(Ending::Root);
        }
        if fp < frame.sp || !fp.is_multiple_of(8) {
            return Err(Ending::Lost);
        }
        let (caller_fp, pc) = (self.read(fp)?, self.read(fp.wrapping_add(8))?);
        self.caller(frame, pc, fp.wrapping_add(16), caller_fp)
    }

    fn step_signal(&mut self, frame: &Frame) -> Result<Frame, Ending> {
        let context = frame.sp.wrapping_add(arch::SIGNAL_CONTEXT_OFFSET);
        let mut interrupted = [0; DWARF_REGISTERS];
        for (index, &number) in arch::SIGNAL_CONTEXT.iter().enumerate() {
            interrupted[number as usize] = self.read(context.wrapping_add(index as u64 * 8))?;
        }
        self.registers = interrupted;
        // A handler may run on a stack of its own, from which the copy does not reach the interrupted one.
        Ok(Frame::exact(&interrupted))
    }

    fn caller(&self, frame: &Frame, pc: u64, cfa: u64, fp: u64) -> Result<Frame, Ending> {
        let pc = arch::strip_pointer(pc);
        if pc == 0 {
            return Err(Ending::Root);
        }
        let sp = frame.sp;
        // The stack grows downwards: a caller that is not above its callee would make the walk go round.
        if cfa < sp || (cfa == sp && !(frame.exact && arch::RA_IN_REGISTER)) {
            return Err(Ending::Lost);
        }
        Ok(Frame { pc, sp: cfa, fp, exact: false })
    }

    fn read(&mut self, address: u64) -> Result<u64, Ending> {
        let at = address.checked_sub(self.stack.start).ok_or(Ending::Lost)?;
        let word = usize::try_from(at).ok().and_then(|at| self.stack.bytes.get(at..at.checked_add(8)?));
        if let Some(word) = word {
            return Ok(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        // What lies far above the copy is no stack that was cut but an address that is none.
        if at > LARGEST_STACK {
            return Err(Ending::Lost);
        }
        // A copy that is short met a page that is not in memory: the end of the stack, or an array nobody wrote to yet.
        let cut = if self.stack.full { Ending::Truncated } else { Ending::Lost };
        if !std::mem::replace(&mut self.beyond, true) && self.modules.live.above(&self.border, false).is_some() {
            return Err(cut);
        }
        self.modules.live.word(self.pid, address).ok_or(cut)
    }
}

fn is_signal_return(module: &Module, address: u64) -> bool {
    let BinaryKind::Elf { image, elf } = &module.binary.kind else { return false };
    let mut code = [0; arch::SIGNAL_RETURN.len()];
    // The return address of a handler is the trampoline's first byte, and we look one byte before return addresses.
    let at = elf.offset_of(address.wrapping_add(1)).map(|(offset, _)| offset);
    at.and_then(|offset| image.read_exact_at(offset, &mut code)).is_some() && code == *arch::SIGNAL_RETURN
}
