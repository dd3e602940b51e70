//! From a place in code to the frames it stands for: one, or several where functions were inlined.
use super::debug_files::{self, DebugFile};
use super::demangle::demangle;
use super::dwarf::{self, Inlined, Lines};
use super::elf_symbols::ElfSymbols;
use super::kallsyms::Kallsyms;
use super::least_recent::LeastRecent;
use super::runtime::RuntimeCode;
use super::two_generations::TwoGenerations;
use super::window::{Kind, NamedFrame};
use crate::elf::Elf;
use crate::heap::{grown_since, held_bytes};
use crate::image::Image;
use crate::modules::{Binary, BinaryKind, CUT, KERNEL};
use crate::paged::PageCache;
use crate::sampler::state::CUT_TRUNCATED;
use crate::unwind::frame::Place;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames of one place, innermost first; shared by all windows that hold the place.
pub type Frames = Rc<[NamedFrame]>;

#[derive(Clone)]
pub struct Resolved {
    pub frames: Frames,
    pub named: bool,
}

struct FileSymbols {
    tables: Vec<ElfSymbols>,
    lines: Option<Lines>,
    /// When it was opened: later `lines` grow.
    bytes: usize,
    /// A place in one of these has no symbol: a stub of the procedure linkage table.
    plt: Vec<(u64, u64)>,
}

/// What a file says of an address.
struct Known {
    symbol: Option<String>,
    inlined: Vec<Inlined>,
    in_plt: bool,
}

pub struct Resolver {
    pages: Rc<RefCell<PageCache>>,
    places: TwoGenerations<Place, Resolved>,
    files: LeastRecent<u32, FileSymbols>,
    runtimes: LeastRecent<u32, RuntimeCode>,
    kernel: Option<(Kallsyms, Instant)>,
    empty: Rc<str>,
    /// Symbols of a file or of the kernel were read, which takes more memory than they do. For the owner to reset.
    pub read_tables: bool,
}

/// Hard caps in bytes, of what the caches hold together: places, symbol tables, code made at run time.
const PLACES_BYTES: usize = 6 << 20;
/// The symbols of the largest files of a node at once: those of Node and an interpreter take six.
const FILES_BYTES: usize = 20 << 20;
const RUNTIMES_BYTES: usize = 10 << 20;
/// 2 MiB of pages of debug information.
const PAGES: usize = 512;
/// What an entry of a cache takes beside its strings.
const ENTRY_BYTES: usize = 160;
/// What was parsed of one file's debug information: beyond, the file is opened anew.
const LINES_BYTES: usize = 8 << 20;
/// Kernel modules come and go; a kernel address without a name is reason to look again, at most this often.
const KALLSYMS_AGAIN: Duration = Duration::from_secs(300);

impl Default for Resolver {
    fn default() -> Self {
        Resolver {
            pages: PageCache::new(PAGES),
            places: TwoGenerations::new(PLACES_BYTES),
            files: LeastRecent::new(FILES_BYTES),
            runtimes: LeastRecent::new(RUNTIMES_BYTES),
            kernel: None,
            empty: "".into(),
            read_tables: false,
        }
    }
}

impl Resolver {
    /// Before a window: code made at run time may have been told of since the last.
    pub fn start_window(&mut self, binaries: &FxHashMap<u32, Arc<Binary>>) {
        for binary in binaries.values() {
            if let BinaryKind::Runtime { pid } = binary.kind {
                if self.runtimes.get(&binary.id).is_none() {
                    self.runtimes.insert(binary.id, RuntimeCode::open(pid), ENTRY_BYTES);
                }
                if let Some(code) = self.runtimes.get(&binary.id) {
                    code.look_again(pid);
                    code.refresh();
                    // A cache of sizes that grow: what is told of the size is told anew.
                    let bytes = code.bytes() + ENTRY_BYTES;
                    self.runtimes.resize(&binary.id, bytes);
                }
            }
        }
    }

    pub fn resolve(&mut self, place: Place, binaries: &FxHashMap<u32, Arc<Binary>>) -> Resolved {
        let binary = binaries.get(&place.binary);
        // Code made at run time moves, so its names are asked for anew each window.
        let fleeting = binary.is_some_and(|binary| matches!(binary.kind, BinaryKind::Runtime { .. }));
        if !fleeting && let Some(resolved) = self.places.get(&place) {
            return resolved.clone();
        }
        let resolved = match (place.binary, binary) {
            (KERNEL, _) => self.kernel_frame(place.address),
            (CUT, _) => self.cut_frame(place.address),
            (_, Some(binary)) => self.binary_frames(binary, place.address),
            (_, None) => self.unnamed("[unknown]", place.address, Kind::Other),
        };
        if !fleeting {
            let strings: usize = resolved.frames.iter().map(|f| f.function.len() + f.file.len()).sum();
            let bytes = ENTRY_BYTES + resolved.frames.len() * size_of::<NamedFrame>() + strings;
            self.places.insert(place, resolved.clone(), bytes);
        }
        resolved
    }

