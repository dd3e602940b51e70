//! The head of a request, held against one that was let in: byte for byte, but for the values that change with each request.
//!
//! ```text
//!   POST /v1/metrics HTTP/1.1\r\nHost: a:7070\r\ncontent-length: | 4417 | \r\nidempotency-key: | n07-31 | \r\n\r\n
//!   fixed                                                          varies   fixed               varies   fixed
//! ```
//!
//! So nothing is parsed here, and nothing is taken that Node's parser would have read in another way: what is not written
//! exactly so is for it to judge.
use std::ops::Range;

/// Longer values are for Node's parser.
const MOST_VALUE_BYTES: usize = 256;
/// A body of 10 GB and more.
const MOST_DIGITS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Varies {
    Length,
    Batch,
    Sent,
}

const VARIES: [(&str, Varies); 3] =
    [("content-length", Varies::Length), ("idempotency-key", Varies::Batch), ("jobsight-sent-ms", Varies::Sent)];

enum Part {
    Fixed(Vec<u8>),
    Varies(Varies),
}

/// A head that was let in.
pub struct Head {
    parts: Vec<Part>,
}

/// Where in the bytes of a request its parts are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub body: usize,
    pub body_bytes: u64,
    /// 0..0 where the head has none; a value is never empty.
    pub batch: Range<usize>,
    pub sent: Range<usize>,
}

#[derive(Debug, PartialEq)]
pub enum Match {
    Is(Found),
    /// So far.
    May,
    Not,
}

impl Head {
    /// `fields`: name, value, name, value … as Node tells them, in the order in which they came.
    pub fn of(target: &str, fields: &[String]) -> Head {
        let mut parts = Vec::new();
        let mut fixed = format!("POST {target} HTTP/1.1\r\n").into_bytes();
        for field in fields.chunks_exact(2) {
            fixed.extend_from_slice(&latin1(&field[0]));
            fixed.extend_from_slice(b": ");
            match VARIES.iter().find(|(name, _)| field[0].eq_ignore_ascii_case(name)) {
                Some(&(_, varies)) => {
                    parts.push(Part::Fixed(std::mem::take(&mut fixed)));
                    parts.push(Part::Varies(varies));
                }
                None => fixed.extend_from_slice(&latin1(&field[1])),
            }
            fixed.extend_from_slice(b"\r\n");
        }
        fixed.extend_from_slice(b"\r\n");
        parts.push(Part::Fixed(fixed));
        Head { parts }
    }

    pub fn find(&self, bytes: &[u8]) -> Match {
        self.walk(bytes).map_or_else(|other| other, Match::Is)
    }

    fn walk(&self, bytes: &[u8]) -> Result<Found, Match> {
        let (mut at, mut found) = (0, Found::default());
        for part in &self.parts {
            let rest = &bytes[at..];
            let from = at;
            at += match part {
                Part::Fixed(fixed) => fixed_length(fixed, rest)?,
                Part::Varies(_) => value_length(rest)?,
            };
            match part {
                Part::Fixed(_) => {}
                Part::Varies(Varies::Length) => found.body_bytes = number(&bytes[from..at]).ok_or(Match::Not)?,
                Part::Varies(Varies::Batch) => found.batch = from..at,
                Part::Varies(Varies::Sent) => found.sent = from..at,
            }
        }
        found.body = at;
        Ok(found)
    }
}

fn fixed_length(fixed: &[u8], rest: &[u8]) -> Result<usize, Match> {
    let common = fixed.len().min(rest.len());
    if fixed[..common] != rest[..common] {
        return Err(Match::Not);
    }
    if common < fixed.len() { Err(Match::May) } else { Ok(common) }
}

/// Of a value in characters that no parser reads in two ways.
fn value_length(rest: &[u8]) -> Result<usize, Match> {
    match rest.iter().take(MOST_VALUE_BYTES + 1).position(|byte| !byte.is_ascii_graphic()) {
        Some(length) if length > 0 && rest[length] == b'\r' => Ok(length),
        None if rest.len() <= MOST_VALUE_BYTES => Err(Match::May),
        _ => Err(Match::Not),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.len() > MOST_DIGITS || (digits.len() > 1 && digits[0] == b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Node tells each byte of a head as the character of that number.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| character as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let fields =
            ["Host", "a:1", "content-length", "3", "idempotency-key", "k-1", "jobsight-sent-ms", "5", "x", "\u{e9}"];
        Head::of("/v1/metrics", &fields.map(String::from))
    }

    const REQUEST: &[u8] = b"POST /v1/metrics HTTP/1.1\r\nHost: a:1\r\ncontent-length: 12\r\nidempotency-key: abc-77\r\njobsight-sent-ms: 1234\r\nx: \xe9\r\n\r\n";

    #[test]
    fn values_that_vary_are_found() {
        let Match::Is(found) = head().find(REQUEST) else { panic!("it is like it") };
        assert_eq!((found.body, found.body_bytes), (REQUEST.len(), 12));
        assert_eq!((&REQUEST[found.batch], &REQUEST[found.sent]), (&b"abc-77"[..], &b"1234"[..]));
    }

    #[test]
    fn every_beginning_may_be_it() {
        for length in 0..REQUEST.len() {
            assert_eq!(head().find(&REQUEST[..length]), Match::May, "{length}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let text = String::from_utf8_lossy(REQUEST).into_owned();
        for (from, to) in [
            ("POST", "post"),
            ("metrics ", "metrics? "),
            ("1.1", "1.0"),
            ("Host", "host"),
            (": 12\r", ":12\r"),
            (": 12\r", ": 12 \r"),
            (": 12\r", ": +12\r"),
            (": 12\r", ": 012\r"),
            (": 12\r", ": 0x12\r"),
            (": 12\r", ": \r"),
            (": 12\r", ": 12345678901\r"),
            ("abc-77", "abc 77"),
            ("abc-77", ""),
            ("abc-77\r\n", "abc-77\n"),
            ("abc-77", "abc-\u{1}"),
            ("x: ", "y: 1\r\nx: "),
        ] {
            assert!(text.contains(from));
            let other: Vec<u8> = latin1(&text.replacen(from, to, 1));
            assert_eq!(head().find(&other), Match::Not, "{to:?}");
        }
        let long = text.replacen("abc-77", &"a".repeat(400), 1);
        assert_eq!(head().find(long.as_bytes()), Match::Not);
    }
}
