//! ProfilesDictionary: each name, function, location, stack and attribute once, pointed at by index. Element 0 of each table is the
//! zero value. `bytes` bounds the encoded size from above, as collector/dictionary.ts does.
use super::wire::Writer;
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// Names are indices of strings.
#[derive(Clone, Copy, Default)]
pub struct NewLocation {
    pub function: u32,
    pub module: u32,
    pub file: u32,
    pub line: u32,
    pub frame_type: &'static str,
}

#[derive(Clone, Copy, Default)]
struct Location {
    mapping: u32,
    function: u32,
    line: u32,
    attribute: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    Text(&'a str),
    Number(u64),
}

pub struct Dictionary<'a> {
    pub bytes: usize,
    strings: Vec<&'a str>,
    functions: Vec<(u32, u32)>,
    mappings: Vec<u32>,
    locations: Vec<Location>,
    /// Stack i is stack_locations[stack_ends[i - 1] .. stack_ends[i]].
    stack_ends: Vec<u32>,
    stack_locations: Vec<u32>,
    attributes: Vec<(u32, Value<'a>)>,
    string_at: FxHashMap<&'a str, u32>,
    function_at: FxHashMap<(u32, u32), u32>,
    mapping_at: FxHashMap<u32, u32>,
    attribute_at: FxHashMap<(&'static str, Value<'a>), u32>,
}

impl<'a> Dictionary<'a> {
    pub(super) fn new() -> Dictionary<'a> {
        let (string_at, function_at, mapping_at, attribute_at) = Default::default();
        Dictionary {
            bytes: 256,
            strings: vec![""],
            functions: vec![(0, 0)],
            mappings: vec![0],
            locations: vec![Location::default()],
            stack_ends: vec![0],
            stack_locations: Vec::new(),
            attributes: vec![(0, Value::Text(""))],
            string_at,
            function_at,
            mapping_at,
            attribute_at,
        }
    }

    pub fn string(&mut self, text: &'a str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let bytes = &mut self.bytes;
        *self.string_at.entry(text).or_insert_with(|| {
            *bytes += text.len() + 6;
            pushed(&mut self.strings, text)
        })
    }

    pub fn attribute(&mut self, key: &'static str, value: Value<'a>) -> u32 {
        if let Some(&known) = self.attribute_at.get(&(key, value)) {
            return known;
        }
        self.bytes += value.text_bytes() + 20;
        let name = self.string(key);
        let index = pushed(&mut self.attributes, (name, value));
        self.attribute_at.insert((key, value), index);
        index
    }

    pub fn location(&mut self, new: NewLocation) -> u32 {
        let attribute = self.attribute("profile.frame.type", Value::Text(new.frame_type));
        self.bytes += 30;
        let mapping = if new.module == 0 {
            0
        } else {
            numbered(&mut self.mapping_at, &mut self.mappings, new.module, 10, &mut self.bytes)
        };
        let key = (new.function, new.file);
        let function = numbered(&mut self.function_at, &mut self.functions, key, 16, &mut self.bytes);
        pushed(&mut self.locations, Location { mapping, function, line: new.line, attribute })
    }

    /// Locations leaf first. A window has each stack and each frame once: no look whether they are known.
    pub fn stack(&mut self, locations: impl Iterator<Item = u32>) -> u32 {
        let before = self.stack_locations.len();
        self.stack_locations.extend(locations);
        self.bytes += 4 * (self.stack_locations.len() - before) + 10;
        let end = self.stack_locations.len() as u32;
        pushed(&mut self.stack_ends, end)
    }

    /// mapping_table 1, location_table 2, function_table 3, link_table 4, string_table 5, attribute_table 6, stack_table 7.
    pub fn write(&self, writer: &mut Writer) {
        for &file in &self.mappings {
            writer.message(1, |w| optional(w, 4, file));
        }
        for location in &self.locations {
            writer.message(2, |w| write_location(location, w));
        }
        for &(name, file) in &self.functions {
            writer.message(3, |w| {
                optional(w, 1, name);
                optional(w, 3, file);
            });
        }
        writer.message(4, |_| {});
        for text in &self.strings {
            writer.string_field(5, text);
        }
        for (key, value) in &self.attributes {
            writer.message(6, |w| {
                if *key > 0 {
                    w.varint_field(1, u64::from(*key));
                    w.message(2, |w| value.write(w));
                }
            });
        }
        writer.message(7, |_| {});
        for ends in self.stack_ends.windows(2) {
            let locations = &self.stack_locations[ends[0] as usize..ends[1] as usize];
            writer.message(7, |w| {
                if !locations.is_empty() {
                    w.packed_field(1, locations.iter().map(|&location| u64::from(location)));
                }
            });
        }
    }
}

impl Value<'_> {
    /// Of it as text.
    pub fn text_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Number(number) => number.checked_ilog10().unwrap_or(0) as usize + 1,
        }
    }

    /// AnyValue: string 1, int 3.
    pub fn write(&self, writer: &mut Writer) {
        match *self {
            Value::Text(text) => writer.string_field(1, text),
            Value::Number(number) => writer.varint_field(3, number),
        }
    }
}

fn pushed<T>(table: &mut Vec<T>, value: T) -> u32 {
    table.push(value);
    table.len() as u32 - 1
}

/// Where `key` is in the table, which it enters at a cost in bytes.
fn numbered<K: Copy + Eq + Hash>(
    at: &mut FxHashMap<K, u32>,
    table: &mut Vec<K>,
    key: K,
    cost: usize,
    bytes: &mut usize,
) -> u32 {
    *at.entry(key).or_insert_with(|| {
        *bytes += cost;
        pushed(table, key)
    })
}

fn optional(writer: &mut Writer, field: u32, value: u32) {
    if value > 0 {
        writer.varint_field(field, u64::from(value));
    }
}

fn write_location(location: &Location, writer: &mut Writer) {
    optional(writer, 1, location.mapping);
    if location.function > 0 {
        writer.message(3, |w| {
            w.varint_field(1, u64::from(location.function));
            optional(w, 2, location.line);
        });
    }
    if location.attribute > 0 {
        writer.packed_field(4, [u64::from(location.attribute)]);
    }
}