    fn one(&self, function: &str, module: &str, kind: Kind, named: bool) -> Resolved {
        let (function, module, file) = (function.into(), module.into(), self.empty.clone());
        Resolved { frames: Rc::new([NamedFrame { function, module, file, line: 0, kind }]), named }
    }

    fn unnamed(&self, module: &str, address: u64, kind: Kind) -> Resolved {
        self.one(&format!("{module}+{address:#x}"), module, kind, false)
    }

    fn cut_frame(&self, address: u64) -> Resolved {
        let name = if address == CUT_TRUNCATED { "[truncated]" } else { "[caller unknown]" };
        self.one(name, "", Kind::Truncated, true)
    }

    fn kernel_frame(&mut self, address: u64) -> Resolved {
        for again in [false, true] {
            if again || self.kernel.is_none() {
                let old = self.kernel.as_ref().is_none_or(|(_, read)| read.elapsed() > KALLSYMS_AGAIN);
                if !old {
                    break;
                }
                self.kernel = Some((Kallsyms::read(), Instant::now()));
                self.read_tables = true;
            }
            if let Some(name) = self.kernel.as_ref().and_then(|(kallsyms, _)| kallsyms.find(address)) {
                return self.one(name.function, name.module.unwrap_or("[kernel.kallsyms]"), Kind::Kernel, true);
            }
        }
        self.one("[kernel]", "[kernel.kallsyms]", Kind::Kernel, false)
    }

    fn binary_frames(&mut self, binary: &Arc<Binary>, address: u64) -> Resolved {
        let module = binary.path.rsplit('/').next().unwrap_or(&binary.path);
        match &binary.kind {
            BinaryKind::Elf { image, elf } => self.elf_frames(binary, image, elf, module, address),
            BinaryKind::Runtime { .. } => self.runtime_frame(binary.id, address),
            BinaryKind::PythonFunction { name } => {
                let (function, module, file) = (name.as_str().into(), module.into(), (*binary.path).into());
                let line = u32::try_from(address).unwrap_or(0);
                Resolved {
                    frames: Rc::new([NamedFrame { function, module, file, line, kind: Kind::Python }]),
                    named: true,
                }
            }
            _ => self.unnamed(module, address, Kind::Native),
        }
    }

    fn elf_frames(
        &mut self,
        binary: &Arc<Binary>,
        image: &Arc<Image>,
        elf: &Elf,
        module: &str,
        address: u64,
    ) -> Resolved {
        let Some(Known { symbol, inlined, in_plt }) = self.look_up(binary, image, elf, address) else {
            return self.unnamed(module, address, Kind::Native);
        };
        let module: Rc<str> = module.into();
        let outermost = inlined.len().saturating_sub(1);
        let mut frames = Vec::new();
        for (depth, inline) in inlined.into_iter().enumerate() {
            // The symbol carries what DWARF may lack: the Fortran module, the clone.
            let own = symbol.as_deref().filter(|_| depth == outermost);
            let Some(function) = own.or(inline.function.as_deref()) else { continue };
            let (function, file) = (demangle(function).into(), inline.file.into());
            frames.push(NamedFrame { function, module: module.clone(), file, line: inline.line, kind: Kind::Native });
        }
        if !frames.is_empty() {
            return Resolved { frames: frames.into(), named: true };
        }
        match symbol {
            Some(symbol) => self.one(&demangle(&symbol), &module, Kind::Native, true),
            None if in_plt => self.one("[plt]", &module, Kind::Native, true),
            None => self.unnamed(&module, address, Kind::Native),
        }
    }

    fn look_up(&mut self, binary: &Binary, image: &Arc<Image>, elf: &Elf, address: u64) -> Option<Known> {
        if self.files.get(&binary.id).is_none() {
            let before = held_bytes();
            let mut file = self.open_file(image, elf, &binary.path);
            self.read_tables = true;
            file.bytes = grown_since(before) + ENTRY_BYTES;
            let bytes = file.bytes;
            self.files.insert(binary.id, file, bytes);
        }
        let file = self.files.get(&binary.id)?;
        let symbol = file.tables.iter().find_map(|table| table.name(table.find(address)?));
        let inlined = file.lines.as_mut().map(|lines| lines.find(address)).unwrap_or_default();
        let in_plt = file.plt.iter().any(|(start, end)| (*start..*end).contains(&address));
        let parsed = file.lines.as_ref().map_or(0, |lines| lines.parsed_bytes);
        let bytes = file.bytes + parsed;
        if parsed > LINES_BYTES {
            self.files.remove(&binary.id)
        } else {
            self.files.resize(&binary.id, bytes)
        }
        Some(Known { symbol, inlined, in_plt })
    }

