//! Pages of this process that the system can give back whenever they are needed.
//!
//! Node's program and its libraries are 100 MiB, and 45 of them are resident once it has started: what starting reads of code and
//! tables, and 64 KiB around each page of it. A collector's ticks need less than half of that. So the pages that are as in their files
//! are let go: what is needed comes back from the page cache, in a few hundred faults of a microsecond, and nothing is read.
//!
//! ```text
//!   7f1c8c600000-7f1c8c726000 r--p 00000000 fe:00 1234 /usr/lib/libc.so.6     of a loaded object, private, not writable
//!   Anonymous:             0 kB                                               as in the file: let go
//!   Anonymous:             4 kB                                               relocated, or a debugger's: kept
//! ```
//!
//! https://man7.org/linux/man-pages/man2/madvise.2.html (MADV_DONTNEED), https://docs.kernel.org/filesystems/proc.html (smaps)
use libc::{c_int, c_void, dl_phdr_info};
use std::ops::Range;

/// Lets go of the pages of the program and its libraries that are as in their files.
pub fn release_files() {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    // where another file was mapped a moment ago there may be anything by now; a loaded object stays
    let segments = read_only_segments();
    for range in clean_mappings(&smaps) {
        if segments.iter().any(|segment| segment.start < range.end && range.start < segment.end) {
            // SAFETY: a private mapping that nobody may write to and that has no page of its own is its file.
            unsafe { libc::madvise(range.start as *mut c_void, range.len(), libc::MADV_DONTNEED) };
        }
    }
}

/// Mappings of files that are private and not writable, and all of whose pages are the file's.
fn clean_mappings(smaps: &str) -> Vec<Range<usize>> {
    let mut clean = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        if line.starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase()) {
            mapping = parse_mapping(line);
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            clean.extend(mapping.take());
        }
    }
    clean
}

/// The first line of a mapping: its addresses, where it is a private one of a file and not writable.
fn parse_mapping(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_read_only = matches!(words.next()?, "r-xp" | "r--p");
    let is_file = words.nth(2)? != "0";
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    (is_read_only && is_file).then_some(range)
}

/// Of the program and its libraries.
fn read_only_segments() -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    // SAFETY: it calls `add_segments` with that pointer, and returns when it has.
    unsafe { libc::dl_iterate_phdr(Some(add_segments), (&raw mut segments).cast()) };
    segments
}

/// # Safety
/// `segments` is a `Vec<Range<usize>>` that nobody else uses meanwhile.
unsafe extern "C" fn add_segments(object: *mut dl_phdr_info, _bytes: usize, segments: *mut c_void) -> c_int {
    // SAFETY: by the contract of dl_iterate_phdr(3), and by ours.
    let (object, segments) = unsafe { (&*object, &mut *segments.cast::<Vec<Range<usize>>>()) };
    for at in 0..usize::from(object.dlpi_phnum) {
        // SAFETY: there are so many of them.
        let header = unsafe { &*object.dlpi_phdr.add(at) };
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            // where an object lies may be told as a difference that wraps
            let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            segments.push(start..start + header.p_memsz as usize);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_in_its_file_is_clean() {
        let smaps = "\
00400000-00b6f000 r--p 00000000 fe:00 247580     /usr/bin/node
Rss:                6716 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00b72000-025fe000 r-xp 00772000 fe:00 247580     /usr/bin/node
Anonymous:             4 kB
056e0000-05702000 rw-p 05286000 fe:00 247580     /usr/bin/node
Anonymous:             0 kB
7fa8a8000000-7fa8a8021000 r--p 00000000 00:00 0
Anonymous:             0 kB
7fa8aac6d000-7fa8aae12000 r-xp 0006c000 fe:00 10143934  /with blanks/a (deleted)
Anonymous:             0 kB
7fa8b0000000-7fa8b0001000 r--s 00000000 fe:00 12  /shared
Anonymous:             0 kB
";
        assert_eq!(clean_mappings(smaps), [0x40_0000..0xb6_f000, 0x7fa8_aac6_d000..0x7fa8_aae1_2000]);
        assert_eq!(clean_mappings("ffff-\nAnonymous: 0 kB\n7f00-7f01\nAnonymous: 0 kB"), []);
    }

    /// KiB of the mappings of this program and its libraries that nobody may write to.
    fn resident_of_files() -> usize {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let clean = clean_mappings(&smaps);
        let mut is_clean = false;
        let mut resident = 0;
        for line in smaps.lines() {
            if let Some(range) = parse_mapping(line) {
                is_clean = clean.contains(&range);
            }
            if let Some(size) = line.strip_prefix("Rss:").filter(|_| is_clean) {
                resident += size.trim().trim_end_matches(" kB").parse::<usize>().unwrap();
            }
        }
        resident
    }

    #[test]
    fn pages_of_files_are_let_go_and_come_back() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let segments = read_only_segments();
        let own =
            clean_mappings(&smaps).into_iter().filter(|range| segments.iter().any(|one| one.contains(&range.start)));
        let sum = |ranges: &[Range<usize>]| {
            let bytes = ranges.iter().flat_map(|range| range.clone().step_by(1024));
            // SAFETY: mapped, and as long as the program runs.
            bytes.fold(0u64, |sum, at| sum.wrapping_mul(31) + u64::from(unsafe { (at as *const u8).read_volatile() }))
        };
        let own: Vec<_> = own.collect();
        assert!(own.iter().map(Range::len).sum::<usize>() > 1 << 20);
        let before = sum(&own);
        let resident = resident_of_files();
        release_files();
        assert!(resident_of_files() < resident / 2, "{resident} KiB before");
        assert_eq!(sum(&own), before);
    }
}
