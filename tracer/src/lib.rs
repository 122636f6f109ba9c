//! The recording side of ftrun: process control, snapshot capture, the recorder, shipping.
//!
//! All unsafe code of this crate is in [`sys`].

pub mod capture;
pub mod clock;
pub mod control;
pub mod cpu;
pub mod family;
pub mod files;
mod hand;
pub mod inject;
pub mod instructions;
pub mod interceptor;
pub mod launch;
pub mod memory_check;
pub mod monitor;
pub mod peer;
pub mod pipeline;
pub mod place;
pub mod recorder;
pub mod say;
pub mod ship;
pub mod signals;
pub mod start;
pub mod sys;
pub mod ticks;
pub mod tracee;
pub mod twin;
