//! Reads the requests of connections whose first request Node has let in, and writes the answers, for a fraction of what node:http
//! takes. What a request means is not known here.
//!
//! ```text
//!   Node: first request, 200 ── add(fd, heads) ──▶ epoll ── read() ──▶ whole requests, many at once ──▶ Node: take
//!                                                    │  ▲                                                  │
//!   Node: parser, Fastify ◀── given back, with what ─┘  └────────────────── answer(ids, bytes) ◀───────────┘
//!                             was read of it                 the next request of a connection is read after its answer
//! ```
//!
//! All happens in Node's thread, which watches the file descriptor of the epoll: nothing is locked, and a connection is in one
//! hand at each moment. What is not exactly such a request goes back to Node with every byte that was read.
mod connection;
pub mod head;

use connection::{Connection, Filled, State};
use head::{Found, Head};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// More wait for the next turn, so that others get theirs.
const BATCH_BYTES: usize = 1 << 20;
const EVENTS: usize = 128;
/// Nothing tells of the end again: it is read until there.
const ENDING: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// `id`s are numbers of connections; positions are in `bytes`.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// 9 words each: id, which head, from, body, to, batch from, to, sent from, to.
    pub requests: Vec<u32>,
    /// 4 words each: id, file descriptor (whose owner is the caller now), from, to.
    pub given: Vec<u32>,
}

pub struct Receiver {
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Those to look at without an event.
    again: Vec<u32>,
    most_body_bytes: u64,
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl Receiver {
    pub fn open(most_body_bytes: u64) -> io::Result<Receiver> {
        // SAFETY: the descriptor is new and ours.
        let epoll = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Receiver { epoll, connections: Vec::new(), free: Vec::new(), again: Vec::new(), most_body_bytes })
    }

    /// Readable while there is something to read().
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Takes a duplicate of `fd`: whoever closes that one does not end the connection.
    pub fn add(&mut self, fd: RawFd, heads: Vec<Head>) -> io::Result<u32> {
        // SAFETY: as above.
        let own = unsafe { OwnedFd::from_raw_fd(checked(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))?) };
        let id = self.free.pop().unwrap_or(self.connections.len() as u32);
        if self.connections.len() == id as usize {
            self.connections.push(None);
        }
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: u64::from(id) };
        // SAFETY: both are open, and the event is read before it returns.
        let added = checked(unsafe { libc::epoll_ctl(self.fd(), libc::EPOLL_CTL_ADD, own.as_raw_fd(), &mut event) });
        if let Err(error) = added {
            self.free.push(id);
            return Err(error);
        }
        self.connections[id as usize] = Some(Connection::new(own, heads));
        Ok(id)
    }

    /// What has come, up to about BATCH_BYTES of it.
    pub fn read(&mut self) -> Batch {
        let (mut batch, now) = (Batch::default(), Instant::now());
        for id in std::mem::take(&mut self.again) {
            self.look_or_wait(id, 0, &mut batch, now);
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        while batch.bytes.len() < BATCH_BYTES {
            // SAFETY: the array is as long as told.
            let count = unsafe { libc::epoll_wait(self.fd(), events.as_mut_ptr(), EVENTS as i32, 0) };
            let count = usize::try_from(count).unwrap_or(0);
            for event in &events[..count] {
                self.look_or_wait(event.u64 as u32, event.events, &mut batch, now);
            }
            if count < EVENTS {
                break;
            }
        }
        batch
    }

    fn look_or_wait(&mut self, id: u32, events: u32, batch: &mut Batch, now: Instant) {
        if batch.bytes.len() < BATCH_BYTES {
            return self.look(id, events, batch, now);
        }
        if let Some(connection) = self.connections.get_mut(id as usize).and_then(Option::as_mut) {
            connection.more = true;
            self.again.push(id);
        }
    }

    fn look(&mut self, id: u32, events: u32, batch: &mut Batch, now: Instant) {
        let Some(connection) = self.connections.get_mut(id as usize).and_then(Option::as_mut) else { return };
        if !connection.flush() {
            return self.end(id);
        }
        // What it still has to take comes first.
        if connection.state == State::Answering || connection.owes() {
            connection.more = true;
            return;
        }
        let ending = events & ENDING != 0 || std::mem::take(&mut connection.more);
        let from = batch.bytes.len();
        match connection.fill(&mut batch.bytes, ending, self.most_body_bytes, now) {
            Filled::Nothing => {}
            Filled::Ended => self.end(id),
            Filled::Other => self.give(id, from, batch),
            Filled::Part if connection.more => self.again.push(id),
            Filled::Part => {}
            Filled::Request(head, found) => {
                connection.state = State::Answering;
                let at = |position: usize| (from + position) as u32;
                let Found { body, batch: key, sent, .. } = found;
                batch.requests.extend([id, head as u32, from as u32, at(body), batch.bytes.len() as u32]);
                batch.requests.extend([at(key.start), at(key.end), at(sent.start), at(sent.end)]);
            }
        }
    }

    /// What was read of it lies in the batch from `from` on.
    fn give(&mut self, id: u32, from: usize, batch: &mut Batch) {
        if let Some(fd) = self.release(id) {
            batch.given.extend([id, fd as u32, from as u32, batch.bytes.len() as u32]);
        }
    }

    /// It is the caller's from then on; what was read of it is lost.
    pub fn release(&mut self, id: u32) -> Option<RawFd> {
        let connection = self.connections.get_mut(id as usize)?.take()?;
        self.free.push(id);
        let fd = connection.into_fd();
        // SAFETY: both are open. It would stay in the epoll while any descriptor of the connection is open.
        unsafe { libc::epoll_ctl(self.fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), std::ptr::null_mut()) };
        Some(fd.into_raw_fd())
    }

    fn end(&mut self, id: u32) {
        let Some(slot) = self.connections.get_mut(id as usize) else { return };
        match slot {
            // Its number is not another's before it is answered.
            Some(connection) if connection.state == State::Answering => connection.gone = true,
            Some(_) => {
                *slot = None;
                self.free.push(id);
            }
            None => {}
        }
    }

    /// The same answer to each; `last`: the connections end after it.
    pub fn answer(&mut self, ids: &[u32], bytes: &[u8], last: bool) {
        let now = Instant::now();
        for &id in ids {
            let Some(connection) = self.connections.get_mut(id as usize).and_then(Option::as_mut) else { continue };
            if connection.state != State::Answering {
                continue;
            }
            connection.state = State::Reading;
            connection.since = now;
            connection.last = last;
            if connection.gone || !connection.write(bytes) {
                self.end(id);
            } else if connection.more {
                self.again.push(id);
            }
        }
    }

    /// read() has more, without an event.
    pub fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// Of those that wait for that long: ends who says nothing, and gives back whose request is not whole.
    pub fn sweep(&mut self, waited: Duration) -> Batch {
        let (mut batch, now) = (Batch::default(), Instant::now());
        for id in 0..self.connections.len() as u32 {
            let Some(connection) = self.connections[id as usize].as_mut() else { continue };
            if connection.state == State::Answering || now.duration_since(connection.since) < waited {
                continue;
            }
            if connection.has_part() {
                let from = batch.bytes.len();
                connection.take_part(&mut batch.bytes);
                self.give(id, from, &mut batch);
            } else {
                self.end(id);
            }
        }
        batch
    }
}
