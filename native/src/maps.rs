//! What a process has mapped executable, sorted by address.
use crate::modules::{BinaryKind, Module, RUNTIME};
use crate::perf::record::FileHint;
use crate::unwind::frame::Place;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file as some process maps it. Children share it with their parent, so it is looked for once.
pub struct MappedFile {
    pub path: Arc<str>,
    pub hint: FileHint,
    pub module: RefCell<Resolved>,
}

#[derive(Clone)]
pub enum Resolved {
    NotYet,
    Module(Rc<Module>),
    /// No file, or none that is ELF: code that was made at run time.
    Anonymous,
}

#[derive(Clone)]
pub struct Map {
    pub start: u64,
    pub end: u64,
    pub file_offset: u64,
    pub file: Rc<MappedFile>,
}

/// Copies share their version until one of them changes: the same address means the same in all of them.
#[derive(Clone, Default)]
pub struct Maps {
    list: Vec<Map>,
    version: u64,
}

static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// A process with more is a JIT that maps single pages; what comes later is not kept, and read from /proc if need be.
const MOST_MAPS: usize = 4096;

impl MappedFile {
    pub fn new(path: &str, hint: FileHint) -> Rc<MappedFile> {
        let resolved = if is_anonymous(path) { Resolved::Anonymous } else { Resolved::NotYet };
        Rc::new(MappedFile { path: path.into(), hint, module: RefCell::new(resolved) })
    }
}

impl Map {
    /// Where `pc` is in what is mapped here; `module` is what that is, None for code made at run time.
    pub fn place(&self, module: Option<&Module>, pc: u64) -> Place {
        let file_offset = pc - self.start + self.file_offset;
        match module.map(|module| &*module.binary) {
            None => Place { binary: RUNTIME, address: pc },
            Some(binary) => match &binary.kind {
                BinaryKind::Elf { elf, .. } => {
                    Place { binary: binary.id, address: elf.vaddr_of(file_offset).unwrap_or(file_offset) }
                }
                _ => Place { binary: binary.id, address: file_offset },
            },
        }
    }
}

/// Names that the kernel gives to mappings without a file that could be opened.
fn is_anonymous(path: &str) -> bool {
    let special = path.starts_with('[') && path != "[vdso]";
    special || path.is_empty() || path == "//anon" || path.starts_with("/dev/zero") || path.starts_with("/SYSV")
}

impl Maps {
    pub fn find(&self, address: u64) -> Option<&Map> {
        let index = self.list.partition_point(|map| map.start <= address).checked_sub(1)?;
        Some(&self.list[index]).filter(|map| address < map.end)
    }

    /// A new mapping replaces what it overlaps.
    pub fn insert(&mut self, new: Map) {
        if new.start >= new.end {
            return;
        }
        self.version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        let first = self.list.partition_point(|map| map.end <= new.start);
        let last = self.list.partition_point(|map| map.start < new.end);
        let mut pieces = Vec::new();
        if let Some(map) = self.list.get(first).filter(|map| map.start < new.start) {
            pieces.push(Map { end: new.start, ..map.clone() });
        }
        pieces.push(new.clone());
        if let Some(map) = last.checked_sub(1).and_then(|index| self.list.get(index)).filter(|map| map.end > new.end) {
            let file_offset = map.file_offset + (new.end - map.start);
            pieces.push(Map { start: new.end, file_offset, ..map.clone() });
        }
        if self.list.len() < MOST_MAPS || first < last {
            self.list.splice(first..last.max(first), pieces);
        }
    }

    /// Never 0 for maps that hold anything.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Map> {
        self.list.iter()
    }
}

/// /proc/PID/maps -> its executable mappings.
///
/// `55d0c8a6b000-55d0c8b2d000 r-xp 0002c000 fe:00 1835  /usr/bin/bash`
pub fn parse_maps(text: &[u8]) -> Maps {
    let mut maps = Maps::default();
    let mut last: Option<Rc<MappedFile>> = None;
    for line in text.split(|&byte| byte == b'\n') {
        let Some((start, end, file_offset, inode, path)) = parse_line(&String::from_utf8_lossy(line)) else { continue };
        let hint = if inode == 0 { FileHint::None } else { FileHint::Inode(inode) };
        let file = match &last {
            Some(file) if *file.path == *path && file.hint == hint => file.clone(),
            _ => MappedFile::new(&path, hint),
        };
        last = Some(file.clone());
        maps.insert(Map { start, end, file_offset, file });
    }
    maps
}

fn parse_line(line: &str) -> Option<(u64, u64, u64, u64, String)> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let executable = words.next()?.as_bytes().get(2) == Some(&b'x');
    let file_offset = hex(words.next()?)?;
    let _device = words.next()?;
    let inode = words.next()?.parse().ok()?;
    let path = words.next().unwrap_or_default().trim_start();
    executable.then_some((hex(start)?, hex(end)?, file_offset, inode, path.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, path: &str) -> Map {
        Map { start, end, file_offset: start, file: MappedFile::new(path, FileHint::None) }
    }

    fn drawn(maps: &Maps) -> String {
        let one = |map: &Map| format!("{:x}-{:x}@{:x} {}", map.start, map.end, map.file_offset, map.file.path);
        maps.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_new_mapping_replaces_what_it_overlaps() {
        let mut maps = Maps::default();
        maps.insert(map(0x1000, 0x9000, "a"));
        maps.insert(map(0x3000, 0x4000, "b"));
        assert_eq!(drawn(&maps), "1000-3000@1000 a, 3000-4000@3000 b, 4000-9000@4000 a");
        maps.insert(map(0x2000, 0xa000, "c"));
        assert_eq!(drawn(&maps), "1000-2000@1000 a, 2000-a000@2000 c");
        maps.insert(map(0, 0x10000, "d"));
        assert_eq!(drawn(&maps), "0-10000@0 d");
        maps.insert(map(5, 5, "empty"));
        assert!(maps.find(0xffff).is_some() && maps.find(0x10000).is_none());
    }

    #[test]
    fn keeps_executable_lines() {
        let text = b"55d0c8a6b000-55d0c8b2d000 r-xp 0002c000 fe:00 1835                       /usr/bin/a b\n\
            55d0c8b2d000-55d0c8b64000 r--p 000ee000 fe:00 1835                       /usr/bin/a b\n\
            7ffd3b9c8000-7ffd3b9ca000 r-xp 00000000 00:00 0                          [vdso]\nrubbish\n\xff\n";
        assert_eq!(
            drawn(&parse_maps(text)),
            "55d0c8a6b000-55d0c8b2d000@2c000 /usr/bin/a b, 7ffd3b9c8000-7ffd3b9ca000@0 [vdso]"
        );
    }
}
