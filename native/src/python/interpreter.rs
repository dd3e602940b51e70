//! The interpreter in one process: its threads, and the Python frames of a thread.
use super::layout::{DEBUG_OFFSETS_BYTES, Layout, OWNED_BY_C, layout_of};
use super::memory::Memory;
use crate::elf::{Elf, u64_at};
use crate::image::Image;
use crate::modules::Module;
use crate::symbols::elf_symbols::find_symbols;
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// What a file has that is CPython.
pub struct Program {
    /// Where `_PyEval_EvalFrameDefault` lies, in the file's addresses.
    pub eval: Range<u64>,
    runtime: u64,
    version: u64,
    code_type: u64,
}

/// A frame of a Python function, as far as its own memory tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PythonFrame {
    pub code: u64,
    /// Byte offset of the current instruction in the code.
    pub instruction: u64,
    pub layout: Layout,
    /// What code objects point to as their type.
    pub code_type: u64,
}

pub struct Interpreter {
    pub module: Rc<Module>,
    pub program: Rc<Program>,
    pub bias: u64,
    layout: Option<Option<Layout>>,
    threads: FxHashMap<u32, Thread>,
}

#[derive(Default)]
struct Thread {
    /// The id the thread knows itself by.
    inner: u32,
    /// Address of its state.
    state: u64,
    /// Pages that its last stack took.
    pages: Vec<u64>,
}

const MOST_INTERPRETERS: usize = 16;
const MOST_THREADS: usize = 1024;
const MOST_FRAMES: usize = 512;
const MOST_SEGMENTS: usize = 128;

/// python3.11, libpython3.11.so.1.0, python
pub fn looks_like_python(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("python") || name.starts_with("libpython")
}

impl Program {
    pub fn read(image: &Arc<Image>, elf: &Elf) -> Option<Program> {
        let names = ["_PyEval_EvalFrameDefault", "_PyRuntime", "Py_Version", "PyCode_Type"];
        let [eval, runtime, version, code_type] = find_symbols(image, elf, &names);
        let (start, bytes) = eval?;
        Some(Program {
            eval: start..start.saturating_add(bytes),
            runtime: runtime?.0,
            version: version?.0,
            code_type: code_type?.0,
        })
    }
}

impl Interpreter {
    /// `bias` is what the process adds to the file's addresses.
    pub fn new(module: Rc<Module>, program: Rc<Program>, bias: u64) -> Interpreter {
        Interpreter { module, program, bias, layout: None, threads: FxHashMap::default() }
    }

    /// The frames of a thread, leaf first, in segments: one for each evaluation in C.
    pub fn stack(&mut self, pid: u32, tid: u32, memory: &mut Memory) -> Option<Vec<Vec<PythonFrame>>> {
        memory.start_stack(pid, self.threads.get(&tid).map_or(&[], |thread| &thread.pages));
        let runtime = self.bias.wrapping_add(self.program.runtime);
        let layout = self.layout(pid, runtime, memory)?;
        let thread = self.thread(pid, tid, runtime, &layout, memory)?;
        let frame = match layout.cframe {
            Some((cframe, current)) => {
                let cframe = memory.word(pid, thread.wrapping_add(cframe))?;
                memory.word(pid, cframe.wrapping_add(current))?
            }
            None => memory.word(pid, thread.wrapping_add(layout.current_frame))?,
        };
        let segments = self.segments(pid, frame, &layout, memory);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pages.clear();
            thread.pages.extend_from_slice(memory.touched());
        }
        Some(segments)
    }

    fn layout(&mut self, pid: u32, runtime: u64, memory: &mut Memory) -> Option<Layout> {
        if self.layout.is_none() {
            let version = memory.word(pid, self.bias.wrapping_add(self.program.version))? & 0xffff_ffff;
            let offsets = memory.bytes(pid, runtime, DEBUG_OFFSETS_BYTES)?;
            self.layout = Some(layout_of(version, &offsets));
        }
        self.layout.flatten()
    }

    fn thread(&mut self, pid: u32, tid: u32, runtime: u64, layout: &Layout, memory: &mut Memory) -> Option<u64> {
        let is_it = |memory: &mut Memory, thread: u64, inner: u32| {
            memory.word(pid, thread.wrapping_add(layout.native_thread_id)) == Some(u64::from(inner))
        };
        if let Some(thread) = self.threads.get(&tid).filter(|thread| is_it(memory, thread.state, thread.inner)) {
            return Some(thread.state);
        }
        if self.threads.len() > MOST_THREADS {
            self.threads.clear();
        }
        let inner = inner_tid(pid, tid);
        let mut interpreter = memory.word(pid, runtime.wrapping_add(layout.interpreters_head))?;
        for _ in 0..MOST_INTERPRETERS {
            let mut thread = memory.word(pid, interpreter.wrapping_add(layout.threads_head))?;
            for _ in 0..MOST_THREADS {
                if thread == 0 {
                    break;
                }
                if is_it(memory, thread, inner) {
                    self.threads.insert(tid, Thread { inner, state: thread, pages: Vec::new() });
                    return Some(thread);
                }
                thread = memory.word(pid, thread.wrapping_add(layout.thread_next))?;
            }
            interpreter =
                memory.word(pid, interpreter.wrapping_add(layout.interpreter_next)).filter(|&next| next != 0)?;
        }
        None
    }

    fn segments(&self, pid: u32, mut frame: u64, layout: &Layout, memory: &mut Memory) -> Vec<Vec<PythonFrame>> {
        let code_type = self.bias.wrapping_add(self.program.code_type);
        let (mut segments, mut segment) = (Vec::new(), Vec::new());
        let mut bytes = [0; 136];
        for _ in 0..MOST_FRAMES {
            if frame == 0 || segments.len() >= MOST_SEGMENTS {
                break;
            }
            if !memory.copy(pid, frame, &mut bytes[..layout.largest_frame_offset() + 8]) {
                break;
            }
            let word = |at: usize| u64_at(&bytes, at).unwrap_or(0);
            let owned_by_c = layout.frame_is_entry.is_none() && bytes[layout.frame_owner] == OWNED_BY_C;
            if !owned_by_c {
                let (code, at) = (word(layout.frame_code) & !7, word(layout.frame_instruction));
                let instruction = at.wrapping_sub(code.wrapping_add(layout.code_instructions));
                segment.push(PythonFrame { code, instruction, layout: *layout, code_type });
            }
            if owned_by_c || layout.frame_is_entry.is_some_and(|at| bytes[at] != 0) {
                segments.push(std::mem::take(&mut segment));
            }
            frame = word(layout.frame_previous);
        }
        if !segment.is_empty() {
            segments.push(segment);
        }
        segments
    }
}

/// The id a thread knows itself by: in a container it is not ours.
fn inner_tid(pid: u32, tid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_ascii_whitespace().next_back());
    inner.and_then(|inner| inner.parse().ok()).unwrap_or(tid)
}
