//! The integration tests, one binary with a module for each topic: the binary, real processes, real logs.

mod child;
mod conformance;
mod failover;
mod forged_log;
mod guest;
mod recording;
mod servers;
mod signals;
mod support;
