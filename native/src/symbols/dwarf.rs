//! Inlined functions and lines, from DWARF where a file has it uncompressed or small.
use super::debug_files::{DebugFile, inflate};
use crate::heap::{grown_since, held_bytes};
use crate::image::Image;
use crate::paged::{PageCache, Paged};
use addr2line::Context;
use gimli::{Dwarf, SectionId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub struct Lines {
    context: Context<Paged>,
    /// What it keeps of the units that it was asked for.
    pub parsed_bytes: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Inlined {
    /// As the linker names it; None where DWARF gives no name.
    pub function: Option<String>,
    pub file: String,
    pub line: u32,
}

impl Inlined {
    fn bytes(&self) -> usize {
        self.function.as_ref().map_or(0, String::capacity) + self.file.capacity()
    }
}

const MOST_INLINED: usize = 32;
const LONGEST_PATH: usize = 1024;

/// None for a file without debug information.
pub fn open(file: &DebugFile, pages: &Rc<RefCell<PageCache>>) -> Option<Lines> {
    file.section(".debug_info").filter(|section| section.bytes > 0)?;
    let load = |id: SectionId| -> Result<Paged, gimli::Error> {
        let empty = || Paged::new(&file.image, pages, 0, 0);
        let Some(section) = file.section(id.name()) else { return Ok(empty()) };
        if !section.compressed {
            return Ok(Paged::new(&file.image, pages, section.offset, section.bytes));
        }
        let bytes = inflate(file, section).ok_or(gimli::Error::Io)?;
        let image = Arc::new(Image::of_memory(bytes));
        Ok(Paged::new(&image, pages, 0, image.bytes))
    };
    let dwarf = Dwarf::load(load).ok()?;
    Some(Lines { context: Context::from_dwarf(dwarf).ok()?, parsed_bytes: 0 })
}

impl Lines {
    /// The functions at an address, innermost first; the last is the one that has a symbol. Empty where DWARF is silent.
    pub fn find(&mut self, address: u64) -> Vec<Inlined> {
        let before = held_bytes();
        let found = self.inlined(address);
        let answer: usize = found.iter().map(Inlined::bytes).sum::<usize>() + found.capacity() * size_of::<Inlined>();
        self.parsed_bytes += grown_since(before).saturating_sub(answer);
        found
    }

    fn inlined(&self, address: u64) -> Vec<Inlined> {
        let mut found = Vec::new();
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else { return found };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.as_ref().and_then(|name| Some(name.raw_name().ok()?.into_owned()));
            let (file, line) = match frame.location {
                Some(location) => (location.file.unwrap_or_default(), location.line.unwrap_or(0)),
                None => ("", 0),
            };
            let file = file.chars().take(LONGEST_PATH).collect();
            found.push(Inlined { function, file, line });
            if found.len() >= MOST_INLINED {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::parse_elf;
    use crate::image::open_regular;
    use crate::maps::parse_maps;

    /// Of this program, built with debug information.
    #[test]
    fn what_is_parsed_is_counted_once() {
        let path = std::env::current_exe().unwrap();
        let (file, identity) = open_regular(&path).unwrap();
        let image = Arc::new(Image::of_file(file, identity, path));
        let elf = parse_elf(&image).unwrap();
        let pc = what_is_parsed_is_counted_once as fn() as usize as u64;
        let maps = parse_maps(&std::fs::read("/proc/self/maps").unwrap());
        let map = maps.find(pc).unwrap();
        let address = elf.vaddr_of(pc - map.start + map.file_offset).unwrap();

        let mut lines = open(&DebugFile::of(&image, &elf).unwrap(), &PageCache::new(512)).unwrap();
        assert_eq!(lines.parsed_bytes, 0);
        let found = lines.find(address);
        assert!(found.last().is_some_and(|own| own.file.ends_with("dwarf.rs")), "{found:?}");
        let parsed = lines.parsed_bytes;
        assert!(parsed > 1000, "{parsed}");
        assert_eq!(lines.find(address), found);
        assert_eq!(lines.parsed_bytes, parsed);
    }
}
