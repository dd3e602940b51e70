//! Names of code that a process made at run time: /tmp/perf-PID.map, or a jitdump file.
//! https://github.com/torvalds/linux/blob/master/tools/perf/Documentation/jit-interface.txt
use super::jitdump::{self, JitRecord};
use crate::image::open_regular;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One piece of code; a later one at the same place replaces it.
struct Code {
    start: u64,
    end: u64,
    /// Offset and length in `names`.
    name: (u32, u32),
}

/// The code of one process, as far as it was told.
pub struct RuntimeCode {
    /// Sorted by start; of equal starts the newest is last.
    code: Vec<Code>,
    names: String,
    source: Option<Source>,
    /// Java's names look like anybody's, so it counts who the process is.
    pub is_java: bool,
    /// Longest piece: how far before an address the piece that holds it can start.
    longest: u64,
    looked: Instant,
    /// How long after `looked` a source is looked for again, where there was none.
    wait: Duration,
}

struct Source {
    file: File,
    read_bytes: u64,
    is_dump: bool,
}

/// Most programs that make code at run time never write a map of it, and looking for one means to read all that they have mapped:
/// each look that found none doubles the wait for the next.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const MOST_NAME_BYTES: usize = 8 << 20;
const MOST_CODE: usize = 1 << 17;
/// Of one reading; the rest follows with the next window.
const MOST_BYTES_AT_ONCE: u64 = 4 << 20;

impl RuntimeCode {
    pub fn open(pid: u32) -> RuntimeCode {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let source = jitdump_path(&maps, pid).and_then(|path| open_own(&path, pid, true));
        let source = source.or_else(|| open_own(&perf_map_path(pid), pid, false));
        let is_java = maps.contains("/libjvm.so");
        RuntimeCode { source, is_java, ..RuntimeCode::nothing() }
    }

    fn nothing() -> RuntimeCode {
        let (code, names) = Default::default();
        let (looked, wait) = (Instant::now(), FIRST_WAIT);
        RuntimeCode { code, names, source: None, is_java: false, longest: 0, looked, wait }
    }

    /// Looks for a source again, where there was none and that is a while ago.
    pub fn look_again(&mut self, pid: u32) {
        if self.source.is_none() && self.looked.elapsed() >= self.wait {
            let wait = (self.wait * 2).min(LONGEST_WAIT);
            *self = RuntimeCode { wait, ..RuntimeCode::open(pid) };
        }
    }

    pub fn bytes(&self) -> usize {
        self.code.capacity() * size_of::<Code>() + self.names.capacity()
    }

    /// Reads what was written since the last call.
    pub fn refresh(&mut self) {
        let Some(source) = &mut self.source else { return };
        let size = source.file.metadata().map_or(0, |meta| meta.len());
        let unread = size.saturating_sub(source.read_bytes).min(MOST_BYTES_AT_ONCE);
        if unread == 0 || self.code.len() >= MOST_CODE || self.names.len() >= MOST_NAME_BYTES {
            return;
        }
        if source.is_dump {
            self.read_dump()
        } else {
            self.read_map(unread as usize)
        }
        self.sort();
    }

    fn sort(&mut self) {
        // Stable: what was told later stays behind what it replaces.
        self.code.sort_by_key(|code| code.start);
        self.longest = self.code.iter().map(|code| code.end - code.start).max().unwrap_or(0);
    }

    fn read_map(&mut self, unread: usize) {
        let Some(source) = &mut self.source else { return };
        let mut bytes = vec![0; unread];
        let length = source.file.read_at(&mut bytes, source.read_bytes).unwrap_or(0);
        // A line that is being written is left for the next time.
        let whole = bytes[..length].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        source.read_bytes += whole as u64;
        for line in bytes[..whole].split(|&byte| byte == b'\n') {
            if let Some((start, bytes, name)) = parse_map_line(&String::from_utf8_lossy(line)) {
                self.add(start, bytes, name);
            }
        }
    }

