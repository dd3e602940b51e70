//! Names for addresses: on a thread of its own at low priority, so that it can never keep the rings from being drained.
pub mod debug_files;
pub mod demangle;
pub mod dwarf;
pub mod elf_symbols;
pub mod jitdump;
pub mod kallsyms;
pub mod least_recent;
pub mod resolve;
pub mod runtime;
pub mod thread;
pub mod two_generations;
pub mod window;
