//! A gimli Reader over a part of an Image that keeps only a few pages of it in memory, so that a binary with gigabytes
//! of debug information costs what is looked at and not more.
use crate::image::Image;
use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
/// No string or block in a well-formed file is longer; a sparse file of zeros must not make us read all of it.
const LONGEST_SLICE: usize = 1 << 20;

/// Direct-mapped: page p of an image lies in slot hash(p, image) or nowhere.
pub struct PageCache {
    slots: Vec<Slot>,
}

struct Slot {
    /// Address of the image and number of the page; (0, 0) while empty.
    key: (usize, u64),
    length: usize,
    bytes: Vec<u8>,
}

impl PageCache {
    /// `pages` is a power of two; memory is taken as pages come.
    pub fn new(pages: usize) -> Rc<RefCell<PageCache>> {
        let mut slots = Vec::new();
        slots.resize_with(pages, || Slot { key: (0, 0), length: 0, bytes: Vec::new() });
        Rc::new(RefCell::new(PageCache { slots }))
    }

    fn page(&mut self, image: &Arc<Image>, number: u64) -> &[u8] {
        let key = (Arc::as_ptr(image) as usize, number);
        let spread = (key.0 as u64 >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let index = (number.wrapping_add(spread)) as usize & (self.slots.len() - 1);
        let slot = &mut self.slots[index];
        if slot.key != key {
            slot.bytes.resize(PAGE_BYTES, 0);
            slot.length = image.read_at(number * PAGE_BYTES as u64, &mut slot.bytes[..]);
            slot.key = key;
        }
        &slot.bytes[..slot.length]
    }

    /// Forgets all pages: the address of an image that is dropped may be given to another.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.key = (0, 0);
        }
    }
}

struct Source {
    image: Arc<Image>,
    cache: Rc<RefCell<PageCache>>,
}

#[derive(Clone)]
pub struct Paged {
    source: Rc<Source>,
    /// File offsets.
    start: u64,
    end: u64,
}

impl fmt::Debug for Paged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Paged({:#x}..{:#x})", self.start, self.end)
    }
}

impl Paged {
    /// The bytes `offset .. offset + bytes` of the image, as far as the image goes.
    pub fn new(image: &Arc<Image>, cache: &Rc<RefCell<PageCache>>, offset: u64, bytes: u64) -> Paged {
        let start = offset.min(image.bytes);
        let end = start.saturating_add(bytes).min(image.bytes);
        Paged { source: Rc::new(Source { image: image.clone(), cache: cache.clone() }), start, end }
    }

    /// Copies bytes from file offset `at`; they must be there.
    fn copy(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.end) {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        let mut cache = self.source.cache.borrow_mut();
        let mut done = 0;
        while done < buffer.len() {
            let position = at + done as u64;
            let page = cache.page(&self.source.image, position / PAGE_BYTES as u64);
            let Some(rest) = page.get((position % PAGE_BYTES as u64) as usize..).filter(|rest| !rest.is_empty()) else {
                return Err(Error::Io);
            };
            let length = rest.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
        }
        Ok(())
    }
}

impl Reader for Paged {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    fn empty(&mut self) {
        self.end = self.start;
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        if len > self.len() {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        self.end = self.start + len as u64;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start.wrapping_sub(base.start) as usize
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        (id.0 >= self.start && id.0 <= self.end).then(|| (id.0 - self.start) as usize)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut cache = self.source.cache.borrow_mut();
        let last = self.end.min(self.start + LONGEST_SLICE as u64);
        let mut at = self.start;
        while at < last {
            let page = cache.page(&self.source.image, at / PAGE_BYTES as u64);
            let from = (at % PAGE_BYTES as u64) as usize;
            let to = page.len().min(from + (last - at) as usize);
            let Some(part) = page.get(from..to).filter(|part| !part.is_empty()) else { break };
            if let Some(found) = part.iter().position(|&b| b == byte) {
                return Ok((at - self.start) as usize + found);
            }
            at += part.len() as u64;
        }
        Err(Error::UnexpectedEof(self.offset_id()))
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        if len > self.len() {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        self.start += len as u64;
        Ok(())
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        let mut front = self.clone();
        front.truncate(len)?;
        self.start += len as u64;
        Ok(front)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        if self.len() > LONGEST_SLICE {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        let mut bytes = vec![0; self.len()];
        self.copy(self.start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        match String::from_utf8(self.to_slice()?.into_owned()) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(Error::BadUtf8),
        }
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Ok(Cow::Owned(String::from_utf8_lossy(&self.to_slice()?).into_owned()))
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.copy(self.start, buffer)?;
        self.start += buffer.len() as u64;
        Ok(())
    }
}
