//! The proxy on real loopback sockets, between a test that plays the clients and one that plays primary and backup.

mod control;
mod failover;
mod faults;
mod harness;
mod output;
