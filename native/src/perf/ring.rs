//! The ring a perf event writes: a control page, then a power of two of data bytes.
//!
//! ```text
//!   base            base + page                                   base + page + capacity
//!   | control page  |  tail ->  record record record  <- head  ... |
//! ```
//!
//! The kernel moves `data_head`, we move `data_tail`. A record may wrap, and is then put together in `scratch`.
use super::record::HEAD_BYTES;
use crate::arch;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets of data_head and data_tail in `struct perf_event_mmap_page`.
const HEAD_OFFSET: usize = 1024;
const TAIL_OFFSET: usize = 1032;
pub const HEADER_BYTES: usize = 8;

/// A sample without its stack copy is below this.
pub const SAMPLE_HEAD_BYTES: usize = 1536;
pub const SMALLEST_RING: usize = 64 << 10;
const LARGEST_RING: usize = 32 << 20;
/// All rings of a session together; beyond, the drain thread is woken more often.
const ALL_RINGS: usize = 96 << 20;

/// Ten seconds of samples, within bounds: the drain thread may be that late before the kernel drops any. It is late where
/// it asks for the memory of a process that holds its own maps locked and waits for a CPU.
pub fn ring_bytes(hz: u32, stack_bytes: u32, cpus: usize) -> usize {
    let second = hz as usize * (stack_bytes as usize + SAMPLE_HEAD_BYTES);
    (10 * second)
        .next_power_of_two()
        .min(ALL_RINGS / cpus.max(1))
        .clamp(SMALLEST_RING, LARGEST_RING)
        .next_power_of_two()
}

const LINE_BYTES: usize = 64;
/// The head of a sample, and of its stack what most frames lie in.
const AHEAD_BYTES: usize = 2048;

/// Asks for the memory of a record that will be taken after another one: a CPU wrote it up to a second ago, so that nothing of it is
/// in the caches of the one that reads it.
pub fn fetch_ahead(record: &[u8]) {
    for line in record[..record.len().min(AHEAD_BYTES)].chunks(LINE_BYTES) {
        arch::prefetch(line.as_ptr());
    }
    // What follows the stack copy, and the head of the next record.
    let end = record.as_ptr_range().end;
    arch::prefetch(end.wrapping_sub(8));
    arch::prefetch(end);
}

pub struct Ring {
    fd: OwnedFd,
    base: *mut u8,
    page: usize,
    capacity: usize,
    head: u64,
    tail: u64,
    /// Up to here `look` has seen what was written.
    looked: u64,
    scratch: Vec<u8>,
    /// Times the ring held something that cannot be a record; its content was dropped.
    pub corrupt: u64,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Ring {}

fn page_bytes() -> usize {
    // SAFETY: no arguments.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

impl Ring {
    /// Maps `capacity` bytes (a power of two of pages) of the event's ring.
    pub fn map(fd: OwnedFd, capacity: usize) -> io::Result<Ring> {
        let page = page_bytes();
        // SAFETY: a fresh shared mapping of a descriptor that we own.
        let base = unsafe {
            let rw = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), page + capacity, rw, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Ring { fd, base: base.cast(), page, capacity, head: 0, tail: 0, looked: 0, scratch: Vec::new(), corrupt: 0 })
    }

    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: inside the control page, eight byte aligned, shared with the kernel.
        unsafe { &*self.base.add(offset).cast::<AtomicU64>() }
    }

    /// Takes notice of what the kernel wrote until now.
    pub fn refresh(&mut self) {
        self.head = self.position(HEAD_OFFSET).load(Ordering::Acquire);
    }

    /// Shows the heads of the records that were written since the last look. Takes none.
    pub fn look(&mut self, mut see: impl FnMut(&[u8; HEAD_BYTES])) {
        self.refresh();
        self.looked = self.looked.max(self.tail);
        while self.head - self.looked >= HEADER_BYTES as u64 {
            let head = self.head_at(self.looked);
            let size = u64::from(u16::from_le_bytes([head[6], head[7]]));
            if size < HEADER_BYTES as u64 || size > self.head - self.looked {
                // No record: whoever takes it drops and counts it.
                return;
            }
            see(&head);
            self.looked += size;
        }
    }

