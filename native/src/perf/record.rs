//! Bytes of a ring -> records. Pure; every length in the bytes is checked, since a kernel may be newer than this file.
use super::attr::{Attr, SAMPLE_CGROUP};
use crate::arch::REGISTERS;

const MMAP2: u32 = 10;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const THROTTLE: u32 = 5;
const FORK: u32 = 7;
const SAMPLE: u32 = 9;
const LOST: u32 = 2;
const LOST_SAMPLES: u32 = 13;
const CGROUP: u32 = 19;

const MISC_COMM_EXEC: u16 = 1 << 13;

/// Call chain entries above this are markers of what follows: PERF_CONTEXT_KERNEL, PERF_CONTEXT_USER …
const CONTEXT_MAX: u64 = -4095i64 as u64;
const CONTEXT_KERNEL: u64 = -128i64 as u64;
const REGS_ABI_64: u64 = 2;
/// pid, tid, time, cpu, reserved: what sample_id_all appends to a record that is no sample.
const TRAILER_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileHint {
    Inode(u64),
    None,
}

pub struct Sample<'a> {
    pub pid: u32,
    pub tid: u32,
    pub time_ns: u64,
    pub cpu: u32,
    pub period: u64,
    /// Return addresses in the kernel, leaf first.
    pub kernel: Words<'a>,
    /// In the order of arch::REGISTERS; absent for kernel threads and 32-bit code.
    pub registers: Option<Words<'a>>,
    /// Bytes from the stack pointer upwards.
    pub stack: &'a [u8],
    /// The copy was cut by our own limit and not by the end of the stack.
    pub stack_full: bool,
    pub cgroup: Option<u64>,
}

pub struct Mmap<'a> {
    pub pid: u32,
    pub start: u64,
    pub bytes: u64,
    pub file_offset: u64,
    pub hint: FileHint,
    pub path: &'a [u8],
}

pub enum Record<'a> {
    Sample(Sample<'a>),
    Mmap(Mmap<'a>),
    Comm { pid: u32, tid: u32, exec: bool, name: &'a [u8] },
    Fork { pid: u32, parent: u32, tid: u32, parent_tid: u32 },
    Exit { pid: u32, tid: u32 },
    Cgroup { id: u64, path: &'a [u8] },
    Lost(u64),
    Throttle,
    Other,
}

/// 64-bit words in a ring.
#[derive(Clone, Copy, Default)]
pub struct Words<'a>(&'a [u8]);

impl Words<'_> {
    pub fn get(&self, index: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.0.get(index * 8..index * 8 + 8)?.try_into().ok()?))
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
    }
}

/// A reader over one record that never leaves it.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

/// When a record was written: what records of different rings are put in order by.
pub fn parse_time(bytes: &[u8]) -> u64 {
    // A sample: header, ip, pid and tid, time. Anything else ends with TRAILER_BYTES.
    let sample = bytes.first_chunk().is_some_and(|kind| u32::from_le_bytes(*kind) == SAMPLE);
    let at = if sample { 24 } else { bytes.len().saturating_sub(TRAILER_BYTES - 8) };
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Enough of a record for `parse_moment`.
pub const HEAD_BYTES: usize = 32;

/// When a thread was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub pid: u32,
    pub tid: u32,
    pub time_ns: u64,
}

/// Whom a record is a sample of; None for any other. The head of a shorter record holds what follows it.
pub fn parse_moment(head: &[u8; HEAD_BYTES]) -> Option<Moment> {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let time_ns = u64::from(word(24)) | u64::from(word(28)) << 32;
    (word(0) == SAMPLE).then(|| Moment { pid: word(16), tid: word(20), time_ns })
}

/// None for a record that does not hold what its kind promises.
pub fn parse_record<'a>(bytes: &'a [u8], attr: &Attr) -> Option<Record<'a>> {
    let kind = u32::from_le_bytes(*bytes.first_chunk()?);
    let misc = u16::from_le_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    if kind == SAMPLE {
        return parse_sample(Cursor(bytes.get(8..)?), attr).map(Record::Sample);
    }
    let mut body = Cursor(bytes.get(8..bytes.len().checked_sub(TRAILER_BYTES)?)?);
    Some(match kind {
        MMAP2 => Record::Mmap(parse_mmap(body)?),
        COMM => {
            let (pid, tid) = (body.u32()?, body.u32()?);
            Record::Comm { pid, tid, exec: misc & MISC_COMM_EXEC != 0, name: body.text() }
        }
        FORK => Record::Fork { pid: body.u32()?, parent: body.u32()?, tid: body.u32()?, parent_tid: body.u32()? },
        EXIT => {
            let (pid, _parent) = (body.u32()?, body.u32()?);
            Record::Exit { pid, tid: body.u32()? }
        }
        CGROUP => Record::Cgroup { id: body.u64()?, path: body.text() },
        LOST => {
            let _event_id = body.u64()?;
            Record::Lost(body.u64()?)
        }
        LOST_SAMPLES => Record::Lost(body.u64()?),
        THROTTLE => Record::Throttle,
        _ => Record::Other,
    })
}

fn parse_mmap(mut body: Cursor<'_>) -> Option<Mmap<'_>> {
    let (pid, _tid) = (body.u32()?, body.u32()?);
    let (start, bytes, file_offset) = (body.u64()?, body.u64()?, body.u64()?);
    let identity = body.take(24)?;
    let _protection_and_flags = body.u64()?;
    // Never a build id, whatever the record's misc says: that may be left over from another profiler's (attr.rs).
    let hint = match u64::from_le_bytes(identity[8..16].try_into().ok()?) {
        0 => FileHint::None,
        inode => FileHint::Inode(inode),
    };
    Some(Mmap { pid, start, bytes, file_offset, hint, path: body.text() })
}

/// The fields are in the order of the kernel's perf_output_sample, for the sample_type that open.rs asks for.
fn parse_sample<'a>(mut body: Cursor<'a>, attr: &Attr) -> Option<Sample<'a>> {
    let _ip = body.u64()?;
    let (pid, tid, time_ns) = (body.u32()?, body.u32()?, body.u64()?);
    let (cpu, _reserved, period) = (body.u32()?, body.u32()?, body.u64()?);
    let entries = usize::try_from(body.u64()?).ok()?;
    let kernel = kernel_part(body.take(entries.checked_mul(8)?)?);
    let abi = body.u64()?;
    let registers = if abi == 0 { None } else { Some(Words(body.take(REGISTERS.len() * 8)?)) };
    let asked = usize::try_from(body.u64()?).ok()?;
    let copy = body.take(asked)?;
    let copied = if asked == 0 { 0 } else { usize::try_from(body.u64()?).ok()?.min(asked) };
    let cgroup = if attr.sample_type & SAMPLE_CGROUP != 0 { Some(body.u64()?) } else { None };
    Some(Sample {
        pid,
        tid,
        time_ns,
        cpu,
        period,
        kernel,
        registers: registers.filter(|_| abi == REGS_ABI_64),
        stack: &copy[..copied],
        stack_full: copied == asked && asked > 0,
        cgroup,
    })
}

fn kernel_part(chain: &[u8]) -> Words<'_> {
    let word = |at: usize| Words(chain).get(at).unwrap_or(0);
    let entries = chain.len() / 8;
    let Some(marker) = (0..entries).find(|&at| word(at) == CONTEXT_KERNEL) else {
        return Words::default();
    };
    let end = (marker + 1..entries).find(|&at| word(at) >= CONTEXT_MAX).unwrap_or(entries);
    Words(&chain[(marker + 1) * 8..end * 8])
}
