//! Tests of the whole program: the binary, real processes, real logs.

mod child;
mod conformance;
mod forged_log;
mod guest;
