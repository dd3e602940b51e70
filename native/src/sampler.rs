//! The sampler: its threads, its sessions (the continuous profile, bursts), and their windows.
pub mod engine;
pub mod session;
pub mod state;

use crate::start::clock_ns;
use crate::symbols::thread::{Mailbox, Names};
use crate::symbols::window::Window;
use engine::{Command, Engine, Opened};
use session::SessionOptions;
use state::State;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Handle of a running sampler. Dropping it stops everything.
pub struct Sampler {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    mailbox: Arc<Mutex<Mailbox>>,
    thread: Option<JoinHandle<()>>,
    next_session: u32,
}

impl Sampler {
    pub fn start() -> io::Result<Sampler> {
        // SAFETY: the kernel gives a fresh descriptor or -1.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fresh, and ours alone.
        let wake = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        let mailbox = Arc::new(Mutex::new(Mailbox::default()));
        let (commands, received) = channel();
        let names = Names::start(mailbox.clone())?;
        let engine_wake = wake.clone();
        let thread = std::thread::Builder::new().name("jobsight-stacks".into()).spawn(move || {
            let (sessions, state, followed_cpus_ns) = (Vec::new(), State::default(), clock_ns(libc::CLOCK_MONOTONIC));
            let commands = received;
            Engine { commands, wake: engine_wake, names, state, sessions, followed_cpus_ns, own_cpu_ns: 0 }.run();
        })?;
        Ok(Sampler { commands, wake, mailbox, thread: Some(thread), next_session: 0 })
    }

    fn send(&self, command: Command) {
        // The thread ends only by Quit, and the descriptor is ours: neither can fail.
        let _ = self.commands.send(command);
        let one = 1u64;
        // SAFETY: writes eight bytes to an eventfd.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Starts a session, or says why not.
    pub fn open_session(&mut self, options: SessionOptions) -> Result<Opened, String> {
        self.next_session += 1;
        let (id, (reply, answer)) = (self.next_session, channel());
        self.send(Command::Start { id, options, reply });
        answer.recv().map_err(|_| "the sampler's thread has ended".to_string())?
    }

    /// The windows of all sessions that have ended since the last call.
    pub fn drain(&self) -> Vec<Window> {
        self.mailbox.lock().unwrap_or_else(|poison| poison.into_inner()).take()
    }

    /// False when the sampler's thread came to an end that nobody asked for.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends a session; its last window comes a moment later.
    pub fn close_session(&self, session: u32) {
        self.send(Command::Stop { id: session });
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.send(Command::Quit);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
