//! As much of ELF as unwinding and symbols need. Nothing in a file is believed: every offset is checked against its size.
//! https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
use crate::image::Image;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PF_X: u32 = 1;
const NT_GNU_BUILD_ID: u32 = 3;
const SHF_COMPRESSED: u64 = 1 << 11;
const MOST_PROGRAM_HEADERS: usize = 512;
const MOST_SECTIONS: usize = 16_384;
const PROGRAM_HEADER_BYTES: usize = 56;
const SECTION_HEADER_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub offset: u64,
    pub vaddr: u64,
    pub file_bytes: u64,
    pub executable: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Elf {
    pub segments: Vec<Segment>,
    /// Address of .eh_frame_hdr as the file counts addresses.
    pub eh_frame_hdr: Option<(u64, u64)>,
    pub build_id: Vec<u8>,
    section_table: Option<(u64, usize, usize)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub name: String,
    pub kind: u32,
    pub vaddr: u64,
    pub offset: u64,
    pub bytes: u64,
    pub link: usize,
    pub compressed: bool,
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// None for what is not a little-endian 64-bit ELF file.
pub fn parse_elf(image: &Image) -> Option<Elf> {
    let mut head = [0; 64];
    image.read_exact_at(0, &mut head)?;
    if head[..6] != *b"\x7fELF\x02\x01" {
        return None;
    }
    let count = u16_at(&head, 56)? as usize;
    if count > MOST_PROGRAM_HEADERS || u16_at(&head, 54)? as usize != PROGRAM_HEADER_BYTES {
        return None;
    }
    let table = image.part(u64_at(&head, 32)?, (count * PROGRAM_HEADER_BYTES) as u64, 1 << 16)?;
    let mut elf = Elf::default();
    for header in table.chunks_exact(PROGRAM_HEADER_BYTES) {
        elf.add_program_header(header, image);
    }
    let sections = (u64_at(&head, 40)?, u16_at(&head, 60)? as usize, u16_at(&head, 62)? as usize);
    elf.section_table = (sections.0 != 0 && u16_at(&head, 58)? as usize == SECTION_HEADER_BYTES).then_some(sections);
    Some(elf)
}

impl Elf {
    fn add_program_header(&mut self, header: &[u8], image: &Image) -> Option<()> {
        let (offset, vaddr, file_bytes) = (u64_at(header, 8)?, u64_at(header, 16)?, u64_at(header, 32)?);
        match u32_at(header, 0)? {
            PT_LOAD => {
                let executable = u32_at(header, 4)? & PF_X != 0;
                self.segments.push(Segment { offset, vaddr, file_bytes, executable });
            }
            PT_GNU_EH_FRAME => self.eh_frame_hdr = Some((vaddr, file_bytes)),
            PT_NOTE if self.build_id.is_empty() => {
                self.build_id = build_id(&image.part(offset, file_bytes, 1 << 16)?).unwrap_or_default();
            }
            _ => {}
        }
        Some(())
    }

    /// Address, as the file counts, of a byte that is mapped executable.
    pub fn vaddr_of(&self, offset: u64) -> Option<u64> {
        let code = || self.segments.iter().filter(|segment| segment.executable);
        let inside = |s: &&Segment| offset >= s.offset && offset - s.offset < s.file_bytes;
        // Mappings are whole pages, so they show some bytes around the segment too.
        let near = |s: &&Segment| offset >= s.offset & !0xfff && offset - (s.offset & !0xfff) < s.file_bytes + 0x2000;
        let segment = code().find(inside).or_else(|| code().find(near))?;
        Some(offset.wrapping_sub(segment.offset).wrapping_add(segment.vaddr))
    }

    /// File offset of an address, and how many bytes the file has from there.
    pub fn offset_of(&self, vaddr: u64) -> Option<(u64, u64)> {
        let segment = self.segments.iter().find(|s| vaddr >= s.vaddr && vaddr - s.vaddr < s.file_bytes)?;
        let into = vaddr - segment.vaddr;
        Some((segment.offset.checked_add(into)?, segment.file_bytes - into))
    }

    pub fn sections(&self, image: &Image) -> Option<Vec<Section>> {
        let (offset, count, names_index) = self.section_table?;
        if count > MOST_SECTIONS {
            return None;
        }
        let table = image.part(offset, (count * SECTION_HEADER_BYTES) as u64, 1 << 21)?;
        let header = |index: usize| table.get(index * SECTION_HEADER_BYTES..(index + 1) * SECTION_HEADER_BYTES);
        let names = header(names_index)?;
        let names = image.part(u64_at(names, 24)?, u64_at(names, 32)?, 1 << 20)?;
        (0..count).map(|index| parse_section(header(index)?, &names)).collect()
    }
}

fn parse_section(header: &[u8], names: &[u8]) -> Option<Section> {
    let name = names.get(u32_at(header, 0)? as usize..).unwrap_or_default();
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
    Some(Section {
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
        kind: u32_at(header, 4)?,
        compressed: u64_at(header, 8)? & SHF_COMPRESSED != 0,
        vaddr: u64_at(header, 16)?,
        offset: u64_at(header, 24)?,
        bytes: u64_at(header, 32)?,
        link: u32_at(header, 40)? as usize,
    })
}

/// Notes are {name size, description size, type, name, description}, each padded to four bytes.
fn build_id(notes: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0usize;
    loop {
        let (name, description) = (u32_at(notes, at)? as usize, u32_at(notes, at + 4)? as usize);
        let kind = u32_at(notes, at + 8)?;
        let start = (at + 12).checked_add(name.checked_next_multiple_of(4)?)?;
        if kind == NT_GNU_BUILD_ID && name == 4 && notes.get(at + 12..at + 16)? == b"GNU\0" && description <= 64 {
            return Some(notes.get(start..start.checked_add(description)?)?.to_vec());
        }
        at = start.checked_add(description.checked_next_multiple_of(4)?)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::open_regular;
    use std::path::PathBuf;

    #[test]
    fn reads_this_very_program() {
        let path = PathBuf::from("/proc/self/exe");
        let (file, identity) = open_regular(&path).unwrap();
        let image = Image::of_file(file, identity, path);
        let elf = parse_elf(&image).unwrap();
        assert!(elf.eh_frame_hdr.is_some());
        let code = elf.segments.iter().find(|segment| segment.executable).unwrap();
        assert_eq!(elf.vaddr_of(code.offset + 64), Some(code.vaddr + 64));
        assert_eq!(elf.offset_of(code.vaddr + 64), Some((code.offset + 64, code.file_bytes - 64)));
        assert!(elf.sections(&image).unwrap().iter().any(|section| section.name == ".symtab"));
    }

    #[test]
    fn every_cut_and_flip_is_harmless() {
        let whole = std::fs::read("/bin/true").unwrap();
        for cut in (0..whole.len()).step_by(97) {
            let mut bytes = whole[..cut].to_vec();
            if let Some(byte) = bytes.get_mut(cut / 50 % 400) {
                *byte ^= (cut % 251) as u8;
            }
            let image = Image::of_memory(bytes);
            if let Some(elf) = parse_elf(&image) {
                elf.sections(&image);
            }
        }
    }
}
