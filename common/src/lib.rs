//! The vocabulary of ftrun.
//!
//! Everything here is plain values: records and the log that carries them, the kernel-state model, the protocols of the
//! pair and of the proxy, the arbiter. Nothing opens a socket, traces a process or reads a clock; the few types that read
//! or write bytes do so through `std::io` traits or on a path that the caller names.
#![forbid(unsafe_code)]

pub mod abi;
pub mod arbiter;
pub mod codec;
pub mod cpu;
pub mod digest;
pub mod ids;
pub mod kernel;
pub mod log;
pub mod orders;
pub mod pair;
pub mod position;
mod raw;
pub mod record;
pub mod regions;
pub mod snapshot;
pub mod syscall;
