//! What each stack of a window is doing, by the rules of collector/categories.ts: which rules a frame matches is asked there once
//! a name, and kept; which rule a stack falls under is found here as categoryBy() finds it.
use crate::symbols::window::Window;
use rustc_hash::FxHashMap;

/// Bits of matchFrame(), one a rule, and above them: a kernel or C library frame; a frame of which nothing is known.
const WRAPPER: i32 = 1 << 30;
const NAMELESS: i32 = 1 << 29;

/// Frames whose bits are kept.
const MOST_KNOWN: usize = 1 << 15;

pub struct Categories {
    /// Of each rule.
    categories: Vec<String>,
    /// Rules that look at any frame, the inner ones, the user's, the leaf.
    masks: [i32; 4],
    known: FxHashMap<String, i32>,
}

/// Frames of which the rules have to say what they match.
#[derive(Default)]
pub struct Unknown {
    pub kinds: Vec<u32>,
    pub modules: Vec<String>,
    pub functions: Vec<String>,
    /// Places of their bits among those of all frames.
    frames: Vec<usize>,
}

impl Categories {
    /// `rules`: category of each, and which frames it looks at (`where`).
    pub fn new(rules: impl IntoIterator<Item = (String, String)>) -> Categories {
        let (mut categories, mut masks) = (Vec::new(), [0; 4]);
        for (rule, (category, place)) in rules.into_iter().enumerate() {
            let mask = ["any", "inner", "user", "leaf"].iter().position(|known| *known == place);
            masks[mask.unwrap_or(0)] |= 1 << rule;
            categories.push(category);
        }
        Categories { categories, masks, known: FxHashMap::default() }
    }

    /// Category of each stack. `ask` gives the bits of frames that were not seen before.
    pub fn classify<E>(
        &mut self,
        window: &Window,
        ask: impl FnOnce(&Unknown) -> Result<Vec<i32>, E>,
    ) -> Result<Vec<&str>, E> {
        let bits = self.match_frames(window, ask)?;
        let stacks = window.stack_offsets.windows(2);
        let category = |ends: &[u32]| self.category(&window.stack_frames[ends[0] as usize..ends[1] as usize], &bits);
        Ok(stacks.map(category).collect())
    }

    fn match_frames<E>(
        &mut self,
        window: &Window,
        ask: impl FnOnce(&Unknown) -> Result<Vec<i32>, E>,
    ) -> Result<Vec<i32>, E> {
        if self.known.len() > MOST_KNOWN {
            self.known.clear();
        }
        let (mut bits, mut unknown, mut key) = (Vec::new(), Unknown::default(), String::new());
        for frame in 0..window.frame_line.len() {
            write_key(window, frame, &mut key);
            let known = self.known.get(&key).copied();
            bits.push(known.unwrap_or(0));
            if known.is_none() {
                unknown.push(window, frame);
            }
        }
        if !unknown.frames.is_empty() {
            for (&frame, answer) in unknown.frames.iter().zip(ask(&unknown)?) {
                bits[frame] = answer;
                write_key(window, frame, &mut key);
                self.known.insert(key.clone(), answer);
            }
        }
        Ok(bits)
    }

    fn category(&self, frames: &[u32], bits: &[i32]) -> &str {
        let bits = |frame: &u32| bits[*frame as usize];
        let [any, inner, user, leaf] = self.masks;
        let mut matched = frames.first().map_or(0, |frame| bits(frame) & leaf);
        let (mut known, mut outside) = (false, false);
        for bits in frames.iter().map(bits) {
            matched |= bits & any;
            known |= bits != NAMELESS;
            if !outside {
                matched |= bits & inner;
                outside = bits & WRAPPER == 0;
                matched |= if outside { bits & user } else { 0 };
            }
        }
        match (known, self.categories.get(matched.trailing_zeros() as usize)) {
            (false, _) => "unknown",
            (true, Some(category)) => category,
            (true, None) => "compute",
        }
    }
}

impl Unknown {
    fn push(&mut self, window: &Window, frame: usize) {
        let text = |string: u32| window.strings[string as usize].clone();
        self.kinds.push(u32::from(window.frame_kind[frame]));
        self.modules.push(text(window.frame_module[frame]));
        self.functions.push(text(window.frame_function[frame]));
        self.frames.push(frame);
    }
}

/// The kind, module and function of a frame as one text; names have no byte 0.
fn write_key(window: &Window, frame: usize, key: &mut String) {
    key.clear();
    key.push(char::from(b'0' + window.frame_kind[frame]));
    key.push_str(&window.strings[window.frame_module[frame] as usize]);
    key.push('\0');
    key.push_str(&window.strings[window.frame_function[frame] as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Frames: letters; "A" is matched by the rule for any frame, "l" by that for leaves, "k" is the kernel's, "?" is nameless.
    fn window(stacks: &[&str]) -> Window {
        let mut window = Window { stack_offsets: vec![0], ..Window::default() };
        for letter in stacks.iter().flat_map(|stack| stack.chars()) {
            window.strings.push(letter.to_string());
            window.stack_frames.push(window.frame_line.len() as u32);
            window.frame_function.push(window.strings.len() as u32 - 1);
            window.frame_module.push(window.strings.len() as u32 - 1);
            window.frame_line.push(0);
            window.frame_kind.push(0);
        }
        for stack in stacks {
            let end = window.stack_offsets.last().unwrap_or(&0) + stack.len() as u32;
            window.stack_offsets.push(end);
        }
        window
    }

    fn bits(unknown: &Unknown) -> Result<Vec<i32>, Infallible> {
        let one = |name: &String| match &**name {
            "A" => 1,
            "i" => 2 | WRAPPER,
            "u" => 4,
            "l" => 8,
            "k" => WRAPPER,
            "?" => NAMELESS,
            _ => 0,
        };
        Ok(unknown.functions.iter().map(one).collect())
    }

    #[test]
    fn finds_the_first_rule_of_a_stack() {
        let rules = [("mpi", "any"), ("memory", "inner"), ("wait", "user"), ("kernel", "leaf")];
        let mut categories = Categories::new(rules.map(|(category, place)| (category.into(), place.into())));
        let stacks = ["kxA", "kix", "xi", "kux", "xu", "lx", "xl", "??", "?x", ""];
        let drawn =
            ["mpi", "memory", "compute", "wait", "compute", "kernel", "compute", "unknown", "compute", "unknown"];
        assert_eq!(categories.classify(&window(&stacks), bits), Ok(drawn.to_vec()));
        let nothing_new = |_: &Unknown| -> Result<Vec<i32>, Infallible> { unreachable!("all names are known") };
        assert_eq!(categories.classify(&window(&stacks[..2]), nothing_new), Ok(vec!["mpi", "memory"]));
    }
}
