//! The generic netlink socket that taskstats speaks on. https://docs.kernel.org/userspace-api/netlink/intro.html
//!
//! ```text
//!   nlmsghdr  { u32 len, u16 type, u16 flags, u32 seq, u32 pid }
//!   genlmsghdr{ u8 cmd, u8 version, u16 reserved }
//!   nlattr    { u16 len, u16 type } payload, padded to 4
//! ```
use super::record::{Record, delays_of_answer, layout_known};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub const HEADER_BYTES: usize = 20;
/// Of nlmsg_seq, which an answer has from its question.
const NUMBER_AT: usize = 8;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_PID: u16 = 1;
const TASKSTATS_CMD_ATTR_TGID: u16 = 2;
const TASKSTATS_CMD_ATTR_REGISTER_CPUMASK: u16 = 3;
/// Of an exit record with thread group: some 1.2 KiB.
const MESSAGE_BYTES: usize = 4096;
const BATCH: usize = 32;
static BUFFER_BYTES: i32 = 64 << 20;
const ANSWER_WITHIN_MS: i32 = 2000;

pub struct Socket {
    fd: OwnedFd,
    family: u16,
}

/// What failed and why, for people.
pub fn said(what: &str, error: &io::Error) -> String {
    format!("{what}: {error}")
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The attributes of a message's payload, or nested ones.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(number(rest, 0)?));
        let kind = u16::from_ne_bytes(number(rest, 2)?) & 0x3fff;
        let payload = rest.get(4..length)?;
        rest = rest.get((length + 3) & !3..).unwrap_or_default();
        Some((kind, payload))
    })
}

