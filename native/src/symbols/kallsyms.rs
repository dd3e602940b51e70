//! Names of the kernel's functions, from /proc/kallsyms. With kernel.kptr_restrict every address in it reads 0, and then
//! all kernel frames are one: [kernel].

pub struct Kallsyms {
    /// Ascending.
    addresses: Vec<u64>,
    /// Start of each name in `names`; a name ends where the next begins.
    starts: Vec<u32>,
    names: String,
}

pub struct KernelName<'a> {
    pub function: &'a str,
    /// nfs for a function of that module; None for the kernel itself.
    pub module: Option<&'a str>,
}

/// Text symbols of the largest distribution kernels are 100,000.
const MOST_NAMES_BYTES: usize = 16 << 20;

impl Kallsyms {
    pub fn read() -> Kallsyms {
        parse_kallsyms(&std::fs::read_to_string("/proc/kallsyms").unwrap_or_default())
    }

    /// None where the kernel hides its addresses.
    pub fn find(&self, address: u64) -> Option<KernelName<'_>> {
        let index = self.addresses.partition_point(|&start| start <= address).checked_sub(1)?;
        let end = self.starts.get(index + 1).map_or(self.names.len(), |&end| end as usize);
        let name = &self.names[self.starts[index] as usize..end];
        Some(match name.split_once('\t') {
            Some((function, module)) => KernelName { function, module: Some(module) },
            None => KernelName { function: name, module: None },
        })
    }
}

/// `ffffffff81000000 T _text` and, of a module, `ffffffffc0000000 t nfs_open\t[nfs]`.
pub fn parse_kallsyms(text: &str) -> Kallsyms {
    let mut symbols: Vec<(u64, &str)> = text.lines().filter_map(parse_line).collect();
    // The first of several names of an address is the kernel's own choice.
    symbols.sort_by_key(|(address, _)| *address);
    symbols.dedup_by_key(|(address, _)| *address);
    let mut kallsyms = Kallsyms { addresses: Vec::new(), starts: Vec::new(), names: String::new() };
    for (address, name) in symbols {
        if kallsyms.names.len() + name.len() > MOST_NAMES_BYTES {
            break;
        }
        kallsyms.addresses.push(address);
        kallsyms.starts.push(kallsyms.names.len() as u32);
        kallsyms.names.push_str(name);
    }
    kallsyms.addresses.shrink_to_fit();
    kallsyms.starts.shrink_to_fit();
    kallsyms.names.shrink_to_fit();
    kallsyms
}

fn parse_line(line: &str) -> Option<(u64, &str)> {
    let (address, rest) = line.split_once(' ')?;
    let (kind, name) = rest.split_once(' ')?;
    let address = u64::from_str_radix(address, 16).ok().filter(|&address| address != 0)?;
    matches!(kind, "t" | "T" | "w" | "W").then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000000 T _text\nffffffff81000000 T startup_64\nffffffff81000100 t schedule\n\
        ffffffff82000000 D jiffies\nffffffffc0001000 t nfs_open\t[nfs]\nrubbish\n";

    #[test]
    fn finds_functions_and_their_module() {
        let kallsyms = parse_kallsyms(TEXT);
        let drawn = |address| kallsyms.find(address).map(|n| format!("{} {:?}", n.function, n.module));
        assert_eq!(drawn(0xffff_ffff_8100_0123).as_deref(), Some("schedule None"));
        assert_eq!(drawn(0xffff_ffff_8100_0001).as_deref(), Some("_text None"));
        assert_eq!(drawn(0xffff_ffff_c000_1001).as_deref(), Some("nfs_open Some(\"[nfs]\")"));
        assert_eq!(drawn(0x1000), None);
    }

    #[test]
    fn hidden_addresses_are_no_names() {
        assert!(parse_kallsyms("0000000000000000 T _text\n0000000000000000 t a\n").find(1 << 63).is_none());
    }
}
