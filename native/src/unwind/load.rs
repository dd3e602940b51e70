//! Reads the CFI of one function at a time out of a file's `.eh_frame`, by the search table of `.eh_frame_hdr`.
//! https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html
use super::cfi::{Found, Table};
use super::rows::{Frames, rows};
use super::search::{InFile, Search};
use crate::elf::{Elf, u32_at};
use crate::image::Image;
use crate::paged::{PageCache, Paged};
use gimli::{BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, LittleEndian};
use gimli::{UnwindContext, UnwindSection};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Longer entries are not written by compilers; refusing them bounds the time one lookup can take.
const LONGEST_ENTRY: usize = 1 << 20;
/// What one read takes: nearly all entries are shorter.
const USUAL_ENTRY: usize = 512;
const MOST_SHARED: usize = 16;
/// Functions listed where a file has no search table.
const MOST_LISTED: usize = 1 << 21;
/// Pages of a file while it is opened.
const PAGES: usize = 16;

/// The CFI of one file: where it is, and the rows read until now.
pub struct Cfi {
    section: Option<Section>,
    pub table: Table,
}

struct Section {
    image: Arc<Image>,
    /// File offset and address of .eh_frame, and how many bytes the file has from there.
    offset: u64,
    vaddr: u64,
    bytes: u64,
    search: Search,
    /// Offset and bytes of entries that many functions share (CIEs); a file has a handful.
    shared: Vec<(u64, Vec<u8>)>,
}

pub struct Loader {
    pages: Rc<RefCell<PageCache>>,
    context: UnwindContext<usize>,
    /// A shared entry and the function's own, put together for the parser.
    entry: Vec<u8>,
}

impl Default for Loader {
    fn default() -> Self {
        Loader { pages: PageCache::new(PAGES), context: UnwindContext::new(), entry: Vec::new() }
    }
}

impl Loader {
    pub fn open(&self, image: &Arc<Image>, elf: &Elf) -> Cfi {
        let cfi = Cfi { section: self.section(image, elf), table: Table::default() };
        // The address of an image that is dropped may be given to another.
        self.pages.borrow_mut().clear();
        cfi
    }

    fn section(&self, image: &Arc<Image>, elf: &Elf) -> Option<Section> {
        let Some((header, header_bytes)) = elf.eh_frame_hdr else { return self.listed_section(image, elf) };
        let (header_offset, rest) = elf.offset_of(header)?;
        let part = Paged::new(image, &self.pages, header_offset, header_bytes.min(rest));
        let parsed = EhFrameHdr::from(part).parse(&BaseAddresses::default().set_eh_frame_hdr(header), 8).ok()?;
        let vaddr = parsed.eh_frame_ptr().direct().ok()?;
        let (offset, bytes) = elf.offset_of(vaddr)?;
        let search = InFile::open(image, header_offset, header_bytes.min(rest), header, vaddr).map(Search::InFile);
        let search = search.unwrap_or_else(|| Search::Listed(self.list(image, offset, vaddr, bytes)));
        Some(Section { image: image.clone(), offset, vaddr, bytes, search, shared: Vec::new() })
    }

    /// A file without .eh_frame_hdr (some static ones): its section table still names .eh_frame.
    fn listed_section(&self, image: &Arc<Image>, elf: &Elf) -> Option<Section> {
        let section = elf.sections(image)?.into_iter().find(|section| section.name == ".eh_frame")?;
        let (offset, vaddr, bytes) = (section.offset, section.vaddr, section.bytes);
        let search = Search::Listed(self.list(image, offset, vaddr, bytes));
        Some(Section { image: image.clone(), offset, vaddr, bytes, search, shared: Vec::new() })
    }

