//! From the cgroup id in a sample to the cgroup's path.
use rustc_hash::FxHashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the hierarchy that perf's cgroup ids belong to may be mounted: v2, v2 beside v1, v1's perf_event controller.
const MOUNTS: [&str; 3] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/perf_event", "/sys/fs/cgroup"];
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

/// The directory of a cgroup, wherever its hierarchy is mounted.
pub fn directory(path: &str) -> Option<PathBuf> {
    MOUNTS.iter().map(|mount| PathBuf::from(format!("{mount}{path}"))).find(|directory| directory.is_dir())
}

/// /proc/PID/cgroup -> the path in the hierarchy of the perf_event controller: v1's where that is mounted, else v2's.
pub fn parse_cgroup(text: &str) -> Option<&str> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "perf_event"));
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
