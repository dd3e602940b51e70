//! From the cgroup id in a sample to the cgroup's path.
use crate::perf::open::Target;
use rustc_hash::FxHashMap;
use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt;

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the hierarchy that perf's cgroup ids belong to may be mounted: v2, v2 beside v1, v1's perf_event controller.
const MOUNTS: [&str; 3] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/perf_event", "/sys/fs/cgroup"];
const ROOT: &str = "/sys/fs/cgroup";
const MOST: usize = 16_384;

#[derive(Default)]
pub struct Cgroups {
    paths: FxHashMap<u64, Arc<str>>,
}

impl Cgroups {
    /// The kernel told of a new cgroup (PERF_RECORD_CGROUP).
    pub fn insert(&mut self, id: u64, path: &str) {
        if self.paths.len() >= MOST {
            self.paths.clear();
        }
        self.paths.insert(id, path.into());
    }

    /// The path of a cgroup that `pid` is in; '' when nobody knows.
    pub fn path(&mut self, id: u64, pid: u32) -> Arc<str> {
        if let Some(path) = self.paths.get(&id) {
            return path.clone();
        }
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let path = parse_cgroup(&text).unwrap_or_default();
        // The process may have moved since: only what the file system confirms is remembered.
        let inode = |mount: &&str| std::fs::metadata(format!("{mount}{path}")).is_ok_and(|meta| meta.ino() == id);
        if !path.is_empty() && MOUNTS.iter().any(inode) {
            self.insert(id, path);
        }
        path.into()
    }
}

/// What is to be sampled for a cgroup. Perf events know the one hierarchy that their controller belongs to; of a cgroup of
/// another (Slurm's freezer, a v2 path beside a mounted perf_event) the processes in it are taken.
pub fn target(path: &str) -> Result<Target, String> {
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!("{path} is no path of a cgroup: give it as /proc/PID/cgroup shows it"));
    }
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let is_v1 = own.lines().any(|line| line.split(':').nth(1).is_some_and(is_perf_event));
    let [unified, v1, v2] = MOUNTS;
    let known = if is_v1 { v1 } else { [unified, v2][usize::from(!Path::new(unified).is_dir())] };
    let directory = |mount: &str| Some(PathBuf::from(format!("{mount}{path}"))).filter(|place| place.is_dir());
    if path == "/" {
        return Ok(Target::Node);
    }
    if let Some(found) = directory(known) {
        return Ok(Target::Cgroup(found));
    }
    let hierarchies = std::fs::read_dir(ROOT).map_err(|error| format!("{ROOT} cannot be read: {error}"))?;
    let places: Vec<PathBuf> = hierarchies.flatten().filter_map(|entry| directory(entry.path().to_str()?)).collect();
    let mut pids: Vec<u32> = places.iter().flat_map(|place| processes_in(place)).collect();
    pids.sort_unstable();
    pids.dedup();
    match (places.is_empty(), pids.is_empty()) {
        (true, _) => Err(format!("there is no cgroup {path} under {ROOT}")),
        (_, true) => Err(format!("the cgroup {path} has no processes")),
        _ => Ok(Target::Processes(pids)),
    }
}

/// Of a cgroup and those below it.
fn processes_in(directory: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let below = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_directory = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    pids.extend(below.filter(is_directory).flat_map(|entry| processes_in(&entry.path())));
    pids
}

fn is_perf_event(controllers: &str) -> bool {
    controllers.split(',').any(|name| name == "perf_event")
}

/// /proc/PID/cgroup -> the path in the hierarchy of the perf_event controller: v1's where that is mounted, else v2's.
pub fn parse_cgroup(text: &str) -> Option<&str> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines().find(|(controllers, _)| is_perf_event(controllers));
    v1.or_else(|| lines().find(|(controllers, _)| controllers.is_empty())).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_hierarchy_of_perf_event() {
        let hybrid = "4:memory:/slurm/job_1\n3:perf_event:/p\n0::/system.slice/slurmd.service\n";
        assert_eq!(parse_cgroup(hybrid), Some("/p"));
        assert_eq!(parse_cgroup("4:memory:/slurm/job_1\n0::/a:b\n"), Some("/a:b"));
        assert_eq!(parse_cgroup("nonsense"), None);
    }
}