    fn list(&self, image: &Arc<Image>, offset: u64, vaddr: u64, bytes: u64) -> Vec<(u64, u64)> {
        let bases = BaseAddresses::default().set_eh_frame(vaddr);
        let frames = EhFrame::from(Paged::new(image, &self.pages, offset, bytes));
        let (mut listed, mut entries) = (Vec::new(), frames.entries(&bases));
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(partial) = entry
                && let Ok(frame) = partial.parse(EhFrame::cie_from_offset)
            {
                listed.push((frame.initial_address(), frame.offset() as u64));
            }
            if listed.len() >= MOST_LISTED {
                break;
            }
        }
        listed.sort_unstable();
        listed.shrink_to_fit();
        listed
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
        let Some(section) = &mut cfi.section else { return cfi.table.add(0, u64::MAX, false, &[]) };
        let (start, entry, next) = match section.search.around(pc, &section.image) {
            Some(found) => found,
            None => return cfi.table.add(pc, pc.saturating_add(1), false, &[]),
        };
        let bytes = entry.and_then(|entry| Some((entry, section.entry(entry, &mut self.entry)?)));
        let Some((entry, shared_bytes)) = bytes else { return cfi.table.add(start, next, false, &[]) };
        // Addresses in it are relative to where it lies in the file, not in our buffer.
        let base = section.vaddr.wrapping_add(entry).wrapping_sub(shared_bytes as u64);
        let frames = Frames {
            frames: EhFrame::from(EndianSlice::new(&self.entry, LittleEndian)),
            bases: BaseAddresses::default().set_eh_frame(base),
        };
        let frame = frames.frames.fde_from_offset(&frames.bases, EhFrameOffset(shared_bytes), EhFrame::cie_from_offset);
        match frame {
            Ok(frame) if frame.contains(pc) => {
                let rows = rows(&mut self.context, &frames, &frame, &mut cfi.table).unwrap_or_default();
                cfi.table.add(frame.initial_address(), frame.end_address(), frame.is_signal_trampoline(), &rows);
            }
            Ok(frame) => cfi.table.add(frame.end_address().max(start).min(pc), next, false, &[]),
            Err(_) => cfi.table.add(start, next, false, &[]),
        }
    }
}

impl Cfi {
    /// Memory of its rows, and of what finds them.
    pub fn bytes(&self) -> usize {
        let section = self.section.as_ref();
        let shared = |section: &Section| section.shared.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        self.table.bytes() + section.map_or(0, |section| section.search.bytes() + shared(section))
    }
}

impl Section {
    /// Puts the entry at `at` (an offset in .eh_frame) into `buffer` behind the one it shares; the length of that.
    fn entry(&mut self, at: u64, buffer: &mut Vec<u8>) -> Option<usize> {
        let own = self.raw_entry(at)?;
        // A function's entry names its shared one by how far before this field it begins.
        let back = u64::from(u32_at(&own, 4)?);
        let shared_at = (at + 4).checked_sub(back)?;
        if !self.shared.iter().any(|(known, _)| *known == shared_at) {
            let bytes = self.raw_entry(shared_at)?;
            self.shared.truncate(MOST_SHARED);
            self.shared.insert(0, (shared_at, bytes));
        }
        let (_, shared) = self.shared.iter().find(|(known, _)| *known == shared_at)?;
        buffer.clear();
        buffer.extend_from_slice(shared);
        buffer.extend_from_slice(&own);
        let field = shared.len() + 4;
        buffer[field..field + 4].copy_from_slice(&(field as u32).to_le_bytes());
        Some(shared.len())
    }

    fn raw_entry(&self, at: u64) -> Option<Vec<u8>> {
        if at >= self.bytes {
            return None;
        }
        let offset = self.offset.checked_add(at)?;
        let mut bytes = vec![0; USUAL_ENTRY];
        let read = self.image.read_at(offset, &mut bytes);
        bytes.truncate(read);
        let length = u32_at(&bytes, 0)? as usize + 4;
        // 0 ends the section, the largest number announces a 64-bit length, which nobody writes.
        if length <= 8 || length > LONGEST_ENTRY {
            return None;
        }
        if length > bytes.len() {
            return self.image.part(offset, length as u64, LONGEST_ENTRY as u64);
        }
        bytes.truncate(length);
        Some(bytes)
    }
}
