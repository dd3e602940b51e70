//! A cache with a hard cap in bytes that forgets what was not used lately, without the lists of an exact LRU.
//!
//! ```text
//!   young: what was asked for since it was last emptied      full: old is dropped, young becomes old
//!   old:   what was asked for in the time before that        asked for: moves to young
//! ```
use rustc_hash::FxHashMap;
use std::hash::Hash;

pub struct TwoGenerations<K, V> {
    young: FxHashMap<K, (V, usize)>,
    old: FxHashMap<K, (V, usize)>,
    young_bytes: usize,
    cap_bytes: usize,
}

impl<K: Hash + Eq, V> TwoGenerations<K, V> {
    /// Both generations together stay below `cap_bytes`, as its users count bytes.
    pub fn new(cap_bytes: usize) -> Self {
        TwoGenerations { young: FxHashMap::default(), old: FxHashMap::default(), young_bytes: 0, cap_bytes }
    }

    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, (value, bytes)) = self.old.remove_entry(key)?;
            self.insert(key, value, bytes);
        }
        self.young.get_mut(key).map(|(value, _)| value)
    }

    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        if self.young_bytes + bytes > self.cap_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (value, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used() {
        let mut cache = TwoGenerations::new(40);
        for key in 0..100 {
            cache.insert(key, key * 10, 10);
            assert_eq!(cache.get(&0).copied(), Some(0), "at {key}");
        }
        assert_eq!(cache.get(&50), None);
        assert_eq!(cache.get(&99).copied(), Some(990));
        assert!(cache.young.len() + cache.old.len() <= 4);
    }
}
