//! One ExportProfilesServiceRequest in the making.
use super::dictionary::{Dictionary, NewLocation, Value};
use super::wire::Writer;
use super::{Charge, Sender};
use crate::symbols::window::{Window, WindowProcess};

/// By the numbers of symbols::window::Kind.
const FRAME_TYPES: [&str; 8] = ["native", "kernel", "cpython", "jit", "jvm", "v8js", "other", "truncated"];

/// Attributes of a process as they are written, and about their size.
#[derive(Default)]
pub struct Resource {
    attributes: Writer,
    bytes: usize,
}

impl Resource {
    fn add(&mut self, key: &str, value: Value<'_>) {
        self.bytes += key.len() + value.text_bytes() + 20;
        self.attributes.message(1, |w| {
            w.string_field(1, key);
            w.message(2, |w| value.write(w));
        });
    }

    fn add_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.add(key, Value::Text(text));
        }
    }
}

pub fn resource(sender: &Sender, process: &WindowProcess, charge: &Charge) -> Resource {
    let mut resource = Resource::default();
    resource.add("host.name", Value::Text(&sender.node));
    if let Some(cluster) = &sender.cluster {
        resource.add("jobsight.cluster", Value::Text(cluster));
    }
    resource.add("process.pid", Value::Number(u64::from(process.pid)));
    if process.start_ms > 0.0 {
        resource.add_text("process.creation.time", &iso_time(process.start_ms as u64));
    }
    resource.add_text("process.executable.name", &process.name);
    resource.add_text("jobsight.job.id", &charge.job);
    resource.add_text("jobsight.job.step", &charge.step);
    if let Some(rank) = charge.rank {
        resource.add("jobsight.job.rank", Value::Number(u64::from(rank)));
    }
    resource.add("jobsight.evidence", Value::Text(&charge.evidence));
    resource
}

struct Sample {
    stack: u32,
    /// Category, count, thread, burst; the last two 0 where there is none.
    attributes: [u32; 4],
    value_ns: u64,
}

pub struct Request<'a> {
    window: &'a Window,
    dictionary: Dictionary<'a>,
    /// Attributes of the process, and its samples.
    processes: Vec<(Vec<u8>, Vec<Sample>)>,
    /// Where each string, frame and stack of the window is in the dictionary; 0 while it is not.
    strings: Vec<u32>,
    locations: Vec<u32>,
    stacks: Vec<u32>,
    sample_bytes: usize,
}

