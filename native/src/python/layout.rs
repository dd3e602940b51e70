//! Where CPython keeps what: constant within a minor version for 3.11 and 3.12, told by the process itself since 3.13
//! (`_Py_DebugOffsets` at the start of _PyRuntime).
use crate::elf::u64_at;

/// Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    pub interpreters_head: u64,
    pub interpreter_next: u64,
    pub threads_head: u64,
    pub thread_next: u64,
    pub native_thread_id: u64,
    /// 3.11, 3.12: the thread state's C frame, which holds the current frame at the second offset.
    pub cframe: Option<(u64, u64)>,
    /// 3.13: the current frame is in the thread state.
    pub current_frame: u64,
    pub frame_code: usize,
    pub frame_previous: usize,
    pub frame_instruction: usize,
    pub frame_owner: usize,
    /// 3.11: the frame that a C evaluation began with says so. Later such an evaluation begins with a frame of its own.
    pub frame_is_entry: Option<usize>,
    pub code_filename: usize,
    pub code_qualname: usize,
    pub code_linetable: usize,
    pub code_first_line: usize,
    pub code_instructions: u64,
    /// Size of the head of a unicode object: its characters follow, for ASCII and for the rest.
    pub ascii_bytes: u64,
    pub unicode_bytes: u64,
}

/// Bytes of _Py_DebugOffsets that are looked at.
pub const DEBUG_OFFSETS_BYTES: usize = 384;
/// An owner of a frame that stands for an evaluation in C, and for no Python function.
pub const OWNED_BY_C: u8 = 3;

const V3_11: Layout = Layout {
    interpreters_head: 40,
    interpreter_next: 0,
    threads_head: 16,
    thread_next: 8,
    native_thread_id: 160,
    cframe: Some((56, 8)),
    current_frame: 0,
    frame_code: 32,
    frame_previous: 48,
    frame_instruction: 56,
    frame_owner: 69,
    frame_is_entry: Some(68),
    code_filename: 112,
    code_qualname: 128,
    code_linetable: 136,
    code_first_line: 72,
    code_instructions: 184,
    ascii_bytes: 48,
    unicode_bytes: 72,
};

const V3_12: Layout = Layout {
    threads_head: 72,
    native_thread_id: 144,
    cframe: Some((56, 0)),
    frame_code: 0,
    frame_previous: 8,
    frame_owner: 70,
    frame_is_entry: None,
    code_first_line: 68,
    code_instructions: 192,
    ascii_bytes: 40,
    unicode_bytes: 56,
    ..V3_11
};

/// `runtime` is the start of _PyRuntime. None for a version that is not known, whose frames stay native.
pub fn layout_of(version: u64, runtime: &[u8]) -> Option<Layout> {
    match version >> 16 {
        0x030b => Some(V3_11),
        0x030c => Some(V3_12),
        0x030d => parse_debug_offsets(runtime),
        _ => None,
    }
}

/// 3.13: cookie, version, free_threaded, then tables of offsets, each of which begins with a size.
fn parse_debug_offsets(bytes: &[u8]) -> Option<Layout> {
    if bytes.get(..8)? != b"xdebugpy" {
        return None;
    }
    let word = |index: usize| u64_at(bytes, index * 8).filter(|&offset| offset < 1 << 24);
    let at = |index: usize| word(index).map(|offset| offset as usize);
    const RUNTIME: usize = 3;
    const INTERPRETER: usize = RUNTIME + 3;
    const THREAD: usize = INTERPRETER + 13;
    const FRAME: usize = THREAD + 9;
    const CODE: usize = FRAME + 6;
    Some(Layout {
        interpreters_head: word(RUNTIME + 2)?,
        interpreter_next: word(INTERPRETER + 2)?,
        threads_head: word(INTERPRETER + 3)?,
        thread_next: word(THREAD + 2)?,
        native_thread_id: word(THREAD + 6)?,
        cframe: None,
        current_frame: word(THREAD + 4)?,
        frame_previous: at(FRAME + 1)?,
        frame_code: at(FRAME + 2)?,
        frame_instruction: at(FRAME + 3)?,
        frame_owner: at(FRAME + 5)?,
        frame_is_entry: None,
        code_filename: at(CODE + 1)?,
        code_qualname: at(CODE + 3)?,
        code_linetable: at(CODE + 4)?,
        code_first_line: at(CODE + 5)?,
        code_instructions: word(CODE + 9)?,
        ascii_bytes: V3_12.ascii_bytes,
        unicode_bytes: V3_12.unicode_bytes,
    })
    .filter(|layout| layout.largest_frame_offset() < 128 && layout.largest_code_offset() < 512)
}

impl Layout {
    pub fn largest_frame_offset(&self) -> usize {
        self.frame_code.max(self.frame_previous).max(self.frame_instruction).max(self.frame_owner)
    }

    pub fn largest_code_offset(&self) -> usize {
        self.code_filename.max(self.code_qualname).max(self.code_linetable).max(self.code_first_line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_offsets_that_3_13_tells() {
        let mut words = vec![u64::from_le_bytes(*b"xdebugpy"), 0x030d_00f0, 0];
        words.extend([0, 1, 632]);
        words.extend([0, 1, 7264, 7344, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        words.extend([304, 0, 8, 16, 72, 152, 160, 0, 0]);
        words.extend([80, 8, 0, 56, 72, 70]);
        words.extend([0, 112, 120, 128, 136, 68, 0, 0, 0, 200]);
        let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        let layout = layout_of(0x030d_00f0, &bytes).unwrap();
        let expected = Layout {
            interpreters_head: 632,
            interpreter_next: 7264,
            threads_head: 7344,
            native_thread_id: 160,
            cframe: None,
            current_frame: 72,
            code_instructions: 200,
            ..V3_12
        };
        assert_eq!(layout, expected);
        assert_eq!(layout_of(0x030d_00f0, &bytes[..100]), None);
        assert_eq!(layout_of(0x030a_00f0, &bytes), None);
    }
}
