//! The bytes of a file that processes have mapped, read with pread: a file that its owner truncates cannot kill us with
//! SIGBUS, nothing counts as our memory, and the file is closed while nobody asks (an open one would keep its file
//! system from being unmounted).
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What stays the same as long as a file's content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub modified_ns: i64,
}

pub struct Image {
    pub bytes: u64,
    content: Content,
}

enum Content {
    Memory(Vec<u8>),
    File { identity: Identity, slot: Mutex<Slot> },
}

struct Slot {
    file: Option<File>,
    paths: Vec<PathBuf>,
    /// Reads since the last call of close_idle.
    reads: u64,
}

/// Paths that the same file may be found under again, newest first.
const REMEMBERED_PATHS: usize = 4;

/// Opens a regular file for reading without ever waiting (a FIFO) or touching a device.
pub fn open_regular(path: &Path) -> io::Result<(File, Identity)> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let modified_ns = meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec());
    Ok((file, Identity { device: meta.dev(), inode: meta.ino(), bytes: meta.len(), modified_ns }))
}

impl Image {
    pub fn of_file(file: File, identity: Identity, path: PathBuf) -> Image {
        let slot = Mutex::new(Slot { file: Some(file), paths: vec![path], reads: 1 });
        Image { bytes: identity.bytes, content: Content::File { identity, slot } }
    }

    pub fn of_memory(bytes: Vec<u8>) -> Image {
        Image { bytes: bytes.len() as u64, content: Content::Memory(bytes) }
    }

    /// As many bytes as there are at `offset`, at most the buffer's; 0 when the file cannot be read any more.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        match &self.content {
            Content::Memory(bytes) => {
                let Some(rest) = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)) else { return 0 };
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                length
            }
            Content::File { identity, slot } => {
                let mut slot = slot.lock().unwrap_or_else(|poison| poison.into_inner());
                slot.reads += 1;
                if slot.file.is_none() {
                    slot.file = slot.reopen(identity);
                }
                slot.file.as_ref().map_or(0, |file| read_whole(file, offset, buffer))
            }
        }
    }

    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        (self.read_at(offset, buffer) == buffer.len()).then_some(())
    }

    /// A copy of a part; None when it is not there whole or longer than `most`.
    pub fn part(&self, offset: u64, bytes: u64, most: u64) -> Option<Vec<u8>> {
        if bytes > most || offset.checked_add(bytes)? > self.bytes {
            return None;
        }
        let mut part = vec![0; usize::try_from(bytes).ok()?];
        self.read_exact_at(offset, &mut part)?;
        Some(part)
    }

    /// Another process maps the same file under this path.
    pub fn remember(&self, path: PathBuf) {
        if let Content::File { slot, .. } = &self.content {
            let mut slot = slot.lock().unwrap_or_else(|poison| poison.into_inner());
            if !slot.paths.contains(&path) {
                slot.paths.insert(0, path);
                slot.paths.truncate(REMEMBERED_PATHS);
            }
        }
    }

    /// Closes the file when nobody read it since the last call. It is opened again when somebody does.
    pub fn close_idle(&self) {
        if let Content::File { slot, .. } = &self.content {
            let mut slot = slot.lock().unwrap_or_else(|poison| poison.into_inner());
            if slot.reads == 0 {
                slot.file = None;
            }
            slot.reads = 0;
        }
    }
}

impl Slot {
    fn reopen(&self, identity: &Identity) -> Option<File> {
        let same = |path: &PathBuf| open_regular(path).ok().filter(|(_, found)| found == identity);
        self.paths.iter().find_map(same).map(|(file, _)| file)
    }
}

fn read_whole(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}
