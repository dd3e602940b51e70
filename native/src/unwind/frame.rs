//! What a walk is made of: where it starts, what it finds, how it ends.
use crate::arch::{DWARF_REGISTERS, FP, PC, SP};

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

/// All registers of a piece of code that runs, by DWARF's numbers.
pub type Registers = [u64; DWARF_REGISTERS];

/// What is known of a caller.
#[derive(Clone, Copy)]
pub struct Frame {
    pub pc: u64,
    pub sp: u64,
    pub fp: u64,
    /// The leaf, or code a signal interrupted: all its registers are known, and its PC is not a return address.
    pub exact: bool,
}

impl Frame {
    pub fn exact(registers: &Registers) -> Frame {
        Frame { pc: registers[PC], sp: registers[SP], fp: registers[FP], exact: true }
    }
}
