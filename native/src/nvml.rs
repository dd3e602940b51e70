//! NVIDIA's GPUs by NVML, the library of the driver, loaded while we run. https://docs.nvidia.com/deploy/nvml-api/
//!
//! ```text
//!   libnvidia-ml.so.1 -> thread, a look each so many ms -> moments -> drain()
//! ```
//!
//! A driver that hangs hangs the thread, not its caller. One that is gone (unloaded, updated) is initialised anew, ever less often;
//! so is one with a GPU that fell off the bus, since only that lets it come back.
#[cfg(feature = "addon")]
mod addon;
pub mod device;
pub mod gpm;
pub mod processes;
mod values;

use device::{Gpu, Keeper};
use nvml_wrapper_sys::bindings::{NvmlLib, nvmlReturn_t};
use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a call answers where the library does not have it: NVML_ERROR_FUNCTION_NOT_FOUND.
pub const FUNCTION_NOT_FOUND: nvmlReturn_t = 13;
pub const NOT_SUPPORTED: nvmlReturn_t = 3;
const UNINITIALIZED: nvmlReturn_t = 1;
const DRIVER_NOT_LOADED: nvmlReturn_t = 9;
const GPU_IS_LOST: nvmlReturn_t = 15;
const RESET_REQUIRED: nvmlReturn_t = 16;
const LIB_RM_VERSION_MISMATCH: nvmlReturn_t = 18;

const MOST_MOMENTS: usize = 64;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// All GPUs at one look, or why there is none.
pub struct Moment {
    /// Since the thread began.
    pub at_ms: f64,
    pub error: nvmlReturn_t,
    pub gpus: Vec<Gpu>,
}

/// A call of the library: `$lib.$name(args)`, or the answer of a library that lacks it.
macro_rules! call {
    ($lib:expr, $name:ident $(, $arg:expr)*) => {
        match &$lib.$name {
            // SAFETY: the arguments are of the types of nvml.h, and live as long as the call.
            Ok(function) => unsafe { function($($arg),*) },
            Err(_) => $crate::nvml::FUNCTION_NOT_FOUND,
        }
    };
}
pub(crate) use call;

/// Handle of the thread that looks. Dropping it asks the thread to end; one that hangs in the driver is left behind.
pub struct Monitor {
    _quit: Sender<()>,
    moments: Arc<Mutex<VecDeque<Moment>>>,
}

impl Monitor {
    /// Loads the library, or says why it cannot.
    pub fn start(library: &str, every: Duration) -> Result<Monitor, String> {
        // SAFETY: runs the library's initialisers; it is the driver's.
        let lib = unsafe { NvmlLib::new(library) }.map_err(|error| error.to_string())?;
        let (quit, asked) = channel::<()>();
        let moments = Arc::new(Mutex::new(VecDeque::new()));
        let told = moments.clone();
        let follow = move || {
            let (begin, mut session) = (Instant::now(), Session::closed());
            loop {
                let (error, gpus) = session.look(&lib);
                let moment = Moment { at_ms: begin.elapsed().as_secs_f64() * 1e3, error, gpus };
                let mut told = told.lock().unwrap_or_else(|poison| poison.into_inner());
                told.push_back(moment);
                while told.len() > MOST_MOMENTS {
                    told.pop_front();
                }
                drop(told);
                if asked.recv_timeout(session.wait(every)) != Err(RecvTimeoutError::Timeout) {
                    return session.close(&lib);
                }
            }
        };
        std::thread::Builder::new().name("jobsight-nvml".into()).spawn(follow).map_err(|error| error.to_string())?;
        Ok(Monitor { _quit: quit, moments })
    }

    /// What was seen since the last call, oldest first.
    pub fn drain(&self) -> Vec<Moment> {
        self.moments.lock().unwrap_or_else(|poison| poison.into_inner()).drain(..).collect()
    }
}

/// From nvmlInit to nvmlShutdown.
struct Session {
    keeper: Option<Keeper>,
    /// Until the next attempt, while something is wrong.
    wait: Duration,
    renew_at: Option<Instant>,
}

impl Session {
    fn closed() -> Session {
        Session { keeper: None, wait: FIRST_WAIT, renew_at: None }
    }

    fn wait(&self, every: Duration) -> Duration {
        if self.keeper.is_none() { self.wait } else { every }
    }

    fn look(&mut self, lib: &NvmlLib) -> (nvmlReturn_t, Vec<Gpu>) {
        if self.renew_at.is_some_and(|at| Instant::now() >= at) {
            self.close(lib);
        }
        if self.keeper.is_none() {
            let error = call!(lib, nvmlInit_v2);
            if error != 0 {
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                return (error, Vec::new());
            }
            self.keeper = Some(Keeper::open(lib));
        }
        let Some(keeper) = &mut self.keeper else { return (UNINITIALIZED, Vec::new()) };
        let (error, gpus) = keeper.look(lib);
        if matches!(error, UNINITIALIZED | DRIVER_NOT_LOADED | LIB_RM_VERSION_MISMATCH) {
            self.close(lib);
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        } else if gpus.iter().any(|gpu| matches!(gpu.error, GPU_IS_LOST | RESET_REQUIRED)) {
            if self.renew_at.is_none() {
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                self.renew_at = Some(Instant::now() + self.wait);
            }
        } else {
            self.wait = FIRST_WAIT;
        }
        (error, gpus)
    }

    fn close(&mut self, lib: &NvmlLib) {
        self.renew_at = None;
        if let Some(keeper) = self.keeper.take() {
            keeper.close(lib);
            call!(lib, nvmlShutdown);
        }
    }
}
