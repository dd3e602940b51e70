//! `struct perf_event_attr` by hand: the ABI is frozen and this is less than any crate of bindings would bring.
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Kernels that know fewer bytes accept the rest while it is zero, so one struct serves 4.18 and 6.18.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Attr {
    pub kind: u32,
    pub size: u32,
    pub config: u64,
    pub sample_freq: u64,
    pub sample_type: u64,
    pub read_format: u64,
    pub flags: u64,
    pub wakeup_watermark: u32,
    pub bp_type: u32,
    pub config1: u64,
    pub config2: u64,
    pub branch_sample_type: u64,
    pub sample_regs_user: u64,
    pub sample_stack_user: u32,
    pub clockid: i32,
    pub sample_regs_intr: u64,
    pub aux_watermark: u32,
    pub sample_max_stack: u16,
    pub reserved: u16,
}

pub const TYPE_HARDWARE: u32 = 0;
pub const TYPE_SOFTWARE: u32 = 1;
pub const HW_CPU_CYCLES: u64 = 0;
pub const SW_CPU_CLOCK: u64 = 0;

pub const SAMPLE_IP: u64 = 1 << 0;
pub const SAMPLE_TID: u64 = 1 << 1;
pub const SAMPLE_TIME: u64 = 1 << 2;
pub const SAMPLE_CALLCHAIN: u64 = 1 << 5;
pub const SAMPLE_CPU: u64 = 1 << 7;
pub const SAMPLE_PERIOD: u64 = 1 << 8;
pub const SAMPLE_REGS_USER: u64 = 1 << 12;
pub const SAMPLE_STACK_USER: u64 = 1 << 13;
/// Since Linux 5.7, with FLAG_CGROUP.
pub const SAMPLE_CGROUP: u64 = 1 << 21;

pub const FLAG_DISABLED: u64 = 1 << 0;
pub const FLAG_INHERIT: u64 = 1 << 1;
pub const FLAG_EXCLUDE_HV: u64 = 1 << 6;
pub const FLAG_EXCLUDE_KERNEL: u64 = 1 << 5;
pub const FLAG_EXCLUDE_IDLE: u64 = 1 << 7;
pub const FLAG_MMAP: u64 = 1 << 8;
pub const FLAG_COMM: u64 = 1 << 9;
pub const FLAG_FREQ: u64 = 1 << 10;
pub const FLAG_TASK: u64 = 1 << 13;
pub const FLAG_WATERMARK: u64 = 1 << 14;
pub const FLAG_SAMPLE_ID_ALL: u64 = 1 << 18;
/// The walk from user registers replaces the kernel's frame pointer walk (right for 0-9 % of real stacks, 3 us each).
pub const FLAG_EXCLUDE_CALLCHAIN_USER: u64 = 1 << 22;
/// Without attr.build_id: the kernel (seen in 6.18) leaves the mark of a build id in the same record for the next profiler that
/// did not ask for one, and perf(1) dies of it.
pub const FLAG_MMAP2: u64 = 1 << 23;
pub const FLAG_COMM_EXEC: u64 = 1 << 24;
pub const FLAG_USE_CLOCKID: u64 = 1 << 25;
pub const FLAG_CGROUP: u64 = 1 << 32;

pub const OPEN_CLOEXEC: u64 = 1 << 3;
pub const OPEN_PID_CGROUP: u64 = 1 << 2;

/// Opens an event. `pid` is a cgroup directory's descriptor when OPEN_PID_CGROUP is among the flags.
pub fn perf_event_open(attr: &Attr, pid: i32, cpu: i32, flags: u64) -> io::Result<OwnedFd> {
    perf_event_open_in(attr, pid, cpu, -1, flags)
}

/// The same as a member of the group that `leader` leads; -1 for one that leads its own.
pub fn perf_event_open_in(attr: &Attr, pid: i32, cpu: i32, leader: i32, flags: u64) -> io::Result<OwnedFd> {
    let attr = Attr { size: size_of::<Attr>() as u32, ..*attr };
    // SAFETY: attr outlives the call; the kernel copies it.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &attr, pid, cpu, leader, flags | OPEN_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
