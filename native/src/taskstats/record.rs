//! `struct taskstats`, by its bytes. https://docs.kernel.org/accounting/taskstats-struct.html
//!
//! ```text
//!   exit message   AGGR_PID  { PID u32,  STATS struct }       the task that ended
//!                  AGGR_TGID { TGID u32, STATS struct }       with the last of several threads: the sum of all of them
//! ```
use super::netlink::{HEADER_BYTES, attributes};

const TYPE_STATS: u16 = 3;
const TYPE_AGGR_PID: u16 = 4;
const TYPE_AGGR_TGID: u16 = 5;
/// ac_flag: the last task of its thread group. Since version 12, Linux 5.18.
const AGROUP: u8 = 0x20;
const GROUPS_SINCE: u16 = 12;
const NAME_BYTES: usize = 16;

mod at {
    pub const VERSION: usize = 0;
    pub const FLAG: usize = 8;
    pub const CPU_DELAY: usize = 24;
    pub const BLOCK_DELAY: usize = 40;
    /// cpu_run_virtual_total: the only one that is not counted in ticks.
    pub const CPU_NS: usize = 72;
    pub const NAME: usize = 80;
    pub const UID: usize = 120;
    pub const PID: usize = 128;
    pub const PARENT: usize = 132;
    pub const USER: usize = 152;
    pub const SYSTEM: usize = 160;
    pub const READ: usize = 248;
    pub const WRITE: usize = 256;
    pub const TGID: usize = 368;
}

pub fn layout_known(version: u16) -> bool {
    version >= GROUPS_SINCE
}

/// A process that ended. What it has used from its start on.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub version: u16,
    /// Of the process, also where its last thread is another one.
    pub pid: u32,
    pub parent_pid: u32,
    pub uid: u32,
    pub name: [u8; NAME_BYTES],
    /// False: a thread, and its process lives on.
    pub is_process: bool,
    pub cpu_ns: u64,
    /// Microseconds of user and system time, by ticks: of a short life 0 or a tick. Right as the sum of many.
    pub ticked_us: u64,
    /// Of storage; of several threads the last one's only, so 0 then.
    pub read_bytes: u64,
    pub write_bytes: u64,
}

fn word(stats: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(stats.get(at..at + 4)?.try_into().ok()?))
}

fn long(stats: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(stats.get(at..at + 8)?.try_into().ok()?))
}

fn stats_of(group: &[u8]) -> Option<&[u8]> {
    attributes(group).find(|(kind, _)| *kind == TYPE_STATS).map(|(_, stats)| stats)
}

/// The answer about a whole process: time waited for a CPU and for a disk, nanoseconds.
pub fn delays_of_answer(message: &[u8]) -> Option<(u64, u64)> {
    let (_, group) = attributes(message.get(HEADER_BYTES..)?).find(|(kind, _)| *kind == TYPE_AGGR_TGID)?;
    let stats = stats_of(group)?;
    Some((long(stats, at::CPU_DELAY)?, long(stats, at::BLOCK_DELAY)?))
}

impl Record {
    /// A whole message: of an exit, or the answer to a question. None where it is neither or cut short.
    pub fn of_message(message: &[u8]) -> Option<Record> {
        let payload = message.get(HEADER_BYTES..)?;
        let mut record = None;
        for (kind, group) in attributes(payload) {
            match kind {
                TYPE_AGGR_PID => record = Record::of_stats(stats_of(group)?),
                TYPE_AGGR_TGID => record.as_mut()?.add_threads(stats_of(group)?)?,
                _ => {}
            }
        }
        record
    }

