//! Which entry of `.eh_frame` an address belongs to.
use crate::elf::u32_at;
use crate::image::Image;

/// Where functions start, ascending, and the offset of their entry in .eh_frame.
pub enum Search {
    InFile(InFile),
    Listed(Vec<(u64, u64)>),
}

/// The search table of .eh_frame_hdr: pairs of 32-bit offsets from .eh_frame_hdr, read a block at a time. The first key of
/// each block that was looked at is remembered, so that a search costs one read of the file once it is warm.
pub struct InFile {
    /// File offset of the pairs.
    offset: u64,
    count: usize,
    /// Addresses of .eh_frame_hdr and .eh_frame.
    header: u64,
    frames: u64,
    first_keys: Vec<Option<u64>>,
    block: (usize, Vec<u8>),
}

/// DW_EH_PE_pcrel | sdata4, udata4, datarel | sdata4: what every linker writes.
const USUAL_ENCODINGS: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const HEADER_BYTES: u64 = 12;
const PAIR_BYTES: usize = 8;
const PAIRS_A_BLOCK: usize = 512;
const NO_BLOCK: usize = usize::MAX;

/// (start of the function at or below pc, its entry, start of the next function); no entry below the first.
type Around = (u64, Option<u64>, u64);

impl InFile {
    /// None for a header of another shape than linkers write.
    pub fn open(image: &Image, offset: u64, bytes: u64, header: u64, frames: u64) -> Option<InFile> {
        let head = image.part(offset, HEADER_BYTES, HEADER_BYTES)?;
        if head[..4] != USUAL_ENCODINGS {
            return None;
        }
        let room = bytes.saturating_sub(HEADER_BYTES).min(image.bytes) as usize / PAIR_BYTES;
        let count = (u32_at(&head, 8)? as usize).min(room);
        let first_keys = vec![None; count.div_ceil(PAIRS_A_BLOCK)];
        Some(InFile { offset: offset + HEADER_BYTES, count, header, frames, first_keys, block: (NO_BLOCK, Vec::new()) })
    }

    fn address(&self, bytes: &[u8], at: usize) -> Option<u64> {
        Some(self.header.wrapping_add_signed(i64::from(u32_at(bytes, at)?.cast_signed())))
    }

    fn read(&self, image: &Image, pair: usize, pairs: usize) -> Option<Vec<u8>> {
        let (at, bytes) = (self.offset + (pair * PAIR_BYTES) as u64, (pairs * PAIR_BYTES) as u64);
        image.part(at, bytes, (PAIRS_A_BLOCK * PAIR_BYTES) as u64)
    }

    fn first_key(&mut self, image: &Image, block: usize) -> Option<u64> {
        if let Some(key) = self.first_keys[block] {
            return Some(key);
        }
        let key = self.address(&self.read(image, block * PAIRS_A_BLOCK, 1)?, 0)?;
        self.first_keys[block] = Some(key);
        Some(key)
    }

    fn around(&mut self, pc: u64, image: &Image) -> Option<Around> {
        let (mut low, mut high) = (0, self.first_keys.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.first_key(image, middle)? <= pc { low = middle + 1 } else { high = middle }
        }
        let after_block = if low < self.first_keys.len() { self.first_key(image, low)? } else { u64::MAX };
        let Some(block) = low.checked_sub(1) else { return Some((0, None, after_block)) };
        if self.block.0 != block {
            let first = block * PAIRS_A_BLOCK;
            self.block = (block, self.read(image, first, PAIRS_A_BLOCK.min(self.count - first))?);
        }
        let bytes = &self.block.1;
        let key = |pair: usize| self.address(bytes, pair * PAIR_BYTES);
        let (mut low, mut high) = (0, bytes.len() / PAIR_BYTES);
        while low < high {
            let middle = low + (high - low) / 2;
            if key(middle)? <= pc { low = middle + 1 } else { high = middle }
        }
        let pair = low.checked_sub(1)?;
        let entry = self.address(bytes, pair * PAIR_BYTES + 4)?.checked_sub(self.frames)?;
        let next = if low < bytes.len() / PAIR_BYTES { key(low)? } else { after_block };
        Some((key(pair)?, Some(entry), next))
    }
}

impl Search {
    /// None when the file cannot be read.
    pub fn around(&mut self, pc: u64, image: &Image) -> Option<Around> {
        match self {
            Search::InFile(table) => table.around(pc, image),
            Search::Listed(list) => {
                let after = list.partition_point(|(start, _)| *start <= pc);
                let next = list.get(after).map_or(u64::MAX, |(start, _)| *start);
                let Some(index) = after.checked_sub(1) else { return Some((0, None, next)) };
                Some((list[index].0, Some(list[index].1), next))
            }
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Search::InFile(table) => table.first_keys.len() * size_of::<Option<u64>>() + table.block.1.len(),
            Search::Listed(list) => list.len() * size_of::<(u64, u64)>(),
        }
    }
}
