//! The jitdump format: what a JIT tells perf of its code, with the code itself.
//! https://github.com/torvalds/linux/blob/master/tools/perf/Documentation/jitdump-specification.txt
use crate::elf::{u32_at, u64_at};

const MAGIC: u32 = 0x4a69_5444;
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;
pub const RECORD_HEADER_BYTES: usize = 16;
/// Fields of a load record before its name.
const LOAD_BYTES: usize = 40;
const LONGEST_NAME: usize = 4096;

/// Size of the file's header; None when this is no jitdump of this byte order.
pub fn parse_header(bytes: &[u8]) -> Option<u32> {
    (u32_at(bytes, 0)? == MAGIC).then(|| u32_at(bytes, 8)).flatten().filter(|&size| (40..4096).contains(&size))
}

#[derive(Debug, PartialEq)]
pub enum JitRecord {
    Load { start: u64, bytes: u64, name: String },
    Move { from: u64, to: u64, bytes: u64 },
    Other,
}

/// Kind and size of a record from its header; None for the unwritten rest of the file.
pub fn parse_record_header(bytes: &[u8]) -> Option<(u32, usize)> {
    let size = u32_at(bytes, 4)? as usize;
    (size >= RECORD_HEADER_BYTES).then_some((u32_at(bytes, 0)?, size))
}

/// `body` is as much of the record behind its header as was read: the name, not the code.
pub fn parse_body(kind: u32, body: &[u8]) -> Option<JitRecord> {
    Some(match kind {
        CODE_LOAD => {
            let name = body.get(LOAD_BYTES..)?;
            let end = name.iter().position(|&byte| byte == 0)?.min(LONGEST_NAME);
            let name = String::from_utf8_lossy(&name[..end]).into_owned();
            JitRecord::Load { start: u64_at(body, 16)?, bytes: u64_at(body, 24)?, name }
        }
        CODE_MOVE => JitRecord::Move { from: u64_at(body, 16)?, to: u64_at(body, 24)?, bytes: u64_at(body, 32)? },
        _ => JitRecord::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_loads_and_moves() {
        let mut load = [7u32, 7].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        load.extend([0u64, 0x1000, 64, 1].iter().flat_map(|word| word.to_le_bytes()));
        load.extend(b"sum\0\x90\x90");
        assert_eq!(
            parse_body(CODE_LOAD, &load),
            Some(JitRecord::Load { start: 0x1000, bytes: 64, name: "sum".into() })
        );
        assert_eq!(parse_body(CODE_LOAD, &load[..41]), None);
        assert_eq!(parse_header(&[0; 40]), None);
        assert_eq!(parse_record_header(&[0; 16]), None);
    }
}
