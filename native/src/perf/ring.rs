//! The ring a perf event writes: a control page, then a power of two of data bytes.
//!
//! ```text
//!   base            base + page                                   base + page + capacity
//!   | control page  |  tail ->  record record record  <- head  ... |
//! ```
//!
//! The kernel moves `data_head`, we move `data_tail`. A record may wrap, and is then put together in `scratch`.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets of data_head and data_tail in `struct perf_event_mmap_page`.
const HEAD_OFFSET: usize = 1024;
const TAIL_OFFSET: usize = 1032;
pub const HEADER_BYTES: usize = 8;

pub struct Ring {
    fd: OwnedFd,
    base: *mut u8,
    page: usize,
    capacity: usize,
    head: u64,
    tail: u64,
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
        Ok(Ring { fd, base: base.cast(), page, capacity, head: 0, tail: 0, scratch: Vec::new(), corrupt: 0 })
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
