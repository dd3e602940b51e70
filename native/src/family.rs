//! Which processes a session looks at: those it was told of, and all that descend from them.
//!
//! ```text
//!   before the session   /proc/PID/stat names each parent     srun(7) ── app(9) ── app(12)
//!   while it runs        FORK records, in the order of time                 └──── sh(15) ── gzip(16)
//! ```
use rustc_hash::{FxHashMap, FxHashSet};

/// The families of all sessions that have one.
#[derive(Default)]
pub struct Families(Vec<(u32, FxHashSet<u32>)>);

impl Families {
    pub fn watch(&mut self, session: u32, pids: &[u32]) {
        self.0.push((session, pids.iter().copied().collect()));
    }

    pub fn forget(&mut self, session: u32) {
        self.0.retain(|(known, _)| *known != session);
    }

    /// A pid that is given again belongs to whoever forked it now.
    pub fn forked(&mut self, pid: u32, parent: u32) {
        for (_, pids) in &mut self.0 {
            if pids.contains(&parent) {
                pids.insert(pid);
            } else {
                pids.remove(&pid);
            }
        }
    }

    /// Whether the session wants to hear of this process: one without a family wants to hear of all.
    pub fn has(&self, session: u32, pid: u32) -> bool {
        self.0.iter().find(|(known, _)| *known == session).is_none_or(|(_, pids)| pids.contains(&pid))
    }
}

/// Those of `roots` that live, and all that descend from them.
pub fn descendants(roots: &[u32]) -> Vec<u32> {
    let mut children: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for pid in numbers("/proc") {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = parse_parent(&String::from_utf8_lossy(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let alive = |pid: &&u32| std::fs::exists(format!("/proc/{pid}")).unwrap_or(false);
    let mut found: Vec<u32> = roots.iter().filter(alive).copied().collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        // Each list is taken once, so that this ends whatever /proc says.
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found.sort_unstable();
    found.dedup();
    found
}

pub fn threads(pid: u32) -> Vec<u32> {
    numbers(&format!("/proc/{pid}/task"))
}

fn numbers(directory: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The name in brackets may hold blanks and brackets itself: what counts follows the last one.
fn parse_parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_belong_to_the_family_of_their_parent() {
        let mut families = Families::default();
        families.watch(3, &[7]);
        families.forked(8, 7);
        families.forked(9, 8);
        families.forked(10, 1);
        let known: Vec<u32> = (7..11).filter(|&pid| families.has(3, pid)).collect();
        assert_eq!(known, [7, 8, 9]);
        families.forked(8, 1);
        assert!(!families.has(3, 8));
        assert!(families.has(1, 8), "a session without a family takes all");
        families.forget(3);
        assert!(families.has(3, 8));
    }

    #[test]
    fn finds_who_descends_from_a_process() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let found = |least| {
            (0..500).find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                Some(descendants(&[child.id(), u32::MAX])).filter(|pids| pids.len() >= least)
            })
        };
        let pids = found(2).unwrap_or_default();
        for pid in pids.iter().rev() {
            // SAFETY: kills what this test started.
            unsafe { libc::kill(*pid as i32, libc::SIGKILL) };
        }
        child.wait().unwrap();
        assert_eq!(pids.len(), 2);
        assert!(pids.contains(&child.id()));
        assert_eq!(parse_parent("7 (a) b (c)) S 5 7"), Some(5));
    }
}
