//! What lies above a stack copy that was cut, read from the process itself.
//!
//! ```text
//!   main                    frames that stand as long as those below them do:
//!   uv_run                  read now, up to a second later
//!   uv__io_poll             <- its 12 KiB of events reach beyond the copy
//!   ---- end of the copy ----
//!   callback … leaf         as they were at the sample
//! ```
//!
//! The process went on meanwhile, so this part is believed only when the first frame of it holds a call of the function
//! below it, and when the walk then reaches a root. It is remembered: for the other samples of this drain, and for those of a
//! process that has ended when they are looked at.
use crate::unwind::frame::Place;
use rustc_hash::FxHashMap;

/// Bytes read at once: frames lie close together.
const CHUNK_BYTES: usize = 4096;
const MOST_READS_A_STACK: u32 = 32;
/// A node full of deep stacks must not make the drain slow; beyond, cut stacks stay cut.
const MOST_READS_A_DRAIN: u32 = 1024;
const MOST_REMEMBERED: usize = 4096;

/// The last frame in the copy: what stands above it is the same as long as this frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Border {
    pub pid: u32,
    pub tid: u32,
    /// Version of the process's maps.
    pub maps: u64,
    pub sp: u64,
    pub pc: u64,
}

struct Above {
    places: Vec<Place>,
    drain: u64,
}

#[derive(Default)]
pub struct Live {
    above: FxHashMap<Border, Above>,
    /// Counts drains; at the last `tidy`.
    drain: u64,
    tidied: u64,
    /// Whether a caller calls a callee: (version of maps, PC of the caller, PC of the callee).
    calls: FxHashMap<(u64, u64, u64), bool>,
    reads_left: u32,
    reads_left_of_stack: u32,
    start: u64,
    chunk: Vec<u8>,
}

impl Live {
    pub fn start_drain(&mut self) {
        self.reads_left = MOST_READS_A_DRAIN;
        self.drain += 1;
    }

    /// Called once a window: what was not found again since the last call is forgotten.
    pub fn tidy(&mut self) {
        self.calls.clear();
        let since = std::mem::replace(&mut self.tidied, self.drain);
        self.above.retain(|_, above| above.drain > since);
    }

    /// What was found above this frame in this drain, or, when `of_old`, within two windows.
    pub fn above(&self, border: &Border, of_old: bool) -> Option<&[Place]> {
        let above = self.above.get(border)?;
        (of_old || above.drain == self.drain).then_some(&above.places)
    }

    pub fn remember_above(&mut self, border: Border, places: &[Place]) {
        if self.above.len() >= MOST_REMEMBERED {
            self.above.clear();
        }
        self.above.insert(border, Above { places: places.to_vec(), drain: self.drain });
    }

    pub fn known_call(&self, maps: u64, caller_pc: u64, callee_pc: u64) -> Option<bool> {
        self.calls.get(&(maps, caller_pc, callee_pc)).copied()
    }

    pub fn remember_call(&mut self, maps: u64, caller_pc: u64, callee_pc: u64, is_call: bool) {
        self.calls.insert((maps, caller_pc, callee_pc), is_call);
    }

    pub fn start_stack(&mut self) {
        self.reads_left_of_stack = MOST_READS_A_STACK;
        self.chunk.clear();
    }

    pub fn word(&mut self, pid: u32, address: u64) -> Option<u64> {
        if let Some(word) = self.held(address) {
            return Some(word);
        }
        self.reads_left = self.reads_left.checked_sub(1)?;
        self.reads_left_of_stack = self.reads_left_of_stack.checked_sub(1)?;
        // Return address and frame pointer lie just below a frame's address: begin a little lower.
        self.start = address.saturating_sub(64);
        self.chunk.resize(CHUNK_BYTES, 0);
        let read = read_memory(pid, self.start, &mut self.chunk);
        self.chunk.truncate(read);
        self.held(address)
    }

    fn held(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.chunk.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }
}

