//! What a walk is made of: where it starts, what it finds, how it ends.
use crate::arch::{DWARF_REGISTERS, FP, SP};

/// A place in code: a binary's id and an address as that binary counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub binary: u32,
    pub address: u64,
}

/// The bytes at and above the stack pointer.
pub struct StackCopy<'a> {
    pub start: u64,
    pub bytes: &'a [u8],
    /// More of the stack existed than was copied.
    pub full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// Reached what has no caller: _start, the start of a thread.
    Root,
    /// The copy, or the list of frames, was too short.
    Truncated,
    /// Nothing says who called the last frame.
    Lost,
}

#[derive(Clone)]
pub struct Frame {
    pub registers: [u64; DWARF_REGISTERS],
    /// All registers are the frame's own, and its PC is not a return address: the leaf, or code a signal interrupted.
    pub exact: bool,
}

impl Frame {
    pub fn leaf(registers: [u64; DWARF_REGISTERS]) -> Frame {
        Frame { registers, exact: true }
    }

    pub fn stack_pointer(&self) -> u64 {
        self.registers[SP]
    }

    /// Of a caller only the stack and frame pointer are known.
    pub fn register(&self, number: u8) -> Result<u64, Ending> {
        let known = self.exact || number as usize == SP || number as usize == FP;
        known.then(|| self.registers[number as usize]).ok_or(Ending::Lost)
    }
}
