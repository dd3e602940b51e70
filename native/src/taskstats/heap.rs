//! What has ended since the last drain, one entry a process. Bounded: beyond that, entries of the same parent, user and name
//! are added up, so their CPU time is not lost but only who they were.
use super::record::Record;
use rustc_hash::FxHashMap;

const MOST_KEPT: usize = if cfg!(test) { 3 } else { 100_000 };
/// Groups beyond that; then all of the rest is one.
const MOST_GROUPS: usize = if cfg!(test) { 2 } else { 10_000 };

/// Columns of the same length, an entry a process.
#[derive(Default, Debug)]
pub struct Exits {
    /// 0: a sum of several.
    pub pid: Vec<u32>,
    pub parent_pid: Vec<u32>,
    pub uid: Vec<u32>,
    /// Place in `names`.
    pub name: Vec<u32>,
    pub names: Vec<String>,
    pub count: Vec<u32>,
    pub cpu_ns: Vec<f64>,
    pub ticked_us: Vec<f64>,
    pub read_bytes: Vec<f64>,
    pub write_bytes: Vec<f64>,
    /// Times the socket's buffer was full: the kernel does not say how many records that cost.
    pub overruns: u32,
    /// Messages that are no exit record.
    pub unknown: u32,
}

#[derive(Default)]
pub struct Heap {
    exits: Exits,
    names: FxHashMap<[u8; 16], u32>,
    groups: FxHashMap<(u32, u32, u32), usize>,
    pub overruns: u32,
    unknown: u32,
}

impl Heap {
    pub fn add(&mut self, message: &[u8]) {
        match Record::of_message(message) {
            Some(record) if record.is_process => self.add_record(&record),
            Some(_) => {}
            None => self.unknown += 1,
        }
    }

    pub fn add_record(&mut self, record: &Record) {
        let name = self.name_of(record);
        if self.exits.pid.len() < MOST_KEPT {
            self.push(record, name, record.pid);
            return;
        }
        let key = if self.groups.len() < MOST_GROUPS { (record.parent_pid, record.uid, name) } else { (0, 0, 0) };
        match self.groups.get(&key) {
            Some(at) => self.exits.grow(*at, record),
            None => {
                self.groups.insert(key, self.exits.pid.len());
                self.push(record, name, 0);
            }
        }
    }

    fn name_of(&mut self, record: &Record) -> u32 {
        let names = &mut self.exits.names;
        *self.names.entry(record.name).or_insert_with(|| {
            names.push(String::from_utf8_lossy(record.name()).into_owned());
            names.len() as u32 - 1
        })
    }

    fn push(&mut self, record: &Record, name: u32, pid: u32) {
        let exits = &mut self.exits;
        exits.pid.push(pid);
        exits.parent_pid.push(record.parent_pid);
        exits.uid.push(record.uid);
        exits.name.push(name);
        exits.count.push(0);
        for column in exits.sums() {
            column.push(0.0);
        }
        exits.grow(exits.pid.len() - 1, record);
    }

    pub fn drain(&mut self) -> Exits {
        self.names.clear();
        self.groups.clear();
        let (overruns, unknown) = (std::mem::take(&mut self.overruns), std::mem::take(&mut self.unknown));
        Exits { overruns, unknown, ..std::mem::take(&mut self.exits) }
    }
}

impl Exits {
    fn sums(&mut self) -> [&mut Vec<f64>; 4] {
        [&mut self.cpu_ns, &mut self.ticked_us, &mut self.read_bytes, &mut self.write_bytes]
    }

    fn grow(&mut self, at: usize, r: &Record) {
        self.count[at] += 1;
        let values = [r.cpu_ns, r.ticked_us, r.read_bytes, r.write_bytes];
        for (column, value) in self.sums().into_iter().zip(values) {
            column[at] += value as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pid: u32, uid: u32, name: &[u8; 16]) -> Record {
        Record {
            version: 16,
            pid,
            parent_pid: 1,
            uid,
            name: *name,
            is_process: true,
            cpu_ns: 10,
            ticked_us: 1,
            read_bytes: 2,
            write_bytes: 3,
        }
    }

    #[test]
    fn beyond_the_bound_nothing_is_lost_but_who_it_was() {
        let mut heap = Heap::default();
        for pid in 1..=20 {
            heap.add_record(&record(
                pid,
                pid % 7,
                if pid % 2 == 0 { b"even\0\0\0\0\0\0\0\0\0\0\0\0" } else { b"sixteen letters!" },
            ));
        }
        let exits = heap.drain();
        assert_eq!(exits.pid, [1, 2, 3, 0, 0, 0]);
        assert_eq!(exits.names, ["sixteen letters!", "even"]);
        assert_eq!(exits.count.iter().sum::<u32>(), 20);
        assert_eq!(exits.cpu_ns.iter().sum::<f64>(), 200.0);
        assert_eq!(heap.drain().pid.len(), 0);
    }

    #[test]
    fn what_is_no_record_is_counted() {
        let mut heap = Heap::default();
        heap.add(b"something else");
        assert_eq!((heap.drain().unknown, heap.drain().unknown), (1, 0));
    }
}
