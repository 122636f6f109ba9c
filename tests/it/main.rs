//! The integration tests, one binary with a module for each topic: the binary, real processes, real logs.

mod checks;
mod child;
mod children;
mod clients;
mod compression;
mod conformance;
mod errors;
mod exec;
mod failover;
mod forged_log;
mod guest;
mod hosts;
mod interceptor;
mod ipv6;
mod mapped;
mod placement;
mod programs;
mod recording;
mod rules;
mod servers;
mod signals;
mod support;
mod unprotected;
