//! Which CPUs are online, in the kernel's list format: `0-3,8,10-11`.

/// Largest CPU number believed; a list is never longer than this.
const MAX_CPU: u32 = 65_535;

pub fn parse_cpu_list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last.min(MAX_CPU));
        }
    }
    cpus
}

pub fn read_online_cpus() -> Vec<u32> {
    std::fs::read_to_string("/sys/devices/system/cpu/online").map(|text| parse_cpu_list(&text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_single_cpus() {
        assert_eq!(parse_cpu_list("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse_cpu_list(""), []);
        assert_eq!(parse_cpu_list("x,5-,7"), [7]);
    }
}
