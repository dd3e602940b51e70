//! What the walk did at an address the last time: one look instead of a search through maps, functions and rows.
use super::cfi::Row;
use super::frame::Place;

#[derive(Clone, Copy)]
pub enum Step {
    Row(Row),
    FramePointer,
}

/// A cache line: the walk finds few of its own left in the cache each time it wakes.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    pc: u64,
    /// Of the maps the address belongs to; 0 while empty.
    maps: u64,
    place: Place,
    step: Step,
}

/// Direct-mapped by address. 1 MiB.
pub struct Steps {
    slots: Vec<Slot>,
}

const SLOTS: usize = 1 << SLOTS_LOG2;
const SLOTS_LOG2: u32 = 14;
const EMPTY: Slot = Slot { pc: 0, maps: 0, place: Place { binary: 0, address: 0 }, step: Step::FramePointer };

impl Default for Steps {
    fn default() -> Self {
        Steps { slots: vec![EMPTY; SLOTS] }
    }
}

fn index(maps: u64, pc: u64) -> usize {
    let spread = (pc ^ maps.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> (64 - SLOTS_LOG2)) as usize
}

impl Steps {
    pub fn get(&self, maps: u64, pc: u64) -> Option<(Place, Step)> {
        let slot = &self.slots[index(maps, pc)];
        (slot.pc == pc && slot.maps == maps).then_some((slot.place, slot.step))
    }

    pub fn put(&mut self, maps: u64, pc: u64, place: Place, step: Step) {
        self.slots[index(maps, pc)] = Slot { pc, maps, place, step };
    }

    /// Called from time to time: modules that are used are looked for then, and stay known.
    pub fn clear(&mut self) {
        self.slots.fill(EMPTY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_cache_line_and_belongs_to_its_maps() {
        assert_eq!(size_of::<Slot>(), 64);
        let mut steps = Steps::default();
        let place = Place { binary: 3, address: 0x1234 };
        steps.put(7, 0x5000, place, Step::FramePointer);
        assert!(steps.get(7, 0x5000).is_some_and(|(known, _)| known == place));
        assert!(steps.get(8, 0x5000).is_none() && steps.get(7, 0x5001).is_none());
        steps.clear();
        assert!(steps.get(7, 0x5000).is_none());
    }
}
