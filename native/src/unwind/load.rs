//! Reads the CFI of one function at a time out of a file's `.eh_frame`, by the search table of `.eh_frame_hdr`.
//! https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html
use super::cfi::{Cfa, Expression, Found, Row, Rule, Table};
use crate::arch;
use crate::elf::Elf;
use crate::image::Image;
use crate::paged::{PageCache, Paged};
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, FrameDescriptionEntry, Operation, Reader,
    Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Longer entries are not written by compilers; refusing them bounds the time one lookup can take.
const LONGEST_ENTRY: usize = 1 << 20;
const MOST_ROWS: usize = 1 << 16;
/// Functions listed where a file has no search table.
const MOST_LISTED: usize = 1 << 21;
/// DW_EH_PE_pcrel | sdata4, udata4, datarel | sdata4: what every linker writes.
const USUAL_ENCODINGS: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

/// The CFI of one file: where it is, and the rows read until now.
pub struct Cfi {
    section: Option<Section>,
    pub table: Table,
}

struct Section {
    frames: EhFrame<Paged>,
    bases: BaseAddresses,
    search: Search,
}

/// Where functions start, ascending, and the offset of their entry in .eh_frame.
enum Search {
    /// The file's own: pairs of 32-bit offsets from .eh_frame_hdr.
    InFile {
        pairs: Paged,
        count: usize,
        header: u64,
        frames: u64,
    },
    Listed(Vec<(u64, usize)>),
}

pub struct Loader {
    pub pages: Rc<RefCell<PageCache>>,
    context: UnwindContext<usize>,
}

impl Loader {
    pub fn new(pages: usize) -> Loader {
        Loader { pages: PageCache::new(pages), context: UnwindContext::new() }
    }

    pub fn open(&self, image: &Arc<Image>, elf: &Elf) -> Cfi {
        Cfi { section: self.section(image, elf), table: Table::default() }
    }

    fn section(&self, image: &Arc<Image>, elf: &Elf) -> Option<Section> {
        let Some((header, header_bytes)) = elf.eh_frame_hdr else { return self.listed_section(image, elf) };
        let (offset, rest) = elf.offset_of(header)?;
        let part = Paged::new(image, &self.pages, offset, header_bytes.min(rest));
        let parsed =
            EhFrameHdr::from(part.clone()).parse(&BaseAddresses::default().set_eh_frame_hdr(header), 8).ok()?;
        let frames = parsed.eh_frame_ptr().direct().ok()?;
        let (frames_offset, frames_bytes) = elf.offset_of(frames)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(header).set_eh_frame(frames);
        let frames_part = EhFrame::from(Paged::new(image, &self.pages, frames_offset, frames_bytes));
        let search = search_table(part, header, frames).unwrap_or_else(|| Search::Listed(list(&frames_part, &bases)));
        Some(Section { frames: frames_part, bases, search })
    }

    /// A file without .eh_frame_hdr (some static ones): its section table still names .eh_frame.
    fn listed_section(&self, image: &Arc<Image>, elf: &Elf) -> Option<Section> {
        let section = elf.sections(image)?.into_iter().find(|section| section.name == ".eh_frame")?;
        let bases = BaseAddresses::default().set_eh_frame(section.vaddr);
        let frames = EhFrame::from(Paged::new(image, &self.pages, section.offset, section.bytes));
        let search = Search::Listed(list(&frames, &bases));
        Some(Section { frames, bases, search })
    }

    /// What the file says of an address.
    pub fn find(&mut self, cfi: &mut Cfi, pc: u64) -> Found {
        match cfi.table.find(pc) {
            Found::Unread => {
                self.read(cfi, pc);
                match cfi.table.find(pc) {
                    Found::Unread => Found::Gap,
                    found => found,
                }
            }
            found => found,
        }
    }

