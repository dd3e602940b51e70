//! Events that only count: opened once, read each tick; no ring and no samples. Those of one CPU that follow each other can
//! form a group, which the kernel puts on the hardware together or not at all, so that their ratio is of the same time.
use super::attr::{Attr, perf_event_open_in};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Event {
    /// As in /sys/bus/event_source/devices/*/type.
    pub kind: u32,
    pub config: u64,
    pub config1: u64,
    pub config2: u64,
    pub cpu: i32,
    /// Member of the group that the last event without this mark leads.
    pub follows: bool,
}

/// What an event has counted since it was opened. Where there are more events than counters the kernel takes turns: then
/// it ran for less time than it was enabled, and the count is to be scaled by that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    pub value: u64,
    pub enabled_ns: u64,
    pub running_ns: u64,
}

pub struct Counting {
    events: Vec<Result<OwnedFd, io::Error>>,
}

/// PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING
const READ_FORMAT: u64 = 1 | 2;

fn open_event(event: &Event, group: i32) -> io::Result<OwnedFd> {
    let attr = Attr {
        kind: event.kind,
        config: event.config,
        config1: event.config1,
        config2: event.config2,
        read_format: READ_FORMAT,
        // no flags: an uncore PMU refuses every exclude_*
        ..Attr::default()
    };
    perf_event_open_in(&attr, -1, event.cpu, group, 0)
}

fn like(error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EINVAL))
}

impl Counting {
    /// Each event is opened on its own: one that the kernel refuses takes only its group with it.
    pub fn open(events: &[Event]) -> Counting {
        let mut opened: Vec<Result<OwnedFd, io::Error>> = Vec::with_capacity(events.len());
        let mut leader = 0;
        for (at, event) in events.iter().enumerate() {
            if !event.follows {
                leader = at;
            }
            let result = match opened.get(leader) {
                Some(Ok(fd)) if event.follows => open_event(event, fd.as_raw_fd()),
                Some(Err(error)) if event.follows => Err(like(error)),
                _ => open_event(event, -1),
            };
            opened.push(result);
        }
        Counting { events: opened }
    }

    /// 0 for an event that is open, else why not.
    pub fn errors(&self) -> Vec<i32> {
        let errno = |event: &Result<OwnedFd, io::Error>| match event {
            Ok(_) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
        };
        self.events.iter().map(errno).collect()
    }

    /// None for an event that is not open, or that the kernel has given up (its CPU went offline).
    pub fn read(&self) -> Vec<Option<Count>> {
        self.events.iter().map(|event| event.as_ref().ok().and_then(read_count)).collect()
    }
}

fn read_count(fd: &OwnedFd) -> Option<Count> {
    let mut words = [0u64; 3];
    let wanted = size_of_val(&words);
    // SAFETY: the buffer is as long as is said.
    let got = unsafe { libc::read(fd.as_raw_fd(), words.as_mut_ptr().cast(), wanted) };
    let [value, enabled_ns, running_ns] = words;
    (got == wanted as isize).then_some(Count { value, enabled_ns, running_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::attr::TYPE_SOFTWARE;

    const SW_CONTEXT_SWITCHES: u64 = 3;

    #[test]
    fn an_event_that_is_refused_takes_its_group_and_no_other() {
        let software = Event { kind: TYPE_SOFTWARE, config: SW_CONTEXT_SWITCHES, ..Event::default() };
        let unknown = Event { kind: u32::MAX, ..Event::default() };
        let counting = Counting::open(&[unknown, Event { follows: true, ..software }, software]);
        let errors = counting.errors();
        // without the right to count at all, the last one is refused too
        assert!(errors[0] != 0 && errors[0] == errors[1]);
        let read = counting.read();
        assert_eq!((read[0], read[1]), (None, None));
        assert_eq!(read[2].is_some(), errors[2] == 0);
    }
}
