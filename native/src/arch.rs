//! What differs between processors: which registers perf copies, and how DWARF numbers them.

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    /// perf's names (asm/perf_regs.h), ascending as they lie in a sample, with their DWARF number.
    /// AX BX CX DX SI DI BP SP IP R8-R15
    pub const REGISTERS: [(u8, u8); 17] = [
        (0, 0),
        (1, 3),
        (2, 2),
        (3, 1),
        (4, 4),
        (5, 5),
        (6, 6),
        (7, 7),
        (8, 16),
        (16, 8),
        (17, 9),
        (18, 10),
        (19, 11),
        (20, 12),
        (21, 13),
        (22, 14),
        (23, 15),
    ];
    pub const DWARF_REGISTERS: usize = 17;
    pub const FP: usize = 6;
    pub const SP: usize = 7;
    /// The column of the return address, which holds the program counter of the frame.
    pub const RA: usize = 16;
    pub const PC: usize = 16;
    /// A call pushes its return address, so the caller's stack pointer is the CFA by definition.
    pub const RA_IN_REGISTER: bool = false;
    /// `struct ucontext` lies at the stack pointer of the trampoline; uc_mcontext.gregs follows 40 bytes in, in this order.
    pub const SIGNAL_CONTEXT: [u8; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];
    pub const SIGNAL_CONTEXT_OFFSET: u64 = 40;
    /// `mov $15,%rax; syscall`: rt_sigreturn, for C libraries that give their trampoline no CFI.
    pub const SIGNAL_RETURN: &[u8] = &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

    pub fn strip_pointer(address: u64) -> u64 {
        address
    }

    /// Asks for a cache line that will be read soon. Any address may be asked for.
    pub fn prefetch(address: *const u8) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which faults nowhere; every x86-64 has SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
}
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    /// X0-X30, SP, PC: perf's numbers are DWARF's except for PC, which DWARF has no column for.
    pub const REGISTERS: [(u8, u8); 33] = {
        let mut all = [(0, 0); 33];
        let mut at = 0;
        while at < 33 {
            all[at] = (at as u8, at as u8);
            at += 1;
        }
        all
    };
    pub const DWARF_REGISTERS: usize = 33;
    pub const FP: usize = 29;
    pub const SP: usize = 31;
    pub const RA: usize = 30;
    pub const PC: usize = 32;
    pub const RA_IN_REGISTER: bool = true;
    /// regs[31], sp, pc of `struct sigcontext` behind siginfo (128), ucontext's head (168, aligned to 16) and fault_address.
    pub const SIGNAL_CONTEXT: [u8; 33] = {
        let mut all = [0; 33];
        let mut at = 0;
        while at < 33 {
            all[at] = at as u8;
            at += 1;
        }
        all
    };
    pub const SIGNAL_CONTEXT_OFFSET: u64 = 128 + 176 + 8;
    /// `mov x8, #139; svc #0`: rt_sigreturn.
    pub const SIGNAL_RETURN: &[u8] = &[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4];

    /// Without the bits that pointer authentication puts on top of a return address.
    pub fn strip_pointer(address: u64) -> u64 {
        address & 0x0000_ffff_ffff_ffff
    }

    /// Asks for a cache line that will be read soon. Any address may be asked for.
    pub fn prefetch(address: *const u8) {
        // SAFETY: a hint, which faults nowhere and changes nothing.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly))
        };
    }
}
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

/// attr.sample_regs_user: one bit for each of REGISTERS.
pub const fn register_mask() -> u64 {
    let (mut mask, mut at) = (0, 0);
    while at < REGISTERS.len() {
        mask |= 1 << REGISTERS[at].0;
        at += 1;
    }
    mask
}
