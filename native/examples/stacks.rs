//! Samples this node for a while and prints folded stacks: `stacks [seconds] [hz] [pid]`, or of
//! one cgroup: `CGROUP=/path stacks …`. For looking, and for benches
//! without Node.
use jobsight::perf::open::{Target, Wanted};
use jobsight::sampler::Sampler;
use jobsight::sampler::session::SessionOptions;
use jobsight::symbols::window::Window;
use std::time::{Duration, Instant};

fn print(window: &Window, only: Option<u32>) {
    for sample in 0..window.sample_count.len() {
        let process = &window.processes[window.sample_process[sample] as usize];
        if only.is_some_and(|pid| pid != process.pid) {
            continue;
        }
        let stack = window.sample_stack[sample] as usize;
        let frames =
            &window.stack_frames[window.stack_offsets[stack] as usize..window.stack_offsets[stack + 1] as usize];
        let name = |&frame: &u32| &*window.strings[window.frame_function[frame as usize] as usize];
        let names: Vec<&str> = frames.iter().rev().map(name).collect();
        let thread = &window.strings[window.sample_thread[sample] as usize];
        println!("{}/{thread};{} {}", process.name, names.join(";"), window.sample_count[sample]);
    }
}

/// Of this process, from /proc/self/status: VmRSS, RssAnon.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_string();
    format!("RSS {} (anonymous {})", line("VmRSS:"), line("RssAnon:"))
}

/// CPU time of each of our threads until now.
fn threads() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let one = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let ns: f64 = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        format!("{} {:.1} ms", read("comm").trim(), ns / 1e6)
    };
    tasks.map(one).collect::<Vec<_>>().join(", ")
}

fn main() {
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse::<u32>().ok());
    let (seconds, hz, only) = (argument(1).unwrap_or(5), argument(2).unwrap_or(99), argument(3));
    let cgroup = std::env::var("CGROUP").ok();
    let target = cgroup.map_or(Target::Node, |path| jobsight::cgroups::target(&path).expect("a cgroup"));
    let wanted = Wanted { hz, stack_bytes: 16 << 10, include_idle: false, side_band: true, target };
    let window_ns = u64::from(seconds.min(10)) * 1_000_000_000;
    let mut sampler = Sampler::start().expect("threads");
    let first_window_ns = window_ns;
    let options = SessionOptions { wanted, window_ns, first_window_ns, burst: String::new(), duration_ns: None };
    let clock = sampler.open_session(options).expect("a session").clock;
    let (start, mut seen_ms) = (Instant::now(), 0.0);
    // Names come later than samples on a busy machine.
    while seen_ms < f64::from(seconds) * 1e3 && start.elapsed() < Duration::from_secs(u64::from(seconds) + 30) {
        std::thread::sleep(Duration::from_millis(100));
        for window in sampler.drain() {
            seen_ms += window.end_ms - window.start_ms;
            print(&window, only);
            let c = window.counters;
            eprintln!(
                "{clock} {hz} Hz: {} samples, {} lost, {} truncated, {} extended, {} unfinished, {:.2} % of frames named, \
                 {:.2} us a sample, {}, {}",
                c.samples,
                c.lost,
                c.truncated,
                c.extended,
                c.unfinished,
                100.0 * c.named_frames as f64 / c.frames.max(1) as f64,
                c.own_cpu_ns as f64 / 1e3 / c.samples.max(1) as f64,
                memory(),
                threads()
            );
        }
    }
}
