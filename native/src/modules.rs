//! The files that processes run, each opened once however many processes map it, with its call frame information.
use crate::elf::{Elf, parse_elf};
use crate::image::{Identity, Image, open_regular};
use crate::maps::{Map, MappedFile, Resolved};
use crate::perf::record::FileHint;
use crate::unwind::live::Live;
use crate::unwind::load::{Cfi, Loader};
use crate::unwind::steps::Steps;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What frames belong to. Shared with the symbol thread.
pub struct Binary {
    pub id: u32,
    /// As the process names it.
    pub path: Arc<str>,
    pub kind: BinaryKind,
}

pub enum BinaryKind {
    Elf {
        image: Arc<Image>,
        elf: Elf,
    },
    /// A file that could not be opened; addresses are file offsets.
    Unreadable,
    /// Code made at run time by a process; addresses are its own.
    Runtime {
        pid: u32,
    },
    Kernel,
    /// A function of Python code in the file `path`; addresses are line numbers.
    PythonFunction {
        name: String,
    },
    /// The end of a stack that is not whole; the address says why.
    Cut,
}

/// Ids that every sampler has.
pub const KERNEL: u32 = 0;
pub const CUT: u32 = 1;
pub const RUNTIME: u32 = 2;
const FIRST_FILE: u32 = 3;

pub struct Module {
    pub binary: Arc<Binary>,
    pub cfi: RefCell<Cfi>,
    used: Cell<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    BuildId(Vec<u8>),
    Identity(Identity),
    /// Of a file that cannot be opened.
    Path(Arc<str>, FileHint),
}

pub struct Modules {
    by_key: FxHashMap<Key, Rc<Module>>,
    by_id: FxHashMap<u32, Arc<Binary>>,
    pub loader: Loader,
    pub steps: Steps,
    pub live: Live,
    vdso: Option<Rc<Module>>,
    next_id: u32,
    /// Counts calls of `tidy`.
    round: u64,
}

/// Rows of all files together; the least recently used files are forgotten beyond.
const MOST_ROW_BYTES: usize = 8 << 20;
const MOST_MODULES: usize = 2048;
/// Files that no process maps any more are forgotten after this many rounds of `tidy`.
const ROUNDS_UNUSED: u64 = 30;
/// What the walk remembers of addresses hides which files are used, so it is forgotten after this many.
const ROUNDS_STEPS: u64 = 8;

impl Default for Modules {
    fn default() -> Self {
        let (by_key, by_id, loader, steps, live) = Default::default();
        let mut modules = Modules { by_key, by_id, loader, steps, live, vdso: None, next_id: FIRST_FILE, round: 0 };
        modules.vdso = read_vdso().map(|image| modules.module("[vdso]".into(), image));
        modules
    }
}

impl Modules {
    /// The module behind a mapping, opened at the first call; None for code made at run time.
    pub fn resolve(&mut self, map: &Map, pid: u32) -> Option<Rc<Module>> {
        let resolved = map.file.module.borrow().clone();
        let module = match resolved {
            Resolved::Module(module) => module,
            Resolved::Anonymous => return None,
            Resolved::NotYet => {
                let found = self.look_up(map, pid);
                *map.file.module.borrow_mut() = found.clone().map_or(Resolved::Anonymous, Resolved::Module);
                found?
            }
        };
        module.used.set(self.round);
        Some(module)
    }

    fn look_up(&mut self, map: &Map, pid: u32) -> Option<Rc<Module>> {
        if &*map.file.path == "[vdso]" {
            return self.vdso.clone();
        }
        let candidates = candidates(map, pid);
        // A mapping of this path is the file, whatever its inode is called (overlayfs has two numbers for it). Of another path
        // it is what was mapped there since.
        let is_same = std::fs::read_link(&candidates[0]).is_ok_and(|path| path == Path::new(&*map.file.path));
        let mapping = if is_same { FileHint::None } else { map.file.hint };
        for (path, hint) in candidates.iter().zip([mapping, map.file.hint, map.file.hint]) {
            if let Some(found) = self.open(path, map, pid, hint) {
                return found;
            }
        }
        Some(self.unreadable(&map.file))
    }

    /// None when this is not the mapped file, Some(None) when it is, but not ELF.
    fn open(&mut self, path: &Path, map: &Map, pid: u32, hint: FileHint) -> Option<Option<Rc<Module>>> {
        let (file, identity) = open_regular(path).ok()?;
        if matches!(hint, FileHint::Inode(inode) if inode != identity.inode) {
            return None;
        }
        if let Some(module) = self.by_key.get(&Key::Identity(identity)) {
            remember(module, map, pid);
            return Some(Some(module.clone()));
        }
        let image = Image::of_file(file, identity, path.to_path_buf());
        let Some(elf) = parse_elf(&image) else { return Some(None) };
        let key = if elf.build_id.is_empty() { Key::Identity(identity) } else { Key::BuildId(elf.build_id.clone()) };
        let module = match self.by_key.get(&key) {
            Some(module) => module.clone(),
            None => self.module_of(visible_path(&map.file.path), Arc::new(image), elf),
        };
        self.by_key.insert(key, module.clone());
        self.by_key.insert(Key::Identity(identity), module.clone());
        Some(Some(module))
    }

