//! The proxy on real loopback sockets, between a test that plays the clients and one that plays primary and backup.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its functions outside #[test] too")]

mod control;
mod failover;
mod faults;
mod harness;
mod output;
