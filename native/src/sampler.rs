//! The sampler: its threads, its sessions (the continuous profile, bursts), and their windows.
pub mod engine;
pub mod session;
pub mod state;

use crate::heap;
use crate::start::clock_ns;
use crate::symbols::thread::{Mailbox, Names};
use crate::symbols::window::Window;
use engine::{Command, Engine, Opened};
use session::SessionOptions;
use state::State;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Handle of a running sampler. Dropping it stops everything.
pub struct Sampler {
    commands: Sender<Command>,
    mailbox: Arc<Mutex<Mailbox>>,
    thread: Option<JoinHandle<()>>,
    next_session: u32,
}

impl Sampler {
    pub fn start() -> io::Result<Sampler> {
        let mailbox = Arc::new(Mutex::new(Mailbox::default()));
        let (commands, received) = channel();
        heap::set_up();
        let names = Names::start(mailbox.clone())?;
        let thread = std::thread::Builder::new().name("jobsight-stacks".into()).spawn(move || {
            let (sessions, came, state) = (Vec::new(), Vec::new(), State::default());
            let followed_cpus_ns = clock_ns(libc::CLOCK_MONOTONIC);
            Engine { commands: received, names, state, sessions, followed_cpus_ns, own_cpu_ns: 0, came }.run();
        })?;
        Ok(Sampler { commands, mailbox, thread: Some(thread), next_session: 0 })
    }

    fn send(&self, command: Command) {
        // The thread ends only by Quit, or with nobody to hear.
        let _ = self.commands.send(command);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
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