    fn head_at(&self, position: u64) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        for (word, bytes) in head.chunks_exact_mut(8).enumerate() {
            let at = (position as usize + 8 * word) & (self.capacity - 1);
            // SAFETY: records are eight byte aligned, so no word of one wraps; behind the last one stands what was there before.
            bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(self.base.add(self.page + at), 8) });
        }
        head
    }

    /// The oldest record, whole, without taking it.
    pub fn peek(&mut self) -> Option<&[u8]> {
        let (available, start) = ((self.head - self.tail) as usize, self.tail as usize & (self.capacity - 1));
        if available < HEADER_BYTES {
            return None;
        }
        // SAFETY: records are eight byte aligned, so a header never wraps.
        let header = unsafe { std::slice::from_raw_parts(self.base.add(self.page + start), HEADER_BYTES) };
        let size = u16::from_le_bytes([header[6], header[7]]) as usize;
        if size < HEADER_BYTES || size > available || available > self.capacity {
            self.corrupt += 1;
            self.tail = self.head;
            self.publish();
            return None;
        }
        // SAFETY: start and size are inside the data area; the kernel does not write between tail and head.
        unsafe {
            let data = self.base.add(self.page);
            if start + size <= self.capacity {
                return Some(std::slice::from_raw_parts(data.add(start), size));
            }
            let first = self.capacity - start;
            self.scratch.clear();
            self.scratch.extend_from_slice(std::slice::from_raw_parts(data.add(start), first));
            self.scratch.extend_from_slice(std::slice::from_raw_parts(data, size - first));
        }
        Some(&self.scratch)
    }

    /// Gives the oldest record's bytes (`size` of them) back to the kernel.
    pub fn advance(&mut self, size: usize) {
        self.tail += size as u64;
        self.publish();
    }

    fn publish(&self) {
        self.position(TAIL_OFFSET).store(self.tail, Ordering::Release);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, nothing borrows it any more.
        unsafe { libc::munmap(self.base.cast(), self.page + self.capacity) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::record::parse_moment;
    use std::os::fd::FromRawFd;

    /// A ring of one page that a test writes in the place of the kernel.
    fn ring() -> Ring {
        // SAFETY: a file of our own in memory.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC)) };
        // SAFETY: the same file.
        assert_eq!(unsafe { libc::ftruncate(fd.as_raw_fd(), 2 * page_bytes() as libc::off_t) }, 0);
        Ring::map(fd, page_bytes()).unwrap()
    }

    fn write(ring: &Ring, kind: u32, size: u16, pid: u32) {
        let head = ring.position(HEAD_OFFSET).load(Ordering::Relaxed);
        let mut record = vec![0u8; usize::from(size).max(HEADER_BYTES)];
        record[..4].copy_from_slice(&kind.to_le_bytes());
        record[6..8].copy_from_slice(&size.to_le_bytes());
        record.get_mut(16..20).into_iter().for_each(|bytes| bytes.copy_from_slice(&pid.to_le_bytes()));
        for (index, &byte) in record.iter().enumerate() {
            // SAFETY: inside the data area of the mapping.
            unsafe { *ring.base.add(ring.page + (head as usize + index) % ring.capacity) = byte };
        }
        ring.position(HEAD_OFFSET).store(head + record.len() as u64, Ordering::Release);
    }

    #[test]
    fn a_look_sees_what_came_since_the_last_and_takes_nothing() {
        const SAMPLE: u32 = 9;
        let (mut ring, page) = (ring(), page_bytes() as u16);
        let seen = |ring: &mut Ring| {
            let mut pids = Vec::new();
            ring.look(|head| pids.extend(parse_moment(head).map(|moment| moment.pid)));
            pids
        };
        write(&ring, SAMPLE, 64, 7);
        write(&ring, 3, 8, 0);
        assert_eq!(seen(&mut ring), [7]);
        assert_eq!(seen(&mut ring), [], "it was seen");
        assert_eq!(ring.peek().map(<[u8]>::len), Some(64), "and is still there");
        ring.advance(64);
        ring.advance(8);
        write(&ring, SAMPLE, page - 72 - 16, 8);
        ring.refresh();
        ring.advance(usize::from(page) - 72 - 16);
        // Its head wraps.
        write(&ring, SAMPLE, 64, 9);
        write(&ring, 3, 64, 10);
        assert_eq!(seen(&mut ring), [9]);
        write(&ring, SAMPLE, 64, 10);
        write(&ring, SAMPLE, 64, 11);
        assert_eq!(seen(&mut ring), [10, 11]);
        write(&ring, SAMPLE, 0, 0);
        assert_eq!(seen(&mut ring), [], "no record");
    }

    #[test]
    fn rings_hold_ten_seconds_within_bounds() {
        assert_eq!(ring_bytes(19, 16 << 10, 2), 4 << 20);
        assert_eq!(ring_bytes(2000, 65_528, 2), LARGEST_RING);
        assert_eq!(ring_bytes(19, 16 << 10, 512), 256 << 10);
    }
}
