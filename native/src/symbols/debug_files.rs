//! Where the names of a stripped file are: a separate debug file, or the compressed table some distributions leave in it.
//! https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html
use crate::elf::{Elf, Section, parse_elf, u32_at};
use crate::image::{Image, open_regular};
use std::io::{Cursor, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xz4rust::{DICT_SIZE_MIN, XzDecoder, XzReader};

/// Bounds of what is decompressed into memory.
const MOST_DECOMPRESSED: usize = 32 << 20;
const MOST_DICTIONARY: usize = 16 << 20;
/// Files without a build id are old or home-made: larger ones are not looked through to the end.
const MOST_SUMMED: u64 = 64 << 20;
const ELFCOMPRESS_ZLIB: u32 = 1;

pub struct DebugFile {
    pub image: Arc<Image>,
    pub sections: Vec<Section>,
}

impl DebugFile {
    pub fn of(image: &Arc<Image>, elf: &Elf) -> Option<DebugFile> {
        Some(DebugFile { image: image.clone(), sections: elf.sections(image)? })
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

/// The separate debug file of `path`, found by build id or by name.
pub fn separate(file: &DebugFile, elf: &Elf, path: &str) -> Option<DebugFile> {
    let mut candidates = Vec::new();
    if elf.build_id.len() > 1 {
        let hex: String = elf.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        candidates.push(PathBuf::from(format!("/usr/lib/debug/.build-id/{}/{}.debug", &hex[..2], &hex[2..])));
    }
    let link = debug_link(file);
    if let (Some((link, _)), Some(directory)) = (&link, Path::new(path).parent()) {
        candidates.push(directory.join(link));
        candidates.push(directory.join(".debug").join(link));
        candidates.push(Path::new("/usr/lib/debug").join(directory.strip_prefix("/").unwrap_or(directory)).join(link));
    }
    let checksum = link.map(|(_, checksum)| checksum);
    let others = candidates.iter().filter(|candidate| candidate.as_os_str() != path);
    others.into_iter().find_map(|path| open(path, &elf.build_id, checksum))
}

fn open(path: &Path, build_id: &[u8], checksum: Option<u32>) -> Option<DebugFile> {
    let (file, identity) = open_regular(path).ok()?;
    let image = Arc::new(Image::of_file(file, identity, path.to_path_buf()));
    let elf = parse_elf(&image)?;
    // A debug file of another build would name everything wrongly.
    let same = elf.build_id == build_id && (!build_id.is_empty() || checksum == checksum_of(&image));
    if !same {
        return None;
    }
    DebugFile::of(&image, &elf)
}

/// The CRC-32 of a whole file, as .gnu_debuglink has it; None for what cannot be read or is larger than we look through.
fn checksum_of(image: &Image) -> Option<u32> {
    if image.bytes > MOST_SUMMED {
        return None;
    }
    let mut sum = !0u32;
    let mut block = vec![0; 1 << 16];
    let mut at = 0;
    while at < image.bytes {
        let read = image.read_at(at, &mut block);
        if read == 0 {
            return None;
        }
        for &byte in &block[..read] {
            sum = (0..8).fold(sum ^ u32::from(byte), |sum, _| sum >> 1 ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
        }
        at += read as u64;
    }
    Some(!sum)
}

/// .gnu_debuglink: a file name, and its checksum, which a build id makes unnecessary.
fn debug_link(file: &DebugFile) -> Option<(String, u32)> {
    let section = file.section(".gnu_debuglink")?;
    let bytes = file.image.part(section.offset, section.bytes, 4096)?;
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let checksum = u32_at(&bytes, (end + 1).next_multiple_of(4))?;
    (!name.is_empty() && !name.contains('/')).then(|| (name.to_string(), checksum))
}

/// .gnu_debugdata: an ELF file with nothing but function symbols, compressed by xz. (Fedora, RHEL.)
pub fn mini(file: &DebugFile) -> Option<DebugFile> {
    let section = file.section(".gnu_debugdata")?;
    let compressed = file.image.part(section.offset, section.bytes, MOST_DECOMPRESSED as u64)?;
    let decoder = XzDecoder::in_heap_with_alloc_dict_size(DICT_SIZE_MIN, MOST_DICTIONARY);
    let reader =
        XzReader::new_with_buffer_size_and_decoder(Cursor::new(compressed), NonZeroUsize::new(1 << 16)?, decoder);
    let mut bytes = Vec::new();
    reader.take(MOST_DECOMPRESSED as u64).read_to_end(&mut bytes).ok()?;
    let image = Arc::new(Image::of_memory(bytes));
    let elf = parse_elf(&image)?;
    DebugFile::of(&image, &elf)
}

/// The content of a section compressed by zlib (gcc -gz); None for what is larger than we hold or compressed otherwise.
pub fn inflate(file: &DebugFile, section: &Section) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 24;
    let bytes = file.image.part(section.offset, section.bytes, MOST_DECOMPRESSED as u64)?;
    if u32_at(&bytes, 0)? != ELFCOMPRESS_ZLIB {
        return None;
    }
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(bytes.get(HEADER_BYTES..)?, MOST_DECOMPRESSED).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_like_gdb() {
        assert_eq!(checksum_of(&Image::of_memory(b"123456789".to_vec())), Some(0xcbf4_3926));
        assert_eq!(checksum_of(&Image::of_memory(Vec::new())), Some(0));
    }
}
