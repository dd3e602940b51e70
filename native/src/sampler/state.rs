//! From a record to what it changes: the processes, or a stack more in the window.
use super::session::Session;
use crate::arch::{DWARF_REGISTERS, REGISTERS, SP};
use crate::fold::{Fold, SampledProcess};
use crate::maps::Maps;
use crate::modules::{BinaryKind, CUT, KERNEL, Modules, RUNTIME};
use crate::perf::open::{CpuEvent, Events};
use crate::perf::record::{Moment, Record, Sample, parse_record};
use crate::process::{Processes, Task};
use crate::python::{Python, Sampled, Stack};
use crate::unwind::frame::{Ending, Place, Registers, StackCopy};
use crate::unwind::walk::Walk;
use std::mem::take;
use std::rc::Rc;

/// Addresses of CUT frames.
pub const CUT_TRUNCATED: u64 = 0;
pub const CUT_LOST: u64 = 1;

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
        self.python.forget_memory();
    }

    pub fn end_drain(&mut self) {
        self.python.end_drain();
    }

    /// Reads what will have changed when the records of these samples are taken: Python's frames.
    pub fn read_awaited(&mut self, came: &[Moment], now_ns: u64) {
        self.python.forget_memory();
        for &moment in came {
            if let Some((serial, maps)) = self.processes.known_maps(moment.pid) {
                self.python.read_early(&Sampled { serial, moment, maps: &maps, now_ns }, &mut self.modules);
            }
        }
    }

    /// Takes the oldest record of one ring.
    pub fn take_record(&mut self, session: &mut Session, event: usize, time_ns: u64) {
        let rhythm = session.rhythm;
        let Session { id, options, events: Events { attr, per_cpu, .. }, fold, awaited, rarity, .. } = session;
        let CpuEvent { cpu, ring, cycles, .. } = &mut per_cpu[event];
        let mut expects = None;
        let Some(bytes) = ring.peek() else { return };
        let size = bytes.len();
        match parse_record(bytes, attr) {
            Some(Record::Sample(sample)) => {
                let period_ns = match cycles {
                    Some(clock) => clock.nanoseconds(sample.period, sample.time_ns, rhythm.period_ns),
                    None => sample.period,
                };
                let (pid, tid) = self.processes.task(sample.pid, sample.tid, sample.cpu);
                let is_wanted = (pid != 0 || options.wanted.include_idle) && self.processes.families.has(*id, pid);
                if is_wanted && self.sample(fold, &sample, pid, tid, period_ns) {
                    expects = Some((pid, sample.time_ns));
                }
            }
            Some(Record::Lost(count)) => fold.counters().lost += count,
            Some(Record::Throttle) => fold.counters().throttled += 1,
            Some(record) => self.processes.apply(&record, time_ns, *cpu),
            None => fold.counters().lost += 1,
        }
        ring.advance(size);
        if let Some((pid, time_ns)) = expects {
            rarity.begun |= awaited.insert(pid);
            rarity.found += 1;
            // Where all tick together, the first speaks for all.
            per_cpu[if rhythm.together { 0 } else { event }].expected.after(time_ns, rhythm);
        }
    }

    /// True for a stack that was completed with frames which must be read while they stand.
    fn sample(&mut self, fold: &mut Fold, sample: &Sample<'_>, pid: u32, tid: u32, period_ns: u64) -> bool {
        self.places.clear();
        self.places.extend(sample.kernel.iter().map(|address| Place { binary: KERNEL, address }));
        let Task { mut maps, serial, thread } = self.processes.sampled(pid, tid, sample.time_ns);
        let mut ending = self.walk_user(sample, pid, tid, &mut maps);
        let moment = Moment { pid, tid, time_ns: sample.time_ns };
        let sampled = Sampled { serial, moment, maps: &maps, now_ns: self.drained_ns };
        let stack = &mut Stack { places: &mut self.places, ending: &mut ending };
        let is_python = self.python.merge(&sampled, &mut self.modules, stack);
        if ending != Ending::Root {
            let address = if ending == Ending::Truncated { CUT_TRUNCATED } else { CUT_LOST };
            self.places.push(Place { binary: CUT, address });
        }
        self.name_runtime_code(pid);
        let State { processes, modules, places, extended, .. } = self;
        fold.counters().extended += u64::from(take(extended));
        let process = fold.process(serial, || {
            let cgroup = processes.cgroup_path(pid, sample.cgroup);
            SampledProcess { serial, pid, cgroup, ..SampledProcess::default() }
        });
        fold.add(process, &thread, places, period_ns, ending, |id| modules.by_id(id).cloned());
        is_python
    }

    fn walk_user(&mut self, sample: &Sample<'_>, pid: u32, tid: u32, maps: &mut Rc<Maps>) -> Ending {
        // Kernel threads, and tasks on their way in or out of a program, have no user part: their stack is whole.
        let Some(words) = sample.registers else { return Ending::Root };
        let mut registers = [0; DWARF_REGISTERS];
        for (word, &(_, number)) in words.iter().zip(&REGISTERS) {
            registers[number as usize] = word;
        }
        let kernel_frames = self.places.len();
        let ending = self.walk(&registers, sample, pid, tid, maps);
        let refreshed = if ending == Ending::Lost { self.processes.refresh_maps(pid, sample.time_ns) } else { None };
        let Some(refreshed) = refreshed else { return ending };
        *maps = refreshed;
        self.places.truncate(kernel_frames);
        let ending = self.walk(&registers, sample, pid, tid, maps);
        let pc_is_gone = matches!(self.places[kernel_frames..], [Place { binary: RUNTIME, .. }]);
        if !(kernel_frames > 0 && pc_is_gone) {
            return ending;
        }
        // Inside exec, after the new program took the place of the one these registers belong to.
        self.places.truncate(kernel_frames);
        Ending::Root
    }

    fn walk(&mut self, registers: &Registers, sample: &Sample<'_>, pid: u32, tid: u32, maps: &Maps) -> Ending {
        if maps.is_empty() {
            // In the middle of exec: the registers are still those of the program before.
            return Ending::Root;
        }
        let stack = StackCopy { start: registers[SP], bytes: sample.stack, full: sample.stack_full };
        let mut walk = Walk::new(&mut self.modules, maps, pid, tid, stack);
        let ending = walk.run(registers, &mut self.places);
        self.extended = walk.went_beyond();
        ending
    }

    /// Code made at run time belongs to its process: the same address in another is other code.
    fn name_runtime_code(&mut self, pid: u32) {
        if self.places.iter().all(|place| place.binary != RUNTIME) {
            return;
        }
        let runtime = self
            .processes
            .known(pid)
            .runtime
            .get_or_insert_with(|| self.modules.binary("[jit]".into(), BinaryKind::Runtime { pid }));
        for place in self.places.iter_mut().filter(|place| place.binary == RUNTIME) {
            place.binary = runtime.id;
        }
    }
}
