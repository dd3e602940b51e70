//! Windows as JavaScript sees them: what they are, and on demand their columns or their OTLP profiles. Conversions only.
use crate::otlp::categories::{Categories, Unknown};
use crate::otlp::{Charge, Sender, encode};
use crate::symbols::window::{Window, WindowProcess};
use napi::bindgen_prelude::{Float64Array, FnArgs, Function, Int32Array, Uint8Array, Uint32Array};
use napi::{Error, Result};
use napi_derive::napi;

#[napi(object, object_from_js = false)]
pub struct NativeProcess {
    pub pid: u32,
    pub start_ms: f64,
    pub name: String,
    pub cgroup: String,
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

/// What is told of a window without its stacks.
#[napi(object, object_from_js = false)]
pub struct NativeHead {
    pub start_ms: f64,
    pub end_ms: f64,
    pub event: String,
    pub burst: String,
    pub hz: u32,
    pub processes: Vec<NativeProcess>,
    /// Of each process.
    pub sampled: Uint32Array,
    pub counters: NativeCounters,
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
pub struct NativeColumns {
    pub strings: Vec<String>,
    pub frames: NativeFrames,
    pub stacks: NativeStacks,
    pub samples: NativeSamples,
}

#[napi]
pub struct NativeWindow {
    window: Window,
}

#[napi]
impl NativeWindow {
    pub(crate) fn of(window: Window) -> NativeWindow {
        NativeWindow { window }
    }

    #[napi]
    pub fn head(&self) -> NativeHead {
        let window = &self.window;
        let mut sampled = vec![0; window.processes.len()];
        for (&process, count) in window.sample_process.iter().zip(&window.sample_count) {
            sampled[process as usize] += count;
        }
        NativeHead {
            start_ms: window.start_ms,
            end_ms: window.end_ms,
            event: "cpu".to_string(),
            burst: window.burst.clone(),
            hz: window.hz,
            processes: window.processes.iter().map(native_process).collect(),
            sampled: sampled.into(),
            counters: native_counters(window),
        }
    }

    #[napi]
    pub fn columns(&self) -> NativeColumns {
        let window = self.window.clone();
        NativeColumns {
            strings: window.strings,
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
        }
    }

    /// Gives its memory back now; the collector of garbage does not know how much it is. It has no stacks from then on.
    #[napi]
    pub fn close(&mut self) {
        self.window = Window { stack_offsets: vec![0], ..Window::default() };
    }
}

fn native_process(process: &WindowProcess) -> NativeProcess {
    let WindowProcess { pid, start_ms, name, cgroup } = process.clone();
    NativeProcess { pid, start_ms, name, cgroup }
}

fn native_counters(window: &Window) -> NativeCounters {
    let c = window.counters;
    NativeCounters {
        lost: c.lost as f64,
        throttled: c.throttled as f64,
        samples: c.samples as f64,
        truncated: c.truncated as f64,
        extended: c.extended as f64,
        unfinished: c.unfinished as f64,
        frames: c.frames as f64,
        named_frames: c.named_frames as f64,
        own_cpu_ns: c.own_cpu_ns as f64,
    }
}

/// Charge of collector/profiles.ts.
#[napi(object, object_to_js = false)]
pub struct NativeCharge {
    pub job: String,
    pub step: String,
    pub rank: Option<u32>,
    pub evidence: String,
}

#[napi(object, object_to_js = false)]
pub struct NativeRule {
    pub category: String,
    pub r#where: String,
}

/// Kinds, modules and functions of frames -> what matchFrame() says of each.
type MatchFrames<'a> = Function<'a, FnArgs<(Vec<u32>, Vec<String>, Vec<String>)>, Int32Array>;

/// Windows -> OTLP profiles; keeps what the rules said of frames.
#[napi]
pub struct NativeEncoder {
    categories: Categories,
}

#[napi]
impl NativeEncoder {
    #[napi(constructor)]
    pub fn new(rules: Vec<NativeRule>) -> NativeEncoder {
        NativeEncoder { categories: Categories::new(rules.into_iter().map(|rule| (rule.category, rule.r#where))) }
    }

    /// `charge_of`: which of `charges` each process has, -1 leaves it out.
    #[napi]
    pub fn encode(
        &mut self,
        window: &NativeWindow,
        sender: NativeSender,
        charge_of: Int32Array,
        charges: Vec<NativeCharge>,
        match_frames: MatchFrames<'_>,
    ) -> Result<Vec<Uint8Array>> {
        let window = &window.window;
        let charges: Vec<Charge> = charges.into_iter().map(charge).collect();
        let ask = |unknown: &Unknown| {
            let Unknown { kinds, modules, functions, .. } = unknown;
            let bits = match_frames.call((kinds.clone(), modules.clone(), functions.clone()).into())?;
            if bits.len() == kinds.len() { Ok(bits.to_vec()) } else { Err(Error::from_reason("a frame without bits")) }
        };
        let categories = self.categories.classify(window, ask)?;
        let NativeSender { node, cluster, most_bytes } = sender;
        let charge_of = |process: usize| charges.get(usize::try_from(*charge_of.get(process)?).ok()?);
        let bodies = encode(window, &Sender { node, cluster }, charge_of, &categories, most_bytes as usize);
        Ok(bodies.into_iter().map(Uint8Array::from).collect())
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeSender {
    pub node: String,
    pub cluster: Option<String>,
    /// About the size of a body.
    pub most_bytes: u32,
}

fn charge(native: NativeCharge) -> Charge {
    let NativeCharge { job, step, rank, evidence } = native;
    Charge { job, step, rank, evidence }
}
