//! Whatever a user puts into a file or a kernel into a ring: no panic, no endless loop, bounded memory.
//!
//! A seeded mutator over real files; a failure names its seed. Runs for HOSTILE_SECONDS (default 5).
use jobsight::arch::{DWARF_REGISTERS, SP};
use jobsight::elf::parse_elf;
use jobsight::image::Image;
use jobsight::maps::parse_maps;
use jobsight::modules::Modules;
use jobsight::paged::PageCache;
use jobsight::perf::attr::{Attr, SAMPLE_CGROUP};
use jobsight::perf::record::{parse_record, parse_time};
use jobsight::python::code::line_of;
use jobsight::receiver::Receiver;
use jobsight::receiver::head::{Head, Match};
use jobsight::symbols::debug_files::{self, DebugFile};
use jobsight::symbols::demangle::demangle;
use jobsight::symbols::elf_symbols::{ElfSymbols, find_symbols};
use jobsight::symbols::{dwarf, jitdump, kallsyms, runtime};
use jobsight::unwind::frame::StackCopy;
use jobsight::unwind::load::Loader;
use jobsight::unwind::walk::Walk;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// xorshift64*: the same seed, the same file.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Numbers that break arithmetic.
const EXTREMES: [u64; 8] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, u64::MAX - 7, 1 << 63];

/// Flips bits, plants extremes, cuts; mostly in the parts `targets` names (offset, length).
fn mutate(bytes: &mut Vec<u8>, targets: &[(usize, usize)], random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        let (start, length) = targets.get(random.below(targets.len() + 1)).copied().unwrap_or((0, bytes.len()));
        let at = start + random.below(length);
        match random.below(4) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            _ => {
                let (width, value) = ([1, 2, 4, 8][random.below(4)], EXTREMES[random.below(8)].to_le_bytes());
                if let Some(part) = bytes.get_mut(at..at + width) {
                    part.copy_from_slice(&value[..width]);
                }
            }
        }
    }
    if random.below(10) == 0 {
        bytes.truncate(random.below(bytes.len()));
    }
}

fn seconds() -> Duration {
    Duration::from_secs(std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5))
}

/// Calls `attempt` with fresh seeds for `share` of the time.
fn hostile(share: f64, mut attempt: impl FnMut(&mut Random)) {
    let (start, mut seed) = (Instant::now(), 0u64);
    while start.elapsed() < seconds().mul_f64(share) || seed < 20 {
        seed += 1;
        let began = Instant::now();
        let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attempt(random)));
        assert!(outcome.is_ok(), "panic with seed {seed}");
        assert!(began.elapsed() < Duration::from_secs(20), "seed {seed} took {:?}", began.elapsed());
    }
    println!("{seed} hostile inputs");
}

