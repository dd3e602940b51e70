//! /proc/PID/stat, parsed from its bytes. https://docs.kernel.org/filesystems/proc.html#id10
//!
//! ```text
//!   4711 (a) b) R 4700 4711 … 1520 380  90 14 … 12 0 8812345 104857600 2048 … 17 …
//!   pid  (comm) state ppid    utime stime cutime  threads  starttime vsize rss    cpu
//!                 3     4      14    15   16, 17     20        22      23   24     39
//! ```
//!
//! comm may hold blanks and parentheses; it ends at the last one. collector/processstat.ts reads the same without the addon.

/// Numbers a process: pid, state, parent, user, system, children's user and system ticks, threads, start, resident pages, CPU.
pub const FIELDS: usize = 11;
pub const PID: usize = 0;
/// A letter's code; NaN: it is gone.
pub const STATE: usize = 1;
pub const PARENT: usize = 2;
pub const START: usize = 8;
pub const RESIDENT: usize = 9;

pub type Row = [f64; FIELDS];

/// 'pid (' and the longest name, that of a kernel worker (64), lie within it.
const NAME_WITHIN: usize = 96;
const LAST_FIELD: usize = 39;

/// Where a field of proc(5) goes.
const fn place_of(field: usize) -> Option<usize> {
    match field {
        4 => Some(PARENT),
        14 => Some(3),
        15 => Some(4),
        16 => Some(5),
        17 => Some(6),
        20 => Some(7),
        22 => Some(START),
        24 => Some(RESIDENT),
        39 => Some(10),
        _ => None,
    }
}

/// Its numbers and its name; None where the text is cut short or something else.
pub fn parse(text: &[u8]) -> Option<(Row, &[u8])> {
    let close = text[..text.len().min(NAME_WITHIN)].iter().rposition(|&byte| byte == b')')?;
    let open = text[..close].iter().position(|&byte| byte == b'(')?;
    let mut row = [0.0; FIELDS];
    row[PID] = parse_number(text[..open].trim_ascii_end())?;
    row[STATE] = f64::from(*text.get(close + 2)?);
    let fields = text.get(close + 4..)?.split(|byte| byte.is_ascii_whitespace());
    for (field, digits) in (4..=LAST_FIELD).zip(fields.map(Some).chain(std::iter::repeat(None))) {
        let number = parse_number(digits?)?;
        if let Some(place) = place_of(field) {
            row[place] = number;
        }
    }
    Some((row, &text[open + 1..close]))
}

fn parse_number(digits: &[u8]) -> Option<f64> {
    let (negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let mut value = 0u64;
    for byte in digits {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte.checked_sub(b'0').filter(|&digit| digit <= 9)?));
    }
    let value = value as f64;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "4700 4711 1 0 -1 4194304 1 2 3 4 1520 380 90 14 20 0 12 0 8812345 104857600 2048 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 5 0 0";

    #[test]
    fn names_hold_anything() {
        for name in ["a.out", "a b", "((", "x) R 1 (y", ")", "", "sp\u{e4}\u{df}e"] {
            let text = format!("4711 ({name}) R {REST}");
            let row = [4711.0, f64::from(b'R'), 4700.0, 1520.0, 380.0, 90.0, 14.0, 12.0, 8_812_345.0, 2048.0, 5.0];
            assert_eq!(parse(text.as_bytes()), Some((row, name.as_bytes())));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1 (a", "1 (a) ", "1 (a) S", "1 (a) S 1 2 3", "1 (a) S 1 1 1 x y z", "no such file"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