    fn open_file(&self, image: &Arc<Image>, elf: &Elf, path: &str) -> FileSymbols {
        let nothing = FileSymbols { tables: Vec::new(), lines: None, bytes: 0, plt: Vec::new() };
        let Some(own) = DebugFile::of(image, elf) else { return nothing };
        let table = |file: &DebugFile, name: &str| {
            let table = file.section(name)?;
            ElfSymbols::read(&file.image, &self.pages, table, file.sections.get(table.link)?)
        };
        let plt = own.sections.iter().filter(|section| section.name.starts_with(".plt"));
        let plt = plt.map(|section| (section.vaddr, section.vaddr.saturating_add(section.bytes))).collect();
        let whole = own.section(".symtab").is_some_and(|section| section.bytes > 0);
        let separate = if whole { None } else { debug_files::separate(&own, elf, path) };
        let mut tables = vec![table(&own, ".symtab"), separate.as_ref().and_then(|file| table(file, ".symtab"))];
        if !whole && separate.is_none() {
            tables.push(debug_files::mini(&own).and_then(|file| table(&file, ".symtab")));
        }
        if !whole {
            tables.push(table(&own, ".dynsym"));
        }
        // The debug files of distributions are compressed: too dear for lines of libraries that nobody here edits.
        let plain = |file: &&DebugFile| file.section(".debug_info").is_some_and(|section| !section.compressed);
        let lines = dwarf::open(&own, &self.pages)
            .or_else(|| separate.as_ref().filter(plain).and_then(|file| dwarf::open(file, &self.pages)));
        FileSymbols { tables: tables.into_iter().flatten().collect(), lines, bytes: 0, plt }
    }

    fn runtime_frame(&mut self, id: u32, address: u64) -> Resolved {
        let Some(code) = self.runtimes.get(&id) else { return self.unnamed("[jit]", address, Kind::Jit) };
        let is_java = code.is_java;
        match code.find(address).map(|name| runtime_name(name, is_java)) {
            Some(frame) => Resolved { frames: Rc::new([frame]), named: true },
            // Addresses of such code mean nothing to another run: one name for all of it.
            None => self.one("[jit]", "[jit]", if is_java { Kind::Java } else { Kind::Jit }, false),
        }
    }
}

/// What V8, CPython's trampolines and Java's agents write into a perf map:
///
/// `JS:*step /home/a/model.js:3:14` · `py::step:/home/a/model.py` · `Ljava/util/HashMap;::get` · `Builtin:ArrayMap`
fn runtime_name(text: &str, is_java: bool) -> NamedFrame {
    let frame = |function: &str, file: &str, line: u32, kind| {
        let module = if file.is_empty() { "[jit]" } else { file.rsplit('/').next().unwrap_or(file) };
        NamedFrame { function: function.into(), module: module.into(), file: file.into(), line, kind }
    };
    if let Some((function, file)) = text.strip_prefix("py::").and_then(|rest| rest.split_once(':')) {
        return frame(function, file, 0, Kind::Python);
    }
    let javascript = ["JS:", "Function:", "LazyCompile:", "Script:", "Eval:"].iter().find_map(|p| text.strip_prefix(p));
    if let Some(rest) = javascript {
        let rest = rest.trim_start_matches(['*', '~', '^', '+']);
        let (function, location) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        let mut parts = location.rsplitn(3, ':');
        let (_column, line, file) = (parts.next(), parts.next(), parts.next());
        let function = if function.is_empty() { "(anonymous)" } else { function };
        let line = line.and_then(|line| line.parse().ok()).unwrap_or(0);
        return frame(function, file.unwrap_or(""), line, Kind::Javascript);
    }
    frame(text, "", 0, if is_java { Kind::Java } else { Kind::Jit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_languages_of_run_time_code() {
        let drawn = |text, is_java| {
            let f = runtime_name(text, is_java);
            format!("{} {} {}:{} {:?}", f.function, f.module, f.file, f.line, f.kind)
        };
        assert_eq!(drawn("JS:*step /a/model.js:3:14", false), "step model.js /a/model.js:3 Javascript");
        assert_eq!(drawn("JS:~ file:///a/m.mjs:1:1", false), "(anonymous) m.mjs file:///a/m.mjs:1 Javascript");
        assert_eq!(drawn("py::step:/a/model.py", false), "step model.py /a/model.py:0 Python");
        assert_eq!(drawn("Builtin:ArrayMap", false), "Builtin:ArrayMap [jit] :0 Jit");
        assert_eq!(drawn("int Flat.f60(int)", true), "int Flat.f60(int) [jit] :0 Java");
    }
}
