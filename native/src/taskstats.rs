//! Exit records of the kernel: what each process that ended has used, also those that lived less than a tick.
//! https://docs.kernel.org/accounting/taskstats.html
//!
//! ```text
//!   exit(2) -> genetlink TASKSTATS -> socket buffer -> thread, each 400 ms -> Heap -> drain()
//! ```
//!
//! The records tell who ended, and about what each used: `cpu_ns` stops at the scheduler's last look and lacks the taking down
//! of the address space, a tenth and more of a life of 1 ms. How much it was all in all the parent's cutime says exactly.
//!
//! A record comes for each thread. Those of threads whose process lives on are passed over: /proc/PID/stat counts them. With
//! the last thread of several comes the sum of all of them (AGGR_TGID), which is then the process's CPU time.
#[cfg(feature = "addon")]
mod addon;
pub mod heap;
pub mod netlink;
pub mod record;

use heap::{Exits, Heap};
use netlink::{Socket, said};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// While processes end, the thread looks this often: a look costs more than a record. 64 MiB, which only a storm fills, hold some
/// 28,000 records, so 70,000 exits a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);

struct Shared {
    socket: Socket,
    heap: Mutex<Heap>,
}

impl Shared {
    /// Takes what the kernel has for us. Whoever holds the lock reads: no record is between the socket and the heap then.
    fn take(&self) -> MutexGuard<'_, Heap> {
        let mut heap = self.heap.lock().unwrap_or_else(|poison| poison.into_inner());
        loop {
            match self.socket.receive(|message| heap.add(message)) {
                Ok(0) => return heap,
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heap.overruns += 1,
                Err(_) => return heap,
            }
        }
    }
}

/// Registered with the kernel until it is dropped.
pub struct Listener {
    shared: Arc<Shared>,
    /// Apart from exits, so that an answer is the answer.
    questions: Socket,
    quit: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Or why there are no records here, and what to do.
    pub fn start() -> Result<Listener, String> {
        let (socket, questions) = (Socket::open()?, Socket::open()?);
        questions.probe()?;
        socket.register()?;
        // SAFETY: the kernel gives a fresh descriptor or -1.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(said("eventfd", &io::Error::last_os_error()));
        }
        // SAFETY: fresh, and ours alone.
        let quit = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        let shared = Arc::new(Shared { socket, heap: Mutex::new(Heap::default()) });
        let (theirs, ended) = (shared.clone(), quit.clone());
        let thread = std::thread::Builder::new()
            .name("jobsight-exits".into())
            .spawn(move || follow(&theirs, &ended))
            .map_err(|error| said("a thread", &error))?;
        Ok(Listener { shared, questions, quit, thread: Some(thread) })
    }

    /// The processes that have ended since the last call, up to this moment.
    pub fn drain(&self) -> Exits {
        self.shared.take().drain()
    }

    /// Nanoseconds waited for a CPU and for a disk, by all threads of each process that lives.
    pub fn delays(&self, pids: &[u32]) -> Vec<Option<(u64, u64)>> {
        self.questions.delays(pids)
    }
}

/// Sleeps until a process ends somewhere, and again for a while after each look: an exit a look would cost more than its record.
fn follow(shared: &Shared, quit: &OwnedFd) {
    loop {
        let wait = |events| libc::pollfd { fd: events, events: libc::POLLIN, revents: 0 };
        let mut waits = [wait(quit.as_raw_fd()), wait(shared.socket.fd())];
        // SAFETY: two descriptors that live as long as this call.
        unsafe { libc::poll(waits.as_mut_ptr(), 2, -1) };
        // SAFETY: the first of them.
        let asked = unsafe { libc::poll(waits.as_mut_ptr(), 1, LOOK_EVERY.as_millis() as i32) };
        if asked > 0 {
            return;
        }
        drop(shared.take());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let one = 1u64;
        // SAFETY: writes eight bytes to an eventfd.
        unsafe { libc::write(self.quit.as_raw_fd(), (&raw const one).cast(), 8) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
