//! Code objects: the name, file and lines of a Python function.
use super::interpreter::PythonFrame;
use super::layout::Layout;
use super::memory::Memory;
use super::{ROUNDS_UNUSED, Sampled};
use crate::elf::{u32_at, u64_at};
use crate::modules::{Binary, BinaryKind, Modules};
use crate::unwind::frame::Place;
use rustc_hash::FxHashMap;
use std::sync::Arc;

struct Code {
    function: Arc<Binary>,
    first_line: u32,
    lines: Vec<u8>,
    /// Pointers of the object when it was read: another object at its address has others.
    identity: (u64, u64),
    checked: u64,
}

/// Code objects by process and address, and functions by name and file.
#[derive(Default)]
pub struct Codes {
    codes: FxHashMap<(u64, u64), Code>,
    functions: FxHashMap<(String, String), Arc<Binary>>,
    /// Counts windows: once in each an object is looked at again.
    round: u64,
}

const MOST_CODES: usize = 1 << 14;
const MOST_FUNCTIONS: usize = 1 << 14;
const LONGEST_NAME: u64 = 1024;
const LONGEST_TABLE: usize = 1 << 15;
const OB_TYPE: usize = 8;
const OB_SIZE: u64 = 16;
const BYTES_HEAD: u64 = 32;

impl Codes {
    pub fn tidy(&mut self) {
        self.round += 1;
        // Of processes that are gone, or functions that do not run any more.
        self.codes.retain(|_, code| self.round - code.checked <= ROUNDS_UNUSED);
        if self.codes.len() > MOST_CODES {
            self.codes.clear();
        }
        if self.functions.len() > MOST_FUNCTIONS {
            self.functions.clear();
        }
    }

    /// A place that stands for a Python frame: the function as a binary, the line as the address in it.
    pub fn place(
        &mut self,
        process: &Sampled<'_>,
        frame: PythonFrame,
        memory: &mut Memory,
        modules: &mut Modules,
    ) -> Option<Place> {
        let (key, pid) = ((process.serial, frame.code), process.moment.pid);
        if self.codes.get(&key).is_none_or(|code| code.checked != self.round) {
            let layout = &frame.layout;
            let head = memory.bytes(pid, frame.code, layout.largest_code_offset() + 8)?;
            if u64_at(&head, OB_TYPE)? != frame.code_type {
                return None;
            }
            let identity = (u64_at(&head, layout.code_qualname)?, u64_at(&head, layout.code_linetable)?);
            match self.codes.get_mut(&key).filter(|code| code.identity == identity) {
                Some(code) => code.checked = self.round,
                None => {
                    let code = self.read(pid, &head, identity, layout, memory, modules)?;
                    self.codes.insert(key, code);
                }
            }
        }
        let code = self.codes.get(&key)?;
        let line = line_of(&code.lines, code.first_line, frame.instruction);
        Some(Place { binary: code.function.id, address: u64::from(line) })
    }

    fn read(
        &mut self,
        pid: u32,
        head: &[u8],
        identity: (u64, u64),
        layout: &Layout,
        memory: &mut Memory,
        modules: &mut Modules,
    ) -> Option<Code> {
        let name = text(pid, identity.0, layout, memory)?;
        let file = text(pid, u64_at(head, layout.code_filename)?, layout, memory)?;
        let length = memory.word(pid, identity.1.wrapping_add(OB_SIZE))? as usize;
        let lines = match length <= LONGEST_TABLE {
            true => memory.bytes(pid, identity.1.wrapping_add(BYTES_HEAD), length).unwrap_or_default(),
            false => Vec::new(),
        };
        let function = self.functions.entry((name, file));
        let function = function.or_insert_with_key(|(name, file)| {
            modules.binary(file.as_str().into(), BinaryKind::PythonFunction { name: name.clone() })
        });
        let first_line = u32_at(head, layout.code_first_line)?;
        Some(Code { function: function.clone(), first_line, lines, identity, checked: self.round })
    }
}

/// A unicode object's text. https://peps.python.org/pep-0393/
fn text(pid: u32, object: u64, layout: &Layout, memory: &mut Memory) -> Option<String> {
    let head = memory.bytes(pid, object, 40)?;
    let (length, state) = (u64_at(&head, 16)?, u32_at(&head, 32)?);
    let (kind, compact, ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
    if !compact || length == 0 {
        return None;
    }
    let start = object.wrapping_add(if ascii { layout.ascii_bytes } else { layout.unicode_bytes });
    let units = length.min(LONGEST_NAME) as usize;
    let bytes = memory.bytes(pid, start, units * kind as usize)?;
    Some(match kind {
        1 => bytes.iter().map(|&byte| byte as char).collect(),
        2 => char::decode_utf16(bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        4 => bytes.chunks_exact(4).filter_map(|c| char::from_u32(u32_at(c, 0)?)).collect(),
        _ => return None,
    })
}

/// The line of an instruction, by the table of 3.11 and later:
/// https://github.com/python/cpython/blob/3.12/Objects/locations.md. A frame that was just entered stands before its first
/// instruction: its line is the first, as PyCode_Addr2Line has it.
pub fn line_of(table: &[u8], first_line: u32, instruction: u64) -> u32 {
    if instruction.cast_signed() < 0 {
        return first_line;
    }
    let mut line = i64::from(first_line);
    let mut end = 0;
    let mut bytes = table.iter().copied().peekable();
    while let Some(head) = bytes.next() {
        end += (u64::from(head & 7) + 1) * 2;
        let code = head >> 3 & 15;
        let known = code != 15;
        match code {
            13 | 14 => line += signed(&mut bytes),
            10..=12 => line += i64::from(code) - 10,
            _ => {}
        }
        if instruction < end {
            return if known { u32::try_from(line).unwrap_or(0) } else { 0 };
        }
        // Columns and end lines follow up to the next byte with its highest bit set.
        while bytes.next_if(|byte| byte & 0x80 == 0).is_some() {}
    }
    0
}

/// Six bits a byte, lowest first; the last byte has bit 6 clear. The lowest bit of the number is its sign.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> i64 {
    let (mut value, mut shift) = (0u64, 0);
    for byte in bytes.by_ref().take(6) {
        value |= u64::from(byte & 63) << shift;
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    let magnitude = (value >> 1).cast_signed();
    if value & 1 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_as_python_does() {
        // python3.11 -c 'def f(n):\n s = 0\n for i in range(n):\n  s += i\n return s' : f.__code__.co_linetable
        let table = b"\x80\x00\xd8\x08\x09\x80A\xdd\x0d\x12\x901\x89X\x8c\x58\xf0\x00\x01\x05\x0e\xf1\x00\x01\x05\x0e\x88a\xd8\x08\x09\x88Q\x89\x06\x88\x01\x88\x01\xd8\x0b\x0c\x80H";
        assert_eq!(line_of(table, 1, 0), 1);
        assert_eq!(line_of(table, 1, 2), 2);
        assert_eq!(line_of(table, 7, 2u64.wrapping_neg()), 7);
        assert!(line_of(table, 1, 1 << 20) == 0);
        assert_eq!(line_of(&[], 1, 0), 0);
        assert_eq!(line_of(&[0xff; 9], 1, 100), 0);
    }

    #[test]
    fn numbers_carry_their_sign() {
        assert_eq!(signed(&mut [0b10u8].into_iter()), 1);
        assert_eq!(signed(&mut [0b11u8].into_iter()), -1);
        assert_eq!(signed(&mut [64 | 2u8, 1].into_iter()), 33);
    }
}
