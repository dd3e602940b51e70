//! The processes of a node, of which only those that are not as they were go to JavaScript.
//!
//! A line of /proc/PID/stat costs the kernel 8 us, and most of a thousand processes sleep. Each has a clock of its CPU time, the
//! sum over its threads that the line's ticks are made from, and to ask it costs 1.2 us (990 processes, ten seconds apart). Where
//! it stands as it stood, no thread has run: neither ticks, children's ticks, threads nor name can be others.
//! https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
//!
//! Three things change of one that does not run. Its parent, when that ends: one whose parent is not known is read. Its memory,
//! when the kernel takes some, and its state, while it waits for a CPU: those asked for are read in any case, the rest each five
//! minutes.
//!
//! New ones are found in the same way: the kernel gives out pids in order, so they lie between the newest of two ticks ago and now.
//! To ask each of these whether it is a process costs less than a list of all; that is made each minute all the same.
//!
//! ```text
//!   look   4711  clock 80 ms as before                        nothing
//!          4712  clock 90 -> 95 ms   stat as before           nothing: less than a tick of it
//!          4713  clock 10 -> 60 ms   stat 1 -> 6 ticks        a row
//!          4714  no clock            no stat                  a row that says so, known no more
//! ```
#[cfg(feature = "addon")]
mod addon;
mod pids;
mod rows;
#[cfg(test)]
mod tests;

use self::pids::{is_own_namespace, list, read_clock, read_newest};
use self::rows::Rows;
use crate::processstat::{PARENT, Row, START, STATE, parse};
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const READ_AGAIN: Duration = Duration::from_secs(300);
const LIST_AGAIN: Duration = Duration::from_secs(60);
/// A line of it is some 350 bytes.
const LINE: usize = 1024;

struct Known {
    row: Row,
    name: Vec<u8>,
    /// Read again by pread(2) it costs half of open, read and close. Only of those that have changed since they were met.
    file: Option<File>,
    /// Nanoseconds, just before it was last read: what it ran meanwhile is seen at the next look.
    clock: Option<u64>,
    read: Instant,
}

/// When one that is read is told of beside a change of what is read.
#[derive(Clone, Copy)]
enum Told {
    Changed,
    HasRun,
    Always,
}

pub struct Table {
    proc: PathBuf,
    /// Descriptors that may still be kept.
    keep: usize,
    has_clocks: bool,
    known: FxHashMap<i32, Known>,
    /// The newest pid as of the last two meetings, older first. One may be given out a moment before it is a process.
    newest: [Option<i32>; 2],
    listed: Instant,
}

impl Table {
    /// Keeps at most so many descriptors.
    pub fn open(proc: &Path, keep: usize) -> Table {
        let has_clocks = is_own_namespace(proc);
        let known = FxHashMap::default();
        Table { proc: proc.to_owned(), keep, has_clocks, known, newest: [None; 2], listed: Instant::now() }
    }

    /// Those that are not known yet, and are from then on. `forked`: how often that happened since the last call, as the kernel counts.
    pub fn meet(&mut self, forked: u32) -> io::Result<Rows> {
        let mut rows = Rows::default();
        let mut bytes = [0; LINE];
        let read = Instant::now();
        for pid in self.find_new(forked, read)? {
            if self.known.contains_key(&pid) {
                continue;
            }
            let clock = self.clock(pid);
            let length = File::open(self.path(pid)).and_then(|file| file.read_at(&mut bytes, 0)).unwrap_or(0);
            let Some((row, name)) = parse(&bytes[..length]) else { continue };
            rows.push(&row, Some(name));
            self.known.insert(pid, Known { row, name: name.to_owned(), file: None, clock, read });
        }
        Ok(rows)
    }

    /// All that are new, and maybe others.
    fn find_new(&mut self, forked: u32, now: Instant) -> io::Result<Vec<i32>> {
        let newest = if self.has_clocks { read_newest(&self.proc) } else { None };
        let [older, last] = self.newest;
        self.newest = [last, newest];
        if let (Some(older), Some(last), Some(newest)) = (older, last, newest) {
            // in order, unless the numbers began anew: then fewer were given out than forked
            let in_order = older <= last && last <= newest && i64::from(newest - last) >= i64::from(forked);
            let few = (newest - older) as usize <= self.known.len();
            if in_order && few && now - self.listed < LIST_AGAIN {
                // SAFETY: always is one.
                let own_thread = unsafe { libc::gettid() };
                let is_process = |pid: &i32| *pid != own_thread && read_clock(*pid).is_some();
                return Ok((older + 1..=newest).filter(is_process).collect());
            }
        }
        self.listed = now;
        list(&self.proc)
    }

