//! One connection: what came of its request, what goes out of its answer.
use super::head::{Found, Head, Match};
use std::cmp::Ordering;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

/// Room for a whole request of a node and tick.
const READ_BYTES: usize = 64 << 10;
/// Of one connection; then it is the others' turn.
const READS_AT_ONCE: usize = 16;

#[derive(Clone, Copy, PartialEq)]
pub enum State {
    Reading,
    /// Its request is with Node.
    Answering,
}

pub enum Filled {
    /// No byte has come.
    Nothing,
    /// A part of a request.
    Part,
    Request(usize, Found),
    /// Nothing that is read here.
    Other,
    /// It is at its end, between two requests, or broken.
    Ended,
}

pub struct Connection {
    fd: OwnedFd,
    heads: Vec<Head>,
    /// Of a request that is not whole.
    part: Vec<u8>,
    /// Of an answer that the other side does not take yet.
    out: Vec<u8>,
    pub state: State,
    /// The epoll told something that was not looked at.
    pub more: bool,
    pub gone: bool,
    /// It ends when `out` has gone.
    pub last: bool,
    /// Since when it waits for a request, or for the rest of one.
    pub since: Instant,
}

impl Connection {
    pub fn new(fd: OwnedFd, heads: Vec<Head>) -> Connection {
        let (part, out, state) = (Vec::new(), Vec::new(), State::Reading);
        Connection { fd, heads, part, out, state, more: false, gone: false, last: false, since: Instant::now() }
    }

    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub fn owes(&self) -> bool {
        !self.out.is_empty()
    }

    pub fn has_part(&self) -> bool {
        !self.part.is_empty()
    }

    pub fn take_part(&mut self, into: &mut Vec<u8>) {
        into.append(&mut std::mem::take(&mut self.part));
    }

    /// A request that is whole lies at the end of `into` then, and what is none too. `ending`: nobody will tell of more.
    pub fn fill(&mut self, into: &mut Vec<u8>, ending: bool, most_body_bytes: u64, now: Instant) -> Filled {
        let from = into.len();
        let begun = self.has_part();
        let end = receive(&self.fd, if begun { &mut self.part } else { into }, ending);
        let bytes = if begun { &self.part[..] } else { &into[from..] };
        let filled = match (judge(&self.heads, bytes, most_body_bytes), end) {
            (_, End::Broken) => Filled::Ended,
            (Filled::Nothing, End::Closed) => Filled::Ended,
            // Node says what it says of a request that was cut.
            (Filled::Part, End::Closed) => Filled::Other,
            (filled, end) => {
                self.more = end != End::Drained;
                filled
            }
        };
        match filled {
            Filled::Part if !begun => {
                self.part = into.split_off(from);
                self.since = now;
            }
            Filled::Request(..) | Filled::Other if begun => self.take_part(into),
            Filled::Ended => into.truncate(from),
            _ => {}
        }
        filled
    }

    /// False: it is to be ended.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.out.extend_from_slice(bytes);
        self.send()
    }

    /// What could not be sent before. False: it is to be ended.
    pub fn flush(&mut self) -> bool {
        !self.owes() || self.send()
    }

    fn send(&mut self) -> bool {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the bytes are as many as told.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), self.out.as_ptr().cast(), self.out.len(), flags) };
        match usize::try_from(sent) {
            Ok(sent) => drop(self.out.drain(..sent)),
            Err(_) => return is_for_now(),
        }
        !self.last || self.owes()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Drained,
    /// It may have more.
    Full,
    Closed,
    Broken,
}

fn is_for_now() -> bool {
    matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
}

/// Less than was asked for means that there is no more, unless the end is near.
fn receive(fd: &OwnedFd, into: &mut Vec<u8>, ending: bool) -> End {
    for _ in 0..READS_AT_ONCE {
        into.reserve(READ_BYTES);
        let room = into.spare_capacity_mut();
        // SAFETY: the room is as long as told, and the kernel has written what it tells.
        let read = unsafe { libc::recv(fd.as_raw_fd(), room.as_mut_ptr().cast(), READ_BYTES, libc::MSG_DONTWAIT) };
        match usize::try_from(read) {
            Ok(0) => return End::Closed,
            Ok(read) => {
                // SAFETY: as above.
                unsafe { into.set_len(into.len() + read) };
                if read < READ_BYTES && !ending {
                    return End::Drained;
                }
            }
            Err(_) => return if is_for_now() { End::Drained } else { End::Broken },
        }
    }
    End::Full
}

/// Which of the heads it is, and whether it is all there.
fn judge(heads: &[Head], bytes: &[u8], most_body_bytes: u64) -> Filled {
    if bytes.is_empty() {
        return Filled::Nothing;
    }
    let mut judged = Filled::Other;
    for (number, head) in heads.iter().enumerate() {
        match head.find(bytes) {
            Match::Not => {}
            Match::May => judged = Filled::Part,
            Match::Is(found) => {
                let come = (bytes.len() - found.body) as u64;
                return match come.cmp(&found.body_bytes) {
                    _ if found.body_bytes > most_body_bytes => Filled::Other,
                    Ordering::Less => Filled::Part,
                    Ordering::Equal => Filled::Request(number, found),
                    // The next one came with it.
                    Ordering::Greater => Filled::Other,
                };
            }
        }
    }
    judged
}
