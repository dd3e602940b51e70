//! The processes of the node as the kernel's side-band tells of them, completed from /proc for those older than us.
use crate::cgroups::Cgroups;
use crate::family::Families;
use crate::fold::SampledProcess;
use crate::maps::{Map, MappedFile, Maps, parse_maps};
use crate::modules::Binary;
use crate::perf::record::{Mmap, Record};
use crate::start::StartClock;
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::Arc;

pub struct Process {
    /// Never given twice, unlike pid.
    pub serial: u64,
    pub pid: u32,
    pub name: Arc<str>,
    threads: FxHashMap<u32, Arc<str>>,
    /// None until the first sample of a process that is older than the sampler.
    pub maps: Option<Rc<Maps>>,
    parent: u32,
    fork_ns: Option<u64>,
    start_ms: Option<u64>,
    cgroup: Option<(u64, Arc<str>)>,
    exited: bool,
    maps_read_ns: u64,
    maps_wait_ns: u64,
    /// The binary that stands for the code this process made at run time.
    pub runtime: Option<Arc<Binary>>,
}

/// Whom a sample is of.
pub struct Task {
    /// Of the process.
    pub serial: u64,
    pub maps: Rc<Maps>,
    /// The thread's name.
    pub thread: Arc<str>,
}

pub struct Processes {
    by_pid: FxHashMap<u32, Process>,
    /// Those of this window whose pid has been given again, by serial.
    replaced: FxHashMap<u64, Process>,
    next_serial: u64,
    cgroups: Cgroups,
    clock: StartClock,
    /// Whom each session looks at.
    pub families: Families,
    /// Who exited last on each CPU: what runs on for a dead task has no pid any more.
    last_exit: FxHashMap<u32, (u32, u32)>,
}

const MOST_PROCESSES: usize = 32_768;
/// Maps that proved wrong are read again after this; each time that did not help, after twice as long.
const MAPS_AGAIN_NS: u64 = 1_000_000_000;
const MAPS_AGAIN_AT_MOST_NS: u64 = 120_000_000_000;
/// pid of a sample whose task has been reaped.
const NO_PID: u32 = u32::MAX;

impl Default for Processes {
    fn default() -> Self {
        let (by_pid, replaced, cgroups, families, last_exit) = Default::default();
        Processes { by_pid, replaced, next_serial: 1, cgroups, clock: StartClock::read(), families, last_exit }
    }
}

impl Processes {
    /// Takes notice of a side-band record, written at `time_ns` on `cpu`.
    pub fn apply(&mut self, record: &Record<'_>, time_ns: u64, cpu: u32) {
        match *record {
            Record::Mmap(ref mmap) => self.mapped(mmap),
            Record::Comm { pid, tid, exec, name } => self.named(pid, tid, exec, &String::from_utf8_lossy(name)),
            Record::Fork { pid, parent, tid, parent_tid } => {
                if pid == parent {
                    self.thread_started(pid, tid, parent_tid);
                } else {
                    self.families.forked(pid, parent);
                    self.forked(pid, parent, tid, parent_tid, time_ns);
                }
            }
            Record::Exit { pid, tid } => {
                self.last_exit.insert(cpu, (pid, tid));
                if let Some(process) = self.by_pid.get_mut(&pid).filter(|_| pid == tid) {
                    process.exited = true;
                }
            }
            Record::Cgroup { id, path } => self.cgroups.insert(id, &String::from_utf8_lossy(path)),
            _ => {}
        }
    }

    fn mapped(&mut self, mmap: &Mmap<'_>) {
        // Without a snapshot of the rest, a single mapping is worth nothing: /proc will tell all of them.
        let Some(maps) = self.by_pid.get_mut(&mmap.pid).and_then(|process| process.maps.as_mut()) else { return };
        let file = MappedFile::new(&String::from_utf8_lossy(mmap.path), mmap.hint);
        let end = mmap.start.saturating_add(mmap.bytes);
        Rc::make_mut(maps).insert(Map { start: mmap.start, end, file_offset: mmap.file_offset, file });
    }

    fn named(&mut self, pid: u32, tid: u32, exec: bool, name: &str) {
        let process = self.known(pid);
        let name: Arc<str> = name.into();
        if exec {
            process.maps = Some(Rc::default());
            process.runtime = None;
            process.threads.clear();
        }
        if exec || pid == tid {
            process.name = name.clone();
        }
        process.threads.insert(tid, name);
    }

    fn thread_started(&mut self, pid: u32, tid: u32, parent_tid: u32) {
        if let Some(process) = self.by_pid.get_mut(&pid)
            && let Some(name) = process.threads.get(&parent_tid).cloned()
        {
            process.threads.insert(tid, name);
        }
    }

    fn forked(&mut self, pid: u32, parent: u32, tid: u32, parent_tid: u32, time_ns: u64) {
        let mut child = self.fresh(pid);
        child.parent = parent;
        child.fork_ns = Some(time_ns);
        if let Some(parent) = self.by_pid.get(&parent) {
            child.maps = parent.maps.clone();
            child.name = parent.threads.get(&parent_tid).unwrap_or(&parent.name).clone();
            child.threads.insert(tid, child.name.clone());
            child.cgroup = parent.cgroup.clone();
        }
        // Its pid was another's before, whom this window may have sampled.
        if let Some(old) = self.by_pid.insert(pid, child) {
            self.replaced.insert(old.serial, old);
        }
    }

    fn fresh(&mut self, pid: u32) -> Process {
        self.next_serial += 1;
        Process {
            serial: self.next_serial,
            pid,
            name: "".into(),
            threads: FxHashMap::default(),
            maps: None,
            parent: 0,
            fork_ns: None,
            start_ms: None,
            cgroup: None,
            exited: false,
            maps_read_ns: 0,
            maps_wait_ns: MAPS_AGAIN_NS,
            runtime: None,
        }
    }