    fn read_dump(&mut self) {
        let Some(source) = &mut self.source else { return };
        if source.read_bytes == 0 {
            let mut header = [0; 40];
            let read = source.file.read_exact_at(&mut header, 0).is_ok();
            match jitdump::parse_header(&header).filter(|_| read) {
                Some(bytes) => source.read_bytes = u64::from(bytes),
                None => return self.source = None,
            }
        }
        let mut body = vec![0; 8192];
        while let Some(source) = &mut self.source {
            let mut header = [0; jitdump::RECORD_HEADER_BYTES];
            if source.file.read_exact_at(&mut header, source.read_bytes).is_err() {
                return;
            }
            let Some((kind, size)) = jitdump::parse_record_header(&header) else { return };
            let wanted = body.len().min(size - header.len());
            let read = source.file.read_at(&mut body[..wanted], source.read_bytes + header.len() as u64).unwrap_or(0);
            if read < wanted || self.code.len() >= MOST_CODE || self.names.len() >= MOST_NAME_BYTES {
                return;
            }
            source.read_bytes += size as u64;
            match jitdump::parse_body(kind, &body[..read]) {
                Some(JitRecord::Load { start, bytes, name }) => self.add(start, bytes, &name),
                Some(JitRecord::Move { from, to, bytes }) => {
                    let moved = self.code.iter().rev().find(|code| code.start == from).map(|code| code.name);
                    self.code.extend(moved.map(|name| Code { start: to, end: to.saturating_add(bytes), name }));
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, start: u64, bytes: u64, name: &str) {
        if self.code.len() < MOST_CODE && self.names.len() + name.len() <= MOST_NAME_BYTES {
            let at = (self.names.len() as u32, name.len() as u32);
            self.names.push_str(name);
            self.code.push(Code { start, end: start.saturating_add(bytes), name: at });
        }
    }

    pub fn find(&self, address: u64) -> Option<&str> {
        let after = self.code.partition_point(|code| code.start <= address);
        let near = |code: &&Code| address - code.start < self.longest.max(1);
        let code = self.code[..after].iter().rev().take(64).take_while(near).find(|code| address < code.end)?;
        self.names.get(code.name.0 as usize..(code.name.0 + code.name.1) as usize)
    }
}

/// A perf map -> what was at an address last.
pub fn parse_map(text: &str) -> RuntimeCode {
    let mut runtime = RuntimeCode::nothing();
    text.lines().filter_map(parse_map_line).for_each(|(start, bytes, name)| runtime.add(start, bytes, name));
    runtime.sort();
    runtime
}

/// `7f0c1c0030 a0 JS:*step /home/a/model.js:3:14`
fn parse_map_line(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = line.split_once(' ')?;
    let (bytes, name) = rest.split_once(' ')?;
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    Some((hex(start)?, hex(bytes)?, name.trim_end()))
}

/// In the process's own root and under the pid it knows itself by.
fn perf_map_path(pid: u32) -> PathBuf {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_ascii_whitespace().next_back());
    format!("/proc/{pid}/root/tmp/perf-{}.map", inner.unwrap_or(&pid.to_string())).into()
}

/// An agent maps its jitdump so that profilers find it: the name is jit-PID.dump.
fn jitdump_path(maps: &str, pid: u32) -> Option<PathBuf> {
    let path = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5)).map(str::trim_start).find(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("jit-") && name.ends_with(".dump")
    })?;
    Some(format!("/proc/{pid}/root{path}").into())
}

/// Opens a file only when it belongs to whom the process belongs: anybody may write to /tmp.
fn open_own(path: &Path, pid: u32, is_dump: bool) -> Option<Source> {
    if std::fs::symlink_metadata(path).ok()?.is_symlink() {
        return None;
    }
    let (file, _) = open_regular(path).ok()?;
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let found = file.metadata().ok()?.uid();
    (found == owner || found == 0).then_some(Source { file, read_bytes: 0, is_dump })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_code_replaces_earlier() {
        let code = parse_map("1000 100 old\n2000 10 small\n1000 80 new\nzz rubbish\n3000 ffffffffffffffff all\n");
        assert_eq!(code.find(0x1010), Some("new"));
        assert_eq!(code.find(0x1090), Some("old"));
        assert_eq!(code.find(0x200f), Some("small"));
        assert_eq!(code.find(0x2010), None);
        assert_eq!(code.find(0x4000), Some("all"));
        assert_eq!(code.find(0), None);
    }

    #[test]
    fn finds_a_jitdump_among_maps() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 7                          /home/a/jit-42.dump\n";
        assert_eq!(jitdump_path(maps, 7), Some("/proc/7/root/home/a/jit-42.dump".into()));
        assert_eq!(jitdump_path("7f00-7f01 r-xp 0 fe:00 7 /home/a/jit.so\n", 7), None);
    }
}
