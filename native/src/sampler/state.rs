//! From a record to what it changes: the processes, or a stack more in the window.
use super::session::Session;
use crate::arch::{DWARF_REGISTERS, REGISTERS};
use crate::fold::{Fold, SampledProcess};
use crate::modules::{BinaryKind, CUT, KERNEL, Modules, RUNTIME};
use crate::perf::open::{CpuEvent, Events};
use crate::perf::record::{Record, Sample, parse_record};
use crate::process::Processes;
use crate::python::{Python, Sampled, Stack};
use crate::unwind::frame::{Ending, Frame, Place, StackCopy};
use crate::unwind::walk::Walk;
use std::mem::take;

/// Addresses of CUT frames.
pub const CUT_TRUNCATED: u64 = 0;
pub const CUT_LOST: u64 = 1;

/// Samples that waited longer for the drain than this are not of the state their process is in now.
const OLD_NS: u64 = 20_000_000;

/// What all sessions share.
#[derive(Default)]
pub struct State {
    pub processes: Processes,
    pub modules: Modules,
    pub python: Python,
    places: Vec<Place>,
    /// When the drain began.
    pub drained_ns: u64,
    /// The last stack was completed from the process itself.
    extended: bool,
}

impl State {
    pub fn start_drain(&mut self, now_ns: u64) {
        self.drained_ns = now_ns;
        self.modules.live.start_drain();
        self.python.start_drain();
    }

    /// Takes the oldest record of one ring.
    pub fn take_record(&mut self, session: &mut Session, event: usize, time_ns: u64) {
        let Session { id, options, events: Events { attr, per_cpu, .. }, fold, .. } = session;
        let CpuEvent { cpu, ring, cycles, expected, .. } = &mut per_cpu[event];
        let Some(bytes) = ring.peek() else { return };
        let size = bytes.len();
        match parse_record(bytes, attr) {
            Some(Record::Sample(sample)) => {
                let nominal_ns = 1_000_000_000 / attr.sample_freq.max(1);
                let period_ns = match cycles {
                    Some(clock) => clock.nanoseconds(sample.period, sample.time_ns, nominal_ns),
                    None => sample.period,
                };
                let (pid, tid) = self.processes.task(sample.pid, sample.tid, sample.cpu);
                let is_wanted = (pid != 0 || options.wanted.include_idle) && self.processes.families.has(*id, pid);
                if is_wanted && self.sample(fold, &sample, pid, tid, period_ns) {
                    expected.after(sample.time_ns, nominal_ns, cycles.is_none());
                }
            }
            Some(Record::Lost(count)) => fold.counters().lost += count,
            Some(Record::Throttle) => fold.counters().throttled += 1,
            Some(record) => self.processes.apply(&record, time_ns, *cpu),
            None => fold.counters().lost += 1,
        }
        ring.advance(size);
    }

    /// True for a stack that was completed with frames which must be read while they stand.
    fn sample(&mut self, fold: &mut Fold, sample: &Sample<'_>, pid: u32, tid: u32, period_ns: u64) -> bool {
        self.places.clear();
        self.places.extend(sample.kernel.iter().map(|address| Place { binary: KERNEL, address }));
        let mut ending = self.walk_user(sample, pid);
        let process = self.processes.sampled(pid, sample.time_ns);
        let (serial, maps) = (process.serial, process.maps.clone().unwrap_or_default());
        let is_old = self.drained_ns.saturating_sub(sample.time_ns) > OLD_NS;
        let sampled = Sampled { serial, pid, tid, maps: &maps, is_old };
        let stack = &mut Stack { places: &mut self.places, ending: &mut ending };
        let is_python = self.python.merge(&sampled, &mut self.modules, stack);
        if ending != Ending::Root {
            let address = if ending == Ending::Truncated { CUT_TRUNCATED } else { CUT_LOST };
            self.places.push(Place { binary: CUT, address });
        }
        self.name_runtime_code(pid);
        let State { processes, modules, places, extended, .. } = self;
        fold.counters().extended += u64::from(take(extended));
        let cgroup = processes.cgroup_path(pid, sample.cgroup);
        let process = fold.process(serial, || SampledProcess { serial, pid, cgroup, ..SampledProcess::default() });
        let thread = processes.thread_name(pid, tid);
        fold.add(process, &thread, places, period_ns, ending, |id| modules.by_id(id).cloned());
        is_python
    }

    fn walk_user(&mut self, sample: &Sample<'_>, pid: u32) -> Ending {
        // Kernel threads, and tasks on their way in or out of a program, have no user part: their stack is whole.
        let Some(words) = sample.registers else { return Ending::Root };
        let mut registers = [0; DWARF_REGISTERS];
        for (index, &(_, number)) in REGISTERS.iter().enumerate() {
            registers[number as usize] = words.get(index).unwrap_or(0);
        }
        let frame = Frame::leaf(registers);
        let kernel_frames = self.places.len();
        let ending = self.walk(&frame, sample, pid);
        if ending == Ending::Lost && self.processes.refresh_maps(pid, sample.time_ns) {
            self.places.truncate(kernel_frames);
            let ending = self.walk(&frame, sample, pid);
            let pc_is_gone = matches!(self.places[kernel_frames..], [Place { binary: RUNTIME, .. }]);
            if !(kernel_frames > 0 && pc_is_gone) {
                return ending;
            }
            // Inside exec, after the new program took the place of the one these registers belong to.
            self.places.truncate(kernel_frames);
            return Ending::Root;
        }
        ending
    }

    fn walk(&mut self, frame: &Frame, sample: &Sample<'_>, pid: u32) -> Ending {
        let maps = self.processes.sampled(pid, sample.time_ns).maps.clone().unwrap_or_default();
        if maps.is_empty() {
            // In the middle of exec: the registers are still those of the program before.
            return Ending::Root;
        }
        let stack = StackCopy { start: frame.stack_pointer(), bytes: sample.stack, full: sample.stack_full };
        let mut walk = Walk { modules: &mut self.modules, maps: &maps, pid, stack, copied_frames: None, beyond: false };
        let ending = walk.run(frame.clone(), &mut self.places);
        self.extended = walk.copied_frames.is_some();
        ending
    }

    /// Code made at run time belongs to its process: the same address in another is other code.
    fn name_runtime_code(&mut self, pid: u32) {
        if self.places.iter().all(|place| place.binary != RUNTIME) {
            return;
        }
        let process = self.processes.sampled(pid, 0);
        let runtime =
            process.runtime.get_or_insert_with(|| self.modules.binary("[jit]".into(), BinaryKind::Runtime { pid }));
        for place in self.places.iter_mut().filter(|place| place.binary == RUNTIME) {
            place.binary = runtime.id;
        }
    }
}