/// Copies memory of another process; returns how much there was.
pub fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: `local` describes the buffer, which outlives the call; the kernel checks `remote`.
    let read = unsafe { libc::process_vm_readv(pid as libc::pid_t, &local, 1, &remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// What the instruction before a return address calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// This address.
    Direct(u64),
    Indirect,
    /// It is no call.
    None,
}

/// `code` is what stands before the return address `pc`.
pub fn call_before(pc: u64, code: &[u8; 8]) -> Call {
    if cfg!(target_arch = "aarch64") {
        let word = u32::from_le_bytes([code[4], code[5], code[6], code[7]]);
        let offset = i64::from((word << 6).cast_signed() >> 4);
        return match word {
            w if w & 0xfc00_0000 == 0x9400_0000 => Call::Direct(pc.wrapping_sub(4).wrapping_add_signed(offset)),
            w if w & 0xffff_fc1f == 0xd63f_0000 => Call::Indirect,
            _ => Call::None,
        };
    }
    if code[3] == 0xe8 {
        let offset = i32::from_le_bytes([code[4], code[5], code[6], code[7]]);
        return Call::Direct(pc.wrapping_add_signed(i64::from(offset)));
    }
    // FF /2: the operand takes 1 to 6 bytes more by its addressing mode; a prefix may stand before.
    let is_call = (2..=7).any(|bytes| code[8 - bytes] == 0xff && operand_bytes(code[9 - bytes]) == Some(bytes - 1));
    if is_call { Call::Indirect } else { Call::None }
}

/// Bytes of a ModR/M operand with /2, itself included.
fn operand_bytes(modrm: u8) -> Option<usize> {
    if modrm >> 3 & 7 != 2 {
        return None;
    }
    let with_sib = modrm & 7 == 4;
    Some(match (modrm >> 6, modrm & 7) {
        (3, _) => 1,
        (0, 5) => 5,
        (0, _) => 1 + usize::from(with_sib),
        (1, _) => 2 + usize::from(with_sib),
        _ => 5 + usize::from(with_sib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn knows_calls() {
        let before = |code: &[u8]| {
            let mut bytes = [0x90; 8];
            bytes[8 - code.len()..].copy_from_slice(code);
            call_before(0x1000, &bytes)
        };
        assert_eq!(before(&[0xe8, 0xfb, 0xff, 0xff, 0xff]), Call::Direct(0xffb));
        assert_eq!(before(&[0xff, 0xd0]), Call::Indirect);
        assert_eq!(before(&[0x41, 0xff, 0x54, 0x24, 0x08]), Call::Indirect);
        assert_eq!(before(&[0xff, 0x15, 0x10, 0x20, 0, 0]), Call::Indirect);
        assert_eq!(before(&[0xff, 0x90, 0x10, 0x20, 0, 0]), Call::Indirect);
        assert_eq!(before(&[0xff, 0xe0]), Call::None);
        assert_eq!(before(&[0x90]), Call::None);
    }

    #[test]
    fn remembers_what_stands_above_each_frame_of_a_thread() {
        let mut live = Live::default();
        let border = |sp| Border { pid: 1, tid: 2, maps: 3, sp, pc: 4 };
        let place = |address| [Place { binary: 5, address }];
        live.start_drain();
        live.remember_above(border(100), &place(6));
        live.remember_above(border(200), &place(7));
        assert_eq!(live.above(&border(100), false), Some(&place(6)[..]));
        assert_eq!(live.above(&border(200), false), Some(&place(7)[..]));
        live.start_drain();
        assert_eq!(live.above(&border(100), false), None, "it may have changed since");
        assert_eq!(live.above(&border(100), true), Some(&place(6)[..]));
        live.tidy();
        live.tidy();
        assert_eq!(live.above(&border(100), true), None);
    }

    #[test]
    fn reads_this_process() {
        let mut live = Live::default();
        live.start_drain();
        live.start_stack();
        let words = vec![7u64; 100];
        let at = |index: usize| &raw const words[index] as u64;
        assert_eq!(live.word(std::process::id(), at(50)), Some(7));
        assert_eq!(live.word(std::process::id(), 8), None);
        live.start_stack();
        live.reads_left = 0;
        assert_eq!(live.word(std::process::id(), at(50)), None);
    }
}
