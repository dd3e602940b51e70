//! The function symbols of one file, sorted by address: 16 bytes each, names stay in the file.
use crate::elf::{Elf, Section, u16_at, u32_at, u64_at};
use crate::image::Image;
use crate::paged::{PageCache, Paged};
use gimli::Reader;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

const SYMBOL_BYTES: usize = 24;
const SYMBOLS_AT_ONCE: usize = 2048;
const MOST_SYMBOLS: usize = 2 << 20;
const LONGEST_NAME: usize = 8192;
/// String tables beyond are not read whole.
const MOST_NAME_BYTES: u64 = 32 << 20;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;
const STB_LOCAL: u8 = 0;
const STB_WEAK: u8 = 2;

#[derive(Clone, Copy)]
pub struct Symbol {
    pub start: u64,
    /// 0 for labels of hand-written assembly: up to the next symbol.
    bytes: u32,
    /// Offset in the string table.
    name: u32,
}

/// A symbol table and the names it refers to.
pub struct ElfSymbols {
    symbols: Vec<Symbol>,
    names: Paged,
}

impl ElfSymbols {
    /// `table` is .symtab or .dynsym, `names` the string table it links to.
    pub fn read(
        image: &Arc<Image>,
        pages: &Rc<RefCell<PageCache>>,
        table: &Section,
        names: &Section,
    ) -> Option<ElfSymbols> {
        let count = (table.bytes.min(image.bytes) as usize / SYMBOL_BYTES).min(MOST_SYMBOLS);
        let mut symbols = Vec::new();
        let mut buffer = vec![0; SYMBOLS_AT_ONCE * SYMBOL_BYTES];
        for first in (0..count).step_by(SYMBOLS_AT_ONCE) {
            let chunk = &mut buffer[..SYMBOLS_AT_ONCE.min(count - first) * SYMBOL_BYTES];
            let offset = table.offset.checked_add((first * SYMBOL_BYTES) as u64)?;
            image.read_exact_at(offset, chunk)?;
            symbols.extend(chunk.chunks_exact(SYMBOL_BYTES).filter_map(parse_symbol));
        }
        let names = Paged::new(image, pages, names.offset, names.bytes);
        let mut table = ElfSymbols { symbols: Vec::new(), names };
        table.symbols = table.one_name_each(symbols);
        Some(table)
    }

    /// Many functions have several names (write, __write, __libc_write): the plainest stays.
    fn one_name_each(&self, mut symbols: Vec<(Symbol, u8)>) -> Vec<Symbol> {
        symbols.sort_by_key(|(symbol, _)| (symbol.start, std::cmp::Reverse(symbol.bytes)));
        let mut kept: Vec<(Symbol, u8)> = Vec::with_capacity(symbols.len());
        for (symbol, rank) in symbols {
            match kept.last_mut() {
                Some((last, last_rank)) if last.start == symbol.start => {
                    let sized = symbol.bytes > 0 || last.bytes == 0;
                    if sized && self.plainness(symbol, rank) < self.plainness(*last, *last_rank) {
                        (*last, *last_rank) = (symbol, rank);
                    }
                }
                _ => kept.push((symbol, rank)),
            }
        }
        kept.iter().map(|(symbol, _)| *symbol).collect()
    }

    fn plainness(&self, symbol: Symbol, rank: u8) -> (usize, u8, usize) {
        let name = self.name(symbol).unwrap_or_default();
        let underscores = name.bytes().take_while(|&byte| byte == b'_').count();
        // _Z is C++'s prefix, not a private name.
        (if name.starts_with("_Z") { 0 } else { underscores }, rank, name.len())
    }

    pub fn find(&self, address: u64) -> Option<Symbol> {
        let index = self.symbols.partition_point(|symbol| symbol.start <= address).checked_sub(1)?;
        let symbol = self.symbols[index];
        let next = self.symbols.get(index + 1).map_or(u64::MAX, |next| next.start);
        let end = if symbol.bytes > 0 { symbol.start.saturating_add(u64::from(symbol.bytes)) } else { next };
        (address < end).then_some(symbol)
    }

    pub fn name(&self, symbol: Symbol) -> Option<String> {
        let mut reader = self.names.clone();
        reader.skip(symbol.name as usize).ok()?;
        let mut name = reader.read_null_terminated_slice().ok()?;
        name.truncate(name.len().min(LONGEST_NAME)).ok()?;
        Some(name.to_string_lossy().ok()?.into_owned()).filter(|name| !name.is_empty())
    }
}

/// Address and size of symbols by name, functions and data alike, from the dynamic symbols or else all of them.
pub fn find_symbols<const N: usize>(image: &Arc<Image>, elf: &Elf, wanted: &[&str; N]) -> [Option<(u64, u64)>; N] {
    let mut found = [None; N];
    let Some(sections) = elf.sections(image) else { return found };
    for name in [".dynsym", ".symtab"] {
        let Some(table) = sections.iter().find(|section| section.name == name) else { continue };
        let Some(names) = sections.get(table.link) else { continue };
        let (Some(entries), Some(names)) = (
            image.part(table.offset, table.bytes, (MOST_SYMBOLS * SYMBOL_BYTES) as u64),
            image.part(names.offset, names.bytes, MOST_NAME_BYTES),
        ) else {
            continue;
        };
        for entry in entries.chunks_exact(SYMBOL_BYTES) {
            let name = u32_at(entry, 0).and_then(|at| names.get(at as usize..)).unwrap_or_default();
            let is = |wanted: &str| name.starts_with(wanted.as_bytes()) && name.get(wanted.len()) == Some(&0);
            if let Some(index) = wanted.iter().position(|wanted| is(wanted)) {
                found[index] = u64_at(entry, 8).zip(u64_at(entry, 16)).filter(|(start, _)| *start != 0);
            }
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// A symbol of code, with the rank of its binding: global, weak, local.
fn parse_symbol(entry: &[u8]) -> Option<(Symbol, u8)> {
    let (name, info, section) = (u32_at(entry, 0)?, *entry.get(4)?, u16_at(entry, 6)?);
    let (start, bytes) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
    let kind = info & 15;
    if section == 0 || name == 0 || !matches!(kind, STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE) {
        return None;
    }
    let rank = match info >> 4 {
        STB_LOCAL => 2,
        STB_WEAK => 1,
        _ => 0,
    };
    // Labels without a type are names of data too; they rank last.
    let rank = if kind == STT_NOTYPE { rank + 4 } else { rank };
    Some((Symbol { start, bytes: u32::try_from(bytes).unwrap_or(u32::MAX), name }, rank))
}
