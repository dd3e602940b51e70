//! A cache with a cap in bytes, of few values of many sizes: what was not asked for the longest goes first.
use rustc_hash::FxHashMap;
use std::hash::Hash;

pub struct LeastRecent<K, V> {
    entries: FxHashMap<K, Entry<V>>,
    bytes: usize,
    cap_bytes: usize,
    /// Counts what was asked for.
    asked: u64,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    asked: u64,
}

impl<K: Hash + Eq + Copy, V> LeastRecent<K, V> {
    /// All stay below `cap_bytes`, as its users count bytes, but for one that is larger alone.
    pub fn new(cap_bytes: usize) -> Self {
        LeastRecent { entries: FxHashMap::default(), bytes: 0, cap_bytes, asked: 0 }
    }

    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        self.asked += 1;
        let entry = self.entries.get_mut(key)?;
        entry.asked = self.asked;
        Some(&mut entry.value)
    }

    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        self.asked += 1;
        self.bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, asked: self.asked });
        self.forget();
    }

    /// The value of a key that was just asked for takes `bytes` now.
    pub fn resize(&mut self, key: &K, bytes: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        self.forget();
    }

    pub fn remove(&mut self, key: &K) {
        self.bytes -= self.entries.remove(key).map_or(0, |entry| entry.bytes);
    }

    fn forget(&mut self) {
        while self.bytes > self.cap_bytes && self.entries.len() > 1 {
            let Some(&oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.asked).map(|(key, _)| key) else {
                return;
            };
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_asked_for_last() {
        let mut cache = LeastRecent::new(40);
        for key in 0..100 {
            cache.insert(key, key * 10, 10);
            assert_eq!(cache.get(&0).copied(), Some(0), "at {key}");
        }
        assert_eq!(cache.get(&50), None);
        assert_eq!(cache.get(&99).copied(), Some(990));
        assert_eq!((cache.entries.len(), cache.bytes), (4, 40));
    }

    #[test]
    fn what_grows_takes_the_place_of_others_but_stays() {
        let mut cache = LeastRecent::new(40);
        for key in 0..4 {
            cache.insert(key, (), 10);
        }
        cache.get(&1);
        cache.resize(&1, 30);
        assert_eq!(cache.entries.keys().copied().collect::<std::collections::BTreeSet<_>>(), [1, 3].into());
        cache.resize(&1, 100);
        assert_eq!((cache.entries.len(), cache.bytes), (1, 100));
        cache.remove(&1);
        assert_eq!(cache.bytes, 0);
    }
}