impl<'a> Request<'a> {
    pub fn new(window: &'a Window) -> Request<'a> {
        Request {
            window,
            dictionary: Dictionary::new(),
            processes: Vec::new(),
            strings: vec![0; window.strings.len()],
            locations: vec![0; window.frame_line.len()],
            stacks: vec![0; window.stack_offsets.len()],
            sample_bytes: 0,
        }
    }

    /// About what encode() will give, from above.
    pub fn bytes(&self) -> usize {
        self.sample_bytes + self.dictionary.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    pub fn open_process(&mut self, resource: &Resource) {
        self.processes.push((resource.attributes.bytes.clone(), Vec::new()));
        self.sample_bytes += 128 + resource.bytes;
    }

    pub fn add(&mut self, sample: usize, category: &'a str) {
        let window = self.window;
        let thread = &*window.strings[window.sample_thread[sample] as usize];
        let dictionary = &mut self.dictionary;
        let named = [("thread.name", thread), ("jobsight.burst", &*window.burst)];
        let mut attributes = [
            dictionary.attribute("jobsight.category", Value::Text(category)),
            dictionary.attribute("jobsight.sample.count", Value::Number(u64::from(window.sample_count[sample]))),
            0,
            0,
        ];
        for (at, (key, value)) in named.into_iter().enumerate().filter(|(_, (_, value))| !value.is_empty()) {
            attributes[2 + at] = dictionary.attribute(key, Value::Text(value));
        }
        let stack = self.stack_of(window.sample_stack[sample] as usize);
        self.sample_bytes += 20 + 3 * attributes.iter().filter(|&&attribute| attribute > 0).count();
        if let Some((_, samples)) = self.processes.last_mut() {
            samples.push(Sample { stack, attributes, value_ns: window.sample_period_ns[sample].round() as u64 });
        }
    }

    pub fn encode(mut self) -> Vec<u8> {
        let kind = [self.dictionary.string("cpu"), self.dictionary.string("nanoseconds")];
        let mut writer = Writer { bytes: Vec::with_capacity(self.bytes()) };
        for (attributes, samples) in &self.processes {
            writer.message(1, |w| {
                w.message(1, |w| w.bytes.extend_from_slice(attributes));
                w.message(2, |w| {
                    w.message(1, |w| w.string_field(1, "jobsight"));
                    w.message(2, |w| self.write_profile(samples, kind, w));
                });
            });
        }
        writer.message(2, |w| self.dictionary.write(w));
        writer.bytes
    }

    /// Profile: sample_type 1, samples 2, time_unix_nano 3, duration_nano 4, period_type 5, period 6.
    fn write_profile(&self, samples: &[Sample], kind: [u32; 2], writer: &mut Writer) {
        let Window { start_ms, end_ms, hz, .. } = *self.window;
        write_type(writer, 1, kind);
        for sample in samples {
            writer.message(2, |w| {
                w.varint_field(1, u64::from(sample.stack));
                w.packed_field(2, sample.attributes.iter().filter(|&&index| index > 0).map(|&index| u64::from(index)));
                w.packed_field(4, [sample.value_ns]);
            });
        }
        writer.fixed64_field(3, (start_ms * 1e6) as u64);
        writer.varint_field(4, ((end_ms - start_ms) * 1e6).round().max(0.0) as u64);
        if hz > 0 {
            write_type(writer, 5, kind);
            // As the kernel divides: its software clock ticks in whole nanoseconds.
            writer.varint_field(6, 1_000_000_000 / u64::from(hz));
        }
    }

    fn stack_of(&mut self, stack: usize) -> u32 {
        if self.stacks[stack] == 0 {
            let window = self.window;
            let (from, to) = (window.stack_offsets[stack] as usize, window.stack_offsets[stack + 1] as usize);
            let frames = &window.stack_frames[from..to];
            for &frame in frames {
                self.locate(frame as usize);
            }
            self.stacks[stack] = self.dictionary.stack(frames.iter().map(|&frame| self.locations[frame as usize]));
        }
        self.stacks[stack]
    }

    fn locate(&mut self, frame: usize) {
        if self.locations[frame] > 0 {
            return;
        }
        let window = self.window;
        let function = self.string_of(window.frame_function[frame]);
        let module = self.string_of(window.frame_module[frame]);
        let file = self.string_of(window.frame_file[frame]);
        let (line, frame_type) = (window.frame_line[frame], FRAME_TYPES[usize::from(window.frame_kind[frame])]);
        self.locations[frame] = self.dictionary.location(NewLocation { function, module, file, line, frame_type });
    }

    fn string_of(&mut self, string: u32) -> u32 {
        let index = &mut self.strings[string as usize];
        if *index == 0 {
            *index = self.dictionary.string(&self.window.strings[string as usize]);
        }
        *index
    }
}

fn write_type(writer: &mut Writer, field: u32, kind: [u32; 2]) {
    writer.message(field, |w| {
        w.varint_field(1, u64::from(kind[0]));
        w.varint_field(2, u64::from(kind[1]));
    });
}

/// ms since the epoch -> `2026-11-28T17:00:46.123Z`. https://howardhinnant.github.io/date_algorithms.html#civil_from_days
fn iso_time(epoch_ms: u64) -> String {
    let (days, ms) = (epoch_ms / 86_400_000 + 719_468, epoch_ms % 86_400_000);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years that begin in March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::iso_time;

    #[test]
    fn tells_times_as_javascript_does() {
        assert_eq!(iso_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(iso_time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso_time(1_735_689_599_001), "2024-12-31T23:59:59.001Z");
        assert_eq!(iso_time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
