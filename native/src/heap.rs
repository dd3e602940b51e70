//! The memory of this process that malloc holds, and what each of our threads has of it.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// malloc, and a count of bytes for each thread.
pub struct Heap;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread took less those that it gave back.
pub fn held_bytes() -> isize {
    HELD.get()
}

/// What something took since that does not tell it itself.
pub fn grown_since(held: isize) -> usize {
    usize::try_from(held_bytes() - held).unwrap_or(0)
}

fn count(bytes: isize) {
    HELD.set(HELD.get().wrapping_add(bytes));
}

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes as isize - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

/// Larger pieces are mapped each on its own, and given back when they are freed. By itself malloc raises this bound with the largest
/// piece that was freed, up to 32 MiB: tables of symbols that come and go would then leave holes between what stays.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 256 << 10;
/// What is free at the end of the heap is given back beyond this.
#[cfg(target_env = "gnu")]
const TRIM_BYTES: libc::c_int = 4 << 20;

/// How malloc works in this process, from now on.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes numbers only.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
    }
}

/// Gives back to the system what malloc keeps free in its arenas, of all threads.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_a_thread_took() {
        let before = held_bytes();
        let mut bytes = vec![1u8; 1000];
        assert_eq!(grown_since(before), 1000);
        bytes.resize(5000, 2);
        bytes.shrink_to_fit();
        assert_eq!(grown_since(before), 5000);
        std::thread::spawn(|| assert_eq!(vec![0u8; 100_000].len(), 100_000)).join().unwrap();
        drop(bytes);
        assert!(grown_since(before) < 5000);
    }
}