    fn read(&mut self, cfi: &mut Cfi, pc: u64) {
        let Some(section) = &cfi.section else { return cfi.table.add(0, u64::MAX, false, &[]) };
        let (start, entry, next) = match section.search.around(pc) {
            Some(found) => found,
            None => return cfi.table.add(pc, pc + 1, false, &[]),
        };
        let Some(entry) = entry else { return cfi.table.add(start, next, false, &[]) };
        let frame = section
            .frames
            .fde_from_offset(&section.bases, EhFrameOffset(entry), EhFrame::cie_from_offset)
            .ok()
            .filter(|frame| frame.entry_len() <= LONGEST_ENTRY);
        match frame {
            Some(frame) if frame.contains(pc) => {
                let rows = self.rows(section, &frame, &mut cfi.table).unwrap_or_default();
                cfi.table.add(frame.initial_address(), frame.end_address(), frame.is_signal_trampoline(), &rows);
            }
            Some(frame) => cfi.table.add(frame.end_address().max(start).min(pc), next, false, &[]),
            None => cfi.table.add(start, next, false, &[]),
        }
    }

    fn rows(&mut self, section: &Section, frame: &FrameDescriptionEntry<Paged>, table: &mut Table) -> Option<Vec<Row>> {
        let ra = frame.cie().return_address_register();
        let mut rows: Vec<Row> = Vec::new();
        let mut unwind = frame.rows(&section.frames, &section.bases, &mut self.context).ok()?;
        while let Some(row) = unwind.next_row().ok()? {
            let pc = u32::try_from(row.start_address().checked_sub(frame.initial_address())?).ok()?;
            let next = compact(row, pc, ra, section, frame, table);
            match rows.last_mut() {
                Some(last) if last.pc == pc => *last = next,
                Some(last) if Row { pc, ..*last } == next => {}
                _ => rows.push(next),
            }
            if rows.len() > MOST_ROWS {
                return None;
            }
        }
        Some(rows)
    }
}

fn compact(
    row: &UnwindTableRow<usize>,
    pc: u32,
    ra: Register,
    section: &Section,
    frame: &FrameDescriptionEntry<Paged>,
    table: &mut Table,
) -> Row {
    let cfa = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => match (u8::try_from(register.0), i32::try_from(offset)) {
            (Ok(register), Ok(offset)) if (register as usize) < arch::DWARF_REGISTERS => {
                Cfa::Register(register, offset)
            }
            _ => Cfa::Unsupported,
        },
        CfaRule::Expression(expression) => cfa_expression(expression, section, frame, table),
    };
    let fp = rule(row.register(Register(arch::FP as u16)), section, frame, table);
    // Without a rule the return address is still where the call left it: in a register, or (x86) always in memory.
    let ra = rule(row.register(ra), section, frame, table);
    Row { pc, cfa, fp, ra }
}

fn rule(
    rule: Option<RegisterRule<usize>>,
    section: &Section,
    frame: &FrameDescriptionEntry<Paged>,
    table: &mut Table,
) -> Rule {
    match rule {
        None | Some(RegisterRule::SameValue) => Rule::Same,
        Some(RegisterRule::Undefined) => Rule::Undefined,
        Some(RegisterRule::Offset(offset)) => i16::try_from(offset).map_or(Rule::Unsupported, Rule::Offset),
        Some(RegisterRule::Register(register)) if (register.0 as usize) < arch::DWARF_REGISTERS => {
            Rule::Register(register.0 as u8)
        }
        Some(RegisterRule::Expression(expression)) => operations(expression, section, frame)
            .and_then(|operations| simple_expression(&operations))
            .and_then(|expression| table.expression(expression))
            .map_or(Rule::Unsupported, Rule::Expression),
        _ => Rule::Unsupported,
    }
}

fn operations(
    expression: UnwindExpression<usize>,
    section: &Section,
    frame: &FrameDescriptionEntry<Paged>,
) -> Option<Vec<Operation<Paged>>> {
    let mut list = Vec::new();
    let mut iterator = expression.get(&section.frames).ok()?.operations(frame.cie().encoding());
    while let Some(operation) = iterator.next().ok()? {
        list.push(operation);
        if list.len() > 16 {
            return None;
        }
    }
    Some(list)
}

