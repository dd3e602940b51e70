//! A window with names: the flat arrays of collector/sampler.ts, built once and handed over whole.
use crate::fold::Counters;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Numbers of ingest/records.ts FRAME_KINDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Native = 0,
    Kernel = 1,
    Python = 2,
    Jit = 3,
    Java = 4,
    Javascript = 5,
    Other = 6,
    Truncated = 7,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedFrame {
    pub function: Rc<str>,
    pub module: Rc<str>,
    pub file: Rc<str>,
    pub line: u32,
    pub kind: Kind,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowProcess {
    pub pid: u32,
    pub start_ms: f64,
    pub name: String,
    pub cgroup: String,
}

#[derive(Clone, Debug, Default)]
pub struct Window {
    pub start_ms: f64,
    pub end_ms: f64,
    pub burst: String,
    /// Samples a second and CPU behind it.
    pub hz: u32,
    pub strings: Vec<String>,
    pub processes: Vec<WindowProcess>,
    pub frame_function: Vec<u32>,
    pub frame_module: Vec<u32>,
    pub frame_file: Vec<u32>,
    pub frame_line: Vec<u32>,
    pub frame_kind: Vec<u8>,
    pub stack_offsets: Vec<u32>,
    pub stack_frames: Vec<u32>,
    pub sample_process: Vec<u32>,
    pub sample_thread: Vec<u32>,
    pub sample_stack: Vec<u32>,
    pub sample_period_ns: Vec<f64>,
    pub sample_count: Vec<u32>,
    pub counters: Counters,
}

impl Window {
    /// About the memory it takes: what grows with its samples, frames and names.
    pub fn bytes(&self) -> usize {
        let names: usize = self.strings.iter().map(|name| name.len() + size_of::<String>()).sum();
        let words = 4 * self.frame_line.len() + self.stack_offsets.len() + self.stack_frames.len();
        names + 4 * words + 24 * self.sample_count.len() + 128 * self.processes.len()
    }
}

/// Numbers strings, frames, stacks and samples as they come; equal ones get the same number.
pub struct WindowBuilder {
    window: Window,
    strings: FxHashMap<Rc<str>, u32>,
    frames: FxHashMap<NamedFrame, u32>,
    stacks: FxHashMap<Box<[u32]>, u32>,
    samples: FxHashMap<(u32, u32, u32), u32>,
}

impl WindowBuilder {
    pub fn new() -> WindowBuilder {
        let window = Window { stack_offsets: vec![0], ..Window::default() };
        let (strings, frames, stacks, samples) = Default::default();
        let mut builder = WindowBuilder { window, strings, frames, stacks, samples };
        builder.string(&"".into());
        builder
    }

    pub fn string(&mut self, text: &Rc<str>) -> u32 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        self.window.strings.push(text.to_string());
        let index = self.window.strings.len() as u32 - 1;
        self.strings.insert(text.clone(), index);
        index
    }

    pub fn frame(&mut self, frame: &NamedFrame) -> u32 {
        if let Some(&index) = self.frames.get(frame) {
            return index;
        }
        let columns = [self.string(&frame.function), self.string(&frame.module), self.string(&frame.file)];
        self.window.frame_function.push(columns[0]);
        self.window.frame_module.push(columns[1]);
        self.window.frame_file.push(columns[2]);
        self.window.frame_line.push(frame.line);
        self.window.frame_kind.push(frame.kind as u8);
        let index = self.window.frame_line.len() as u32 - 1;
        self.frames.insert(frame.clone(), index);
        index
    }

    pub fn stack(&mut self, frames: &[u32]) -> u32 {
        if let Some(&index) = self.stacks.get(frames) {
            return index;
        }
        self.window.stack_frames.extend_from_slice(frames);
        self.window.stack_offsets.push(self.window.stack_frames.len() as u32);
        let index = self.window.stack_offsets.len() as u32 - 2;
        self.stacks.insert(frames.into(), index);
        index
    }

    pub fn sample(&mut self, process: u32, thread: u32, stack: u32, period_ns: u64, count: u32) {
        let window = &mut self.window;
        let next = window.sample_count.len() as u32;
        let index = *self.samples.entry((process, thread, stack)).or_insert(next);
        if index == next {
            window.sample_process.push(process);
            window.sample_thread.push(thread);
            window.sample_stack.push(stack);
            window.sample_period_ns.push(0.0);
            window.sample_count.push(0);
        }
        window.sample_period_ns[index as usize] += period_ns as f64;
        window.sample_count[index as usize] += count;
    }

    pub fn build(self) -> Window {
        self.window
    }
}

impl Default for WindowBuilder {
    fn default() -> Self {
        WindowBuilder::new()
    }
}
