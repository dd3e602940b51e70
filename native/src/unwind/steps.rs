//! What the walk did at an address the last time: one look instead of a search through maps, functions and rows.
use super::cfi::Row;
use super::frame::Place;

#[derive(Clone, Copy)]
pub enum Step {
    Row(Row),
    FramePointer,
}

#[derive(Clone, Copy)]
struct Slot {
    pc: u64,
    /// Of the maps the address belongs to; 0 while empty.
    maps: u64,
    place: Place,
    step: Step,
}

/// Direct-mapped by address. 256 KiB.
pub struct Steps {
    slots: Vec<Slot>,
}

const SLOTS: usize = 4096;
const EMPTY: Slot = Slot { pc: 0, maps: 0, place: Place { binary: 0, address: 0 }, step: Step::FramePointer };

impl Default for Steps {
    fn default() -> Self {
        Steps { slots: vec![EMPTY; SLOTS] }
    }
}

fn index(maps: u64, pc: u64) -> usize {
    let spread = (pc ^ maps.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> 52) as usize & (SLOTS - 1)
}

impl Steps {
    pub fn get(&self, maps: u64, pc: u64) -> Option<(Place, Step)> {
        let slot = &self.slots[index(maps, pc)];
        (slot.pc == pc && slot.maps == maps).then_some((slot.place, slot.step))
    }

    pub fn put(&mut self, maps: u64, pc: u64, place: Place, step: Step) {
        self.slots[index(maps, pc)] = Slot { pc, maps, place, step };
    }

    /// Called once a window: modules that are used are looked for then, and stay known.
    pub fn clear(&mut self) {
        self.slots.fill(EMPTY);
    }
}
