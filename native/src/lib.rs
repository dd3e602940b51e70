//! Stack sampling for a whole node. The modules are the sampler; `addon` only converts between it and JavaScript.
//!
//! ```text
//!   kernel ring -> perf -> process (maps) -> unwind -> fold          one thread, woken each half second
//!                                                       |
//!                                              window of addresses
//!                                                       v
//!                                                    symbols          one thread, low priority
//!                                                       |
//!                                                windows with names -> drain() -> otlp
//! ```
pub mod arch;
pub mod cgroups;
pub mod elf;
pub mod family;
pub mod fold;
pub mod heap;
pub mod image;
pub mod maps;
pub mod modules;
pub mod nvml;
pub mod otlp;
pub mod paged;
pub mod perf;
pub mod process;
pub mod processstat;
pub mod processtable;
pub mod python;
pub mod receiver;
pub mod resident;
pub mod sampler;
pub mod start;
pub mod symbols;
pub mod taskstats;
pub mod unwind;

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

#[cfg(feature = "addon")]
mod addon;
#[cfg(feature = "addon")]
mod addon_counting;
#[cfg(feature = "addon")]
mod addon_poll;
#[cfg(feature = "addon")]
mod addon_receiver;
#[cfg(feature = "addon")]
mod addon_windows;