    pub fn known(&mut self, pid: u32) -> &mut Process {
        if !self.by_pid.contains_key(&pid) {
            let process = self.fresh(pid);
            self.by_pid.insert(pid, process);
        }
        self.by_pid.entry(pid).or_insert_with(|| unreachable!("inserted above"))
    }

    /// The task behind a sample: its pid and tid, also where it was reaped already.
    pub fn task(&self, pid: u32, tid: u32, cpu: u32) -> (u32, u32) {
        if pid == NO_PID { self.last_exit.get(&cpu).copied().unwrap_or((0, 0)) } else { (pid, tid) }
    }

    /// Whom a sample is of, with the maps of the process.
    pub fn sampled(&mut self, pid: u32, tid: u32, now_ns: u64) -> Task {
        if !self.by_pid.get(&pid).is_some_and(|process| process.maps.is_some() && process.threads.contains_key(&tid)) {
            self.look_at(pid, tid, now_ns);
        }
        let process = self.known(pid);
        let thread = process.threads.get(&tid).unwrap_or(&process.name).clone();
        Task { serial: process.serial, maps: process.maps.clone().unwrap_or_default(), thread }
    }

    /// Serial and maps of a process that was sampled before.
    pub fn known_maps(&self, pid: u32) -> Option<(u64, Rc<Maps>)> {
        let process = self.by_pid.get(&pid)?;
        Some((process.serial, process.maps.clone()?))
    }

    /// Asks /proc for what the side-band did not tell of a process and a thread.
    fn look_at(&mut self, pid: u32, tid: u32, now_ns: u64) {
        let parent_maps = self.by_pid.get(&pid).filter(|process| process.maps.is_none()).map(|process| process.parent);
        let parent_maps = parent_maps.and_then(|parent| self.by_pid.get(&parent)?.maps.clone());
        let process = self.known(pid);
        if process.name.is_empty() {
            process.name = read_comm(&format!("/proc/{pid}/comm")).unwrap_or_default();
        }
        if process.maps.is_none() {
            process.maps_read_ns = now_ns;
            process.maps = read_maps(pid).or(parent_maps).or_else(|| Some(Rc::default()));
        }
        if !process.threads.contains_key(&tid) {
            let name = if tid == pid { None } else { read_comm(&format!("/proc/{pid}/task/{tid}/comm")) };
            process.threads.insert(tid, name.unwrap_or_else(|| process.name.clone()));
        }
    }

    /// Reads the maps of a process anew because a stack did not fit them. None when that was done just now.
    pub fn refresh_maps(&mut self, pid: u32, now_ns: u64) -> Option<Rc<Maps>> {
        let process = self.by_pid.get_mut(&pid).filter(|process| !process.exited)?;
        if now_ns.saturating_sub(process.maps_read_ns) < process.maps_wait_ns {
            return None;
        }
        process.maps_read_ns = now_ns;
        process.maps_wait_ns = (process.maps_wait_ns * 2).min(MAPS_AGAIN_AT_MOST_NS);
        process.maps = Some(read_maps(pid)?);
        process.maps.clone()
    }

    /// Fills in what is known of a process at the end of a window. Those that live on are asked for their start, which is
    /// then the process table's to the millisecond; of those that are gone, the time of their fork is next to it.
    pub fn describe(&mut self, sampled: &mut SampledProcess) {
        let known = self.by_pid.get_mut(&sampled.pid).filter(|process| process.serial == sampled.serial);
        let Some(process) = known.or_else(|| self.replaced.get_mut(&sampled.serial)) else { return };
        if process.start_ms.is_none() && !process.exited {
            process.start_ms = self.clock.of_process(process.pid);
        }
        let fork_ms = || process.fork_ns.map(|fork_ns| self.clock.of_fork(fork_ns));
        sampled.start_ms = process.start_ms.or_else(fork_ms).unwrap_or(0);
        sampled.name = process.name.clone();
    }

    pub fn cgroup_path(&mut self, pid: u32, id: Option<u64>) -> Arc<str> {
        let (Some(id), Some(process)) = (id, self.by_pid.get_mut(&pid)) else { return "".into() };
        match &process.cgroup {
            Some((known, path)) if *known == id => path.clone(),
            _ => {
                let path = self.cgroups.path(id, pid);
                process.cgroup = Some((id, path.clone()));
                path
            }
        }
    }

    /// Forgets the dead. Called once a window, when the window has what it needs of them.
    pub fn tidy(&mut self) {
        self.by_pid.retain(|_, process| !process.exited);
        self.replaced.clear();
        for process in self.by_pid.values_mut().filter(|process| process.threads.len() > 64) {
            let pid = process.pid;
            process.threads.retain(|tid, _| std::fs::exists(format!("/proc/{pid}/task/{tid}")).unwrap_or(false));
        }
        if self.by_pid.len() > MOST_PROCESSES {
            // Exits were lost, or this node is enormous: whoever still runs is read from /proc again.
            self.by_pid.clear();
        }
    }

    pub fn has(&self, pid: u32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }
}

fn read_comm(path: &str) -> Option<Arc<str>> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').into())
}

fn read_maps(pid: u32) -> Option<Rc<Maps>> {
    let read = |path: String| std::fs::read(path).ok().filter(|bytes| !bytes.is_empty());
    // The main thread of a process may have ended before the others: its own maps are empty then.
    let maps = read(format!("/proc/{pid}/maps")).or_else(|| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().find_map(|task| read(task.path().join("maps").to_str()?.to_string()))
    })?;
    Some(Rc::new(parse_maps(&maps)))
}