fn cfa_expression(
    expression: UnwindExpression<usize>,
    section: &Section,
    frame: &FrameDescriptionEntry<Paged>,
    table: &mut Table,
) -> Cfa {
    let Some(operations) = operations(expression, section, frame) else { return Cfa::Unsupported };
    plt(&operations)
        .or_else(|| Some(Cfa::Expression(table.expression(simple_expression(&operations)?)?)))
        .unwrap_or(Cfa::Unsupported)
}

/// breg + offset [, deref] [, plus_uconst]
fn simple_expression(operations: &[Operation<Paged>]) -> Option<Expression> {
    let (&Operation::RegisterOffset { register, offset, .. }, rest) = operations.split_first()? else {
        return None;
    };
    if register.0 as usize >= arch::DWARF_REGISTERS {
        return None;
    }
    let mut expression = Expression { register: register.0 as u8, offset, dereference: false, add: 0 };
    for operation in rest {
        match *operation {
            Operation::Deref { size: 8, space: false, .. } if !expression.dereference => expression.dereference = true,
            Operation::PlusConstant { value } => expression.add = expression.add.wrapping_add(value as i64),
            Operation::Nop => {}
            _ => return None,
        }
    }
    Some(expression)
}

/// rsp + 8 + ((rip & 15) >= threshold) << 3
fn plt(operations: &[Operation<Paged>]) -> Option<Cfa> {
    use Operation::{And, Ge, Plus, RegisterOffset, Shl, UnsignedConstant};
    match operations {
        [
            RegisterOffset { register: sp, offset: 8, .. },
            RegisterOffset { register: pc, offset: 0, .. },
            UnsignedConstant { value: 15 },
            And,
            UnsignedConstant { value: threshold },
            Ge,
            UnsignedConstant { value: 3 },
            Shl,
            Plus,
        ] if sp.0 as usize == arch::SP && pc.0 as usize == arch::PC => Some(Cfa::Plt(*threshold as u8 & 15)),
        _ => None,
    }
}

fn search_table(mut part: Paged, header: u64, frames: u64) -> Option<Search> {
    let mut encodings = [0; 4];
    part.read_slice(&mut encodings).ok()?;
    if encodings != USUAL_ENCODINGS {
        return None;
    }
    let _frames_pointer = part.read_u32().ok()?;
    let count = part.read_u32().ok()? as usize;
    let count = count.min(part.len() / 8);
    Some(Search::InFile { pairs: part, count, header, frames })
}

fn list(frames: &EhFrame<Paged>, bases: &BaseAddresses) -> Vec<(u64, usize)> {
    let mut listed = Vec::new();
    let mut entries = frames.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(frame) = partial.parse(EhFrame::cie_from_offset)
        {
            listed.push((frame.initial_address(), frame.offset()));
        }
        if listed.len() >= MOST_LISTED {
            break;
        }
    }
    listed.sort_unstable();
    listed.shrink_to_fit();
    listed
}

impl Search {
    fn len(&self) -> usize {
        match self {
            Search::InFile { count, .. } => *count,
            Search::Listed(list) => list.len(),
        }
    }

    fn get(&self, index: usize) -> Option<(u64, usize)> {
        match self {
            Search::Listed(list) => list.get(index).copied(),
            Search::InFile { pairs, header, frames, .. } => {
                let mut pair = pairs.clone();
                pair.skip(index * 8).ok()?;
                let start = header.wrapping_add_signed(i64::from(pair.read_i32().ok()?));
                let entry = header.wrapping_add_signed(i64::from(pair.read_i32().ok()?));
                Some((start, usize::try_from(entry.wrapping_sub(*frames)).ok()?))
            }
        }
    }

    /// (start of the function at or below pc, its entry, start of the next function); no entry below the first.
    fn around(&self, pc: u64) -> Option<(u64, Option<usize>, u64)> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)?.0 <= pc { low = middle + 1 } else { high = middle }
        }
        let next = if low < self.len() { self.get(low)?.0 } else { u64::MAX };
        match low.checked_sub(1) {
            Some(index) => self.get(index).map(|(start, entry)| (start, Some(entry), next)),
            None => Some((0, None, next)),
        }
    }
}
