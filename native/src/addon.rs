//! What JavaScript sees: conversions only. collector/native.ts holds the same shapes as types.
use crate::addon_windows::NativeWindow;
use crate::cgroups;
use crate::heap;
use crate::perf::open::{Target, Wanted};
use crate::resident;
use crate::sampler::Sampler;
use crate::sampler::engine::Opened;
use crate::sampler::session::SessionOptions;
use napi::{Error, Result};
use napi_derive::napi;

/// The crate's version, so that the loader can tell that it loaded the right file.
#[napi]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_string()
}

/// Gives back to the system what this process can do without for now: V8's compiler and collector leave ten MiB free in malloc's
/// arenas, of their threads, and starting leaves 25 of Node's own file.
#[napi]
pub fn trim_memory() {
    heap::trim();
    resident::release_files();
}

#[napi(object)]
pub struct NativeOptions {
    pub hz: u32,
    pub window_ms: u32,
    pub first_window_ms: u32,
    pub stack_bytes: u32,
    pub include_idle: bool,
    /// Whether this session tells the sampler of processes and their files: the first one must.
    pub side_band: bool,
    pub burst: String,
    pub duration_ms: Option<u32>,
    /// Sampled with all that descend from them; absent for all processes.
    pub pids: Option<Vec<u32>>,
    pub cgroup: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct NativeSession {
    pub id: u32,
    pub clock: String,
    /// As the kernel grants it.
    pub hz: u32,
}

#[napi]
pub struct NativeSampler {
    sampler: Option<Sampler>,
}

fn closed() -> Error {
    Error::from_reason("the sampler is closed")
}

#[napi]
impl NativeSampler {
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        Ok(NativeSampler { sampler: Some(Sampler::start().map_err(|error| Error::from_reason(error.to_string()))?) })
    }

    /// Throws with the advice to show when the kernel refuses.
    #[napi]
    pub fn open_session(&mut self, options: NativeOptions) -> Result<NativeSession> {
        let options = session_options(options)?;
        let sampler = self.sampler.as_mut().ok_or_else(closed)?;
        let Opened { id, clock, hz } = sampler.open_session(options).map_err(Error::from_reason)?;
        Ok(NativeSession { id, clock: clock.to_string(), hz })
    }

    #[napi]
    pub fn close_session(&self, id: u32) -> Result<()> {
        self.sampler.as_ref().ok_or_else(closed)?.close_session(id);
        Ok(())
    }

    #[napi]
    pub fn drain(&self) -> Result<Vec<NativeWindow>> {
        Ok(self.sampler.as_ref().ok_or_else(closed)?.drain().into_iter().map(NativeWindow::of).collect())
    }

    #[napi]
    pub fn is_alive(&self) -> bool {
        self.sampler.as_ref().is_some_and(Sampler::is_alive)
    }

    #[napi]
    pub fn close(&mut self) {
        self.sampler = None;
    }
}

fn session_options(options: NativeOptions) -> Result<SessionOptions> {
    let ns = |ms: u32| u64::from(ms.max(1)) * 1_000_000;
    let target = match (options.pids, options.cgroup) {
        (Some(pids), _) => Target::Processes(pids),
        (None, Some(path)) => cgroups::target(&path).map_err(Error::from_reason)?,
        (None, None) => Target::Node,
    };
    let NativeOptions { hz, stack_bytes, include_idle, side_band, burst, .. } = options;
    Ok(SessionOptions {
        wanted: Wanted { hz: hz.max(1), stack_bytes, include_idle, side_band, target },
        window_ns: ns(options.window_ms),
        first_window_ns: ns(options.first_window_ms),
        burst,
        duration_ns: options.duration_ms.map(ns),
    })
}
