//! Which processes there are, and /proc/PID/stat of many at once, from descriptors that are kept open: what the process table reads each
//! tick. A list of a thousand is a list of strings in JavaScript, nearly all of which are known.
//! Two thirds of what it costs from JavaScript (8.4 and 12.6 us a process of a thousand): the rest is the kernel's writing of the line.
//! https://docs.kernel.org/filesystems/proc.html#id10
//!
//! ```text
//!   4711 (a) b) R 4700 4711 … 1520 380  90 14 … 12 0 8812345 104857600 2048 … 17 …
//!   pid  (comm) state ppid    utime stime cutime  threads  starttime vsize rss    cpu
//!                 3     4      14    15   16, 17     20        22      23   24     39
//! ```
//!
//! comm may hold blanks and parentheses; it ends at the last one. collector/processstat.ts reads the same without the addon.
#[cfg(feature = "addon")]
mod addon;

use std::os::fd::RawFd;
use std::path::Path;

/// Numbers a process: state, parent, user, system, children's user and system ticks, threads, start, resident pages, CPU,
/// hash of the name.
pub const FIELDS: usize = 11;
const NAME_HASH: usize = 10;

/// 'pid (' and the longest name, that of a kernel worker (64), lie within it.
const NAME_WITHIN: usize = 96;
const LAST_FIELD: usize = 39;

/// Where a field of proc(5) goes.
const fn place_of(field: usize) -> Option<usize> {
    match field {
        4 => Some(1),
        14 => Some(2),
        15 => Some(3),
        16 => Some(4),
        17 => Some(5),
        20 => Some(6),
        22 => Some(7),
        24 => Some(8),
        39 => Some(9),
        _ => None,
    }
}

/// A row of `FIELDS` for each descriptor; its first number is NaN where the process is gone.
pub fn read(fds: &[RawFd], rows: &mut [f64]) {
    let mut bytes = [0u8; 1024];
    for (&fd, row) in fds.iter().zip(rows.chunks_exact_mut(FIELDS)) {
        // SAFETY: the kernel writes at most the buffer's length.
        let length = unsafe { libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        let text = &bytes[..usize::try_from(length).unwrap_or(0)];
        if parse(text, row).is_none() {
            row[0] = f64::NAN;
        }
    }
}

/// The processes of that /proc.
pub fn list(proc: &Path) -> std::io::Result<Vec<i32>> {
    let pid_of = |entry: std::io::Result<std::fs::DirEntry>| match entry {
        Ok(entry) => entry.file_name().to_str()?.parse().ok().map(Ok),
        Err(error) => Some(Err(error)),
    };
    std::fs::read_dir(proc)?.filter_map(pid_of).collect()
}

/// None where the text is cut short or something else; the row holds anything then.
pub fn parse(text: &[u8], row: &mut [f64]) -> Option<()> {
    let close = text[..text.len().min(NAME_WITHIN)].iter().rposition(|&byte| byte == b')').filter(|&at| at > 0)?;
    row[0] = f64::from(*text.get(close + 2)?);
    row[NAME_HASH] = f64::from(hash_name(&text[..close]));
    let fields = text.get(close + 4..)?.split(|byte| byte.is_ascii_whitespace());
    for (field, digits) in (4..=LAST_FIELD).zip(fields.map(Some).chain(std::iter::repeat(None))) {
        let number = parse_number(digits?)?;
        if let Some(place) = place_of(field) {
            row[place] = number;
        }
    }
    Some(())
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

/// As collector/processstat.ts has it: both may read the same process.
fn hash_name(text: &[u8]) -> i32 {
    text.iter().skip(2).fold(text.len() as i32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    const REST: &str = "4700 4711 1 0 -1 4194304 1 2 3 4 1520 380 90 14 20 0 12 0 8812345 104857600 2048 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 5 0 0";

    fn row_of(text: &str) -> Option<[f64; FIELDS]> {
        let mut row = [0.0; FIELDS];
        parse(text.as_bytes(), &mut row).map(|()| row)
    }

    #[test]
    fn names_hold_anything() {
        for name in ["a.out", "a b", "((", "x) R 1 (y", ")", "", "sp\u{e4}\u{df}e"] {
            let row = row_of(&format!("4711 ({name}) R {REST}")).expect(name);
            assert_eq!(
                row[..NAME_HASH],
                [f64::from(b'R'), 4700.0, 1520.0, 380.0, 90.0, 14.0, 12.0, 8_812_345.0, 2048.0, 5.0]
            );
        }
        assert_ne!(row_of(&format!("1 (a) R {REST}")), row_of(&format!("1 (b) R {REST}")));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1 (a", "1 (a) ", "1 (a) S", "1 (a) S 1 2 3", "1 (a) S 1 1 1 x y z", "no such file"] {
            assert_eq!(row_of(text), None, "{text}");
        }
    }

    #[test]
    fn own_process_is_listed() {
        let pids = list(Path::new("/proc")).unwrap();
        assert!(pids.contains(&(std::process::id() as i32)));
        assert!(pids.iter().all(|&pid| pid > 0));
        assert!(list(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn the_living_and_the_gone() {
        let own = std::fs::File::open("/proc/self/stat").unwrap();
        let mut rows = [0.0; 2 * FIELDS];
        read(&[own.as_raw_fd(), -1], &mut rows);
        assert_eq!(rows[1], f64::from(std::os::unix::process::parent_id()));
        assert!(rows[FIELDS].is_nan());
    }
}
