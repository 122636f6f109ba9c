//! The few places that speak to the kernel without a safe wrapper.

pub mod cpu;
pub mod pidfd;
pub mod ptrace;
pub mod spawn;