/// A program with debug information, small enough to be mutated thousands of times.
fn small_program() -> Vec<u8> {
    let directory = std::env::temp_dir().join(format!("jobsight-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (source, program) = (directory.join("a.cpp"), directory.join("a"));
    let text = "#include <stdio.h>\nnamespace n { template <class T> struct S { T f(T x) { return x * 2; } }; }\n\
        static inline int g(int x) { n::S<int> s; return s.f(x) + 1; }\n\
        int main(int c, char **v) { int t = 0; for (int i = 0; i < c; i++) t += g(i); printf(\"%d %s\", t, *v); }\n";
    std::fs::write(&source, text).unwrap();
    let built = std::process::Command::new("g++").arg("-O2").arg("-g").arg(&source).arg("-o").arg(&program).status();
    let bytes = match built {
        Ok(status) if status.success() => std::fs::read(&program).unwrap(),
        _ => std::fs::read("/bin/true").unwrap(),
    };
    std::fs::remove_dir_all(&directory).unwrap();
    bytes
}

fn read_everything(bytes: Vec<u8>, random: &mut Random) {
    let image = Arc::new(Image::of_memory(bytes));
    let Some(elf) = parse_elf(&image) else { return };
    let mut loader = Loader::default();
    let mut cfi = loader.open(&image, &elf);
    let code = elf.segments.iter().find(|segment| segment.executable).copied();
    let (start, length) = code.map_or((0, 1), |code| (code.vaddr, code.file_bytes as usize));
    let addresses: Vec<u64> = (0..40).map(|_| start.wrapping_add(random.below(length) as u64)).collect();
    for &address in &addresses {
        loader.find(&mut cfi, address);
        elf.vaddr_of(address);
        elf.offset_of(address);
    }
    let pages = PageCache::new(64);
    find_symbols(&image, &elf, &["main", "_PyRuntime"]);
    let Some(file) = DebugFile::of(&image, &elf) else { return };
    for name in [".symtab", ".dynsym"] {
        let table = file.section(name).and_then(|table| Some((table, file.sections.get(table.link)?)));
        if let Some(symbols) = table.and_then(|(table, names)| ElfSymbols::read(&image, &pages, table, names)) {
            addresses.iter().filter_map(|&at| symbols.name(symbols.find(at)?)).for_each(|name| drop(demangle(&name)));
        }
    }
    debug_files::mini(&file);
    debug_files::separate(&file, &elf, "/nowhere/a");
    if let Some(mut lines) = dwarf::open(&file, &pages) {
        addresses.iter().for_each(|&address| drop(lines.find(address)));
    }
}

#[test]
fn elf_files() {
    let whole = small_program();
    let image = Image::of_memory(whole.clone());
    let elf = parse_elf(&image).unwrap();
    let sections = elf.sections(&image).unwrap();
    let interesting = |name: &str| name.starts_with(".eh_") || name.contains("sym") || name.starts_with(".debug_");
    let mut targets: Vec<(usize, usize)> = sections
        .iter()
        .filter(|section| interesting(&section.name))
        .map(|section| (section.offset as usize, section.bytes as usize))
        .collect();
    targets.push((0, 1024));
    hostile(0.6, |random| {
        let mut bytes = whole.clone();
        mutate(&mut bytes, &targets, random);
        read_everything(bytes, random);
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    let peak_mib = peak.trim().parse::<u64>().unwrap() >> 10;
    assert!(peak_mib < 512, "memory grew to {peak_mib} MiB");
}

#[test]
fn stacks() {
    let maps = parse_maps(&std::fs::read("/proc/self/maps").unwrap());
    let (pid, mut modules, mut places) = (std::process::id(), Modules::default(), Vec::new());
    let code: Vec<(u64, u64)> = maps.iter().map(|map| (map.start, map.end - map.start)).collect();
    hostile(0.1, |random| {
        let address = |random: &mut Random| {
            let (start, length) = code[random.below(code.len())];
            start + random.below(length as usize) as u64
        };
        let sp = 0x7ffd_0000_0000 + 8 * random.below(1000) as u64;
        let word = |random: &mut Random| match random.below(4) {
            0 => sp.wrapping_add(8 * random.below(600) as u64),
            1 => EXTREMES[random.below(8)],
            _ => address(random),
        };
        let mut registers = [0; DWARF_REGISTERS];
        registers.iter_mut().for_each(|register| *register = word(random));
        registers[SP] = sp;
        let bytes: Vec<u8> = (0..512).flat_map(|_| word(random).to_le_bytes()).collect();
        let stack = StackCopy { start: sp, bytes: &bytes, full: random.below(2) == 0 };
        places.clear();
        let modules = &mut modules;
        modules.live.start_drain();
        Walk::new(modules, &maps, pid, pid, stack).run(&registers, &mut places);
        assert!(places.len() <= 1024);
    });
}

/// A sample record: header, ip, pid tid, time, cpu, period, 2 kernel addresses, registers, 64 bytes of stack, cgroup.
fn sample_record() -> Vec<u8> {
    let mut words = vec![0x1000, (7 << 32) | 7, 123_456, 1, 1_000_000, 3, (-128i64).cast_unsigned(), 0xffff, 0xffff];
    words.push(2);
    words.extend(std::iter::repeat_n(0x7000, jobsight::arch::REGISTERS.len()));
    words.push(64);
    words.extend([1, 2, 3, 4, 5, 6, 7, 8, 64, 42]);
    let size = (words.len() * 8 + 8) as u16;
    let mut bytes = [9u32.to_le_bytes(), [1, 0, 0, 0]].concat();
    bytes[6..8].copy_from_slice(&size.to_le_bytes());
    bytes.extend(words.iter().flat_map(|word: &u64| word.to_le_bytes()));
    bytes
}

#[test]
fn records() {
    let attr = Attr { sample_type: SAMPLE_CGROUP, ..Attr::default() };
    assert!(parse_record(&sample_record(), &attr).is_some());
    hostile(0.1, |random| {
        for kind in [1u32, 2, 3, 4, 5, 7, 9, 9, 9, 10, 13, 19] {
            let mut bytes = sample_record();
            bytes[..4].copy_from_slice(&kind.to_le_bytes());
            mutate(&mut bytes, &[(0, 160)], random);
            parse_time(&bytes);
            let _ = parse_record(&bytes, &attr);
        }
    });
}

#[test]
fn texts_and_tables() {
    let map = "7f0c1c0030 a0 JS:*step /home/a/model.js:3:14\nffffffffffffffff ffffffffffffffff x\n10 0 empty\n";
    let symbols = "ffffffff81000000 T _text\nffffffffc0001000 t nfs_open\t[nfs]\n";
    let names = "_ZNSt6vectorIdSaIdEE9push_backERKd _RNvC6_123foo3bar __heat_MOD_step _ZN1aIJDpT_EE1bIS1_EEvv";
    hostile(0.2, |random| {
        let mut dump = vec![0u8; 200];
        dump.iter_mut().for_each(|byte| *byte = random.next() as u8);
        jitdump::parse_header(&dump);
        jitdump::parse_body(random.below(3) as u32, &dump);
        line_of(&dump, 1, random.next());
        for text in [map, symbols, names] {
            let mut bytes = text.as_bytes().to_vec();
            mutate(&mut bytes, &[], random);
            let text = String::from_utf8_lossy(&bytes);
            runtime::parse_map(&text).find(random.next());
            kallsyms::parse_kallsyms(&text).find(random.next());
            text.split(' ').for_each(|name| drop(demangle(name)));
        }
    });
}

/// A head that was let in, and a request that has it.
fn known_request() -> (Head, Vec<u8>) {
    let fields = ["Host", "a:1", "content-length", "3", "idempotency-key", "sender-one-1", "jobsight-sent-ms", "5"];
    let head = Head::of("/v1/metrics", &fields.map(String::from));
    let request = "POST /v1/metrics HTTP/1.1\r\nHost: a:1\r\ncontent-length: 4\r\nidempotency-key: sender-one-77\r\njobsight-sent-ms: 123\r\n\r\nbody";
    (head, request.as_bytes().to_vec())
}

#[test]
fn heads_of_requests() {
    let (head, request) = known_request();
    hostile(0.1, |random| {
        let mut bytes = request.clone();
        mutate(&mut bytes, &[(50, 80)], random);
        let Match::Is(found) = head.find(&bytes) else { return };
        let values = [found.batch, found.sent].map(|range| bytes[range].to_vec());
        assert!(values.iter().flatten().all(u8::is_ascii_graphic));
        let length = found.body_bytes.to_string();
        let again = format!(
            "POST /v1/metrics HTTP/1.1\r\nHost: a:1\r\ncontent-length: {length}\r\nidempotency-key: {}\r\njobsight-sent-ms: {}\r\n\r\n",
            String::from_utf8_lossy(&values[0]),
            String::from_utf8_lossy(&values[1])
        );
        // There is one way to write it.
        assert_eq!(again, String::from_utf8_lossy(&bytes[..found.body]));
    });
}

/// What does not reach a taker of requests is given back, to the byte.
#[test]
fn requests_on_a_socket() {
    hostile(0.1, |random| {
        let (head, mut bytes) = known_request();
        mutate(&mut bytes, &[], random);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut receiver = Receiver::open(100).unwrap();
        let id = receiver.add(ours.as_raw_fd(), vec![head]).unwrap();
        drop(ours);
        let (mut requests, mut given) = (Vec::new(), Vec::new());
        let cut = random.below(bytes.len() + 1);
        for part in [&bytes[..cut], &bytes[cut..]] {
            if given.is_empty() && theirs.write_all(part).is_err() {
                break;
            }
            let batch = receiver.read();
            for words in batch.requests.chunks(9) {
                requests.extend_from_slice(&batch.bytes[words[2] as usize..words[4] as usize]);
                receiver.answer(&[id], b"answer", false);
            }
            for words in batch.given.chunks(4) {
                given.extend_from_slice(&batch.bytes[words[2] as usize..words[3] as usize]);
                // SAFETY: it is ours now.
                drop(unsafe { OwnedFd::from_raw_fd(words[1] as i32) });
            }
        }
        let mut all = requests;
        all.extend_from_slice(&given);
        assert!(bytes.starts_with(&all), "{bytes:?} became {all:?}");
    });
}
