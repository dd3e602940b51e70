//! Native frames and the interpreter's, joined.
use super::Stack;
use crate::modules::RUNTIME;
use crate::unwind::frame::{Ending, Place};

/// Puts `segments` (leaf first) in the place of the evaluations in `places` (leaf first).
///
/// The interpreter went on since the sample, so there may be more or fewer segments than evaluations: the outermost ones
/// are those that still stand, so both are counted from the root. A stack whose root is missing counts from the leaf, and
/// takes the rest of the interpreter's frames as its root.
pub fn merge(stack: &mut Stack<'_>, interpreter: u32, is_eval: impl Fn(&Place) -> bool, segments: &[Vec<Place>]) {
    let Stack { places, ending } = stack;
    let evals: Vec<usize> = (0..places.len()).filter(|&index| is_eval(&places[index])).collect();
    let (Some(&innermost), Some(&outermost)) = (evals.first(), evals.last()) else { return };
    let whole = **ending == Ending::Root;
    let shift = if whole { segments.len() as isize - evals.len() as isize } else { 0 };
    let segment = |nth: usize| usize::try_from(nth as isize + shift).ok().and_then(|index| segments.get(index));
    let mut merged = Vec::with_capacity(places.len() + segments.iter().map(Vec::len).sum::<usize>());
    let mut nth = 0;
    for (index, place) in places.iter().enumerate() {
        if evals.get(nth) == Some(&index) {
            match segment(nth) {
                Some(frames) => merged.extend_from_slice(frames),
                None => merged.push(*place),
            }
            nth += 1;
            continue;
        }
        let machinery = place.binary == interpreter && index > innermost && index < outermost;
        // What calls an evaluation from code made at run time is a trampoline of `python -X perf`.
        let trampoline = place.binary == RUNTIME && index > 0 && is_eval(&places[index - 1]);
        if !machinery && !trampoline {
            merged.push(*place);
        }
    }
    if !whole && evals.len() < segments.len() {
        merged.extend(segments[evals.len()..].iter().flatten());
        **ending = Ending::Root;
    }
    **places = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: u32 = 10;

    /// Lower case: the interpreter's own (e an evaluation), upper case: a Python function, others: another library's.
    fn place(letter: char) -> Place {
        let binary = match letter {
            't' => RUNTIME,
            'a'..='z' => PYTHON,
            'A'..='Z' => 11,
            _ => 12,
        };
        Place { binary, address: letter as u64 }
    }

    fn merged(native: &str, python: &str, mut ending: Ending) -> (String, Ending) {
        let mut places: Vec<Place> = native.chars().map(place).collect();
        let segments: Vec<Vec<Place>> = python.split(' ').map(|segment| segment.chars().map(place).collect()).collect();
        let is_eval = |place: &Place| *place == self::place('e');
        merge(&mut Stack { places: &mut places, ending: &mut ending }, PYTHON, is_eval, &segments);
        (places.iter().map(|place| place.address as u8 as char).collect(), ending)
    }

    #[test]
    fn evaluations_become_python_functions() {
        let root = |native, python| merged(native, python, Ending::Root).0;
        // A sine called by AB, which was called through C by C and D.
        assert_eq!(root("1smevxecm2", "AB CD"), "1smABCDcm2");
        // The innermost function returned since the sample, or a further one was called.
        assert_eq!(root("1evevem", "B C"), "1eBCm");
        assert_eq!(root("1evem", "A B C"), "1BCm");
        // A frame of a library between two evaluations stays.
        assert_eq!(root("e1ve", "A B"), "A1B");
        assert_eq!(root("1m2", "A"), "1m2");
    }

    #[test]
    fn a_stack_that_was_cut_takes_its_root_from_the_interpreter() {
        assert_eq!(merged("1et", "AB C D", Ending::Lost), ("1ABCD".into(), Ending::Root));
        assert_eq!(merged("1et", "AB", Ending::Lost), ("1AB".into(), Ending::Lost));
    }
}