    fn unreadable(&mut self, file: &MappedFile) -> Rc<Module> {
        let key = Key::Path(file.path.clone(), file.hint);
        if let Some(module) = self.by_key.get(&key) {
            return module.clone();
        }
        let binary = self.binary(visible_path(&file.path), BinaryKind::Unreadable);
        let nothing = self.loader.open(&Arc::new(Image::of_memory(Vec::new())), &Elf::default());
        let module = Rc::new(Module { binary, cfi: RefCell::new(nothing), used: Cell::new(self.round) });
        self.by_key.insert(key, module.clone());
        module
    }

    fn module(&mut self, path: Arc<str>, image: Image) -> Rc<Module> {
        let elf = parse_elf(&image).unwrap_or_default();
        self.module_of(path, Arc::new(image), elf)
    }

    fn module_of(&mut self, path: Arc<str>, image: Arc<Image>, elf: Elf) -> Rc<Module> {
        let cfi = RefCell::new(self.loader.open(&image, &elf));
        let binary = self.binary(path, BinaryKind::Elf { image, elf });
        Rc::new(Module { binary, cfi, used: Cell::new(self.round) })
    }

    /// Ids are never given twice, so a frame of an old window cannot name a new file.
    pub fn binary(&mut self, path: Arc<str>, kind: BinaryKind) -> Arc<Binary> {
        let binary = Arc::new(Binary { id: self.next_id, path, kind });
        self.by_id.insert(self.next_id, binary.clone());
        self.next_id += 1;
        binary
    }

    pub fn by_id(&self, id: u32) -> Option<&Arc<Binary>> {
        self.by_id.get(&id)
    }

    /// Closes files, forgets rows beyond the cap and modules beyond theirs. Called once a window.
    pub fn tidy(&mut self) {
        self.round += 1;
        if self.round.is_multiple_of(ROUNDS_STEPS) {
            self.steps.clear();
        }
        self.live.tidy();
        // Those of files stay while their module does; those of processes and old windows while somebody holds them.
        self.by_id.retain(|_, binary| Arc::strong_count(binary) > 1);
        let mut modules: Vec<Rc<Module>> = self.by_key.values().cloned().collect();
        modules.sort_by_key(|module| (module.used.get(), module.binary.id));
        modules.dedup_by_key(|module| module.binary.id);
        for module in &modules {
            // Held by its module and by_id; by more, while windows wait for the names of its frames.
            if let BinaryKind::Elf { image, .. } = &module.binary.kind
                && Arc::strong_count(&module.binary) <= 2
            {
                image.close_idle();
            }
        }
        let bytes = |module: &Rc<Module>| module.cfi.borrow().bytes();
        let (mut rows, mut count) = (modules.iter().map(bytes).sum::<usize>(), modules.len());
        for module in modules {
            let unused = self.round - module.used.get() > ROUNDS_UNUSED;
            if !(unused || rows > MOST_ROW_BYTES || count > MOST_MODULES) {
                break;
            }
            rows -= bytes(&module);
            module.cfi.borrow_mut().table.clear();
            count -= 1;
            self.by_key.retain(|_, known| known.binary.id != module.binary.id);
        }
    }

    pub fn bytes(&self) -> usize {
        self.by_key.values().map(|module| module.cfi.borrow().bytes()).sum()
    }
}

fn remember(module: &Rc<Module>, map: &Map, pid: u32) {
    if let BinaryKind::Elf { image, .. } = &module.binary.kind
        && let Some(path) = candidates(map, pid).into_iter().nth(1)
    {
        image.remember(path);
    }
}

/// Where the mapped file may be found: the mapping itself (right even when the file was deleted or replaced), then its
/// path as the process sees it, then as we do, for a process that is gone.
fn candidates(map: &Map, pid: u32) -> Vec<PathBuf> {
    let path = visible_path(&map.file.path);
    vec![
        format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end).into(),
        format!("/proc/{pid}/root{path}").into(),
        (*path).into(),
    ]
}

pub fn visible_path(path: &Arc<str>) -> Arc<str> {
    path.strip_suffix(" (deleted)").map_or_else(|| path.clone(), Arc::from)
}

/// Our own vdso: the kernel maps the same one into every 64-bit process.
fn read_vdso() -> Option<Image> {
    // SAFETY: no arguments that matter.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let maps = std::fs::read("/proc/self/maps").ok()?;
    let map = crate::maps::parse_maps(&maps).find(start).cloned()?;
    let bytes = usize::try_from(map.end - map.start).ok().filter(|&bytes| bytes <= 1 << 20)?;
    // SAFETY: the kernel keeps this mapping readable for the whole life of the process.
    Some(Image::of_memory(unsafe { std::slice::from_raw_parts(start as *const u8, bytes) }.to_vec()))
}