fn request(family: u16, flags: u16, command: u8, attribute: u16, payload: &[u8]) -> Vec<u8> {
    let padded = (payload.len() + 3) & !3;
    let mut message = Vec::with_capacity(HEADER_BYTES + 4 + padded);
    message.extend(((HEADER_BYTES + 4 + padded) as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend(((4 + payload.len()) as u16).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(payload);
    message.resize(HEADER_BYTES + 4 + padded, 0);
    message
}

impl Socket {
    pub fn open() -> Result<Socket, String> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the kernel gives a fresh descriptor or -1.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_GENERIC) };
        if fd < 0 {
            return Err(said("a netlink socket", &io::Error::last_os_error()));
        }
        // SAFETY: fresh, and ours alone.
        let mut socket = Socket { fd: unsafe { OwnedFd::from_raw_fd(fd) }, family: 0 };
        for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
            // SAFETY: an int of the size that is told. The second needs CAP_NET_ADMIN, and registering does too.
            unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const BUFFER_BYTES).cast(), 4) };
        }
        let asked = request(GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0");
        let answer = socket.ask(&asked).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) => {
                "no taskstats here: the kernel lacks CONFIG_TASKSTATS, or this is a container with a \
                                   network of its own (run the collector in the host's: hostNetwork)"
                    .to_string()
            }
            _ => said("asking for taskstats", &error),
        })?;
        let payload = answer.get(HEADER_BYTES..).unwrap_or_default();
        let family = attributes(payload).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
        socket.family = family
            .and_then(|(_, id)| number(id, 0))
            .map(u16::from_ne_bytes)
            .ok_or("the kernel's answer about taskstats has no family id")?;
        Ok(socket)
    }

    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Asks the kernel for the record of this process: it must name this process where we look for it.
    pub fn probe(&self) -> Result<(), String> {
        let pid = std::process::id();
        let asked = request(self.family, 0, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_PID, &pid.to_ne_bytes());
        let answer = self.ask(&asked).map_err(|error| refused(&error))?;
        match Record::of_message(&answer) {
            Some(record) if record.pid == pid && layout_known(record.version) => Ok(()),
            Some(record) if record.pid != pid => Err(format!(
                "the kernel's taskstats (version {}) are laid out in a way that is not known",
                record.version
            )),
            Some(record) => Err(format!(
                "taskstats of this kernel (version {}) do not tell threads from processes: Linux 5.18 or newer does",
                record.version
            )),
            None => Err("the kernel's answer holds no taskstats".to_string()),
        }
    }

    /// Nanoseconds that all threads of each process have waited for a CPU and for a disk; none where it is gone.
    pub fn delays(&self, pids: &[u32]) -> Vec<Option<(u64, u64)>> {
        pids.chunks(BATCH).flat_map(|pids| self.ask_delays(pids)).collect()
    }

    /// Many questions in one message, all of which the kernel has answered when send(2) returns, each under its number.
    fn ask_delays(&self, pids: &[u32]) -> Vec<Option<(u64, u64)>> {
        let mut delays = vec![None; pids.len()];
        let mut asked = Vec::new();
        for (pid, place) in pids.iter().zip(0u32..) {
            let mut one = request(self.family, 0, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, &pid.to_ne_bytes());
            one[NUMBER_AT..NUMBER_AT + 4].copy_from_slice(&place.to_ne_bytes());
            asked.extend(one);
        }
        if self.send(&asked).is_err() {
            return delays;
        }
        let take = |delays: &mut [Option<(u64, u64)>], answer: &[u8]| {
            let place = number(answer, NUMBER_AT).map_or(usize::MAX, |place| u32::from_ne_bytes(place) as usize);
            if let Some(delay) = delays.get_mut(place) {
                *delay = delays_of_answer(answer);
            }
        };
        let mut answers = 0;
        while answers < pids.len() {
            match self.receive(|answer| take(&mut delays, answer)) {
                Ok(0) | Err(_) => break,
                Ok(count) => answers += count,
            }
        }
        delays
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        // SAFETY: the bytes are ours for the length that is told.
        let sent = unsafe { libc::send(self.fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// From now on this socket is told of each task that ends, on any CPU.
    pub fn register(&self) -> Result<(), String> {
        let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible")
            .map_err(|error| said("/sys/devices/system/cpu/possible", &error))?;
        let mask = format!("{}\0", possible.trim());
        let attribute = TASKSTATS_CMD_ATTR_REGISTER_CPUMASK;
        let flags = libc::NLM_F_ACK as u16;
        let asked = request(self.family, flags, TASKSTATS_CMD_GET, attribute, mask.as_bytes());
        self.ask(&asked).map(|_| ()).map_err(|error| refused(&error))
    }

    /// One question, one answer. An error message of the kernel is an error, but for its number 0.
    fn ask(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.send(message)?;
        let mut wait = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor.
        unsafe { libc::poll(&raw mut wait, 1, ANSWER_WITHIN_MS) };
        let mut answer = vec![0u8; MESSAGE_BYTES];
        // SAFETY: as many bytes as there is room for.
        let got = unsafe { libc::recv(self.fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        answer.truncate(got as usize);
        if number(&answer, 4).map(u16::from_ne_bytes) == Some(libc::NLMSG_ERROR as u16) {
            let code = number(&answer, 16).map_or(0, i32::from_ne_bytes);
            if code != 0 {
                return Err(io::Error::from_raw_os_error(-code));
            }
        }
        Ok(answer)
    }

    /// Hands out what waits, at most a batch, and says how many messages that were. 0: nothing waits.
    pub fn receive(&self, mut message: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut bytes = [[0u8; MESSAGE_BYTES]; BATCH];
        let mut parts =
            bytes.each_mut().map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() });
        // SAFETY: all zero is an empty message header.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (header, part) in headers.iter_mut().zip(&mut parts) {
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each header has one part of its own.
        let got = unsafe {
            libc::recvmmsg(self.fd(), headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        if got < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        }
        for (header, part) in headers.iter().zip(&bytes).take(got as usize) {
            message(part.get(..header.msg_len as usize).unwrap_or(part));
        }
        Ok(got as usize)
    }
}

fn refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "the kernel refuses taskstats: run the collector as root or give it CAP_NET_ADMIN".to_string()
        }
        Some(libc::EINVAL) => {
            "the kernel gives taskstats only to the machine itself: run the collector outside of containers, \
                               or in the host's process and user namespace (hostPID)"
                .to_string()
        }
        _ => said("taskstats", error),
    }
}