    fn of_stats(stats: &[u8]) -> Option<Record> {
        let version = u16::from_ne_bytes(stats.get(at::VERSION..at::VERSION + 2)?.try_into().ok()?);
        let task = word(stats, at::PID)?;
        Some(Record {
            version,
            pid: if layout_known(version) { word(stats, at::TGID)? } else { task },
            parent_pid: word(stats, at::PARENT)?,
            uid: word(stats, at::UID)?,
            name: stats.get(at::NAME..at::NAME + NAME_BYTES)?.try_into().ok()?,
            is_process: stats.get(at::FLAG)? & AGROUP != 0,
            cpu_ns: long(stats, at::CPU_NS)?,
            ticked_us: long(stats, at::USER)?.saturating_add(long(stats, at::SYSTEM)?),
            read_bytes: long(stats, at::READ)?,
            write_bytes: long(stats, at::WRITE)?,
        })
    }

    /// The sum of all threads has their CPU time, and of the rest nothing.
    fn add_threads(&mut self, stats: &[u8]) -> Option<()> {
        self.cpu_ns = long(stats, at::CPU_NS)?;
        (self.read_bytes, self.write_bytes) = (0, 0);
        Some(())
    }

    /// comm, which ends at the first NUL.
    pub fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nlattr { len, type } payload
    fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((payload.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn stats(version: u16, flag: u8, (pid, tgid): (u32, u32), cpu_ns: u64) -> Vec<u8> {
        let mut bytes = vec![0; 432];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(at::VERSION, &version.to_ne_bytes());
        put(at::FLAG, &[flag]);
        put(at::CPU_NS, &cpu_ns.to_ne_bytes());
        put(at::NAME, b"cc1plus\0junk");
        put(at::UID, &1000u32.to_ne_bytes());
        put(at::PID, &pid.to_ne_bytes());
        put(at::TGID, &tgid.to_ne_bytes());
        put(at::PARENT, &77u32.to_ne_bytes());
        put(at::USER, &3000u64.to_ne_bytes());
        put(at::SYSTEM, &1000u64.to_ne_bytes());
        put(at::READ, &4096u64.to_ne_bytes());
        bytes
    }

    fn message(groups: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for (kind, stats) in groups {
            let id = if *kind == TYPE_AGGR_PID { 1 } else { 2 };
            bytes.extend(attribute(*kind, &[attribute(id, &[9, 0, 0, 0]), attribute(TYPE_STATS, stats)].concat()));
        }
        bytes
    }

    #[test]
    fn a_process_of_one_thread() {
        let record = Record::of_message(&message(&[(TYPE_AGGR_PID, stats(16, AGROUP, (9, 9), 900))])).unwrap();
        assert_eq!((record.pid, record.parent_pid, record.uid, record.is_process), (9, 77, 1000, true));
        assert_eq!(
            (record.name(), record.cpu_ns, record.ticked_us, record.read_bytes),
            (&b"cc1plus"[..], 900, 4000, 4096)
        );
    }

    #[test]
    fn a_thread_whose_process_lives_on_is_no_process() {
        let record = Record::of_message(&message(&[(TYPE_AGGR_PID, stats(16, 1, (11, 9), 900))])).unwrap();
        assert_eq!((record.pid, record.is_process), (9, false));
    }

    #[test]
    fn the_last_of_several_threads_brings_the_sum() {
        let groups = [(TYPE_AGGR_PID, stats(16, AGROUP, (11, 9), 900)), (TYPE_AGGR_TGID, stats(16, 0, (0, 0), 5000))];
        let record = Record::of_message(&message(&groups)).unwrap();
        assert_eq!((record.pid, record.is_process, record.cpu_ns, record.read_bytes), (9, true, 5000, 0));
    }

    #[test]
    fn what_is_cut_short_is_none_at_any_length() {
        let whole = message(&[(TYPE_AGGR_PID, stats(16, AGROUP, (9, 9), 900))]);
        for length in 0..HEADER_BYTES + 8 + 8 + at::TGID {
            assert_eq!(Record::of_message(&whole[..length]), None, "{length} bytes");
        }
        for length in 0..whole.len() {
            let mut wild = whole.clone();
            wild[length] = 0xff;
            let _ = (Record::of_message(&wild), delays_of_answer(&wild));
        }
    }
}
