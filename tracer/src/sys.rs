//! The few places that speak to the kernel without a safe wrapper.

pub mod alarm;
pub mod cpu;
pub mod mapping;
pub mod perf;
pub mod pidfd;
pub mod process;
pub mod ptrace;
pub mod shared;
pub mod socket;
pub mod spawn;

pub use process::{default_action, inherited};