    /// Those that are not as they were, and those that are gone. `anyway`: whose memory and state must be right; told as soon as
    /// they may have run at all.
    pub fn look(&mut self, anyway: &[i32]) -> Rows {
        let now = Instant::now();
        let mut rows = Rows::default();
        for pid in self.those(|pid, known| anyway.contains(&pid) || !self.is_at_rest(pid, known, now)) {
            let told = if anyway.contains(&pid) { Told::HasRun } else { Told::Changed };
            self.read(pid, now, told, &mut rows);
        }
        // now that it is known who is gone
        for pid in self.those(|_, known| self.is_orphan(known, now)) {
            self.read(pid, now, Told::Changed, &mut rows);
        }
        rows
    }

    /// In order, so that the same is told in the same way.
    fn those(&self, wanted: impl Fn(i32, &Known) -> bool) -> Vec<i32> {
        let mut pids: Vec<i32> =
            self.known.iter().filter(|&(&pid, known)| wanted(pid, known)).map(|(&pid, _)| pid).collect();
        pids.sort_unstable();
        pids
    }

    /// These as they are now, changed or not.
    pub fn read_again(&mut self, pids: &[i32]) -> Rows {
        let now = Instant::now();
        let mut rows = Rows::default();
        for &pid in pids {
            self.read(pid, now, Told::Always, &mut rows);
        }
        rows
    }

    fn is_at_rest(&self, pid: i32, known: &Known, now: Instant) -> bool {
        known.clock.is_some() && now - known.read < READ_AGAIN && self.clock(pid) == known.clock
    }

    /// Not read since, and its parent is none that is known to live: one that nobody has waited for yet has no children any more.
    fn is_orphan(&self, known: &Known, now: Instant) -> bool {
        let parent = known.row[PARENT] as i32;
        let is_alive = |parent: &Known| parent.row[STATE] != f64::from(b'Z');
        known.read != now && parent != 0 && !self.known.get(&parent).is_some_and(is_alive)
    }

    fn read(&mut self, pid: i32, now: Instant, told: Told, rows: &mut Rows) {
        let mut bytes = [0; LINE];
        let (clock, path) = (self.clock(pid), self.path(pid));
        let Some(known) = self.known.get_mut(&pid) else { return rows.push_gone(pid) };
        let length = known.read_line(&path, &mut self.keep, &mut bytes).unwrap_or(0);
        let Some((row, name)) = parse(&bytes[..length]).filter(|(row, _)| row[START] == known.row[START]) else {
            self.forget(pid);
            return rows.push_gone(pid);
        };
        let is_renamed = name != known.name;
        let is_told = match told {
            Told::Changed => false,
            Told::HasRun => clock.is_none() || clock != known.clock,
            Told::Always => true,
        };
        if is_told || is_renamed || row != known.row {
            rows.push(&row, is_renamed.then_some(name));
        }
        if is_renamed {
            known.name = name.to_owned();
        }
        (known.row, known.clock, known.read) = (row, clock, now);
    }

    fn forget(&mut self, pid: i32) {
        if self.known.remove(&pid).is_some_and(|known| known.file.is_some()) {
            self.keep += 1;
        }
    }

    fn path(&self, pid: i32) -> PathBuf {
        self.proc.join(format!("{pid}/stat"))
    }

    fn clock(&self, pid: i32) -> Option<u64> {
        self.has_clocks.then(|| read_clock(pid)).flatten()
    }
}

impl Known {
    fn read_line(&mut self, path: &Path, keep: &mut usize, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &self.file {
            return file.read_at(bytes, 0);
        }
        let file = File::open(path)?;
        let length = file.read_at(bytes, 0)?;
        if *keep > 0 {
            *keep -= 1;
            self.file = Some(file);
        }
        Ok(length)
    }
}
