//! Memory of other processes, by the page, as it was when a page was first asked for in this drain.

const PAGE_BYTES: u64 = 4096;
/// Pages held at once; beyond, all are asked for again.
const MOST_PAGES: usize = 256;
/// Pages fetched by one call.
const MOST_TOGETHER: usize = 16;

#[derive(Default)]
pub struct Memory {
    /// The first `used` are of this drain; the rest is room.
    pages: Vec<Page>,
    used: usize,
    /// Pages asked for since `start_stack`.
    touched: Vec<u64>,
}

#[derive(Default)]
struct Page {
    pid: u32,
    number: u64,
    /// 0 for what cannot be read.
    length: usize,
    bytes: Vec<u8>,
}

impl Memory {
    pub fn forget(&mut self) {
        self.used = 0;
    }

    /// Fetches the pages that a stack took the last time, all by one call.
    pub fn start_stack(&mut self, pid: u32, pages: &[u64]) {
        self.touched.clear();
        let missing: Vec<u64> = pages.iter().copied().filter(|&number| self.find(pid, number).is_none()).collect();
        for together in missing.chunks(MOST_TOGETHER) {
            self.fetch(pid, together);
        }
    }

    pub fn touched(&self) -> &[u64] {
        &self.touched
    }

    fn find(&self, pid: u32, number: u64) -> Option<usize> {
        self.pages[..self.used].iter().position(|page| page.number == number && page.pid == pid)
    }

    /// Makes pages of this drain of them; the first ends up at the returned index.
    fn fetch(&mut self, pid: u32, numbers: &[u64]) -> usize {
        if self.used + numbers.len() > MOST_PAGES {
            self.used = 0;
        }
        let first = self.used;
        self.used += numbers.len();
        self.pages.resize_with(self.pages.len().max(self.used), Page::default);
        let (mut local, mut remote) = (Vec::new(), Vec::new());
        for (page, &number) in self.pages[first..self.used].iter_mut().zip(numbers) {
            page.bytes.resize(PAGE_BYTES as usize, 0);
            (page.pid, page.number, page.length) = (pid, number, 0);
            let part = |base| libc::iovec { iov_base: base, iov_len: PAGE_BYTES as usize };
            local.push(part(page.bytes.as_mut_ptr().cast()));
            remote.push(part(number.wrapping_mul(PAGE_BYTES) as *mut libc::c_void));
        }
        let count = numbers.len() as libc::c_ulong;
        // SAFETY: `local` describes buffers of our own, which outlive the call; the kernel checks `remote`.
        let read =
            unsafe { libc::process_vm_readv(pid as libc::pid_t, local.as_ptr(), count, remote.as_ptr(), count, 0) };
        let mut read = usize::try_from(read).unwrap_or(0);
        // It stops at the first page that cannot be read; those behind it are asked for again, if anybody asks.
        for page in &mut self.pages[first..self.used] {
            page.length = read.min(PAGE_BYTES as usize);
            read -= page.length;
        }
        first
    }

    fn page(&mut self, pid: u32, number: u64) -> &[u8] {
        if !self.touched.contains(&number) {
            self.touched.push(number);
        }
        let index = match self.find(pid, number) {
            Some(index) if self.pages[index].length > 0 => index,
            _ => self.fetch(pid, &[number]),
        };
        &self.pages[index].bytes[..self.pages[index].length]
    }

    /// False when not all of it can be read.
    pub fn copy(&mut self, pid: u32, address: u64, buffer: &mut [u8]) -> bool {
        let mut done = 0;
        while done < buffer.len() {
            let Some(at) = address.checked_add(done as u64) else { return false };
            let page = self.page(pid, at / PAGE_BYTES);
            let rest = page.get((at % PAGE_BYTES) as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len() - done);
            if length == 0 {
                return false;
            }
            buffer[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
        }
        true
    }

    pub fn word(&mut self, pid: u32, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.copy(pid, address, &mut word).then(|| u64::from_le_bytes(word))
    }

    pub fn bytes(&mut self, pid: u32, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.copy(pid, address, &mut bytes).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pages_of_this_process_once_a_drain() {
        let (mut memory, pid) = (Memory::default(), std::process::id());
        let mut words = vec![1u64; 4096];
        let at = &raw const words[1000] as u64;
        memory.start_stack(pid, &[at / PAGE_BYTES, 1, 3]);
        assert_eq!(memory.word(pid, at), Some(1));
        assert_eq!(memory.bytes(pid, at, 16_000), Some([1u64.to_le_bytes(); 2000].concat()));
        words[1000] = 2;
        assert_eq!(memory.word(pid, at), Some(1));
        memory.forget();
        memory.start_stack(pid, &[]);
        assert_eq!(memory.word(pid, at), Some(2));
        assert_eq!(memory.word(pid, 4096), None);
        assert_eq!(memory.touched(), [at / PAGE_BYTES, 1]);
    }
}
