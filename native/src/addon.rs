//! What JavaScript sees: conversions only. collector/native.ts holds the same shapes as types.
use crate::cgroups;
use crate::perf::open::{Target, Wanted};
use crate::sampler::Sampler;
use crate::sampler::engine::Opened;
use crate::sampler::session::SessionOptions;
use crate::symbols::window::{Window, WindowProcess};
use napi::bindgen_prelude::{Float64Array, Uint8Array, Uint32Array};
use napi::{Error, Result};
use napi_derive::napi;

/// The crate's version, so that the loader can tell that it loaded the right file.
#[napi]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_string()
}

/// Gives back to the system what malloc keeps free in its arenas: V8's compiler and collector leave ten MiB there, of their threads.
#[napi]
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
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

#[napi(object, object_from_js = false)]
pub struct NativeProcess {
    pub pid: u32,
    pub start_ms: f64,
    pub name: String,
    pub cgroup: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeFrames {
    pub function: Uint32Array,
    pub module: Uint32Array,
    pub file: Uint32Array,
    pub line: Uint32Array,
    pub kind: Uint8Array,
}

#[napi(object, object_from_js = false)]
pub struct NativeStacks {
    pub offsets: Uint32Array,
    pub frames: Uint32Array,
}

#[napi(object, object_from_js = false)]
pub struct NativeSamples {
    pub process: Uint32Array,
    pub thread: Uint32Array,
    pub stack: Uint32Array,
    pub period_ns: Float64Array,
    pub count: Uint32Array,
}

#[napi(object, object_from_js = false)]
pub struct NativeCounters {
    pub lost: f64,
    pub throttled: f64,
    pub samples: f64,
    pub truncated: f64,
    pub extended: f64,
    pub unfinished: f64,
    pub frames: f64,
    pub named_frames: f64,
    pub own_cpu_ns: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeWindow {
    pub start_ms: f64,
    pub end_ms: f64,
    pub event: String,
    pub burst: String,
    pub hz: u32,
    pub strings: Vec<String>,
    pub processes: Vec<NativeProcess>,
    pub frames: NativeFrames,
    pub stacks: NativeStacks,
    pub samples: NativeSamples,
    pub counters: NativeCounters,
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
        Ok(self.sampler.as_ref().ok_or_else(closed)?.drain().into_iter().map(native_window).collect())
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

fn native_process(process: WindowProcess) -> NativeProcess {
    let WindowProcess { pid, start_ms, name, cgroup } = process;
    NativeProcess { pid, start_ms, name, cgroup }
}

fn native_window(window: Window) -> NativeWindow {
    let c = window.counters;
    NativeWindow {
        start_ms: window.start_ms,
        end_ms: window.end_ms,
        event: "cpu".to_string(),
        burst: window.burst,
        hz: window.hz,
        strings: window.strings,
        processes: window.processes.into_iter().map(native_process).collect(),
        frames: NativeFrames {
            function: window.frame_function.into(),
            module: window.frame_module.into(),
            file: window.frame_file.into(),
            line: window.frame_line.into(),
            kind: window.frame_kind.into(),
        },
        stacks: NativeStacks { offsets: window.stack_offsets.into(), frames: window.stack_frames.into() },
        samples: NativeSamples {
            process: window.sample_process.into(),
            thread: window.sample_thread.into(),
            stack: window.sample_stack.into(),
            period_ns: window.sample_period_ns.into(),
            count: window.sample_count.into(),
        },
        counters: NativeCounters {
            lost: c.lost as f64,
            throttled: c.throttled as f64,
            samples: c.samples as f64,
            truncated: c.truncated as f64,
            extended: c.extended as f64,
            unfinished: c.unfinished as f64,
            frames: c.frames as f64,
            named_frames: c.named_frames as f64,
            own_cpu_ns: c.own_cpu_ns as f64,
        },
    }
}
